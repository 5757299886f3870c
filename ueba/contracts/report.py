"""An ingest report: what became of the records of one file.

Part of the manifest of a batch and of `runs/<time>-ingest.json`, and printed by `ueba ingest --format json`.
Leaves out totals over files; those are `ueba.ingest.report`.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from ueba.contracts import versions
from ueba.contracts.event import (
    HEADER,
    NOT_A_LOGON,
    TIME_IN_THE_FUTURE,
    TIME_NOT_UNDERSTOOD,
    TIME_TOO_EARLY,
)

OF_NO_INTEREST = (NOT_A_LOGON, HEADER)  # reasons that begin so: no event was lost
# Reasons and notes that begin so: the clock of the machine, or the time zone of the log, is in doubt.
CLOCK = (
    TIME_IN_THE_FUTURE,
    TIME_TOO_EARLY,
    TIME_NOT_UNDERSTOOD,
    "time out of range",
    "time without a zone",
    "year guessed",
)


class IngestReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What became of one file. `events + sum(dropped.values()) == lines`, always.

    file:          its path, `archive.zip/inner.json` inside an archive, `-` for standard input
    format:        the log format it was read as
    batch:         the hash of its content, decompressed
    lines:         records
    edges:         daily edges that its events make
    repeated:      of the events, those whose identity came before in the file; they count once
    evidence:      of the events, those that prove something about entities and make no edge
    dropped:       reason -> records, the commonest first
    notes:         what had to be assumed -> events, the commonest first
    examples:      reason or note -> `file:line: text` of the first such record, control characters escaped
    unread_fields: fields of the first records that nothing reads
    first, last:   time of the first and last event, UTC; None without events
    gaps:          (begin, end) of whole hours without an event where many were to be expected
    users, sources, targets: distinct names
    seconds:       to read it
    already_ingested: the same content was read before in the same way: nothing changed
    problem:       why nothing of it could be read; None if it was read
    """

    file: str
    format: str = ""
    batch: str = ""
    lines: int = 0
    events: int = 0
    edges: int = 0
    repeated: int = 0
    evidence: int = 0
    dropped: dict[str, int] = {}
    notes: dict[str, int] = {}
    examples: dict[str, str] = {}
    unread_fields: tuple[str, ...] = ()
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    gaps: tuple[tuple[dt.datetime, dt.datetime], ...] = ()
    days: tuple[dt.date, ...] = ()
    users: int = 0
    sources: int = 0
    targets: int = 0
    seconds: float = 0.0
    already_ingested: bool = False
    problem: str | None = None

    @property
    def lost(self) -> dict[str, int]:
        """Records that should have been events, by reason."""
        return {
            reason: count for reason, count in self.dropped.items() if not reason.startswith(OF_NO_INTEREST)
        }

    @property
    def clock(self) -> dict[str, int]:
        """Records whose time is in doubt, by reason or note."""
        counts = {**self.dropped, **self.notes}
        return {reason: count for reason, count in counts.items() if reason.startswith(CLOCK)}

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return {**values, "clock": self.clock, "schema_version": versions.INGEST_REPORT}
