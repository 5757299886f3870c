"""A user's day as a graph, beside the user's normal day.

The normal day is counted and not modelled, so that anybody can count it again: the *like days* are those of
the four weeks before on which the user was active, working days for a working day, Saturdays and Sundays for
a weekend. Each edge of the day has a mark:

    new       the user never reached this target from this source before, as far back as the lake goes; `why` says what of it is new
    unusual   known, but on fewer than one in five of the like days, or at hours or in a way that the like days do not have, or
              among the strangest edges when the day was scored
    usual     the rest
    known     the same where there are too few like days to say what is usual
    missing   not on this day, but on at least half of the like days, of which there must be three

Idea of the two-day diff: LogonTracer's. Leaves out what others did; that is the graph (`ueba ask`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import networkx as nx
import numpy as np
import pandas as pd

from ueba import findings
from ueba.contracts.incident import STRANGE_P
from ueba.errors import WorkspaceError
from ueba.ingest import edges, lake
from ueba.investigate.picture import add_node
from ueba.tables import records
from ueba.text import plain
from ueba.workspace import Workspace

SCHEMA_VERSION = 1
WINDOW = dt.timedelta(days=28)
RARE = 0.2  # share of the like days, below which an edge is unusual
OFTEN = 0.5  # from which on an edge that is not there is missing
LEAST_DAYS = 3  # like days, before anything is rare or missing


@dataclass(frozen=True)
class UserDay:
    """like_days: how many the normal day is made of; rows: in the order of time, missing last, JSON values
    only."""

    user: str
    day: dt.date
    like_days: int
    rows: list[dict[str, Any]]


def day_of(workspace: Workspace, name: str, day: dt.date) -> UserDay:
    """A day of a user, who may be spelt otherwise. Raises WorkspaceError if there is no such user or day."""
    days = lake.days(workspace.lake)
    if day not in days:
        held = f"days from {days[0]} to {days[-1]}" if days else "no days yet"
        raise WorkspaceError(f"the lake holds no edges of {day}; it has {held}")
    user = user_of(workspace, name, days)

    def mine(stored: ir.Table) -> ir.Table:
        return edges.pairs(stored.filter(stored.user == user))

    table = lake.query(workspace.lake, days[0], day, mine, "1GB").to_pandas().astype({"source": object})
    table["source"] = table["source"].where(table["source"].notna(), None)
    table["place"] = list(zip(table["source"].fillna(""), table["target"], strict=True))
    today, before = table[table["day"] == day], table[table["day"] < day]
    alike = np.array(
        [each >= day - WINDOW and is_weekend(each) == is_weekend(day) for each in before["day"]], bool
    )
    like = before[alike]
    known = Known.of(before, like)
    strange = _strange(workspace, user, day)
    rows = [_row(edge, known, strange) for edge in records(today)]
    rows.sort(key=lambda row: (row["first_seen"], row["target"]))
    if known.like_days >= LEAST_DAYS:
        there = set(today["place"])
        often = {place for place, days_there in known.often.items() if days_there >= OFTEN * known.like_days}
        last = (
            like[like["place"].isin(often - there)].drop_duplicates("place", keep="last").sort_values("place")
        )
        rows += [_missing(edge, known) for edge in records(last)]
    return UserDay(user, day, known.like_days, rows)


@dataclass(frozen=True)
class Known:
    """What is known of a user before a day. places (source and target), targets, sources: of all days
    before; of the like days: how many there are, on how many of them each place was (`often`), active hours
    as a bit set, and logon types."""

    places: Set[tuple[str, str]]
    targets: Set[str]
    sources: Set[str]
    like_days: int
    often: Mapping[tuple[str, str], int]
    hours: int
    types: Set[str]

    @classmethod
    def of(cls, before: pd.DataFrame, like: pd.DataFrame) -> Known:
        """From the user's edges before the day, and those of the like days, by day."""
        return cls(
            places=set(before["place"]),
            targets=set(before["target"]),
            sources=set(before["source"].dropna()),
            like_days=like["day"].nunique(),
            often=like.groupby("place")["day"].nunique().to_dict(),  # type: ignore[arg-type]
            hours=int(np.bitwise_or.reduce(like["hours"].to_numpy(np.int64))),
            types={each for some in like["logon_types"] for each in some},
        )


def user_of(workspace: Workspace, name: str, days: list[dt.date]) -> str:
    """The user that a name stands for. Raises WorkspaceError with close names."""
    from ueba.investigate import entity

    def users(stored: ir.Table) -> ir.Table:
        return stored.select("user").distinct()

    names = lake.query(workspace.lake, days[0], days[-1], users, "1GB")["user"].to_pylist()
    return entity.user_called(name, names, lake.read_entities(workspace.lake))


def is_weekend(day: dt.date) -> bool:
    return day.weekday() >= 5


def _strange(workspace: Workspace, user: str, day: dt.date) -> dict[tuple[str, str], dict[str, Any]]:
    """The user's strange edges, if the day was scored."""
    if day not in findings.scored_days(workspace.findings):
        return {}
    table = findings.load_edges(workspace.findings, day)
    mine = table[(table["user"] == user) & (table["p_value"] <= STRANGE_P)]
    return {(edge["source"] or "", edge["target"]): edge for edge in records(mine)}


def _row(
    edge: dict[str, Any], known: Known, strange: Mapping[tuple[str, str], dict[str, Any]]
) -> dict[str, Any]:
    new = [] if edge["place"] in known.places else [_first(edge, known)]
    odd = _odd(edge, known)
    judged = strange.get(edge["place"])
    if judged is not None:
        odd.append(f"one of the strangest of the day (p {judged['p_value']:.2g})")
    usual = "usual" if known.like_days >= LEAST_DAYS else "known"
    return {
        "mark": "new" if new else "unusual" if odd else usual,
        "source": edge["source"],
        "target": edge["target"],
        "target_kind": edge["target_kind"],
        "first_seen": edge["first_seen"].isoformat(),
        "last_seen": edge["last_seen"].isoformat(),
        "count": int(edge["count"]),
        "failures": int(edge["failures"]),
        "logon_types": list(edge["logon_types"]),
        "days": _days(edge, known),
        "incident": judged["incident"] if judged is not None else None,
        "why": "; ".join([*new, *odd]),
    }


def _days(edge: dict[str, Any], known: Known) -> str:
    return f"{known.often.get(edge['place'], 0)} of {known.like_days}"


def _first(edge: dict[str, Any], known: Known) -> str:
    """What of an edge that never was is new."""
    knows_source = edge["source"] is None or edge["source"] in known.sources
    if edge["target"] not in known.targets:
        return "never reached before" if knows_source else "never reached before, and never acted from there"
    return "reached before, but not from there" if knows_source else "never acted from there before"


def _odd(edge: dict[str, Any], known: Known) -> list[str]:
    if known.like_days < LEAST_DAYS:
        return []
    often = known.often.get(edge["place"], 0)
    is_rare = edge["place"] in known.places and often < RARE * known.like_days
    said = [f"on {often} of {known.like_days} like days"] if is_rare else []
    hours = [hour for hour in range(24) if edge["hours"] >> hour & 1 and not known.hours >> hour & 1]
    said += [f"never active at {', '.join(map(str, hours))} h on like days"] if hours else []
    types = [each for each in edge["logon_types"] if each not in known.types]
    said += [f"no {', '.join(types)} logon on like days"] if types else []
    return said


def _missing(edge: dict[str, Any], known: Known) -> dict[str, Any]:
    return {
        "mark": "missing",
        "source": edge["source"],
        "target": edge["target"],
        "target_kind": edge["target_kind"],
        "first_seen": None,
        "last_seen": None,
        "count": 0,
        "failures": 0,
        "logon_types": [],
        "days": _days(edge, known),
        "incident": None,
        "why": f"last on {edge['day']}",
    }


def sentence(found: UserDay) -> str:
    """The day in one sentence."""
    counts = {
        mark: sum(row["mark"] == mark for row in found.rows)
        for mark in ("new", "unusual", "usual", "known", "missing")
    }
    told = ", ".join(f"{count} {mark}" for mark, count in counts.items() if count) or "nothing"
    kind = ("weekend" if is_weekend(found.day) else "working") + (" day" if found.like_days == 1 else " days")
    return f"{found.user} on {found.day}: {told}; beside {found.like_days} {kind} of the four weeks before on which it was active"


def to_graph(found: UserDay) -> nx.MultiDiGraph:
    """The user, the machines acted from, and what was reached; see `picture`."""
    graph = nx.MultiDiGraph()
    user = add_node(graph, "user", found.user)
    for row in found.rows:
        start = user
        if row["source"] is not None:
            start = add_node(graph, "machine", row["source"])
            if not graph.has_edge(user, start):
                graph.add_edge(
                    user,
                    start,
                    type="USED",
                    mark=row["mark"],
                    said=plain(f"{found.user} acted from {row['source']}"),
                )
        end = add_node(graph, row["target_kind"], row["target"])
        when = (
            f"{row['first_seen'][11:19]}, {row['count']} events" if row["first_seen"] else "not on this day"
        )
        graph.add_edge(
            start, end, type="REACHED", mark=row["mark"], said=plain(f"{row['mark']}: {when}; {row['why']}")
        )
    return graph
