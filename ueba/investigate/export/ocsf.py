"""OCSF Detection Finding (class 2004), https://schema.ocsf.io/1.5.0/classes/detection_finding.

Version 1.5.0 is the first with `anomaly_analyses`, which is what an incident is: for whom, what was seen,
and whether it was ever seen before. `time` is when the day was scored; the logons are between `start_time`
and `end_time`. What OCSF has no place for (nats, p-values, the model) is in `unmapped`, by the same `uid` as
in `evidences`. Leaves out updates: an export always says Create.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ueba import __version__, words
from ueba.contracts import versions
from ueba.contracts.case import Link
from ueba.contracts.edge import Edge
from ueba.contracts.explanation import Expected
from ueba.contracts.reason import NewPair
from ueba.investigate import cases
from ueba.investigate.export import alerts
from ueba.investigate.export.alerts import Alert, AlertEdge, Technique
from ueba.text import plain

VERSION = "1.5.0"
TYPE_UID, TYPE_NAME = 200401, "Detection Finding: Create"
PRODUCT = {"name": "ueba", "vendor_name": "ueba", "version": __version__}
SEVERITIES = {"Low": 2, "Medium": 3, "High": 4}
RISKS = {"Low": 1, "Medium": 2, "High": 3}
USER_NAME, HOSTNAME, IP_ADDRESS, RESOURCE = 4, 1, 2, 10  # kinds of observables
KINDS = {USER_NAME: "User Name", HOSTNAME: "Hostname", IP_ADDRESS: "IP Address", RESOURCE: "Resource UID"}
BASELINES = {
    "target": "user -> target access",
    "source": "user -> source access",
    "hour": "hour of activity, UTC",
    "logon_type": "logon type",
}
NUMBERS = (
    "surprise",
    "p_value",
    "p_is_bound",
    "once_in_days",
    "strangeness",
    "carry_over",
    "count",
    "failures",
)  # of an edge
ATTACK_VERSION = "16.1"
MOST_EVENTS, MOST_EDGES = (
    100,
    50,
)  # of a finding: the first events, the strangest edges; totals are beside them


def finding(alert: Alert) -> dict[str, Any]:
    """The Detection Finding of an alert."""
    severity, risk = alerts.severity(alert), alerts.risk(alert)
    status_id, status = _status(alert)
    return {
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": TYPE_UID,
        "type_name": TYPE_NAME,
        "time": _ms(alert.found),
        "start_time": _ms(alert.first),
        "end_time": _ms(alert.last),
        "count": alert.count,
        "severity_id": SEVERITIES[severity],
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "is_alert": True,
        "risk_score": round(risk),
        "risk_level_id": RISKS[severity],
        "risk_level": severity,
        "message": alerts.message(alert),
        "metadata": {"version": VERSION, "product": PRODUCT, "uid": alert.id, "event_code": "ueba.incident"},
        "finding_info": _info(alert),
        "anomaly_analyses": _analyses(alert),
        "evidences": _evidences(alert),
        "observables": _observables(alert),
        "unmapped": _unmapped(alert),
    }


def _ms(time: dt.datetime) -> int:
    return int(time.timestamp() * 1000)


def _status(alert: Alert) -> tuple[int, str]:
    """An incident judged true is in progress; one judged harmless or hidden by rules is suppressed."""
    if alert.verdict is not None:
        return (2, "In Progress") if alert.verdict.verdict == "true" else (3, "Suppressed")
    return (3, "Suppressed") if alert.incident.hidden_by else (1, "New")


def _info(alert: Alert) -> dict[str, Any]:
    events, shown = alert.events[:MOST_EVENTS], alerts.techniques(alert)
    related = [*(_related(event) for event in events), *_of_case(alert)]
    return {
        "uid": alert.id,
        "title": alerts.title(alert),
        "desc": plain("; ".join(map(words.sentence, alert.incident.reasons))),
        "types": ["Anomaly"],
        "created_time": _ms(alert.found),
        "first_seen_time": _ms(alert.first),
        "last_seen_time": _ms(alert.last),
        "analytic": {
            "name": "Surprise of user, machine and resource edges",
            "uid": "ueba.incident",
            "type": "Learning (ML/DL)",
            "type_id": 4,
            "version": str(alert.incident.model.trained_until),
        },
        "data_sources": sorted({event["path"] for event in events if event["path"]})
        or ["authentication logs"],
        "related_events_count": alert.count + len(alert.others),
        **({"related_events": related} if related else {}),
        **({"attacks": [_attack(technique) for technique in shown]} if shown else {}),
    }


def _attack(technique: Technique) -> dict[str, Any]:
    named = {"tactic": technique.tactic, "technique": technique.technique, "sub_technique": technique.part}
    return {"version": ATTACK_VERSION} | {
        key: dict(zip(("uid", "name"), value, strict=True)) for key, value in named.items() if value
    }


def _related(event: dict[str, Any]) -> dict[str, Any]:
    """A record of a log: where it stands, if that is known."""
    place = {name: str(event[name]) for name in ("path", "line") if event[name] is not None}
    return {
        "uid": alerts.event_id(event),
        "type": str(event["action"] or "logon"),
        "title": f"{event['user']} from {event['source'] or 'an unknown machine'} to {event['target']}",
        "first_seen_time": _ms(event["time"]),
        "tags": [{"name": name, "value": value} for name, value in place.items()],
    }


def _of_case(alert: Alert) -> list[dict[str, Any]]:
    """The findings of the other incidents of the case, and how they are linked with this one."""
    if alert.case is None:
        return []
    links = alert.case.links_of(alert.id)
    return [
        {
            "uid": other.id,
            "type_uid": TYPE_UID,
            "type_name": TYPE_NAME,
            "title": plain(words.headline(other.reasons)),
            "desc": plain(_how(other.id, links) or f"another incident of {alert.case.id}"),
            "tags": [{"name": "case", "value": alert.case.id}],
        }
        for other in alert.others
    ]


def _how(other: str, links: Sequence[Link]) -> str:
    return "; ".join(
        f"{link.incident} {cases.why(link)}" for link in links if other in (link.incident, link.goes_on_from)
    )


def _analyses(alert: Alert) -> list[dict[str, Any]]:
    """An analysis for every account."""
    anomalies: dict[str, list[dict[str, Any]]] = {}
    expected: dict[str, Expected] = {}
    for edge in alert.edges[:MOST_EDGES]:
        user = edge.edge.user
        anomalies.setdefault(user, []).extend(_anomalies(edge))
        expected[user] = expected.get(user) or edge.expected
    return [
        {"analysis_targets": [{"name": user, "type": "User Account"}], "anomalies": found}
        | ({"baselines": baselines} if (baselines := _baselines(expected[user])) else {})
        for user, found in anomalies.items()
    ]


def _baselines(expected: Expected) -> list[dict[str, Any]]:
    """What the account does on most days, as far as that was worked out."""
    return [
        {
            "observation_parameter": parameter,
            "observation_type": "Frequency Analysis",
            "observed_pattern": "USUAL",
            "observations": [{"value": usual.name} for usual in getattr(expected, what)],
        }
        for what, parameter in BASELINES.items()
        if getattr(expected, what)
    ]


def _anomalies(alert_edge: AlertEdge) -> list[dict[str, Any]]:
    """An anomaly for every pair that was never seen; if there is none, one for the edge."""
    edge = alert_edge.edge
    span = {"start_time": _ms(alert_edge.first_seen), "end_time": _ms(alert_edge.last_seen)}
    unseen = [
        (f"{reason.relation.replace('_', ' -> ')} access", f"{reason.actor} -> {reason.partner}", "UNSEEN")
        for reason in edge.reasons
        if isinstance(reason, NewPair) and not reason.was_quarantined
    ]
    ends = (edge.user, edge.source or words.UNKNOWN_SOURCE, edge.target)
    whole = [("user -> source -> target access", " -> ".join(ends), "RARE")]
    return [
        {
            "observation_parameter": parameter,
            "observation_type": "Frequency Analysis",
            "observed_pattern": pattern,
            "observations": [{"value": value, "count": edge.count, "timespan": span}],
        }
        for parameter, value, pattern in unseen or whole
    ]


def _evidences(alert: Alert) -> list[dict[str, Any]]:
    """An evidence for every edge."""
    ids: dict[Edge, dict[str, str]] = {}  # account id and addresses in the events of an edge
    for event in alert.events:
        of_edge = ids.setdefault(alerts.edge_of(event), {})
        for name in ("user_id", "source_ip", "target_ip"):
            if event[name]:
                of_edge.setdefault(name, event[name])
    edges = [alert_edge.edge.edge for alert_edge in alert.edges[:MOST_EDGES]]
    return [_evidence(alert, edge, ids.get(edge, {})) for edge in edges]


def _evidence(alert: Alert, edge: Edge, ids: Mapping[str, str]) -> dict[str, Any]:
    evidence: dict[str, Any] = {
        "uid": alerts.edge_id(alert, edge),
        "user": _user(edge.user, ids.get("user_id")),
    }
    if edge.source is not None:
        evidence["src_endpoint"] = _endpoint(edge.source, ids.get("source_ip"))
    if edge.target_kind == "machine":
        evidence["dst_endpoint"] = _endpoint(edge.target, ids.get("target_ip"))
    else:
        evidence["resources"] = [{"uid": edge.target, "name": edge.target}]
    return evidence


def _user(user: str, uid: str | None) -> dict[str, Any]:
    name, domain = alerts.account(user)
    return {"name": name} | ({"domain": domain} if domain else {}) | ({"uid": uid} if uid else {})


def _endpoint(name: str, known_address: str | None) -> dict[str, Any]:
    ip = alerts.address(name) or alerts.address(known_address)
    return ({} if alerts.address(name) else {"hostname": name}) | ({"ip": ip} if ip else {})


def _observables(alert: Alert) -> list[dict[str, Any]]:
    """What a SIEM searches by, each once, and where in the evidences it stands."""
    sources = {edge.edge.source for edge in alert.edges} | {
        alerts.address(event["source_ip"]) for event in alert.events
    }
    resources = sorted({edge.edge.target for edge in alert.edges if edge.edge.target_kind != "machine"})

    def end(name: str) -> str:
        return "evidences.src_endpoint" if name in sources else "evidences.dst_endpoint"

    found = [
        *(("evidences.user.name", USER_NAME, user) for user in alerts.users(alert)),
        *((f"{end(host)}.hostname", HOSTNAME, host) for host in alerts.hosts(alert)),
        *((f"{end(ip)}.ip", IP_ADDRESS, ip) for ip in alerts.addresses(alert)),
        *(("evidences.resources.uid", RESOURCE, name) for name in resources),
    ]
    return [
        {"name": name, "type_id": kind, "type": KINDS[kind], "value": value} for name, kind, value in found
    ]


def _unmapped(alert: Alert) -> dict[str, Any]:
    """What OCSF has no place for."""
    return {
        "schema_version": versions.EXPORT,
        **alerts.incident_fields(alert),
        "model": {
            name: value
            for name, value in msgspec.to_builtins(alert.incident.model).items()
            if name != "quiet_scores"  # of every training, and of no use elsewhere
        },
        "edges_total": len(alert.edges),
        "edges": [_edge(alert, edge) for edge in alert.edges[:MOST_EDGES]],
        **alert.case_fields,
        **alert.verdict_fields,
    }


def _edge(alert: Alert, alert_edge: AlertEdge) -> dict[str, Any]:
    edge = alert_edge.edge
    fields = {
        "uid": alerts.edge_id(alert, edge.edge),
        **{name: getattr(edge, name) for name in NUMBERS},
        "logon_types": list(edge.logon_types),
        "reasons": words.reasons_json(edge.reasons),
        "would_be_normal": alert_edge.would_be_normal,
    }
    return {name: value for name, value in fields.items() if value is not None}
