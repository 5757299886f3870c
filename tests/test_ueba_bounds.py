"""p-values that are the least that scores carry are said as bounds, wherever they are shown."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from scored_world import NOON, incident_of, on_day, scored_edge, table
from small_workspace import run

from ueba import findings, scores, words
from ueba.contracts import day_scores, scored
from ueba.contracts.edge import Edge
from ueba.findings import Findings

DAY = NOON.date()
NAME = "20260302-aaaaaaaa"
RARE = {"p_value": 8e-5, "p_is_bound": True, "once_in_days": 300.0}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A day with an edge at its bound, and a rarer one that is not, as its account is broader."""
    edges = [
        on_day(DAY, Edge("ann", "ws1", "srv1", "machine"), NAME, **RARE),
        on_day(DAY, Edge("ann", "ws1", "srv2", "machine"), NAME, p_value=7e-5, once_in_days=200.0),
    ]
    found = Findings(DAY, table(edges), (incident_of(edges),))
    findings.save(found, tmp_path / "findings")
    short = found.edges.assign(edges_a_day=1 / (found.edges["p_value"] * found.edges["once_in_days"]))
    scores.save(day_scores.from_pandas(short), tmp_path / "findings", DAY, 37)
    return tmp_path


@pytest.mark.parametrize(
    ("days", "is_bound", "text"),
    [
        (300.0, False, "about once in 300 days an account this active does something this unusual"),
        (300.0, True, "less than once in 300 days an account this active does something this unusual"),
        (4000.0, False, "less than once in 1,000 days an account this active does something this unusual"),
        (1.0, False, "about every day an account this active does something this unusual"),
        (1.0, True, "less than once a day an account this active does something this unusual"),
    ],
)
def test_how_rare_in_words(days: float, is_bound: bool, text: str) -> None:
    assert words.rarity(days, is_bound) == text


def test_p_in_words() -> None:
    assert (words.p(8e-5, True), words.p(8e-5)) == ("p < 8e-05", "p 8e-05")


def test_tables_and_sentences_say_it(workspace: Path) -> None:
    for command in (["incidents"], ["scores"]):
        text = " ".join(run(workspace, *command, "--numbers").stdout.split())
        assert ("< 8e-05" in text) is (command == ["scores"])
    assert "< 7e-05" in " ".join(
        run(workspace, "incidents", "--numbers").stdout.split()
    )  # the edge beside it
    text = " ".join(run(workspace, "scores").stdout.split())
    assert "less than once in 300 days" in text and " once in 200 days" in text
    text = " ".join(run(workspace, "explain", NAME, "--numbers").stdout.split())
    assert "p < 8e-05" in text and "less than once in 300 days an account" in text
    assert "about once in 200 days an account" in text and "p 7e-05" in text


def test_programs_get_a_field(workspace: Path) -> None:
    [incident] = json.loads(run(workspace, "incidents", "--format", "json").stdout)
    assert (incident["p_value"], incident["p_is_bound"]) == (7e-5, True)
    rows = json.loads(run(workspace, "scores", "--format", "json").stdout)
    assert [row["p_is_bound"] for row in rows] == [True, False]
    record = json.loads(run(workspace, "explain", NAME, "--format", "json").stdout)
    record = record[0] if isinstance(record, list) else record
    assert [edge["p_is_bound"] for edge in record["edges"]] == [True, False]
    [row] = csv.DictReader(run(workspace, "incidents", "--format", "csv").stdout.splitlines())
    assert (row["p_value"], row["p_is_bound"]) == ("7e-05", "True")
    [finding] = map(json.loads, run(workspace, "export", "ocsf").stdout.splitlines())
    unmapped = finding["unmapped"]
    assert unmapped["p_is_bound"] and [edge["p_is_bound"] for edge in unmapped["edges"]] == [True, False]


def older(stored: pa.Table, key: bytes, version: str) -> pa.Table:
    """A table as the version before wrote it."""
    return stored.drop_columns(["p_is_bound"]).replace_schema_metadata({key: version.encode()})


def test_days_of_the_version_before_are_read_as_if_nothing_were_a_bound(workspace: Path) -> None:
    now = scored.to_arrow(table([scored_edge(**RARE)]))
    before = older(now, b"ueba.scored_edges", "3")
    assert scored.from_arrow(before)["p_is_bound"].tolist() == [False] and scored.steps(before) == {}
    stored = scores.load(workspace / "findings", DAY)
    read = day_scores.checked(older(stored, b"ueba.day_scores", "1"))
    assert read["p_is_bound"].to_pylist() == [False, False] and read.schema.equals(day_scores.SCHEMA)
    for version in ("2", "5"):
        with pytest.raises(ValueError, match=f"version {version}"):
            scored.from_arrow(older(now, b"ueba.scored_edges", version))
    with pytest.raises(ValueError, match="scored edges of version"):
        scored.from_arrow(before.drop_columns(["user"]))
