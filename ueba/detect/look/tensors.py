"""History to the model's message graph: node features and pairs as arrays.

Two node types, `user` and `place` (machines and resources), and the three relations of an event. A machine
is one node whether it is reached or acted from; the model gives it a separate embedding for each role. Only
the past is in it: the day to be scored has not been learned yet when the snapshot is taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.graph import Relation, Snapshot
from ueba.detect.past.history import NEVER, RELATIONS, USER_KINDS, EdgeBatch, Floats, History, Ints

ROLES = {"user": "user", "source": "place", "target": "place"}  # role in an edge -> node type
GRAPH_RELATIONS: dict[str, Relation] = {
    name: (ROLES[name.split("_")[0]], name, ROLES[name.split("_")[1]]) for name in RELATIONS
}


def edge_nodes(batch: EdgeBatch) -> Ints:
    """Ends of each edge in the order of ROLES, int64 [edges, 3]."""
    return np.stack([batch.user, batch.source, batch.target], axis=1)


def snapshot(history: History, user_rows: Ints, place_rows: Ints) -> Snapshot:
    """The message graph of a history. rows: int64 [entities], an entity's row in the model's id table, -1 if
    it has none."""
    pairs = {GRAPH_RELATIONS[name]: np.stack(table.ends) for name, table in history.pairs.items()}
    return Snapshot(
        x={"user": user_features(history), "place": place_features(history)},
        row={"user": user_rows, "place": place_rows},
        pairs=pairs,
    )


def user_features(history: History) -> Floats:
    """Activity, breadth, hours and kind of each user, float32 [users, features]."""
    kind = np.eye(len(USER_KINDS), dtype=np.float32)[history.user_kind]
    sides = [_side_features(history, relation, 0) for relation in ("user_target", "user_source")]
    return np.concatenate([*sides, _profile(history.user_hours), kind], axis=1)


def place_features(history: History) -> Floats:
    """Activity, audience, hours and kind of each machine or resource, float32 [places, features]."""
    sides = [
        _side_features(history, relation, side)
        for relation, side in (
            ("user_target", 1),
            ("user_source", 1),
            ("source_target", 0),
            ("source_target", 1),
        )
    ]
    kind = history.is_resource[:, None].astype(np.float32)
    return np.concatenate([*sides, _profile(history.place_hours), kind], axis=1)


def _side_features(history: History, relation: str, side: int) -> Floats:
    table = history.sides[relation][side]
    novelty = history.novelty_rates(relation, side)
    columns: list[npt.NDArray[np.float32]] = [
        np.log1p(table.days),
        np.log1p(table.breadth),
        np.log(novelty),
        (table.first_day < NEVER).astype(np.float32),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _profile(hours: Floats) -> Floats:
    """Share of activity by hour; zeros where there is none. [entities, 24]"""
    share: Floats = 4 * hours / np.maximum(hours.sum(1, keepdims=True), 1)
    return share
