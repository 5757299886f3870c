"""Pictures of small graphs, as a page to move about in or as a still SVG, and of a calibration.

    style      how nodes and lines look, and which of a crowd are drawn
    svg        a drawing as SVG
    page       a drawing as an HTML page
    graphml    a drawing for networkx and other tools
    incident   an incident as a drawing
    charts     a calibration inspected

What is drawn is `ueba.contracts.drawing.Drawing`.
"""

from __future__ import annotations

from pathlib import Path

from ueba import files
from ueba.contracts.drawing import Drawing


def write(drawing: Drawing, path: Path, title: str) -> None:
    """Write a picture: an SVG if the path ends in `.svg`, else a page."""
    from ueba.investigate.draw.page import page
    from ueba.investigate.draw.svg import svg

    text = svg(drawing, title) if path.suffix.lower() == ".svg" else page(drawing, title)
    files.write_text(path, text)
