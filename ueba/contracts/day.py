"""A user's day beside the days before: each edge of it, and how usual that edge is for the user.

Times are UTC. *Like days* are the user's active days of the four weeks before that are working days if the
day is one, or weekend days if it is not. Nothing of this is stored; as JSON (schema version 1) it is a row
an edge, see `ueba.investigate.day.to_dicts`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ueba.contracts.edge import Edge

NEW, UNUSUAL, USUAL, KNOWN, MISSING = "new", "unusual", "usual", "known", "missing"
MARKS = (NEW, UNUSUAL, USUAL, KNOWN, MISSING)


@dataclass(frozen=True)
class DayEdge:
    """One edge of the day, or an edge of like days that is missing on the day: its counts are 0 and its
    times None."""

    edge: Edge
    mark: str  # of MARKS
    first_seen: dt.datetime | None
    last_seen: dt.datetime | None
    count: int  # events
    failures: int
    logon_types: tuple[str, ...]
    like_days: int  # on how many like days the user had this edge
    incident: str | None  # the id of the incident that the edge is in
    why: tuple[str, ...]  # in words, what is new or unusual


@dataclass(frozen=True)
class UserDay:
    user: str
    day: dt.date
    like_days: int  # how many there are
    edges: tuple[DayEdge, ...]  # by first time, then target; missing edges last
