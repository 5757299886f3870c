"""Newcomers made of known entities: what is known of them, and what stays."""

import datetime as dt

import numpy as np
import pytest
from detect_world import DAY, edge_table, learned

from ueba.detect.look import features, newcomers
from ueba.detect.look.negatives import Day
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import NEVER, History, day_number
from ueba.detect.past.pairs import RELATIONS

STAFF = [(f"u{number}", f"pc{number}", f"srv{server}") for number in range(30) for server in (number % 3, 3)]
NEWS = [(f"u{number}", f"pc{number}", f"srv{4 + number % 3}") for number in range(30)]


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> tuple[History, EncodedEdges]:
    monkeypatch.setattr(newcomers, "SHARE", 0.5)  # 15 edges of each sort, five of one newcomer at most
    history = learned(STAFF)
    return history, history.encode(edge_table(DAY + dt.timedelta(days=1), [*STAFF, *NEWS]))


def test_newcomers_have_no_history_and_do_what_they_did(day: tuple[History, EncodedEdges]) -> None:
    history, encoded = day
    view, edges = newcomers.disguise(history, encoded, np.random.default_rng(0))
    fresh = edges.user >= len(history.users)
    assert 0 < fresh.sum() <= 15 + 1e-9
    assert (view.sides["user_target"][0].first_day[edges.user[fresh]] == NEVER).all()
    assert (edges.target[fresh] == encoded.target[fresh]).mean() > 0.5  # a target may be new as well
    assert (edges.user[~fresh] == encoded.user[~fresh]).all()
    for name in ("hours", "types", "count", "failures"):
        assert np.array_equal(getattr(edges, name), getattr(encoded, name)), name
    # Each newcomer is one known entity.
    for before, after in ((encoded.user, edges.user), (encoded.source, edges.source)):
        changed = before != after
        assert len(set(zip(before[changed], after[changed], strict=True))) == len(set(after[changed]))


def test_what_was_known_of_them_is_gone(day: tuple[History, EncodedEdges]) -> None:
    history, encoded = day
    view, edges = newcomers.disguise(history, encoded, np.random.default_rng(0))
    hidden = np.unique(encoded.user[edges.user >= len(history.users)])
    places = np.unique(encoded.source[edges.source >= len(history.places)])
    for relation in RELATIONS:
        left, right = view.pairs[relation].ends
        assert not np.isin(left, hidden if relation.startswith("user") else places).any()
        assert not np.isin(right, places).any()


def test_neither_history_nor_edges_change(day: tuple[History, EncodedEdges]) -> None:
    history, encoded = day
    before = {key: getattr(owner, name).copy() for key, owner, name in history._arrays()}
    names = list(history.users.names), list(history.places.names)
    user = encoded.user.copy()
    newcomers.disguise(history, encoded, np.random.default_rng(0))
    assert all(np.array_equal(getattr(owner, name), before[key]) for key, owner, name in history._arrays())
    assert (history.users.names, history.places.names) == names
    assert np.array_equal(encoded.user, user)


def test_newcomers_are_news_for_each_other_alone(day: tuple[History, EncodedEdges]) -> None:
    history, encoded = day
    view, edges = newcomers.disguise(history, encoded, np.random.default_rng(0))
    number = day_number(DAY) + 1
    described = features.describe(view, edges, number, features.today(view, edges))
    plain = features.describe(history, encoded, number, features.today(history, encoded))
    column = features.FEATURE_NAMES.index("user_target.new_today_target")
    untouched = edges.campaign < 0
    # srv3, which everybody knows, meets nobody new but the newcomer that is described.
    common = untouched & (encoded.target == history.places.find(["srv3"])[0])
    assert np.array_equal(described[common, column], plain[common, column])
    fresh = (edges.user >= len(history.users)) & (edges.target == encoded.target)
    known = fresh & (encoded.target == history.places.find(["srv3"])[0])
    assert np.expm1(described[known, column]) == pytest.approx(1)


def test_who_has_a_large_part_of_the_day_is_no_newcomer(day: tuple[History, EncodedEdges]) -> None:
    history, encoded = day
    for seed in range(20):
        _, edges = newcomers.disguise(history, encoded, np.random.default_rng(seed))
        changed = encoded.target[edges.target != encoded.target]
        assert history.places.find(["srv3"])[0] not in changed  # 30 edges


def test_a_day_without_news_has_no_newcomers() -> None:
    history = learned(STAFF)
    encoded = history.encode(edge_table(DAY + dt.timedelta(days=1), STAFF))
    _, edges = newcomers.disguise(history, encoded, np.random.default_rng(0))
    assert np.array_equal(edges.user, encoded.user) and (edges.campaign == -1).all()


def test_strangers_are_in_no_log(day: tuple[History, EncodedEdges]) -> None:
    history, encoded = day
    view, edges = newcomers.disguise(history, encoded, np.random.default_rng(0))
    drawn = Day(view, edges, np.random.default_rng(0))
    users, sources, targets = drawn.unknown_users, drawn.unknown_sources, drawn.unknown_targets
    for unknown, present in ((users, edges.user), (sources, edges.source), (targets, edges.target)):
        assert (~np.isin(unknown, present)).sum() == newcomers.STRANGERS
    strangers = users[~np.isin(users, edges.user)]
    assert view.users.names[strangers[0]] == "stranger 0" and len(view.user_kind) == len(view.users)
    assert (view.sides["user_source"][0].first_day[strangers] == NEVER).all()
