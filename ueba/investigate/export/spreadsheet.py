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
from ueba.investigate.export import cases
from ueba.investigate.export.cases import Case, CaseEdge
from ueba.text import in_a_cell, plain

INCIDENT = ("day", "rank", "score", "p_value", "once_in_days", "backoff")
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
    *cases.EDGE_FIELDS,
)


def text(exported: Sequence[Case]) -> str:
    """A header and the rows."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in _row(case, edge)] for case in exported for edge in case.edges)
    return file.getvalue()


def _row(case: Case, edge: CaseEdge) -> tuple[Any, ...]:
    return (
        versions.EXPORT,
        case.id,
        *(cases.incident_fields(case)[name] for name in INCIDENT),
        cases.severity(case),
        cases.risk(case),
        case.verdict.verdict if case.verdict else None,
        cases.edge_id(case, edge.edge.edge),
        cases.iso(edge.first_seen),
        cases.iso(edge.last_seen),
        *(edge.fields().get(name) for name in cases.EDGE_FIELDS),
    )


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    return in_a_cell(" | ".join(map(plain, value)) if isinstance(value, list) else plain(value))
