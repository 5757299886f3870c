"""CSV for people: a row for each edge of an incident, strangest incident and edge first.

A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@` or a tab for a formula, and names come from logs. So a text that
begins like one gets an apostrophe before it, and so does one that begins with an apostrophe: who reads the file by program takes
one leading apostrophe away and has the text as it was (`original`). Every text is quoted, numbers are not. Lists are joined with
" | "; where their parts matter, take another form.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from ueba.investigate.export import cases
from ueba.investigate.export.cases import Case

INCIDENT = ("day", "rank", "score", "p_value", "backoff")
EDGE = ("user", "source", "target", "target_kind", "count", "failures", "logon_types", "surprise", "p_value", "reasons")
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
    *EDGE,
)
MARK = "'"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", MARK)  # with those of full width


def text(some: Sequence[Case]) -> str:
    """A header and the rows."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in _row(case, edge)] for case in some for edge in case.edges)
    return file.getvalue()


def _row(case: Case, edge: dict[str, Any]) -> tuple[Any, ...]:
    return (
        cases.SCHEMA_VERSION,
        case.id,
        *(case.incident[name] for name in INCIDENT),
        cases.severity(case),
        cases.risk(case),
        case.verdict["verdict"] if case.verdict else None,
        cases.edge_id(case, edge),
        cases.iso(edge["first_seen"]),
        cases.iso(edge["last_seen"]),
        *(edge[name] for name in EDGE),
    )


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    return safe(" | ".join(value) if isinstance(value, list) else str(value))


def safe(value: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return MARK + value if value.startswith(FORMULA) else value


def original(cell: str) -> str:
    """What `safe` was given."""
    return cell.removeprefix(MARK)
