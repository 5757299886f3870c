"""The road from a log to incidents on a small simulated organisation: training, scoring, walking forward,
nights, the graph."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ingest_world import event, write
from small_workspace import (
    CONFIG,
    DAY,
    HOSTILE,
    LAST,
    day_files,
    history_before,
    learn,
    memory,
    read,
    run,
    score,
    short_training,
)

from graphdb import Connection
from graphdb.store import Store
from ueba import backtest, findings, graph, ontology, stages, words
from ueba.cli import main
from ueba.config import IncidentConfig, TrainConfig
from ueba.contracts import scored as contract
from ueba.contracts.incident import ModelFacts
from ueba.contracts.reason import Unknown
from ueba.contracts.report import IngestReport
from ueba.detect.past import lessons
from ueba.detect.score.detector import Detector
from ueba.errors import InputError, UebaError, UsageError, WorkspaceError
from ueba.investigate import periods
from ueba.nightly import is_news, last_day, nightly
from ueba.progress import quiet
from ueba.triage import log
from ueba.workspace import Workspace

pytestmark = pytest.mark.usefixtures("quick_training")


def test_a_scored_day_has_ranked_incidents_with_reasons(workspace: Workspace) -> None:
    found = score(workspace)
    assert [incident.rank for incident in found.incidents] == list(range(1, len(found.incidents) + 1))
    assert 1 <= len(found.incidents) <= 5
    scores = [incident.score for incident in found.incidents]
    assert scores == sorted(scores, reverse=True)
    assert all(incident.reasons == found.edges_of(incident)[0].reasons for incident in found.incidents)
    assert found.edges["surprise"].ge(0).all() and found.edges["p_value"].between(0, 1).all()
    assert findings.load_incidents(workspace.findings) == found.incidents
    assert contract.edges(findings.load_edges(workspace.findings, LAST)) == contract.edges(found.edges)


def test_unknown_entities_are_scored_and_said_to_be(workspace: Workspace) -> None:
    learn(workspace, LAST - DAY, replace(CONFIG, train=TrainConfig(steps=40, seeds=1)))
    found = score(workspace, config=replace(CONFIG, incidents=IncidentConfig(candidates=10_000)))
    stranger = next(edge for edge in contract.edges(found.edges) if edge.user.startswith(HOSTILE))
    unknown = {reason.role for reason in stranger.reasons if isinstance(reason, Unknown)}
    assert {"user", "source"} <= unknown
    assert stranger.surprise > found.edges["surprise"].median()


def test_scoring_again_says_the_same(workspace: Workspace) -> None:
    once, again = score(workspace), score(workspace)
    assert once.incidents == again.incidents
    assert once.edges.equals(again.edges)


def test_a_day_that_was_learned_is_not_scored(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="would be scored by what came after it"):
        score(workspace, LAST - DAY)


def test_training_twice_gives_the_same_model(workspace: Workspace, trained: Workspace) -> None:
    learn(workspace, LAST - DAY)
    for name in ("model/model-0.safetensors", "model/calibration.json", "history/history.safetensors"):
        assert (workspace.root / name).read_bytes() == (trained.root / name).read_bytes()


def test_late_data_makes_the_history_anew(workspace: Workspace, logs: Path, tmp_path: Path) -> None:
    carried_on = history_before(workspace)
    late = tmp_path / "late.txt"
    late.write_text(Path(day_files(logs)[3]).read_text().splitlines()[0].replace("Success", "Fail") + "\n")
    read(workspace, late)
    made_anew = history_before(workspace)
    changed = set(made_anew.batches) ^ set(carried_on.batches)
    assert (
        len(changed) == 2 and len({batch.split("/")[0] for batch in changed}) == 1
    )  # that day's edges, before and after
    shutil.rmtree(workspace.history)
    assert history_before(workspace).batches == made_anew.batches


def test_scoring_a_file_keeps_nothing(workspace: Workspace, logs: Path) -> None:
    before = sorted(path for path in workspace.root.rglob("*") if path.is_file())
    found = list(stages.score_file(memory(workspace), day_files(logs)[-1], "lanl"))
    assert [finding.day for finding in found] == [LAST]
    assert sorted(path for path in workspace.root.rglob("*") if path.is_file()) == before
    stored = score(workspace)
    both = found[0].edges.head(50).merge(stored.edges, on=["user", "source", "target"], suffixes=("", "_day"))
    assert len(both) >= 50
    assert (both["surprise"] - both["surprise_day"]).abs().max() < 1e-6


# --- walking forward ----------------------------------------------------------------------------------------


def walked(workspace: Workspace, last: dt.date) -> backtest.Backtest:
    plan = backtest.Plan(LAST - 4 * DAY, LAST - 3 * DAY, last, retrain_days=2)
    return backtest.backtest(workspace.lake, plan, CONFIG)


@pytest.fixture(scope="module")
def walk(trained: Workspace) -> backtest.Backtest:
    with short_training():
        return walked(trained, LAST)


def test_a_backtest_writes_the_columns_that_others_compute_on(
    walk: backtest.Backtest, tmp_path: Path
) -> None:
    assert walk.trainings == [LAST - 4 * DAY, LAST - 2 * DAY]
    backtest.write(walk, tmp_path)
    edges = pq.read_table(tmp_path / "edges.parquet")
    assert edges.column_names == ["day", "user", "source", "target", "surprise", "p_value", "incident"]
    incidents = pq.read_table(tmp_path / "incidents.parquet").to_pandas()
    assert list(incidents.columns) == ["day", "incident", "rank", "score", "users", "machines"]
    named = set(edges["incident"].to_pylist()) - {None}
    assert named == set(incidents["incident"])
    per_day = edges.to_pandas().groupby("day").size()
    assert len(per_day) == 4 and (per_day >= 400).all()


def test_the_future_changes_nothing_before_it(trained: Workspace, walk: backtest.Backtest) -> None:
    """The first days of a longer walk are those of a shorter one."""
    short, long = walked(trained, LAST - DAY), walk
    assert len(short.findings) == 3
    for sooner, later in zip(short.findings, long.findings, strict=False):
        assert sooner.edges.equals(later.edges) and sooner.incidents == later.incidents


def test_days_out_of_order_are_refused(trained: Workspace) -> None:
    with pytest.raises(UsageError, match="--train-until"):
        backtest.backtest(trained.lake, backtest.Plan(LAST, LAST, LAST), CONFIG)


# --- the graph ----------------------------------------------------------------------------------------------


@pytest.fixture
def store(connection: Connection) -> Iterator[Store]:
    with Store(connection) as opened:
        for node in ontology.SCHEMA.nodes:
            opened.delete(
                f"MATCH (n:{node.label}) WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS deleted"
            )
        yield opened


def counts(store: Store) -> list[int]:
    return [store.count(item) for item in (*ontology.SCHEMA.nodes, *ontology.SCHEMA.relationships)]


def test_the_graph_says_what_the_lake_says(store: Store, workspace: Workspace) -> None:
    finding = score(workspace)
    loaded = graph.load(store, memory(workspace), LAST, LAST, quiet)
    once = counts(store)
    assert graph.load(store, memory(workspace), LAST, LAST, quiet) == {"days": 1}
    assert counts(store) == once
    store.delete(
        "MATCH (n:LoadedDay) WITH n LIMIT $limit DELETE n RETURN count(*) AS deleted"
    )  # as if cut off before its end
    assert graph.load(store, memory(workspace), LAST, LAST, quiet) == loaded
    assert counts(store) == once
    assert store.count(ontology.LOGGED_ON) == loaded["LOGGED_ON"]
    hostile = store.query(
        "MATCH (u:User)-[r:LOGGED_ON]->(m:Machine {name: 'C2'}) RETURN u.name AS name, r.source AS source"
    )
    assert hostile.values.tolist() == [[f"{HOSTILE}@X", "C1"]]
    worst = store.query(
        "MATCH (i:Incident {rank: 1})-[:SCORED_BY]->(r:ModelRun) RETURN i.id AS id, r.trained_until AS run"
    )
    assert worst.values.tolist() == [[finding.incidents[0].id, str(LAST - DAY)]]
    scored = store.query(
        "MATCH (u:User)-[r:LOGGED_ON|ACCESSED]->() WHERE r.incident = $id RETURN DISTINCT u.name AS name",
        {"id": finding.incidents[0].id},
    )
    assert sorted(scored["name"]) == list(finding.incidents[0].users)
    machine_accounts = store.query("MATCH (u:MachineAccount) RETURN u.name AS name")["name"]
    assert len(machine_accounts) and all("$@" in name for name in machine_accounts)


def test_a_day_without_incidents_is_a_result(
    store: Store, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert score(workspace).incidents
    graph.load(store, memory(workspace), LAST, LAST, quiet)
    monkeypatch.setattr(ModelFacts, "least_score", lambda *_: 1e9)
    assert not score(workspace).incidents
    graph.load(store, memory(workspace), LAST, LAST, quiet)
    assert store.count(ontology.INCIDENT) == 0
    scored = store.query(
        "MATCH ()-[r:LOGGED_ON|ACCESSED]->() WHERE r.surprise IS NOT NULL RETURN r.incident AS incident"
    )
    assert len(scored) and scored["incident"].isna().all()
    assert "no incident" in run(workspace.root, "incidents").stderr
    assert run(workspace.root, "incidents", "--format", "json").stdout == "[]\n"
    days = ("--train-until", str(LAST - 2 * DAY), "--from", str(LAST - DAY), "--to", str(LAST))
    run(workspace.root, "backtest", *days, "--output", str(workspace.root / "backtest"))
    assert pq.read_table(workspace.root / "backtest" / "incidents.parquet").num_rows == 0


def test_a_name_that_is_understood_later_replaces_the_old_one_in_the_graph(
    store: Store, tmp_path: Path
) -> None:
    workspace, sid = Workspace(tmp_path / "ws"), "S-1-5-21-1-2-3-9"
    monday, tuesday = dt.date(2026, 3, 2), dt.date(2026, 3, 3)
    nights = (
        [event("09:00:00", sid, "ws1", "srv1"), event("09:00:00", sid, "ws1", "srv1", action="privilege")],
        [event("2026-03-03T09:00:00", "CORP\\alice", "ws1", "srv1", user_id=sid, witness="host")],
    )
    for number, lines in enumerate(nights):
        read(workspace, write(tmp_path, f"log{number}", lines), str(tmp_path / "all.toml"))
        graph.load(store, memory(workspace), monday, tuesday, quiet)
    asked = (
        "MATCH (u:User)-[r:LOGGED_ON]->() RETURN u.name AS user, r.day AS day, r.witnesses AS seen,"
        " u:Privileged AS admin"
    )
    assert store.query(f"{asked} ORDER BY day").to_dict("records") == [
        {"user": "alice@corp", "day": str(monday), "seen": 0, "admin": True},
        {"user": "alice@corp", "day": str(tuesday), "seen": 1, "admin": True},
    ]


def test_a_night_then_the_same_night_again(connection: Connection, logs: Path, tmp_path: Path) -> None:
    environment = {
        "NEO4J_URI": connection.uri,
        "NEO4J_USERNAME": connection.username,
        "NEO4J_PASSWORD": connection.password,
    }
    environment["NEO4J_DATABASE"] = connection.database
    workspace = Workspace(tmp_path)
    first = nightly(workspace, day_files(logs), "lanl", CONFIG, environment)
    assert first.day == LAST and first.incidents
    assert list(first.seconds) == [
        "ingest",
        "load",
        "train before",
        "score",
        "train",
        "write",
        "prune",
        "similar",
    ]
    with Store(connection) as store:
        once = counts(store)
        again = nightly(workspace, day_files(logs), "lanl", CONFIG, environment)
        assert again.incidents == first.incidents
        assert counts(store) == once
    assert all(report.already_ingested for report in again.ingested)
    assert "score" not in again.seconds
    assert len(list(workspace.runs.glob("*-nightly.json"))) == 2


# --- the command line ---------------------------------------------------------------------------------------


def test_incidents_and_explain_from_the_command_line(workspace: Workspace, tmp_path: Path) -> None:
    score(workspace)
    listed = [
        json.loads(line) for line in run(workspace.root, "incidents", "--format", "jsonl").stdout.splitlines()
    ]
    kept = findings.load_incidents(workspace.findings)
    often = periods.of_incidents(workspace.findings, {}, kept)
    rows = [
        {**words.incident_json(incident), **often[incident.id].fields, "verdict": None} for incident in kept
    ]
    assert listed == json.loads(json.dumps(rows))
    assert all(reason["kind"] and reason["sentence"] for reason in listed[0]["reasons"])
    picture = tmp_path / "picture.html"
    result = run(workspace.root, "explain", listed[0]["id"][:13], "--picture", str(picture))
    assert listed[0]["id"] in result.stdout
    page = picture.read_text()
    assert listed[0]["users"][0] in page and "<script src" not in page
    assert run(workspace.root, "incidents", "--format", "csv").stdout.startswith(
        "day,rank,id,how_often,score,period_days,period_is_bound,p_value,p_is_bound,"
    )


def test_score_reads_a_pipe(workspace: Workspace, logs: Path) -> None:
    command = [sys.executable, "-c", "from ueba.cli import main; main()", "--workspace", str(workspace.root)]
    lines = Path(day_files(logs)[-1]).read_text()
    piped = subprocess.run(
        [*command, "score", "-", "--format", "jsonl"],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    )
    edges = [json.loads(line) for line in piped.stdout.splitlines()]
    assert edges and all(edge["p_value"] > 0 and edge["reasons"] for edge in edges)
    assert any(edge["user"].startswith(HOSTILE) for edge in edges)


def test_what_is_missing_is_said_with_the_next_command(tmp_path: Path) -> None:
    for arguments, message in (
        (["incidents"], "ueba score"),
        (["explain", "x"], "ueba incidents"),
        (["train"], "ueba ingest"),
        (["score"], "ueba ingest"),
        (["ingest", str(tmp_path / "none.txt"), "--log-format", "lanl"], "none.txt"),
    ):
        assert message in run(tmp_path / "empty", *arguments, code=1).output
    assert "--train-until" in run(tmp_path, "backtest", "--from", "2026-01-01", code=2).output
    assert "YYYY-MM-DD" in run(tmp_path, "train", "--until", "yesterday", code=2).output


def test_bad_files_leave_the_workspace_as_it_was(workspace: Workspace, logs: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in workspace.lake.rglob("*") if path.is_file()}
    bad = {
        "empty.txt": b"",
        "binary.txt": bytes(range(256)) * 100,
        "cut.txt.gz": (logs / "all.txt.gz").read_bytes()[:2000],
        "other.txt": b"hello\nworld\n",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        assert (
            name in run(workspace.root, "ingest", str(tmp_path / name), "--log-format", "lanl", code=1).output
        )
    run(workspace.root, "ingest", str(logs / "all.txt.gz"), "--log-format", "nonsense", code=2)
    assert {path: path.read_bytes() for path in workspace.lake.rglob("*") if path.is_file()} == before


def test_settings_tell_where_they_come_from(tmp_path: Path) -> None:
    settings = tmp_path / "ueba.toml"
    settings.write_text("[incidents]\nbudget = 25\n")
    shown = run(
        tmp_path,
        "--config",
        str(settings),
        "config",
        "show",
        "--format",
        "json",
        env={"UEBA_TRAIN_SEEDS": "5"},
    )
    rows = {row["setting"]: (row["value"], row["source"]) for row in json.loads(shown.stdout)}
    assert rows["incidents.budget"] == (25, str(settings))
    assert rows["train.seeds"] == (5, "UEBA_TRAIN_SEEDS")
    assert rows["train.steps"][1] == "default"
    for text, message in (
        ("[incident]\na=1", "unknown section"),
        ("[train]\nstep=1", "unknown key"),
        ("[train]\nsteps='x'", "whole"),
    ):
        settings.write_text(text)
        assert message in run(tmp_path, "--config", str(settings), "config", "show", code=2).output


def test_every_command_has_help_with_an_example() -> None:
    def walk(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, sub in getattr(command, "commands", {}).items():
            yield from walk(sub, (*path, name)) if hasattr(sub, "commands") else [(*path, name)]

    for path in walk(main, ()):
        assert "Example:" in CliRunner().invoke(main, [*path, "--help"]).output, path


def test_errors_have_exit_codes() -> None:
    assert (UebaError.exit_code, UsageError.exit_code) == (1, 2)


def test_findings_of_a_day_that_was_not_scored(tmp_path: Path) -> None:
    assert lessons.of_workspace(tmp_path, (), lambda day: []).excluded(LAST) == {}
    with pytest.raises(WorkspaceError, match="was not scored"):
        findings.load_edges(tmp_path, LAST)


def test_the_doctor_looks_at_everything(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NEO4J_")]:
        monkeypatch.delenv(name)
    rows = json.loads(run(workspace.root, "doctor", "--format", "json").stdout)
    assert {row["state"] for row in rows} == {"ok"}
    (workspace.model / "model-0.safetensors").write_bytes(b"x")
    assert "damaged" in run(workspace.root, "doctor", code=1).output


def test_a_file_that_cannot_be_read_is_no_news(workspace: Workspace) -> None:
    """Else every run of a night that one such file is among would score and learn anew."""
    learn(workspace, LAST - DAY)
    score(workspace)
    learn(workspace)
    broken, read_well = IngestReport(file="broken.gz", problem="not a gzip file"), IngestReport(file="a.gz")
    assert not is_news(memory(workspace), LAST, [broken])
    assert is_news(memory(workspace), LAST, [broken, read_well])


def test_a_first_night_without_a_file_to_read_says_what_is_wrong_with_the_files(
    workspace: Workspace, tmp_path: Path
) -> None:
    """An empty lake and a misspelt name: the name is the problem, not the lake."""
    empty = memory(Workspace(tmp_path / "empty"))
    missing = IngestReport(file="a.txt", problem="a.txt: No such file or directory")
    with pytest.raises(InputError, match="^a.txt: No such file"):
        last_day(empty, [missing, IngestReport(file="b.txt")])
    with pytest.raises(WorkspaceError, match="no edges yet"):
        last_day(empty, [])
    assert last_day(memory(workspace), [missing]) == LAST


def test_a_night_loads_the_model_once_and_reads_the_verdict_log_once(
    connection: Connection, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night scores with the model that is there and trains the next; it needs no other, and no verdict
    twice."""
    counted: list[str] = []
    loads, reads = Detector.load, log.read

    def load(folder: Path) -> Detector:
        counted.append("model")
        return loads(folder)

    def read_log(root: Path) -> log.Log:
        counted.append("verdicts")
        return reads(root)

    monkeypatch.setattr(Detector, "load", staticmethod(load))
    monkeypatch.setattr(log, "read", read_log)
    environment = {
        "NEO4J_URI": connection.uri,
        "NEO4J_USERNAME": connection.username,
        "NEO4J_PASSWORD": connection.password,
        "NEO4J_DATABASE": connection.database,
    }
    night = nightly(workspace, [], "lanl", CONFIG, environment)
    assert night.day == LAST and {"score", "train", "similar"} <= set(night.seconds)
    assert sorted(counted) == ["model", "verdicts"]
