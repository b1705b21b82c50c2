"""One long film through `scenes` and `faces` with one and with two workers: wall clock.

The film is one 720p file at 25 fps with sound, made once from the 1080p-class clips. `ingest` is
not timed. Starting Ray and importing count, as they do for a user; so the ratio of a short film is
smaller. What it does not show: more than two workers, and films whose shots are few and long.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench.child import environment, middle, python, run_child
from benchmarks.bench.inputs import HD_CLIPS, clip_files, demo_films, joined_film, linked
from benchmarks.bench.rows import AT_LEAST, Kind, Options, Row, Target
from benchmarks.curation import line_workspace
from pipeline.digest import file_sha256

KIND = Kind("film", (Row("film", "one long film, 1 -> 2 workers", "x", Target(1.8, AT_LEAST)),))
TIMED = ("scenes", "faces")
CHECK = "tables and artifacts equal with 1 and 2 workers"


@dataclass(frozen=True, slots=True)
class FilmRun:
    """One run with some number of workers."""

    wall_s: float
    cpu_s: float
    outputs: Mapping[str, str]
    """Relative path -> SHA-256 of every table and every file of the item cache."""


def long_film(options: Options) -> list[Row]:
    """Measure both numbers of workers on one film, alternating, once: it takes long."""
    clips = demo_films(options.work) if options.quick else clip_files(options.clips, HD_CLIPS)
    if not clips:
        return KIND.not_run(f"no clips in {options.clips}")
    seconds = 5 if options.quick else 60 * options.minutes
    film = joined_film(clips, options.work / f"film-720p-{seconds}s.mp4", seconds)
    with tempfile.TemporaryDirectory() as folder:
        source = linked([film], Path(folder))
        return [_filled(KIND.rows[0], seconds, _run(source, 1), _run(source, 2))]


def _run(source: Path, workers: int) -> FilmRun:
    with line_workspace(source) as folder:
        variables = environment(LIPFORGE_WORKERS=str(workers))
        run_child(python("stages.ingest"), folder, variables)
        spent = [run_child(python(f"stages.{name}"), folder, variables) for name in TIMED]
        wall_s, cpu_s = (sum(getattr(s, name) for s in spent) for name in ("wall_s", "cpu_s"))
        return FilmRun(wall_s, cpu_s, outputs(folder))


def outputs(folder: Path) -> dict[str, str]:
    """Return path -> SHA-256 of a workspace's tables and cached items.

    Items of `ingest` are left out: their keys hold this machine's file times.
    """
    tables = [path for name in TIMED for path in (folder / "data" / name).rglob("*")]
    entries = [path.parent for path in (folder / ".cache" / "items").glob("*/*/meta.json")]
    made = [entry for entry in entries if _stage(entry / "meta.json") != "ingest"]
    files = [*tables, *(path for entry in made for path in entry.rglob("*"))]
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(files) if p.is_file()}


def _stage(meta: Path) -> str:
    return str(json.loads(meta.read_text("utf-8")).get("stage", ""))


def _filled(row: Row, seconds: float, one: FilmRun, two: FilmRun) -> Row:
    return Row(
        row.name,
        f"one film of {seconds / 60:.3g} min, 1 -> 2 workers, wall",
        row.unit,
        row.target,
        value=middle([one.wall_s / two.wall_s]),
        runs=1,
        check=f"{CHECK} ({len(one.outputs)} files)",
        held=one.outputs == two.outputs and len(one.outputs) > len(TIMED),
        note=f"scenes + faces {one.wall_s:.0f} s with 1 worker, {two.wall_s:.0f} s with 2",
        details={
            "wall_s": {"1": one.wall_s, "2": two.wall_s},
            "own_cpu_s": {"1": one.cpu_s, "2": two.cpu_s},
            "film_s": seconds,
        },
    )
