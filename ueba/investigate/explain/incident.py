"""One incident with its edges e1, e2, ..., strangest first: their reasons, explanations and first events in
the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ueba import findings, words
from ueba.contracts import versions
from ueba.contracts.case import Case
from ueba.contracts.explanation import Explanation
from ueba.contracts.incident import Incident
from ueba.contracts.period import Period
from ueba.contracts.scored import ScoredEdge
from ueba.ingest import raw
from ueba.investigate import periods
from ueba.investigate.explain import kept
from ueba.workspace import Workspace

FEW_EVENTS = 5  # of an edge, the first
NUMBERS = (
    "surprise",
    "p_value",
    "p_is_bound",
    "once_in_days",
    "carry_over",
    "strangeness_alone",
    "strangeness_persisted",
    "strangeness",
)


@dataclass(frozen=True)
class ExplainedEdge:
    """name: e1, e2, ...; explanation: None if the edge is not among those explained; events: of the lake."""

    name: str
    edge: ScoredEdge
    explanation: Explanation | None
    events: list[dict[str, Any]]


@dataclass(frozen=True)
class ExplainedIncident:
    """edges: strangest first; period: how often anything so strange happens."""

    incident: Incident
    edges: list[ExplainedEdge]
    period: Period


def explained(workspace: Workspace, incident: Incident, verdicts: Mapping[str, str]) -> ExplainedIncident:
    """An incident with the explanations that were kept, and events of the lake. verdicts: by incident"""
    found = findings.load(workspace.findings, incident.day, incident.below_line)
    explanations = kept.by_edge(kept.load(workspace.findings, incident.day).get(incident.id, ()))
    table = found.edges[found.edges["incident"] == incident.id]
    events = raw.of_edges(workspace.lake, table, workspace.memory_limit, FEW_EVENTS)
    return ExplainedIncident(
        incident,
        [
            ExplainedEdge(f"e{number}", edge, explanations.get(edge.edge), events[edge.edge])
            for number, edge in enumerate(found.edges_of(incident), start=1)
        ],
        periods.of_incidents(workspace.findings, verdicts, [incident])[incident.id],
    )


def to_json(explained: ExplainedIncident, sentences: list[str], case: Case | None) -> dict[str, Any]:
    """JSON values only. sentences: see `words`; case: that the incident is in, None if it is hidden"""
    return {
        **words.incident_json(explained.incident),
        "schema_version": versions.EXPLANATION,
        **explained.period.fields,
        "edges": [_edge_json(edge) for edge in explained.edges],
        "sentences": sentences,
        "case": case and case.id,
        "links": []
        if case is None
        else [msgspec.to_builtins(link) for link in case.links_of(explained.incident.id)],
    }


def _edge_json(explained: ExplainedEdge) -> dict[str, Any]:
    edge, explanation = explained.edge, explained.explanation
    return {
        "edge": explained.name,
        **edge.edge._asdict(),
        "logon_types": list(edge.logon_types),
        "count": edge.count,
        "failures": edge.failures,
        "first_seen": edge.first_seen.isoformat(),
        "last_seen": edge.last_seen.isoformat(),
        **{name: getattr(edge, name) for name in NUMBERS},
        "reasons": words.reasons_json(edge.reasons),
        "explained": None if explanation is None else msgspec.to_builtins(explanation),
        "events": [_event_json(event) for event in explained.events],
    }


def _event_json(event: Mapping[str, Any]) -> dict[str, Any]:
    """When, what, with what outcome, and where in which file."""
    shown = {name: event[name] for name in ("action", "logon_type", "outcome", "detail")}
    return {"time": event["time"].isoformat(), **shown, "event": f"{event['path']}:{event['line']}"}
