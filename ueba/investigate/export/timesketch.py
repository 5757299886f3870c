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
from ueba.investigate.export import cases
from ueba.investigate.export.cases import Case
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


def rows(case: Case) -> Iterator[dict[str, Any]]:
    """The incident's row, and those of its events by time."""
    yield {
        **_at(case.first, "Start of the incident", cases.message(case)),
        "data_type": "ueba:incident",
        "tag": ["ueba-incident", f"severity-{cases.severity(case).lower()}"],
        "id": case.id,
        **_common(case),
        "found": cases.iso(case.found),
        "end": cases.iso(case.last),
        "users": list(case.incident.users),
        "machines": list(case.incident.machines),
        "resources": list(case.incident.resources),
        "reasons": case.strangest.reasons,
        "risk": cases.risk(case),
        "p_value": case.incident.p_value,
    }
    edges = {case_edge.edge.edge: case_edge for case_edge in case.edges}
    for event in case.events:
        edge = edges[cases.edge_of(event)]
        what = f"{event['user']} from {event['source'] or words.UNKNOWN_SOURCE} to {event['target']}"
        how = ", ".join(str(event[name]) for name in ("action", "logon_type", "outcome") if event[name])
        yield {
            **_at(event["time"], "Event Logged", plain(f"{what}: {how}")),
            "data_type": "ueba:event",
            "tag": ["ueba"],
            "id": f"{case.id}-{cases.event_id(event)}",
            **_common(case),
            "edge": cases.edge_id(case, edge.edge.edge),
            "p_value": edge.edge.p_value,
            "reasons": edge.reasons,
            **{name: event[name] for name in (*FIELDS, *MORE) if event[name] is not None},
        }


def _at(time: dt.datetime, what: str, message: str) -> dict[str, Any]:
    stamp = {
        "datetime": aware(time).isoformat(timespec="microseconds"),
        "timestamp": (time - EPOCH) // MICROSECOND,
    }
    return {"message": message, **stamp, "timestamp_desc": what}


def _common(case: Case) -> dict[str, Any]:
    return {"schema_version": versions.EXPORT, "incident": case.id}
