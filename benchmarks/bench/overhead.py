"""What `dvc repro report` takes beyond the stages' own work: three clips, two workers, wall clock.

The stages' own work is what two workers could not do faster: for each stage the larger of its
longest item and half the sum of its items, added up over the stages. An item's seconds are the CPU
seconds of `Stage.process` in a serial run on the same clips in the same session; `select` and
`report` have no items and count with their whole `main`, undivided. All else is overhead: DVC,
starting Python, importing, loading networks, Ray, the item cache, waiting.

The two other readings stand in the details: `beyond_serial_s` (wall minus the sum of all item
seconds, as if one worker did them) and `outside_stages_s` (wall minus the time between each stage's
start and end in events.jsonl: Ray's start counts as the stage's there).
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench.child import environment, middle, python, run_child
from benchmarks.bench.inputs import clip_files, demo_films, linked
from benchmarks.bench.rows import Kind, Options, Row, Target
from benchmarks.bench.workspace import Workspace
from benchmarks.curation import clips_in_shards, line_stages, line_workspace, shards_digest

KIND = Kind(
    "overhead",
    (Row("overhead", "`dvc repro report` beyond the stages' own work, 3 clips", "s", Target(10)),),
)
CLIPS = ("spkvid_full2.*", "spkvid_full5.*", "spkvid_side1.*")
"""Each is 9.96 s long."""
WORKERS = 2
CHECK = "shards equal to those of the serial run"


def repro_overhead(options: Options) -> list[Row]:
    """Measure the serial work once and `dvc repro report` several times."""
    files = demo_films(options.work) if options.quick else clip_files(options.clips, CLIPS)
    if not files:
        return KIND.not_run(f"no clips in {options.clips}")
    with tempfile.TemporaryDirectory() as folder:
        source = linked(files, Path(folder) / "videos")
        work, shards, clips = serial_items(source)
        runs = [
            _repro(source, Path(folder) / f"run{n}")
            for n in range(1 if options.quick else options.repeats)
        ]
    return [_filled(KIND.rows[0], work, shards, clips, runs)]


def serial_items(source: Path) -> tuple[dict[str, list[float]], str, int]:
    """Run the line serially; return CPU seconds per item by stage, the shards, their clips."""
    with line_workspace(source) as folder:
        variables = environment(LIPFORGE_RUNNER="serial")
        found: dict[str, list[float]] = {}
        for name in line_stages():
            out = folder / f"{name}.json"
            command = python("benchmarks.bench.item_seconds", name, str(out))
            run_child(command, folder, variables)
            found[name] = json.loads(out.read_text())
        return found, shards_digest(folder), clips_in_shards(folder)


def shortest_s(items: Sequence[float], workers: int) -> float:
    """Return the seconds that no schedule on so many workers can go below."""
    return max(max(items, default=0.0), sum(items) / workers)


def _repro(source: Path, folder: Path) -> tuple[float, float, str]:
    """Return (wall seconds, seconds outside of the stages' events, digest of the shards)."""
    workspace = Workspace(folder, source, LIPFORGE_WORKERS=str(WORKERS))
    wall_s = workspace.repro().wall_s
    lines = (folder / ".cache" / "events.jsonl").read_text("utf-8").splitlines()
    return wall_s, wall_s - inside_s(lines), shards_digest(folder)


def inside_s(lines: Sequence[str]) -> float:
    """Return the seconds between start and end of every stage in events.jsonl."""
    total, started = 0.0, {}
    for event in map(json.loads, lines):
        if event["event"] == "start":
            started[event["stage"]] = event["time_s"]
        elif event["event"] in ("end", "stopped"):
            total += event["time_s"] - started.pop(event["stage"])
    return total


def _filled(
    row: Row,
    work: dict[str, list[float]],
    shards: str,
    clips: int,
    runs: Sequence[tuple[float, float, str]],
) -> Row:
    own_s = sum(shortest_s(items, WORKERS) for items in work.values())
    serial_s = sum(sum(items) for items in work.values())
    walls = [wall for wall, _, _ in runs]
    return Row(
        row.name,
        row.what,
        row.unit,
        row.target,
        value=middle([wall - own_s for wall in walls]),
        runs=len(runs),
        check=f"{CHECK} ({clips} clips)",
        held=all(digest == shards for _, _, digest in runs),
        note=f"wall {middle(walls):.1f} s; own work {own_s:.1f} s on {WORKERS} workers at the "
        f"least: per stage the larger of the longest item and half of all items' CPU seconds",
        details={
            "wall_s": walls,
            "own_work_s": own_s,
            "item_cpu_s": work,
            "beyond_serial_s": [wall - serial_s for wall in walls],
            "outside_stages_s": [outside for _, outside, _ in runs],
        },
    )
