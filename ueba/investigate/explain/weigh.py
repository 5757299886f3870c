"""What each part of the evidence adds to an edge's log odds, beside an ordinary edge of the day.

Exact Shapley values of the parts of the evidence and of the graph, as the parts are few (Lundberg and Lee
2017). A part that is left out takes its features from the ordinary edge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models import inference
from ueba.arrays import Array, Floats
from ueba.contracts.explanation import FeatureWeight
from ueba.detect.look.features import FEATURES
from ueba.detect.past.encoded import EncodedEdges
from ueba.investigate.explain.scoring import DayScoring

ORDINARY_EDGES = 2000  # edges of a day that stand for the ordinary one
ORDINARY_P = 0.1  # least p-value of an ordinary edge
FEW_FEATURES = 5  # that are named
PARTS = {
    "user_target": "user and target",
    "user_source": "user and source",
    "source_target": "source and target",
    "hour": "hours",
    "type": "logon type",
    "volume": "events and failures",
    "kind": "kinds of the entities",
    "parts_new": "pairs that are new at once",
}
GRAPH = "the graph"


MEMBERS = {
    part: np.array([feature.part == part for feature in FEATURES]) for part in PARTS
}  # bool [features]


class Weights(NamedTuple):
    """Of one edge: `log_odds` = `ordinary_log_odds` + the sum over `parts`."""

    log_odds: float
    ordinary_log_odds: float
    parts: dict[str, float]
    features: tuple[FeatureWeight, ...]


def ordinary_edges(scoring: DayScoring, encoded: EncodedEdges) -> EncodedEdges:
    """Edges of the day that are not strange, evenly picked."""
    rows = np.linspace(0, len(encoded) - 1, min(len(encoded), ORDINARY_EDGES)).astype(np.int64)
    picked = encoded.take(rows)
    _, p_value = scoring.score(picked)
    return picked.take(p_value >= min(ORDINARY_P, p_value.max()))


def weigh(
    scoring: DayScoring, encoded: EncodedEdges, described: Floats, ordinary: EncodedEdges
) -> list[Weights]:
    """What each part adds to the log odds of each edge, and the features whose own functions add most."""
    usual = np.median(scoring.describe(ordinary), axis=0).astype(np.float32)  # [features]
    graph = scoring.products(encoded)
    usual_graph = [products.mean(0, dtype=np.float32) for products in scoring.products(ordinary)]
    members = list(MEMBERS.values())

    def value(chosen: Array) -> Array:  # bool [parts + 1] -> float64 [edges]
        parts = [member for member, is_in in zip(members, chosen, strict=False) if is_in]
        taken = np.any(parts or [np.zeros(len(usual), bool)], 0)
        products = (
            graph
            if chosen[-1]
            else [np.broadcast_to(mean, own.shape) for mean, own in zip(usual_graph, graph, strict=True)]
        )
        return scoring.log_odds(products, np.where(taken, described, usual))

    brought = inference.shapley(value, len(members) + 1)  # [edges, parts + 1]
    without, with_all = value(np.zeros(len(members) + 1, bool)), value(np.ones(len(members) + 1, bool))
    own = _own(scoring, described) - _own(scoring, usual[None])
    names = [*PARTS.values(), GRAPH]
    return [
        Weights(
            log_odds=float(with_all[edge]),
            ordinary_log_odds=float(without[edge]),
            parts={name: float(brought[edge, part]) for part, name in enumerate(names)},
            features=_strongest(own[edge], described[edge], usual),
        )
        for edge in range(len(encoded))
    ]


def _strongest(own: Array, described: Floats, usual: Floats) -> tuple[FeatureWeight, ...]:
    return tuple(
        FeatureWeight(
            feature=FEATURES[number].name,
            value=float(described[number]),
            ordinary=float(usual[number]),
            unit=FEATURES[number].unit,
            meaning=FEATURES[number].meaning,
            log_odds=float(own[number]),
        )
        for number in np.argsort(-np.abs(own), kind="stable")[:FEW_FEATURES]
        if own[number]
    )


def _own(scoring: DayScoring, described: Floats) -> Array:
    """What the own function of every feature, line and bends, adds to the log odds: mean over the models.
    float64 [edges, features]"""
    total = np.zeros(described.shape)
    for weights in scoring.model.models:
        line = inference.standardised(weights, described) * weights.arrays["linear.weight"][0]
        total += line + inference.contributions(weights, described)
    return total / len(scoring.model.models)
