"""Commands that find: train, score, incidents, nightly, backtest."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ueba.cli import output
from ueba.cli.output import Day
from ueba.cli.setup import Settings, pass_settings

INCIDENT_COLUMNS = (
    "day",
    "rank",
    "id",
    "score",
    "p_value",
    "edges",
    "users",
    "machines",
    "verdict",
    "reasons",
)
EDGE_COLUMNS = ("day", "user", "source", "target", "surprise", "p_value", "incident", "reasons")


@click.command()
@click.option("--until", type=Day(), help="Last day to learn from.  [default: the last but one in the lake]")
@pass_settings
def train(settings: Settings, until: dt.date | None) -> None:
    """Learn what is normal from the lake.

    \b
    The last day is left out unless --until names it, so that it can be scored.
    Example:
      ueba train --until 2026-01-20
    """
    from ueba import stages

    with settings.workspace.locked(), output.progress() as report:
        until = until or stages.last_day(settings.workspace) - dt.timedelta(days=1)
        model = stages.train(settings.workspace, until, settings.config, report)
    settings.workspace.record_run("train", model.facts)
    output.note(
        f"trained on {model.facts['first_day']} to {model.facts['trained_until']}; next: ueba score --day DAY"
    )


@click.command()
@click.argument("file", required=False)
@click.option(
    "--format",
    "log_format",
    default="auto",
    show_default=True,
    metavar="auto|NAME|FILE.toml",
    help="Of FILE.",
)
@click.option("--day", type=Day(), help="Score this day of the lake, and keep its incidents.")
@click.option("--output-format", type=click.Choice(output.FORMATS), default="table", show_default=True)
@click.option("--limit", default=20, show_default=True, help="Rows of a table; the other formats print all.")
@pass_settings
def score(
    settings: Settings, file: str | None, log_format: str, day: dt.date | None, output_format: str, limit: int
) -> None:
    """Score new edges: every edge of a log FILE (- is standard input), or a day of the lake.

    \b
    Edges of a FILE are scored and printed, and nothing is kept. A day's incidents are kept, see `ueba
    incidents`. Without either, the last day of the lake is scored. Example:
      ueba score new.csv --format configs/sources/vpn_csv.toml --output-format jsonl
      ueba score --day 2026-01-21
    """
    from ueba import stages
    from ueba.detect.findings import SCHEMA_VERSION, records
    from ueba.errors import UsageError

    output.note_damage(settings.workspace.root)
    if file is not None and day is not None:
        raise UsageError(
            "give a FILE or --day, not both: `ueba ingest` the file first to score it as a day of the lake"
        )
    if file is None:
        with settings.workspace.locked():
            day = day or stages.last_day(settings.workspace)
            found = [stages.score(settings.workspace, day, settings.config)]
        output.note(f"{day}: {len(found[0].incidents)} incidents kept; see `ueba incidents --day {day}`")
    else:
        found = list(stages.score_file(settings.workspace, file, log_format, settings.config))
    rows = [row for finding in found for row in records(finding.edges[list(EDGE_COLUMNS)])]
    rows.sort(key=lambda row: -row["surprise"])
    output.emit(
        [
            {"schema_version": SCHEMA_VERSION, **row}
            for row in rows[: limit if output_format == "table" else None]
        ],
        output_format,
        EDGE_COLUMNS,
    )


@click.command()
@click.option("--day", type=Day(), help="Only this day.")
@click.option("--from", "first", type=Day(), help="First day.")
@click.option("--to", "last", type=Day(), help="Last day.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Incidents of a day to show, worst first.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Every incident, also those that rules hide, see `ueba triage rules`.",
)
@output.format_option
@pass_settings
def incidents(
    settings: Settings,
    day: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    limit: int,
    everything: bool,
    output_format: str,
) -> None:
    """List the incidents of scored days, ranked. Without days: the last scored day.

    \b
    Example:
      ueba incidents --from 2026-01-18 --limit 3
    """
    from ueba.detect import archive, feedback

    output.in_order(first, last)
    folder = settings.workspace.findings
    found = archive.incidents_of(folder, day, first, last)
    if not found:
        output.note(f"no incident on the days asked for; days that were scored: {archive.listed(folder)}")
    output.note_damage(settings.workspace.root)
    said = feedback.words(settings.workspace.root)
    shown = found if everything else archive.reported(found, said)
    if len(shown) < len(found):
        output.note(f"incidents that rules hide: {len(found) - len(shown)}; --all shows them")
    judged = [  # what rules hide has a rank after all others, so the limit is not for what is shown all the same
        {**incident, "verdict": said.get(incident["id"])}
        for incident in shown
        if everything or incident["rank"] <= limit or incident.get("suppressed_by")
    ]
    columns = (
        *INCIDENT_COLUMNS,
        *(["suppressed_by"] if any(incident.get("suppressed_by") for incident in shown) else []),
    )
    _emit_incidents(judged, output_format, columns)


def _emit_incidents(found: Sequence[dict[str, Any]], output_format: str, columns: Sequence[str]) -> None:
    """For a person who, how many, and the first reason; the rest is for `ueba explain`. The other formats
    have all."""
    from ueba.detect import archive

    if output_format == "table":
        found = [
            {
                **each,
                "users": _few(each["users"]),
                "machines": len(each["machines"]),
                "reasons": archive.headline(each["reasons"]),
            }
            for each in found
        ]
    output.emit(found, output_format, columns)


def _few(names: Sequence[str], most: int = 2) -> list[str]:
    return [*names[:most], *([f"and {len(names) - most} more"] if len(names) > most else [])]


@click.command()
@click.argument("files", nargs=-1)
@click.option(
    "--format",
    "log_format",
    default="auto",
    show_default=True,
    metavar="auto|NAME|FILE.toml",
    help="Of FILES.",
)
@click.option("--output-format", type=click.Choice(output.FORMATS), default="table", show_default=True)
@pass_settings
def nightly(settings: Settings, files: tuple[str, ...], log_format: str, output_format: str) -> None:
    """What cron runs: ingest FILES that arrived, load the graph, score the last day, train. Again changes
    nothing.

    \b
    Example:
      ueba nightly /var/log/siem/2026-01-21
    """
    from ueba.cli.data import fail_if_bad
    from ueba.detect import archive, feedback
    from ueba.ingest import IngestReport
    from ueba.nightly import nightly as run

    output.note_damage(settings.workspace.root)
    with output.progress() as report:
        facts = run(settings.workspace, files, log_format, settings.config, os.environ, report)
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in facts["seconds"].items())
    found = archive.reported(facts["incidents"], feedback.words(settings.workspace.root))
    output.note(f"{facts['day']}: {len(found)} incidents; {stages}")
    _emit_incidents(found, output_format, INCIDENT_COLUMNS)
    fail_if_bad([IngestReport.from_dict(each) for each in facts["ingested"]], files)


@click.command()
@click.option("--train-until", type=Day(), required=True, help="Last day of the first training.")
@click.option("--from", "first", type=Day(), required=True, help="First day to score.")
@click.option("--to", "last", type=Day(), required=True, help="Last day to score.")
@click.option("--budget", type=click.IntRange(1), default=10, show_default=True, help="Incidents a day.")
@click.option(
    "--retrain-days", type=click.IntRange(1), default=7, show_default=True, help="Days between trainings."
)
@click.option("--output", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
@pass_settings
def backtest(
    settings: Settings,
    train_until: dt.date,
    first: dt.date,
    last: dt.date,
    budget: int,
    retrain_days: int,
    folder: Path,
) -> None:
    """Walk forward through past days: score each with what was known before it, then learn it.

    \b
    Writes edges.parquet (the strangest edges of each day) and incidents.parquet to --output.
    Example:
      ueba backtest --train-until 2026-01-14 --from 2026-01-15 --to 2026-01-28 --budget 10 --output backtest
    """
    from dataclasses import replace

    from ueba import backtest as walk

    config = replace(settings.config, incidents=replace(settings.config.incidents, budget=budget))
    with output.progress() as report:
        result = walk.backtest(
            settings.workspace.lake, train_until, first, last, config, retrain_days, report
        )
    walk.write(result, folder)
    settings.workspace.record_run("backtest", {"seconds": result.seconds, "trainings": result.trainings})
    days = result.edges["day"].nunique()
    output.note(
        f"{days} days, {len(result.incidents)} incidents in {folder}; {len(result.trainings)} trainings"
        f" {result.seconds['train']:.1f} s, scoring {result.seconds['score']:.1f} s"
    )


COMMANDS = (train, score, incidents, nightly, backtest)
