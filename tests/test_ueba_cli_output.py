"""What the command line prints: tables with times in a zone, JSON with versions, a reader that leaves
early."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from command_line import LEAVES
from scored_world import save, scored_edge
from small_workspace import LAST, run

from ueba import findings, suspects
from ueba.cli import main, output
from ueba.cli.common import command
from ueba.contracts import versions
from ueba.contracts.night import Night
from ueba.ingest import lake
from ueba.workspace import Workspace

SUMMER, WINTER = dt.datetime(2026, 7, 1, 22, 30), dt.datetime(2026, 1, 1, 23, 0, 0, 250_000)


def printed(rows: list[dict[str, Any]], *options: str, output_format: str = "table") -> str:
    """What a command with common options prints of rows."""

    @command("probe")
    def probe() -> None:
        output.emit(rows, output_format, 7)

    result = CliRunner().invoke(probe, options, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


# --- times --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "summer", "winter"),
    [
        ("UTC", "2026-07-01 22:30:00", "2026-01-01 23:00:00.250000"),
        ("Europe/Berlin", "2026-07-02 00:30:00", "2026-01-02 00:00:00.250000"),
        ("America/New_York", "2026-07-01 18:30:00", "2026-01-01 18:00:00.250000"),
    ],
)
def test_times_of_a_table_are_in_the_zone_that_its_heading_names(zone: str, summer: str, winter: str) -> None:
    rows = [
        {"time": SUMMER, "first": WINTER.isoformat(), "name": "a"},
        {"time": pd.Timestamp(WINTER, tz="UTC"), "first": "2026-07-02T00:30:00+02:00", "name": "b"},
    ]
    text = printed(rows, "--timezone", zone)
    assert f"time ({zone})" in text and f"first ({zone})" in text and "name (" not in text
    assert text.count(summer) == text.count(winter) == 2


def test_what_is_no_time_is_left_as_it_is() -> None:
    rows = [
        {"day": dt.date(2026, 7, 1), "last_seen": "2026-07-01", "name": SUMMER.isoformat(), "time": pd.NaT}
    ]
    text = printed(rows, "--timezone", "Asia/Tokyo")
    assert "Tokyo" not in text and text.count("2026-07-01") == 3 and "2026-07-01T22:30:00" in text


@pytest.mark.parametrize("output_format", ["json", "jsonl", "csv"])
def test_programs_get_utc(output_format: str) -> None:
    rows = [{"time": SUMMER, "first": WINTER.isoformat()}]
    text = printed(rows, "--timezone", "Europe/Berlin", output_format=output_format)
    assert "2026-07-01 22:30:00" in text and "2026-01-01T23:00:00.250000" in text and "Berlin" not in text


def test_an_explanation_is_told_in_the_zone(scored: Workspace) -> None:
    incident = findings.load_incidents(scored.findings, LAST)[0]
    edges = findings.load(scored.findings, LAST).edges_of(incident)
    first = min(edge.first_seen for edge in edges).replace(tzinfo=dt.UTC)
    tokyo = dt.timezone(dt.timedelta(hours=9))
    shown = run(scored.root, "explain", incident.id, "--timezone", "Asia/Tokyo").stdout
    assert f"between {first.astimezone(tokyo):%Y-%m-%d %H:%M:%S}" in " ".join(shown.split())
    assert "Asia/Tokyo; rank" in " ".join(shown.split())
    assert f"between {first:%Y-%m-%d %H:%M:%S}" in " ".join(
        run(scored.root, "explain", incident.id).stdout.split()
    )


# --- tables -------------------------------------------------------------------------------------------------


def test_a_wide_table_is_whole_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    headings = ["row", *(f"heading-{number}\nsecond-{number}" for number in range(40))]

    @command("probe")
    def probe() -> None:
        output.wide_table(headings, [[f"value-{number}" for number in range(41)]])

    lines = [line.split() for line in CliRunner().invoke(probe, []).stdout.splitlines()]
    assert [f"heading-{n}" for n in range(40)] in lines
    assert ["row", *(f"second-{n}" for n in range(40))] in lines
    assert [f"value-{n}" for n in range(41)] in lines


@pytest.mark.parametrize("options", [["--no-color"], []])
def test_no_color_is_plain_text(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    @command("probe")
    def probe() -> None:
        output.table([{"name": "a"}])

    shown = CliRunner().invoke(probe, options, color=True)
    assert ("\x1b" in shown.stdout) is (not options)


def test_progress_is_for_terminals_and_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    @command("probe")
    def probe() -> None:
        with output.progress() as report:
            report("read", 1, 2)
            report("read", 2, 2)

    assert CliRunner().invoke(probe, []).output == ""
    assert "read: 2 of 2" in CliRunner().invoke(probe, ["-v"]).stderr
    assert "read: 1 of 2" in CliRunner().invoke(probe, ["-vv"]).stderr


# --- a reader that leaves early -----------------------------------------------------------------------------

MANY = """
import sys
from ueba.cli import main
from ueba.ingest import sources
sources.formats = lambda: {f"name-{number}": "x" * 80 for number in range(20_000)}
main()
"""


@pytest.mark.parametrize("output_format", ["table", "json", "jsonl", "csv"])
def test_who_leaves_early_is_no_error(output_format: str) -> None:
    command = f"set -o pipefail; {sys.executable} -c '{MANY}' formats --format {output_format} | head -n 2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2


def test_help_may_be_left_early_too() -> None:
    for arguments in ("--help", "ingest --help"):
        command = f"set -o pipefail; {sys.executable} -c '{MANY}' {arguments} | (exec < /dev/null; sleep 1)"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_work_goes_on_when_nobody_reads_and_keeps_its_exit_code(tmp_path: Path) -> None:
    log, lake_of = tmp_path / "log", tmp_path / "ws"
    log.write_text("1,a@x,a@x,C1,C2,NTLM,Network,LogOn,Success\n")
    ueba = f"{sys.executable} -c 'from ueba.cli import main; main()' ingest"
    for file, code in ((log, 0), (f"{log} {tmp_path}/none", 1)):
        command = f"set -o pipefail; {ueba} {file} -w {lake_of} -v 2>&1 | (exec < /dev/null; sleep 1)"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert done.returncode == code
        assert [str(day) for day in lake.days(Workspace(lake_of).lake)] == ["1970-01-01"]


# --- versions -----------------------------------------------------------------------------------------------


class Store:
    """A graph that answers each query with a row."""

    def query(self, *arguments: Any) -> pd.DataFrame:
        return pd.DataFrame([{"name": "a", "day": "2026-01-16"}])


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch, scored: Workspace) -> None:
    """Commands that need a graph server, or write, do without."""

    @contextlib.contextmanager
    def connect(*arguments: Any) -> Iterator[Store]:
        yield Store()

    night = Night(LAST, (), {}, {}, 0, findings.load_incidents(scored.findings, LAST, LAST), {})
    monkeypatch.setattr("ueba.graph.connect", connect)
    monkeypatch.setattr("ueba.nightly.nightly", lambda *arguments: night)


KINDS = {  # command -> its arguments, the version of its records
    "ask": (["loaded-days"], versions.ANSWER),
    "ask list": ([], versions.QUESTION),
    "calibration": ([], versions.CALIBRATION),
    "cases": ([], versions.CASE),
    "config show": ([], versions.SETTING),
    "day": (["USER", str(LAST)], versions.USER_DAY),
    "doctor": ([], versions.CHECK),
    "entity": ([], versions.ENTITY_NAME),
    "entity USER": ([], versions.ENTITY),
    "explain": (["INCIDENT"], versions.EXPLANATION),
    "explain CASE": ([], versions.CASE),
    "formats": ([], versions.LOG_FORMAT),
    "graph query": (["RETURN 1"], versions.QUERY),
    "graph schema": ([], versions.GRAPH_SCHEMA),
    "graph server status": ([], versions.SERVER),
    "incidents": ([], versions.INCIDENT),
    "ingest": (["LOG"], versions.INGEST_REPORT),
    "newcomers": ([], versions.NEWCOMER),
    "nightly": ([], versions.INCIDENT),
    "perimeter": (["--from", "USER", "--since", str(LAST)], versions.PERIMETER),
    "risk": ([], versions.RISK),
    "score": (["LOG"], versions.SCORED_EDGE),
    "scores": ([], versions.DAY_SCORE),
    "sources": ([], versions.REPORTER),
    "suspects": ([], versions.ACTOR),
    "suspects ACTOR": ([], versions.SUSPECT),
    "triage log": ([], versions.VERDICT),
    "triage rules": ([], versions.RULE),
    "triage rules --dry-run": ([], versions.INCIDENT),
}
ELSEWHERE = {"evaluate"}  # in test_ueba_evaluate_cli.py


def test_every_command_with_a_format_is_in_the_table() -> None:
    with_format = {
        name
        for name, command in LEAVES.items()
        if "output_format" in [param.name for param in command.params]
    }
    assert with_format == {name for name in KINDS if name in LEAVES} | ELSEWHERE
    assert {version for version in vars(versions) if version.isupper()}


@pytest.mark.parametrize("output_format", ["json", "jsonl"])
@pytest.mark.parametrize("name", KINDS)
def test_every_record_has_its_version(
    name: str, output_format: str, graph: None, scored_workspace: Workspace, tmp_path: Path
) -> None:
    prepare(scored_workspace)
    user = findings.load_incidents(scored_workspace.findings, LAST)[0].users[0]
    (tmp_path / "log").write_text("1768521600,x@x,x@x,C1,C2,NTLM,Network,LogOn,Success\n")
    names = {
        "USER": user,
        "INCIDENT": findings.load_incidents(scored_workspace.findings, LAST)[0].id,
        "CASE": f"case-{findings.load_incidents(scored_workspace.findings, LAST)[1].id}",
        "LOG": str(tmp_path / "log"),
        "ACTOR": actors_of(scored_workspace)[0].name,
    }
    words = [names.get(word, word) for word in [*name.split(), *KINDS[name][0]]]
    shown = CliRunner().invoke(main, [*words, "-w", str(scored_workspace.root), "--format", output_format])
    assert shown.exit_code == 0, shown.output
    records = (
        [json.loads(line) for line in shown.stdout.splitlines()]
        if output_format == "jsonl"
        else json.loads(shown.stdout)
    )
    records = records if isinstance(records, list) else [records]
    assert records and {record["schema_version"] for record in records} == {KINDS[name][1]}


def actors_of(workspace: Workspace) -> list[suspects.Actor]:
    """Who acted in what the training set aside."""
    return suspects.actors({one.day: one.suspects for one in suspects.load_all(workspace.findings)})


def prepare(workspace: Workspace) -> None:
    """A verdict, and a rule that hides the worst incident."""
    worst, file = findings.load_incidents(workspace.findings, LAST)[0], workspace.root / "rule.toml"
    run(workspace.root, "triage", worst.id, "--verdict", "benign", "--reason", "a drill")
    facts = {"name": "drill", "reason": "planned", "owner": "ann", "user": worst.users[0]}
    lines = [f"{key} = {json.dumps(value)}" for key, value in facts.items()]
    file.write_text("\n".join(["[[rule]]", *lines, "expires = 2026-02-01"]))
    run(workspace.root, "triage", "rules", "--apply", str(file), "--yes")


# --- incidents ----------------------------------------------------------------------------------------------


def test_a_table_counts_the_resources_of_an_incident_and_csv_names_them(tmp_path: Path) -> None:
    incident = "20260302-aaaaaaaa"
    mailbox = scored_edge(target="mailbox", target_kind="resource", incident=incident)
    save(tmp_path, [scored_edge(incident=incident), mailbox])
    lines = [re.split(r"\s{2,}", line.strip()) for line in run(tmp_path, "incidents").stdout.splitlines()]
    heading, row = (cells for cells in lines if len(cells) > 3)
    assert (row[heading.index("machines")], row[heading.index("resources")]) == ("2", "1")
    [record] = csv.DictReader(run(tmp_path, "incidents", "--format", "csv").stdout.splitlines())
    assert (record["machines"], record["resources"]) == ("srv1 | ws1", "mailbox")
