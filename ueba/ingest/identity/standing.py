"""The columns of an entity table that say what the organisation knows: crown jewels, honey, leavers,
maintenance.

    crown_jewel                      true, yes or 1; false, no or 0
    honey                            the same
    left                             the last day; `no` of who stays
    maintenance                      windows as 2026-01-20T22:00/2026-01-21T04:00, several with `;` between
    maintenance_from, _until         the two ends of one window

COLUMNS has the names that other systems give these columns; capitals, blanks and `_` do not matter. An empty
cell says nothing. A day may be written in any order that can be told: 03/04/2026 only if another row of its
column shows whether the month stands first. Times without a zone are UTC; a day as the end of a window is
meant whole. Leaves out windows that come again every week, and numbers that count days or seconds.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ueba import files
from ueba.contracts.standing import NOTHING, STAYS, Standing, Window
from ueba.contracts.verdict import MOST_DAYS
from ueba.errors import InputError
from ueba.text import shortened

T = TypeVar("T")

COLUMNS = {  # what a column says -> names of it, without capitals, blanks and signs
    "crown_jewel": (
        "crownjewel",
        "crownjewels",
        "iscrownjewel",
        "highvalue",
        "ishighvalue",
        "highvalueasset",
        "hva",
        "tierzero",
        "istierzero",
    ),
    "honey": (
        "honey",
        "ishoney",
        "honeytoken",
        "ishoneytoken",
        "honeypot",
        "ishoneypot",
        "honeyaccount",
        "decoy",
        "isdecoy",
        "canary",
    ),
    "left": (
        "left",
        "lefton",
        "dateleft",
        "leaver",
        "leaverdate",
        "leavedate",
        "leavingdate",
        "employeeleavedatetime",
        "terminationdate",
        "dateoftermination",
        "termdate",
        "lastday",
        "lastdayofwork",
        "lastworkingday",
        "lastdateworked",
        "exitdate",
        "separationdate",
        "offboardingdate",
        "employmentenddate",
        "retiredon",
        "retirementdate",
        "decommissiondate",
        "decommissionedon",
    ),
    "maintenance": ("maintenance", "maintenancewindow", "maintenancewindows"),
    "maintenance_from": (
        "maintenancefrom",
        "maintenancestart",
        "maintenancesince",
        "maintenancewindowstart",
        "plannedstartdate",
        "plannedstart",
    ),
    "maintenance_until": (
        "maintenanceuntil",
        "maintenanceto",
        "maintenanceend",
        "maintenancewindowend",
        "plannedenddate",
        "plannedend",
    ),
}
MEANING = {name: meaning for meaning, names in COLUMNS.items() for name in names}
YES = ("true", "yes", "1", "1.0", "y", "t", "x", "on")
NO = ("false", "no", "0", "0.0", "n", "f", "off")
NEVER = ("no", "never", "false", "0", "active")  # in a column of last days
EMPTY = ("", "-", "nan", "nat", "none", "null", "n/a", "#n/a", "0000-00-00")
SHOWN = 100  # characters of a cell in a message

BOOLEAN = "true, yes or 1, or false, no or 0"
DAY = "a day as 2026-03-31, or no"
WINDOW = "a window as 2026-01-20T22:00/2026-01-21T04:00"
MOMENT = "a time as 2026-01-20T22:00"

Row = Mapping[str, Any]


def meaning(column: str) -> str | None:
    """What a column of this name says; None for a column that is not of this module."""
    return MEANING.get(re.sub(r"[\W_]+", "", column.lower()))


class Reader:
    """Reads the standing of each row of one table.

    path:    of the table, for messages
    columns: its columns
    rows:    all of them, which show in which order days are written"""

    def __init__(self, path: Any, columns: Iterable[str], rows: Sequence[Row]) -> None:
        self.path = path
        self.columns: dict[str, list[str]] = {}
        for column in columns:
            if (what := meaning(column)) is not None:
                self.columns.setdefault(what, []).append(column)
        self.month_first = {
            column: month_first(row.get(column) for row in rows)
            for names in self.columns.values()
            for column in names
        }

    def standing(self, row: Row, place: str) -> Standing:
        """The standing that a row says. place: of the row in the file, as `line 7`.

        Raises InputError that names file, place, column and what is allowed."""
        if not self.columns:
            return NOTHING
        return Standing(
            crown_jewel=self._first("crown_jewel", row, place, boolean, BOOLEAN),
            honey=self._first("honey", row, place, boolean, BOOLEAN),
            left=self._first("left", row, place, last_day, DAY),
            maintenance=self._maintenance(row, place),
        )

    def _first(
        self, what: str, row: Row, place: str, read: Callable[[str, bool | None], T], allowed: str
    ) -> T | None:
        """What the first column with this meaning says that is not empty."""
        found = self._values(what, row, place, read, allowed)
        return found[0] if found else None

    def _values(
        self, what: str, row: Row, place: str, read: Callable[[str, bool | None], T], allowed: str
    ) -> list[T]:
        found = []
        for column in self.columns.get(what, ()):
            for cell in _cells(row.get(column)):
                try:
                    found.append(read(cell, self.month_first[column]))
                except (ValueError, OverflowError) as reason:
                    raise self._error(place, column, cell, f"{_detail(reason)}write {allowed}") from reason
        return found

    def _maintenance(self, row: Row, place: str) -> tuple[Window, ...]:
        windows = [*filter(None, self._values("maintenance", row, place, window, WINDOW))]
        since = self._values("maintenance_from", row, place, start, MOMENT)
        until = self._values("maintenance_until", row, place, end, MOMENT)
        if len(since) != len(until):
            [*_, column] = self.columns.get("maintenance_until" if until else "maintenance_from", ("",))
            raise self._error(
                place, column, row.get(column), "a window has two ends; fill in both columns, or neither"
            )
        for first, last in zip(since, until, strict=True):
            try:
                windows.append(checked(first, last))
            except ValueError as reason:
                column = self.columns["maintenance_until"][0]
                raise self._error(place, column, row.get(column), f"{reason}; write {WINDOW}") from reason
        return tuple(sorted({*windows}))

    def _error(self, place: str, column: str, cell: Any, problem: str) -> InputError:
        where = f"{self.path}: {place}, column {shortened(column, SHOWN)}"
        return InputError(f"{where}: {shortened(repr(str(cell)), SHOWN)}: {problem}")


def _detail(reason: Exception) -> str:
    """What is wrong beyond that it is not understood."""
    return f"{reason}; " if str(reason) and isinstance(reason, _Unclear) else ""


class _Unclear(ValueError):
    """A cell that is understood and cannot be used; its text says why."""


def _cells(value: Any) -> list[str]:
    """The parts of a cell that are not empty."""
    parts = value if isinstance(value, list) else re.split(r"[;\n]", "" if value is None else str(value))
    return [text for part in parts if (text := str(part).strip()).lower() not in EMPTY]


# --- cells --------------------------------------------------------------------------------------------------


def boolean(text: str, _: bool | None = None) -> bool:
    """Whether a cell says yes. Raises ValueError if it says neither yes nor no."""
    word = text.lower()
    if word not in (*YES, *NO):
        raise ValueError(text)
    return word in YES


def last_day(text: str, month_first: bool | None = None) -> dt.date:
    """The last day of who leaves, UTC; STAYS for who does not. Raises ValueError if it is no day."""
    if text.lower() in NEVER:
        return STAYS
    return moment(text, month_first)[0].date()


def start(text: str, month_first: bool | None = None) -> dt.datetime:
    """When a window begins. Raises ValueError if it is no time."""
    return moment(text, month_first)[0]


def end(text: str, month_first: bool | None = None) -> dt.datetime:
    """When a window ends; a day is meant whole. Raises ValueError if it is no time."""
    found, is_day = moment(text, month_first)
    return dt.datetime.combine(found, dt.time.max) if is_day else found


def window(text: str, month_first: bool | None = None) -> Window | None:
    """A window of maintenance: two times, or one day; None if the cell says no. Raises ValueError if it is
    none of these."""
    if text.lower() in NO:
        return None
    separator = r"\s*(?:\.\.|–|—|\s-\s|\bto\b|\buntil\b)\s*" if text.count("/") != 1 else r"\s*/\s*"
    first, *rest = re.split(separator, text, flags=re.IGNORECASE)
    if len(rest) > 1:
        raise ValueError(text)
    return checked(start(first, month_first), end(rest[0] if rest else first, month_first))


def checked(since: dt.datetime, until: dt.datetime) -> Window:
    """Raises ValueError if a window ends before it begins, or is longer than a rule may hold."""
    if until < since:
        raise _Unclear("it ends before it begins")
    if until - since > dt.timedelta(days=MOST_DAYS):
        raise _Unclear(f"it is longer than {MOST_DAYS} days")
    return Window(since, until)


# --- days and times -----------------------------------------------------------------------------------------

MONTHS = ("january february march april may june july august september october november december").split()
_DAYS = (
    r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})",
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",
    r"(?P<first>\d{1,2})([-/])(?P<second>\d{1,2})\2(?P<year>\d{4})",
    r"(?P<day>\d{1,2})[- ](?P<name>[a-z]{3,9})\.?[- ](?P<year>\d{4})",
    r"(?P<name>[a-z]{3,9})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})",
)
_TIME = (
    r"(?:(?:[t ]|, ?)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second_>\d\d)(?:[.,]\d{1,9})?)?"
    r" ?(?P<half>[ap]m)?|(?P<together>\d{6})(?:\.\d+)?)? ?(?P<zone>z|utc|[-+]\d\d:?\d\d)?"
)
_MOMENTS = [re.compile(day + _TIME, re.ASCII | re.IGNORECASE) for day in _DAYS]
_SLASHES = re.compile(r"(\d{1,2})([-/])(\d{1,2})\2\d{4}", re.ASCII)


def month_first(cells: Iterable[Any]) -> bool | None:
    """Whether 03/04/2026 is of March in a column: what its other cells show, None if they show nothing or
    contradict each other."""
    pairs = [
        (int(found[1]), int(found[3]))
        for cell in cells
        for found in _SLASHES.finditer("" if cell is None else str(cell))
    ]
    day_first, month_first = (any(pair[end] > 12 for pair in pairs) for end in (0, 1))
    return None if day_first == month_first else month_first


def moment(text: str, month_first: bool | None = None) -> tuple[dt.datetime, bool]:
    """A time in UTC without a zone, and whether only a day was written.

    month_first: whether 03/04/2026 is of March, None if nobody knows
    Raises ValueError or OverflowError if the text is no time, or may be two."""
    found = next((match for form in _MOMENTS if (match := form.fullmatch(text.strip()))), None)
    if found is None:
        raise ValueError(text)
    parts = found.groupdict()
    day = dt.date(int(parts["year"]), *_month_and_day(parts, month_first))
    clock = _clock(parts)
    if clock is None:
        return dt.datetime.combine(day, dt.time()), True
    return files.utc(dt.datetime.combine(day, clock)), False


def _month_and_day(parts: Mapping[str, str | None], month_first: bool | None) -> tuple[int, int]:
    if name := parts.get("name"):
        [month] = [number for number, full in enumerate(MONTHS, 1) if full.startswith(name.lower()[:4])]
        return month, int(parts["day"] or 0)
    if parts.get("first") is None:
        return int(parts["month"] or 0), int(parts["day"] or 0)
    first, second = int(parts["first"] or 0), int(parts["second"] or 0)
    if max(first, second) > 12:
        return (second, first) if first > 12 else (first, second)
    if month_first is None and first != second:
        raise _Unclear("the day or the month may stand first")
    return (first, second) if month_first else (second, first)


def _clock(parts: Mapping[str, str | None]) -> dt.time | None:
    """The time of day with its zone; None if none was written."""
    if together := parts["together"]:
        hour, minute, second = (int(together[n : n + 2]) for n in (0, 2, 4))
    elif parts["hour"] is not None:
        hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second_"))
    else:
        return None
    if half := parts["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(half)
        hour = hour % 12 + (12 if half.lower() == "pm" else 0)
    zone = (parts["zone"] or "").lower()
    if zone in ("", "z", "utc"):
        return dt.time(hour, minute, second)
    sign, digits = (-1 if zone[0] == "-" else 1), zone[1:].replace(":", "")
    offset = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return dt.time(hour, minute, second, tzinfo=dt.timezone(sign * offset))
