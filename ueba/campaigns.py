"""Attack campaigns, written from observed edges only, so that any lake can be given some and what is found
be counted.

    observe    daily pairs -> Scene: who acts from where, goes where, when and how, and who resembles whom
    invent     Scene -> events of campaigns, each with a victim of its own and its kind as label
    inject     a lake -> a copy that holds the campaigns too, and their labels

A campaign looks like work in all that a count can see: hours of the victim, logon types of the target,
targets as popular as those that people come to anew. What gives it away is who does not go there:
colleagues. `strength` says how much: the larger, the more steps, and the farther from what colleagues use.

Kinds follow MITRE ATT&CK; pivots and switched credentials are those of Hopper (Ho et al. 2021,
https://arxiv.org/abs/2105.13442); campaigns made from a network's own edges are the idea of Bowman et al.
2020 (https://www.usenix.org/conference/raid2020/presentation/bowman). Resemblance counts shared targets,
each divided by its audience: resource allocation (Zhou, Lü and Zhang 2009, https://arxiv.org/abs/0901.0553).
Leaves out: exploits and malware, and all that an attacker does without logging on.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ueba.errors import UsageError, WorkspaceError
from ueba.ingest import batch, edges, identity, lake

Strings = npt.NDArray[np.str_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rng = np.random.Generator

EVENT_COLUMNS = (
    "time",
    "user",
    "source",
    "target",
    "target_kind",
    "action",
    "logon_type",
    "auth_package",
    "outcome",
)
LABEL_COLUMNS = ("time", "user", "source", "target", "kind", "campaign", "malicious")
PEERS = 12  # colleagues of an account: those most like it
OBSERVED_DAYS = 21  # before the campaigns, from which a lake's habits are taken
LEAST_TARGETS = 3  # an account that goes to fewer places is nobody's victim
BROAD = 0.05  # share of the human accounts that counts as administrators: the broadest
HOURS = 24
DAY_S = 86_400
SCHEMA = pa.schema(
    [("time", pa.timestamp("us", "UTC")), *((name, pa.string()) for name in EVENT_COLUMNS[1:])]
    + [("kind", pa.string()), ("campaign", pa.int64())]
)


# ---- what is observed ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """What is usual. Accounts and places are numbers; an edge is what `observe` was given a row for."""

    users: Strings  # [users]
    places: Strings  # [places] machines and resources, reached or acted from
    kind: Strings  # [users] human, service, machine, anonymous
    group: Ints  # [users] department, -1 if unknown
    is_resource: Bools  # [places]
    user: Ints  # [edges]
    source: Ints  # [edges] -1 if unknown
    target: Ints  # [edges]
    hours: Floats  # [users, 24] edges that were active in the hour
    edges: pa.Table  # [edges] as observed

    @cached_property
    def uses(self) -> tuple[Ints, Ints]:
        """Each account and place it reaches, once: [pairs], [pairs], sorted."""
        who, where = np.divmod(np.unique(self.user * len(self.places) + self.target), len(self.places))
        return who, where

    @cached_property
    def audience(self) -> Ints:
        """Accounts that reach a place, [places]."""
        return np.bincount(self.uses[1], minlength=len(self.places))

    @cached_property
    def appeal(self) -> Floats:
        """How likely people come to a place anew, up to a factor: how many came in the last third of the
        time, where the table tells times, and a few for how many there are. [places]"""
        who, where = self.uses
        human = self.kind[who] == "human"
        appeal: Floats = np.maximum(np.bincount(where[human], minlength=len(self.places)) - 2, 0.5) / 10
        if "first_seen" in self.edges.column_names and len(who):
            time = self.edges["first_seen"].to_numpy().astype(np.int64)
            begin, end = time.min(), time.max()
            first = np.full(len(who), end)  # [pairs]
            keys = self.user * len(self.places) + self.target
            np.minimum.at(first, np.searchsorted(who * len(self.places) + where, keys), time)
            late = first > begin + (end - begin) * 2 // 3
            appeal += np.bincount(where[human & late], minlength=len(self.places))
        return appeal

    @cached_property
    def breadth(self) -> Ints:
        """Places that an account reaches, [users]."""
        return np.bincount(self.uses[0], minlength=len(self.users))

    @cached_property
    def home(self) -> Ints:
        """The machine that an account acts from on most edges, [users]; -1 if unknown."""
        known = self.source >= 0
        keys, count = np.unique(self.user[known] * len(self.places) + self.source[known], return_counts=True)
        order = np.argsort(count, kind="stable")  # the last one written stays
        home = np.full(len(self.users), -1)
        home[keys[order] // len(self.places)] = keys[order] % len(self.places)
        return home

    @cached_property
    def visitors(self) -> Ints:
        """Edges in order of their targets, with `visited` as the first of each."""
        return np.argsort(self.target, kind="stable")

    @cached_property
    def visited(self) -> Ints:
        return np.searchsorted(self.target[self.visitors], np.arange(len(self.places) + 1))

    def reach(self, user: int) -> Bools:
        """Places that an account reaches, [places]."""
        who, where = self.uses
        found = np.zeros(len(self.places), bool)
        found[where[np.searchsorted(who, user) : np.searchsorted(who, user, side="right")]] = True
        return found

    def resemblance(self, user: int) -> Floats:
        """0 to 1 for what is shared with each account, and one more in the same department. [users]"""
        who, where = self.uses
        worth = 1.0 / np.maximum(self.audience, 1)  # [places]
        shared = np.bincount(who, (worth * self.reach(user))[where], len(self.users))
        all_of_it = np.bincount(who, worth[where], len(self.users))
        alike: Floats = shared / np.maximum(np.sqrt(all_of_it * all_of_it[user]), 1e-12)
        alike[(self.group == self.group[user]) & (self.group >= 0)] += 1
        alike[user] = 0
        return alike

    def peers(self, user: int) -> Ints:
        """The accounts of the same kind that are most like this one, nearest first. Who shares nothing is
        not like it, and administrators, who share something with everybody, are like each other only."""
        alike = np.where(self.kind == self.kind[user], self.resemblance(user), 0)
        if user not in self.administrators:
            alike[self.administrators] = 0
        nearest = np.argsort(-alike, kind="stable")[:PEERS]
        return nearest[alike[nearest] > 0]

    def familiar(self, user: int) -> Bools:
        """Places that an account or one of its peers reaches, [places]."""
        found: Bools = np.logical_or.reduce([self.reach(int(each)) for each in (user, *self.peers(user))])
        return found

    def unfamiliar(self, user: int, strength: float, least: int = 1, machines_only: bool = False) -> Ints:
        """Places that neither the account nor its peers reach: the farthest, a share of 1 / (1 + strength),
        `least` at least."""
        who, where = self.uses
        near = np.bincount(where, self.resemblance(user)[who], len(self.places)) / np.maximum(
            self.audience, 1
        )
        pool = np.flatnonzero(
            (self.audience > 0) & ~self.familiar(user) & ~(self.is_resource & machines_only)
        )
        return pool[np.argsort(near[pool], kind="stable")][
            : max(least, int(np.ceil(len(pool) / (1 + strength))))
        ]

    def some(self, pool: Ints, count: int, rng: Rng) -> Ints:
        """`count` of some places (all, if fewer), the likelier the more people go there; seldom somebody's
        own machine."""
        weight = self.appeal[pool]
        return (
            rng.choice(pool, min(count, len(pool)), replace=False, p=weight / weight.sum())
            if len(pool)
            else pool
        )

    def own(self, user: int, count: int, rng: Rng) -> Ints:
        """`count` of the places that an account reaches (all, if fewer), each as likely; not its own
        machine."""
        usual = np.flatnonzero(self.reach(user))
        return rng.permutation(usual[usual != self.home[user]])[:count]

    def stranger(self, user: int, rng: Rng, strength: float = 1.0) -> int:
        """Another person with a machine, of those least alike."""
        others = np.flatnonzero((self.kind == "human") & (self.home >= 0) & (self.home != self.home[user]))
        others = others[np.argsort(self.resemblance(user)[others], kind="stable")]
        return int(rng.choice(others[: int(np.ceil(len(others) / (1 + strength)))]))

    @cached_property
    def administrators(self) -> Ints:
        """The broadest human accounts."""
        human = np.flatnonzero((self.kind == "human") & (self.home >= 0) & (self.breadth >= LEAST_TARGETS))
        return human[np.argsort(-self.breadth[human], kind="stable")][: int(np.ceil(BROAD * len(human)))]

    @cached_property
    def people(self) -> Ints:
        human = (self.kind == "human") & (self.home >= 0) & (self.breadth >= LEAST_TARGETS)
        human[self.administrators] = False
        return np.flatnonzero(human)

    @cached_property
    def services(self) -> Ints:
        """Service accounts by name; where names do not tell, those that act at almost every hour."""
        named = (self.kind == "service") & (self.breadth > 0)
        restless = (self.kind == "human") & ((self.hours > 0).sum(1) >= HOURS - 4) & (self.breadth > 0)
        return np.flatnonzero(named if named.any() else restless)


def seen(daily: ir.Table) -> ir.Table:
    """Daily edges as `observe` takes them, at the finest grain: what was done is kept with how."""
    merged = edges.merged(daily)
    lists = {f"{name}s": ibis.array([merged[name]]) for name in ("logon_type", "auth_package")}
    return merged.mutate(user_kind=identity.user_kind(merged.user), **lists).order_by(*edges.KEY)


def observe(table: pa.Table, groups: Mapping[str, str] | None = None) -> Scene:
    """What is usual in a table of `lake.read_pairs`: user, source, target, user_kind, target_kind, hours,
    logon_types; action and auth_packages where they are. groups: the department of each user, as far as
    known."""
    columns = {name: table[name].combine_chunks() for name in ("user", "source", "target")}
    users, user = np.unique(columns["user"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    known = columns["source"].is_valid().to_numpy(zero_copy_only=False)
    source_name = columns["source"].fill_null("").to_numpy(zero_copy_only=False).astype(str)
    target_name = columns["target"].to_numpy(zero_copy_only=False).astype(str)
    places, number = np.unique(np.concatenate([target_name, source_name[known]]), return_inverse=True)
    source = np.full(len(user), -1)
    target, source[known] = number[: len(user)], number[len(user) :]
    kind = np.full(len(users), "human", dtype="<U9")
    kind[user] = table["user_kind"].to_numpy().astype(str)
    is_resource = np.zeros(len(places), bool)
    is_resource[target] = table["target_kind"].to_numpy() == "resource"
    bits = table["hours"].to_numpy()
    hours: Floats = np.stack(
        [np.bincount(user, bits >> hour & 1, len(users)) for hour in range(HOURS)], axis=1
    ).astype(float)
    departments = np.array([(groups or {}).get(str(name), "") for name in users], dtype=str)
    group = np.where(departments == "", -1, np.unique(departments, return_inverse=True)[1])
    return Scene(users, places, kind, group, is_resource, user, source, target, hours, table)


# ---- kinds ---------------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """Steps of one campaign, [steps] each. when: usual (an hour of the victim's), odd (an hour it never
    has), daily (one a day)."""

    user: Ints
    source: Ints
    target: Ints
    when: str = "usual"


def plan(user: npt.ArrayLike, source: npt.ArrayLike, target: Ints, when: str = "usual") -> Plan:
    """A plan with one account or machine for all steps, or one each."""
    return Plan(np.broadcast_to(user, len(target)), np.broadcast_to(source, len(target)), target, when)


def steps(low: int, high: int, strength: float, rng: Rng) -> int:
    """How many: low to high, times strength."""
    return max(1, round(strength * int(rng.integers(low, high + 1))))


def novel_target(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """From the own machine to places that no colleague uses."""
    count = steps(3, 8, strength, rng)
    targets = scene.some(scene.unfamiliar(victim, strength, count), count, rng)
    return plan(victim, scene.home[victim], targets)


def credential_switch(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """The victim's credential, used on a stranger's machine, to where the victim usually goes."""
    foreign = scene.home[scene.stranger(victim, rng, strength)]
    return plan(victim, foreign, scene.own(victim, steps(2, 7, strength, rng), rng))


def pivot_chain(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """From machine to machine, each reached from the one before; half-way the credential may change."""
    count = steps(3, 7, strength, rng)
    pool = scene.unfamiliar(victim, strength, count + 1, machines_only=True)
    hops = scene.some(pool[pool != scene.home[victim]], count, rng)
    second = victim if rng.random() < 0.4 else scene.stranger(victim, rng, strength)
    users = np.where(np.arange(len(hops)) < (len(hops) + 1) // 2, victim, second)
    return plan(users, np.concatenate([[scene.home[victim]], hops])[: len(hops)], hops)


def peer_mimic(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """Where colleagues go and the victim does not, from the machine of a stranger."""
    pool = np.flatnonzero(scene.familiar(victim) & ~scene.reach(victim))
    return plan(
        victim,
        scene.home[scene.stranger(victim, rng, strength)],
        scene.some(pool, steps(2, 6, strength, rng), rng),
    )


def odd_hours(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """Own places and some of the colleagues', from the own machine; what is strange is the hour."""
    own, familiar = scene.reach(victim), scene.familiar(victim)
    usual = scene.own(victim, steps(2, 5, strength, rng), rng)
    others = scene.some(np.flatnonzero(familiar & ~own), steps(1, 3, strength, rng), rng)
    return plan(victim, scene.home[victim], np.concatenate([usual, others]), "odd")


def service_abuse(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """A service account on somebody's workstation, to its own places and to others."""
    own = scene.reach(victim)
    usual = scene.own(victim, steps(1, 4, strength, rng), rng)
    others = scene.some(np.flatnonzero(~own & (scene.audience > 0)), steps(1, 4, strength, rng), rng)
    return plan(victim, scene.home[scene.stranger(victim, rng)], np.concatenate([usual, others]))


def low_and_slow(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """One place a day that no colleague uses, for a week or so."""
    count = steps(4, 7, strength, rng)
    targets = scene.some(scene.unfamiliar(victim, strength, count), count, rng)
    return plan(victim, scene.home[victim], targets, "daily")


def admin_inside(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """An administrator's own estate, but from a machine of it that nobody administers from, or at an hour it
    never has."""
    estate = np.flatnonzero(scene.reach(victim))
    targets = scene.own(victim, steps(3, 10, strength, rng), rng)
    acted_from = scene.source[scene.user == victim]
    odd = np.setdiff1d(estate[~scene.is_resource[estate]], np.concatenate([acted_from, targets]))
    if rng.random() < 0.5 and len(odd):
        return plan(victim, rng.choice(odd), targets)
    return plan(victim, scene.home[victim], targets, "odd")


def admin_outside(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """An administrator's credential from the usual machine to where neither it nor its like go."""
    count = steps(3, 10, strength, rng)
    targets = scene.some(scene.unfamiliar(victim, strength, count), count, rng)
    return plan(victim, scene.home[victim], targets)


def burst(scene: Scene, victim: int, strength: float, rng: Rng) -> Plan:
    """One machine tries many within the hour, with the victim's credential and perhaps another."""
    pool = np.flatnonzero((scene.audience > 0) & ~scene.is_resource)
    targets = rng.permutation(pool[pool != scene.home[victim]])[: steps(20, 60, strength, rng)]
    second = scene.stranger(victim, rng) if rng.random() < 0.5 else victim
    return plan(np.where(rng.random(len(targets)) < 0.5, victim, second), scene.home[victim], targets)


@dataclass(frozen=True)
class Kind:
    """A way to attack.

    resembles: the family of `ueba.detect.look.negatives` with the same idea; "" if training never sees it.
    For a single step of
               most kinds there is a family that joins the same ends; what counts is what makes the campaign
               hard to see
    """

    meaning: str
    techniques: tuple[str, ...]  # MITRE ATT&CK
    resembles: str
    plan: Callable[[Scene, int, float, Rng], Plan]
    victims: str = "people"  # or "administrators", "services"
    gap_s: float = 900  # mean time between steps

    def pool(self, scene: Scene) -> Ints:
        found: Ints = getattr(scene, self.victims)
        return found


def kind(
    plan: Callable[[Scene, int, float, Rng], Plan], resembles: str, *techniques: str, **rest: Any
) -> Kind:
    return Kind((plan.__doc__ or "").strip(), techniques, resembles, plan, **rest)


KINDS = {
    "novel_target": kind(novel_target, "own_machine_any_target", "T1021", "T1078"),
    "credential_switch": kind(
        credential_switch, "other_credential_usual_target", "T1550", "T1078", gap_s=600
    ),
    "pivot_chain": kind(pivot_chain, "any_machine_any_target", "T1021", "T1563", gap_s=1200),
    "peer_mimic": kind(peer_mimic, "", "T1078", "T1550"),
    "odd_hours": kind(odd_hours, "own_machine_any_hour", "T1078", gap_s=400),
    "service_abuse": kind(
        service_abuse,
        "other_credential_usual_target",
        "T1078.002",
        "T1558.003",
        victims="services",
        gap_s=700,
    ),
    "low_and_slow": kind(low_and_slow, "", "T1021", "T1078"),
    "admin_inside": kind(admin_inside, "", "T1078.002", "T1021", victims="administrators", gap_s=500),
    "admin_outside": kind(
        admin_outside, "own_machine_any_target", "T1078.002", "T1021", victims="administrators", gap_s=500
    ),
    "burst": kind(burst, "burst", "T1018", "T1110.003", "T1021", gap_s=40),
}


# ---- events --------------------------------------------------------------------------------------------------------


def invent(
    scene: Scene, days: Sequence[dt.date], per_kind: int, strength: float = 1.0, seed: int = 0
) -> pa.Table:
    """Events of `per_kind` campaigns of each kind on some days: EVENT_COLUMNS, kind, campaign; sorted by
    time.

    Each campaign has a victim of its own: where a kind has fewer possible victims, it has fewer campaigns.
    Raises UsageError without days, or for a strength that is not above 0."""
    if not days or strength <= 0:
        raise UsageError("campaigns need a day to happen on, and a strength above 0")
    rng = np.random.default_rng(seed)
    days_s = np.array(sorted((day - dt.date(1970, 1, 1)).days for day in days)) * DAY_S  # [days]
    taken: set[int] = set()
    parts, campaign = [], 0
    for name, each in KINDS.items():
        victims = [int(victim) for victim in rng.permutation(each.pool(scene)) if int(victim) not in taken]
        for victim in victims[:per_kind]:
            planned = each.plan(scene, victim, strength, rng)
            if planned.when == "daily":
                user, source, target = (
                    ends[: len(days)] for ends in (planned.user, planned.source, planned.target)
                )
                planned = Plan(user, source, target, planned.when)
            seconds = schedule(scene, planned, victim, each.gap_s, days_s, rng)
            parts.append(logons(scene, planned, seconds, name, campaign, rng))
            taken.add(victim)
            campaign += 1
    order = [(name, "ascending") for name in ("time", "campaign", "target")]
    return pa.concat_tables([SCHEMA.empty_table(), *parts]).sort_by(order)


def schedule(scene: Scene, planned: Plan, victim: int, gap_s: float, days_s: Ints, rng: Rng) -> Ints:
    """Seconds since 1970 of a plan's steps, [steps]; all on one day, unless it is one a day."""
    active = scene.hours[victim] + 1e-9  # [24]
    if planned.when == "odd":  # the hours farthest from all that are usual
        near = active + np.roll(active, 1) + np.roll(active, -1)
        active = (near <= near.min() + 1e-6).astype(float)
    count = len(planned.target)
    begin_s = int(rng.choice(HOURS, p=active / active.sum())) * 3600 + rng.uniform(0, 3600)
    if planned.when == "daily":
        first = int(rng.integers(len(days_s) - count + 1))
        day_s = days_s[first : first + count]
        offset_s = begin_s + rng.uniform(-1800, 1800, count)
    else:
        day_s = np.full(count, rng.choice(days_s))
        offset_s = begin_s + np.cumsum(rng.exponential(gap_s, count)) - gap_s / 2
    seconds: Ints = day_s + np.clip(offset_s, 0, DAY_S - 1).astype(np.int64)
    return seconds


def logons(scene: Scene, planned: Plan, seconds: Ints, name: str, campaign: int, rng: Rng) -> pa.Table:
    """Events of a plan: each step once or a few times within minutes, in the way in which the target is
    usually reached."""
    step = np.repeat(np.arange(len(seconds)), rng.geometric(0.6, len(seconds)))  # [events]
    again = np.concatenate([[False], step[1:] == step[:-1]])[: len(step)]
    midnight = seconds[step] - seconds[step] % DAY_S
    time = np.minimum(seconds[step] + again * rng.integers(1, 600, len(step)), midnight + DAY_S - 1)
    target = planned.target[step]
    ways = [way(scene, int(place), rng) for place in planned.target]  # of a step
    failed = rng.random(len(step)) < (0.3 if name == "burst" else 0.02)
    columns = {
        "time": pa.array(time * 1_000_000).cast(pa.timestamp("us", "UTC")),
        "user": pa.array(scene.users[planned.user[step]].tolist(), pa.string()),
        "source": pa.array(scene.places[planned.source[step]].tolist(), pa.string()),
        "target": pa.array(scene.places[target].tolist(), pa.string()),
        "target_kind": pa.array(
            np.where(scene.is_resource[target], "resource", "machine").tolist(), pa.string()
        ),
        "action": pa.array([ways[i][0] for i in step], pa.string()),
        "logon_type": pa.array([ways[i][1] for i in step], pa.string()),
        "auth_package": pa.array([ways[i][2] for i in step], pa.string()),
        "outcome": pa.array(np.where(failed, "failure", "success").tolist(), pa.string()),
        "kind": pa.array([name] * len(step), pa.string()),
        "campaign": pa.array(np.full(len(step), campaign)),
    }
    return pa.table(columns, SCHEMA)


def way(scene: Scene, place: int, rng: Rng) -> tuple[str, str | None, str | None]:
    """Action, logon type and package of some edge to a place, of those from elsewhere if there are any."""
    rows = scene.visitors[scene.visited[place] : scene.visited[place + 1]]
    remote = rows[scene.source[rows] != place]
    row = int(rng.choice(remote if len(remote) else rows))

    def one_of(column: str) -> str | None:
        values = scene.edges[column][row].as_py() if column in scene.edges.column_names else []
        told = [value for value in values if value is not None]
        return str(rng.choice(told)) if told else None

    if "action" in scene.edges.column_names:
        action = scene.edges["action"][row].as_py()
    else:
        action = "object_access" if scene.is_resource[place] else "logon"
    return action, one_of("logon_types"), one_of("auth_packages")


# ---- into a lake ---------------------------------------------------------------------------------------------------


def inject(
    root: Path,
    copy: Path,
    first: dt.date,
    last: dt.date,
    per_kind: int,
    strength: float = 1.0,
    seed: int = 0,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Make `copy`, the lake of `root` with campaigns on its working days from `first` to `last`. Labels:
    LABEL_COLUMNS.

    Habits are taken from the days before `first`. Nothing in `root` changes. Raises UsageError where `copy`
    is already there, WorkspaceError where there are no days before `first` or none to attack on."""
    if copy.exists():
        raise UsageError(f"{copy}: is already there; name a folder to be made")
    before = [day for day in lake.days(root) if first - dt.timedelta(days=OBSERVED_DAYS) <= day < first]
    if not before:
        raise WorkspaceError(
            f"{root}: no edges in the {OBSERVED_DAYS} days before {first}, from which campaigns are written"
        )
    scene = observe(lake.query(root, before[0], before[-1], seen, "1GB"), groups)
    events = invent(scene, working_days(root, first, last), per_kind, strength, seed)
    copy_lake(root, copy)
    if len(events):
        batch.keep(events.drop_columns(["kind", "campaign"]), f"campaigns, {seed=}, {strength=}", copy)
    frame: pd.DataFrame = labels(events).to_pandas()
    return frame


def labels(events: pa.Table) -> pa.Table:
    """LABEL_COLUMNS of invented events."""
    return events.append_column("malicious", pa.array(np.ones(len(events), np.int64))).select(LABEL_COLUMNS)


def working_days(root: Path, first: dt.date, last: dt.date) -> list[dt.date]:
    """The days that have at least half as many edges as the median day: on a quiet day every step shows."""
    days = [day for day in lake.days(root) if first <= day <= last]
    if not days:
        raise WorkspaceError(f"{root}: no edges from {first} to {last} to hide campaigns in")
    size = {day: lake.size(root, day) for day in days}
    return [day for day in days if size[day] >= np.median(list(size.values())) / 2]


def copy_lake(root: Path, copy: Path) -> None:
    """The published files of a lake: hard links where the file system has them. Files of a lake are
    replaced, never written to."""
    for path in root.rglob("*"):
        if path.is_file() and not path.relative_to(root).parts[0].startswith("."):
            to = copy / path.relative_to(root)
            to.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, to)
            except OSError:
                shutil.copy2(path, to)
