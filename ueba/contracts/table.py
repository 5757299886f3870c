"""A column of a table that crosses from one room to another."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa


class Column(NamedTuple):
    """A column, its type on disk, its unit and meaning."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str
