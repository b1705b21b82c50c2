"""Labels of the picture against the demo's truth: covered mouths by frame, jump cuts by place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.demo.matching import Match
from pipeline.demo.truth import Face, FileTruth
from pipeline.roc import area_under_curve
from pipeline.tables.rows import FPS
from pipeline.tables.run_tables import Record, RunTables

COVERED, FREE = 0.6, 0.2
"""Hidden share of the lips from which a mouth counts as covered, and up to which as free; frames
between do not count. The classifier's own words: docs/quality.md."""
NEAR_FRAMES = 1
TRANSITION_FRAMES = 6
"""Beside a dissolve, a fade or a cut a label is no false alarm."""
MEASURES = ("clip_id", "cover_by_frame", "jump_cuts")


@dataclass(slots=True)
class _Frames:
    """Scores of `cover_by_frame`, by what is true of the frame."""

    covered: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    """The lips are free, a hand or a microphone is somewhere else in the picture."""
    free: list[float] = field(default_factory=list)
    """Nothing is before the face."""


def measure_labels(
    tables: RunTables,
    matches: Sequence[Match],
    known: Mapping[str, str],
    files: Mapping[str, FileTruth],
    max_cover: float,
    wrong: list[str],
) -> dict[str, Any]:
    """Return what the labels of `quality` are worth; add a line to `wrong` per missed jump cut.

    Args:
        known: video_id -> uri of the films that were read.
        max_cover: score above which a frame counts as found: `select.max_cover`.
    """
    measured = {row["clip_id"]: row for row in tables.each("quality", MEASURES) if row["clip_id"]}
    seen = [
        (one, measured[one.clip["clip_id"]])
        for one in matches
        if one.face and one.clip["clip_id"] in measured
    ]
    return {
        **_covers(seen, max_cover),
        **_jumps(tables, seen, known, files, wrong),
    }


def _covers(seen: Iterable[tuple[Match, Record]], max_cover: float) -> dict[str, Any]:
    frames = _Frames()
    for one, row in seen:
        assert one.face is not None, "matches without a face are left out"
        _sort(frames, one.face, range(one.clip["start_frame"], one.clip["end_frame"]), row)
    free = frames.free + frames.beside
    return {
        "cover_auc": cover_auc(frames.covered, free),
        "cover_found": _above(frames.covered, max_cover),
        "cover_false_alarms": _above(free, max_cover),
        "cover_beside_false_alarms": _above(frames.beside, max_cover),
        "cover_frames": len(frames.covered),
        "cover_beside_frames": len(frames.beside),
    }


def _sort(frames: _Frames, face: Face, span: range, row: Record) -> None:
    hidden, good = dict(face.hidden), {frame for one in face.good for frame in one.frames}
    for frame, score in zip(span, row["cover_by_frame"], strict=True):
        share = hidden.get(frame)
        if share is None:
            frames.free += [score] if frame in good else []
        elif share >= COVERED:
            frames.covered.append(score)
        elif share <= FREE:
            frames.beside.append(score)


def cover_auc(covered: Sequence[float], free: Sequence[float]) -> float:
    """Return the area under the curve; 1 where one side is empty."""
    return area_under_curve(covered, free) if covered and free else 1.0


def _above(scores: Sequence[float], limit: float) -> float:
    return float(np.mean(np.array(scores) > limit)) if scores else 0.0


def _jumps(
    tables: RunTables,
    seen: Sequence[tuple[Match, Record]],
    known: Mapping[str, str],
    files: Mapping[str, FileTruth],
    wrong: list[str],
) -> dict[str, Any]:
    """A jump is found where a shot or a track begins, or by its label."""
    labelled: dict[str, list[int]] = {}
    for one, row in seen:
        at = [one.clip["start_frame"] + frame for frame in row["jump_cuts"]]
        labelled.setdefault(one.uri, []).extend(at)
    begun = _beginnings(tables, known)
    true = [(uri, *jump) for uri in sorted(known.values()) for jump in files[uri].jumps]
    by_track = [one for one in true if _near(one[1], begun.get(one[0], ()))]
    by_label = [one for one in true if _near(one[1], labelled.get(one[0], ()))]
    for uri, frame, missing in (one for one in true if one not in [*by_track, *by_label]):
        wrong.append(f"{uri}: jump cut at frame {frame} not found, {missing} frames are missing")
    alarms = sum(
        not _explained(frame, files[uri]) for uri, frames in labelled.items() for frame in frames
    )
    minutes = sum(len(row["cover_by_frame"]) for _, row in seen) / FPS / 60
    return {
        "jumps_true": len(true),
        "jumps_found": len({*by_track, *by_label}),
        "jumps_found_by_label": len(by_label),
        "jump_false_alarms_per_minute": alarms / minutes if minutes else 0.0,
    }


def _beginnings(tables: RunTables, known: Mapping[str, str]) -> dict[str, set[int]]:
    """Return the frames at which shots and tracks begin, by uri."""
    begun: dict[str, set[int]] = {}
    for stage in ("scenes", "faces"):
        for row in tables.records(stage):
            uri = known.get(row["video_id"] or "")
            if uri is not None and row["start_frame"]:
                begun.setdefault(uri, set()).add(row["start_frame"])
    return begun


def _near(frame: int, others: Iterable[int], by: int = NEAR_FRAMES) -> bool:
    return any(abs(frame - other) <= by for other in others)


def _explained(frame: int, film: FileTruth) -> bool:
    if _near(frame, [at for at, _ in film.jumps]) or _near(frame, film.cuts, TRANSITION_FRAMES):
        return True
    near = TRANSITION_FRAMES
    spans = [span for span in film.transitions if span[0] < span[1]]
    return any(start - near <= frame <= end + near for start, end in spans)
