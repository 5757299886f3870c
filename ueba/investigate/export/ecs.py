"""Elastic Common Schema: one alert document for an incident, https://www.elastic.co/docs/reference/ecs.

`event.kind` is `alert`: `signal` is kept for Kibana's own. `@timestamp` is when the day was scored, so that
a rule that looks at the last minutes sees it; the logons are between `event.start` and `event.end`. `user`,
`source` and `destination` are those of the strangest edge; all that are touched are in `related`. What ECS
has no place for is under `ueba`; map `ueba.edges` as `nested` to ask for one edge's fields together. Leaves
out `host`: an incident is about several.
"""

from __future__ import annotations

from typing import Any

from ueba import __version__
from ueba.contracts import versions
from ueba.investigate.export import cases
from ueba.investigate.export.cases import Case

VERSION = "8.11.0"
SEVERITIES = {"Low": 21, "Medium": 47, "High": 73}  # as Elastic's own rules count


def alert(case: Case) -> dict[str, Any]:
    """The alert document of a case."""
    edge = case.strangest.edge
    name, domain = cases.account(edge.user)
    document = {
        "@timestamp": cases.iso(case.found),
        "ecs": {"version": VERSION},
        "message": cases.message(case),
        "tags": ["ueba"],
        "event": _event(case),
        "rule": {
            "id": "ueba.incident",
            "name": "Unusual access",
            "category": "anomaly",
            "ruleset": "ueba",
            "version": str(case.incident.model.trained_until),
        },
        "observer": {"product": "ueba", "vendor": "ueba", "type": "ueba", "version": __version__},
        "user": {"name": name} | ({"domain": domain} if domain else {}),
        "related": _related(case),
        "ueba": _ours(case),
    }
    if edge.source is not None:
        document["source"] = _end(edge.source)
    if edge.target_kind == "machine":
        document["destination"] = _end(edge.target)
    threat = _threat(case)
    return document | ({"threat": threat} if threat else {})


def _event(case: Case) -> dict[str, Any]:
    """What happened, when, and how severe it is."""
    return {
        "kind": "alert",
        "category": ["authentication"],
        "type": ["info"],
        "module": "ueba",
        "dataset": "ueba.incident",
        "provider": "ueba",
        "id": case.id,
        "action": "unusual-access",
        "reason": case.strangest.reasons[0],
        "created": cases.iso(case.found),
        "start": cases.iso(case.first),
        "end": cases.iso(case.last),
        "severity": SEVERITIES[cases.severity(case)],
        "risk_score": case.incident.score,
        "risk_score_norm": cases.risk(case),
    }


def _end(name: str) -> dict[str, Any]:
    """An address as it is, and again as what it is."""
    ip = cases.address(name)
    return {"address": name} | ({"ip": ip} if ip else {"domain": name})


def _related(case: Case) -> dict[str, list[str]]:
    """Accounts by their whole name and by the one that other sources may write."""
    users = [name for user in cases.users(case) for name in (user, cases.account(user)[0])]
    found = {"user": list(dict.fromkeys(users)), "hosts": cases.hosts(case), "ip": cases.addresses(case)}
    return {name: values for name, values in found.items() if values}


def _threat(case: Case) -> dict[str, Any]:
    shown = cases.techniques(case)
    if not shown:
        return {}
    parts = [technique.part for technique in shown if technique.part]
    pairs = {
        "tactic": [technique.tactic for technique in shown],
        "technique": [technique.technique for technique in shown],
    }
    threat: dict[str, Any] = {"framework": "MITRE ATT&CK"} | {
        key: _listed(ids_and_names) for key, ids_and_names in pairs.items()
    }
    if parts:
        threat["technique"]["subtechnique"] = _listed(parts)
    return threat


def _listed(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    once = list(dict.fromkeys(pairs))
    return {"id": [uid for uid, _ in once], "name": [name for _, name in once]}


def _ours(case: Case) -> dict[str, Any]:
    edges = [
        {
            "id": cases.edge_id(case, edge.edge.edge),
            "first_seen": cases.iso(edge.first_seen),
            "last_seen": cases.iso(edge.last_seen),
        }
        | edge.fields()
        for edge in case.edges
    ]
    return {
        "schema_version": versions.EXPORT,
        **cases.incident_fields(case),
        "model": cases.model_fields(case),
        "edges": edges,
        **case.verdict_fields,
    }
