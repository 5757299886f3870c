"""The rows of the table: baselines, the detector, and the detector without one of its parts; and how a row
is run.

A row is fitted and scores in a process of its own, so that its seconds and its memory are its own. It writes
the surprise of each day's edges, `surprise-<day>.npy`, and knows nothing of labels.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ueba.arrays import Array
from ueba.config import TrainConfig
from ueba.errors import UsageError
from ueba.evaluate import baselines, model
from ueba.evaluate.protocol import Day, Prepared, Scorer, Training

Fit = Callable[[Training], Scorer]
BASELINE, MODEL, ABLATION = "baseline", "model", "ablation"


def vgae(training: Training) -> Scorer:
    from ueba.evaluate import neural

    return neural.vgae(training)


def euler(training: Training) -> Scorer:
    from ueba.evaluate import neural

    return neural.euler(training)


@dataclass(frozen=True)
class Row:
    """A row of the table: what is fitted, and what is done with its scores."""

    name: str
    kind: str  # BASELINE, MODEL or ABLATION
    fit: Fit
    seeded: bool = False  # another seed gives another result
    streams: bool = False  # scores every day in order, and learns it
    calibrated: bool = True  # ranked by surprise and p-value; otherwise by surprise alone
    remembers: bool = True  # the carry-over of a user's days before is added
    grouped: bool = True  # edges are grouped into incidents; otherwise each edge is one


ROWS = (
    Row("first-seen", BASELINE, baselines.first_seen),
    Row("popularity", BASELINE, baselines.popularity),
    Row("decayed-counts", BASELINE, baselines.decayed_counts, streams=True),
    Row("cache", BASELINE, baselines.cache),
    Row("midas-r", BASELINE, baselines.midas, streams=True),
    Row("svd", BASELINE, baselines.svd, seeded=True),
    Row("poisson", BASELINE, baselines.poisson_factorisation, seeded=True),
    Row("vgae", BASELINE, vgae, seeded=True),
    Row("euler", BASELINE, euler, seeded=True, streams=True),
    Row("linear", BASELINE, baselines.linear, seeded=True),
    Row("ueba", MODEL, model.detect, seeded=True),
    Row("no graph", ABLATION, partial(model.detect, graph=False), seeded=True),
    Row("no messages", ABLATION, partial(model.detect, messages=False), seeded=True),
    Row("no peers", ABLATION, partial(model.detect, peers=False), seeded=True),
    Row("no history", ABLATION, partial(model.detect, history=False), seeded=True),
    Row("no threats", ABLATION, partial(model.detect, threats=False), seeded=True),
    Row("no calibration", ABLATION, model.detect, seeded=True, calibrated=False),
    Row("no days before", ABLATION, model.detect, seeded=True, remembers=False),
    Row("no incidents", ABLATION, model.detect, seeded=True, grouped=False),
)


def chosen(names: Iterable[str]) -> tuple[Row, ...]:
    """The rows with these names, in the order of the table; all rows without names. Raises UsageError for an
    unknown name."""
    wanted = set(names)
    unknown = wanted - {row.name for row in ROWS}
    if unknown:
        raise UsageError(
            f"--rows {', '.join(sorted(unknown))}: there is no such row; there are"
            f" {', '.join(row.name for row in ROWS)}"
        )
    return tuple(row for row in ROWS if row.name in wanted or not wanted)


def scores_of(row: Row) -> Row:
    """The row whose scores a row takes: the first one that is fitted the same way."""
    return next(other for other in ROWS if other.fit is row.fit)


# --- running a row ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Where the scores of a row with one seed are, and what they cost."""

    row: str
    seed: int
    folder: Path
    seconds: float  # fitting and scoring
    megabytes: float  # peak memory of its process

    def surprise(self, day: Day) -> Array:
        """Nats, float64 [edges]."""
        stored: Array = np.load(self.folder / f"surprise-{day.date}.npy")
        return stored


def fit_and_score(row: Row, prepared: Prepared, folder: Path, config: TrainConfig, seed: int) -> Run:
    """Fit a row and score the days of use calibrate and score."""
    folder.mkdir(parents=True)
    began = time.perf_counter()
    score = row.fit(prepared.training(config, seed))
    for day in prepared.days:
        is_kept = day.use in ("calibrate", "score")
        if is_kept or row.streams:
            surprise = score(day)
            if is_kept:
                np.save(folder / f"surprise-{day.date}.npy", surprise.astype(np.float64))
    seconds = time.perf_counter() - began
    return Run(row.name, seed, folder, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
