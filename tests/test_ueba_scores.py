"""What is below the line can be asked for: the scores of all edges, and incidents that were not reported."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scored_world import incident_of, on_day, save, scored_edge, table
from small_workspace import LAST, memory, run

from ueba import findings, scores
from ueba.contracts import day_scores, scored
from ueba.contracts.edge import Edge
from ueba.contracts.incident import BelowLine
from ueba.detect import incidents
from ueba.detect.past import lessons
from ueba.errors import UsageError, WorkspaceError
from ueba.ingest import lake
from ueba.triage import hiding
from ueba.triage.rules import parse
from ueba.workspace import Workspace

MONDAY = dt.date(2026, 3, 2)
DAY = dt.timedelta(days=1)


def world(*rows: tuple[str, str | None, str, float]) -> pa.Table:
    """The scores of a day with these edges: user, source, target, p-value."""
    names = ("user", "source", "target", "p_value")
    edges = pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows])
    more = {"target_kind": "machine", "surprise": 2.0, "strangeness": 3.0, "edges_a_day": 4.0}
    more["p_is_bound"] = edges["p_value"] < 1e-4
    return day_scores.from_pandas(edges.assign(**more, incident=None))


def kept(folder: Path, day: dt.date = MONDAY, keep_days: int = 37) -> None:
    scores.save(world(("bea", None, "srv1", 0.5), ("ann", "ws1", "srv1", 0.25)), folder, day, keep_days)


# --- on disk ------------------------------------------------------------------------------------------------


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    save(tmp_path, [scored_edge()])
    kept(tmp_path / "findings")
    found = scores.load(tmp_path / "findings", MONDAY).to_pylist()
    assert [row["user"] for row in found] == ["ann", "bea"]  # by user
    assert found[1] == {
        "user": "bea",
        "source": None,
        "target": "srv1",
        "target_kind": "machine",
        "surprise": 2.0,
        "p_value": 0.5,
        "p_is_bound": False,
        "strangeness": 3.0,
        "edges_a_day": 4.0,
        "incident": None,
    }


def test_numbers_are_cut_to_four_digits_towards_zero() -> None:
    numbers = np.array([1.0, 1e-12, 0.123456789, 27.63, 0.9999999])
    cut = day_scores.shortened(numbers)
    assert cut[0] == 1 and (cut > 0).all() and (cut <= numbers).all()
    assert (numbers / cut - 1 < 2**-11).all()
    assert (
        cut.dtype == np.float32 and len(np.unique(cut.view(np.uint32) % 2**12)) == 1
    )  # of 24 digits 12 are 0


@pytest.mark.parametrize(
    ("column", "value"), [("p_value", 0.0), ("p_value", 1.5), ("surprise", np.nan), ("edges_a_day", 0.0)]
)
def test_numbers_out_of_their_range_are_damage(column: str, value: float, tmp_path: Path) -> None:
    stored = world(("ann", "ws1", "srv1", 0.5))
    place = stored.column_names.index(column)
    damaged = stored.set_column(place, stored.field(column), pa.array([value], pa.float32()))
    scores.save(damaged, tmp_path, MONDAY, 37)
    with pytest.raises(WorkspaceError, match=f"scores={MONDAY}.*ueba score --day {MONDAY}"):
        scores.load(tmp_path, MONDAY)


def test_scores_of_another_version_are_scored_again(tmp_path: Path) -> None:
    stored = world(("ann", "ws1", "srv1", 0.5)).replace_schema_metadata({b"ueba.day_scores": b"0"})
    scores.save(stored, tmp_path, MONDAY, 37)
    with pytest.raises(WorkspaceError, match="version 0 instead of 2.*`ueba score --day"):
        scores.load(tmp_path, MONDAY)


def test_the_last_days_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    monkeypatch.setenv("UEBA_KEY_FILE", str(key))
    folder = tmp_path / "ws" / "findings"
    for number in (0, 1, 4, 2):
        kept(folder, MONDAY + number * DAY, keep_days=3)
    assert scores.days(folder) == [MONDAY + 2 * DAY, MONDAY + 4 * DAY]  # of the 4th, 3rd and 2nd
    assert len(list((folder / ".seals").iterdir())) == 2
    kept(folder, MONDAY, keep_days=3)  # scored again, and too old by now
    assert MONDAY not in scores.days(folder)


def test_days_are_chosen_among_those_that_are_kept(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        kept(tmp_path, MONDAY + number * DAY)
    chosen = scores.chosen_days(tmp_path, None, MONDAY + DAY, None)
    assert chosen == [MONDAY + DAY, MONDAY + 3 * DAY]
    with pytest.raises(UsageError, match="not both"):
        scores.chosen_days(tmp_path, MONDAY, MONDAY, None)
    with pytest.raises(WorkspaceError, match="2026-03-02 to 2026-03-05"):
        scores.chosen_days(tmp_path, None, MONDAY + 9 * DAY, None)


def test_edges_are_chosen_by_names() -> None:
    stored = world(("ann", "ws1", "srv1", 0.5), ("ann", None, "srv2", 0.5), ("bea", "ws1", "srv2", 0.5))
    assert scores.matching(stored, {"user": ["ann"]})["target"].to_pylist() == ["srv1", "srv2"]
    assert scores.matching(stored, {"source": ["ws1"], "target": ["srv2"]})["user"].to_pylist() == ["bea"]
    assert len(scores.matching(stored, {"source": ["ws9"]})) == 0 and len(scores.matching(stored, {})) == 3


# --- of a scored day ----------------------------------------------------------------------------------------


def test_all_edges_of_a_day_are_kept(scored: Workspace) -> None:
    stored = scores.load(scored.findings, LAST).to_pandas().astype({"source": object})
    stored["source"] = stored["source"].where(stored["source"].notna(), None)
    pairs = lake.read_pairs(scored.lake, LAST, LAST, scored.memory_limit)
    in_lake = {Edge(*row) for row in zip(*(pairs[name].to_pylist() for name in Edge._fields), strict=True)}
    by_edge = dict(zip(scored_identities(stored), stored.itertuples(), strict=True))
    assert by_edge.keys() == in_lake
    for edge in findings.load(scored.findings, LAST, below=True).edges.itertuples():
        short = by_edge[Edge(edge.user, edge.source, edge.target, edge.target_kind)]
        assert short.p_value == pytest.approx(edge.p_value, rel=1e-3)
        assert short.strangeness == pytest.approx(edge.strangeness_persisted, rel=1e-3, abs=1e-6)
        assert 1 / (short.p_value * short.edges_a_day) == pytest.approx(edge.once_in_days, rel=2e-3)
        assert (short.incident if isinstance(short.incident, str) else None) == edge.incident


def scored_identities(edges: pd.DataFrame) -> list[Edge]:
    return scored.identities(edges.astype({name: object for name in Edge._fields}))


def test_a_file_that_is_scored_leaves_none(workspace: Workspace, logs: Path) -> None:
    run(workspace.root, "score", str(logs / f"{LAST}.txt"), "--log-format", "lanl")
    assert not workspace.findings.exists() or not scores.days(workspace.findings)


# --- incidents below the line -------------------------------------------------------------------------------


def candidates() -> pd.DataFrame:
    """Four users, one strange edge each, that score 9, 8, 7 and 6; the third is hidden."""
    users = [("ann", 9.0), ("bea", 8.0), ("cat", 7.0), ("dan", 6.0)]
    edges = [
        scored_edge(user=user, source=f"ws-{user}", strangeness=nats, rule="scan" if user == "cat" else None)
        for user, nats in users
    ]
    return table(edges)


def test_incidents_below_the_line_rank_after_the_others() -> None:
    best, found = incidents.incidents(MONDAY, candidates(), 10, budget=1)
    assert [incident.rank for incident in found] == [1]
    names, below = incidents.below_line(MONDAY, best, 10, budget=1, most=9)
    assert [(incident.rank, incident.score, incident.hidden_by) for incident in below] == [
        (2, 8.0, None),
        (3, 7.0, "scan"),
        (4, 6.0, None),
    ]
    assert dict(zip(best["user"], names, strict=True)) == {
        "ann": None,
        "bea": below[0].id,
        "cat": below[1].id,
        "dan": below[2].id,
    }


def test_no_more_are_kept_than_asked_for_and_none_that_was_reported() -> None:
    best, found = incidents.incidents(MONDAY, candidates(), 10, budget=4, least_score=6.5)
    assert [incident.hidden_by for incident in found] == [None, None, "scan"]
    names, below = incidents.below_line(MONDAY, best, 10, budget=4, most=9)
    assert [(incident.rank, incident.score) for incident in below] == [(4, 6.0)]  # below the least score
    assert incidents.below_line(MONDAY, best, 10, budget=4, most=0)[1] == []


@pytest.fixture
def below(tmp_path: Path) -> Workspace:
    """A day with one incident, of ann, and one below the line, of bea."""
    workspace = Workspace(tmp_path)
    ann = on_day(MONDAY, Edge("ann", "ws1", "srv1", "machine"), "20260302-aaaaaaaa")
    bea = on_day(MONDAY, Edge("bea", "ws2", "srv2", "machine"), None)
    under = incident_of(
        [msgspec.structs.replace(bea, incident="20260302-bbbbbbbb")], rank=12, score=5.0, below_line=True
    )
    entry = BelowLine(under, (bea.edge,))
    found = findings.Findings(MONDAY, table([ann, bea]), (incident_of([ann]),), (entry,))
    findings.save(found, workspace.findings)
    return workspace


def test_only_those_who_ask_meet_what_is_below_the_line(below: Workspace) -> None:
    folder = below.findings
    ids = [incident.id for incident in findings.load_incidents(folder)]
    assert ids == ["20260302-aaaaaaaa"]
    assert findings.load(folder, MONDAY).edges["incident"].tolist() == ["20260302-aaaaaaaa", None]
    asked = findings.load(folder, MONDAY, below=True)
    assert [(incident.id, incident.below_line) for incident in asked.incidents] == [
        ("20260302-aaaaaaaa", False),
        ("20260302-bbbbbbbb", True),
    ]
    assert asked.edges["incident"].tolist() == ["20260302-aaaaaaaa", "20260302-bbbbbbbb"]
    assert [edge.user for edge in asked.edges_of(asked.incidents[1])] == ["bea"]


def listed(workspace: Workspace, *arguments: str) -> list[str]:
    printed = run(workspace.root, "incidents", *arguments, "--format", "json").stdout
    return [incident["id"][9:] for incident in json.loads(printed)]


def test_the_list_goes_on_below_the_line_only_if_asked(below: Workspace) -> None:
    assert listed(below) == listed(below, "--limit", "10") == listed(below, "--all") == ["aaaaaaaa"]
    assert listed(below, "--limit", "12") == listed(below, "--below") == ["aaaaaaaa", "bbbbbbbb"]
    assert listed(below, "--below", "--limit", "1") == ["aaaaaaaa"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UEBA_INCIDENTS_BUDGET", "5")  # fewer than are listed by default
        assert listed(below) == ["aaaaaaaa"] and len(listed(below, "--limit", "12")) == 2
    shown = run(below.root, "incidents", "--limit", "50")
    assert (
        "below line" in shown.stdout
        and "1 of them are below the line: they were not reported" in shown.stderr
    )
    assert "below" not in run(below.root, "incidents").stdout


def test_one_below_the_line_is_found_by_its_id(below: Workspace) -> None:
    explained = run(below.root, "explain", "bbbb")
    assert "rank 12 of 2026-03-02, below the line" in explained.stdout
    assert "explained by the reasons that were kept alone" in explained.stderr
    assert "every part of it is usual, but not together" in explained.stdout
    exported = run(below.root, "export", "ecs", "bbbb").stdout
    assert "rank 12 of 2026-03-02, below the line" in exported
    assert "bbbbbbbb" not in run(below.root, "export", "ecs").stdout
    assert "no incident is called 'cccc'" in run(below.root, "explain", "cccc", code=1).stderr


def test_a_verdict_on_one_below_the_line_is_learned(below: Workspace) -> None:
    run(below.root, "triage", "bbbb", "--verdict", "true", "--reason", "stolen")
    learned = lessons.of_workspace(below.findings, memory(below).verdicts, lambda day: []).excluded(MONDAY)
    assert learned[Edge("bea", "ws2", "srv2", "machine")] == 0.0
    assert listed(below) == ["aaaaaaaa"]  # it was not reported, whatever it was


def test_rules_hide_what_is_below_the_line_too(below: Workspace) -> None:
    text = '[[rule]]\nname = "scan"\nreason = "r"\nowner = "o"\nexpires = 2026-04-01\nuser = "bea"\n'
    hiding.hide_all(below.findings, parse(text, "rules.toml"))
    (entry,) = findings.load_below(below.findings, MONDAY)
    assert entry.incident.hidden_by == "scan" and entry.incident.rank == 12
    assert listed(below, "--below") == ["aaaaaaaa"]
    assert listed(below, "--below", "--all") == ["aaaaaaaa", "bbbbbbbb"]
    hiding.hide_all(below.findings, ())
    assert listed(below, "--below") == ["aaaaaaaa", "bbbbbbbb"]


def test_findings_without_a_line_are_read_as_they_are(tmp_path: Path) -> None:
    """Days that were scored before incidents below the line were kept."""
    save(tmp_path, [on_day(MONDAY, Edge("ann", "ws1", "srv1", "machine"), "20260302-aaaaaaaa")])
    folder = tmp_path / "findings"
    file = folder / f"day={MONDAY}.json"
    day = json.loads(file.read_text())
    for incident in day["incidents"]:
        del incident["below_line"]
    file.write_text(json.dumps(day))
    assert [incident.below_line for incident in findings.load_incidents(folder, below=True)] == [False]
    hiding.hide_all(folder, ())
    assert not (folder / f"below={MONDAY}.json").exists()


def test_a_damaged_line_is_one_error(below: Workspace) -> None:
    file = below.findings / f"below={MONDAY}.json"
    file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    failed = run(below.root, "incidents", "--below", code=1)
    assert (
        "schema version 9 instead of 1" in failed.stderr and "`ueba score --day 2026-03-02`" in failed.stderr
    )
    assert run(below.root, "incidents").exit_code == 0


# --- the command --------------------------------------------------------------------------------------------


def asked(workspace: Workspace, *arguments: str) -> list[dict[str, object]]:
    printed = run(workspace.root, "scores", *arguments, "--format", "jsonl").stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_a_users_day_is_all_of_it(scored: Workspace) -> None:
    stored = scores.load(scored.findings, LAST)
    user = stored["user"][-1].as_py()
    rows = asked(scored, "--day", str(LAST), "--user", user)
    assert len(rows) == stored["user"].to_pylist().count(user) and {row["user"] for row in rows} == {user}
    strangeness = [row["strangeness"] for row in rows]
    assert strangeness == sorted(strangeness, reverse=True)
    assert rows[0].keys() >= {
        "schema_version",
        "day",
        "target_kind",
        "once_in_days",
        "incident",
        "below_line",
    }
    assert len(asked(scored)) == len(stored)  # the last scored day, whole
    assert asked(scored, "--from", str(LAST - DAY), "--user", user) == rows


def test_names_are_spelt_as_elsewhere(scored: Workspace) -> None:
    user = scores.load(scored.findings, LAST)["user"][-1].as_py()
    assert asked(scored, "--user", user.upper()) == asked(scored, "--user", user)
    failed = run(scored.root, "scores", "--user", f"{user}x", code=1)
    assert f"no user is called '{user}x'. Did you mean" in failed.stderr
    failed = run(scored.root, "scores", "--source", user, code=1)
    assert "no machine is called" in failed.stderr


def test_a_table_has_words_and_says_what_it_leaves_out(scored: Workspace) -> None:
    shown = run(scored.root, "scores", "--limit", "3")
    assert "how rare" in shown.stdout and "surprise" not in shown.stdout
    edges = len(scores.load(scored.findings, LAST))
    assert f"3 of {edges:,} edges; --limit shows more" in shown.stderr
    assert "surprise" in run(scored.root, "scores", "--numbers").stdout


def test_a_day_without_scores_says_which_have_them(scored_workspace: Workspace) -> None:
    scores.path(scored_workspace.findings, LAST).unlink()
    failed = run(scored_workspace.root, "scores", code=1)
    assert "the scores of all its edges are not kept (days that have them: none)" in failed.stderr
    failed = run(scored_workspace.root, "scores", "--day", "2020-01-01", code=1)
    assert "2020-01-01 was not scored" in failed.stderr


def test_doctor_says_how_much_they_take(scored: Workspace) -> None:
    printed = run(scored.root, "doctor", "--format", "json").stdout
    details = {check["check"]: check["detail"] for check in json.loads(printed)}
    size = scores.path(scored.findings, LAST).stat().st_size
    edges = len(scores.load(scored.findings, LAST))
    assert details["scores of all edges"].endswith(f"{edges:,} edges, {size / edges:.1f} bytes an edge")


def test_reading_a_day_is_quick(scored: Workspace) -> None:
    """By the list of modules, not by the clock."""
    user = scores.load(scored.findings, LAST)["user"][-1].as_py()
    heavy = ("torch", "duckdb", "ibis", "neo4j", "matplotlib")
    code = (
        "import sys\nfrom ueba.cli import main\n"
        f"try: main(['--workspace', {str(scored.root)!r}, 'scores', '--user', {user!r}])\n"
        f"finally: print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_what_is_kept_is_less_than_twenty_bytes_an_edge(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    edges = 20_000
    frame = pd.DataFrame(
        {
            "user": [f"user-{number}@corp.example" for number in rng.integers(0, 2_000, edges)],
            "source": [f"ws-{number}" for number in rng.integers(0, 3_000, edges)],
            "target": [f"srv-{number}" for number in rng.integers(0, 500, edges)],
            "target_kind": "machine",
            **{name: rng.uniform(0.01, 1, edges) for name in day_scores.NUMBERS},
            "p_is_bound": rng.random(edges) < 0.001,
            "incident": None,
        }
    )
    scores.save(day_scores.from_pandas(frame), tmp_path, MONDAY, 37)
    ((_, rows, size),) = scores.sizes(tmp_path)
    assert rows == edges and size / rows < 20
