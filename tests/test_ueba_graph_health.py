"""What a graph server could be set to better, and which way a password goes."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_workspace import run

from graphdb import Connection, ServerError, from_environment, server
from graphdb.store import Store
from ueba import graph
from ueba.config import Config
from ueba.graph import health
from ueba.workspace import Workspace

AWAY = "198.51.100.7:7687"  # of addresses for documents, where nobody is


@pytest.mark.parametrize(
    "uri",
    ["bolt://127.0.0.1:7687", "neo4j://localhost", "bolt://[::1]:7687", "bolt://127.3.2.1",
     "bolt+s://graph.corp.example", "neo4j+s://198.51.100.7", "nonsense", "bolt://[nonsense"],
)  # fmt: skip
def test_a_way_that_nobody_listens_on(uri: str) -> None:
    assert health.clear_text(uri) is None


@pytest.mark.parametrize(
    "uri, better",
    [
        (f"bolt://{AWAY}", "bolt+s://"),
        (f"neo4j://{AWAY}", "neo4j+s://"),
        ("BOLT://graph.corp.example", "bolt+s://"),
        ("bolt://localhost.corp.example", "bolt+s://"),
        ("bolt://127.0.0.1.corp.example", "bolt+s://"),
        ("bolt://0.0.0.0:7687", "bolt+s://"),
        ("bolt://[2001:db8::1]:7687", "bolt+s://"),
        ("bolt+ssc://graph.corp.example", "bolt+s://"),
        ("neo4j+ssc://graph.corp.example", "neo4j+s://"),
    ],
)
def test_a_way_on_which_a_password_can_be_read(uri: str, better: str) -> None:
    problem = health.clear_text(uri)
    assert problem is not None and f"use {better}" in problem and uri in problem


def test_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    health.warn_of_clear_text.cache_clear()
    monkeypatch.setattr(graph, "Store", lambda *_: None)
    environment = {"NEO4J_URI": f"bolt://{AWAY}", "NEO4J_PASSWORD": "s3cret"}
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            graph.connect(Workspace(tmp_path), Config(), environment)
    assert [record.message for record in caplog.records] == [health.clear_text(environment["NEO4J_URI"])]
    assert "s3cret" not in caplog.text


def test_a_command_says_it_on_standard_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    health.warn_of_clear_text.cache_clear()
    monkeypatch.setenv("NEO4J_URI", f"bolt://localhost.invalid:{closed_port()}")
    result = run(tmp_path, "--quiet", "graph", "query", "RETURN 1 AS one", code=1)
    assert result.stderr.count("is not encrypted") == 1 and result.stdout == ""


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_address_has_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerError, match="NEO4J_PASSWORD") as refused:
        from_environment({"NEO4J_URI": "bolt://neo4j:s3cret@graph.corp.example"})
    assert "s3cret" not in str(refused.value)
    monkeypatch.setenv("NEO4J_URI", "bolt://neo4j:s3cret@graph.corp.example")
    for arguments, code in ((("config", "show"), 0), (("doctor",), 1), (("graph", "load"), 1)):
        assert "s3cret" not in run(tmp_path, *arguments, code=code).output


@pytest.mark.parametrize(
    "settings, words",
    [
        ({health.FILES: "false", health.LOGIN: "true", health.UNRESTRICTED: ""}, []),
        ({}, ["any file of its machine"]),
        ({health.FILES: "true", health.FOLDER: "/n", health.HOME: "/n"}, ["any file of its machine"]),
        ({health.FILES: "true", health.FOLDER: "/n/import", health.HOME: "/n"}, ["files in /n/import"]),
        ({health.FILES: "false", health.LOGIN: "false"}, ["asks nobody"]),
        ({health.FILES: "false", health.UNRESTRICTED: "apoc.*"}, ["called apoc.* may do anything"]),
        ({health.FILES: "TRUE", health.LOGIN: "False"}, ["set dbms.security.allow_csv", "asks nobody"]),
    ],
)
def test_settings_that_let_too_much_in(settings: dict[str, str], words: list[str]) -> None:
    problems = health.problems_of(settings)
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))


def test_the_doctor_looks_at_a_neo4j(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(connection) as store:
        rows = health.checks(store)
        if connection.directory is not None:
            assert rows == []
            return
        found = store.settings(health.SETTINGS)
        assert set(found) == set(health.SETTINGS)
    way, settings = rows
    assert way["state"] == "ok"
    assert (settings["state"] == "warning") == bool(health.problems_of(found))
    for name in ("uri", "username", "password", "database"):
        monkeypatch.setenv(f"NEO4J_{name.upper()}", getattr(connection, name))
    printed = json.loads(run(tmp_path, "doctor", "--format", "json").stdout)  # a warning is no failure
    assert [row["detail"] for row in printed if row["check"] == settings["check"]] == [settings["detail"]]


# --- whose server it is -------------------------------------------------------------------------------------


@pytest.fixture
def impostor() -> Iterator[tuple[int, list[bytes]]]:
    """A listener on loopback that is not ours: its port, and what it was sent."""
    received: list[bytes] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.settimeout(2)
                    try:
                        received.append(client.recv(65_536))
                        client.sendall(b"\x00\x00\x05\x04")  # Bolt 5.5, so that a driver goes on to log in
                        received.append(client.recv(65_536))
                    except OSError:
                        pass

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], received


def test_a_server_that_is_not_ours_gets_no_password(
    tmp_path: Path, impostor: tuple[int, list[bytes]]
) -> None:
    """The server has ended, and somebody else listens on its port."""
    port, received = impostor
    folder = tmp_path / "graph"
    found = server.start(folder, heap="512m")
    with Store(found) as store:
        server.kill(folder)
        facts = json.loads((folder / "server.json").read_text())
        (folder / "server.json").write_text(json.dumps({**facts, "bolt_port": port}))
        (folder / "ready").touch()
        moved = Connection(
            f"bolt://127.0.0.1:{port}", found.username, found.password, found.database,
            found.reader, found.reader_password, found.directory, found.pid,
        )  # fmt: skip
        store.connection = moved
        with pytest.raises(ServerError, match="not running"):
            store.query("RETURN 1 AS one")
        with pytest.raises(ServerError, match="not running"):
            store._write("RETURN 1 AS one", {})
        with pytest.raises(ServerError, match="not running"):
            Store(moved)
    time.sleep(0.2)
    assert received == []


def test_a_server_whose_port_is_taken_does_not_start(
    tmp_path: Path, impostor: tuple[int, list[bytes]]
) -> None:
    port, received = impostor
    folder = tmp_path / "graph"
    folder.mkdir()
    with pytest.raises(ServerError, match="did not start"):
        server._launch(folder, "512m", bolt_port=port)
    time.sleep(0.2)
    assert received == []
    assert not server.running(folder)
