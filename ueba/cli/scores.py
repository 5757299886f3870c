"""The command that asks for any scored edge of the last days: scores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import day_option, format_option, limit_option, numbers_option, span_options
from ueba.contracts import versions

if TYPE_CHECKING:
    import pyarrow as pa

    from ueba.workspace import Workspace

COLUMNS = ("day", "user", "source", "target", "how_rare", "incident", "below_line")
NUMBERS = ("surprise", "p_value", "strangeness")
KINDS = {"user": ("user",), "source": ("machine",), "target": ("machine", "resource")}  # of each column


@command()
@day_option("The edges of this day.  [default: the last scored day]")
@span_options()
@click.option("--user", metavar="NAME", help="Only edges of this account.")
@click.option("--source", metavar="NAME", help="Only edges that were acted from this machine.")
@click.option("--target", metavar="NAME", help="Only edges that reached this machine or resource.")
@limit_option(20, "Rows of a table; the other formats print all.")
@numbers_option
@format_option()
@pass_settings
def scores(
    settings: Settings,
    day: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    user: str | None,
    source: str | None,
    target: str | None,
    limit: int,
    numbers: bool,
    output_format: str,
) -> None:
    """List the scored edges of the last days, the strangest first, also those that were not strange.

    All edges are kept for `incidents.scores_days` days. An edge below the line is in an incident that was not
    reported, see `ueba incidents --below`.

    \b
    Example:
      ueba scores --day 2026-01-21 --user mlopez@corp.example
    """
    from ueba import scores as kept

    days = kept.chosen_days(settings.workspace.findings, day, first, last)
    tables = {day: kept.load(settings.workspace.findings, day) for day in days}
    asked = {"user": user, "source": source, "target": target}
    names = named(settings.workspace, tables.values(), asked)
    rows = [
        row for day, table in tables.items() for row in rows_of(settings, day, kept.matching(table, names))
    ]
    rows.sort(key=lambda row: -row["strangeness"])
    emit(rows, limit, output_format, numbers)
    if not rows:
        wanted = ", ".join(f"--{column} {name}" for column, (name, *_) in names.items())
        output.note(f"no edge on the days asked for{f' with {wanted}' if wanted else ''}")


def named(
    workspace: Workspace, tables: Collection[pa.Table], asked: Mapping[str, str | None]
) -> dict[str, list[str]]:
    """What each column must be, one of some names. A name that an edge has needs no look at the lake; what
    else it may mean is asked there. Raises WorkspaceError if it means nothing or too much."""
    from ueba import scores as kept
    from ueba.investigate.names import EntityIndex

    found: dict[str, list[str]] = {}
    index: EntityIndex | None = None
    for column, name in asked.items():
        if name is None:
            continue
        if any(len(kept.matching(table, {column: [name]})) for table in tables):
            found[column] = [name]
            continue
        index = index or EntityIndex.of_workspace(workspace)
        found[column] = [entity.name for entity in index.find(name, KINDS[column])]
    return found


def rows_of(settings: Settings, day: dt.date, table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a day's scores, JSON values only."""
    from ueba import findings
    from ueba.contracts import day_scores

    below = {entry.incident.id for entry in findings.load_below(settings.workspace.findings, day)}
    names = [name for name in day_scores.NAMES if name != "edges_a_day"]
    return [
        {
            "day": day.isoformat(),
            **{name: row[name] for name in names},
            "once_in_days": 1 / (row["p_value"] * row["edges_a_day"]),
            "below_line": row["incident"] in below,
        }
        for row in table.to_pylist()
    ]


def emit(rows: Sequence[Mapping[str, Any]], limit: int, output_format: str, numbers: bool) -> None:
    """Print edges. A table has how rare they are in words, JSON has all fields."""
    from ueba import words

    if output_format in ("json", "jsonl"):
        output.emit(rows, output_format, versions.DAY_SCORE)
        return
    short = output_format == "table"
    shown = [
        {
            **row,
            **({"p_value": words.p_cell(row["p_value"], row["p_is_bound"])} if short else {}),
            "how_rare": words.once_in(row["once_in_days"], row["p_is_bound"]),
            "below_line": "yes" if row["below_line"] else "",
        }
        for row in (rows[:limit] if short else rows)
    ]
    columns = (*COLUMNS, *(NUMBERS if numbers or not short else ()), *(() if short else ["p_is_bound"]))
    output.emit(shown, output_format, versions.DAY_SCORE, columns)
    if len(shown) < len(rows):
        output.note(f"{len(shown)} of {len(rows):,} edges; --limit shows more")


COMMANDS = (scores,)
