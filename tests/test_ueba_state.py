"""State is never trusted: every file of a workspace is damaged in many ways, and the commands that read it
answer with one message that names the file, or do not need it."""

from __future__ import annotations

import datetime as dt
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_workspace import LAST

from ueba import findings, health
from ueba.cli import main
from ueba.triage import desk, rules
from ueba.triage.desk import Decision
from ueba.workspace import Workspace

RULE = """[[rule]]
name = "patch night"
reason = "change 4711"
owner = "ann"
expires = 2026-03-31
user = "svc-patch*"
"""
SCORE = ("score", "--day", str(LAST))
# The files of a workspace, and a command that reads each beside `doctor --deep`.
FILES = {
    "lake/index.json": SCORE,
    "lake/batches/*.json": ("sources",),
    "lake/events/*/*.parquet": ("sources",),
    "lake/evidence/*.parquet": ("sources",),
    "lake/edges/day=2026-01-16/*.parquet": SCORE,
    "lake/entities.parquet": SCORE,
    "lake/given/*.json": ("ingest", "--entities", "PEOPLE"),
    "history/history.json": SCORE,
    "history/history.safetensors": SCORE,
    "model/facts.json": SCORE,
    "model/models.json": SCORE,
    "model/model-0.safetensors": SCORE,
    "model/frame.json": SCORE,
    "model/calibration.json": SCORE,
    "model/probe.json": ("doctor", "--deep"),
    "findings/day=*.json": ("incidents",),
    "findings/day=*.parquet": ("triage", "log"),
    "findings/explained=*.json": ("explain", "INCIDENT"),
    "findings/below=*.json": ("incidents", "--below"),
    "findings/scores=*.parquet": ("risk",),
    "findings/suspects=*.json": ("suspects",),
    "feedback/verdicts.jsonl": ("triage", "log"),
    "feedback/head.json": ("triage", "log"),
    "feedback/rules.toml": ("triage", "rules"),
    "runs/*-nightly.json": ("doctor", "--deep"),
}


@pytest.fixture(scope="module")
def filled(scored: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that has every file."""
    root = shutil.copytree(scored.root, tmp_path_factory.mktemp("state") / "ws")
    workspace = Workspace(root)
    people = root.parent / "people.csv"
    people.write_text("user,aliases,department\nU1@D,first,x\n")
    call(root, "ingest", "--entities", str(people))
    first, second = findings.load_incidents(workspace.findings)[:2]
    for incident in (first, second):
        desk.decide(workspace, incident.id, Decision("benign", "planned", "kim"))
    rules.install(root, RULE, "kim", dt.datetime(2026, 1, 17, tzinfo=dt.UTC), [])
    night = {"day": str(LAST), "ingested": [{"file": "a.log", "problem": None}], "seconds": {"score": 1.0}}
    workspace.record_run("nightly", night)
    assert call(root, "doctor", "--deep").exit_code == 0
    return root


def call(root: Path, *arguments: str):  # type: ignore[no-untyped-def]
    words = [str(root.parent / "people.csv") if word == "PEOPLE" else word for word in arguments]
    found = CliRunner().invoke(main, ["--workspace", str(root), *words])
    assert found.exit_code in (0, 1, 2), found.output
    assert "Traceback" not in found.output and "fault of ueba" not in found.output, found.output
    return found


@pytest.fixture
def copied(filled: Path, tmp_path: Path) -> Path:
    shutil.copy(filled.parent / "people.csv", tmp_path)
    return shutil.copytree(filled, tmp_path / "ws")


# --- damage -------------------------------------------------------------------------------------------------


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scrambled(path: Path) -> None:
    content, draw = bytearray(path.read_bytes()), random.Random(path.name)
    for place in draw.sample(range(len(content)), min(20, len(content))):
        content[place] = draw.randrange(256)
    path.write_bytes(bytes(content))


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(1000))


def content(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def other_version(path: Path) -> None:
    data = path.read_bytes()
    changed = re.sub(rb'("(?:schema_version|lake_version|format)": ?)\d+', rb"\g<1>77", data)
    path.write_bytes(changed if changed != data else b'{"schema_version": 77}')


def numbers_as_text(path: Path) -> None:
    path.write_bytes(re.sub(rb"(?<=[ \[:,])-?\d+(\.\d+)?(?=[,\n\]} ])", b'"x"', path.read_bytes()))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def swapped(path: Path) -> None:
    """The content of another file of the same ending."""
    root = next(parent for parent in path.parents if (parent / "lake").is_dir())
    others = [other for other in sorted(root.rglob(f"*{path.suffix}")) if other.parent != path.parent]
    shutil.copy(others[0] if others else root / "model" / "facts.json", path)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": content(b""),
    "truncated": truncated,
    "scrambled": scrambled,
    "random": random_bytes,
    "deep": content(b"[" * 200_000),
    "deep object": content(b'{"a":' * 100_000),
    "null": content(b"null"),
    "object": content(b"{}"),
    "huge number": content(b'{"schema_version": ' + b"9" * 5000 + b"}"),
    "NUL": content(b"\0" * 100),
    "no UTF-8": content(b'{"a": "\xff\xfe"}'),
    "other version": other_version,
    "numbers as text": numbers_as_text,
    "folder": a_folder,
    "loop": a_loop,
    "pipe": a_pipe,
    "swapped": swapped,
}
NO_DAMAGE = {  # a history of another version is learned again; no rules are rules
    ("history/history.json", "other version"),
    ("feedback/rules.toml", "empty"),
}
TEXT_ONLY = ("deep", "deep object", "null", "object", "huge number", "other version", "numbers as text")


def damages_of(pattern: str) -> Iterator[str]:
    """Those that are another damage than random bytes for a file of this kind."""
    is_text = pattern.endswith(("json", "jsonl", "toml"))
    return (name for name in DAMAGES if is_text or name not in TEXT_ONLY)


@pytest.mark.parametrize("pattern", FILES)
def test_a_damaged_file_is_one_message_that_names_it(pattern: str, copied: Path) -> None:
    workspace = Workspace(copied)
    (path, *_) = sorted(copied.glob(pattern))
    kept = copied.parent / "kept"
    shutil.copy(path, kept)
    incident = findings.load_incidents(workspace.findings)[0].id
    command = [incident if word == "INCIDENT" else word for word in FILES[pattern]]
    for name in damages_of(pattern):
        DAMAGES[name](path)
        if path.is_file() and not path.is_symlink() and path.read_bytes() == kept.read_bytes():
            continue  # nothing to be found
        found = [check for check in health.checks(workspace, deep=True) if check.state == "broken"]
        if (pattern, name) in NO_DAMAGE:
            assert not found
            restored(path, kept)
            continue
        is_named = any(str(part) in check.detail for check in found for part in (path, path.parent))
        assert is_named, (name, found)
        done = call(copied, *command)
        if done.exit_code:
            assert str(path) in done.output or str(path.parent) in done.output, (name, done.output)
        restored(path, kept)
    assert not [check for check in health.checks(workspace, deep=True) if check.state == "broken"]


def restored(path: Path, kept: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    shutil.copy(kept, path)
