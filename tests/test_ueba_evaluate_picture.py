"""The picture of an evaluation: what is drawn is what the rows say."""

from matplotlib.figure import Figure

from ueba.evaluate import picture
from ueba.evaluate.ranking import CURVE_BUDGETS
from ueba.evaluate.results import CURVE_RATES, RowSummary


def row(name: str, kind: str, by_rate: float, by_budget: float) -> RowSummary:
    """A row that finds `by_rate` or `by_budget` for each unit of the axis, at most 12."""
    false_curve = {rate: min(12, by_rate * rate) for rate in CURVE_RATES}
    curve = {budget: min(12, by_budget * budget) for budget in CURVE_BUDGETS}
    return RowSummary(name, kind, 1, {}, {}, {}, curve, false_curve)


ROWS = [row("rule", "baseline", 1, 0.5), row("model", "model", 9, 1.1), row("part", "ablation", 4, 0.9)]


def lines(figure: Figure, panel: int) -> list[tuple[list[float], list[float]]]:
    drawn = figure.axes[panel].get_lines()
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in drawn if len(line.get_xdata()) > 2]


def test_both_curves_of_every_row_are_drawn() -> None:
    """Best first at one false incident a day: 9, 4 and 1 campaigns; at ten incidents a day 11, 9 and 5."""
    figure = picture.drawn(ROWS, 12)
    best_first = [ROWS[1], ROWS[2], ROWS[0]]
    for panel, curves in enumerate(
        ([found.false_curve for found in best_first], [found.curve for found in best_first])
    ):
        assert lines(figure, panel) == [(list(curve), list(curve.values())) for curve in curves]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["model  9, 11", "part  4, 9", "rule  1, 5"]
    by_false = figure.axes[0]
    assert by_false.get_xscale() == "log" and by_false.get_xlim() == (0.05, 10)
    assert "false incidents a day" in by_false.get_xlabel() and "of 12" in by_false.get_ylabel()
