"""A finished run of many clips, and what `dvc repro` costs when nothing or a threshold changed.

python -m benchmarks.finished_run [CLIPS]

Writes a workspace as a run of CLIPS clips (default 10000, 10 per film) leaves it: tables, item
cache of `ingest`, `dvc.lock`; no video in it can be opened. Then `dvc repro report` with nothing
changed, and `dvc repro select` with another threshold, three times each: wall clock and CPU
seconds. Correct is: the first runs `ingest` alone, the second `ingest` and `select`.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import yaml

from pipeline.engine.cache import LocalCache
from pipeline.engine.command import item_key
from pipeline.engine.outcome import Outcome, Part
from pipeline.params.curation import load_params
from pipeline.sources import list_sources
from stages.ingest import Ingest
from tests.stages.fake_run import kept, video, write_run

ROOT = Path(__file__).parents[1]
CLIPS_PER_FILM = 10
CURATION = [
    "demo",
    "ingest",
    "scenes",
    "faces",
    "sync",
    "stretches",
    "quality",
    "select",
    "shards",
    "report",
]
RUNS = 3


def write_workspace(folder: Path, clips: int) -> None:
    """Write the workspace; the working directory is `folder` from here on."""
    for name in ("pipeline", "stages", "trainers"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "dvc.yaml", folder)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["ingest"]["source"] = "films"
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    os.chdir(folder)
    films = [f"film{number:06d}.mp4" for number in range(clips // CLIPS_PER_FILM)]
    (folder / "films").mkdir()
    for name in films:
        (folder / "films" / name).write_text(name)
    write_run(folder / "data", films, CLIPS_PER_FILM)
    write_ingested()
    for name in ("scenes", "faces", "sync", "quality", "shards", "features"):
        path = folder / "data" / "again" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}\n")
    for stage in ("demo", "ingest", "select", "report"):
        subprocess.run([sys.executable, "-m", f"stages.{stage}"], check=True)
    subprocess.run(["dvc", "init", "--no-scm", "-q"], check=True)
    subprocess.run(["dvc", "commit", "-q", "-f", *CURATION], check=True)


def write_ingested() -> None:
    """Put the outcome of every film into the item cache."""
    cache, stage = LocalCache(Path(".cache/items")), Ingest()
    licence = load_params().ingest.licence
    for one in list_sources("films"):
        item = replace(one, licence=licence)
        key = item_key(stage, item)
        row = dict(kept(one.uri, [video(one.uri)]).parts[0].row or {})
        outcome = Outcome(one.uri, "kept", (Part("kept", row=row),), key)
        with cache.workdir() as empty:
            cache.commit(key, {"stage": stage.name, **outcome.to_json()}, empty)


def timed(*command: str) -> set[str]:
    """Run a command, print its times, return the stages that DVC ran."""
    clock, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{' '.join(command):24} {time.monotonic() - clock:6.2f} s wall {cpu:6.2f} CPU-s")
    return set(re.findall(r"Running stage '(\w+)'", done.stdout))


def main() -> None:
    """Print the times."""
    clips = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        write_workspace(Path(folder), clips)
        print(f"{clips} clips")
        for run in range(RUNS):
            assert timed("dvc", "repro", "report") == {"ingest"}
            params = yaml.safe_load(Path("params.yaml").read_text())
            params["select"]["min_sharpness"] = 10.0 + run
            Path("params.yaml").write_text(yaml.safe_dump(params))
            assert timed("dvc", "repro", "select") == {"ingest", "select"}
            subprocess.run(["dvc", "commit", "-q", "-f", *CURATION], check=True)
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
