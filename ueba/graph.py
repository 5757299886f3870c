"""The lake's edges and the day's incidents into the graph, a day at a time. Loading again changes nothing.

Which server: the one NEO4J_URI names, else the bundled one in the workspace, started when it is needed and left running.
Leaves out statements and connections; those are `graphdb`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from graphdb import Node, Relationship, from_environment, server, statements
from graphdb.store import Store
from ueba import ontology
from ueba.config import Config
from ueba.detect import archive, findings
from ueba.detect.detector import Progress, batches_of
from ueba.ingest import lake
from ueba.workspace import Workspace

TABLES = 8  # of a day, at most: steps of the progress bar
_LABELS = {"service": ["ServiceAccount"], "machine": ["MachineAccount"]}


def connect(workspace: Workspace, config: Config, environment: Mapping[str, str]) -> Store:
    """An open store. Raises graphdb.ServerError if no server can be had."""
    connection = from_environment(environment) or server.start(workspace.graph, config.graph.heap)
    return Store(connection, config.graph.batch_rows)


def load(store: Store, workspace: Workspace, first: dt.date, last: dt.date, progress: Progress) -> dict[str, int]:
    """Upsert the lake's days from `first` to `last` and what was found on them. A day that was loaded before, from the same files,
    is passed over. Returns rows by label and relationship type."""
    days = [day for day in lake.days(workspace.lake) if first <= day <= last]
    scored = set(archive.scored_days(workspace.findings))
    store.ensure_schema(ontology.SCHEMA)
    counts: Counter[str] = Counter(days=len(days))
    for done, day in enumerate(days):
        progress("load", done * TABLES, len(days) * TABLES)
        for number, (name, rows) in enumerate(load_day(store, workspace.lake, day), start=1):
            progress("load", done * TABLES + number, len(days) * TABLES)
            counts[name] += rows
        if day in scored:
            write_findings(store, findings.load(workspace.findings, day))
        if done == 0:
            store.ensure_schema(ontology.SCHEMA)  # indexes come with the first rows
    progress("load", len(days) * TABLES, len(days) * TABLES)
    return dict(counts)


def load_day(store: Store, root: Path, day: dt.date) -> Iterator[tuple[str, int]]:
    """Upsert one day of the lake, unless its edges were loaded. Yields label or type and rows as each table is in."""
    batches = batches_of(root, day)
    loaded_before = store.property_of(ontology.LOADED_DAY, day.isoformat(), "batches")
    if loaded_before == batches:
        return
    if loaded_before is not None:  # late events, or names that are understood by now: some of its edges may be no more
        store.clear(ontology.SCHEMA, "day", day.isoformat())
    tables = day_tables(lake.read_pairs(root, day, day), day, lake.administrators(root))
    types = {item.type: item for item, _ in tables if isinstance(item, Relationship)}
    new = {name: not store.has_any(item, "day", day.isoformat()) for name, item in types.items()}
    for item, table in tables:
        if isinstance(item, Node):
            yield item.label, store.load_nodes(item, table)
        else:
            yield item.type, store.load_relationships(item, table, new=new[item.type])
    loaded = {"day": [day.isoformat()], "batches": pa.array([batches], pa.list_(pa.string()))}
    store.load_nodes(ontology.LOADED_DAY, pa.table(loaded))


def day_tables(edges: pa.Table, day: dt.date, administrators: Set[str] = frozenset()) -> list[tuple[Node | Relationship, pa.Table]]:
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
    labels = [_LABELS.get(kind, []) + (["Privileged"] if name in administrators else []) for name, kind in named]
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
    return pa.table({"start": used["user"], "end": used["source"], "day": _repeated(day, used), "count": used["count_sum"]})


def _hops(edges: pa.Table, day: dt.date) -> pa.Table:
    names = {"start": "source", "end": "target", "user": "user"}
    rest = {name: edges[name] for name in ("count", "first_seen", "last_seen")}
    return pa.table({**{new: edges[old] for new, old in names.items()}, "day": _repeated(day, edges), **rest})


def _repeated(day: dt.date, rows: pa.Table) -> pa.Array:
    return pa.array([day.isoformat()] * len(rows), pa.string())


# --- incidents -------------------------------------------------------------------------------------------------


def write_findings(store: Store, finding: findings.Finding) -> None:
    """Write a day's incidents, and surprise and p-value on its strangest edges. What an earlier scoring of the day said goes.
    The day's edges were loaded before."""
    day = finding.day.isoformat()
    store.delete(statements.delete_nodes(ontology.INCIDENT, "day"), value=day)
    for relationship, kind in ((ontology.LOGGED_ON, "machine"), (ontology.ACCESSED, "resource")):
        mine = finding.edges[finding.edges["target_kind"] == kind]
        if len(mine):
            store.load_relationships(relationship, _scores(mine, day))
    if not finding.incidents:
        return
    run = finding.incidents[0]["model"]
    runs = [{"id": run["trained_until"], "trained_until": run["trained_until"], "seeds": run["seeds"]}]
    store.load_nodes(ontology.MODEL_RUN, pa.Table.from_pylist(runs))
    keep = ("id", "day", "rank", "score", "p_value", "edges", "reasons")
    rows = [{name: incident[name] for name in keep} for incident in finding.incidents]
    store.load_nodes(ontology.INCIDENT, pa.Table.from_pylist(rows))
    scored = [{"start": incident["id"], "end": run["trained_until"]} for incident in finding.incidents]
    store.load_relationships(ontology.SCORED_BY, pa.Table.from_pylist(scored))
    _write_involved(store, finding.edges[finding.edges["incident"].notna()])


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
