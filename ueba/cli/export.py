"""The command that hands incidents to other tools: export."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ueba.cli import output
from ueba.cli.output import Day
from ueba.cli.setup import Settings, pass_settings
from ueba.investigate.export import EVENTS, FORMATS

if TYPE_CHECKING:
    from ueba.contracts.incident import Incident


@click.command()
@click.argument("form", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--day", type=Day(), help="The incidents of this day.  [default: the last scored day]")
@click.option("--from", "first", type=Day(), help="First day.")
@click.option("--to", "last", type=Day(), help="Last day.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also the incidents that rules hide; those named are always there.",
)
@click.option(
    "--output",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; - is standard output.",
)
@click.option(
    "--webhook",
    metavar="URL",
    help="POST each record (ocsf, ecs) there; a token comes from UEBA_WEBHOOK_TOKEN.",
)
@pass_settings
def export(
    settings: Settings,
    form: str,
    ids: tuple[str, ...],
    day: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    everything: bool,
    path: Path | None,
    webhook: str | None,
) -> None:
    """Write incidents for another tool: those named, or those of scored days. IDs may be cut short.

    \b
    FORMAT is one of
      ocsf            Detection Finding 2004, JSON lines: SIEMs, security lakes
      ecs             Elastic Common Schema alerts, JSON lines
      csv             a row for each edge, safe to open in a spreadsheet
      timesketch      a row for each event and for the incident, JSON lines
      opengraph       BloodHound OpenGraph; load it before
      opengraph-link  its links to the nodes of Active Directory
    Exported again it is the same again, with the same ids.
    Example:
      ueba export ocsf --day 2026-01-21 --output findings.jsonl
    """
    from ueba import files, findings
    from ueba.errors import UsageError
    from ueba.investigate.export import text
    from ueba.investigate.export import webhook as hook
    from ueba.investigate.export.cases import cases
    from ueba.triage import log

    output.in_order(first, last)
    output.note_damage(settings.workspace.root)
    folder, days = settings.workspace.findings, (day, first, last)
    if ids and any(days):
        raise UsageError("give IDs or days, not both")
    if webhook is not None:
        if form not in hook.FORMATS:
            raise UsageError(
                f"--webhook takes {' or '.join(hook.FORMATS)}; write {form} to a file and load that"
            )
        hook.checked(webhook, os.environ.get(hook.TOKEN))
    chosen = _named(folder, ids) if ids else findings.choose_incidents(folder, *days)
    if not ids and not everything:
        chosen = findings.reported(chosen, log.read(settings.workspace.root).words)
    found = list(cases(settings.workspace, chosen, EVENTS.get(form, 0)))
    if not found:
        output.note(f"no incident on the days asked for; scored days: {findings.days_text(folder)}")
    if path is not None or webhook is None:
        content = text(form, found)
        if path is None or str(path) == "-":
            click.echo(content, nl=False)
        else:
            files.write_text(path, content)
            output.note(f"{len(found)} incidents in {path}")
    if webhook is not None:
        count = hook.deliver(webhook, form, found, os.environ.get(hook.TOKEN))
        output.note(f"{count} incidents delivered")


def _named(folder: Path, ids: tuple[str, ...]) -> tuple[Incident, ...]:
    """Incidents by their ids, each once."""
    from ueba import findings

    found = [findings.find_incident(folder, each) for each in ids]
    return tuple({incident.id: incident for incident in found}.values())


COMMANDS = (export,)
