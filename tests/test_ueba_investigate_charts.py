"""The picture of a calibration: what is drawn is what the tables say."""

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ueba.detect.score.inspection import PRICE_COLUMNS, SHARE_COLUMNS, Inspection
from ueba.investigate.draw import charts

DAYS = [dt.date(2026, 3, 2), dt.date(2026, 3, 3)]
SHARES = pd.DataFrame(
    [  # group, breadth, users, edges, share, at least, at most, share of p <= .001, evenness
        ("all", "1-9", 9, 900, 0.010, 0.008, 0.012, 0.001, "even"),
        (" 1 of 3", "1", 3, 300, 0.040, 0.030, 0.060, 0.004, "too many"),
        (" 2 of 3", "2-4", 3, 300, 0.0, 0.0, 0.002, 0.0, "too few"),
        (" 3 of 3", "5-9", 3, 300, 0.012, 0.004, 0.030, 0.001, "within chance"),
    ],
    columns=list(SHARE_COLUMNS),
)
PRICES = pd.DataFrame(
    [  # measure, threshold, edges a day, incidents a day, most incidents, what it means
        ("p_value", 0.1, 90.0, 20.0, 30, ""),
        ("p_value", 0.01, 9.0, 4.0, 6, ""),
        ("score", 5.0, 50.0, 12.0, 15, ""),
        ("score", 8.0, 5.0, 3.0, 4, "the budget of 3"),
    ],
    columns=list(PRICE_COLUMNS),
)
INSPECTION = Inspection(
    DAYS, "", SHARES, SHARES.assign(group=["all", "human 1+", "human 3+", "human 7+"]), PRICES
)


@pytest.fixture
def figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """What is drawn of INSPECTION."""
    kept: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: Any, **more: Any) -> None:
        kept.append(self)
        save(self, *arguments, **more)

    monkeypatch.setattr(Figure, "savefig", keep)
    charts.draw_calibration(INSPECTION, tmp_path / "new" / "calibration.svg")
    assert (tmp_path / "new" / "calibration.svg").read_text().startswith("<?xml")
    return kept[0]


def test_its_title_says_which_days(figure: Figure) -> None:
    assert figure.get_suptitle() == "calibration on 2 days, 2026-03-02 to 2026-03-03"


def test_every_group_is_a_dot_in_the_colour_of_its_evenness(figure: Figure) -> None:
    """A share of none lies on the end of a logarithmic axis, a twentieth of what is promised: 0.0005."""
    breadth = figure.axes[0]
    dots = {
        (int(x), round(float(y), 6)): to_hex(bars[0].get_color())
        for bars in breadth.containers
        for x, y in zip(*bars[0].get_data(), strict=True)
    }
    assert dots == {
        (0, 0.010): charts.COLOURS["even"],
        (1, 0.040): charts.COLOURS["too many"],
        (2, 0.0005): charts.COLOURS["too few"],
        (3, 0.012): charts.COLOURS["within chance"],
    }
    assert [text.get_text() for text in breadth.get_xticklabels()] == ["all", "1", "2-4", "5-9"]
    assert [text.get_text() for text in figure.axes[1].get_xticklabels()] == [
        "all", "human\n1+", "human\n3+", "human\n7+",
    ]  # fmt: skip


def test_the_lines_of_a_dot_are_its_interval(figure: Figure) -> None:
    ends = {}
    for bars in figure.axes[0].containers:
        for segment in bars[2][0].get_segments():
            ends[int(segment[0][0])] = sorted(float(y) for _, y in segment)
    assert ends == {
        0: pytest.approx([0.008, 0.012]),
        1: pytest.approx([0.030, 0.060]),
        2: [0.0, 0.002],
        3: pytest.approx([0.004, 0.030]),
    }
    low, high = figure.axes[0].get_ylim()
    assert low < 0.0005 and high > 0.06  # nothing is cut off


def test_prices_are_lines_and_the_budget_is_marked(figure: Figure) -> None:
    p_value, score = figure.axes[2:]
    edges, incidents = p_value.lines
    assert list(zip(*edges.get_data(), strict=True)) == [(0.1, 90.0), (0.01, 9.0)]
    assert list(zip(*incidents.get_data(), strict=True)) == [(0.1, 20.0), (0.01, 4.0)]
    assert p_value.xaxis_inverted() and p_value.get_xscale() == "log"
    *_, mark = score.lines
    assert mark.get_xdata()[0] == 8.0 and mark.get_label() == "the budget of 3" and len(score.lines) == 3
