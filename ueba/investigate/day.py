"""A user's day beside the user's normal day.

The normal day is counted and not modelled, so that anybody can count it again: the *like days* are the days
of the four weeks before on which the user was active, working days for a working day, Saturdays and Sundays
for a weekend day. Each edge of the day has a mark:

    new       the user never reached this target from this source before, as far back as the lake goes; `why`
              says which part of it is new
    unusual   not new, but on fewer than one in five like days, or at hours or by logon types that the like
              days do not have, or among the strangest edges when the day was scored
    usual     every other edge
    known     the same where there are too few like days to say what is usual
    missing   not on this day, but on at least half of the like days; needs three like days

The comparison of two days is LogonTracer's idea. Leaves out what other users did; that is in the graph
(`ueba ask`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ueba import findings, words
from ueba.contracts import versions
from ueba.contracts.day import KNOWN, MARKS, MISSING, NEW, UNUSUAL, USUAL, DayEdge, UserDay
from ueba.contracts.drawing import Drawing, Line
from ueba.contracts.edge import Edge
from ueba.contracts.entity import Entity
from ueba.contracts.incident import STRANGE_P
from ueba.contracts.scored import identities
from ueba.errors import WorkspaceError
from ueba.ingest import edges as lake_edges
from ueba.ingest import lake
from ueba.investigate.names import EntityIndex
from ueba.tables import records
from ueba.workspace import Workspace

WINDOW = dt.timedelta(days=28)
RARE = 0.2  # an edge of less than this share of the like days is unusual
OFTEN = 0.5  # an edge of at least this share of the like days is missing if it is not on the day
LEAST_DAYS = 3  # like days, before anything is rare or missing


def day_of(workspace: Workspace, name: str, day: dt.date) -> UserDay:
    """The day of the user that a name means. Raises WorkspaceError if there is no such user or
    day."""
    days = lake.days(workspace.lake)
    if day not in days:
        available = f"days from {days[0]} to {days[-1]}" if days else "no days yet"
        raise WorkspaceError(f"the lake holds no edges of {day}; it has {available}")
    user = EntityIndex.of_workspace(workspace).find(name, ["user"])[0].name
    table = _edges_of(workspace, user, days[0], day)
    today, before = table[table["day"] == day], table[table["day"] < day]
    like = before[np.array([_is_like(earlier, day) for earlier in before["day"]], bool)]
    past = Past.of(before, like)
    strange = _strange(workspace, user, day)
    rows = [_day_edge(row, past, strange) for row in records(today)]
    rows.sort(key=lambda row: (row.first_seen, row.edge.target))
    return UserDay(user, day, past.like_days, (*rows, *_missing(like, {*today["edge"]}, past)))


def is_weekend(day: dt.date) -> bool:
    return day.weekday() >= 5


def _is_like(earlier: dt.date, day: dt.date) -> bool:
    return earlier >= day - WINDOW and is_weekend(earlier) == is_weekend(day)


def _edges_of(workspace: Workspace, user: str, first: dt.date, last: dt.date) -> pd.DataFrame:
    """The user's daily edges, by day; `edge` is the Edge of each."""

    def of_user(stored: ir.Table) -> ir.Table:
        return lake_edges.pairs(stored.filter(stored.user == user))

    found = lake.query(workspace.lake, first, last, of_user, workspace.memory_limit)
    table = found.to_pandas().astype({"source": object})
    table["source"] = table["source"].where(table["source"].notna(), None)
    table["edge"] = identities(table)
    edges: pd.DataFrame = table
    return edges


class _Strange(NamedTuple):
    """How often an edge as strange is (once in N days), whether that is a bound, and its incident."""

    once_in_days: float
    is_bound: bool
    incident: str | None


def _strange(workspace: Workspace, user: str, day: dt.date) -> dict[Edge, _Strange]:
    """The user's strange edges, if the day was scored."""
    if day not in findings.scored_days(workspace.findings):
        return {}
    table = findings.load_edges(workspace.findings, day)
    strange = table[(table["user"] == user) & (table["p_value"] <= STRANGE_P)]
    columns = (strange[name] for name in ("once_in_days", "p_is_bound", "incident"))
    return dict(zip(identities(strange), map(_Strange, *columns), strict=True))


# --- the user's past ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """What a user did before a day."""

    edges: Set[Edge]  # of all days before, like targets and sources
    targets: Set[Entity]
    sources: Set[str]
    like_days: int  # number of like days
    often: Mapping[Edge, int]  # edge -> like days on which it was
    hours: int  # bit set of the hours in which the user was active on like days
    types: Set[str]  # logon types of the like days

    @classmethod
    def of(cls, before: pd.DataFrame, like: pd.DataFrame) -> Past:
        """before: the user's edges before the day; like: those of the like days; both by day"""
        return cls(
            edges={*before["edge"]},
            targets={Entity(edge.target_kind, edge.target) for edge in before["edge"]},
            sources={edge.source for edge in before["edge"] if edge.source is not None},
            like_days=like["day"].nunique(),
            often=Counter(like["edge"]),  # an edge has one row a day
            hours=int(np.bitwise_or.reduce(like["hours"].to_numpy(np.int64))),
            types={name for types in like["logon_types"] for name in types},
        )


def _day_edge(row: Mapping[str, Any], past: Past, strange: Mapping[Edge, _Strange]) -> DayEdge:
    """An edge of the day. row: see `_edges_of`"""
    edge = row["edge"]
    new = [] if edge in past.edges else [_what_is_new(edge, past)]
    unusual = _what_is_unusual(row, past)
    scored = strange.get(edge)
    if scored is not None:
        rare = words.once_in(scored.once_in_days, scored.is_bound)
        unusual.append(f"one of the strangest of the day ({rare})")
    usual = USUAL if past.like_days >= LEAST_DAYS else KNOWN
    return DayEdge(
        edge=edge,
        mark=NEW if new else UNUSUAL if unusual else usual,
        first_seen=row["first_seen"].to_pydatetime(),
        last_seen=row["last_seen"].to_pydatetime(),
        count=int(row["count"]),
        failures=int(row["failures"]),
        logon_types=tuple(row["logon_types"]),
        like_days=past.often.get(edge, 0),
        incident=scored.incident if scored else None,
        why=(*new, *unusual),
    )


def _what_is_new(edge: Edge, past: Past) -> str:
    """The part of an edge that is new, in words."""
    knows_source = edge.source is None or edge.source in past.sources
    if Entity(edge.target_kind, edge.target) not in past.targets:
        return "never reached before" if knows_source else "never reached before, and never acted from there"
    return "reached before, but not from there" if knows_source else "never acted from there before"


def _what_is_unusual(row: Mapping[str, Any], past: Past) -> list[str]:
    if past.like_days < LEAST_DAYS:
        return []
    often = past.often.get(row["edge"], 0)
    is_rare = row["edge"] in past.edges and often < RARE * past.like_days
    facts = [f"on {often} of {past.like_days} like days"] if is_rare else []
    hours = [str(hour) for hour in range(24) if row["hours"] >> hour & 1 and not past.hours >> hour & 1]
    facts += [f"never active at {', '.join(hours)} h on like days"] if hours else []
    types = [name for name in row["logon_types"] if name not in past.types]
    facts += [f"no {', '.join(types)} logon on like days"] if types else []
    return facts


def _missing(like: pd.DataFrame, today: Set[Edge], past: Past) -> list[DayEdge]:
    """The edges that are on at least half of the like days and not on the day, by source and target."""
    if past.like_days < LEAST_DAYS:
        return []
    often = {edge for edge, days in past.often.items() if days >= OFTEN * past.like_days}
    last_day = dict(zip(like["edge"], like["day"], strict=True))
    missing = sorted(often - today, key=lambda edge: (edge.source or "", *edge[2:]))
    nothing = (None, None, 0, 0, ())
    return [
        DayEdge(edge, MISSING, *nothing, past.often[edge], None, (f"last on {last_day[edge]}",))
        for edge in missing
    ]


# --- as text, JSON and a drawing ----------------------------------------------------------------------------


def sentence(found: UserDay) -> str:
    """The day in one sentence."""
    marks = Counter(row.mark for row in found.edges)
    counts = ", ".join(f"{marks[mark]} {mark}" for mark in MARKS if marks[mark]) or "nothing"
    kind = ("weekend" if is_weekend(found.day) else "working") + (" day" if found.like_days == 1 else " days")
    beside = f"beside {found.like_days} {kind} of the four weeks before on which it was active"
    return f"{found.user} on {found.day}: {counts}; {beside}"


def to_dicts(found: UserDay) -> list[dict[str, Any]]:
    """A row an edge, JSON values only."""
    day = {"schema_version": versions.USER_DAY, "user": found.user, "day": found.day.isoformat()}
    return [{**day, **_to_dict(row, found.like_days)} for row in found.edges]


def _to_dict(row: DayEdge, like_days: int) -> dict[str, Any]:
    return {
        "mark": row.mark,
        "source": row.edge.source,
        "target": row.edge.target,
        "target_kind": row.edge.target_kind,
        "first_seen": row.first_seen.isoformat() if row.first_seen else None,
        "last_seen": row.last_seen.isoformat() if row.last_seen else None,
        "count": row.count,
        "failures": row.failures,
        "logon_types": [*row.logon_types],
        "days": f"{row.like_days} of {like_days}",
        "incident": row.incident,
        "why": "; ".join(row.why),
    }


def to_drawing(found: UserDay) -> Drawing:
    """The user, the machines acted from, and what was reached."""
    drawing, user = Drawing(), Entity("user", found.user)
    drawing.add(user)
    connected: set[Entity] = set()  # machines and resources with a line from the user
    for row in found.edges:
        start = user
        if row.edge.source is not None:
            start = Entity("machine", row.edge.source)
            drawing.add(start)
            if start not in connected:
                meaning = f"{found.user} acted from {start.name}"
                drawing.lines.append(Line(user, start, "USED", row.mark, meaning))
                connected.add(start)
        end = Entity(row.edge.target_kind, row.edge.target)
        drawing.add(end)
        drawing.lines.append(Line(start, end, "REACHED", row.mark, _meaning(row)))
    return drawing


def _meaning(row: DayEdge) -> str:
    when = f"{row.first_seen:%H:%M:%S}, {row.count} events" if row.first_seen else "not on this day"
    return f"{row.mark}: {when}; {'; '.join(row.why)}"
