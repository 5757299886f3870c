"""The command that says what was within an attacker's reach: perimeter."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ueba.cli import output
from ueba.cli.setup import Settings, pass_settings
from ueba.text import plain

if TYPE_CHECKING:
    from ueba.investigate.perimeter import Perimeter

FORMATS = (*output.FORMATS, "graphml", "stix")
CONTACT_COLUMNS = (
    "indicator",
    "user",
    "source",
    "target",
    "source_ip",
    "outcome",
    "first",
    "last",
    "events",
    "event",
)
TOUCHED_COLUMNS = ("class", "target", "detail", "action", "code", "user", "first", "events", "event")
SHOWN = 25  # rows of each part of a table; the other formats hold all


@click.command()
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
    help="A list of what is the attacker's, one a line; - is standard input.",
)
@click.option("--since", type=output.Time(), required=True, help="From when, UTC unless it names a zone.")
@click.option("--until", type=output.Time(dt.time.max), help="Until when.  [default: the end of the lake]")
@click.option(
    "--hops", type=click.IntRange(1), help="Events on a chain at most.  [default: as many as there are]"
)
@click.option("--picture", type=output.GraphPicture(), help="Draw it too, as .html or .svg.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="How to print it.",
)
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

    \b
    Confirmed is what reported edges or known contacts lead to; possible is what any events lead to; the rest
    was not reached. Example:
      ueba perimeter --from mlopez@corp.example --since 2026-01-21T08:00 --hops 2 --picture perimeter.html
      ueba perimeter --indicators addresses.txt --since 2026-01-21 --format json
    """
    from ueba.errors import UsageError
    from ueba.investigate import perimeter as perimeters
    from ueba.investigate.names import read_indicators
    from ueba.memory import Memory

    attacker = read_indicators(indicators, indicators.name) if indicators else []
    if not names and not attacker:
        raise UsageError(
            "nothing to begin from: name an entity with --from, or a file of them with --indicators"
        )
    last = dt.datetime.combine(Memory(settings.workspace, settings.config).last_day(), dt.time.max)
    if (until or last) < since:
        ends = f"--until {until}" if until else f"the end of the lake, {last:%Y-%m-%d},"
        raise UsageError(f"{ends} is before --since {since}")
    until = until or last
    found = perimeters.draw_up(settings.workspace, names, attacker, since, until, hops)
    for name in found.unknown:
        output.note(f"{plain(name)}: nothing in that time had to do with it")
    if picture is not None:  # before what is printed: whoever reads that may have seen enough
        from ueba.investigate.picture import draw

        draw(perimeters.to_graph(found), picture, f"perimeter since {since}")
        output.note(f"picture: {picture}")
    _print(found, output_format)


def _print(found: Perimeter, output_format: str) -> None:
    from ueba.investigate import perimeter as perimeters

    if output_format == "graphml":
        import networkx as nx

        nx.write_graphml(perimeters.to_graph(found), sys.stdout.buffer)
    elif output_format == "stix":
        from ueba.investigate.export import stix

        origins = [(each["kind"], each["entity"]) for each in found.origins]
        rows = [{**row, "at": dt.datetime.fromisoformat(row["at"])} for row in found.reached]
        click.echo(
            json.dumps(stix.perimeter(rows, origins, found.since, found.until), indent=1, ensure_ascii=False)
        )
    elif output_format == "json":
        click.echo(json.dumps(perimeters.to_dict(found), indent=1, ensure_ascii=False))
    elif output_format != "table":
        rows = [{"schema_version": perimeters.SCHEMA_VERSION, **row} for row in found.reached]
        output.emit(rows, output_format, perimeters.COLUMNS)
    else:
        _show(found)


def _show(found: Perimeter) -> None:
    """For a person: from where, who had contact, what is confirmed, what is possible, who is exposed, what
    was done."""
    from ueba.investigate.perimeter import COLUMNS

    since, until = found.since.isoformat(timespec="seconds"), found.until.isoformat(timespec="seconds")
    origins = ", ".join(plain(f"{each['kind']} {each['entity']}") for each in found.origins)
    click.echo(f"from {origins or 'nothing'}, {since} to {until} UTC")
    _part("contacts", found.contacts, CONTACT_COLUMNS)
    for how in ("confirmed", "possible"):
        mine = [row for row in found.reached if row["class"] == how]
        _part(
            f"{how}: {_counted(mine)}", mine, [name for name in COLUMNS if name not in ("class", "from_kind")]
        )
    machines: dict[str, list[str]] = {}
    for row in found.exposed:
        machines.setdefault(row["machine"], []).append(row["account"])
    exposed = [
        {"machine": name, "number": len(set(users)), "accounts": sorted(set(users))}
        for name, users in machines.items()
    ]
    _part(
        "accounts exposed on each machine, in the order of time", exposed, ("machine", "number", "accounts")
    )
    _part("done in resources", found.touched, TOUCHED_COLUMNS)
    click.echo(f"not reached: {_counted(found.not_reached)}")


def _counted(rows: list[dict[str, Any]] | list[dict[str, str]]) -> str:
    kinds = Counter(row["kind"] for row in rows)
    return (
        ", ".join(
            f"{count:,} {kind}{('es' if kind[-1] == 's' else 's') if count > 1 else ''}"
            for kind, count in sorted(kinds.items())
        )
        or "nothing"
    )


def _part(title: str, rows: list[dict[str, Any]], columns: Any) -> None:
    if rows:
        more = f" (the first {SHOWN} of {len(rows):,}; --format json has all)" if len(rows) > SHOWN else ""
        click.echo(f"\n{title}{more}")
        output.emit([_short(row) for row in rows[:SHOWN]], "table", columns)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """With the file's name for its path."""
    return {**row, "event": row["event"].rpartition("/")[2]} if "event" in row else row


COMMANDS = (perimeter,)
