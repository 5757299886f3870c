"""The graph servers that contract tests run on: the bundled one always, Neo4j where NEO4J_URI names one."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphdb import Connection, from_environment, server


@pytest.fixture(scope="module", params=["bundled", "neo4j"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    if request.param == "neo4j":
        found = from_environment(os.environ)
        if found is None:
            pytest.skip("NEO4J_URI is not set: no Neo4j to test on")
        yield found
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "graph"
        yield server.start(path, heap="512m")
        server.stop(path)
