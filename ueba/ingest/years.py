"""The years of times without a year, by the order of lines: a log runs forward, so a jump back is a new year.

The newest line is taken to be of the latest year in which it is not after the file was written. Lines of two
sources may be a little out of order, and rotated files are put together in the wrong order: a jump of up to
`OUT_OF_ORDER_DAYS` is none. A file whose lines run backward (newest first) is read so. The first hours of
January in the midst of other days are those of a machine whose clock was not set yet, and no new year. 29
February is of a leap year.

Leaves out how a line is read (`sources.syslog`).
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

OUT_OF_ORDER_DAYS = 31
MOST_YEARS = 50  # in a file; if there seem to be more, its lines have no order
LEAP_CYCLE = 8  # years, at most, between two leap years
MONTHS = {name.encode(): number for number, name in enumerate(calendar.month_abbr) if name}
DAYS = (0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335)  # of a leap year, before each month
LEAP_DAY, LAST_DAY = DAYS[1] + 29, 366
# The time at the beginning of a line, or of a cell; in a line that begins otherwise, the first in quotes.
_TIME = rb"(?:<\d{1,3}> ?)?(?:[A-Z][a-z]{2} )?(%b) +(\d{1,2}) (\d\d):" % b"|".join(MONTHS)
BARE, QUOTED = re.compile(_TIME), re.compile(rb'(?<!\\)"' + _TIME)
CELL = re.compile(rb'(?!(?:<\d{1,3}>1 )?\d{4}[-/]).*?[,;\t|]"?' + _TIME)  # but if the line has a year
TEXT = re.compile(rb"[A-Za-z<\d]")  # the beginning of a line of text
DAY = 7  # bytes of `Mar  1 `


class Years(NamedTuple):
    """The years of a file. first: of its first line; turns: the lines with which another year begins; step: 1
    if that is the next year, -1 if lines run backward"""

    first: int
    turns: tuple[int, ...]
    step: int = 1

    def by_line(self) -> list[tuple[int, int]]:
        """The first line of each year, and the year."""
        return [(line, self.first + number * self.step) for number, line in enumerate((0, *self.turns))]


class Line(NamedTuple):
    """number: from 1; day: of a leap year, from 1; is_unset: it may be of a clock that was not set"""

    number: int
    day: int
    is_unset: bool


@dataclass
class Year:
    """The lines of one year. begins: number of its first line; first, last: its earliest and latest day"""

    begins: int
    first: int
    last: int
    has_leap_day: bool


@dataclass
class Order:
    """The years of lines that run forward (step 1) or backward (-1). waiting: lines of a clock that may not
    have been set"""

    step: int
    years: list[Year] = field(default_factory=list)
    waiting: list[Line] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Take the next line."""
        if self.years and line.is_unset and self._jump(line.day) and len(self.waiting) < 2:
            self.waiting = [*self.waiting[:1], line]
            return
        if self.waiting and abs(self._jump(line.day)) > 0:
            self.commit()
        self.waiting = []
        self._put(line)

    def commit(self) -> None:
        """Take the lines that wait as they are."""
        for line in self.waiting:
            self._put(line)
        self.waiting = []

    def _jump(self, day: int) -> int:
        """By how many days a day is out of order; negative for a step into another year."""
        edge = self.years[-1].last if self.step > 0 else self.years[-1].first
        ahead = (day - edge) * self.step
        return 0 if abs(ahead) <= OUT_OF_ORDER_DAYS else ahead

    def _put(self, line: Line) -> None:
        is_leap_day = line.day == LEAP_DAY
        if not self.years or (self._jump(line.day) < 0 and len(self.years) <= MOST_YEARS):
            self.years.append(Year(line.number, line.day, line.day, is_leap_day))
            return
        year = self.years[-1]
        year.first, year.last = min(year.first, line.day), max(year.last, line.day)
        year.has_leap_day |= is_leap_day


def years_of(blocks: Iterable[bytes], latest: dt.datetime, first: int | None = None) -> Years | None:
    """The years of the lines of a file; None if no line has a time without a year.

    latest: after which no line was written, in the zone of the log; first: the year of the first line, if it
    is known. Lines run backward if most steps of a few days do"""
    orders = Order(1), Order(-1)
    before, steps = 0, 0  # steps: forward, less those backward
    for line in lines_of(blocks):
        for order in orders:
            order.add(line)
        if before and 0 < abs(line.day - before) <= OUT_OF_ORDER_DAYS:
            steps += 1 if line.day > before else -1
        before = line.day
    order = orders[0] if steps >= 0 else orders[1]
    order.commit()
    if not order.years:
        return None
    if len(order.years) > MOST_YEARS:
        order = Order(1, [all_of(order.years)])
    turns = tuple(year.begins for year in order.years[1:])
    newest_first = order.years[:: -order.step]
    newest = newest_year(newest_first, latest)
    return Years(
        (newest - len(turns) if order.step > 0 else newest) if first is None else first, turns, order.step
    )


def lines_of(blocks: Iterable[bytes]) -> Iterator[Line]:
    """The lines with a time without a year; of those that follow one another on a day, the first."""
    number = 0
    before: bytes | None = None
    for block in blocks:
        for number, text in enumerate(block.split(b"\n"), number + 1):  # noqa: B020  # it counts on
            if text[:DAY] == before:
                continue
            before = text[:DAY] if text[:3] in MONTHS or text[:1].isdigit() else None
            found = BARE.match(text) or (CELL.match(text) if TEXT.match(text) else QUOTED.search(text))
            if found:
                day = DAYS[MONTHS[found[1]] - 1] + int(found[2])
                is_unset = (day == 1 and found[3] < b"03") or (day == LAST_DAY and found[3] >= b"16")
                yield Line(number, day, is_unset)
        number -= 1  # a block ends with a line end


def all_of(years: list[Year]) -> Year:
    """Years as one."""
    return Year(
        years[0].begins,
        min(year.first for year in years),
        max(year.last for year in years),
        any(year.has_leap_day for year in years),
    )


def newest_year(years: list[Year], latest: dt.datetime) -> int:
    """The latest year of the first of these, the newest, in which it is not after `latest` and every 29
    February is a day."""
    today = DAYS[latest.month - 1] + latest.day
    year = latest.year - (years[0].last > today)
    for earlier in range(LEAP_CYCLE):
        if all(
            calendar.isleap(year - earlier - back) or not part.has_leap_day for back, part in enumerate(years)
        ):
            return year - earlier
    return year
