"""Names that would be SQL, patterns or markup, in the lake and in what is asked of it: names, no more."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from ingest_world import event, everything, read

from ueba.cli import main

NAMES = [
    "' or 1=1 --",
    '" or "1"="1',
    "'; drop table events; --",
    "') union all select * from read_text('/etc/passwd') --",
    "%",
    "_" * 5,
    "[a-z]*?",
    "$$evil$$",
    "{name}",
    "<script>alert(1)</script>",
    "]]></data>&amp;",
    "=cmd|'/c calc'!a1",
    "a\u202egnp.exe",
    "🐎 žluťoučký",
    "n" * 500,
]
FORMATS = ("table", "json", "jsonl", "csv", "graphml", "stix")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each name as a user, who went from a machine of that name to another one."""
    world = tmp_path_factory.mktemp("hostile")
    [report] = read(world, [event(f"09:{at:02}:00", name, name, f"srv{at}") for at, name in enumerate(NAMES)])
    assert report.events == len(NAMES)
    return world


@pytest.fixture
def edges(folder: Path) -> Iterator[dict[str, str]]:
    """The target of each user, as the lake spells them; the lake stays as it is."""
    before = everything(folder)
    found = {edge["user"]: edge["target"] for edge in before}
    assert len(found) == len(NAMES)
    yield found
    assert everything(folder) == before


def run(folder: Path, *arguments: str) -> Result:
    """What a command prints, whether it finds anything or not: a message at worst."""
    result = CliRunner().invoke(main, ["--workspace", str(folder), *arguments])
    assert "Traceback" not in result.output and "fault of ueba" not in result.output, result.output[-500:]
    return result


def perimeter(folder: Path, names: Iterable[str], output_format: str) -> str:
    begin = [part for name in names for part in ("--from", name)]
    result = run(folder, "perimeter", *begin, "--since", "2026-03-02", "--format", output_format)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_perimeter_begins_at_the_one_that_is_named(folder: Path, edges: dict[str, str]) -> None:
    for name, target in edges.items():
        found = json.loads(perimeter(folder, [name], "json"))
        reached = {row["entity"] for row in found["reached"]}
        assert target in reached and not reached & ({*edges.values()} - {target}), name


@pytest.mark.parametrize("output_format", FORMATS)
def test_every_format_bears_them(folder: Path, edges: dict[str, str], output_format: str) -> None:
    text = perimeter(folder, edges, output_format)
    assert output_format not in ("table", "csv") or "\u202e" not in text
    if output_format == "graphml":
        ElementTree.fromstring(text)
    if output_format in ("json", "stix"):
        json.loads(text)


def test_an_entity_is_the_one_that_is_named(folder: Path, edges: dict[str, str]) -> None:
    for name in edges:
        run(folder, "entity", name, "--format", "json")


@pytest.mark.parametrize("value", ["' or '1'='1", "%v_%", "*", "x\x00y", "\udcff", "n" * 10**6, "'" * 9999])
def test_one_that_is_not_there_is_not_found(folder: Path, edges: dict[str, str], value: str) -> None:
    for arguments in (("perimeter", "--since", "2026-03-02", "--from", value), ("entity", value)):
        printed = run(folder, *arguments).output
        assert len(printed) < 20_000
        assert not any(target in printed for target in edges.values())
