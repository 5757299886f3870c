"""How many rows of an answer are shown, how long a query may take, and how much of a value a table shows."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from small_workspace import run

from graphdb import Connection
from graphdb.store import Store
from ueba import graph
from ueba.cli import answers
from ueba.config import Config, GraphConfig

NUMBERS = "UNWIND range(1, 5000) AS number RETURN number"
ENDLESS = "UNWIND range(1, 300000) AS i UNWIND range(1, 300000) AS j WITH i * j AS k WHERE k < 0 RETURN k"
NOTE = "--limit shows more, and graph.query_rows is its default"


@pytest.fixture
def connected(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(graph, "connect", lambda *_: Store(connection))
    yield


def query(folder: Path, cypher: str, *arguments: str, code: int = 0) -> Result:
    return run(folder, "graph", "query", cypher, *arguments, code=code)


def test_rows_are_bounded_by_the_setting_and_the_option(
    connected: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[graph]\nquery_rows = 7\n")
    for arguments, setting, rows in (
        ((), None, 1000),
        ((), "3", 3),
        (("--limit", "4999"), "3", 4999),
        (("--limit", "5000"), "3", 5000),
    ):
        if setting:
            monkeypatch.setenv("UEBA_GRAPH_QUERY_ROWS", setting)
        result = query(tmp_path, NUMBERS, *arguments, "--format", "json")
        assert [row["number"] for row in json.loads(result.stdout)] == [*range(1, rows + 1)]
        assert result.stderr == ("" if rows == 5000 else f"cut at {rows:,} rows; {NOTE}\n")
    monkeypatch.delenv("UEBA_GRAPH_QUERY_ROWS")
    result = run(tmp_path, "--config", str(settings), "graph", "query", NUMBERS, "--format", "csv")
    assert len(result.stdout.splitlines()) == 8 and "cut at 7 rows" in result.stderr
    assert "1000000" in query(tmp_path, NUMBERS, "--limit", "1000001", code=2).output


def test_a_query_is_ended_by_the_setting_and_the_option(
    connected: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UEBA_GRAPH_QUERY_TIMEOUT_S", "1")
    began = time.monotonic()
    assert "longer than 1 s and was ended" in query(tmp_path, ENDLESS, code=1).stderr
    assert "longer than 0.5 s and was ended" in query(tmp_path, ENDLESS, "--timeout", "0.5", code=1).stderr
    assert time.monotonic() - began < 20


def test_a_long_value_is_shown_in_part(connected: None, tmp_path: Path) -> None:
    long = "reduce(s = 'ab', i IN range(1, 16) | s + s)"  # 131,072 characters
    cypher = f"RETURN {long} AS text, [{long}, 1] AS list, {{key: {long}}} AS map, 1 AS number"
    table = query(tmp_path, cypher).stdout
    assert len(table) < 20_000 and table.count("…") == 3
    [row] = json.loads(query(tmp_path, cypher, "--format", "json").stdout)
    assert len(row["text"]) == len(row["list"][0]) == len(row["map"]["key"]) == 131_072


def test_a_value_keeps_its_kind() -> None:
    for value in (1, 2.5, None, True, "x" * answers.LONGEST_VALUE, {"key": [1]}, [1, ["x"]]):
        assert answers.in_a_table(value) == value
    assert len(answers.in_a_table("x" * 5000)) == answers.LONGEST_VALUE
    assert len(answers.in_a_table([["x" * 5000]])[0][0]) == answers.LONGEST_VALUE


def test_the_bounds_of_a_call() -> None:
    config = Config(graph=GraphConfig(query_rows=5, query_timeout_s=2))
    assert answers.bounds(config, None, None) == answers.Bounds(5, 2.0)
    assert answers.bounds(config, 9, 1.5) == answers.Bounds(9, 1.5)
    assert answers.Bounds(5, 2.0).asked == 6


@pytest.mark.parametrize(
    "cypher",
    [
        "LOAD CSV FROM 'file:///etc/passwd' AS l RETURN l",
        "SHOW USERS",
        "CREATE (n:User) RETURN n",
        "MERGE (n:User {name: 'nobody'}) RETURN n",
        "RETURN apoc.load.json('http://127.0.0.1:9/') AS x",
    ],
)
def test_a_command_refuses_what_does_more_than_read(connected: None, tmp_path: Path, cypher: str) -> None:
    result = query(tmp_path, cypher, code=1)
    assert result.stdout == "" and result.stderr.startswith("Error: ") and "read" in result.stderr
