"""Files of data/features: `index.json`, `clips.parquet`, and one tar of arrays per shard.

Imports nothing heavy, so that `trainers.features` can write an index without an encoder.
"""

from dataclasses import dataclass

INDEX = "index.json"
TABLE = "clips.parquet"
NONE = "none"
"""Value of `features.whisper`, and of `whisper` in the index, where no features are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFeatures:
    """The features of one clip. Written by `features`."""

    clip_id: str
    shard: str
    """Name of its tar, and of the shard, below their folders."""
    num_steps: int
    """T, 50 per second."""
    layers: int
    """L, hidden states per step."""
    width: int
    """D."""
    sound_sha256: str
    """Digest of the decoded sound: `sound_sha256`."""
    num_bytes: int
    """Size of the member."""
    offset_bytes: int = 0
    """Where it begins inside of the tar."""
    artifact: str = ""
    """Cache key under which the array lies. Filled in by the engine."""
