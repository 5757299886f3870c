"""Made-up edges of each family, on a day whose possible edges can be listed by hand."""

import datetime as dt
from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from detect_world import edge_table
from hypothesis import given, settings
from hypothesis import strategies as st

from ueba.detect.look import features, negatives
from ueba.detect.look.negatives import FAMILIES, Day, _is_ordinary, is_known, make_negatives
from ueba.detect.past.encoded import HOURS, EncodedEdges
from ueba.detect.past.history import History, day_number
from ueba.detect.past.pairs import RELATIONS

DAY = dt.date(2024, 5, 6)
# For ten days ann and bob do the same, each from one machine at nine o'clock by network.
USUAL = [("ann", "pc1", "srv1"), ("bob", "pc2", "srv2")]
# Then bob reaches srv1 too, and a new user a new application from a new machine, both by Interactive.
NEW = [("bob", "pc2", "srv1"), ("new", "pc9", "app")]
NO_SOURCE = [("ann", None, "srv1")]  # the log does not name the source of this edge
SIZE = 3000  # made-up edges of a family: enough for every possible edge

# The parts of the day.
MACHINES, CREDENTIALS, TARGETS = ["pc1", "pc2", "pc9"], ["ann", "bob", "new"], ["srv1", "srv2", "app"]
OWN = [("ann", "pc1"), ("bob", "pc2"), ("new", "pc9")]  # users and the machines they act from
USED = [("ann", "srv1"), ("bob", "srv2"), ("bob", "srv1"), ("new", "app")]  # users and the targets they reach

Edge = tuple[str, str | None, str]


def edges(owners: list[tuple[str, str]], targets: list[str]) -> set[Edge]:
    return {(user, source, target) for (user, source), target in product(owners, targets)}


# Every (user, source, target) that a family can make.
POSSIBLE: dict[str, set[Edge]] = {
    "own_machine_any_target": edges(OWN, TARGETS),
    "own_machine_popular_target": edges(OWN, TARGETS),
    # from any machine of the day, each credential where it is used
    "other_credential_usual_target": {(user, machine, at) for machine, (user, at) in product(MACHINES, USED)},
    "other_credential_any_target": edges(list(product(CREDENTIALS, MACHINES)), TARGETS),
    # from the user's own machine, or from a target that the user reached
    "any_machine_any_target": edges([*OWN, *USED], TARGETS),
    # real edges of the user, with the one without a source, and edges to other targets
    "own_machine_any_hour": edges([*OWN, ("ann", None)], TARGETS),
    "own_machine_other_type": edges(OWN, TARGETS),
    "burst": edges(list(product(CREDENTIALS, MACHINES)), TARGETS),
    # a new user, a new machine or both with any target; or only the target is new
    "strangers": edges([*product(["new"], MACHINES), *product(CREDENTIALS, ["pc9"])], TARGETS)
    | edges(OWN, ["app"]),
}
# The parts that all edges of a campaign share.
SHARED = {
    "own_machine_any_target": {"user", "source"},
    "own_machine_popular_target": {"user", "source"},
    "other_credential_usual_target": {"source"},
    "other_credential_any_target": {"source"},
    "any_machine_any_target": {"user"},
    "own_machine_any_hour": {"user"},
    "own_machine_other_type": {"user", "source"},
    "burst": {"source"},
    "strangers": {"user", "source"},
}


def day_table() -> pa.Table:
    """Today: real edges at nine by network, the new ones at fourteen by Interactive with 7 events of which 2
    failed."""
    usual = edge_table(DAY, [*USUAL, *NO_SOURCE])
    new = edge_table(DAY, NEW, hour=14, logon_type="Interactive")
    for name, value in (("count", 7), ("failures", 2)):
        new = new.set_column(new.schema.get_field_index(name), name, pa.array([value] * len(new), pa.int64()))
    return pa.concat_tables([usual, new])


def world(order: list[int] | None = None) -> tuple[History, EncodedEdges]:
    history = History()
    for number in range(10):
        day = DAY - dt.timedelta(days=10 - number)
        history.learn(day_number(day), history.encode(edge_table(day, USUAL)))
    encoded = history.encode(day_table())
    return history, encoded if order is None else encoded.take(np.array(order))


def made_by(family: str, seed: int = 0, order: list[int] | None = None) -> tuple[History, EncodedEdges]:
    history, encoded = world(order)
    return history, FAMILIES[family](Day(history, encoded, np.random.default_rng(seed)), SIZE)


def names(history: History, encoded: EncodedEdges) -> list[Edge]:
    users, places = history.users.names, [*history.places.names, None]  # -1 is the last
    return [
        (users[user], places[source], places[target])
        for user, source, target in zip(encoded.user, encoded.source, encoded.target, strict=True)
    ]


def same(one: EncodedEdges, other: EncodedEdges) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in EncodedEdges.__dataclass_fields__
    )


# --- each family --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("order", [None, [4, 2, 0, 3, 1]])
def test_a_family_makes_every_edge_that_it_can_and_no_other(family: str, order: list[int] | None) -> None:
    """In whatever order the day's edges are."""
    assert set(names(*made_by(family, order=order))) == POSSIBLE[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_edges_of_a_campaign_share_what_the_family_says(family: str) -> None:
    _, made_up = made_by(family)
    assert (np.diff(made_up.campaign) >= 0).all()
    shared = {"user", "source", "target"}
    for campaign in np.unique(made_up.campaign):
        rows = made_up.take(made_up.campaign == campaign)
        shared &= {name for name in shared if len(np.unique(getattr(rows, name))) == 1}
    assert shared == SHARED[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_campaign_has_up_to_8_edges_and_a_burst_8_to_150(family: str) -> None:
    _, made_up = made_by(family)
    sizes = np.unique(made_up.campaign, return_counts=True)[1][:-1]  # the last one is cut off
    least, most = {"burst": (8, 150), "strangers": (1, 40)}.get(family, (1, 8))
    assert least <= sizes.min() and sizes.max() <= most
    assert len(made_up) == SIZE and len(set(sizes)) >= 8


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"own_machine_any_hour", "own_machine_other_type"}))
def test_edges_are_in_the_manner_in_which_strangers_meet_today(family: str) -> None:
    """pc2 and pc9 each reached a machine new to them by Interactive, with 7 events of which 2 failed. The
    hour is one of a real edge."""
    history, made_up = made_by(family)
    types = [history.types.names[row] for row in made_up.types.argmax(1)]
    assert set(types) == {"Interactive"} and (made_up.types.sum(1) == 1).all()
    assert set(made_up.count) == {7} and set(made_up.failures) == {2}
    assert (made_up.hours.sum(1) == 1).all() and set(made_up.hours.argmax(1)) == {9, 14}


@pytest.mark.parametrize("family", ["other_credential_usual_target", "other_credential_any_target", "burst"])
def test_half_the_campaigns_have_one_credential(family: str) -> None:
    _, made_up = made_by(family)
    campaigns, sizes = np.unique(made_up.campaign, return_counts=True)
    users = [len(np.unique(made_up.user[made_up.campaign == campaign])) for campaign in campaigns[sizes >= 7]]
    # with 7 draws from bob (half) and two others, one user alone is rare otherwise
    assert 0.35 < np.mean(np.array(users) == 1) < 0.65


@pytest.mark.parametrize(
    ("family", "share"),
    # srv1 is one of three targets, and the target of three in five edges
    [("own_machine_any_target", 1 / 3), ("own_machine_popular_target", 3 / 5)],
)
def test_popular_targets_are_those_with_many_edges(family: str, share: float) -> None:
    found = [target for _, _, target in names(*made_by(family))]
    assert found.count("srv1") / SIZE == pytest.approx(share, abs=0.03)


def test_another_hour_is_one_or_two_neighbours_and_keeps_what_the_user_does() -> None:
    history, made_up = made_by("own_machine_any_hour")
    usual = np.array([edge in {*USUAL, *NEW} for edge in names(history, made_up)])
    both = made_up.hours.sum(1) == 2  # the hour of the real edge, and the new one
    assert both.any() and not (both & ~usual).any()
    for campaign in np.unique(made_up.campaign):
        rows = made_up.take((made_up.campaign == campaign) & ~both)
        hours = sorted(set(rows.hours.argmax(1)))
        assert len(hours) <= 2 and (len(hours) < 2 or hours[1] - hours[0] in (1, HOURS - 1))
    assert set(np.flatnonzero(made_up.hours.any(0))) == set(range(HOURS))
    # 7 made-up events come to a real edge: to 1 event of ann or of bob on srv2, to 7 of the new edges.
    assert set(made_up.count[both]) == {1 + 7, 7 + 7}
    assert set(made_up.count[~usual]) == {7}


def test_another_type_is_any_type_and_the_same_for_a_campaign() -> None:
    history, made_up = made_by("own_machine_other_type")
    assert (made_up.types.sum(1) == 1).all()
    types = made_up.types.argmax(1)
    assert {history.types.names[number] for number in types} == {"Network", "Interactive"}
    for campaign in np.unique(made_up.campaign):
        assert len(set(types[made_up.campaign == campaign])) == 1


def test_without_newcomers_strangers_are_known() -> None:
    history = History()
    history.learn(day_number(DAY) - 1, history.encode(edge_table(DAY - dt.timedelta(days=1), USUAL)))
    encoded = history.encode(edge_table(DAY, USUAL))
    made_up = FAMILIES["strangers"](Day(history, encoded, np.random.default_rng(0)), SIZE)
    assert set(names(history, made_up)) == edges(OWN[:2], ["srv1", "srv2"])


# --- all families together ----------------------------------------------------------------------------------


def test_an_edge_like_an_ordinary_one_is_dropped() -> None:
    """Ordinary: every two of its parts know each other, today or before, at a usual hour by a usual type."""
    history, encoded = world()
    rows = [("ann", "pc1", "srv1"), ("bob", "pc2", "srv1"), ("ann", "pc1", "srv2"), ("ann", "pc2", "srv1")]
    network = history.encode(edge_table(DAY, rows))
    assert _is_ordinary(network, encoded, history).tolist() == [True, True, False, False]
    at_night = history.encode(edge_table(DAY, rows, hour=3))
    assert not _is_ordinary(at_night, encoded, history).any()


def is_new_today(history: History, encoded: EncodedEdges, made_up: EncodedEdges, relation: str) -> np.ndarray:
    """Whether a pair was neither seen before nor today. bool [edges]"""
    today = set(zip(*(end.tolist() for end in encoded.pairs(relation)), strict=True))
    pairs = list(zip(*(end.tolist() for end in made_up.pairs(relation)), strict=True))
    unseen = np.array([-1 not in pair and pair not in today for pair in pairs])
    return unseen & ~is_known(history, relation, made_up)


def test_every_made_up_edge_has_something_that_is_strange() -> None:
    history, encoded = world()
    made_up = make_negatives(history, encoded, 400, np.random.default_rng(0))
    rare = features.has_rare_hour(history, made_up) | features.has_rare_type(history, made_up)
    new = np.any([is_new_today(history, encoded, made_up, relation) for relation in RELATIONS], axis=0)
    assert (new | rare).all() and new.any() and rare.any()
    assert 1000 < len(made_up) < 400 * len(FAMILIES)


def test_campaigns_of_different_families_have_different_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    history, encoded = world()
    rows = history.encode(edge_table(DAY, [("ann", "pc2", "srv1")] * 3))  # new to each other
    edges = replace(rows, campaign=np.array([0, 0, 1]))
    monkeypatch.setattr(negatives, "FAMILIES", dict.fromkeys(("one", "other"), lambda day, size: edges))
    made_up = make_negatives(history, encoded, 3, np.random.default_rng(0))
    assert made_up.campaign.tolist() == [0, 0, 1, 2, 2, 3]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(5)))
def test_the_same_seed_makes_the_same_and_changes_nothing(seed: int, order: list[int]) -> None:
    (history, encoded), (again, other) = world(order), world(order)
    once = make_negatives(history, encoded, 20, np.random.default_rng(seed))
    assert same(once, make_negatives(history, encoded, 20, np.random.default_rng(seed)))
    assert same(encoded, other)
    for (key, owner, name), (_, untouched, _) in zip(history._arrays(), again._arrays(), strict=True):
        assert np.array_equal(getattr(owner, name), getattr(untouched, name)), key


def test_another_seed_makes_others() -> None:
    history, encoded = world()
    one, other = (make_negatives(history, encoded, 100, np.random.default_rng(seed)) for seed in (0, 1))
    assert not same(one, other)


def test_a_day_without_sources_has_none() -> None:
    history = History()
    encoded = history.encode(edge_table(DAY, [("ann", None, "srv")]))
    assert not len(make_negatives(history, encoded, 10, np.random.default_rng(0)))
