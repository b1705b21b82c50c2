"""Tables: one Parquet file per stage, one row per item whatever its status.

Columns: item_id, part, status, reason, detail, cache_key, then the fields of the row type (null
where there is no row). Sorted by (item_id, part), fixed schema, no clock and no host: equal
content gives equal bytes.
"""

import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.abc import MetaPathFinder
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic import replacing
from pipeline.engine.outcome import Outcome
from pipeline.errors import ManifestError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")

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
    ordered = sorted(outcomes, key=lambda outcome: outcome.item_id)
    for one, two in pairwise(ordered):
        if one.item_id == two.item_id:
            raise ManifestError(f"{path}: item {one.item_id!r} appears more than once")
    records = [record for outcome in ordered for record in _records(outcome)]
    with _without_pandas():
        table = pa.Table.from_pylist(records, schema=schema_of(row_type))
    with replacing(path) as part:
        pq.write_table(table, part, compression="zstd", row_group_size=65536)


class _AbsentPandas(MetaPathFinder):
    """Says that there is no pandas."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


@contextmanager
def _without_pandas() -> Iterator[None]:
    """Spare every stage a quarter of a second: pyarrow imports pandas to see if a list is its own.

    What pyarrow has found it keeps: no table of this process becomes a data frame of pandas.
    """
    finder = _AbsentPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def read_table(path: Path) -> list[dict[str, Any]]:
    """Read every row, kept or not, as plain dicts.

    Raises:
        ManifestError: the table does not exist.
    """
    if not path.exists():
        raise ManifestError(f"{path}: no such table; run its stage first (`dvc repro`)")
    rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return rows


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read the kept rows as objects of `row_type`, in table order.

    Raises:
        ManifestError: the table does not exist or its columns are not those of `row_type`.
    """
    return typed_rows(read_table(path), row_type, path)


def typed_rows(records: Sequence[Mapping[str, Any]], row_type: type[Row], path: Path) -> list[Row]:
    """Return the kept records of a table as objects of `row_type`; `path` is for the message.

    Raises:
        ManifestError: the columns are not those of `row_type`.
    """
    names = [f.name for f in fields(row_type)]
    expected = {*_ENVELOPE, *names}
    if records and set(records[0]) != expected:
        raise ManifestError(f"{path}: columns {sorted(records[0])}, expected {sorted(expected)}")
    return [row_type(**{n: r[n] for n in names}) for r in records if r["status"] == "kept"]


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
