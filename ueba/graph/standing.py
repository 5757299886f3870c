"""What the organisation knows of entities, in the graph: crown jewels, honey, and who left when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from graphdb import Node
from graphdb.store import Store
from ueba import ontology
from ueba.contracts.entity import Entity
from ueba.contracts.standing import NOTHING, Standing
from ueba.ingest.identity.entities import listed_name

_KINDS = {ontology.USER: "user", ontology.MACHINE: "machine", ontology.RESOURCE: "resource"}
_TYPES = {"crown_jewel": pa.bool_(), "honey": pa.bool_(), "left": pa.string()}


def write_standing(store: Store, standings: Mapping[Entity, Standing]) -> int:
    """Set the properties of the graph's users, machines and resources that entity tables speak of, and clear
    those of others. Returns how many nodes changed.

    standings: see `ueba.ingest.identity.entities.standings`"""
    return sum(_write(store, node, kind, standings) for node, kind in _KINDS.items())


def _write(store: Store, node: Node, kind: str, standings: Mapping[Entity, Standing]) -> int:
    before = _stored(store, node)
    names = store.keys(node) if any(entity.kind == kind for entity in standings) else []
    after = {name: _properties(standings.get(listed_name(kind, name), NOTHING)) for name in names}
    nothing = _properties(NOTHING)
    rows = [
        {node.key: name} | after.get(name, nothing)
        for name in sorted({*before, *after})
        if before.get(name, nothing) != after.get(name, nothing)
    ]
    columns = {name: pa.array([row[name] for row in rows], type) for name, type in _TYPES.items()}
    keys = pa.array([row[node.key] for row in rows], pa.string())
    return store.load_nodes(node, pa.table({node.key: keys, **columns})) if rows else 0


def _stored(store: Store, node: Node) -> dict[str, dict[str, Any]]:
    """The properties of the nodes that have any of them, by name."""
    return {
        str(row["key"]): {name: row[name] if row[name] else None for name in ontology.STANDING}
        for row in store.nodes_with_any(node, ontology.STANDING)
    }


def _properties(says: Standing) -> dict[str, Any]:
    return {
        "crown_jewel": True if says.crown_jewel else None,
        "honey": True if says.honey else None,
        "left": says.last_day.isoformat() if says.last_day else None,
    }
