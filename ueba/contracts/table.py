"""A column of a table that crosses from one room to another, and what is checked of such a table on disk."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc


class Column(NamedTuple):
    """A column, its type on disk, its unit and meaning."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


def version_of(stored: pa.Table, key: bytes) -> str:
    """The version that a stored table has in its metadata."""
    return str((stored.schema.metadata or {}).get(key, b"no version").decode())


def with_false(stored: pa.Table, name: str, schema: pa.Schema) -> pa.Table:
    """A table of an earlier version, which lacked a column, with that column, false in all rows; as it is if
    it lacks others."""
    if {*stored.column_names, name} != {*schema.names}:
        return stored
    column = pa.array([False] * len(stored), pa.bool_())
    return stored.append_column(name, column).select(schema.names).replace_schema_metadata(schema.metadata)


def check_numbers(stored: pa.Table, may_be_null: Collection[str]) -> None:
    """Raises ValueError if a column has nulls that may not have any, or numbers that are not finite."""
    for name in stored.column_names:
        column = stored[name]
        if column.null_count and name not in may_be_null:
            raise ValueError(f"{name} is missing in {column.null_count} rows")
        if pa.types.is_floating(column.type) and not pc.all(pc.is_finite(column), min_count=0).as_py():
            raise ValueError(f"{name} has numbers that are not finite")
