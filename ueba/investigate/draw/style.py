"""How nodes and lines look, and which of a crowd are drawn first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ueba.contracts.drawing import Drawing
from ueba.contracts.entity import Entity
from ueba.text import plain

# Lines and rings by mark, the most important first: light colour, dark colour, width, dashes.
MARKS = {
    "origin": ("#7b2cbf", "#c77dff", 3.0, ""),
    "confirmed": ("#c1121f", "#ff6b6b", 2.5, ""),
    "strange": ("#c1121f", "#ff6b6b", 2.5, ""),
    "new": ("#c1121f", "#ff6b6b", 2.5, ""),
    "unusual": ("#b35c00", "#ffb454", 2.0, ""),
    "possible": ("#b35c00", "#ffb454", 1.5, ""),
    "missing": ("#6b7780", "#8d99a3", 1.5, "4 4"),
    "usual": ("#6b7780", "#8d99a3", 1.2, ""),
    "known": ("#6b7780", "#8d99a3", 1.2, ""),
}
KINDS = {"user": "#d1495b", "machine": "#3d7ea6", "resource": "#5c946e", "address": "#8d6a9f"}  # colours


def node_id(entity: Entity) -> str:
    """`<kind>:<name>`, text that XML can hold."""
    return f"{entity.kind}:{plain(entity.name)}"


def ranks(drawing: Drawing) -> Callable[[Entity], tuple[int, int, int, str]]:
    """A key to sort entities by: the most important mark first, then the fewest hops, then the most lines."""
    degree = Counter(end for line in drawing.lines for end in (line.start, line.end))

    def rank(entity: Entity) -> tuple[int, int, int, str]:
        node = drawing.nodes[entity]
        return mark_order(node.mark), node.layer or 0, -degree[entity], node_id(entity)

    return rank


def mark_order(mark: str) -> int:
    return list(MARKS).index(mark)


def not_drawn(number: int) -> str:
    return f"and {number:,} more that are not drawn"
