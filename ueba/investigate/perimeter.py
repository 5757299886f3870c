"""The perimeter: what a stolen account, a lost machine or an attacker's address can have touched, in the order of time.

Every event that did not fail says that at its time an account reached a target, acting from a source. From what is known to be in
the attacker's hands, a *chain* of events leads on, each at or after the time at which the one before it arrived:

    held(account)  from when the attacker uses it          on(place)  from when the attacker is there
    moves          an event whose account, or the actor that used it, is held, or whose source the attacker is on, by its time
    reaches        its target, from its time on; and its source, if its account or actor is held

Origins, from `since` on
    account      held                   machine      on
    resource     on; who touches it after is a contact
    address      whoever acts from it, or is reached at it, is a contact; a mail address also where an event only names it
    indicator    one of any kind of which all that it does is the attacker's: every event with it is a contact
A *contact* is an event that the attacker is known to have had a part in: its account is held, and its places are reached. An
attempt that failed is told among the contacts, and reaches nothing.

    confirmed    reached by a chain of flagged events only: contacts, and events whose edge is in an incident that nobody has called
                 harmless. The account of such an event is held from then on
    possible     reached by a chain of any events
    not reached  the rest of what there was in that time

An account is *exposed* on a machine that is reached if it acts from there, or logs on there in a way that leaves credentials: any
but a network logon, and no mere ticket; it is possible from then on. Exposed accounts lead on from machines that are reached, but
not from elsewhere: at every server somebody is exposed who goes everywhere, and the perimeter would be the network.

Arrival is the earliest by any chain of at most `hops` events, as of Wu et al. (2014, "Path problems in temporal graphs"), found as
Bellman (1958) and Ford do, a hop a round over all events at once. Leaves out credentials that were on a machine before.
"""

from __future__ import annotations

import datetime as dt
import difflib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd

from ueba.detect import archive, feedback, findings
from ueba.detect.findings import records
from ueba.errors import InputError, WorkspaceError
from ueba.ingest import lake, raw
from ueba.ingest.given import spelt_host, spelt_user
from ueba.investigate.picture import add_node, node_of
from ueba.text import plain
from ueba.workspace import Workspace

SCHEMA_VERSION = 1
COLUMNS = ("entity", "kind", "class", "at", "hops", "via_user", "from", "event", "incident")
NEVER = np.iinfo(np.int64).max
NO_CREDENTIALS = "Network"  # the logon type that leaves none on the target
HARMLESS = ("benign", "expected")
CLOSE = 3  # names that are offered for one that is not known

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Events:
    """What happened, by time. [events] each.

    time:    int64, microseconds since 1970, UTC
    user, source, target: int64, numbers of accounts and places; a source is -1 if unknown
    actor:   int64, the account that used the user's, -1 if the same
    leaves:  bool, credentials stay on the target
    flagged: bool, its edge is in an incident, or it is a contact
    contact: bool, the attacker had a part in it
    """

    time: Ints
    user: Ints
    source: Ints
    target: Ints
    leaves: Bools
    flagged: Bools
    contact: Bools
    actor: Ints


@dataclass
class Arrivals:
    """When accounts or places are reached. int64 [entities] each.

    time: NEVER if not     hops: after how many events     event: the row of the last of them, -1 for an origin"""

    time: Ints
    hops: Ints
    event: Ints

    @classmethod
    def of(cls, time: Ints) -> Arrivals:
        """Origins, by when they are."""
        return cls(time.copy(), np.zeros_like(time), np.full_like(time, -1))

    def by(self, entity: Ints, time: Ints) -> Bools:
        """Which of some entities, -1 for none, are reached by some times. bool [events]"""
        there: Bools = (entity >= 0) & (self.time[entity] <= time)
        return there

    def arrive(self, entity: Ints, time: Ints, moving: Bools, hops: int) -> bool:
        """Events reach entities. True if any is reached earlier than before."""
        rows = np.flatnonzero(moving & (entity >= 0) & (time < self.time[entity]))
        rows = rows[np.lexsort((rows, time[rows], entity[rows]))]
        reached, first = np.unique(entity[rows], return_index=True)
        rows = rows[first]
        self.time[reached], self.hops[reached], self.event[reached] = time[rows], hops, rows
        return len(rows) > 0


@dataclass(frozen=True)
class Reached:
    """held: of accounts; on: of places"""

    held: Arrivals
    on: Arrivals


def reach(events: Events, held: Ints, on: Ints, hops: int | None = None) -> tuple[Reached, Reached]:
    """What is reached by at most `hops` flagged events, and by any events. held, on: from when the origins are, NEVER for what is
    none. int64 [accounts] and [places]"""
    confirmed, possible = (Reached(Arrivals.of(held), Arrivals.of(on)) for _ in range(2))
    for done in range(1, (len(events.time) if hops is None else hops) + 1):
        # All of a round is seen before any of it counts, so that a round is one event.
        chosen = [(events.flagged, *_moves(events, confirmed)), (np.ones_like(events.flagged), *_moves(events, possible))]
        flagged = events.flagged & chosen[0][1]
        changed = []
        for state, (of, moving, by_account) in zip((confirmed, possible), chosen, strict=True):
            changed += [
                state.held.arrive(events.user, events.time, flagged, done),
                state.on.arrive(events.target, events.time, of & moving, done),
                state.on.arrive(events.source, events.time, of & by_account, done),
            ]
        if not any(changed):
            break
    return confirmed, possible


def _moves(events: Events, state: Reached) -> tuple[Bools, Bools]:
    """Which events move, and which of them because of their account. bool [events] each"""
    by_account = events.contact | state.held.by(events.user, events.time) | state.held.by(events.actor, events.time)
    return by_account | state.on.by(events.source, events.time), by_account


def exposed(events: Events, on: Arrivals) -> pd.DataFrame:
    """The accounts exposed on machines that are reached: user, place, time of the first event and its row, one a row each."""
    here = [
        pd.DataFrame({"user": events.user[rows], "place": place[rows], "time": events.time[rows], "event": np.flatnonzero(rows)})
        for place, rows in (
            (events.source, on.by(events.source, events.time)),
            (events.target, on.by(events.target, events.time) & events.leaves),
        )
    ]
    ordered = pd.concat(here).sort_values(["time", "event"], kind="stable")
    return ordered.drop_duplicates(["user", "place"]).reset_index(drop=True)


# --- from the lake ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Perimeter:
    """Rows of JSON values.

    origins: entity, kind         unknown: indicators that nothing in that time had to do with
    contacts: who reached what from where, by the attacker's hand as far as is known; attempts too, by their outcome
    reached: columns COLUMNS; the last event of the chain, and the incident it is in
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


@dataclass(frozen=True)
class Origin:
    """What was asked for, as the log spells it, and its kind: user, machine, resource, address, mail; is_attacker: an indicator."""

    kind: str
    name: str
    is_attacker: bool = False


def draw_up(
    workspace: Workspace,
    names: Sequence[str],
    indicators: Sequence[str],
    since: dt.datetime,
    until: dt.datetime,
    hops: int | None = None,
) -> Perimeter:
    """The perimeter of what is named, from the events of the lake, both times included.

    Raises WorkspaceError for a name that is nowhere in that time; an indicator may be."""
    whole = raw.events(workspace.lake, since, until).to_pandas()
    whole = whole.astype({name: object for name in ("source", "detail", "source_ip", "target_ip", "user_id", "actor", "outcome")})
    failed = (whole["outcome"] == "failure").to_numpy()
    table = whole[~failed].reset_index(drop=True)
    seen = _seen(whole)
    aliases = _aliases(workspace.lake)
    origins = [each for name in names for each in _origins(name, seen, aliases)]
    given = [(name, _origins(name, seen, aliases, True, must=False)) for name in indicators]
    origins += [each for _, found in given for each in found]
    incident = _incidents_of(workspace, table)
    met = _contacts(whole, origins)
    contact = met[~failed] >= 0
    account, accounts = pd.factorize(pd.concat([table["user"], table["actor"]], ignore_index=True), sort=True)
    place, places = pd.factorize(pd.concat([table["source"], table["target"]], ignore_index=True), sort=True)
    events = Events(
        time=table["time"].to_numpy().astype("datetime64[us]").astype(np.int64),
        user=account[: len(table)].astype(np.int64),
        source=place[: len(table)].astype(np.int64),
        target=place[len(table) :].astype(np.int64),
        leaves=((table["action"] == "logon") & (table["logon_type"] != NO_CREDENTIALS)).to_numpy(),
        flagged=incident.notna().to_numpy() | contact,
        contact=contact,
        actor=account[len(table) :].astype(np.int64),
    )
    began = int(np.datetime64(since, "us").astype(np.int64))
    held = np.where(np.isin(accounts, [each.name for each in origins if each.kind == "user"]), began, NEVER)
    on = np.where(np.isin(places, [each.name for each in origins if each.kind in ("machine", "resource")]), began, NEVER)
    confirmed, possible = reach(events, held, on, hops)
    resources = set(table["target"][table["target_kind"] == "resource"])
    told = _Told(table, incident, list(accounts), list(places), resources)
    bare = exposed(events, possible.on)
    rows: dict[tuple[str, str], dict[str, Any]] = {(each.kind, each.name): {} for each in origins}
    for row in (
        *told.reached(confirmed.held, "confirmed", True),
        *told.reached(confirmed.on, "confirmed", False),
        *told.reached(possible.on, "possible", False),
        *told.bared(bare, possible.on),
    ):
        rows.setdefault((row["kind"], row["entity"]), row)
    every = [*(("user", name) for name in table["user"].unique()), *((told.kind(name), name) for name in places)]
    contacts = whole[met >= 0].assign(indicator=[origins[number].name for number in met[met >= 0]])
    return Perimeter(
        since=since,
        until=until,
        origins=[{"entity": each.name, "kind": each.kind} for each in origins],
        unknown=[name for name, found in given if not (_contacts(contacts, found) >= 0).any()],
        contacts=_grouped(contacts, ["indicator", "user", "source", "target", "target_kind", "source_ip", "outcome"]),
        reached=sorted(filter(None, rows.values()), key=lambda row: (row["class"], row["hops"], row["at"], row["entity"])),
        exposed=told.exposed(bare),
        touched=told.touched(events, confirmed, possible),
        not_reached=[{"entity": name, "kind": kind} for kind, name in sorted({*every} - {*rows})],
    )


@dataclass(frozen=True)
class _Told:
    """Numbers back to names, with the place of each event in the log."""

    table: pd.DataFrame
    incident: pd.Series[Any]
    accounts: list[str]
    places: list[str]
    resources: set[str]  # by name

    def kind(self, place: str) -> str:
        return "resource" if place in self.resources else "address" if is_address(place) else "machine"

    def events(self, rows: Ints) -> list[dict[str, Any]]:
        """Of some events: who came from where, and where in which log that is. One by one, pandas takes half a millisecond each."""
        some = self.table[["user", "source", "path", "line"]].iloc[rows].assign(incident=self.incident.iloc[rows])
        return [
            {"via_user": user, "from": _text(source) or user, "event": f"{path}:{line}", "incident": incident}
            for user, source, path, line, incident in some.itertuples(index=False)
        ]

    def reached(self, arrivals: Arrivals, how: str, is_user: bool) -> list[dict[str, Any]]:
        names = self.accounts if is_user else self.places
        found = np.flatnonzero(arrivals.event >= 0)
        return [
            {
                "entity": names[number],
                "kind": "user" if is_user else self.kind(names[number]),
                "class": how,
                "at": _time(arrivals.time[number]),
                "hops": int(arrivals.hops[number]),
                **event,
            }
            for number, event in zip(found, self.events(arrivals.event[found]), strict=True)
        ]

    def bared(self, bare: pd.DataFrame, on: Arrivals) -> list[dict[str, Any]]:
        """Exposed accounts, each where it was first."""
        first = bare.drop_duplicates("user")
        return [
            {
                "entity": self.accounts[row["user"]],
                "kind": "user",
                "class": "possible",
                "at": _time(row["time"]),
                "hops": int(on.hops[row["place"]]),
                **event,
                "from": self.places[row["place"]],
            }
            for row, event in zip(records(first), self.events(first["event"].to_numpy()), strict=True)
        ]

    def exposed(self, bare: pd.DataFrame) -> list[dict[str, Any]]:
        return [
            {
                "machine": self.places[row["place"]],
                "account": self.accounts[row["user"]],
                "at": _time(row["time"]),
                "event": event["event"],
            }
            for row, event in zip(records(bare), self.events(bare["event"].to_numpy()), strict=True)
        ]

    def touched(self, events: Events, confirmed: Reached, possible: Reached) -> list[dict[str, Any]]:
        """What was done in which resource by events that move: files, rules, folders; confirmed if a flagged one did it."""
        certain = events.flagged & _moves(events, confirmed)[0] & confirmed.on.by(events.target, events.time)
        moving = _moves(events, possible)[0] & possible.on.by(
            events.target, events.time
        )  # what is too many hops away is not reached
        moving &= (self.table["target_kind"] == "resource").to_numpy()
        mine = self.table[moving].assign(**{"class": np.where(certain[moving], "confirmed", "possible")})
        return _grouped(mine, ["class", "target", "detail", "action", "code", "user"])


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


def _time(microseconds: int) -> str:
    return (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=int(microseconds))).isoformat()


# --- what was asked for ----------------------------------------------------------------------------------------


def _seen(table: pd.DataFrame) -> dict[str, set[str]]:
    """By kind, all that events name."""
    machines = {*_names(table["source"]), *_names(table["target"][table["target_kind"] == "machine"])}
    resources = {*_names(table["target"][table["target_kind"] == "resource"])}
    addresses = {*_names(table["source_ip"]), *_names(table["target_ip"])}
    return {
        "user": {*_names(table["user"]), *_names(table["actor"])},
        "machine": machines,
        "resource": resources,
        "address": addresses,
    }


def _names(column: pd.Series[Any]) -> list[str]:
    return list(column.dropna().unique())


def _aliases(root: Path) -> dict[str, str]:
    """Another name of an account or machine -> the one that events have."""
    known = lake.read_entities(root)
    return {each["name"]: row["name"] for row in (known.to_pylist() if known else []) for each in row["aliases"]}


def _origins(
    name: str, seen: dict[str, set[str]], aliases: dict[str, str], is_attacker: bool = False, must: bool = True
) -> list[Origin]:
    """What a name is in these events: an address, or all of account, machine and resource that it names, the account alone if it
    is one. An attacker's mail address is looked for in the text of events too."""
    if is_address(name):
        spelt = [name, name.casefold(), str(ipaddress.ip_address(name))]  # IPv6 has many spellings, the shortest is usual
        written = [each for each in spelt if each in seen["address"] or each in seen["machine"]]
        found = [Origin("address", (written or spelt)[0], True)]
        known = bool(written)
    else:
        spelt = list(dict.fromkeys([*_spelt(name), *(aliases[each] for each in _spelt(name) if each in aliases)]))
        meant = [(kind, each) for kind in ("user", "machine", "resource") for each in spelt if each in seen[kind]]
        meant = meant or _other_case(name, seen) or _only_one(spelt, seen)
        is_account = bool(meant) and meant[0][0] == "user"
        found = [Origin(kind, each, is_attacker or kind == "resource") for kind, each in meant if kind == "user" or not is_account]
        if "@" in name and (is_attacker or not found):
            found.append(Origin("mail", name.casefold(), True))
        known = bool(meant)
    if must and not known and not any(each.kind == "mail" for each in found):
        every = sorted(set().union(*seen.values()))
        close = difflib.get_close_matches(name, every, CLOSE) or [each for each in every if each.startswith(name)][:CLOSE]
        said = f" Did you mean {' or '.join(close)}?" if close else ""
        raise WorkspaceError(f"nothing is called {name!r} in this time.{said} `ueba entity` lists names, `ueba doctor` days")
    return found


def read_indicators(lines: Iterable[str], name: str) -> list[str]:
    """One a line. A comment begins a line or follows a space: a guest's account has a # in its name. Raises InputError."""
    try:
        bare = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]
    except UnicodeDecodeError as reason:
        raise InputError(f"{name}: is no UTF-8 text; give a list of indicators, one a line") from reason
    return [line for line in bare if line]


def _spelt(name: str) -> list[str]:
    return [name, spelt_user(name), spelt_host(name), spelt_host(name).removesuffix("$")]


def _other_case(name: str, seen: dict[str, set[str]]) -> list[tuple[str, str]]:
    return [(kind, each) for kind in seen if kind != "address" for each in seen[kind] if each.casefold() == name.casefold()]


def _only_one(spelt: Sequence[str], seen: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The only account or machine of such a name in any domain."""
    found: list[tuple[str, str]] = []
    for kind, mark in (("user", "@"), ("machine", ".")):
        full = [each for each in seen[kind] if each.split(mark, 1)[0] in spelt]
        found += [(kind, full[0])] if len(full) == 1 else []
    return found[:1]


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _contacts(table: pd.DataFrame, origins: Sequence[Origin]) -> Ints:
    """Which origin the attacker is known by to have had a part in each event, or -1. int64 [events]"""
    columns = {
        "address": ("source_ip", "target_ip", "source", "target"),
        "user": ("user", "actor"),
        "machine": ("source", "target"),
        "resource": ("target",),
        "mail": ("user", "actor", "user_id", "target"),
    }
    found = np.full(len(table), len(origins))
    numbers = [(number, origin) for number, origin in enumerate(origins) if origin.is_attacker]
    for kind in {origin.kind for _, origin in numbers}:
        of_name = {origin.name: number for number, origin in reversed(numbers) if origin.kind == kind}
        for column in columns[kind]:
            found = np.minimum(found, table[column].astype(object).map(of_name).fillna(len(origins)).to_numpy(np.int64))
    details = table["detail"]
    for number, origin in numbers:
        if origin.kind == "mail":
            told = pd.Series(_names(details), dtype=object)
            named = told[told.str.contains(_whole(origin.name), case=False).astype(bool)]
            found = np.where(details.isin(named), np.minimum(found, number), found)
    return np.where(found < len(origins), found, -1)


def _whole(address: str) -> str:
    """A mail address, and not a part of another one."""
    return rf"(?:^|[^\w.+-]){re.escape(address)}(?:$|[^\w.-]|[.-](?:$|\W))"


def _incidents_of(workspace: Workspace, table: pd.DataFrame) -> pd.Series[Any]:
    """The incident of each event's edge; None if it is in none, or in one that was called harmless."""
    folder = workspace.findings
    harmless = [incident for incident, said in feedback.verdicts(workspace.root).items() if said["verdict"] in HARMLESS]
    keys = ["day", "user", "source", "target"]
    days = {time.date() for time in table["time"].dt.normalize().unique()}
    tables = [findings.load_edges(folder, day) for day in archive.scored_days(folder) if day in days]
    flagged = [each.loc[each["incident"].notna() & ~each["incident"].isin(harmless), [*keys, "incident"]] for each in tables]
    found = pd.Series([None] * len(table), dtype=object)
    if flagged:
        edges = pd.concat(flagged).drop_duplicates(keys)
        near = np.flatnonzero(table["user"].isin(edges["user"]) & table["target"].isin(edges["target"]))
        some = table.iloc[near]
        mine = pd.MultiIndex.from_arrays([some["time"].dt.date, some["user"], some["source"].fillna(""), some["target"]])
        known = edges.assign(source=edges["source"].fillna("")).set_index(keys)["incident"]
        incident = known.reindex(mine).dropna()
        found.iloc[near[mine.isin(incident.index)]] = incident.to_numpy()
    return found


def to_dict(perimeter: Perimeter) -> dict[str, Any]:
    """All of it, JSON values only."""
    times = {"since": perimeter.since.isoformat(), "until": perimeter.until.isoformat()}
    return {"schema_version": SCHEMA_VERSION, **asdict(perimeter), **times}


# --- as a graph ------------------------------------------------------------------------------------------------


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
        before = [node_of("machine", row["from"]), node_of("address", row["from"]), node_of("user", row["via_user"])]
        start = next((each for each in before if each in graph and each != end), None)
        if start is not None:
            user = plain(row["via_user"])
            said = f"{user} from {plain(row['from'])} at {row['at']}, {plain(row['event'])}"
            graph.add_edge(start, end, type="REACHED", mark=row["class"], said=said, user=user, at=row["at"])
    return graph
