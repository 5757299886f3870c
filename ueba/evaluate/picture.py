"""What an incident is worth, a line for each row: campaigns found against false incidents a day, with one
threshold on the score for all days, and against incidents a day, with a budget that every day fills.

Drawn by matplotlib without a display. The legend is in the order of the lines at one false incident a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ueba import files
from ueba.evaluate.measure import USUAL, USUAL_FALSE
from ueba.evaluate.results import CURVE_RATES, RowSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = {"baseline": (":", 1.3), "model": ("-", 3.0), "ablation": ("--", 1.3)}  # line and its width, points
TICKS = (0.05, 0.1, 0.3, 1, 3, 10)  # false incidents a day


def draw(rows: Sequence[RowSummary], campaigns: int, path: Path) -> None:
    """Draw rows of the table; campaigns: how many there were to be found."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = drawn(rows, campaigns)
    FigureCanvasAgg(figure)
    with files.replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)


def drawn(rows: Sequence[RowSummary], campaigns: int) -> Figure:
    """The two curves of each row, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6), layout="constrained")
    by_false, by_budget = figure.subplots(1, 2, sharey=True)
    colours: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: -row.false_curve[USUAL_FALSE]):
        line, width = STYLES[row.kind]
        colour = "black" if row.kind == "model" else f"C{colours[row.kind]}"
        colours[row.kind] += 1
        label = f"{row.name}  {row.false_curve[USUAL_FALSE]:.0f}, {row.curve[USUAL]:.0f}"
        style = {"linestyle": line, "linewidth": width, "color": colour}
        by_false.plot(list(row.false_curve), list(row.false_curve.values()), label=label, **style)
        by_budget.plot(list(row.curve), list(row.curve.values()), **style)
    by_false.set(ylim=(0, campaigns * 1.03), ylabel=f"campaigns found, of {campaigns}", xscale="log")
    by_false.set(xlim=(CURVE_RATES[0], CURVE_RATES[-1]), xticks=TICKS, xticklabels=map(str, TICKS))
    by_false.minorticks_off()
    by_budget.set(xlim=(0, None))
    finished(by_false, "false incidents a day, one threshold for all days", USUAL_FALSE, campaigns)
    finished(by_budget, "incidents a day, false or not", USUAL, campaigns)
    title = f"found at {USUAL_FALSE} false a day,\nand at {USUAL} a day"
    figure.legend(loc="outside right upper", frameon=False, title=title)
    return figure


def finished(axes: Axes, xlabel: str, usual: float, campaigns: int) -> None:
    """Name the x axis, and mark what the legend tells of and how many campaigns there are."""
    axes.set_xlabel(xlabel)
    axes.axvline(usual, color="0.8", linewidth=1, zorder=0)
    axes.axhline(campaigns, color="0.8", linewidth=1, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
