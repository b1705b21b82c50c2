"""PyTorch files from anywhere, read as data only: no code in them is run.

What torch says of a bad file is not passed on: its text advises to load with `weights_only=False`,
which would run what is in the file.
"""

import struct
import warnings
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError  # the name of torch.load's error; nothing is unpickled here
from typing import Any
from zipfile import BadZipFile

import torch

from pipeline.errors import WeightsError

ZIP_MAGIC = b"PK\x03\x04"
DAMAGED = (
    *(UnpicklingError, BadZipFile, RuntimeError, EOFError, ValueError, LookupError, TypeError),
    *(AttributeError, AssertionError, ArithmeticError, struct.error),
)
"""What torch.load raises for bytes that are no checkpoint: found by damaging thousands of files."""
FIX = "fetch it again, or check which file it is"


def read_torch(source: Path | bytes) -> Any:
    """Return what a file of `torch.save` holds, on the CPU: tensors, numbers, text, containers.

    A file in today's format is mapped: its tensors take memory only as they are read, and those
    that are never read take none. It must not be overwritten in place while they live (replacing
    it under its name, as everything here does, is harmless).

    Args:
        source: a file, or the bytes of one; the messages about bytes name no file.
    Raises:
        WeightsError: absent, no PyTorch file, damaged, or it holds more than data.
    """
    if isinstance(source, bytes):
        return _loaded(BytesIO(source), mapped=False, where="")
    try:
        with source.open("rb") as stream:
            mapped = stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    except OSError as error:
        raise WeightsError(f"{source}: cannot be read: {error.strerror}") from error
    return _loaded(source, mapped, f"{source}: ")


def _loaded(file: Path | BytesIO, mapped: bool, where: str) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # of protocols, where bytes are damaged
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except OSError as error:  # also what a file that is cut off is to torch
        raise WeightsError(
            f"{where}cannot be read as a PyTorch checkpoint: {error.strerror}; {FIX}"
        ) from error
    except UnpicklingError:
        raise WeightsError(
            f"{where}cannot be read as a PyTorch checkpoint: it is damaged, or holds more than "
            f"tensors and plain values, which is refused because reading it could run code; "
            f"{FIX}, or save its state dict alone"
        ) from None
    except DAMAGED:
        raise WeightsError(f"{where}cannot be read as a PyTorch checkpoint; {FIX}") from None
