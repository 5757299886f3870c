"""What the user asked of the terminal, and the only functions that print.

Text from logs, archives, servers and other people's files passes here on its way out, on standard output as
on standard error: nothing of it steers the terminal, whoever wrote it. What a command prints itself may have
several lines; a note, a warning and a line have one, so that no name can begin another.

A reader may leave early, as `head` does: the command then goes on without printing, and its exit code stays
its own.
"""

from __future__ import annotations

import os
import sys
import zoneinfo
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from ueba.text import brief, visible

WORKSPACE = Path("ueba-workspace")
KEY = "ueba.cli.terminal"  # in the `meta` that all contexts of one call share


@dataclass
class Common:
    """The common options of one call. sources: option -> where its value comes from, if it was given."""

    workspace: Path = WORKSPACE
    config: Path | None = None
    quiet: bool = False
    verbose: int = 0  # 1: INFO, 2: DEBUG
    no_color: bool = False
    timezone: zoneinfo.ZoneInfo = field(default_factory=lambda: zoneinfo.ZoneInfo("UTC"))
    sources: dict[str, str] = field(default_factory=dict)


def common() -> Common:
    """The common options of the call in progress; the defaults outside of one."""
    context = click.get_current_context(silent=True)
    if context is None:
        return Common()
    return context.meta.setdefault(KEY, Common())  # type: ignore[no-any-return]


def silence(stream: Any) -> None:
    """Send what is still written to a stream nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def echo(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print text of one line or several."""
    _write(visible(text) + end, err)


def echo_drawn(text: str) -> None:
    """Print what `rich` has drawn, with its colours: `ueba.cli.output` has cleaned each piece of it."""
    _write(text, err=False)


def line(text: str, *, err: bool = False) -> None:
    """Print one line, not longer than a person reads."""
    echo(brief(text), err=err)


def note(message: str) -> None:
    """A line for the person at the terminal, on standard error; `--quiet` leaves it out."""
    if not common().quiet:
        warn(message)


def warn(message: str) -> None:
    """A line on standard error that `--quiet` does not leave out."""
    line(message, err=True)


def _write(text: str, err: bool) -> None:
    try:
        click.echo(text, err=err, nl=False, color=False if common().no_color else None)
    except BrokenPipeError:
        silence(sys.stderr if err else sys.stdout)
