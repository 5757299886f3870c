"""Commands that find: train, score, incidents, nightly, backtest."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ueba.cli import output
from ueba.cli.output import Day
from ueba.cli.setup import Settings, pass_settings

if TYPE_CHECKING:
    from ueba.contracts.incident import Incident
    from ueba.contracts.scored import ScoredEdge

INCIDENT_COLUMNS = ("day", "rank", "id", "how_rare", "edges", "users", "machines", "verdict", "why")
NUMBERS = ("score", "p_value")  # columns for those who want them
EDGE_COLUMNS = ("day", "user", "source", "target", "how_rare", "incident", "reasons")
EDGE_NUMBERS = ("surprise", "p_value")


def numbers_option(function: Any) -> Any:
    """`--numbers`: nats and p-values in tables and sentences."""
    return click.option("--numbers", is_flag=True, help="Show scores in nats and p-values too.")(function)


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
    import msgspec

    from ueba import stages
    from ueba.memory import Memory

    with settings.workspace.locked(), output.progress() as report:
        memory = Memory(settings.workspace, settings.config)
        until = until or memory.last_day() - dt.timedelta(days=1)
        facts = stages.learn(memory, until, report).facts
    settings.workspace.record_run("train", msgspec.to_builtins(facts))
    output.note(f"trained on {facts.first_day} to {facts.trained_until}; next: ueba score --day DAY")


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
@numbers_option
@pass_settings
def score(
    settings: Settings,
    file: str | None,
    log_format: str,
    day: dt.date | None,
    output_format: str,
    limit: int,
    numbers: bool,
) -> None:
    """Score new edges: every edge of a log FILE (- is standard input), or a day of the lake.

    \b
    Edges of a FILE are scored and printed, and nothing is kept. A day's incidents are kept, see `ueba
    incidents`. Without either, the last day of the lake is scored. Example:
      ueba score new.csv --format configs/sources/vpn_csv.toml --output-format jsonl
      ueba score --day 2026-01-21
    """
    from ueba import stages
    from ueba.contracts import scored
    from ueba.errors import UsageError
    from ueba.memory import Memory

    output.note_damage(settings.workspace.root)
    if file is not None and day is not None:
        raise UsageError(
            "give a FILE or --day, not both: `ueba ingest` the file first to score it as a day of the lake"
        )
    memory = Memory(settings.workspace, settings.config)
    if file is None:
        with settings.workspace.locked():
            day = day or memory.last_day()
            found = [stages.score(memory, day)]
        output.note(f"{day}: {len(found[0].incidents)} incidents kept; see `ueba incidents --day {day}`")
    else:
        found = list(stages.score_file(memory, file, log_format))
    edges = scored.edges(scored.concatenated([each.edges for each in found]))
    edges.sort(key=lambda edge: -edge.surprise)
    _emit_edges(edges[: limit if output_format == "table" else None], output_format, numbers)


def _emit_edges(edges: Sequence[ScoredEdge], output_format: str, numbers: bool) -> None:
    from ueba import words

    columns = (*EDGE_COLUMNS, *(EDGE_NUMBERS if numbers or output_format == "csv" else ()))
    if output_format in ("json", "jsonl"):
        output.emit([words.edge_json(edge) for edge in edges], output_format)
        return
    rows = [
        {
            **{name: getattr(edge, name) for name in ("day", "user", "source", "target", "incident")},
            "how_rare": words.once_in(edge.once_in_days),
            "reasons": [words.sentence(reason, numbers) for reason in edge.reasons],
            "surprise": edge.surprise,
            "p_value": edge.p_value,
        }
        for edge in edges
    ]
    output.emit(rows, output_format, columns)


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
@numbers_option
@output.format_option
@pass_settings
def incidents(
    settings: Settings,
    day: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    limit: int,
    everything: bool,
    numbers: bool,
    output_format: str,
) -> None:
    """List the incidents of scored days, ranked. Without days: the last scored day.

    \b
    Example:
      ueba incidents --from 2026-01-18 --limit 3
    """
    from ueba import findings
    from ueba.triage import log

    output.in_order(first, last)
    folder = settings.workspace.findings
    found = findings.choose_incidents(folder, day, first, last)
    if not found:
        output.note(f"no incident on the days asked for; scored days: {findings.days_text(folder)}")
    verdicts = log.read(settings.workspace.root)
    output.note_damaged(verdicts.damaged)
    shown = found if everything else findings.reported(found, verdicts.words)
    if len(shown) < len(found):
        output.note(f"hidden incidents: {len(found) - len(shown)}; --all shows them")
    # Hidden incidents rank after all others, so the limit is not for one that is shown all the same.
    limited = [each for each in shown if everything or each.rank <= limit or each.hidden_by]
    _emit_incidents(limited, verdicts.words, output_format, numbers)


def _emit_incidents(
    found: Sequence[Incident], verdicts: Mapping[str, str], output_format: str, numbers: bool = False
) -> None:
    """A table says who, how many, and the first reason; the rest is for `ueba explain`. JSON has all."""
    from ueba import words

    if output_format in ("json", "jsonl"):
        rows = [{**words.incident_json(each), "verdict": verdicts.get(each.id)} for each in found]
        output.emit(rows, output_format)
        return
    columns = (
        *INCIDENT_COLUMNS[:4],
        *(NUMBERS if numbers or output_format == "csv" else ()),
        *INCIDENT_COLUMNS[4:],
        *(["hidden_by"] if any(each.hidden_by for each in found) else []),
    )
    short = output_format == "table"
    rows = [
        {
            **{
                name: getattr(each, name)
                for name in ("day", "rank", "id", "score", "p_value", "edges", "hidden_by")
            },
            "how_rare": words.once_in(each.once_in_days),
            "users": _few(each.users) if short else each.users,
            "machines": len(each.machines) if short else each.machines,
            "verdict": verdicts.get(each.id),
            "why": words.headline(each.reasons),
        }
        for each in found
    ]
    output.emit(rows, output_format, columns)


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
    from ueba import findings
    from ueba.cli.data import fail_if_bad
    from ueba.nightly import nightly as run
    from ueba.triage import log

    verdicts = log.read(settings.workspace.root)
    output.note_damaged(verdicts.damaged)
    with output.progress() as report:
        night = run(settings.workspace, files, log_format, settings.config, os.environ, report)
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in night.seconds.items())
    found = findings.reported(night.incidents, verdicts.words)
    output.note(f"{night.day}: {len(found)} incidents; {stages}")
    _emit_incidents(found, verdicts.words, output_format)
    fail_if_bad(night.ingested, files)


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
