"""CSV for people: a row for each edge of an incident, strangest incident and edge first.

Names come from logs, and a spreadsheet takes some for formulas: see `text.in_a_cell`, and
`text.out_of_a_cell` for who reads the file by program. Control characters are written as `text.plain` has
them, as a row is a line and may be shown by a terminal. Every text is quoted, numbers are not. Lists are
joined with " | "; where their parts or all characters matter, take another form.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from ueba.contracts import versions
from ueba.investigate.export import alerts
from ueba.investigate.export.alerts import Alert, AlertEdge
from ueba.text import in_a_cell, plain

INCIDENT = (
    *("day", "rank", "score", "period_days", "period_is_bound"),
    *("p_value", "p_is_bound", "once_in_days", "backoff"),
)
COLUMNS = (
    "schema_version",
    "incident",
    *(f"incident_{name}" for name in INCIDENT),
    "severity",
    "risk",
    "verdict",
    "edge",
    "first_seen",
    "last_seen",
    *alerts.EDGE_FIELDS,
    "case",
)


def text(exported: Sequence[Alert]) -> str:
    """A header and the rows."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        [_cell(value) for value in _row(alert, edge)] for alert in exported for edge in alert.edges
    )
    return file.getvalue()


def _row(alert: Alert, edge: AlertEdge) -> tuple[Any, ...]:
    return (
        versions.EXPORT,
        alert.id,
        *(alerts.incident_fields(alert)[name] for name in INCIDENT),
        alerts.severity(alert),
        alerts.risk(alert),
        alert.verdict.verdict if alert.verdict else None,
        alerts.edge_id(alert, edge.edge.edge),
        alerts.iso(edge.first_seen),
        alerts.iso(edge.last_seen),
        *(edge.fields().get(name) for name in alerts.EDGE_FIELDS),
        alert.case.id if alert.case else None,
    )


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    return in_a_cell(" | ".join(map(plain, value)) if isinstance(value, list) else plain(value))
