"""BloodHound OpenGraph: what was unusual, beside the rights that the directory gives,
https://bloodhound.specterops.io/opengraph.

    (:Ueba_Incident)-[:Ueba_Involves]->(:Ueba_User)-[:Ueba_Used]->(:Ueba_Machine)-[:Ueba_Reached]->(:Ueba_Machine|Ueba_Resource)

Two documents, as BloodHound's FAQ advises: `graph` names only our own nodes and has a `source_kind`, which
BloodHound puts on every node that a document names and by which it deletes; `links`, uploaded after it and
without one, joins them to the directory's. A user is found by `name` (NAME@DOMAIN.TLD), a machine by `name`
(HOST.DOMAIN.TLD) or, if the log has but its short name, by `samaccountname` (HOST$). Leaves out links of
names without a domain of the directory, of addresses and of cloud accounts. BloodHound cannot hold a null
character, so names are written as `text.plain` shows them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from ueba import words
from ueba.contracts import versions
from ueba.investigate.export import alerts
from ueba.investigate.export.alerts import Alert, AlertEdge
from ueba.text import plain

SOURCE_KIND = "Ueba"
KINDS = {
    "user": "Ueba_User",
    "machine": "Ueba_Machine",
    "resource": "Ueba_Resource",
    "incident": "Ueba_Incident",
}
Entity = tuple[str, str]  # kind and name


def graph(exported: Sequence[Alert]) -> dict[str, Any]:
    """The first document: every node has an edge."""
    edges: dict[tuple[str, Entity, Entity], list[tuple[Alert, AlertEdge]]] = {}
    for alert in exported:
        for edge in alert.edges:
            user, target = ("user", edge.edge.user), (edge.edge.target_kind, edge.edge.target)
            source = user if edge.edge.source is None else ("machine", edge.edge.source)
            steps = [("Ueba_Used", user, source), ("Ueba_Reached", source, target)]
            involved = [
                ("Ueba_Involves", ("incident", alert.id), entity)
                for entity in dict.fromkeys((user, source, target))
            ]
            for kind, start, end in (*steps, *involved):
                if start != end:  # an unknown source, a logon at the machine itself
                    edges.setdefault((kind, start, end), []).append((alert, edge))
    by_id = {alert.id: alert for alert in exported}
    entities = dict.fromkeys(entity for _, start, end in edges for entity in (start, end))
    return {
        "metadata": {"source_kind": SOURCE_KIND},
        "graph": {
            "nodes": [_node(entity, by_id) for entity in entities],
            "edges": [_edge(kind, start, end, found) for (kind, start, end), found in edges.items()],
        },
    }


def links(exported: Sequence[Alert]) -> dict[str, Any]:
    """The second document: our nodes to those of Active Directory, where a name leaves no doubt."""
    ends: list[tuple[str, str | None]] = [
        entity
        for alert in exported
        for edge in alert.edges
        for entity in (
            ("user", edge.edge.user),
            ("machine", edge.edge.source),
            (edge.edge.target_kind, edge.edge.target),
        )
    ]
    found = [(entity, match) for entity in dict.fromkeys(ends) if (match := _in_directory(*entity))]
    edges = [
        {
            "kind": "Ueba_SameAs",
            "start": {"match_by": "id", "value": node_id((kind, name or ""))},
            "end": match,
            "properties": {"schemaversion": versions.EXPORT},
        }
        for (kind, name), match in found
    ]
    return {"graph": {"nodes": [], "edges": edges}}


def node_id(entity: Entity) -> str:
    """Upper alert and without a colon, the same whenever the entity is exported."""
    kind, name = entity
    return f"UEBA-{kind.upper()}-{hashlib.sha256(name.encode()).hexdigest()[:24].upper()}"


def _node(entity: Entity, by_id: dict[str, Alert]) -> dict[str, Any]:
    kind, name = entity
    properties = {"name": plain(name), "displayname": plain(name), "schemaversion": versions.EXPORT}
    if kind == "incident":
        properties |= _of_incident(by_id[name])
    return {"id": node_id(entity), "kinds": [KINDS[kind]], "properties": properties}


def _of_incident(alert: Alert) -> dict[str, Any]:
    return {
        "description": alerts.message(alert),
        "day": alert.incident.day.isoformat(),
        "rank": alert.incident.rank,
        "score": alert.incident.score,
        "perioddays": alert.period.fields["period_days"],
        "periodisbound": alert.period.is_bound,
        "pvalue": alert.incident.p_value,
        "pvalueisbound": alert.incident.p_is_bound,
        "severity": alerts.severity(alert),
        "risk": alerts.risk(alert),
        "reasons": [plain(words.sentence(reason)) for reason in alert.incident.reasons],
    }


def _edge(kind: str, start: Entity, end: Entity, found: list[tuple[Alert, AlertEdge]]) -> dict[str, Any]:
    """BloodHound keeps one edge of a kind between two nodes: what all of ours say together."""
    rows = [edge for _, edge in found]
    return {
        "kind": kind,
        "start": {"match_by": "id", "value": node_id(start)},
        "end": {"match_by": "id", "value": node_id(end)},
        "properties": {
            "schemaversion": versions.EXPORT,
            "incidents": list(dict.fromkeys(alert.id for alert, _ in found)),
            "users": sorted({plain(edge.edge.user) for edge in rows}),
            "count": sum(edge.edge.count for edge in rows),
            "failures": sum(edge.edge.failures for edge in rows),
            "pvalue": min(edge.edge.p_value for edge in rows),
            "pvalueisbound": any(edge.edge.p_is_bound for edge in rows),
            "firstseen": alerts.iso(min(edge.first_seen for edge in rows)),
            "lastevent": alerts.iso(max(edge.last_seen for edge in rows)),
            "reasons": list(dict.fromkeys(plain(reason) for edge in rows for reason in edge.reasons)),
        },
    }


def _in_directory(kind: str, name: str | None) -> dict[str, Any] | None:
    """The end of a link, or None."""
    if name is None or alerts.address(name) or not name.isprintable() or kind == "resource":
        return None
    if kind == "machine":
        key, value = ("name", name) if "." in name else ("samaccountname", f"{name}$")
        return _match("Computer", key, value)
    account, domain = alerts.account(name)
    if domain is None or "." not in domain:
        return None
    if account.endswith("$"):
        return _match("Computer", "name", f"{account[:-1]}.{domain}")
    return _match("User", "name", name)


def _match(kind: str, key: str, value: str) -> dict[str, Any]:
    return {
        "match_by": "property",
        "kind": kind,
        "property_matchers": [{"key": key, "operator": "equals", "value": value.upper()}],
    }
