"""The whole line against a bare decode: CPU seconds, stage by stage.

Both in one run, the stages one after the other in processes of their own without Ray and DVC, the
decode by PyAV with one thread over the videos that `ingest` kept. The ratio is the line's CPU
seconds over the decode's; importing counts, as do all threads. What it does not show: wall clock,
and how the work spreads over cores.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench.child import middle
from benchmarks.bench.inputs import HD_CLIPS, clip_files, demo_films, linked
from benchmarks.bench.rows import Kind, Options, Row, Target
from benchmarks.curation import LineCost, run_line

HD = Kind("line", (Row("line", "line / bare decode, 1080p-class clips", "x", Target(4.0)),))
ALL = Kind("line_all", (Row("line_all", "line / bare decode, all clips", "x", Target(6.0)),))
CHECK = "clips in the shards and their bytes equal in all runs"


def hd_clips(options: Options) -> list[Row]:
    """Measure the 1080p-class clips."""
    return _measure(HD, options, HD_CLIPS, options.repeats)


def all_clips(options: Options) -> list[Row]:
    """Measure all clips of the folder, once: it takes a quarter of an hour."""
    if options.quick:
        return ALL.not_run("quick runs the same in `line`")
    return _measure(ALL, options, ("*",), 1)


def _measure(kind: Kind, options: Options, patterns: Sequence[str], runs: int) -> list[Row]:
    files = demo_films(options.work) if options.quick else clip_files(options.clips, patterns)
    if not files:
        return kind.not_run(f"no clips in {options.clips}")
    with tempfile.TemporaryDirectory() as folder:
        source = linked(files, Path(folder))
        return [filled(kind.rows[0], [run_line(source) for _ in range(runs)])]


def filled(row: Row, costs: Sequence[LineCost]) -> Row:
    """Return the row with the median ratio of all runs, and each stage's in the details."""
    found = {(cost.clips, cost.shards) for cost in costs}
    first = costs[0]
    starting = [cost.starting_cpu_s / cost.decode_cpu_s for cost in costs]
    parts = ", ".join(f"{name} {value:.2f}" for name, value in stage_ratios(costs).items())
    return Row(
        row.name,
        row.what,
        row.unit,
        row.target,
        value=middle([cost.ratio for cost in costs]),
        runs=len(costs),
        check=f"{CHECK} ({first.clips} clips)",
        held=len(found) == 1 and first.clips > 0 if len(costs) > 1 else None,
        note=f"{first.video_s:.0f} s in {first.files} files; in units of the decode: {parts}; "
        f"starting and importing are {middle(starting):.2f} of it",
        details={
            "line_cpu_s": [cost.cpu_s for cost in costs],
            "decode_cpu_s": [cost.decode_cpu_s for cost in costs],
            "stages_cpu_s": [{n: s.cpu_s for n, s in cost.stages.items()} for cost in costs],
            "starting_cpu_s": [cost.starting_cpu_s for cost in costs],
            "video_s": first.video_s,
            "clips": [cost.clips for cost in costs],
            "shards_sha256": [cost.shards for cost in costs],
        },
    )


def stage_ratios(costs: Sequence[LineCost]) -> dict[str, float]:
    """Return each stage's CPU seconds over the decode's, medians."""
    return {
        name: middle([cost.stages[name].cpu_s / cost.decode_cpu_s for cost in costs])
        for name in costs[0].stages
    }
