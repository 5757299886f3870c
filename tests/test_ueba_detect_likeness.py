"""Who is like whom, on two teams worked out by hand, and against the definition written plainly."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from detect_world import DAY, edge_table, learned
from hypothesis import given, settings
from hypothesis import strategies as st

from ueba.detect.look import likeness
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import History

Rows = list[tuple[str, str | None, str]]
# Two teams of three, each with two servers of its own; everybody is at a machine of their own.
TEAMS: Rows = [
    (user, f"pc-{user}", target)
    for team, servers in ((("ann", "bob", "cat"), ("a1", "a2")), (("dan", "eve", "fay"), ("d1", "d2")))
    for user in team
    for target in servers
]


def compared(
    today: Rows, campaign: int = -1
) -> tuple[dict[str, list[float]], tuple[list[float], list[float]]]:
    """Likeness of a day's edges, real ones by default, after a day of TEAMS."""
    history = learned(TEAMS)
    encoded = history.encode(edge_table(DAY + dt.timedelta(days=1), today))
    encoded = replace(encoded, campaign=np.full(len(today), campaign))
    real = encoded.take(encoded.campaign < 0)
    like = likeness.of_day(history, real)
    company = {name: values.round(3).tolist() for name, values in like.compare(encoded).items()}
    alike, habit = like.compare_news(encoded)
    return company, (alike.round(3).tolist(), habit.round(3).tolist())


@pytest.mark.parametrize("campaign", [-1, 7])
def test_the_own_team_is_company_and_another_is_not(campaign: int) -> None:
    company, _ = compared(
        [("ann", "pc-ann", "a1"), ("ann", "pc-ann", "d1"), ("ann", "pc-dan", "a1")], campaign
    )
    # All of a team reach the same, so that there are two directions: a1 and a2 have one, d1 and d2 the
    # other. Beside a1 ann's profile has a2 and, where she goes there today, d1, as far in each direction.
    assert company["user_target"][0] == pytest.approx(0.707, abs=1e-3)
    assert company["user_target"][1] == 0  # dan, eve and fay share nothing with a1 and a2
    assert company["user_source"] == pytest.approx(
        [0, 0, 0.707], abs=1e-3
    )  # dan's is as far as d1 brings her
    assert company["source_target"][1] == 0


def test_a_newcomer_is_judged_by_the_company_of_the_day() -> None:
    company, (alike, habit) = compared([("gus", "pc-gus", "a1"), ("gus", "pc-gus", "a2")])
    # Without a1 gus has a2, in the direction of the team; so are those who reach a1.
    assert company["user_target"] == pytest.approx([1, 1], abs=1e-3)
    assert alike == pytest.approx([1, 1], abs=0.02)
    assert habit == [0, 0]  # there is none


def test_a_new_server_has_the_company_of_who_begins_to_use_it() -> None:
    company, _ = compared([(user, f"pc-{user}", "a3") for user in ("ann", "bob", "cat")])
    assert company["user_target"] == pytest.approx([1, 1, 1], abs=1e-3)


def test_the_other_news_of_a_day_are_compared() -> None:
    _, (alike, habit) = compared([("ann", "pc-ann", "d1"), ("ann", "pc-ann", "d2"), ("ann", "pc-ann", "a1")])
    assert alike[:2] == pytest.approx([1, 1], abs=0.05)  # d1 and d2 have one audience
    assert habit[:2] == pytest.approx([0, 0], abs=0.5) and max(habit[:2]) < 0.7  # which is not her team
    assert alike[2] == habit[2] == 0  # a1 is not new to her


def test_nothing_is_like_nothing() -> None:
    history = History()
    encoded = history.encode(edge_table(DAY, [("ann", None, "a1")]))
    like = likeness.of_day(history, encoded)
    assert [values.tolist() for values in like.compare(encoded).values()] == [[0], [0], [0]]


def plainly(history: History, encoded: EncodedEdges) -> list[float]:
    """The company of each edge's user at its target, by the definition: idf weights, cosines, no factors."""
    left, right = history.pairs["user_target"].ends
    reached = {(int(u), int(t)) for u, t in zip(left, right, strict=True)}
    weight = likeness.weights(right, (len(history.users), len(history.places)))
    known = {t for _, t in reached}
    reached |= {(int(u), int(t)) for u, t in zip(encoded.user, encoded.target, strict=True)}

    def profile(user: int, left_out: int = -1) -> np.ndarray:
        row = np.zeros(len(history.places))
        for u, t in reached:
            if u == user and t != left_out and t in known:  # who reached it first today gave it no place
                row[t] += weight[t]
        return row / (np.linalg.norm(row) or 1)

    found = []
    for user, target in zip(encoded.user.tolist(), encoded.target.tolist(), strict=True):
        audience = sum(
            (profile(u) for u, t in reached if t == target and u != user), np.zeros(len(history.places))
        )
        length = np.linalg.norm(audience)
        found.append(float(profile(user, target) @ audience / length) if length > 1e-6 else 0.0)
    return found


names = st.sampled_from("abcdef")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(names, st.sampled_from("stuv")), min_size=1, max_size=12, unique=True))
def test_likeness_is_as_defined(pairs: list[tuple[str, str]]) -> None:
    """A history in which the targets are told apart: as many independent users as targets."""
    basis: Rows = [(f"own-{target}", None, target) for target in "stuv"]
    history = learned([*basis, ("a", None, "s"), ("b", None, "s"), ("b", None, "t"), ("c", None, "u")])
    encoded = history.encode(edge_table(DAY + dt.timedelta(days=1), [(u, None, t) for u, t in pairs]))
    like = likeness.of_day(history, encoded)
    assert like.compare(encoded)["user_target"] == pytest.approx(plainly(history, encoded), abs=1e-4)
