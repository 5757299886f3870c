"""A case: an incident with its edges, the events behind them, and what was said of it. And what all forms
say of one alike.

Risk is 0 to 100, `100 (1 - exp(-score / 20))` of an incident's score in nats, so that it grows with the
score and never gets to the end of the scale. Severity follows it: below 50 (13.9 nats) Low, below 75 (27.7
nats) Medium, from there on High. Nothing is Critical: that is for a person to say.

A technique of ATT&CK is named where an edge shows it, and only then: a remote desktop logon, or many
attempts that mostly failed. That an account reached something new is no evidence of one. Leaves out what no
log tells: intent, and whether it succeeded.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ueba.detect import archive, feedback, findings
from ueba.ingest import raw
from ueba.investigate import explain
from ueba.text import plain
from ueba.workspace import Workspace

SCHEMA_VERSION = 1
LEVELS = ((50.0, "Low"), (75.0, "Medium"), (math.inf, "High"))  # of risk, below
NATS = 20.0  # of score, after which risk has covered 63 % of its scale
ATTEMPTS = 5  # failures of an edge that are no mistyping; accounts that failed from one machine that are not one person's
SAID = ("verdict", "reason", "who", "when", "expires")  # of a verdict, what goes along
EDGE_FIELDS = (
    "user",
    "source",
    "target",
    "target_kind",
    "count",
    "failures",
    "logon_types",
    "surprise",
    "p_value",
    "reasons",
    "would_be_normal",
)


@dataclass(frozen=True)
class Technique:
    """Of MITRE ATT&CK: ids and names of a technique, its part if there is one, and what it is for."""

    tactic: tuple[str, str]
    technique: tuple[str, str]
    part: tuple[str, str] | None = None


REMOTE_DESKTOP = Technique(
    ("TA0008", "Lateral Movement"), ("T1021", "Remote Services"), ("T1021.001", "Remote Desktop Protocol")
)
BRUTE_FORCE = Technique(("TA0006", "Credential Access"), ("T1110", "Brute Force"))
SPRAYING = Technique(
    ("TA0006", "Credential Access"), ("T1110", "Brute Force"), ("T1110.003", "Password Spraying")
)


@dataclass(frozen=True)
class Case:
    """incident: as in `archive`; edges: its rows of `findings.load_edges`, strangest first, times in UTC;
    events: those of its edges as in `raw.events`, by time, as far as they were asked for and the lake still
    has them; found: when the day was scored; verdict: the last on it."""

    incident: dict[str, Any]
    edges: list[dict[str, Any]]
    events: list[dict[str, Any]]
    found: dt.datetime
    verdict: dict[str, Any] | None = None

    @property
    def said(self) -> dict[str, Any]:
        """The verdict as it goes along, under its own name; nothing if there is none."""
        return {"verdict": {name: self.verdict[name] for name in SAID}} if self.verdict else {}

    @property
    def id(self) -> str:
        return str(self.incident["id"])

    @property
    def strangest(self) -> dict[str, Any]:
        return self.edges[0]

    @property
    def first(self) -> dt.datetime:
        first: dt.datetime = min(edge["first_seen"] for edge in self.edges)
        return first

    @property
    def last(self) -> dt.datetime:
        last: dt.datetime = max(edge["last_seen"] for edge in self.edges)
        return last

    @property
    def count(self) -> int:
        return sum(edge["count"] for edge in self.edges)


def cases(
    workspace: Workspace, incidents: Sequence[dict[str, Any]], most_events: int | None = None
) -> Iterator[Case]:
    """The cases of incidents, in their order; those of a day stand together. most_events: of each edge, the
    first so many"""
    said = feedback.verdicts(workspace.root)
    for day, group in groupby(incidents, key=lambda incident: dt.date.fromisoformat(incident["day"])):
        some = list(group)
        table = findings.load_edges(workspace.findings, day)
        table = table[table["incident"].isin([incident["id"] for incident in some])]
        events = raw.of_edges(workspace.lake, table, most_events)
        told = explain.load(workspace.findings, day)
        found = archive.scored_at(workspace.findings, day)
        for incident in some:
            rows = findings.records(table[table["incident"] == incident["id"]])
            if rows:
                explained = explain.by_edge(told.get(incident["id"], ()))
                edges = [_edge(row, explained.get(explain.key(row))) for row in rows]
                mine = [
                    {**event, "time": _utc(event["time"])}
                    for row in rows
                    for event in events[explain.key(row)]
                ]
                mine.sort(key=lambda event: (event["time"], event["path"] or "", event["line"] or 0))
                yield Case(incident, edges, mine, found, said.get(incident["id"]))


def _edge(row: dict[str, Any], told: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """With Python's own types; and what was worked out of it: `expected`, what the user does otherwise, and
    `would_be_normal`, in words. Empty and None if nothing was."""
    lists = {name: [str(item) for item in row[name]] for name in ("logon_types", "reasons")}
    numbers = {name: int(row[name]) for name in ("count", "failures")}
    nats = {name: float(row[name]) for name in ("surprise", "p_value", "strangeness", "carried")}
    times = {name: _utc(row[name]) for name in ("first_seen", "last_seen")}
    otherwise = explain.would_be_normal(told["counterfactuals"]) if told else None
    return {
        **row,
        **lists,
        **numbers,
        **nats,
        **times,
        "expected": told["expected"] if told else {},
        "would_be_normal": otherwise,
    }


def _utc(time: dt.datetime) -> dt.datetime:
    return dt.datetime(*time.timetuple()[:6], time.microsecond, dt.UTC)


# --- what all forms say alike -------------------------------------------------------------------------------


def risk(case: Case) -> float:
    """0 to 100, see above."""
    return round(100 * (1 - math.exp(-max(case.incident["score"], 0.0) / NATS)), 1)


def severity(case: Case) -> str:
    """Low, Medium or High."""
    return next(name for below, name in LEVELS if risk(case) < below)


def title(case: Case) -> str:
    """A few words."""
    edge, more = case.strangest, len(case.edges) - 1
    others = f" and {more} more" if more else ""
    return plain(
        f"Unusual access: {edge['user']} from {edge['source'] or 'an unknown machine'} to {edge['target']}{others}"
    )


def message(case: Case) -> str:
    """One sentence: who, what, the strongest reason, and how it ranks."""
    rank = f"rank {case.incident['rank']} of {case.incident['day']}, {case.incident['score']:.1f} nats"
    return f"{title(case)}: {plain(case.strangest['reasons'][0])} ({rank})"


def edge_id(case: Case, edge: dict[str, Any]) -> str:
    """The same whenever it is exported."""
    about = "\0".join([case.id, edge["user"], edge["source"] or "", edge["target"], edge["target_kind"]])
    return f"{case.id}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"


def event_id(event: dict[str, Any]) -> str:
    """What the log calls the event, else the place of its record."""
    return str(event["event_id"] or f"{event['path']}:{event['line']}")


def techniques(case: Case) -> list[Technique]:
    """Those that an edge shows."""
    failed = [edge for edge in case.edges if edge["failures"] and 2 * edge["failures"] >= edge["count"]]
    sources = [edge["source"] for edge in failed if edge["source"] is not None]
    accounts = {source: {edge["user"] for edge in failed if edge["source"] == source} for source in sources}
    shown = {
        REMOTE_DESKTOP: any("RemoteInteractive" in edge["logon_types"] for edge in case.edges),
        BRUTE_FORCE: any(edge["failures"] >= ATTEMPTS for edge in failed),
        SPRAYING: any(len(users) >= ATTEMPTS for users in accounts.values()),
    }
    return [technique for technique, is_shown in shown.items() if is_shown]


def account(user: str) -> tuple[str, str | None]:
    """`alice@corp.example` -> its name and its domain."""
    name, _, domain = user.partition("@")
    return (name, domain) if name and domain else (user, None)


def address(name: str | None) -> str | None:
    """The name, if it is an IP address."""
    try:
        return None if name is None or "%" in name else str(ipaddress.ip_address(name))
    except ValueError:
        return None


def addresses(case: Case) -> list[str]:
    """IP addresses of machines: those without another name, and those that the events tell."""
    named = [
        edge[end]
        for edge in case.edges
        for end in ("source", "target")
        if edge["target_kind"] == "machine" or end == "source"
    ]
    told = [event[end] for event in case.events for end in ("source_ip", "target_ip")]
    return sorted({found for name in (*named, *told) if (found := address(name))})


def hosts(case: Case) -> list[str]:
    """Names of machines, which are not addresses."""
    named = {edge["source"] for edge in case.edges} | {
        e["target"] for e in case.edges if e["target_kind"] == "machine"
    }
    return sorted(name for name in named if name is not None and not address(name))


def users(case: Case) -> list[str]:
    """Accounts, the strangest edge's first."""
    return list(dict.fromkeys(edge["user"] for edge in case.edges))


def iso(time: dt.datetime) -> str:
    """With microseconds and Z."""
    return time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
