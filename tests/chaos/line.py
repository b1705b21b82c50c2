"""`python -m tests.chaos.line FOLDER ITEMS [LAST STAGE]`: the line in small, as a process.

It writes `data/` of the working directory. FOLDER has the diary and the faults (`faults.Site`).
`CHAOS_CLOCK_S` moves the clock of this process by so many seconds; `CHAOS_DEADLINE_S` is an item's.
"""

import os
import sys
import time
from pathlib import Path

from pipeline.atomic import remove_unfinished
from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.manifest import read_rows
from pipeline.errors import DamagedCacheError
from pipeline.params.curation import Params, load_params
from pipeline.shards.tar import PackedSample, write_shard
from pipeline.shards.tar_stage import until_packed
from tests.chaos.faults import Site
from tests.chaos.stages import (
    MEMBERS,
    Bundle,
    Bundled,
    Draw,
    Drawn,
    Measure,
    Measured,
    Picture,
)

TABLES = {name: DATA / name / f"{name}.parquet" for name in ("draw", "measure", "bundle")}


def main() -> None:
    """Run the stages, one after the other, up to the last one that is asked for."""
    move_clock(float(os.environ.get("CHAOS_CLOCK_S", "0")))
    site, numbers = Site(Path(sys.argv[1])), range(int(sys.argv[2]))
    last = sys.argv[3] if sys.argv[3:] else "bundle"
    params, cache = load_params(), open_cache()
    execute(Draw(site), numbers, TABLES["draw"], Drawn, params)
    if last == "draw":
        return
    rows = read_rows(TABLES["draw"], Drawn)
    pictures = [Picture.of(row.number, row.artifact, cache) for row in rows]
    measure_and_bundle(site, pictures, params, cache)


def measure_and_bundle(site: Site, pictures: list[Picture], params: Params, cache: Cache) -> None:
    """Run the second and the third stage, and pack."""
    execute(Measure(site), pictures, TABLES["measure"], Measured, params)
    until_packed("bundle", lambda: bundle(site, pictures, params, cache))


def bundle(site: Site, pictures: list[Picture], params: Params, cache: Cache) -> bool:
    """Make the samples and pack them; False where one was damaged in the item cache."""
    execute(Bundle(site), pictures, TABLES["bundle"], Bundled, params)
    rows = read_rows(TABLES["bundle"], Bundled)
    try:
        write_shard(DATA / "bundle" / "all.tar", [sample_of(row, cache) for row in rows])
        remove_unfinished(DATA / "bundle")
    except DamagedCacheError as error:
        cache.forget(error.key)
        return False
    return True


def sample_of(row: Bundled, cache: Cache) -> PackedSample:
    """Name a sample's files, compared with their digests."""
    name = f"{row.number:04d}"
    files = {one: cache.artifact_path(row.artifact, f"{name}.{one}") for one in MEMBERS}
    return PackedSample(name, "train", 0, 1, files)


def move_clock(seconds: float) -> None:
    """Let `time.time` of this process be wrong."""
    right = time.time
    if seconds:
        time.time = lambda: right() + seconds


if __name__ == "__main__":
    run_main(main, takes_arguments=True)
