"""Events as expressions: how a log source turns the fields of records into events.

The columns are those of `ueba.contracts.event`. Leaves out the spelling of names (`identity`), and who is who
(`entities`).
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir

from ueba import files
from ueba.contracts.event import (
    CONTROLLER,
    EMPTY_LINE,
    EVIDENCE,
    HEADER,
    HOST,
    KEPT,
    LEASE,
    LONG_LINE,
    LONG_NAME,
    LONGEST_NAME,
    NAMES,
    NO_TARGET,
    NO_USER,
    NOT_A_LOGON,
    PRIVILEGE,
    SOURCE,
    TIME_IN_THE_FUTURE,
    TIME_NOT_UNDERSTOOD,
    TIME_TOO_EARLY,
    WITNESSES,
)
from ueba.contracts.event import SCHEMA as ARROW_SCHEMA
from ueba.ingest.reading.framing import MAX_LINE

__all__ = [  # what a log source needs
    "CONTROLLER",
    "EVIDENCE",
    "HEADER",
    "HOST",
    "KEPT",
    "LEASE",
    "NOT_A_LOGON",
    "PRIVILEGE",
    "SOURCE",
    "WITNESSES",
    "Case",
    "finish",
    "strlen",
]

COLUMNS = NAMES
KEPT_SQL = ", ".join(f'"{name}"' for name in KEPT)
SCHEMA = ibis.Schema.from_pyarrow(ARROW_SCHEMA)
LINES = ibis.schema({"line": "int64", "text": "string"})
FILE = "file_number"  # a column of lines that events carry along: the number of their file in a batch
CALENDAR = (dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))
# Names: none is longer than LONGEST_NAME, as every event of a day with one would carry it.
LIMITED = ("user", "actor", "source", "target", "user_id", "reporter", "session")
FIRST_YEAR = 1970  # a time before it is of a clock that was not set: Windows begins in 1601
Case = tuple[ir.BooleanValue, str]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def strlen(text: str) -> int:  # type: ignore[empty-body]
    """Bytes of a text, without decoding it."""


def finish(lines: ir.Table, cases: list[Case], **columns: ir.Value) -> ir.Table:
    """Lines and the columns that a log source found in them -> events. The first of `cases` that is true is
    the reason why a record is dropped. A column that is in neither is null. A record is also dropped if its
    time is null or cannot be, or if it has no user or target and is not evidence."""
    missing = [name for name in COLUMNS if name not in lines.columns and name != "dropped"]
    rows = lines.mutate(**({name: ibis.null(SCHEMA[name]) for name in missing} | columns))
    # DuckDB reads `-infinity` as a time, and years BC.
    is_time = rows.time.between(*CALENDAR).fill_null(False)
    dropped = ibis.cases(*_unreadable(lines), *cases, *_unusable(rows, is_time), else_=ibis.null("string"))
    events = rows.mutate(time=ibis.ifelse(is_time, rows.time, None), dropped=dropped)
    carried = [events[FILE]] if FILE in lines.columns else []
    return events.select([events[name].cast(SCHEMA[name]).name(name) for name in COLUMNS] + carried)


def _unreadable(lines: ir.Table) -> list[Case]:
    return [(strlen(lines.text) > MAX_LINE, LONG_LINE), (lines.text == "", EMPTY_LINE)]


def _unusable(rows: ir.Table, is_time: ir.BooleanValue) -> list[Case]:
    makes_edge = rows.action.isnull() | rows.action.notin(EVIDENCE)
    longest = ibis.greatest(*(strlen(rows[name]) for name in LIMITED))
    return [
        (~is_time, TIME_NOT_UNDERSTOOD),
        (rows.time.year() < FIRST_YEAR, TIME_TOO_EARLY),
        (rows.time > latest(), TIME_IN_THE_FUTURE),
        (rows.user.isnull() & makes_edge, NO_USER),
        (rows.target.isnull() & makes_edge, NO_TARGET),
        (longest > LONGEST_NAME, LONG_NAME),
    ]


def latest() -> dt.datetime:
    """The latest time that an event can have, UTC: a day from now, as a log's time zone may be unknown."""
    return files.now().replace(microsecond=0) + dt.timedelta(days=1)
