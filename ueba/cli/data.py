"""Commands that bring data: ingest, sources, simulate."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ueba.cli import output
from ueba.cli.setup import Settings, pass_settings
from ueba.text import plain

if TYPE_CHECKING:
    from ueba.contracts.report import IngestReport

FEW_FILES = 5  # so many are shown one by one, more as totals


class Share(click.ParamType[float]):
    """`1%` or `0.01`."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            share = float(str(value).removesuffix("%")) / (100 if str(value).endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is not a share; write it as 1% or 0.01", param, ctx)
        return share


@click.command()
@click.argument("given", nargs=-1, metavar="FILES...")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="auto|NAME|FILE.toml",
    help="Log family (`ueba formats` lists them) or a mapping file; auto looks at the content. And table, json, jsonl or csv: how"
    " to print the report. Give it twice for both.  [default: auto, table]",
)
@click.option(
    "--entities",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Table of people or machines.",
)
@click.option(
    "--epoch",
    metavar="YYYY-MM-DD",
    help="Date from which a format that counts seconds counts.  [default: 1970-01-01]",
)
@click.option(
    "--year",
    type=click.IntRange(1970, 9999),
    help="Of times without one.  [default: guessed by the file's time]",
)
@click.option(
    "--timezone",
    default="UTC",
    show_default=True,
    metavar="ZONE",
    help="Of times without one, as Europe/Berlin.",
)
@click.option(
    "--fail-on-drops",
    type=Share(),
    help="Exit with 1 if a larger share of a file's records could not be used, as 1%.",
)
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@pass_settings
def ingest(
    settings: Settings,
    given: tuple[str, ...],
    formats: tuple[str, ...],
    entities: tuple[Path, ...],
    epoch: str | None,
    year: int | None,
    timezone: str,
    fail_on_drops: float | None,
    as_json: bool,
) -> None:
    """Read log FILES, folders, archives, globs or s3:// addresses into the lake; - is standard input.

    \b
    Every record is an event or is counted as dropped, with the reason and an example. The same content twice
    changes nothing, and neither does the order of files or what they repeat of each other. Exit code 1: a
    file could not be read, or lost too much. A table of entities (--entities) has a column user or host,
    others for aliases, and whatever else is known of them. Example:
      ueba ingest /var/log/siem --entities people.csv
      ueba ingest auth.txt.gz --format lanl --format json
      ueba ingest vpn.csv --format configs/sources/vpn_csv.toml --fail-on-drops 1%
    """
    from ueba import stages
    from ueba.errors import UsageError
    from ueba.ingest.identity import tables
    from ueba.memory import Memory

    shown = [name for name in formats if name in output.FORMATS]
    log_formats = [name for name in formats if name not in output.FORMATS]
    if len(log_formats) > 1 or len(shown) > 1:
        raise UsageError(
            f"--format {' '.join(formats)}: give one log format, and one of {', '.join(output.FORMATS)} for the report"
        )
    if not given and not entities:
        raise UsageError("nothing to read; name log files, or tables with --entities")
    if timezone not in zoneinfo.available_timezones():
        raise UsageError(
            f"--timezone {timezone}: not a zone; use a name of the IANA database, as Europe/Berlin"
        )
    log = replace(stages.log_options(settings.config), year=year, timezone=timezone)
    if epoch is not None:
        log = replace(log, epoch=_date(epoch))
    with settings.workspace.locked(), output.progress() as progress:
        for path in entities:
            output.note(f"{path}: {tables.write(path, settings.workspace.lake):,} entities")
        show = output.file_progress(progress)
        log_format = log_formats[0] if log_formats else "auto"
        memory = Memory(settings.workspace, settings.config)
        reports = stages.read(memory, given, log_format, log, show, output.note)
    settings.workspace.record_run("ingest", {"files": [each.to_dict() for each in reports]})
    print_reports(reports, "json" if as_json else shown[0] if shown else "table")
    fail_if_bad(reports, given, fail_on_drops)


def _date(text: str) -> dt.datetime:
    from ueba.errors import UsageError

    try:
        return dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--epoch {text}: not a date; write it as YYYY-MM-DD") from error


def fail_if_bad(reports: Sequence[IngestReport], given: Sequence[str], limit: float | None = None) -> None:
    """Raises InputError where a file could not be read, or lost more than a limit.

    What lies in a folder or an archive and is no log is told, and no error, unless there is nothing else."""
    from ueba.errors import InputError
    from ueba.ingest.sources import UNKNOWN

    others = [each for each in reports if each.problem and UNKNOWN in each.problem and each.file not in given]
    if len(others) == len(reports):
        others = []
    for each in others:
        output.note(f"{each.file}: {UNKNOWN}; passed over")
    wrong = [each.problem for each in reports if each.problem and each not in others]
    for each in reports:
        lost = sum(each.lost.values())
        if limit is not None and each.lines and lost / each.lines > limit:
            reasons = ", ".join(f"{reason}: {count:,}" for reason, count in each.lost.items())
            wrong.append(
                f"{each.file}: {lost:,} of {each.lines:,} records dropped, over {limit:.2%} ({reasons})"
            )
    if wrong:
        raise InputError("\n".join(wrong))


def print_reports(reports: Sequence[IngestReport], output_format: str) -> None:
    """Few files one by one; of many the totals, and what is wrong."""
    from ueba.ingest import report

    if output_format != "table":
        output.emit([each.to_dict() for each in reports], output_format)
        return
    if len(reports) <= FEW_FILES:
        for each in reports:
            if not each.problem:
                print_report(each)
        return
    output.emit([each._asdict() for each in report.by_format(reports)], "table")
    output.emit([each._asdict() for each in report.reasons(reports)], "table", report.ReasonTotals._fields)
    for each in reports:
        for begin, end in each.gaps:
            click.echo(f"{each.file}: no event from {begin} to {end}, where many were to be expected")


def print_report(each: IngestReport) -> None:
    """What became of one file."""
    again = " (already ingested: nothing changed)" if each.already_ingested else f" in {each.seconds:.1f} s"
    click.echo(
        f"{each.file}: {each.lines:,} lines, {each.events:,} events, {each.edges:,} daily edges{again}"
    )
    if each.days:
        click.echo(
            f"  {each.format}, {each.first} to {each.last}; {each.users:,} users, {each.targets:,} targets"
        )
    if each.repeated:
        click.echo(f"  {each.repeated:,} events are there more than once, and count once")
    if each.evidence:
        click.echo(f"  {each.evidence:,} events tell of entities and make no edge")
    for reason, count in each.dropped.items():
        click.echo(f"  dropped {count:,}: {reason}, as {each.examples[reason]}")
    for reason, count in each.notes.items():
        click.echo(f"  assumed {count:,}: {reason}, as {each.examples[reason]}")
    for begin, end in each.gaps:
        click.echo(f"  no event from {begin} to {end}, where many were to be expected")
    if each.unread_fields:
        click.echo(f"  fields that nothing reads: {plain(', '.join(each.unread_fields))[:500]}")


@click.command()
@click.option(
    "--window-days",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Days of the lake, the last ones, to look at.",
)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Reporters in a table.")
@click.option(
    "--silent",
    "only_silent",
    is_flag=True,
    help="Only those that stopped reporting; exit with 1 if there are any.",
)
@output.format_option
@pass_settings
def sources(settings: Settings, window_days: int, limit: int, only_silent: bool, output_format: str) -> None:
    """Say which machines and log families report, and which fell silent.

    \b
    Silent is who should by its own habits have reported many times since it was last heard, up to the lake's
    last event. Example:
      ueba sources
      ueba sources --silent --format json
    """
    from ueba.ingest import silence

    found = silence.reporters(settings.workspace.lake, window_days, settings.workspace.memory_limit)
    rows = [reporter.row() for reporter in found if reporter.is_silent or not only_silent]
    output.emit(rows[: limit if output_format == "table" else None], output_format, silence.COLUMNS)
    if only_silent and rows:
        raise SystemExit(1)


@click.command()
@output.format_option
def formats(output_format: str) -> None:
    """List the log formats that `ueba ingest` reads.

    \b
    Example:
      ueba formats
    """
    from ueba.ingest import sources as known

    output.emit([{"format": name, "what": what} for name, what in known.formats().items()], output_format)


@click.command()
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write to.",
)
@click.option(
    "--users", default=260, show_default=True, help="People; service and administrator accounts come on top."
)
@click.option("--days", default=24, show_default=True, help="Days, of which the last eight hide attacks.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same organisation.")
@click.option("--campaigns", default=3, show_default=True, help="Hidden attacks of each kind.")
@click.option(
    "--strength",
    default=1.0,
    show_default=True,
    help="How visible they are: more steps, farther from colleagues.",
)
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
    output.note(
        f"{len(world.events):,} events in {folder}; {len(world.labels):,} of them are labelled in labels.csv"
    )


COMMANDS = (ingest, formats, sources, simulate)
