"""The command that writes a day's report."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import Day, output_option


@command()
@click.argument("day", type=Day(), required=False)
@output_option("path", "File to write, - is standard output.  [default: ueba-report-DAY.html]")
@pass_settings
def report(settings: Settings, day: dt.date | None, path: Path | None) -> None:
    """Write a scored day, by default the last, as one page of HTML to read, to print and to pass on.

    It has the incidents with pictures, a timeline, the users and machines that come back, and what speaks for
    and against trusting it: calibration, ingest, model.

    \b
    Example:
      ueba report 2026-01-21 --output monday.html
    """
    from ueba import files, findings
    from ueba.investigate.report.page import page

    output.note_damage(settings.workspace.root)
    day = day or findings.last_scored(settings.workspace.findings)
    html = page(settings.workspace, day, settings.config)
    if path == Path("-"):
        output.echo(html, end="")
        return
    path = path or Path(f"ueba-report-{day}.html")
    files.write_text(path, html)
    output.note(f"report of {day}: {path}")


COMMANDS = (report,)
