"""An incident's graph as a picture: one HTML file that opens in a browser without a network (neo4j-viz).

Names from logs travel as data, so that none of them can become part of the page. Leaves out layout; the page does that.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
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
        Node(id=name, caption=name, color=COLOURS[kind], size=36 if kind == "user" else 30, properties={"kind": kind})
        for name, kind in kinds.items()
    ]
    used = edges[edges["source"].notna()].groupby(["user", "source"], as_index=False).agg({"first_seen": "min", "count": "sum"})
    relationships = [
        Relationship(source=edge["user"], target=edge["source"], caption="USED", properties=_seen(edge))
        for edge in used.to_dict("records")
    ]
    for edge in edges.to_dict("records"):
        said = {
            "user": edge["user"],
            "surprise_nats": round(edge["surprise"], 2),
            "p_value": edge["p_value"],
            "why": "; ".join(edge["reasons"]),
        }
        start = edge["source"] if edge["source"] is not None else edge["user"]
        relationships.append(
            Relationship(source=start, target=edge["target"], caption="REACHED", properties={**said, **_seen(edge)}, width=2)
        )
    graph = VisualizationGraph(nodes=nodes, relationships=relationships)
    graph.set_legend(nodes={kind: COLOURS[kind] for kind in COLOURS if kind in kinds.values()})
    page = str(graph.render(height="100vh").data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.replace("<title>neo4j-viz</title>", f"<title>incident {incident['id']}</title>", 1), encoding="utf-8")


def _seen(edge: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {"first_seen": str(edge["first_seen"]), "events": int(edge["count"])}
