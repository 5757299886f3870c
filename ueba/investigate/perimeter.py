"""The perimeter: what a stolen account, a lost machine or an attacker's address can have touched, in the
order of time.

Every event that did not fail says that at its time an account reached a target, acting from a source. From
what is known to be in the attacker's hands, a *chain* of events leads on, each at or after the time at which
the one before it arrived:

    held(account)     from when the attacker uses it          on(machine)  from when the attacker is there
    exposed(account)  from its first event on a machine that the attacker is on: it acts from there, or leaves credentials there
    moves             an event whose account, or the actor that used it, is held, or whose source the attacker is on, by its time;
                      and a flagged one whose account or actor an event of the day before it exposed, wherever it is
    reaches           its target, from its time on; and its source, if it moves by its account or actor

Origins, from `since` on
    account      held                   machine      on
    resource     who touches it is a contact
    address      whoever acts from it, or is reached at it, is a contact; a mail address also where an event only names it
    indicator    one of any kind of which all that it does is the attacker's: every event with it is a contact
A *contact* is an event that the attacker is known to have had a part in: it moves by its account. An attempt
that failed is told among the contacts, and reaches nothing.

    confirmed    reached by a chain of flagged events only: contacts, and events whose edge is in an incident that nobody has called
                 harmless. The account of such an event is held from then on
    possible     reached by a chain of any events; and the accounts that are exposed
    not reached  the rest of what there was in that time

One leaves credentials on a machine by any event on it but a network logon and a mere ticket: a logon, or one
that does not say from where it came. Nobody renews the password of an anonymous account, nor of a machine on
itself: they are exposed nowhere. Resources and addresses are reached, but nobody is on them: many are behind
one address. Exposed accounts lead on from machines that are reached, and by flagged events, but not by any
event elsewhere: at every server somebody is exposed who goes everywhere, and the perimeter would be the
network. A place is its kind and its name: a machine and a resource of one name are two.

Arrival is the earliest by any chain of at most `hops` events, as of Wu et al. (2014, "Path problems in
temporal graphs"), found as Bellman (1958) and Ford do, a hop a round over all events at once. The hops that
are told are the fewest of any chain, so of another one where a longer chain arrives earlier. Leaves out
credentials that were on a machine before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ueba import findings
from ueba.ingest import lake, raw
from ueba.ingest.identity import ANONYMOUS
from ueba.investigate.names import Entity, Names, Origin, is_address, mails_in
from ueba.investigate.picture import add_node, node_of
from ueba.tables import records
from ueba.text import plain
from ueba.triage import log as verdict_log
from ueba.workspace import Workspace

SCHEMA_VERSION = 1
COLUMNS = ("entity", "kind", "class", "at", "hops", "via_user", "from", "from_kind", "event", "incident")
NEVER = np.iinfo(np.int64).max
NO_CREDENTIALS = "Network"  # the logon type that leaves none on the target
NO_VISIT = (
    "ticket",
    "service_ticket",
    "credential_validation",
)  # what a controller tells: the account was not on the target
HARMLESS = ("benign", "expected")
READ = (
    *(
        "time",
        "user",
        "actor",
        "source",
        "target",
        "target_kind",
        "detail",
        "action",
        "logon_type",
        "outcome",
    ),
    *("user_id", "source_ip", "target_ip", "code", "path", "line"),
)
DAY = 86_400_000_000  # microseconds

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Events:
    """What happened, by time. [events] each.

    time:    int64, microseconds since 1970, UTC
    user, actor: int64, numbers of accounts: the one that was used, and the one that used it, -1 if the same
    source, target: int64, numbers of places; a source is -1 if unknown
    leads:   bool, the source is a machine, on which one can be
    at_source, at_target: bool, the account is exposed there if that is reached
    flagged: bool, its edge is in an incident, or it is a contact
    contact: bool, the attacker had a part in it
    """

    time: Ints
    user: Ints
    actor: Ints
    source: Ints
    target: Ints
    leads: Bools
    at_source: Bools
    at_target: Bools
    flagged: Bools
    contact: Bools


@dataclass
class Arrivals:
    """When accounts or places are reached. int64 [entities + 1] each: the last is for -1, which never is.

    time: NEVER if not     hops: the fewest events     event: the row of the last of the earliest chain, -1 for an origin"""

    time: Ints
    hops: Ints
    event: Ints

    @classmethod
    def of(cls, time: Ints) -> Arrivals:
        """Origins, by when they are. int64 [entities]"""
        time = np.append(time, NEVER)
        return cls(time, np.zeros_like(time), np.full_like(time, -1))

    def by(self, entity: Ints, time: Ints) -> Bools:
        """Which of some entities, -1 for none, are reached by some times. bool [events]"""
        there: Bools = self.time[entity] <= time
        return there

    def arrive(self, entity: Ints, time: Ints, moving: Bools, hops: int) -> bool:
        """Events, by time, reach entities. True if any is reached earlier than before."""
        rows = np.flatnonzero(moving)
        rows = rows[(entity[rows] >= 0) & (time[rows] < self.time[entity[rows]])]
        first = np.full_like(self.time, NEVER)
        np.minimum.at(first, entity[rows], rows)
        reached = np.flatnonzero(first < NEVER)
        self.hops[reached] = np.where(self.time[reached] == NEVER, hops, self.hops[reached])
        self.time[reached], self.event[reached] = time[first[reached]], first[reached]
        return len(reached) > 0


@dataclass
class Reached:
    """on: of places     moved: which events did so within the hops, bool [events]
    exposed: of accounts, its time the row of the event, as what moves comes after it in the log too
    exposing: which events expose their account; leading: which of them did a round ago, so that they count
    as an event of a chain. bool [events] each"""

    on: Arrivals
    exposed: Arrivals
    moved: Bools
    exposing: Bools
    leading: Bools

    @classmethod
    def of(cls, events: Events, held: Ints, on: Ints) -> Reached:
        nothing = np.zeros_like(events.flagged)
        state = cls(Arrivals.of(on), Arrivals.of(np.full_like(held, NEVER)), nothing, nothing, nothing)
        state.expose(events, 0)
        return state

    def expose(self, events: Events, hops: int) -> bool:
        """What is on by now exposes. True if more is to come of it."""
        before, self.leading = self.leading, self.exposing
        self.exposing = events.at_source & self.on.by(events.source, events.time)
        self.exposing |= events.at_target & self.on.by(events.target, events.time)
        self.exposed.arrive(events.user, np.arange(len(events.time)), self.exposing, hops)
        return bool((before != self.leading).any() or (self.leading != self.exposing).any())

    def exposed_lately(self, events: Events, account: Ints, rows: Ints, lately: int) -> Bools:
        """Which of some accounts were exposed in the microseconds before some rows. bool [rows]"""
        length, asked = len(events.time), np.zeros(len(self.exposed.time), bool)
        asked[account] = True
        known = np.flatnonzero(self.leading & asked[events.user])
        keys = np.append(-length, np.sort(events.user[known] * length + known))
        last = keys[np.searchsorted(keys, account * length + rows) - 1]
        same = (account >= 0) & (last // length == account)
        there: Bools = same & (events.time[last % length] >= events.time[rows] - lately)
        return there


def reach(
    events: Events, held: Ints, on: Ints, hops: int | None = None, lately: int = DAY
) -> tuple[Arrivals, Reached, Reached]:
    """The accounts that are held; and what is reached by at most `hops` flagged events, and by any events.
    held, on: from when the origins are, NEVER for none, int64 [accounts] and [places]; lately: microseconds
    for which an exposure counts elsewhere"""
    owned = Arrivals.of(held)
    confirmed, possible = (Reached.of(events, held, on) for _ in range(2))
    for done in range(1, (len(events.time) if hops is None else hops) + 1):
        # All of a round is seen before any of it counts, so that a round is one event.
        certain, certain_by_account = (of & events.flagged for of in _moves(events, owned, confirmed, lately))
        moving, by_account = _moves(events, owned, possible, lately)
        changed = [owned.arrive(events.user, events.time, certain, done)]
        for state, moves, by in ((confirmed, certain, certain_by_account), (possible, moving, by_account)):
            changed.append(state.on.arrive(events.target, events.time, moves, done))
            changed.append(state.on.arrive(events.source, events.time, by, done))
            changed.append(state.expose(events, done))
            state.moved |= moves
        if not any(changed):
            break
    return owned, confirmed, possible


def _moves(events: Events, held: Arrivals, state: Reached, lately: int) -> tuple[Bools, Bools]:
    """Which events move, and which of them by their account. bool [events] each"""
    by_account = events.contact | held.by(events.user, events.time) | held.by(events.actor, events.time)
    rows = np.flatnonzero(events.flagged)
    for account in (events.user, events.actor):
        by_account[rows] |= state.exposed_lately(events, account[rows], rows, lately)
    return by_account | (events.leads & state.on.by(events.source, events.time)), by_account


def exposed(events: Events, on: Arrivals) -> pd.DataFrame:
    """The accounts exposed on machines that are reached: user, place, time of the first event and its row,
    one a row each."""
    here = []
    for place, shown in ((events.source, events.at_source), (events.target, events.at_target)):
        rows = np.flatnonzero(shown & on.by(place, events.time))
        rows = rows[~pd.Series(events.user[rows] * len(on.time) + place[rows]).duplicated().to_numpy()]
        here.append(
            pd.DataFrame(
                {"user": events.user[rows], "place": place[rows], "time": events.time[rows], "event": rows}
            )
        )
    return (
        pd.concat(here)
        .sort_values("event", kind="stable")
        .drop_duplicates(["user", "place"])
        .reset_index(drop=True)
    )


# --- the log, as numbers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Log:
    """Events, and the numbers of what they name.

    table:    columns READ, [events]; see `raw.events`
    accounts: names     places: kind (machine, resource, address) and name
    user, actor, source, target: int64 [events], numbers of accounts and of places, -1 for none"""

    table: pa.Table
    accounts: list[str]
    places: list[Entity]
    user: Ints
    actor: Ints
    source: Ints
    target: Ints

    @classmethod
    def of(cls, table: pa.Table) -> Log:
        accounts, (user, actor) = _numbers(table["user"], table["actor"])
        names, (source, target) = _numbers(table["source"], table["target"])
        # A resource has the number of its name, and as many as there are names.
        target = target + len(names) * _is(table["target_kind"], "resource")
        every = [_place(kind, name) for kind in ("machine", "resource") for name in names]
        there = np.zeros(len(every), bool)
        there[target] = there[source[source >= 0]] = True
        number = np.append(np.cumsum(there) - 1, -1)  # of those that there are; the last is for -1
        places = [every[each] for each in np.flatnonzero(there)]
        return cls(table, accounts, places, user, actor, number[source], number[target])

    def where(self, rows: Bools) -> Log:
        chosen = self.table.filter(pa.array(rows))
        return Log(
            chosen,
            self.accounts,
            self.places,
            *(each[rows] for each in (self.user, self.actor, self.source, self.target)),
        )

    @cached_property
    def time(self) -> Ints:
        """Microseconds since 1970, UTC. int64 [events]"""
        times: Ints = self.table["time"].to_numpy().astype("datetime64[us]").astype(np.int64)
        return times

    @cached_property
    def own_machines(self) -> tuple[Ints, Ints]:
        """The number of the name `ws7`: of the account ws7$@corp and its like [accounts], and of the machine
        ws7.corp.example and its like [places]. Where there is none, numbers that are never equal."""
        mine = [name.split("@", 1)[0].casefold() for name in self.accounts]
        names = [
            name.split(".", 1)[0].casefold() + "$" if kind == "machine" else "" for kind, name in self.places
        ]
        number = {name: at for at, name in enumerate(dict.fromkeys(filter(None, names)))}
        accounts, places = [number.get(name, -1) for name in mine], [number.get(name, -2) for name in names]
        return np.array(accounts, np.int64), np.array(places, np.int64)


def _place(kind: str, name: str) -> Entity:
    """A place by what the log has it for, machine or resource: one that has no name but an address is an
    address."""
    return ("address" if kind == "machine" and is_address(name) else kind), name


def _codes(column: pa.ChunkedArray) -> tuple[list[Any], Ints]:
    """The texts of a column, and the number of each row's, -1 for null."""
    encoded = column.combine_chunks()
    return encoded.dictionary.to_pylist(), encoded.indices.fill_null(-1).to_numpy(
        zero_copy_only=False
    ).astype(np.int64)


def _numbers(*columns: pa.ChunkedArray) -> tuple[list[str], list[Ints]]:
    """The texts of several columns, and the numbers of each one's rows, -1 for null."""
    told = [_codes(column) for column in columns]
    texts = list(dict.fromkeys(text for mine, _ in told for text in mine))
    number = {text: at for at, text in enumerate(texts)}
    return texts, [np.array([*(number[text] for text in mine), -1])[codes] for mine, codes in told]


def _is(column: pa.ChunkedArray, *texts: str) -> Bools:
    """Which rows have one of some texts. bool [events]"""
    mine, codes = _codes(column)
    return np.array([*(text in texts for text in mine), False])[codes]


def _events(log: Log, contact: Bools, flagged: Bools, anonymous: Bools) -> Events:
    """contact, flagged: [events]     anonymous: [accounts]"""
    is_machine = np.array([*(kind == "machine" for kind, _ in log.places), False])
    owner, machine = log.own_machines
    leads, is_unknown = is_machine[log.source], log.source < 0
    leaves = ~_is(log.table["action"], *NO_VISIT) & ~_is(log.table["logon_type"], NO_CREDENTIALS)
    leaves &= (_is(log.table["action"], "logon") | is_unknown) & is_machine[log.target]
    somebody = ~anonymous[log.user]
    return Events(
        time=log.time,
        user=log.user,
        actor=log.actor,
        source=log.source,
        target=log.target,
        leads=leads,
        at_source=leads & somebody & (owner[log.user] != machine[log.source]),
        at_target=leaves & somebody & (owner[log.user] != machine[log.target]),
        flagged=flagged | contact,
        contact=contact,
    )


def _anonymous(log: Log, told: set[str]) -> Bools:
    """Which accounts are nobody's, by their names or as is told of them. bool [accounts]"""
    return np.array(
        [name in told or name.split("@", 1)[0].casefold() in ANONYMOUS for name in log.accounts], bool
    )


# --- from the lake ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Perimeter:
    """Rows of JSON values.

    origins: entity, kind, of what anything in that time had to do with     unknown: indicators that nothing had to do with
    contacts: who reached what from where, by the attacker's hand as far as is known; attempts too, by their
    outcome reached: columns COLUMNS; the last event of the earliest chain, and the incident it is in
    exposed: machine, account, at, event        touched: what was done in resources
    not_reached: entity, kind"""

    since: dt.datetime
    until: dt.datetime
    origins: list[dict[str, str]]
    unknown: list[str]
    contacts: list[dict[str, Any]]
    reached: list[dict[str, Any]]
    exposed: list[dict[str, Any]]
    touched: list[dict[str, Any]]
    not_reached: list[dict[str, str]]


def draw_up(
    workspace: Workspace,
    names: Sequence[str],
    indicators: Sequence[str],
    since: dt.datetime,
    until: dt.datetime,
    hops: int | None = None,
) -> Perimeter:
    """The perimeter of what is named, from the events of the lake, both times included.

    Raises WorkspaceError for a name that nothing in that time had to do with; an indicator may be one."""
    whole = Log.of(raw.events(workspace.lake, since, until, columns=READ))
    table = lake.read_entities(workspace.lake)
    entities = table.select(["name", "account_kind", "aliases"]).to_pylist() if table else []
    there = Names.of(
        _named(whole), {each["name"]: row["name"] for row in entities for each in row["aliases"]}
    )
    asked = [(name, there.origins(name)) for name in names]
    given = [(name, there.origins(name, is_attacker=True)) for name in indicators]
    origins = list(dict.fromkeys(each for _, found in (*asked, *given) for each in found))
    met, hit = _contacts(whole, origins)
    known = there.exact | hit
    if missing := [
        name for name, found in asked if known.isdisjoint((each.kind, each.name) for each in found)
    ]:
        raise there.unknown(missing[0], _last_seen(workspace.lake, there.spellings(missing[0])))
    succeeded = ~_is(whole.table["outcome"], "failure")
    log = whole.where(succeeded)
    incident, incidents = _incidents_of(workspace, log)
    anonymous = _anonymous(log, {row["name"] for row in entities if row["account_kind"] == "anonymous"})
    events = _events(log, met[succeeded] >= 0, incident >= 0, anonymous)
    began = int(np.datetime64(since, "us").astype(np.int64))
    begins = dict.fromkeys((each.kind, each.name) for each in origins if (each.kind, each.name) in known)
    held = np.array([began if ("user", name) in begins else NEVER for name in log.accounts], np.int64)
    on = np.array([began if place in begins else NEVER for place in log.places], np.int64)
    owned, confirmed, possible = reach(events, held, on, hops)
    bare = exposed(events, possible.on)
    told = _Told(log, incidents, incident)
    rows: dict[Entity, dict[str, Any]] = {each: {} for each in begins}
    for row in (
        *told.reached(owned, "confirmed", [("user", name) for name in log.accounts]),
        *told.reached(confirmed.on, "confirmed", log.places),
        *told.reached(possible.on, "possible", log.places),
        *told.bared(bare, possible.exposed),
    ):
        rows.setdefault((row["kind"], row["entity"]), row)
    contacts = _decoded(whole.table, met >= 0).assign(
        indicator=[origins[number].name for number in met[met >= 0]]
    )
    return Perimeter(
        since=since,
        until=until,
        origins=[{"entity": name, "kind": kind} for kind, name in begins],
        unknown=[name for name, found in given if known.isdisjoint((each.kind, each.name) for each in found)],
        contacts=_grouped(
            contacts, ["indicator", "user", "source", "target", "target_kind", "source_ip", "outcome"]
        ),
        reached=sorted(
            filter(None, rows.values()), key=lambda row: (row["class"], row["hops"], row["at"], row["entity"])
        ),
        exposed=told.exposed(bare),
        touched=told.touched(confirmed.moved, possible.moved),
        not_reached=[
            {"entity": name, "kind": kind}
            for kind, name in sorted(told.others(possible.on, anonymous) - {*rows})
        ],
    )


def _last_seen(lake_root: Path, names: Sequence[str]) -> tuple[str, dt.date] | None:
    """The one of some names that the lake saw last, and the day."""
    days = lake.days(lake_root)

    def seen(stored: ir.Table) -> ir.Table:
        ends = [stored.select(stored.day, name=stored[end]) for end in ("user", "source", "target")]
        every = ibis.union(*ends)
        return every.filter(every.name.isin([*names])).order_by(ibis.desc("day"), "name").limit(1)

    found = lake.query(lake_root, days[0], days[-1], seen, "1GB").to_pylist() if days else []
    return (found[0]["name"], found[0]["day"]) if found else None


def _named(log: Log) -> set[Entity]:
    """All that events name; an address also where it is called a resource."""
    texts = [
        *_codes(log.table["source_ip"])[0],
        *_codes(log.table["target_ip"])[0],
        *(name for _, name in log.places),
    ]
    return {
        *(("user", name) for name in log.accounts),
        *log.places,
        *(("address", each) for each in texts if is_address(each)),
    }


def _contacts(log: Log, origins: Sequence[Origin]) -> tuple[Ints, set[Entity]]:
    """The first of the origins by which the attacker is known to have had a part in each event, or -1, int64
    [events]; and all of them by which he had one in any."""
    number = {(each.kind, each.name): at for at, each in reversed([*enumerate(origins)]) if each.is_attacker}
    by_account = [[("user", name), ("mail", name.casefold())] for name in log.accounts]
    by_place = [[place, ("address", place[1]), ("mail", place[1].casefold())] for place in log.places]
    looked = [(by_account, log.user), (by_account, log.actor), (by_place, log.source), (by_place, log.target)]
    for column in ("source_ip", "target_ip", "user_id"):
        texts, codes = _codes(log.table[column])
        looked.append(([[("address", text), ("mail", text.casefold())] for text in texts], codes))
    if mails := [name for kind, name in number if kind == "mail"]:
        texts, codes = _codes(log.table["detail"])
        looked.append(([[("mail", name) for name in found] for found in mails_in(texts, mails)], codes))
    found = np.full(len(log.user), len(origins))
    for meant, codes in looked:
        first = [
            min((number[each] for each in some if each in number), default=len(origins)) for some in meant
        ]
        found = np.minimum(found, np.array([*first, len(origins)])[codes])
    hit = {each for meant, _ in looked for some in meant for each in some if each in number}
    return np.where(found < len(origins), found, -1), hit


def _incidents_of(workspace: Workspace, log: Log) -> tuple[Ints, list[str]]:
    """The number of the incident that each event's edge is in, int64 [events], -1 if it is in none, or in
    one that was called harmless or that rules hide; and the incidents."""
    folder, said = workspace.findings, verdict_log.read(workspace.root).words
    harmless = [incident for incident, word in said.items() if word in HARMLESS]
    day = log.time // DAY
    days = {dt.date(1970, 1, 1) + dt.timedelta(days=int(each)) for each in np.unique(day)}
    scored = [
        findings.load(folder, each).reported(said).edges
        for each in findings.scored_days(folder)
        if each in days
    ]
    edges = [
        edge
        for each in scored
        for edge in records(each[each["incident"].notna() & ~each["incident"].isin(harmless)])
    ]
    incidents = list(dict.fromkeys(edge["incident"] for edge in edges))
    every = (log.accounts, log.places, incidents)
    account, place, incident = ({name: number for number, name in enumerate(names)} for names in every)
    numbered = [
        (
            (edge["day"] - dt.date(1970, 1, 1)).days,
            account.get(edge["user"]),
            -1 if edge["source"] is None else place.get(_place("machine", edge["source"])),
            place.get(_place(edge["target_kind"], edge["target"])),
            incident[edge["incident"]],
        )
        for edge in edges
    ]
    keys = ["day", "user", "source", "target"]
    marked = pd.DataFrame(
        [row for row in numbered if None not in row], columns=[*keys, "incident"], dtype=np.int64
    )
    near = np.flatnonzero(np.isin(log.user, marked["user"]) & np.isin(log.target, marked["target"]))
    mine = pd.DataFrame(
        {"day": day[near], "user": log.user[near], "source": log.source[near], "target": log.target[near]}
    )
    found = np.full(len(day), -1)
    found[near] = mine.merge(marked.drop_duplicates(keys), how="left", on=keys)["incident"].fillna(-1)
    return found, incidents


@dataclass(frozen=True)
class _Told:
    """Numbers back to names, with the place of each event in the log.

    incident: number of each event's in `incidents`, int64 [events], -1 for none"""

    log: Log
    incidents: list[str]
    incident: Ints

    def events(self, rows: Ints) -> list[dict[str, Any]]:
        """Of some events: when, who came from where, and where in which log that is."""
        some = self.log.table.select(["time", "user", "path", "line"]).take(pa.array(rows)).to_pylist()
        return [
            {
                "at": event["time"].isoformat(),
                "via_user": event["user"],
                **_from(self.log.places[source] if source >= 0 else ("user", event["user"])),
                "event": f"{event['path']}:{event['line']}",
                "incident": self.incidents[incident] if incident >= 0 else None,
            }
            for event, source, incident in zip(some, self.log.source[rows], self.incident[rows], strict=True)
        ]

    def reached(self, arrivals: Arrivals, how: str, entities: Sequence[Entity]) -> list[dict[str, Any]]:
        found = np.flatnonzero(arrivals.event >= 0).tolist()
        return [
            {
                "entity": entities[number][1],
                "kind": entities[number][0],
                "class": how,
                "hops": int(arrivals.hops[number]),
                **event,
            }
            for number, event in zip(found, self.events(arrivals.event[found]), strict=True)
        ]

    def bared(self, bare: pd.DataFrame, arrivals: Arrivals) -> list[dict[str, Any]]:
        """Exposed accounts, each where it was first."""
        accounts = [("user", name) for name in self.log.accounts]
        first = records(bare.drop_duplicates("user"))
        where = {self.log.accounts[row["user"]]: self.log.places[row["place"]] for row in first}
        return [
            {**row, **_from(where[row["entity"]])} for row in self.reached(arrivals, "possible", accounts)
        ]

    def exposed(self, bare: pd.DataFrame) -> list[dict[str, Any]]:
        return [
            {
                "machine": self.log.places[row["place"]][1],
                "account": self.log.accounts[row["user"]],
                "at": event["at"],
                "event": event["event"],
            }
            for row, event in zip(records(bare), self.events(bare["event"].to_numpy()), strict=True)
        ]

    def touched(self, certain: Bools, moved: Bools) -> list[dict[str, Any]]:
        """What was done in which resource by events that moved: files, rules, folders; confirmed if a
        flagged one did it."""
        moved = moved & _is(self.log.table["target_kind"], "resource")
        mine = _decoded(self.log.table, moved).assign(
            **{"class": np.where(certain[moved], "confirmed", "possible")}
        )
        return _grouped(mine, ["class", "target", "detail", "action", "code", "user"])

    def others(self, on: Arrivals, anonymous: Bools) -> set[Entity]:
        """All accounts and places that there are, but nobody's accounts, and those of the machines that are
        reached."""
        owner, machine = self.log.own_machines
        left_out = anonymous | np.isin(owner, machine[on.time[:-1] < NEVER])
        places = np.unique(np.concatenate([self.log.source, self.log.target]))
        accounts = [
            ("user", self.log.accounts[user]) for user in np.unique(self.log.user) if not left_out[user]
        ]
        return {*accounts, *(self.log.places[place] for place in places if place >= 0)}


def _from(entity: Entity) -> dict[str, str]:
    return {"from": entity[1], "from_kind": entity[0]}


def _decoded(table: pa.Table, rows: Bools) -> pd.DataFrame:
    """Some of the events, texts as texts."""
    chosen = table.filter(pa.array(rows))
    plain = [
        field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    decoded: pd.DataFrame = chosen.cast(pa.schema(plain)).to_pandas()
    return decoded


def _grouped(table: pd.DataFrame, keys: list[str]) -> list[dict[str, Any]]:
    """Events that agree on some columns: when first and last, how many, and where the first is."""
    measures = {"first": ("time", "min"), "last": ("time", "max"), "events": ("time", "size")}
    place = {"path": ("path", "first"), "line": ("line", "first")}
    grouped = table.groupby(keys, dropna=False, sort=False).agg(**measures, **place).reset_index()
    return [
        {
            **{name: _text(row[name]) for name in keys},
            "first": row["first"].isoformat(),
            "last": row["last"].isoformat(),
            "events": int(row["events"]),
            "event": f"{row['path']}:{row['line']}",
        }
        for row in records(grouped)
    ]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def to_dict(perimeter: Perimeter) -> dict[str, Any]:
    """All of it, JSON values only."""
    times = {"since": perimeter.since.isoformat(), "until": perimeter.until.isoformat()}
    return {"schema_version": SCHEMA_VERSION, **asdict(perimeter), **times}


# --- as a graph ---------------------------------------------------------------------------------------------


def to_graph(perimeter: Perimeter) -> nx.MultiDiGraph:
    """What is reached, each by the last event of its chain; columns by hops. See `picture`."""
    graph = nx.MultiDiGraph()
    for origin in perimeter.origins:
        kind = "address" if origin["kind"] == "mail" else origin["kind"]
        graph.nodes[add_node(graph, kind, origin["entity"], "origin")].update(layer=0)
    for row in perimeter.reached:
        node = add_node(graph, row["kind"], row["entity"], row["class"])
        graph.nodes[node].update(layer=row["hops"], at=row["at"])
    for row in perimeter.reached:
        end = node_of(row["kind"], row["entity"])
        before = [node_of(row["from_kind"], row["from"]), node_of("user", row["via_user"])]
        start = next((each for each in before if each in graph and each != end), None)
        if start is not None:
            user = plain(row["via_user"])
            said = (
                f"{user} from {plain(row['from'])} at {row['at']}, {plain(row['event'].rpartition('/')[2])}"
            )
            how = "USED" if (row["from_kind"], row["from"]) == (row["kind"], row["entity"]) else "REACHED"
            graph.add_edge(start, end, type=how, mark=row["class"], said=said, user=user, at=row["at"])
    return graph
