"""Who is like whom, and what that rests on, on worlds where it can be worked out by hand."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from detect_world import DAY, edge_table, learned
from hypothesis import given, settings
from hypothesis import strategies as st

from ueba.detect.look import neighbours
from ueba.detect.look.neighbours import Alike, before, nearest, shared
from ueba.detect.past.history import History, day_number

Rows = list[tuple[str, str | None, str]]
# Two teams with a file server each, and mail. Two of team a also use git; a2 reaches it never.
TEAMS: Rows = [
    *((f"{team}{n}", f"{team}-pc{n}", f"{team}-files") for team in "ab" for n in range(3)),
    *((f"{team}{n}", f"{team}-pc{n}", "mail") for team in "ab" for n in range(3)),
    ("a0", "a-pc0", "git"),
    ("a1", "a-pc1", "git"),
]
FILES, GIT, MAIL = np.log(7 / 3), np.log(7 / 2), np.log(7 / 6)  # what they weigh among six users
NEXT = DAY + dt.timedelta(days=1)


def near(history: History, alike: dict[str, Alike], role: str, name: str, few: int = 9) -> dict[str, float]:
    """The neighbours of an entity, nearest first."""
    table = history.users if role == "user" else history.places
    [best], [similarity] = nearest(alike[role], table.find([name]), few)
    return {table.names[other]: how for other, how in zip(best, similarity, strict=True) if other >= 0}


def both(history: History, alike: dict[str, Alike], role: str, one: str, other: str) -> tuple[int, list[str]]:
    """How many partners two entities share, and the names of those that it rests on."""
    table, partners = history.users, history.places
    if role != "user":
        table, partners = partners, table
    found = shared(alike[role], table.find([one]), table.find([other]))
    return int(found.count[0]), [partners.names[partner] for partner in found.first[0] if partner >= 0]


def test_who_reaches_the_same_is_near_and_it_says_by_what() -> None:
    history = learned(TEAMS)
    alike = before(history)
    long, short = FILES**2 + GIT**2 + MAIL**2, FILES**2 + MAIL**2  # squared lengths of a0 and of a2
    expected = {"a1": 1.0, "a2": short / np.sqrt(long * short)}
    expected |= dict.fromkeys(("b0", "b1", "b2"), MAIL**2 / np.sqrt(long * short))
    found = near(history, alike, "user", "a0")
    assert list(found) == list(expected) and found == pytest.approx(expected, abs=1e-6)
    assert both(history, alike, "user", "a0", "a1") == (3, ["git", "a-files"])  # more than half have mail
    assert both(history, alike, "user", "a0", "a2") == (2, ["a-files"])
    assert both(history, alike, "user", "a0", "b0") == (1, [])
    assert alike["user"].known_by[history.places.find(["git"])] == 2
    assert alike["user"].breadth[history.users.find(["a0", "b0"])].tolist() == [3, 2]


def test_a_place_is_near_to_those_of_the_same_people() -> None:
    history = learned(TEAMS)
    alike = before(history)
    assert list(near(history, alike, "target", "git"))[0] == "a-files"
    assert both(history, alike, "target", "git", "a-files") == (2, ["a0", "a1"])
    # Nobody else acts from a0's machine. Its owner reaches what the owner of a-pc1 does.
    found = near(history, alike, "source", "a-pc0")
    assert list(found)[:2] == ["a-pc1", "a-pc2"] and found["a-pc1"] == pytest.approx(1)
    assert both(history, alike, "source", "a-pc0", "a-pc1") == (0, [])
    assert not alike["source"].direction[history.places.find(["git"])].any()  # never acted from
    assert not near(history, alike, "source", "git") and "git" not in found


def test_who_came_yesterday_has_neighbours_even_if_it_was_strange() -> None:
    history = learned(TEAMS)
    strange = [("new", "new-pc", "b-files"), ("new", "new-pc", "mail")]
    history.learn(day_number(NEXT), history.encode(edge_table(NEXT, strange)), np.array([1e-3, 1e-3]))
    assert not len(history.pairs["user_target"].commonest(0, len(history.users) - 1, 9))  # quarantined
    alike = before(history)
    assert list(near(history, alike, "user", "new"))[:3] == ["b0", "b1", "b2"]
    assert list(near(history, alike, "source", "new-pc"))[:3] == ["b-pc0", "b-pc1", "b-pc2"]
    assert both(history, alike, "user", "new", "b0") == (2, ["b-files"])


def test_who_comes_today_has_neighbours_by_what_it_reaches() -> None:
    history = learned(TEAMS)
    today = history.encode(edge_table(NEXT, [("new", "new-pc", "b-files"), ("a0", "a-pc0", "b-files")]))
    assert not near(history, before(history), "user", "new")
    alike = before(history, today)
    assert list(near(history, alike, "user", "new"))[:3] == ["b0", "b1", "b2"]
    assert near(history, alike, "user", "a0")["a1"] == pytest.approx(1)  # who has a past is known by that


def test_a_confirmed_attack_makes_nobody_alike() -> None:
    history = learned(TEAMS)
    attack = [("a0", "a-pc0", "b-files")]
    history.learn(day_number(NEXT), history.encode(edge_table(NEXT, attack)), np.zeros(1))
    assert both(history, before(history), "user", "a0", "b0") == (1, [])


def test_nobody_is_near_in_an_empty_history() -> None:
    history = History()
    alike = before(history)
    assert not len(nearest(alike["user"], np.zeros(0, np.int64), 5)[0])
    history.encode(edge_table(DAY, [("ann", None, "srv")]))  # known by name only
    alike = before(history)
    assert not near(history, alike, "user", "ann") and not alike["target"].is_placed.any()


@settings(max_examples=50, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 9)), min_size=1, max_size=40))
def test_in_a_small_world_it_is_the_cosine_of_tfidf(pairs: set[tuple[int, int]]) -> None:
    history = learned([(f"u{user}", None, f"t{target}") for user, target in sorted(pairs)])
    met = np.zeros(history.sizes("user_target"))
    met[history.pairs["user_target"].ends] = 1
    expected = cosines(met * np.log((len(met) + 1) / met.sum(0)))
    direction = before(history)["user"].direction
    np.testing.assert_allclose(direction @ direction.T, expected, atol=2e-5)


def test_in_a_larger_world_it_is_the_mean_of_a_coarse_and_a_fine_decomposition() -> None:
    """As many teams as there are coarse coordinates, four people each: all share three servers, and each has
    one of its own."""
    rows = [
        (f"u{team}-{n}", None, target)
        for team in range(neighbours.COARSE)
        for n in range(4)
        for target in (*(f"t{team}-{server}" for server in range(3)), f"own{team}-{n}")
    ]
    history = learned(rows)
    met = np.zeros(history.sizes("user_target"))
    met[history.pairs["user_target"].ends] = 1
    weighed = met * np.log((len(met) + 1) / met.sum(0))
    left, value, _ = np.linalg.svd(weighed, full_matrices=False)
    coarse = cosines(left[:, : neighbours.COARSE] * value[: neighbours.COARSE])
    direction = before(history)["user"].direction
    np.testing.assert_allclose(direction @ direction.T, (coarse + cosines(weighed)) / 2, atol=1e-3)


def test_the_same_history_gives_the_same_numbers_and_is_not_changed() -> None:
    history = learned(TEAMS)
    kept = history.pairs["user_target"].key.copy()
    first, second = before(history), before(history)
    for role, alike in first.items():
        assert (alike.direction == second[role].direction).all()
    assert (history.pairs["user_target"].key == kept).all()


def cosines(rows: np.ndarray) -> Any:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.where(length > 0, rows / np.maximum(length, 1e-300), 0)
    return unit @ unit.T


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 7).flatmap(
        lambda n: st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=n, max_size=9)
    ),
    st.integers(1, 4),
)
def test_the_nearest_are_those_of_a_plain_sort(rows: list[tuple[int, int]], few: int) -> None:
    """Equals included: whoever comes first in the list is nearer. Nobody is near by nothing."""
    direction = np.array(rows, np.float32)
    best, similarity = nearest(Alike(direction, None), np.arange(len(rows)), few)
    for number, (found, how) in enumerate(zip(best, similarity, strict=True)):
        products = direction @ direction[number]
        others = [
            index for index in np.argsort(-products, kind="stable") if products[index] > 0 and index != number
        ][:few]
        assert [index for index in found if index >= 0] == others
        assert how[: len(others)] == pytest.approx(products[others])
