"""FLAC: lossless audio of clips and shards, the same bytes for the same samples."""

import io
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.errors import DecodeError, StorageError


def flac_bytes(samples: NDArray[np.int16], rate_hz: int) -> bytes:
    """Encode (N,) int16 mono bit-exactly. The file holds no time and no path."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def write_flac(path: Path, samples: NDArray[np.int16], rate_hz: int) -> None:
    """Write (N,) int16 mono.

    Raises:
        StorageError: the disk is full or not writable.
    """
    try:
        path.write_bytes(flac_bytes(samples, rate_hz))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error


def read_flac(source: Path | bytes) -> NDArray[np.float32]:
    """Read (N,) float32 mono, full scale = 1; times 32768 these are the stored integers exactly.

    Raises:
        DecodeError: no FLAC, or its data end early.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    try:
        samples, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DecodeError(f"FLAC: {error.error_string}") from error
    return np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
