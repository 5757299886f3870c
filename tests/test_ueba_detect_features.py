"""A value worked out by hand for every feature, on the small world of `written_world.py`."""

from collections.abc import Mapping
from itertools import combinations
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_world import (
    EDGES,
    PLACES,
    TODAY,
    TYPES,
    USERS,
    batch_of,
    ends,
    written_edges,
    written_history,
    written_today,
)

from ueba.detect.look import features
from ueba.detect.look.features import FEATURE_NAMES
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import History
from ueba.detect.past.pairs import RELATIONS

# --- the values ---------------------------------------------------------------------------------------------

Values = dict[str, float]  # by edge


def ann(value: float) -> Values:
    """A number, worked out for ann's edge."""
    return {"ann": value}


def ones(*edges: str) -> Values:
    """1 for the edges named, 0 for all others."""
    return {edge: float(edge in edges) for edge in EDGES}


# Novelty rate of an entity: (novel + 4 c) / (trials + 4) with its cohort's rate c. Over all entities of a
# side, (3 + 1) / (30 + 10) = 0.1 are new. A cohort's rate is shrunk to that with the weight of 10:
# (3 + 10 * 0.1) / (30 + 10) = 0.1 for the cohort of ann, srv or pc1, and (0 + 10 * 0.1) / (0 + 10) = 0.1 for
# others.
#
#                 user_target          user_source          source_target
#     left        ann 2.0 / 10 = 0.2   ann 3 / 10 = 0.3     pc1 1 / 25 = 0.04
#     right       srv 1.0 / 20 = 0.05  pc1 3 / 20 = 0.15    srv 2.5 / 10 = 0.25
#
# An entity without history has 0.4 / 4 = 0.1. Arrivals q are (novel + 0.1) / 4, because the ten entities of a
# side have 3 + 10 * 0.1 = 4 together. Then
#
#     p(b | a) = (1 - novelty_a) * together / pair_days_a + novelty_a * q(b)
#
# Expected new partners a day: (novel + 2 c) / (days after the first + 2), again with c = 0.1:
#
#     left        ann 1.8 / 9 = 0.2    ann 2.8 / 7 = 0.4    pc1 0.8 / 8 = 0.1
#     right       srv 0.8 / 8 = 0.1    pc1 2.8 / 4 = 0.7    srv 2.3 / 10 = 0.23
#
# Peers: the cosine of two entities counts each partner they share as 1 / (how many have that partner), if two
# or more have it. ann shares srv with bob, share with cat, pc3 with anon, pc4 with dan. Two have each of
# these, so that the four are equally near, and only bob knows srv. srv shares ann (who has 4 targets) with
# share, pc3 and pc4, and bob (who has 2) with pc5. Each of these shares a single partner that n have: its
# cosine with srv is (1 / n) / sqrt(1 / n) = sqrt(1 / n), up to the length of srv's profile, which cancels. So
# the peers that know ann weigh 3 * sqrt(1 / 4), and pc5 weighs sqrt(1 / 2).
#
# Likeness: ann without srv is (6, 4) - (3, 0), in the direction (3, 4) / 5. The others who reach srv are
# (1, 0) and (0, 2) together. The others on pc1 are (5, 3) - (1, 0), in the direction (4, 3) / 5. eve's other
# news are (8, 6), those of svc (3, 4). Without eve, srv has ann and (0, 2); svc takes (3, 5) / sqrt(34) away.
def near(sharing: int) -> float:
    """The weight of a peer by a single shared partner that so many entities have."""
    return sqrt(1 / sharing)


def cosine(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (a[0] * b[0] + a[1] * b[1]) / (sqrt(a[0] ** 2 + a[1] ** 2) * sqrt(b[0] ** 2 + b[1] ** 2))


HAND_WORKED: dict[str, Values] = {
    # ann and srv were together on 2 days. eve and srv never were: 0.1 * q(srv) and 0.05 * q(eve).
    "user_target.new": ones("eve", "svc", "share", "app"),
    "user_target.surprise_target_given_user": {
        "ann": -log(0.8 * 2 / 10 + 0.2 * 0.7 / 4),
        "eve": -log(0.1 * 0.7 / 4),
    },
    "user_target.surprise_user_given_target": {
        "ann": -log(0.95 * 2 / 4 + 0.05 * 1.7 / 4),
        "eve": -log(0.05 * 0.1 / 4),
    },
    "user_target.surprise_least": {
        "ann": -log(0.95 * 2 / 4 + 0.05 * 1.7 / 4),  # given the target: 0.496 is more than 0.195
        "eve": -log(0.1 * 0.7 / 4),  # given the user: 0.0175 is more than 0.00125
    },
    "user_target.days_since": ann(log(1 + 2)),
    "user_target.novelty_user": ann(log(0.2 / 0.8)),
    "user_target.novelty_target": ann(log(0.05 / 0.95)),
    "user_target.breadth_user": ann(log(1 + 9)),
    "user_target.breadth_target": ann(log(1 + 8)),
    "user_target.new_today_user": ann(log(1 + 3)),
    "user_target.new_today_target": ann(log(1 + 5)),
    "user_target.excess_user": ann(log((1 + 3) / (1 + 0.2))),
    "user_target.excess_target": ann(log((1 + 5) / (1 + 0.1))),
    "user_target.record_user": ann(log((1 + 3) / (1 + 1))),
    "user_target.record_target": ann(log((1 + 5) / (1 + 3))),
    "user_target.peers_user": ann(1 / 4),
    "user_target.peers_target": ann(3 * near(4) / (3 * near(4) + near(2))),
    "user_target.company": ann((3 * 1 + 4 * 2) / (5 * sqrt(5))),
    "user_target.unknown_user": ones("eve"),
    "user_target.unknown_target": ones("app"),
    # ann and pc1 were together on 1 day.
    "user_source.new": ones("eve", "svc", "itself", "app"),
    "user_source.surprise_source_given_user": {
        "ann": -log(0.7 * 1 / 10 + 0.3 * 2.7 / 4),
        "eve": -log(0.1 * 2.7 / 4),
    },
    "user_source.surprise_user_given_source": {
        "ann": -log(0.85 * 1 / 2 + 0.15 * 2.7 / 4),
        "eve": -log(0.15 * 0.1 / 4),
    },
    "user_source.surprise_least": {
        "ann": -log(0.85 * 1 / 2 + 0.15 * 2.7 / 4),  # 0.526 is more than 0.273
        "eve": -log(0.1 * 2.7 / 4),  # 0.0675 is more than 0.00375
    },
    "user_source.days_since": ann(log(1 + 4)),
    "user_source.novelty_user": ann(log(0.3 / 0.7)),
    "user_source.novelty_source": ann(log(0.15 / 0.85)),
    "user_source.breadth_user": ann(log(1 + 10)),
    "user_source.breadth_source": ann(log(1 + 11)),
    "user_source.new_today_user": ann(log(1 + 7)),
    "user_source.new_today_source": ann(log(1 + 14)),
    "user_source.excess_user": ann(log((1 + 7) / (1 + 0.4))),
    "user_source.excess_source": ann(log((1 + 14) / (1 + 0.7))),
    "user_source.record_user": ann(log((1 + 7) / (1 + 2))),
    "user_source.record_source": ann(log((1 + 14) / (1 + 5))),
    # ann shares pc1 with bob, pc3 with cat, pc4 with dan; bob knows pc1. pc1 shares ann (3 sources) with pc3
    # and pc4, which know her, and bob (2 sources) with pc5.
    "user_source.peers_user": ann(1 / 3),
    "user_source.peers_source": ann(2 * near(3) / (2 * near(3) + near(2))),
    "user_source.company": ann((3 * 4 + 4 * 3) / (5 * 5)),
    "user_source.unknown_user": ones("eve", "svc", "app"),
    "user_source.unknown_source": ones("svc"),
    # pc1 and srv were together on 1 day. pc9 and srv never were: 0.1 * q(srv) and 0.25 * q(pc9).
    "source_target.new": ones("svc", "itself", "app"),
    "source_target.surprise_target_given_source": {
        "ann": -log(0.96 * 1 / 6 + 0.04 * 2.2 / 4),
        "svc": -log(0.1 * 2.2 / 4),
    },
    "source_target.surprise_source_given_target": {
        "ann": -log(0.75 * 1 / 2 + 0.25 * 0.7 / 4),
        "svc": -log(0.25 * 0.1 / 4),
    },
    "source_target.surprise_least": {
        "ann": -log(0.75 * 1 / 2 + 0.25 * 0.7 / 4),  # 0.419 is more than 0.182
        "svc": -log(0.1 * 2.2 / 4),  # 0.055 is more than 0.00625
    },
    "source_target.days_since": ann(log(1 + 6)),
    "source_target.novelty_source": ann(log(0.04 / 0.96)),
    "source_target.novelty_target": ann(log(0.25 / 0.75)),
    "source_target.breadth_source": ann(log(1 + 12)),
    "source_target.breadth_target": ann(log(1 + 13)),
    "source_target.new_today_source": ann(log(1 + 15)),
    "source_target.new_today_target": ann(log(1 + 17)),
    "source_target.excess_source": ann(log((1 + 15) / (1 + 0.1))),
    "source_target.excess_target": ann(log((1 + 17) / (1 + 0.23))),
    "source_target.record_source": ann(log((1 + 15) / (1 + 4))),
    "source_target.record_target": ann(log((1 + 17) / (1 + 7))),
    # pc1 shares srv with pc3, and share with pc4; pc3 knows srv. srv shares pc1 (2 targets) with share, which
    # knows pc1, and pc3 (3 targets) with pc4 and pc5.
    "source_target.peers_source": ann(1 / 2),
    "source_target.peers_target": ann(near(2) / (near(2) + 2 * near(3))),
    "source_target.company": ann((5 * 1 + 3 * 2) / (sqrt(34) * sqrt(5))),
    "source_target.unknown_source": ones("svc", "itself"),
    "source_target.unknown_target": ones("itself", "app"),
    "parts_new": {"ann": 0, "eve": 2, "svc": 3, "anon": 0, "itself": 2, "share": 1, "app": 3},
    "news_alike": {
        "ann": 0,
        "eve": cosine((8, 6), (6 / sqrt(52), 4 / sqrt(52) + 2)),
        "svc": cosine((3, 4), (6 / sqrt(52) + 1 - 3 / sqrt(34), 4 / sqrt(52) + 2 - 5 / sqrt(34))),
    },
    "news_habit": {"ann": 0, "eve": 0, "svc": 3 / 5},
    # Hours: all users have 11 days at 9, 5 at 10, 8 at 14; with 1 more for each of 24 hours 48 in all. The
    # prior is 12 / 48 at 9 and 1 / 48 at 3. ann's 4 days at 9 and 1 at 10 are spread over the neighbouring
    # hours: at 9 she has 4 / 2 + 1 / 4. p = (days + 3 * prior) / (5 + 3): (2.25 + 0.75) / 8 at 9, (0 + 1 /
    # 16) / 8 at 3.
    "hour_surprise_user": ann((-log(3 / 8) - log(1 / 128)) / 2),
    "hour_surprise_worst": ann(-log(1 / 128)),
    "rare_hours_user": ann(log(1 + 19)),
    # Types: all users have 13 days by Network, 4 by Interactive, none by Batch; the prior of Interactive is
    # (4 + 1) / (17 + 3) = 0.25. ann: (1 + 3 * 0.25) / (5 + 3), while Network has (4 + 3 * 0.7) / 8.
    "type_surprise_user": ann(-log(1.75 / 8)),
    "rare_types_user": ann(log(1 + 20)),
    # All targets: 11, 5 and 1 days; the prior of Interactive is (5 + 1) / (17 + 3) = 0.3. srv: (0 + 0.9) / (5
    # + 3).
    "type_surprise_target": ann(-log(0.9 / 8)),
    "events": ann(log(1 + 24)),
    "failures": ann(3 / 24),
    "no_source": ones("anon", "share"),
    "own_source": ones("itself"),
    "resource": ones("share"),
    "user_human": ones("ann", "eve"),
    "user_service": ones("svc", "app"),
    "user_machine": ones("itself", "share"),
    "user_anonymous": ones("anon"),
}


def described_world() -> dict[str, Values]:
    """Every feature of every edge, as the code computes it."""
    rows = features.describe(written_history(), written_edges(), TODAY, written_today())  # [edges, features]
    return {
        name: dict(zip(EDGES, values, strict=True))
        for name, values in zip(FEATURE_NAMES, rows.T.tolist(), strict=True)
    }


def check(name: str, described: Mapping[str, Values]) -> None:
    """Raises AssertionError if a feature is not as worked out, or was not worked out."""
    assert name in HAND_WORKED, f"work out a value of {name} by hand and add it to HAND_WORKED"
    assert {edge: described[name][edge] for edge in HAND_WORKED[name]} == pytest.approx(
        HAND_WORKED[name], rel=1e-5
    )


@pytest.fixture(scope="module")
def described() -> dict[str, Values]:
    return described_world()


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_a_feature_is_as_worked_out_by_hand(name: str, described: dict[str, Values]) -> None:
    check(name, described)


def test_values_are_worked_out_for_features_that_exist() -> None:
    assert set(HAND_WORKED) == set(FEATURE_NAMES)


def test_the_values_tell_every_two_features_apart() -> None:
    """So that the columns of no two features can be swapped unnoticed."""
    for one, other in combinations(FEATURE_NAMES, 2):
        shared = HAND_WORKED[one].keys() & HAND_WORKED[other].keys()
        differences = [abs(HAND_WORKED[one][edge] - HAND_WORKED[other][edge]) for edge in shared]
        assert max(differences) > 1e-3, f"{one} and {other} have the same values: extend the world"


# --- what holds of all features -----------------------------------------------------------------------------


def test_a_pair_without_its_source_has_zeros(described: dict[str, Values]) -> None:
    for name in FEATURE_NAMES:
        if name.startswith(("user_source.", "source_target.")):
            assert described[name]["anon"] == described[name]["share"] == 0, name


def test_every_number_is_finite(described: dict[str, Values]) -> None:
    assert np.isfinite([list(values.values()) for values in described.values()]).all()


def test_an_empty_history_and_an_empty_day_are_described() -> None:
    history = History()
    encoded = written_edges().take(np.zeros(0, np.int64))
    history.user_types = history.place_types = np.zeros((0, len(TYPES)), np.float32)
    seen = features.today(history, encoded)
    assert features.describe(history, encoded, TODAY, seen).shape == (0, len(FEATURE_NAMES))


edge_lists = st.lists(
    st.tuples(
        st.sampled_from(USERS), st.sampled_from([None, *PLACES]), st.sampled_from(PLACES), st.integers(-1, 2)
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=50, deadline=None)
@given(edge_lists, st.randoms(use_true_random=False))
def test_the_order_of_edges_changes_nothing(rows: list[tuple[str, str | None, str, int]], random) -> None:
    encoded = batch_of([row[:3] for row in rows], campaign=[row[3] for row in rows])
    order = np.array(random.sample(range(len(rows)), len(rows)))
    history, seen = written_history(), written_today()
    forward = features.describe(history, encoded, TODAY, seen)
    assert features.describe(history, encoded.take(order), TODAY, seen) == pytest.approx(
        forward[order], rel=1e-5, abs=1e-5
    )


def test_describing_changes_neither_history_nor_edges() -> None:
    history, encoded, seen = written_history(), written_edges(), written_today()
    features.describe(history, encoded, TODAY, features.today(history, encoded))
    features.describe(history, encoded, TODAY, seen)
    again, edges, counted = written_history(), written_edges(), written_today()
    for (key, owner, name), (_, same, _) in zip(history._arrays(), again._arrays(), strict=True):
        assert np.array_equal(getattr(owner, name), getattr(same, name)), key
    for name in EncodedEdges.__dataclass_fields__:
        assert np.array_equal(getattr(encoded, name), getattr(edges, name)), name
    for relation in RELATIONS:
        assert all(map(np.array_equal, seen.new[relation], counted.new[relation]))


# --- counts over the day and over a made-up campaign --------------------------------------------------------


def counted(names: tuple[str, ...], counts: np.ndarray) -> Values:
    return {name: count for name, count in zip(names, counts.tolist(), strict=True) if count}


def test_the_new_pairs_of_a_day_are_counted_once_for_each_end() -> None:
    rows = [*EDGES.values(), ("svc", None, "srv")]  # svc and srv a second time
    seen = features.today(written_history(), batch_of(rows))
    new = {
        relation: tuple(
            counted(names, side) for names, side in zip(ends(relation), seen.new[relation], strict=True)
        )
        for relation in RELATIONS
    }
    assert new == {
        # eve srv, svc srv, pc2$ share, svc app
        "user_target": ({"eve": 1, "svc": 2, "pc2$": 1}, {"srv": 2, "share": 1, "app": 1}),
        # eve pc1, svc pc9, pc2$ pc2, svc pc1
        "user_source": ({"eve": 1, "svc": 2, "pc2$": 1}, {"pc1": 2, "pc9": 1, "pc2": 1}),
        # pc9 srv, pc2 pc2, pc1 app
        "source_target": ({"pc9": 1, "pc2": 1, "pc1": 1}, {"srv": 1, "pc2": 1, "app": 1}),
    }


def test_edges_at_a_rare_hour_or_by_a_rare_type_are_counted_for_their_user() -> None:
    """ann at 3: p = 1 / 128, 4.9 nats. bob by Batch: (0 + 3 * 0.05) / (12 + 3) = 0.01, 4.6 nats; ann by
    Batch: 0.15 / 8, 3.98 nats and not rare."""
    encoded = batch_of(
        [("ann", "pc1", "srv"), ("bob", "pc5", "srv"), ("bob", "pc1", "srv"), ("ann", "pc1", "pc3")]
    )
    encoded.hours[0, 3] = True
    encoded.types[1:, TYPES.index("Batch")] = True
    history = written_history()
    assert features.has_rare_hour(history, encoded).tolist() == [True, False, False, False]
    assert features.has_rare_type(history, encoded).tolist() == [False, True, True, False]
    seen = features.today(history, encoded)
    assert counted(USERS, seen.rare_hours) == {"ann": 1}
    assert counted(USERS, seen.rare_types) == {"bob": 2}


def test_a_made_up_edge_counts_what_its_own_campaign_adds_to_the_day() -> None:
    """ann has 3 new targets and 19 edges at rare hours today. Campaign 7 gives her pc5 (twice) and pc2, which
    are new, and srv, which is not; campaign 8 gives her pc5; the last edge is real."""
    targets, campaign = ["pc5", "pc5", "pc2", "srv", "pc5", "pc5"], [7, 7, 7, 7, 8, -1]
    encoded = batch_of([("ann", "pc1", target) for target in targets], hour=3, campaign=campaign)
    rows = features.describe(written_history(), encoded, TODAY, written_today())

    def counts(name: str) -> list[float]:
        return np.expm1(rows[:, FEATURE_NAMES.index(name)]).round(3).tolist()

    assert counts("user_target.new_today_user") == [5, 5, 5, 5, 4, 3]
    assert counts("user_target.new_today_target") == [1, 1, 1, 5, 1, 0]  # srv has 5 today
    assert counts("user_source.new_today_user") == [7, 7, 7, 7, 7, 7]  # she is known on pc1
    assert counts("rare_hours_user") == [23, 23, 23, 23, 20, 19]
    assert counts("rare_types_user") == [20, 20, 20, 20, 20, 20]
