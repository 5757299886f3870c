"""The message graph: shapes, roles, and node features worked out by hand."""

from math import log

import numpy as np
import pytest
from detect_world import DAY, FIRST, SECOND, edge_table, learned
from written_world import PLACES, USERS, written_edges, written_history

from ueba.detect.look import tensors
from ueba.detect.past.history import HOURS, History, day_number

NODE_TYPES = {"user": len(USERS), "place": len(PLACES)}


def hours(shares: dict[int, float]) -> list[float]:
    return [shares.get(hour, 0) for hour in range(HOURS)]


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


def test_the_features_of_a_user() -> None:
    """Active days, breadth, novelty rate and whether known, by target and by source; hours; kind. ann has 4
    of her 5 days at nine and 1 at ten; a share of one counts as 4."""
    rows = tensors.user_features(written_history())
    assert rows.shape == (len(USERS), 4 + 4 + 24 + 4) and rows.dtype == np.float32
    assert rows[USERS.index("ann")].tolist() == pytest.approx(
        [
            *(log(1 + 8), log(1 + 8), log(0.2), 1),  # user_target
            *(log(1 + 6), log(1 + 10), log(0.3), 1),  # user_source
            *hours({9: 4 * 4 / 5, 10: 4 * 1 / 5}),
            *(1, 0, 0, 0),  # human
        ],
        rel=1e-5,
    )
    unknown = [0, 0, log(0.1), 0]  # a tenth of all partners are new
    svc = [*unknown, *unknown, *hours({}), 0, 1, 0, 0]
    svc[3] = 1  # known from targets, with no active days written down
    assert rows[USERS.index("svc")].tolist() == pytest.approx(svc, rel=1e-5)


def test_the_features_of_a_place() -> None:
    """The same in each of its roles: reached and acted from, by users and by machines. srv has 1 day at three
    and 3 at nine, and is no source."""
    rows = tensors.place_features(written_history())
    assert rows.shape == (len(PLACES), 4 * 4 + 24 + 1) and rows.dtype == np.float32
    assert rows[PLACES.index("srv")].tolist() == pytest.approx(
        [
            *(log(1 + 7), log(1 + 9), log(0.05), 1),  # reached by users
            *(0, 0, log(0.1), 0),  # users act from it
            *(0, 0, log(0.1), 0),  # it reaches others
            *(log(1 + 9), log(1 + 13), log(0.25), 1),  # reached by machines
            *hours({3: 4 * 1 / 4, 9: 4 * 3 / 4}),
            0,  # no resource
        ],
        rel=1e-5,
    )
    assert rows[:, -1].tolist() == [float(name == "share") for name in PLACES]


def test_a_snapshot_has_the_pairs_of_the_history() -> None:
    user_rows, place_rows = np.arange(len(USERS)) - 1, np.arange(len(PLACES)) + 5
    graph = tensors.snapshot(written_history(), user_rows, place_rows)
    assert {kind: len(x) for kind, x in graph.x.items()} == NODE_TYPES
    assert graph.row["user"] is user_rows and graph.row["place"] is place_rows
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
    batch = history.encode(edge_table(DAY, [("ann", "pc2", "srv9")]))

    def pairs() -> list[int]:
        rows = np.zeros(len(history.users), np.int64), np.zeros(len(history.places), np.int64)
        return [found.shape[1] for found in tensors.snapshot(history, *rows).pairs.values()]

    # ann: srv, pc1, pc2; bob: srv. ann on pc1, bob on pc2. pc1: srv, pc1, pc2; pc2: srv.
    assert pairs() == [4, 2, 4]
    history.learn(day_number(DAY) + 9, batch)
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
    none = np.zeros(0, np.int64)
    graph = tensors.snapshot(History(), none, none)
    assert {kind: x.shape for kind, x in graph.x.items()} == {"user": (0, 36), "place": (0, 41)}
    assert [pairs.shape for pairs in graph.pairs.values()] == [(2, 0)] * 3
