"""What became of a file: every record is an event or was dropped for a reason, with one example each; and
what looks odd of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 2
CLOCK = (
    "time in the future",
    "time before 1970",
    "time not understood",
    "time out of range",
    "time without a zone",
    "year guessed",
)
OF_NO_INTEREST = ("not a logon", "header")
LEAST_MISSED = 20  # events that a gap would have had: fewer may be missing by chance
HOURS, SATURDAY = 24, 5


@dataclass(frozen=True)
class IngestReport:
    """The outcome of reading one file. `events + sum(dropped.values()) == lines`, always."""

    file: str
    format: str
    batch: str  # the hash of the content, decompressed
    lines: int  # records
    events: int
    edges: int  # daily edges that they make
    repeated: int  # of the events, those whose identity is there before, and which count once
    evidence: int  # of the events, those that tell of entities and make no edge
    dropped: dict[str, int]  # reason: records, most first
    notes: dict[str, int]  # what had to be assumed: events
    examples: dict[
        str, str
    ]  # reason or note: "file:line: text" of the first such record, control characters escaped
    unread_fields: tuple[str, ...]  # fields of the first records that nothing reads
    first: dt.datetime | None  # UTC, without zone
    last: dt.datetime | None
    gaps: tuple[tuple[dt.datetime, dt.datetime], ...]  # hours without an event where many were to be expected
    days: tuple[dt.date, ...]
    users: int
    sources: int
    targets: int
    seconds: float
    already_ingested: bool = False
    problem: str | None = None  # why nothing of it could be read

    @property
    def lost(self) -> dict[str, int]:
        """Records that should have been events: those that are of no interest left out."""
        return {
            reason: count for reason, count in self.dropped.items() if not reason.startswith(OF_NO_INTEREST)
        }

    @property
    def clock(self) -> dict[str, int]:
        """Records whose time is in doubt."""
        found = {**self.dropped, **self.notes}
        return {reason: count for reason, count in found.items() if reason.startswith(CLOCK)}

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        values = asdict(self) | {
            "first": self.first and self.first.isoformat(),
            "last": self.last and self.last.isoformat(),
            "gaps": [[begin.isoformat(), end.isoformat()] for begin, end in self.gaps],
            "days": [day.isoformat() for day in self.days],
            "unread_fields": list(self.unread_fields),
        }
        return values | {"clock": self.clock, "schema_version": SCHEMA_VERSION}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> IngestReport:
        """What `to_dict` wrote."""
        values = {name: stored[name] for name in cls.__dataclass_fields__}
        for name in ("first", "last"):
            values[name] = values[name] and dt.datetime.fromisoformat(values[name])
        values["gaps"] = tuple(tuple(map(dt.datetime.fromisoformat, gap)) for gap in values["gaps"])
        values["days"] = tuple(map(dt.date.fromisoformat, values["days"]))
        return cls(**values | {"unread_fields": tuple(values["unread_fields"])})


def failed(file: str, problem: str) -> IngestReport:
    """A file of which nothing could be read."""
    nothing: dict[str, Any] = {
        name: 0
        for name in ("lines", "events", "edges", "repeated", "evidence", "users", "sources", "targets")
    }
    empty: dict[str, Any] = {name: {} for name in ("dropped", "notes", "examples")}
    none: dict[str, Any] = {name: () for name in ("unread_fields", "gaps", "days")}
    return IngestReport(
        file=file,
        format="",
        batch="",
        first=None,
        last=None,
        seconds=0.0,
        problem=problem,
        **nothing,
        **empty,
        **none,
    )


def by_format(reports: Sequence[IngestReport]) -> list[dict[str, Any]]:
    """One row for each format: files, records, events, edges, dropped, share dropped that were logons, first
    and last time."""
    rows = []
    for name in sorted({each.format for each in reports if each.problem is None}):
        mine = [each for each in reports if each.format == name and each.problem is None]
        lines, events = sum(each.lines for each in mine), sum(each.events for each in mine)
        rows.append(
            {
                "format": name,
                "files": len(mine),
                "lines": lines,
                "events": events,
                "edges": sum(each.edges for each in mine),
                "dropped": lines - events,
                "first": min((each.first for each in mine if each.first), default=None),
                "last": max((each.last for each in mine if each.last), default=None),
            }
        )
    return rows


def reasons(reports: Sequence[IngestReport]) -> list[dict[str, Any]]:
    """One row for each format and reason of dropping or assumption: records, files, an example."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for each in reports:
        for word, counts in (("dropped", each.dropped), ("assumed", each.notes)):
            for reason, count in counts.items():
                what = f"{word}: {reason}"
                new = {
                    "format": each.format,
                    "what": what,
                    "records": 0,
                    "files": 0,
                    "example": each.examples.get(reason, ""),
                }
                row = rows.setdefault((each.format, what), new)
                row["records"] += count
                row["files"] += 1
    return sorted(rows.values(), key=lambda row: (row["format"], -row["records"]))


def gaps(hours: Mapping[dt.datetime, int]) -> tuple[tuple[dt.datetime, dt.datetime], ...]:
    """Stretches of whole hours without an event in which `LEAST_MISSED` were to be expected.

    hours: beginning of an hour -> events; hours without any are left out. To be expected at an hour of the
    day is half its mean over working days, or over weekends; on a log of one day, a quarter of the mean
    hour."""
    if not hours:
        return ()
    first, last = min(hours), max(hours)
    days = [first.date() + dt.timedelta(days=n) for n in range((last.date() - first.date()).days + 1)]
    events = [[0] * HOURS, [0] * HOURS]  # of working days, of weekends
    for hour, count in hours.items():
        events[hour.weekday() >= SATURDAY][hour.hour] += count
    number = [sum((day.weekday() >= SATURDAY) == is_weekend for day in days) for is_weekend in (False, True)]
    usual = [[count / max(of, 1) / 2 for count in counts] for counts, of in zip(events, number, strict=True)]
    if last - first < dt.timedelta(days=2):
        usual = [[sum(hours.values()) / ((last - first) / dt.timedelta(hours=1) + 1) / 4] * HOURS] * 2
    found, missed = [], 0.0
    begin = hour = first
    step = dt.timedelta(hours=1)
    while hour <= last:
        if hour in hours:
            if missed >= LEAST_MISSED:
                found.append((begin, hour))
            begin, missed = hour + step, 0.0
        else:
            missed += usual[hour.weekday() >= SATURDAY][hour.hour]
        hour += step
    return tuple(found)
