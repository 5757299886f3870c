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

from ueba.config import TrainConfig
from ueba.errors import UsageError
from ueba.evaluate import baselines, model
from ueba.evaluate.protocol import Array, Day, Prepared, Score, Training

Fit = Callable[[Training], Score]
BASELINE, MODEL, ABLATION = "baseline", "model", "ablation"


def vgae(training: Training) -> Score:
    from ueba.evaluate import neural

    return neural.vgae(training)


def euler(training: Training) -> Score:
    from ueba.evaluate import neural

    return neural.euler(training)


@dataclass(frozen=True)
class Row:
    """kind: baseline, model or ablation. seeded: another seed gives another result. streams: is given every
    day, and learns it. calibrated: ranked by p-value too, and not by surprise alone. remembers: what a
    user's days before left counts. grouped: edges are grouped into incidents."""

    name: str
    kind: str
    fit: Fit
    seeded: bool = False
    streams: bool = False
    calibrated: bool = True
    remembers: bool = True
    grouped: bool = True


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
    Row("no peers", ABLATION, partial(model.detect, peers=False), seeded=True),
    Row("no history", ABLATION, partial(model.detect, history=False), seeded=True),
    Row("no threats", ABLATION, partial(model.detect, threats=False), seeded=True),
    Row("no calibration", ABLATION, model.detect, seeded=True, calibrated=False),
    Row("no days before", ABLATION, model.detect, seeded=True, remembers=False),
    Row("no incidents", ABLATION, model.detect, seeded=True, grouped=False),
)


def chosen(names: Iterable[str]) -> tuple[Row, ...]:
    """The rows of some names, in the order of the table; all if there are none. Raises UsageError for an
    unknown name."""
    wanted = set(names)
    unknown = wanted - {row.name for row in ROWS}
    if unknown:
        raise UsageError(
            f"--rows {', '.join(sorted(unknown))}: there is no such row; there are {', '.join(row.name for row in ROWS)}"
        )
    return tuple(row for row in ROWS if row.name in wanted or not wanted)


def scores_of(row: Row) -> Row:
    """The row whose scores a row takes: the first one that is fitted the same way."""
    return next(other for other in ROWS if other.fit is row.fit)


# --- running a row ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Where a row's scores are, and what they cost. seconds: fitting and scoring; megabytes: peak memory of
    its process."""

    folder: Path
    seconds: float
    megabytes: float

    def surprise(self, day: Day) -> Array:
        """Nats, float64 [edges]."""
        stored: Array = np.load(self.folder / f"surprise-{day.date}.npy")
        return stored


def fit_and_score(row: Row, prepared: Prepared, folder: Path, config: TrainConfig, seed: int) -> Run:
    """Fit a row and score the days held out to calibrate with and the days to be scored."""
    folder.mkdir(parents=True)
    began = time.perf_counter()
    score = row.fit(prepared.training(config, seed))
    for day in prepared.days:
        judged = day.use in ("calibrate", "score")
        if judged or row.streams:
            surprise = score(day)
            if judged:
                np.save(folder / f"surprise-{day.date}.npy", surprise.astype(np.float64))
    seconds = time.perf_counter() - began
    return Run(folder, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
