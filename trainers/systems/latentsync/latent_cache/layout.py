"""Files of data/features/latents: `index.json`, `clips.parquet`, one tar of arrays per shard.

`<clip_id>.npy` is float16 (T, P, C, h, w), 25 per second. The P planes of a frame are the means of
the plain and of the masked frame, then, where the autoencoder has a posterior, the standard
deviations of both; all before `LatentVae.scale`.
"""

from dataclasses import dataclass

from trainers.sidecar.layout import FEATURES, ClipArray

FOLDER = "latents"
"""Inside of data/features."""
BELOW = f"{FEATURES}/{FOLDER}"
"""Folder of the tars at $LIPFORGE_SHARDS."""
PLAIN, MASKED = 0, 1
PICTURES = 2
"""Planes of one kind: PLAIN and MASKED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipLatents(ClipArray):
    """The latents of one clip. Row of the table that `features` writes."""

    planes: int
    """P: 4 with a posterior, else 2."""
    channels: int
    """C."""
    video_sha256: str
    """Digest of the mp4 in the shard."""
