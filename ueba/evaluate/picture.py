"""Campaigns found against incidents a day, a line for each row: what another incident a day is worth.

Drawn by matplotlib without a display. The legend is in the order of the lines at ten a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ueba import files
from ueba.evaluate.measure import USUAL
from ueba.evaluate.results import RowSummary

STYLES = {"baseline": (":", 1.3), "model": ("-", 3.0), "ablation": ("--", 1.3)}  # line and its width, points


def draw(rows: Sequence[RowSummary], campaigns: int, path: Path) -> None:
    """Draw rows of the table; campaigns: how many there were to be found."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    drawn: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: -row.curve[USUAL]):
        line, width = STYLES[row.kind]
        colour = "black" if row.kind == "model" else f"C{drawn[row.kind]}"
        drawn[row.kind] += 1
        label = f"{row.name}  {row.curve[USUAL]:.0f}"
        axes.plot(list(row.curve), list(row.curve.values()), line, linewidth=width, color=colour, label=label)
    axes.axvline(USUAL, color="0.8", linewidth=1, zorder=0)
    axes.axhline(campaigns, color="0.8", linewidth=1, zorder=0)
    axes.set(
        xlabel="incidents a day",
        ylabel=f"campaigns found, of {campaigns}",
        xlim=(0, None),
        ylim=(0, campaigns * 1.03),
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, title=f"found at {USUAL} a day")
    with files.replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)
