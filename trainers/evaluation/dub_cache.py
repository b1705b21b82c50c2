"""Cache of dubbed clips outside of DVC's outputs, so that a killed evaluation resumes after them.

The key is a digest of the model, its sampling options, and the frames, references and samples of
the clip.

Shape suffixes: T frames, C colours, H and W pixels, N samples.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.digest import digest
from trainers.loop.checkpoints import training_folder

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]

VERSION = 2
"""Incremented when the same facts give other pictures."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dubber:
    """A model that dubs aligned faces."""

    dub: Callable[[Pixels, Samples, Pixels], Pixels]
    """Faces (T, 3, H, W), sound (T * 640,), reference pictures (T, 3, H, W) -> (T, 3, H, W)."""
    round_trip: Callable[[Pixels], Pixels | None]
    """Faces (T, 3, H, W) -> what is left of them behind its autoencoder; None if it has none."""
    seams: Callable[[int], NDArray[np.bool_]]
    """Number of frames T -> whether two windows of the model share a frame, (T,)."""
    size_px: int
    """Height and width of the faces."""
    names: Mapping[str, Any]
    """Names of its components, stand-ins included: for the metrics."""
    facts: Mapping[str, Any]
    """Everything that determines its output, as JSON: digests of weights, steps, guidance, seed."""
    threads: int = 1
    """Dubs at a time."""


class DubCache:
    """Dubs clips, and stores the results; several threads may use it."""

    def __init__(self, dubber: Dubber) -> None:
        self.dubber = dubber
        self.folder = training_folder("evaluate", {"dubs": dict(dubber.facts), "version": VERSION})

    def dubbed(self, frames_TCHW: Pixels, audio_N: Samples, reference_TCHW: Pixels) -> Pixels:
        """Return the clip dubbed with the sound, (T, 3, H, W) uint8.

        Raises:
            StorageError: the disk is full or not writable.
        """
        path = self.folder / f"{_digest(frames_TCHW, audio_N, reference_TCHW)}.npz"
        found = _read(path, frames_TCHW.shape)
        if found is None:
            found = self.dubber.dub(frames_TCHW, audio_N, reference_TCHW)
            assert found.shape == frames_TCHW.shape, "a dubbed clip has the shape of the original"
            _write(path, found)
        return found


def _digest(frames_TCHW: Pixels, audio_N: Samples, reference_TCHW: Pixels) -> str:
    arrays = (frames_TCHW, audio_N, reference_TCHW)
    parts = [hashlib.sha256(one.tobytes()).hexdigest() for one in arrays]
    return digest({"parts": parts, "shape": list(frames_TCHW.shape)})[:32]


def _read(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            frames: Pixels = arrays["frames"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        logger.warning("%s: damaged (%s); dubbing this clip again", path, error)
        return None
    return frames if frames.shape == shape else None


def _write(path: Path, frames_TCHW: Pixels) -> None:
    with replacing(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, frames=frames_TCHW)
