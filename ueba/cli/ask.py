"""The command `ask`: a question of the question pack, answered by the graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import bounds_options, format_option
from ueba.contracts import versions

if TYPE_CHECKING:
    from graphdb.store import Store
    from ueba.investigate.questions.files import Question

LIST = "list"


class Name(click.ParamType[str]):
    """A question's name, or `list`; completed by the shell."""

    name = "LIST|NAME"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from ueba.investigate import questions

        titles = {LIST: "all questions"} | {name: questions.load(name).title for name in questions.names()}
        return [
            CompletionItem(name, help=title) for name, title in titles.items() if name.startswith(incomplete)
        ]


class Value(click.ParamType[str]):
    """NAME=VALUE; the shell completes the names of the question's parameters."""

    name = "NAME=VALUE"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from ueba.investigate import questions

        # Click does not parse a line that ends in --param: its arguments are left over.
        question = ctx.params.get("name") or next(iter(ctx.args), "")
        parameters = questions.load(question).parameters if question in questions.names() else ()
        return [
            CompletionItem(f"{parameter.name}=", help=parameter.meaning)
            for parameter in parameters
            if f"{parameter.name}=".startswith(incomplete)
        ]


@command()
@click.argument("name", type=Name())
@click.option(
    "--param", "arguments", type=Value(), multiple=True, help="The value of a parameter; may be repeated."
)
@click.option(
    "--show",
    is_flag=True,
    help="Print the question's file instead of an answer: Cypher that runs in Neo4j Browser.",
)
@bounds_options
@format_option()
@pass_settings
def ask(
    settings: Settings,
    name: str,
    arguments: tuple[str, ...],
    show: bool,
    timeout: float | None,
    limit: int | None,
    output_format: str,
) -> None:
    """Ask the graph the question NAME, or `list` all questions.

    Load the days first: `ueba graph load`. Questions only read the graph.

    \b
    Example:
      ueba ask list
      ueba ask user-day --param user=mlopez@corp.example --param day=2026-01-21
      ueba ask user-day --show
    """
    from ueba.investigate import questions

    if name == LIST:
        _list(output_format)
    elif show:
        output.echo(questions.load(name).text, end="")
    else:
        _answer(settings, questions.load(name), arguments, timeout, limit, output_format)


def _answer(
    settings: Settings,
    question: Question,
    arguments: Sequence[str],
    timeout: float | None,
    limit: int | None,
    output_format: str,
) -> None:
    """Ask a question and print the rows of the answer."""
    from ueba import graph as graphs
    from ueba.cli import answers
    from ueba.ingest.identity import entities
    from ueba.investigate import questions

    questions.check(question, arguments)
    bounds = answers.bounds(settings.config, limit, timeout)
    with graphs.connect(settings.workspace, settings.config, os.environ) as store:
        parameters = questions.values(question, arguments, lambda: _last_day(store))
        identities = entities.read(settings.workspace.lake)
        parameters = questions.name_entities(store, question, parameters, identities)
        found = questions.ask(store, question, parameters, bounds.timeout_s, bounds.asked)
        unknown = questions.unknown_incident(store, question, parameters) if found.empty else None
    answers.emit(found, bounds, output_format, versions.ANSWER, list(question.columns))
    if found.empty:
        output.note(unknown or "no rows; `ueba ask loaded-days` lists the days in the graph")


def _list(output_format: str) -> None:
    from ueba.investigate import questions

    rows = [
        {
            "question": question.name,
            "asks": question.title,
            "parameters": " ".join(map(str, question.parameters)),
        }
        for question in map(questions.load, questions.names())
    ]
    output.emit(rows, output_format, versions.QUESTION, ("question", "asks", "parameters"))


def _last_day(store: Store) -> str:
    from ueba.investigate import questions

    day, which = questions.last_day(store)
    output.note(f"day: {day}, the last day {which}")
    return day


COMMANDS = (ask,)
