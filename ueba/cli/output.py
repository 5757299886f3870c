"""How results, notes and progress are printed.

Results go to standard output: `--format table` for people, with times in the zone of `--timezone`; json,
jsonl and csv for programs, in UTC, each JSON record with its `schema_version` (`ueba.contracts.versions`).
Notes and progress go to standard error.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ueba.cli.terminal import common, echo, echo_drawn, line, note, warn
from ueba.text import as_json, brief, in_a_cell, plain, shortened, visible

if TYPE_CHECKING:
    import rich.console
    import rich.table

    from ueba.progress import Progress

__all__ = ["echo", "line", "note", "warn"]  # printed through this module by the commands

Row = Mapping[str, Any]
log = logging.getLogger("ueba.cli")

# Columns whose text is an ISO time in UTC; a time that is no text is found by its type.
TIME_COLUMNS = frozenset(
    (
        "at",
        "entered",
        "first",
        "first_seen",
        "from",
        "last",
        "last_event",
        "last_seen",
        "since",
        "time",
        "until",
    )
)
FILE_WIDTH = 160  # columns of a table that is printed to a file or a pipe
LONGEST_LIST = 6  # items of a list in a cell of a table
LONGEST_BAR = 60  # characters beside a bar
LONGEST_CELL = 500  # characters of an item in a cell of a table; the other formats have it whole


# --- results ------------------------------------------------------------------------------------------------


def emit(rows: Sequence[Row], output_format: str, version: int, columns: Sequence[str] | None = None) -> None:
    """Print records. version: of the kind of record; columns: what a table and CSV show, JSON shows all."""
    shown = list(columns or (rows[0] if rows else ()))
    if output_format == "table":
        table(rows, shown)
    elif output_format == "csv":
        echo(as_csv(rows, shown), end="")
    elif output_format == "json":
        echo_json([{"schema_version": version, **row} for row in rows])
    else:
        for row in rows:
            echo(as_json({"schema_version": version, **row}))


def emit_tables(
    tables: Mapping[str, Sequence[Row]], titles: Mapping[str, str], output_format: str, version: int
) -> None:
    """Print several tables under their titles; the other formats get their rows one after another, each with
    its `table`."""
    if output_format == "table":
        for name, rows in tables.items():
            echo(titles[name])
            table(rows)
    else:
        together = [{"table": name, **row} for name, rows in tables.items() for row in rows]
        emit(
            together,
            output_format,
            version,
            list(dict.fromkeys(column for row in together for column in row)),
        )


def echo_json(content: Any) -> None:
    """Print JSON, indented."""
    echo(as_json(content, indent=1))


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Rows under a row of headings."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_csv_cell, columns))
    writer.writerows([[_csv_cell(row.get(name)) for name in columns] for row in rows])
    return text.getvalue()


def _csv_cell(value: Any) -> str:
    """Whole, lists joined with " | ", as `ueba export csv` has it. Names come from logs, and a spreadsheet
    may open the file."""
    if value is None or isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, list | tuple):
        return in_a_cell(" | ".join(plain(item) for item in value))
    return in_a_cell(plain(as_json(value) if isinstance(value, dict) else value))


# --- tables -------------------------------------------------------------------------------------------------


def table(rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
    """Print a table for people. The heading of a column of times names their zone."""
    from rich.text import Text

    drawn = _empty_table()
    names = list(columns or (rows[0] if rows else ()))
    for name in names:
        zone = f" ({common().timezone})" if any(time_of(name, row.get(name)) for row in rows) else ""
        drawn.add_column(Text(plain(name.replace("_", " ")) + zone), overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell(name, row.get(name))) for name in names))
    is_fixed = sys.stdout.isatty() or "COLUMNS" in os.environ
    print_rich(drawn, None if is_fixed else FILE_WIDTH)


def wide_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of numbers beside names, as wide as it is: wider than the terminal is better than cut."""
    from rich.text import Text

    drawn = _empty_table()
    drawn.padding = (0, 1, 0, 0)
    for number, heading in enumerate(headings):
        drawn.add_column(Text(visible(heading)), justify="right" if number else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*map(Text, map(visible, row)))
    print_rich(drawn, max(_console(None).width, _console(100_000).measure(drawn).maximum))


def _empty_table() -> rich.table.Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False)


def print_rich(drawn: rich.table.Table, width: int | None) -> None:
    """Print what `rich` draws. It is drawn first and printed by `echo_drawn`, which can bear a closed
    pipe."""
    console = _console(width)
    with console.capture() as captured:
        console.print(_Clean(drawn))
    echo_drawn(captured.get())


class _Clean:
    """What `rich` draws, without anything in its texts that would steer a terminal."""

    def __init__(self, drawn: rich.console.RenderableType) -> None:
        self.drawn = drawn

    def __rich_console__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> Iterator[Any]:
        from rich.segment import Segment

        for segment in console.render(self.drawn, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def _console(width: int | None, *, stderr: bool = False) -> rich.console.Console:
    from rich.console import Console

    color_system = None if common().no_color or os.environ.get("NO_COLOR") else "auto"
    return Console(width=width, stderr=stderr, color_system=color_system)  # type: ignore[arg-type]


def cell(name: str, value: Any) -> str:
    """A value of a column as a table shows it."""
    time = time_of(name, value)
    if time is not None:
        return in_zone(time)
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        joiner = "\n" if name == "reasons" else ", "
        items = [cell("", item) for item in value[:LONGEST_LIST]]
        more = [f"and {len(value) - LONGEST_LIST} more"] if len(value) > LONGEST_LIST else []
        return joiner.join([*items, *more])
    return shortened(brief(value), LONGEST_CELL)


# --- times --------------------------------------------------------------------------------------------------


def time_of(column: str, value: Any) -> dt.datetime | None:
    """The time that a value is, in UTC and with its zone; None if it is no time. A date alone is none."""
    from ueba import files

    if column in TIME_COLUMNS and isinstance(value, str) and len(value) > len("2026-01-21"):
        with contextlib.suppress(ValueError):
            return files.aware(dt.datetime.fromisoformat(value))
    if isinstance(value, dt.datetime) and value == value:  # pandas' NaT is a datetime unlike itself
        return files.aware(value)
    return None


def in_zone(time: dt.datetime) -> str:
    """A time as the clock of `--timezone` shows it, without the zone's name."""
    return time.astimezone(common().timezone).replace(tzinfo=None).isoformat(" ")


def moment(time: dt.datetime | str) -> str:
    """The same with the zone's name, for a sentence."""
    from ueba import files

    aware = files.aware(dt.datetime.fromisoformat(time) if isinstance(time, str) else time)
    return f"{in_zone(aware)} {common().timezone}"


# --- notes --------------------------------------------------------------------------------------------------


def wrapped(text: str) -> str:
    """A line as a paragraph for a terminal; what follows its first line stands under its text."""
    import shutil
    import textwrap

    indent = "  " if text.startswith("- ") else ""
    width = max(min(shutil.get_terminal_size((100, 24)).columns, 120), 40)
    return textwrap.fill(
        brief(text), width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def note_damage(root: Path) -> None:
    """Warn of lines of a workspace's verdict log that are not verdicts."""
    from ueba.triage import log as verdicts

    note_damaged(verdicts.read(root).damaged)


def note_damaged(messages: Iterable[str]) -> None:
    """Warn of lines of the verdict log that are not verdicts."""
    for message in messages:
        warn(message)


# --- progress -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Bars on standard error, one for each stage, if it is a terminal; elsewhere `-v` logs the stages."""
    if common().quiet or not sys.stderr.isatty():
        yield _logged
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    description = TextColumn("{task.description}", markup=False)  # it has names of files
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Bars(*columns, console=_console(None, stderr=True))
    stages: dict[str, Any] = {}

    def report(what: str, done: int, total: int) -> None:
        what = shortened(what, LONGEST_BAR)
        if what not in stages or (done == 0 and bars.tasks[stages[what]].finished):
            stages[what] = bars.add_task(what, total=total)
        bars.update(stages[what], completed=done, total=total)

    with bars:
        yield report


def _logged(what: str, done: int, total: int) -> None:
    log.log(logging.INFO if done == total else logging.DEBUG, "%s: %s of %s", what, done, total)


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
