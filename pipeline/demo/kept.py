"""What a run kept of every film, and which true face each frame of it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.demo.matching import MIN_IOU, boxes_of, mean_iou
from pipeline.demo.truth import Face, FileTruth, TrueStretch
from pipeline.engine.cache import Cache
from pipeline.tables.run_tables import Record, RunTables

OFFSET_TOLERANCE_FRAMES = 1
NOBODY = -1
"""In place of a face's index: no true face is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The picture of one sample, frames [start_frame, end_frame) of its film's 25 fps grid."""

    clip_id: str
    start_frame: int
    end_frame: int
    offset_frames: float
    """What was corrected; the frames that the correction cut off are not in the interval."""
    clip: Record | None
    """The clip of `faces` that the sample was made of; None if `faces` was run again since."""

    def __len__(self) -> int:
        return self.end_frame - self.start_frame


def kept_intervals(tables: RunTables, known: Mapping[str, str]) -> dict[str, list[Kept]]:
    """Return what every film of `known` (video_id -> uri) has in the shards, by uri."""
    kept: dict[str, list[Kept]] = {uri: [] for uri in known.values()}
    clips = {row["clip_id"]: row for row in tables.kept("faces")}
    for row in tables.kept("shards"):
        uri = known.get(row["video_id"])
        if uri is not None:
            kept[uri].append(_kept(row, clips.get(row["source_clip_id"])))
    return kept


def _kept(row: Record, clip: Record | None) -> Kept:
    return Kept(
        clip_id=row["clip_id"],
        start_frame=row["start_frame"],
        end_frame=row["end_frame"],
        offset_frames=row["offset_applied_frames"],
        clip=clip,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the frames of one sample are worth."""

    kept: Kept
    face: Face | None
    """The true face of which it shows most good frames; None if it shows none."""
    right: frozenset[int]
    """The frames of that face's good stretches at the offset that was corrected."""
    wrong: Mapping[int, str]
    """Frame -> what is wrong with it; the edges of stretches are left out."""


def judge(kept: Kept, film: FileTruth, cache: Cache) -> Verdict:
    """Compare every frame of a sample with the truth of its film.

    Wrong are the frames of bad stretches, those of good stretches of another face or at another
    offset than was corrected, and those that show no true face.
    """
    shown = _shown(kept, film.faces, cache)
    best = _most_good(film.faces, shown)
    right: set[int] = set()
    wrong = dict.fromkeys(shown.get(NOBODY, ()), "no_true_face")
    for index, face in enumerate(film.faces):
        here = shown.get(index, set())
        for stretch in face.bad:
            wrong |= dict.fromkeys(here & set(stretch.inner_frames), stretch.kind)
        for stretch in face.good:
            if index == best and _in_sync(kept, stretch):
                right |= here & set(stretch.frames)
            else:
                why = "other_offset" if index == best else "other_face"
                wrong |= dict.fromkeys(here & set(stretch.inner_frames), why)
    of = None if best == NOBODY else film.faces[best]
    return Verdict(kept=kept, face=of, right=frozenset(right), wrong=wrong)


def _in_sync(kept: Kept, stretch: TrueStretch) -> bool:
    return abs(kept.offset_frames - stretch.offset_frames) <= OFFSET_TOLERANCE_FRAMES


def _most_good(faces: Sequence[Face], shown: Mapping[int, set[int]]) -> int:
    """Return the face of which most good frames are shown, NOBODY if none are."""
    counts = {
        index: sum(len(shown.get(index, set()) & set(one.frames)) for one in face.good)
        for index, face in enumerate(faces)
    }
    best = max(counts, key=lambda index: counts[index], default=NOBODY)
    return best if counts.get(best) else NOBODY


def _shown(kept: Kept, faces: Sequence[Face], cache: Cache) -> dict[int, set[int]]:
    """Return the frames in which the sample shows a true face, by the face's index, and NOBODY's.

    By boxes where the item cache still has them. Where not: the only face of that time; frames
    with several belong to nobody in particular and are left out.
    """
    boxes = boxes_of(kept.clip, cache) if kept.clip else None
    scores = [
        mean_iou(kept.clip, boxes, face) if kept.clip and boxes is not None else 1.0
        for face in faces
    ]
    shown: dict[int, set[int]] = {}
    for frame in range(kept.start_frame, kept.end_frame):
        there = [
            index
            for index, face in enumerate(faces)
            if face.start_frame <= frame < face.end_frame and scores[index] > MIN_IOU
        ]
        if len(there) > 1 and boxes is None:
            continue
        best = max(there, key=lambda index: scores[index], default=NOBODY)
        shown.setdefault(best, set()).add(frame)
    return shown
