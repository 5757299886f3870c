"""Commands that show what happened and why it is strange: explain, day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ueba.cli import cases, output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import Day, format_option, numbers_option, picture_option
from ueba.cli.terminal import common
from ueba.contracts import versions

if TYPE_CHECKING:
    from ueba.contracts.case import Case
    from ueba.contracts.period import Period
    from ueba.investigate.cases import Casebook
    from ueba.investigate.explain.incident import ExplainedEdge, ExplainedIncident

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
    "how_rare",
)
NUMBERS = ("surprise", "p_value")
EDGE_COLUMNS = (
    *("edge", "user", "source", "target", "first_seen", "count"),
    *(*NUMBERS, "p_is_bound", "sentences"),
)
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


@command()
@click.argument("incident_id", metavar="ID")
@picture_option()
@numbers_option
@format_option()
@pass_settings
def explain(
    settings: Settings, incident_id: str, picture: Path | None, numbers: bool, output_format: str
) -> None:
    """Explain why an incident was reported, in sentences that can be checked. ID may be cut short.

    The ID of a case, which begins with case-, gives its story: one sentence, then its incidents in order of
    time, each with why it goes on from an earlier one.

    What is new, how often this account and its peers do new things, what was expected, what would have been
    normal, what weighed how much, and in which lines of the log the events are. JSON has all facts; jsonl and
    csv have a row for each edge.

    \b
    Example:
      ueba explain 20260121-3fa9c1d2 --picture incident.html
      ueba explain case-20260121-3fa9c1d2
    """
    from ueba import findings
    from ueba.investigate import cases as casebook
    from ueba.investigate import periods
    from ueba.investigate.explain import incident as explaining

    folder, book = settings.workspace.findings, casebook.read(settings.workspace)
    if casebook.is_case(incident_id):
        case = casebook.find(book, incident_id)
        _explain_case(book, case, periods.of_cases(folder, book, [case]), picture, output_format)
        return
    incident = findings.find_incident(folder, incident_id)
    explained = explaining.explained(settings.workspace, incident, book.verdicts)
    if picture is not None:
        _draw(explained, picture)
    own_case = book.of_incident(incident.id)
    often = periods.of_cases(folder, book, [own_case] if own_case else [])
    if output_format == "table":
        _show(explained, numbers, own_case, often)
    else:
        _emit(explained, numbers, output_format, own_case)


def _explain_case(
    book: Casebook, case: Case, often: Mapping[str, Period], picture: Path | None, output_format: str
) -> None:
    from ueba.errors import UsageError

    if picture is not None:
        raise UsageError("--picture draws an incident; name one of the case")
    if output_format == "table":
        cases.show(book, case, often[case.id])
    else:
        cases.emit(book, [case], often, output_format)


def _draw(explained: ExplainedIncident, picture: Path) -> None:
    from ueba.investigate import draw
    from ueba.investigate.draw.incident import incident_drawing

    drawing = incident_drawing([explained_edge.edge for explained_edge in explained.edges])
    draw.write(drawing, picture, f"incident {explained.incident.id}")
    output.note(f"picture: {picture}")


def _emit(explained: ExplainedIncident, numbers: bool, output_format: str, case: Case | None) -> None:
    """For programs: JSON has a record with all facts, the others a row for each edge."""
    from ueba.investigate.explain import incident as explaining
    from ueba.investigate.explain import words

    record = explaining.to_json(explained, words.sentences(explained, numbers), case)
    rows = [record]
    if output_format != "json":
        rows = [{"incident": explained.incident.id, **edge} for edge in record["edges"]]
    if output_format == "csv":
        rows = [{**row, "sentences": [reason["sentence"] for reason in row["reasons"]]} for row in rows]
    output.emit(rows, output_format, versions.EXPLANATION, EDGE_COLUMNS)


def _show(
    explained: ExplainedIncident, numbers: bool, case: Case | None, often: Mapping[str, Period]
) -> None:
    """For a person at a terminal. often: the return period of the case, by its id"""
    from ueba.investigate import cases as casebook
    from ueba.investigate.explain import words

    zone = common().timezone
    incident, edges = explained.incident, explained.edges
    output.line(f"incident {incident.id}")
    output.echo(output.wrapped(words.summary(explained, numbers, zone)))
    for line in casebook.place_in_case(case, incident.id, zone, often.get(case.id) if case else None):
        output.echo(output.wrapped(line))
    for name, lines in words.by_edge(explained, numbers, zone).items():
        output.echo(f"\n{name}")
        for line in lines:
            output.echo(output.wrapped(f"- {line}"))
    if incident.below_line:
        output.note("it is below the line: not reported, and explained by the reasons that were kept alone")
    elif all(edge.explanation is None for edge in edges):
        output.note(f"the day has no explanations; `ueba score --day {incident.day}` makes them")
    _show_edges(edges, numbers)
    output.echo("next")
    user = edges[0].edge.user
    since = min(edge.edge.first_seen for edge in edges if edge.edge.user == user)
    for step in words.next_steps(incident, user, since):
        output.line(f"  {step}")


def _show_edges(edges: Sequence[ExplainedEdge], numbers: bool) -> None:
    """The table of edges, and of the first events of the strangest."""
    from ueba import words

    more = f"; the strangest {SHOWN} of {len(edges)}, --format jsonl has all" if len(edges) > SHOWN else ""
    output.echo(f"\nedges of the incident, in the order of time{more}")
    rows = [
        {
            **{name: getattr(edge.edge, name, None) for name in (*TABLE_COLUMNS, *NUMBERS)},
            "edge": edge.name,
            "p_value": words.p_cell(edge.edge.p_value, edge.edge.p_is_bound),
            "how_rare": words.once_in(edge.edge.once_in_days, edge.edge.p_is_bound),
        }
        for edge in sorted(edges[:SHOWN], key=lambda edge: edge.edge.first_seen)
    ]
    output.table(rows, (*TABLE_COLUMNS, *(NUMBERS if numbers else ())))
    events = [
        {"edge": edge.name, **event, "event": f"{Path(event['path']).name}:{event['line']}"}
        for edge in edges[:5]
        for event in edge.events
    ]
    if events:
        output.echo("the first events of the strangest edges, in the log")
        output.table(events, EVENT_COLUMNS)


@command()
@click.argument("user")
@click.argument("date", type=Day())
@picture_option()
@format_option()
@pass_settings
def day(settings: Settings, user: str, date: dt.date, picture: Path | None, output_format: str) -> None:
    """Show a user's day as a graph: what is new, unusual and missing beside the user's normal day.

    Normal is what the user did on days of the same kind, working days or weekends, of the four weeks before.

    \b
    Example:
      ueba day mlopez@corp.example 2026-01-21 --picture day.html
    """
    from ueba.investigate import day as days
    from ueba.investigate import draw

    found = days.day_of(settings.workspace, user, date)
    if picture is not None:
        draw.write(days.to_drawing(found), picture, f"{found.user} on {date}")
        output.note(f"picture: {picture}")
    if output_format == "table":
        output.echo(output.wrapped(days.sentence(found)))
    output.emit(days.to_dicts(found), output_format, versions.USER_DAY, DAY_COLUMNS)


COMMANDS = (explain, day)
