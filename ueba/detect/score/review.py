"""Review days that were never scored, so that an attack among them is not learned as normal.

No model of earlier days can score the days of a first training. So each of their edges is scored by a model
of the same days that trained on no edge of its user or source machine (cross-fitting by group), and has a
p-value among edges of others. What one machine did 300 times is then as strange as what it did once: by a
model that knows it, and among its own scores, it would look usual. The days are described as if nothing of
them had become a habit. The model is a logistic regression on piecewise linear functions of the features, a
generalised additive model (Hastie and Tibshirani 1986), fitted in a second. As after a scoring, the strangest
edges are left with their p-values, which decide what is learned of them (`History.learn`).

Leaves out edges whose pairs are all known, and days that are not described in training: there nothing is
judged.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from ueba import suspects
from ueba.arrays import Array, Bools, Floats, Ints
from ueba.config import Config
from ueba.contracts.edge import Edge
from ueba.contracts.incident import STRANGE_P
from ueba.contracts.suspect import Suspect
from ueba.detect.look import features
from ueba.detect.look.negatives import FAMILIES, make_negatives
from ueba.detect.look.newcomers import is_new
from ueba.detect.past.history import History, day_number
from ueba.detect.past.lessons import Lessons, p_values
from ueba.detect.past.walk import DayEdges, day_edges
from ueba.detect.score.calibration import Calibration
from ueba.detect.score.detector import Score, breadth_rank
from ueba.progress import Progress, quiet

Suspects = dict[dt.date, tuple[Suspect, ...]]  # of every reviewed day, the smallest p-value first
FAIR_SHARE = 0.5  # of all that is strange on the reviewed days: more than all others together
EACH = 2.0  # nats an edge of who stands out, on average, p 0.003; a jump server's edges are hardly strange
FEWEST = 20  # suspects of who stands out; fewer teach a model next to nothing
CELLS = 4  # two folds of users by two folds of machines
SAMPLE = 10  # one in so many edges without a new pair stands for all of them
MOST_EXAMPLES = 16_000  # of a cell; more make a model no better
LEAST_EXAMPLES = 100  # of a cell, real and made up; by fewer nothing is called strange
PIECES = 8  # of each feature's own function
STEPS = 12  # of Newton's method, at most
RIDGE = 1.0  # weight of the squared coefficients


@dataclass(frozen=True)
class Reviewed:
    """What a review knows of a day: its edges with a new pair, and a sample of the others.

    table:    rows of the lake of these edges
    weight:   int64 [edges], how many edges of the day each stands for; 1 for an edge with a new pair
    breadth:  float32 [edges], see `breadth_rank`
    features: float32 [edges, features]
    ends:     int64 [edges, 2], user and source
    made_up, made_up_ends: the same of made-up edges
    """

    day: dt.date
    table: pa.Table
    weight: Ints
    breadth: Floats
    features: Floats
    ends: Ints
    made_up: Floats
    made_up_ends: Ints


def review(
    root: Path,
    history: History,
    days: Sequence[dt.date],
    config: Config,
    learning: Lessons,
    progress: Progress = quiet,
) -> Suspects:
    """The suspects of every day that was never scored: the strangest edges with a new pair, with their
    p-values.

    history: before the first day; it learns the days. days: in order. Those that were scored are there to
    compare with"""
    rng = np.random.default_rng(config.train.seed)
    described = []
    for done, day in enumerate(days):
        progress("review", done, len(days))
        edges = day_edges(root, history, day, config.ingest.memory_limit)
        p_value = p_values(edges.table, learning.excluded(day))
        described.append(_described(history, edges, p_value > STRANGE_P, config, rng))
        history.learn(day_number(day), edges.encoded, np.minimum(p_value, STRANGE_P))
    progress("review", len(days), len(days))
    scores = scored(described, rng)
    unknown = [
        (day, score) for day, score in zip(described, scores, strict=True) if learning.is_unknown(day.day)
    ]
    found = {day.day: strangest(day, score, config.incidents.candidates) for day, score in unknown}
    out = standing_out(found)
    return {day.day: with_all_of(out, day, score, found[day.day]) for day, score in unknown}


def _described(
    history: History, edges: DayEdges, normal: Bools, config: Config, rng: np.random.Generator
) -> Reviewed:
    """A day before it is learned. normal: bool [edges], those that may count as usual"""
    encoded, number, seen = edges.encoded, day_number(edges.day), features.today(history, edges.encoded)
    new = is_new(history, encoded)
    rows = np.flatnonzero((new | (rng.integers(0, SAMPLE, len(new)) == 0)) & normal)
    made_up = make_negatives(history, encoded, config.train.negatives_of_family(len(new), len(FAMILIES)), rng)
    kept = encoded.take(rows)
    return Reviewed(
        edges.day,
        edges.table.take(rows),
        np.where(new[rows], 1, SAMPLE),
        breadth_rank(history, kept.user),
        features.describe(history, kept, number, seen),
        np.stack([kept.user, kept.source], axis=1),
        features.describe(history, made_up, number, seen),
        np.stack([made_up.user, made_up.source], axis=1),
    )


def strangest(day: Reviewed, score: Score, candidates: int) -> tuple[Suspect, ...]:
    """The edges with a new pair that are strange among the strangest of a day: as many as a scored day would
    have."""
    strangeness = np.where(day.weight == 1, score.strangeness, -np.inf)
    best = np.argsort(-strangeness, kind="stable")[:candidates]
    return _suspects(day, score, best[(score.p_value[best] <= STRANGE_P) & (day.weight[best] == 1)])


def standing_out(found: Suspects) -> set[tuple[str, str]]:
    """Kind and name of who has more than FAIR_SHARE of all that is strange, edges of EACH nats on average: a
    single one by whom much of what is new came about, which is then learned as what is usual for new
    things."""
    actors = suspects.actors(found)
    most = FAIR_SHARE * sum(actor.nats for actor in actors)
    return {
        (one.kind, one.name)
        for one in actors
        if one.nats > max(most, EACH * len(one.edges)) and len(one.edges) >= FEWEST
    }


def with_all_of(
    out: set[tuple[str, str]], day: Reviewed, score: Score, found: Sequence[Suspect]
) -> tuple[Suspect, ...]:
    """The suspects of a day, with all edges with a new pair of those who stand out."""
    new = _suspects(day, score, np.flatnonzero(day.weight == 1)) if out else ()
    out_edges = {one.edge: one for one in new if suspects.actor_of(one.edge) in out}
    others = [one for one in found if one.edge not in out_edges]
    marked = [replace(one, stands_out=True) for one in out_edges.values()]
    return tuple(sorted([*marked, *others], key=lambda one: one.p_value))


def _suspects(day: Reviewed, score: Score, rows: Ints) -> tuple[Suspect, ...]:
    edges = day.table.select(list(Edge._fields)).take(rows).to_pylist()
    p_value = score.p_value[rows].tolist()
    return tuple(Suspect(Edge(**edge), p) for edge, p in zip(edges, p_value, strict=True))


# --- scores by others ---------------------------------------------------------------------------------------


def scored(days: Sequence[Reviewed], rng: np.random.Generator) -> list[Score]:
    """The scores of the edges of each day. Nothing is strange where there is too little to compare with."""
    cell, made_up_cell = cells([day.ends for day in days], [day.made_up_ends for day in days], rng)
    described = np.concatenate([day.features for day in days])
    made_up = np.concatenate([day.made_up for day in days])
    breadth, weight = (np.concatenate([getattr(day, name) for day in days]) for name in ("breadth", "weight"))
    surprise, p_value = np.zeros(len(cell)), np.ones(len(cell))
    others = {
        number: (cell == CELLS - 1 - number, made_up_cell == CELLS - 1 - number) for number in range(CELLS)
    }
    if min(min(real.sum(), false.sum()) for real, false in others.values()) < LEAST_EXAMPLES:
        others = {}
    for number, (real, false) in others.items():
        surprise[cell == number] = np.logaddexp(
            0, Additive.fitted(described[real], made_up[false], rng).log_odds(described[cell == number])
        )
    for number, (real, _) in others.items():
        pool = Calibration.empty().extended(
            np.repeat(breadth[real], weight[real]), np.repeat(surprise[real], weight[real]), 0
        )
        p_value[cell == number] = pool.p_values(breadth[cell == number], surprise[cell == number])
    ends = np.cumsum([len(day.weight) for day in days])[:-1]
    return [Score(*parts) for parts in zip(np.split(surprise, ends), np.split(p_value, ends), strict=True)]


def cells(ends: Sequence[Ints], made_up_ends: Sequence[Ints], rng: np.random.Generator) -> tuple[Ints, Ints]:
    """The cell of every edge and every made-up edge: the fold of its user and that of its machine. Cells
    whose numbers add up to CELLS - 1 have no user and no machine in common. int64 [edges], [negatives]"""
    both = [np.concatenate(ends), np.concatenate(made_up_ends)]
    users, machines = (
        rng.integers(0, 2, 1 + max(part[:, side].max(initial=0) for part in both)) for side in (0, 1)
    )
    user, other = (
        2 * users[part[:, 0]] + np.where(part[:, 1] < 0, users[part[:, 0]], machines[part[:, 1]])
        for part in both
    )
    return user, other


@dataclass(frozen=True)
class Additive:
    """Logistic regression on piecewise linear functions of each feature.

    knots:  [features] of float32 [pieces + 1], ascending
    weight: float32 [columns], the first of the constant
    """

    knots: Sequence[Floats]
    weight: Floats

    @classmethod
    def fitted(cls, real: Floats, made_up: Floats, rng: np.random.Generator) -> Additive:
        """By Newton's method. real, made_up: float32 [edges, features]"""
        described = np.concatenate([real, made_up])
        label = np.repeat([0.0, 1.0], [len(real), len(made_up)])
        if len(label) > MOST_EXAMPLES:
            drawn = rng.choice(len(label), MOST_EXAMPLES, replace=False)
            described, label = described[drawn], label[drawn]
        knots = [np.unique(row) for row in np.quantile(described, np.linspace(0, 1, PIECES + 1), axis=0).T]
        columns = _columns(described, knots)
        weight = np.zeros(columns.shape[1])
        for _ in range(STEPS):
            odds = np.clip(columns @ weight.astype(np.float32), -30, 30)
            p = 1 / (1 + np.exp(-odds))
            spread = np.maximum(p * (1 - p), 1e-5)[:, None]
            curvature = (columns * spread).T @ columns + RIDGE * np.eye(len(weight))
            step = np.linalg.solve(curvature, columns.T @ (p - label) + RIDGE * weight)
            weight -= step
            if np.abs(step).max() < 0.01:
                break
        return cls(knots, weight.astype(np.float32))

    def log_odds(self, described: Floats) -> Array:
        """That edges were made up, float [edges]. described: float32 [edges, features]"""
        odds: Array = _columns(described, self.knots) @ self.weight
        return odds


def _columns(described: Floats, knots: Sequence[Floats]) -> Floats:
    """What the pieces of each feature's function get: how far an edge has come on the way from one knot to
    the next, 0 to 1. float32 [edges, columns]"""
    passed = [np.ones((len(described), 1), np.float32)]
    for value, at in zip(described.T, knots, strict=True):
        passed.append(np.clip((value[:, None] - at[:-1]) / np.diff(at), 0, 1))
    return np.concatenate(passed, axis=1, dtype=np.float32, casting="same_kind")
