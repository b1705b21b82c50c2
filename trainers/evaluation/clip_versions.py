"""The versions of a held-out clip that are compared: real, and dubbed with several sounds.

Shape suffixes: T frames, C colours, H and W pixels, N samples.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.evaluation.dub_cache import DubCache
from trainers.evaluation.evaluation_clips import EvaluationClip

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class WantedDubs:
    """Which dubs are made beyond own and foreign sound."""

    silence: bool
    """With all-zero samples."""
    itself_as_reference: bool
    """Own and foreign sound with the faces themselves as reference, for LSD-CR."""


@dataclass(frozen=True, slots=True)
class ClipVersions:
    """The real and the dubbed frames of a clip, and their sounds."""

    clip: EvaluationClip
    frames: Mapping[str, Pixels]
    """`real`, `own`, and if wanted and there is foreign sound `foreign`, `silence`, `own_itself`,
    `foreign_itself`: (T, 3, H, W)."""
    sounds: Mapping[str, Samples]
    """`own`, `foreign`: (T * 640,)."""
    decoded: Pixels | None
    """The real frames behind the model's autoencoder, if it has one."""
    seams: NDArray[np.bool_]
    """(T,) whether two windows of the model share the frame."""


def dubbed_versions(clip: EvaluationClip, dubs: DubCache, wanted: WantedDubs) -> ClipVersions:
    """Return a clip and its dubs, cached or new, several at a time.

    Raises:
        StorageError: a dubbed clip cannot be stored.
    """
    film, reference = clip.film, clip.reference
    sounds = {"own": film.audio}
    if clip.foreign is not None:
        sounds["foreign"] = clip.foreign.audio
    tasks = {name: (audio, reference) for name, audio in sounds.items()}
    if wanted.itself_as_reference:
        tasks |= {f"{name}_itself": (audio, film.frames) for name, audio in sounds.items()}
    if wanted.silence:
        tasks["silence"] = (np.zeros_like(film.audio), reference)
    with ThreadPoolExecutor(dubs.dubber.threads) as pool:
        made = list(pool.map(lambda task: dubs.dubbed(film.frames, *task), tasks.values()))
    frames = {"real": film.frames, **dict(zip(tasks, made, strict=True))}
    decoded, seams = dubs.dubber.round_trip(film.frames), dubs.dubber.seams(len(film))
    return ClipVersions(clip, frames, sounds, decoded, seams)
