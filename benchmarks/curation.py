"""CPU seconds of the whole line per second of video, against a bare decode of the same files.

python -m benchmarks.curation FOLDER

Runs the line in a temporary workspace, serially and with an empty cache, and PyAV over the same
files with one thread. The ratio is what curating costs on top of reading.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import yaml

from pipeline.engine.manifest import read_table
from pipeline.tables.funnel import funnel
from pipeline.tables.run_tables import RunTables, table_path

ROOT = Path(__file__).parents[1]
STAGES = ("ingest", "scenes", "faces", "sync", "quality", "select", "shards", "report")


def spent_s() -> float:
    """Return the CPU seconds of this process and of the children that ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def bare_decode(paths: list[Path]) -> None:
    """Decode every picture of the files, nothing else."""
    for path in paths:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_count = 1
            for _ in container.decode(video=0):
                pass


def main() -> None:
    """Print the table."""
    source = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as folder:
        run_line(source, Path(folder))


def run_line(source: Path, folder: Path) -> None:
    """Run every stage, then the decode, and print seconds and ratios."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["ingest"]["source"] = str(source)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    weights = {"LIPFORGE_WEIGHTS": str(ROOT / ".cache" / "weights")}
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LIPFORGE_RUNNER": "serial", **weights}
    total = 0.0
    for stage in STAGES:
        before, clock = spent_s(), time.monotonic()
        subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=folder, env=env, check=True)
        cpu = spent_s() - before
        total += cpu
        print(f"{stage:8} {cpu:8.1f} CPU-s {time.monotonic() - clock:8.1f} s wall")
    rows = [r for r in read_table(table_path(folder / "data", "ingest")) if r["status"] == "kept"]
    seconds = sum(row["duration_s"] for row in rows)
    before = spent_s()
    bare_decode([source / row["uri"] for row in rows])
    decode = spent_s() - before
    kept = funnel(RunTables(folder / "data"))["stages"][-1]["seconds_kept"]
    print(f"{seconds:.0f} s of video in {len(rows)} files, {kept:.0f} s in the shards")
    print(f"line {total / seconds:.3f}, bare decode {decode / seconds:.3f} CPU-s per video second")
    print(f"ratio line / bare decode {total / decode:.1f}")


if __name__ == "__main__":
    main()
