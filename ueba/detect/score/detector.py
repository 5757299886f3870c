"""The detector: a trained model, its frame and its calibration, which together score a day.

Leaves out training (`train`) and the walk through days (`ueba.detect.past.walk`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pandas as pd

from models import checkpoint, inference
from models.graph import Snapshot
from ueba import files, state
from ueba.arrays import Array, Floats, Ints
from ueba.contracts.incident import ModelFacts
from ueba.detect.look import features, likeness, tensors
from ueba.detect.look.likeness import Space
from ueba.detect.look.tensors import Frame
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import History
from ueba.detect.past.ids import IdTable
from ueba.detect.score import probe, surprise
from ueba.detect.score.calibration import Calibration
from ueba.detect.score.probe import Probe
from ueba.errors import WorkspaceError

REMEDY = "`ueba train` makes a new one"
T = TypeVar("T")


class _Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`calibration.json`, see `Calibration`."""

    rank: list[float]
    surprise: list[float]
    day: list[int]


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`frame.json`, see `Frame`."""

    places: list[str]
    coordinates: list[list[float]]


@dataclass(frozen=True)
class Score:
    """The scores of edges. float64 [edges] each.

    surprise:    nats, -log p of the model; higher is stranger
    p_value:     (0, 1], how often a user as broad has an edge this surprising; small is strange
    strangeness: nats, log odds of the model - P_WEIGHT * log p_value, so that it is high for edges that are
                 strange among all edges and strange for their user
    """

    surprise: Array
    p_value: Array

    @property
    def strangeness(self) -> Array:
        return surprise.log_odds(self.surprise) - surprise.P_WEIGHT * np.log(self.p_value)


@dataclass(frozen=True)
class Detector:
    """A trained model with its frame and calibration.

    models:        one for every seed; their log odds are averaged
    frame:         which way the axes of the space of its nodes point
    facts:         what is recorded of the model
    """

    models: list[inference.Weights]
    frame: Frame
    calibration: Calibration
    facts: ModelFacts

    def score(self, history: History, encoded: EncodedEdges, day: int) -> tuple[Score, Floats]:
        """The scores and features (float32 [edges, features]) of all edges of a day. history: before the
        day."""
        seen = features.today(history, encoded)
        described = features.describe(history, encoded, day, seen)
        nats = self.surprise(history, encoded, described, seen.likeness.space)
        p_value = self.calibration.p_values(breadth_rank(history, encoded.user), nats)
        return Score(nats, p_value), described

    def surprise(self, history: History, encoded: EncodedEdges, described: Floats, space: Space) -> Array:
        """The surprise of edges in nats, float64 [edges], from the mean of the models' log odds.

        described: float32 [edges, features]; space: of the history"""
        graph = tensors.snapshot(history, self.frame, space)
        return averaged_surprise(self.models, graph, encoded, described)

    def recalibrated(self, history: History, encoded: EncodedEdges, day: int, surprise: Array) -> Detector:
        """The detector with the scores of a day's normal edges added to its calibration.

        history: before the day; surprise: nats [edges]"""
        calibration = self.calibration.extended(breadth_rank(history, encoded.user), surprise, day)
        return replace(self, calibration=calibration)

    def save(self, folder: Path) -> None:
        """Write the detector into a folder. It replaces the folder's content once it is complete."""
        with files.replacing_folder(folder) as temporary:
            checkpoint.save_models(self.models, temporary)
            pool = {name: getattr(self.calibration, name).tolist() for name in ("rank", "surprise", "day")}
            frame = _Frame(self.frame.places.names, self.frame.coordinates.tolist())
            files.write_json(temporary / "calibration.json", pool)
            files.write_bytes(temporary / "frame.json", msgspec.json.encode(frame))
            files.write_bytes(
                temporary / "probe.json", msgspec.json.encode(probe.of(self.models, self.calibration))
            )
            files.write_bytes(temporary / "facts.json", msgspec.json.encode(self.facts))
            for file in sorted(temporary.iterdir()):
                state.seal(file, folder.name)

    @classmethod
    def load(cls, folder: Path) -> Detector:
        """The model in a folder. Raises WorkspaceError if there is none, it is damaged, or it was trained on
        other features than those of this version."""
        if not state.is_there(folder):
            raise WorkspaceError(f"{folder}: there is no model yet; make one with `ueba train`")
        facts = read_facts(folder)
        pool, stored = _read(folder / "calibration.json", _Pool), _read(folder / "frame.json", _Frame)
        with state.reading(folder / "calibration.json", REMEDY):
            calibration = _calibration(pool)
        for file in sorted(folder.glob("model*")):
            state.check_seal(file)
        try:
            models = checkpoint.load_models(folder)
        except checkpoint.DamagedModel as reason:
            raise _damaged(folder, reason) from reason
        if len(models) != facts.seeds:
            problem = f"it has {len(models)} models, and {facts.seeds} were trained"
            raise _damaged(folder, problem)
        with state.reading(folder / "frame.json", REMEDY):
            frame = _frame(stored)
        return cls(models, frame, calibration, facts)


def read_facts(folder: Path) -> ModelFacts:
    """What is recorded of the model in a folder. Raises WorkspaceError if the record is damaged, or the model
    was trained on other features than those of this version."""
    facts = _read(folder / "facts.json", ModelFacts)
    if facts.features_digest != features.DIGEST:
        raise WorkspaceError(f"{folder}: the model was made by another version; `ueba train` makes a new one")
    return facts


def read_probe(folder: Path) -> Probe:
    """The probe of the model in a folder. Raises WorkspaceError if it is damaged."""
    return _read(folder / "probe.json", Probe)


def _read(path: Path, kind: type[T]) -> T:
    """A file of JSON. Raises WorkspaceError if it is not one of its type."""
    data = state.content(path, REMEDY)
    with state.reading(path, REMEDY):
        return msgspec.json.decode(data, type=kind)


def _calibration(pool: _Pool) -> Calibration:
    """The pool as arrays. Raises ValueError if it is not one."""
    ranks, nats = np.array(pool.rank, np.float32), np.array(pool.surprise, np.float32)
    days = np.array(pool.day, np.int64)
    if not len(ranks) == len(nats) == len(days):
        raise ValueError("its columns have several lengths")
    if not (np.isfinite(nats).all() and ((0 <= ranks) & (ranks <= 1)).all()):
        raise ValueError("it has scores that are not finite, or ranks outside [0, 1]")
    return Calibration(ranks, nats, days)


def _frame(stored: _Frame) -> Frame:
    """The frame as arrays. Raises ValueError if it is not one."""
    places = IdTable(stored.places)
    if len(places) != len(stored.places):
        raise ValueError("a name of a place is there twice")
    coordinates = np.array(stored.coordinates, np.float32).reshape(-1, likeness.DIM)
    if len(coordinates) != len(places) or not np.isfinite(coordinates).all():
        raise ValueError(f"its coordinates are not {likeness.DIM} finite numbers for every place")
    return Frame(places, coordinates)


def _damaged(folder: Path, reason: Any) -> WorkspaceError:
    return WorkspaceError(f"{folder}: the model is damaged or of another version ({reason}); {REMEDY}")


def breadth_rank(history: History, user: Ints) -> Floats:
    """The share of users with targets that are narrower than a user, in [0, 1], float32 [edges]; users of the
    same breadth count half. user: int64 [edges]"""
    targets = history.sides["user_target"][0].breadth
    breadths = np.sort(targets[targets > 0])
    below, upto = (np.searchsorted(breadths, targets[user], side) for side in ("left", "right"))
    rank: Floats = ((below + upto) / (2 * max(len(breadths), 1))).astype(np.float32)
    return rank


def averaged_surprise(
    models: list[inference.Weights], graph: Snapshot, encoded: EncodedEdges, described: Floats
) -> Array:
    """The surprise of edges in nats against a message graph, from the mean of the models' log odds. float64
    [edges]. described: float32 [edges, features]. Raises WorkspaceError if a score is no number."""
    return surprise.averaged(models, graph, tensors.edge_nodes(encoded), described)


def scored(encoded: EncodedEdges, score: Score) -> pd.DataFrame:
    """Edges with their scores, as incidents are made of them: columns user, source (None if unknown), target,
    which are ids, surprise, p_value, strangeness."""
    source = encoded.source.astype(object)
    source[encoded.source < 0] = None
    columns = {"user": encoded.user, "source": source, "target": encoded.target}
    return pd.DataFrame(
        columns | {"surprise": score.surprise, "p_value": score.p_value, "strangeness": score.strangeness}
    )
