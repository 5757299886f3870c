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
from ueba.investigate.export import alerts
from ueba.investigate.export.alerts import Alert

VERSION = "8.11.0"
SEVERITIES = {"Low": 21, "Medium": 47, "High": 73}  # as Elastic's own rules count


def document(alert: Alert) -> dict[str, Any]:
    """The document of an alert."""
    edge = alert.strangest.edge
    name, domain = alerts.account(edge.user)
    document = {
        "@timestamp": alerts.iso(alert.found),
        "ecs": {"version": VERSION},
        "message": alerts.message(alert),
        "tags": ["ueba"],
        "event": _event(alert),
        "rule": {
            "id": "ueba.incident",
            "name": "Unusual access",
            "category": "anomaly",
            "ruleset": "ueba",
            "version": str(alert.incident.model.trained_until),
        },
        "observer": {"product": "ueba", "vendor": "ueba", "type": "ueba", "version": __version__},
        "user": {"name": name} | ({"domain": domain} if domain else {}),
        "related": _related(alert),
        "ueba": _ours(alert),
    }
    if edge.source is not None:
        document["source"] = _end(edge.source)
    if edge.target_kind == "machine":
        document["destination"] = _end(edge.target)
    threat = _threat(alert)
    return document | ({"threat": threat} if threat else {})


def _event(alert: Alert) -> dict[str, Any]:
    """What happened, when, and how severe it is."""
    return {
        "kind": "alert",
        "category": ["authentication"],
        "type": ["info"],
        "module": "ueba",
        "dataset": "ueba.incident",
        "provider": "ueba",
        "id": alert.id,
        "action": "unusual-access",
        "reason": alert.strangest.reasons[0],
        "created": alerts.iso(alert.found),
        "start": alerts.iso(alert.first),
        "end": alerts.iso(alert.last),
        "severity": SEVERITIES[alerts.severity(alert)],
        "risk_score": alert.incident.score,
        "risk_score_norm": alerts.risk(alert),
    }


def _end(name: str) -> dict[str, Any]:
    """An address as it is, and again as what it is."""
    ip = alerts.address(name)
    return {"address": name} | ({"ip": ip} if ip else {"domain": name})


def _related(alert: Alert) -> dict[str, list[str]]:
    """Accounts by their whole name and by the one that other sources may write."""
    users = [name for user in alerts.users(alert) for name in (user, alerts.account(user)[0])]
    found = {"user": list(dict.fromkeys(users)), "hosts": alerts.hosts(alert), "ip": alerts.addresses(alert)}
    return {name: values for name, values in found.items() if values}


def _threat(alert: Alert) -> dict[str, Any]:
    shown = alerts.techniques(alert)
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


def _ours(alert: Alert) -> dict[str, Any]:
    edges = [
        {
            "id": alerts.edge_id(alert, edge.edge.edge),
            "first_seen": alerts.iso(edge.first_seen),
            "last_seen": alerts.iso(edge.last_seen),
        }
        | edge.fields()
        for edge in alert.edges
    ]
    return {
        "schema_version": versions.EXPORT,
        **alerts.incident_fields(alert),
        "model": alerts.model_fields(alert),
        "edges": edges,
        **alert.case_fields,
        **alert.verdict_fields,
    }
