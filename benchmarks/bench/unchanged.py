"""`dvc repro report` where nothing or one threshold has changed: wall clock, made-up clips.

The workspace comes from `benchmarks.synthetic_workspace`: the tables and the item cache of so many
clips, ten a film, with small files in place of clips. What it does not show: reading and packing
the bytes of real clips after a changed threshold.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench.child import Spent, middle
from benchmarks.bench.rows import Kind, Options, Row, Target
from benchmarks.bench.workspace import Workspace
from benchmarks.synthetic_workspace import make_workspace
from pipeline.digest import file_sha256
from pipeline.engine.manifest import read_table
from pipeline.tables.run_tables import TABLES, table_path

CLIPS, QUICK_CLIPS = 10_000, 50
THRESHOLD = "min_probability"
STEP = 0.02
"""By how much each run raises the threshold."""
KIND = Kind(
    "unchanged",
    (
        Row("unchanged", f"no-op `dvc repro report`, {CLIPS} clips", "s", Target(3)),
        Row("unchanged", f"a changed threshold, {CLIPS} clips", "s", Target(5)),
    ),
)


def unchanged(options: Options) -> list[Row]:
    """Make the workspace and measure both, several times each."""
    clips = QUICK_CLIPS if options.quick else CLIPS
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder), clips)
        nothing = [_noop(workspace) for _ in range(options.repeats)]
        threshold = [_threshold(workspace) for _ in range(options.repeats)]
    checks = ("tables unchanged, no item computed", "fewer clips selected, no item computed")
    return [
        Row(
            row.name,
            row.what.replace(str(CLIPS), str(clips)),
            row.unit,
            row.target,
            value=middle([spent.wall_s for spent, _ in runs]),
            runs=len(runs),
            check=check,
            held=all(held for _, held in runs),
            note=f"{middle([spent.cpu_s for spent, _ in runs]):.1f} CPU-s; made-up clips",
            details={
                "wall_s": [spent.wall_s for spent, _ in runs],
                "cpu_s": [spent.cpu_s for spent, _ in runs],
            },
        )
        for row, runs, check in zip(KIND.rows, (nothing, threshold), checks, strict=True)
    ]


def _noop(workspace: Workspace) -> tuple[Spent, bool]:
    return _repro(workspace, lambda before: tables(workspace.folder) == before)


def _threshold(workspace: Workspace) -> tuple[Spent, bool]:
    selected = _selected(workspace.folder)
    params = workspace.params()
    params["select"][THRESHOLD] = round(params["select"][THRESHOLD] + STEP, 6)
    workspace.write_params(params)
    return _repro(workspace, lambda _: 0 < _selected(workspace.folder) < selected)


def _repro(
    workspace: Workspace, as_expected: Callable[[dict[str, str]], bool]
) -> tuple[Spent, bool]:
    before, computed = tables(workspace.folder), items_computed(workspace.folder)
    spent = workspace.repro()
    return spent, as_expected(before) and items_computed(workspace.folder) == computed


def tables(folder: Path) -> dict[str, str]:
    """Return stage -> SHA-256 of its table."""
    return {stage: file_sha256(table_path(folder / "data", stage)) for stage in TABLES}


def _selected(folder: Path) -> int:
    rows = read_table(table_path(folder / "data", "select"))
    return sum(row["status"] == "kept" for row in rows)


def items_computed(folder: Path) -> int:
    """Return how many items were ever computed in a workspace, not found in the cache.

    Tars apart: other samples are packed anew, from cached files.
    """
    lines = (folder / ".cache" / "events.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    made = [one for one in events if one["event"] == "item" and not one["cached"]]
    return sum(event["stage"] != "tars" for event in made)
