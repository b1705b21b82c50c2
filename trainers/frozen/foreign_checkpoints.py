"""Weights of PyTorch files that hold more than weights: configurations, callbacks, dictionaries.

Checkpoints of fairseq and Lightning name classes of programs that are not here. Every such name is
replaced by a class that takes anything and does nothing; no code of the file, and no code that it
names, is run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeGuard

import torch
from torch import Tensor

from pipeline.errors import WeightsError
from pipeline.weights.torch_files import DAMAGED


class _Ignored:
    """Stands for an object of any other class; keeps nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take anything."""

    def __setstate__(self, _: Any) -> None:
        """Keep nothing."""


def read_weights(path: Path, key: str) -> dict[str, Tensor]:
    """Return the state dict under `key` of a file of `torch.save`, on the CPU.

    Args:
        key: `model` in files of fairseq, `state_dict` in those of Lightning.

    Raises:
        WeightsError: absent, damaged, in the format of before PyTorch 1.6, without such a state
            dict, or it holds what even so cannot be left out.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        with torch.serialization.safe_globals([(_Ignored, name) for name in names]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    except DAMAGED:
        raise WeightsError(f"{path}: cannot be read as weights alone; {_fix(key)}") from None
    state = content.get(key) if isinstance(content, Mapping) else None
    if not _is_state_dict(state):
        raise WeightsError(f"{path}: holds no weights under {key!r}; {_fix(key)}")
    return dict(state)


def _is_state_dict(state: Any) -> TypeGuard[Mapping[str, Tensor]]:
    named = isinstance(state, Mapping) and all(isinstance(name, str) for name in state)
    return named and all(map(torch.is_tensor, state.values()))


def _fix(key: str) -> str:
    return (
        f"where the program that wrote it is installed, load it and write its weights alone: "
        f'torch.save({{"{key}": its state dict}}, "weights.pt")'
    )
