"""Train a detector on the lake.

`train` walks the days of the window in order. Of the last days it describes edges and negatives before the
history learns the day; the autoencoder learns to separate the two. As a day is described before it is
learned, no score depends on that day or a later one. Excluded edges stay out of training; what is excluded of
days that were never scored, a review decides first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models import checkpoint, inference
from models.graph import Edges, Snapshot
from ueba.arrays import Floats
from ueba.config import Config, IncidentConfig, TrainConfig
from ueba.contracts.incident import ModelFacts
from ueba.detect import incidents
from ueba.detect.look import features, tensors
from ueba.detect.look.negatives import FAMILIES, make_negatives
from ueba.detect.look.newcomers import disguise
from ueba.detect.look.tensors import Frame
from ueba.detect.past import lessons
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import NO_HABIT_P, History, date_of, day_number
from ueba.detect.past.lessons import EVERYTHING, Lessons
from ueba.detect.past.walk import walk, window_start
from ueba.detect.score.calibration import Calibration
from ueba.detect.score.detector import Detector, Score, averaged_surprise, breadth_rank, scored
from ueba.detect.score.review import Suspects, review
from ueba.errors import WorkspaceError
from ueba.ingest import lake
from ueba.progress import Progress, quiet

REPEATS = 0.1  # share of edges without a new pair that training keeps: they are most of a day, and easy
CALIBRATION_DAYS = (
    2,
    5,
)  # days before the end that are not trained on; three apart, so that one is a working day
ENOUGH_EDGES = 12_000  # of a day; a smaller day draws its newcomers and negatives several times
MOST_DRAWS = 4  # of one day
NegativesOf = Callable[[History, EncodedEdges, int, np.random.Generator], EncodedEdges]
LEAST_DAYS = 4  # days of history that a training needs


@dataclass(frozen=True)
class Described:
    """A day's edges with their features against the history before the day.

    history:  before the day; it has not learned the edges
    day:      number of the day
    seen:     what entities do on the day as a whole
    features: float32 [edges, features]
    """

    history: History
    encoded: EncodedEdges
    day: int
    seen: features.Today
    features: Floats


@dataclass(frozen=True)
class HeldOut:
    """A day that is used for calibration and not for training.

    day:      number of the day
    graph:    the message graph before the day
    features: float32 [edges, features]
    breadth:  float32 [edges], see `breadth_rank`
    """

    day: int
    graph: Snapshot
    encoded: EncodedEdges
    features: Floats
    breadth: Floats


class Trained(NamedTuple):
    """What a training leaves.

    history:  after the last day
    suspects: of the days that were reviewed, which were never scored before
    """

    detector: Detector
    history: History
    suspects: Suspects


def train(
    root: Path, until: dt.date, config: Config, progress: Progress = quiet, learning: Lessons = EVERYTHING
) -> Trained:
    """A detector trained on the lake's days up to `until`.

    Raises WorkspaceError if the window has fewer than LEAST_DAYS days with edges."""
    days = _days_of_training(root, until, config)
    positive, calibrating = split(days, config.train)
    history, examples, held_out = History(config.history.half_life_days), [], []
    memory_limit, before = config.ingest.memory_limit, positive[0] - dt.timedelta(days=1)
    for done, _ in enumerate(walk(root, history, days[0], before, memory_limit, learning)):
        progress("read", done, len(days))
    suspects: Suspects = {}
    if any(map(learning.is_unknown, positive)):
        suspects = review(root, deepcopy(history), positive, config, learning, progress)
        learning = learning.reviewed(suspects)
    rng, frame = np.random.default_rng(config.train.seed), tensors.frame_of(history)
    described_days = walk(root, history, positive[0], until, memory_limit, learning)
    for done, edges in enumerate(described_days, len(days) - len(positive)):
        progress("read", done, len(days))
        p_values = lessons.p_values(edges.table, learning.excluded(edges.day))
        if edges.day in calibrating:
            held_out.append(_held_out(described(history, edges.encoded.take(p_values > 0), edges.day), frame))
        elif edges.day in positive:
            normal = edges.encoded.take(p_values > NO_HABIT_P)
            examples += examples_of_day(history, normal, edges.day, frame, config.train, rng)
    progress("read", len(days), len(days))
    models = train_models(examples, config.train, progress)
    calibration, usual_score, quiet_scores = _calibrated(models, held_out, config.incidents)
    facts = ModelFacts(
        first_day=days[0],
        trained_until=until,
        seeds=config.train.seeds,
        usual_score={str(config.incidents.budget): usual_score},
        features_digest=features.DIGEST,
        quiet_scores=quiet_scores,
    )
    return Trained(Detector(models, frame, calibration, facts), history, suspects)


def _days_of_training(root: Path, until: dt.date, config: Config) -> list[dt.date]:
    start = window_start(until + dt.timedelta(days=1), config)
    days = [day for day in lake.days(root) if start <= day <= until]
    if len(days) < LEAST_DAYS:
        raise WorkspaceError(
            f"{root}: {len(days)} days of edges from {start} to {until}, at least {LEAST_DAYS} are needed;"
            f" `ueba doctor` says which days the lake holds, `ueba ingest` adds to them"
        )
    return days


def described(history: History, encoded: EncodedEdges, day: dt.date) -> Described:
    """A day's edges with their features."""
    number, seen = day_number(day), features.today(history, encoded)
    return Described(history, encoded, number, seen, features.describe(history, encoded, number, seen))


def _held_out(day: Described, frame: Frame) -> HeldOut:
    breadth = breadth_rank(day.history, day.encoded.user)
    graph = tensors.snapshot(day.history, frame, day.seen.likeness.space)
    return HeldOut(day.day, graph, day.encoded, day.features, breadth)


def _calibrated(
    models: list[inference.Weights], days: list[HeldOut], config: IncidentConfig
) -> tuple[Calibration, float, dict[dt.date, tuple[float, ...]]]:
    """The calibration by held-out days; the score of incidents that is usual on them, nats; and the highest
    scores of incidents of each."""
    surprises = [averaged_surprise(models, day.graph, day.encoded, day.features) for day in days]
    calibration = Calibration.empty()
    for day, surprise in zip(days, surprises, strict=True):
        calibration = calibration.extended(day.breadth, surprise, day.day)
    found = [
        scored(day.encoded, Score(surprise, calibration.p_values(day.breadth, surprise)))
        for day, surprise in zip(days, surprises, strict=True)
    ]
    usual = [incidents.usual_score(edges, config.candidates, config.budget) for edges in found]
    quiet_scores = {
        date_of(day.day): incidents.highest_scores(edges, config.candidates, config.budget)
        for day, edges in zip(days, found, strict=True)
    }
    return calibration, max(usual), quiet_scores


def split(days: list[dt.date], config: TrainConfig) -> tuple[list[dt.date], list[dt.date]]:
    """The days of a training whose edges are described, and the held-out days among them, which calibrate."""
    positive = days[max(len(days) // 4, len(days) - config.positive_days) :]
    return positive, [positive[-back] for back in CALIBRATION_DAYS if back < len(positive)] or positive[-1:]


def examples_of_day(
    history: History,
    encoded: EncodedEdges,
    day: dt.date,
    frame: Frame,
    config: TrainConfig,
    rng: np.random.Generator,
    negatives_of: NegativesOf = make_negatives,
) -> list[tuple[Snapshot, Edges]]:
    """What training sees of a day: a message graph before it, and edges, for each draw of newcomers and
    negatives. history: before the day"""
    examples = []
    for _ in range(min(max(ENOUGH_EDGES // max(len(encoded), 1), 1), MOST_DRAWS)):
        view, edges = disguise(history, encoded, rng)
        shown = described(view, edges, day)
        drawn = make_examples(shown, config, rng, negatives_of)
        examples.append((tensors.snapshot(view, frame, shown.seen.likeness.space), drawn))
    return examples


def make_examples(
    day: Described,
    config: TrainConfig,
    rng: np.random.Generator,
    negatives_of: NegativesOf = make_negatives,
) -> Edges:
    """A day's edges (label 0) and negatives (label 1) with their features, as training takes them."""
    new = day.features[:, features.FEATURE_NAMES.index("parts_new")] > 0
    kept = new | (rng.random(len(day.encoded)) < REPEATS)
    per_family = config.negatives_of_family(len(day.encoded), len(FAMILIES))
    negatives = negatives_of(day.history, day.encoded, per_family, rng)
    of_negatives = features.describe(day.history, negatives, day.day, day.seen)
    return Edges(
        np.concatenate([tensors.edge_nodes(day.encoded)[kept], tensors.edge_nodes(negatives)]),
        np.concatenate([day.features[kept], of_negatives]),
        np.repeat(np.array([0, 1], np.float32), [kept.sum(), len(negatives)]),
    )


def train_models(
    examples: list[tuple[Snapshot, Edges]], config: TrainConfig, progress: Progress = quiet
) -> list[inference.Weights]:
    """The trained models, one for every seed."""
    from models.training import TrainingConfig, train_several

    total, done = config.seeds * config.steps, count(1)

    def step(loss: float) -> None:
        progress("train", next(done), total)

    settings = TrainingConfig(steps=config.steps)
    seeds = range(config.seed, config.seed + config.seeds)
    trained = train_several(examples, tensors.ROLES, settings, seeds, step)
    return [checkpoint.weights_of(model) for model in trained]
