"""Reading of the features that the stage `features` wrote: by clip id, checked by audio digest.

Shape suffixes: N samples, T steps, L layers, D width.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import ParamsError
from pipeline.params.training import FeaturesParams
from trainers.data.clip import DecodedClip
from trainers.data.window_items import Prepare
from trainers.errors import TrainingDataError
from trainers.frozen.encode_on_the_fly import EncodeOnTheFly
from trainers.frozen.stand_ins import STAND_IN
from trainers.sidecar.arrays import FIX, SidecarArrays
from trainers.sidecar.front_ends import WHISPER, FrontEnd
from trainers.sidecar.layout import INDEX, NONE, sound_sha256


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
    return stored_features(folder, WHISPER, whisper)


def stored_features(folder: str | Path, front_end: FrontEnd, source: str) -> "SidecarFeatures":
    """Return the loader's `prepare` that reads the features of one encoder.

    Args:
        folder: output of the stage `features`.
        source: the encoder of the trainer's profile.

    Raises:
        ParamsError: the sidecar is of another encoder, or there is no such encoder.
        TrainingDataError: there is no sidecar, or it was written without an encoder.
        WeightsError: the encoder's file is absent or altered.
    """
    sidecar, wanted = SidecarFeatures(folder, front_end), front_end.identity(source)
    if (sidecar.name, sidecar.sha256) != (wanted.name, dict(wanted.sha256)):
        key = f"features.{front_end.name}"
        raise ParamsError(
            f"{key}: {sidecar.folder} was made with {sidecar.name}, the trainer asks for "
            f"{wanted.name}; make them equal in params.yaml, or set {key} to none"
        )
    return sidecar


class SidecarFeatures:
    """A loader's `prepare` that reads features (T, L, D), float32, instead of computing them.

    Clips are found by id, independent of the path of their shard; the decoded audio must be that
    which was encoded. Picklable and thread-safe.
    """

    def __init__(self, folder: str | Path, front_end: FrontEnd = WHISPER) -> None:
        """Read the index.

        Args:
            folder: data/features, or a copy at any URL that fsspec knows.
            front_end: whose features are read.
        Raises:
            TrainingDataError: there is no index, or it was written without an encoder.
            ShardReadError: the storage refuses.
        """
        self.folder, self._front_end = front_end.inside(str(folder)), front_end
        self._files = SidecarArrays(self.folder, front_end.below, front_end.what, "other sound")
        facts = self._facts()
        self.name: str = facts[front_end.name]
        self.sha256: dict[str, str] = facts["weights_sha256"]
        self.num_layers: int = facts["layers"]
        self.width: int = facts["width"]
        self._entries = self._files.entries("sound_sha256")

    @property
    def steps_per_second(self) -> int:
        """Steps of the features per second of sound."""
        return self._front_end.steps_per_second

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
        entry = self._files.entry_of(self._entries, clip, sound_sha256(clip.audio))
        half_TLD = self._files.array(entry, clip.clip_id)
        assert half_TLD.shape[1:] == (self.num_layers, self.width), half_TLD.shape
        return torch.from_numpy(half_TLD.astype(np.float32))

    def require(self, clip_ids: Iterable[str]) -> None:
        """Check before a run that the table has every clip.

        Raises:
            TrainingDataError: some are missing; with their number and the first one.
        """
        absent = sorted(set(clip_ids) - set(self._entries))
        if absent:
            some = f"{len(absent)} clips, {absent[0]} for one"
            raise TrainingDataError(f"{self.folder}: no {self._front_end.what} of {some}; {FIX}")

    def _facts(self) -> dict[str, Any]:
        facts = self._files.index()
        name = self._front_end.name
        if facts[name] == NONE:
            fix = f"name an encoder in features.{name} of params.yaml, then {FIX}"
            raise TrainingDataError(f"{self.folder}/{INDEX}: made without an encoder; {fix}")
        return facts
