"""The rows of a batch, counted by file: what manifests and ingest reports are made from.

Leaves out the reports themselves; `batch` makes them.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from ueba.contracts.event import EVIDENCE
from ueba.contracts.manifest import Span
from ueba.ingest import steps

STEPS = steps.read(Path(__file__).with_suffix(".sql"))


class Reason(NamedTuple):
    """A reason why records are dropped, or a note on events.

    example: the beginning of the first such record; line: its number
    """

    reason: str
    records: int
    example: str | None
    line: int


class Day(NamedTuple):
    """The events of one day.

    with_id, with_witness: of these, events that have an `event_id`, a `witness`
    evidence:              of these, events that make no edge
    """

    day: dt.date
    first: dt.datetime
    last: dt.datetime
    events: int
    with_id: int
    with_witness: int
    evidence: int

    @property
    def span(self) -> Span:
        return Span(self.first, self.last, self.events)


@dataclass
class Tally:
    """The rows of one file.

    dropped, notes: the commonest first
    days:           in order
    repeated:       events whose `event_id` came before in the file
    hours:          beginning of an hour -> events; hours without events are left out
    """

    dropped: list[Reason] = field(default_factory=list)
    notes: list[Reason] = field(default_factory=list)
    days: list[Day] = field(default_factory=list)
    repeated: int = 0
    users: int = 0
    sources: int = 0
    targets: int = 0
    hours: dict[dt.datetime, int] = field(default_factory=dict)

    @property
    def events(self) -> int:
        return sum(day.events for day in self.days)

    @property
    def records(self) -> int:
        return self.events + sum(reason.records for reason in self.dropped)


def count(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[int, Tally]:
    """File number -> what its rows are. A file without rows has an empty tally.

    rows: SQL that names the rows of a batch"""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW batch_rows AS FROM {rows}")
    steps.run(connection, STEPS, {"evidence": list(EVIDENCE)}, temporary=True)
    tallies: dict[int, Tally] = defaultdict(Tally)
    for file, *values in _rows(connection, "dropped_records ORDER BY file, records DESC, reason"):
        tallies[file].dropped.append(Reason(*values))
    for file, *values in _rows(connection, "noted_events ORDER BY file, records DESC, reason"):
        tallies[file].notes.append(Reason(*values))
    for file, *values in _rows(connection, "days ORDER BY file, day"):
        tallies[file].days.append(Day(*values))
    for file, events in _rows(connection, "repeated_events"):
        tallies[file].repeated = events
    for file, *values in _rows(connection, "distinct_names"):
        tallies[file].users, tallies[file].sources, tallies[file].targets = values
    for file, hour, events in _rows(connection, "hours"):
        tallies[file].hours[hour] = events
    return tallies


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> Iterator[tuple[Any, ...]]:
    return iter(connection.execute(f"FROM {table}").fetchall())
