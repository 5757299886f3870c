"""Shares, intervals and prices worked out by hand; days scored again on a small simulated organisation."""

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from detect_world import edge_table
from small_workspace import DAY, LAST, memory, run, set_aside

from ueba import stages
from ueba.config import Config, IncidentConfig
from ueba.contracts.incident import ModelFacts
from ueba.detect.look.likeness import DIM
from ueba.detect.look.tensors import Frame
from ueba.detect.past.history import History, day_number
from ueba.detect.past.ids import IdTable
from ueba.detect.score.calibration import Calibration
from ueba.detect.score.detector import Detector, breadth_rank
from ueba.detect.score.inspection import (
    breadth_tenths,
    cohorts,
    days_to_inspect,
    design_effect,
    evenness,
    interval,
    likeness,
    prices,
    shares,
)
from ueba.errors import WorkspaceError
from ueba.ingest import lake
from ueba.workspace import Workspace

FIRST = dt.date(2024, 5, 1)


def ten_users() -> pd.DataFrame:
    """Users 1 to 10, as broad as their number says, 100 edges each, of which as many as the number have p =
    0.005."""
    user = np.repeat(np.arange(1, 11), 100)
    p = np.where(np.tile(np.arange(100), 10) < user, 0.005, 0.5)
    return pd.DataFrame(
        {"day": FIRST, "user": user, "kind": "human", "breadth": user.astype(float), "p_value": p}
    )


def test_shares_by_tenth_of_users() -> None:
    edges = ten_users()
    table = shares(edges, breadth_tenths(edges))
    assert table["group"].tolist() == ["all", *(f"{tenth:2d} of 10" for tenth in range(1, 11))]
    assert table["share_p_0.01"].tolist() == pytest.approx([0.055, *(tenth / 100 for tenth in range(1, 11))])
    assert table["breadth"].tolist() == ["1-10", *map(str, range(1, 11))]
    assert table["edges"].tolist() == [1000] + [100] * 10 and table["users"].tolist() == [10] + [1] * 10
    assert (table["share_p_0.001"] == 0).all()
    assert table["evenness"].tolist()[1:3] == ["even", "even"] and table["evenness"].iloc[-1] == "too many"


def test_users_of_equal_breadth_stay_together() -> None:
    edges = ten_users().assign(breadth=np.repeat([1.0, 3.0], [800, 200]))
    assert shares(edges, breadth_tenths(edges))["edges"].tolist() == [1000, 800, 200]


def test_cohorts_are_those_of_the_history() -> None:
    edges = pd.DataFrame({"kind": ["human", "human", "human", "service"], "breadth": [0.0, 1.0, 2.0, 7.0]})
    assert [" ".join(group.split()) for group in cohorts(edges)] == [
        "human 0+",
        "human 1+",
        "human 1+",
        "service 7+",
    ]


def test_edges_of_a_user_are_worth_fewer_if_they_resemble_each_other() -> None:
    users = np.array([1, 1, 2, 2])
    assert likeness(np.array([True, True, False, False]), users) == 1
    assert likeness(np.array([True, False, True, False]), users) == 0
    assert (
        likeness(np.array([True, True, False, False]), np.arange(4)) == 0
    )  # one edge each: nothing to resemble
    assert design_effect(np.array([1, 1, 1, 2]), 0.5) == 1 + (10 / 4 - 1) / 2


def test_intervals_are_wilsons() -> None:
    assert interval(0.1, 10) == pytest.approx((0.0179, 0.4042), abs=1e-4)  # 1 of 10, as tabulated
    assert interval(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("share", "at_least", "at_most", "expected"),
    [
        (0.01, 0.001, 0.1, "even"),
        (0.03, 0.019, 0.05, "within chance"),
        (0.03, 0.021, 0.05, "too many"),
        (0.004, 0.001, 0.006, "within chance"),
        (0.004, 0.003, 0.0049, "too few"),
    ],
)
def test_evenness(share: float, at_least: float, at_most: float, expected: str) -> None:
    assert evenness(share, at_least, at_most, 0.01) == expected


def test_prices_of_thresholds() -> None:
    """Two days; on the first ann does three strange things from pc1 and bob one that is less strange."""
    rows = [
        (FIRST, "ann", "pc1", "x", 0.005, 9.0),
        (FIRST, "ann", "pc1", "y", 0.005, 8.0),
        (FIRST, "ann", "pc1", "z", 0.005, 7.0),
        (FIRST, "bob", None, "x", 0.05, 3.0),
        (FIRST + DAY, "cy", "pc2", "x", 0.5, 1.0),
    ]
    edges = pd.DataFrame(rows, columns=["day", "user", "source", "target", "p_value", "strangeness"]).assign(
        surprise=0.0
    )
    table = prices(edges, Config(incidents=IncidentConfig(budget=1, candidates=10)), 9.0)
    columns = ["edges_a_day", "incidents_a_day", "most_incidents"]
    by_p = table[table["measure"] == "p_value"].set_index("threshold")[columns]
    assert by_p.loc[0.1].tolist() == [2, 1, 2]  # four edges, of ann and of bob, in two days
    assert by_p.loc[0.01].tolist() == [1.5, 0.5, 1]
    assert by_p.loc[0.001].tolist() == [0, 0, 0]
    by_score = table[table["measure"] == "score"].set_index("threshold")
    assert by_score.loc[9.0, columns].tolist() == [0.5, 0.5, 1]
    assert by_score.loc[2.0, columns].tolist() == [2, 0.5, 1]  # bob is not strange enough to be an incident
    assert (
        by_score["means"].tolist().count("the budget of 1") == 1
        and by_score.loc[9.0, "means"] == "the budget of 1"
    )


def test_rank_in_breadth_does_not_grow_with_the_history() -> None:
    history = History()
    for day, targets in ((0, 1), (1, 2)):
        rows = [
            (user, None, f"{user}{day}{i}")
            for user, width in zip("abcd", (1, 2, 2, 4), strict=True)
            for i in range(width * targets)
        ]
        history.learn(day_number(FIRST) + day, history.encode(edge_table(FIRST + day * DAY, rows)))
        assert breadth_rank(history, history.users.find(list("abcd"))).tolist() == [0.125, 0.5, 0.5, 0.875]
    assert breadth_rank(History(), np.zeros(0, np.int64)).tolist() == []


# --- days ---------------------------------------------------------------------------------------------------


def model_until(until: dt.date, *held_out: dt.date) -> Detector:
    days = np.array([day_number(day) for day in held_out])
    pool = Calibration(np.ones(len(days)), np.ones(len(days)), days)
    return Detector(
        [],
        Frame(IdTable(), np.zeros((0, DIM), np.float32)),
        pool,
        ModelFacts(FIRST, until, 1, {}, "features"),
    )


def test_the_last_days_after_training_else_those_held_out() -> None:
    days_in_lake = [FIRST + i * DAY for i in range(20)]
    model = model_until(days_in_lake[9], days_in_lake[5], days_in_lake[8])
    assert days_to_inspect(days_in_lake, model)[0] == days_in_lake[-5:]
    days, how = days_to_inspect(days_in_lake[:10], model)
    assert days == [days_in_lake[5], days_in_lake[8]] and "held out" in how
    assert days_to_inspect(days_in_lake, model, days_in_lake[7], days_in_lake[10])[0] == [
        days_in_lake[8],
        days_in_lake[10],
    ]  # the others were trained on
    assert "9 days old" in days_to_inspect(days_in_lake, model, days_in_lake[18], days_in_lake[18])[1]
    with pytest.raises(WorkspaceError, match="ueba ingest"):
        days_to_inspect(days_in_lake, model, days_in_lake[6], days_in_lake[7])


def test_every_edge_of_the_day_is_counted(trained: Workspace, tmp_path: Path) -> None:
    picture = tmp_path / "calibration.svg"
    result = run(trained.root, "calibration", "--format", "json", "--picture", str(picture))
    rows = json.loads(result.stdout)
    edges = len(lake.read_pairs(trained.lake, LAST, LAST, "1GB"))
    for table in ("breadth", "cohorts"):
        of_table = [row for row in rows if row["table"] == table]
        assert of_table[0]["edges"] == edges == sum(row["edges"] for row in of_table[1:])
    assert (
        picture.read_text().startswith("<?xml") and "the budget of 10" not in result.stdout
    )  # trained for a budget of 5
    once = picture.read_bytes()
    run(trained.root, "calibration", "--picture", str(picture))
    assert picture.read_bytes() == once
    assert str(LAST) in result.stderr


def test_a_day_is_calibrated_by_others(trained: Workspace, tmp_path: Path) -> None:
    model = Detector.load(trained.model)
    held_out = np.unique(model.calibration.day)
    found = stages.inspect(memory(trained), None, LAST - DAY)
    assert [day_number(day) for day in found.days] == held_out.tolist()
    aside = sum(set_aside(trained, day) for day in found.days)
    assert found.breadth["edges"].iloc[0] == len(model.calibration.surprise) + aside
    shutil.copytree(trained.root, tmp_path / "ws")
    only = Workspace(tmp_path / "ws")
    replace(model, calibration=model.calibration.without(held_out[0])).save(only.model)
    with pytest.raises(WorkspaceError, match="the only day"):
        stages.inspect(memory(only), None, LAST - DAY)


def test_what_cannot_be_inspected_is_said(trained: Workspace, tmp_path: Path) -> None:
    assert "ueba train" in run(tmp_path, "calibration", code=1).output
    assert ".svg" in run(trained.root, "calibration", "--picture", "calibration.pdf", code=2).output
    assert "trained until" in run(trained.root, "calibration", "--from", "2030-01-01", code=1).output
