"""An alert: an incident with its edges, their events and its verdict; and what all export forms share.

Risk is 0 to 100, `100 (1 - exp(-score / 20))` of an incident's score in nats, so that it grows with the
score and never reaches 100. Severity follows it: below 50 (13.9 nats) Low, below 75 (27.7
nats) Medium, above that High. Nothing is Critical: a person decides that.

A technique of ATT&CK is named where an edge shows it, and only then: a remote desktop logon, or many
attempts that mostly failed. That an account reached something new is no evidence of one. Leaves out what no
log tells: intent, and whether it succeeded.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgspec

from ueba import findings, words
from ueba.contracts.case import Case
from ueba.contracts.edge import Edge
from ueba.contracts.explanation import Expected, Explanation
from ueba.contracts.incident import Incident
from ueba.contracts.period import NOTHING_KNOWN, Period
from ueba.contracts.scored import ScoredEdge
from ueba.contracts.verdict import Verdict
from ueba.files import aware, iso_utc
from ueba.ingest import raw
from ueba.investigate import cases, periods
from ueba.investigate.cases import Casebook
from ueba.investigate.explain import kept
from ueba.investigate.explain.words import would_be_normal
from ueba.text import brief
from ueba.triage import log
from ueba.workspace import Workspace

LEVELS = ((50.0, "Low"), (75.0, "Medium"), (math.inf, "High"))  # of risk, below
NATS = 20.0  # of score, after which risk has covered 63 % of its scale
# So many failures of an edge are no mistyping, and so many accounts that failed from one machine are not
# those of one person.
ATTEMPTS = 5
VERDICT_FIELDS = ("verdict", "reason", "who", "entered", "expires")  # that are exported
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
    "p_is_bound",
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
class AlertEdge:
    """A scored edge with its explanation, if it has one."""

    edge: ScoredEdge
    explanation: Explanation | None = None

    @property
    def first_seen(self) -> dt.datetime:
        return aware(self.edge.first_seen)

    @property
    def last_seen(self) -> dt.datetime:
        return aware(self.edge.last_seen)

    @property
    def expected(self) -> Expected:
        return self.explanation.expected if self.explanation else Expected()

    @property
    def reasons(self) -> list[str]:
        """Sentences."""
        return [words.sentence(reason) for reason in self.edge.reasons]

    @property
    def would_be_normal(self) -> str | None:
        """A sentence, None if the edge was not explained."""
        return would_be_normal(self.explanation.counterfactuals) if self.explanation else None

    def fields(self) -> dict[str, Any]:
        """The columns EDGE_FIELDS, JSON values only, without those that are None."""
        found = {
            **{name: getattr(self.edge, name, None) for name in EDGE_FIELDS},
            "logon_types": list(self.edge.logon_types),
            "reasons": self.reasons,
            "would_be_normal": self.would_be_normal,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Alert:
    """An incident for export.

    edges:   strangest first
    events:  of the edges, by time, as `raw.events` has them; those that were asked for and are in the lake
    found:   when the day was scored
    verdict: the last on the incident
    case:    that the incident is in; None for a hidden one
    others:  the other incidents of the case, in order of time
    period, case_period: how often anything as strange as the incident happens, or as the case
    """

    incident: Incident
    edges: list[AlertEdge]
    events: list[dict[str, Any]]
    found: dt.datetime
    verdict: Verdict | None = None
    case: Case | None = None
    others: tuple[Incident, ...] = ()
    period: Period = NOTHING_KNOWN
    case_period: Period | None = None

    @property
    def case_fields(self) -> dict[str, Any]:
        """The case under its own name, JSON values only; nothing if there is none."""
        if self.case is None:
            return {}
        links = [msgspec.to_builtins(link) for link in self.case.links_of(self.id)]
        often = self.case_period.fields if self.case_period else {}
        return {"case": {"id": self.case.id, "incidents": list(self.case.incidents), **often, "links": links}}

    @property
    def verdict_fields(self) -> dict[str, Any]:
        """The verdict under its own name, JSON values only; nothing if there is none."""
        if self.verdict is None:
            return {}
        fields = msgspec.to_builtins(self.verdict)
        return {"verdict": {name: fields[name] for name in VERDICT_FIELDS}}

    @property
    def id(self) -> str:
        return self.incident.id

    @property
    def strangest(self) -> AlertEdge:
        return self.edges[0]

    @property
    def first(self) -> dt.datetime:
        return min(edge.first_seen for edge in self.edges)

    @property
    def last(self) -> dt.datetime:
        return max(edge.last_seen for edge in self.edges)

    @property
    def count(self) -> int:
        return sum(edge.edge.count for edge in self.edges)


def alerts(
    workspace: Workspace, incidents: Sequence[Incident], most_events: int | None = None
) -> Iterator[Alert]:
    """The alerts of incidents, in their order; those of a day must stand together.

    most_events: of an edge, the first ones; None is all"""
    entered = log.read(workspace.root)
    verdicts, book = entered.by_incident, cases.read(workspace, entered.words)
    often = periods.of_incidents(workspace.findings, entered.words, incidents)
    of_cases = periods.of_cases(workspace.findings, book, _cases_of(book, incidents))
    for day, group in groupby(incidents, key=lambda incident: incident.day):
        chosen = list(group)
        found = findings.load(workspace.findings, day, any(incident.below_line for incident in chosen))
        table = found.edges[found.edges["incident"].isin([incident.id for incident in chosen])]
        events = raw.of_edges(workspace.lake, table, workspace.memory_limit, most_events)
        explanations = kept.load(workspace.findings, day)
        scored_at = findings.scored_at(workspace.findings, day)
        for incident in chosen:
            explained = kept.by_edge(explanations.get(incident.id, ()))
            edges = [AlertEdge(edge, explained.get(edge.edge)) for edge in found.edges_of(incident)]
            if edges:
                behind = _by_time(event for edge in edges for event in events[edge.edge.edge])
                case, others = _others(book, incident)
                yield Alert(
                    incident,
                    edges,
                    behind,
                    scored_at,
                    verdicts.get(incident.id),
                    case,
                    others,
                    often[incident.id],
                    of_cases[case.id] if case else None,
                )


def _cases_of(book: Casebook, incidents: Sequence[Incident]) -> list[Case]:
    """The cases that incidents are in, each once."""
    found = (book.of_incident(incident.id) for incident in incidents)
    return list({case.id: case for case in found if case is not None}.values())


def _others(book: Casebook, incident: Incident) -> tuple[Case | None, tuple[Incident, ...]]:
    """The case of an incident, and the other incidents of it."""
    case = book.of_incident(incident.id)
    if case is None:
        return None, ()
    return case, tuple(book.incidents[name] for name in case.incidents if name != incident.id)


def _by_time(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    timed = [{**event, "time": aware(event["time"])} for event in events]
    return sorted(timed, key=lambda event: (event["time"], event["path"] or "", event["line"] or 0))


# --- common to all forms ------------------------------------------------------------------------------------


def risk(alert: Alert) -> float:
    """0 to 100, see above."""
    return round(100 * (1 - math.exp(-max(alert.incident.score, 0.0) / NATS)), 1)


def severity(alert: Alert) -> str:
    """Low, Medium or High."""
    return next(name for below, name in LEVELS if risk(alert) < below)


def title(alert: Alert) -> str:
    """A few words."""
    edge, more = alert.strangest.edge, len(alert.edges) - 1
    others = f" and {more} more" if more else ""
    return brief(
        f"Unusual access: {edge.user} from {edge.source or words.UNKNOWN_SOURCE} to {edge.target}{others}"
    )


def message(alert: Alert) -> str:
    """One sentence: who, what, the strongest reason, how often that happens."""
    often = words.happens(alert.period)
    return f"{title(alert)}: {brief(alert.strangest.reasons[0])} ({words.place(alert.incident)}; {often})"


def edge_id(alert: Alert, edge: Edge) -> str:
    """The same whenever it is exported."""
    about = "\0".join([alert.id, edge.user, edge.source or "", edge.target, edge.target_kind])
    return f"{alert.id}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"


def edge_of(event: Mapping[str, Any]) -> Edge:
    """The edge that an event is on."""
    return Edge(*(event[name] for name in Edge._fields))


def event_id(event: dict[str, Any]) -> str:
    """The id that the log gives the event, else the place of its record."""
    return str(event["event_id"] or f"{event['path']}:{event['line']}")


def techniques(alert: Alert) -> list[Technique]:
    """The techniques that edges of an alert show."""
    edges = [alert_edge.edge for alert_edge in alert.edges]
    failed = [edge for edge in edges if edge.failures and 2 * edge.failures >= edge.count]
    sources = [edge.source for edge in failed if edge.source is not None]
    accounts = {source: {edge.user for edge in failed if edge.source == source} for source in sources}
    shown = {
        REMOTE_DESKTOP: any("RemoteInteractive" in edge.logon_types for edge in edges),
        BRUTE_FORCE: any(edge.failures >= ATTEMPTS for edge in failed),
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


def addresses(alert: Alert) -> list[str]:
    """IP addresses of machines: those without another name, and those that the events have."""
    names = [alert_edge.edge.source for alert_edge in alert.edges]
    names += [edge.edge.target for edge in alert.edges if edge.edge.target_kind == "machine"]
    of_events = [event[end] for event in alert.events for end in ("source_ip", "target_ip")]
    return sorted({found for name in (*names, *of_events) if (found := address(name))})


def hosts(alert: Alert) -> list[str]:
    """Names of machines, which are not addresses."""
    names = {alert_edge.edge.source for alert_edge in alert.edges}
    names |= {edge.edge.target for edge in alert.edges if edge.edge.target_kind == "machine"}
    return sorted(name for name in names if name is not None and not address(name))


def users(alert: Alert) -> list[str]:
    """Accounts, the strangest edge's first."""
    return list(dict.fromkeys(alert_edge.edge.user for alert_edge in alert.edges))


def iso(time: dt.datetime) -> str:
    """With microseconds and Z."""
    return iso_utc(time, "microseconds")


def incident_fields(alert: Alert) -> dict[str, Any]:
    """The numbers of an incident that every form has, JSON values only."""
    incident = alert.incident
    return {
        "day": incident.day.isoformat(),
        "rank": incident.rank,
        "score": incident.score,
        **alert.period.fields,
        "p_value": incident.p_value,
        "p_is_bound": incident.p_is_bound,
        "once_in_days": incident.once_in_days,
        "backoff": incident.backoff,
    }


def model_fields(alert: Alert) -> dict[str, Any]:
    """The model that scored an incident, JSON values only."""
    fields: dict[str, Any] = msgspec.to_builtins(alert.incident.model)
    return {name: fields[name] for name in ("first_day", "trained_until", "seeds")}
