"""The commands of the README do what it says, in its order, on simulated logs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def commands() -> list[list[str]]:
    block = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert block
    return [shlex.split(line, comments=True) for line in block[1].splitlines()]


def test_the_commands_run_as_written(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NEO4J_")}
    environment |= {"UEBA_TRAIN_STEPS": "12", "UEBA_TRAIN_SEEDS": "1", "UEBA_GRAPH_HEAP": "512m"}

    def ueba(*arguments: str) -> str:
        code = "from ueba.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    ueba("simulate", "--output", ".", "--users", "60", "--days", "12")
    try:
        outputs = {command[1]: ueba(*command[1:]) for command in commands() if command[1] != "explain"}
        first = ueba("incidents", "--format", "csv").splitlines()[1].split(",")[2]
        assert "- usually " in ueba("explain", first, "--picture", "incident.html")
    finally:
        ueba("graph", "server", "stop")
    assert "daily edges" in outputs["ingest"]
    assert first in outputs["incidents"] and "user" in outputs["graph"]
    assert (tmp_path / "incident.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:ueba|graphdb|models|scripts|docs)/[\w./]+)`", README)))
)
def test_what_it_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()
