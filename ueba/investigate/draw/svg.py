"""A drawing as a still SVG. The same drawing gives the same text.

The nodes stand in columns: by their layer, or users, machines acted from, what was reached; the most
important first. Of a crowd the most important are drawn, and the rest are counted. The picture follows the
reader's light or dark setting, needs no network, and names from logs are text in it, never markup.
"""

from __future__ import annotations

from xml.etree import ElementTree as xml

from ueba.contracts.drawing import Drawing, Line, Node
from ueba.contracts.entity import Entity
from ueba.investigate.draw.style import KINDS, MARKS, mark_order, node_id, not_drawn, ranks
from ueba.text import brief, plain, shortened

ROW, COLUMN, RADIUS = 26, 300, 7  # pixels
LABEL = 30  # characters
MOST = 24  # nodes of a column that are drawn

Place = tuple[int, int]  # column, row


def svg(drawing: Drawing, title: str) -> str:
    """SVG text, to be a file or a part of a page."""
    places, hidden = _places(drawing)
    columns = 1 + max((column for column, _ in places.values()), default=0)
    rows = 1 + max((row for _, row in places.values()), default=0)
    width, height = columns * COLUMN - 20, (rows + 1) * ROW + (ROW if hidden else 0)
    root = _root(width, height, title)
    for line in sorted(drawing.lines, key=_paint_order):
        if line.start in places and line.end in places:
            _draw_line(root, places[line.start], places[line.end], line)
    for entity, place in places.items():
        _draw_node(root, place, entity, drawing.nodes[entity])
    if hidden:
        xml.SubElement(root, "text", x="12", y=str(height - 8)).text = not_drawn(hidden)
    return xml.tostring(root, encoding="unicode")


def _root(width: int, height: int, title: str) -> xml.Element:
    root = xml.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", role="img")
    root.set("class", "graph")
    root.set("style", f"max-width:{width}px")
    xml.SubElement(root, "title").text = brief(title)
    xml.SubElement(root, "style").text = STYLE
    return root


def _style() -> str:
    rules = [".graph text{font:12px system-ui,sans-serif;fill:#1b1f23}.graph path{fill:none}"]
    dark = [".graph text{fill:#e6e9ec}"]
    for mark, (light, darker, width, dashes) in MARKS.items():
        dashed = f";stroke-dasharray:{dashes}" if dashes else ""
        line = f".graph .{mark}{{stroke:{light};stroke-width:{width}{dashed}}}"
        rules.append(f"{line}.graph .{mark}-head{{fill:{light}}}")
        dark.append(f".graph .{mark}{{stroke:{darker}}}.graph .{mark}-head{{fill:{darker}}}")
    return f"{''.join(rules)}@media screen and (prefers-color-scheme:dark){{{''.join(dark)}}}"


STYLE = _style()


def _places(drawing: Drawing) -> tuple[dict[Entity, Place], int]:
    """Where each node that is drawn stands, and how many are not drawn."""
    starts = {line.start for line in drawing.lines}
    columns: dict[int, list[Entity]] = {}
    for entity, node in drawing.nodes.items():
        by_kind = 0 if entity.kind in ("user", "address") else 1 if entity in starts else 2
        columns.setdefault(by_kind if node.layer is None else node.layer, []).append(entity)
    places: dict[Entity, Place] = {}
    hidden, rank = 0, ranks(drawing)
    for column, layer in enumerate(sorted(columns)):
        ordered = sorted(columns[layer], key=rank)
        hidden += len(ordered[MOST:])
        places |= {entity: (column, row) for row, entity in enumerate(ordered[:MOST])}
    return places, hidden


def _paint_order(line: Line) -> tuple[int, str, str, str]:
    """The most important is painted last, over the others."""
    return -mark_order(line.mark), node_id(line.start), node_id(line.end), plain(line.meaning)


def _centre(place: Place) -> tuple[int, int]:
    """In pixels."""
    return place[0] * COLUMN + 14, (place[1] + 1) * ROW


def _draw_line(root: xml.Element, start: Place, end: Place, line: Line) -> None:
    """A curve with a head, to the right or back to the left."""
    (x, y), (to_x, to_y) = _centre(start), _centre(end)
    forward = to_x > x
    x, to_x = x + RADIUS, to_x - RADIUS - 5 if forward else to_x + RADIUS + 5
    bend = COLUMN // 2 if forward else 40
    group = xml.SubElement(root, "g")
    xml.SubElement(group, "title").text = brief(line.meaning)
    towards = to_x - bend if forward else to_x + bend
    path = xml.SubElement(group, "path", d=f"M{x} {y}C{x + bend} {y} {towards} {to_y} {to_x} {to_y}")
    path.set("class", line.mark)
    tip = 6 if forward else -6
    head = xml.SubElement(group, "polygon", points=f"{to_x},{to_y - 4} {to_x + tip},{to_y} {to_x},{to_y + 4}")
    head.set("class", f"{line.mark}-head")


def _draw_node(root: xml.Element, place: Place, entity: Entity, node: Node) -> None:
    x, y = _centre(place)
    group = xml.SubElement(root, "g")
    xml.SubElement(group, "title").text = brief(f"{entity.kind} {entity.name}")
    circle = xml.SubElement(group, "circle", cx=str(x), cy=str(y), r=str(RADIUS), fill=KINDS[entity.kind])
    if node.mark != "usual":
        circle.set("class", node.mark)
    label = xml.SubElement(group, "text", x=str(x + RADIUS + 5), y=str(y - 5))
    label.text = shortened(entity.name, LABEL)
