"""A sorted Parquet file from rows in any order, of which few are in memory at a time.

Rows are collected as Arrow columns. When they take up RUN_BYTES, they are sorted and written to a
temporary file, a run, that is mapped into memory and has no name any more. The runs are merged when
all rows are there, row group by row group: in each run, the rows of a group stand side by side.
What is written depends on the rows alone, not on their order or on the number of runs.
"""

import mmap
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.atomic import replacing
from pipeline.errors import ManifestError

GROUP_ROWS = 65_536
"""Rows of a row group of the file."""
BATCH_ROWS = 4_096
"""Rows that are Python objects at a time: some 20 KB each where they hold a value per frame."""
RUN_BYTES = 128 * 2**20
"""Size of a run; sorting it takes three times as much."""
KEY = ("item_id", "part")


class SortedTable:
    """Collects rows for one file; `write` makes it."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Args: `path` is where runs are put; `schema` has the columns of KEY."""
        self.path, self.schema = path, schema
        self.waiting: list[Mapping[str, Any]] = []
        self.batches: list[pa.Table] = []
        self.runs: list[_Run] = []

    def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows of one item.

        Raises:
            StorageError: there is no room for a run.
        """
        self.waiting += records
        if len(self.waiting) >= BATCH_ROWS:
            self._to_columns()
            if sum(batch.nbytes for batch in self.batches) >= RUN_BYTES:
                self.runs.append(_stored(self._newest_run(), self.path))

    def write(self, path: Path) -> None:
        """Write the file, at once (temporary file, then rename).

        Raises:
            ManifestError: two items have one name.
            StorageError: the disk is full or not writable.
        """
        self._to_columns()
        runs = [*self.runs, _Run(self._newest_run())]
        with (
            replacing(path) as part,
            pq.ParquetWriter(part, self.schema, compression="zstd") as writer,
        ):
            last = None
            for group in _merged(runs):
                last = _checked_names(group, last, path)
                writer.write_table(group, row_group_size=GROUP_ROWS)

    def _to_columns(self) -> None:
        with without_pandas():
            self.batches.append(pa.Table.from_pylist(self.waiting, schema=self.schema))
        self.waiting = []

    def _newest_run(self) -> pa.Table:
        rows = pa.concat_tables(self.batches)
        self.batches = []
        return _in_order(rows)


def _in_order(rows: pa.Table) -> pa.Table:
    """Return the rows by item and part, every column in one piece."""
    order = pc.sort_indices(rows, [(name, "ascending") for name in KEY])
    return rows.combine_chunks().take(order).combine_chunks()


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted rows, in memory or mapped into it from a file."""

    rows: pa.Table
    mapped: mmap.mmap | None = None

    def release(self) -> None:
        """Give back the memory that reading has filled; the file still has it."""
        if self.mapped is not None:
            self.mapped.madvise(mmap.MADV_DONTNEED)


def _stored(run: pa.Table, path: Path) -> _Run:
    """Return the same rows in a file that is gone when nobody reads it any more."""
    place = path.with_name(f"{path.name}.run")
    with (
        replacing(place) as part,
        pa.OSFile(str(part), "wb") as sink,
        pa.ipc.new_file(sink, run.schema) as writer,
    ):
        writer.write_table(run)
    with place.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    place.unlink()
    return _Run(pa.ipc.open_file(pa.py_buffer(mapped)).read_all(), mapped)


def _merged(runs: Sequence[_Run]) -> Iterator[pa.Table]:
    """Yield the row groups of sorted runs, at least one."""
    if len(runs) == 1:
        yield from _groups(runs[0].rows)
        return
    keys = pa.concat_tables([run.rows.select(KEY) for run in runs])
    order = pc.sort_indices(keys, [(name, "ascending") for name in KEY]).to_numpy()
    ends = np.cumsum([len(run.rows) for run in runs])
    taken = np.zeros(len(runs), np.int64)
    for start in range(0, len(order), GROUP_ROWS):
        of_run = np.searchsorted(ends, order[start : start + GROUP_ROWS], side="right")
        counts = np.bincount(of_run, minlength=len(runs))
        slices = [run.rows.slice(*at) for run, *at in zip(runs, taken, counts, strict=True)]
        taken += counts
        yield _in_order(pa.concat_tables(slices))
        for run in runs:
            run.release()


def _groups(run: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, max(1, len(run)), GROUP_ROWS):
        yield run.slice(start, GROUP_ROWS)


def _checked_names(
    group: pa.Table, last: tuple[str, int] | None, path: Path
) -> tuple[str, int] | None:
    """Return the key of the group's last row, which the next one's first must not have.

    Raises:
        ManifestError: two rows have one key.
    """
    if not len(group):
        return last
    names, parts = (group[name].combine_chunks() for name in KEY)
    same = pc.and_(pc.equal(names[1:], names[:-1]), pc.equal(parts[1:], parts[:-1]))
    at = pc.index(same, True).as_py()
    first = names[0].as_py(), parts[0].as_py()
    if at >= 0 or first == last:
        name = names[max(at, 0)].as_py()
        raise ManifestError(f"{path}: item {name!r} appears more than once")
    return names[-1].as_py(), parts[-1].as_py()


class _AbsentPandas(MetaPathFinder):
    """Says that there is no pandas."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


@contextmanager
def without_pandas() -> Iterator[None]:
    """Spare every stage a quarter of a second: pyarrow imports pandas to see if a list is its own.

    What pyarrow has found it keeps: no table of this process becomes a data frame of pandas.
    """
    finder = _AbsentPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
