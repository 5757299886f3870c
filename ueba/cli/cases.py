"""The command `cases`: attacks that are more than one incident."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import (
    Often,
    at_most_option,
    day_option,
    format_option,
    limit_option,
    numbers_option,
    span_options,
)
from ueba.cli.rarity import rare
from ueba.cli.terminal import common
from ueba.contracts import versions

if TYPE_CHECKING:
    from ueba.contracts.case import Case
    from ueba.contracts.period import Period
    from ueba.investigate.cases import Casebook

COLUMNS = (
    *("first_day", "last_day", "id", "score", "period_days", "period_is_bound"),
    *("incidents", "users", "machines", "resources", "verdicts"),
)
TABLE_COLUMNS = ("first_day", "last_day", "id", "how_often", "incidents", "users", "verdicts")


@command()
@day_option("Cases with an incident on this day.  [default: the last scored day]")
@span_options()
@limit_option(10, "Cases to show, worst first.")
@at_most_option("cases")
@numbers_option
@format_option()
@pass_settings
def cases(
    settings: Settings,
    day: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    limit: int,
    at_most: Often | None,
    numbers: bool,
    output_format: str,
) -> None:
    """List cases, worst first: incidents that go on from one another, as one attack would.

    Without days: those with an incident on the last scored day. A case keeps its id while it grows; `ueba
    explain` tells it in order of time. How often anything so strange happens here is counted on the scored
    days before: docs/periods.md.

    \b
    Example:
      ueba cases --from 2026-01-18 --limit 3
      ueba cases --at-most 0.3/day
      ueba explain case-20260121-3fa9c1d2
    """
    from ueba import findings, words
    from ueba.investigate import cases as casebook
    from ueba.investigate import periods

    folder = settings.workspace.findings
    first, last = findings.span(folder, day, first, last)
    output.note_damage(settings.workspace.root)
    book = casebook.read(settings.workspace)
    found = book.between(first, last)
    if not found:
        output.note(f"no case on the days asked for; scored days: {findings.days_text(folder)}")
    often = periods.of_cases(folder, book, found)
    found = rare(found, often, at_most, "case")
    emit(book, found[:limit], often, output_format, numbers)
    if len(found) > limit:
        output.note(f"{words.counted(len(found) - limit, 'more case')}; --limit shows them")


def emit(
    book: Casebook,
    found: Sequence[Case],
    often: Mapping[str, Period],
    output_format: str,
    numbers: bool = False,
) -> None:
    """Print cases. A table has how often they happen, how many incidents, who, and the story; JSON has all
    fields. often: return periods by case"""
    from ueba import words
    from ueba.investigate import cases as casebook

    if output_format in ("json", "jsonl"):
        output.emit(
            [casebook.to_json(book, case, often[case.id]) for case in found], output_format, versions.CASE
        )
        return
    short = output_format == "table"
    rows = [
        {
            **{name: getattr(case, name) for name in COLUMNS if hasattr(case, name)},
            **often[case.id].fields,
            "how_often": words.how_often(often[case.id]),
            **({"incidents": len(case.incidents), "users": _few(case.users)} if short else {}),
            "verdicts": list(dict.fromkeys(book.verdicts_of(case))),
            "story": casebook.sentence(book, case, common().timezone if short else dt.UTC),
        }
        for case in found
    ]
    shown = (*TABLE_COLUMNS, *(["score"] if numbers else [])) if short else COLUMNS
    output.emit(rows, output_format, versions.CASE, (*shown, "story"))


def _few(names: Sequence[str], most: int = 2) -> list[str]:
    return [*names[:most], *([f"and {len(names) - most} more"] if len(names) > most else [])]


def show(book: Casebook, case: Case, often: Period) -> None:
    """Tell a case to a person at a terminal."""
    from ueba import words
    from ueba.investigate import cases as casebook

    zone = common().timezone
    many = words.counted(len(case.incidents), "incident")
    output.line(f"{case.id}: {many}, {case.first_day} to {case.last_day}; {words.happens(often)}")
    output.echo(output.wrapped(casebook.sentence(book, case, zone)))
    for name, lines in casebook.chapters(book, case, zone).items():
        verdict = book.verdicts.get(name)
        output.echo(f"\nincident {name}{f' ({verdict})' if verdict else ''}")
        for line in lines:
            output.echo(output.wrapped(f"- {line}"))
    output.echo("\nnext")
    for name in case.incidents:
        output.line(f"  ueba explain {name}")


COMMANDS = (cases,)
