"""Which entities are similar, by the embeddings of the model in use.

A direction is an entity's embedding by every model of the detector, one after the other, each whitened and
scaled to length 1/sqrt(models): a unit vector, so that the product of two directions is the cosine averaged
over the models. It is long, because a mean of the embeddings has no meaning: every model has axes of its own.
Embeddings are whitened because a few axes (how broad, how busy) hold nearly all of the variance, so that
every entity is similar to every other; without them neighbours share more partners (Su et al. 2021,
https://arxiv.org/abs/2103.15316). An entity has a direction for each role; an entity that was not seen in a
role is no neighbour there. Leaves out why two entities are similar.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models import inference
from ueba.arrays import Bools, Ints
from ueba.detect.look import tensors
from ueba.detect.past.history import NEVER, History
from ueba.detect.score.detector import Detector

Directions = npt.NDArray[np.float64]
# The relation and side by which an entity counts as seen in a role; every edge has a user and a target.
SEEN = {"user": ("user_target", 0), "source": ("user_source", 1), "target": ("user_target", 1)}
LEAST_VARIANCE = 1e-6  # of the largest, added to each variance: an axis without information keeps none
# Steps of a similarity of 1. Entities within a step are equally near; the one with the lower number, seen
# earlier, comes first.
STEPS = 1e6
BLOCK = 256  # entities compared with all others at once


def directions(model: Detector, history: History) -> Mapping[str, Directions]:
    """By role, float64 [entities, models * dim]."""
    graph = tensors.snapshot(history, model.frame)
    embeddings = [inference.encode(weights, graph.x, graph.pairs) for weights in model.models]
    return {
        role: np.concatenate(
            [_unit(whitened(by_role[role], seen(history, role))) for by_role in embeddings], axis=1
        )
        / np.sqrt(len(embeddings))
        for role in SEEN
    }


def whitened(z: npt.NDArray[np.float32], among: Bools) -> Directions:
    """Embeddings scaled to mean 0 and covariance 1 over the entities in `among`. float64 [entities, dim]"""
    wide = z.astype(np.float64)
    if among.sum() < 2:
        return wide
    variance, axes = np.linalg.eigh(np.cov(wide[among].T))
    scale = axes / np.sqrt(variance + LEAST_VARIANCE * variance[-1])  # [dim, dim]
    white: Directions = (wide - wide[among].mean(0)) @ scale @ axes.T
    return white


def _unit(z: Directions) -> Directions:
    unit: Directions = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-9)
    return unit


def seen(history: History, role: str) -> Bools:
    """Which entities were seen in a role. bool [entities]"""
    relation, side = SEEN[role]
    return history.sides[relation][side].first_day < NEVER


def nearest(direction: Directions, among: Bools, numbers: Ints, few: int) -> tuple[Ints, Directions]:
    """The entities nearest to each of `numbers`, the nearest first, and their similarity in [-1, 1]: int64
    and float64 [numbers, few], or fewer columns if there are fewer entities; -1 where an entity has fewer
    neighbours.

    direction: float64 [entities, ...]; among: which entities can be neighbours, bool [entities]"""
    others = np.flatnonzero(among)
    across, order = direction[others].T.copy(), np.arange(len(others))
    best = np.full((len(numbers), min(few, len(others))), -1)
    similarity = np.zeros(best.shape)
    for at in range(0, len(numbers) if len(others) else 0, BLOCK):
        block = numbers[at : at + BLOCK]
        steps = np.rint(direction[block] @ across * STEPS)  # [block, others]
        # All distances differ, so that equally near entities have the same order whichever entity is asked
        # about.
        distance = order - len(others) * steps
        itself = block[:, None] == others
        distance[itself] = np.inf
        first = np.argpartition(distance, range(best.shape[1]), axis=1)[:, : best.shape[1]]
        best[at : at + BLOCK] = np.where(np.take_along_axis(itself, first, axis=1), -1, others[first])
        similarity[at : at + BLOCK] = np.take_along_axis(steps, first, axis=1) / STEPS
    return best, similarity
