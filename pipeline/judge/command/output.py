"""The output of `lipforge judge`: a table, JSON, and one plot per face.

File names are untrusted: unprintable characters are spelled out, and no name becomes a path.
"""

import hashlib
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Group
from rich.text import Text

from pipeline.atomic import replacing
from pipeline.engine.command import counts
from pipeline.engine.outcome import Outcome
from pipeline.errors import ParamsError
from pipeline.judge.curve import MAX_OFFSET_FRAMES
from pipeline.tables.printable import visible
from pipeline.tables.rows import FPS

MOST_LINES = 1000
"""A longer table is truncated; the JSON is not."""
Row = Mapping[str, Any]


def scored_faces(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, Row]]:
    """Yield (name of the file, row of `FaceScore`) of every scored face."""
    for outcome in outcomes:
        for part in outcome.parts:
            if part.status == "kept" and part.row is not None:
                yield outcome.item_id, part.row


def as_table(outcomes: Sequence[Outcome]) -> Group:
    """Lay out one line per face below its file's name, in 80 columns, and the judges at the end.

    SyncNet's confidence and distance are headed LSE-C and LSE-D, as in the papers.
    """
    faces = list(scored_faces(outcomes))
    shown = [(name, _cells(row)) for name, row in faces[:MOST_LINES]]
    judges = sorted({f"{row['judge']}, {row['mode']}" for _, row in faces})
    syncnet = any(row["judge"] == "syncnet" for _, row in faces)
    names = ("LSE-C", "LSE-D") if syncnet else ("confidence", "distance")
    heading = ["face", "seconds", "offset", "sub-frame", *names, "prob.", "drift"]
    widths = [max(map(len, column)) for column in zip(heading, *(c for _, c in shown), strict=True)]
    lines = [Text(_aligned(heading, widths), style="bold")] if shown else []
    for name, group in groupby(shown, key=lambda one: one[0]):
        lines.append(Text(visible(name), style="cyan", overflow="fold"))
        lines += [Text(_aligned(cells, widths)) for _, cells in group]
    if len(faces) > MOST_LINES:
        lines.append(Text(f"{len(faces) - MOST_LINES} more faces: see --json"))
    lines += [Text(f"judge: {one}") for one in judges]
    return Group(*lines)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _cells(row: Row) -> list[str]:
    return [
        str(row["face"]),
        f"{row['start_frame'] / FPS:.2f}-{row['end_frame'] / FPS:.2f}",
        f"{row['offset_frames']:+d}",
        f"{row['offset_subframe']:+.2f}",
        f"{row['confidence']:.3f}",
        f"{row['min_distance']:.3f}",
        _or_dash(row["probability"], ".2f"),
        _or_dash(row["drift_frames"], "+.1f"),
    ]


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def summary_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Return counts by ending and reason, the means that papers report, and the failures."""
    faces = [row for _, row in scored_faces(outcomes)]
    endings = ", ".join(f"{number} {status}" for status, number in counts(outcomes).items())
    lines = [f"{len(outcomes)} files: {endings}; {len(faces)} faces judged"]
    reasons = Counter(
        f"{part.status}: {part.reason}"
        for outcome in outcomes
        for part in outcome.parts
        if part.status != "kept"
    )
    lines += [f"  {reason} {number}" for reason, number in sorted(reasons.items())]
    fallbacks = sorted({row["fallback"] for row in faces} - {""})
    lines += [f"scored by the landmark judge instead of SyncNet: {why}" for why in fallbacks]
    lines += [_means(faces)] if faces and faces[0]["judge"] == "syncnet" else []
    bad = [one for one in outcomes if one.status in ("failed", "quarantined")]
    lines += [f"  {visible(one.item_id)}: {one.reason}: {visible(one.detail)}" for one in bad]
    return lines


def _means(faces: Sequence[Row]) -> str:
    confidence, distance = (
        sum(row[name] for row in faces) / len(faces) for name in ("confidence", "min_distance")
    )
    return f"mean over faces: LSE-C {confidence:.3f}, LSE-D {distance:.3f}"


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the table's content, the curve of every face, and rejections and failures."""
    return {"files": [_file(outcome) for outcome in outcomes], "counts": counts(outcomes)}


def _file(outcome: Outcome) -> dict[str, Any]:
    kept = [part.row for part in outcome.parts if part.status == "kept" and part.row is not None]
    return {
        "file": outcome.item_id,
        "status": outcome.status,
        "faces": [_face(row) for row in kept],
        "not_judged": [
            {"status": part.status, "reason": part.reason, "detail": part.detail}
            for part in outcome.parts
            if part.status != "kept"
        ],
    }


def _face(row: Row) -> dict[str, Any]:
    seconds = {"start_s": row["start_frame"] / FPS, "end_s": row["end_frame"] / FPS}
    return {**row, **seconds}


def require_matplotlib() -> None:
    """Fail before any work if plots cannot be drawn.

    Raises:
        ParamsError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ParamsError("--plot needs matplotlib: pip install 'lipforge[demo]', or leave it out")


def plot_name(name: str, row: Row) -> str:
    """Return a short, safe file name, distinct for equal names in two folders."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(name).stem)[:40] or "video"
    code = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{stem}-{code}-face{row['face']}-frame{row['start_frame']}.svg"


def write_plots(outcomes: Iterable[Outcome], folder: Path) -> int:
    """Plot the distance curve of every face as SVG: the same bytes for the same scores.

    Raises:
        StorageError: the folder cannot be written.
    """
    from matplotlib import rc_context  # takes half a second to import
    from matplotlib.figure import Figure

    faces = list(scored_faces(outcomes))
    with rc_context({"svg.hashsalt": "lipforge", "text.parse_math": False}):
        for name, row in faces:
            figure = Figure(figsize=(6.4, 3.6), layout="constrained")
            _draw(figure.subplots(), name, row)
            with replacing(folder / plot_name(name, row)) as part:
                figure.savefig(part, format="svg", metadata={"Date": None})
    return len(faces)


def _draw(axes: Any, name: str, row: Row) -> None:
    offsets = range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1)
    axes.plot(offsets, row["curve"], marker=".", color="tab:blue")
    axes.axvline(row["offset_subframe"], color="tab:red", linewidth=1)
    axes.set_xlabel("offset in frames of 1/25 s (positive: the sound is early)")
    axes.set_ylabel(f"mean distance ({row['judge']}, {row['mode']})")
    axes.set_xticks(range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1, 5))
    shown = (
        visible(name, 80).encode("ascii", "backslashreplace").decode("ascii")
    )  # no glyph missing
    _, seconds, offset, subframe, confidence, distance, *_ = _cells(row)
    axes.set_title(
        f"{shown}\nface {row['face']}, {seconds} s: offset {offset} ({subframe}), "
        f"confidence {confidence}, distance {distance}",
        fontsize=9,
    )
