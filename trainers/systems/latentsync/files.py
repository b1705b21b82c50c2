"""LatentSync's U-Net on disk: the published `latentsync_unet.pt` layout, and our own safetensors.

The published file is a dictionary of `global_step` and `state_dict`. Both layouts use the published
names; `pretrained_start.py` starts a network from weights of another kind.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from torch import Tensor

from pipeline.atomic import replacing
from pipeline.errors import WeightsError
from pipeline.weights import safetensors_files
from pipeline.weights.safetensors_files import configured, read_safetensors, write_safetensors
from trainers.frozen.public_files import read_checkpoint
from trainers.systems.latentsync.configs import Motion, UNetConfig
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.published_keys import MOTION, POSITIONS, own_name, public_state

MODEL = "latentsync_unet"
DDP_PREFIX = "module."
POSITION_TOLERANCE = 2e-3
"""Half precision rounds a table by 5e-4, bfloat16 by 2e-3."""
SHOWN_FAULTS = 3


def save_checkpoint(path: Path, network: LatentSyncUNet, step: int = 0) -> None:
    """Write the published layout, float32, at once. The same weights give the same bytes.

    Raises:
        StorageError: the disk is full or not writable.
    """
    content = {"global_step": step, "state_dict": public_state(network.state_dict())}
    with replacing(path) as part, part.open("wb") as stream:
        torch.save(content, stream)  # a stream: else the file's name is in the bytes


def load_checkpoint(path: Path, config: UNetConfig | None = None) -> LatentSyncUNet:
    """Read a published or own `.pt` file into a new network on the CPU, float32, to be trained.

    Args:
        config: None reads the sizes off the weights.
    Raises:
        WeightsError: no such file, no state dict, or its names or shapes are not the network's.
    """
    state = read_own_names(path)
    return _network(config or config_of(state, path), state, path)


def save_safetensors(
    path: Path, network: LatentSyncUNet, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write weights, configuration and `metadata` (JSON values) in one file, at once.

    Raises:
        StorageError: the disk is full or not writable.
    """
    header = {**(metadata or {}), "model": MODEL, "config": network.config.section()}
    state = public_state(network.state_dict())
    write_safetensors(path, state, header)


def load_safetensors(path: Path) -> LatentSyncUNet:
    """Read our own file into a new network on the CPU, float32, to be trained.

    Raises:
        WeightsError: no such file, not written by `save_safetensors`, or altered.
    """
    metadata = read_metadata(path)
    config = configured(path, lambda: UNetConfig.from_section(metadata["config"]))
    return _network(config, read_own_names(path), path)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON stored with the weights: configuration, and what the trainer gave.

    Raises:
        WeightsError: no such file, or not a U-Net written by `save_safetensors`.
    """
    return safetensors_files.read_metadata(path, MODEL)


def read_own_names(path: Path) -> dict[str, Tensor]:
    """Read a `.safetensors` or PyTorch file with published names; return float32 under our names.

    Raises:
        WeightsError: no such file, or it holds no state dict.
    """
    whole = read_safetensors(path) if path.suffix == ".safetensors" else read_checkpoint(path)
    if whole and all(name.startswith(DDP_PREFIX) for name in whole):
        whole = {name.removeprefix(DDP_PREFIX): tensor for name, tensor in whole.items()}
    return {own_name(name): tensor.float() for name, tensor in whole.items()}


def config_of(state: Mapping[str, Tensor], path: Path) -> UNetConfig:
    """Read the sizes off weights under our names; `path` is for the message.

    Raises:
        WeightsError: a tensor that defines a size is missing or impossible.
    """
    try:
        widths = [len(state[f"net.down_blocks.{n}.resnets.0.conv1.weight"]) for n in range(4)]
        key = "net.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
        first = "net.down_blocks.0.resnets."
        section = {
            "widths": widths,
            "audio_width": state[key].shape[1],
            "motion": _motion(state),
            "latent_channels": len(state["net.conv_out.weight"]),
            "layers_per_block": sum(
                name.startswith(first) and name.endswith("conv1.weight") for name in state
            ),
        }
        tables = [tensor for name, tensor in state.items() if name.endswith(POSITIONS)]
        return UNetConfig.from_section(
            section | ({"max_frames": tables[0].shape[1]} if tables else {})
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise WeightsError(f"{path}: not the weights of LatentSync's U-Net: {error}") from error


def fill(network: LatentSyncUNet, state: Mapping[str, Tensor], path: Path) -> None:
    """Put tensors under our names into a network, all of them; `path` is for the message.

    A network built on the meta device takes over the tensors; another one copies their values.
    Position tables are computed, never taken: the file's, which may be absent, longer or shorter,
    are compared with them.

    Raises:
        WeightsError: names, shapes or position tables are not the network's.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    tables = {key: _table(*shape[1:]) for key, shape in shapes.items() if key.endswith(POSITIONS)}
    weights = {key: tensor for key, tensor in state.items() if not key.endswith(POSITIONS)}
    faults = _faults(weights, {key: s for key, s in shapes.items() if key not in tables})
    faults += [f"{key} has other positions" for key in tables if _differs(state, key, tables[key])]
    if faults:
        raise WeightsError(f"{path}: {_some(faults)}; choose the configuration it was made with")
    hollow = any(parameter.is_meta for parameter in network.parameters())
    network.load_state_dict({**weights, **tables}, assign=hollow)


def _network(config: UNetConfig, state: Mapping[str, Tensor], path: Path) -> LatentSyncUNet:
    """Build a network around tensors that are there already: no billion numbers are drawn first."""
    with torch.device("meta"):
        network = LatentSyncUNet(config)
    fill(network, state, path)
    return network


def _motion(state: Mapping[str, Tensor]) -> Motion:
    blocks = {key.split(".")[1] for key in state if MOTION in key}
    return "all" if "down_blocks" in blocks else "decoder" if blocks else "none"


def _table(max_frames: int, width: int) -> Tensor:
    table = SinusoidalPositionalEmbedding(width, max_frames).pe
    assert isinstance(table, Tensor)
    return table


def _differs(state: Mapping[str, Tensor], key: str, table_1FC: Tensor) -> bool:
    if key not in state:
        return False
    theirs_1FC = state[key]
    if theirs_1FC.ndim != 3 or theirs_1FC.shape[2] != table_1FC.shape[2]:
        return True
    frames = min(theirs_1FC.shape[1], table_1FC.shape[1])
    return not torch.allclose(
        theirs_1FC[:, :frames], table_1FC[:, :frames], rtol=0, atol=POSITION_TOLERANCE
    )


def _faults(state: Mapping[str, Tensor], needed: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return what keeps tensors from being exactly the needed ones, one sentence for each."""
    found = {key: tuple(tensor.shape) for key, tensor in state.items()}
    faults = [f"{key} is missing" for key in needed if key not in found]
    faults += [f"{key} is not the network's" for key in found if key not in needed]
    return faults + [
        f"{key} has shape {found[key]}, needed {shape}"
        for key, shape in needed.items()
        if found.get(key, shape) != shape
    ]


def _some(faults: Sequence[str]) -> str:
    """Return the first faults as one sentence, and the number of the others."""
    more = len(faults) - SHOWN_FAULTS
    return "; ".join(faults[:SHOWN_FAULTS]) + (f"; and {more} more" if more > 0 else "")
