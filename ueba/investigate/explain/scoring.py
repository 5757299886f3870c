"""The model as it stands before a day, to score edges of that day that never happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models import inference
from ueba.arrays import Array, Floats
from ueba.detect.look import features, neighbours, tensors
from ueba.detect.look.neighbours import Alike
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import History, day_number
from ueba.detect.past.walk import DayEdges
from ueba.detect.score.detector import Detector, breadth_rank


@dataclass(frozen=True)
class DayScoring:
    """seen: the day as a whole; alike: who is like whom, users without a past by what they do on the day; z:
    the embeddings, by each of the models that are averaged."""

    model: Detector
    history: History
    day: int
    seen: features.Today
    alike: Mapping[str, Alike]
    z: list[dict[str, Array]]

    @classmethod
    def of(cls, model: Detector, history: History, edges: DayEdges) -> DayScoring:
        seen, alike = features.today(history, edges.encoded), neighbours.before(history, edges.encoded)
        graph = tensors.snapshot(history, model.frame, seen.likeness.space)
        z = [inference.encode(weights, graph.x, graph.pairs) for weights in model.models]
        return cls(model, history, day_number(edges.day), seen, alike, z)

    def describe(self, encoded: EncodedEdges) -> Floats:
        """float32 [edges, features]"""
        return features.describe(self.history, encoded, self.day, self.seen)

    def products(self, encoded: EncodedEdges) -> list[Array]:
        """What the graph says of edges, by each model: float32 [edges, pairs * dim]"""
        nodes = tensors.edge_nodes(encoded)
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

    def score(self, encoded: EncodedEdges) -> tuple[Array, Array]:
        """Surprise in nats and p-value, float64 [edges] each"""
        surprise = inference.surprise(self.log_odds(self.products(encoded), self.describe(encoded)))
        return surprise, self.model.calibration.p_values(breadth_rank(self.history, encoded.user), surprise)
