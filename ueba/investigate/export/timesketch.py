"""Timesketch: a row for the incident and a row for each event behind its edges, to be laid beside other
timelines.

Every row has the fields that Timesketch asks for: `message`, `datetime`, `timestamp` (microseconds) and
`timestamp_desc`. The incident's row stands where its events begin; when it was found is in `found`. Upload
as `.jsonl`. Leaves out sketches and views.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from ueba import words
from ueba.contracts import versions
from ueba.files import aware
from ueba.investigate.export import alerts
from ueba.investigate.export.alerts import Alert
from ueba.text import plain

FIELDS = (
    "user",
    "actor",
    "source",
    "target",
    "target_kind",
    "detail",
    "action",
    "logon_type",
    "auth_package",
    "outcome",
)
MORE = (
    "outcome_reason",
    "user_id",
    "source_ip",
    "target_ip",
    "reporter",
    "session",
    "code",
    "event_id",
    "path",
    "line",
)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)


def rows(alert: Alert) -> Iterator[dict[str, Any]]:
    """The incident's row, and those of its events by time."""
    yield {
        **_at(alert.first, "Start of the incident", alerts.message(alert)),
        "data_type": "ueba:incident",
        "tag": ["ueba-incident", f"severity-{alerts.severity(alert).lower()}"],
        "id": alert.id,
        **_common(alert),
        "found": alerts.iso(alert.found),
        "end": alerts.iso(alert.last),
        "users": list(alert.incident.users),
        "machines": list(alert.incident.machines),
        "resources": list(alert.incident.resources),
        "reasons": alert.strangest.reasons,
        "risk": alerts.risk(alert),
        **alert.period.fields,
        "p_value": alert.incident.p_value,
        "p_is_bound": alert.incident.p_is_bound,
    }
    edges = {alert_edge.edge.edge: alert_edge for alert_edge in alert.edges}
    for event in alert.events:
        edge = edges[alerts.edge_of(event)]
        what = f"{event['user']} from {event['source'] or words.UNKNOWN_SOURCE} to {event['target']}"
        how = ", ".join(str(event[name]) for name in ("action", "logon_type", "outcome") if event[name])
        yield {
            **_at(event["time"], "Event Logged", plain(f"{what}: {how}")),
            "data_type": "ueba:event",
            "tag": ["ueba"],
            "id": f"{alert.id}-{alerts.event_id(event)}",
            **_common(alert),
            "edge": alerts.edge_id(alert, edge.edge.edge),
            "p_value": edge.edge.p_value,
            "p_is_bound": edge.edge.p_is_bound,
            "reasons": edge.reasons,
            **{name: event[name] for name in (*FIELDS, *MORE) if event[name] is not None},
        }


def _at(time: dt.datetime, what: str, message: str) -> dict[str, Any]:
    stamp = {
        "datetime": aware(time).isoformat(timespec="microseconds"),
        "timestamp": (time - EPOCH) // MICROSECOND,
    }
    return {"message": message, **stamp, "timestamp_desc": what}


def _common(alert: Alert) -> dict[str, Any]:
    case = {"case": alert.case.id} if alert.case else {}
    return {"schema_version": versions.EXPORT, "incident": alert.id, **case}
