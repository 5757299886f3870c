"""The command that hands incidents to other tools: export."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import Often, at_most_option, day_option, hidden_option, output_option, span_options
from ueba.cli.rarity import rare
from ueba.investigate.export import EVENTS, FORMATS

if TYPE_CHECKING:
    from ueba.contracts.incident import Incident
    from ueba.investigate.export.alerts import Alert


@command()
@click.argument("form", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("ids", metavar="[ID]...", nargs=-1)
@day_option("The incidents of this day.  [default: the last scored day]")
@span_options()
@at_most_option("incidents")
@hidden_option
@output_option("path", "File to write, - is standard output.  [default: -]")
@click.option(
    "--webhook",
    metavar="URL",
    help="POST each record (ocsf, ecs) there; the variable UEBA_WEBHOOK_TOKEN holds a token.",
)
@pass_settings
def export(
    settings: Settings,
    form: str,
    ids: tuple[str, ...],
    day: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    at_most: Often | None,
    everything: bool,
    path: Path | None,
    webhook: str | None,
) -> None:
    """Write incidents for another tool: those with the IDs, or those of scored days. IDs may be cut short.

    \b
    FORMAT is one of
      ocsf            Detection Finding 2004, JSON lines: SIEMs, security lakes
      ecs             Elastic Common Schema alerts, JSON lines
      csv             a row for each edge, safe to open in a spreadsheet
      timesketch      a row for each event and for the incident, JSON lines
      opengraph       BloodHound OpenGraph; load it before
      opengraph-link  its links to the nodes of Active Directory

    With --at-most the incidents of these days that come so rarely are written instead of those within the
    budget: docs/periods.md.

    Another export of the same incidents has the same records with the same ids. An incident that is named by
    its ID is exported also if rules hide it.

    \b
    Example:
      ueba export ocsf --day 2026-01-21 --output findings.jsonl
      ueba export ecs --at-most 0.3/day --webhook https://siem.corp.example/alerts
    """
    from ueba.investigate.export.alerts import alerts

    output.note_damage(settings.workspace.root)
    check_webhook(webhook, form)
    chosen = choose(settings, ids, (day, first, last), everything, at_most)
    found = list(alerts(settings.workspace, chosen, EVENTS.get(form, 0)))
    if path is not None or webhook is None:
        write(form, found, path)
    if webhook is not None:
        from ueba.investigate.export import webhook as hook

        count = hook.deliver(webhook, form, found, os.environ.get(hook.TOKEN))
        output.note(f"{count} incidents delivered")


def check_webhook(url: str | None, form: str) -> None:
    """Raises UsageError if records cannot be sent there."""
    from ueba.errors import UsageError
    from ueba.investigate.export import webhook as hook

    if url is None:
        return
    if form not in hook.FORMATS:
        raise UsageError(f"--webhook takes {' or '.join(hook.FORMATS)}; write {form} to a file and load that")
    hook.checked(url, os.environ.get(hook.TOKEN))
    if hook.in_clear(url):
        output.warn("--webhook: everybody on the way can read the incidents; https:// hides them")


def choose(
    settings: Settings,
    ids: Sequence[str],
    days: tuple[dt.date | None, dt.date | None, dt.date | None],
    everything: bool,
    at_most: Often | None,
) -> Sequence[Incident]:
    """The incidents with the ids, each once, or those of days. Raises UsageError if both are asked for, or
    ids and a rate."""
    from ueba import findings
    from ueba.errors import UsageError
    from ueba.investigate import periods
    from ueba.triage import log

    folder = settings.workspace.findings
    if ids and any(days):
        raise UsageError("give IDs or days, not both")
    if ids and at_most:
        raise UsageError("--at-most chooses among the incidents of days; leave it out, or the IDs")
    if ids:
        incidents = [findings.find_incident(folder, incident_id) for incident_id in ids]
        return list({incident.id: incident for incident in incidents}.values())
    verdicts = log.read(settings.workspace.root).words
    chosen = findings.choose_incidents(folder, *days, below=at_most is not None)
    if not everything:
        chosen = findings.reported(chosen, verdicts)
    if chosen and at_most is not None:
        return rare(chosen, periods.of_incidents(folder, verdicts, chosen), at_most, "incident")
    if not chosen:
        output.note(f"no incident on the days asked for; scored days: {findings.days_text(folder)}")
    return chosen


def write(form: str, found: Sequence[Alert], path: Path | None) -> None:
    """Write incidents in a format to a file or to standard output."""
    from ueba import files
    from ueba.investigate.export import text

    content = text(form, found)
    if path is None or str(path) == "-":
        output.echo(content, end="")
    else:
        files.write_text(path, content)
        output.note(f"{len(found)} incidents in {path}")


COMMANDS = (export,)
