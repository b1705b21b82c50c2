"""Reads what the stage `features` made: found by the clip, checked by the clip's sound.

Shape suffixes: N samples, T steps of 20 ms, L layers + 1, D width.
"""

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import DecodeError, ParamsError
from pipeline.params.training import FeaturesParams
from trainers.data.clip import DecodedClip
from trainers.data.range_reads import read_bytes
from trainers.data.window_items import Prepare
from trainers.errors import ShardNotFoundError, ShardReadError, TrainingDataError
from trainers.frozen.stand_ins import STAND_IN
from trainers.frozen.whisper_files import whisper_identity
from trainers.frozen.whisper_on_the_fly import OnTheFlyWhisper
from trainers.sidecar.layout import INDEX, NONE, TABLE

FIX = "run `dvc repro features`"
COLUMNS = ("clip_id", "status", "detail", "shard", "sound_sha256", "offset_bytes", "num_bytes")


def features_for_loader(features: FeaturesParams, folder: str | Path, whisper: str) -> Prepare:
    """Return what gives a trainer its features: the sidecar if there is one, else the encoder.

    Args:
        features: the section `features` of params.yaml.
        folder: where the stage `features` writes.
        whisper: the encoder the trainer's profile asks for.

    Raises:
        ParamsError: the sidecar was made with another encoder, or there is no such stand-in.
        TrainingDataError: the sidecar is not there or was made without an encoder.
        WeightsError: the encoder's file is absent or altered.
    """
    if features.whisper == NONE:
        return OnTheFlyWhisper(whisper)
    sidecar = SidecarWhisper(folder)
    wanted = whisper_identity(whisper)
    if (sidecar.name, sidecar.sha256) != (wanted.name, wanted.sha256):
        raise ParamsError(
            f"features.whisper: {folder} was made with {sidecar.name}, the trainer asks for "
            f"{wanted.name}; make them equal in params.yaml, or set features.whisper to none"
        )
    return sidecar


def sound_sha256(audio_N: NDArray[np.int16]) -> str:
    """Return the digest of decoded sound (little-endian), whatever file it came from."""
    return hashlib.sha256(np.ascontiguousarray(audio_N, "<i2").data).hexdigest()


@dataclass(frozen=True, slots=True)
class _Place:
    shard: str
    offset: int
    size: int
    sound_sha256: str
    fault: str
    """Why there are no features; empty where there are."""


class SidecarWhisper:
    """A loader's `prepare` that reads features (T, L, D), float32, instead of computing them.

    The clip is found by its id wherever its shard lies now, and its decoded sound must be the one
    that was encoded. Pickles; stands several threads.
    """

    def __init__(self, folder: str | Path) -> None:
        """Read the index.

        Args:
            folder: data/features, or its copy at any URL that fsspec knows.
        Raises:
            TrainingDataError: there is no index, or it says that nothing was made.
            ShardReadError: the storage refuses.
        """
        self.folder = str(folder).rstrip("/")
        facts = self._facts()
        self.name: str = facts["whisper"]
        self.sha256: dict[str, str] = facts["weights_sha256"]
        self.num_layers: int = facts["layers"]
        self.width: int = facts["width"]
        self._places = _places(self._read(TABLE))

    @property
    def is_stand_in(self) -> bool:
        """Whether the encoder's weights were random."""
        return self.name.startswith(STAND_IN)

    def __call__(self, clip: DecodedClip) -> Tensor:
        """Return the clip's features.

        Raises:
            TrainingDataError: the clip has none, or they were made from other sound.
            DecodeError: the stage found the clip's sound unusable.
            ShardReadError: the storage refuses.
        """
        place = self._places.get(clip.clip_id)
        if place is None:
            where = f"{self.folder}: no Whisper features of {clip.shard}/{clip.clip_id}"
            raise TrainingDataError(f"{where}; {FIX}")
        if place.fault:
            raise DecodeError(f"no Whisper features: {place.fault}")
        if place.sound_sha256 != sound_sha256(clip.audio):
            raise TrainingDataError(
                f"{self.folder}/{place.shard}: the features of {clip.clip_id} were made from other "
                f"sound than {clip.shard} holds now; {FIX}"
            )
        content = self._read(place.shard, place.offset, place.offset + place.size)
        return self._decoded(content, place, clip.clip_id)

    def require(self, clip_ids: Iterable[str]) -> None:
        """Check before a run that every clip is known, whatever its sound.

        Raises:
            TrainingDataError: some are not; says how many, and names the first.
        """
        absent = sorted(set(clip_ids) - set(self._places))
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

    def _decoded(self, content: bytes, place: _Place, clip_id: str) -> Tensor:
        try:
            half_TLD = np.load(io.BytesIO(content), allow_pickle=False)
            shape = half_TLD.shape[1:]
        except (ValueError, EOFError) as error:
            where = f"{self.folder}/{place.shard}"
            raise ShardReadError(f"{where}: no array at {clip_id}: {error}; {FIX}") from error
        assert shape == (self.num_layers, self.width), shape
        return torch.from_numpy(half_TLD.astype(np.float32))


def _places(table: bytes) -> dict[str, _Place]:
    rows = pq.read_table(io.BytesIO(table), columns=["item_id", *COLUMNS]).to_pylist()
    return {
        row["item_id"]: _Place(
            shard=row["shard"] or "",
            offset=row["offset_bytes"] or 0,
            size=row["num_bytes"] or 0,
            sound_sha256=row["sound_sha256"] or "",
            fault="" if row["status"] == "kept" else row["detail"],
        )
        for row in rows
    }
