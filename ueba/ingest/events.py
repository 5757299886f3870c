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
from ueba.spelling import NOT_NAMES

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
LINES = ibis.schema({"line": "int64", "text": "string", "is_guessed": "boolean"})
FILE = "file_number"  # a column of lines that events carry along: the number of their file in a batch
NOT_UTF8 = "bytes that are no UTF-8: guessed, or marked with \N{REPLACEMENT CHARACTER}"
# Unspecified, broadcast and multicast addresses of IPv4 and IPv6, also mapped into one another.
NOWHERE = (
    r"^(?:::(?:ffff:)?)?(?:0\.\d{1,3}\.\d{1,3}\.\d{1,3}|255\.255\.255\.255|2(?:2[4-9]|3\d)(?:\.\d{1,3}){3})(?::\d+)?$"
    r"|^\[?(?:0{0,4}:){2,7}0{0,4}(?:%\w+)?\]?(?::\d+)?$|^(?i:ff[0-9a-f]{2}:[0-9a-f:]*)$|^0+$"
)
CALENDAR = (dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))
FIRST_YEAR = 1970  # a time before it is of a clock that was not set: Windows begins in 1601
Case = tuple[ir.BooleanValue, str | ir.StringValue]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def strlen(text: str) -> int:  # type: ignore[empty-body]
    """Bytes of a text, without decoding it."""


def finish(lines: ir.Table, cases: list[Case], **columns: ir.Value) -> ir.Table:
    """Lines and the columns that a log source found in them -> events. The first of `cases` that is true is
    the reason why a record is dropped. A column that is in neither is null. A record is also dropped if its
    time is null or cannot be, or if it has no user or target and is not evidence."""
    missing = [name for name in COLUMNS if name not in lines.columns and name != "dropped"]
    reason = ibis.cases(*cases, else_=ibis.null("string")) if cases else ibis.null("string")
    columns["_reason"] = reason  # of the records laid bare: their text is replaced below
    rows = lines.mutate(**({name: ibis.null(SCHEMA[name]) for name in missing} | columns))
    cases = [(rows._reason.notnull(), rows._reason)]
    if "written" in lines.columns:  # an opening laid the record bare
        cases = [(rows.refused.notnull(), rows.refused), *cases]
        rows = rows.mutate(text=rows.written, event_id=ibis.coalesce(rows.event_id, rows.hit))
    if "is_guessed" in lines.columns:
        both = ibis.coalesce(rows.note + "; " + NOT_UTF8, NOT_UTF8)
        rows = rows.mutate(note=ibis.ifelse(rows.is_guessed, both, rows.note))
    rows = rows.mutate(**{name: somewhere(rows[name]) for name in ("source", "source_ip", "target_ip")})
    # DuckDB reads `-infinity` as a time, and years BC.
    is_time = rows.time.between(*CALENDAR).fill_null(False)
    dropped = ibis.cases(*_unreadable(rows), *cases, *_unusable(rows, is_time), else_=ibis.null("string"))
    events = rows.mutate(time=ibis.ifelse(is_time, rows.time, None), dropped=dropped)
    carried = [events[FILE]] if FILE in lines.columns else []
    return events.select([events[name].cast(SCHEMA[name]).name(name) for name in COLUMNS] + carried)


def somewhere(place: ir.StringValue) -> ir.StringValue:
    """A name or an address, without the index of a network card (`fe80::1%14`); null for an address that is
    none, as logs write it where they know no address."""
    bare = ibis.ifelse(place.re_search(r"^[0-9a-fA-F:]+%"), place.re_extract(r"^[^%]+", 0), place)
    return ibis.ifelse(place.re_search(NOWHERE), None, bare)


def _unreadable(lines: ir.Table) -> list[Case]:
    return [(strlen(lines.text) > MAX_LINE, LONG_LINE), (lines.text == "", EMPTY_LINE)]


def _unusable(rows: ir.Table, is_time: ir.BooleanValue) -> list[Case]:
    makes_edge = rows.action.isnull() | rows.action.notin(EVIDENCE)
    return [
        (~is_time, TIME_NOT_UNDERSTOOD),
        (rows.time.year() < FIRST_YEAR, TIME_TOO_EARLY),
        (rows.time > latest(), TIME_IN_THE_FUTURE),
        (is_nameless(rows.user) & makes_edge, NO_USER),
        (is_nameless(rows.target) & makes_edge, NO_TARGET),
    ]


def is_nameless(name: ir.StringValue) -> ir.BooleanValue:
    """Whether a name is missing, or nothing but space or what logs write where they know no name."""
    return name.isnull() | name.strip().isin(NOT_NAMES)


def latest() -> dt.datetime:
    """The latest time that an event can have, UTC: a day from now, as a log's time zone may be unknown."""
    return files.now().replace(microsecond=0) + dt.timedelta(days=1)
