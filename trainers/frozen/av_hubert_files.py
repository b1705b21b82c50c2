"""Loading of AV-HuBERT's audio branch: the official base file, or a random stand-in.

    load_front("av-hubert-9:weights/base_lrs3_iter5.pt")    # layers 1 to 9, frozen
    load_last_layers("av-hubert-9:weights/base_lrs3_iter5.pt")  # layers 10 to 12, to be trained
    load_front("stand-in:av-hubert-9")

The official file is one of fairseq: weights under `model`, and beside them a configuration whose
classes are not here (foreign_checkpoints.py). The picture branch, the mask's embedding and the
prediction of clusters are not used. `lipforge weights` does not fetch it: its licence is for
research without commercial use, and its digest is in no public record that we know.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from pipeline.errors import ParamsError, WeightsError
from pipeline.weights.files import weights_file_sha256
from pipeline.weights.safetensors_files import read_safetensors
from trainers.frozen.av_hubert import BASE, SMALL, AvHubertFront, AvHubertLayers, AvHubertSize
from trainers.frozen.foreign_checkpoints import read_weights
from trainers.frozen.public_files import fill
from trainers.frozen.stand_ins import STAND_IN, seeded_by_name

AV_HUBERT = "av-hubert"
WEIGHTS_KEY = "model"
UNUSED = ("feature_extractor_video.", "final_proj.", "mask_emb", "label_embs_concat")
_NAMES = (
    ("feature_extractor_audio.proj.", "audio_proj."),
    ("post_extract_proj.", "joined_proj."),
    ("encoder.layers.", "layers."),
    ("encoder.pos_conv.0.", "positions."),
    ("layer_norm.", "joined_norm."),
)
"""Beginning of an official name -> ours. The norm at the end is `encoder.layer_norm.`."""
LAST_NORM = "encoder.layer_norm."
SHORTEST = 1e-12
"""Least length that a kernel is divided by."""

Part = TypeVar("Part", AvHubertFront, AvHubertLayers)


@dataclass(frozen=True, slots=True)
class AvHubertSource:
    """A parsed name: how many layers are frozen, and where the weights come from."""

    name: str
    """As given, but without the file, whose digest says more."""
    frozen_layers: int
    path: Path | None
    """None: a stand-in."""

    @property
    def size(self) -> AvHubertSize:
        """Sizes of the whole branch."""
        return SMALL if self.path is None else BASE


def is_av_hubert(source: str) -> bool:
    """Return whether a name is one of AV-HuBERT's audio branch."""
    return source.removeprefix(STAND_IN).startswith(AV_HUBERT)


def front_name(source: str, frozen_layers: int) -> str:
    """Return the name of the frozen front end: `av-hubert:FILE` -> `av-hubert-9:FILE`."""
    return source.replace(AV_HUBERT, f"{AV_HUBERT}-{frozen_layers}", 1)


def parsed(source: str) -> AvHubertSource:
    """Read a name `av-hubert-N:FILE` or `stand-in:av-hubert-N`, N from 0 to 12.

    Raises:
        ParamsError: it is none.
    """
    found = re.fullmatch(rf"({STAND_IN})?{AV_HUBERT}-(\d+)(?::(.+))?", source)
    known = found and bool(found[1]) != bool(found[3]) and int(found[2]) <= BASE.layers
    if not found or not known:
        raise ParamsError(
            f"{source!r} names no front end of AV-HuBERT; known: {AV_HUBERT}-N:FILE and "
            f"{STAND_IN}{AV_HUBERT}-N, N frozen layers of {BASE.layers}"
        )
    name = f"{found[1] or ''}{AV_HUBERT}-{found[2]}"
    return AvHubertSource(name, int(found[2]), Path(found[3]) if found[3] else None)


def require_known_front(source: str, key: str, also: Sequence[str] = ()) -> None:
    """Fail if a source is no name of a front end; loads nothing.

    Args:
        key: file and key that name it, for the message.
        also: other values that are possible there.

    Raises:
        ParamsError: with key and known names.
    """
    if source in also:
        return
    try:
        parsed(source)
    except ParamsError as error:
        raise ParamsError(f"{key}: {error}; or {', '.join(also)}") from error


def av_hubert_sha256(source: str) -> dict[str, str]:
    """Return the digest of the weights file, by name; of a stand-in none.

    Raises:
        ParamsError: the name is none of AV-HuBERT's.
        WeightsError: the file is absent.
    """
    path = _existing(parsed(source))
    return {path.name: weights_file_sha256(path)} if path else {}


def load_front(source: str) -> AvHubertFront:
    """Load the frozen front end, float32 on the CPU.

    Raises:
        ParamsError: the name is none of AV-HuBERT's.
        WeightsError: the file is absent or holds other weights.
    """
    wanted = parsed(source)
    digests = av_hubert_sha256(source)

    def new() -> AvHubertFront:
        return AvHubertFront(wanted.frozen_layers, wanted.name, digests, wanted.size)

    front = _loaded(wanted, new)
    front.requires_grad_(False).eval()
    return front


def load_last_layers(source: str) -> AvHubertLayers:
    """Load the layers behind the frozen ones, to be trained.

    Raises:
        ParamsError, WeightsError: as `load_front`.
    """
    wanted = parsed(source)

    def new() -> AvHubertLayers:
        return AvHubertLayers(wanted.frozen_layers, wanted.size)

    return _loaded(wanted, new).requires_grad_(True)


def own_state(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the audio branch of an official state dict under our names, float32.

    The weight of the positions' convolution, there a length per place in the kernel and a
    direction, becomes one tensor.
    """
    state = {
        _own_name(name): tensor.float()
        for name, tensor in published.items()
        if not name.startswith(UNUSED)
    }
    if "positions.weight_g" in state and "positions.weight_v" in state:
        lengths, directions = state.pop("positions.weight_g"), state.pop("positions.weight_v")
        if lengths.shape == (1, 1, *directions.shape[2:]):  # else it stays missing, and is named
            state["positions.weight"] = lengths * directions / _lengths(directions)
    return state


def published_state(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return our state dict of the whole branch under the official names."""
    state = {_official_name(name): tensor for name, tensor in own.items()}
    weight = state.pop("encoder.pos_conv.0.weight")
    parts = {"weight_g": _lengths(weight), "weight_v": weight}
    return state | {f"encoder.pos_conv.0.{name}": tensor for name, tensor in parts.items()}


def _own_name(name: str) -> str:
    if name.startswith(LAST_NORM):
        return name.removeprefix("encoder.")
    for official, own in _NAMES:
        if name.startswith(official):
            return own + name.removeprefix(official)
    return name


def _official_name(name: str) -> str:
    if name.startswith("layer_norm."):
        return f"encoder.{name}"
    for official, own in _NAMES:
        if name.startswith(own):
            return official + name.removeprefix(own)
    return name


def _lengths(kernels_OIK: Tensor) -> Tensor:
    """Return the length of each place of the kernels over both channels, (1, 1, K)."""
    return kernels_OIK.square().sum(dim=(0, 1), keepdim=True).sqrt().clamp(min=SHORTEST)


def _loaded(wanted: AvHubertSource, new: Callable[[], Part]) -> Part:
    path = _existing(wanted)
    if path is None:
        return seeded_by_name(wanted.name, new)
    with torch.device("meta"):
        part = new()
    whole = own_state(_read(path))
    mine = part.state_dict().keys() & whole.keys()  # `fill` names what is missing
    fill(part, {name: whole[name] for name in sorted(mine)}, path)
    return part


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    return read_weights(path, WEIGHTS_KEY)


def _existing(wanted: AvHubertSource) -> Path | None:
    if wanted.path is not None and not wanted.path.is_file():
        raise WeightsError(
            f"{wanted.path}: no such file; put AV-HuBERT's base_lrs3_iter5.pt there (its licence: "
            f"docs/third_party.md), or name {STAND_IN}{AV_HUBERT}"
        )
    return wanted.path
