"""The detector: learn what is normal from the lake, score a day against what was known before it.

`train` walks the days of the window in order. For each of the last days it notes, before learning the day,
what its edges and as many made-up ones look like; the autoencoder learns to tell them apart. `score` gives
edges their surprise, p-value and strangeness. A day is always described before it is learned, so nothing
later than the day before can reach a score. The strangest edges of scored days stay out of training. Leaves
out files other than the model's own.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from models import checkpoint, inference
from models.graph import Edges, Snapshot
from ueba.config import Config, TrainConfig
from ueba.detect import incidents
from ueba.detect.calibration import Calibration
from ueba.detect.history import NO_HABIT_P, EdgeBatch, Floats, History, Ints, Names, date_of, day_number
from ueba.detect.look import features, tensors
from ueba.detect.look.negatives import FAMILIES, make_negatives
from ueba.errors import WorkspaceError
from ueba.ingest import lake

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]  # what is done, how far, of how many
Edge = tuple[str, str | None, str]  # user, source, target
# The edges of a day that were strange when it was scored, and their p-values; 0 for what is known to be an
# attack.
Suspects = Callable[[dt.date], Mapping[Edge, float]]
Judged = Callable[[dt.date], str]  # stands for all that is known to be an attack up to a day
REPEATS = 0.1  # share of edges seen before that training keeps: they are most of a day, and easy
CALIBRATION_DAYS = (
    2,
    5,
)  # days before the end that are not trained on; three apart, so that one is a working day
LEAST_DAYS = 4  # fewer days of history teach nothing


def quiet(what: str, done: int, total: int) -> None:
    """Progress for who does not watch."""


def no_suspects(day: dt.date) -> dict[Edge, float]:
    """For a lake whose days were never scored."""
    return {}


def nothing_judged(until: dt.date) -> str:
    """Where nobody said anything."""
    return ""


@dataclass(frozen=True)
class Score:
    """What is said of each edge. float64 [edges] each.

    surprise:    nats, -log p(the edge happened by itself); higher is stranger
    p_value:     (0, 1], how often a user as broad is as strange; small is strange
    strangeness: nats, surprise - log p_value, what incidents are ranked by: strange at all, and strange for
    this user
    """

    surprise: Array
    p_value: Array

    @property
    def strangeness(self) -> Array:
        result: Array = self.surprise - np.log(self.p_value)
        return result


@dataclass(frozen=True)
class Detector:
    """A trained model with all it needs to score. `users`, `places`: names in the order of the model's id
    tables."""

    models: list[inference.Weights]
    users: Names
    places: Names
    calibration: Calibration
    facts: dict[str, Any]

    def score(self, history: History, batch: EdgeBatch, day: int) -> tuple[Score, Floats]:
        """Score a whole day's edges, and return with it their features [edges, features]. The day was not
        learned."""
        described = features.describe(history, batch, day, features.today(history, batch))
        surprise = self.surprise(history, batch, described)
        return Score(
            surprise, self.calibration.p_values(breadth_rank(history, batch.user), surprise)
        ), described

    def surprise(self, history: History, batch: EdgeBatch, described: Floats) -> Array:
        """Surprise of described edges in nats, averaged over the models' log odds. float64 [edges]"""
        rows = self.users.find(history.users.names), self.places.find(history.places.names)
        return averaged_surprise(self.models, tensors.snapshot(history, *rows), batch, described)

    def least_score(self, budget: int) -> float:
        """What an incident scores at least, if the model was trained for this budget; else 0."""
        usual: dict[str, float] = self.facts["usual_score"]
        return usual.get(str(budget), 0.0)

    def learned_before(self, day: dt.date) -> bool:
        """Whether it has learned nothing from a day or later, so that it may score it."""
        until: str = self.facts["trained_until"]
        return until < day.isoformat()

    def recalibrated(self, history: History, batch: EdgeBatch, day: int, surprise: Array) -> Detector:
        """With edges of a scored day added to what is known of normal scores. `history` is as of before the
        day."""
        calibration = self.calibration.extended(breadth_rank(history, batch.user), surprise, day)
        return replace(self, calibration=calibration)

    def save(self, folder: Path) -> None:
        """Replace the model in a folder in one step."""
        temporary = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        checkpoint.save_models(self.models, temporary)
        pool = {name: getattr(self.calibration, name).tolist() for name in ("rank", "surprise", "day")}
        (temporary / "calibration.json").write_text(json.dumps(pool))
        names = {"users": self.users.names, "places": self.places.names}
        (temporary / "names.json").write_text(json.dumps(names))
        (temporary / "facts.json").write_text(json.dumps(self.facts, indent=1))
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> Detector:
        """Raises WorkspaceError if there is no model, or it is damaged."""
        if not folder.exists():
            raise WorkspaceError(f"{folder}: there is no model yet; make one with `ueba train`")
        try:
            models = checkpoint.load_models(folder)
            pool = json.loads((folder / "calibration.json").read_text())
            names = json.loads((folder / "names.json").read_text())
            facts = json.loads((folder / "facts.json").read_text())
            scores = (
                np.array(pool["rank"], np.float32),
                np.array(pool["surprise"], np.float32),
                np.array(pool["day"], np.int64),
            )
        except (checkpoint.DamagedModel, OSError, ValueError, KeyError) as reason:
            raise WorkspaceError(
                f"the model is damaged or of another version ({reason}); make a new one with `ueba train`"
            ) from reason
        return cls(models, Names(names["users"]), Names(names["places"]), Calibration(*scores), facts)


def breadth_rank(history: History, user: Ints) -> Floats:
    """Share of users who had fewer distinct targets than each of some, ties counted half, float32 [users]."""
    targets = history.sides["user_target"][0].breadth
    every, mine = np.sort(targets[targets > 0]), targets[user]
    below, upto = (np.searchsorted(every, mine, side) for side in ("left", "right"))
    rank: Floats = ((below + upto) / (2 * max(len(every), 1))).astype(np.float32)
    return rank


def averaged_surprise(
    models: list[inference.Weights], graph: Snapshot, batch: EdgeBatch, described: Floats
) -> Array:
    """Surprise in nats of edges against a message graph, from the mean of the models' log odds. float64
    [edges]"""
    logits = np.zeros(len(batch))
    for weights in models:
        z = inference.encode(weights, graph.x, graph.row, graph.pairs)
        logits += inference.decode(weights, z, tensors.edge_nodes(batch), described)
    return inference.surprise(logits / len(models))


# --- walking the lake ---------------------------------------------------------------------------------------


def walk(
    root: Path, history: History, first: dt.date, last: dt.date, suspects: Suspects = no_suspects
) -> Iterator[tuple[dt.date, EdgeBatch, pa.Table]]:
    """Each day from `first` to `last` that has edges, before it is learned; when the caller comes back, the
    day is learned."""
    for day in lake.days(root):
        if not first <= day <= last:
            continue
        table = lake.read_pairs(root, day, day)
        batch = history.encode(table)
        yield day, batch, table
        history.learn(day_number(day), batch, p_values(table, suspects(day)))
        history.batches += batches_of(root, day)


def batches_of(root: Path, day: dt.date) -> list[str]:
    """What the lake holds of a day: `<day>/<file>` of each batch, in order."""
    return sorted(f"{day}/{path.name}" for path in lake.stored(root, day, day))


def p_values(table: pa.Table, suspects: Mapping[Edge, float]) -> Array:
    """The p-value of each edge of a day when it was scored, 1 for those that are no suspects. float64
    [edges]"""
    if not suspects:
        return np.ones(len(table))
    columns = (table[name].to_pylist() for name in ("user", "source", "target"))
    return np.fromiter((suspects.get(edge, 1.0) for edge in zip(*columns, strict=True)), float, len(table))


def not_attacks(table: pa.Table, suspects: Mapping[Edge, float]) -> npt.NDArray[np.bool_]:
    """Which edges of a day were not called true, p of 0 among the suspects, and so count as normal. bool
    [edges]"""
    normal: npt.NDArray[np.bool_] = p_values(table, suspects) > 0
    return normal


def window_start(day: dt.date, config: Config) -> dt.date:
    """The first day that counts for what is known before `day`."""
    return day - dt.timedelta(days=config.history.window_days)


def history_before(
    root: Path,
    day: dt.date,
    config: Config,
    stored: Path | None = None,
    suspects: Suspects = no_suspects,
    judged: Judged = nothing_judged,
) -> History:
    """What was known before a day. A stored history is carried on if there is one, the lake still holds what
    it learned and nothing else is known to be an attack; otherwise (late data, a late verdict, another
    setting) it is made anew."""
    last, start = day - dt.timedelta(days=1), window_start(day, config)
    history = _still_true(root, stored, last, start, config, judged) if stored else None
    if history is None:
        history = History(config.history.half_life_days)
    else:
        start = max(start, date_of(history.last_day) + dt.timedelta(days=1))
    for _ in walk(root, history, start, last, suspects):
        pass
    return history


def _still_true(
    root: Path, stored: Path, last: dt.date, start: dt.date, config: Config, judged: Judged
) -> History | None:
    history = History.load(stored)
    if history is None:
        return None
    learned_until = date_of(history.last_day)
    if learned_until > last or history.half_life_days != config.history.half_life_days or not history.batches:
        return None
    if history.judged != judged(learned_until):
        return None
    began = dt.date.fromisoformat(history.batches[0].split("/")[0])
    held = [
        batch for day in lake.days(root) if began <= day <= learned_until for batch in batches_of(root, day)
    ]
    earlier = [day for day in lake.days(root) if start <= day < began]
    return history if held == history.batches and not earlier else None


# --- training -----------------------------------------------------------------------------------------------


def train(
    root: Path, until: dt.date, config: Config, progress: Progress = quiet, suspects: Suspects = no_suspects
) -> tuple[Detector, History]:
    """A detector that knows the lake's days up to `until`, and the history after that day.

    Raises WorkspaceError where there are too few days."""
    start = window_start(until + dt.timedelta(days=1), config)
    days = [day for day in lake.days(root) if start <= day <= until]
    if len(days) < LEAST_DAYS:
        raise WorkspaceError(
            f"{root}: {len(days)} days of edges from {start} to {until}, at least {LEAST_DAYS} are needed;"
            f" `ueba doctor` says which days the lake holds, `ueba ingest` adds to them"
        )
    positive, held_out = split(days, config.train)
    history, examples, normal = History(config.history.half_life_days), [], []
    rng = np.random.default_rng(config.train.seed)
    for done, (day, batch, table) in enumerate(walk(root, history, days[0], until, suspects)):
        progress("read", done, len(days))
        if day in held_out:
            batch = batch.take(not_attacks(table, suspects(day)))
            described = features.describe(history, batch, day_number(day), features.today(history, batch))
            normal.append(
                (frozen(history), batch, described, day_number(day), breadth_rank(history, batch.user))
            )
        elif day in positive:
            trusted = batch.take(p_values(table, suspects(day)) > NO_HABIT_P)
            seen = features.today(history, trusted)
            described = features.describe(history, trusted, day_number(day), seen)
            examples.append(
                (
                    frozen(history),
                    make_examples(history, trusted, day_number(day), seen, described, config.train, rng),
                )
            )
    progress("read", len(days), len(days))
    models = train_models(examples, len(history.users), len(history.places), config.train, progress)
    surprises = [
        averaged_surprise(models, before, batch, described) for before, batch, described, _, _ in normal
    ]
    calibration = Calibration.empty()
    for (*_, number, broad), surprise in zip(normal, surprises, strict=True):
        calibration = calibration.extended(broad, surprise, number)
    limits = config.incidents.candidates, config.incidents.budget
    usual = [
        incidents.usual_score(scored(batch, Score(surprise, calibration.p_values(broad, surprise))), *limits)
        for (_, batch, _, _, broad), surprise in zip(normal, surprises, strict=True)
    ]
    facts = {
        "trained_until": until.isoformat(),
        "first_day": days[0].isoformat(),
        "seeds": config.train.seeds,
        "usual_score": {str(config.incidents.budget): max(usual)},
    }
    return Detector(
        models, Names(history.users.names), Names(history.places.names), calibration, facts
    ), history


def split(days: list[dt.date], config: TrainConfig) -> tuple[list[dt.date], list[dt.date]]:
    """Of the days of a training: those whose edges are told from made-up ones, and of these the ones held
    out to calibrate with."""
    positive = days[max(len(days) // 2, len(days) - config.positive_days) :]
    return positive, [positive[-back] for back in CALIBRATION_DAYS if back < len(positive)] or positive[-1:]


def scored(batch: EdgeBatch, score: Score) -> pd.DataFrame:
    """Edges by their numbers, as incidents are made of them."""
    source = batch.source.astype(object)
    source[batch.source < 0] = None
    columns = {"user": batch.user, "source": source, "target": batch.target}
    return pd.DataFrame(
        columns | {"surprise": score.surprise, "p_value": score.p_value, "strangeness": score.strangeness}
    )


def frozen(history: History) -> Snapshot:
    """The message graph as of now, every entity in the id table by its own number: names only ever get
    added."""
    return tensors.snapshot(history, np.arange(len(history.users)), np.arange(len(history.places)))


def make_examples(
    history: History,
    batch: EdgeBatch,
    day: int,
    seen: features.Today,
    described: Floats,
    config: TrainConfig,
    rng: np.random.Generator,
    make_up: Callable[[History, EdgeBatch, int, np.random.Generator], EdgeBatch] = make_negatives,
) -> Edges:
    """A day's edges (`described`: their features) and made-up ones. The day was not learned."""
    new = described[:, features.FEATURE_NAMES.index("parts_new")] > 0
    kept = new | (rng.random(len(batch)) < REPEATS)
    size = max(int(config.negatives * len(batch) / len(FAMILIES)), 100)
    made_up = make_up(history, batch, size, rng)
    nodes = np.concatenate([tensors.edge_nodes(batch)[kept], tensors.edge_nodes(made_up)])
    all_features = np.concatenate([described[kept], features.describe(history, made_up, day, seen)])
    label = np.repeat(np.array([0, 1], np.float32), [kept.sum(), len(made_up)])
    return Edges(nodes, all_features, label)


def train_models(
    examples: list[tuple[Snapshot, Edges]],
    users: int,
    places: int,
    config: TrainConfig,
    progress: Progress = quiet,
) -> list[inference.Weights]:
    """A model for each seed. users, places: rows of the id tables; later entities have none."""
    from models.training import TrainingConfig, train_several

    total, done = config.seeds * config.steps, count(1)

    def step(loss: float) -> None:
        progress("train", next(done), total)

    nodes = {"user": users, "place": places}
    settings = TrainingConfig(steps=config.steps)
    seeds = range(config.seed, config.seed + config.seeds)
    trained = train_several(examples, tensors.ROLES, nodes, settings, seeds, step)
    return [checkpoint.weights_of(model) for model in trained]
