"""Reading of the features that the stage `features` wrote: by clip id, checked by audio digest.

Shape suffixes: N samples, T steps of 20 ms, L layers + 1, D width.
"""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from pipeline.errors import DecodeError, ParamsError
from pipeline.params.training import FeaturesParams
from trainers.data.clip import DecodedClip
from trainers.data.range_reads import read_bytes
from trainers.data.window_items import Prepare
from trainers.errors import ShardNotFoundError, ShardReadError, TrainingDataError
from trainers.frozen.audio_encoders import audio_identity
from trainers.frozen.encode_on_the_fly import EncodeOnTheFly
from trainers.frozen.stand_ins import STAND_IN
from trainers.sidecar.layout import INDEX, NONE, TABLE, sound_sha256

FIX = "run `dvc repro features`"
COLUMNS = ("clip_id", "status", "detail", "shard", "sound_sha256", "offset_bytes", "num_bytes")


def features_for_loader(features: FeaturesParams, folder: str | Path, whisper: str) -> Prepare:
    """Return the loader's `prepare` for Whisper features: read from the sidecar, or computed.

    Args:
        features: the section `features` of params.yaml.
        folder: output of the stage `features`.
        whisper: the encoder of the trainer's profile.

    Raises:
        ParamsError: the sidecar is of another encoder, or there is no such stand-in.
        TrainingDataError: there is no sidecar, or it was written without an encoder.
        WeightsError: the encoder's file is absent or altered.
    """
    if features.whisper == NONE:
        return EncodeOnTheFly(whisper)
    sidecar = SidecarWhisper(folder)
    wanted = audio_identity(whisper)
    if (sidecar.name, sidecar.sha256) != (wanted.name, wanted.sha256):
        raise ParamsError(
            f"features.whisper: {folder} was made with {sidecar.name}, the trainer asks for "
            f"{wanted.name}; make them equal in params.yaml, or set features.whisper to none"
        )
    return sidecar


@dataclass(frozen=True, slots=True)
class _Entry:
    shard: str
    offset: int
    size: int
    sound_sha256: str
    fault: str
    """Error if there are no features, else empty."""


class SidecarWhisper:
    """A loader's `prepare` that reads features (T, L, D), float32, instead of computing them.

    Clips are found by id, independent of the path of their shard; the decoded audio must be that
    which was encoded. Picklable and thread-safe.
    """

    def __init__(self, folder: str | Path) -> None:
        """Read the index.

        Args:
            folder: data/features, or a copy at any URL that fsspec knows.
        Raises:
            TrainingDataError: there is no index, or it was written without an encoder.
            ShardReadError: the storage refuses.
        """
        self.folder = str(folder).rstrip("/")
        facts = self._facts()
        self.name: str = facts["whisper"]
        self.sha256: dict[str, str] = facts["weights_sha256"]
        self.num_layers: int = facts["layers"]
        self.width: int = facts["width"]
        self._entries = _entries(self._read(TABLE))

    @property
    def is_stand_in(self) -> bool:
        """Whether the weights of the encoder were random."""
        return self.name.startswith(STAND_IN)

    def __call__(self, clip: DecodedClip) -> Tensor:
        """Return the clip's features.

        Raises:
            TrainingDataError: there are none of the clip, or they are of other audio.
            DecodeError: the stage could not use the clip's audio.
            ShardReadError: the storage refuses.
        """
        entry = self._entries.get(clip.clip_id)
        if entry is None:
            where = f"{self.folder}: no Whisper features of {clip.shard}/{clip.clip_id}"
            raise TrainingDataError(f"{where}; {FIX}")
        if entry.fault:
            raise DecodeError(f"no Whisper features: {entry.fault}")
        if entry.sound_sha256 != sound_sha256(clip.audio):
            raise TrainingDataError(
                f"{self.folder}/{entry.shard}: the features of {clip.clip_id} were made from other "
                f"sound than {clip.shard} holds now; {FIX}"
            )
        content = self._read(entry.shard, entry.offset, entry.offset + entry.size)
        return self._decoded(content, entry, clip.clip_id)

    def require(self, clip_ids: Iterable[str]) -> None:
        """Check before a run that the table has every clip.

        Raises:
            TrainingDataError: some are missing; with their number and the first one.
        """
        absent = sorted(set(clip_ids) - set(self._entries))
        if absent:
            raise TrainingDataError(
                f"{self.folder}: no Whisper features of {len(absent)} clips, {absent[0]} for one; "
                f"{FIX}"
            )

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self._read(INDEX))
        if facts["whisper"] == NONE:
            fix = f"name an encoder in features.whisper of params.yaml, then {FIX}"
            raise TrainingDataError(f"{self.folder}/{INDEX}: made without an encoder; {fix}")
        return facts

    def _read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        url = f"{self.folder}/{name}"
        try:
            return read_bytes(url, start, end)
        except ShardNotFoundError as error:
            raise TrainingDataError(f"{url}: no such file; {FIX}") from error

    def _decoded(self, content: bytes, entry: _Entry, clip_id: str) -> Tensor:
        try:
            half_TLD = np.load(io.BytesIO(content), allow_pickle=False)
            shape = half_TLD.shape[1:]
        except (ValueError, EOFError) as error:
            where = f"{self.folder}/{entry.shard}"
            raise ShardReadError(f"{where}: no array at {clip_id}: {error}; {FIX}") from error
        assert shape == (self.num_layers, self.width), shape
        return torch.from_numpy(half_TLD.astype(np.float32))


def _entries(table: bytes) -> dict[str, _Entry]:
    rows = pq.read_table(io.BytesIO(table), columns=["item_id", *COLUMNS]).to_pylist()
    return {
        row["item_id"]: _Entry(
            shard=row["shard"] or "",
            offset=row["offset_bytes"] or 0,
            size=row["num_bytes"] or 0,
            sound_sha256=row["sound_sha256"] or "",
            fault="" if row["status"] == "kept" else row["detail"],
        )
        for row in rows
    }
