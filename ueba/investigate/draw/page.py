"""A drawing as an HTML page that the reader can move about in (neo4j-viz).

The page holds the still picture too, as some browsers draw nothing else: neo4j-viz needs WebGL. Names from
logs travel as data, so that none of them can become a part of the page.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from ueba.contracts.drawing import Drawing, Line, Node
from ueba.contracts.entity import Entity
from ueba.investigate.draw.style import KINDS, MARKS, node_id, not_drawn, ranks
from ueba.investigate.draw.svg import svg
from ueba.text import plain

if TYPE_CHECKING:
    import neo4j_viz

MOST = 2_000  # nodes that are drawn: neo4j-viz refuses more than 10,000, and nobody sees anything in so many
_PLACE = "position:fixed;top:8px;left:52px;max-width:calc(100vw - 220px);max-height:calc(100vh - 60px)"
_LOOK = "padding:.4rem .8rem;font:13px system-ui,sans-serif;background:Canvas;color:CanvasText"
_OPEN = "<script>still.open = !document.createElement('canvas').getContext('webgl2')</script>"


def page(drawing: Drawing, title: str) -> str:
    """HTML text."""
    from neo4j_viz import VisualizationGraph

    shown, hidden = _most_important(drawing)
    nodes = {node_id(entity): _node(entity, node) for entity, node in shown.nodes.items()}
    graph = VisualizationGraph(
        nodes=[*nodes.values()], relationships=[_relationship(line) for line in shown.lines]
    )
    kinds = {entity.kind for entity in shown.nodes}
    graph.set_legend(nodes={kind: colour for kind, colour in KINDS.items() if kind in kinds})
    text = str(graph.render(height="100vh").data)
    before, body, after = text.rpartition("</body>")
    text = f"{before}{_beside(shown, title, hidden)}{body}{after}"
    return text.replace("<title>neo4j-viz</title>", f"<title>{html.escape(plain(title))}</title>", 1)


def _most_important(drawing: Drawing) -> tuple[Drawing, int]:
    """The part that is drawn, and how many nodes are not."""
    ordered = sorted(drawing.nodes, key=ranks(drawing))
    drawn = {*ordered[:MOST]}
    nodes = {entity: node for entity, node in drawing.nodes.items() if entity in drawn}
    lines = [line for line in drawing.lines if line.start in drawn and line.end in drawn]
    return Drawing(nodes, lines), len(ordered[MOST:])


def _node(entity: Entity, node: Node) -> neo4j_viz.Node:
    from neo4j_viz import Node as Drawn

    return Drawn(
        id=node_id(entity),
        caption=plain(entity.name),
        color=KINDS[entity.kind],
        size=42 if node.mark in ("origin", "confirmed") else 32,
        properties={"kind": entity.kind, "mark": node.mark},
    )


def _relationship(line: Line) -> neo4j_viz.Relationship:
    from neo4j_viz import Relationship

    facts = {name: plain(value) if isinstance(value, str) else value for name, value in line.facts.items()}
    return Relationship(
        source=node_id(line.start),
        target=node_id(line.end),
        caption=line.type,
        color=MARKS[line.mark][0],
        width=MARKS[line.mark][2],
        properties={"mark": line.mark, "meaning": plain(line.meaning), **facts},
    )


def _beside(drawing: Drawing, title: str, hidden: int) -> str:
    """The title, what the lines mean, and how many nodes are left out; and the still picture, which the
    reader unfolds, and which is unfolded where the browser draws no other."""
    marks = {line.mark for line in drawing.lines} | {node.mark for node in drawing.nodes.values()}
    lines = " ".join(
        f'<span style="color:{MARKS[mark][0]}">&#9473; {mark}</span>' for mark in MARKS if mark in marks
    )
    more = f" {not_drawn(hidden)}" if hidden else ""
    summary = f"<b>{html.escape(plain(title))}</b> {lines}{more}; unfold a still picture"
    style = f"{_PLACE};overflow:auto;z-index:9;{_LOOK}"
    picture = svg(drawing, title)
    return f'<details id="still" style="{style}"><summary>{summary}</summary>{picture}</details>{_OPEN}'
