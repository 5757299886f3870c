"""Who reports, and who stopped: machines and log formats that wrote events until they did not.

A reporter is silent if, from its last event to the end of the lake, so many events were to be expected by its
own hours of the day that their absence is no chance (`report.gaps`). Its gaps in the past are found in the
same way. Leaves out why; a machine that was taken out of service falls silent too, and is left out after
`window_days`.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, NamedTuple

from ueba.ingest import build, lake, report
from ueba.ingest.report import HOUR, Gap

COLUMNS = ("reporter", "format", "state", "events", "a_day", "first", "last", "silent_hours", "gaps")


class Reporter(NamedTuple):
    """A machine that wrote events of a log format, or the format itself if its events name no machine.

    a_day:        events a day
    first, last:  of its events, UTC
    silent_hours: since its last event; None if it is not silent
    """

    name: str
    format: str
    events: int
    a_day: float
    first: dt.datetime
    last: dt.datetime
    silent_hours: float | None
    gaps: tuple[Gap, ...]

    @property
    def is_silent(self) -> bool:
        return self.silent_hours is not None

    def row(self) -> dict[str, Any]:
        """COLUMNS, to be printed."""
        return {
            "reporter": self.name,
            "format": self.format,
            "state": "silent" if self.is_silent else "reports",
            "events": self.events,
            "a_day": self.a_day,
            "first": self.first,
            "last": self.last,
            "silent_hours": self.silent_hours,
            "gaps": [f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}" for begin, end in self.gaps],
        }


class Hour(NamedTuple):
    """An hour with events. first, last: of these events"""

    begin: dt.datetime
    events: int
    first: dt.datetime
    last: dt.datetime


def reporters(
    root: Path, window_days: int, memory_limit: str, until: dt.date | None = None
) -> list[Reporter]:
    """Those that reported in the last days of the lake; silent ones first, then by number of events. until:
    as if the lake ended with that day"""
    with lake.naming_damage(root), lake.connect(memory_limit) as connection:
        build.gather_evidence(connection, root)
        rows = connection.execute(
            "SELECT name, other, day + to_hours(hour), sum(count)::BIGINT, min(first), max(last)"
            " FROM evidence WHERE kind = 'reporter' AND day <= $until"
            f" AND day > (SELECT max(day) FROM evidence WHERE day <= $until) - {window_days:d}"
            " GROUP BY ALL ORDER BY 1, 2, 3",
            {"until": until or dt.date.max},
        ).fetchall()
    hours: dict[tuple[str, str], list[Hour]] = {}
    for name, log_format, *values in rows:
        hours.setdefault((name, log_format), []).append(Hour(*values))
    end = max((hour.last for active in hours.values() for hour in active), default=dt.datetime.min)
    found = [reporter(name, log_format, active, end) for (name, log_format), active in hours.items()]
    return sorted(found, key=lambda reporter: (not reporter.is_silent, -reporter.events, reporter.name))


def reporter(name: str, log_format: str, hours: list[Hour], end: dt.datetime) -> Reporter:
    """A reporter by its hours with events, in order. end: the last event of any reporter"""
    counts = {hour.begin: hour.events for hour in hours}
    last = max(hour.last for hour in hours)
    gaps = report.gaps(counts)
    this_hour = end.replace(minute=0, second=0, microsecond=0)
    is_silent = len(report.gaps({**counts, this_hour: counts.get(this_hour, 1)})) > len(gaps)
    events = sum(counts.values())
    days = max((last - hours[0].first) / dt.timedelta(days=1), 1.0)
    return Reporter(
        name=name,
        format=log_format,
        events=events,
        a_day=round(events / days, 1),
        first=hours[0].first,
        last=last,
        silent_hours=round((end - last) / HOUR, 1) if is_silent else None,
        gaps=gaps,
    )
