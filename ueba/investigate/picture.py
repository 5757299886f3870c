"""A small graph of users, machines and resources as a picture: an HTML page to move about in (neo4j-viz), or
a still SVG.

What is drawn is a networkx graph that GraphML can hold as well. Its nodes are called `<kind>:<name>`.

    node    kind   user, machine, resource, address      name   as the log spells it      mark   see MARKS
            layer  optional: the column it stands in, from 0 at the left
    edge    type   USED, REACHED, ...    mark   see MARKS    said   in words, for who points at it

In an SVG the nodes stand in columns: users, machines acted from, what was reached; the busiest first. A page
holds it too, as a browser may draw nothing else (neo4j-viz needs WebGL). Of a crowd, both draw what tells
most and count the rest. Both follow the reader's light or dark setting and need no network. Names from logs
travel as data, so that none of them can become part of a page.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as xml

import networkx as nx

from ueba import words
from ueba.contracts.scored import ScoredEdge
from ueba.text import plain, shortened

# Lines and rings by what is said of them: light colour, dark colour, width, dashes.
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
KINDS = {"user": "#d1495b", "machine": "#3d7ea6", "resource": "#5c946e", "address": "#8d6a9f"}
ROW, COLUMN, RADIUS, LABEL = 26, 300, 7, 30  # pixels; LABEL in characters
MOST = 24  # nodes of a column that are drawn
MOST_OF_PAGE = 2_000  # nodes of a page that are drawn: neo4j-viz refuses more than 10,000, and nobody sees anything in so many


def incident_graph(edges: Sequence[ScoredEdge]) -> nx.MultiDiGraph:
    """An incident's edges as a graph: who acted from where, and what was reached."""
    graph = nx.MultiDiGraph()
    for edge in edges:
        user = add_node(graph, "user", edge.user)
        start = user
        if edge.source is not None:
            start = add_node(graph, "machine", edge.source)
            graph.add_edge(
                user,
                start,
                key="used",
                type="USED",
                mark="usual",
                said=plain(f"{edge.user} acted from {edge.source}"),
            )
        end = add_node(graph, edge.target_kind, edge.target)
        said = plain(
            f"{edge.user} at {edge.first_seen:%Y-%m-%d %H:%M:%S}, {edge.count} events:"
            f" {'; '.join(map(words.sentence, edge.reasons))}"
        )
        facts = {
            "user": plain(edge.user),
            "surprise": edge.surprise,
            "p_value": edge.p_value,
        }
        graph.add_edge(start, end, type="REACHED", mark="strange", said=said, **facts)
    return graph


def add_node(graph: nx.MultiDiGraph, kind: str, name: str, mark: str = "usual") -> str:
    """Add a node unless it is there. Returns what it is called in the graph."""
    node = node_of(kind, name)
    if node not in graph:
        graph.add_node(node, kind=kind, name=plain(name), mark=mark)
    return node


def node_of(kind: str, name: str) -> str:
    """What a node is called: text that XML can hold."""
    return f"{kind}:{plain(name)}"


def draw(graph: nx.MultiDiGraph, path: Path, title: str) -> None:
    """Write the picture: `.svg` stands still, anything else is a page to move about in."""
    page = svg(graph, title) if path.suffix.lower() == ".svg" else _page(graph, title)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _page(graph: nx.MultiDiGraph, title: str) -> str:
    from neo4j_viz import Node, Relationship, VisualizationGraph

    first = sorted(graph, key=lambda node: _rank(graph, node))
    hidden = len(first[MOST_OF_PAGE:])
    graph = graph.subgraph(first[:MOST_OF_PAGE])
    nodes = [
        Node(
            id=node,
            caption=plain(data["name"]),
            color=KINDS[data["kind"]],
            size=42 if data["mark"] in ("origin", "confirmed") else 32,
            properties={"kind": data["kind"], "mark": data["mark"]},
        )
        for node, data in graph.nodes(data=True)
    ]
    relationships = [
        Relationship(
            source=start,
            target=end,
            caption=data["type"],
            color=MARKS[data["mark"]][0],
            width=MARKS[data["mark"]][2],
            properties={name: value for name, value in data.items() if name != "type"},
        )
        for start, end, data in graph.edges(data=True)
    ]
    drawn = VisualizationGraph(nodes=nodes, relationships=relationships)
    kinds = {data["kind"] for _, data in graph.nodes(data=True)}
    drawn.set_legend(nodes={kind: colour for kind, colour in KINDS.items() if kind in kinds})
    page = str(drawn.render(height="100vh").data)
    before, body, after = page.rpartition("</body>")
    page = f"{before}{_beside(graph, title, hidden)}{body}{after}"
    return page.replace("<title>neo4j-viz</title>", f"<title>{html.escape(plain(title))}</title>", 1)


def _beside(graph: nx.MultiDiGraph, title: str, hidden: int) -> str:
    """What a page says of its picture: the title, what the lines mean, how much is left out; and the still
    one, to be unfolded, or unfolded where the browser draws no other."""
    there = {data["mark"] for _, _, data in graph.edges(data=True)} | {
        data["mark"] for _, data in graph.nodes(data=True)
    }
    lines = " ".join(
        f'<span style="color:{MARKS[mark][0]}">&#9473; {mark}</span>' for mark in MARKS if mark in there
    )
    more = f" {_hidden(hidden)}" if hidden else ""
    place = "position:fixed;top:8px;left:52px;max-width:calc(100vw - 220px);max-height:calc(100vh - 60px);overflow:auto;z-index:9"
    look = "padding:.4rem .8rem;font:13px system-ui,sans-serif;background:Canvas;color:CanvasText"
    said = f"<b>{html.escape(plain(title))}</b> {lines}{more}; unfold a still picture"
    still = (
        f'<details id="still" style="{place};{look}"><summary>{said}</summary>{svg(graph, title)}</details>'
    )
    return f"{still}<script>still.open = !document.createElement('canvas').getContext('webgl2')</script>"


# --- SVG ----------------------------------------------------------------------------------------------------


def svg(graph: nx.MultiDiGraph, title: str) -> str:
    """The graph as SVG text, to be a file or part of a page. The same graph gives the same text."""
    place, hidden = _places(graph)
    columns = 1 + max((column for column, _ in place.values()), default=0)
    rows = 1 + max((row for _, row in place.values()), default=0)
    width, height = columns * COLUMN - 20, (rows + 1) * ROW + (ROW if hidden else 0)
    drawing = xml.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", role="img"
    )
    drawing.set("class", "graph")
    drawing.set("style", f"max-width:{width}px")
    xml.SubElement(drawing, "title").text = plain(title)
    xml.SubElement(drawing, "style").text = STYLE
    for start, end, data in sorted(graph.edges(data=True), key=_paint_order):
        if start in place and end in place:
            _line(drawing, place[start], place[end], data)
    for node in place:
        _node(drawing, place[node], graph.nodes[node])
    if hidden:
        note = xml.SubElement(drawing, "text", x="12", y=str(height - 8))
        note.text = _hidden(hidden)
    return xml.tostring(drawing, encoding="unicode")


def _style() -> str:
    rules = [".graph text{font:12px system-ui,sans-serif;fill:#1b1f23}.graph path{fill:none}"]
    dark = [".graph text{fill:#e6e9ec}"]
    for mark, (light, darker, width, dashes) in MARKS.items():
        dashed = f";stroke-dasharray:{dashes}" if dashes else ""
        rules.append(
            f".graph .{mark}{{stroke:{light};stroke-width:{width}{dashed}}}.graph .{mark}-head{{fill:{light}}}"
        )
        dark.append(f".graph .{mark}{{stroke:{darker}}}.graph .{mark}-head{{fill:{darker}}}")
    return f"{''.join(rules)}@media screen and (prefers-color-scheme:dark){{{''.join(dark)}}}"


STYLE = _style()


def _places(graph: nx.MultiDiGraph) -> tuple[dict[str, tuple[int, int]], int]:
    """(column, row) of each node that is drawn, and how many are not."""
    columns: dict[int, list[str]] = {}
    for node, data in graph.nodes(data=True):
        leads_on = graph.out_degree(node) > 0
        usual = 0 if data["kind"] in ("user", "address") else 1 if leads_on else 2
        columns.setdefault(data.get("layer", usual), []).append(node)
    place: dict[str, tuple[int, int]] = {}
    hidden = 0
    for column, number in enumerate(sorted(columns)):
        nodes = sorted(columns[number], key=lambda node: _rank(graph, node))
        hidden += len(nodes[MOST:])
        place |= {node: (column, row) for row, node in enumerate(nodes[:MOST])}
    return place, hidden


def _rank(graph: nx.MultiDiGraph, node: str) -> tuple[int, int, int, str]:
    """What is drawn first: by its mark, then what is near, then the busiest."""
    data = graph.nodes[node]
    return list(MARKS).index(data["mark"]), data.get("layer", 0), -graph.degree(node), node


def _hidden(number: int) -> str:
    return f"and {number:,} more that are not drawn"


def _paint_order(edge: tuple[str, str, dict[str, str]]) -> tuple[int, str, str, str]:
    start, end, data = edge
    return -list(MARKS).index(data["mark"]), start, end, data.get("said", "")


def _at(place: tuple[int, int]) -> tuple[int, int]:
    return place[0] * COLUMN + 14, (place[1] + 1) * ROW


def _line(drawing: xml.Element, start: tuple[int, int], end: tuple[int, int], data: dict[str, str]) -> None:
    (x, y), (to_x, to_y) = _at(start), _at(end)
    forward = to_x > x
    x, to_x = x + RADIUS, to_x - RADIUS - 5 if forward else to_x + RADIUS + 5
    bend = COLUMN // 2 if forward else 40
    group = xml.SubElement(drawing, "g")
    xml.SubElement(group, "title").text = plain(data.get("said", data["type"]))
    towards = to_x - bend if forward else to_x + bend
    path = xml.SubElement(group, "path", d=f"M{x} {y}C{x + bend} {y} {towards} {to_y} {to_x} {to_y}")
    path.set("class", data["mark"])
    tip = 6 if forward else -6
    head = xml.SubElement(group, "polygon", points=f"{to_x},{to_y - 4} {to_x + tip},{to_y} {to_x},{to_y + 4}")
    head.set("class", f"{data['mark']}-head")


def _node(drawing: xml.Element, place: tuple[int, int], data: dict[str, str]) -> None:
    x, y = _at(place)
    group = xml.SubElement(drawing, "g")
    xml.SubElement(group, "title").text = f"{data['kind']} {plain(data['name'])}"
    circle = xml.SubElement(group, "circle", cx=str(x), cy=str(y), r=str(RADIUS), fill=KINDS[data["kind"]])
    if data["mark"] != "usual":
        circle.set("class", data["mark"])
    xml.SubElement(group, "text", x=str(x + RADIUS + 5), y=str(y - 5)).text = shortened(data["name"], LABEL)
