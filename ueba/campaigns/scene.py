"""What is usual in observed edges: who reaches what, from where, at which hours, and who is like whom.

Likeness counts shared targets, each divided by its audience: resource allocation (Zhou, Lü and Zhang 2009,
https://arxiv.org/abs/0901.0553). Leaves out what campaigns do with it (`kinds`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ueba.arrays import Bools, Doubles, Ints
from ueba.ingest import edges, identity

Strings = npt.NDArray[np.str_]
Rng = np.random.Generator

OBSERVED_DAYS = 21  # before the campaigns, from which a lake's habits are taken
COLLEAGUES = 12  # of an account: those most like it
LEAST_TARGETS = 3  # an account that reaches fewer places is nobody's victim
BROAD = 0.05  # share of the human accounts that counts as administrators: the broadest
HOURS = 24
DAY_S = 86_400
IMPORTANT = 0.1  # share of the servers: those that most accounts reach
SILENT = 0.5  # share of the observed time, its end, in which an account that is silent was not seen
SILENT_DAYS = 7  # of silence at least
INTERACTIVE = pa.array(["Interactive", "RemoteInteractive", "CachedInteractive", "CachedRemoteInteractive"])
RESTLESS_HOURS = 20  # a human account that is active in as many hours of the day stands for a service


@dataclass(frozen=True)
class Scene:
    """What is usual. Accounts and places are numbers; edges are rows of the table that was observed."""

    users: Strings  # [users]
    places: Strings  # [places] machines and resources, reached or acted from
    kind: Strings  # [users] human, service, machine, anonymous
    department: Ints  # [users] -1 if unknown
    is_resource: Bools  # [places]
    user: Ints  # [edges]
    source: Ints  # [edges] -1 if unknown
    target: Ints  # [edges]
    hours: Doubles  # [users, 24] edges that were active in the hour
    edges: pa.Table  # [edges] as observed
    names: frozenset[str] = frozenset()  # of accounts and places that are not in the scene but exist

    # --- what is counted ------------------------------------------------------------------------------------

    @cached_property
    def uses(self) -> tuple[Ints, Ints]:
        """Account and place of every pair, once: [pairs], [pairs], sorted."""
        who, where = np.divmod(np.unique(self.user * len(self.places) + self.target), len(self.places))
        return who, where

    @cached_property
    def audience(self) -> Ints:
        """Accounts that reach a place, [places]."""
        return np.bincount(self.uses[1], minlength=len(self.places))

    @cached_property
    def breadth(self) -> Ints:
        """Places that an account reaches, [users]."""
        return np.bincount(self.uses[0], minlength=len(self.users))

    @cached_property
    def appeal(self) -> Doubles:
        """How likely people come to a place anew, up to a factor: a little for its human audience, and 1
        for each account that came in the last third of the time, if the edges have times. [places]"""
        who, where = self.uses
        human = self.kind[who] == "human"
        appeal: Doubles = np.maximum(np.bincount(where[human], minlength=len(self.places)) - 2, 0.5) / 10
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
    def home(self) -> Ints:
        """The machine that an account acts from on most edges, [users]; -1 if unknown."""
        known = self.source >= 0  # [edges]
        keys, count = np.unique(self.user[known] * len(self.places) + self.source[known], return_counts=True)
        order = np.argsort(count, kind="stable")  # of several assignments to an account, the last one stays
        home = np.full(len(self.users), -1)
        home[keys[order] // len(self.places)] = keys[order] % len(self.places)
        return home

    @cached_property
    def by_target(self) -> Ints:
        """Edges in order of their targets, [edges]."""
        return np.argsort(self.target, kind="stable")

    @cached_property
    def first_of_target(self) -> Ints:
        """Where the edges of each place begin in `by_target`, and their end, [places + 1]."""
        return np.searchsorted(self.target[self.by_target], np.arange(len(self.places) + 1))

    def edges_to(self, place: int) -> Ints:
        """Numbers of the edges to a place."""
        return self.by_target[self.first_of_target[place] : self.first_of_target[place + 1]]

    @cached_property
    def is_interactive(self) -> Bools:
        """Whether somebody sat at a screen, by the logon types, [edges]."""
        lists = self.edges["logon_types"].combine_chunks()
        found = np.zeros(len(lists), bool)
        found[pc.list_parent_indices(lists).filter(pc.is_in(lists.flatten(), INTERACTIVE)).to_numpy()] = True
        return found

    @cached_property
    def servers(self) -> Ints:
        """Machines that several people reach and that are nobody's own; those that administrators act from
        are everybody's."""
        who, where = self.uses
        people = np.bincount(where[self.kind[who] == "human"], minlength=len(self.places))
        shared = (people >= 2) & ~self.is_resource
        owners = np.setdiff1d(np.flatnonzero((self.kind == "human") & (self.home >= 0)), self.administrators)
        shared[self.home[owners]] = False
        return np.flatnonzero(shared)

    @cached_property
    def important(self) -> Ints:
        """The servers that most accounts reach, controllers and mail among them, and those from which
        administrators act."""
        count = int(np.ceil(IMPORTANT * len(self.servers)))
        most = self.servers[np.argsort(-self.audience[self.servers], kind="stable")[:count]]
        return np.union1d(most, np.intersect1d(self.servers, self.home[self.administrators]))

    # --- who is like whom -----------------------------------------------------------------------------------

    def reach(self, user: int) -> Bools:
        """Places that an account reaches, [places]."""
        who, where = self.uses
        found = np.zeros(len(self.places), bool)
        found[where[np.searchsorted(who, user) : np.searchsorted(who, user, side="right")]] = True
        return found

    def likeness(self, user: int) -> Doubles:
        """0 to 1 by the places shared with each account, and 1 more in the same department. [users]"""
        who, where = self.uses
        worth = 1.0 / np.maximum(self.audience, 1)  # [places]
        shared = np.bincount(who, (worth * self.reach(user))[where], len(self.users))
        everything = np.bincount(who, worth[where], len(self.users))
        likeness: Doubles = shared / np.maximum(np.sqrt(everything * everything[user]), 1e-12)
        likeness[(self.department == self.department[user]) & (self.department >= 0)] += 1
        likeness[user] = 0
        return likeness

    def colleagues(self, user: int) -> Ints:
        """The accounts of the same kind that are most like this one, nearest first.

        Accounts that share nothing are left out. Administrators share something with everybody: they are
        colleagues of each other only."""
        likeness = np.where(self.kind == self.kind[user], self.likeness(user), 0)
        if user not in self.administrators:
            likeness[self.administrators] = 0
        nearest = np.argsort(-likeness, kind="stable")[:COLLEAGUES]
        return nearest[likeness[nearest] > 0]

    def familiar(self, user: int) -> Bools:
        """Places that an account or one of its colleagues reaches, [places]."""
        circle = (user, *self.colleagues(user))
        found: Bools = np.logical_or.reduce([self.reach(int(member)) for member in circle])
        return found

    def unfamiliar(self, user: int, strength: float, least: int = 1, machines_only: bool = False) -> Ints:
        """Places that neither the account nor its colleagues reach: the farthest, a share of
        1 / (1 + strength) of them, and `least` at least."""
        who, where = self.uses
        near = np.bincount(where, self.likeness(user)[who], len(self.places)) / np.maximum(self.audience, 1)
        pool = np.flatnonzero(
            (self.audience > 0) & ~self.familiar(user) & ~(self.is_resource & machines_only)
        )
        count = max(least, int(np.ceil(len(pool) / (1 + strength))))
        return pool[np.argsort(near[pool], kind="stable")][:count]

    # --- choices --------------------------------------------------------------------------------------------

    def drawn(self, pool: Ints, count: int, rng: Rng) -> Ints:
        """`count` places of a pool (all, if there are fewer), the likelier the greater their appeal."""
        if not len(pool):
            return pool
        weight = self.appeal[pool]
        return rng.choice(pool, min(count, len(pool)), replace=False, p=weight / weight.sum())

    def own(self, user: int, count: int, rng: Rng) -> Ints:
        """`count` of the places that an account reaches (all, if there are fewer), all equally likely;
        without its own machine."""
        usual = np.flatnonzero(self.reach(user))
        return rng.permutation(usual[usual != self.home[user]])[:count]

    def stranger(self, user: int, rng: Rng, strength: float = 1.0) -> int:
        """Another person with a machine, one of those least like the account."""
        others = np.flatnonzero((self.kind == "human") & (self.home >= 0) & (self.home != self.home[user]))
        others = others[np.argsort(self.likeness(user)[others], kind="stable")]
        return int(rng.choice(others[: int(np.ceil(len(others) / (1 + strength)))]))

    # --- possible victims -----------------------------------------------------------------------------------

    @cached_property
    def is_person(self) -> Bools:
        """Human accounts with a machine and enough targets, [users]."""
        found: Bools = (self.kind == "human") & (self.home >= 0) & (self.breadth >= LEAST_TARGETS)
        return found

    @cached_property
    def administrators(self) -> Ints:
        """The broadest human accounts."""
        human = np.flatnonzero(self.is_person)
        return human[np.argsort(-self.breadth[human], kind="stable")][: int(np.ceil(BROAD * len(human)))]

    @cached_property
    def people(self) -> Ints:
        """Human accounts that are not administrators."""
        return np.setdiff1d(np.flatnonzero(self.is_person), self.administrators)

    @cached_property
    def silent(self) -> Ints:
        """Human accounts that were in use early in the observed time, and then for weeks no more; none if
        edges have no times."""
        if "last_seen" not in self.edges.column_names or not len(self.user):
            return np.zeros(0, np.int64)
        first, last = (
            self.edges[name].to_numpy().astype("datetime64[s]").astype(np.int64)
            for name in ("first_seen", "last_seen")
        )
        begin, end = first.min(), last.max()
        of_user = np.full(len(self.users), begin)
        np.maximum.at(of_user, self.user, last)
        least = max((end - begin) * SILENT, SILENT_DAYS * DAY_S)
        return np.flatnonzero(self.is_person & (end - of_user >= least))

    @cached_property
    def services(self) -> Ints:
        """Service accounts by their names; if there are none, human accounts that are active at almost every
        hour."""
        named = (self.kind == "service") & (self.breadth > 0)
        active_hours = (self.hours > 0).sum(1)
        restless = (self.kind == "human") & (active_hours >= RESTLESS_HOURS) & (self.breadth > 0)
        return np.flatnonzero(named if named.any() else restless)


def as_observed(daily: ir.Table) -> ir.Table:
    """Daily edges as `observe` takes them: one row an edge and way of logging on."""
    merged = edges.merged(daily)
    lists = {f"{name}s": ibis.array([merged[name]]) for name in ("logon_type", "auth_package")}
    return merged.mutate(user_kind=identity.user_kind(merged.user), **lists).order_by(*edges.KEY)


def observe(
    table: pa.Table, departments: Mapping[str, str] | None = None, names: Iterable[str] = ()
) -> Scene:
    """What is usual in a table with the columns user, source, target, user_kind, target_kind, hours (bits),
    logon_types, and, if there are any, first_seen and last_seen, action, auth_packages. departments: of each
    user, as far as they are known; names: of accounts and places that exist, in the table or not."""
    columns = {name: table[name].combine_chunks() for name in ("user", "source", "target")}
    users, user = np.unique(columns["user"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    has_source = columns["source"].is_valid().to_numpy(zero_copy_only=False)  # [edges]
    source_name = columns["source"].fill_null("").to_numpy(zero_copy_only=False).astype(str)
    target_name = columns["target"].to_numpy(zero_copy_only=False).astype(str)
    ends = np.concatenate([target_name, source_name[has_source]])
    places, number = np.unique(ends, return_inverse=True)
    source = np.full(len(user), -1)
    target, source[has_source] = number[: len(user)], number[len(user) :]
    kind = np.full(len(users), "human", dtype="<U9")
    kind[user] = table["user_kind"].to_numpy().astype(str)
    is_resource = np.zeros(len(places), bool)
    is_resource[target] = table["target_kind"].to_numpy() == "resource"
    department = numbered(users, departments or {})
    hours = hours_of(user, table["hours"].to_numpy(), len(users))
    there = frozenset(names)
    return Scene(users, places, kind, department, is_resource, user, source, target, hours, table, there)


def numbered(users: Strings, departments: Mapping[str, str]) -> Ints:
    """A number for each user's department, -1 if it is unknown. [users]"""
    names = np.array([departments.get(str(user), "") for user in users], dtype=str)
    return np.where(names == "", -1, np.unique(names, return_inverse=True)[1])


def hours_of(user: Ints, bits: Ints, users: int) -> Doubles:
    """Edges of each user that were active in each hour, [users, 24], from the hours' bits, [edges]."""
    columns = [np.bincount(user, bits >> hour & 1, users) for hour in range(HOURS)]
    hours: Doubles = np.stack(columns, axis=1).astype(float)
    return hours
