"""What learning leaves out, and which pairs wait in quarantine."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from detect_world import DAY, SECOND, edge_table, learned

from ueba.contracts.edge import Edge
from ueba.contracts.incident import STRANGE_P
from ueba.detect.day import quarantined_before
from ueba.detect.past import lessons
from ueba.detect.past.history import NO_HABIT_P, day_number


def test_a_quarantined_pair_is_one_of_its_relation_only() -> None:
    day = DAY + dt.timedelta(days=1)
    history = learned([("ann", "pc1", "srv")])
    encoded = history.encode(edge_table(day, SECOND))
    # ann on pc2 is strange; she is there from pc1, where she always is
    history.learn(day_number(day), encoded, np.array([1.0, STRANGE_P, 1.0]))
    quarantined = quarantined_before(history, history.encode(edge_table(day, SECOND)))
    assert quarantined["user_target"].tolist() == [False, True, False]
    assert not quarantined["user_source"].any()


def test_strange_edges_are_excluded_whatever_the_budget() -> None:
    edges = pd.DataFrame(
        {
            "user": ["ann", "bob", "eve"],
            "source": pd.Series(["pc1", None, "pc3"], dtype=object),
            "target": ["srv", "db", "x"],
            "target_kind": "machine",
            "p_value": [NO_HABIT_P, STRANGE_P, 0.5],
            "incident": [None, None, "20240501-00000000"],
        }
    )
    excluded = lessons.strange_edges(edges)
    assert excluded == {
        Edge("ann", "pc1", "srv", "machine"): NO_HABIT_P,
        Edge("bob", None, "db", "machine"): STRANGE_P,
    }
    day = edge_table(DAY, [("bob", None, "db"), ("ann", "pc1", "db"), ("ann", "pc1", "srv")])
    assert lessons.p_values(day, excluded).tolist() == [STRANGE_P, 1.0, NO_HABIT_P]
    assert lessons.p_values(day, {}).tolist() == [1.0, 1.0, 1.0]
    attack = {Edge("ann", "pc1", "db", "machine"): 0.0}
    assert lessons.not_attacks(day, excluded | attack).tolist() == [True, False, True]
