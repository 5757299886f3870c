"""A daily edge: events of one day counted. The lake keeps them; detection sees no more of a log than these.

`COLUMNS` is the table of `lake/edges/day=YYYY-MM-DD/<digest>.parquet`; KEY, its first eight columns, is
unique. `PAIR_COLUMNS` is the coarser table that detection reads: its key, PAIR, is a day and the four parts
of an edge.

Leaves out actors, event ids and single events; those are in the lake's events. Hours are a set and not
counts: habits are learned from the hours with events, and 24 counts take as long to make, and as much space,
as all the rest of an edge.
"""

from __future__ import annotations

import pyarrow as pa

from ueba.contracts.table import Column

_text, _time, _texts = pa.string(), pa.timestamp("us"), pa.list_(pa.string())
_EDGE = (
    Column("day", pa.date32(), "UTC", "the day of the events"),
    Column("user", _text, "", "the account"),
    Column("source", _text, "", "the machine acted from; null if unknown"),
    Column("target", _text, "", "the machine or resource reached"),
    Column("target_kind", _text, "", "machine or resource"),
)
_HOW = (
    Column("action", _text, "", "as of an event"),
    Column("logon_type", _text, "", "as of an event; null if unknown"),
    Column("auth_package", _text, "", "as of an event; null if unknown"),
)
_MEASURES = (
    Column("count", pa.int64(), "events", "events of any outcome"),
    Column("failures", pa.int64(), "events", "of these, events whose outcome is failure"),
    Column("first_seen", _time, "UTC", "the first event"),
    Column("last_seen", _time, "UTC", "the last event"),
    Column("hours", pa.int32(), "UTC", "a bit set: bit h (1 << h) if there were events in hour h"),
    Column(
        "witnesses", pa.int32(), "", "a bit set of who saw it: 1 the host, 2 the controller, 4 the source"
    ),
)
COLUMNS = (*_EDGE, *_HOW, *_MEASURES)
PAIR_COLUMNS = (
    *_EDGE,
    *_MEASURES,
    Column("logon_types", _texts, "", "those that were used, sorted, unknown ones left out"),
    Column("auth_packages", _texts, "", "those that were used, sorted, unknown ones left out"),
    Column("user_kind", _text, "", "human, service, machine or anonymous"),
)
PAIR = tuple(column.name for column in _EDGE)
KEY = tuple(column.name for column in (*_EDGE, *_HOW))
SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])
PAIR_SCHEMA = pa.schema([(column.name, column.type) for column in PAIR_COLUMNS])
