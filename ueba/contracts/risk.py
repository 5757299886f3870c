"""The risk of a user or machine over the last weeks: what was unusual about it, the older the less.

What `ueba risk` prints, and the report and the graph have. How it is worked out is `ueba.investigate.risk`.
"""

from __future__ import annotations

import datetime as dt

import msgspec

KINDS = ("user", "machine")


class RiskDay(msgspec.Struct, frozen=True):
    """A day that adds to the risk of an entity.

    share:     of the risk, 0 to 1
    unusual:   edges of the entity that chance does not explain, without those that were cleared
    edges:     all its edges of the day
    incidents: ids of the incidents that these edges are in, those below the line too
    verdict:   true if one of these incidents is called so; None if there is none
    headline:  the first reason of its strangest edge, in words
    """

    day: dt.date
    share: float
    unusual: int
    edges: int
    incidents: tuple[str, ...]
    verdict: str | None
    headline: str


class EntityRisk(msgspec.Struct, frozen=True):
    """The risk of an entity as of a day.

    kind:   user or machine
    rank:   from 1, among the entities of its kind
    risk:   of the last 30 days, 0 is nothing; the sum over days, which fade
    change: since seven days before, below 0 if it fell; None if no day so long ago has scores
    days:   that add most, the largest share first
    """

    kind: str
    name: str
    day: dt.date
    rank: int
    risk: float
    change: float | None
    days: tuple[RiskDay, ...]
