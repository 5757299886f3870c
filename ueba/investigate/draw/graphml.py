"""A drawing as a networkx graph and as GraphML, for networkx, Gephi and yEd.

node  id `<kind>:<name>`   kind, name, mark, and layer and at where there are any
edge  type, mark, meaning, and the facts of its line
"""

from __future__ import annotations

import io
from typing import Any

import networkx as nx

from ueba.contracts.drawing import Drawing, Line, Node
from ueba.contracts.entity import Entity
from ueba.investigate.draw.style import node_id
from ueba.text import plain


def to_networkx(drawing: Drawing) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    for entity, node in drawing.nodes.items():
        graph.add_node(node_id(entity), **_node(entity, node))
    for line in drawing.lines:
        graph.add_edge(node_id(line.start), node_id(line.end), **_edge(line))
    return graph


def graphml(drawing: Drawing) -> str:
    """XML text."""
    file = io.BytesIO()
    nx.write_graphml(to_networkx(drawing), file)
    return file.getvalue().decode()


def _node(entity: Entity, node: Node) -> dict[str, Any]:
    properties: dict[str, Any] = {"kind": entity.kind, "name": plain(entity.name), "mark": node.mark}
    if node.layer is not None:
        properties["layer"] = node.layer
    if node.at is not None:
        properties["at"] = node.at.isoformat()
    return properties


def _edge(line: Line) -> dict[str, Any]:
    facts = {name: plain(value) if isinstance(value, str) else value for name, value in line.facts.items()}
    return {"type": line.type, "mark": line.mark, "meaning": plain(line.meaning), **facts}
