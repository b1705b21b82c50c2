"""Training tasks at their real sizes with random frozen networks, and batches for them.

What needs no file: the profiles of params.yaml decide the sizes; weights are random, and names say
so. Batches are what the loader would give: bytes of pictures, mel windows, Whisper tokens.

Shape suffixes as in the tasks.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.params.curation import Params
from pipeline.params.training import LdmProfile, SyncnetProfile
from trainers.frozen import registry
from trainers.frozen.audio_encoders import load_audio_encoder
from trainers.frozen.latent_vae import KlVae, LatentVae, sd_vae
from trainers.frozen.lpips_vgg import LpipsVgg
from trainers.frozen.registry import FrozenNetwork
from trainers.frozen.videomae import VideoMaeEncoder
from trainers.loop.task import Batch, Task
from trainers.systems.latentsync.configs import TOKENS_PER_FRAME
from trainers.systems.latentsync.frozen_networks import (
    FILES,
    FrozenNetworks,
    load_frozen_networks,
    new_unet,
    stage_of,
)
from trainers.systems.latentsync.task import LatentDiffusion
from trainers.systems.stable_syncnet.configs import CONFIGS, StableSyncNetConfig
from trainers.systems.stable_syncnet.network import StableSyncNet
from trainers.systems.stable_syncnet.task import Objective, SyncNetTask

RANDOM = "random:"
"""Prefix of the name of a network of the real size with random weights."""
JUDGE, SMALL_JUDGE = "syncnet_16_pixel_attn", "tiny"
MEL_SHAPE = (1, 80, 52)
Profile = SyncnetProfile | LdmProfile


def profile_named(params: Params, name: str) -> Profile:
    """Return the profile of `syncnet:<name>` or `ldm:<name>`.

    Raises:
        ParamsError: there is none of that name.
    """
    sections: dict[str, dict[str, Any]] = {
        "syncnet": params.train_syncnet.profiles,
        "ldm": params.train_ldm.profiles,
    }
    known: dict[str, Profile] = {
        f"{system}:{one}": profile
        for system, profiles in sections.items()
        for one, profile in profiles.items()
    }
    if name not in known:
        raise ParamsError(f"--profiles {name}: no such profile; known: {', '.join(known)}")
    return known[name]


def new_task(profile: Profile, device: torch.device, random_weights: bool) -> Task:
    """Return the task of a profile, made on the device: a CPU takes a minute for 1 G weights."""
    torch.manual_seed(0)
    if isinstance(profile, SyncnetProfile):
        objective = Objective(
            clamp=profile.clamp,
            bce_weight=profile.bce_weight,
            contrast_weight=profile.contrast_weight,
            temperature=profile.temperature,
        )
        with torch.device(device):
            return SyncNetTask(CONFIGS[profile.network], objective, profile.gradient_checkpointing)
    if random_weights:
        profile = profile.model_copy(update={"start": "", "keep_noisy_input": False})
    with torch.device(device):
        networks = _random(profile) if random_weights else load_frozen_networks(profile)
        unet = new_unet(profile, networks.vae.network.channels)
    return LatentDiffusion(profile, unet, networks)


def frozen_names(task: Task) -> dict[str, str]:
    """Return role -> name of the task's frozen networks."""
    if not isinstance(task, LatentDiffusion):
        return {}
    return registry.names(task.networks.by_role())


def new_batch(profile: Profile, items: int) -> Batch:
    """Return a batch on the CPU, as the loader gives it, the same every time."""
    draw = torch.Generator().manual_seed(items)
    if isinstance(profile, SyncnetProfile):
        batch = _syncnet_batch(profile, CONFIGS[profile.network], items, draw)
    else:
        batch = _ldm_batch(profile, items, draw)
    return {**batch, "keys": [f"synthetic@{number}" for number in range(items)]}


def _syncnet_batch(
    profile: SyncnetProfile, config: StableSyncNetConfig, items: int, draw: torch.Generator
) -> Batch:
    pair = profile.item == "pair"
    shape = (items,) if pair else (items, profile.windows)
    labels: Tensor = (
        (torch.arange(items) % 2).float()
        if pair
        else torch.eye(profile.windows, dtype=torch.int8).repeat(items, 1, 1)
    )
    return {
        "visual": _bytes(draw, *shape, *config.visual_shape),
        "mel": torch.randn(*shape, *config.mel_shape, generator=draw),
        "in_sync": labels,
    }


def _ldm_batch(profile: LdmProfile, items: int, draw: torch.Generator) -> Batch:
    stage = stage_of(profile)
    pictures = (items, profile.frames, 3, stage.resolution_px, stage.resolution_px)
    tokens = (items, *_tokens_shape(profile))
    batch = {
        "frames": _bytes(draw, *pictures),
        "reference": _bytes(draw, *pictures),
        "tokens": torch.randn(tokens, generator=draw),
    }
    if profile.sync_weight:
        batch["mel"] = torch.randn(items, *MEL_SHAPE, generator=draw)
    return batch


def _tokens_shape(profile: LdmProfile) -> tuple[int, ...]:
    """Return (F, T, D)."""
    stage = stage_of(profile)
    if not stage.sizes_follow_parts:
        return (profile.frames, TOKENS_PER_FRAME, stage.unet.audio_width)
    encoder = load_audio_encoder(profile.whisper)
    features_TLD = torch.zeros(1, encoder.num_layers, encoder.width)
    return tuple(encoder.windows(features_TLD, 0, profile.frames).shape)


def _bytes(draw: torch.Generator, *shape: int) -> Tensor:
    return torch.randint(256, shape, generator=draw, dtype=torch.uint8)


def _random(profile: LdmProfile) -> FrozenNetworks:
    checkpointing = profile.gradient_checkpointing
    small = profile.vae not in FILES
    videomae: FrozenNetwork[VideoMaeEncoder] | None = None
    if profile.trepa_weight:
        videomae = _network(profile.videomae, VideoMaeEncoder, registry.videomae)
        videomae.network.gradient_checkpointing = checkpointing
    networks = FrozenNetworks(
        vae=_network(profile.vae, _new_vae, registry.vae),
        lpips=_network(profile.lpips, LpipsVgg, registry.lpips) if profile.lpips_weight else None,
        videomae=videomae,
        syncnet=_judge(SMALL_JUDGE if small else JUDGE, checkpointing)
        if profile.sync_weight
        else None,
    )
    if checkpointing:
        networks.vae.network.checkpoint_gradients()
    return networks


def _network(
    name: str, new: Callable[[], nn.Module], load: Callable[[str], FrozenNetwork[Any]]
) -> FrozenNetwork[Any]:
    """Return a network without a file as the registry has it; else random, at its real size."""
    if name not in FILES:
        return load(name)
    return FrozenNetwork(RANDOM + name, new().requires_grad_(False).eval(), {})


def _new_vae() -> LatentVae:
    return KlVae(sd_vae())


def _judge(name: str, checkpointing: bool) -> FrozenNetwork[StableSyncNet]:
    network = StableSyncNet(CONFIGS[name], checkpointing).requires_grad_(False).eval()
    return FrozenNetwork(RANDOM + name, network, {})
