"""All metrics of one held-out clip, dubbed with its own, with foreign sound and with silence.

Versions that are scored: `real`, frames with their own sound (upper bound), `real_foreign`, frames
with foreign sound (out of sync, lower bound), the dubbed `own` and `foreign`, and `silence`: the
dub with silence, judged with the original sound. Beside them stand groups of scores that compare
versions: `listening` and `temporal`.

Shape suffixes: T frames, L landmarks, C coordinates or colours, H and W pixels, N samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pipeline.faces.backend import FaceBackend
from trainers.evaluation.clip_versions import ClipVersions
from trainers.evaluation.frechet_features import FeatureNetwork
from trainers.evaluation.image_similarity import image_similarity
from trainers.evaluation.landmark_distance import Floats, face_landmarks, has_face, mouth_distance
from trainers.evaluation.listening import ceiling_scores, listening_scores, silence_scores
from trainers.evaluation.mouth_shares import mouth_shares
from trainers.evaluation.opening_readers import OpeningReaders
from trainers.evaluation.sync_scores import (
    AlignedFaceJudge,
    score_disentanglement,
    stable_syncnet_cosine,
)
from trainers.evaluation.temporal import temporal_scores
from trainers.systems.stable_syncnet.network import StableSyncNet

VERSIONS = ("real", "real_foreign", "own", "foreign", "silence")
GROUPS = ("listening", "temporal")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringModels:
    """The models that the metrics need."""

    faces: FaceBackend
    judge: AlignedFaceJudge
    readers: OpeningReaders
    syncnet: StableSyncNet | None
    """Of a pixel configuration; None omits its cosine."""
    mel: Any
    """Start of mel windows in the training of `syncnet`: `exact` or `compat`."""
    features: tuple[FeatureNetwork, ...]
    device: torch.device


@dataclass(frozen=True, slots=True)
class ClipScores:
    """The metrics of one clip."""

    key: str
    foreign_key: str
    frames: int
    scores: Mapping[str, Mapping[str, float]]
    """Version or group -> metric -> value, for those that exist."""
    features: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Metric -> `real`, `own`, `foreign` -> (N, D)."""


def score_clip(versions: ClipVersions, models: ScoringModels) -> ClipScores:
    """Score all versions of a clip."""
    clip = versions.clip
    landmarks = {
        name: face_landmarks(models.faces, frames) for name, frames in versions.frames.items()
    }
    features = {
        one.metric: {
            name: one.of(versions.frames[name], models.device)
            for name in ("real", "own", "foreign")
            if name in versions.frames
        }
        for one in models.features
    }
    scores = {**_scores(versions, landmarks, models), **_groups(versions, landmarks, models)}
    return ClipScores(clip.key, clip.foreign_key, len(clip.film), scores, features)


def _scores(
    versions: ClipVersions, landmarks: Mapping[str, Floats], models: ScoringModels
) -> dict[str, dict[str, float]]:
    frames, sync_scores = versions.frames, partial(_sync_scores, versions, landmarks, models)
    scores = {
        "real": sync_scores("real", "own"),
        "own": {
            **image_similarity(frames["real"], frames["own"]),
            **_mouth_distances(landmarks["real"], landmarks["own"]),
            **sync_scores("own", "own"),
        },
    }
    if "foreign" in frames:
        scores["real_foreign"] = sync_scores("real", "foreign")
        scores["foreign"] = sync_scores("foreign", "foreign")
    if "silence" in frames:
        of_silence = silence_scores(versions.clip.film, frames["silence"], models.readers)
        scores["silence"] = {**sync_scores("silence", "own"), **of_silence}
    return {version: scores[version] for version in VERSIONS if version in scores}


def _groups(
    versions: ClipVersions, landmarks: Mapping[str, Floats], models: ScoringModels
) -> dict[str, dict[str, float]]:
    clip, frames = versions.clip, versions.frames
    dubs = {name: frames[name] for name in ("own", "foreign") if name in frames}
    return {
        "listening": {
            **listening_scores(clip, frames, models.readers),
            **ceiling_scores(clip.film, versions.decoded, models.readers),
            **_disentanglement(versions, landmarks, models),
        },
        "temporal": temporal_scores(frames["real"], dubs, versions.seams),
    }


def _disentanglement(
    versions: ClipVersions, landmarks: Mapping[str, Floats], models: ScoringModels
) -> dict[str, float]:
    if models.judge.choice.judge != "syncnet":
        return {}
    return score_disentanglement(partial(_judged, versions, landmarks, models), versions.frames)


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
    found = _judged(versions, landmarks, models, version, sound)
    found["judged"] = float(bool(found))
    if models.syncnet is not None:
        frames, audio = versions.frames[version], versions.sounds[sound]
        cosine = stable_syncnet_cosine(models.syncnet, frames, audio, models.mel)
        found["stable_syncnet_cosine"] = cosine
    found["face_share"] = float(has_face(landmarks[version]).mean())
    return {**found, **mouth_shares(models.faces.landmark_schema, landmarks[version])}


def _judged(
    versions: ClipVersions,
    landmarks: Mapping[str, Floats],
    models: ScoringModels,
    version: str,
    sound: str,
) -> dict[str, float]:
    frames, audio = versions.frames[version], versions.sounds[sound]
    return models.judge.scores(frames, landmarks[version], audio)


def _mouth_distances(one_TLC: Floats, other_TLC: Floats) -> dict[str, float]:
    apart = mouth_distance(one_TLC, other_TLC)
    return {"lmd_px": apart.px, "lmd_mouth_widths": apart.mouth_widths}
