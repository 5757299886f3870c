"""Every DuckDB that reads a log or the lake has the memory limit of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from small_workspace import LAST, run

from ueba.workspace import Workspace

ROOT = Path(__file__).parents[1]
LIMIT = "77MB"


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The memory limit of each connection that is opened."""
    opened: list[str | None] = []
    connect = duckdb.connect

    def watched(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        opened.append(options.get("config", {}).get("memory_limit"))
        return connect(*arguments, **options)

    monkeypatch.setattr(duckdb, "connect", watched)
    monkeypatch.setenv("UEBA_INGEST_MEMORY_LIMIT", LIMIT)
    return opened


LINE = "{second},U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success\n"
COMMANDS = (
    ("score", "--day", str(LAST)),
    ("score", "LOG", "--log-format", "lanl"),
    ("sources",),
    ("entity", "USER"),
    ("explain", "INCIDENT"),
    ("day", "USER", str(LAST)),
    ("perimeter", "--from", "USER", "--since", str(LAST)),
    ("report", str(LAST), "--output", "OUTPUT"),
    ("export", "ocsf", "--day", str(LAST), "--output", "OUTPUT"),
    ("calibration",),
    ("train", "--until", str(LAST)),
)


def test_reading_logs_has_the_limit(tmp_path: Path, limits: list[str | None]) -> None:
    """The second file overlaps the first one, so that its day takes every step and its edges are counted."""
    for number, seconds in enumerate((range(100), range(50, 150))):
        (tmp_path / f"{number}.txt").write_text("".join(LINE.format(second=second) for second in seconds))
    run(tmp_path / "ws", "ingest", str(tmp_path / "0.txt"), str(tmp_path / "1.txt"))
    assert len(limits) >= 3 and {*limits} == {LIMIT}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_that_reads_the_lake_has_the_limit(
    scored_workspace: Workspace, tmp_path: Path, limits: list[str | None], command: tuple[str, ...]
) -> None:
    from ueba import findings

    (tmp_path / "log.txt").write_text(LINE.format(second=(LAST.toordinal() - 719163) * 86400))
    incident = findings.load_incidents(scored_workspace.findings, LAST, LAST)[0]
    words = {
        "LOG": str(tmp_path / "log.txt"),
        "OUTPUT": str(tmp_path / "output"),
        "INCIDENT": incident.id,
        "USER": incident.users[0],
    }
    run(scored_workspace.root, *(words.get(word, word) for word in command))
    assert limits and {*limits} == {LIMIT}


def test_connections_are_opened_in_three_places() -> None:
    """`mapping` asks DuckDB whether it can parse a pattern, and reads nothing."""
    opening = {
        str(path.relative_to(ROOT / "ueba"))
        for path in (ROOT / "ueba").rglob("*.py")
        if "duckdb.connect(" in path.read_text()
    }
    assert opening == {"ingest/lake.py", "ingest/reading/conversion.py", "ingest/mapping.py"}
