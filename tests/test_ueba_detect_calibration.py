"""p-values against what they must be: flat for narrow and broad, ordered, and right in the tail of a known
distribution."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from ueba.detect.incidents import CROWD, LENT, NONE, group, highest_scores, incidents, score, usual_score
from ueba.detect.score.calibration import Calibration, least_p, p_in_group, pareto_tail

DAY = dt.date(2024, 5, 1)


def pool(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    breadth = rng.lognormal(1.5, 1, size).round()
    return breadth, rng.exponential(1 + breadth / 10)  # broad users are stranger on normal days


def test_p_is_flat_for_narrow_and_broad_users_alike() -> None:
    rng = np.random.default_rng(0)
    calibration = Calibration.empty().extended(*pool(rng, 40_000), day=0)
    breadth, surprise = pool(rng, 40_000)
    p = calibration.p_values(breadth, surprise)
    for tenth in np.array_split(np.argsort(breadth, kind="stable"), 10):
        assert 0.005 <= (p[tenth] <= 0.01).mean() <= 0.02
    assert 0.0005 <= (p <= 0.001).mean() <= 0.002


def test_without_groups_broad_users_would_be_flagged_more() -> None:
    """The correction does something: one pool for all is far from flat on the same data."""
    rng = np.random.default_rng(0)
    breadth, surprise = pool(rng, 40_000)
    p = p_in_group(np.sort(surprise), surprise)
    broadest = np.argsort(breadth)[-4000:]
    assert (p[broadest] <= 0.01).mean() > 0.02


def test_p_is_the_share_of_scores_as_high_counting_itself() -> None:
    """Of four scores and the edge itself: two equal scores count as high, and no p is 0."""
    p = p_in_group(np.array([1.0, 2.0, 2.0, 4.0]), np.array([0.5, 1.0, 2.0, 3.0, 4.0, 9.0]))
    assert p == pytest.approx([5 / 5, 5 / 5, 4 / 5, 2 / 5, 2 / 5, 1 / 5])


def test_the_tail_begins_where_counting_ends() -> None:
    """Of the scores 0 to 999 the last 19 stand for the tail. They lie evenly, 10 above 980 on average, so the
    tail is exponential with that scale."""
    p = p_in_group(np.arange(1000.0), np.array([980.0, 980.0 + 1e-9, 1020.0, 1e6]))
    assert p == pytest.approx([21 / 1001, 20 / 1001, 20 / 1001 * np.exp(-4.0), 0.1 / 1001])


def test_no_p_is_smaller_than_the_scores_carry_and_then_it_is_a_bound() -> None:
    """A thousand scores say 1 in 10,010 at least; 200, which have no tail, what ranks say."""
    few, many = np.arange(200.0), np.arange(1000.0)
    assert p_in_group(few, np.array([198.5, 500.0])) == pytest.approx([2 / 201, 1 / 201])
    surprise = np.array([900.0, 1010.0, 1e3, 1e4, 1e9])
    calibration = Calibration.empty().extended(np.ones(1000), many, day=0)
    p = calibration.p_values(np.ones(5), surprise)
    assert (p[:3] > least_p(1000)).all() and p[3:].tolist() == [least_p(1000)] * 2 == [0.1 / 1001] * 2
    assert calibration.is_bound(np.ones(5), p).tolist() == [False, False, False, True, True]
    calibration = Calibration.empty().extended(np.ones(200), few, day=0)
    p = calibration.p_values(np.ones(3), np.array([100.0, 198.5, 200.0]))
    assert calibration.is_bound(np.ones(3), p).tolist() == [False, False, True]
    assert Calibration.empty().is_bound(np.ones(2), np.ones(2)).tolist() == [False, False]


def test_each_group_has_its_own_bound() -> None:
    """A tenth of the users each: those of 5,000 scores carry less than those of 500."""
    rank = np.repeat([0.0, 1.0], [500, 5000])
    calibration = Calibration.empty().extended(rank, np.random.default_rng(0).exponential(size=5500), day=0)
    p = calibration.p_values(np.array([0.0, 1.0]), np.array([1e6, 1e6]))
    assert p[0] > 2 * p[1] and calibration.is_bound(np.array([0.0, 1.0]), p).all()
    assert calibration.is_bound(np.array([0.0, 1.0]), p[::-1]).tolist() == [True, False]


def test_p_orders_as_surprise_does() -> None:
    rng = np.random.default_rng(1)
    calibration = Calibration.empty().extended(np.ones(5000), rng.exponential(size=5000), day=0)
    p = calibration.p_values(np.ones(200), np.linspace(0, 30, 200))
    assert (np.diff(p) <= 1e-12).all() and (p > 0).all() and (p <= 1).all()


def test_the_tail_of_a_known_distribution() -> None:
    excess = np.sort(np.random.default_rng(2).exponential(2.0, 20_000))
    np.testing.assert_allclose(pareto_tail(excess, np.array([2.0, 6.0])), np.exp([-1.0, -3.0]), rtol=0.1)


def test_old_days_leave_the_pool() -> None:
    calibration = (
        Calibration.empty().extended(np.ones(3), np.ones(3), day=0).extended(np.ones(2), np.ones(2), day=14)
    )
    assert calibration.day.tolist() == [14, 14]


def test_nothing_known_means_nothing_is_strange() -> None:
    assert Calibration.empty().p_values(np.ones(2), np.array([1.0, 50.0])).tolist() == [1.0, 1.0]


# --- incidents ----------------------------------------------------------------------------------------------


def edges(*rows: tuple[str, str | None, str, float]) -> pd.DataFrame:
    table = pd.DataFrame([row[:3] for row in rows], columns=["user", "source", "target"], dtype=object)
    table["strangeness"] = [row[3] for row in rows]
    return table.assign(surprise=table["strangeness"], p_value=np.exp(-table["strangeness"]))


CHAIN = (
    ("ann", "pc1", "srv", 9.0),
    ("ann", "pc2", "db", 8.0),
    ("bob", "pc2", "mail", 7.0),
    ("cy", None, "srv", 8.5),
    ("dan", None, "x", 5.0),
)


def test_edges_join_by_user_and_by_source_but_not_by_target() -> None:
    number = group(edges(*CHAIN)).tolist()
    assert number[0] == number[1] == number[2]
    assert len({number[0], number[3], number[4]}) == 3  # the same target, or unknown sources, do not join


def test_a_crowd_falls_apart_into_what_surrounds_its_strangest_edges() -> None:
    chain = [
        (f"user{n // 2}", f"pc{(n + 1) // 2}", "srv", 9.0 - n / 100) for n in range(CROWD + 2)
    ]  # each on two, shared machines
    assert set(group(edges(*chain[:CROWD]))) == {0}
    assert group(edges(*chain)).tolist() == [n // 2 for n in range(CROWD + 2)]


def test_the_strangest_edges_of_a_sweep_stand_for_all() -> None:
    sweep = [("ann", f"pc{n}", "srv", 9.0) for n in range(CROWD + 2)]
    assert group(edges(*sweep)).tolist() == [0] * CROWD + [NONE] * 2
    # What is left of it joins a later incident, and begins none.
    onward = ("bob", f"pc{CROWD + 1}", "db", 8.0)
    assert group(edges(*sweep, onward)).tolist() == [0] * CROWD + [NONE, 1, 1]
    found, ranked = incidents(DAY, edges(*sweep), 100, 10)
    assert len(ranked) == 1 and found["incident"].notna().sum() == CROWD
    assert found["incident"].isna().tolist() == [False] * CROWD + [True] * 2


def test_no_incident_has_more_edges_than_a_person_reads() -> None:
    rng = np.random.default_rng(0)
    for users, machines in ((3, 400), (400, 3), (60, 60), (1, 1)):
        ends = rng.integers(0, (users, machines), (400, 2)).tolist()
        crowd = [(f"u{u}", f"m{m}", f"t{n}", 40 - n / 100) for n, (u, m) in enumerate(ends)]
        numbers = group(edges(*crowd))
        assert np.bincount(numbers[numbers != NONE]).max() <= CROWD
        assert (group(edges(*crowd)) == numbers).all()


def test_incidents_are_ranked_named_and_cut() -> None:
    strangest, found = incidents(DAY, edges(*CHAIN), candidates=10, budget=2)
    first, second = found
    assert [first.rank, second.rank] == [1, 2]
    assert strangest["user"].tolist() == ["ann", "cy", "ann", "bob", "dan"]
    assert strangest["incident"].tolist() == [first.id, second.id, first.id, first.id, None]


def test_the_same_day_gives_the_same_names_in_any_order() -> None:
    once, again = incidents(DAY, edges(*CHAIN), 10, 3)[1], incidents(DAY, edges(*CHAIN[::-1]), 10, 3)[1]
    assert once == again
    assert once[0].id.startswith("20240501-")


def test_edges_that_are_not_strange_join_nothing() -> None:
    rows = [("ann", "pc1", f"m{i}", 9.0 - i / 100) for i in range(5)] + [("zoe", "pc1", "usual", 0.5)]
    strangest, found = incidents(DAY, edges(*rows), candidates=10, budget=3)
    assert strangest["incident"].tolist() == [found[0].id] * 5 + [None]


def test_a_day_lends_its_highest_scores() -> None:
    """Twelve incidents of one edge each: 12, 11, ... 1."""
    day = edges(*((f"user{n}", f"pc{n}", "srv", float(n)) for n in range(1, 13)))
    assert LENT == 10 and highest_scores(day, 100, 12) == tuple(float(n) for n in range(12, 2, -1))
    assert highest_scores(day, 3, 12) == (12.0, 11.0, 10.0)


def test_a_quiet_day_has_fewer_incidents() -> None:
    working_day = edges(
        *((f"user{n}", f"pc{n}", "srv", 9.0 - n) for n in range(5))
    )  # five incidents: 9, 8, 7, 6, 5
    usual = [usual_score(working_day, 10, budget) for budget in (1, 2, 5, 6)]
    assert usual == [
        7,
        5,
        5,
        0,
    ]  # three times the budget, the last there is, and a budget that is not used up
    quiet = edges(("ann", "pc1", "srv", 5.1), ("bob", "pc2", "db", 4.9))
    strangest, found = incidents(DAY, quiet, 10, 2, least_score=usual[1])
    assert strangest["incident"].tolist() == [found[0].id, None]
    strangest, found = incidents(DAY, quiet, 10, 1, least_score=usual[0])
    assert not found and len(strangest) == 2 and strangest["incident"].isna().all()


def test_support_adds_a_little_and_never_takes() -> None:
    assert score(np.array([9.0])) == 9
    assert score(np.array([9.0, 8.0])) == pytest.approx(9 + np.log(1 + np.exp(-1)))
    assert 9 < score(np.array([9.0, 8.0])) < score(np.array([9.0, 8.0, 8.0])) < 9 + np.log(10) + 1e-9
    assert score(np.array([8.0, 9.0])) == pytest.approx(score(np.array([9.0, 8.0])))
