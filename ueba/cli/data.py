"""Commands that bring data: ingest, simulate."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

from ueba.cli import output
from ueba.cli.setup import Settings, pass_settings


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--format", "log_format", required=True, metavar="lanl|FILE.toml", help="Log family, or a mapping file.")
@click.option("--epoch", metavar="YYYY-MM-DD", help="Date from which a format that counts seconds counts.  [default: 1970-01-01]")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@pass_settings
def ingest(settings: Settings, files: tuple[str, ...], log_format: str, epoch: str | None, as_json: bool) -> None:
    """Read log FILES into the lake; - is standard input. The same content twice changes nothing.

    \b
    Every line is an event or is counted as dropped, with the reason and an example.
    Example:
      ueba ingest auth.txt.gz --format lanl
      ueba ingest vpn.csv --format configs/sources/vpn_csv.toml
    """
    from ueba import stages
    from ueba.errors import UsageError

    options = {}
    if epoch is not None:
        try:
            options["epoch"] = dt.datetime.fromisoformat(epoch)
        except ValueError as error:
            raise UsageError(f"--epoch {epoch}: not a date; write it as YYYY-MM-DD") from error
    reports = []
    with settings.workspace.locked(), output.progress() as report:
        for path in files:
            shown = output.read_progress(report, path)
            reports.append(stages.read(settings.workspace, path, log_format, settings.config, progress=shown, **options))
    for each in reports:
        settings.workspace.record_run("ingest", each.to_dict())
    if as_json:
        output.emit([each.to_dict() for each in reports], "json")
        return
    for each in reports:
        again = " (already ingested: nothing changed)" if each.already_ingested else f" in {each.seconds:.1f} s"
        click.echo(f"{each.file}: {each.lines:,} lines, {each.events:,} events, {each.edges:,} daily edges{again}")
        if each.days:
            click.echo(f"  {each.days[0]} to {each.days[-1]}; {each.users:,} users, {each.targets:,} targets")
        for reason, count in each.dropped.items():
            click.echo(f"  dropped {count:,}: {reason}, as {each.examples[reason]}")


@click.command()
@click.option("--output", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--users", default=260, show_default=True, help="People; service and administrator accounts come on top.")
@click.option("--days", default=24, show_default=True, help="Days, of which the last eight hide attacks.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same organisation.")
@click.option("--campaigns", default=3, show_default=True, help="Hidden attacks of each kind.")
@click.option("--strength", default=1.0, show_default=True, help="How visible they are: more steps, farther from colleagues.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(["lanl", "csv", "windows", "ocsf"]),
    multiple=True,
    default=("lanl", "csv"),
    show_default=True,
    help="What to write; give it several times for several.",
)
def simulate(folder: Path, formats: tuple[str, ...], **settings: Any) -> None:
    """Simulate an organisation with hidden attacks. Writes its log, labels.csv and people.csv.

    \b
    The log is auth.txt.gz (lanl), events.csv (csv), windows.jsonl.gz (windows) and ocsf.jsonl.gz (ocsf).
    Example:
      ueba simulate --output simulated && ueba ingest simulated/auth.txt.gz --format lanl
      ueba simulate --output simulated --users 1000 --days 40 --strength 0.5 --format windows --format ocsf
    """
    from ueba import simulate as simulation
    from ueba.simulate import formats as known
    from ueba.simulate import writers

    world = simulation.simulate(simulation.Organisation(**settings))
    folder.mkdir(parents=True, exist_ok=True)
    for log_format in formats:
        known.write(world.events, log_format, folder)
    writers.write_labels(world.labels, folder / "labels.csv")
    writers.write_staff(world.staff, folder / "people.csv")
    output.note(f"{len(world.events):,} events in {folder}; {len(world.labels):,} of them are labelled in labels.csv")


COMMANDS = (ingest, simulate)
