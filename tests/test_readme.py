"""The commands, the names of files and the example of the documents are true."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TO_MAKE = ("tests/records/badge.log", "ueba/investigate/questions/NAME.cypher")  # by who follows CONTRIBUTING
QUICK = {"UEBA_TRAIN_STEPS": "12", "UEBA_TRAIN_SEEDS": "1", "UEBA_GRAPH_HEAP": "512m"}


def python(folder: Path, code: str, *arguments: str) -> str:
    """What code prints in a process of its own, with short training and the bundled server."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NEO4J_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), **QUICK},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def ueba(folder: Path, *arguments: str) -> str:
    return python(folder, "from ueba.cli import main; main()", *arguments)


def block(page: str, language: str) -> str:
    """The first block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def commands() -> list[list[str]]:
    return [shlex.split(line, comments=True) for line in block(README, "sh").splitlines()]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with auth.txt.gz and people.csv."""
    folder = tmp_path_factory.mktemp("documents")
    ueba(folder, "simulate", "--output", ".", "--users", "60", "--days", "12")
    return folder


def test_the_commands_run_as_written(logs: Path) -> None:
    try:
        outputs = {command[1]: ueba(logs, *command[1:]) for command in commands() if command[1] != "explain"}
        first = ueba(logs, "incidents", "--format", "csv").splitlines()[1].split(",")[2]
        explained = ueba(logs, "explain", first, "--picture", "incident.html")
    finally:
        ueba(logs, "graph", "server", "stop")
    assert "no single change makes it normal" in explained or "it would have been normal" in explained
    assert "daily edges" in outputs["ingest"]
    assert "how often" in outputs["incidents"] and "user" in outputs["graph"]
    assert (logs / "incident.html").stat().st_size > 10_000


def test_the_example_of_the_api_runs_as_written(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "auth.txt.gz").symlink_to(logs / "auth.txt.gz")
    printed = python(tmp_path, block((ROOT / "docs/architecture.md").read_text(), "python")).splitlines()
    events, records = re.findall(r"^auth.txt.gz (\d+) events of (\d+) records$", printed[0])[0]
    assert events == records and int(events) > 1000
    incidents = [line.split("\t") for line in printed[1:] if not line.startswith("\t")]
    assert [rank for rank, *_ in incidents] == [str(number) for number in range(1, len(incidents) + 1)]
    assert any(line.startswith("\t") for line in printed)


# --- names of files -----------------------------------------------------------------------------------------

NAMED = {
    (page, name)
    for page in PAGES
    for name in re.findall(
        r"`((?:ueba|graphdb|models|scripts|docs|tests|configs)/[\w./-]+)`", page.read_text()
    )
    if name not in TO_MAKE
}
LINKED = {
    (page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text())
}


@pytest.mark.parametrize(
    ("page", "name"), sorted(NAMED), ids=lambda value: getattr(value, "stem", None) or str(value)
)
def test_what_a_document_names_is_there(page: Path, name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize(
    ("page", "link"), sorted(LINKED), ids=lambda value: getattr(value, "stem", None) or str(value)
)
def test_what_a_document_links_to_is_there(page: Path, link: str) -> None:
    assert (page.parent / link).exists()


def test_the_picture_of_the_road_is_that_of_its_table() -> None:
    drawn = (ROOT / "docs/pictures/road.svg").read_text()
    page = (ROOT / "docs/architecture.md").read_text()
    files = re.findall(r"^\| .+ \| \w+ \| `(ueba/[\w./]+)` \|", page, re.MULTILINE)
    assert len(files) > 10 and files == re.findall(r">(ueba/[\w./]+)<", drawn)
