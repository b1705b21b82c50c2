"""One step of the simulation in a process of its own: python -m benchmarks.scale.step NAME ITEMS.

Prints JSON: CPU and wall seconds of the step, the peak of the resident set before it and in all,
bytes of what it wrote. Runs in the folder that holds, or gets, `data/`.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.bench.empty_items import NoCache, Nothing, Number
from benchmarks.scale.synthetic_tables import CLIP_FRAMES, write_samples, write_tables
from pipeline.engine import command, streamed
from pipeline.engine.cache import Cache
from pipeline.engine.manifest import each_row
from pipeline.engine.outcome import Outcome, Work, kept
from pipeline.engine.progress import EVENTS
from pipeline.engine.roots import needed
from pipeline.engine.side_store import side_store
from pipeline.engine.stage import Stage
from pipeline.params.curation import Params
from pipeline.tables.rows import Quality
from pipeline.tables.run_tables import SERIES, RunTables, table_path
from stages import report, select
from stages.quality import QualityStage, clips_to_measure

DATA, REPORTS = Path("data"), Path("reports")
SCALARS = [f.name for f in fields(Quality) if f.type is float]
EMPTY = DATA / "nothing" / "nothing.parquet"


class Finished:
    """A runner that ends every item at once: what Ray costs is measured elsewhere."""

    def __init__(self, row: Callable[[Work], Any]) -> None:
        self.row = row

    def run(self, stage: Stage[Any, Any], work: Sequence[Work], cache: Cache) -> Iterator[Outcome]:
        """Yield one row per item, the last item first, as if they were finished in that order."""
        for one in reversed(work):
            yield kept(one, [self.row(one)])


class FullStore(NoCache):
    """An item cache in which every item is found."""

    def __init__(self, row: Callable[[Any], Any]) -> None:
        self.row = row

    def lookup(self, key: str) -> Mapping[str, Any]:
        """Return one row as the item cache would parse it."""
        made = kept(Work("", key, None), [self.row(key)])
        return {**json.loads(json.dumps(made.to_json())), "files": {}}


def a_number(_: Any) -> Number:
    """Return the row of an empty item."""
    return Number(number=1)


def a_quality(of: Any) -> Quality:
    """Return a row with 600 values, new objects each time, as a worker's answer holds them."""
    key = of.key if isinstance(of, Work) else of
    draw = np.random.default_rng(int(key[:8], 16))
    series = np.round(draw.integers(0, 1000, (4, CLIP_FRAMES)) / 1000, 5).tolist()
    clip_id = of.item_id if isinstance(of, Work) else key[:20]
    values: dict[str, Any] = dict.fromkeys(SCALARS, 1.0)
    values |= dict(zip(SERIES, series, strict=True))
    return Quality(clip_id=clip_id, picture_hash=key[:16], audio_hash=key[16:32], **values)


@contextmanager
def engine(row: Callable[[Any], Any], found: bool) -> Iterator[None]:
    """Replace runner and item cache of the engine; all else is what a stage runs."""
    store = FullStore(row) if found else NoCache()
    with (
        patch.object(streamed, "open_cache", lambda: store),
        patch.object(command, "runner_from_environment", lambda: Finished(row)),
    ):
        yield


def empty(items: int, found: bool) -> None:
    """Run the whole engine on empty items."""
    with engine(a_number, found):
        streamed.execute_streamed(Nothing(), range(items), EMPTY, Number, Params())


def quality(items: int, found: bool) -> None:
    """Run the whole engine on clips whose rows have a value per frame."""
    cache = NoCache()
    clips = clips_to_measure(RunTables(DATA), cache, Params())
    table = table_path(Path("out"), "quality")
    with engine(a_quality, found):
        stage = QualityStage(Params().quality)
        streamed.execute_streamed(stage, clips, table, Quality, Params())


def rows_alone(items: int, found: bool) -> None:
    """Make the rows as `quality` has them made: what is to be taken off its time."""
    store = FullStore(a_quality)
    for number in range(items):
        key = f"{number:064x}"
        made = store.lookup(key) if found else kept(Work("", key, None), [a_quality(key)])
        assert made


def roots(items: int) -> None:
    """Collect the cache keys that a garbage collection must keep."""
    named = needed(side_store())
    for row in each_row(EMPTY, ("cache_key",)):
        named.add(str(row["cache_key"]))
    assert len(named) == items, (len(named), items)


def page(items: int) -> None:
    """Write the report."""
    report.build_report(DATA, REPORTS, Params())


STEPS: dict[str, Callable[[int], None]] = {
    "tables": lambda items: write_tables(DATA, items),
    "engine, empty items, computed": lambda items: empty(items, found=False),
    "engine, empty items, all cached": lambda items: empty(items, found=True),
    "cache keys to keep": roots,
    "the rows of quality alone": lambda items: rows_alone(items, found=False),
    "engine, rows of quality, computed": lambda items: quality(items, found=False),
    "the same rows from JSON alone": lambda items: rows_alone(items, found=True),
    "engine, rows of quality, all cached": lambda items: quality(items, found=True),
    "select": lambda items: select.select(DATA, REPORTS, Params().select),
    "samples": lambda items: write_samples(DATA),
    "report": page,
}
"""Name -> what is measured, in the order in which one needs the other."""
NEEDED = {
    "tables": (
        "engine, rows of quality, computed",
        "engine, rows of quality, all cached",
        "select",
    ),
    "samples": ("report",),
}
"""Step that only makes an input -> the steps that need it; the report needs `select`, too."""
WRITTEN = {
    "engine, empty items, computed": (EMPTY, EVENTS),
    "engine, rows of quality, computed": (table_path(Path("out"), "quality"),),
    "select": (table_path(DATA, "select"),),
    "report": (REPORTS / report.PAGE,),
}
"""Step -> files whose size is reported."""


def peak_mb() -> float:
    """Return the peak of the resident set so far in units of 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measured(name: str, items: int) -> dict[str, Any]:
    """Take one step."""
    before_mb, cpu_s, wall_s = peak_mb(), time.process_time(), time.monotonic()
    STEPS[name](items)
    return {
        "step": name,
        "items": items,
        "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.monotonic() - wall_s,
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
        "bytes": {path.name: path.stat().st_size for path in WRITTEN.get(name, ())},
    }


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
