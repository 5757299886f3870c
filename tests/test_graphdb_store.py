"""One contract, every server: the same tables give the same graph, whatever is behind Bolt."""

import contextlib
import datetime as dt
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import neo4j
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from neo4j.exceptions import TransientError

from graphdb import (
    Connection,
    GraphError,
    Node,
    Property,
    QueryError,
    QueryTimeout,
    ReadOnlyError,
    Relationship,
    Schema,
    ServerError,
    control,
    from_environment,
    server,
    statements,
)
from graphdb.store import Store

# (:T_Person)-[:T_MET {day}]->(:T_Person)
PERSON = Node("T_Person", "name", (Property("name", ""), Property("age", "years")), "a person", ("T_Friend",))
MET = Relationship(
    "T_MET", PERSON, PERSON, ("day",), (Property("day", ""), Property("count", "times")), "met on a day"
)
SCHEMA = Schema((PERSON,), (MET,))
# (:T_Person)-[:T_LIKE]->(:T_Person), which keeps nobody; (:T_Point) with a vector
LIKE = Relationship("T_LIKE", PERSON, PERSON, (), (), "alike", remark=True)
SCHEMA_WITH_LIKES = Schema((PERSON,), (MET, LIKE))
POINT = Node("T_Point", "name", (Property("name", ""), Property("at", "where", vector=True)), "a point")
PEOPLE = pa.table({"name": ["ann", "bob", "cy"], "age": [30, None, 50], "labels": [["T_Friend"], [], None]})
MEETINGS = pa.table(
    {
        "start": ["ann", "ann", "bob"],
        "end": ["bob", "bob", "cy"],
        "day": ["d1", "d2", "d1"],
        "count": [1, 2, 3],
    }
)
HOSTILE = "'}) DETACH DELETE n //"


@pytest.fixture
def store(connection: Connection) -> Iterator[Store]:
    with Store(connection, batch_rows=2) as opened:
        for label in ("T_Person", "T_Point"):
            opened.delete(f"MATCH (n:{label}) WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS deleted")
        opened.ensure_schema(Schema((PERSON, POINT), (MET,)))
        yield opened


def loaded(store: Store) -> Store:
    store.load_nodes(PERSON, PEOPLE)
    store.load_relationships(MET, MEETINGS)
    return store


def content(store: Store) -> tuple[list[Any], list[Any]]:
    nodes = store.query("MATCH (n:T_Person) RETURN n ORDER BY n.name")["n"].tolist()
    edges = store.query(
        "MATCH (a)-[r:T_MET]->(b) RETURN a.name AS a, b.name AS b, r.day AS day, r.count AS count"
    )
    return nodes, sorted(edges.values.tolist())


def test_loads_what_the_tables_say(store: Store) -> None:
    nodes, edges = content(loaded(store))
    assert nodes == [
        {"labels": ["T_Friend", "T_Person"], "name": "ann", "age": 30},
        {"labels": ["T_Person"], "name": "bob"},
        {"labels": ["T_Person"], "name": "cy", "age": 50},
    ]
    assert edges == [["ann", "bob", "d1", 1], ["ann", "bob", "d2", 2], ["bob", "cy", "d1", 3]]


def test_loading_again_changes_nothing(store: Store) -> None:
    once = content(loaded(store))
    assert content(loaded(store)) == once
    assert (store.count(PERSON), store.count(MET)) == (3, 3)
    store.ensure_schema(SCHEMA)


def test_loading_part_of_the_properties_keeps_the_others(store: Store) -> None:
    loaded(store).load_nodes(PERSON, pa.table({"name": ["ann"]}))
    assert content(store)[0][0]["age"] == 30


def test_what_is_new_is_made_without_looking(store: Store) -> None:
    store.load_nodes(PERSON, PEOPLE)
    store.load_relationships(MET, MEETINGS, new=True)
    assert content(store) == content(loaded(store))


def test_times_are_times_in_the_server(store: Store) -> None:
    first, second = dt.datetime(2024, 3, 1, 8, 15, 2, 500_000), dt.datetime(1970, 1, 1)
    times = pa.array([first, second, None], pa.timestamp("us"))
    loaded(store).load_relationships(MET, MEETINGS.append_column("count_at", times))
    store.load_nodes(PERSON, pa.table({"name": ["ann"], "born": pa.array([second], pa.timestamp("ns"))}))
    found = store.query(
        "MATCH (a)-[r:T_MET]->(b)"
        " RETURN r.day AS day, r.count_at AS at, r.count_at.year AS year, a.born.year AS born"
        " ORDER BY a.name, day"
    )
    assert found["at"].tolist() == ["2024-03-01T08:15:02.5", "1970-01-01T00:00:00", None]
    assert found["year"].tolist() == [2024, 1970, None] and found["born"].tolist() == [1970, 1970, None]


def test_a_server_out_of_memory_is_not_asked_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(TransientError):
        code = "Neo.TransientError.General.OutOfMemoryError"

    tried: list[str] = []

    def run(self: Any, statement: str, *_: Any) -> None:
        tried.append(statement)
        raise Full

    monkeypatch.setattr(neo4j.ManagedTransaction, "run", run)
    with pytest.raises(GraphError, match="smaller batches"):
        store.load_nodes(PERSON, PEOPLE)
    assert len(tried) == 1


def test_batches_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, write = [], store._write

    def counting(statement: str, parameters: Any, *rest: Any) -> int:
        sizes.append(len(parameters["rows"]))
        return write(statement, parameters, *rest)

    monkeypatch.setattr(store, "_write", counting)
    seen: list[int] = []
    store.load_relationships(MET, MEETINGS, seen.append)
    assert sizes == [2, 1] == seen


def test_a_batch_of_long_vectors_is_bounded_too(store: Store) -> None:
    """18 MB in one message; the bundled server takes 16, and says nothing of one that is larger."""
    store.batch_rows = count = 10_000
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(np.linspace(0, 1, 200 * count, dtype=np.float32)), 200
    )
    assert (
        store.load_nodes(POINT, pa.table({"name": [f"p{n}" for n in range(count)], "at": vectors})) == count
    )
    assert store.query("MATCH (p:T_Point) RETURN count(p.at) AS c")["c"].tolist() == [count]


def test_rows_without_their_nodes_are_passed_over(store: Store) -> None:
    store.load_relationships(MET, MEETINGS)
    assert store.count(MET) == 0


def test_hostile_names_are_only_names(store: Store) -> None:
    loaded(store).load_nodes(PERSON, pa.table({"name": [HOSTILE, "žluťoučký 🐎", 'a"b\\c']}))
    assert store.count(PERSON) == 6
    found = store.query("MATCH (n:T_Person {name: $name}) RETURN n.name AS name", {"name": HOSTILE})
    assert found["name"].tolist() == [HOSTILE]


def test_a_name_of_a_megabyte_stops_no_load(store: Store) -> None:
    """Its beginning stands in the graph, and two that begin alike are two."""
    long = ["n" * 1_000_000 + end for end in ("a", "b")]
    store.load_nodes(PERSON, pa.table({"name": ["ann", *long, "n" * 4000]}))
    meetings = pa.table({"start": ["ann", "ann"], "end": long, "day": ["d1", "d1"], "note": long})
    store.load_relationships(MET, meetings)
    store.update_relationships(MET, meetings.append_column("count", pa.array([1, 2])))
    names = store.keys(PERSON)
    assert sorted(map(len, names)) == [3, 565, 565, 4000] and len({*names}) == 4
    assert sorted(edge[3] for edge in content(store)[1]) == [1, 2]


def test_columns_that_could_carry_cypher_are_refused(store: Store) -> None:
    loaded(store)
    for column in ("x = 1 DETACH DELETE n //", "x`y", "a b"):
        with pytest.raises(ValueError, match="not a name"):
            store.load_nodes(PERSON, pa.table({"name": ["ann"], column: [1]}))
        with pytest.raises(ValueError, match="not a name"):
            store.load_relationships(
                MET, pa.table({"start": ["ann"], "end": ["bob"], "day": ["d1"], column: [1]})
            )
    assert (store.count(PERSON), store.count(MET)) == (3, 3)


def test_rows_without_what_tells_them_apart_are_refused(store: Store) -> None:
    before = content(loaded(store))
    null = pa.array([None], pa.string())
    with pytest.raises(GraphError, match="name tells its rows apart and is null in 1 of 1"):
        store.load_nodes(PERSON, pa.table({"name": null}))
    with pytest.raises(GraphError, match="day tells its rows apart and is null"):
        store.load_relationships(MET, pa.table({"start": ["ann"], "end": ["bob"], "day": null}))
    with pytest.raises(GraphError, match="no column 'day'"):
        store.load_relationships(MET, pa.table({"start": ["ann"], "end": ["bob"]}))
    assert content(store) == before


def test_a_place_comes_back_plain(store: Store) -> None:
    found = store.query("RETURN point({x: 1.0, y: 2.0}) AS p")["p"][0]
    assert found["coordinates"] == [1.0, 2.0]


def test_lists_and_times_come_back_plain(store: Store) -> None:
    tagged = pa.table({"name": ["ann"], "tags": [["x", "y"]], "seen": [pd.Timestamp("2024-05-01T10:00:00Z")]})
    store.load_nodes(PERSON, tagged)
    found = store.query("MATCH (n:T_Person) RETURN n.tags AS tags, n.seen AS seen")
    assert found["tags"][0] == ["x", "y"]
    assert str(found["seen"][0]).startswith("2024-05-01T10:00:00")


@pytest.mark.parametrize(
    "cypher",
    [
        "CREATE (n:T_Person {name: 'eve'})",
        "MERGE (n:T_Person {name: 'eve'}) RETURN n",
        "MATCH (n:T_Person) SET n.age = 1",
        "MATCH (n:T_Person) REMOVE n.age",
        "MATCH (n:T_Person) DETACH DELETE n",
        "MATCH (a:T_Person {name: 'ann'}), (b:T_Person {name: 'cy'}) CREATE (a)-[:T_MET {day: 'd9'}]->(b)",
        "MATCH ()-[r:T_MET]->() DELETE r",
        "CREATE INDEX t_age IF NOT EXISTS FOR (n:T_Person) ON (n.age)",
    ],
)
def test_a_query_cannot_write(store: Store, cypher: str) -> None:
    before = content(loaded(store))
    with pytest.raises(ReadOnlyError):
        store.query(cypher)
    assert content(store) == before


@pytest.mark.parametrize(
    "cypher", ["DROP CONSTRAINT t_person_key IF EXISTS", "DROP INDEX t_met_day IF EXISTS"]
)
def test_a_query_cannot_drop_the_schema(store: Store, cypher: str) -> None:
    """Servers may refuse or ignore it; the schema stays."""
    try:
        store.query(cypher)
    except (ReadOnlyError, QueryError):
        pass
    store.load_nodes(PERSON, pa.table({"name": ["ann"]}))
    with pytest.raises(Exception, match=r"(?i)constraint|duplicate|unique|exists"):
        store._write("CREATE (n:T_Person {name: 'ann'})", {})


def test_a_query_that_is_wrong_says_so(store: Store) -> None:
    with pytest.raises(QueryError):
        store.query("MATCH (n RETURN n")


def test_a_query_is_cut_at_its_limit(store: Store) -> None:
    assert len(loaded(store).query("MATCH (n:T_Person) RETURN n", limit=2)) == 2


def test_rows_beyond_the_limit_are_not_worked_out(store: Store) -> None:
    store.batch_rows = 1000
    store.load_nodes(PERSON, pa.table({"name": [f"n{i}" for i in range(60)]}))
    every = ", ".join(f"({name}:T_Person)" for name in "abcdefg")  # 60 ** 7 rows
    assert len(store.query(f"MATCH {every} RETURN a.name", limit=2, timeout_s=5)) == 2


def test_a_wrong_password_names_the_variable(connection: Connection) -> None:
    with pytest.raises(ServerError, match="NEO4J_PASSWORD"):
        Store(Connection(connection.uri, connection.username, "wrong", connection.database))


def test_an_answer_that_is_too_large_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows, of one row, and of what a node or a path has; it is read no further than that."""
    monkeypatch.setattr("graphdb.store.MOST_BYTES", 20_000)
    store.load_nodes(PERSON, pa.table({"name": ["ann", "bob"], "note": ["x" * 3000, "y" * 3000]}))
    store.load_relationships(MET, pa.table({"start": ["ann"], "end": ["bob"], "day": ["d1"]}))
    for large in (
        "UNWIND range(1, 1000000) AS i RETURN i AS number",
        "RETURN reduce(s = 'x', i IN range(1, 16) | s + s) AS text",
        "UNWIND range(1, 100) AS i MATCH (n:T_Person) RETURN n",
        "UNWIND range(1, 100) AS i MATCH p = (:T_Person)-[:T_MET]->() RETURN p",
        "UNWIND range(1, 100) AS i MATCH (n:T_Person) RETURN {key: [properties(n)]} AS map",
    ):
        with pytest.raises(QueryError, match="larger than 0 MB at row"):
            store.query(large, limit=10**6)
    assert len(store.query("MATCH (n:T_Person) RETURN n.name AS name")) == 2


def test_whoever_stops_waiting_ends_the_query(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a query runs: the bundled server does not go on with it."""
    if store.connection.directory is None:
        pytest.skip("Neo4j ends what runs when the process that asked is gone, or at the timeout")
    endless = "UNWIND range(1, 300000) AS i UNWIND range(1, 300000) AS j WITH i * j AS k WHERE k < 0 RETURN k"

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        time.sleep(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(threading.Thread, "join", interrupted)
        store.query(endless)
    time.sleep(1)
    assert not [query for query in server.queries(store.connection.directory) if "300000" in query["text"]]


def test_a_small_graph_comes_back_as_one(store: Store) -> None:
    graph = loaded(store).graph("MATCH p = (:T_Person {name: 'ann'})-[:T_MET]->(:T_Person) RETURN p")
    assert sorted(data["name"] for _, data in graph.nodes(data=True)) == ["ann", "bob"]
    assert sorted(data["day"] for _, _, data in graph.edges(data=True)) == ["d1", "d2"]


def test_prune_takes_old_days_then_lonely_nodes(store: Store) -> None:
    gone = loaded(store).prune(SCHEMA, "day", "d2")
    assert gone == 2
    nodes, edges = content(store)
    assert [node["name"] for node in nodes] == ["ann", "bob"]
    assert edges == [["ann", "bob", "d2", 2]]


def test_clear_takes_a_days_relationships_and_no_nodes(store: Store) -> None:
    before, _ = content(loaded(store))
    assert store.clear(SCHEMA, "day", "d2") == 1
    nodes, edges = content(store)
    assert nodes == before and [edge[2] for edge in edges] == ["d1", "d1"]
    assert store.clear(SCHEMA, "day", HOSTILE) == 0


def test_prune_judges_nodes_that_have_a_day_by_it(store: Store) -> None:
    day = Node("T_Day", "day", (Property("day", ""), Property("files", "")), "a day")
    store.delete("MATCH (n:T_Day) WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS deleted")
    store.load_nodes(day, pa.table({"day": ["d1", "d2"], "files": [["a"], ["b", "c"]]}))
    assert store.property_of(day, "d1", "files") == ["a"]
    store.prune(Schema((PERSON, day), (MET,)), "day", "d2")
    assert [store.property_of(day, key, "files") for key in ("d1", "d2", HOSTILE)] == [None, ["b", "c"], None]


def test_prune_lets_nodes_go_that_only_remarks_are_of(store: Store) -> None:
    """cy is left without a meeting; that ann and cy are like each other keeps neither, and goes with cy."""
    likes = pa.table({"start": ["ann", "cy", "ann"], "end": ["cy", "ann", "bob"]})
    assert SCHEMA_WITH_LIKES.keeping() == ("T_MET",)
    loaded(store).load_relationships(LIKE, likes, new=True)
    store.prune(SCHEMA_WITH_LIKES, "day", "d2")
    assert [node["name"] for node in content(store)[0]] == ["ann", "bob"]
    assert store.count(LIKE) == 1
    assert store.delete(statements.delete_all_relationships("T_LIKE")) == 1
    assert len(content(store)[1]) == 1


def test_forget_takes_properties_of_a_days_relationships(store: Store) -> None:
    store.batch_rows = 1
    loaded(store).load_relationships(
        MET, MEETINGS.append_column("told", [["x", "y", None]]).drop_columns(["count"])
    )
    assert store.forget(MET, ("count", "told"), "day", "d1") == 2
    assert [edge[2:] for edge in content(store)[1]] == [["d1", None], ["d2", 2], ["d1", None]]
    assert store.query("MATCH ()-[r:T_MET]->() WHERE r.told IS NOT NULL RETURN r.told AS told")[
        "told"
    ].tolist() == ["y"]
    assert (
        store.forget(MET, ("count", "told"), "day", "d1")
        == store.forget(MET, ("count",), "day", HOSTILE)
        == 0
    )


def test_keys_are_all_there_are(store: Store) -> None:
    assert store.keys(PERSON) == []
    store.load_nodes(PERSON, pa.table({"name": [f"n{number}" for number in range(2500)]}))
    assert sorted(store.keys(PERSON)) == sorted(f"n{number}" for number in range(2500))


def test_vectors_are_found_by_their_cosine_where_the_server_can(store: Store) -> None:
    """As numpy finds them, and after the vectors have become longer too."""
    store.batch_rows = 1000
    names = [f"n{number}" for number in range(200)]
    for dimensions in (3, 8):
        points = np.random.default_rng(dimensions).normal(size=(len(names), dimensions))
        store.load_nodes(POINT, pa.table({"name": names, "at": points.tolist()}))
        vector = store.query("MATCH (n:T_Point {name: 'n7'}) RETURN n.at AS at")["at"][0]
        assert vector == points[7].tolist()
        assert store.ensure_vector_indexes(POINT, dimensions) == (store.connection.directory is None)
        if store.connection.directory is not None:
            continue
        assert store.ensure_vector_indexes(POINT, dimensions)
        store._write("CALL db.awaitIndexes(60)", {})
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        for number in (7, 70, 170):
            found = store.query(
                "MATCH (n:T_Point {name: $name})"
                " CALL db.index.vector.queryNodes('t_point_at', 6, n.at) YIELD node, score"
                " RETURN node.name AS name, 2 * score - 1 AS cosine",
                {"name": names[number]},
            )
            cosine = unit @ unit[number]
            nearest = np.argsort(-cosine)[:6]
            assert found["name"].tolist() == [names[index] for index in nearest]
            assert found["cosine"].tolist() == pytest.approx(cosine[nearest], abs=1e-5)
    store.load_nodes(POINT, pa.table({"name": names, "at": pa.nulls(len(names))}))
    assert len(store.query("MATCH (n:T_Point) WHERE n.at IS NOT NULL RETURN n")) == 0


def cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def is_idle(pid: int) -> bool:
    """Whether the process leaves the processor alone for a second: none does that works or frees memory."""
    used = cpu_seconds(pid)
    time.sleep(1)
    return cpu_seconds(pid) - used < 0.5


def test_a_query_that_runs_too_long_is_ended_in_the_server(store: Store) -> None:
    names = [f"n{i}" for i in range(40)]
    pairs = [(a, b) for a in names for b in names if a != b]
    store.batch_rows = 2000
    store.load_nodes(PERSON, pa.table({"name": names}))
    store.load_relationships(
        MET,
        pa.table({"start": [a for a, _ in pairs], "end": [b for _, b in pairs], "day": ["d1"] * len(pairs)}),
    )
    directory = store.connection.directory
    ran_as = directory and server.status(directory)["pid"]
    began = time.monotonic()
    with pytest.raises(QueryTimeout, match="longer than 1 s"):
        store.query("MATCH p = (:T_Person {name: 'n0'})-[:T_MET*1..9]->(x) RETURN count(p) AS c", timeout_s=1)
    assert time.monotonic() - began < 10
    assert store.count(PERSON) == 40
    if store.connection.directory is not None:
        pid = server.status(store.connection.directory)["pid"]
        assert pid == ran_as, "ending one query took the server with it"
        assert not [query for query in server.queries(store.connection.directory) if "*1..9" in query["text"]]
        assert any(is_idle(pid) for _ in range(30)), "the server is still at work"
    else:
        running = store._own_rows("SHOW TRANSACTIONS YIELD currentQuery RETURN currentQuery AS q")[
            "q"
        ].tolist()
        assert not [query for query in running if "*1..9" in query]


def test_statements_are_what_they_should_be() -> None:
    assert statements.constraints(SCHEMA) == [
        "CREATE CONSTRAINT t_person_key IF NOT EXISTS FOR (n:T_Person) REQUIRE n.name IS UNIQUE"
    ]
    assert statements.indexes(SCHEMA) == {
        "T_MET": "CREATE INDEX t_met_day IF NOT EXISTS FOR ()-[r:T_MET]-() ON (r.day)"
    }
    assert statements.upsert_nodes(PERSON, ("name", "age")) == (
        "UNWIND $rows AS row MERGE (n:T_Person {name: row.name}) SET n.age = row.age"
    )
    assert statements.upsert_relationships(MET, ("day", "count")) == (
        "UNWIND $rows AS row MATCH (a:T_Person {name: row.start}) MATCH (b:T_Person {name: row.end})"
        " MERGE (a)-[r:T_MET {day: row.day}]->(b) SET r.count = row.count"
    )
    assert statements.vector_index(POINT, "at", 3) == (
        "CREATE VECTOR INDEX t_point_at IF NOT EXISTS FOR (n:T_Point) ON (n.at)"
        " OPTIONS {indexConfig: {`vector.dimensions`: 3,"
        " `vector.similarity_function`: 'cosine', `vector.quantization.enabled`: false}}"
    )
    assert statements.forget("T_MET", "day", ("count", "at")) == (
        "MATCH ()-[r:T_MET]->() WHERE r.day = $value AND (r.count IS NOT NULL OR r.at IS NOT NULL)"
        " WITH r LIMIT $limit"
        " REMOVE r.count, r.at RETURN count(*) AS forgot"
    )
    assert statements.create_relationships(MET, ("day", "at"), ("at",)).endswith(
        " CREATE (a)-[r:T_MET {day: row.day}]->(b) SET r.at = localdatetime(row.at)"
    )


@pytest.mark.parametrize("name", ["a b", "", "n}) DELETE n //", "1a", "é"])
def test_names_that_could_carry_cypher_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        Node(name, "name", (), "")
    with pytest.raises(ValueError, match="not a name"):
        Property(name, "")


def test_identity_must_be_declared() -> None:
    with pytest.raises(ValueError, match="not among its properties"):
        Relationship("R", PERSON, PERSON, ("day",), (), "")


# --- the bundled server -------------------------------------------------------------------------------------


@pytest.fixture
def bundled(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "graph"
    server.start(directory, heap="512m")
    yield directory
    server.stop(directory)


def test_what_was_committed_survives_kill_9(bundled: Path) -> None:
    with Store(server.connection(bundled)) as store:
        store.ensure_schema(SCHEMA)
        loaded(store)
    server.kill(bundled)
    assert not server.running(bundled)
    with Store(server.start(bundled, heap="512m")) as store:
        assert len(content(store)[1]) == 3
        with pytest.raises(ReadOnlyError):
            store.query("MATCH (n) DETACH DELETE n")


def test_start_again_finds_it_and_stop_ends_it(bundled: Path) -> None:
    pid = server.status(bundled)["pid"]
    assert server.start(bundled).uri == server.connection(bundled).uri
    assert server.status(bundled)["pid"] == pid
    assert server.stop(bundled)
    assert server.status(bundled) == {"running": False, "directory": str(bundled)}
    assert not server.stop(bundled)
    with pytest.raises(ServerError, match="not running"):
        server.connection(bundled)


def test_a_server_of_an_earlier_version_is_started_anew(bundled: Path) -> None:
    """It listens over HTTP, and lets queries load files."""
    file = bundled / "server.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps({**facts, "http_port": 1}))
    server.start(bundled, heap="512m")
    now = server.status(bundled)
    assert now["pid"] != facts["pid"] and "http_port" not in now


def test_two_starts_at_once_make_one_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # which must not be shown the password
    directory, found = tmp_path / "graph", []
    starts = [
        threading.Thread(target=lambda: found.append(server.start(directory, heap="512m"))) for _ in range(2)
    ]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join()
    try:
        assert len(found) == 2 and found[0] == found[1]
    finally:
        server.stop(directory)


def test_a_query_the_server_cannot_end_costs_a_restart(
    bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "terminate", lambda *_: False)
    with Store(server.connection(bundled)) as store:
        store.ensure_schema(SCHEMA)
        loaded(store)
        pid = server.status(bundled)["pid"]
        with pytest.raises(QueryTimeout):
            store.query(
                "UNWIND range(1, 300000) AS i UNWIND range(1, 300000) AS j"
                " WITH i * j AS k WHERE k < 0 RETURN k",
                timeout_s=1,
            )
        assert (now := server.status(bundled)["pid"]) != pid
        assert len(content(store)[1]) == 3
        assert server.restart(bundled, pid).pid == now  # whoever had the same trouble finds it solved


def test_passwords_are_the_owners_alone(bundled: Path) -> None:
    secrets = bundled / "credentials.json"
    assert (secrets.stat().st_mode & 0o777, bundled.stat().st_mode & 0o777) == (0o600, 0o700)
    connection = server.connection(bundled)
    assert connection.password not in repr(connection)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    environment = Path(f"/proc/{connection.pid}/environ").read_text(errors="replace")
    for secret in (connection.password, connection.reader_password):
        assert secret and len(secret) >= 32 and secret not in listed and secret not in environment
        for name in ("server.json", "server.log"):
            assert secret not in (bundled / name).read_text()


def test_nothing_but_bolt_listens(bundled: Path) -> None:
    """No HTTP: no SQL, no commands to the server, and no page of a browser that poses as its name."""
    facts = server.status(bundled)
    assert set(facts) == {"running", "directory", "pid", "bolt_port", "heap"}
    inodes = {
        os.readlink(file)[8:-1]
        for file in Path(f"/proc/{facts['pid']}/fd").iterdir()
        if file.is_symlink() and os.readlink(file).startswith("socket:[")
    }
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    ports = {int(row[1].rsplit(":", 1)[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes}
    assert ports == {facts["bolt_port"]}
    for path in ("/api/v1/server", "/api/v1/query/graph", "/"):
        client = http.client.HTTPConnection("127.0.0.1", facts["bolt_port"], timeout=10)
        with contextlib.closing(client):
            client.request("GET", path, headers={"Host": "attacker.example"})
            with client.getresponse() as response:
                assert response.status == 400 and b"Bolt connector" in response.read()


def test_the_way_to_the_server_beside_bolt_is_the_owners(bundled: Path) -> None:
    assert (bundled / control.NAME).stat().st_mode & 0o777 == 0o600
    for nonsense in (b"", b"\n", b"[]\n", b"{}", b"\xff\n", b'{"terminate": 1}\n', b'{"ran_ms": "x"}\n'):
        with socket.socket(socket.AF_UNIX) as client, control._address(bundled) as address:
            client.connect(address)
            client.sendall(nonsense)
    assert server.queries(bundled) == []
    with pytest.raises(ServerError, match="does not answer"):
        control.ask(bundled.parent, {})


def test_a_folder_with_a_long_name(tmp_path: Path) -> None:
    """An address of a socket has room for a hundred bytes."""
    directory = tmp_path / ("n" * 120) / "graph"
    server.start(directory, heap="512m")
    try:
        assert server.queries(directory) == []
    finally:
        server.stop(directory)


def test_it_listens_on_loopback_alone(bundled: Path) -> None:
    facts = server.status(bundled)
    listening = subprocess.run(
        ["ss", "-Hltn"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    addresses = {
        line.split()[3].rsplit(":", 1)[0]
        for line in listening
        if line.split()[3].endswith(f":{facts['bolt_port']}")
    }
    assert addresses and all("127.0.0.1" in address for address in addresses)


def test_a_server_that_cannot_start_says_where_its_log_is(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="its log is"):
        server.start(tmp_path / "graph", heap="nonsense")


def test_the_environment_names_a_server() -> None:
    assert from_environment({}) is None
    found = from_environment({"NEO4J_URI": "bolt://h:1", "NEO4J_PASSWORD": "s"})
    assert found == Connection("bolt://h:1", "neo4j", "s", "neo4j")


def test_an_unreachable_server_names_the_variable() -> None:
    with pytest.raises(ServerError, match="NEO4J_URI"):
        Store(Connection("bolt://127.0.0.1:1", "neo4j", "x", "neo4j"))
    with pytest.raises(ServerError, match="NEO4J_URI"):
        Store(Connection("nonsense", "neo4j", "x", "neo4j"))
