"""The command that proves: evaluate."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ueba.cli import output
from ueba.cli.output import Day
from ueba.cli.setup import Settings, pass_settings

if TYPE_CHECKING:
    from ueba.evaluate import Evaluation
    from ueba.evaluate.results import RowSummary

COLUMNS = {  # number -> heading, digits after the point
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
found, prec @N: campaigns found, and share of incidents that are malicious, in the first N of each day.
reported: those of 10 that the product would report. red days: on which a red team was found. benign: share of
incidents about what is labelled harmless. false a day: other edges as strange as the stranger half of the
malicious ones. AP, AUC: of edges. broad 1 %: share of alerts on the broadest 1 % of users. p flat: worst
factor by which p <= 0.01 misses 1 % in a tenth of users by breadth. s, MB: fit, score."""


@click.command()
@click.option(
    "--labels",
    "labels_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV of what is malicious.",
)
@click.option(
    "--epoch",
    type=Day(),
    default="1970-01-01",
    show_default=True,
    help="From which times in seconds count, in --labels.",
)
@click.option("--train-until", type=Day(), help="Last day to train on.  [default: the day before --from]")
@click.option(
    "--from", "first", type=Day(), help="First day to score.  [default: of the last quarter, at least 3 days]"
)
@click.option("--to", "last", type=Day(), help="Last day to score.  [default: the last in the lake]")
@click.option(
    "--per-kind",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Campaigns of each kind to inject, without --labels.",
)
@click.option(
    "--strength", type=float, default=1.0, show_default=True, help="Of injected campaigns: larger shows more."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of injected campaigns.")
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
    help="Rows at a time; seconds mean little beyond 1.",
)
@click.option("--picture", type=output.Picture(), help="Draw found against incidents a day: .svg or .png.")
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep each row's incidents here.",
)
@output.format_option
@pass_settings
def evaluate(
    settings: Settings,
    labels_path: Path | None,
    epoch: dt.date,
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
    """How well detection works: a table of campaigns found, beside simpler methods and beside the detector
    without its parts.

    \b
    With --labels, what they call malicious is to be found (columns
    time,user,source,target,kind,campaign,malicious). Without, attack campaigns are hidden in the held-out
    days of a copy of your own lake; the lake stays as it is. Example:
      ueba evaluate --rows ueba --rows linear --rows first-seen
      ueba evaluate --labels labels.csv --train-until 2026-01-20 --picture found.svg
    """
    from ueba import evaluate as evaluation
    from ueba.campaigns import Wanted
    from ueba.evaluate import measure, rows
    from ueba.evaluate import picture as pictures
    from ueba.ingest import lake

    chosen, root = rows.chosen(names), settings.workspace.lake
    when = evaluation.span(lake.days(root), train_until, first, last)
    with tempfile.TemporaryDirectory(prefix="ueba-evaluate-") as scratch, output.progress() as report:
        if labels_path is not None:
            labels = measure.read_labels(labels_path, dt.datetime.combine(epoch, dt.time()))
        else:
            wanted = Wanted(per_kind, strength, seed)
            root, labels = evaluation.injected(
                root, Path(scratch) / "lake", when, wanted, settings.config.ingest.memory_limit
            )
        request = evaluation.Request(chosen, seeds, jobs, folder)
        result = evaluation.evaluate(root, labels, when, settings.config, request, report)
    facts, records = result.facts.to_dict(), [row.to_dict() for row in result.rows]
    settings.workspace.record_run("evaluate", {**facts, "rows": records})
    if picture is not None:
        pictures.draw(result.rows, result.facts.campaigns, picture)
    if output_format == "table":
        show(result)
        red = f", {result.facts.red_days} days with a red team" if result.facts.red_days else ""
        output.note(LEGEND.format(**{**vars(when), **facts}, red=red, seeds=seeds))
    else:
        output.emit(
            [{**facts, **record} for record in records],
            output_format,
            ("row", "kind", "seeds", *COLUMNS),
        )


def show(result: Evaluation) -> None:
    """The table of rows, and the table of kinds beside the best baseline."""
    numbers = [name for name in COLUMNS if any(name in row.mean for row in result.rows)]
    print_table(
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
    print_table(
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


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.width = max(
        console.width, console.measure(table).maximum
    )  # wider than the terminal is better than cut
    console.print(table)


COMMANDS = (evaluate,)
