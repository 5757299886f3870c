"""A scored day in numbers, among the scored days before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ueba.contracts.incident import Incident
from ueba.ingest import edges, lake
from ueba.workspace import Workspace

STRANGE_P = 0.01  # an edge with at most this p-value is counted as strange
FEW_DAYS = 3  # fewer days do not tell what is usual
MOST = 8  # recurring names of a role that are shown
REPORTED, ONLY_STRANGE, QUIET = 2, 1, 0  # the state of a name on a day
ROLES = {"user": "user", "source": "acted from", "target": "reached"}


@dataclass(frozen=True)
class DayNumbers:
    """A scored day.

    worst:   the highest score of its incidents, nats
    strange: edges with p at most STRANGE_P
    edges, active: all edges, and edges by hour, [24]; None if the day is no longer in the lake
    """

    day: dt.date
    incidents: int
    worst: float
    strange: int
    edges: int | None
    active: list[int] | None


@dataclass(frozen=True)
class Recurring:
    """A name that was in incidents of several days.

    role:   a value of ROLES
    strip:  its state on every scored day: REPORTED, ONLY_STRANGE or QUIET
    days:   on how many it was in an incident
    row:    on how many scored days in a row, up to the last of them
    strangeness, latest: its strangest edge in an incident, nats, and the id of its last incident
    """

    name: str
    role: str
    strip: list[int]
    days: int
    row: int
    strangeness: float
    latest: str

    @property
    def is_today(self) -> bool:
        return self.strip[-1] == REPORTED


def scored_edges(workspace: Workspace, first: dt.date, last: dt.date) -> dict[dt.date, list[int]]:
    """By day of the lake: the number of edges there are to score, and for each hour, how many of them had
    events in it."""

    def count(stored: ir.Table) -> ir.Table:
        pairs = stored.group_by(*edges.PAIR).aggregate(hours=stored.hours.bit_or().cast("int32"))
        active = {
            f"h{hour}": pairs.count(where=(pairs.hours & ibis.literal(1 << hour, "int32")) != 0)
            for hour in range(24)
        }
        return pairs.group_by("day").aggregate(edges=pairs.count(), **active)

    rows = lake.query(workspace.lake, first, last, count, workspace.memory_limit).to_pylist()
    return {row["day"]: [row["edges"], *(row[f"h{hour}"] for hour in range(24))] for row in rows}


def numbers(
    day: dt.date, scored: pd.DataFrame, incidents: Sequence[Incident], sizes: dict[dt.date, list[int]]
) -> DayNumbers:
    """A day in numbers. sizes: of `scored_edges`"""
    size = sizes.get(day)
    return DayNumbers(
        day=day,
        incidents=len(incidents),
        worst=max((incident.score for incident in incidents), default=0.0),
        strange=int((scored["p_value"] <= STRANGE_P).sum()),
        edges=size[0] if size else None,
        active=size[1:] if size else None,
    )


def compared(trend: Sequence[DayNumbers]) -> str:
    """One sentence on how the last day compares with those before it, by the worst score. The usual range is
    the middle half of the days before."""
    *before, today = trend
    if len(before) < FEW_DAYS:
        return "Too few days were scored before it to say what is usual."
    usual = np.median([day.worst for day in before])
    beside = (
        f"the worst incident scores {today.worst / usual:.1f} times the usual worst"
        if usual and today.worst
        else "no incident is usual"
    )
    incidents, strange = (
        np.median([getattr(day, name) for day in before]) for name in ("incidents", "strange")
    )
    return (
        f"{_verdict(before, today)}: {beside}; {today.incidents:,} incidents (usually {incidents:,.0f}),"
        f" {today.strange:,} strange edges (usually {strange:,.0f})."
    )


def _verdict(before: Sequence[DayNumbers], today: DayNumbers) -> str:
    scores = [day.worst for day in before]
    low, high = np.quantile(scores, [0.25, 0.75])
    if today.worst > max(scores):
        return f"The strangest of {len(before) + 1} scored days"
    if today.worst > high:
        return "Stranger than usual"
    if today.strange > max(day.strange for day in before):
        return "More strange edges than on any day before it"
    return "Calmer than usual" if today.worst < low else "A usual day"


def recurring(tables: dict[dt.date, pd.DataFrame]) -> list[Recurring]:
    """Names that were in incidents of several days, those of the last day first; MOST of each role."""
    rows = pd.concat([table.assign(day=day) for day, table in tables.items()], ignore_index=True)
    rows = rows[rows["incident"].notna() | (rows["p_value"] <= STRANGE_P)]
    found = []
    for column, role in ROLES.items():
        flagged = rows[rows["incident"].notna() & rows[column].notna()]
        days = flagged.groupby(column)["day"].nunique()
        groups = rows[rows[column].isin(days[days > 1].index)].groupby(column)
        names = [_recurring(str(name), role, group, [*tables]) for name, group in groups]
        names.sort(key=lambda one: (not one.is_today, -one.row, -one.days, -one.strangeness, one.name))
        found += names[:MOST]
    return found


def _recurring(name: str, role: str, rows: pd.DataFrame, days: Sequence[dt.date]) -> Recurring:
    """A name by its strange edges of all days."""
    strip = [_state(rows.loc[rows["day"] == day, "incident"]) for day in days]
    last = max(number for number, state in enumerate(strip) if state == REPORTED)
    reported = rows[rows["incident"].notna()]
    return Recurring(
        name=name,
        role=role,
        strip=strip,
        days=strip.count(REPORTED),
        row=next((back for back in range(last + 1) if strip[last - back] != REPORTED), last + 1),
        strangeness=float(reported["strangeness"].max()),
        latest=reported["incident"].iloc[-1],
    )


def _state(incidents: pd.Series) -> int:
    """The state of a name on a day, from the incidents of its strange edges."""
    return REPORTED if incidents.notna().any() else ONLY_STRANGE if len(incidents) else QUIET
