"""How results and progress are shown. `--format table|json|jsonl|csv`; a record carries its schema version
where it has one."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ueba.text import in_a_cell, plain

if TYPE_CHECKING:
    from ueba.progress import Progress

FORMATS = ("table", "json", "jsonl", "csv")


def format_option(function: Any) -> Any:
    """`--format`: a table for people, the others for programs."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print the result.",
    )(function)


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
    """ISO 8601, UTC unless it names a zone; a date alone is the beginning of its day, or its end."""

    name = "TIME"

    def __init__(self, of_day: dt.time = dt.time.min) -> None:
        self.of_day = of_day

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        if isinstance(value, dt.datetime):
            return value
        try:
            if len(value) == len("2026-01-21"):
                return dt.datetime.combine(dt.date.fromisoformat(value), self.of_day)
            time = dt.datetime.fromisoformat(value)
            return (time.astimezone(dt.UTC) if time.tzinfo else time).replace(tzinfo=None)
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


def bounds_options(function: Any) -> Any:
    """`--timeout` and `--limit` of a query to the graph."""
    limit = click.option(
        "--limit", type=click.IntRange(1), default=1000, show_default=True, help="Rows at most."
    )
    timeout = click.option(
        "--timeout",
        type=Seconds(),
        help="Seconds after which it is ended, in the server too.  [default: graph.query_timeout_s]",
    )
    return timeout(limit(function))


def in_order(first: dt.date | None, last: dt.date | None) -> None:
    """Raises UsageError for days from later to earlier."""
    from ueba.errors import UsageError

    if first is not None and last is not None and first > last:
        raise UsageError(f"--from {first} is after --to {last}")


class Picture(click.Path):
    """A file to draw into, of a form that its suffix tells: refused before the work and not after it."""

    suffixes: tuple[str, ...] = (".svg", ".png")

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.suffix.lower() not in self.suffixes:
            self.fail(f"{path}: name a file that ends in {' or '.join(self.suffixes)}", param, ctx)
        return path


class GraphPicture(Picture):
    """A file that `ueba.investigate.draw` writes."""

    suffixes = (".html", ".svg")


def emit(rows: Sequence[Mapping[str, Any]], output_format: str, columns: Sequence[str] | None = None) -> None:
    """Print records. `columns`: what a table and CSV show; JSON shows all."""
    shown = list(columns or (rows[0] if rows else ()))
    if output_format == "json":
        click.echo(json.dumps(list(rows), indent=1, default=str, ensure_ascii=False))
    elif output_format == "jsonl":
        for row in rows:
            click.echo(json.dumps(row, default=str, ensure_ascii=False))
    elif output_format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(shown)
        writer.writerows([[_csv_cell(row.get(name)) for name in shown] for row in rows])
    else:
        _table(rows, shown)


def emit_tables(
    tables: Mapping[str, Sequence[Mapping[str, Any]]], titles: Mapping[str, str], output_format: str
) -> None:
    """Print several tables under their titles; the other formats get their rows one after another, each with
    its `table`."""
    if output_format == "table":
        for name, rows in tables.items():
            click.echo(titles[name])
            emit(rows, output_format)
    else:
        together = [{"table": name, **row} for name, rows in tables.items() for row in rows]
        emit(together, output_format, list(dict.fromkeys(column for row in together for column in row)))


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name), "\n" if name == "reasons" else ", ")) for name in columns))
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
    console.print(table)


def _cell(value: Any, joiner: str) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        some = [_cell(item, " ") for item in value[:6]]
        return joiner.join(some) + (f"{joiner}and {len(value) - 6} more" if len(value) > 6 else "")
    return plain(value)


def _csv_cell(value: Any) -> str:
    """Whole, lists joined with " | ", as `ueba export csv` has it. Names come from logs, and a spreadsheet
    may open the file."""
    if value is None or isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, list | tuple):
        return in_a_cell(" | ".join(plain(item) for item in value))
    return in_a_cell(
        plain(json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, dict) else value)
    )


def wrapped(text: str) -> str:
    """A paragraph for a terminal; what follows its first line stands under its text."""
    import shutil
    import textwrap

    indent = "  " if text.startswith("- ") else ""
    width = max(min(shutil.get_terminal_size((100, 24)).columns, 120), 40)
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def note(message: str) -> None:
    """A line for the person at the terminal, on standard error."""
    click.echo(message, err=True)


def note_damage(root: Path) -> None:
    """Report lines of a workspace's verdict log that are not verdicts."""
    from ueba.triage import log

    note_damaged(log.read(root).damaged)


def note_damaged(messages: Iterable[str]) -> None:
    """Report lines of the verdict log that are not verdicts."""
    for message in messages:
        note(message)


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Bars on standard error, one for each stage; plain lines where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    stages: dict[str, Any] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in stages or (done == 0 and bars.tasks[stages[what]].finished):
            stages[what] = bars.add_task(what, total=total)
        bars.update(stages[what], completed=done, total=total)

    with bars:
        yield report


def file_progress(
    report: Progress, most: int = 10
) -> Callable[[str], Callable[[int, int, int | None], None]]:
    """Ingest's (lines, bytes, size) of each file as a bar in megabytes; after the first files, one bar for
    all others."""
    names: list[str] = []

    def of_file(path: str) -> Callable[[int, int, int | None], None]:
        names.append(path)
        name = Path(path).name if len(names) <= most else "other files"

        def step(lines: int, done: int, size: int | None) -> None:
            if name == "other files":
                report(f"read {name}", len(names) - most, len(names) - most + 1)
            else:
                report(f"read {name}", done >> 20, max((size or done) >> 20, 1))

        return step

    return of_file
