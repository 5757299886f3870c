"""Commands that find: train, score, incidents, nightly, backtest."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import (
    Day,
    Often,
    at_most_option,
    day_option,
    format_option,
    hidden_option,
    is_given,
    limit_option,
    log_format_option,
    numbers_option,
    output_option,
    span_options,
)
from ueba.cli.rarity import rare
from ueba.cli.suspects import note_reviewed
from ueba.contracts import versions

if TYPE_CHECKING:
    from ueba.contracts.incident import Incident
    from ueba.contracts.period import Period
    from ueba.contracts.scored import ScoredEdge
    from ueba.findings import Findings

INCIDENT_COLUMNS = (
    "day",
    "rank",
    "id",
    "how_often",
    "edges",
    "users",
    "machines",
    "resources",
    "verdict",
    "why",
)
NUMBERS = ("score", "period_days", "period_is_bound", "p_value")  # columns for those who want them
EDGE_COLUMNS = ("day", "user", "source", "target", "how_rare", "incident", "reasons")
EDGE_NUMBERS = ("surprise", "p_value")


@command()
@click.option("--until", type=Day(), help="Last day to learn from.  [default: the last but one in the lake]")
@pass_settings
def train(settings: Settings, until: dt.date | None) -> None:
    """Train the model on the days of the lake.

    The last day is left out unless --until names it, so that it can be scored. Days of the last week that
    were never scored are reviewed: what is strangest there is not learned as usual, see `ueba suspects`.

    \b
    Example:
      ueba train --until 2026-01-20
    """
    import msgspec

    from ueba import stages
    from ueba.memory import Memory

    with settings.workspace.locked(), output.progress() as report:
        memory = Memory(settings.workspace, settings.config)
        until = until or memory.last_day() - dt.timedelta(days=1)
        trained = stages.learn(memory, until, report)
    facts = trained.detector.facts
    settings.workspace.record_run("train", msgspec.to_builtins(facts))
    note_reviewed(settings.workspace, trained.suspects)
    output.note(f"trained on {facts.first_day} to {facts.trained_until}; next: ueba score --day DAY")


@command()
@click.argument("file", required=False)
@log_format_option
@day_option("Score this day of the lake, and keep its incidents.  [default: the last day]")
@limit_option(20, "Rows of a table; the other formats print all.")
@numbers_option
@format_option()
@pass_settings
def score(
    settings: Settings,
    file: str | None,
    log_format: str,
    day: dt.date | None,
    limit: int,
    numbers: bool,
    output_format: str,
) -> None:
    """Score the edges of a log FILE (- is standard input), or a day of the lake.

    The incidents of a day are kept, see `ueba incidents`. The edges of a FILE are scored and printed, and
    nothing is kept. Without FILE and --day, the last day of the lake is scored.

    \b
    Example:
      ueba score --day 2026-01-21
      ueba score new.csv --log-format configs/sources/vpn_csv.toml --format jsonl
    """
    from ueba.contracts import scored

    output.note_damage(settings.workspace.root)
    if file is None:
        found = [score_day(settings, day)]
    else:
        found = score_file(settings, file, log_format, day)
    edges = scored.edges(scored.concatenated([day.edges for day in found]))
    edges.sort(key=lambda edge: -edge.surprise)
    emit_edges(edges[:limit] if output_format == "table" else edges, output_format, numbers)


def score_day(settings: Settings, day: dt.date | None) -> Findings:
    """Score a day of the lake, by default the last one, and keep what was found."""
    from ueba import stages
    from ueba.memory import Memory

    memory = Memory(settings.workspace, settings.config)
    with settings.workspace.locked():
        found = stages.score(memory, day or memory.last_day())
    see = f"see `ueba incidents --day {found.day}`"
    output.note(f"{found.day}: {len(found.incidents)} incidents kept; {see}")
    return found


def score_file(settings: Settings, file: str, log_format: str, day: dt.date | None) -> list[Findings]:
    """Score a log file. Raises UsageError if a day is named as well."""
    from ueba import stages
    from ueba.errors import UsageError
    from ueba.memory import Memory

    if day is not None:
        raise UsageError("give FILE or --day, not both; to score a file as a day, `ueba ingest` it first")
    return list(stages.score_file(Memory(settings.workspace, settings.config), file, log_format))


def emit_edges(edges: Sequence[ScoredEdge], output_format: str, numbers: bool) -> None:
    """Print scored edges. A table has their reasons in words, JSON has all fields."""
    from ueba import words

    short = output_format == "table"
    columns = (
        *EDGE_COLUMNS,
        *(EDGE_NUMBERS if numbers or not short else ()),
        *(() if short else ["p_is_bound"]),
    )
    if output_format in ("json", "jsonl"):
        output.emit([words.edge_json(edge) for edge in edges], output_format, versions.SCORED_EDGE)
        return
    rows = [
        {
            **{name: getattr(edge, name) for name in ("day", "user", "source", "target", "incident")},
            "how_rare": words.once_in(edge.once_in_days, edge.p_is_bound),
            "reasons": [words.sentence(reason, numbers) for reason in edge.reasons],
            "surprise": edge.surprise,
            "p_value": words.p_cell(edge.p_value, edge.p_is_bound) if short else edge.p_value,
            "p_is_bound": edge.p_is_bound,
        }
        for edge in edges
    ]
    output.emit(rows, output_format, versions.SCORED_EDGE, columns)


@command()
@day_option("Only this day.  [default: the last scored day]")
@span_options()
@limit_option(10, "Incidents of a day to show, worst first; beyond the budget those below the line follow.")
@click.option("--below", is_flag=True, help="Also the incidents below the line, which were not reported.")
@at_most_option("incidents")
@hidden_option
@numbers_option
@format_option()
@pass_settings
def incidents(
    settings: Settings,
    day: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    limit: int,
    below: bool,
    at_most: Often | None,
    everything: bool,
    numbers: bool,
    output_format: str,
) -> None:
    """List the incidents of scored days, ranked. Without days: the last scored day.

    At most `incidents.budget` of a day are reported, and fewer on a quiet day. Below this line
    `incidents.kept` are kept: --below lists them too, and so does a --limit beyond the budget. How often
    anything so strange happens here is counted on the scored days before; with --at-most that decides instead
    of the budget: docs/periods.md.

    \b
    Example:
      ueba incidents --from 2026-01-18 --limit 3
      ueba incidents --limit 50
      ueba incidents --at-most 0.3/day
    """
    from ueba import findings
    from ueba.investigate import periods
    from ueba.triage import log

    folder = settings.workspace.findings
    below = below or at_most is not None
    if not is_given("limit"):
        limit = max(limit, settings.config.incidents.kept) if below else limit
    else:
        below = below or limit > settings.config.incidents.budget
    found = findings.choose_incidents(folder, day, first, last, below)
    if not found:
        output.note(f"no incident on the days asked for; scored days: {findings.days_text(folder)}")
    verdicts = log.read(settings.workspace.root)
    output.note_damaged(verdicts.damaged)
    shown = found if everything else findings.reported(found, verdicts.words)
    if len(shown) < len(found):
        output.note(f"hidden incidents: {len(found) - len(shown)}; --all shows them")
    # Hidden incidents rank after all others, so the limit is not for one that is shown all the same.
    limited = [incident for incident in shown if everything or incident.rank <= limit or incident.hidden_by]
    often = periods.of_incidents(folder, verdicts.words, limited)
    limited = rare(limited, often, at_most, "incident")
    emit_incidents(limited, verdicts.words, often, output_format, numbers)
    under = sum(incident.below_line for incident in limited)
    if under:
        output.note(f"{under} of them are below the line: they were not reported")


def emit_incidents(
    found: Sequence[Incident],
    verdicts: Mapping[str, str],
    often: Mapping[str, Period],
    output_format: str,
    numbers: bool = False,
) -> None:
    """Print incidents. A table has how often they happen, who, how many, and the first reason; JSON has all
    fields. often: return periods by incident"""
    from ueba import words

    if output_format in ("json", "jsonl"):
        rows = [
            {
                **words.incident_json(incident),
                **often[incident.id].fields,
                "verdict": verdicts.get(incident.id),
            }
            for incident in found
        ]
        output.emit(rows, output_format, versions.INCIDENT)
        return
    short = output_format == "table"
    columns = (
        *INCIDENT_COLUMNS[:4],
        *(NUMBERS if numbers or not short else ()),
        *(() if short else ["p_is_bound"]),
        *INCIDENT_COLUMNS[4:],
        *(["hidden_by"] if any(incident.hidden_by for incident in found) else []),
        *(["below_line"] if any(incident.below_line for incident in found) else []),
    )
    rows = [
        {
            **{
                name: getattr(incident, name)
                for name in ("day", "rank", "id", "score", "p_value", "p_is_bound", "edges", "hidden_by")
            },
            **({"p_value": words.p_cell(incident.p_value, incident.p_is_bound)} if short else {}),
            "below_line": "yes" if incident.below_line else "",
            **often[incident.id].fields,
            "how_often": words.how_often(often[incident.id]),
            "users": _few(incident.users) if short else incident.users,
            "machines": len(incident.machines) if short else incident.machines,
            "resources": len(incident.resources) if short else incident.resources,
            "verdict": verdicts.get(incident.id),
            "why": words.headline(incident.reasons),
        }
        for incident in found
    ]
    output.emit(rows, output_format, versions.INCIDENT, columns)


def _few(names: Sequence[str], most: int = 2) -> list[str]:
    return [*names[:most], *([f"and {len(names) - most} more"] if len(names) > most else [])]


@command()
@click.argument("files", nargs=-1)
@log_format_option
@format_option()
@pass_settings
def nightly(settings: Settings, files: tuple[str, ...], log_format: str, output_format: str) -> None:
    """Run a night: ingest FILES that arrived, load the graph, score the last day, train.

    This is what cron calls. Running it again changes nothing, and finishes a night that was cut off.

    \b
    Example:
      ueba nightly /var/log/siem/2026-01-21
    """
    from ueba import findings
    from ueba.cli.data import fail_if_bad
    from ueba.investigate import periods
    from ueba.nightly import nightly as run
    from ueba.triage import log

    verdicts = log.read(settings.workspace.root)
    output.note_damaged(verdicts.damaged)
    with output.progress() as report:
        night = run(settings.workspace, files, log_format, settings.config, os.environ, report)
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in night.seconds.items())
    found = findings.reported(night.incidents, verdicts.words)
    note_reviewed(settings.workspace, night.reviewed)
    output.note(f"{night.day}: {len(found)} incidents; {stages}")
    often = periods.of_incidents(settings.workspace.findings, verdicts.words, found)
    emit_incidents(found, verdicts.words, often, output_format)
    fail_if_bad(night.ingested, files)


@command()
@click.option("--train-until", type=Day(), required=True, help="Last day of the first training.")
@span_options("First day to score.", "Last day to score.", required=True)
@click.option("--budget", type=click.IntRange(1), default=10, show_default=True, help="Incidents a day.")
@click.option(
    "--retrain-days", type=click.IntRange(1), default=7, show_default=True, help="Days between trainings."
)
@output_option("folder", "Folder to write to.", folder=True, required=True)
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

    Writes edges.parquet (the strangest edges of each day), incidents.parquet and cases.parquet to --output.

    \b
    Example:
      ueba backtest --train-until 2026-01-14 --from 2026-01-15 --to 2026-01-28 --budget 10 --output backtest
    """
    from dataclasses import replace

    from ueba import backtest as walk

    config = replace(settings.config, incidents=replace(settings.config.incidents, budget=budget))
    plan = walk.Plan(train_until, first, last, retrain_days)
    with output.progress() as report:
        result = walk.backtest(settings.workspace.lake, plan, config, report)
    walk.write(result, folder)
    trainings = [until.isoformat() for until in result.trainings]
    settings.workspace.record_run("backtest", {"seconds": result.seconds, "trainings": trainings})
    output.note(
        f"{len(result.findings)} days, {len(result.incidents)} incidents in {folder};"
        f" {len(result.trainings)} trainings {result.seconds['train']:.1f} s,"
        f" scoring {result.seconds['score']:.1f} s"
    )


COMMANDS = (train, score, incidents, nightly, backtest)
