"""Commands that bring data: ingest, formats, sources, simulate."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ueba.cli import output
from ueba.cli.common import Settings, Zone, command, pass_settings
from ueba.cli.options import (
    Share,
    Time,
    format_option,
    limit_option,
    log_format_option,
    output_option,
    seed_option,
    strength_option,
)
from ueba.contracts import versions
from ueba.text import plain

if TYPE_CHECKING:
    from ueba.contracts.report import IngestReport
    from ueba.ingest import Options

SIMULATED = ("lanl", "csv", "windows", "ocsf")  # log formats that `ueba.simulate.formats` writes
FEW_FILES = 5  # so many are shown one by one, more as totals


def log_time_options(function: Any) -> Any:
    """What a log leaves out of its times: the zone, the year, the day from which seconds count."""
    for option in (
        click.option(
            "--log-timezone",
            type=Zone(),
            default="UTC",
            show_default=True,
            help="Zone of log times that name none, as Europe/Berlin.",
        ),
        click.option(
            "--log-year",
            type=click.IntRange(1970, 9999),
            metavar="YEAR",
            help="Year of the first log time that names none.  [default: guessed by the file's time]",
        ),
        click.option(
            "--log-epoch",
            type=Time(),
            help="When a log that counts seconds begins to count.  [default: ingest.epoch]",
        ),
    ):
        function = option(function)
    return function


@command()
@click.argument("paths", nargs=-1, metavar="FILES...")
@log_format_option
@log_time_options
@click.option(
    "--entities",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Table of people, machines or resources; may be given again.",
)
@click.option(
    "--fail-on-drops",
    type=Share(),
    help="Exit with 1 if a larger share of a file's records is dropped, as 1%.",
)
@format_option()
@pass_settings
def ingest(
    settings: Settings,
    paths: tuple[str, ...],
    log_format: str,
    entities: tuple[Path, ...],
    fail_on_drops: float | None,
    output_format: str,
    **times: Any,
) -> None:
    """Read log FILES, folders, archives, globs or s3:// addresses into the lake; - is standard input.

    Every record becomes an event or is counted as dropped, with the reason and an example. Reading the same
    content again changes nothing; neither does the order of files, nor records that two files share.

    A file that is missing or cannot be read does not stop the others: they are read, and the exit code is 1.

    A table of entities has a column user or host, columns of aliases, and further columns of facts about
    them. The columns crown_jewel, honey, left (the last day) and maintenance change the ranks of edges, see
    docs/triage.md.

    \b
    Example:
      ueba ingest /var/log/siem --entities people.csv
      ueba ingest auth.txt.gz --log-format lanl --format json
      ueba ingest vpn.csv --log-format configs/sources/vpn_csv.toml --fail-on-drops 1%
    """
    from ueba.errors import UsageError

    if not paths and not entities:
        raise UsageError("nothing to read; name log files, or tables with --entities")
    log = log_times(settings, **times)
    reports = read(settings, paths, log_format, log, entities)
    print_reports(reports, output_format)
    fail_if_bad(reports, paths, fail_on_drops)


def log_times(
    settings: Settings,
    log_timezone: zoneinfo.ZoneInfo,
    log_year: int | None,
    log_epoch: dt.datetime | None,
) -> Options:
    """What the user says about the times of logs, over what the settings say."""
    from ueba import stages

    options = replace(stages.log_options(settings.config), year=log_year, timezone=log_timezone.key)
    return options if log_epoch is None else replace(options, epoch=log_epoch)


def read(
    settings: Settings, paths: Sequence[str], log_format: str, log: Options, entities: Sequence[Path]
) -> list[IngestReport]:
    """Read tables of entities and log files into the lake, with progress, and record the run."""
    from ueba import stages
    from ueba.ingest.identity import tables
    from ueba.memory import Memory

    memory = Memory(settings.workspace, settings.config)
    with settings.workspace.locked(), output.progress() as progress:
        for path in entities:
            output.note(f"{path}: {tables.write(path, settings.workspace.lake):,} entities")
        watched = output.file_progress(progress)
        reports = stages.read(memory, paths, log_format, log, watched, output.note)
    settings.workspace.record_run("ingest", {"files": [account.to_dict() for account in reports]})
    return reports


def fail_if_bad(reports: Sequence[IngestReport], paths: Sequence[str], limit: float | None = None) -> None:
    """Raises InputError if a file could not be read, or more than a share `limit` of its records was dropped.

    A file of a folder or an archive that is no log is only noted, unless all files are such."""
    from ueba.errors import InputError
    from ueba.ingest.sources import UNKNOWN

    others = [
        account
        for account in reports
        if account.problem and UNKNOWN in account.problem and account.file not in paths
    ]
    if len(others) == len(reports):
        others = []
    for account in others:
        output.note(f"{account.file}: {UNKNOWN}; passed over")
    wrong = [problem(account) for account in reports if account.problem and account not in others]
    for account in reports:
        lost = sum(account.lost.values())
        if limit is not None and account.lines and lost / account.lines > limit:
            reasons = ", ".join(f"{reason}: {count:,}" for reason, count in account.lost.items())
            share = f"{lost:,} of {account.lines:,} records dropped, over {limit:.2%}"
            wrong.append(f"{plain(account.file)}: {share} ({reasons})")
    if wrong:
        raise InputError("\n".join(wrong))


def problem(account: IngestReport) -> str:
    """What is wrong with a file; a line break in its name, which an archive may give it, begins no line."""
    return (account.problem or "").replace(account.file, plain(account.file))


def print_reports(reports: Sequence[IngestReport], output_format: str) -> None:
    """Few files one by one; of many the totals, and what is wrong."""
    from ueba.ingest import report

    if output_format != "table":
        output.emit([row.to_dict() for row in reports], output_format, versions.INGEST_REPORT)
        return
    if len(reports) <= FEW_FILES:
        for row in reports:
            if not row.problem:
                print_report(row)
        return
    output.table([row._asdict() for row in report.by_format(reports)])
    output.table([row._asdict() for row in report.reasons(reports)], report.ReasonTotals._fields)
    for account in reports:
        for begin, end in account.gaps:
            output.line(f"{account.file}: no event from {span(begin, end)}, where many were to be expected")


def span(begin: dt.datetime | None, end: dt.datetime | None) -> str:
    """Two times in the zone of the output; empty without events."""
    return "" if begin is None or end is None else f"{output.moment(begin)} to {output.moment(end)}"


def print_report(account: IngestReport) -> None:
    """What became of one file."""
    again = (
        " (already ingested: nothing changed)" if account.already_ingested else f" in {account.seconds:.1f} s"
    )
    output.line(
        f"{account.file}: {account.lines:,} lines, {account.events:,} events,"
        f" {account.edges:,} daily edges{again}"
    )
    if account.days:
        output.line(
            f"  {account.format}, {span(account.first, account.last)};"
            f" {account.users:,} users, {account.targets:,} targets"
        )
    if account.repeated:
        output.line(f"  {account.repeated:,} events are there more than once, and count once")
    if account.evidence:
        output.line(f"  {account.evidence:,} events are about entities and make no edge")
    for reason, count in account.dropped.items():
        output.line(f"  dropped {count:,}: {reason}, as {account.examples[reason]}")
    for reason, count in account.notes.items():
        output.line(f"  assumed {count:,}: {reason}, as {account.examples[reason]}")
    for begin, end in account.gaps:
        output.line(f"  no event from {span(begin, end)}, where many were to be expected")
    if account.unread_fields:
        output.line(f"  fields that nothing reads: {', '.join(account.unread_fields)[:500]}")


@command()
@click.option(
    "--window-days",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Days of the lake, the last ones, to look at.",
)
@limit_option(20, "Rows of a table; the other formats print all.")
@click.option(
    "--silent",
    "only_silent",
    is_flag=True,
    help="Only those that stopped reporting; exit with 1 if there are any.",
)
@format_option()
@pass_settings
def sources(settings: Settings, window_days: int, limit: int, only_silent: bool, output_format: str) -> None:
    """List the machines and log sources that report, and those that fell silent.

    A reporter is silent if by its own habits it should have reported many times between its last event and
    the last event of the lake.

    \b
    Example:
      ueba sources
      ueba sources --silent --format json
    """
    from ueba.ingest import silence

    found = silence.reporters(settings.workspace.lake, window_days, settings.workspace.memory_limit)
    rows = [reporter.row() for reporter in found if reporter.is_silent or not only_silent]
    shown = rows[:limit] if output_format == "table" else rows
    output.emit(shown, output_format, versions.REPORTER, silence.COLUMNS)
    if only_silent and rows:
        raise click.exceptions.Exit(1)


@command()
@format_option()
def formats(output_format: str) -> None:
    """List the log formats that `ueba ingest` reads.

    \b
    Example:
      ueba formats
    """
    from ueba.ingest import sources as log_sources

    rows = [{"format": name, "what": what} for name, what in log_sources.formats().items()]
    output.emit(rows, output_format, versions.LOG_FORMAT)


@command()
@output_option("folder", "Folder to write to.", folder=True, required=True)
@click.option(
    "--users",
    type=int,
    default=260,
    show_default=True,
    help="People; service and administrator accounts come on top.",
)
@click.option(
    "--days", type=int, default=24, show_default=True, help="Days, of which the last eight have attacks."
)
@seed_option("The same seed gives the same organisation.")
@click.option(
    "--campaigns",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Attack campaigns of each kind.",
)
@strength_option
@click.option(
    "--log-format",
    "log_formats",
    type=click.Choice(SIMULATED),
    multiple=True,
    default=("lanl", "csv"),
    show_default=True,
    help="Log format to write; may be given again.",
)
def simulate(folder: Path, log_formats: tuple[str, ...], **organisation: Any) -> None:
    """Simulate an organisation with hidden attacks. Writes its log, labels.csv and people.csv.

    The log is auth.txt.gz (lanl), events.csv (csv), windows.jsonl.gz (windows) and ocsf.jsonl.gz (ocsf).

    \b
    Example:
      ueba simulate --output simulated && ueba ingest simulated/auth.txt.gz
      ueba simulate --output simulated --users 1000 --days 40 --log-format windows --log-format ocsf
    """
    from ueba import simulate as simulation
    from ueba.simulate import formats, writers

    world = simulation.simulate(simulation.Organisation(**organisation))
    for log_format in log_formats:
        formats.write(world.events, log_format, folder)
    writers.write_labels(world.labels, folder / "labels.csv")
    writers.write_staff(world.staff, folder / "people.csv")
    output.note(f"{len(world.events):,} events in {folder}; {len(world.labels):,} of them in labels.csv")


COMMANDS = (ingest, formats, sources, simulate)
