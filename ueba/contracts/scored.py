"""A scored edge: one of a day's strangest edges, with what the model, the past and verdicts say of it.

`COLUMNS` is the table; `findings/day=YYYY-MM-DD.parquet` has these columns, with reasons as JSON text. In
memory a day's scored edges are a pandas table with the same columns, whose reasons are `Reasons`; `edges`
gives its rows as `ScoredEdge`. Leaves out edges that are not among the day's candidates: those are not kept.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ueba.contracts import reason
from ueba.contracts.case import Step
from ueba.contracts.edge import Edge
from ueba.contracts.reason import Reasons
from ueba.contracts.table import Column, check_numbers, version_of, with_false

if TYPE_CHECKING:
    import pandas as pd

VERSION = "4"  # of the Parquet file
_WITHOUT_BOUNDS = "3"  # the version before, which did not say whether a p-value is a bound
_VERSION_KEY = b"ueba.scored_edges"

_names = pa.list_(pa.string())
COLUMNS = (
    Column("day", pa.date32(), "UTC", "the day of the edge"),
    Column("user", pa.string(), "", "the account"),
    Column("user_kind", pa.string(), "", "human, service, machine or anonymous"),
    Column("source", pa.string(), "", "the machine acted from; null if the log does not name it"),
    Column("target", pa.string(), "", "the machine or resource reached"),
    Column("target_kind", pa.string(), "", "machine or resource"),
    Column("count", pa.int64(), "events", "events of any outcome"),
    Column("failures", pa.int64(), "events", "of these, attempts that failed"),
    Column("first_seen", pa.timestamp("us"), "UTC", "the first event of the day"),
    Column("last_seen", pa.timestamp("us"), "UTC", "the last event of the day"),
    Column("logon_types", _names, "", "how the user logged on, sorted"),
    Column("surprise", pa.float64(), "nats", "-log p of the model; higher is stranger"),
    Column("p_value", pa.float64(), "(0, 1]", "how often a user as broad is as surprising on a normal day"),
    Column("p_is_bound", pa.bool_(), "", "whether scores carry no smaller p-value, so that it is a bound"),
    Column(
        "once_in_days", pa.float64(), "days", "how often an account as active is: 1 / (p_value x edges a day)"
    ),
    Column(
        "carry_over", pa.float64(), "nats", "what the user's strange days before this one add, if p allows"
    ),
    Column("strangeness_alone", pa.float64(), "nats", "log odds of the model - 0.3 log p_value"),
    Column("strangeness_persisted", pa.float64(), "nats", "the same with the carry-over"),
    Column(
        "strangeness",
        pa.float64(),
        "nats",
        "the same with the effects of verdicts and of what the organisation knows: edges rank by this",
    ),
    Column("verdicts", _names, "", "ids of the verdicts that change strangeness"),
    Column("rule", pa.string(), "", "the rule that hides the edge; null if none does"),
    Column("incident", pa.string(), "", "id of its incident; null if it is in none"),
    Column("reasons", pa.string(), "JSON", "why it is strange, see `ueba.contracts.reason`"),
    Column("pattern", _names, "", "in which ways it is strange, whoever it is about"),
)
NAMES = tuple(column.name for column in COLUMNS)
SCHEMA = pa.schema(
    [(column.name, column.type) for column in COLUMNS], metadata={_VERSION_KEY: VERSION.encode()}
)
_TEXT = ("user_kind", "source", "rule", "incident")  # columns that may be null
_OF_STEPS = (
    *("user", "source", "target", "target_kind", "first_seen", "last_seen", "strangeness"),
    *("incident", "count", "failures", "pattern"),
)
_LISTS = ("logon_types", "verdicts", "pattern")


class ScoredEdge(msgspec.Struct, frozen=True):
    """One row of the table."""

    day: dt.date
    user: str
    user_kind: str
    source: str | None
    target: str
    target_kind: str
    count: int
    failures: int
    first_seen: dt.datetime
    last_seen: dt.datetime
    logon_types: tuple[str, ...]
    surprise: float
    p_value: float
    p_is_bound: bool
    once_in_days: float
    carry_over: float
    strangeness_alone: float
    strangeness_persisted: float
    strangeness: float
    verdicts: tuple[str, ...]
    rule: str | None
    incident: str | None
    reasons: Reasons
    pattern: tuple[str, ...]

    @property
    def edge(self) -> Edge:
        return Edge(self.user, self.source, self.target, self.target_kind)

    @property
    def verdict_nats(self) -> float:
        """What verdicts add to its strangeness, below zero if they take off."""
        return reason.verdict_nats(self.reasons)


def edges(table: pd.DataFrame) -> list[ScoredEdge]:
    """The rows of a table of scored edges, in its order, as Python's own types."""
    columns = {name: _plain(table[name].tolist(), name) for name in NAMES}
    return [ScoredEdge(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _plain(values: list[Any], name: str) -> list[Any]:
    if name in ("first_seen", "last_seen"):
        return [value.to_pydatetime() if hasattr(value, "to_pydatetime") else value for value in values]
    return [tuple(value) for value in values] if name in _LISTS else values


def identities(table: pd.DataFrame) -> list[Edge]:
    """The four parts of each row."""
    return list(map(Edge, table["user"], table["source"], table["target"], table["target_kind"]))


def to_arrow(table: pd.DataFrame) -> pa.Table:
    """Scored edges in memory -> on disk."""
    reasons = [reason.to_json(value) for value in table["reasons"]]
    return pa.Table.from_pandas(table[list(NAMES)].assign(reasons=reasons), SCHEMA, preserve_index=False)


def from_arrow(stored: pa.Table, day: dt.date | None = None) -> pd.DataFrame:
    """Scored edges on disk -> in memory. day: of all of them, if it is known. Raises ValueError if the
    columns, the version or the day are not these, or a number is missing or not finite."""
    stored = _checked_form(stored)
    _check(stored, day)
    table: pd.DataFrame = stored.to_pandas()
    columns: dict[str, Any] = {"reasons": [reason.from_json(text) for text in table["reasons"]]}
    columns |= {name: [tuple(value) for value in table[name]] for name in _LISTS}
    columns |= {name: table[name].astype(object).where(table[name].notna(), None) for name in _TEXT}
    return table.assign(**columns)


def _checked_form(stored: pa.Table) -> pa.Table:
    """The table, with the columns of this version if it is of the one before."""
    found = version_of(stored, _VERSION_KEY)
    if found == _WITHOUT_BOUNDS:
        stored, found = with_false(stored, "p_is_bound", SCHEMA), VERSION
    if found != VERSION or not stored.schema.equals(SCHEMA):
        raise ValueError(f"scored edges of version {found} instead of {VERSION}")
    return stored


def _check(stored: pa.Table, day: dt.date | None) -> None:
    check_numbers(stored, _TEXT)
    p_value = stored["p_value"].to_numpy()
    if not ((0 < p_value) & (p_value <= 1)).all():
        raise ValueError("p_value has numbers outside (0, 1]")
    if day is not None and any(found != day for found in stored["day"].unique().to_pylist()):
        raise ValueError("it has edges of another day")


def steps(stored: pa.Table) -> dict[str, list[Step]]:
    """The steps of incidents, by the id of the incident, from scored edges on disk. Raises ValueError if the
    columns or the version are others."""
    stored = _checked_form(stored)
    rows = stored.filter(pc.is_valid(stored["incident"])).select(list(_OF_STEPS)).to_pylist()
    found: dict[str, list[Step]] = {}
    for row in rows:
        incident, count, failures, pattern = (row.pop(name) for name in _OF_STEPS[-4:])
        step = Step(**row, is_through=failures < count, is_new_there=reason.NEW_SOURCE in pattern)
        found.setdefault(incident, []).append(step)
    return found


def concatenated(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several days' scored edges as one table; empty, with all columns, if there are none."""
    import pandas as pd

    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(NAMES))


def once_in_days(p_value: np.ndarray[Any, Any], edges_a_day: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How often an account with so many edges a day has one of this p-value, in days. float64 [edges]"""
    days: np.ndarray[Any, Any] = 1 / (p_value * np.maximum(edges_a_day, 1.0))
    return days
