"""A drawing: a small graph of users, machines, resources and addresses, for a picture or a GraphML file.

Texts are as the log spells them; what draws them makes them plain. A mark says how a node or a line looks,
and is one of `ueba.investigate.draw.style.MARKS`: origin, confirmed, strange, new, unusual, possible,
missing, usual or known.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from ueba.contracts.entity import Entity


@dataclass(frozen=True)
class Node:
    mark: str
    layer: int | None = None  # the column it stands in, from 0 at the left; None: by its kind
    at: dt.datetime | None = None  # UTC, when it was reached


@dataclass(frozen=True)
class Line:
    start: Entity
    end: Entity
    type: str  # USED or REACHED
    mark: str
    meaning: str  # a sentence for a reader who points at the line
    facts: Mapping[str, str | float] = field(default_factory=dict)  # more properties, by name


@dataclass
class Drawing:
    """Both ends of every line are nodes."""

    nodes: dict[Entity, Node] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def add(
        self, entity: Entity, mark: str = "usual", layer: int | None = None, at: dt.datetime | None = None
    ) -> None:
        """Add an entity unless it is drawn already."""
        self.nodes.setdefault(entity, Node(mark, layer, at))
