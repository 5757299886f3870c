"""A day of the lake as nodes and relationships."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Set
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from graphdb import Node, Relationship
from graphdb.store import Store
from ueba import ontology
from ueba.detect.past.walk import batches_of
from ueba.ingest import lake

MOST_TABLES = 8  # of a day, see `day_tables`
_LABELS = {"service": ["ServiceAccount"], "machine": ["MachineAccount"]}  # by kind of account
_COUNTS = ("count", "failures", "first_seen", "last_seen")


def load_day(store: Store, root: Path, day: dt.date, memory_limit: str) -> Iterator[tuple[str, int]]:
    """Load one day of the lake, unless the graph holds it, made from the same files. Yields the label or
    type, and the number of rows, of each table once it is loaded."""
    batches = batches_of(root, day)
    if store.property_of(ontology.LOADED_DAY, day.isoformat(), "batches") == batches:
        return
    # The graph may hold edges of the day that the lake does not have any more: an earlier load was
    # interrupted, late events came, or a name was resolved.
    store.clear(ontology.SCHEMA, "day", day.isoformat())
    pairs = lake.read_pairs(root, day, day, memory_limit)
    for item, table in day_tables(pairs, day, lake.administrators(root)):
        if isinstance(item, Node):
            yield item.label, store.load_nodes(item, table)
        else:
            yield item.type, store.load_relationships(item, table, new=True)
    columns = {
        "day": [day.isoformat()],
        "batches": pa.array([batches], pa.list_(pa.string())),
        "findings": pa.array([None], pa.string()),  # none are written yet
    }
    store.load_nodes(ontology.LOADED_DAY, pa.table(columns))


def day_tables(
    edges: pa.Table, day: dt.date, administrators: Set[str] = frozenset()
) -> list[tuple[Node | Relationship, pa.Table]]:
    """A day's edges as the rows of each label and relationship type, nodes first. edges: see
    `ueba.ingest.edges`"""
    is_machine = pc.equal(edges["target_kind"], "machine")
    machines, resources = edges.filter(is_machine), edges.filter(pc.invert(is_machine))
    sourced = edges.filter(pc.is_valid(edges["source"]))
    tables: list[tuple[Node | Relationship, pa.Table]] = [
        (ontology.USER, _users(edges, administrators)),
        (ontology.MACHINE, _names(sourced["source"], machines["target"])),
        (ontology.RESOURCE, _names(resources["target"])),
        (ontology.LOGGED_ON, _reached(machines, day)),
        (ontology.ACCESSED, _reached(resources, day)),
        (ontology.USED, _used(sourced, day)),
        (ontology.REACHED_MACHINE, _hops(machines, day, to_machines=True)),
        (ontology.REACHED_RESOURCE, _hops(resources, day, to_machines=False)),
    ]
    return [(item, table) for item, table in tables if len(table)]


def _names(*columns: pa.ChunkedArray) -> pa.Table:
    names = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
    return pa.table({"name": pc.unique(names).sort()})


def _users(edges: pa.Table, administrators: Set[str]) -> pa.Table:
    users = edges.group_by("user").aggregate([("user_kind", "min")]).sort_by("user")
    kinds = users["user_kind_min"]
    labels = [
        _LABELS.get(kind, []) + (["Privileged"] if name in administrators else [])
        for name, kind in zip(users["user"].to_pylist(), kinds.to_pylist(), strict=True)
    ]
    return pa.table({"name": users["user"], "kind": kinds, "labels": pa.array(labels, pa.list_(pa.string()))})


def _reached(edges: pa.Table, day: dt.date) -> pa.Table:
    """From users to targets."""
    ends = {"start": edges["user"], "end": edges["target"], "day": _repeated(day, edges)}
    source = pc.fill_null(edges["source"], "")  # a part of the key, so never null
    names = ("logon_types", "auth_packages", "witnesses", *_COUNTS)
    return pa.table({**ends, "source": source, **{name: edges[name] for name in names}})


def _used(edges: pa.Table, day: dt.date) -> pa.Table:
    """From users to sources."""
    used = edges.group_by(["user", "source"]).aggregate([("count", "sum")]).sort_by([("user", "ascending")])
    ends = {"start": used["user"], "end": used["source"], "day": _repeated(day, used)}
    return pa.table({**ends, "count": used["count_sum"]})


def _hops(edges: pa.Table, day: dt.date, to_machines: bool) -> pa.Table:
    """From sources to targets, other than from a machine to itself."""
    hops = edges.filter(pc.is_valid(edges["source"]))
    if to_machines:
        hops = hops.filter(pc.not_equal(hops["source"], hops["target"]))
    ends = {"start": hops["source"], "end": hops["target"], "user": hops["user"]}
    return pa.table({**ends, "day": _repeated(day, hops), **{name: hops[name] for name in _COUNTS}})


def _repeated(day: dt.date, rows: pa.Table) -> pa.Array:
    return pa.array([day.isoformat()] * len(rows), pa.string())
