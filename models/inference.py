"""The autoencoder in numpy: the same embeddings and surprises as torch within 1e-5, without importing torch.

Everything a trained model is, is in `Weights`: arrays by the names torch gives them, and the shape. Message
passing is a mean over sorted segments. Leaves out training, and with it dropout and masking.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Relation = tuple[str, str, str]


@dataclass(frozen=True)
class Weights:
    """A trained model: `shape` as in `autoencoder.Shape` (a dict, as JSON gives it), `arrays` as in its
    state dict."""

    shape: Mapping[str, Any]
    arrays: Mapping[str, Array]


def encode(weights: Weights, x: Mapping[str, Array], pairs: Mapping[Relation, Array]) -> dict[str, Array]:
    """Embeddings of every node in every role it can fill: role -> float32 [nodes, dim].

    x: float32 [nodes, features] per node type; pairs: int64 [2, pairs] per relation, one direction"""
    a = weights.arrays
    means = [mean for relation, ends in pairs.items() for mean in _both_ways(relation, ends)]
    h = {t: relu(_linear(a, f"inputs.{t}", x[t])) for t in x}
    for layer in range(weights.shape["layers"]):
        received = {t: np.zeros_like(h[t]) for t in h}
        for (source, name, target), mean in means:
            key = f"messages.{layer}.convs.<{source}___{name}___{target}>.lin_l.weight"
            received[target] += mean(h[source], len(h[target])) @ a[key].T
        h = {t: relu(_linear(a, f"selves.{layer}.{t}", h[t]) + received[t]) for t in h}
    return {role: _linear(a, f"outputs.{role}", h[t]) for role, t in weights.shape["roles"].items()}


def decode(weights: Weights, z: Mapping[str, Array], nodes: Array, features: Array) -> Array:
    """Log odds that each edge is made up, float32 [edges]. nodes: int64 [edges, roles], -1 where unknown."""
    return judge(weights, np.concatenate(products(weights, z, nodes), axis=1), features)


def judge(weights: Weights, together: Array, features: Array) -> Array:
    """The same from the products of the ends' embeddings, one beside the other, float32 [edges, pairs *
    dim]."""
    a = weights.arrays
    standard = standardised(weights, features)
    hidden = relu(_linear(a, "hidden", np.concatenate([together, standard], axis=1)))
    logit: Array = (_linear(a, "linear", standard) + hidden @ a["out.weight"].T)[:, 0]
    additive: Array = logit + contributions(weights, features).sum(1)
    return additive


def shapley(value: Callable[[Array], Array], players: int) -> Array:
    """What each player brings to the value of all, on average over the orders in which they may come
    (Shapley 1953); the sum over players is value(all) - value(none). float64 [edges, players]. value: bool
    [players], who is in -> float [edges]"""
    worth = [value(_members(number, players)) for number in range(2**players)]
    brought = np.zeros((len(worth[0]), players))
    for number in range(2**players):
        size = number.bit_count()
        for player in range(players):
            if not number >> player & 1:
                share = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
                brought[:, player] += share * (worth[number | 1 << player] - worth[number])
    return brought


def _members(number: int, players: int) -> Array:
    return (number >> np.arange(players) & 1).astype(bool)


def contributions(weights: Weights, features: Array) -> Array:
    """What each feature's own piecewise-linear function adds to the log odds, float32 [edges, features]."""
    knots, pieces = weights.arrays["feature_knots"], weights.arrays["pieces"]
    gains = np.cumsum(np.where(np.diff(knots) > 0, pieces, 0), axis=1)
    level = np.pad(gains, ((0, 0), (1, 0)))  # [features, bins + 1]
    columns = [np.interp(features[:, j], knots[j], level[j]) for j in range(len(knots))]
    return np.stack(columns, axis=1).astype(np.float32)


def standardised(weights: Weights, features: Array) -> Array:
    """Features as the decoder sees them, float32 [edges, features], each in [-5, 5]."""
    a = weights.arrays
    return np.clip((features - a["feature_mean"]) / a["feature_scale"], -5, 5)


def products(weights: Weights, z: Mapping[str, Array], nodes: Array) -> list[Array]:
    """Element-wise product of the embeddings of each two ends, float32 [edges, dim] each; zero where an end
    is unknown."""
    roles: Sequence[str] = list(weights.shape["roles"])
    ends = [z[role][np.maximum(nodes[:, i], 0)] * (nodes[:, i] >= 0)[:, None] for i, role in enumerate(roles)]
    return [ends[i] * ends[j] for i in range(len(roles)) for j in range(i + 1, len(roles))]


def surprise(logits: Array) -> Array:
    """-log p(the edge happened by itself) in nats, from log odds: softplus. Higher is stranger."""
    return np.logaddexp(np.float32(0), logits)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _linear(arrays: Mapping[str, Array], name: str, x: Array) -> Array:
    result: Array = x @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]
    return result


class _SegmentMean:
    """Mean of the neighbours' rows for every node, from pairs sorted once."""

    def __init__(self, source: Array, target: Array) -> None:
        order = np.argsort(target, kind="stable")
        self.source, ordered = source[order], target[order]
        self.nodes, self.starts, self.counts = np.unique(ordered, return_index=True, return_counts=True)

    def __call__(self, h: Array, nodes: int) -> Array:
        result = np.zeros((nodes, h.shape[1]), np.float32)
        if len(self.nodes):
            result[self.nodes] = np.add.reduceat(h[self.source], self.starts, axis=0) / self.counts[:, None]
        return result


def _both_ways(relation: Relation, ends: Array) -> list[tuple[Relation, _SegmentMean]]:
    source, name, target = relation
    return [
        (relation, _SegmentMean(ends[0], ends[1])),
        ((target, f"rev_{name}", source), _SegmentMean(ends[1], ends[0])),
    ]
