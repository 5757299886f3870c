"""The years of times without a year, by the order of lines: a log runs forward, so a jump back is a new year.

The last line is taken to be of the latest year in which it is not after the file was written. Lines of two
sources may be a little out of order, and rotated files are put together in the wrong order: a jump back of up
to `OUT_OF_ORDER_DAYS` is none. 29 February is of a leap year.

Leaves out how a line is read (`sources.syslog`).
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

OUT_OF_ORDER_DAYS = 31
LEAP_CYCLE = 8  # years, at most, between two leap years
MONTHS = {name.encode(): number for number, name in enumerate(calendar.month_abbr) if name}
DAYS = (0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335)  # of a leap year, before each month
STAMP = re.compile(
    rb"^(?:[^\n]*?\")?(?:<\d{1,3}>)?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(\d{1,2}) (?=\d\d:)"
)
LEAP_DAY = DAYS[1] + 29


class Years(NamedTuple):
    """The years of a file. first: of its first line; turns: the lines with which another year begins"""

    first: int
    turns: tuple[int, ...]


class Year(NamedTuple):
    """The lines of one year. begins: number of its first line; last: the latest day of a leap year in it"""

    begins: int
    last: int
    has_leap_day: bool


def years_of(blocks: Iterable[bytes], latest: dt.datetime, first: int | None = None) -> Years | None:
    """The years of the lines of a file; None if no line has a time without a year.

    latest: after which no line was written, in the zone of the log; first: the year of the first line, if it
    is known"""
    years = list(by_year(days_of(blocks)))
    if not years:
        return None
    turns = tuple(year.begins for year in years[1:])
    return Years(last_year(years, latest) - len(turns) if first is None else first, turns)


def days_of(blocks: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    """The number of each line with a time without a year, and its day of a leap year, from 1."""
    number = 0
    for block in blocks:
        for line in block.splitlines():
            number += 1
            if found := STAMP.match(line):
                yield number, DAYS[MONTHS[found[1]] - 1] + int(found[2])


def by_year(days: Iterable[tuple[int, int]]) -> Iterator[Year]:
    """The years of lines in order. days: number of the line, day of the year"""
    year: Year | None = None
    before = 0
    for number, day in days:
        if year is None or day < before - OUT_OF_ORDER_DAYS:
            if year:
                yield year
            year, before = Year(number, day, day == LEAP_DAY), day
        before = max(before, day)
        year = Year(year.begins, before, year.has_leap_day or day == LEAP_DAY)
    if year:
        yield year


def last_year(years: list[Year], latest: dt.datetime) -> int:
    """The latest year of the last lines in which they are not after `latest` and every 29 February is a
    day."""
    today = DAYS[latest.month - 1] + latest.day
    year = latest.year - (years[-1].last > today)
    for earlier in range(LEAP_CYCLE):
        if all(
            calendar.isleap(year - earlier - back) or not part.has_leap_day
            for back, part in enumerate(reversed(years))
        ):
            return year - earlier
    return year
