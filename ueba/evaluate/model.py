"""The detector as a row of the table, and with a part taken out. Only this module and `protocol` use
`ueba.detect.score`: how examples are made, how models are trained, and how their surprise is averaged.

graph=False    no messages and no peers
messages=False no pairs and node features of zero, in training and in scoring: embeddings say nothing
peers=False    features of peers and company are zero: whether accounts like this one know the other end
history=False  features of the past are zero; the trainer ignores features that never vary
threats=False  negatives are real edges with an end replaced at random, not what an attacker would do
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.graph import Snapshot
from ueba.arrays import Array, Floats
from ueba.detect.look.features import FEATURE_NAMES, FEATURES
from ueba.detect.past.pairs import RELATIONS
from ueba.detect.score import detector, train
from ueba.evaluate.protocol import Day, Scorer, Training

# Parts of the evidence that compare an edge with the history.
PAST_PARTS = (*RELATIONS, "parts_new", "hour", "type")
FROM_THE_PAST = [number for number, feature in enumerate(FEATURES) if feature.part in PAST_PARTS]
PEERS = [
    number
    for number, name in enumerate(FEATURE_NAMES)
    if any(part in name for part in (".peers_", ".company", "news_"))
]
assert len(FEATURES) > len(FROM_THE_PAST)


def detect(
    training: Training,
    graph: bool = True,
    messages: bool = True,
    peers: bool = True,
    history: bool = True,
    threats: bool = True,
) -> Scorer:
    """Train the detector, with all its parts or without some."""

    def seen(before: Snapshot) -> Snapshot:
        return before if graph and messages else empty(before)

    def described(features: Floats) -> Floats:
        return without(features, ([] if history else FROM_THE_PAST) + ([] if graph and peers else PEERS))

    days = [
        (seen(before), replace(edges, features=described(edges.features)))
        for day in training.with_examples
        for before, edges in day.examples(training.seed, threats)
    ]
    models = train.train_models(days, training.config)
    del days

    def score(day: Day) -> Array:
        return detector.averaged_surprise(models, seen(day.graph), day.encoded, described(day.features))

    return score


def empty(graph: Snapshot) -> Snapshot:
    """The same nodes without features and pairs."""
    return Snapshot(
        x={kind: np.zeros_like(x) for kind, x in graph.x.items()},
        pairs={relation: pairs[:, :0] for relation, pairs in graph.pairs.items()},
    )


def without(features: Floats, columns: list[int]) -> Floats:
    """Features with zeros in some columns, [edges, features]."""
    rest = features.copy()
    rest[:, columns] = 0
    return rest
