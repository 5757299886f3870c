"""Scored edges, incidents and explanations by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ueba import findings
from ueba.contracts.edge import Edge
from ueba.contracts.explanation import Expected, Explanation
from ueba.contracts.incident import Incident, ModelFacts
from ueba.contracts.reason import Combination
from ueba.contracts.scored import NAMES, ScoredEdge

NOON = dt.datetime(2026, 3, 2, 12)
MODEL = ModelFacts(dt.date(2026, 2, 1), dt.date(2026, 3, 1), 3, {"10": 4.9}, "features")


def scored_edge(**fields: Any) -> ScoredEdge:
    """An edge of ann from ws1 to srv1, at noon, in no incident, with these fields otherwise."""
    seen = fields.get("first_seen", NOON)
    rest = {
        "day": seen.date(),
        "user": "ann",
        "user_kind": "human",
        "source": "ws1",
        "target": "srv1",
        "target_kind": "machine",
        "count": 1,
        "failures": 0,
        "first_seen": seen,
        "last_seen": seen,
        "logon_types": (),
        "surprise": 9.5,
        "p_value": 0.001,
        "p_is_bound": False,
        "once_in_days": 100.0,
        "carry_over": 0.0,
        "strangeness_alone": 8.5,
        "strangeness_persisted": 8.5,
        "strangeness": 8.5,
        "verdicts": (),
        "rule": None,
        "incident": None,
        "reasons": (Combination(),),
        "pattern": (),
    }
    return ScoredEdge(**{**rest, **fields})


def on_day(day: dt.date, edge: Edge, incident: str | None = None, **fields: Any) -> ScoredEdge:
    """An edge of a day, at nine o'clock, with these fields otherwise."""
    nine = dt.datetime.combine(day, dt.time(9))
    return scored_edge(**edge._asdict(), first_seen=nine, incident=incident, **fields)


def table(edges: Sequence[ScoredEdge]) -> pd.DataFrame:
    """Scored edges as the table of a day."""
    rows = [{name: getattr(edge, name) for name in NAMES} for edge in edges]
    found = pd.DataFrame(rows, columns=list(NAMES))
    nullable = ("user_kind", "source", "rule", "incident")
    return found.astype({name: object for name in nullable}).where(found.notna(), None)


def incident_of(edges: Sequence[ScoredEdge], **fields: Any) -> Incident:
    """The incident that these edges are in, strangest first, with these fields otherwise."""
    machines = {edge.source for edge in edges} | {e.target for e in edges if e.target_kind == "machine"}
    rest = {
        "id": edges[0].incident,
        "day": edges[0].day,
        "rank": 1,
        "score": 10.0,
        "p_value": min(edge.p_value for edge in edges),
        "p_is_bound": any(edge.p_is_bound for edge in edges),
        "once_in_days": max(edge.once_in_days for edge in edges),
        "users": tuple(sorted({edge.user for edge in edges})),
        "machines": tuple(sorted(name for name in machines if name is not None)),
        "resources": tuple(sorted({edge.target for edge in edges if edge.target_kind == "resource"})),
        "edges": len(edges),
        "reasons": edges[0].reasons,
        "backoff": False,
        "model": MODEL,
        "hidden_by": None,
        "acting_machines": 1000,
    }
    return Incident(**{**rest, **fields})


def explanation(edge: Edge, **fields: Any) -> Explanation:
    """An explanation that says nothing but these fields."""
    rest = {
        "edge": edge,
        "new": (),
        "expected": Expected(),
        "hours": (),
        "logon_types": (),
        "counterfactuals": (),
        "log_odds": 1.0,
        "ordinary_log_odds": 0.0,
        "parts": {},
        "features": (),
        "backoff": (),
    }
    return Explanation(**{**rest, **fields})


def save(root: Path, edges: Sequence[ScoredEdge]) -> None:
    """The findings of a day in a workspace: these edges, and an incident for each id that they name."""
    ids = dict.fromkeys(edge.incident for edge in edges if edge.incident is not None)
    incidents = tuple(incident_of([edge for edge in edges if edge.incident == name]) for name in ids)
    findings.save(findings.Findings(edges[0].day, table(edges), incidents), root / "findings")
