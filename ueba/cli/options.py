"""Options that several commands have, one decorator each, and the types of their values."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

FORMATS = ("table", "json", "jsonl", "csv")
DAYS_OF = {"day": 1, "week": 7}

Decorator = Callable[[Any], Any]


# --- types --------------------------------------------------------------------------------------------------


class Day(click.ParamType[dt.date]):
    """An ISO date."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date; write it as YYYY-MM-DD", param, ctx)


class Time(click.ParamType[dt.datetime]):
    """An ISO time, in UTC unless it names a zone. A date alone is the time `of_day` on that day."""

    name = "TIME"

    def __init__(self, of_day: dt.time = dt.time.min) -> None:
        self.of_day = of_day

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        from ueba import files

        if isinstance(value, dt.datetime):
            return value
        try:
            if len(value) == len("2026-01-21"):
                return dt.datetime.combine(dt.date.fromisoformat(value), self.of_day)
            return files.utc(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time; write it as YYYY-MM-DDTHH:MM:SS", param, ctx)


class Seconds(click.ParamType[float]):
    """A time to wait: more than nothing, at most a day."""

    name = "SECONDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0
        if not 0 < seconds <= 24 * 3600:
            self.fail(f"{value!r} is not a number of seconds between 0 and a day", param, ctx)
        return seconds


class Share(click.ParamType[float]):
    """`1%` or `0.01`."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            share = float(str(value).removesuffix("%")) / (100 if str(value).endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is not a share; write it as 1% or 0.01", param, ctx)
        return share


@dataclass(frozen=True)
class Often:
    """How often something may happen. text: as it was written"""

    a_day: float
    text: str


class Rate(click.ParamType[Often]):
    """`0.3/day` or `2/week`."""

    name = "N/day|N/week"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Often:
        if isinstance(value, Often):
            return value
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)/(day|week)", value.replace(" ", ""), re.ASCII)
        a_day = float(found[1]) / DAYS_OF[found[2]] if found else 0.0
        if not a_day:
            self.fail(f"{value!r} is not a rate above 0; write it as 0.3/day or 2/week", param, ctx)
        return Often(a_day, value.replace(" ", ""))


class Number(click.FloatRange):
    """A number in a range, in which `nan` is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Picture(click.Path):
    """A file to draw into. Its suffix says the picture's format and is checked before the work begins."""

    name = "FILE"

    def __init__(self, *suffixes: str) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.suffix.lower() not in self.suffixes:
            self.fail(f"{path}: name a file that ends in {' or '.join(self.suffixes)}", param, ctx)
        return path


# --- options ------------------------------------------------------------------------------------------------


def format_option(*more: str) -> Decorator:
    """`--format`: a table for people, the others for programs; `more` are formats of this command alone."""
    return click.option(
        "-f",
        "--format",
        "output_format",
        type=click.Choice((*FORMATS, *more)),
        default="table",
        show_default=True,
        help="How to print the result.",
    )


def log_format_option(function: Any) -> Any:
    """`--log-format`: how the log files that are read are written."""
    return click.option(
        "--log-format",
        default="auto",
        show_default=True,
        metavar="auto|NAME|FILE.toml",
        help="How the logs are written: a name of `ueba formats` or a mapping file; auto finds out.",
    )(function)


def numbers_option(function: Any) -> Any:
    """`--numbers`: nats and p-values in tables and sentences."""
    return click.option(
        "--numbers", is_flag=True, help="Show strangeness in nats and p-values too, also in sentences."
    )(function)


def day_option(text: str) -> Decorator:
    """`--day`."""
    return click.option("--day", type=Day(), help=text)


def span_options(first: str = "First day.", last: str = "Last day.", required: bool = False) -> Decorator:
    """`--from` and `--to`, the first and the last of several days, in order."""

    def decorate(function: Any) -> Any:
        to = click.option("--to", "last", type=Day(), required=required, callback=_in_order, help=last)
        return click.option("--from", "first", type=Day(), required=required, is_eager=True, help=first)(
            to(function)
        )

    return decorate


def _in_order(ctx: click.Context, param: click.Parameter, last: dt.date | None) -> dt.date | None:
    first = ctx.params.get("first")
    if first is not None and last is not None and first > last:
        raise click.UsageError(f"--from {first} is after --to {last}; swap them", ctx)
    return last


def limit_option(default: int, text: str) -> Decorator:
    """`--limit`: how many to show."""
    return click.option(
        "-n", "--limit", type=click.IntRange(1), default=default, show_default=True, help=text
    )


def output_option(name: str, text: str, *, folder: bool = False, required: bool = False) -> Decorator:
    """`--output`: a file or folder to write."""
    kind = click.Path(file_okay=not folder, dir_okay=folder, allow_dash=not folder, path_type=Path)
    return click.option("-o", "--output", name, type=kind, required=required, help=text)


def picture_option(suffixes: Sequence[str] = (".html", ".svg")) -> Decorator:
    """`--picture`."""
    text = f"Draw it too: a file that ends in {' or '.join(suffixes)}."
    return click.option("--picture", type=Picture(*suffixes), help=text)


def at_most_option(what: str) -> Decorator:
    """`--at-most`: only what is so rare."""
    return click.option(
        "--at-most",
        type=Rate(),
        help=f"Only {what} so strange that as strange ones come so often at most, as 0.3/day or 2/week.",
    )


def is_given(option: str) -> bool:
    """Whether the call names an option of the command at work, or leaves it at its default."""
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


def hidden_option(function: Any) -> Any:
    """`--all`: the incidents that rules hide, too."""
    text = "Also the incidents that rules hide, see `ueba triage rules`."
    return click.option("--all", "everything", is_flag=True, help=text)(function)


def bounds_options(function: Any) -> Any:
    """`--timeout` and `--limit` of a query to the graph."""
    timeout = click.option(
        "--timeout",
        type=Seconds(),
        help="Seconds after which the server ends the query.  [default: graph.query_timeout_s]",
    )
    limit = click.option(
        "-n",
        "--limit",
        type=click.IntRange(1, 1_000_000),
        help="Rows at most.  [default: graph.query_rows]",
    )
    return timeout(limit(function))


def strength_option(function: Any) -> Any:
    """`--strength` of attack campaigns."""
    text = "How visible the attacks are: more steps, farther from colleagues."
    return click.option("--strength", type=Number(0, 10), default=1.0, show_default=True, help=text)(function)


def seed_option(text: str) -> Decorator:
    """`--seed`."""
    return click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help=text)
