"""The model as it stands before a day, to score edges of that day that never happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models import inference
from ueba.detect.look import features, tensors
from ueba.detect.past.history import EdgeBatch, Floats, History, day_number
from ueba.detect.past.walk import DayEdges
from ueba.detect.score.detector import Detector, breadth_rank

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DayScoring:
    """seen: the day as a whole; z: the embeddings, by each of the models that are averaged."""

    model: Detector
    history: History
    day: int
    seen: features.Today
    z: list[dict[str, Array]]

    @classmethod
    def of(cls, model: Detector, history: History, edges: DayEdges) -> DayScoring:
        rows = model.users.find(history.users.names), model.places.find(history.places.names)
        graph = tensors.snapshot(history, *rows)
        z = [inference.encode(weights, graph.x, graph.row, graph.pairs) for weights in model.models]
        return cls(model, history, day_number(edges.day), features.today(history, edges.batch), z)

    def describe(self, batch: EdgeBatch) -> Floats:
        """float32 [edges, features]"""
        return features.describe(self.history, batch, self.day, self.seen)

    def products(self, batch: EdgeBatch) -> list[Array]:
        """What the graph says of edges, by each model: float32 [edges, pairs * dim]"""
        nodes = tensors.edge_nodes(batch)
        members = zip(self.model.models, self.z, strict=True)
        return [np.concatenate(inference.products(weights, z, nodes), axis=1) for weights, z in members]

    def log_odds(self, products: Sequence[Array], described: Floats) -> Array:
        """Averaged over the models, float64 [edges]"""
        members = zip(self.model.models, products, strict=True)
        mean = np.mean(
            [inference.judge(weights, graph, described) for weights, graph in members],
            axis=0,
            dtype=np.float64,
        )
        return np.asarray(mean)

    def score(self, batch: EdgeBatch) -> tuple[Array, Array]:
        """Surprise in nats and p-value, float64 [edges] each"""
        surprise = inference.surprise(self.log_odds(self.products(batch), self.describe(batch)))
        return surprise, self.model.calibration.p_values(breadth_rank(self.history, batch.user), surprise)
