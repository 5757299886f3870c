"""The cases of a day as the report shows them: those of more than one incident."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from ueba.contracts.period import Period
from ueba.investigate import cases, periods
from ueba.investigate.cases import Casebook


@dataclass(frozen=True)
class Chapter:
    """An incident of a case. is_of_day: whether the report shows it; lines: who did what when, and why it
    goes on from an earlier one"""

    incident: str
    is_of_day: bool
    lines: list[str]


@dataclass(frozen=True)
class CaseFacts:
    """A case. story: in one sentence; period: how often anything so strange happens; chapters: in order of
    time"""

    id: str
    first_day: dt.date
    last_day: dt.date
    story: str
    period: Period
    chapters: list[Chapter]


def of_day(book: Casebook, day: dt.date, folder: Path) -> list[CaseFacts]:
    """The cases of several incidents, one of them on the day, highest score first. folder: the findings that
    they are of"""
    found = [case for case in book.between(day, day) if len(case.incidents) > 1]
    often = periods.of_cases(folder, book, found)
    return [
        CaseFacts(
            case.id,
            case.first_day,
            case.last_day,
            cases.sentence(book, case),
            often[case.id],
            [
                Chapter(name, book.incidents[name].day == day, lines)
                for name, lines in cases.chapters(book, case).items()
            ],
        )
        for case in found
    ]
