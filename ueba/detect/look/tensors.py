"""Turns the history into the model's message graph: node features and pairs as arrays.

There are two node types, `user` and `place` (a machine or a resource), and three relations, those of an edge.
A machine is one node whether it is reached or acted from; the model has a separate embedding for each role.
Only the past is in the graph: the day to be scored was not learned yet when the snapshot is taken.

Nodes bring where they stand in the space of `likeness`: a user by what it reaches, a place by who reaches it
and by who acts from it. So message passing begins with who goes with whom, and an entity that came after
training stands where its company stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.graph import Relation, Snapshot
from ueba.arrays import Floats, Ints
from ueba.detect.look import likeness
from ueba.detect.look.likeness import Space
from ueba.detect.past.encoded import USER_KINDS, EncodedEdges
from ueba.detect.past.history import NEVER, History
from ueba.detect.past.ids import IdTable
from ueba.detect.past.pairs import RELATIONS

ROLES = {"user": "user", "source": "place", "target": "place"}  # role in an edge -> node type
GRAPH_RELATIONS: dict[str, Relation] = {
    name: (ROLES[name.split("_")[0]], name, ROLES[name.split("_")[1]]) for name in RELATIONS
}
USER_SIDES = (("user_target", 0), ("user_source", 0))  # relation, side on which the users stand
PLACE_SIDES = (("user_target", 1), ("user_source", 1), ("source_target", 0), ("source_target", 1))
HOUR_SCALE = 4.0  # so that a share of activity by hour is of the size of the other node features
SPACE_SCALE = 3.0  # so that the coordinates of a direction are
ANCHORS = 1024  # places at most that a frame keeps


@dataclass(frozen=True)
class Frame:
    """Which way the axes of the space pointed at training: the coordinates of a few places, which those of
    every later day are turned to.

    places: names; coordinates: float32 [places, DIM]"""

    places: IdTable
    coordinates: Floats


def frame_of(history: History) -> Frame:
    """The frame of a history, by the places with the longest coordinates."""
    place = likeness.space_of(history).place
    longest = np.argsort(-np.linalg.norm(place, axis=1), kind="stable")[:ANCHORS]
    return Frame(IdTable([history.places.names[number] for number in longest]), place[longest])


def edge_nodes(encoded: EncodedEdges) -> Ints:
    """Ends of each edge in the order of ROLES, int64 [edges, 3]; -1 for a source that the log does not
    name."""
    return np.stack([encoded.user, encoded.source, encoded.target], axis=1)


def snapshot(history: History, frame: Frame, space: Space) -> Snapshot:
    """The message graph of a history. frame: of the model; space: of the history"""
    users, places = _directions(history, frame, space)
    pairs = {
        GRAPH_RELATIONS[name]: np.stack(table.ends) for name, table in history.pairs.items()
    }  # [2, pairs]
    return Snapshot(
        x={
            "user": np.concatenate([user_features(history), users], axis=1),
            "place": np.concatenate([place_features(history), places], axis=1),
        },
        pairs=pairs,
    )


def _directions(history: History, frame: Frame, space: Space) -> tuple[Floats, Floats]:
    """Directions in the space, turned to a frame, times SPACE_SCALE: of each user's habit, float32 [users,
    DIM], and of each place's audience and crew, [places, 2 * DIM]"""
    row = frame.places.find(history.places.names)
    turn = SPACE_SCALE * likeness.rotation(space.place[row >= 0], frame.coordinates[row[row >= 0]])
    of_places = [likeness.unit(rows) @ turn for rows in (space.audience, space.crew)]
    return space.habit @ turn, np.concatenate(of_places, axis=1)


def user_features(history: History) -> Floats:
    """Activity and breadth on each side, hours and kind of each user. float32 [users, 2 * 4 + 24 + 4]"""
    sides = [_side_features(history, relation, side) for relation, side in USER_SIDES]
    kind = np.eye(len(USER_KINDS), dtype=np.float32)[history.user_kind]  # [users, 4]
    return np.concatenate([*sides, _profile(history.user_hours), kind], axis=1)


def place_features(history: History) -> Floats:
    """Activity and breadth on each side, hours and kind of each machine or resource.
    float32 [places, 4 * 4 + 24 + 1]"""
    sides = [_side_features(history, relation, side) for relation, side in PLACE_SIDES]
    kind = history.is_resource[:, None].astype(np.float32)  # [places, 1]
    return np.concatenate([*sides, _profile(history.place_hours), kind], axis=1)


def _side_features(history: History, relation: str, side: int) -> Floats:
    """Log active days, log breadth, log novelty rate, and whether the entity is known. float32 [entities,
    4]"""
    table = history.sides[relation][side]
    columns: list[npt.NDArray[np.float32]] = [
        np.log1p(table.days),
        np.log1p(table.breadth),
        np.log(history.novelty_rates(relation, side)),
        (table.first_day < NEVER).astype(np.float32),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _profile(hours: Floats) -> Floats:
    """Share of activity by hour, times HOUR_SCALE; zeros for an entity without activity. float32
    [entities, 24]"""
    share: Floats = HOUR_SCALE * hours / np.maximum(hours.sum(1, keepdims=True), 1)
    return share
