"""An incident as a drawing: who acted from where, and what was reached."""

from __future__ import annotations

from collections.abc import Sequence

from ueba import words
from ueba.contracts.drawing import Drawing, Line
from ueba.contracts.entity import Entity
from ueba.contracts.scored import ScoredEdge


def incident_drawing(edges: Sequence[ScoredEdge]) -> Drawing:
    drawing = Drawing()
    connected: set[tuple[Entity, Entity]] = set()  # users and the machines they acted from
    for edge in edges:
        user, target = Entity("user", edge.user), Entity(edge.target_kind, edge.target)
        drawing.add(user)
        start = user
        if edge.source is not None:
            start = Entity("machine", edge.source)
            drawing.add(start)
            if (user, start) not in connected:
                connected.add((user, start))
                drawing.lines.append(
                    Line(user, start, "USED", "usual", f"{edge.user} acted from {edge.source}")
                )
        drawing.add(target)
        facts: dict[str, str | float] = {
            "user": edge.user,
            "surprise": edge.surprise,
            "p_value": edge.p_value,
        }
        drawing.lines.append(Line(start, target, "REACHED", "strange", _meaning(edge), facts))
    return drawing


def _meaning(edge: ScoredEdge) -> str:
    reasons = "; ".join(map(words.sentence, edge.reasons))
    return f"{edge.user} at {edge.first_seen:%Y-%m-%d %H:%M:%S}, {edge.count} events: {reasons}"
