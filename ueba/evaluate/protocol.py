"""One walk over the lake writes to disk what all rows of the table share; each row then reads the days it
wants.

A day is described by the history before it and only then learned, as in `ueba.detect.score.detector`. No row's
findings change what is known, so that all rows see the same past. The parts of a day, in a folder
`day=YYYY-MM-DD`:

    batch             EdgeBatch; entities are integers, in order of first sight
    breadth           float32 [edges], rank of the user by distinct targets, 0 to 1
    features          float32 [edges, features]                          days that are scored or calibrated with
    graph             message graph before the day, every entity in row  these, and days with examples
    examples-SEED     the day's edges and made-up ones, `models.graph.Edges`
    uniform-SEED      the same with an end replaced at random instead    days with examples

Leaves out labels: nothing here and nothing in a row reads them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.graph import Edges, Snapshot
from ueba.config import Config, TrainConfig
from ueba.detect.look import features, tensors
from ueba.detect.look.negatives import FAMILIES, make_negatives
from ueba.detect.past import walk
from ueba.detect.past.history import EdgeBatch, Floats, History, day_number
from ueba.detect.score import detector, train
from ueba.errors import UsageError, WorkspaceError
from ueba.ingest import lake
from ueba.progress import Progress, quiet

Array = npt.NDArray[Any]
Use = Literal["learn", "train", "calibrate", "score"]
Score = Callable[["Day"], Array]  # surprise of a day's edges in nats, float [edges]; higher is stranger


@dataclass(frozen=True)
class Day:
    """A day on disk, read anew by every property.

    use: learn (history only), train (has examples), calibrate (held out of training), score
    """

    folder: Path
    date: dt.date
    use: Use

    @property
    def number(self) -> int:
        return day_number(self.date)

    @property
    def batch(self) -> EdgeBatch:
        with np.load(self._part("batch.npz")) as stored:
            return EdgeBatch(**stored)

    @property
    def breadth(self) -> Floats:
        stored: Floats = np.load(self._part("breadth.npy"))
        return stored

    @property
    def features(self) -> Floats:
        stored: Floats = np.load(self._part("features.npy"))
        return stored

    @property
    def graph(self) -> Snapshot:
        with np.load(self._part("graph.npz")) as stored:
            x = {kind: stored[kind] for kind in ("user", "place")}
            pairs = {
                relation: stored[name].astype(np.int64) for name, relation in tensors.GRAPH_RELATIONS.items()
            }
        return Snapshot(x, {kind: np.arange(len(rows)) for kind, rows in x.items()}, pairs)

    def examples(self, seed: int, threats: bool = True) -> Edges:
        with np.load(self._part(f"{'examples' if threats else 'uniform'}-{seed}.npz")) as stored:
            return Edges(**stored)

    def _part(self, name: str) -> Path:
        return self.folder / f"day={self.date}" / name

    # --- writing --------------------------------------------------------------------------------------------

    def write(self, history: History, batch: EdgeBatch) -> None:
        """All but the examples, of a day that the history has not learned."""
        self._part("").mkdir()
        np.savez(self._part("batch.npz"), **vars(batch))
        np.save(self._part("breadth.npy"), detector.breadth_rank(history, batch.user))
        if self.use in ("calibrate", "score"):
            described = features.describe(history, batch, self.number, features.today(history, batch))
            np.save(self._part("features.npy"), described)
        if self.use != "learn":
            graph = train.message_graph(history)
            pairs = {relation[1]: ends.astype(np.int32) for relation, ends in graph.pairs.items()}
            parts: dict[str, Any] = {**graph.x, **pairs}
            np.savez(self._part("graph.npz"), **parts)

    def write_examples(
        self,
        history: History,
        batch: EdgeBatch,
        config: TrainConfig,
        generators: Sequence[np.random.Generator],
    ) -> None:
        """What the detector would train on, and the same with plain corruption, for each seed."""
        described = train.described(history, batch, self.date)
        for seed, rng in enumerate(generators):
            for kind, make_up in (("examples", make_negatives), ("uniform", corrupted)):
                edges = train.make_examples(described, config, rng, make_up)
                np.savez(self._part(f"{kind}-{seed}.npz"), **vars(edges))


def corrupted(history: History, batch: EdgeBatch, per_family: int, rng: np.random.Generator) -> EdgeBatch:
    """As many made-up edges as the threats are: real ones with the user, the source or the target replaced
    by any entity known. Each is alone in its campaign (Bordes et al. 2013, "Translating embeddings for
    modeling multi-relational data")."""
    size = per_family * len(FAMILIES)
    made = batch.take(rng.integers(0, len(batch), size))
    end = rng.integers(0, 3, size)
    return replace(
        made,
        user=np.where(end == 0, rng.integers(0, len(history.users), size), made.user),
        source=np.where(end == 1, rng.integers(0, len(history.places), size), made.source),
        target=np.where(end == 2, rng.integers(0, len(history.places), size), made.target),
        campaign=np.arange(size),
    )


@dataclass(frozen=True)
class Training:
    """What a row is fitted on. `days`: up to the last day of training, but those held out. users, places:
    how many were known at its end; an entity whose number is not below came later."""

    days: list[Day]
    users: int
    places: int
    config: TrainConfig
    seed: int

    @property
    def with_examples(self) -> list[Day]:
        return [day for day in self.days if day.use == "train"]


@dataclass(frozen=True)
class Prepared:
    """A folder of days. `users`, `places`: names by number."""

    folder: Path
    days: list[Day]
    known_users: int
    known_places: int
    users: list[str]
    places: list[str]

    def of_use(self, *uses: Use) -> list[Day]:
        return [day for day in self.days if day.use in uses]

    def training(self, config: TrainConfig, seed: int) -> Training:
        last = self.of_use("score")[0].date
        days = [day for day in self.of_use("learn", "train") if day.date < last]
        return Training(days, self.known_users, self.known_places, seeded(config, seed), seed)

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        """What `prepare` wrote."""
        facts = json.loads((folder / "facts.json").read_text())
        facts["days"] = [Day(folder, dt.date.fromisoformat(day), use) for day, use in facts["days"]]
        return cls(folder, **facts)


def seeded(config: TrainConfig, seed: int) -> TrainConfig:
    """The detector's settings for a repetition: no two share one of the models that are averaged."""
    return replace(config, seed=config.seed + seed * config.seeds)


def uses(
    days: list[dt.date], train_until: dt.date, first: dt.date, last: dt.date, config: Config
) -> dict[dt.date, Use]:
    """What each day is for. Raises UsageError for days out of order, WorkspaceError where there are too
    few."""
    if not train_until < first <= last:
        raise UsageError(
            f"--train-until {train_until} must lie before --from {first}, and that not after --to {last}"
        )
    start = walk.window_start(train_until + dt.timedelta(days=1), config)
    training = [day for day in days if start <= day <= train_until]
    scored = [day for day in days if first <= day <= last]
    if len(training) < train.LEAST_DAYS or not scored:
        held = f"{days[0]} to {days[-1]}" if days else "none; `ueba ingest` comes first"
        raise WorkspaceError(
            f"{len(training)} days of edges to train on from {start} to {train_until} (at least {train.LEAST_DAYS} are needed)"
            f" and {len(scored)} to score from {first} to {last}; days in the lake: {held}"
        )
    positive, held_out = train.split(training, config.train)
    result: dict[dt.date, Use] = {day: "learn" for day in days if start <= day <= last}
    return (
        result
        | dict.fromkeys(positive, "train")
        | dict.fromkeys(held_out, "calibrate")
        | dict.fromkeys(scored, "score")
    )


def prepare(
    root: Path,
    folder: Path,
    train_until: dt.date,
    first: dt.date,
    last: dt.date,
    config: Config,
    seeds: int = 3,
    progress: Progress = quiet,
) -> None:
    """Walk over the lake once and write its days to an empty folder. Raises what `uses` raises."""
    planned = uses(lake.days(root), train_until, first, last, config)
    history = History(config.history.half_life_days)
    generators = [np.random.default_rng(seeded(config.train, seed).seed) for seed in range(seeds)]
    known = 0, 0
    for done, (day, batch, _) in enumerate(walk.walk(root, history, min(planned), max(planned))):
        progress("read", done, len(planned))
        day_on_disk = Day(folder, day, planned[day])
        day_on_disk.write(history, batch)
        if day_on_disk.use == "train":
            day_on_disk.write_examples(history, batch, config.train, generators)
        if day <= train_until:
            known = len(history.users), len(history.places)
    progress("read", len(planned), len(planned))
    facts = {
        "days": [(day.isoformat(), use) for day, use in planned.items()],
        "known_users": known[0],
        "known_places": known[1],
        "users": history.users.names,
        "places": history.places.names,
    }
    (folder / "facts.json").write_text(json.dumps(facts))
