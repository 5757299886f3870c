"""A case: incidents of one day or several that go on from one another, as one attack would.

Nothing of a case is kept: cases follow from the findings of all scored days, so that a day that is scored
again, or late, gives the same cases as if all had come in order. A case has the id of its earliest incident,
and keeps it while later incidents join. Two cases that an incident joins are one from then on, under the id
of the earlier; the id of the other, like that of any incident in it, still leads there. Leaves out who is
linked and why (`ueba.detect.cases`).
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import msgspec

PREFIX = "case-"  # of an id, before the id of the earliest incident


class Step(NamedTuple):
    """What a case is made from: an edge of an incident.

    first_seen, last_seen: UTC
    is_through: whether an attempt succeeded
    is_new_there: whether the user never acted from the source before
    strangeness: nats, see `ueba.contracts.scored`
    """

    user: str
    source: str | None
    target: str
    target_kind: str
    first_seen: dt.datetime
    last_seen: dt.datetime
    is_through: bool
    is_new_there: bool
    strangeness: float


class _Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of all links: from an incident to the one that it goes on from, both by id."""

    incident: str
    goes_on_from: str


class SameUser(_Link, frozen=True, tag="same_user"):
    """The account was in both."""

    user: str

    @property
    def by(self) -> str:
        """The account or machine that leads from one to the other."""
        return self.user


class SameMachine(_Link, frozen=True, tag="same_machine"):
    """Both were acted from the machine, in the later one by an account that was new there."""

    machine: str

    @property
    def by(self) -> str:
        return self.machine


class Pivot(_Link, frozen=True, tag="pivot"):
    """The earlier incident reached a machine, and the later one was acted from it.

    reached_by, reached_at: the account and when, UTC
    user, acted_at:         who acted from the machine afterwards, and when first, UTC
    """

    machine: str
    reached_by: str
    reached_at: dt.datetime
    user: str
    acted_at: dt.datetime

    @property
    def by(self) -> str:
        return self.machine


Link = SameUser | SameMachine | Pivot


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case; an incident that goes on from no other, and none from it, is a case of its own.

    id:        case-<id of its earliest incident>
    score:     nats, of its incidents as an incident's is of its edges
    incidents: ids, in order of time
    users, machines, resources: names, sorted; machines are sources and targets
    links:     in order of time, those of an incident together
    """

    id: str
    first_day: dt.date
    last_day: dt.date
    score: float
    incidents: tuple[str, ...]
    users: tuple[str, ...]
    machines: tuple[str, ...]
    resources: tuple[str, ...]
    links: tuple[Link, ...]

    def links_of(self, incident: str) -> tuple[Link, ...]:
        """The links from an incident to others and from others to it."""
        return tuple(link for link in self.links if incident in (link.incident, link.goes_on_from))
