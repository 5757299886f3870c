"""Commands about the graph: load, query, server."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING

import click

from ueba.cli import output
from ueba.cli.common import Settings, group, pass_settings
from ueba.cli.options import bounds_options, format_option, span_options
from ueba.contracts import versions

if TYPE_CHECKING:
    from ueba.memory import Memory


@group()
def graph() -> None:
    """The user-machine-resource graph: in the Neo4j that NEO4J_URI names, else in the bundled server.

    \b
    Example:
      ueba graph load
      ueba graph query "MATCH (user:User) RETURN user.name LIMIT 5"
    """


@graph.command()
@span_options(
    "First day.  [default: graph.window_days before the last]", "Last day.  [default: the last in the lake]"
)
@pass_settings
def load(settings: Settings, first: dt.date | None, last: dt.date | None) -> None:
    """Load days of the lake into the graph, with their incidents and who is similar to whom. Loading again
    changes nothing.

    \b
    Example:
      ueba graph load --from 2026-01-01 --to 2026-01-14
    """
    from ueba.memory import Memory

    memory = Memory(settings.workspace, settings.config)
    last = last or memory.last_day()
    first = first or last - dt.timedelta(days=settings.config.graph.window_days)
    counts = load_days(memory, first, last)
    days = counts.pop("days")
    if not days:
        output.note(f"the lake has no days from {first} to {last}; `ueba doctor` says which it has")
    rows = ", ".join(f"{rows:,} {name}" for name, rows in counts.items())
    output.note(f"{days} days; rows written, a name once for each of its days: {rows}")


def load_days(memory: Memory, first: dt.date, last: dt.date) -> dict[str, int]:
    """Load days into the graph. Returns the number of days, and of rows by label or relationship."""
    from ueba import graph as graphs
    from ueba import stages

    with (
        memory.workspace.locked(),
        output.progress() as report,
        graphs.connect(memory.workspace, memory.config, os.environ) as store,
    ):
        counts = graphs.load(store, memory, first, last, report)
        similar = graphs.write_similar(store, stages.entity_context(memory), report)
        return {**counts, "SIMILAR_TO": similar}


@graph.command()
@click.argument("cypher")
@click.option(
    "--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the query, as text."
)
@bounds_options
@format_option()
@pass_settings
def query(
    settings: Settings,
    cypher: str,
    parameters: tuple[str, ...],
    timeout: float | None,
    limit: int | None,
    output_format: str,
) -> None:
    """Ask the graph in CYPHER. Queries only read the graph: what would write, or reach files or the network,
    is refused.

    \b
    Example:
      ueba graph query 'MATCH (u:User)-[r:LOGGED_ON]->(m:Machine) WHERE u.name = $user
                        RETURN m.name AS machine, r.day AS day' --param user=mlopez@corp.example
    """
    from ueba import graph as graphs
    from ueba.cli import answers
    from ueba.errors import UsageError

    values = dict(parameter.partition("=")[::2] for parameter in parameters)
    if any("=" not in parameter for parameter in parameters):
        raise UsageError("--param takes NAME=VALUE")
    for text in (cypher, *parameters):
        _check_text(text)
    bounds = answers.bounds(settings.config, limit, timeout)
    with graphs.connect(settings.workspace, settings.config, os.environ) as store:
        found = store.query(cypher, values, bounds.timeout_s, bounds.asked)
    answers.emit(found, bounds, output_format, versions.QUERY, [str(name) for name in found.columns])


def _check_text(text: str) -> None:
    """Raises UsageError for bytes that are no text: they arrive as lone surrogates, which no server takes."""
    from ueba.errors import UsageError
    from ueba.text import shortened

    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text.encode(errors="backslashreplace").decode()
        raise UsageError(f"{shortened(shown, 200)} is not text in UTF-8") from None


@graph.command()
@format_option()
def schema(output_format: str) -> None:
    """List the labels and relationships of the graph, and what each property means.

    \b
    Example:
      ueba graph schema
    """
    from ueba import ontology

    rows = [
        {"item": item, "property": name, "meaning": meaning}
        for item, what, properties in ontology.described()
        for name, meaning in [("", what), *((declared.name, declared.description) for declared in properties)]
    ]
    output.emit(rows, output_format, versions.GRAPH_SCHEMA, ("item", "property", "meaning"))


@graph.group()
def server() -> None:
    """The bundled graph server: a process of its own, on loopback, with a generated password.

    \b
    Example:
      ueba graph server status
    """


@server.command()
@pass_settings
def start(settings: Settings) -> None:
    """Start the server unless it runs, and print its address.

    \b
    Example:
      ueba graph server start
    """
    from graphdb import server as bundled

    output.echo(bundled.start(settings.workspace.graph, settings.config.graph.heap).uri)
    output.note(f"passwords are in {settings.workspace.graph / 'credentials.json'}; only you can read it")


@server.command()
@pass_settings
def stop(settings: Settings) -> None:
    """Stop the server. The loaded graph stays on disk.

    \b
    Example:
      ueba graph server stop
    """
    from graphdb import server as bundled

    output.note(
        "the server is stopped" if bundled.stop(settings.workspace.graph) else "the server was not running"
    )


@server.command()
@format_option()
@pass_settings
def status(settings: Settings, output_format: str) -> None:
    """Print whether the server runs, and its address.

    \b
    Example:
      ueba graph server status --format json
    """
    from graphdb import server as bundled

    output.emit([bundled.status(settings.workspace.graph)], output_format, versions.SERVER)


COMMANDS = (graph,)
