"""What a graph is made of, declared: nodes, relationships and their properties. `statements` turns it into
Cypher.

A node is told from others by its key. A relationship is told from others by its two ends and its own key
properties, so that one pair of nodes may be joined once a day. Names are checked here, when they are
declared, so that no name can carry Cypher; values always travel as parameters. The idea of declaring the
graph and generating the queries is cartography's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_names(*names: str) -> None:
    """Raises ValueError for a name that could carry Cypher."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name: letters, digits and _ only, a letter first")


@dataclass(frozen=True)
class Property:
    """A property and what it means, with its unit.

    vector: a list of floats of one length, by whose cosine nodes are looked up where the server has an index
    for that"""

    name: str
    description: str
    vector: bool = False

    def __post_init__(self) -> None:
        check_names(self.name)


@dataclass(frozen=True)
class Node:
    """A label whose nodes are told apart by one key property.

    extra_labels: labels that some of its nodes carry as well; rows name theirs in a column `labels`"""

    label: str
    key: str
    properties: tuple[Property, ...]
    description: str
    extra_labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_names(self.label, self.key, *self.extra_labels)


@dataclass(frozen=True)
class Relationship:
    """A relationship from one label to another.

    Rows have columns `start` and `end`, the keys of the two nodes, and one per property; `identity` names
    the properties that tell parallel relationships apart, which are never null. remark: it only says
    something of its ends, and is no reason to keep them"""

    type: str
    start: Node
    end: Node
    identity: tuple[str, ...]
    properties: tuple[Property, ...]
    description: str
    remark: bool = False

    def __post_init__(self) -> None:
        check_names(self.type, *self.identity)
        missing = set(self.identity) - {known.name for known in self.properties}
        if missing:
            raise ValueError(f"{self.type}: {sorted(missing)} tell it apart but are not among its properties")


@dataclass(frozen=True)
class Schema:
    """All nodes and relationships of a graph."""

    nodes: tuple[Node, ...]
    relationships: tuple[Relationship, ...]

    def types_with(self, name: str) -> list[str]:
        """Types of relationships that have a property, each once."""
        types = (
            relationship.type
            for relationship in self.relationships
            if name in {prop.name for prop in relationship.properties}
        )
        return list(dict.fromkeys(types))

    def keeping(self) -> tuple[str, ...]:
        """Types of relationships that keep their nodes in the graph, each once."""
        return tuple(
            dict.fromkeys(relationship.type for relationship in self.relationships if not relationship.remark)
        )
