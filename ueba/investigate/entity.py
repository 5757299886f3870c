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
import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ueba.detect.past.history import NEVER, USER_KINDS, Floats, History, Ints, date_of, pair_ends
from ueba.detect.score import detector
from ueba.detect.score.detector import Detector
from ueba.errors import WorkspaceError
from ueba.investigate import similar
from ueba.spelling import HOST, USER

SCHEMA_VERSION = 1
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
    """What is known before a day. `model` is None where there is none, or it has learned from that day or
    later."""

    history: History
    day: dt.date
    model: Detector | None
    entities: pa.Table | None = None  # see `ueba.ingest.entities.TABLE`

    @cached_property
    def identities(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(user or host, name) -> aliases, addresses, rights and attributes."""
        return {
            (row["kind"], row["name"]): row for row in (self.entities.to_pylist() if self.entities else [])
        }

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Another name or an address -> the name of the entity."""
        named = [(each["name"], row["name"]) for row in self.identities.values() for each in row["aliases"]]
        held = [
            (each["address"], row["name"]) for row in self.identities.values() for each in row["addresses"]
        ]
        return dict([*held, *named])


@dataclass(frozen=True)
class Entity:
    """One by its number: in `users`, or in `places`."""

    is_user: bool
    id: int

    @property
    def roles(self) -> dict[Role, tuple[str, str]]:
        return USER_ROLES if self.is_user else PLACE_ROLES


# --- by name ------------------------------------------------------------------------------------------------


def find(known: EntityContext, name: str) -> list[Entity]:
    """Users and places of this name, in this spelling or, if there is none, in one other.

    Raises WorkspaceError with close names."""
    users, places = known.history.users, known.history.places
    every = {*users.names, *places.names}
    spellings = {name} & every or {each for each in every if each.casefold() == name.casefold()}
    spellings = spellings or {*[each for each in _meant(known, name) if each in every][:1]}
    if len(spellings) != 1:
        close = sorted(spellings) or _close(name, [*users.names, *places.names])
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        raise WorkspaceError(
            f"no entity is called {name!r} before {known.day}, as far back as counts (`history.window_days`).{meant} `ueba entity`"
            " without a name lists them"
        )
    ids = [(True, *users.find([*spellings])), (False, *places.find([*spellings]))]
    return [Entity(is_user, int(number)) for is_user, number in ids if number >= 0]


def _meant(known: EntityContext, name: str) -> list[str]:
    """What a name that the lake does not have may stand for, the likeliest first: as the lake spells it
    (`CORP\\Alice` is alice@corp, `ws7$` is ws7); what that is an alias of; the only account or machine that
    is called so in any domain."""
    spelt = [
        name,
        (USER.spell(name) or name),
        (HOST.spell(name) or name),
        (HOST.spell(name) or name).removesuffix("$"),
    ]
    meant = [*spelt, *(known.aliases[each] for each in spelt if each in known.aliases)]
    for names, mark in ((known.history.users.names, "@"), (known.history.places.names, ".")):
        for each in dict.fromkeys(spelt):
            longer = [full for full in names if full.split(mark, 1)[0] == each]
            meant += longer if len(longer) == 1 else []
    return meant


def _close(name: str, names: list[str]) -> list[str]:
    """A few names that begin so, or else are spelled much alike."""
    folded = {each.casefold(): each for each in names}
    begin = sorted(each for each in folded if each.startswith(name.casefold()))
    return [folded[each] for each in begin[:FEW] or difflib.get_close_matches(name.casefold(), folded, FEW)]


def user_called(name: str, names: Sequence[str], entities: pa.Table | None) -> str:
    """The user among some names that one stands for: so spelt, an alias of it, in other case, or the only
    one of the name in any domain. Raises WorkspaceError with close names."""
    aliases = {
        each["name"]: row["name"]
        for row in (entities.to_pylist() if entities else [])
        for each in row["aliases"]
    }
    spelt = [name, (USER.spell(name) or name)]
    aliased = [aliases[each] for each in spelt if each in aliases]
    folded = name.casefold()
    for meant in (
        [each for each in (*spelt, *aliased) if each in names][:1],
        [each for each in names if each.casefold() == folded],
        [each for each in names if each.casefold().split("@", 1)[0] == folded],
    ):
        if len(meant) == 1:
            return meant[0]
    close = _close(name, [*names])
    said = f" Did you mean {' or '.join(close)}?" if close else ""
    raise WorkspaceError(f"no user is called {name!r}.{said} `ueba entity` lists them")


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


def identity(known: EntityContext, entity: Entity) -> dict[str, Any]:
    """Its other names and addresses with the evidence, whether it is an administrator, and what a table of
    entities says of it."""
    name = (known.history.users if entity.is_user else known.history.places).names[entity.id]
    row = known.identities.get(("user" if entity.is_user else "host", name))
    if row is None:
        return {"aliases": [], "addresses": [], "is_admin": False, "privileged_on": 0, "attributes": {}}
    held = [
        {
            **each,
            "since": each["since"].isoformat()
            if each["since"].year > 1900
            else None,  # a table of entities is for all time
            "until": each["until"].isoformat() if each["until"].year < 9999 else None,
        }
        for each in row["addresses"]
    ]
    told_of = {name: row[name] for name in ("aliases", "is_admin", "privileged_on")}
    return {**told_of, "addresses": held, "attributes": json.loads(row["attributes"])}


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


def describe(known: EntityContext, entity: Entity) -> dict[str, Any]:
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
        "schema_version": SCHEMA_VERSION,
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
