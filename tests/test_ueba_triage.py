"""Verdicts and rules on a scored workspace: what they change, and the command line."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from small_workspace import CONFIG, DAY, LAST, history_before, learn, run, score, set_aside

from ueba import backtest, findings
from ueba.contracts import scored as contract
from ueba.contracts.edge import Edge
from ueba.contracts.reason import Effect
from ueba.contracts.verdict import Verdict, VerdictEdge
from ueba.detect import incidents
from ueba.detect.past.history import History, day_number
from ueba.detect.past.pairs import RELATIONS, pair_keys
from ueba.detect.score.detector import Detector
from ueba.errors import UsageError, WorkspaceError
from ueba.findings import Findings
from ueba.ingest import lake
from ueba.memory import Memory
from ueba.triage import desk, log, rules
from ueba.triage.desk import Decision
from ueba.workspace import Workspace

pytestmark = pytest.mark.usefixtures("quick_training")
NOW = dt.datetime(2026, 1, 16, 9, tzinfo=dt.UTC)
BEFORE = ["user", "source", "target", "surprise", "p_value", "carry_over"]
BY_SCORING = ["surprise", "p_value", "carry_over", "strangeness_alone", "strangeness_persisted"]


@pytest.fixture
def workspace(scored_workspace: Workspace) -> Workspace:
    return scored_workspace


def decide(
    workspace: Workspace, name: str, verdict: Any, reason: str, expires: dt.date | int | None = None
) -> Verdict:
    return desk.decide(workspace, name, Decision(verdict, reason, "ann", expires))[0]


def worst(workspace: Workspace) -> tuple[str, pd.DataFrame]:
    """The day's worst incident and its edges."""
    found = findings.load(workspace.findings, LAST)
    name = found.incidents[0].id
    return name, found.edges[found.edges["incident"] == name]


def about(edges: pd.DataFrame, verdict: Any, day: dt.date = LAST - DAY) -> Verdict:
    """A verdict on an incident of a day before that had these edges."""
    return Verdict(
        incident="20260115-earlier",
        day=day,
        verdict=verdict,
        reason="so it is",
        who="ann",
        entered=NOW,
        since=day + DAY,
        expires=None if verdict == "true" else day + 60 * DAY,
        edges=tuple(
            VerdictEdge(edge.edge, frozenset(edge.pattern), edge.strangeness_persisted)
            for edge in contract.edges(edges)
        ),
    )


def by_edge(edges: pd.DataFrame) -> pd.DataFrame:
    return edges.set_index(list(Edge._fields)).sort_index()


# --- scores -------------------------------------------------------------------------------------------------


def test_without_feedback_a_day_is_ranked_by_surprise_p_value_and_the_past_alone(
    workspace: Workspace,
) -> None:
    limits, model = CONFIG.incidents, Detector.load(workspace.model)
    least_score = findings.load_incidents(workspace.findings)[1].score - 1e-3  # that two incidents reach
    facts = msgspec.structs.replace(model.facts, usual_score={str(limits.budget): least_score})
    replace(model, facts=facts).save(workspace.model)
    found = score(workspace)
    edges = found.edges
    odds = np.log(np.expm1(edges["surprise"]))
    alone = odds - 0.3 * np.log(edges["p_value"])
    assert edges["strangeness_alone"].to_numpy() == pytest.approx(alone.to_numpy(), abs=1e-6)
    added = np.where(edges["p_value"] <= 0.02, edges["carry_over"], 0.0)
    assert (edges["strangeness_persisted"] == edges["strangeness_alone"] + added).all()
    assert (edges["strangeness"] == edges["strangeness_persisted"]).all()
    bare = edges[[*BEFORE, "strangeness"]]
    plain, ranked = incidents.incidents(LAST, bare, limits.candidates, limits.budget, least_score)
    assert plain["incident"].tolist() == edges["incident"].tolist()
    assert [(incident.id, incident.score) for incident in ranked] == [
        (incident.id, incident.score) for incident in found.incidents
    ]
    assert len(ranked) == 2 < len(incidents.incidents(LAST, bare, limits.candidates, limits.budget)[1])


def test_what_is_about_others_changes_nothing_to_the_last_bit(workspace: Workspace) -> None:
    before = findings.load(workspace.findings, LAST)
    _, edges = worst(workspace)
    log.add(workspace.root, about(edges.assign(user="nobody", source="nowhere", target="nothing"), "benign"))
    log.add(workspace.root, about(edges, "benign", day=LAST))  # its own day stays as it was
    rules.install(workspace.root, rule('user = "nobody"'), "ann", NOW, [])
    after = score(workspace)
    assert after.incidents == before.incidents
    pd.testing.assert_frame_equal(
        findings.load_edges(workspace.findings, LAST), before.edges, check_exact=True
    )


@pytest.mark.parametrize(("verdict", "expected"), [("benign", None), ("expected", None), ("true", 5.0)])
def test_an_edge_says_what_a_verdict_did_to_it(
    workspace: Workspace, verdict: str, expected: float | None
) -> None:
    before, (_, edges) = by_edge(findings.load_edges(workspace.findings, LAST)), worst(workspace)
    judgement = about(
        edges if verdict != "true" else edges.assign(target="elsewhere"), verdict
    )  # nothing to unlearn
    log.add(workspace.root, judgement)
    after = by_edge(score(workspace).edges)
    assert set(after.index) == set(before.index)  # the same edges are candidates, and so suspects
    pd.testing.assert_frame_equal(
        after[BY_SCORING],
        before.loc[after.index][BY_SCORING],
    )
    for edge in contract.identities(edges):
        row = after.loc[[edge]].iloc[0]
        nats = -min(row["strangeness_persisted"], 10.0) if expected is None else expected
        assert row["strangeness"] == pytest.approx(row["strangeness_persisted"] + nats)
        effect = row["reasons"][-1]
        assert isinstance(effect, Effect) and effect.incident == "20260115-earlier"
        assert effect.nats == pytest.approx(nats)
        assert list(row["verdicts"]) == [judgement.id]
    assert desk.log_rows(workspace)[0]["changed"] >= len(edges)


def test_what_was_called_benign_falls_in_rank(workspace: Workspace) -> None:
    _, edges = worst(workspace)
    log.add(workspace.root, about(edges, "benign"))
    finding = score(workspace)
    top = finding.edges[finding.edges["incident"] == finding.incidents[0].id]
    assert top["strangeness"].iloc[0] < edges["strangeness"].iloc[0]
    scores = [incident.score for incident in finding.incidents]
    assert scores == sorted(scores, reverse=True)


# --- learning -----------------------------------------------------------------------------------------------


def traces(history: History, edges: pd.DataFrame) -> dict[str, int]:
    """How many pairs of some edges a history knows or holds, by relation."""
    ids = {"user": history.users.find(list(edges["user"]))}
    ids |= {name: history.places.find([end or "" for end in edges[name]]) for name in ("source", "target")}
    found = {}
    for relation in RELATIONS:
        left, right = relation.split("_")
        keys = pair_keys(ids[left], ids[right])
        pairs = history.pairs[relation]
        found[relation] = int((pairs.find(keys)[1] | np.isin(keys, pairs.quarantined))[keys >= 0].sum())
    return found


def test_a_late_true_verdict_is_unlearned_and_its_withdrawal_learned(workspace: Workspace) -> None:
    learn(workspace)
    name, edges = worst(workspace)
    before = History.load(workspace.history)
    new = history_before(workspace, LAST)  # as of before the incident
    assert before is not None and sum(traces(before, edges).values()) > sum(traces(new, edges).values())
    decide(workspace, name, "true", "stolen")
    anew = history_before(workspace, LAST + DAY)
    assert traces(anew, edges) == traces(new, edges)
    learn(workspace)  # kept like this, it is carried on
    kept = History.load(workspace.history)
    assert kept is not None and kept.fingerprint == Memory(workspace, CONFIG).lessons.fingerprint(LAST) != ""
    assert traces(history_before(workspace, LAST + DAY), edges) == traces(new, edges)
    decide(workspace, name, "withdrawn", "it was a drill")
    assert traces(history_before(workspace, LAST + DAY), edges) == traces(before, edges)


def test_what_was_called_true_is_no_normal_edge_to_calibrate_by(workspace: Workspace) -> None:
    """The day before the last is held out of a training until the last."""
    day = LAST - DAY
    pairs = lake.read_pairs(workspace.lake, day, day, "1GB").slice(0, 30).to_pylist()
    edges = [Edge(*(row[name] for name in Edge._fields)) for row in pairs]
    judged = tuple(VerdictEdge(edge, frozenset(), 9.0) for edge in edges)
    verdict = Verdict("20260115-earlier", day, "true", "stolen", "ann", NOW, LAST, None, judged)
    before = learn(workspace).calibration.day
    log.add(workspace.root, verdict)
    after = learn(workspace).calibration.day
    assert set_aside(workspace, day) == 0
    assert (
        np.count_nonzero(before == day_number(day)) - np.count_nonzero(after == day_number(day))
        == len(set(edges))
        == 30
    )
    assert len(before) - len(after) == 30


def test_a_benign_verdict_leaves_what_is_learned_as_it_is(workspace: Workspace) -> None:
    learn(workspace)
    data = (workspace.history / "history.safetensors").read_bytes()
    decide(workspace, worst(workspace)[0], "benign", "new job")
    learn(workspace)
    assert (workspace.history / "history.safetensors").read_bytes() == data


def test_in_a_walk_a_verdict_counts_from_the_next_day_on(scored: Workspace) -> None:
    first = LAST - DAY
    days: list[list[Findings]] = [[], [], []]

    def walk(analyst: backtest.Analyst) -> backtest.Backtest:
        plan = backtest.Plan(first - DAY, first, LAST)
        return backtest.backtest(scored.lake, plan, CONFIG, analyst=analyst)

    def watch(finding: Findings) -> list[Verdict]:
        days[0].append(finding)
        return []

    def clairvoyant(finding: Findings) -> list[Verdict]:
        days[1].append(finding)
        (tomorrow,) = [finding for finding in days[0] if finding.day == LAST]
        worst = tomorrow.edges[tomorrow.edges["incident"] == tomorrow.incidents[0].id]
        return [about(worst, "benign", day=finding.day)]

    silent, judged = walk(watch), walk(clairvoyant)
    pd.testing.assert_frame_equal(days[0][0].edges, days[1][0].edges)
    assert days[1][0].incidents == days[0][0].incidents
    lowered = [edge for edge in contract.edges(days[1][1].edges) if edge.verdict_nats < 0]
    assert lowered and not any(edge.verdict_nats for edge in contract.edges(days[0][1].edges))
    assert [len(found.edges) for found in judged.findings] == [len(found.edges) for found in silent.findings]


# --- giving verdicts ----------------------------------------------------------------------------------------


def test_verdicts_begin_and_end_by_the_days_that_were_scored(workspace: Workspace) -> None:
    name, edges = worst(workspace)
    benign = decide(workspace, name, "benign", "new job")
    assert (benign.day, benign.since, benign.expires) == (LAST, LAST + DAY, LAST + 91 * DAY)
    assert [row.edge for row in benign.edges] == contract.identities(edges)
    assert [row.strangeness for row in benign.edges] == edges["strangeness_persisted"].tolist()
    assert [row.pattern for row in benign.edges] == [frozenset(codes) for codes in edges["pattern"]]
    assert any("new user_target" in row.pattern for row in benign.edges)
    assert decide(workspace, name, "expected", "drill", 7).expires == LAST + 8 * DAY
    assert decide(workspace, name, "expected", "drill", LAST + 2 * DAY).expires == LAST + 2 * DAY
    assert decide(workspace, name, "true", "stolen").expires is None
    with pytest.raises(UsageError, match="does not expire"):
        decide(workspace, name, "true", "stolen", 7)
    with pytest.raises(
        UsageError, match="--expires 2026-01-16: the first day it could count for is 2026-01-17"
    ):
        decide(workspace, name, "benign", "new job", LAST)
    with pytest.raises(WorkspaceError, match="no incident is called '2099'"):
        decide(workspace, "2099", "true", "x")


def test_the_command_line_takes_verdicts_and_lists_them(workspace: Workspace) -> None:
    name, edges = worst(workspace)
    hostile = "new \x1b[2J[bold]job"
    result = run(
        workspace.root,
        "triage",
        name[:14],
        "--verdict",
        "benign",
        "--reason",
        hostile,
        "--who",
        "ann",
        "--expires",
        "60",
    )
    assert f"{name} is called benign by ann until 2026-03-18: {len(edges)} edges" in result.stderr
    again = run(
        workspace.root,
        "triage",
        name,
        "--verdict",
        "benign",
        "--reason",
        hostile,
        "--who",
        "ann",
        "--expires",
        "60",
    )
    assert "has this verdict already" in again.stderr
    run(workspace.root, "triage", "--verdict", "true", "--reason", "stolen", name)
    rows = json.loads(run(workspace.root, "triage", "log", "--format", "json").stdout)
    assert [(row["incident"], row["verdict"], row["who"] == "ann") for row in rows] == [
        (name, "benign", True),
        (name, "true", False),
    ]
    assert rows[0]["state"].startswith("superseded: true since 20") and rows[1]["state"] == "in force"
    assert [row["changed"] for row in rows] == [0, 0]
    assert "\x1b" not in rows[0]["reason"] and rows[0]["schema_version"] == 2
    table = run(workspace.root, "triage", "log")
    assert "\x1b" not in table.stdout and "[bold]job" in table.stdout
    assert (
        json.loads(run(workspace.root, "triage", "log", "--from", "2099-01-01", "--format", "json").stdout)
        == []
    )
    (shown, *others) = json.loads(run(workspace.root, "incidents", "--format", "json").stdout)
    assert shown["verdict"] == "true" and {other["verdict"] for other in others} == {None}


def test_wrong_use_is_said(workspace: Workspace) -> None:
    name, _ = worst(workspace)
    assert (
        "no incident is called 'x'"
        in run(workspace.root, "triage", "x", "--verdict", "true", "--reason", "y", code=1).stderr
    )
    assert (
        "incidents begin with '2026'"
        in run(workspace.root, "triage", "2026", "--verdict", "true", "--reason", "y", code=1).stderr
    )
    run(workspace.root, "triage", name, "--verdict", "maybe", "--reason", "y", code=2)
    run(workspace.root, "triage", name, "--verdict", "benign", "--reason", "y", "--expires", "soon", code=2)
    assert "has no verdict that could be withdrawn" in (
        run(workspace.root, "triage", name, "--verdict", "withdrawn", "--reason", "y", code=2).stderr
    )
    assert "give 1 to 99999 days" in (
        run(
            workspace.root, "triage", name, "--verdict", "benign", "--reason", "y", "--expires", "0", code=2
        ).stderr
    )
    assert (
        "501 characters"
        in run(workspace.root, "triage", name, "--verdict", "true", "--reason", "y" * 501, code=2).stderr
    )
    assert (
        "--reason is empty"
        in run(workspace.root, "triage", name, "--verdict", "true", "--reason", " ", code=2).stderr
    )
    assert (
        "no day was scored yet" in run(workspace.root / "no", "triage", "rules", "--dry-run", code=1).stderr
    )


def test_damage_is_told_wherever_verdicts_are_read(workspace: Workspace) -> None:
    path = log.path(workspace.root)
    path.parent.mkdir()
    path.write_text('{"half')
    name, _ = worst(workspace)
    for command in (["triage", name, "--verdict", "true", "--reason", "y"], ["triage", "log"], ["incidents"]):
        assert f"{path}:1: not a verdict" in run(workspace.root, *command).stderr


# --- rules --------------------------------------------------------------------------------------------------


def rule(condition: str) -> str:
    return f'[[rule]]\nname = "drill"\nreason = "planned"\nowner = "ann"\nexpires = 2026-02-01\n{condition}\n'


def test_rules_are_tried_then_put_in_force_and_hide(workspace: Workspace, tmp_path: Path) -> None:
    name, edges = worst(workspace)
    file = tmp_path / "drill.toml"
    file.write_text(
        "".join(
            f'[[rule]]\nname = "drill {user}"\nreason = "planned"\nowner = "ann"\n'
            f'expires = 2026-02-01\nuser = "{user}"\n'
            for user in sorted(set(edges["user"]))
        )
    )
    run(workspace.root, "triage", name, "--verdict", "true", "--reason", "stolen")
    tried = run(workspace.root, "triage", "rules", "--dry-run", "--rules", str(file), "--format", "json")
    assert [incident["id"] for incident in json.loads(tried.stdout)] == [name]
    assert "would have hidden 1 of" in tried.stderr
    assert f"WARNING: 1 of them were called TRUE and would never have been seen: {name}" in tried.stderr
    assert not rules.path(workspace.root).exists()

    run(workspace.root, "triage", name, "--verdict", "withdrawn", "--reason", "a drill")
    assert (
        "WARNING"
        not in run(workspace.root, "triage", "rules", "--apply", str(file), "--yes", "--who", "ann").stderr
    )
    (change,) = map(json.loads, rules.path(workspace.root).with_suffix(".jsonl").read_text().splitlines())
    assert (change["who"], change["hidden"], change["text"]) == ("ann", [name], file.read_text())
    shown = json.loads(run(workspace.root, "incidents", "--format", "json").stdout)
    assert name not in [incident["id"] for incident in shown]
    assert [incident["rank"] for incident in shown] == list(range(1, len(shown) + 1))
    listed = run(workspace.root, "incidents", "--all", "--format", "json")
    (hidden,) = [incident for incident in json.loads(listed.stdout) if incident["hidden_by"]]
    assert hidden["id"] == name and hidden["hidden_by"].startswith("drill ")
    assert "drill" in run(workspace.root, "incidents", "--all").stdout

    finding = score(workspace)  # scored again, it is the same, and its place is free
    assert [incident.id for incident in finding.incidents if incident.hidden_by] == [name]
    shown = run(workspace.root, "report", "--output", "-").stdout
    assert name not in shown and "1 more is hidden by rules" in shown
    run(
        workspace.root, "triage", name, "--verdict", "true", "--reason", "no drill at all"
    )  # what was called true is always there
    listed = run(workspace.root, "incidents", "--limit", "1", "--format", "json").stdout
    assert name in [incident["id"] for incident in json.loads(listed)]
    assert name in run(workspace.root, "report", "--output", "-").stdout


def test_rules_are_not_put_in_force_by_who_says_no(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "drill.toml"
    file.write_text(rule('user = "*"'))
    assert "would have hidden" in run(workspace.root, "triage", "rules", "--apply", str(file), code=1).stderr
    assert not rules.path(workspace.root).exists()
    file.write_text(rule('colour = "red"'))
    assert (
        "unknown key 'colour'"
        in run(workspace.root, "triage", "rules", "--apply", str(file), "--yes", code=2).stderr
    )
    assert (
        "not both"
        in run(workspace.root, "triage", "rules", "--apply", str(file), "--rules", str(file), code=2).stderr
    )
    for more in (["--from", "2026-01-01"], ["--to", "2026-01-01"], ["--dry-run"]):
        assert (
            "--apply"
            in run(workspace.root, "triage", "rules", "--apply", str(file), "--yes", *more, code=2).stderr
        )
    assert not rules.path(workspace.root).exists()


def test_rules_in_force_are_listed(workspace: Workspace) -> None:
    assert "no rules are in force" in run(workspace.root, "triage", "rules").stderr
    rules.install(workspace.root, rule('user = "SVC-*"'), "ann", NOW, [])
    (shown,) = json.loads(run(workspace.root, "triage", "rules", "--format", "json").stdout)
    assert (shown["name"], shown["conditions"], shown["state"]) == ("drill", ["user = svc-*"], "in force")
