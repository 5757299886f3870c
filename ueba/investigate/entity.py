"""What is known of one user, machine or resource before a day, and why its novelties count less or more than
another's.

Everything is read from the history (`ueba.detect.past.history`), by the formulas that judge: a novelty rate is
the Beta-Binomial posterior mean with the peer group as its prior, and that a partner is new costs -log of
that rate in the cache model of `ueba.detect.look.features`; which partner it is costs the same for everybody and
is left out. With a model, the nearest entities are those whose embeddings point the same way; without, those
that share most partners (Jaccard 1901). Leaves out single events; those are in the lake and the graph.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ueba.arrays import Floats, Ints
from ueba.contracts import versions
from ueba.contracts.entity import Entity
from ueba.contracts.names import AddressLease, Identity
from ueba.detect.past.encoded import USER_KINDS
from ueba.detect.past.history import NEVER, History, date_of
from ueba.detect.past.pairs import pair_ends
from ueba.detect.score import detector
from ueba.detect.score.detector import Detector
from ueba.errors import WorkspaceError
from ueba.investigate import similar
from ueba.text import plain

LIST_COLUMNS = ("name", "kind", "breadth", "active_days", "first_seen", "last_seen")
FEW = 5  # nearest entities, usual partners
SURPRISES = (0.5, 1.0, 2.0, 4.0, 8.0)  # nats, of which p is told

# (relation, side) -> (what it is in this role, one partner). The first that an entity has is the one it is
# known by.
Role = tuple[str, int]
USER_ROLES: dict[Role, tuple[str, str]] = {
    ("user_target", 0): ("reaches", "target"),
    ("user_source", 0): ("acts from", "source"),
}
PLACE_ROLES: dict[Role, tuple[str, str]] = {
    ("user_target", 1): ("is reached by", "user"),
    ("source_target", 1): ("is reached from", "source"),
    ("user_source", 1): ("is acted from by", "user"),
    ("source_target", 0): ("leads to", "target"),
}


@dataclass(frozen=True)
class EntityContext:
    """What is known before a day.

    model:      None if there is none, or it has learned from that day or later
    identities: what the lake knows of entities beside their edges"""

    history: History
    day: dt.date
    model: Detector | None
    identities: tuple[Identity, ...] = ()

    @cached_property
    def identity_of(self) -> dict[tuple[bool, str], Identity]:
        """(whether it is a user, name) -> identity."""
        return {(each.kind == "user", each.name): each for each in self.identities}


@dataclass(frozen=True)
class EntityId:
    """An entity of the history, by its number in `users` or in `places`."""

    is_user: bool
    id: int

    @property
    def roles(self) -> dict[Role, tuple[str, str]]:
        return USER_ROLES if self.is_user else PLACE_ROLES


# --- in the history -----------------------------------------------------------------------------------------


def in_history(known: EntityContext, entities: Sequence[Entity]) -> list[EntityId]:
    """The users and places of the history that these entities are.

    Raises WorkspaceError if none was seen before the day."""
    users = dict.fromkeys(each.name for each in entities if each.kind == "user")
    places = dict.fromkeys(each.name for each in entities if each.kind != "user")
    found = [EntityId(True, int(number)) for number in known.history.users.find([*users]) if number >= 0]
    found += [EntityId(False, int(number)) for number in known.history.places.find([*places]) if number >= 0]
    if not found:
        raise WorkspaceError(
            f"{plain(entities[0].name)} was not seen before {known.day}, as far back as counts"
            " (`history.window_days`); choose a later --day"
        )
    return found


def listing(known: EntityContext) -> list[dict[str, Any]]:
    """Every entity, the broadest first, columns LIST_COLUMNS."""
    rows = []
    for is_user, names in ((True, known.history.users), (False, known.history.places)):
        roles = USER_ROLES if is_user else PLACE_ROLES
        first = _first_seen(known.history, roles)
        breadth, days, last = (_most(known.history, roles, what) for what in ("breadth", "days", "last_day"))
        kinds = _kinds(known.history, is_user)
        rows += [
            dict(
                zip(
                    LIST_COLUMNS,
                    (name, kind, int(b), round(float(d), 1), date_of(int(f)), date_of(int(until))),
                    strict=True,
                )
            )
            for name, kind, b, d, f, until in zip(names.names, kinds, breadth, days, first, last, strict=True)
            if f < NEVER
        ]
    return sorted(rows, key=lambda row: (-row["breadth"], row["name"]))


def _kinds(history: History, is_user: bool) -> list[str]:
    if is_user:
        return [f"{USER_KINDS[kind]} account" for kind in history.user_kind]
    return ["resource" if is_resource else "machine" for is_resource in history.is_resource]


def identity(known: EntityContext, entity: EntityId) -> dict[str, Any]:
    """Other names and addresses of an entity with the evidence, whether it is an administrator, and its
    attributes. JSON values."""
    name = (known.history.users if entity.is_user else known.history.places).names[entity.id]
    found = known.identity_of.get((entity.is_user, name))
    if found is None:
        return {"aliases": [], "addresses": [], "is_admin": False, "privileged_on": 0, "attributes": {}}
    return {
        "aliases": [alias._asdict() for alias in found.aliases],
        "is_admin": found.is_admin,
        "privileged_on": found.privileged_on,
        "addresses": [_lease(lease) for lease in found.addresses],
        "attributes": dict(found.attributes),
    }


def _lease(lease: AddressLease) -> dict[str, str | None]:
    """An address with its span; None where a span is open, as entity tables are for all time."""
    return {
        "address": lease.address,
        "since": lease.since.isoformat() if lease.since.year > 1900 else None,
        "until": lease.until.isoformat() if lease.until.year < 9999 else None,
        "why": lease.why,
    }


def _most(history: History, roles: dict[Role, tuple[str, str]], what: str) -> npt.NDArray[Any]:
    """The largest of a number over an entity's roles. [entities]"""
    most: npt.NDArray[Any] = np.max(
        [getattr(history.sides[relation][side], what) for relation, side in roles], axis=0
    )
    return most


def _first_seen(history: History, roles: dict[Role, tuple[str, str]]) -> Ints:
    """Day number on which each entity was first seen in any role. int64 [entities]"""
    first: Ints = np.min([history.sides[relation][side].first_day for relation, side in roles], axis=0)
    return first


# --- what is known ------------------------------------------------------------------------------------------


def describe(known: EntityContext, entity: EntityId) -> dict[str, Any]:
    """Everything that is known of an entity, JSON values only. Counts of days are decayed; `days_that_count`
    is their maximum."""
    history, number = known.history, entity.id
    roles = {
        role: words
        for role, words in entity.roles.items()
        if history.sides[role[0]][role[1]].first_day[number] < NEVER
    }
    main = next(iter(roles))
    hours, types = (
        (history.user_hours, history.user_types)
        if entity.is_user
        else (history.place_hours, history.place_types)
    )
    told = [_role(history, number, role, *words) for role, words in roles.items()]
    judged = _p_values(known, number) if entity.is_user and known.model else []
    kind = _kinds(history, entity.is_user)[number]
    return {
        "schema_version": versions.ENTITY,
        "name": (history.users if entity.is_user else history.places).names[number],
        "kind": kind,
        "before": known.day.isoformat(),
        "first_seen": date_of(int(_first_seen(history, roles)[number])).isoformat(),
        "last_seen": date_of(int(_most(history, roles, "last_day")[number])).isoformat(),
        "active_days": float(_most(history, roles, "days")[number]),
        "days_that_count": _days_that_count(history),
        "half_life_days": history.half_life_days,
        "roles": told,
        "hours_utc": _shares(hours[number]),
        "logon_types": _named_shares(history.types.names, types[number]),
        **identity(known, entity),
        "nearest_by": "embedding" if known.model else f"shared {roles[main][1]}s",
        "nearest": nearest(known, number, main),
        "p_values": judged,
        "why": [_why(role, kind) for role in told] + _why_p(judged),
    }


def _role(history: History, number: int, role: Role, verb: str, partner: str) -> dict[str, Any]:
    """An entity in one role: how broad, how often something new, beside its peers and what is typical of its
    kind."""
    relation, side = role
    table = history.sides[relation][side]
    group = history.cohorts(relation, side)
    rate, expected = history.novelty_rates(relation, side), history.new_per_day(relation, side)
    seen = table.first_day < NEVER
    peers = seen & (group == group[number])
    alike = seen & (group // 16 == group[number] // 16)  # of the same kind
    trials = float(table.trials[peers].sum())
    return {
        "role": verb,
        "partner": partner,
        "breadth": int(table.breadth[number]),
        "active_days": float(table.days[number]),
        "partners_of_days": float(table.trials[number]),
        "new_of_them": float(table.novel[number]),
        "novelty_raw": float(table.novel[number] / table.trials[number]) if table.trials[number] else None,
        "novelty": float(rate[number]),
        "novelty_of_peers": float(table.novel[peers].sum()) / trials if trials else None,
        "peers": int(peers.sum()) - 1,
        "novelty_typical": float(np.median(rate[alike])),
        "cost_of_new": float(-np.log(rate[number])),
        "cost_of_new_typical": float(-np.log(np.median(rate[alike]))),
        "new_a_day": float(expected[number]),
        "most_new": float(table.most_new[number]),
        "usual": _usual(history, number, role),
        "quarantined": _quarantined(history, number, role),
    }


def _usual(history: History, number: int, role: Role) -> list[dict[str, Any]]:
    """The partners it was with on most days."""
    relation, side = role
    pairs = history.pairs[relation]
    names = _partner_names(history, role)
    partners = pairs.ends[1 - side]
    return [
        {
            "name": names[partners[row]],
            "days": float(pairs.count[row]),
            "last_seen": date_of(int(pairs.last_day[row])).isoformat(),
        }
        for row in pairs.commonest(side, number, FEW)
    ]


def _quarantined(history: History, number: int, role: Role) -> list[str]:
    """Partners that it met once, in a strange edge, and that are news until they come again."""
    relation, side = role
    ends = pair_ends(history.pairs[relation].quarantined)
    return sorted(_partner_names(history, role)[partner] for partner in ends[1 - side][ends[side] == number])


def _partner_names(history: History, role: Role) -> list[str]:
    relation, side = role
    return (history.users if relation.startswith("user") and side == 1 else history.places).names


def _days_that_count(history: History) -> float:
    """Decayed number of days that were learned: the most active days anybody can have."""
    days = {dt.date.fromisoformat(batch.split("/")[0]) for batch in history.batches}
    return float(
        sum(0.5 ** ((date_of(history.last_day) - day).days / history.half_life_days) for day in days)
    )


def _shares(counts: Floats) -> list[float]:
    total = float(counts.sum())
    return [round(float(count) / total, 4) if total else 0.0 for count in counts]


def _named_shares(names: list[str], counts: Floats) -> dict[str, float]:
    """Shares above zero by name, largest first."""
    shares = dict(zip(names, _shares(counts), strict=False))
    return {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 0}


# --- who is alike -------------------------------------------------------------------------------------------


def nearest(known: EntityContext, number: int, role: Role) -> list[dict[str, Any]]:
    """The entities most like one, with their similarity in [-1, 1] and how many partners they share."""
    relation, side = role
    history = known.history
    shared = shared_partners(history, number, role)
    breadth = history.sides[relation][side].breadth
    names = history.users if relation.startswith("user") and side == 0 else history.places
    if known.model is None:
        jaccard = shared / np.maximum(breadth + breadth[number] - shared, 1)
        jaccard[number] = 0
        best = np.argsort(-jaccard, kind="stable")[: min(FEW, np.count_nonzero(jaccard))]
        similarity = jaccard[best]
    else:
        name = relation.split("_")[side]
        direction = similar.directions(known.model, history)[name]
        [best], [similarity] = similar.nearest(
            direction, similar.seen(history, name), np.array([number]), FEW
        )
    return [
        {
            "name": names.names[each],
            "similarity": float(how),
            "shared": int(shared[each]),
            "breadth": int(breadth[each]),
        }
        for each, how in zip(best, similarity, strict=True)
        if each >= 0
    ]


def shared_partners(history: History, number: int, role: Role) -> Floats:
    """How many of an entity's partners every other has met too. [entities]"""
    relation, side = role
    both = history.pairs[relation].ends
    mine = both[1 - side][both[side] == number]
    met = np.isin(both[1 - side], mine)
    return np.bincount(both[side][met], minlength=history.sizes(relation)[side]).astype(np.float32)


# --- why ----------------------------------------------------------------------------------------------------


def _why(role: dict[str, Any], kind: str) -> str:
    """How much a new partner counts in a role, in numbers."""
    less = role["cost_of_new_typical"] - role["cost_of_new"]
    counts = (
        f"counts {abs(less):.1f} nats {'less' if less > 0 else 'more'}"
        if abs(less) >= 0.05
        else "counts the same"
    )
    raw = f"{role['novelty_raw']:.1%}" if role["novelty_raw"] is not None else "none"
    peers = (
        f"; its {role['peers']} peers': {role['novelty_of_peers']:.1%}"
        if role["peers"] and role["novelty_of_peers"]
        else ""
    )
    shrunk = f"shrunk to its peers: {role['novelty']:.1%}; typical: {role['novelty_typical']:.1%}"
    return (
        f"that it {role['role']} a new {role['partner']} costs {role['cost_of_new']:.1f} nats, for a typical {kind}"
        f" {role['cost_of_new_typical']:.1f}: it {counts}. New on a day: {role['new_of_them']:.1f} of"
        f" {role['partners_of_days']:.1f} {role['partner']}s ({raw}{peers}; {shrunk})"
    )


def _p_values(known: EntityContext, number: int) -> list[dict[str, float]]:
    """What p some surprises have for users as broad as this one, and for typical ones of its kind."""
    assert known.model
    table, kind = known.history.sides["user_target"][0], known.history.user_kind
    alike = np.flatnonzero((table.first_day < NEVER) & (kind == kind[number]))
    typical = alike[np.argsort(table.breadth[alike], kind="stable")[len(alike) // 2]]
    broad = detector.breadth_rank(known.history, np.array([number, typical]))
    surprise = np.array(SURPRISES)
    mine, theirs = (
        known.model.calibration.p_values(np.full(len(surprise), each), surprise) for each in broad
    )
    return [
        {
            "surprise": float(s),
            "p_value": float(p),
            "p_value_typical": float(q),
            "breadth_typical": float(table.breadth[typical]),
        }
        for s, p, q in zip(surprise, mine, theirs, strict=True)
    ]


def _why_p(judged: list[dict[str, float]]) -> list[str]:
    """The first surprise that is rare for a typical user."""
    rare = next((row for row in judged if row["p_value_typical"] <= 0.01), None)
    if rare is None:
        return []
    return [
        f"a surprise of {rare['surprise']:g} nats has p {rare['p_value']:.2g} among users as broad as this one,"
        f" {rare['p_value_typical']:.2g} among typical ones of its kind ({rare['breadth_typical']:.0f} targets)"
    ]
