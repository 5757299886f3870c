"""The command that proves: evaluate."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ueba.cli import output
from ueba.cli.common import Settings, command, pass_settings
from ueba.cli.options import (
    Day,
    Time,
    format_option,
    output_option,
    picture_option,
    seed_option,
    span_options,
    strength_option,
)
from ueba.contracts import versions

if TYPE_CHECKING:
    from ueba.campaigns import Wanted
    from ueba.evaluate import Evaluation, Request
    from ueba.evaluate.protocol import Span
    from ueba.evaluate.results import RowSummary

COLUMNS = {  # number -> heading, digits after the point
    **{f"found_at_false_{rate}": (f"found @\n{rate} false", 0) for rate in (0.1, 0.3, 1, 3)},
    **{f"found_{n}": (f"found\n@{n}", 0) for n in (5, 10, 25, 50)},
    **{f"precision_{n}": (f"prec\n@{n}", 2) for n in (5, 10, 25, 50)},
    "reported_a_day": ("reported\na day", 1),
    "reported_precision": ("prec of\nreported", 2),
    "red_days_10": ("red\ndays", 1),
    "benign_10": ("benign", 2),
    "false_a_day": ("false\na day", 0),
    "ap": ("AP", 3),
    "auc": ("AUC", 3),
    "broad_10": ("broad\n1 %", 2),
    "p_flat": ("p\nflat", 1),
    "seconds": ("s", 0),
    "megabytes": ("MB", 0),
}
LEGEND = """\
Every row is fitted once, on days up to {train_until}. From {first} to {last} a day is scored with what was
known before it, and then learned. All scores go through the same calibration and grouping; no threshold is
chosen on these days, no row reads a label. {days} days, {campaigns} campaigns{red}. Rows with chance in them:
{seeds} seeds, mean ± standard deviation.
found @R false: campaigns found with one threshold on the score for all days, at R false incidents a day.
found, prec @N: campaigns found, and share of incidents that are malicious, in the first N of each day.
reported: those of 10 that the product would report. red days: on which a red team was found. benign: share of
incidents about what is labelled harmless. false a day: other edges as strange as the stranger half of the
malicious ones. AP, AUC: of edges. broad 1 %: share of alerts on the broadest 1 % of users. p flat: worst
factor by which p <= 0.01 misses 1 % in a tenth of users by breadth. s, MB: fit, score."""


@command()
@click.option(
    "--labels",
    "labels_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV of what is malicious.",
)
@click.option(
    "--labels-epoch",
    type=Time(),
    default="1970-01-01",
    show_default=True,
    help="When times in seconds in --labels begin to count.",
)
@click.option("--train-until", type=Day(), help="Last day to train on.  [default: the day before --from]")
@span_options(
    "First day to score.  [default: of the last quarter, at least 3 days]",
    "Last day to score.  [default: the last in the lake]",
)
@click.option(
    "--per-kind",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Campaigns of each kind to inject, without --labels.",
)
@strength_option
@seed_option("Seed of the injected campaigns.")
@click.option(
    "--rows", "names", multiple=True, metavar="NAME", help="Only this row of the table; may be given again."
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Repetitions of rows with chance in them.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Rows at a time; beyond 1 the column of seconds means little.",
)
@picture_option((".svg", ".png"))
@output_option("folder", "Folder to write the incidents of each row to.", folder=True)
@format_option()
@pass_settings
def evaluate(
    settings: Settings,
    labels_path: Path | None,
    labels_epoch: dt.datetime,
    train_until: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    per_kind: int,
    strength: float,
    seed: int,
    names: tuple[str, ...],
    seeds: int,
    jobs: int,
    picture: Path | None,
    folder: Path | None,
    output_format: str,
) -> None:
    """Measure how well detection works: campaigns found, beside simpler methods and beside the detector
    without its parts.

    With --labels, the campaigns to find are those that it marks as malicious (columns
    time,user,source,target,kind,campaign,malicious). Without, attack campaigns are injected into the held-out
    days of a copy of your own lake; the lake itself is not changed.

    \b
    Example:
      ueba evaluate --rows ueba --rows linear --rows first-seen
      ueba evaluate --labels labels.csv --train-until 2026-01-20 --picture found.svg
    """
    from ueba import evaluate as evaluation
    from ueba.campaigns import Wanted
    from ueba.evaluate import picture as pictures
    from ueba.evaluate import rows
    from ueba.ingest import lake

    request = evaluation.Request(rows.chosen(names), seeds, jobs, folder)
    when = evaluation.span(lake.days(settings.workspace.lake), train_until, first, last)
    if labels_path is not None:
        result = evaluate_labelled(settings, labels_path, labels_epoch, when, request)
    else:
        result = evaluate_injected(settings, Wanted(per_kind, strength, seed), when, request)
    records = [row.to_dict() for row in result.rows]
    settings.workspace.record_run("evaluate", {**result.facts.to_dict(), "rows": records})
    if picture is not None:
        pictures.draw(result.rows, result.facts.campaigns, picture)
    emit(result, when, seeds, output_format)


def evaluate_labelled(
    settings: Settings, labels_path: Path, epoch: dt.datetime, when: Span, request: Request
) -> Evaluation:
    """Evaluate on the workspace's own days, some of whose events are labelled as malicious."""
    from ueba import evaluate as evaluation
    from ueba.evaluate import measure

    with output.progress() as report:
        labels = measure.read_labels(labels_path, epoch)
        return evaluation.evaluate(settings.workspace.lake, labels, when, settings.config, request, report)


def evaluate_injected(settings: Settings, wanted: Wanted, when: Span, request: Request) -> Evaluation:
    """Evaluate on a copy of the lake with injected campaigns."""
    from ueba import evaluate as evaluation
    from ueba.campaigns import KINDS

    with tempfile.TemporaryDirectory(prefix="ueba-evaluate-") as scratch, output.progress() as report:
        copy, limit = Path(scratch) / "lake", settings.workspace.memory_limit
        root, labels = evaluation.injected(settings.workspace.lake, copy, when, wanted, limit)
        if missing := KINDS.keys() - set(labels["kind"]):
            output.note(
                f"no campaign of {', '.join(sorted(missing))}: before {when.first} the lake has no account"
                " that such an attack needs (docs/simulation.md)"
            )
        return evaluation.evaluate(root, labels, when, settings.config, request, report)


def emit(result: Evaluation, when: Span, seeds: int, output_format: str) -> None:
    """Print the rows; a table comes with a legend."""
    facts = result.facts.to_dict()
    if output_format != "table":
        records = [{**facts, **row.to_dict()} for row in result.rows]
        output.emit(records, output_format, versions.EVALUATION, ("row", "kind", "seeds", *COLUMNS))
        return
    show(result)
    red = f", {result.facts.red_days} days with a red team" if result.facts.red_days else ""
    for line in LEGEND.format(**{**vars(when), **facts}, red=red, seeds=seeds).splitlines():
        output.note(line)


def show(result: Evaluation) -> None:
    """The table of rows, and the table of kinds beside the best baseline."""
    numbers = [name for name in COLUMNS if any(name in row.mean for row in result.rows)]
    output.wide_table(
        ["row", *(COLUMNS[name][0] for name in numbers)],
        [[row.name, *cells(row, numbers)] for row in result.rows],
    )
    columns = kind_columns(result.rows)
    headings = [
        "kind of campaign",
        "like it in training",
        "there",
        *(f"{row.name}\n@10" for row in columns),
    ]
    kinds = result.facts.campaigns_by_kind
    found = [[f"{row.found_by_kind.get(kind, 0):.3g}" for row in columns] for kind in kinds]
    output.wide_table(
        headings,
        [
            [kind, result.facts.resembles[kind], str(kinds[kind]), *counts]
            for kind, counts in zip(kinds, found, strict=True)
        ],
    )


def cells(row: RowSummary, names: Sequence[str]) -> list[str]:
    """Mean and spread of each number; empty if the row does not have it."""

    def cell(name: str) -> str:
        digits = COLUMNS[name][1]
        if name not in row.mean:
            return ""
        has_spread = name in row.spread and name not in UNSPREAD
        spread = f" ±{row.spread[name]:.{max(digits, 1)}f}" if has_spread else ""
        return f"{row.mean[name]:.{digits}f}{spread}"

    return [cell(name) for name in names]


UNSPREAD = ("reported_a_day", "p_flat", "seconds", "megabytes")  # in the table; JSON has all spreads


def kind_columns(rows: Sequence[RowSummary]) -> list[RowSummary]:
    """The detector, its ablations, and the baseline that finds most at 10."""
    baselines = sorted((row for row in rows if row.kind == "baseline"), key=lambda row: -row.mean["found_10"])
    return [*(row for row in rows if row.kind != "baseline"), *baselines[:1]]


COMMANDS = (evaluate,)
