"""Made-up edges: what each must have of an attack, and what none may have."""

import datetime as dt

import numpy as np
import pytest
from detect_world import edge_table

from ueba.detect.past.history import RELATIONS, EdgeBatch, History, day_number
from ueba.detect.look import features, negatives

DAY = dt.date(2024, 5, 6)
USERS, SERVERS = 12, 20


def rows(shift: int = 0) -> list[tuple[str, str | None, str]]:
    """Each of twelve users at the own machine reaches three of twenty servers."""
    return [(f"u{i}", f"pc{i}", f"srv{(i + shift + j) % SERVERS}") for i in range(USERS) for j in range(3)]


@pytest.fixture(scope="module")
def world() -> tuple[History, EdgeBatch]:
    """Ten days at nine o'clock by network, and the next day as it was, with one user at new servers."""
    history = History()
    for number in range(10):
        day = DAY + dt.timedelta(days=number)
        history.learn(day_number(day), history.encode(edge_table(day, rows())))
    today = [*rows(), ("u0", "pc0", "srv9"), ("u0", "pc0", "srv10")]
    return history, history.encode(edge_table(DAY + dt.timedelta(days=10), today))


def made_up(world: tuple[History, EdgeBatch], seed: int = 0) -> EdgeBatch:
    return negatives.make_negatives(*world, per_family=400, rng=np.random.default_rng(seed))


def test_every_made_up_edge_has_something_that_is_strange(world: tuple[History, EdgeBatch]) -> None:
    history, batch = world
    edges = made_up(world)
    some_pair_is_new = np.zeros(len(edges), bool)
    for relation in RELATIONS:
        known = set(zip(*(end.tolist() for end in batch.pairs(relation)), strict=True))
        met = negatives.is_known(history, relation, edges)
        some_pair_is_new |= ~met & [
            pair not in known for pair in zip(*(e.tolist() for e in edges.pairs(relation)), strict=True)
        ]
    odd = features.has_rare_hour(history, edges) | features.has_rare_type(history, edges)
    assert len(edges) > 1000
    assert (some_pair_is_new | odd).all()
    assert some_pair_is_new.any() and odd.any()


def test_what_tells_is_who_and_where_and_not_how_often(world: tuple[History, EdgeBatch]) -> None:
    _, batch = world
    edges = made_up(world)
    assert set(np.unique(edges.count)) <= {1.0, 2.0}  # as real ones, or a real one and one more
    assert not edges.failures.any()  # no real edge failed
    assert set(edges.user) <= set(batch.user) and set(edges.target) <= set(batch.target)


def test_a_campaign_at_night_is_one_user_in_two_neighbouring_hours(world: tuple[History, EdgeBatch]) -> None:
    history, batch = world
    day = negatives._Day(history, batch, np.random.default_rng(1))
    edges = negatives._own_machine_any_hour(day, 400)
    for campaign in np.unique(edges.campaign):
        mine = edges.take(edges.campaign == campaign)
        assert len(set(mine.user)) == 1 and len(set(mine.source)) == 1
        hours = set(np.flatnonzero(mine.hours.any(0))) - {9}  # nine is the hour of the real edges
        assert len(hours) <= 2 and (len(hours) < 2 or (max(hours) - min(hours)) in (1, 23))


def test_the_same_seed_makes_the_same(world: tuple[History, EdgeBatch]) -> None:
    once, again, other = made_up(world), made_up(world), made_up(world, seed=1)
    assert all(
        np.array_equal(getattr(once, name), getattr(again, name)) for name in EdgeBatch.__dataclass_fields__
    )
    assert not np.array_equal(once.target, other.target)


def test_a_day_without_sources_has_none() -> None:
    history = History()
    batch = history.encode(edge_table(DAY, [("ann", None, "srv")]))
    assert not len(negatives.make_negatives(history, batch, 10, np.random.default_rng(0)))


def test_odd_hours_are_counted_over_a_users_day(world: tuple[History, EdgeBatch]) -> None:
    history, _ = world
    day = DAY + dt.timedelta(days=10)
    night = history.encode(edge_table(day, [("u1", "pc1", "srv1"), ("u1", "pc1", "srv2")], hour=3))
    usual = history.encode(edge_table(day, [("u1", "pc1", "srv3"), ("u2", "pc2", "srv2")]))
    together = EdgeBatch(
        **{n: np.concatenate([getattr(night, n), getattr(usual, n)]) for n in EdgeBatch.__dataclass_fields__}
    )
    seen = features.today(history, together)
    described = features.describe(history, together, day_number(day), seen)
    column = features.FEATURE_NAMES.index("rare_hours_user")
    # u1 has two edges at three in the morning, and its third edge is told so as well; u2 has none.
    assert np.expm1(described[:, column]).round(4).tolist() == [2.0, 2.0, 2.0, 0.0]
