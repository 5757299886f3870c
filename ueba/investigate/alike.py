"""Who is like whom, by the embeddings of the model in use.

A direction is an entity's embedding by every model of the detector, one after the other, each whitened and
scaled to length 1/sqrt(models): a unit vector, and the product of two is the cosine averaged over the
models. It is long, but a mean of the embeddings would not do: each model has axes of its own. Whitened, as a
few axes (how broad, how busy) hold nearly all of the variance, by which everybody is like everybody; without
them neighbours share more (Su et al. 2021, https://arxiv.org/abs/2103.15316). An entity has a direction for
each role; who was not seen in one is nobody's neighbour there. Leaves out why two are alike.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models import inference
from ueba.detect.look import tensors
from ueba.detect.past.history import NEVER, History, Ints
from ueba.detect.score.detector import Detector

Directions = npt.NDArray[np.float64]
SEEN = {
    "user": ("user_target", 0),
    "source": ("user_source", 1),
    "target": ("user_target", 1),
}  # every edge has a user and a target
LEAST_VARIANCE = 1e-6  # of the largest, which is added to each: an axis that says nothing stays so
STEPS = (
    1e6  # of a similarity in 1: what differs by less is as near, and the entity known for longer comes first
)
BLOCK = 256  # entities compared with all others at once


def directions(model: Detector, history: History) -> Mapping[str, Directions]:
    """By role, float64 [entities, models * dim]."""
    graph = tensors.snapshot(
        history, model.users.find(history.users.names), model.places.find(history.places.names)
    )
    embeddings = [inference.encode(weights, graph.x, graph.row, graph.pairs) for weights in model.models]
    return {
        role: np.concatenate(
            [_unit(whitened(each[role], seen(history, role))) for each in embeddings], axis=1
        )
        / np.sqrt(len(embeddings))
        for role in SEEN
    }


def whitened(z: npt.NDArray[np.float32], among: npt.NDArray[np.bool_]) -> Directions:
    """Embeddings of which every axis says as much: mean 0 and covariance 1 among those seen. float64
    [entities, dim]"""
    wide = z.astype(np.float64)
    if among.sum() < 2:
        return wide
    variance, axes = np.linalg.eigh(np.cov(wide[among].T))
    white: Directions = (
        (wide - wide[among].mean(0)) @ (axes / np.sqrt(variance + LEAST_VARIANCE * variance[-1])) @ axes.T
    )
    return white


def _unit(z: Directions) -> Directions:
    unit: Directions = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-9)
    return unit


def seen(history: History, role: str) -> npt.NDArray[np.bool_]:
    """Who was seen in a role. bool [entities]"""
    relation, side = SEEN[role]
    return history.sides[relation][side].first_day < NEVER


def nearest(
    direction: Directions, among: npt.NDArray[np.bool_], of: Ints, few: int
) -> tuple[Ints, Directions]:
    """The nearest others of some entities, nearest first, and their similarity in [-1, 1]: int64 and float64
    [of, few]; as many as there are, -1 where one has fewer. among: bool [entities]; direction: float64
    [entities, ...]"""
    others = np.flatnonzero(among)
    across, order = direction[others].T.copy(), np.arange(len(others))
    best = np.full((len(of), min(few, len(others))), -1)
    similarity = np.zeros(best.shape)
    for at in range(0, len(of) if len(others) else 0, BLOCK):
        mine = of[at : at + BLOCK]
        steps = np.rint(direction[mine] @ across * STEPS)  # [mine, others]
        distance = order - len(others) * steps  # all differ: equals come in one order, whoever is asked for
        itself = mine[:, None] == others
        distance[itself] = np.inf
        first = np.argpartition(distance, range(best.shape[1]), axis=1)[:, : best.shape[1]]
        best[at : at + BLOCK] = np.where(np.take_along_axis(itself, first, axis=1), -1, others[first])
        similarity[at : at + BLOCK] = np.take_along_axis(steps, first, axis=1) / STEPS
    return best, similarity
