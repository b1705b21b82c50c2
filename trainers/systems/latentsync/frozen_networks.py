"""Loading of the diffusion trainer's frozen networks and initial weights.

A loss of weight 0 needs no network, and none is loaded for it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import ParamsError, WeightsError
from pipeline.params.training import LdmProfile
from pipeline.weights.files import path_of, sha256_of, weights_file_sha256
from trainers.frozen import registry as frozen
from trainers.frozen.audio_encoders import (
    audio_identity,
    load_audio_encoder,
    require_known_encoder,
)
from trainers.frozen.latent_vae import LATENT_CHANNELS, LatentVae
from trainers.frozen.lpips_vgg import LpipsVgg
from trainers.frozen.registry import FrozenNetwork
from trainers.frozen.videomae import VideoMaeEncoder
from trainers.systems.latentsync.bundle import UNET_FILE
from trainers.systems.latentsync.configs import STAGES, LatentSyncStage, UNetConfig
from trainers.systems.latentsync.identity_start import initialize_new
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.pretrained_start import (
    start_from_other_stage,
    start_from_stable_diffusion,
)
from trainers.systems.stable_syncnet.files import (
    load_checkpoint,
    load_safetensors,
    read_metadata,
)
from trainers.systems.stable_syncnet.network import StableSyncNet

STABLE_DIFFUSION = "sd-v1-5:"
"""`start: sd-v1-5:FILE` names the U-Net of Stable Diffusion 1.5."""
FILES = {
    "sd-vae-ft-mse": (frozen.SD_VAE_FILE,),
    "taesd": (frozen.TAESD_FILE,),
    "lpips-vgg": (frozen.VGG_FILE, frozen.LINS_FILE),
    "videomae-v2-giant": (frozen.VIDEOMAE_FILE,),
}
"""Files of the frozen parts; stand-ins have none."""
VIDEOMAE_FRAMES = 16
"""VideoMAE's table of positions is for clips of this length."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenNetworks:
    """Frozen networks; None for a loss that is left out."""

    vae: FrozenNetwork[LatentVae]
    lpips: FrozenNetwork[LpipsVgg] | None = None
    videomae: FrozenNetwork[VideoMaeEncoder] | None = None
    syncnet: FrozenNetwork[StableSyncNet] | None = None

    def by_role(self) -> dict[str, FrozenNetwork[torch.nn.Module]]:
        """Return the loaded ones by role."""
        roles = {name: getattr(self, name) for name in ("vae", "lpips", "videomae", "syncnet")}
        return {name: part for name, part in roles.items() if part is not None}


def load_frozen_networks(profile: LdmProfile) -> FrozenNetworks:
    """Load what the profile's losses need, on the CPU, float32.

    Raises:
        ParamsError: an unknown name, or a loss that cannot judge windows of this length.
        WeightsError: a file is absent or altered.
    """
    checkpointing = profile.gradient_checkpointing
    if profile.trepa_weight and profile.frames != VIDEOMAE_FRAMES:
        raise _wrong_length("trepa_weight", profile.frames, VIDEOMAE_FRAMES)
    networks = FrozenNetworks(
        vae=frozen.vae(profile.vae),
        lpips=frozen.lpips(profile.lpips) if profile.lpips_weight else None,
        videomae=frozen.videomae(profile.videomae, checkpointing) if profile.trepa_weight else None,
        syncnet=load_syncnet(profile) if profile.sync_weight else None,
    )
    if checkpointing:
        networks.vae.network.checkpoint_gradients()
    return networks


def load_syncnet(profile: LdmProfile) -> FrozenNetwork[StableSyncNet]:
    """Load the judge of the sync loss: our safetensors, or a published `.pt`.

    Raises:
        WeightsError: the file is absent or not a StableSyncNet.
        ParamsError: its input is latents, windows of another length than the profile's, or it was
            trained with other mel windows.
    """
    path = syncnet_path(profile)
    ours = path.suffix == ".safetensors"
    part = frozen.trained(path, load_safetensors if ours else load_checkpoint, "train_syncnet")
    if ours:
        _check_mel(profile, read_metadata(path), path)
    config = part.network.config
    if config.latent:
        raise ParamsError(f"train_ldm.syncnet: {path} judges latents; give one that sees pixels")
    if config.num_frames != profile.frames:
        raise _wrong_length("sync_weight", profile.frames, config.num_frames)
    for tower in (part.network.audio_encoder, part.network.visual_encoder):
        tower.gradient_checkpointing = profile.gradient_checkpointing
    return part


def _check_mel(profile: LdmProfile, metadata: Mapping[str, Any], path: Path) -> None:
    """Fail if StableSyncNet was trained with other mel windows; published files do not say."""
    trained_with = metadata.get("profile", {}).get("mel", profile.mel)
    if trained_with != profile.mel:
        raise ParamsError(
            f"train_ldm.mel: {profile.mel!r}, but {path} was trained with "
            f"{trained_with!r}; set it to {trained_with!r}, or train StableSyncNet with "
            f"train_syncnet.mel {profile.mel!r}"
        )


def syncnet_path(profile: LdmProfile) -> Path:
    """Return the file of the sync loss's judge.

    Raises:
        WeightsError: it is absent.
    """
    path = Path(profile.syncnet)
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file (params.yaml, train_ldm, syncnet); make it with "
            f"`dvc repro train_syncnet`, or name a stable_syncnet.pt, or set sync_weight to 0"
        )
    return path


def stage_of(profile: LdmProfile) -> LatentSyncStage:
    """Return the stage that the profile names.

    Raises:
        ParamsError: there is none of that name.
    """
    if profile.stage not in STAGES:
        raise ParamsError(f"train_ldm.stage: {profile.stage!r}; known: {', '.join(STAGES)}")
    return STAGES[profile.stage]


def unet_config(profile: LdmProfile, latent_channels: int) -> UNetConfig:
    """Return the sizes of the profile's U-Net, which may follow from its other networks.

    Raises:
        ParamsError: no such stage, or one whose published sizes do not fit the autoencoder.
        WeightsError: the file of the audio encoder is absent or altered.
    """
    stage = stage_of(profile)
    if stage.sizes_follow_parts:
        audio_width = load_audio_encoder(profile.whisper).width
        return replace(stage.unet, latent_channels=latent_channels, audio_width=audio_width)
    if stage.unet.latent_channels != latent_channels:
        raise ParamsError(
            f"train_ldm.vae: {profile.vae} has {latent_channels} channels, the U-Net of stage "
            f"{profile.stage} takes {stage.unet.latent_channels}; name another autoencoder, or "
            f"stage mini"
        )
    return stage.unet


def new_unet(profile: LdmProfile, latent_channels: int = LATENT_CHANNELS) -> LatentSyncUNet:
    """Return the U-Net as training begins: started, partly frozen. Seed torch before.

    Args:
        latent_channels: of the autoencoder.

    Raises:
        ParamsError: no such stage, or one whose published sizes do not fit the autoencoder.
        WeightsError: the start's file is absent or holds other weights.
    """
    stage = stage_of(profile)
    unet = LatentSyncUNet(unet_config(profile, latent_channels))
    _start(unet, profile)
    trained = unet.train_only(stage.trained)
    logger.info("%s: %d of the U-Net's tensors are trained", profile.stage, len(trained))
    if profile.gradient_checkpointing:
        unet.checkpoint_gradients()
    return unet


def weight_file_digests(profile: LdmProfile) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of every weights file by role, as far as the profile uses it.

    Raises:
        WeightsError: a file is absent.
    """
    digests = {
        role: {file: sha256_of(file) for file in FILES.get(name, ())}
        for role, name in named_networks(profile).items()
    }
    digests["whisper"] = dict(audio_identity(profile.whisper).sha256)
    paths = {"syncnet": syncnet_path(profile) if profile.sync_weight else None}
    paths["start"] = start_path(profile)
    return digests | {
        r: {p.name: weights_file_sha256(p)} for r, p in paths.items() if p is not None
    }


def named_networks(profile: LdmProfile) -> dict[str, str]:
    """Return the names, by role, of the frozen networks that the profile uses."""
    names = {"vae": profile.vae, "whisper": profile.whisper}
    names |= {"lpips": profile.lpips} if profile.lpips_weight else {}
    return names | ({"videomae": profile.videomae} if profile.trepa_weight else {})


def require_known_networks(profile: LdmProfile, key: str) -> None:
    """Fail if the profile uses a network that nothing here has; loads nothing.

    Args:
        key: file and key of the profile, for the message.

    Raises:
        ParamsError: with file, key and the known names.
    """
    for role, name in named_networks(profile).items():
        if role == "whisper":
            require_known_encoder(name, f"{key}.{role}")
        else:
            frozen.require_known(role, name, f"{key}.{role}")


def absent_files(profile: LdmProfile) -> list[str]:
    """Return, for every weights file that is absent or altered, what is wrong and what to do."""
    files = [file for name in named_networks(profile).values() for file in FILES.get(name, ())]
    looked_at: list[Callable[[], object]] = [partial(path_of, file) for file in files]
    looked_at += [partial(audio_identity, profile.whisper), partial(start_path, profile)]
    if profile.sync_weight:
        looked_at.append(partial(syncnet_path, profile))
    return [told for look in looked_at if (told := _refusal(look))]


def _refusal(look: Callable[[], object]) -> str:
    try:
        look()
    except WeightsError as error:
        return str(error)
    return ""


def start_path(profile: LdmProfile) -> Path | None:
    """Return the file that training starts from; of a model's folder, its weights.

    Raises:
        WeightsError: it is absent.
    """
    if not profile.start:
        return None
    path = Path(profile.start.removeprefix(STABLE_DIFFUSION))
    path = path / UNET_FILE if path.is_dir() else path
    if not path.is_file():
        fix = (
            "fetch unet/diffusion_pytorch_model.safetensors of Stable Diffusion 1.5 to that place"
            if profile.start.startswith(STABLE_DIFFUSION)
            else "name the weights of another stage, or a model's folder"
        )
        raise WeightsError(f"{path}: no such file (params.yaml, train_ldm, start); {fix}")
    return path


def _start(unet: LatentSyncUNet, profile: LdmProfile) -> None:
    path = start_path(profile)
    if path is None:
        logger.info("the U-Net starts from nothing")
        initialize_new(unet, profile.prediction)
        return
    if profile.start.startswith(STABLE_DIFFUSION):
        report = start_from_stable_diffusion(unet, path, keep_noisy_input=profile.keep_noisy_input)
    else:
        report = start_from_other_stage(unet, path)
    logger.info(
        "%s: %d tensors stay new, %d of the file are not used; new: %s",
        path,
        len(report.fresh),
        len(report.unused),
        ", ".join(report.fresh[:4]) or "none",
    )


def _wrong_length(key: str, frames: int, needed: int) -> ParamsError:
    return ParamsError(
        f"train_ldm: {key} needs windows of {needed} frames, not {frames}; set frames to {needed} "
        f"or {key} to 0"
    )
