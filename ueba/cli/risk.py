"""The command that ranks users and machines by what was unusual about them for weeks: risk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import click

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import day_option, format_option, limit_option
from ueba.contracts import versions
from ueba.contracts.risk import KINDS, EntityRisk

COLUMNS = ("kind", "rank", "name", "risk", "change", "reasons")


@command()
@day_option("As of this scored day.  [default: the last]")
@click.option("--kind", type=click.Choice(KINDS), help="Only users, or only machines.  [default: both]")
@limit_option(10, "Users and machines to list, of each so many.")
@format_option()
@pass_settings
def risk(settings: Settings, day: dt.date | None, kind: str | None, limit: int, output_format: str) -> None:
    """Rank users and machines by the sum of what was unusual about them over 30 days.

    Older days count less, half as much after a week. The change is since a week before. What was called
    benign or expected does not count, what was called true counts in full: docs/risk.md.

    \b
    Example:
      ueba risk --kind user --limit 5
    """
    from ueba import findings
    from ueba.investigate import risk as risks
    from ueba.triage import log

    verdicts = log.read(settings.workspace.root)
    output.note_damaged(verdicts.damaged)
    day = day or findings.last_scored(settings.workspace.findings)
    found = risks.standings(settings.workspace, day, verdicts.latest)
    rows = [
        row
        for of_kind in ([kind] if kind else KINDS)
        for row in risks.described(settings.workspace, found, of_kind, limit, verdicts.words)
    ]
    emit(rows, output_format)
    if not rows:
        output.note(f"nothing is unusual beyond chance as of {day}")
    if (note := risks.sparse(found)) is not None:
        output.note(note)


def emit(rows: Sequence[EntityRisk], output_format: str) -> None:
    """Print risks. A table has the reasons in words, JSON has all fields."""
    from ueba.investigate import risk as risks

    if output_format in ("json", "jsonl"):
        output.emit([risks.to_json(row) for row in rows], output_format, versions.RISK)
        return
    table = [
        {
            **{name: getattr(row, name) for name in ("kind", "rank", "name", "risk")},
            "change": None if row.change is None else f"{row.change:+.1f}",
            "reasons": [risks.sentence(reason) for reason in row.days],
        }
        for row in rows
    ]
    output.emit(table, output_format, versions.RISK, COLUMNS)


COMMANDS = (risk,)
