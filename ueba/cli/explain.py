"""Commands that show what happened and why it is strange: explain, day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

from ueba.cli import output
from ueba.cli.output import Day
from ueba.cli.setup import Settings, pass_settings
from ueba.text import plain

SHOWN = 40  # edges of an incident in a table
TABLE_COLUMNS = (
    "edge",
    "user",
    "source",
    "target",
    "first_seen",
    "last_seen",
    "count",
    "failures",
    "logon_types",
    "surprise",
    "p_value",
)
EDGE_COLUMNS = ("edge", "user", "source", "target", "first_seen", "count", "surprise", "p_value", "reasons")
EVENT_COLUMNS = ("edge", "time", "action", "logon_type", "outcome", "detail", "event")
DAY_COLUMNS = (
    "mark",
    "first_seen",
    "last_seen",
    "source",
    "target",
    "count",
    "failures",
    "logon_types",
    "days",
    "why",
)


@click.command()
@click.argument("incident_id", metavar="ID")
@click.option("--picture", type=output.GraphPicture(), help="Draw the incident's graph, as .html or .svg.")
@output.format_option
@pass_settings
def explain(settings: Settings, incident_id: str, picture: Path | None, output_format: str) -> None:
    """Say why an incident was reported, in sentences that can be checked. ID may be cut short.

    \b
    What is new, how often this account and its peers do new things, what was expected, what would have been
    normal, what weighed how much, and where the events stand in the log. JSON has all facts; jsonl and csv
    have a row an edge. Example:
      ueba explain 20260121-3fa9c1d2 --picture incident.html
    """
    from ueba.detect import archive, findings
    from ueba.investigate import explain as explaining
    from ueba.investigate.picture import draw, incident_graph

    incident = archive.find_incident(settings.workspace.findings, incident_id)
    facts = explaining.explanation(settings.workspace, incident)
    if picture is not None:  # before what is printed: whoever reads that may have seen enough
        edges = findings.load_edges(settings.workspace.findings, dt.date.fromisoformat(incident["day"]))
        draw(
            incident_graph(edges[edges["incident"] == incident["id"]]), picture, f"incident {incident['id']}"
        )
        output.note(f"picture: {picture}")
    if output_format == "table":
        _show(facts)
    elif output_format == "json":
        output.emit([facts], "json")
    else:
        rows = [
            {"schema_version": facts["schema_version"], "incident": facts["id"], **edge}
            for edge in facts["edges"]
        ]
        output.emit(rows, output_format, EDGE_COLUMNS)


def _show(facts: dict[str, Any]) -> None:
    """For a person at a terminal."""
    from ueba.investigate import explain as explaining

    click.echo(f"incident {facts['id']}")
    before = ""
    for sentence in facts["sentences"]:
        edge, _, rest = sentence.partition(": ")
        if edge != before and edge in {each["edge"] for each in facts["edges"]}:
            click.echo(f"\n{edge}")
            before = edge
        click.echo(output.wrapped(f"- {plain(rest)}" if edge == before else plain(sentence)))
    if all(edge["explained"] is None for edge in facts["edges"]):
        output.note(
            f"the day was scored without explanations; `ueba score --day {facts['day']}` with a model that is fit for it"
        )
    edges = facts["edges"]
    more = (
        f"; the strangest {SHOWN} of {len(edges)}, --format jsonl has all with the reasons of each"
        if len(edges) > SHOWN
        else ""
    )
    click.echo(f"\nits edges, in the order of time{more}")
    ordered = sorted(edges[:SHOWN], key=lambda edge: edge["first_seen"])
    shown = [{**edge, **{time: edge[time][:19] for time in ("first_seen", "last_seen")}} for edge in ordered]
    output.emit(shown, "table", TABLE_COLUMNS)
    events = [{"edge": edge["edge"], **event} for edge in edges[:5] for event in edge["events"]]
    if events:
        click.echo("the first events of the strangest edges, in the log")
        output.emit(
            [{**event, "event": event["event"].rpartition("/")[2]} for event in events],
            "table",
            EVENT_COLUMNS,
        )
    click.echo("next")
    user = edges[0]["user"]
    since = min(edge["first_seen"] for edge in edges if edge["user"] == user)
    for command in explaining.next_steps(facts, user, dt.datetime.fromisoformat(since)):
        click.echo(f"  {command}")


@click.command()
@click.argument("user")
@click.argument("date", type=Day())
@click.option("--picture", type=output.GraphPicture(), help="Draw the day's graph, as .html or .svg.")
@output.format_option
@pass_settings
def day(settings: Settings, user: str, date: dt.date, picture: Path | None, output_format: str) -> None:
    """Show a user's day as a graph: what is new, unusual and missing beside the user's normal day.

    \b
    Normal is what the user did on like days, working days or weekends, of the four weeks before.
    Example:
      ueba day mlopez@corp.example 2026-01-21 --picture day.html
    """
    from ueba.investigate import day as days
    from ueba.investigate.picture import draw

    found = days.day_of(settings.workspace, user, date)
    if picture is not None:
        draw(days.to_graph(found), picture, f"{found.user} on {date}")
        output.note(f"picture: {picture}")
    if output_format == "table":
        click.echo(output.wrapped(plain(days.sentence(found))))
    rows = [
        {"schema_version": days.SCHEMA_VERSION, "user": found.user, "day": date, **row} for row in found.rows
    ]
    output.emit(rows, output_format, DAY_COLUMNS)


COMMANDS = (explain, day)
