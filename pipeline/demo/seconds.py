"""Seconds of the demo corpus that are in a kept clip and should not be, or should be and are not.

A second is 25 frames of the film's grid. Within 0.2 s of either end of a stretch (a quarter of a
stretch shorter than 0.8 s) nothing counts: a line that finds a boundary so near has found it. Good
stretches shorter than `faces.min_seconds` (3 s) are too short for a clip and may be lost.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.demo.kept import Verdict
from pipeline.demo.truth import FileTruth
from pipeline.tables.rows import FPS
from pipeline.tables.run_tables import RunTables

MIN_GOOD_FRAMES = 75
"""`faces.min_seconds` of the project's params.yaml."""


@dataclass(slots=True)
class Seconds:
    """Frames of one film, or of all films of one kind."""

    files: int = 0
    good: int = 0
    lost: int = 0
    bad: int = 0
    wrongly_kept: int = 0

    def add(self, other: "Seconds") -> None:
        """Add another film's frames."""
        self.files += other.files
        self.good += other.good
        self.lost += other.lost
        self.bad += other.bad
        self.wrongly_kept += other.wrongly_kept

    def facts(self) -> dict[str, Any]:
        """Return the number of files, and seconds."""
        frames = {f"{name}_s": count / FPS for name, count in asdict(self).items()}
        return {"files": self.files, **{k: v for k, v in frames.items() if k != "files_s"}}


def measure_seconds(
    tables: RunTables,
    files: Mapping[str, FileTruth],
    known: Mapping[str, str],
    verdicts: Mapping[str, Sequence[Verdict]],
    wrong: list[str],
) -> dict[str, Any]:
    """Return seconds of all files and `seconds_by_kind`; add a line to `wrong` for every film.

    Args:
        known: video_id -> uri.
        verdicts: by uri, one per sample.
    """
    refused = _refused(tables, files, known)
    by_kind: dict[str, Seconds] = defaultdict(Seconds)
    for uri, film in sorted(files.items()):
        one = _film(film, verdicts.get(uri, ()), uri in refused)
        by_kind[film.kind].add(one)
        wrong.extend(_lines(film, one, verdicts.get(uri, ())))
    total = Seconds()
    for one in by_kind.values():
        total.add(one)
    return {
        "good_seconds": total.good / FPS,
        "lost_seconds": total.lost / FPS,
        "lost_seconds_share": total.lost / total.good if total.good else 0.0,
        "wrongly_kept_seconds": total.wrongly_kept / FPS,
        "seconds_by_kind": {kind: one.facts() for kind, one in sorted(by_kind.items())},
    }


def _film(film: FileTruth, verdicts: Sequence[Verdict], is_refused: bool) -> Seconds:
    good = [_frames(face.good, MIN_GOOD_FRAMES) for face in film.faces]
    bad = [_frames(face.bad) for face in film.faces]
    lost = 0
    for face, frames in zip(film.faces, good, strict=True):
        kept = {frame for one in verdicts if one.face is face for frame in one.right}
        lost += len(frames - kept)
    return Seconds(
        files=1,
        good=0 if is_refused else sum(map(len, good)),
        lost=0 if is_refused else lost,
        bad=sum(map(len, bad)),
        wrongly_kept=sum(len(one.wrong) for one in verdicts),
    )


def _frames(stretches: Sequence[Any], at_least: int = 0) -> set[int]:
    """Return the frames that count of stretches that are long enough."""
    long = [one for one in stretches if len(one.frames) >= at_least]
    return {frame for one in long for frame in one.inner_frames}


def _refused(
    tables: RunTables, files: Mapping[str, FileTruth], known: Mapping[str, str]
) -> set[str]:
    """Return the files that the line refused with a reason that their truth allows."""
    names = {uri: uri for uri in files} | dict(known)
    return {
        uri
        for stage in ("ingest", "scenes", "faces")
        for row in tables.records(stage)
        for uri in [names.get(row["item_id"], "")]
        if row["status"] == "failed" and row["reason"] in (files[uri].may_fail if uri else ())
    }


def _lines(film: FileTruth, one: Seconds, verdicts: Sequence[Verdict]) -> list[str]:
    lines = []
    if one.lost:
        lines.append(f"{film.uri}: {one.lost / FPS:.2f} s of {one.good / FPS:.2f} s lost")
    for verdict in verdicts:
        for kind, count in sorted(Counter(verdict.wrong.values()).items()):
            seconds = f"{count / FPS:.2f} s of {kind}"
            lines.append(f"{film.uri}: {seconds} kept, clip {verdict.kept.clip_id}")
    return lines
