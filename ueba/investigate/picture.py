"""An incident's graph as a picture: one HTML file that opens in a browser without a network (neo4j-viz).

Names from logs travel as data, so that none of them can become part of the page. Leaves out layout; the page does that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

COLOURS = {"user": "#d1495b", "machine": "#3d7ea6", "resource": "#5c946e"}


def draw(incident: dict[str, Any], edges: pd.DataFrame, path: Path) -> None:
    """Write the picture. `edges`: the incident's, as in `findings.load_edges`."""
    from neo4j_viz import Node, Relationship, VisualizationGraph

    kinds: dict[str, str] = {name: "user" for name in edges["user"]}
    kinds |= dict(zip(edges["target"], edges["target_kind"], strict=True))
    kinds |= {name: "machine" for name in edges["source"] if name is not None}
    nodes = [
        Node(id=name, caption=name, color=COLOURS[kind], size=30 if kind == "user" else 20, properties={"kind": kind})
        for name, kind in kinds.items()
    ]
    relationships = []
    for edge in edges.to_dict("records"):
        said = {
            "surprise_nats": round(edge["surprise"], 2),
            "p_value": edge["p_value"],
            "why": "; ".join(edge["reasons"]),
        }
        seen = {"first_seen": str(edge["first_seen"]), "events": int(edge["count"])}
        start = edge["source"] if edge["source"] is not None else edge["user"]
        if edge["source"] is not None:
            relationships.append(Relationship(source=edge["user"], target=start, caption="USED", properties=seen))
        relationships.append(
            Relationship(source=start, target=edge["target"], caption="REACHED", properties={**said, **seen}, width=2)
        )
    page = VisualizationGraph(nodes=nodes, relationships=relationships).render(height="95vh")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<!doctype html><html><head><meta charset='utf-8'><title>incident {incident['id']}</title></head>"
        f"<body style='margin:0'>{page.data}</body></html>",
        encoding="utf-8",
    )
