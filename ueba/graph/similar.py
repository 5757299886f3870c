"""Embeddings in the graph, and for each entity the few that are most similar to it, as `ueba entity` lists
them. An embedding is a direction of `ueba.detect.look.neighbours`."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from graphdb import Node, Relationship, statements
from graphdb.store import Store
from ueba import ontology
from ueba.arrays import Bools, Ints
from ueba.detect.look import neighbours
from ueba.detect.look.neighbours import Alike
from ueba.detect.past.history import History
from ueba.detect.past.ids import IdTable
from ueba.investigate import entity
from ueba.investigate.entity import EntityContext
from ueba.progress import Progress, quiet

# By label, the properties that hold an embedding, with the role that it is of. Resources never act.
_EMBEDDED = {
    ontology.USER: {"embedding": "user"},
    ontology.MACHINE: {"embedding": "target", "embedding_as_source": "source"},
    ontology.RESOURCE: {"embedding": "target"},
}


def write_similar(store: Store, context: EntityContext, progress: Progress = quiet) -> int:
    """Write the embeddings of the graph's users, machines and resources, and the relationships SIMILAR_TO,
    in place of those that were there. Returns the number of relationships."""
    names = {node: store.keys(node) for node in _EMBEDDED}
    steps = len(names) + 1
    for done, node in enumerate(names):
        progress("similar", done, steps)
        columns = {
            property: _vectors(context, role, names[node]) for property, role in _EMBEDDED[node].items()
        }
        store.load_nodes(node, pa.table({node.key: pa.array(names[node], pa.string()), **columns}))
        store.ensure_vector_indexes(node, neighbours.DIM)
    progress("similar", len(names), steps)
    store.delete(statements.delete_all_relationships("SIMILAR_TO"))
    tables = _similar(context, names)
    written = sum(store.load_relationships(relationship, table, new=True) for relationship, table in tables)
    progress("similar", steps, steps)
    return written


def _vectors(context: EntityContext, role: str, names: list[str]) -> pa.Array:
    """The direction of each name in a role, null if it has none there."""
    direction = context.alike[role].direction
    numbers = _numbering(context.history, role).find(names)
    rows = np.zeros((len(names), neighbours.DIM))
    rows[numbers >= 0] = direction[numbers[numbers >= 0]]
    return pa.FixedSizeListArray.from_arrays(
        pa.array(rows.ravel()), neighbours.DIM, mask=pa.array(~rows.any(axis=1))
    )


def _similar(
    context: EntityContext, names: Mapping[Node, list[str]]
) -> Iterator[tuple[Relationship, pa.Table]]:
    """Rows of SIMILAR_TO between entities of the graph. An entity is compared in its main role: users as
    users, places as targets, and those that were never reached as sources. names: of the graph, by label"""
    history = context.history
    placed = {role: alike.is_placed for role, alike in context.alike.items()}
    placed["source"] &= ~placed["target"]
    as_of = (context.day - dt.timedelta(days=1)).isoformat()
    for role, entities in placed.items():
        labels = {
            node: _in_graph(history, node, names[node])
            for node, roles in _EMBEDDED.items()
            if role in roles.values()
        }
        numbers = np.flatnonzero(entities & np.any([*labels.values()], axis=0))
        yield from _rows(history, context.alike[role], role, numbers, labels, as_of)


def _rows(
    history: History, alike: Alike, role: str, numbers: Ints, labels: Mapping[Node, Bools], as_of: str
) -> Iterator[tuple[Relationship, pa.Table]]:
    """The entities most similar to some, by the labels of the two ends. numbers: of those entities; labels:
    which entities the graph holds under each, bool [entities]"""
    nearest, similarity = neighbours.nearest(alike, numbers, entity.FEW)
    few = nearest.shape[1]
    start, end, rank = numbers.repeat(few), nearest.ravel(), np.tile(np.arange(few) + 1, len(numbers))
    names = np.array(_numbering(history, role).names, object)
    for first, second in itertools.product(labels, labels):
        rows = (end >= 0) & labels[first][start] & labels[second][end]
        ends = {"start": names[start[rows]], "end": names[end[rows]], "rank": rank[rows]}
        facts = {
            "similarity": similarity.ravel()[rows],
            "rests_on": _partners(history, alike, role, start[rows], end[rows]),
            "as_of": [as_of] * np.count_nonzero(rows),
        }
        yield ontology.SIMILAR_TO[first, second], pa.table(ends | facts)


def _partners(history: History, alike: Alike, role: str, start: Ints, end: Ints) -> pa.Array:
    """The names of what each two entities share, the rarest first."""
    names = (history.places if role == "user" else history.users).names
    first = neighbours.shared(alike, start, end).first
    lists = [[names[partner] for partner in row if partner >= 0] for row in first]
    return pa.array(lists, pa.list_(pa.string()))


def _in_graph(history: History, node: Node, names: list[str]) -> Bools:
    """Which users or places of the history the graph holds under a label. bool [entities]"""
    numbering = history.users if node is ontology.USER else history.places
    found = np.zeros(len(numbering), bool)
    found[[number for number in numbering.find(names) if number >= 0]] = True
    return found if node is ontology.USER else found & (history.is_resource == (node is ontology.RESOURCE))


def _numbering(history: History, role: str) -> IdTable:
    return history.users if role == "user" else history.places
