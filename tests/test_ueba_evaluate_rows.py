"""Every row keeps the contract, and puts what does not belong above what does; the walk writes what the
detector would see."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from evaluate_world import CONFIG, INTRUDER, SCORED, USUAL, permutation, world

from ueba.errors import UsageError, WorkspaceError
from ueba.evaluate import baselines, model, protocol, rows
from ueba.evaluate.protocol import Prepared, Span
from ueba.evaluate.rows import ROWS, Row, chosen, fit_and_score, scores_of

FITTED = [row for row in ROWS if scores_of(row) is row]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return world(tmp_path_factory.mktemp("world") / "days")


def scored(row: Row, prepared: Prepared, folder: Path) -> np.ndarray:
    run = fit_and_score(row, prepared, folder, CONFIG, seed=0)
    assert run.seconds > 0 and run.megabytes > 1
    return run.surprise(prepared.of_use("score")[0])


@pytest.mark.parametrize("row", FITTED, ids=lambda row: row.name)
def test_every_row_keeps_the_contract(
    row: Row, prepared: Prepared, quick_training: None, tmp_path: Path
) -> None:
    """Finite nats for all, strangers too; the same again; whatever the order of edges; and nothing on disk
    is changed."""
    before = {path: path.read_bytes() for path in prepared.folder.rglob("*.np[yz]")}
    once = scored(row, prepared, tmp_path / "once")
    assert once.shape == (len(SCORED),) and np.isfinite(once).all() and (once >= 0).all()
    np.testing.assert_array_equal(scored(row, prepared, tmp_path / "again"), once)
    assert {path: path.read_bytes() for path in prepared.folder.rglob("*.np[yz]")} == before
    shuffled = scored(row, world(tmp_path / "days", shuffled=True), tmp_path / "shuffled")
    np.testing.assert_allclose(shuffled, once[permutation()], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "row", [row for row in FITTED if row.kind != rows.ABLATION], ids=lambda row: row.name
)
def test_the_intruder_is_stranger_than_work(row: Row, prepared: Prepared, tmp_path: Path) -> None:
    surprise = scored(row, prepared, tmp_path / "scores")
    assert surprise[SCORED.index(INTRUDER)] > surprise[: len(USUAL)].max()


def test_a_count_by_hand(prepared: Prepared) -> None:
    """Before the eleventh day, with ten days behind it: a pair of every day against one never seen."""
    score = baselines.decayed_counts(prepared.training(CONFIG, 0), half_life_days=1e9)
    for day in prepared.days:
        surprise = score(day)
    assert surprise[0] == pytest.approx(3 * np.log(10.2 / 10.1))
    assert surprise[SCORED.index(INTRUDER)] == pytest.approx(3 * np.log(10.2 / 0.1))


def test_midas_by_hand(prepared: Prepared) -> None:
    """The eleventh day at nine is hour 250 of all. A new pair's count now, and ever, is 1: (1 - 1/t)^2 t^2 /
    (t - 1) = t - 1."""
    score = baselines.midas(prepared.training(CONFIG, 0))
    for day in prepared.days:
        surprise = score(day)
    from scipy.stats import chi2

    stranger = SCORED.index(("nobody", "nowhere", "nothing"))
    assert surprise[stranger] == pytest.approx(-chi2.logsf(249, 1), rel=1e-6)


def test_the_table_of_what_comes_from_the_past() -> None:
    """All but facts of the day itself: counts, failures, kinds and ends of an edge."""
    kept = [name for number, name in enumerate(baselines.FEATURE_NAMES) if number not in model.FROM_THE_PAST]
    kinds = ["user_human", "user_service", "user_machine", "user_anonymous"]
    assert kept == ["events", "failures", "no_source", "own_source", "resource", *kinds]


def test_corruption_changes_one_end_at_most(prepared: Prepared) -> None:
    from ueba.detect.past.history import History

    history, encoded = History(), prepared.days[0].encoded
    history.users.ids(prepared.users)
    history.places.ids(prepared.places)
    corrupted = protocol.corrupted(history, encoded, 50, np.random.default_rng(0))
    real = set(zip(encoded.user, encoded.source, encoded.target, strict=True))
    for user, source, target in zip(corrupted.user, corrupted.source, corrupted.target, strict=True):
        assert any(sum((user == u, source == s, target == t)) >= 2 for u, s, t in real)
    assert len(set(corrupted.campaign)) == len(corrupted)


def test_rows_are_named() -> None:
    assert chosen([]) == ROWS
    assert [row.name for row in chosen(["ueba", "cache"])] == ["cache", "ueba"]
    with pytest.raises(UsageError, match="there are first-seen, "):
        chosen(["nonsense"])
    assert scores_of(chosen(["no incidents"])[0]).name == "ueba"


def test_days_that_do_not_fit_are_refused() -> None:
    from ueba.config import Config

    days = [dt.date(2026, 3, 1) + dt.timedelta(days=number) for number in range(12)]
    planned = protocol.uses(days, Span(days[8], days[9], days[10]), Config())
    assert (
        list(planned.values())
        == ["learn"] * 2
        + ["train"] * 2
        + ["calibrate", "train", "train", "calibrate", "train"]
        + ["score"] * 2
    )
    with pytest.raises(UsageError, match="must lie before"):
        protocol.uses(days, Span(days[9], days[9], days[10]), Config())
    with pytest.raises(WorkspaceError, match="3 days of edges to train on"):
        protocol.uses(days, Span(days[2], days[9], days[10]), Config())
