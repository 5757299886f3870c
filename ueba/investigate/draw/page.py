"""A drawing as an HTML page that the reader can move about in (neo4j-viz).

The page holds the still picture too, as some browsers draw nothing else: neo4j-viz needs WebGL. Names from
logs travel as data, so that none of them can become a part of the page. If one did, its policy (Content
Security Policy) would not run it: the scripts of a page without any name are let in, by their hashes, and
nothing is loaded or sent.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import html.parser
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ueba.contracts.drawing import Drawing, Line, Node
from ueba.contracts.entity import Entity
from ueba.investigate.draw.style import KINDS, MARKS, node_id, not_drawn, ranks
from ueba.investigate.draw.svg import svg
from ueba.text import brief

if TYPE_CHECKING:
    import neo4j_viz

MOST = 2_000  # nodes that are drawn: neo4j-viz refuses more than 10,000, and nobody sees anything in so many
_PLACE = "position:fixed;top:8px;left:52px;max-width:calc(100vw - 220px);max-height:calc(100vh - 60px)"
_LOOK = "padding:.4rem .8rem;font:13px system-ui,sans-serif;background:Canvas;color:CanvasText"
_OPEN = "still.open = !document.createElement('canvas').getContext('webgl2')"
# Styles are set by the scripts as they run; pictures and fonts come as data.
_POLICY = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:;"
    " font-src data:; base-uri 'none'; form-action 'none'"
)


def page(drawing: Drawing, title: str) -> str:
    """HTML text."""
    shown, hidden = _most_important(drawing)
    kinds = {entity.kind for entity in shown.nodes}
    text = _rendered(
        [_node(entity, node) for entity, node in shown.nodes.items()],
        [_relationship(line) for line in shown.lines],
        {kind: colour for kind, colour in KINDS.items() if kind in kinds},
    )
    before, body, after = text.rpartition("</body>")
    text = f"{before}{_beside(shown, title, hidden)}{body}{after}"
    text = text.replace("<title>neo4j-viz</title>", f"<title>{html.escape(brief(title))}</title>", 1)
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy()}">'
    return text.replace("<head>", f"<head>{meta}", 1)


def _rendered(
    nodes: Sequence[neo4j_viz.Node], relationships: Sequence[neo4j_viz.Relationship], legend: dict[str, str]
) -> str:
    from neo4j_viz import VisualizationGraph

    graph = VisualizationGraph(nodes=[*nodes], relationships=[*relationships])
    graph.set_legend(nodes=legend)
    text = str(graph.render(height="100vh").data)
    body = text[text.rindex("<body>") :]
    by_chance = body.partition('id="')[2].partition('"')[0]  # another id in every page, in a script too
    return text.replace(by_chance, "graph")


@functools.cache
def policy() -> str:
    """What a page may do, which is the same for all pages."""
    found = _Scripts()
    found.feed(_rendered([], [], {}))
    hashes = [hashlib.sha256(script.encode()).digest() for script in (*found.scripts, _OPEN)]
    return _POLICY.format(scripts=" ".join(f"'sha256-{base64.b64encode(sha).decode()}'" for sha in hashes))


class _Scripts(html.parser.HTMLParser):
    """The texts of a page's scripts, without its data."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self._is_script = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._is_script = tag == "script" and dict(attributes).get("type") != "application/json"
        if self._is_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._is_script = False

    def handle_data(self, data: str) -> None:
        if self._is_script:
            self.scripts[-1] += data


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
        caption=brief(entity.name),
        color=KINDS[entity.kind],
        size=42 if node.mark in ("origin", "confirmed") else 32,
        properties={"kind": entity.kind, "mark": node.mark},
    )


def _relationship(line: Line) -> neo4j_viz.Relationship:
    from neo4j_viz import Relationship

    facts = {name: brief(value) if isinstance(value, str) else value for name, value in line.facts.items()}
    return Relationship(
        source=node_id(line.start),
        target=node_id(line.end),
        caption=line.type,
        color=MARKS[line.mark][0],
        width=MARKS[line.mark][2],
        properties={"mark": line.mark, "meaning": brief(line.meaning), **facts},
    )


def _beside(drawing: Drawing, title: str, hidden: int) -> str:
    """The title, what the lines mean, and how many nodes are left out; and the still picture, which the
    reader unfolds, and which is unfolded where the browser draws no other."""
    marks = {line.mark for line in drawing.lines} | {node.mark for node in drawing.nodes.values()}
    lines = " ".join(
        f'<span style="color:{MARKS[mark][0]}">&#9473; {mark}</span>' for mark in MARKS if mark in marks
    )
    more = f" {not_drawn(hidden)}" if hidden else ""
    summary = f"<b>{html.escape(brief(title))}</b> {lines}{more}; unfold a still picture"
    style = f"{_PLACE};overflow:auto;z-index:9;{_LOOK}"
    still = f"<summary>{summary}</summary>{svg(drawing, title)}"
    return f'<details id="still" style="{style}">{still}</details><script>{_OPEN}</script>'
