"""The detector: a trained model, its id tables and its calibration, which together score a day.

Leaves out training (`train`) and the walk through days (`ueba.detect.past.walk`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from models import checkpoint, inference
from models.graph import Snapshot
from ueba import files
from ueba.arrays import Array, Floats, Ints
from ueba.contracts.incident import ModelFacts
from ueba.detect.look import features, tensors
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import History
from ueba.detect.past.ids import IdTable
from ueba.detect.score.calibration import Calibration
from ueba.errors import WorkspaceError


@dataclass(frozen=True)
class Score:
    """The scores of edges. float64 [edges] each.

    surprise:    nats, -log p of the model; higher is stranger
    p_value:     (0, 1], how often a user as broad has an edge this surprising; small is strange
    strangeness: nats, surprise - log p_value, so that it is high for edges that are strange among all edges
                 and strange for their user
    """

    surprise: Array
    p_value: Array

    @property
    def strangeness(self) -> Array:
        result: Array = self.surprise - np.log(self.p_value)
        return result


@dataclass(frozen=True)
class Detector:
    """A trained model with its id tables and calibration.

    models:        one for every seed; their log odds are averaged
    users, places: names in the order of the model's id tables
    facts:         what is recorded of the model
    """

    models: list[inference.Weights]
    users: IdTable
    places: IdTable
    calibration: Calibration
    facts: ModelFacts

    def score(self, history: History, encoded: EncodedEdges, day: int) -> tuple[Score, Floats]:
        """The scores and features (float32 [edges, features]) of all edges of a day. history: before the
        day."""
        described = features.describe(history, encoded, day, features.today(history, encoded))
        surprise = self.surprise(history, encoded, described)
        return Score(
            surprise, self.calibration.p_values(breadth_rank(history, encoded.user), surprise)
        ), described

    def surprise(self, history: History, encoded: EncodedEdges, described: Floats) -> Array:
        """The surprise of edges in nats, float64 [edges], from the mean of the models' log odds.

        described: float32 [edges, features]"""
        rows = self.users.find(history.users.names), self.places.find(history.places.names)
        return averaged_surprise(self.models, tensors.snapshot(history, *rows), encoded, described)

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
            names = {"users": self.users.names, "places": self.places.names}
            files.write_json(temporary / "calibration.json", pool)
            files.write_json(temporary / "names.json", names)
            files.write_bytes(temporary / "facts.json", msgspec.json.encode(self.facts))

    @classmethod
    def load(cls, folder: Path) -> Detector:
        """The model in a folder. Raises WorkspaceError if there is none, it is damaged, or it was trained on
        other features than those of this version."""
        if not folder.exists():
            raise WorkspaceError(f"{folder}: there is no model yet; make one with `ueba train`")
        facts = read_facts(folder)
        try:
            models = checkpoint.load_models(folder)
            pool = json.loads((folder / "calibration.json").read_text())
            names = json.loads((folder / "names.json").read_text())
            ranks, surprise, days = (pool[name] for name in ("rank", "surprise", "day"))
            users, places = IdTable(names["users"]), IdTable(names["places"])
        except (checkpoint.DamagedModel, OSError, ValueError, KeyError) as reason:
            raise _damaged(folder, reason) from reason
        calibration = Calibration(
            np.array(ranks, np.float32), np.array(surprise, np.float32), np.array(days, np.int64)
        )
        return cls(models, users, places, calibration, facts)


def read_facts(folder: Path) -> ModelFacts:
    """What is recorded of the model in a folder. Raises WorkspaceError if the record is damaged, or the model
    was trained on other features than those of this version."""
    try:
        facts = msgspec.json.decode((folder / "facts.json").read_bytes(), type=ModelFacts)
    except (OSError, ValueError) as reason:
        raise _damaged(folder, reason) from reason
    if facts.features_digest != features.DIGEST:
        raise WorkspaceError(f"{folder}: the model was made by another version; `ueba train` makes a new one")
    return facts


def _damaged(folder: Path, reason: Exception) -> WorkspaceError:
    problem = f"the model is damaged or was made by another version ({reason})"
    return WorkspaceError(f"{folder}: {problem}; `ueba train` makes a new one")


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
    [edges]. described: float32 [edges, features]"""
    logits = np.zeros(len(encoded))
    for weights in models:
        z = inference.encode(weights, graph.x, graph.row, graph.pairs)
        logits += inference.decode(weights, z, tensors.edge_nodes(encoded), described)
    return inference.surprise(logits / len(models))


def scored(encoded: EncodedEdges, score: Score) -> pd.DataFrame:
    """Edges with their scores, as incidents are made of them: columns user, source (None if unknown), target,
    which are ids, surprise, p_value, strangeness."""
    source = encoded.source.astype(object)
    source[encoded.source < 0] = None
    columns = {"user": encoded.user, "source": source, "target": encoded.target}
    return pd.DataFrame(
        columns | {"surprise": score.surprise, "p_value": score.p_value, "strangeness": score.strangeness}
    )
