"""History and features on a world of two users and three machines, worked out by hand."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
from detect_world import DAY, FIRST, SECOND, edge_table, learned

from ueba.contracts.incident import STRANGE_P
from ueba.detect.look import features
from ueba.detect.past.history import NO_HABIT_P, History, date_of, day_number
from ueba.errors import WorkspaceError


def of(history: History, relation: str, side: int, name: str, entity: str) -> float:
    names = history.users if relation.startswith("user") and side == 0 else history.places
    return float(getattr(history.sides[relation][side], name)[names.find([entity])[0]])


def describe(
    history: History, day: dt.date, rows: list[tuple[str, str | None, str]]
) -> list[dict[str, float]]:
    encoded = history.encode(edge_table(day, rows))
    described = features.describe(history, encoded, day_number(day), features.today(history, encoded))
    return [dict(zip(features.FEATURE_NAMES, row.tolist(), strict=True)) for row in described]


def test_counts_after_two_days() -> None:
    history = learned(FIRST, SECOND)
    # ann reached srv and pc1 on the first day, which fades by half in a day, then srv and pc2.
    assert of(history, "user_target", 0, "pair_days", "ann") == 2 * 0.5 + 2
    assert of(history, "user_target", 0, "days", "ann") == 0.5 + 1
    assert of(history, "user_target", 0, "breadth", "ann") == 3
    # The first day tells nothing of habits; on the second, one of two partners was new.
    assert of(history, "user_target", 0, "trials", "ann") == 2
    assert of(history, "user_target", 0, "novel", "ann") == 1
    assert of(history, "user_target", 0, "most_new", "ann") == 1
    # bob's source is unknown on the second day: nothing is learned of user-source.
    assert of(history, "user_source", 0, "pair_days", "bob") == 0.5
    ann, srv = history.users.find(["ann"])[0], history.places.find(["srv"])[0]
    position, known = history.pairs["user_target"].find(np.array([(ann << 32) | srv]))
    assert known[0] and history.pairs["user_target"].count[position[0]] == 1.5


def test_a_gap_fades_by_the_days_that_passed() -> None:
    history = learned(FIRST)
    day = DAY + dt.timedelta(days=3)
    history.learn(day_number(day), history.encode(edge_table(day, [("ann", "pc1", "srv")])))
    assert of(history, "user_target", 0, "pair_days", "ann") == 2 * 0.125 + 1


def test_the_cache_model_by_hand() -> None:
    history = learned(FIRST, SECOND)
    row = describe(history, DAY + dt.timedelta(days=2), [("ann", "pc1", "srv")])[0]
    ann, srv = history.users.find(["ann"])[0], history.places.find(["srv"])[0]
    novelty = history.novelty_rates("user_target", 0)[ann]
    novel = history.sides["user_target"][1].novel + 0.1
    expected = -np.log((1 - novelty) * 1.5 / 3 + novelty * novel[srv] / novel.sum())
    assert row["user_target.surprise_target_given_user"] == pytest.approx(expected, rel=1e-5)
    assert row["user_target.new"] == 0
    assert row["user_target.days_since"] == pytest.approx(np.log1p(1))


def test_new_pairs_and_unknown_entities_are_told() -> None:
    history = learned(FIRST, SECOND)
    rows = describe(
        history,
        DAY + dt.timedelta(days=2),
        [("bob", "pc2", "pc1"), ("eve", "pc9", "srv"), ("bob", None, "srv")],
    )
    assert [row["user_target.new"] for row in rows] == [1, 1, 0]
    assert [row["parts_new"] for row in rows] == [2, 3, 0]  # bob was on pc2 before
    assert [row["user_target.unknown_user"] for row in rows] == [0, 1, 0]
    assert [row["no_source"] for row in rows] == [0, 0, 1]
    assert rows[0]["user_target.new_today_user"] == pytest.approx(np.log1p(1))
    assert all(np.isfinite(list(row.values())).all() for row in rows)


def test_a_broad_entity_is_less_surprised_by_something_new() -> None:
    wide = [("adm", "pc0", f"m{i}") for i in range(30)]
    days = [[*wide[: 10 + 5 * n], ("ann", "pc1", "srv"), ("ann", "pc1", "pc1")] for n in range(4)]
    rows = describe(learned(*days), DAY + dt.timedelta(days=4), [("adm", "pc0", "srv"), ("ann", "pc1", "m0")])
    assert (
        rows[0]["user_target.surprise_target_given_user"] < rows[1]["user_target.surprise_target_given_user"]
    )


def test_features_come_from_the_past_alone() -> None:
    """Whatever happens on a day or later changes nothing before it."""
    third = [("bob", "pc2", "pc1"), ("ann", "pc1", "srv")]
    day = DAY + dt.timedelta(days=2)
    before = describe(learned(FIRST, SECOND), day, third)
    history = learned(FIRST, SECOND)
    assert describe(history, day, third) == before
    history.learn(day_number(day), history.encode(edge_table(day, [("eve", "x", "y"), *third])))
    assert describe(learned(FIRST, SECOND), day, third) == before
    with pytest.raises(ValueError, match="not after"):
        history.learn(day_number(day), history.encode(edge_table(day, third)))


def test_the_order_of_edges_does_not_matter() -> None:
    forward, backward = learned(FIRST, SECOND), learned(FIRST[::-1], SECOND[::-1])
    rows = [("bob", "pc2", "pc1"), ("ann", "pc1", "srv")]
    day = DAY + dt.timedelta(days=2)
    for row, other in zip(describe(forward, day, rows), describe(backward, day, rows), strict=True):
        assert row == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("p_value", [STRANGE_P, NO_HABIT_P])
def test_what_is_new_in_a_strange_edge_is_held_until_it_comes_again(p_value: float) -> None:
    p_values = np.array([1.0, p_value, 1.0])  # ann on pc2
    days = [DAY + dt.timedelta(days=n) for n in range(4)]
    history, habit = learned(FIRST), float(p_value > NO_HABIT_P)
    breadth = of(history, "user_target", 0, "breadth", "ann")
    history.learn(day_number(days[1]), history.encode(edge_table(days[1], SECOND)), p_values)
    assert of(history, "user_target", 0, "novel", "ann") == habit
    assert of(history, "user_target", 0, "breadth", "ann") == breadth
    assert (
        of(history, "user_target", 0, "most_new", "ann") == 1
    )  # she has been seen to do as much in a day, habit or not
    assert (
        of(history, "source_target", 0, "most_new", "pc1")
        == 0
        == of(history, "source_target", 0, "novel", "pc1")
    )
    assert describe(history, days[2], [("ann", "pc1", "pc2")])[0]["user_target.new"] == 1
    history.learn(day_number(days[2]), history.encode(edge_table(days[2], SECOND)), p_values)
    assert describe(history, days[3], [("ann", "pc1", "pc2")])[0]["user_target.new"] == 0
    assert of(history, "user_target", 0, "breadth", "ann") == breadth + 1
    assert of(history, "user_target", 0, "novel", "ann") == pytest.approx(
        habit * 0.5 ** (1 / history.half_life_days)
    )  # not twice


def test_the_hours_of_very_strange_edges_are_nobodys() -> None:
    day = DAY + dt.timedelta(days=1)
    history, other = learned(FIRST), learned(FIRST)
    encoded, same = (twin.encode(edge_table(day, SECOND)) for twin in (history, other))
    history.learn(day_number(day), encoded, np.full(len(encoded), NO_HABIT_P))
    other.learn(day_number(day), same.take(np.zeros(0, np.int64)))
    assert np.array_equal(history.user_hours, other.user_hours)
    assert np.array_equal(history.user_types, other.user_types)


def test_peer_groups_lend_their_rate_to_who_has_little_history() -> None:
    history = learned(FIRST, SECOND)
    rates = history.novelty_rates("user_target", 0)
    assert ((rates > 0) & (rates < 1)).all()
    fresh = history.encode(edge_table(DAY, [("new1", "pc1", "srv"), ("new2", "pc1", "srv")]))
    rates = history.novelty_rates("user_target", 0)[fresh.user]
    assert rates[0] == rates[1]


def test_saved_and_loaded_history_goes_on_the_same(tmp_path: Path) -> None:
    history = learned(FIRST)
    history.batches = ["2024-05-01/batch=x.parquet"]
    history.save(tmp_path)
    loaded = History.load(tmp_path)
    assert loaded is not None
    assert loaded.batches == history.batches
    day = DAY + dt.timedelta(days=1)
    for twin in (history, loaded):
        twin.learn(day_number(day), twin.encode(edge_table(day, SECOND)))
    third = DAY + dt.timedelta(days=2)
    assert describe(history, third, FIRST) == describe(loaded, third, FIRST)
    (tmp_path / "history.safetensors").write_bytes(b"x")
    with pytest.raises(WorkspaceError, match="damaged"):
        History.load(tmp_path)


def test_a_history_of_another_format_is_not_carried_on(tmp_path: Path) -> None:
    assert History.load(tmp_path) is None
    learned(FIRST).save(tmp_path)
    facts = json.loads((tmp_path / "history.json").read_text())
    (tmp_path / "history.json").write_text(json.dumps(facts | {"format": facts["format"] - 1}))
    assert History.load(tmp_path) is None


def test_every_feature_is_told_of_once() -> None:
    assert len(set(features.FEATURE_NAMES)) == len(features.FEATURES)
    assert all(feature.unit and feature.meaning for feature in features.FEATURES)


def test_days_and_numbers() -> None:
    assert day_number(dt.date(1970, 1, 2)) == 1
    assert date_of(day_number(DAY)) == DAY
