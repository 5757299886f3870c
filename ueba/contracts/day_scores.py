"""The scores of all edges of a day, in short, so that what was not strange enough to be kept whole can be
asked for.

`COLUMNS` is the table; `findings/scores=YYYY-MM-DD.parquet` has these columns, rows sorted by user, source
and target. Numbers are cut to DIGITS binary digits: four decimal ones, which is finer than they are known.
Leaves out times, counts, reasons and the effects of verdicts: those of the strangest edges are
`ueba.contracts.scored`, those of all edges are in the lake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ueba.contracts.table import Column, check_numbers, version_of, with_false

if TYPE_CHECKING:
    import pandas as pd

VERSION = "2"  # of the Parquet file
_WITHOUT_BOUNDS = "1"  # the version before, which did not say whether a p-value is a bound
_VERSION_KEY = b"ueba.day_scores"
DIGITS = 12  # of 24 that a float32 has

_name = pa.dictionary(pa.int32(), pa.string())
COLUMNS = (
    Column("user", _name, "", "the account"),
    Column("source", _name, "", "the machine acted from; null if the log does not name it"),
    Column("target", _name, "", "the machine or resource reached"),
    Column("target_kind", _name, "", "machine or resource"),
    Column("surprise", pa.float32(), "nats", "-log p of the model; higher is stranger"),
    Column("p_value", pa.float32(), "(0, 1]", "how often a user as broad is as surprising on a normal day"),
    Column("p_is_bound", pa.bool_(), "", "whether scores carry no smaller p-value, so that it is a bound"),
    Column("strangeness", pa.float32(), "nats", "strangeness_persisted of a scored edge"),
    Column("edges_a_day", pa.float32(), "edges", "that the user has on an active day, at least 1"),
    Column("incident", _name, "", "id of its incident, be it below the line; null if it is in none"),
)
NAMES = tuple(column.name for column in COLUMNS)
SCHEMA = pa.schema(
    [(column.name, column.type) for column in COLUMNS], metadata={_VERSION_KEY: VERSION.encode()}
)
NUMBERS = tuple(column.name for column in COLUMNS if pa.types.is_floating(column.type))
_TEXT = ("source", "incident")  # columns that may be null


def from_pandas(edges: pd.DataFrame) -> pa.Table:
    """All edges of a day -> their scores. edges: columns of the table"""
    ordered = edges.sort_values(["user", "source", "target", "target_kind"], kind="stable")
    columns = [_array(ordered[column.name], column) for column in COLUMNS]
    return pa.table(columns, SCHEMA)


def _array(values: pd.Series[Any], column: Column) -> pa.Array:
    if column.name in NUMBERS:
        return pa.array(shortened(values.to_numpy()))
    if pa.types.is_boolean(column.type):
        return pa.array(values.to_numpy(bool))
    return pa.array(values, pa.string(), from_pandas=True).dictionary_encode()


def shortened(numbers: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Numbers as float32, cut to DIGITS binary digits, towards 0. [edges]"""
    bits = numbers.astype(np.float32).view(np.uint32)
    cut: npt.NDArray[np.float32] = (bits & np.uint32(0xFFFFFFFF << (24 - DIGITS) & 0xFFFFFFFF)).view(
        np.float32
    )
    return cut


def checked(stored: pa.Table) -> pa.Table:
    """Scores as they were read. Raises ValueError if the columns or the version are not these, or a number
    is missing or out of its range."""
    found = version_of(stored, _VERSION_KEY)
    if found == _WITHOUT_BOUNDS:
        stored, found = with_false(stored, "p_is_bound", SCHEMA), VERSION
    if found != VERSION or not stored.schema.equals(SCHEMA):
        raise ValueError(f"scores of version {found} instead of {VERSION}")
    check_numbers(stored, _TEXT)
    if not _within(stored["p_value"], 1.0) or not _within(stored["edges_a_day"], np.inf):
        raise ValueError("p_value or edges_a_day has numbers out of its range")
    return stored


def _within(column: pa.ChunkedArray, most: float) -> bool:
    """Whether all numbers are above 0 and at most `most`."""
    numbers = column.to_numpy()
    return bool(((0 < numbers) & (numbers <= most)).all())
