"""One held-out clip, dubbed with its own and with foreign sound: every number about it.

Four versions are scored: `real` pictures with their own sound (what can be reached), `real_foreign`
pictures with foreign sound (what synchrony must not look like), `own` and `foreign`, both dubbed.

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
from trainers.evaluation.dubs import Dubs
from trainers.evaluation.foreign_sound import HeldOutClip
from trainers.evaluation.frechet_features import FeatureNetwork
from trainers.evaluation.mouths import Floats, face_landmarks, mouth_distance, seen
from trainers.evaluation.pictures import picture_scores
from trainers.evaluation.synchrony import SyncJudge, stable_syncnet_cosine
from trainers.systems.stable_syncnet.network import StableSyncNet

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]

VERSIONS = ("real", "real_foreign", "own", "foreign")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """All that looks at clips."""

    faces: FaceBackend
    judge: SyncJudge
    syncnet: StableSyncNet | None
    """Of a pixel configuration; None leaves its cosine out."""
    mel: Any
    """How `syncnet` was trained to hear: `exact` or `compat`."""
    features: tuple[FeatureNetwork, ...]
    device: torch.device


@dataclass(frozen=True, slots=True)
class Versions:
    """A clip as it was and as it was dubbed."""

    pictures: Mapping[str, Pixels]
    """`real`, `own`, and `foreign` where there is foreign sound: (T, 3, H, W)."""
    sounds: Mapping[str, Samples]
    """`own`, `foreign`: (T * 640,)."""


@dataclass(frozen=True, slots=True)
class ClipScores:
    """What was found of one clip."""

    key: str
    foreign_key: str
    frames: int
    scores: Mapping[str, Mapping[str, float]]
    """Version -> name -> value; a version that does not exist is absent."""
    features: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Metric -> `real`, `own`, `foreign` -> (N, D)."""


def dubbed_versions(clip: HeldOutClip, dubs: Dubs) -> Versions:
    """Dub a clip with both sounds, or find it dubbed.

    Raises:
        StorageError: a dubbed clip cannot be kept.
    """
    pictures = {"real": clip.frames, "own": dubs.of(clip.frames, clip.own)}
    sounds = {"own": clip.own}
    if clip.foreign_key:
        pictures["foreign"] = dubs.of(clip.frames, clip.foreign)
        sounds["foreign"] = clip.foreign
    return Versions(pictures, sounds)


def score_clip(clip: HeldOutClip, versions: Versions, tools: Instruments) -> ClipScores:
    """Measure all versions of a clip."""
    pictures = versions.pictures
    lips = {name: face_landmarks(tools.faces, frames) for name, frames in pictures.items()}
    features = {
        one.metric: {name: one.of(frames, tools.device) for name, frames in pictures.items()}
        for one in tools.features
    }
    scores = _scores(versions, lips, tools)
    return ClipScores(clip.key, clip.foreign_key, len(clip.frames), scores, features)


def _scores(
    versions: Versions, lips: Mapping[str, Floats], tools: Instruments
) -> dict[str, dict[str, float]]:
    pictures, heard = versions.pictures, partial(_heard, versions, lips, tools)
    scores = {
        "real": heard("real", "own"),
        "own": {
            **picture_scores(pictures["real"], pictures["own"]),
            **_mouths("lmd", lips["real"], lips["own"]),
            **heard("own", "own"),
        },
    }
    if "foreign" in pictures:
        scores["real_foreign"] = heard("real", "foreign")
        scores["foreign"] = {
            **_mouths("mouth_moved_by_sound", lips["own"], lips["foreign"]),
            **heard("foreign", "foreign"),
        }
    return {version: scores[version] for version in VERSIONS if version in scores}


def _heard(
    versions: Versions, lips: Mapping[str, Floats], tools: Instruments, pictures: str, sound: str
) -> dict[str, float]:
    """Return how well pictures fit a sound; `judged` is 0 where the judge cannot say.

    A mean over clips leaves those out, which flatters it: so it stands beside their share.
    """
    frames, audio = versions.pictures[pictures], versions.sounds[sound]
    found = tools.judge.scores(frames, lips[pictures], audio)
    found["judged"] = float(bool(found))
    if tools.syncnet is not None:
        cosine = stable_syncnet_cosine(tools.syncnet, frames, audio, tools.mel)
        found["stable_syncnet_cosine"] = cosine
    found["face_share"] = float(seen(lips[pictures]).mean())
    return found


def _mouths(name: str, one_TLC: Floats, other_TLC: Floats) -> dict[str, float]:
    apart = mouth_distance(one_TLC, other_TLC)
    return {f"{name}_px": apart.px, f"{name}_mouth_widths": apart.mouth_widths}
