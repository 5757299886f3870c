"""Embeddings in the graph, and for each entity the few that are most similar to it, as `ueba entity` lists
them."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from graphdb import Node, Relationship, statements
from graphdb.store import Store
from ueba import ontology
from ueba.arrays import Bools
from ueba.detect.past.history import History
from ueba.detect.past.ids import IdTable
from ueba.investigate import entity, similar
from ueba.investigate.entity import EntityContext
from ueba.investigate.similar import Directions
from ueba.progress import Progress, quiet

# By label, the properties that hold an embedding, with the role that it is of. Resources never act.
_EMBEDDED = {
    ontology.USER: {"embedding": "user"},
    ontology.MACHINE: {"embedding": "target", "embedding_as_source": "source"},
    ontology.RESOURCE: {"embedding": "target"},
}


def write_similar(store: Store, context: EntityContext | None, progress: Progress = quiet) -> int:
    """Write the embeddings of the graph's users, machines and resources, and the relationships SIMILAR_TO,
    in place of those that were there. Without a model only deletes. Returns the number of relationships."""
    directions = similar.directions(context.model, context.history) if context and context.model else {}
    names = {node: store.keys(node) for node in _EMBEDDED}
    steps = len(names) + 1
    for done, node in enumerate(names):
        progress("similar", done, steps)
        _write_embeddings(store, node, names[node], context, directions)
    progress("similar", len(names), steps)
    store.delete(statements.delete_all_relationships("SIMILAR_TO"))
    tables = _similar(context, directions, names) if context and directions else []
    written = sum(store.load_relationships(relationship, table, new=True) for relationship, table in tables)
    progress("similar", steps, steps)
    return written


def _write_embeddings(
    store: Store,
    node: Node,
    names: list[str],
    context: EntityContext | None,
    directions: Mapping[str, Directions],
) -> None:
    roles = _EMBEDDED[node]
    columns = {property: _vectors(context, directions, role, names) for property, role in roles.items()}
    store.load_nodes(node, pa.table({node.key: pa.array(names, pa.string()), **columns}))
    if directions:
        store.ensure_vector_indexes(node, directions["user"].shape[1])


def _vectors(
    context: EntityContext | None, directions: Mapping[str, Directions], role: str, names: list[str]
) -> pa.Array:
    """The direction of each name in a role, null if the history has not seen it in that role."""
    if context is None or not directions:
        return pa.nulls(len(names))
    numbers = _numbering(context.history, role).find(names)
    unseen = (numbers < 0) | ~similar.seen(context.history, role)[numbers]
    flat = pa.array(directions[role][numbers].ravel())
    return pa.FixedSizeListArray.from_arrays(flat, directions[role].shape[1], mask=pa.array(unseen))


def _similar(
    context: EntityContext, directions: Mapping[str, Directions], names: Mapping[Node, list[str]]
) -> Iterator[tuple[Relationship, pa.Table]]:
    """Rows of SIMILAR_TO between entities of the graph. An entity is compared in its main role: users as
    users, places as targets, and those that were never reached as sources. names: of the graph, by label"""
    history = context.history
    reached = similar.seen(history, "target")
    main = {
        "user": similar.seen(history, "user"),
        "target": reached,
        "source": similar.seen(history, "source") & ~reached,
    }
    as_of = (context.day - dt.timedelta(days=1)).isoformat()
    for role, entities in main.items():
        labels = {
            node: _in_graph(history, node, names[node])
            for node, roles in _EMBEDDED.items()
            if role in roles.values()
        }
        numbers = np.flatnonzero(entities & np.any([*labels.values()], axis=0))
        yield from _rows(history, directions[role], role, numbers, labels, as_of)


def _rows(
    history: History,
    direction: Directions,
    role: str,
    numbers: npt.NDArray[np.int64],
    labels: Mapping[Node, Bools],
    as_of: str,
) -> Iterator[tuple[Relationship, pa.Table]]:
    """The entities most similar to some, by the labels of the two ends. numbers: of those entities; labels:
    which entities the graph holds under each, bool [entities]"""
    nearest, similarity = similar.nearest(direction, similar.seen(history, role), numbers, entity.FEW)
    few = nearest.shape[1]
    start, end, rank = numbers.repeat(few), nearest.ravel(), np.tile(np.arange(few) + 1, len(numbers))
    names = np.array(_numbering(history, role).names, object)
    for first, second in itertools.product(labels, labels):
        rows = (end >= 0) & labels[first][start] & labels[second][end]
        ends = {"start": names[start[rows]], "end": names[end[rows]], "rank": rank[rows]}
        facts = {"similarity": similarity.ravel()[rows], "as_of": [as_of] * np.count_nonzero(rows)}
        yield ontology.SIMILAR_TO[first, second], pa.table(ends | facts)


def _in_graph(history: History, node: Node, names: list[str]) -> Bools:
    """Which users or places of the history the graph holds under a label. bool [entities]"""
    numbering = history.users if node is ontology.USER else history.places
    found = np.zeros(len(numbering), bool)
    found[[number for number in numbering.find(names) if number >= 0]] = True
    return found if node is ontology.USER else found & (history.is_resource == (node is ontology.RESOURCE))


def _numbering(history: History, role: str) -> IdTable:
    return history.users if role == "user" else history.places
