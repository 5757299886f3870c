"""What is said of an edge, and what of a scored day the next ones are told."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from detect_world import DAY, SECOND, edge_table, learned

from ueba.detect import detector, findings
from ueba.detect.past.history import HELD_P, NO_HABIT_P, day_number
from ueba.detect.look.features import FEATURE_NAMES

EDGE = {
    "user": "ann",
    "source": "pc1",
    "target": "srv",
    "count": 1,
    "logon_types": ["Network"],
    "carried": 0.0,
    "p_value": 0.5,
}


def said(held: set[str], **values: float) -> list[str]:
    described = np.zeros(len(FEATURE_NAMES), np.float32)
    for name, value in values.items():
        described[FEATURE_NAMES.index(name.replace("__", "."))] = value
    return findings.reasons(described, EDGE, held)


def test_a_pair_that_was_strange_once_is_not_said_to_be_never_seen() -> None:
    assert said(set(), user_target__new=1)[0].startswith("ann never reached srv before (0.0 nats")
    assert said({"user_target"}, user_target__new=1)[0].startswith(
        "ann reached srv again, which was strange the first time (0.0"
    )
    assert said({"user_target"}) == ["known to each other, but in an unusual combination"]


def test_what_is_held_is_known_of_each_relation() -> None:
    day = DAY + dt.timedelta(days=1)
    history = learned([("ann", "pc1", "srv")])
    batch = history.encode(edge_table(day, SECOND))
    history.learn(
        day_number(day), batch, np.array([1.0, HELD_P, 1.0])
    )  # ann on pc2, from pc1 where she always is
    held = findings.held_before(history, history.encode(edge_table(day, SECOND)))
    assert held["user_target"].tolist() == [False, True, False]
    assert not held["user_source"].any()


def test_the_next_days_are_told_what_was_strange_whatever_the_budget() -> None:
    edges = pd.DataFrame(
        {
            "user": ["ann", "bob", "eve"],
            "source": pd.Series(["pc1", None, "pc3"], dtype=object),
            "target": ["srv", "db", "x"],
            "p_value": [NO_HABIT_P, HELD_P, 0.5],
            "incident": [None, None, "20240501-00000000"],
        }
    )
    told = findings.suspicious(edges)
    assert told == {("ann", "pc1", "srv"): NO_HABIT_P, ("bob", None, "db"): HELD_P}
    day = edge_table(DAY, [("bob", None, "db"), ("ann", "pc1", "db"), ("ann", "pc1", "srv")])
    assert detector.p_values(day, told).tolist() == [HELD_P, 1.0, NO_HABIT_P]
    assert detector.p_values(day, {}).tolist() == [1.0, 1.0, 1.0]
