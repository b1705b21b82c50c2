"""What a network says of sources and kinds of cover that it was not trained on.

Shapes: S = samples, T = frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.schemas import schema_named
from pipeline.media.clip_reader import read_arrays
from pipeline.quality.cover import CoverDetector, cover, lips_in_crop
from pipeline.quality.picture import read_pictures
from pipeline.runs import runs_of
from pipeline.tables.clip_files import ClipFiles
from trainers.systems.mouth_cover.items import PLAIN, CoverSample

Floats = NDArray[np.float64]
KIND_GROUPS: Sequence[Sequence[str]] = (
    ("box", "ellipse", "picture"),
    ("hand", "letters"),
    ("microphone", "cup"),
    ("cloth", "text_bar", "outside"),
    ("mosaic", "blur"),
)
"""Kinds that are left out together: what resembles a kind would give it away."""
SURE = 0.5


@dataclass(frozen=True, slots=True)
class KindResult:
    """One row of the model card."""

    kind: str
    covered: int
    recall: float
    """Share of covered samples above 0.5."""
    free: int
    false_share: float
    """Share of samples above 0.5 in which the thing lies beside the mouth."""


def kind_results(samples: Sequence[CoverSample], probability_S: Floats) -> list[KindResult]:
    """Return a row per kind, `plain` (no cover at all) first."""
    above = probability_S > SURE
    kind, covered = np.array([s.kind for s in samples]), np.array([s.covered for s in samples])
    return [
        KindResult(
            name,
            int((kind == name)[covered].sum()),
            _share(above[(kind == name) & covered]),
            int((kind == name)[~covered].sum()),
            _share(above[(kind == name) & ~covered]),
        )
        for name in sorted(set(kind), key=lambda name: (name != PLAIN, name))
    ]


def area_under_curve(samples: Sequence[CoverSample], probability_S: Floats) -> float:
    """Return the area under the ROC curve, by ranks."""
    covered = np.array([s.covered for s in samples])
    ranks = np.empty(len(covered))
    ranks[np.argsort(probability_S, kind="stable")] = np.arange(1, len(covered) + 1)
    positive = int(covered.sum())
    over = ranks[covered].sum() - positive * (positive + 1) / 2
    return float(over / (positive * (len(covered) - positive)))


def cover_of_clip(item: ClipFiles, detector: CoverDetector) -> Floats:
    """Return what `quality` would say of every frame of a clip, (T,)."""
    assert item.video is not None, "covers are seen on pictures"
    schema = schema_named(item.clip.landmark_schema)
    arrays = read_arrays(item.landmarks, ("landmarks", "matrices"))
    points_TLC = schema.checked(arrays["landmarks"])
    matrices_T23 = arrays["matrices"].astype(np.float64)
    pictures = read_pictures(item.video, len(matrices_T23))
    lips_TP2 = lips_in_crop(points_TLC, matrices_T23, schema, item.clip.crop_px)
    return cover(pictures.planes, lips_TP2, detector)


def longest_runs(cover_by_clip: Mapping[str, Floats]) -> dict[str, int]:
    """Return by clip how many frames in a row are above 0.5 at most."""
    return {clip_id: _longest(cover_T > SURE) for clip_id, cover_T in cover_by_clip.items()}


def _longest(flags_T: NDArray[np.bool_]) -> int:
    return max((end - start for start, end in runs_of(flags_T)), default=0)


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else 0.0
