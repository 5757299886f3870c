"""Names that would be statements, in the graph and in what is asked of it: they are names, no more."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from detect_world import edge_table
from small_workspace import run

from graphdb import Connection
from graphdb.store import Store
from ueba import graph, ontology
from ueba.investigate import questions

DAY = dt.date(2024, 5, 1)
NAMES = [
    "' OR 1=1 //",
    '" OR "1"="1',
    "'}) DETACH DELETE n //",
    "`}) MATCH (n) DETACH DELETE n //",
    "\\'}) DETACH DELETE n //",
    "\\u0027}) DETACH DELETE n //",
    "a\nb\r\nMATCH (n) DETACH DELETE n",
    "$name {name: $name}",
    "*/ LOAD CSV FROM 'file:///etc/passwd' AS l RETURN l /*",
    "x' UNION MATCH (n) RETURN n.name AS user //",
    "; SHOW USERS",
    "%s {0} %(user)s",
    "'; DROP TABLE events; --",
    "_%*?[a]",
    "nul\x00after",
    "\x1b]0;title\x07",
    "\u202egnp.exe",
    "\u2028\u2029\ufeff",
    "🐎 žluťoučký ﷽",
    "null",
    "\\",
    " ",
    "n" * 4000,
]


@pytest.fixture(scope="module")
def store(connection: Connection) -> Iterator[Store]:
    """Each name as a user, who acted from a machine of that name and reached one."""
    with Store(connection) as opened:
        empty(opened)
        opened.ensure_schema(ontology.SCHEMA)
        table = edge_table(DAY, [(name, name, name) for name in NAMES])
        table = table.append_column("witnesses", pa.array([0] * len(table)))
        for item, rows in graph.day_tables(table, DAY):
            load = opened.load_nodes if hasattr(item, "label") else opened.load_relationships
            load(item, rows)
        opened.load_nodes(ontology.LOADED_DAY, pa.table({"day": [DAY.isoformat()]}))
        yield opened
        empty(opened)


def empty(store: Store) -> None:
    for node in ontology.SCHEMA.nodes:
        store.delete(f"MATCH (n:{node.label}) WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS deleted")


@pytest.fixture
def connected(connection: Connection, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands ask this graph, and leave it as it is."""
    monkeypatch.setattr(graph, "connect", lambda *_: Store(connection))
    yield
    assert (store.count(ontology.USER), store.count(ontology.MACHINE)) == (len(NAMES), len(NAMES))
    assert store.count(ontology.LOGGED_ON) == len(NAMES)


def test_the_graph_has_them_as_they_are(store: Store, connected: None) -> None:
    assert sorted(store.keys(ontology.USER)) == sorted(NAMES)
    assert sorted(store.keys(ontology.MACHINE)) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_question_finds_each_and_no_other(connected: None, tmp_path: Path, name: str) -> None:
    for question, column in (("user-day", "target"), ("user-day", "source")):
        asked = run(tmp_path, "ask", question, "--param", f"user={name}", "--format", "json")
        assert [row[column] for row in json.loads(asked.stdout)] == [name]
    asked = run(tmp_path, "ask", "who-reached", "--param", f"target={name}", "--format", "json")
    assert [row["user"] for row in json.loads(asked.stdout)] == [name]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_query_finds_each_and_no_other(connected: None, tmp_path: Path, name: str) -> None:
    cypher = "MATCH (u:User {name: $user})-[r:LOGGED_ON]->(m) RETURN u.name AS user, m.name AS machine"
    asked = run(tmp_path, "graph", "query", cypher, "--param", f"user={name}", "--format", "json")
    assert [(row["user"], row["machine"]) for row in json.loads(asked.stdout)] == [(name, name)]
    shown = run(tmp_path, "graph", "query", cypher, "--param", f"user={name}")  # a table, for people
    assert not {"\x00", "\x1b", "\x07", "\u202e"} & set(shown.stdout)


LARGE = [("n" * 1_000_000), ("'" * 1_000_000), ("\x00" * 10_000), ("🐎" * 250_000)]


@pytest.mark.parametrize("value", LARGE, ids=range(len(LARGE)))
def test_a_value_of_a_megabyte_is_a_value(connected: None, tmp_path: Path, value: str) -> None:
    cypher = "MATCH (u:User) WHERE u.name <> $user RETURN count(u) AS others, size($user) AS size"
    asked = run(tmp_path, "graph", "query", cypher, "--param", f"user={value}", "--format", "json")
    [row] = json.loads(asked.stdout)
    assert row["others"] == len(NAMES) and row["size"] >= len(value)
    shown = run(tmp_path, "graph", "query", "RETURN $user AS user", "--param", f"user={value}").stdout
    assert len(shown) < 100_000 and "…" in shown
    asked = run(tmp_path, "ask", "user-day", "--param", f"user={value}", code=1)
    assert len(asked.output) < 10_000


@pytest.mark.parametrize("value", ["\udcff", "a\udc80b", "\ud83d"])
def test_what_is_no_text_is_refused(connected: None, tmp_path: Path, value: str) -> None:
    cypher = "MATCH (u:User {name: $user}) RETURN u.name AS user"
    for arguments in (
        ("graph", "query", cypher, "--param", f"user={value}"),
        ("graph", "query", cypher, "--param", f"{value}=user"),
        ("graph", "query", f"RETURN '{value}' AS x"),
        ("ask", "user-day", "--param", f"user={value}"),
        ("ask", "user-day", "--param", f"{value}=user"),
        ("ask", value),
    ):
        assert "fault of ueba" not in run(tmp_path, *arguments, code=2).output


@pytest.mark.parametrize("name", questions.names())
def test_every_question_takes_them_as_values(connected: None, store: Store, name: str) -> None:
    """Where a value must be a number or a day, it is refused before anything is asked."""
    question = questions.load(name)
    for value in (NAMES[0], NAMES[3], NAMES[9], NAMES[14]):
        texts = {"number": "1", "day": DAY.isoformat(), "time": f"{DAY}T08:00"}
        arguments = [f"{known.name}={texts.get(known.type, value)}" for known in question.parameters]
        parameters = questions.values(question, arguments, lambda: DAY.isoformat())
        found = questions.ask(store, question, parameters)
        assert list(found.columns) == list(question.columns)


def test_a_parameter_has_any_name(connected: None, tmp_path: Path) -> None:
    """A name that the query does not have is of no use, and does no harm."""
    for name in ("", "`", "a b", "n}) DETACH DELETE n //", "$x", "1", "ž", "n" * 10_000):
        run(tmp_path, "graph", "query", "RETURN 1 AS one", "--param", f"{name}=x")
