"""The message graph: shapes, roles, and node features worked out by hand."""

from math import log

import numpy as np
import pytest
from detect_world import DAY, FIRST, SECOND, edge_table, learned
from written_world import PLACES, USERS, written_edges, written_history

from ueba.detect.look import likeness, tensors
from ueba.detect.past.encoded import HOURS
from ueba.detect.past.history import History, day_number

NODE_TYPES = {"user": len(USERS), "place": len(PLACES)}


def test_the_ends_of_an_edge_stand_in_the_order_of_roles() -> None:
    nodes = tensors.edge_nodes(written_edges())
    assert list(tensors.ROLES) == ["user", "source", "target"]
    assert nodes.shape == (7, 3) and nodes.dtype == np.int64
    # ann pc1 srv; and the edge whose source the log does not name: anon ? pc3
    assert nodes[0].tolist() == [USERS.index("ann"), PLACES.index("pc1"), PLACES.index("srv")]
    assert nodes[3].tolist() == [USERS.index("anon"), -1, PLACES.index("pc3")]


def test_a_relation_joins_the_node_types_of_its_roles() -> None:
    assert tensors.GRAPH_RELATIONS == {
        "user_target": ("user", "user_target", "place"),
        "user_source": ("user", "user_source", "place"),
        "source_target": ("place", "source_target", "place"),
    }


def written_hours() -> History:
    """ann was active on 0 days at midnight, on 1 at one o'clock, and so on; srv the other way round."""
    history = written_history()
    history.user_hours[USERS.index("ann")] = np.arange(HOURS)
    history.place_hours[PLACES.index("srv")] = np.arange(HOURS)[::-1]
    return history


UNKNOWN = (0, 0, log(0.1), 0)  # without history, the novelty rate is that of all, a tenth
NO_HOURS = [0] * HOURS


def test_the_features_of_a_user() -> None:
    """Active days, breadth, novelty rate and whether known, by target and by source; the share of 276 days by
    hour, times 4; kind."""
    rows = tensors.user_features(written_hours())
    assert rows.shape == (len(USERS), 4 + 4 + 24 + 4) and rows.dtype == np.float32
    assert rows[USERS.index("ann")].tolist() == pytest.approx(
        [
            *(log(1 + 8), log(1 + 9), log(0.2), 1),  # user_target
            *(log(1 + 6), log(1 + 10), log(0.3), 1),  # user_source
            *(4 * hour / 276 for hour in range(HOURS)),
            *(1, 0, 0, 0),  # human
        ],
        rel=1e-5,
    )
    # Known from targets, with no active days written down.
    svc = [0, 0, log(0.1), 1, *UNKNOWN, *NO_HOURS, 0, 1, 0, 0]
    assert rows[USERS.index("svc")].tolist() == pytest.approx(svc, rel=1e-5)
    assert rows[USERS.index("pc2$"), -4:].tolist() == [0, 0, 1, 0]
    assert rows[USERS.index("anon"), -4:].tolist() == [0, 0, 0, 1]


def test_the_features_of_a_place() -> None:
    """The same in each role: reached by users, source of users, source of edges, reached by machines."""
    rows = tensors.place_features(written_hours())
    assert rows.shape == (len(PLACES), 4 * 4 + 24 + 1) and rows.dtype == np.float32
    srv_by_users = (log(1 + 7), log(1 + 8), log(0.05), 1)
    srv_by_machines = (log(1 + 9), log(1 + 13), log(0.25), 1)
    hours = [4 * (23 - hour) / 276 for hour in range(HOURS)]
    assert rows[PLACES.index("srv")].tolist() == pytest.approx(
        [*srv_by_users, *UNKNOWN, *UNKNOWN, *srv_by_machines, *hours, 0], rel=1e-5
    )
    pc1_of_users = (log(1 + 3), log(1 + 11), log(0.15), 1)
    pc1_to_machines = (log(1 + 7), log(1 + 12), log(0.04), 1)
    assert rows[PLACES.index("pc1")].tolist() == pytest.approx(
        [*UNKNOWN, *pc1_of_users, *pc1_to_machines, *UNKNOWN, *NO_HOURS, 0], rel=1e-5
    )
    # svc reached pc6, pc2$ acted from it: known in two roles, no machine knows it.
    assert rows[PLACES.index("pc6"), 3:16:4].tolist() == [1, 1, 0, 0]
    assert rows[:, -1].tolist() == [float(name == "share") for name in PLACES]  # resources


def test_a_snapshot_has_the_pairs_of_the_history() -> None:
    history = written_history()
    graph = tensors.snapshot(history, tensors.frame_of(history), likeness.space_of(history))
    assert {kind: len(x) for kind, x in graph.x.items()} == NODE_TYPES
    named = {
        relation: {(names[left], PLACES[right]) for left, right in pairs.T}
        for (_, relation, _), pairs in graph.pairs.items()
        for names in [USERS if relation.startswith("user") else PLACES]
    }
    assert named["source_target"] == {
        *(("pc1", "srv"), ("pc1", "share"), ("pc3", "srv"), ("pc3", "pc4"), ("pc3", "pc5"), ("pc4", "share"))
    }
    assert ("ann", "srv") in named["user_target"] and ("ann", "pc1") in named["user_source"]
    assert [len(named[relation]) for relation in tensors.GRAPH_RELATIONS] == [11, 9, 6]


def test_a_day_is_not_in_the_graph_before_it_is_learned() -> None:
    history = learned(FIRST, SECOND)
    encoded = history.encode(edge_table(DAY, [("ann", "pc2", "srv9")]))

    def pairs() -> list[int]:
        graph = tensors.snapshot(history, tensors.frame_of(history), likeness.space_of(history))
        return [found.shape[1] for found in graph.pairs.values()]

    # ann: srv, pc1, pc2; bob: srv. ann on pc1, bob on pc2. pc1: srv, pc1, pc2; pc2: srv.
    assert pairs() == [4, 2, 4]
    history.learn(day_number(DAY) + 9, encoded)
    assert pairs() == [5, 3, 5]


def test_the_order_of_edges_changes_no_graph_and_the_history_is_left_as_it_was() -> None:
    forward, backward = learned(FIRST, SECOND), learned(FIRST[::-1], SECOND[::-1])

    def by_name(history: History) -> dict[str, list[float]]:
        users, places = tensors.user_features(history), tensors.place_features(history)
        names = [*history.users.names, *history.places.names]
        return dict(zip(names, [*users.tolist(), *places.tolist()], strict=True))

    before = {key: getattr(owner, name).copy() for key, owner, name in forward._arrays()}
    assert by_name(forward) == by_name(backward)
    assert all(np.array_equal(before[key], getattr(owner, name)) for key, owner, name in forward._arrays())


def test_an_empty_history_is_an_empty_graph() -> None:
    graph = tensors.snapshot(History(), tensors.frame_of(History()), likeness.space_of(History()))
    widths = {"user": (0, 36 + likeness.DIM), "place": (0, 41 + 2 * likeness.DIM)}
    assert {kind: x.shape for kind, x in graph.x.items()} == widths
    assert [pairs.shape for pairs in graph.pairs.values()] == [(2, 0)] * 3
