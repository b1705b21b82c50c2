"""The judge of a run: which one scores, with which weights, and why if it is a fallback.

Decided once, in the driver, before any work: every row of a run has the same judge.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.device import torch_device
from pipeline.errors import WeightsError, WeightsUnavailableError
from pipeline.judge.curve import JudgeResult
from pipeline.judge.evidence import EvidenceModel
from pipeline.judge.landmark import weights as landmark
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.params.curation import SyncParams
from pipeline.weights.files import weights_file_sha256
from pipeline.weights.sharing import portable_path

LANDMARK_FILE, SYNCNET_FILE = "landmark_judge.safetensors", "syncnet_v2.model"
NOT_FETCHED = "the weights of SyncNet could not be had"
"""The only reason to fall back; details (hosts, paths) go to stderr only."""
FIXES = (
    "run `lipforge weights fetch syncnet_v2.model` where the network is, or name a file "
    "(params.yaml: sync.syncnet_weights; --weights of `lipforge judge`), or choose the landmark "
    "judge (sync.judge or sync.fallback: landmark; --judge landmark)"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The judge that scores a run. Small and picklable: workers load the weights themselves."""

    judge: str
    """`landmark` or `syncnet`."""
    mode: str
    """`masked` or `reference`."""
    precision: str
    """`float32` or `bfloat16`."""
    sha256: str
    """Digest of the weights, hex."""
    path: str = ""
    """The user's path to SyncNet's weights, as workers find it; never part of an identity."""
    fallback: str = ""
    """Why this is not the requested judge; empty if it is."""

    def weights(self) -> Mapping[str, str]:
        """Return file name -> SHA-256, for `Stage.weights`."""
        return {LANDMARK_FILE if self.judge == "landmark" else SYNCNET_FILE: self.sha256}

    def own_weights(self) -> Mapping[str, Path]:
        """Return the file that the user named, for `Stage.own_weights`."""
        return {SYNCNET_FILE: Path(self.path)} if self.path else {}

    def cache_params(self) -> Mapping[str, Any]:
        """Return what changes a row besides the weights, for `Stage.cache_params`."""
        facts = {"judge": self.judge, "fallback": self.fallback}
        if self.judge == "landmark":
            return facts
        return {**facts, "mode": self.mode, "precision": self.precision}

    def score_fields(self, result: JudgeResult) -> dict[str, Any]:
        """Return the fields of a row: the result, and the judge that gave it."""
        return {
            "judge": self.judge,
            "mode": result.mode,
            "fallback": self.fallback,
            "offset_frames": result.offset_frames,
            "offset_subframe": result.offset_subframe,
            "confidence": result.confidence,
            "min_distance": result.min_distance,
            "probability": result.probability,
            "drift_frames": result.drift_frames,
            "curve": [float(distance) for distance in result.curve],
        }

    def load(self) -> Any:
        """Load the judge: a LandmarkJudge or a SyncNetJudge.

        Raises:
            WeightsError: the weights are absent, or not those of the choice.
        """
        if self.judge == "landmark":
            self._compare(landmark.WEIGHTS_PATH, landmark.weights_sha256())
            return LandmarkJudge.load()
        from pipeline.judge.syncnet import weights as syncnet_weights  # the landmark judge needs
        from pipeline.judge.syncnet.judge import SyncNetJudge  # none of these

        file = syncnet_weights.find(self.path)
        self._compare(file, weights_file_sha256(file))
        return SyncNetJudge.load(file, device=torch_device(), precision=self.precision)

    def _compare(self, file: Path, found: str) -> None:
        if found != self.sha256:
            raise WeightsError(
                f"{file}: SHA-256 {found}, the run was started with {self.sha256}; give this "
                "machine the files of the one that runs the command"
            )


def choose(params: SyncParams) -> Choice:
    """Decide which judge scores; SyncNet's weights are fetched here if needed.

    Only with `fallback: landmark`, and only where the download fails, the landmark judge scores
    instead, with a warning and a reason in every row.

    Raises:
        WeightsError: SyncNet's weights cannot be had, `syncnet_weights` names no usable file, the
            fetched file or the pinned digests are invalid, or the bundled weights are missing.
    """
    if params.judge == "landmark":
        return _landmark()
    from pipeline.judge.syncnet import weights as syncnet_weights

    try:
        file = syncnet_weights.find(params.syncnet_weights)
    except WeightsUnavailableError as error:
        if params.fallback == "none":
            raise WeightsUnavailableError(f"{error}; {FIXES}") from error
        sys.stderr.write(
            f"warning: SyncNet's weights cannot be had: {error}\n"
            "warning: the bundled landmark judge scores instead; every row says so (`fallback`)\n"
            "warning: DVC does not see when the weights can be had later: run `dvc repro -f sync` "
            "then; unchanged items come from the item cache\n"
        )
        return _landmark(NOT_FETCHED)
    mode, precision = params.syncnet_mode, params.syncnet_precision
    digest = weights_file_sha256(file)
    named = portable_path(Path(params.syncnet_weights)) if params.syncnet_weights else ""
    return Choice("syncnet", mode, precision, digest, named)


SYNCNET_EVIDENCE = EvidenceModel(gain=0.15, distance=0.0, usual=0.0, most_usual=0.0, bias=-0.45)
"""Log odds of one SyncNet window: 0 where it is LSE-C = 3 below its median distance, LatentSync's
filter. Set from published LSE-C (about 7 for genuine speech, under 2 for foreign sound) and the
overlap of its windows of 5 frames, not fitted: its official weights could not be had."""


def evidence_model(judge: str) -> EvidenceModel:
    """Return how distances of a judge become log odds.

    Raises:
        WeightsError: the landmark judge's weights are absent, or hold no such model.
    """
    return SYNCNET_EVIDENCE if judge == "syncnet" else landmark.load_evidence()


def _landmark(fallback: str = "") -> Choice:
    return Choice("landmark", "masked", "float32", landmark.weights_sha256(), fallback=fallback)
