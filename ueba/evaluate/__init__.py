"""How well detection works, as one table: campaigns that an analyst would find, beside simpler methods and
beside the detector with a part taken out.

    protocol   a walk over the lake; what every row sees of a day, on disk
    rows       the list of rows, and how one is run, in a process of its own; `baselines`, `neural` and `model` are what they run
    triage     surprise -> p-values -> incidents, by the product's own code and the same for all
    measure    incidents and labels -> what was found; the only place that sees labels, with
    results    a row's numbers
    picture    campaigns found against incidents a day

Each row is fitted once, on the days until `train_until`. Then day after day is scored with what was known
before it, and only then learned. Leaves out retraining on the way; that is `ueba.backtest`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ueba.config import Config
from ueba.errors import WorkspaceError

if TYPE_CHECKING:
    import pandas as pd

    from ueba.campaigns import Wanted
    from ueba.evaluate import results
    from ueba.evaluate.protocol import Prepared
    from ueba.evaluate.results import Truth
    from ueba.evaluate.rows import Row, Run
    from ueba.evaluate.triage import Triaged

Progress = Callable[[str, int, int], None]
SAME_KIND = {"night_use": "odd_hours"}  # what others call a kind of `ueba.campaigns`
LEAST_DAYS = 3  # to score, where the caller does not say which


@dataclass(frozen=True)
class Evaluation:
    """rows: a record each, see `results`; facts: days, campaigns, red_days, campaigns_by_kind, resembles."""

    rows: list[dict[str, Any]]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Span:
    """The last day to train on, and the first and last to score."""

    train_until: dt.date
    first: dt.date
    last: dt.date


def span(
    days: Sequence[dt.date], train_until: dt.date | None, first: dt.date | None, last: dt.date | None
) -> Span:
    """What is not said: the last quarter of the days is scored, at least three, and all before is trained
    on."""
    if not days:
        raise WorkspaceError("the lake has no edges yet; `ueba ingest` a log file first")
    held_out = max(len(days) // 4, LEAST_DAYS)
    if first is None:
        first = days[-held_out:][0] if train_until is None else train_until + dt.timedelta(days=1)
    return Span(train_until or first - dt.timedelta(days=1), first, last or days[-1])


def injected(root: Path, copy: Path, when: Span, wanted: Wanted) -> tuple[Path, pd.DataFrame]:
    """A copy of a lake with campaigns hidden in its scored days, and their labels, see `ueba.campaigns`."""
    from ueba import campaigns
    from ueba.evaluate import measure

    labels = campaigns.inject(root, copy, when.first, when.last, wanted)
    return copy, measure.with_days(labels)


def resembles(kind: str) -> str:
    """The family of made-up edges that is the same idea as a kind of campaign: what training saw of it. ?
    for kinds of others."""
    from ueba.campaigns import KINDS

    known = KINDS.get(SAME_KIND.get(kind, kind))
    return "?" if known is None else known.resembles or "never"


def evaluate(
    root: Path,
    labels: pd.DataFrame,
    when: Span,
    config: Config,
    rows: Sequence[Row],
    seeds: int = 3,
    jobs: int = 1,
    output: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Evaluation:
    """Run rows on a lake and measure them by labels (with `day`, see `measure.with_days`).

    jobs: rows at a time; more than one makes seconds mean little. output: a folder that keeps what each row
    reported. Raises UsageError and WorkspaceError for days that do not fit, InputError for labels that do
    not."""
    from ueba.evaluate import protocol, results
    from ueba.evaluate.rows import scores_of

    with tempfile.TemporaryDirectory(prefix="ueba-evaluate-") as scratch, processes(jobs) as pool:
        days = Path(scratch) / "days"
        days.mkdir()
        progress("prepare", 0, 1)
        pool.submit(
            protocol.prepare, root, days, when.train_until, when.first, when.last, config, seeds
        ).result()
        prepared = protocol.Prepared.load(days)
        truth = pool.submit(results.truth, prepared, labels).result()
        progress("prepare", 1, 1)
        runs = run_all(pool, prepared, Path(scratch) / "scores", config, rows, seeds, progress)
        records = []
        for done, row in enumerate(rows):
            progress("measure", done, len(rows))
            found = [
                measured(row, run, seed, prepared, truth, config, output)
                for (name, seed), run in runs.items()
                if name == scores_of(row).name
            ]
            records.append(results.summary(row, found))
        progress("measure", len(rows), len(rows))
    kinds = {kind: resembles(kind) for kind in truth.facts["campaigns_by_kind"]}
    return Evaluation(records, {**truth.facts, "resembles": kinds})


@contextlib.contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Each task in a new process, which ends with it: so its memory is its own, and this one's stays
    small."""
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=1)
    try:
        yield pool
    except BrokenProcessPool as reason:
        raise WorkspaceError(
            "a row's process was ended from outside, most likely for want of memory; use fewer --jobs, or name fewer --rows"
        ) from reason
    finally:
        pool.shutdown(cancel_futures=True)


def run_all(
    pool: ProcessPoolExecutor,
    prepared: Prepared,
    folder: Path,
    config: Config,
    rows: Sequence[Row],
    seeds: int,
    progress: Progress,
) -> dict[tuple[str, int], Run]:
    """Scores of every row and seed, by name and seed. Rows that differ only in what is done with scores
    share them."""
    from ueba.evaluate.rows import fit_and_score, scores_of

    fitted = {scores_of(row).name: scores_of(row) for row in rows}
    waiting = {
        (name, seed): pool.submit(fit_and_score, row, prepared, folder / name / str(seed), config.train, seed)
        for name, row in fitted.items()
        for seed in range(seeds if row.seeded else 1)
    }
    runs: dict[tuple[str, int], Run] = {}
    for key, future in waiting.items():
        progress("fit and score", len(runs), len(waiting))
        runs[key] = future.result()
    progress("fit and score", len(runs), len(waiting))
    return runs


def measured(
    row: Row, run: Run, seed: int, prepared: Prepared, truth: Truth, config: Config, output: Path | None
) -> results.Result:
    """One row with one seed, from its scores to its numbers; what it reported is kept in `output`."""
    from ueba.evaluate import results
    from ueba.evaluate.triage import triage

    triaged = triage(prepared, run, row, config.incidents)
    if output is not None:
        keep(triaged, prepared, output / row.name.replace(" ", "-") / f"seed-{seed}")
    return results.result(triaged, truth, run)


def keep(triaged: Triaged, prepared: Prepared, folder: Path, budget: int = 10) -> None:
    """Incidents of one budget and their edges, as a backtest writes them: `scripts/found FOLDER labels.csv`
    reads both."""
    import numpy as np

    mine = triaged.listed[triaged.listed["budget"] == budget]
    places = np.array([*prepared.places, None], object)  # the last one for -1
    edges = mine[["day", "surprise", "p_value", "incident"]].assign(
        user=np.array(prepared.users, object)[mine["user"]],
        source=places[mine["source"]],
        target=places[mine["target"]],
    )
    folder.mkdir(parents=True, exist_ok=True)
    edges[["day", "user", "source", "target", "surprise", "p_value", "incident"]].to_parquet(
        folder / "edges.parquet", index=False
    )
    incidents = mine[["day", "incident", "rank", "score"]].drop_duplicates("incident")
    incidents.to_parquet(folder / "incidents.parquet", index=False)
