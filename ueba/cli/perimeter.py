"""The command `perimeter`: what was within an attacker's reach."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import Time, format_option, picture_option
from ueba.contracts import versions
from ueba.contracts.perimeter import Perimeter

if TYPE_CHECKING:
    from ueba.contracts.entity import Entity

CONTACT_COLUMNS = (
    *("indicator", "user", "source", "target", "source_ip", "outcome"),
    *("first", "last", "events", "event"),
)
REACHED_COLUMNS = ("entity", "kind", "at", "hops", "via_user", "from", "event", "incident")
TOUCHED_COLUMNS = ("class", "target", "detail", "action", "code", "user", "first", "events", "event")
SHOWN = 25  # rows of each part of a table; the other formats have all rows


@command()
@click.option(
    "--from",
    "names",
    multiple=True,
    metavar="ENTITY",
    help="A user, machine, resource, network or mail address, or a network (10.1.0.0/16).",
)
@click.option(
    "--indicators",
    type=click.File(encoding="utf-8-sig"),
    help="A list of indicators, one a line; - is standard input.",
)
@click.option("--since", type=Time(), required=True, help="The beginning, UTC unless it names a zone.")
@click.option("--until", type=Time(dt.time.max), help="The end, included.  [default: the end of the lake]")
@click.option("--hops", type=click.IntRange(1), help="The most events of a chain.  [default: no limit]")
@picture_option()
@format_option("graphml", "stix")
@pass_settings
def perimeter(
    settings: Settings,
    names: tuple[str, ...],
    indicators: TextIO | None,
    since: dt.datetime,
    until: dt.datetime | None,
    hops: int | None,
    picture: Path | None,
    output_format: str,
) -> None:
    """Say what a stolen account, a lost machine or an attacker's address can have touched, in the order of
    time.

    Confirmed is what contacts and edges of reported incidents lead to; possible is what any events lead to;
    all other entities were not reached.

    \b
    Example:
      ueba perimeter --from mlopez@corp.example --since 2026-01-21T08:00 --hops 2 --picture perimeter.html
      ueba perimeter --indicators addresses.txt --since 2026-01-21 --format json
    """
    from ueba.errors import UsageError
    from ueba.investigate.indicators import read_indicators
    from ueba.investigate.perimeter import draw_up

    listed = read_indicators(indicators, indicators.name) if indicators else []
    if not names and not listed:
        raise UsageError(
            "nothing to begin from: name an entity with --from, or a file of indicators with --indicators"
        )
    end = _end(settings, since, until)
    found = draw_up(settings.workspace, names, listed, since, end, hops)
    for name in found.unknown:
        output.note(f"{name}: no event of that time has to do with it")
    if picture is not None:  # before the result is printed: a reader may close the pipe early
        from ueba.investigate import draw
        from ueba.investigate.perimeter.forms import to_drawing

        draw.write(to_drawing(found), picture, f"perimeter since {since}")
        output.note(f"picture: {picture}")
    _print(found, output_format)


def _end(settings: Settings, since: dt.datetime, until: dt.datetime | None) -> dt.datetime:
    """The end of the time to look at. Raises UsageError if it is before the beginning."""
    from ueba.errors import UsageError
    from ueba.memory import Memory

    last = dt.datetime.combine(Memory(settings.workspace, settings.config).last_day(), dt.time.max)
    if (until or last) < since:
        end = f"--until {until}" if until else f"the end of the lake, {last:%Y-%m-%d},"
        raise UsageError(f"{end} is before --since {since}")
    return until or last


def _print(found: Perimeter, output_format: str) -> None:
    from ueba.investigate.perimeter import forms

    if output_format == "graphml":
        from ueba.investigate.draw.graphml import graphml

        output.echo(graphml(forms.to_drawing(found)), end="")
    elif output_format == "stix":
        from ueba.investigate.export import stix

        output.echo_json(stix.perimeter(found))
    elif output_format == "json":
        output.echo_json({"schema_version": versions.PERIMETER, **forms.to_dict(found)})
    elif output_format != "table":
        rows = [forms.reached_to_dict(row) for row in found.reached]
        output.emit(rows, output_format, versions.PERIMETER, forms.COLUMNS)
    else:
        _show(found)


def _show(found: Perimeter) -> None:
    """A perimeter for a person: origins, contacts, what is confirmed, what is possible, exposed accounts,
    what was done in resources."""
    from ueba.contracts.perimeter import CONFIRMED, POSSIBLE
    from ueba.investigate.perimeter import forms

    since, until = found.since.replace(microsecond=0), found.until.replace(microsecond=0)
    origins = ", ".join(f"{origin.kind} {origin.name}" for origin in found.origins)
    output.line(f"from {origins or 'nothing'}, {output.moment(since)} to {output.moment(until)}")
    _part("contacts", [forms.contact_to_dict(contact) for contact in found.contacts], CONTACT_COLUMNS)
    for certainty in (CONFIRMED, POSSIBLE):
        reached = [row for row in found.reached if row.certainty == certainty]
        title = f"{certainty}: {_counted(row.entity for row in reached)}"
        _part(title, [forms.reached_to_dict(row) for row in reached], REACHED_COLUMNS)
    exposed = _exposed_by_machine(found)
    _part(
        "accounts exposed on each machine, in the order of time", exposed, ("machine", "number", "accounts")
    )
    _part("done in resources", [forms.touch_to_dict(touch) for touch in found.touched], TOUCHED_COLUMNS)
    output.echo(f"not reached: {_counted(found.not_reached)}")


def _exposed_by_machine(found: Perimeter) -> list[dict[str, Any]]:
    """One row for each machine, in the order in which the first account was exposed there."""
    accounts: dict[str, set[str]] = {}
    for exposure in found.exposed:
        accounts.setdefault(exposure.machine, set()).add(exposure.account)
    return [
        {"machine": machine, "number": len(names), "accounts": sorted(names)}
        for machine, names in accounts.items()
    ]


def _counted(entities: Iterable[Entity]) -> str:
    """2 machines, 1 user"""
    kinds = sorted(Counter(entity.kind for entity in entities).items())
    counts = [f"{count:,} {kind if count == 1 else _plural(kind)}" for kind, count in kinds]
    return ", ".join(counts) or "nothing"


def _plural(kind: str) -> str:
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _part(title: str, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    if rows:
        more = f" (the first {SHOWN} of {len(rows):,}; --format json has all)" if len(rows) > SHOWN else ""
        output.echo(f"\n{title}{more}")
        output.table([_short(row) for row in rows[:SHOWN]], columns)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the name of the log file instead of its path."""
    return {**row, "event": row["event"].rpartition("/")[2]} if "event" in row else row


COMMANDS = (perimeter,)
