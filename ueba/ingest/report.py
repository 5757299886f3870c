"""Ingest reports of many files added up, and the gaps in a log: hours without an event where many were to be
expected. What one file reports is `ueba.contracts.report`."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from ueba.contracts.report import IngestReport

LEAST_MISSED = 20  # events that a gap would have had: fewer may be missing by chance
HOURS, SATURDAY = 24, 5
HOUR, WEEK = dt.timedelta(hours=1), dt.timedelta(weeks=1)
Gap = tuple[dt.datetime, dt.datetime]  # beginning and end, whole hours


class FormatTotals(NamedTuple):
    """The files of one log format, added up. dropped: records; first, last: of all events, UTC"""

    format: str
    files: int
    lines: int
    events: int
    edges: int
    dropped: int
    first: dt.datetime | None
    last: dt.datetime | None


class ReasonTotals(NamedTuple):
    """The files of one log format with the same reason or note. what: `dropped: REASON` or `assumed: NOTE`;
    example: of the first of these files"""

    format: str
    what: str
    records: int
    files: int
    example: str


def by_format(reports: Sequence[IngestReport]) -> list[FormatTotals]:
    """The files that could be read, by log format."""
    by_name: dict[str, list[IngestReport]] = {}
    for report in reports:
        if report.problem is None:
            by_name.setdefault(report.format, []).append(report)
    return [_totals(name, by_name[name]) for name in sorted(by_name)]


def _totals(log_format: str, reports: Sequence[IngestReport]) -> FormatTotals:
    lines = sum(report.lines for report in reports)
    events = sum(report.events for report in reports)
    return FormatTotals(
        format=log_format,
        files=len(reports),
        lines=lines,
        events=events,
        edges=sum(report.edges for report in reports),
        dropped=lines - events,
        first=min((report.first for report in reports if report.first), default=None),
        last=max((report.last for report in reports if report.last), default=None),
    )


def reasons(reports: Sequence[IngestReport]) -> list[ReasonTotals]:
    """Reasons and notes of all files, by log format, the commonest first."""
    records: Counter[tuple[str, str]] = Counter()
    files: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for report in reports:
        for word, counts in (("dropped", report.dropped), ("assumed", report.notes)):
            for reason, count in counts.items():
                key = report.format, f"{word}: {reason}"
                records[key] += count
                files[key] += 1
                examples.setdefault(key, report.examples.get(reason, ""))
    rows = [ReasonTotals(*key, records[key], files[key], examples[key]) for key in records]
    return sorted(rows, key=lambda row: (row.format, -row.records))


# --- gaps ---------------------------------------------------------------------------------------------------


def gaps(hours: Mapping[dt.datetime, int]) -> tuple[Gap, ...]:
    """Stretches of whole hours without an event in which `LEAST_MISSED` events were to be expected.

    hours: beginning of an hour -> events; hours without events are left out"""
    if not hours:
        return ()
    expected = _expected(hours)
    active = sorted(hours)
    silences = [(before + HOUR, after) for before, after in pairwise(active) if after > before + HOUR]
    return tuple(silence for silence in silences if _missed(*silence, expected) >= LEAST_MISSED)


def _missed(begin: dt.datetime, end: dt.datetime, expected: list[list[float]]) -> float:
    """Events to be expected from an hour to another. One wrong time in a log makes this decades: whole weeks
    are counted at once."""
    weeks = (end - begin) // WEEK
    hours = [begin + HOUR * number for number in range((end - begin - weeks * WEEK) // HOUR)]
    return weeks * (5 * sum(expected[False]) + 2 * sum(expected[True])) + sum(
        expected[_is_weekend(hour)][hour.hour] for hour in hours
    )


def _expected(hours: Mapping[dt.datetime, int]) -> list[list[float]]:
    """Events to be expected at each hour of the day, of working days and of weekends: half the mean of such
    hours; in a log of less than two days, a quarter of the mean hour."""
    first, last = min(hours), max(hours)
    if last - first < dt.timedelta(days=2):
        return [[sum(hours.values()) / ((last - first) / HOUR + 1) / 4] * HOURS] * 2
    events = [[0] * HOURS, [0] * HOURS]
    for hour, count in hours.items():
        events[_is_weekend(hour)][hour.hour] += count
    weeks, others = divmod((last.date() - first.date()).days + 1, 7)
    weekend = 2 * weeks + sum(_is_weekend(first.date() + dt.timedelta(days=n)) for n in range(others))
    days = (7 * weeks + others - weekend, weekend)  # of working days, of weekends
    return [[count / max(days[kind], 1) / 2 for count in events[kind]] for kind in (False, True)]


def _is_weekend(day: dt.date) -> bool:
    return day.weekday() >= SATURDAY
