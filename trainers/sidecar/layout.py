"""Files of data/features: `index.json`, `clips.parquet`, and one tar of arrays per shard.

Imports nothing heavy, so that `trainers.features` can write an index without an encoder.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INDEX = "index.json"
TABLE = "clips.parquet"
FEATURES = "features"
"""Folder of the tars at $LIPFORGE_SHARDS."""
NONE = "none"
"""Value of `features.whisper`, and of `whisper` in the index, where no features are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipArray:
    """The location of one clip's array in a tar."""

    clip_id: str
    shard: str
    """Path of its tar, and of its shard, relative to their folders."""
    num_steps: int
    """T, length of the array's first axis: 50 per second of features, 25 of latents."""
    num_bytes: int
    """Size of the member."""
    offset_bytes: int = 0
    """Offset of the member's content in the tar."""
    artifact: str = ""
    """Cache key of the array. Filled in by the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFeatures(ClipArray):
    """The features of one clip. Row of the table that `features` writes."""

    layers: int
    """L, hidden states per step."""
    width: int
    """D."""
    sound_sha256: str
    """Digest of the decoded audio, by `sound_sha256`."""


def sound_sha256(audio_N: NDArray[np.int16]) -> str:
    """Return the digest of decoded audio (little-endian), independent of its file."""
    return hashlib.sha256(np.ascontiguousarray(audio_N, "<i2").data).hexdigest()
