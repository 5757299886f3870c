"""The command that writes a day's report."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from ueba.cli import output
from ueba.cli.output import Day
from ueba.cli.setup import Settings, pass_settings


@click.command()
@click.argument("day", type=Day(), required=False)
@click.option(
    "--output",
    "path",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="File to write, - is standard output.  [default: ueba-report-DAY.html]",
)
@pass_settings
def report(settings: Settings, day: dt.date | None, path: Path | None) -> None:
    """Write a scored day, by default the last, as one page of HTML to read, to print and to pass on.

    \b
    It holds the incidents with pictures, a timeline, who comes back, and how far to believe it: calibration,
    ingest, model. Example:
      ueba report 2026-01-21 --output monday.html
    """
    from ueba import files, findings
    from ueba.investigate import report as reports

    output.note_damage(settings.workspace.root)
    day = day or findings.last_scored(settings.workspace.findings)
    page = reports.page(settings.workspace, day, settings.config)
    if path == Path("-"):
        click.echo(page, nl=False)
        return
    path = path or Path(f"ueba-report-{day}.html")
    files.write_text(path, page)
    output.note(f"report of {day}: {path}")


COMMANDS = (report,)
