"""What all rows of the table share: one walk over the lake writes it to disk, and each row reads the days it
needs.

A day is described by the history before it and only then learned, as in `ueba.detect.score`. No row's
results change the history, so that all rows see the same past. The parts of a day, in a folder
`day=YYYY-MM-DD`:

| part | content | on days of use |
|---|---|---|
| encoded | EncodedEdges; entities are integers, in order of first sight | all |
| breadth | float32 [edges], rank of the user by distinct targets, 0 to 1 | all |
| features | float32 [edges, features] | calibrate, score |
| graph | message graph before the day, with every entity | train, calibrate, score |
| examples-SEED-DRAW | a message graph, the day's edges and negatives, see `train.examples_of_day` | train |
| uniform-SEED-DRAW | the same with an end replaced at random instead | train |

Leaves out labels: nothing here and nothing in a row reads them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from models.graph import Edges, Snapshot
from ueba.arrays import Array, Floats
from ueba.config import Config, TrainConfig
from ueba.detect.look import features, tensors
from ueba.detect.look.negatives import FAMILIES, make_negatives
from ueba.detect.look.tensors import Frame
from ueba.detect.past import walk
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import History, day_number
from ueba.detect.score import detector, train
from ueba.errors import UsageError, WorkspaceError
from ueba.ingest import lake
from ueba.progress import Progress, quiet

Use = Literal["learn", "train", "calibrate", "score"]
Scorer = Callable[["Day"], Array]  # surprise of a day's edges in nats, float [edges]; higher is stranger


@dataclass(frozen=True)
class Span:
    """The days of an evaluation."""

    train_until: dt.date
    first: dt.date  # to score
    last: dt.date  # to score


@dataclass(frozen=True)
class Day:
    """A day on disk; every property reads it again."""

    folder: Path
    date: dt.date
    use: Use  # learn (history only), train (has examples), calibrate (left out of training), score

    @property
    def number(self) -> int:
        return day_number(self.date)

    @property
    def encoded(self) -> EncodedEdges:
        with np.load(self._part("batch.npz")) as stored:
            return EncodedEdges(**stored)

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
            return graph_from(stored)

    def examples(self, seed: int, threats: bool = True) -> list[tuple[Snapshot, Edges]]:
        """The message graph before the day and its edges, for each draw of newcomers and negatives."""
        kind = "examples" if threats else "uniform"
        found = []
        for path in sorted(self._part("").glob(f"{kind}-{seed}-*.npz")):
            with np.load(path) as stored:
                edges = Edges(**{name: stored[name] for name in Edges.__dataclass_fields__})
                found.append((graph_from(stored), edges))
        return found

    def _part(self, name: str) -> Path:
        return self.folder / f"day={self.date}" / name

    # --- writing --------------------------------------------------------------------------------------------

    def write(self, history: History, encoded: EncodedEdges, frame: Frame) -> None:
        """Write everything but the examples of a day that the history has not learned."""
        self._part("").mkdir()
        np.savez(self._part("batch.npz"), **vars(encoded))
        np.save(self._part("breadth.npy"), detector.breadth_rank(history, encoded.user))
        if self.use == "learn":
            return
        seen = features.today(history, encoded)
        graph = tensors.snapshot(history, frame, seen.likeness.space)
        np.savez(self._part("graph.npz"), **graph_parts(graph))
        if self.use in ("calibrate", "score"):
            described = features.describe(history, encoded, self.number, seen)
            np.save(self._part("features.npy"), described)

    def write_examples(
        self,
        history: History,
        encoded: EncodedEdges,
        frame: Frame,
        config: TrainConfig,
        generators: Sequence[np.random.Generator],
    ) -> None:
        """Write what the detector would train on, and the same with plain corruption, for each seed."""
        for seed, rng in enumerate(generators):
            for kind, negatives in (("examples", make_negatives), ("uniform", corrupted)):
                drawn = train.examples_of_day(history, encoded, self.date, frame, config, rng, negatives)
                for draw, (graph, edges) in enumerate(drawn):
                    path = self._part(f"{kind}-{seed}-{draw}.npz")
                    np.savez(path, **graph_parts(graph), **vars(edges))


def graph_parts(graph: Snapshot) -> dict[str, Any]:
    """A message graph as arrays by name, as a file has them."""
    pairs = {relation[1]: ends.astype(np.int32) for relation, ends in graph.pairs.items()}
    return {**graph.x, **pairs}


def graph_from(stored: Mapping[str, Array]) -> Snapshot:
    """The message graph of a file."""
    kinds = ("user", "place")
    pairs = {relation: stored[name].astype(np.int64) for name, relation in tensors.GRAPH_RELATIONS.items()}
    return Snapshot({kind: stored[kind] for kind in kinds}, pairs)


def corrupted(
    history: History, encoded: EncodedEdges, per_family: int, rng: np.random.Generator
) -> EncodedEdges:
    """As many negatives as `make_negatives` makes: real edges with the user, the source or the target
    replaced by any known entity, each a campaign of its own (Bordes et al. 2013, "Translating embeddings for
    modeling multi-relational data")."""
    size = per_family * len(FAMILIES)
    copies = encoded.take(rng.integers(0, len(encoded), size))
    end = rng.integers(0, 3, size)
    return replace(
        copies,
        user=np.where(end == 0, rng.integers(0, len(history.users), size), copies.user),
        source=np.where(end == 1, rng.integers(0, len(history.places), size), copies.source),
        target=np.where(end == 2, rng.integers(0, len(history.places), size), copies.target),
        campaign=np.arange(size),
    )


@dataclass(frozen=True)
class Training:
    """What a row is fitted on."""

    days: list[Day]  # up to the last day of training, without those that are calibrated with
    users: int  # known after the last day of training; one with a number that is not below came later
    places: int  # the same of places
    config: TrainConfig
    seed: int

    @property
    def with_examples(self) -> list[Day]:
        return [day for day in self.days if day.use == "train"]


@dataclass(frozen=True)
class Prepared:
    """A folder of days."""

    folder: Path
    days: list[Day]
    known_users: int  # after the last day of training
    known_places: int  # after the last day of training
    users: list[str]  # names by number
    places: list[str]  # names by number

    def of_use(self, *uses: Use) -> list[Day]:
        return [day for day in self.days if day.use in uses]

    def training(self, config: TrainConfig, seed: int) -> Training:
        last = self.of_use("score")[0].date
        days = [day for day in self.of_use("learn", "train") if day.date < last]
        return Training(days, self.known_users, self.known_places, seeded(config, seed), seed)

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        """Load what `prepare` wrote."""
        facts = json.loads((folder / "facts.json").read_text())
        facts["days"] = [Day(folder, dt.date.fromisoformat(day), use) for day, use in facts["days"]]
        return cls(folder, **facts)


def seeded(config: TrainConfig, seed: int) -> TrainConfig:
    """The detector's settings for a repetition: no two share one of the models that are averaged."""
    return replace(config, seed=config.seed + seed * config.seeds)


def uses(days: list[dt.date], when: Span, config: Config) -> dict[dt.date, Use]:
    """What each day is used for. Raises UsageError for days out of order, WorkspaceError if there are too
    few."""
    if not when.train_until < when.first <= when.last:
        raise UsageError(
            f"--train-until {when.train_until} must lie before --from {when.first}, and that not after --to"
            f" {when.last}"
        )
    start = walk.window_start(when.train_until + dt.timedelta(days=1), config)
    training = [day for day in days if start <= day <= when.train_until]
    scored = [day for day in days if when.first <= day <= when.last]
    if len(training) < train.LEAST_DAYS or not scored:
        present = f"{days[0]} to {days[-1]}" if days else "none; `ueba ingest` comes first"
        raise WorkspaceError(
            f"{len(training)} days of edges to train on from {start} to {when.train_until} (at least"
            f" {train.LEAST_DAYS} are needed) and {len(scored)} to score from {when.first} to {when.last};"
            f" days in the lake: {present}"
        )
    positive, left_out = train.split(training, config.train)
    result: dict[dt.date, Use] = {day: "learn" for day in days if start <= day <= when.last}
    return (
        result
        | dict.fromkeys(positive, "train")
        | dict.fromkeys(left_out, "calibrate")
        | dict.fromkeys(scored, "score")
    )


def prepare(
    root: Path, folder: Path, when: Span, config: Config, seeds: int, progress: Progress = quiet
) -> None:
    """Walk over the lake once and write its days to an empty folder. Raises what `uses` raises."""
    planned = uses(lake.days(root), when, config)
    history = History(config.history.half_life_days)
    generators = [np.random.default_rng(seeded(config.train, seed).seed) for seed in range(seeds)]
    known_users = known_places = 0
    frame = tensors.frame_of(history)
    first_described = min(day for day, use in planned.items() if use != "learn")
    days = walk.walk(root, history, min(planned), max(planned), config.ingest.memory_limit)
    for done, (day, encoded, _) in enumerate(days):
        progress("read", done, len(planned))
        day_on_disk = Day(folder, day, planned[day])
        if day == first_described:
            frame = tensors.frame_of(history)
        day_on_disk.write(history, encoded, frame)
        if day_on_disk.use == "train":
            day_on_disk.write_examples(history, encoded, frame, config.train, generators)
        if day <= when.train_until:
            known_users, known_places = len(history.users), len(history.places)
    progress("read", len(planned), len(planned))
    facts = {
        "days": [(day.isoformat(), use) for day, use in planned.items()],
        "known_users": known_users,
        "known_places": known_places,
        "users": history.users.names,
        "places": history.places.names,
    }
    (folder / "facts.json").write_text(json.dumps(facts))
