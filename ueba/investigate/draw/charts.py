"""A calibration as a picture: the shares of small p-values by breadth and by cohort, beside the share they
should have, and what each threshold costs.

Drawn with matplotlib's objects, not its state machine, so that no display is needed. Leaves out styles.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ueba import files
from ueba.detect.score.inspection import LEVELS, TOLERANCE, Inspection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"even": "#3d7ea6", "within chance": "#9aa5ab", "too many": "#d1495b", "too few": "#e0a030"}
LEAST_SHARE = LEVELS[0] / 20  # the end of the axis; smaller shares are drawn on it


def draw_calibration(inspection: Inspection, path: Path) -> None:
    """Write the picture, in the format of the path's suffix."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "ueba", "font.size": 9}):
        figure = Figure(figsize=(10, 10), layout="constrained")
        axes = figure.subplot_mosaic([["breadth", "breadth"], ["cohorts", "cohorts"], ["p_value", "score"]])
        _shares(
            axes["breadth"],
            inspection.breadth,
            "breadth",
            "by distinct targets of the user, a tenth of the users each",
        )
        _shares(
            axes["cohorts"],
            inspection.cohorts,
            "group",
            "by cohort: kind of account and least distinct targets",
        )
        _prices(axes["p_value"], inspection.prices, "p_value", "threshold of an edge's p")
        _prices(axes["score"], inspection.prices, "score", "threshold of score, nats")
        axes["p_value"].set_xscale("log")
        axes["p_value"].invert_xaxis()
        days = inspection.days
        figure.suptitle(f"calibration on {len(days)} days, {days[0]} to {days[-1]}")
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        with files.replacing(path) as file:
            figure.savefig(file, format=path.suffix[1:].lower(), dpi=120, metadata=metadata)


def _shares(axes: Axes, table: pd.DataFrame, label: str, title: str) -> None:
    """A dot with its interval for each group, over the band in which a share is even."""
    axes.axhspan(LEVELS[0] / TOLERANCE, LEVELS[0] * TOLERANCE, color="#e8eef1", zorder=0)
    axes.axhline(LEVELS[0], color="black", linewidth=0.8, zorder=1)
    for name, colour in COLOURS.items():
        group = table[table["evenness"] == name]
        if len(group):
            share = group["share_p_0.01"].clip(lower=LEAST_SHARE)
            ends = [(share - group["at_least"]).clip(lower=0), (group["at_most"] - share).clip(lower=0)]
            axes.errorbar(group.index, share, yerr=ends, fmt="o", color=colour, label=name, capsize=3)
    labels = ["all", *(name.replace(" ", "\n", 1).replace(" ", "") for name in table[label][1:])]
    axes.set(yscale="log", ylabel=f"share of edges with p ≤ {LEVELS[0]}")
    axes.set_ylim(LEAST_SHARE * 0.8, max(4 * LEVELS[0], 1.2 * table["at_most"].max()))
    axes.set_xticks(table.index, labels, fontsize=7 if len(table) > 12 else None)
    axes.set_title(title, loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=len(COLOURS))


def _prices(axes: Axes, table: pd.DataFrame, measure: str, title: str) -> None:
    """Edges and incidents a day for each threshold; the threshold of the alert budget is marked."""
    prices = table[table["measure"] == measure]
    axes.plot(prices["threshold"], prices["edges_a_day"], "o-", color="#9aa5ab", label="edges")
    axes.plot(prices["threshold"], prices["incidents_a_day"], "o-", color="#3d7ea6", label="incidents")
    for threshold, means in prices.loc[prices["means"] != "", ["threshold", "means"]].itertuples(index=False):
        axes.axvline(threshold, color="#d1495b", linewidth=0.8, label=means)
    axes.set(xlabel=title, ylabel="a day, on average")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right", frameon=False)
