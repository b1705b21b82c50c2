"""The peak memory of a worker: an hour of 1080p, and a 4K film in which the face is lost once.

Every stage of the line runs serially in a process of its own; the peak is the largest resident set
of any of them, as the kernel counts it (`ru_maxrss`). A worker of Ray is such a process with Ray's
own client in it, which is not in these numbers.

The hour is a 1080p clip whose packets are repeated, nothing encoded again. Of it `--minutes` are
run, and a quarter of them: the peak of an hour is the straight line through both, unless the whole
hour was run. The curve is the resident set of the stage with the peak at equal parts of its wall
clock, one per minute of film: `faces` goes through a film at an even pace. The check says that the
second half of the curve is nowhere more than a fifth over its first half.

The 4K film is a real clip enlarged to 3840x2160, 10 s, in whose middle the face is covered for a
second; the check says that it stayed one shot, so that the track waited.
"""

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.bench.child import Child, Spent, environment, python
from benchmarks.bench.inputs import (
    clip_files,
    demo_films,
    face_box,
    film_with_gap,
    linked,
    looped_film,
)
from benchmarks.bench.rows import Kind, Options, Row, Target
from benchmarks.curation import line_stages, line_workspace
from pipeline.engine.manifest import read_table
from pipeline.tables.run_tables import table_path

KIND = Kind(
    "memory",
    (
        Row("memory", "peak memory of a worker, an hour of 1080p", "GB", Target(1.0)),
        Row("memory", "peak memory of a worker, 4K with a one-second gap", "GB", Target(1.2)),
    ),
)
HD_CLIP, UHD_CLIP = ("fsgan_conan.*",), ("fsgan_conan.*",)
HOUR_S = 3600.0
QUICK_S, QUICK_STAGES = 30.0, ("ingest", "scenes", "faces")
EVERY_S = 0.2
FLAT = 1.2


@dataclass(frozen=True, slots=True)
class Peak:
    """One stage's memory over one film."""

    stage: str
    spent: Spent
    curve_mb: tuple[float, ...]
    """Resident sets at equal parts of its wall clock."""


@dataclass(frozen=True, slots=True)
class FilmMemory:
    """All stages over one film."""

    seconds: float
    peaks: tuple[Peak, ...]
    clips: int
    """Rows of `faces` that were kept."""
    shots: int

    @property
    def highest(self) -> Peak:
        """The stage that needed most."""
        return max(self.peaks, key=lambda one: one.spent.peak_mb)


def peak_memory(options: Options) -> list[Row]:
    """Measure both films, once."""
    hd, uhd = (
        demo_films(options.work) if options.quick else clip_files(options.clips, names)
        for names in (HD_CLIP, UHD_CLIP)
    )
    if not hd or not uhd:
        return KIND.not_run(f"no clips in {options.clips}")
    stages = QUICK_STAGES if options.quick else tuple(line_stages())
    seconds = QUICK_S if options.quick else 60.0 * options.minutes
    lengths = (seconds,) if options.quick else (seconds / 4, seconds)
    hour = [measured(_looped(hd[0], options, length), stages) for length in lengths]
    gap_s = 5.0 if options.quick else 10.0
    out = options.work / f"{uhd[0].stem}-4k-{gap_s:g}s.mp4"
    gap = film_with_gap(uhd[0], out, face_box(uhd[0]), gap_s)
    return [hour_row(KIND.rows[0], hour[0], hour[-1]), gap_row(KIND.rows[1], measured(gap, stages))]


def _looped(clip: Path, options: Options, seconds: float) -> Path:
    return looped_film(clip, options.work / f"{clip.stem}-{seconds:g}s.mp4", seconds)


def measured(film: Path, stages: Sequence[str]) -> FilmMemory:
    """Run stages over one film and watch each."""
    with tempfile.TemporaryDirectory() as folder:
        source = linked([film], Path(folder) / "videos")
        with line_workspace(source, Path(folder)) as workspace:
            watched = [_watched(name, workspace) for name in stages]
            videos = read_table(table_path(workspace / "data", "ingest"))
            seconds = sum(row["duration_s"] for row in videos)
            points = max(3, round(seconds / 60))
            peaks = tuple(
                Peak(name, spent, thinned(curve, points)) for name, spent, curve in watched
            )
            faces = read_table(table_path(workspace / "data", "faces"))
            scenes = read_table(table_path(workspace / "data", "scenes"))
            kept = [sum(row["status"] == "kept" for row in rows) for rows in (faces, scenes)]
            return FilmMemory(seconds, peaks, *kept)


def _watched(stage: str, folder: Path) -> tuple[str, Spent, list[float]]:
    child = Child(python(f"stages.{stage}"), folder, environment(LIPFORGE_RUNNER="serial"))
    curve: list[float] = []
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(child, curve, over))
    watcher.start()
    try:
        spent = child.finished()
    finally:
        over.set()
        watcher.join()
    return stage, spent, curve


def _watch(child: Child, curve: list[float], over: threading.Event) -> None:
    while not over.wait(EVERY_S):
        if (now := resident_mb(child.pid())) > 0:
            curve.append(now)


def resident_mb(pid: int) -> float:
    """Return the resident set of a process in units of 10^6 bytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(found[0]) * 1024 / 1e6 if found else 0.0


def thinned(curve: Sequence[float], points: int) -> tuple[float, ...]:
    """Return the largest value of each of so many equal parts of a curve."""
    ends = [round(len(curve) * part / points) for part in range(points + 1)]
    parts = [curve[start:end] for start, end in pairwise(ends)]
    return tuple(max(part) for part in parts if part)


def is_flat(curve: Sequence[float]) -> bool:
    """Return whether the second half is nowhere more than a fifth over the first half."""
    half = (len(curve) + 1) // 2
    return bool(curve[half:]) and max(curve[half:]) <= FLAT * max(curve[:half])


def at_an_hour(short: tuple[float, float], long: tuple[float, float]) -> float:
    """Return the peak at HOUR_S on the line through two (seconds, peak); never below the longer."""
    (short_s, short_mb), (long_s, long_mb) = short, long
    if long_s >= HOUR_S or long_s <= short_s:
        return long_mb
    slope = max(0.0, (long_mb - short_mb) / (long_s - short_s))
    return long_mb + slope * (HOUR_S - long_s)


def hour_row(row: Row, short: FilmMemory, long: FilmMemory) -> Row:
    """Return the row of the hour from a short and a long part of it."""
    expected = {
        name: at_an_hour((short.seconds, before), (long.seconds, after))
        for name, before, after in _pairs(short, long)
    }
    highest = max(expected, key=lambda name: expected[name])
    curve = next(one.curve_mb for one in long.peaks if one.stage == highest)
    parts = ", ".join(
        f"{one.stage} {one.spent.peak_mb:.0f} -> {expected[one.stage]:.0f}" for one in long.peaks
    )
    return Row(
        row.name,
        row.what,
        row.unit,
        row.target,
        value=expected[highest] / 1000,
        runs=1,
        check=f"{long.clips} clips; memory of `{highest}` flat, MB per minute: "
        + " ".join(f"{mb:.0f}" for mb in curve),
        held=long.clips > 0 and is_flat(curve),
        note=f"MB at {long.seconds / 60:.3g} min -> on a straight line at 60 min: {parts}",
        details=_details(short, long),
    )


def _pairs(short: FilmMemory, long: FilmMemory) -> list[tuple[str, float, float]]:
    return [
        (two.stage, one.spent.peak_mb, two.spent.peak_mb)
        for one, two in zip(short.peaks, long.peaks, strict=True)
    ]


def gap_row(row: Row, found: FilmMemory) -> Row:
    """Return the row of the 4K film."""
    parts = ", ".join(f"{one.stage} {one.spent.peak_mb:.0f}" for one in found.peaks)
    return Row(
        row.name,
        row.what,
        row.unit,
        row.target,
        value=found.highest.spent.peak_mb / 1000,
        runs=1,
        check=f"{found.clips} clips found in one shot",
        held=found.clips > 0 and found.shots == 1,
        note=f"{found.seconds:.3g} s; MB: {parts}",
        details=_details(found),
    )


def _details(*films: FilmMemory) -> dict[str, object]:
    return {
        f"{film.seconds:.0f}_s": {
            one.stage: {"peak_mb": one.spent.peak_mb, "curve_mb": list(one.curve_mb)}
            for one in film.peaks
        }
        for film in films
    }
