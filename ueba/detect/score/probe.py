"""A probe: a few edges of a made-up graph, with the scores that they got when the model was trained.

The same model gives them the same scores for as long as nobody changes its weights or its
calibration, whose hash can be made anew by whoever changes them. Leaves out the history: the graph is made
from numbers alone, so that the probe is of the model only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from models.graph import Relation, Snapshot
from models.inference import Weights
from ueba.arrays import Array, Floats, Ints
from ueba.detect.score import surprise
from ueba.detect.score.calibration import Calibration

EDGES = 32
NODES = 32  # of each type
TOLERANCE = 1e-3  # nats, and relative of a p-value: other processors add up in another order


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """features: [edges, features]; surprise: nats [edges]; p_value: (0, 1] [edges]"""

    features: list[list[float]]
    surprise: list[float]
    p_value: list[float]


def of(models: Sequence[Weights], calibration: Calibration) -> Probe:
    """The probe of a model as it is."""
    if not models:
        return Probe([], [], [])
    arrays = models[0].arrays
    wave = _wave(EDGES, len(arrays["feature_mean"]))
    return _answered(models, calibration, arrays["feature_mean"] + 2 * arrays["feature_scale"] * wave)


def differences(models: Sequence[Weights], calibration: Calibration, probe: Probe) -> list[str]:
    """What a model no longer answers as it did, in words. Raises ValueError if the probe is not one of this
    model."""
    features = np.array(probe.features, np.float32)  # [edges, features]
    if features.shape[1:] != models[0].arrays["feature_mean"].shape:
        raise ValueError("it has no edges, or other features than the model")
    found = _answered(models, calibration, features)
    return [
        f"edge {number} of the probe has the {name} {now:.6g}, which was {then:.6g} after training"
        for name in ("surprise", "p_value")
        for number, (now, then) in enumerate(
            zip(getattr(found, name), getattr(probe, name), strict=True), start=1
        )
        if not abs(now - then) <= TOLERANCE * (then if name == "p_value" else 1)
    ]


def _answered(models: Sequence[Weights], calibration: Calibration, features: Floats) -> Probe:
    shape = models[0].shape
    nats = surprise.averaged(models, _graph(shape), _nodes(shape, len(features)), features)
    rank = np.linspace(0, 1, len(features), dtype=np.float32)
    return Probe(features.tolist(), nats.tolist(), calibration.p_values(rank, nats).tolist())


def _graph(shape: Any) -> Snapshot:
    """NODES nodes of each type, each joined to one other by every relation."""
    left = np.arange(NODES)
    pairs: dict[Relation, Array] = {
        (source, name, target): np.stack([left, (left * 7 + 3) % NODES])
        for source, name, target in shape["relations"]
    }
    return Snapshot({kind: _wave(NODES, width) for kind, width in shape["node_features"].items()}, pairs)


def _nodes(shape: Any, edges: int) -> Ints:
    """Ends of the edges, int64 [edges, roles]"""
    first = np.arange(edges) % NODES
    return np.stack([(first + place) % NODES for place in range(len(shape["roles"]))], axis=1)


def _wave(rows: int, columns: int) -> Floats:
    """Numbers in [-1, 1] that look random and are the same everywhere, float32 [rows, columns]"""
    wave: Floats = np.sin(1.7 * np.arange(rows * columns)).reshape(rows, columns).astype(np.float32)
    return wave
