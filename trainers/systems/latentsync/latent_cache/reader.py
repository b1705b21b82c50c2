"""Reading of the stored latents of clips: by clip id, checked by the digest of the video.

Shape suffixes: T frames, F frames of a window, P planes (layout.py), C channels, h and w latents.
"""

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from pipeline.errors import DecodeError
from trainers.data.clip import DecodedClip
from trainers.data.range_reads import read_bytes
from trainers.data.window_items import Prepare
from trainers.errors import ShardNotFoundError, ShardReadError, TrainingDataError
from trainers.sidecar.layout import INDEX, TABLE
from trainers.systems.latentsync.latent_cache.layout import PICTURES, PLAIN

FIX = "run `dvc repro features`"
COLUMNS = ("clip_id", "status", "detail", "shard", "video_sha256", "offset_bytes", "num_bytes")


@dataclass(frozen=True, slots=True)
class SpeechAndLatents:
    """What `WithLatents` puts into `DecodedClip.prepared`."""

    speech: Any
    """Result of the other `prepare`: the features of the audio."""
    latents: Tensor
    """(T, P, C, h, w) float16."""


@dataclass(frozen=True, slots=True)
class WithLatents:
    """A loader's `prepare` that adds the latents to what another one makes."""

    speech: Prepare
    latents: "SidecarLatents"

    def __call__(self, clip: DecodedClip) -> SpeechAndLatents:
        """Prepare both.

        Raises:
            TrainingDataError, DecodeError, ShardReadError: as `SidecarLatents`.
        """
        return SpeechAndLatents(self.speech(clip), self.latents(clip))


def window_latents(
    prepared: SpeechAndLatents, start: int, reference_start: int, frames: int
) -> dict[str, Tensor]:
    """Return `latents` (F, P, C, h, w) of a window, and the plain ones of its reference.

    `reference_latents` is (F, P / 2, C, h, w): mean and, if there is one, deviation.
    """
    reference = prepared.latents[reference_start : reference_start + frames]
    return {
        "latents": prepared.latents[start : start + frames],
        "reference_latents": reference[:, PLAIN::PICTURES],
    }


@dataclass(frozen=True, slots=True)
class _Entry:
    shard: str
    offset: int
    size: int
    video_sha256: str
    fault: str
    """Error if there are no latents, else empty."""


class SidecarLatents:
    """Reads the latents of clips; found by id, independent of the path of their shard.

    The clip's video must be that which was encoded. Picklable and thread-safe.
    """

    def __init__(self, folder: str) -> None:
        """Read the index.

        Args:
            folder: data/features/latents, or a copy at any URL that fsspec knows.

        Raises:
            TrainingDataError: there is no index.
            ShardReadError: the storage refuses.
        """
        self.folder = folder
        facts = json.loads(self._read(INDEX))
        self.name: str = facts["latents"]
        self.sha256: dict[str, str] = facts["weights_sha256"]
        self.size_px: int = facts["size_px"]
        self.mask_sha256: str = facts["mask_sha256"]
        self._entries = _entries(self._read(TABLE))

    def __call__(self, clip: DecodedClip) -> Tensor:
        """Return the clip's latents (T, P, C, h, w), float16.

        Raises:
            TrainingDataError: there are none of the clip, or they are of another video.
            DecodeError: the stage could not use the clip's video.
            ShardReadError: the storage refuses.
        """
        entry = self._entries.get(clip.clip_id)
        if entry is None:
            where = f"{self.folder}: no latents of {clip.shard}/{clip.clip_id}"
            raise TrainingDataError(f"{where} (params.yaml, features.latents); {FIX}")
        if entry.fault:
            raise DecodeError(f"no latents: {entry.fault}")
        if entry.video_sha256 != clip.video_sha256:
            raise TrainingDataError(
                f"{self.folder}/{entry.shard}: the latents of {clip.clip_id} were made from "
                f"another video than {clip.shard} holds now (params.yaml, features.latents); {FIX}"
            )
        latents = self._decoded(entry, clip.clip_id)
        assert len(latents) == clip.num_frames, (clip.clip_id, latents.shape)
        return latents

    def _read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        url = f"{self.folder}/{name}"
        try:
            return read_bytes(url, start, end)
        except ShardNotFoundError as error:
            raise TrainingDataError(
                f"{url}: no such file (params.yaml, features.latents); {FIX}"
            ) from error

    def _decoded(self, entry: _Entry, clip_id: str) -> Tensor:
        content = self._read(entry.shard, entry.offset, entry.offset + entry.size)
        try:
            return torch.from_numpy(np.load(io.BytesIO(content), allow_pickle=False))
        except (ValueError, EOFError) as error:
            where = f"{self.folder}/{entry.shard}"
            raise ShardReadError(f"{where}: no array at {clip_id}: {error}; {FIX}") from error


def _entries(table: bytes) -> dict[str, _Entry]:
    rows = pq.read_table(io.BytesIO(table), columns=["item_id", *COLUMNS]).to_pylist()
    return {
        row["item_id"]: _Entry(
            shard=row["shard"] or "",
            offset=row["offset_bytes"] or 0,
            size=row["num_bytes"] or 0,
            video_sha256=row["video_sha256"] or "",
            fault="" if row["status"] == "kept" else row["detail"],
        )
        for row in rows
    }
