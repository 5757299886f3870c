"""The graph servers that contract tests run on: the bundled one always, Neo4j where NEO4J_URI names one.

Both are shared: every process of a test run has a bundled server of its own, started once, and they take
turns at the one database of Neo4j, a test module at a time. So a test begins by deleting what others left.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphdb import Connection, from_environment, server


@pytest.fixture(scope="session")
def bundled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of this process's bundled server."""
    folder = tmp_path_factory.mktemp("bundled") / "graph"
    yield folder
    server.stop(folder)


def stop_servers(run_folder: Path) -> None:
    """Stop what still runs below the temporary folder of a test run."""
    for folder in run_folder.glob("*/bundled*/graph"):
        server.stop(folder)


@pytest.fixture(scope="module", params=["bundled", "neo4j"])
def connection(
    request: pytest.FixtureRequest, run_folder: Path, bundled_server: Path
) -> Iterator[Connection]:
    """A server to test on, with nobody else on it."""
    if request.param == "bundled":
        yield server.start(bundled_server, heap="512m")
        return
    found = from_environment(os.environ)
    if found is None:
        pytest.skip("NEO4J_URI is not set: no Neo4j to test on")
    with open(run_folder / "neo4j.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield found
