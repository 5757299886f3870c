"""What earlier days add, by hand."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from ueba.contracts.edge import Edge
from ueba.contracts.reason import Effect, Maintenance
from ueba.detect.score import carryover

MONDAY = dt.date(2026, 1, 5)
DAY = dt.timedelta(days=1)


def test_a_day_leaves_the_smallest_p_beyond_chance() -> None:
    user = np.array(["ann", "ann", "bob", "eve"])
    p_value = np.exp(-np.array([7.0, 6.0, 4.0, 5.5]))
    found = carryover.excess(user, p_value)
    assert found.to_dict() == pytest.approx({"ann": 2.0, "eve": 0.5})  # bob's 4 nats are chance


def test_carry_over_fades_by_a_third_a_day_and_adds_up() -> None:
    earlier = [(MONDAY, pd.Series({"ann": 2.0})), (MONDAY + DAY, pd.Series({"ann": 1.0, "eve": 20.0}))]
    assert carryover.carried(earlier, MONDAY + DAY).to_dict() == pytest.approx({"ann": 0.3 * 2.0})
    left = carryover.carried(earlier, MONDAY + 2 * DAY).to_dict()
    assert left == pytest.approx({"ann": 0.3 * (2.0 * 0.7 + 1.0), "eve": 0.3 * carryover.MOST_NATS})
    assert carryover.carried(earlier, MONDAY + 3 * DAY).to_dict() == pytest.approx(
        {"ann": 0.3 * (2 * 0.49 + 0.7), "eve": 0.3 * 10.0}
    )


def test_days_long_ago_and_later_days_leave_nothing() -> None:
    earlier = [(MONDAY, pd.Series({"ann": 9.0}))]
    assert carryover.carried(earlier, MONDAY + (carryover.DAYS + 1) * DAY).empty
    assert carryover.carried(earlier, MONDAY).empty
    assert carryover.carried([], MONDAY).empty


def test_only_a_strange_edge_gains() -> None:
    strangeness, p_value = np.array([9.0, 1.0, 9.0, 9.0]), np.array([0.001, 0.5, 0.02, 0.021])
    carry_over = np.array([3.0, 3.0, 0.5, 3.0])
    assert carryover.persisted(strangeness, p_value, carry_over).tolist() == [12.0, 1.0, 9.5, 9.0]


def called(nats: float) -> Effect:
    return Effect(nats, "benign", "v1", "20260104-aa", "kim", MONDAY, "drill")


def test_rules_benign_verdicts_and_cleared_edges_leave_nothing() -> None:
    """ann 9 nats of p although she is under maintenance, bob hidden by a rule, eve 7 less 1.5 taken off, kim
    9 although lifted: each less 5."""
    noon = dt.datetime(2026, 1, 5, 12)
    maintained = Maintenance("user", "user", "ann", noon, noon, -5.0, 0.5)
    edges = pd.DataFrame(
        {
            "user": ["ann", "bob", "eve", "kim"],
            "source": ["pc1", None, "pc3", "pc4"],
            "target": ["srv", "db", "x", "y"],
            "target_kind": "machine",
            "p_value": np.exp([-9.0, -8.0, -7.0, -9.0]),
            "strangeness_persisted": [10.0, 10.0, 10.0, 10.0],
            "strangeness": [5.0, 10.0, 8.5, 14.0],
            "reasons": [(maintained,), (), (called(-1.5),), (called(4.0),)],
            "rule": pd.Series([None, "patches", None, None], dtype=object),
        }
    )
    assert carryover.excess_of(edges).to_dict() == pytest.approx({"ann": 4.0, "eve": 0.5, "kim": 4.0})
    cleared = {Edge("ann", "pc1", "srv", "machine")}
    assert carryover.excess_of(edges, cleared).to_dict() == pytest.approx({"eve": 0.5, "kim": 4.0})
    resource = {Edge("ann", "pc1", "srv", "resource")}  # another edge: its name is a resource's as well
    assert "ann" in carryover.excess_of(edges, resource)
