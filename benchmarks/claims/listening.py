"""What the mouths of a trained model follow, on held-out clips: a part of what `evaluate` measures.

Own and foreign sound with reference pictures from another moment, and foreign sound with the
pictures themselves as reference. No face detector and no judge is needed.

Shape suffixes: T frames, C colours, H and W pixels.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.claims.page import STRIP
from pipeline.atomic import write_bytes
from pipeline.params.training import EvaluateParams
from pipeline.tables.rows import FPS
from trainers.data.index import index_shards
from trainers.data.shard_urls import shard_urls
from trainers.dubbing.face_generation import dub_faces
from trainers.dubbing.overlapping_windows import shared_by_windows
from trainers.evaluation.clip_versions import ClipVersions
from trainers.evaluation.evaluation_clips import MIN_FRAMES, EvaluationClip, EvaluationClips
from trainers.evaluation.film_strips import mouth_strip
from trainers.evaluation.listening import ceiling_scores, listening_scores
from trainers.evaluation.opening_readers import OpeningReaders, fit_readers
from trainers.evaluation.speaking_films import SpeakingFilms
from trainers.evaluation.temporal import temporal_scores
from trainers.systems.latentsync.bundle import LdmBundle
from trainers.talking_face.model import DubOptions

STRIPS = 2
"""Clips whose pictures are kept."""
ITSELF = ("foreign_r", "leak_r")
"""Numbers that are also measured with the pictures themselves as reference."""


def listening(
    bundle: LdmBundle, train: str, validation: str, wanted: Mapping[str, int], folder: Path
) -> dict[str, float]:
    """Dub held-out clips, write the strip of the first ones, return the means over the clips.

    Args:
        train: folder of the clips from which the readers of the mouth learn.
        validation: folder of the clips that are dubbed.
        wanted: `clips`, `frames` of each, and `reader_clips` if not all train the readers.
    """
    readers = _readers(train, bundle.resolution_px, wanted.get("reader_clips"))
    params = EvaluateParams(clips=wanted["clips"], max_seconds=wanted["frames"] / FPS)
    index = index_shards(shard_urls(validation), MIN_FRAMES)
    versions = [
        dubbed(bundle, clip) for clip in EvaluationClips(index, params, bundle.resolution_px)
    ]
    strips = [mouth_strip(one) for one in versions[:STRIPS]]
    stored = cv2.imencode(".png", np.concatenate(strips)[..., ::-1])[1]
    write_bytes(folder / STRIP, stored.tobytes())
    return means([scores(one, readers) for one in versions])


def _readers(train: str, size_px: int, clips: int | None) -> OpeningReaders:
    films = SpeakingFilms(index_shards(shard_urls(train), MIN_FRAMES), size_px)
    return fit_readers(films.readable(range(len(films.index))[:clips]), size_px, seed=0)


def dubbed(bundle: LdmBundle, clip: EvaluationClip) -> ClipVersions:
    """Return the clip with its dubs `own`, `foreign` and `foreign_itself`, made without guidance.

    Guidance moves the mouth farther: the claims are about what training does.
    """
    film, sampling = clip.film, bundle.facts["sampling"]
    options = DubOptions(**{**sampling, "guidance": 1.0}, seed=0)
    sounds = {"own": film.audio}
    references = {"own": clip.reference, "foreign": clip.reference, "foreign_itself": film.frames}
    if clip.foreign is not None:
        sounds |= {"foreign": clip.foreign.audio, "foreign_itself": clip.foreign.audio}
    made = {
        name: dub_faces(bundle, film.frames, sound, options, references[name])
        for name, sound in sounds.items()
    }
    return ClipVersions(
        clip,
        {"real": film.frames, **made},
        sounds,
        bundle.round_trip(film.frames),
        shared_by_windows(len(film), bundle.frames, options.overlap_frames),
    )


def scores(versions: ClipVersions, readers: OpeningReaders) -> dict[str, float]:
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
    return found | {"roughness_ratio": ratio, "temporal_error": error}


def means(clips: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every number over the clips that have it."""
    names = sorted({name for one in clips for name in one})
    values = {name: [one[name] for one in clips if name in one] for name in names}
    finite = {name: [one for one in some if math.isfinite(one)] for name, some in values.items()}
    return {name: statistics.fmean(some) for name, some in finite.items() if some}
