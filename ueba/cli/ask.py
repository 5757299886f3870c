"""The command that asks the graph a question somebody wrote down before: ask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from ueba.cli import output
from ueba.cli.setup import Settings, pass_settings

if TYPE_CHECKING:
    from graphdb.store import Store

SCHEMA_VERSION = 1
LIST = "list"


class Name(click.ParamType[str]):
    """A question's name, or `list`; a shell completes it."""

    name = "LIST|NAME"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from ueba.investigate import questions

        every = [
            (LIST, "every question"),
            *((name, questions.load(name).title) for name in questions.names()),
        ]
        return [CompletionItem(name, help=title) for name, title in every if name.startswith(incomplete)]


class Value(click.ParamType[str]):
    """NAME=VALUE; a shell completes the names that the question on the line has."""

    name = "NAME=VALUE"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from ueba.investigate import questions

        asked = ctx.params.get("name") or next(
            iter(ctx.args), ""
        )  # a line that ends in --param is parsed no further
        parameters = questions.load(asked).parameters if asked in questions.names() else ()
        return [
            CompletionItem(f"{p.name}=", help=p.meaning)
            for p in parameters
            if f"{p.name}=".startswith(incomplete)
        ]


@click.command()
@click.argument("name", type=Name())
@click.option("--param", "given", type=Value(), multiple=True, help="A parameter of the question.")
@click.option(
    "--show",
    is_flag=True,
    help="Print the question's file instead: what it asks, in Cypher for Neo4j Browser.",
)
@output.bounds_options
@output.format_option
@pass_settings
def ask(
    settings: Settings,
    name: str,
    given: tuple[str, ...],
    show: bool,
    timeout: float | None,
    limit: int,
    output_format: str,
) -> None:
    """Ask the graph the question NAME, or `list` them all.

    \b
    Load the days first: `ueba graph load`. A question can only read: the server refuses anything else.
    Example:
      ueba ask list
      ueba ask user-day --param user=mlopez@corp.example --param day=2026-01-21
      ueba ask user-day --show
    """
    from ueba.investigate import questions

    if name == LIST:
        _list(output_format)
        return
    question = questions.load(name)
    if show:
        click.echo(question.text, nl=False)
        return
    questions.check(question, given)
    from ueba import graph as graphs
    from ueba.tables import records

    with graphs.connect(settings.workspace, settings.config, os.environ) as store:
        parameters = questions.values(question, given, lambda: _last_day(store))
        found = questions.ask(
            store, question, parameters, timeout or settings.config.graph.query_timeout_s, limit
        )
        unknown = questions.unknown(store, question, parameters) if found.empty else []
    rows = [{"schema_version": SCHEMA_VERSION, **row} for row in records(found)]
    output.emit(rows, output_format, list(question.columns))
    if not rows:
        for said in unknown or ["no rows; `ueba ask loaded-days` says which days the graph holds"]:
            output.note(said)
    if len(rows) == limit:
        output.note(f"cut at {limit} rows; --limit takes more")


def _list(output_format: str) -> None:
    from ueba.investigate import questions

    every = [questions.load(name) for name in questions.names()]
    rows = [
        {"question": each.name, "asks": each.title, "parameters": " ".join(map(str, each.parameters))}
        for each in every
    ]
    output.emit(
        [{"schema_version": SCHEMA_VERSION, **row} for row in rows],
        output_format,
        ("question", "asks", "parameters"),
    )


def _last_day(store: Store) -> str:
    from ueba.investigate import questions

    day, how = questions.last_day(store)
    output.note(f"day: {day}, the last one {how}")
    return day


COMMANDS = (ask,)
