"""The lake's edges, each day's incidents and who is like whom into the graph. Loading again changes nothing,
and loading again what was cut off in the middle gives what an undisturbed run gives.

Which server: the one NEO4J_URI names, else the bundled one in the workspace, started when it is needed and
left running. Leaves out statements and connections; those are `graphdb`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from graphdb import Node, Relationship, from_environment, server, statements
from graphdb.store import Store
from ueba import findings, ontology
from ueba.config import Config
from ueba.contracts.incident import Incident, ModelFacts
from ueba.detect.past.history import History, Names
from ueba.detect.past.walk import batches_of
from ueba.findings import Findings
from ueba.ingest import lake
from ueba.investigate import alike, entity
from ueba.investigate.entity import EntityContext
from ueba.memory import Memory
from ueba.progress import Progress, quiet
from ueba.words import sentence
from ueba.workspace import Workspace

FORM = "form 2"  # of what is loaded of a day: what was loaded in another one is loaded anew
TABLES = 8  # of a day, at most: steps of the progress bar
_EMBEDDED = {  # the properties that are embeddings, and the role that each is of; resources never act
    ontology.USER: {"embedding": "user"},
    ontology.MACHINE: {"embedding": "target", "embedding_as_source": "source"},
    ontology.RESOURCE: {"embedding": "target"},
}
_LABELS = {"service": ["ServiceAccount"], "machine": ["MachineAccount"]}


def prune(store: Store, oldest: dt.date) -> int:
    """Drop what is older than a day. Returns how many relationships and nodes went."""
    return store.prune(ontology.SCHEMA, "day", oldest.isoformat())


def connect(workspace: Workspace, config: Config, environment: Mapping[str, str]) -> Store:
    """An open store. Raises graphdb.ServerError if no server can be had."""
    connection = from_environment(environment) or server.start(workspace.graph, config.graph.heap)
    return Store(connection, config.graph.batch_rows)


def load(
    store: Store, memory: Memory, first: dt.date, last: dt.date, progress: Progress = quiet
) -> dict[str, int]:
    """Upsert the lake's days from `first` to `last` and what was found on them. A day that was loaded
    before, from the same files, is passed over. Returns rows by label and relationship type."""
    workspace = memory.workspace
    days = [day for day in lake.days(workspace.lake) if first <= day <= last]
    scored, words = set(findings.scored_days(workspace.findings)), memory.verdict_log.words
    store.ensure_schema(ontology.SCHEMA)
    counts: Counter[str] = Counter(days=len(days))
    for done, day in enumerate(days):
        progress("load", done * TABLES, len(days) * TABLES)
        for number, (name, rows) in enumerate(load_day(store, workspace.lake, day), start=1):
            progress("load", done * TABLES + number, len(days) * TABLES)
            counts[name] += rows
        if day in scored:
            write_findings(store, findings.load(workspace.findings, day), words)
        if done == 0:
            store.ensure_schema(ontology.SCHEMA)  # indexes come with the first rows
    progress("load", len(days) * TABLES, len(days) * TABLES)
    return dict(counts)


def load_day(store: Store, root: Path, day: dt.date) -> Iterator[tuple[str, int]]:
    """Upsert one day of the lake, unless its edges were loaded. Yields label or type and rows as each table
    is in."""
    batches = [FORM, *batches_of(root, day)]
    if store.property_of(ontology.LOADED_DAY, day.isoformat(), "batches") == batches:
        return
    # Cut off before its end, late events, or names that are understood by now: some of its edges may be no
    # more.
    store.clear(ontology.SCHEMA, "day", day.isoformat())
    for item, table in day_tables(lake.read_pairs(root, day, day), day, lake.administrators(root)):
        if isinstance(item, Node):
            yield item.label, store.load_nodes(item, table)
        else:
            yield item.type, store.load_relationships(item, table, new=True)
    batches_of_day = pa.array([batches], pa.list_(pa.string()))
    loaded = {"day": [day.isoformat()], "batches": batches_of_day, "findings": pa.array([None], pa.string())}
    store.load_nodes(ontology.LOADED_DAY, pa.table(loaded))


def day_tables(
    edges: pa.Table, day: dt.date, administrators: Set[str] = frozenset()
) -> list[tuple[Node | Relationship, pa.Table]]:
    """A day's edges as the rows of each label and relationship type, nodes first."""
    to_machine = pc.equal(edges["target_kind"], "machine")
    sourced = pc.is_valid(edges["source"])
    machines, resources = edges.filter(to_machine), edges.filter(pc.invert(to_machine))
    tables: list[tuple[Node | Relationship, pa.Table]] = [
        (ontology.USER, _users(edges, administrators)),
        (ontology.MACHINE, _names(edges.filter(sourced)["source"], machines["target"])),
        (ontology.RESOURCE, _names(resources["target"])),
        (ontology.LOGGED_ON, _reached(machines, day)),
        (ontology.ACCESSED, _reached(resources, day)),
        (ontology.USED, _used(edges.filter(sourced), day)),
    ]
    for relationship, some in ((ontology.REACHED_MACHINE, machines), (ontology.REACHED_RESOURCE, resources)):
        known = some.filter(pc.is_valid(some["source"]))
        elsewhere = known.filter(pc.not_equal(known["source"], known["target"]))
        tables.append((relationship, _hops(elsewhere, day)))
    return [(item, table) for item, table in tables if len(table)]


def _names(*columns: pa.ChunkedArray) -> pa.Table:
    every = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
    return pa.table({"name": pc.unique(every).sort()})


def _users(edges: pa.Table, administrators: Set[str]) -> pa.Table:
    users = edges.group_by("user").aggregate([("user_kind", "min")]).sort_by("user")
    kinds = users["user_kind_min"]
    named = zip(users["user"].to_pylist(), kinds.to_pylist(), strict=True)
    labels = [
        _LABELS.get(kind, []) + (["Privileged"] if name in administrators else []) for name, kind in named
    ]
    return pa.table({"name": users["user"], "kind": kinds, "labels": pa.array(labels, pa.list_(pa.string()))})


def _reached(edges: pa.Table, day: dt.date) -> pa.Table:
    columns = ["logon_types", "auth_packages", "witnesses", "count", "failures", "first_seen", "last_seen"]
    fixed = {
        "start": edges["user"],
        "end": edges["target"],
        "day": _repeated(day, edges),
        "source": pc.fill_null(edges["source"], ""),
    }
    return pa.table({**fixed, **{name: edges[name] for name in columns}})


def _used(edges: pa.Table, day: dt.date) -> pa.Table:
    used = edges.group_by(["user", "source"]).aggregate([("count", "sum")]).sort_by([("user", "ascending")])
    return pa.table(
        {
            "start": used["user"],
            "end": used["source"],
            "day": _repeated(day, used),
            "count": used["count_sum"],
        }
    )


def _hops(edges: pa.Table, day: dt.date) -> pa.Table:
    names = {"start": "source", "end": "target", "user": "user"}
    rest = {name: edges[name] for name in ("count", "failures", "first_seen", "last_seen")}
    return pa.table({**{new: edges[old] for new, old in names.items()}, "day": _repeated(day, edges), **rest})


def _repeated(day: dt.date, rows: pa.Table) -> pa.Array:
    return pa.array([day.isoformat()] * len(rows), pa.string())


# --- incidents ----------------------------------------------------------------------------------------------


def write_findings(store: Store, found: Findings, verdicts: Mapping[str, str]) -> None:
    """Write a day's incidents, and surprise and p-value on its strangest edges, unless they stand there.
    What an earlier scoring of the day said goes, and incidents that rules hide are not written. The day's
    edges were loaded before; what they do not have is passed over. verdicts: by incident, see
    `feedback.words`"""
    day, found = found.day.isoformat(), found.reported(verdicts)
    incidents = [_incident(incident, verdicts) for incident in found.incidents]
    run = _model_run(found.incidents[0].model) if incidents else None
    scores = {
        kind: _scores(found.edges[found.edges["target_kind"] == kind], day)
        for kind in ("machine", "resource")
    }
    written = _digest([incidents, run, *(table.to_pylist() for table in scores.values())])
    if store.property_of(ontology.LOADED_DAY, day, "findings") == written:
        return
    store.load_nodes(ontology.LOADED_DAY, pa.table({"day": [day], "findings": pa.array([None], pa.string())}))
    store.delete(statements.delete_nodes(ontology.INCIDENT, "day"), value=day)
    for relationship, kind in ((ontology.LOGGED_ON, "machine"), (ontology.ACCESSED, "resource")):
        store.forget(relationship, ontology.SCORED, "day", day)
        store.update_relationships(relationship, scores[kind])
    if run:
        store.load_nodes(ontology.MODEL_RUN, pa.Table.from_pylist([run]))
        store.load_nodes(ontology.INCIDENT, pa.Table.from_pylist(incidents))
        scored = [{"start": incident["id"], "end": run["id"]} for incident in incidents]
        store.load_relationships(ontology.SCORED_BY, pa.Table.from_pylist(scored))
        _write_involved(store, found.edges[found.edges["incident"].notna()])
    store.delete(statements.delete_lonely(ontology.MODEL_RUN, (ontology.SCORED_BY.type,)))
    store.load_nodes(ontology.LOADED_DAY, pa.table({"day": [day], "findings": [written]}))


def _model_run(facts: ModelFacts) -> dict[str, Any]:
    """A trained model as a node. Two trainings until the same day, by other settings or from other data, are
    two."""
    return {
        "id": f"{facts.trained_until}-{_digest(msgspec.to_builtins(facts))[:8]}",
        "trained_until": facts.trained_until.isoformat(),
        "first_day": facts.first_day.isoformat(),
        "seeds": facts.seeds,
    }


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _incident(incident: Incident, verdicts: Mapping[str, str]) -> dict[str, Any]:
    reasons = [sentence(reason) for reason in incident.reasons]
    return {
        **{name: getattr(incident, name) for name in ("id", "rank", "score", "p_value", "edges", "backoff")},
        "day": incident.day.isoformat(),
        "reasons": reasons,
        "title": reasons[0],
        "users": len(incident.users),
        "machines": len(incident.machines) + len(incident.resources),
        "verdict": verdicts.get(incident.id),
    }


def _scores(edges: pd.DataFrame, day: str) -> pa.Table:
    return pa.table(
        {
            "start": pa.array(edges["user"], pa.string()),
            "end": pa.array(edges["target"], pa.string()),
            "day": [day] * len(edges),
            "source": pa.array(edges["source"].fillna(""), pa.string()),
            "surprise": pa.array(edges["surprise"], pa.float64()),
            "p_value": pa.array(edges["p_value"], pa.float64()),
            "incident": pa.array(edges["incident"], pa.string()),
        }
    )


def _write_involved(store: Store, edges: pd.DataFrame) -> None:
    to_machine = edges["target_kind"] == "machine"
    involved: list[tuple[Relationship, str, pd.DataFrame, str]] = [
        (ontology.INVOLVES_USER, "user", edges, "user"),
        (ontology.INVOLVES_MACHINE, "source", edges[edges["source"].notna()], "source"),
        (ontology.INVOLVES_MACHINE, "target", edges[to_machine], "target"),
        (ontology.INVOLVES_RESOURCE, "target", edges[~to_machine], "target"),
    ]
    for relationship, role, some, column in involved:
        ends: list[dict[str, Any]] = [
            {"start": incident, "end": name, "role": role}
            for incident, name in sorted(set(zip(some["incident"], some[column], strict=True)))
        ]
        if ends:
            store.load_relationships(relationship, pa.Table.from_pylist(ends))


# --- who is like whom ---------------------------------------------------------------------------------------


def write_peers(store: Store, known: EntityContext | None, progress: Progress = quiet) -> int:
    """Write the embeddings of the graph's users, machines and resources, and whom each is most like, as
    `ueba entity` says. What was there before goes; without a model nothing comes. Returns rows of
    PEER_OF."""
    embedded = alike.directions(known.model, known.history) if known and known.model else {}
    graphed = {node: store.keys(node) for node in _EMBEDDED}
    for done, (node, names) in enumerate(graphed.items()):
        progress("peers", done, len(graphed) + 1)
        columns = {name: _vectors(known, embedded, role, names) for name, role in _EMBEDDED[node].items()}
        store.load_nodes(node, pa.table({node.key: pa.array(names, pa.string()), **columns}))
        if embedded:
            store.ensure_vector_indexes(node, embedded["user"].shape[1])
    progress("peers", len(graphed), len(graphed) + 1)
    store.delete(statements.delete_all_relationships("PEER_OF"))
    tables = _peers(known, embedded, graphed) if known and embedded else []
    peers = sum(store.load_relationships(relationship, table, new=True) for relationship, table in tables)
    progress("peers", len(graphed) + 1, len(graphed) + 1)
    return peers


def _vectors(
    known: EntityContext | None, embedded: Mapping[str, alike.Directions], role: str, names: list[str]
) -> pa.Array:
    """The direction of each of some names in a role, null if it was not seen in it."""
    if known is None or not embedded:
        return pa.nulls(len(names))
    ids = _numbered(known.history, role).find(names)
    unseen = (ids < 0) | ~alike.seen(known.history, role)[ids]
    flat = pa.array(embedded[role][ids].ravel())
    return pa.FixedSizeListArray.from_arrays(flat, embedded[role].shape[1], mask=pa.array(unseen))


def _peers(
    known: EntityContext, embedded: Mapping[str, alike.Directions], graphed: Mapping[Node, list[str]]
) -> Iterator[tuple[Relationship, pa.Table]]:
    """Rows of PEER_OF, of who is in the graph to who is, in the role that each is known by."""
    history, as_of = known.history, (known.day - dt.timedelta(days=1)).isoformat()
    reached = alike.seen(history, "target")
    known_by = {
        "user": alike.seen(history, "user"),
        "target": reached,
        "source": alike.seen(history, "source") & ~reached,
    }
    for role, mine in known_by.items():
        labels = {
            node: _labelled(history, node, graphed[node])
            for node, roles in _EMBEDDED.items()
            if role in roles.values()
        }
        of = np.flatnonzero(mine & np.any([*labels.values()], axis=0))
        best, similarity = alike.nearest(embedded[role], alike.seen(history, role), of, entity.FEW)
        names = np.array(_numbered(history, role).names, object)
        start, end, rank = (
            of.repeat(best.shape[1]),
            best.ravel(),
            np.tile(np.arange(best.shape[1]) + 1, len(of)),
        )
        for ends in itertools.product(labels, labels):
            rows = (end >= 0) & labels[ends[0]][start] & labels[ends[1]][end]
            table = {"start": names[start[rows]], "end": names[end[rows]], "rank": rank[rows]}
            rest = {"similarity": similarity.ravel()[rows], "as_of": [as_of] * np.count_nonzero(rows)}
            yield ontology.PEER_OF[ends], pa.table(table | rest)


def _labelled(history: History, node: Node, names: list[str]) -> npt.NDArray[np.bool_]:
    """Which of the history's users or places are in the graph under a label, by their names. bool
    [entities]"""
    numbers = history.users if node is ontology.USER else history.places
    there = np.zeros(len(numbers), bool)
    there[[number for number in numbers.find(names) if number >= 0]] = True
    return there if node is ontology.USER else there & (history.is_resource == (node is ontology.RESOURCE))


def _numbered(history: History, role: str) -> Names:
    return history.users if role == "user" else history.places
