"""The surprise of edges by several models, and the one place where a score that is no number is an error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models import inference
from models.graph import Snapshot
from ueba.arrays import Array, Floats, Ints
from ueba.errors import WorkspaceError


def averaged(models: Sequence[inference.Weights], graph: Snapshot, nodes: Ints, described: Floats) -> Array:
    """The surprise of edges in nats against a message graph, from the mean of the models' log odds. float64
    [edges]

    nodes: int64 [edges, roles], see `models.graph`; described: float32 [edges, features]. Raises
    WorkspaceError if there is no model or a score is no number: nothing would be strange then."""
    logits = np.zeros(len(nodes))
    with np.errstate(over="ignore", invalid="ignore"):  # seen at the end
        for weights in models:
            z = inference.encode(weights, graph.x, graph.row, graph.pairs)
            logits += inference.decode(weights, z, nodes, described)
        found = inference.surprise(logits / max(len(models), 1))
    if not models or not np.isfinite(found).all():
        raise WorkspaceError(
            "the model gives edges no score, or one that is no number: its weights or the history are"
            " damaged; `ueba train` makes both anew"
        )
    return found
