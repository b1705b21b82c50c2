"""Tables: one Parquet file per stage, one row per item whatever its status.

Columns: item_id, part, status, reason, detail, cache_key, then the fields of the row type (null
where there is no row). Sorted by (item_id, part), fixed schema, no clock and no host: equal
content gives equal bytes.
"""

import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.engine.outcome import Outcome
from pipeline.engine.sorted_table import GROUP_ROWS, SortedTable, without_pandas
from pipeline.errors import ManifestError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")

READ_ROWS = 1_024
"""Rows read at a time."""
_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_ENVELOPE = {
    "item_id": pa.string(),
    "part": pa.int64(),
    "status": pa.string(),
    "reason": pa.string(),
    "detail": pa.string(),
    "cache_key": pa.string(),
}


def schema_of(row_type: type[Any]) -> pa.Schema:
    """Return the Arrow schema of a table of `row_type`, envelope columns first."""
    hints = typing.get_type_hints(row_type)
    columns = {f.name: _arrow_type(hints[f.name]) for f in fields(row_type)}
    return pa.schema(list((_ENVELOPE | columns).items()))


def write_table(path: Path, outcomes: Iterable[Outcome], row_type: type[Any]) -> None:
    """Write all outcomes, sorted, at once (temporary file, then rename).

    Raises:
        ManifestError: two outcomes have the same item_id.
        StorageError: the disk is full or not writable.
    """
    table = OutcomeTable(path, row_type)
    for outcome in outcomes:
        table.add(outcome)
    table.write(path)


class OutcomeTable:
    """A table in the making: outcomes in any order, few of them in memory."""

    def __init__(self, path: Path, row_type: type[Any]) -> None:
        self.rows = SortedTable(path, schema_of(row_type))

    def add(self, outcome: Outcome) -> None:
        """Add the rows of one item.

        Raises:
            StorageError: the disk is full or not writable.
        """
        self.rows.add(_records(outcome))

    def write(self, path: Path) -> None:
        """Write what was added, at once; errors as `write_table`."""
        self.rows.write(path)


def read_table(path: Path, columns: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Read every row, kept or not, as plain dicts; arguments and errors as `each_row`."""
    return list(each_row(path, columns))


def rows_of(path: Path, items: Collection[str]) -> list[dict[str, Any]]:
    """Read every row of a few items; errors as `each_row`."""
    with without_pandas():
        wanted = pa.array(sorted(items), pa.string())
    found: list[dict[str, Any]] = []
    for batch in opened(path).iter_batches(GROUP_ROWS):
        found += batch.filter(pc.is_in(batch["item_id"], wanted)).to_pylist()
    return found


def each_row(path: Path, columns: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield every row, kept or not, in table order; some thousand are in memory at a time.

    Args:
        columns: those that are read, as far as the table has them; None for all.

    Raises:
        ManifestError: the table does not exist.
    """
    table = opened(path)
    names = [one for one in table.schema_arrow.names if columns is None or one in columns]
    for batch in table.iter_batches(READ_ROWS, columns=names):
        yield from batch.to_pylist()


def opened(path: Path) -> pq.ParquetFile:
    """Open a table.

    Raises:
        ManifestError: the table does not exist.
    """
    if not path.exists():
        raise ManifestError(f"{path}: no such table; run its stage first (`dvc repro`)")
    return pq.ParquetFile(path)


def cache_keys(path: Path) -> list[str]:
    """Return the cache key of every row of a table; none where there is no table."""
    if not path.exists():
        return []
    column = pq.ParquetFile(path).read(columns=["cache_key"])["cache_key"]
    return [key for key in column.to_pylist() if key]


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read the kept rows as objects of `row_type`, in table order.

    Raises:
        ManifestError: the table does not exist or its columns are not those of `row_type`.
    """
    return list(each_kept_row(path, row_type))


def each_kept_row(path: Path, row_type: type[Row], without: Collection[str] = ()) -> Iterator[Row]:
    """Yield what `read_rows` returns, one after the other.

    Args:
        without: columns that are not read; they have their default.

    Raises:
        ManifestError: the table does not exist or its columns are not those of `row_type`.
    """
    _check_columns(opened(path).schema_arrow.names, row_type, path)
    names = [f.name for f in fields(row_type) if f.name not in without]
    texts: dict[Any, Any] = {}
    for r in each_row(path, {"status", *names}):
        if r["status"] == "kept":
            if len(texts) > READ_ROWS:
                texts.clear()
            yield row_type(**{n: _once(r[n], texts) for n in names})


def _once(value: Any, texts: dict[Any, Any]) -> Any:
    """Return an equal text that is in memory already: names of films and keys come in a row."""
    return texts.setdefault(value, value) if type(value) is str else value


def typed_rows(records: Iterable[Mapping[str, Any]], row_type: type[Row], path: Path) -> list[Row]:
    """Return the kept records of a table as objects of `row_type`; `path` is for the message.

    Raises:
        ManifestError: the columns are not those of `row_type`.
    """
    return list(each_typed(records, row_type, path))


def each_typed(
    records: Iterable[Mapping[str, Any]], row_type: type[Row], path: Path
) -> Iterator[Row]:
    """Yield what `typed_rows` returns, one after the other."""
    names = [f.name for f in fields(row_type)]
    for number, r in enumerate(records):
        if not number:
            _check_columns(r, row_type, path)
        if r["status"] == "kept":
            yield row_type(**{n: r[n] for n in names})


def _check_columns(found: Collection[str], row_type: type[Any], path: Path) -> None:
    expected = {*_ENVELOPE, *(f.name for f in fields(row_type))}
    if set(found) != expected:
        raise ManifestError(f"{path}: columns {sorted(found)}, expected {sorted(expected)}")


def _records(outcome: Outcome) -> Sequence[dict[str, Any]]:
    return [
        {
            "item_id": outcome.item_id,
            "part": index,
            "status": part.status,
            "reason": part.reason,
            "detail": part.detail,
            "cache_key": outcome.key,
            **(part.row or {}),
        }
        for index, part in enumerate(outcome.parts)
    ]


def _arrow_type(hint: Any) -> pa.DataType:
    """Return the column's type; `X | None` is a column of X that may hold nulls."""
    first = next(iter(typing.get_args(hint)), hint)
    if isinstance(hint, types.GenericAlias):
        return pa.list_(_ARROW[first])
    return _ARROW[first]
