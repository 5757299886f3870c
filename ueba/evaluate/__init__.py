"""How well detection works, as one table: campaigns that an analyst would find, beside simpler methods and
beside the detector with a part taken out.

    protocol   a walk over the lake; what every row sees of a day, on disk
    rows       the list of rows, and how one is run, in a process of its own
    baselines, neural, model    what the rows run
    ranking    surprise -> p-values -> incidents, by the product's own code and the same for all
    measure    incidents and labels -> what was found; the only module that sees labels, with
    results    a row's numbers
    picture    campaigns found against false incidents and against incidents a day

Each row is fitted once, on the days until `train_until`. Then day after day is scored with what was known
before it, and only then learned. Leaves out training again on the way; that is `ueba.backtest`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ueba.config import Config
from ueba.errors import WorkspaceError
from ueba.progress import Progress, quiet

if TYPE_CHECKING:
    import pandas as pd

    from ueba.campaigns import Wanted
    from ueba.evaluate import results
    from ueba.evaluate.protocol import Prepared, Span
    from ueba.evaluate.ranking import Ranked
    from ueba.evaluate.results import Facts, RowSummary, Truth
    from ueba.evaluate.rows import Row, Run

LEAST_DAYS = 3  # to score, if the caller does not say which


@dataclass(frozen=True)
class Evaluation:
    """The table, and what there was to be found."""

    rows: list[RowSummary]
    facts: Facts


@dataclass(frozen=True)
class Request:
    """Which rows are wanted, and how they are run."""

    rows: Sequence[Row]
    seeds: int = 3  # repetitions of rows with chance in them
    jobs: int = 1  # rows at a time; with more than one, seconds mean little
    output: Path | None = None  # a folder that keeps what each row reported


def span(
    days: Sequence[dt.date], train_until: dt.date | None, first: dt.date | None, last: dt.date | None
) -> Span:
    """The days of an evaluation. By default the last quarter is scored, at least three days, and all days
    before it are trained on."""
    from ueba.evaluate.protocol import Span

    if not days:
        raise WorkspaceError("the lake has no edges yet; `ueba ingest` a log file first")
    count = max(len(days) // 4, LEAST_DAYS)
    if first is None:
        first = days[-count:][0] if train_until is None else train_until + dt.timedelta(days=1)
    return Span(train_until or first - dt.timedelta(days=1), first, last or days[-1])


def injected(
    root: Path, copy: Path, when: Span, wanted: Wanted, memory_limit: str
) -> tuple[Path, pd.DataFrame]:
    """A copy of a lake with campaigns hidden in its scored days, and their labels, see `ueba.campaigns`."""
    from ueba import campaigns
    from ueba.evaluate import measure

    labels = campaigns.inject(root, copy, when.first, when.last, wanted, memory_limit)
    return copy, measure.with_days(labels)


def evaluate(
    root: Path, labels: pd.DataFrame, when: Span, config: Config, request: Request, progress: Progress = quiet
) -> Evaluation:
    """Run rows on a lake and measure them by labels (with `day`, see `measure.with_days`).

    Raises UsageError and WorkspaceError for days that do not fit, InputError for labels that do not."""
    from ueba.evaluate import protocol, results
    from ueba.evaluate.rows import scores_of

    with tempfile.TemporaryDirectory(prefix="ueba-evaluate-") as scratch, processes(request.jobs) as pool:
        days = Path(scratch) / "days"
        days.mkdir()
        progress("prepare", 0, 1)
        pool.submit(protocol.prepare, root, days, when, config, request.seeds).result()
        prepared = protocol.Prepared.load(days)
        truth = pool.submit(results.truth, prepared, labels).result()
        progress("prepare", 1, 1)
        runs = run_all(pool, prepared, Path(scratch) / "scores", config, request, progress)
        summaries = []
        for done, row in enumerate(request.rows):
            progress("measure", done, len(request.rows))
            own = [run for run in runs if run.row == scores_of(row).name]
            measured = [result(row, run, prepared, truth, config, request.output) for run in own]
            summaries.append(results.summary(row, measured))
        progress("measure", len(request.rows), len(request.rows))
    return Evaluation(summaries, truth.facts)


@contextlib.contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that runs each task in a new process: so its memory is its own, and this one's stays small."""
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=1)
    try:
        yield pool
    except BrokenProcessPool as reason:
        raise WorkspaceError(
            "a row's process was ended from outside, most likely for want of memory; use fewer --jobs, or"
            " name fewer --rows"
        ) from reason
    finally:
        pool.shutdown(cancel_futures=True)


def run_all(
    pool: ProcessPoolExecutor,
    prepared: Prepared,
    folder: Path,
    config: Config,
    request: Request,
    progress: Progress,
) -> list[Run]:
    """Scores of every row and seed. Rows that differ only in what is done with scores share them."""
    from ueba.evaluate.rows import fit_and_score, scores_of

    fitted = dict.fromkeys(map(scores_of, request.rows))
    waiting = [
        pool.submit(fit_and_score, row, prepared, folder / row.name / str(seed), config.train, seed)
        for row in fitted
        for seed in range(request.seeds if row.seeded else 1)
    ]
    runs: list[Run] = []
    for future in waiting:
        progress("fit and score", len(runs), len(waiting))
        runs.append(future.result())
    progress("fit and score", len(runs), len(waiting))
    return runs


def result(
    row: Row, run: Run, prepared: Prepared, truth: Truth, config: Config, output: Path | None
) -> results.Result:
    """One row with one seed, from its scores to its numbers; what it reported is kept in `output`."""
    from ueba.evaluate import results
    from ueba.evaluate.ranking import rank

    ranked = rank(prepared, run, row, config.incidents)
    if output is not None:
        keep(ranked, prepared, output / row.name.replace(" ", "-") / f"seed-{run.seed}")
    return results.result(ranked, truth, run)


def keep(ranked: Ranked, prepared: Prepared, folder: Path) -> None:
    """Incidents of the largest budget and their edges, as a backtest writes them: `scripts/found FOLDER
    labels.csv` reads both."""
    import numpy as np
    import pyarrow as pa

    from ueba import files
    from ueba.evaluate.ranking import CURVE_BUDGETS

    listed = ranked.listed[ranked.listed["budget"] == max(CURVE_BUDGETS)]
    places = np.array([*prepared.places, None], object)  # the last one for -1
    edges = listed[["day", "surprise", "p_value", "incident"]].assign(
        user=np.array(prepared.users, object)[listed["user"]],
        source=places[listed["source"]],
        target=places[listed["target"]],
    )
    columns = ["day", "user", "source", "target", "surprise", "p_value", "incident"]
    files.write_parquet(folder / "edges.parquet", pa.Table.from_pandas(edges[columns], preserve_index=False))
    incidents = listed[["day", "incident", "rank", "score"]].drop_duplicates("incident")
    files.write_parquet(folder / "incidents.parquet", pa.Table.from_pandas(incidents, preserve_index=False))
