"""The perimeter: what the attacker's accounts, machines and addresses can have touched, and how certain that
is.

All times are UTC. `event` is the place of a record in the log, "file:line". Nothing of this is stored: it is
drawn up from the lake each time, and printed as JSON (schema version 1, see
`ueba.investigate.perimeter.forms`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ueba.contracts.entity import Entity

CONFIRMED, POSSIBLE = "confirmed", "possible"  # the classes of what is reached


@dataclass(frozen=True)
class ReachedEntity:
    """An entity that a chain of events reaches, with the last event of the chain that arrives first."""

    entity: Entity
    certainty: str  # CONFIRMED or POSSIBLE
    hops: int  # the fewest events of any chain; may be of another chain than the rest of the row
    at: dt.datetime  # the time of the event
    via_user: str  # the account of the event
    start: Entity  # where the event came from; the account if the log does not name a source
    event: str
    incident: str | None  # the id of the incident that the event's edge is in


@dataclass(frozen=True)
class Contact:
    """Events in which an indicator appears, attempts included."""

    indicator: str
    user: str
    source: str | None
    target: str
    target_kind: str
    source_ip: str | None
    outcome: str | None
    first: dt.datetime
    last: dt.datetime
    events: int
    event: str  # the first of them


@dataclass(frozen=True)
class Exposure:
    """An account whose credentials could have been taken on a reached machine."""

    machine: str
    account: str
    at: dt.datetime  # of the first event that exposes it
    event: str


@dataclass(frozen=True)
class Touch:
    """What was done in a resource by events of a chain."""

    certainty: str  # CONFIRMED if an event of an incident or a contact did it
    target: str
    detail: str | None  # the file, mailbox folder or rule
    action: str | None
    code: str | None
    user: str
    first: dt.datetime
    last: dt.datetime
    events: int
    event: str  # the first of them


@dataclass(frozen=True)
class Perimeter:
    """since, until: the time that was looked at, both ends included."""

    since: dt.datetime
    until: dt.datetime
    origins: tuple[Entity, ...]  # where it begins, as far as events of that time have to do with it
    unknown: tuple[str, ...]  # indicators that no event of that time has to do with
    contacts: tuple[Contact, ...]
    reached: tuple[ReachedEntity, ...]  # confirmed first, then by hops, time and name
    exposed: tuple[Exposure, ...]  # by time
    touched: tuple[Touch, ...]
    not_reached: tuple[Entity, ...]  # all other entities of that time
