"""The results of a scored day in the graph: its incidents, and the scores of its strangest edges."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa

from graphdb import Relationship, statements
from graphdb.store import Store
from ueba import ontology
from ueba.contracts.incident import Incident, ModelFacts
from ueba.contracts.period import Period
from ueba.findings import Findings
from ueba.words import sentence


@dataclass(frozen=True)
class _Rows:
    """What is written of a day. incidents, runs: nodes; scores: by the kind of the target, properties of
    edges."""

    day: str
    incidents: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    scores: Mapping[str, pa.Table]

    @property
    def digest(self) -> str:
        return _digest([self.incidents, self.runs, *(table.to_pylist() for table in self.scores.values())])


def write_findings(
    store: Store, found: Findings, verdicts: Mapping[str, str], often: Mapping[str, Period] | None = None
) -> None:
    """Write a day's incidents, without hidden ones, and the scores of its strangest edges, in place of what
    an earlier scoring of the day wrote. Skips a day whose results the graph already holds. The day's edges
    must be loaded: scores of other edges are dropped. verdicts: by incident; often: return periods by
    incident, None for an incident without one"""
    found = found.reported(verdicts)
    rows = _rows(found, verdicts, often or {})
    if store.property_of(ontology.LOADED_DAY, rows.day, "findings") == rows.digest:
        return
    _mark(store, rows.day, None)  # until all is written
    _delete(store, rows.day)
    for relationship, kind in ((ontology.LOGGED_ON, "machine"), (ontology.ACCESSED, "resource")):
        store.update_relationships(relationship, rows.scores[kind])
    if rows.incidents:
        _write_incidents(store, rows)
        _write_involved(store, found.edges[found.edges["incident"].notna()])
    store.delete(statements.delete_lonely(ontology.MODEL_RUN, (ontology.SCORED_BY.type,)))
    _mark(store, rows.day, rows.digest)


def _rows(found: Findings, verdicts: Mapping[str, str], often: Mapping[str, Period]) -> _Rows:
    day, edges = found.day.isoformat(), found.edges
    return _Rows(
        day,
        [_incident(incident, verdicts, often.get(incident.id)) for incident in found.incidents],
        [_model_run(incident.model) for incident in found.incidents[:1]],  # one model scores a day
        {kind: _scores(edges[edges["target_kind"] == kind], day) for kind in ("machine", "resource")},
    )


def _mark(store: Store, day: str, digest: str | None) -> None:
    """Note which results of a day the graph holds."""
    store.load_nodes(
        ontology.LOADED_DAY, pa.table({"day": [day], "findings": pa.array([digest], pa.string())})
    )


def _delete(store: Store, day: str) -> None:
    store.delete(statements.delete_nodes(ontology.INCIDENT, "day"), value=day)
    for relationship in (ontology.LOGGED_ON, ontology.ACCESSED):
        store.forget(relationship, ontology.SCORED, "day", day)


def _write_incidents(store: Store, rows: _Rows) -> None:
    store.load_nodes(ontology.MODEL_RUN, pa.Table.from_pylist(rows.runs))
    store.load_nodes(ontology.INCIDENT, pa.Table.from_pylist(rows.incidents))
    scored_by = [{"start": incident["id"], "end": rows.runs[0]["id"]} for incident in rows.incidents]
    store.load_relationships(ontology.SCORED_BY, pa.Table.from_pylist(scored_by))


def _write_involved(store: Store, edges: pd.DataFrame) -> None:
    """The users, machines and resources of each incident. edges: those in an incident"""
    is_machine = edges["target_kind"] == "machine"
    involved: list[tuple[Relationship, str, pd.DataFrame]] = [
        (ontology.INVOLVES_USER, "user", edges),
        (ontology.INVOLVES_MACHINE, "source", edges[edges["source"].notna()]),
        (ontology.INVOLVES_MACHINE, "target", edges[is_machine]),
        (ontology.INVOLVES_RESOURCE, "target", edges[~is_machine]),
    ]
    for relationship, role, rows in involved:
        ends = sorted({*zip(rows["incident"], rows[role], strict=True)})
        if ends:
            table = [{"start": incident, "end": name, "role": role} for incident, name in ends]
            store.load_relationships(relationship, pa.Table.from_pylist(table))


def _model_run(facts: ModelFacts) -> dict[str, Any]:
    """A trained model as a node. Two trainings until the same day, with other settings or on other data, are
    two."""
    return {
        "id": f"{facts.trained_until}-{_digest(msgspec.to_builtins(facts))[:8]}",
        "trained_until": facts.trained_until.isoformat(),
        "first_day": facts.first_day.isoformat(),
        "seeds": facts.seeds,
    }


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _incident(incident: Incident, verdicts: Mapping[str, str], period: Period | None) -> dict[str, Any]:
    reasons = [sentence(reason) for reason in incident.reasons]
    return {
        **{
            name: getattr(incident, name)
            for name in ("id", "rank", "score", "p_value", "p_is_bound", "edges", "backoff")
        },
        **(period.fields if period else {"period_days": None, "period_is_bound": None}),
        "day": incident.day.isoformat(),
        "reasons": reasons,
        "title": reasons[0],
        "users": len(incident.users),
        "machines": len(incident.machines) + len(incident.resources),
        "verdict": verdicts.get(incident.id),
    }


def _scores(edges: pd.DataFrame, day: str) -> pa.Table:
    return pa.table(
        {
            "start": pa.array(edges["user"], pa.string()),
            "end": pa.array(edges["target"], pa.string()),
            "day": [day] * len(edges),
            "source": pa.array(edges["source"].fillna(""), pa.string()),
            "surprise": pa.array(edges["surprise"], pa.float64()),
            "p_value": pa.array(edges["p_value"], pa.float64()),
            "p_is_bound": pa.array(edges["p_is_bound"], pa.bool_()),
            "incident": pa.array(edges["incident"], pa.string()),
        }
    )
