"""The command `cases`: attacks that are more than one incident."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import day_option, format_option, limit_option, numbers_option, span_options
from ueba.cli.terminal import common
from ueba.contracts import versions

if TYPE_CHECKING:
    from ueba.contracts.case import Case
    from ueba.investigate.cases import Casebook

COLUMNS = ("first_day", "last_day", "id", "score", "incidents", "users", "machines", "resources", "verdicts")
TABLE_COLUMNS = ("first_day", "last_day", "id", "incidents", "users", "verdicts")


@command()
@day_option("Cases with an incident on this day.  [default: the last scored day]")
@span_options()
@limit_option(10, "Cases to show, worst first.")
@numbers_option
@format_option()
@pass_settings
def cases(
    settings: Settings,
    day: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    limit: int,
    numbers: bool,
    output_format: str,
) -> None:
    """List cases, worst first: incidents that go on from one another, as one attack would.

    Without days: those with an incident on the last scored day. A case keeps its id while it grows; `ueba
    explain` tells it in order of time.

    \b
    Example:
      ueba cases --from 2026-01-18 --limit 3
      ueba explain case-20260121-3fa9c1d2
    """
    from ueba import findings, words
    from ueba.investigate import cases as casebook

    folder = settings.workspace.findings
    first, last = findings.span(folder, day, first, last)
    output.note_damage(settings.workspace.root)
    book = casebook.read(settings.workspace)
    found = book.between(first, last)
    if not found:
        output.note(f"no case on the days asked for; scored days: {findings.days_text(folder)}")
    emit(book, found[:limit], output_format, numbers)
    if len(found) > limit:
        output.note(f"{words.counted(len(found) - limit, 'more case')}; --limit shows them")


def emit(book: Casebook, found: Sequence[Case], output_format: str, numbers: bool = False) -> None:
    """Print cases. A table has how many incidents, who, and the story; JSON has all fields."""
    from ueba.investigate import cases as casebook

    if output_format in ("json", "jsonl"):
        output.emit([casebook.to_json(book, case) for case in found], output_format, versions.CASE)
        return
    short = output_format == "table"
    rows = [
        {
            **{name: getattr(case, name) for name in COLUMNS if name != "verdicts"},
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


def show(book: Casebook, case: Case) -> None:
    """Tell a case to a person at a terminal."""
    from ueba import words
    from ueba.investigate import cases as casebook

    zone = common().timezone
    many = words.counted(len(case.incidents), "incident")
    output.line(f"{case.id}: {many}, {case.first_day} to {case.last_day}")
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
