"""What the history knows of one user, machine or resource before a day, and why its novelties count less or
more than another's.

Everything is read from the history (`ueba.detect.past.history`) by the formulas that scoring uses. A novelty
rate is the Beta-Binomial posterior mean with the cohort as its prior. In the cache model of
`ueba.detect.look.features` a new partner costs -log of that rate, plus a part that is the same for every
entity and is left out here. The nearest entities come from `ueba.detect.look.neighbours`. Leaves out single
events; those are in the lake and the graph.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ueba import words
from ueba.arrays import Floats, Ints
from ueba.contracts.entity import Entity
from ueba.contracts.entity_facts import (
    EntityFacts,
    NearEntity,
    PValueRow,
    RoleFacts,
    SharedPartner,
    UsualPartner,
)
from ueba.contracts.names import Identity, RowKind
from ueba.detect.look import neighbours
from ueba.detect.look.neighbours import Alike
from ueba.detect.past.encoded import USER_KINDS
from ueba.detect.past.history import NEVER, History, date_of
from ueba.detect.past.pairs import pair_ends
from ueba.detect.score import detector
from ueba.detect.score.detector import Detector
from ueba.errors import WorkspaceError
from ueba.investigate.names import forms
from ueba.spelling import lowered
from ueba.text import plain

LIST_COLUMNS = ("name", "kind", "breadth", "active_days", "first_seen", "last_seen")
FEW = 5  # nearest entities, usual partners
SURPRISES = (0.5, 1.0, 2.0, 4.0, 8.0)  # nats, whose p-values are looked up


class RoleWords(NamedTuple):
    """A role in words: what the entity does with a partner, and the partner's noun with a clause, as in
    "the places it reaches"."""

    verb: str
    partner: str
    noun: str
    clause: str


# (relation, side) -> words. The first role that an entity has is its main one.
Role = tuple[str, int]
USER_ROLES: dict[Role, RoleWords] = {
    ("user_target", 0): RoleWords("reaches", "target", "place", "it reaches"),
    ("user_source", 0): RoleWords("acts from", "source", "machine", "it acts from"),
}
PLACE_ROLES: dict[Role, RoleWords] = {
    ("user_target", 1): RoleWords("is reached by", "user", "user", "that reach it"),
    ("source_target", 1): RoleWords("is reached from", "source", "machine", "it is reached from"),
    ("user_source", 1): RoleWords("is acted from by", "user", "user", "that act from it"),
    ("source_target", 0): RoleWords("leads to", "target", "place", "reached from it"),
}


@dataclass(frozen=True)
class EntityContext:
    """What facts about entities are read from.

    model:      None if there is none, or it has learned from that day or later
    identities: what the lake knows of entities beside their edges"""

    history: History
    day: dt.date
    model: Detector | None
    identities: tuple[Identity, ...] = ()

    @cached_property
    def identity_of(self) -> dict[tuple[RowKind, str], Identity]:
        """(kind on disk, name) -> identity."""
        return {(row.kind, row.name): row for row in self.identities}

    @cached_property
    def alike(self) -> Mapping[str, Alike]:
        """The entities of each role by likeness."""
        return neighbours.before(self.history)


@dataclass(frozen=True)
class EntityId:
    """An entity of the history, by its number in `users` or in `places`."""

    is_user: bool
    id: int

    @property
    def roles(self) -> dict[Role, RoleWords]:
        return USER_ROLES if self.is_user else PLACE_ROLES


# --- in the history -----------------------------------------------------------------------------------------


def in_history(context: EntityContext, entities: Sequence[Entity]) -> list[EntityId]:
    """The users and places of the history that these entities are.

    Raises WorkspaceError if none was seen before the day, or nothing of it was learned."""
    history = context.history
    users = dict.fromkeys(entity.name for entity in entities if entity.kind == "user")
    places = dict.fromkeys(entity.name for entity in entities if entity.kind != "user")
    found = [EntityId(True, int(number)) for number in history.users.find([*users]) if number >= 0]
    found += [EntityId(False, int(number)) for number in history.places.find([*places]) if number >= 0]
    learned = [entity for entity in found if _known_roles(history, entity)]
    if learned:
        return learned
    name = plain(entities[0].name)
    if found:
        raise WorkspaceError(
            f"nothing of {name} was learned before {context.day}: a review set its edges aside, or they are"
            " in incidents with the verdict true; `ueba suspects` and `ueba incidents` list them"
        )
    raise WorkspaceError(
        f"{name} was not seen before {context.day}, as far back as counts (`history.window_days`); choose a"
        " later --day"
    )


def _known_roles(history: History, entity: EntityId) -> dict[Role, RoleWords]:
    """The roles in which the history knows an entity; none if it has learned no edge of it."""
    return {
        role: words
        for role, words in entity.roles.items()
        if history.sides[role[0]][role[1]].first_day[entity.id] < NEVER
    }


@contextlib.contextmanager
def naming_standing(context: EntityContext, name: str) -> Iterator[None]:
    """Make of an error that an entity was not seen one that also says what entity tables say of it: most
    honey accounts are never seen."""
    try:
        yield
    except WorkspaceError as reason:
        says = [
            phrase
            for row in context.identities
            if row.entity.name in forms(name, row.entity.kind)
            for phrase in words.standing(row.standing, row.entity.kind)
        ]
        if not says:
            raise
        raise WorkspaceError(f"{reason}; entity tables say: {'; '.join(says)}") from reason


def listing(context: EntityContext) -> list[dict[str, Any]]:
    """Every entity, the broadest first, columns LIST_COLUMNS."""
    rows = []
    for is_user, names in ((True, context.history.users), (False, context.history.places)):
        roles = USER_ROLES if is_user else PLACE_ROLES
        first = _first_seen(context.history, roles)
        breadth, days, last = (
            _most(context.history, roles, what) for what in ("breadth", "days", "last_day")
        )
        kinds = _kinds(context.history, is_user)
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


def identity(context: EntityContext, entity: EntityId) -> Identity:
    """The lake's row of an entity; an empty one if it has none. The row may be in lower case, as entity
    tables are, where a log has capitals."""
    history, number = context.history, entity.id
    name = (history.users if entity.is_user else history.places).names[number]
    kind: RowKind = "user" if entity.is_user else "resource" if history.is_resource[number] else "host"
    empty = Identity(kind, name, None, False, 0, (), (), {})
    listed = context.identity_of.get((kind, lowered(name)))
    return context.identity_of.get((kind, name)) or (replace(listed, name=name) if listed else empty)


def _most(history: History, roles: dict[Role, RoleWords], what: str) -> npt.NDArray[Any]:
    """The largest of a number over an entity's roles. [entities]"""
    most: npt.NDArray[Any] = np.max(
        [getattr(history.sides[relation][side], what) for relation, side in roles], axis=0
    )
    return most


def _first_seen(history: History, roles: dict[Role, RoleWords]) -> Ints:
    """Day number on which each entity was first seen in any role. int64 [entities]"""
    first: Ints = np.min([history.sides[relation][side].first_day for relation, side in roles], axis=0)
    return first


# --- the facts ----------------------------------------------------------------------------------------------


def describe(context: EntityContext, entity: EntityId) -> EntityFacts:
    """All facts about an entity of the history."""
    history, number = context.history, entity.id
    roles = _known_roles(history, entity)
    main = next(iter(roles))
    hours, types = (
        (history.user_hours, history.user_types)
        if entity.is_user
        else (history.place_hours, history.place_types)
    )
    facts = [_role(history, number, role, words) for role, words in roles.items()]
    p_values = _p_values(context, number) if entity.is_user and context.model else []
    kind = _kinds(history, entity.is_user)[number]
    row = identity(context, entity)
    return EntityFacts(
        name=row.name,
        kind=kind,
        before=context.day,
        first_seen=date_of(int(_first_seen(history, roles)[number])),
        last_seen=date_of(int(_most(history, roles, "last_day")[number])),
        active_days=float(_most(history, roles, "days")[number]),
        days_that_count=_days_that_count(history),
        half_life_days=history.half_life_days,
        roles=tuple(facts),
        hours_utc=_shares(hours[number]),
        logon_types=_named_shares(history.types.names, types[number]),
        aliases=row.aliases,
        is_admin=row.is_admin,
        privileged_on=row.privileged_on,
        addresses=row.addresses,
        attributes=row.attributes,
        standing=row.standing,
        nearest_by=f"shared {roles[main].partner}s",
        nearest=tuple(nearest(context, number, main)),
        p_values=tuple(p_values),
        why=(*map(_why, facts, roles.values(), itertools.repeat(kind)), *_why_p(p_values, kind)),
    )


def _role(history: History, number: int, role: Role, words: RoleWords) -> RoleFacts:
    """An entity in one role: its breadth and novelty rate, beside its cohort and its kind."""
    relation, side = role
    table = history.sides[relation][side]
    group = history.cohorts(relation, side)
    rate, expected = history.novelty_rates(relation, side), history.new_per_day(relation, side)
    seen = table.first_day < NEVER
    peers = seen & (group == group[number])
    alike = seen & (group // 16 == group[number] // 16)  # of the same kind
    trials, typical = float(table.trials[peers].sum()), np.median(rate[alike])
    return RoleFacts(
        role=words.verb,
        partner=words.partner,
        breadth=int(table.breadth[number]),
        active_days=float(table.days[number]),
        partners_of_days=float(table.trials[number]),
        new_of_them=float(table.novel[number]),
        novelty_raw=float(table.novel[number] / table.trials[number]) if table.trials[number] else None,
        novelty=float(rate[number]),
        novelty_of_peers=float(table.novel[peers].sum()) / trials if trials else None,
        peers=int(peers.sum()) - 1,
        novelty_typical=float(typical),
        cost_of_new=float(-np.log(rate[number])),
        cost_of_new_typical=float(-np.log(typical)),
        new_a_day=float(expected[number]),
        most_new=float(table.most_new[number]),
        usual=tuple(_usual(history, number, role)),
        quarantined=tuple(_quarantined(history, number, role)),
    )


def _usual(history: History, number: int, role: Role) -> list[UsualPartner]:
    """The partners it was with on most days."""
    relation, side = role
    pairs = history.pairs[relation]
    names = _partner_names(history, role)
    partners = pairs.ends[1 - side]
    return [
        UsualPartner(names[partners[row]], float(pairs.count[row]), date_of(int(pairs.last_day[row])))
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


def _shares(counts: Floats) -> tuple[float, ...]:
    total = float(counts.sum())
    return tuple(round(float(count) / total, 4) if total else 0.0 for count in counts)


def _named_shares(names: list[str], counts: Floats) -> dict[str, float]:
    """Shares above zero by name, largest first."""
    shares = dict(zip(names, _shares(counts), strict=False))
    return {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 0}


# --- who is alike -------------------------------------------------------------------------------------------


def nearest(context: EntityContext, number: int, role: Role) -> list[NearEntity]:
    """The entities most like one in a role, the nearest first, and what that rests on."""
    relation, side = role
    alike = context.alike[relation.split("_")[side]]
    [best], [similarity] = neighbours.nearest(alike, np.array([number]), FEW)
    near = best[best >= 0]
    shared = neighbours.shared(alike, np.full(len(near), number), near)
    names = context.history.users if side == 0 else context.history.places
    partners, breadth, known_by = _partner_names(context.history, role), alike.breadth, alike.known_by
    return [
        NearEntity(
            names.names[other],
            float(how_similar),
            int(count),
            int(breadth[other]),
            tuple(SharedPartner(partners[one], int(known_by[one])) for one in first if one >= 0),
        )
        for other, how_similar, count, first in zip(
            near, similarity, shared.count, shared.first, strict=False
        )
    ]


# --- why ----------------------------------------------------------------------------------------------------


def _why(role: RoleFacts, words: RoleWords, kind: str) -> str:
    """How much a new partner counts in a role."""
    less = role.cost_of_new_typical - role.cost_of_new
    compared = "as much as" if abs(less) < 0.05 else "less than" if less > 0 else "more than"
    return (
        f"a new {words.noun} counts {compared} for a typical {kind}:"
        f" {_percent(role.novelty)} of the {words.noun}s {words.clause} in a day are new"
        f" (typical: {_percent(role.novelty_typical)})"
    )


def _percent(share: float) -> str:
    """Two digits of a share."""
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"


def _p_values(context: EntityContext, number: int) -> list[PValueRow]:
    """The p-values of SURPRISES for users as broad as this one, and for typical ones of its kind."""
    assert context.model
    table, kind = context.history.sides["user_target"][0], context.history.user_kind
    alike = np.flatnonzero((table.first_day < NEVER) & (kind == kind[number]))
    typical = alike[np.argsort(table.breadth[alike], kind="stable")[len(alike) // 2]]
    ranks = detector.breadth_rank(context.history, np.array([number, typical]))
    surprise = np.array(SURPRISES)
    calibration, breadth = context.model.calibration, float(table.breadth[typical])
    (p_value, is_bound), (p_typical, typical_is_bound) = (
        (p := calibration.p_values(as_broad, surprise), calibration.is_bound(as_broad, p))
        for as_broad in (np.full(len(surprise), rank) for rank in ranks)
    )
    columns = zip(SURPRISES, p_value, p_typical, is_bound, typical_is_bound, strict=True)
    return [
        PValueRow(nats, float(p), float(q), breadth, bool(p_bound), bool(q_bound))
        for nats, p, q, p_bound, q_bound in columns
    ]


def _why_p(p_values: list[PValueRow], kind: str) -> list[str]:
    """How often users as broad as this one have what is rare for a typical user: the first such surprise."""
    rare = next((row for row in p_values if row.p_value_typical <= 0.01), None)
    if rare is None:
        return []
    typical, own = (
        _one_in(rare.p_value_typical, rare.p_typical_is_bound),
        _one_in(rare.p_value, rare.p_is_bound),
    )
    return [
        f"an edge as surprising as {typical} of a typical {kind} ({rare.breadth_typical:.0f} targets)"
        f" is {own} among accounts as broad as this one"
    ]


def _one_in(p_value: float, is_bound: bool) -> str:
    return f"{'less than ' if is_bound else ''}1 in {1 / p_value:,.0f}"
