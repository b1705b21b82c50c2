"""What the mouths of a trained model follow, on held-out clips: a part of what `evaluate` measures.

Own and foreign sound with reference pictures from another moment; where it is wanted, foreign sound
with the pictures themselves as reference, and silence.

Shape suffixes: T frames, C colours, H and W pixels.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.claims.page import STRIP
from pipeline.atomic import write_bytes
from pipeline.params.training import EvaluateParams
from pipeline.tables.rows import FPS
from trainers.data.index import index_shards
from trainers.data.shard_urls import shard_urls
from trainers.dubbing.face_generation import dub_faces
from trainers.dubbing.overlapping_windows import shared_by_windows
from trainers.dubbing.sampling_options import sampling_options
from trainers.evaluation.clip_versions import ClipVersions
from trainers.evaluation.evaluation_clips import MIN_FRAMES, EvaluationClip, EvaluationClips
from trainers.evaluation.film_strips import mouth_strip
from trainers.evaluation.listening import ceiling_scores, listening_scores
from trainers.evaluation.opening_readers import OpeningReaders, fit_readers
from trainers.evaluation.speaking_films import SpeakingFilms
from trainers.evaluation.temporal import temporal_scores
from trainers.talking_face.model import DubOptions, TalkingFaceModel

STRIPS = 2
"""Clips whose pictures are kept."""
ITSELF = ("foreign_r", "leak_r")
"""Numbers that are also measured with the pictures themselves as reference."""
Scores = Callable[[ClipVersions, OpeningReaders], Mapping[str, float]]


def listening(
    model: TalkingFaceModel,
    order: Mapping[str, Any],
    folder: Path,
    asked: Mapping[str, Any],
    further: Sequence[Scores] = (),
) -> dict[str, float]:
    """Dub held-out clips, write the strip of the first ones, return the means over the clips.

    Args:
        order: content of `run.json`. Its `evaluation` says how many `clips` are dubbed, `frames` of
            each, and, if not as usual: `reader_clips` that train the readers (all), `silence_clips`
            that are also dubbed with silence (0), `itself`, whether with the pictures themselves as
            reference (1).
        asked: fields of `DubOptions`, where the model's own are not wanted.
        further: what to measure beside.
    """
    wanted, size = order["facts"]["evaluation"], model.size_px
    readers = _readers(order["train"], size, wanted.get("reader_clips"))
    params = EvaluateParams(clips=wanted["clips"], max_seconds=wanted["frames"] / FPS)
    index = index_shards(shard_urls(order["held_out"]), MIN_FRAMES)
    options = sampling_options(model, {**asked, "seed": 0})
    versions = [
        dubbed(model, clip, options, _extra(wanted, number))
        for number, clip in enumerate(EvaluationClips(index, params, size))
    ]
    strips = [mouth_strip(one) for one in versions[:STRIPS]]
    stored = cv2.imencode(".png", np.concatenate(strips)[..., ::-1])[1]
    write_bytes(folder / STRIP, stored.tobytes())
    return means([scores(one, readers, further) for one in versions])


def _readers(train: str, size_px: int, clips: int | None) -> OpeningReaders:
    films = SpeakingFilms(index_shards(shard_urls(train), MIN_FRAMES), size_px)
    return fit_readers(films.readable(range(len(films.index))[:clips]), size_px, seed=0)


def _extra(wanted: Mapping[str, int], number: int) -> set[str]:
    """Return which dubs clip `number` gets beyond those with own and foreign sound."""
    itself = {"foreign_itself"} if wanted.get("itself", 1) else set[str]()
    return itself | ({"silence"} if number < wanted.get("silence_clips", 0) else set())


def dubbed(
    model: TalkingFaceModel, clip: EvaluationClip, options: DubOptions, extra: set[str]
) -> ClipVersions:
    """Return the clip with its dubs `own`, `foreign`, and those of `extra`."""
    film = clip.film
    sounds = {"own": film.audio}
    references = {"own": clip.reference, "foreign": clip.reference, "foreign_itself": film.frames}
    if clip.foreign is not None:
        sounds["foreign"] = clip.foreign.audio
        if "foreign_itself" in extra:
            sounds["foreign_itself"] = clip.foreign.audio
    if "silence" in extra:
        sounds["silence"], references["silence"] = np.zeros_like(film.audio), clip.reference
    made = {
        name: dub_faces(model, film.frames, sound, options, references[name])
        for name, sound in sounds.items()
    }
    seams = _seams(model, len(film), options.overlap_frames)
    return ClipVersions(
        clip, {"real": film.frames, **made}, sounds, model.round_trip(film.frames), seams
    )


def _seams(model: TalkingFaceModel, num_frames: int, overlap: int) -> NDArray[np.bool_]:
    if not model.max_overlap_frames:
        return np.zeros(num_frames, np.bool_)
    return shared_by_windows(num_frames, model.frames, overlap)


def scores(
    versions: ClipVersions, readers: OpeningReaders, further: Sequence[Scores] = ()
) -> dict[str, float]:
    """Return the numbers of one clip."""
    clip, frames = versions.clip, versions.frames
    found = listening_scores(clip, frames, readers)
    found |= ceiling_scores(clip.film, versions.decoded, readers)
    if "foreign_itself" in frames:
        shown = {"own": frames["own"], "foreign": frames["foreign_itself"]}
        itself = listening_scores(clip, shown, readers)
        found |= {f"{name.removesuffix('_r')}_itself_r": itself[name] for name in ITSELF}
    ratio = temporal_scores(frames["real"], {"own": frames["own"]}, versions.seams)["own_roughness"]
    error = abs(math.log(ratio)) if ratio > 0 else math.nan
    found |= {"roughness_ratio": ratio, "temporal_error": error}
    for one in further:
        found |= one(versions, readers)
    return found


def means(clips: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every number over the clips that have it."""
    names = sorted({name for one in clips for name in one})
    values = {name: [one[name] for one in clips if name in one] for name in names}
    finite = {name: [one for one in some if math.isfinite(one)] for name, some in values.items()}
    return {name: statistics.fmean(some) for name, some in finite.items() if some}
