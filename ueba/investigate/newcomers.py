"""Who and what is new on a day: accounts and machines that the lake did not know before, and accounts that
come back after a long silence.

Everything is counted from daily edges, as the questions `newcomers` and `woken-accounts` count it in the
graph, but as far back as the lake goes. Beside each newcomer stands what those of its kind reached on their
first day lately, and how much of what it reached its colleagues knew: accounts of its department; without a
department, accounts that acted from its machines; of a machine, the accounts on it.

An account is woken if it was not seen for 30 days, or half as long as the lake goes back; newcomers are
compared with those of the same time. Before LEAST_DAYS nobody is woken. Leaves out whether that is strange;
scores say that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ueba import findings, words
from ueba.contracts.incident import Incident
from ueba.contracts.names import Identity
from ueba.contracts.newcomer import NEW_ACCOUNT, NEW_MACHINE, WOKEN_ACCOUNT, Newcomer, NewToday, With
from ueba.errors import WorkspaceError
from ueba.ingest import identity, lake
from ueba.ingest.identity import entities
from ueba.workspace import Workspace

MOST_DAYS = 30  # of silence; newcomers of so many days are compared with
LEAST_DAYS = 7  # of silence
DAY = dt.timedelta(days=1)
EDGE = ["user", "source", "target_kind", "target", "first_seen"]
Place = tuple[str, str]  # target_kind, target
Stage = Callable[[ir.Table], ir.Table]


def new_today(workspace: Workspace, day: dt.date, silent_days: int | None = None) -> NewToday:
    """The newcomers of a day. Raises WorkspaceError if the lake has no edges of it.

    silent_days: days without an edge after which an account is woken; without it, see the module."""
    days = lake.days(workspace.lake)
    if day not in days:
        available = f"days from {days[0]} to {days[-1]}" if days else "no days yet"
        raise WorkspaceError(f"the lake holds no edges of {day}; it has {available}")
    half = (day - days[0]).days // 2
    silent_days = silent_days or max(LEAST_DAYS, min(MOST_DAYS, half))
    since = day - DAY * min(MOST_DAYS, half)
    if day == days[0]:  # all is new on the first day
        return NewToday(day, silent_days, since, ())
    look = Look.of(workspace, day)
    arrivals = look.arrivals(silent_days, since)
    today = arrivals[arrivals["day"] == day]
    before = arrivals[arrivals["day"] < day].groupby(["what", "kind"])
    usual = before.agg(
        reached=("reached", "median"), accounts=("accounts", "median"), compared=("name", "size")
    )
    facts = Facts.of(look, today)
    found = [newcomer(row, usual, facts) for row in today.itertuples(index=False)]
    found.sort(key=order)
    return NewToday(day, silent_days, since, tuple(found))


def order(one: Newcomer) -> tuple[Any, ...]:
    """What reached the most that its colleagues do not know comes first; accounts of machines last, as they
    come with the machine."""
    is_own_account = one.kind == "machine" and one.what != NEW_MACHINE
    return is_own_account, -one.reached_unknown, -one.reached, one.what, one.name


# --- from the lake ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """The lake, seen from a day."""

    workspace: Workspace
    day: dt.date
    first: dt.date  # of the lake
    edges: pd.DataFrame  # of the day, columns EDGE
    identities: Mapping[str, Identity]  # of accounts

    @classmethod
    def of(cls, workspace: Workspace, day: dt.date) -> Look:
        known = {row.name: row for row in entities.read(workspace.lake) if row.kind == "user"}
        edges = lake.read_pairs(workspace.lake, day, day, workspace.memory_limit).select(EDGE)
        return cls(workspace, day, lake.days(workspace.lake)[0], edges.to_pandas(), known)

    def query(self, stage: Stage, last: dt.date) -> pd.DataFrame:
        found = lake.query(self.workspace.lake, self.first, last, stage, self.workspace.memory_limit)
        frame: pd.DataFrame = found.to_pandas()
        return frame

    def arrivals(self, silent_days: int, since: dt.date) -> pd.DataFrame:
        """Newcomers of the days from `since`: what, name, kind, day, last_before, reached, accounts,
        first_seen."""
        accounts = self.query(lambda stored: arriving(account_ends(stored), since, silent_days), self.day)
        accounts["what"] = np.where(accounts["last_before"].isna(), NEW_ACCOUNT, WOKEN_ACCOUNT)
        listed = {name: row.account_kind for name, row in self.identities.items() if row.account_kind}
        suggested = zip(accounts["name"], accounts["kind"], strict=True)
        accounts["kind"] = [listed.get(name, kind) for name, kind in suggested]
        machines = self.query(lambda stored: arriving(machine_ends(stored), since, None), self.day)
        return pd.concat([accounts, machines.assign(what=NEW_MACHINE, kind="machine")], ignore_index=True)


def account_ends(stored: ir.Table) -> ir.Table:
    """name, day, user, target_kind, target, first_seen: what accounts reached."""
    return stored.select("day", "user", "target_kind", "target", "first_seen", name=stored.user)


def machine_ends(stored: ir.Table) -> ir.Table:
    """The same of machines: who reached them, without a target, and what was reached from them, without a
    target if that was the machine itself."""
    came = stored.filter(stored.target_kind == "machine")
    left = stored.filter(stored.source.notnull())
    is_itself = (left.target_kind == "machine") & (left.target == left.source)
    nothing = ibis.null("string")
    times = ("day", "user", "first_seen")
    target = ibis.ifelse(is_itself, nothing, left.target)
    return ibis.union(
        came.select(*times, name=came.target, target_kind=nothing, target=nothing),
        left.select(*times, name=left.source, target_kind=left.target_kind, target=target),
    )


def arriving(ends: ir.Table, since: dt.date, silent_days: int | None) -> ir.Table:
    """Of the days from `since`, those before which a name was not seen at all, or not for so many days:
    name, kind, day, last_before, reached, accounts, first_seen."""
    days = ends.select("name", "day").distinct()
    days = days.mutate(last_before=days.day.lag().over(ibis.window(group_by="name", order_by="day")))
    arrives = days.last_before.isnull()
    if silent_days is not None:
        arrives |= days.last_before < days.day - ibis.interval(days=silent_days)
    days = days.filter(arrives & (days.day >= ibis.literal(since)))
    rows = ends.inner_join(days, ["name", "day"])
    place = rows.target_kind.concat(":", rows.target)  # a machine and a resource may have one name
    return (
        rows.group_by("name", "day", "last_before")
        .aggregate(reached=place.nunique(), accounts=rows.user.nunique(), first_seen=rows.first_seen.min())
        .mutate(kind=lambda found: identity.user_kind(found.name))
        .order_by("name", "day")
    )


# --- what is known of them ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What the newcomers of a day are described by; before means before the day."""

    by_user: Mapping[str, pd.DataFrame]  # edges of the day, in order of time
    by_source: Mapping[str, pd.DataFrame]
    by_machine: Mapping[str, pd.DataFrame]  # that was reached
    new: frozenset[str]  # names of what is new on the day: accounts and machines
    acted: pd.DataFrame  # source, user, days: who acted from where before, on how many days; most first
    knew: Mapping[Place, set[str]]  # the accounts that reached a place before
    department: Mapping[str, str]  # of an account
    incidents: tuple[Incident, ...]  # of the day, as far as it was scored

    @classmethod
    def of(cls, look: Look, today: pd.DataFrame) -> Facts:
        machines = set(today["name"][today["what"] == NEW_MACHINE])
        accounts = set(today["name"][today["what"] != NEW_MACHINE])
        edges = look.edges.sort_values(["first_seen", "target"], kind="stable")
        at_machine = edges["source"].isin(machines)
        came = (edges["target_kind"] == "machine") & edges["target"].isin(machines)
        own = edges["user"].isin(accounts)
        sources, users = set(edges["source"][own].dropna()), set(edges["user"][at_machine | came])
        places = set(edges["target"][own | at_machine])
        before = look.day - DAY
        acted = look.query(lambda stored: acting(stored, sources, users), before)
        reached = look.query(lambda stored: reaching(stored, places), before)
        return cls(
            by_user=by_name(edges[own], "user"),
            by_source=by_name(edges[at_machine], "source"),
            by_machine=by_name(edges[came], "target"),
            new=frozenset(today["name"][today["what"] != WOKEN_ACCOUNT]),
            acted=acted,
            knew={
                (str(kind), str(target)): set(users)
                for (kind, target), users in reached.groupby(["target_kind", "target"])["user"]
            },
            department=departments(look.identities.values()),
            incidents=findings.load_incidents(look.workspace.findings, look.day, look.day),
        )

    def usual_user(self, machine: str) -> str | None:
        users = self.acted["user"][self.acted["source"] == machine]
        return users.iloc[0] if len(users) else None

    def usual_machine(self, user: str) -> str | None:
        machines = self.acted["source"][self.acted["user"] == user]
        return machines.iloc[0] if len(machines) else None

    def incident(self, name: str, is_machine: bool) -> str | None:
        """The worst incident that a newcomer is in."""
        ids = (
            found.id for found in self.incidents if name in (found.machines if is_machine else found.users)
        )
        return next(ids, None)


def acting(stored: ir.Table, sources: Collection[str], users: Collection[str]) -> ir.Table:
    """source, user, days: on how many days some accounts acted from where, and who from some machines; most
    days first, accounts of machines last."""
    rows = stored.filter(stored.source.notnull(), stored.source.isin([*sources]) | stored.user.isin([*users]))
    days = rows.group_by("source", "user").aggregate(days=rows.day.nunique())
    return days.order_by(identity.user_kind(days.user) == "machine", days.days.desc(), "source", "user")


def reaching(stored: ir.Table, places: Collection[str]) -> ir.Table:
    """target_kind, target, user: who reached some places."""
    return stored.filter(stored.target.isin([*places])).select("target_kind", "target", "user").distinct()


def by_name(edges: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    return {str(name): part for name, part in edges.groupby(column)}


def departments(identities: Iterable[Identity]) -> dict[str, str]:
    """The department of each account, by a column of that name in an entity table."""
    return {
        row.name: value
        for row in identities
        for name, value in row.attributes.items()
        if name.lower() == "department" and value
    }


# --- one newcomer -------------------------------------------------------------------------------------------


def newcomer(row: Any, usual: pd.DataFrame, facts: Facts) -> Newcomer:
    """A newcomer from its row of `arrivals`; usual: reached, accounts and compared by what and kind."""
    is_machine = row.what == NEW_MACHINE
    others = usual.loc[(row.what, row.kind)] if (row.what, row.kind) in usual.index else None
    beside, left = beside_machine(row.name, facts) if is_machine else beside_account(row.name, facts)
    places = dict.fromkeys(zip(left["target_kind"], left["target"], strict=True))
    asked, colleagues = people_to_ask(row, beside, facts)
    known = sum(bool(facts.knew[place] & asked) for place in places if place in facts.knew)
    return Newcomer(
        what=row.what,
        name=row.name,
        kind=row.kind,
        first_seen=row.first_seen.to_pydatetime(),
        last_before=row.last_before if row.what == WOKEN_ACCOUNT else None,
        beside=beside,
        reached=int(row.reached),
        reached_usual=None if others is None else float(others["reached"]),
        accounts=int(row.accounts) if is_machine else None,
        accounts_usual=float(others["accounts"]) if is_machine and others is not None else None,
        compared=0 if others is None else int(others["compared"]),
        targets=tuple(sorted({target for _, target in places})),
        known=known / len(places) if places and asked else None,
        colleagues=colleagues if asked else "",
        incident=facts.incident(row.name, is_machine),
    )


def beside_account(name: str, facts: Facts) -> tuple[tuple[With, ...], pd.DataFrame]:
    """The machines that an account acted from, and its edges."""
    edges = facts.by_user[name]
    machines = dict.fromkeys(edges["source"].dropna())
    return tuple(With(one, one in facts.new, facts.usual_user(one)) for one in machines), edges


def beside_machine(name: str, facts: Facts) -> tuple[tuple[With, ...], pd.DataFrame]:
    """The accounts on a machine, and the edges from it to others."""
    none = pd.DataFrame(columns=["user", "target_kind", "target", "first_seen"])
    left, came = facts.by_source.get(name, none), facts.by_machine.get(name, none)
    everything = pd.concat([part for part in (left, came) if len(part)]).sort_values("first_seen")
    users = dict.fromkeys(everything["user"])
    elsewhere = left[(left["target_kind"] != "machine") | (left["target"] != name)]
    return tuple(With(one, one in facts.new, facts.usual_machine(one)) for one in users), elsewhere


def people_to_ask(row: Any, beside: tuple[With, ...], facts: Facts) -> tuple[set[str], str]:
    """The accounts of which a newcomer's targets may be known, and who they are in words."""
    if row.what == NEW_MACHINE:
        return {other.name for other in beside if not other.is_new}, "the accounts on it"
    itself = {row.name} if row.what == WOKEN_ACCOUNT else set()
    department = facts.department.get(row.name)
    if department:
        members = {name for name, of in facts.department.items() if of == department}
        return members | itself, f"department {department}"
    machines = [other.name for other in beside]
    users = set(facts.acted["user"][facts.acted["source"].isin(machines)])
    return users | itself, "accounts of its machines" if users - itself else "itself before"


# --- in words -----------------------------------------------------------------------------------------------


def beside_in_words(one: Newcomer) -> list[str]:
    """The machines that an account acted from, or the accounts on a machine: ws-7 (new), ws-8 (of mlopez)."""
    word = "usually on" if one.what == NEW_MACHINE else "of"

    def note(other: With) -> str:
        if other.is_new:
            return " (new)"
        if other.usually is None:
            return ""
        return " (its own)" if other.usually == one.name else f" ({word} {other.usually})"

    return [f"{other.name}{note(other)}" for other in one.beside]


def reached_in_words(one: Newcomer) -> str:
    """How much it reached, beside what is usual: 25, usually 6; of a machine also who was on it."""

    def beside(count: int, usual: float | None, word: str) -> str:
        return f"{count:,}{word}" + ("" if usual is None else f", usually {usual:g}")

    if one.accounts is None:
        return beside(one.reached, one.reached_usual, "")
    accounts = beside(one.accounts, one.accounts_usual, " account" if one.accounts == 1 else " accounts")
    return f"{beside(one.reached, one.reached_usual, '')}; {accounts}"


def known_in_words(one: Newcomer) -> str:
    """Which share of that its colleagues knew: 8% to department sales."""
    return "" if one.known is None else f"{words.share(one.known)} to {one.colleagues}"


def silence_in_words(one: Newcomer) -> str:
    """What is new: new account; woken account, last seen 2026-01-07."""
    return one.what if one.last_before is None else f"{one.what}, last seen {one.last_before}"


def as_row(one: Newcomer) -> dict[str, Any]:
    """A newcomer for a person: a row of a table."""
    return {
        "new": silence_in_words(one),
        "name": one.name,
        "first_seen": one.first_seen,
        "with": beside_in_words(one),
        "reached": reached_in_words(one),
        "known": known_in_words(one),
        "incident": one.incident,
    }


def sentence(found: NewToday) -> str:
    """How many there are, and what is called woken and usual."""
    counts = [f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in found.counts.items() if count]
    if not counts:
        return f"Nobody and nothing is new on {found.day}"
    return (
        f"{', '.join(counts)} on {found.day}. An account is woken if it was not seen for"
        f" {found.silent_days} days; usual is the median of newcomers of the same kind since {found.since}"
    )
