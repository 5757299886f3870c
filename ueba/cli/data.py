"""Commands that bring data: ingest, simulate."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

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
def simulate(folder: Path, users: int, days: int, seed: int) -> None:
    """Simulate an organisation with hidden attacks: auth.txt.gz (LANL format), events.csv and labels.csv.

    \b
    Example:
      ueba simulate --output simulated && ueba ingest simulated/auth.txt.gz --format lanl
    """
    from ueba import simulate as simulation

    organisation = simulation.Organisation(users=users, days=days, seed=seed)
    events, labels = simulation.simulate(organisation)
    folder.mkdir(parents=True, exist_ok=True)
    epoch = dt.datetime(1970, 1, 1)
    simulation.write_lanl(events, folder / "auth.txt.gz", epoch)
    simulation.write_csv(events, folder / "events.csv")
    simulation.write_labels(labels, folder / "labels.csv")
    output.note(f"{len(events):,} events of {days} days in {folder}; {len(labels):,} of them are labelled in labels.csv")


COMMANDS = (ingest, simulate)
