"""Who reports, and who stopped: machines and log families that were heard of until they were not.

A reporter is silent if from its last event to the end of the lake so many events were to be expected, by its
own hours of the day, that their absence is no chance (`report.gaps`). The same makes the gaps of its past.
Leaves out why; a machine that was taken out of service falls silent too, and is forgotten after
`window_days`.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from ueba.ingest import build, lake, report

HOUR = dt.timedelta(hours=1)
COLUMNS = ("reporter", "format", "state", "events", "a_day", "first", "last", "silent_hours", "gaps")


def reporters(root: Path, window_days: int, until: dt.date | None = None) -> list[dict[str, Any]]:
    """One row for each machine that reported in the lake's last days, COLUMNS; silent ones first, then by
    number of events.

    until: as if the lake ended with that day"""
    with lake.connect("1GB") as connection:
        build.gather_evidence(connection, root)
        rows = connection.execute(
            "SELECT name, other, day + to_hours(hour), sum(count)::BIGINT, min(first), max(last) FROM evidence"
            f" WHERE kind = 'reporter' AND day > (SELECT max(day) FROM evidence WHERE day <= $until) - {window_days}"
            " AND day <= $until GROUP BY ALL ORDER BY 1, 2, 3",
            {"until": until or dt.date.max},
        ).fetchall()
    heard: dict[tuple[str, str], list[tuple[dt.datetime, int, dt.datetime, dt.datetime]]] = {}
    for name, log_format, *values in rows:
        heard.setdefault((name, log_format), []).append(tuple(values))
    end = max((row[-1] for row in rows), default=dt.datetime.min)
    found = [reporter(name, log_format, hours, end) for (name, log_format), hours in heard.items()]
    return sorted(found, key=lambda row: (row["state"] != "silent", -row["events"], row["reporter"]))


def reporter(
    name: str,
    log_format: str,
    hours: list[tuple[dt.datetime, int, dt.datetime, dt.datetime]],
    end: dt.datetime,
) -> dict[str, Any]:
    """A row. hours: beginning, events, first and last time of each hour with events; end: the last time
    anybody reported"""
    counts = {hour: count for hour, count, _, _ in hours}
    last = max(hour[3] for hour in hours)
    this_hour = end.replace(minute=0, second=0, microsecond=0)
    gaps = report.gaps(counts)
    is_silent = len(report.gaps({**counts, this_hour: counts.get(this_hour, 1)})) > len(gaps)
    events = sum(counts.values())
    days = max((last - hours[0][2]) / dt.timedelta(days=1), 1.0)
    return {
        "reporter": name,
        "format": log_format,
        "state": "silent" if is_silent else "reports",
        "events": events,
        "a_day": round(events / days, 1),
        "first": hours[0][2],
        "last": last,
        "silent_hours": round((end - last) / HOUR, 1) if is_silent else None,
        "gaps": [f"{begin:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}" for begin, until in gaps],
    }
