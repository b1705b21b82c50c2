"""Initialization of LatentSync's U-Net from weights of another stage or of Stable Diffusion.

Two starts are usual: stage 1 from Stable Diffusion 1.5, whose U-Net is for pictures and text, and
stage 2 from stage 1, which has no motion layers. Both keep some of the network's own new weights;
which ones is returned, to be logged, and nothing else may differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import WeightsError
from trainers.systems.latentsync.files import fill, read_own_names
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.published_keys import MOTION, OWN_PREFIX, POSITIONS, motion_layer

CONV_IN, CONV_OUT = f"{OWN_PREFIX}conv_in.", f"{OWN_PREFIX}conv_out."
AUDIO_INPUTS = ("attn2.to_k.weight", "attn2.to_v.weight")
SINGLE_FILE_MARK = "model.diffusion_model."


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Which tensors were not loaded; names of our parameters, sorted."""

    fresh: tuple[str, ...]
    """Left at their initialization."""
    unused: tuple[str, ...]
    """In the file, but not in the network."""


def start_from_other_stage(network: LatentSyncUNet, path: Path) -> LoadReport:
    """Take a published or own checkpoint whose motion layers may be other ones, or none.

    Motion layers that the file lacks stay as they are (new ones change nothing, their end is zero);
    those that the network lacks are left out.

    Raises:
        WeightsError: the file cannot be read, or differs in more than the set of motion layers.
    """
    state = read_own_names(path)
    own = network.state_dict()
    unused = _of_motion_layers(state, missing_in=own)
    fresh = _of_motion_layers(own, missing_in=state)
    return _start(network, state, fresh, unused, path)


def start_from_stable_diffusion(
    network: LatentSyncUNet, path: Path, *, keep_noisy_input: bool = False
) -> LoadReport:
    """Take the U-Net of Stable Diffusion 1.x, file `unet/diffusion_pytorch_model.safetensors`.

    As in LatentSync, layers of another shape stay as they are: the first convolution (13 channels
    against 4; weight and bias, zero in a new network), and the keys and values of the audio layers
    (384 against 768; random). So do the motion layers. Everything else is taken.

    Args:
        keep_noisy_input: give the first convolution the file's weights for the noisy latents, zeros
            for the other 9 channels, and the file's bias; then training starts from a network that
            sees its input. Not what LatentSync does.
    Raises:
        WeightsError: the file cannot be read, or differs in more than that.
    """
    state = read_own_names(path)
    if any(SINGLE_FILE_MARK in key for key in state):
        raise WeightsError(
            f"{path}: holds a whole Stable Diffusion in one file; use the file "
            f"unet/diffusion_pytorch_model.safetensors of its diffusers edition"
        )
    own = network.state_dict()
    if keep_noisy_input:
        state = _with_noisy_input(state, own, network.config.noisy, path)
    foreign = _foreign(state, own)
    fresh = [*foreign, *_of_motion_layers(own, missing_in=state)]
    return _start(network, state, fresh, [key for key in foreign if key in state], path)


def _of_motion_layers(state: Mapping[str, Tensor], missing_in: Mapping[str, Tensor]) -> list[str]:
    """Return the tensors of those motion layers of which the other side has no tensor at all."""
    there = {motion_layer(key) for key in missing_in}
    return [key for key in state if MOTION in key and motion_layer(key) not in there]


def _foreign(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Return the tensors that LatentSync lets differ in shape, where they do."""
    other = {key for key in own if key in state and state[key].shape != own[key].shape}
    ends = [end for end in (CONV_IN, CONV_OUT) if f"{end}weight" in other]
    audio = sorted(key for key in other if key.endswith(AUDIO_INPUTS) and MOTION not in key)
    return [f"{end}{name}" for end in ends for name in ("weight", "bias")] + audio


def _with_noisy_input(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], noisy: slice, path: Path
) -> dict[str, Tensor]:
    key = f"{CONV_IN}weight"
    weight = torch.zeros_like(own[key], device="cpu")
    theirs = state.get(key)
    if theirs is None or theirs.shape != weight[:, noisy].shape:
        raise WeightsError(f"{path}: {key} is not that of a U-Net with 4 input channels")
    weight[:, noisy] = theirs
    return {**state, key: weight}


def _start(
    network: LatentSyncUNet,
    state: dict[str, Tensor],
    fresh: list[str],
    unused: list[str],
    path: Path,
) -> LoadReport:
    own = network.state_dict()
    weights = [key for key in fresh if not key.endswith(POSITIONS)]
    taken = {key: tensor for key, tensor in state.items() if key not in unused}
    fill(network, {**taken, **{key: own[key] for key in weights}}, path)
    return LoadReport(fresh=tuple(sorted(weights)), unused=tuple(sorted(unused)))
