"""All metrics of one held-out clip, dubbed with its own and with foreign sound.

Four versions are scored: `real`, frames with their own sound (upper bound), `real_foreign`, frames
with foreign sound (out of sync, lower bound), and the dubbed `own` and `foreign`.

Shape suffixes: T frames, L landmarks, C coordinates or colours, H and W pixels, N samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.faces.backend import FaceBackend
from trainers.evaluation.dub_cache import DubCache
from trainers.evaluation.evaluation_clips import EvaluationClip
from trainers.evaluation.frechet_features import FeatureNetwork
from trainers.evaluation.image_similarity import image_similarity
from trainers.evaluation.landmark_distance import Floats, face_landmarks, has_face, mouth_distance
from trainers.evaluation.sync_scores import AlignedFaceJudge, stable_syncnet_cosine
from trainers.systems.stable_syncnet.network import StableSyncNet

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]

VERSIONS = ("real", "real_foreign", "own", "foreign")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringModels:
    """The models that the metrics need."""

    faces: FaceBackend
    judge: AlignedFaceJudge
    syncnet: StableSyncNet | None
    """Of a pixel configuration; None omits its cosine."""
    mel: Any
    """Start of mel windows in the training of `syncnet`: `exact` or `compat`."""
    features: tuple[FeatureNetwork, ...]
    device: torch.device


@dataclass(frozen=True, slots=True)
class ClipVersions:
    """The real and the dubbed frames of a clip, and their sounds."""

    frames: Mapping[str, Pixels]
    """`real`, `own`, and `foreign` if there is foreign sound: (T, 3, H, W)."""
    sounds: Mapping[str, Samples]
    """`own`, `foreign`: (T * 640,)."""


@dataclass(frozen=True, slots=True)
class ClipScores:
    """The metrics of one clip."""

    key: str
    foreign_key: str
    frames: int
    scores: Mapping[str, Mapping[str, float]]
    """Version -> metric -> value, for the versions that exist."""
    features: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Metric -> `real`, `own`, `foreign` -> (N, D)."""


def dubbed_versions(clip: EvaluationClip, dubs: DubCache) -> ClipVersions:
    """Return a clip and its dubs with both sounds, cached or new.

    Raises:
        StorageError: a dubbed clip cannot be stored.
    """
    frames = {"real": clip.frames, "own": dubs.dubbed(clip.frames, clip.own)}
    sounds = {"own": clip.own}
    if clip.foreign_key:
        frames["foreign"] = dubs.dubbed(clip.frames, clip.foreign)
        sounds["foreign"] = clip.foreign
    return ClipVersions(frames, sounds)


def score_clip(clip: EvaluationClip, versions: ClipVersions, models: ScoringModels) -> ClipScores:
    """Score all versions of a clip."""
    landmarks = {
        name: face_landmarks(models.faces, frames) for name, frames in versions.frames.items()
    }
    features = {
        one.metric: {
            name: one.of(frames, models.device) for name, frames in versions.frames.items()
        }
        for one in models.features
    }
    scores = _scores(versions, landmarks, models)
    return ClipScores(clip.key, clip.foreign_key, len(clip.frames), scores, features)


def _scores(
    versions: ClipVersions, landmarks: Mapping[str, Floats], models: ScoringModels
) -> dict[str, dict[str, float]]:
    frames, sync_scores = versions.frames, partial(_sync_scores, versions, landmarks, models)
    scores = {
        "real": sync_scores("real", "own"),
        "own": {
            **image_similarity(frames["real"], frames["own"]),
            **_mouth_distances("lmd", landmarks["real"], landmarks["own"]),
            **sync_scores("own", "own"),
        },
    }
    if "foreign" in frames:
        scores["real_foreign"] = sync_scores("real", "foreign")
        scores["foreign"] = {
            **_mouth_distances("mouth_moved_by_sound", landmarks["own"], landmarks["foreign"]),
            **sync_scores("foreign", "foreign"),
        }
    return {version: scores[version] for version in VERSIONS if version in scores}


def _sync_scores(
    versions: ClipVersions,
    landmarks: Mapping[str, Floats],
    models: ScoringModels,
    version: str,
    sound: str,
) -> dict[str, float]:
    """Return the sync scores of frames and sound; `judged` is 0 where the judge gives none.

    Means over clips omit those, which biases them upwards; so the share of judged clips is given.
    """
    frames, audio = versions.frames[version], versions.sounds[sound]
    found = models.judge.scores(frames, landmarks[version], audio)
    found["judged"] = float(bool(found))
    if models.syncnet is not None:
        cosine = stable_syncnet_cosine(models.syncnet, frames, audio, models.mel)
        found["stable_syncnet_cosine"] = cosine
    found["face_share"] = float(has_face(landmarks[version]).mean())
    return found


def _mouth_distances(name: str, one_TLC: Floats, other_TLC: Floats) -> dict[str, float]:
    apart = mouth_distance(one_TLC, other_TLC)
    return {f"{name}_px": apart.px, f"{name}_mouth_widths": apart.mouth_widths}
