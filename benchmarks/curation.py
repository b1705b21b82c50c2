"""CPU seconds of the whole line per second of video, against a bare decode of the same files.

python -m benchmarks.curation FOLDER

Runs every stage of dvc.yaml from `ingest` to `report` in a temporary workspace, serially and with
an empty cache, and PyAV over the same files with one thread. The ratio is what curating costs on
top of reading. Starting Python and importing counts, DVC and Ray do not.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import yaml

from benchmarks.bench.child import ROOT, Spent, environment, python, run_child
from pipeline.digest import digest, file_sha256
from pipeline.engine.manifest import read_table
from pipeline.tables.run_tables import table_path


@dataclass(frozen=True, slots=True)
class LineCost:
    """One run of the line over one folder."""

    stages: dict[str, Spent]
    starting_cpu_s: float
    """Of `stages`: starting Python and importing, measured without doing anything else."""
    decode_cpu_s: float
    """Of a bare decode of the videos that `ingest` kept, one thread."""
    files: int
    video_s: float
    clips: int
    """In the shards."""
    shards: str
    """SHA-256 over names and bytes of all tars."""

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all stages."""
        return sum(spent.cpu_s for spent in self.stages.values())

    @property
    def ratio(self) -> float:
        """Line over bare decode."""
        return self.cpu_s / self.decode_cpu_s


def line_stages() -> list[str]:
    """Return the stages of `dvc repro report` that read videos or tables, in their order."""
    names = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    return names[names.index("ingest") : names.index("report") + 1]


def decode_cpu_s(paths: Sequence[Path]) -> float:
    """Decode every picture of the files with one thread, nothing else; return CPU seconds."""
    before = time.process_time()
    for path in paths:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_count = 1
            for _ in container.decode(video=0):
                pass
    return time.process_time() - before


@contextmanager
def line_workspace(source: Path, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder with params.yaml that reads `source` and lets broken files be broken."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["ingest"]["source"] = str(source.absolute())
    params["run"]["max_failed_fraction"] = 1.0
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        (Path(folder) / "params.yaml").write_text(yaml.safe_dump(params))
        yield Path(folder)


def run_line(source: Path) -> LineCost:
    """Run every stage serially over `source`, then the bare decode."""
    with line_workspace(source) as folder:
        serial = environment(LIPFORGE_RUNNER="serial")
        stages = {
            name: run_child(python(f"stages.{name}"), folder, serial) for name in line_stages()
        }
        starting = [run_child(importing(name), folder, serial) for name in line_stages()]
        rows = read_table(table_path(folder / "data", "ingest"))
        videos = [row for row in rows if row["status"] == "kept"]
        return LineCost(
            stages=stages,
            starting_cpu_s=sum(spent.cpu_s for spent in starting),
            decode_cpu_s=decode_cpu_s([source / row["uri"] for row in videos]),
            files=len(videos),
            video_s=sum(row["duration_s"] for row in videos),
            clips=clips_in_shards(folder),
            shards=shards_digest(folder),
        )


def importing(stage: str) -> list[str]:
    """Return the command that imports a stage's module and ends."""
    return [sys.executable, "-c", f"import stages.{stage}"]


def clips_in_shards(folder: Path) -> int:
    """Return how many samples a workspace's shards hold."""
    rows = read_table(table_path(folder / "data", "shards"))
    return sum(row["status"] == "kept" for row in rows)


def shards_digest(folder: Path) -> str:
    """Return one SHA-256 over names and bytes of a workspace's tars."""
    tars = sorted((folder / "data" / "shards").rglob("*.tar"))
    return digest({path.name: file_sha256(path) for path in tars})


def main() -> None:
    """Print the table."""
    cost = run_line(Path(sys.argv[1]).absolute())
    for name, spent in cost.stages.items():
        print(f"{name:10} {spent.cpu_s:8.1f} CPU-s {spent.wall_s:8.1f} s wall")
    print(f"{cost.video_s:.0f} s of video in {cost.files} files, {cost.clips} clips in the shards")
    print(f"of the line, starting and importing: {cost.starting_cpu_s:.1f} CPU-s")
    line, decode = cost.cpu_s / cost.video_s, cost.decode_cpu_s / cost.video_s
    print(f"line {line:.3f}, bare decode {decode:.3f} CPU-s per video second")
    print(f"ratio line / bare decode {cost.ratio:.1f}")


if __name__ == "__main__":
    main()
