"""Evidence of earlier days, by hand."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from ueba.detect import persistence

MONDAY = dt.date(2026, 1, 5)
DAY = dt.timedelta(days=1)


def test_evidence_is_the_smallest_p_beyond_chance() -> None:
    user = np.array(["ann", "ann", "bob", "eve"])
    p_value = np.exp(-np.array([7.0, 6.0, 4.0, 5.5]))
    found = persistence.evidence(user, p_value)
    assert found.to_dict() == pytest.approx({"ann": 2.0, "eve": 0.5})  # bob's 4 nats are chance


def test_evidence_fades_by_a_third_a_day_and_adds_up() -> None:
    earlier = [(MONDAY, pd.Series({"ann": 2.0})), (MONDAY + DAY, pd.Series({"ann": 1.0, "eve": 20.0}))]
    assert persistence.carried(earlier, MONDAY + DAY).to_dict() == pytest.approx({"ann": 2.0})
    left = persistence.carried(earlier, MONDAY + 2 * DAY).to_dict()
    assert left == pytest.approx({"ann": 2.0 * 0.7 + 1.0, "eve": persistence.MOST_NATS})
    assert persistence.carried(earlier, MONDAY + 3 * DAY).to_dict() == pytest.approx(
        {"ann": 2 * 0.49 + 0.7, "eve": 10.0}
    )


def test_old_evidence_and_later_days_say_nothing() -> None:
    earlier = [(MONDAY, pd.Series({"ann": 9.0}))]
    assert persistence.carried(earlier, MONDAY + (persistence.DAYS + 1) * DAY).empty
    assert persistence.carried(earlier, MONDAY).empty
    assert persistence.carried([], MONDAY).empty


def test_only_what_is_strange_today_gains() -> None:
    user = np.array(["ann", "ann", "bob"])
    got = persistence.strengthened(
        np.array([9.0, 1.0, 9.0]),
        np.array([0.001, 0.5, 0.001]),
        user,
        pd.Series({"ann": 3.0}),
        strange_p=0.02,
    )
    assert got.tolist() == [12.0, 1.0, 9.0]
