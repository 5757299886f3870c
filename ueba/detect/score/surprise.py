"""The surprise of edges by several models, and the one place where a score that is no number is an error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models import inference
from models.graph import Snapshot
from ueba.arrays import Array, Floats, Ints
from ueba.errors import WorkspaceError

# Of -log p beside the log odds in strangeness. The model knows how broad a user is, so that p says little
# about an edge beyond the log odds: with a weight of 1 narrow users come first, and fewer attacks are found.
P_WEIGHT = 0.3
LEAST_SURPRISE = 1e-9  # nats; the log odds of 0 would not be finite


def averaged(models: Sequence[inference.Weights], graph: Snapshot, nodes: Ints, described: Floats) -> Array:
    """The surprise of edges in nats against a message graph, from the mean of the models' log odds. float64
    [edges]

    nodes: int64 [edges, roles], see `models.graph`; described: float32 [edges, features]. Raises
    WorkspaceError if there is no model or a score is no number: nothing would be strange then."""
    logits = np.zeros(len(nodes))
    with np.errstate(over="ignore", invalid="ignore"):  # seen at the end
        for weights in models:
            z = inference.encode(weights, graph.x, graph.pairs)
            logits += inference.decode(weights, z, nodes, described)
        found = inference.surprise(logits / max(len(models), 1))
    if not models or not np.isfinite(found).all():
        raise WorkspaceError(
            "the model gives edges no score, or one that is no number: its weights or the history are"
            " damaged; `ueba train` makes both anew"
        )
    return found


def log_odds(nats: Array) -> Array:
    """The log odds of surprises in nats, the inverse of the softplus that made them. float64 [edges]"""
    positive = np.maximum(nats, LEAST_SURPRISE)
    result: Array = positive + np.log(-np.expm1(-positive))
    return result
