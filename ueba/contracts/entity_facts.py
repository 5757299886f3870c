"""What the history knows of one entity before a day, as `ueba entity NAME` prints it.

Counts of days are decayed: a day counts half after `half_life_days`. Costs and surprises are nats. Nothing of
this is stored. Leaves out how it is found; that is `ueba.investigate.entity`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ueba.contracts import versions
from ueba.contracts.names import AddressLease, Alias
from ueba.contracts.standing import Standing


class UsualPartner(NamedTuple):
    """A partner that an entity was often with."""

    name: str
    days: float  # decayed
    last_seen: dt.date


class SharedPartner(NamedTuple):
    """A partner that two entities have in common."""

    name: str
    known_by: int  # how many entities met it, these two among them


class NearEntity(NamedTuple):
    """An entity that is like another one."""

    name: str
    similarity: float  # cosine, in (0, 1]
    shared: int  # partners that both met
    breadth: int  # partners that it met
    rests_on: tuple[SharedPartner, ...]  # of the shared ones those that weigh most, as fewest met them

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "rests_on": [partner._asdict() for partner in self.rests_on]}


class PValueRow(NamedTuple):
    """What p-value an edge of a surprise has, by how broad its user is."""

    surprise: float  # nats
    p_value: float  # among users as broad as this one
    p_value_typical: float  # among users as broad as the typical one of its kind
    breadth_typical: float  # targets of that typical user
    p_is_bound: bool = False  # whether scores carry no smaller p_value
    p_typical_is_bound: bool = False


@dataclass(frozen=True)
class RoleFacts:
    """An entity in one role, beside its cohort and what is typical of its kind.

    role, partner:      what it does and with whom, for example reaches, target
    partners_of_days:   the sum over its days of distinct partners, the first day left out
    new_of_them:        of these, the new ones
    novelty_raw:        new_of_them / partners_of_days, None without any
    novelty:            the novelty rate that scores use: shrunk to the cohort
    novelty_of_peers:   the raw rate of its cohort, None without any
    peers:              how many others its cohort has
    novelty_typical:    median of the rates of its kind
    cost_of_new:        nats, what a new partner costs it; cost_of_new_typical: at the typical rate
    new_a_day:          expected new partners on an active day; most_new: the most it had in a day
    quarantined:        names of partners met once, in a strange edge
    """

    role: str
    partner: str
    breadth: int
    active_days: float
    partners_of_days: float
    new_of_them: float
    novelty_raw: float | None
    novelty: float
    novelty_of_peers: float | None
    peers: int
    novelty_typical: float
    cost_of_new: float
    cost_of_new_typical: float
    new_a_day: float
    most_new: float
    usual: tuple[UsualPartner, ...]
    quarantined: tuple[str, ...]


@dataclass(frozen=True)
class EntityFacts:
    """One entity before a day.

    kind:            for example human account, machine, resource
    active_days:     decayed; days_that_count is the most that anybody can have
    roles:           the first is the main one
    hours_utc:       shares of its activity, [24]
    logon_types:     share of its activity by logon type, the largest first; empty for resources
    privileged_on:   machines on which it was seen with administrator rights
    standing:        what the organisation says of it: crown jewel, honey, last day, maintenance
    nearest_by:      what `nearest` compares: shared targets of a user, shared users of a place
    p_values:        of users, if there is a model
    why:             sentences, why its novelties count less or more than a typical entity's
    """

    name: str
    kind: str
    before: dt.date
    first_seen: dt.date
    last_seen: dt.date
    active_days: float
    days_that_count: float
    half_life_days: float
    roles: tuple[RoleFacts, ...]
    hours_utc: tuple[float, ...]
    logon_types: Mapping[str, float]
    aliases: tuple[Alias, ...]
    is_admin: bool
    privileged_on: int
    addresses: tuple[AddressLease, ...]
    attributes: Mapping[str, str]
    standing: Standing
    nearest_by: str
    nearest: tuple[NearEntity, ...]
    p_values: tuple[PValueRow, ...]
    why: tuple[str, ...]

    @property
    def what(self) -> str:
        """user, machine or resource"""
        return self.kind if self.kind in ("machine", "resource") else "user"

    def to_json(self) -> dict[str, Any]:
        """The facts as a record; its days are texts."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            "schema_version": versions.ENTITY,
            **fields,
            **{name: fields[name].isoformat() for name in ("before", "first_seen", "last_seen")},
            "roles": [_role_json(role) for role in self.roles],
            "hours_utc": list(self.hours_utc),
            "logon_types": dict(self.logon_types),
            "aliases": [alias._asdict() for alias in self.aliases],
            "addresses": [address_json(lease) for lease in self.addresses],
            "attributes": dict(self.attributes),
            "standing": standing_json(self.standing),
            "nearest": [near.to_json() for near in self.nearest],
            "p_values": [row._asdict() for row in self.p_values],
            "why": list(self.why),
        }


def _role_json(role: RoleFacts) -> dict[str, Any]:
    usual = [{**partner._asdict(), "last_seen": partner.last_seen.isoformat()} for partner in role.usual]
    return {**asdict(role), "usual": usual, "quarantined": list(role.quarantined)}


def standing_json(standing: Standing) -> dict[str, Any]:
    """All that may be said of an entity; false and null where nothing is."""
    return {
        "crown_jewel": bool(standing.crown_jewel),
        "honey": bool(standing.honey),
        "left": standing.last_day.isoformat() if standing.last_day else None,
        "maintenance": [
            {"since": window.since.isoformat(), "until": window.until.isoformat()}
            for window in standing.maintenance
        ],
    }


def address_json(lease: AddressLease) -> dict[str, str | None]:
    """An address with its span; None where a span is open, as entity tables are for all time."""
    return {
        "address": lease.address,
        "since": lease.since.isoformat() if lease.since.year > 1900 else None,
        "until": lease.until.isoformat() if lease.until.year < 9999 else None,
        "why": lease.why,
    }
