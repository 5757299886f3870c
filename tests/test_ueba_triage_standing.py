"""What the organisation knows changes ranks: each effect by hand, incidents of honey and of nobody."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_workspace import CONFIG, HOSTILE, LAST, run, score

from ueba import backtest, findings
from ueba.contracts import scored as contract
from ueba.contracts.edge import Edge
from ueba.contracts.entity import Entity
from ueba.contracts.reason import CrownJewel, Honey, Known, Leaver, Maintenance
from ueba.contracts.standing import STAYS, Standing, Window
from ueba.detect import incidents
from ueba.detect.score import carryover
from ueba.findings import Findings
from ueba.ingest import lake
from ueba.triage import rules, standing
from ueba.triage.hiding import hide_all
from ueba.workspace import Workspace

DAY = dt.date(2026, 1, 20)
NINE = dt.datetime(2026, 1, 20, 9)
HOUR = dt.timedelta(hours=1)
JEWEL, HONEY = Standing(crown_jewel=True), Standing(honey=True)


def left(days: int) -> Standing:
    """The last day lies so many days before DAY."""
    return Standing(left=DAY - dt.timedelta(days=days))


def maintained(since: dt.datetime, until: dt.datetime) -> Standing:
    return Standing(maintenance=(Window(since, until),))


def edges(*rows: tuple[str, str | None, str], **columns: Any) -> pd.DataFrame:
    """Edges (user, source, target) at nine o'clock, each of strangeness 8 and p 0.001 if nothing else is
    said."""
    table = pd.DataFrame(rows, columns=["user", "source", "target"], dtype=object)
    seen = {"day": DAY, "first_seen": NINE, "last_seen": NINE, "row": range(len(rows))}
    scores = {"target_kind": "machine", "p_value": 0.001, "strangeness": 8.0, "surprise": 1.0}
    return table.assign(**seen, **scores).assign(**columns)


def effects(standings: dict[Entity, Standing], **columns: Any) -> list[Known]:
    """What is known of the edge of ann from pc1 to srv."""
    table = edges(("ann", "pc1", "srv"), **columns)
    found = standing.ends(table, standings)
    return standing.effects(found[0], table.iloc[0].to_dict()) if found else []


# --- one edge -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "role"),
    [
        (Entity("machine", "srv"), "target"),
        (Entity("user", "ann"), "user"),
        (Entity("machine", "pc1"), "source"),
    ],
)
def test_a_strange_edge_of_a_crown_jewel_counts_twice_as_much_but_ten_nats_at_most(
    entity: Entity, role: Any
) -> None:
    found = {entity: JEWEL}
    assert effects(found) == [CrownJewel(role, entity.kind, entity.name, 8.0, 2.0)]  # type: ignore[arg-type]
    assert effects(found, strangeness=25.0) == [CrownJewel(role, entity.kind, entity.name, 10.0, 1.4)]  # type: ignore[arg-type]
    assert effects(found, p_value=0.02) and not effects(found, p_value=0.021)
    assert not effects(found, strangeness=0.0)


def test_honey_counts_whatever_happened() -> None:
    found = {Entity("machine", "srv"): HONEY}
    assert effects(found, p_value=1.0, strangeness=0.0) == [Honey("target", "machine", "srv", 100.0)]


def test_a_leaver_counts_from_the_day_after_the_last_day() -> None:
    ann = Entity("user", "ann")
    assert not effects({ann: left(0)}) and not effects({ann: Standing(left=STAYS)})
    day = DAY - dt.timedelta(days=1)
    assert effects({ann: left(1)}) == [Leaver("user", "user", "ann", day, 8.0, 2.0)]
    # An ordinary edge gains five nats, a very strange one ten.
    assert effects({ann: left(1)}, p_value=0.9, strangeness=1.0) == [
        Leaver("user", "user", "ann", day, 5.0, 6.0)
    ]
    assert effects({ann: left(1)}, strangeness=40.0) == [Leaver("user", "user", "ann", day, 10.0, 1.25)]
    assert effects({ann: left(1)}, strangeness=0.0) == [Leaver("user", "user", "ann", day, 5.0, 0.0)]
    assert effects({Entity("machine", "pc1"): left(1)}) == [Leaver("source", "machine", "pc1", day, 8.0, 2.0)]


def test_maintenance_halves_what_lies_in_its_window_whole() -> None:
    srv = Entity("machine", "srv")
    during = maintained(NINE, NINE + HOUR)
    assert effects({srv: during}) == [
        Maintenance("target", "machine", "srv", NINE, NINE + HOUR, -4.0, 0.5),
    ]
    assert effects({srv: during}, strangeness=30.0)[0].nats == -10.0  # what is far stranger still shows
    assert not effects({srv: during}, first_seen=NINE - HOUR)  # began before
    assert not effects({srv: during}, last_seen=NINE + 2 * HOUR)  # went on after
    assert not effects({srv: maintained(NINE + HOUR, NINE + 2 * HOUR)})
    assert effects({Entity("user", "ann"): during}) and effects({Entity("machine", "pc1"): during})


def test_each_counts_once_and_from_the_same_strangeness() -> None:
    """Twice for the jewel and twice for the leaver are 8 each, half for the maintenance 4."""
    both = Standing(True, None, DAY - dt.timedelta(days=1), (Window(NINE, NINE),))
    found = effects({Entity("machine", "srv"): both, Entity("user", "ann"): both})
    assert [(type(fact), fact.role, fact.nats) for fact in found] == [
        (CrownJewel, "target", 8.0),
        (Leaver, "target", 8.0),
        (Maintenance, "target", -4.0),
    ]


def test_a_name_is_of_its_kind_and_capitals_matter_in_resources_only() -> None:
    assert not effects({Entity("resource", "srv"): JEWEL})
    assert effects({Entity("resource", "srv"): JEWEL}, target_kind="resource")
    assert not effects({Entity("machine", "ann"): JEWEL}) and not effects({Entity("user", "srv"): JEWEL})
    capitals = edges(("Ann@DOM1", "PC1", "Share"), target_kind="resource")
    assert standing.ends(capitals, {Entity("user", "ann@dom1"): JEWEL})
    assert standing.ends(capitals, {Entity("machine", "pc1"): JEWEL})
    assert not standing.ends(capitals, {Entity("resource", "share"): JEWEL})
    assert not standing.ends(edges(("ann", None, "srv")), {Entity("machine", "pc1"): JEWEL})
    assert standing.ends(edges(), {Entity("machine", "pc1"): JEWEL}) == {}


# --- incidents of honey -------------------------------------------------------------------------------------


def ranked(table: pd.DataFrame, budget: int = 10, least: float = 0.0) -> dict[str, int]:
    """The rank of the incident that each reported edge is in, by `user target`."""
    best, found = incidents.incidents(DAY, table, len(table), budget, least)
    rank = {incident.id: incident.rank for incident in found}
    names = best["user"] + " " + best["target"]
    return {
        name: rank[incident]
        for name, incident in zip(names, best["incident"], strict=True)
        if incident is not None
    }


def test_honey_is_reported_beyond_the_budget_and_takes_no_place() -> None:
    """eve and the two who met her at the pot are one incident; ann's other edge from pc1 is another."""
    table = edges(
        ("ann", "pc1", "pot"),
        ("bob", "pc2", "pot"),
        ("ann", "pc1", "srv"),
        ("kim", "pc4", "srv"),
        ("tom", "pc5", "db"),
        strangeness=[100.5, 101.0, 9.0, 8.0, 7.0],
        p_value=[1.0, 0.9, 0.001, 0.001, 0.001],
        honey=["pot", "pot", None, None, None],
    )
    table["honey"] = table["honey"].astype(object).where(table["honey"].notna(), None)
    assert ranked(table, budget=2) == {"bob pot": 1, "ann pot": 1, "ann srv": 2, "kim srv": 3}
    assert ranked(table, budget=1, least=1000.0) == {"bob pot": 1, "ann pot": 1}  # whatever is usual


def test_two_honey_entities_are_two_incidents_if_nobody_used_both() -> None:
    rows = (("ann", "pc1", "pot"), ("bob", "pc2", "jar"), ("bait", "pc3", "srv"))
    apart = edges(*rows, strangeness=[103.0, 102.0, 101.0], honey=["pot", "jar", "bait"])
    assert ranked(apart, budget=1) == {"ann pot": 1, "bob jar": 2, "bait srv": 3}
    together = edges(*rows[:2], ("ann", "pc2", "jar"), strangeness=[103.0, 102.0, 101.0], honey=list("pjj"))
    assert ranked(together, budget=1) == {"ann pot": 1, "bob jar": 1, "ann jar": 1}


def test_a_crowd_at_one_honey_machine_is_one_incident() -> None:
    rows = [(f"u{n}", f"pc{n}", "pot") for n in range(100)]
    assert set(ranked(edges(*rows, honey="pot"), budget=10).values()) == {1}


def test_an_edge_after_a_last_day_may_be_in_an_incident_whatever_its_p_value() -> None:
    rows = (("ann", "pc1", "srv"), ("bob", "pc2", "db"))
    table = edges(*rows, strangeness=[9.0, 6.0], p_value=[0.001, 0.9])
    assert ranked(table, budget=1) == {"ann srv": 1}
    notable = table.assign(notable=[False, True])
    assert ranked(notable, budget=2) == {"ann srv": 1, "bob db": 2}
    assert ranked(notable, budget=2, least=7.0) == {"ann srv": 1}  # it must score all the same


# --- incidents of nobody ------------------------------------------------------------------------------------


def test_anonymous_accounts_are_no_incident_alone_and_join_nobody() -> None:
    """Without kinds all five are one incident: anonymous joins pc1 to pc2 and pc3."""
    table = edges(
        ("anonymous logon", "pc3", "fs2"),
        ("ann", "pc1", "srv"),
        ("anonymous logon", "pc1", "fs"),
        ("anonymous logon", None, "fs"),
        ("bob", "pc2", "db"),
        ("anonymous logon", "pc2", "fs"),
        strangeness=[20.0, 9.0, 8.0, 7.0, 6.0, 5.0],
    )
    assert len({*ranked(table).values()}) == 1
    kinds = table["user"].map(lambda user: "anonymous" if user == "anonymous logon" else "human")
    assert ranked(table.assign(user_kind=kinds)) == {
        "ann srv": 1,
        "anonymous logon fs": 2,  # of pc2: the last of this name is kept here
        "bob db": 2,
    }
    best, found = incidents.incidents(DAY, table.assign(user_kind=kinds), len(table), 10)
    assert len(best) == len(table) and len(found) == 2  # all are still among the candidates
    assert best["incident"].notna().tolist() == [False, True, True, False, True, True]
    nobody = table[kinds == "anonymous"].assign(user_kind="anonymous")
    assert ranked(nobody) == {} and len(incidents.scores(nobody, 10, 10)) == 0
    assert incidents.usual_score(nobody, 10, 10) == 0.0


def test_anonymous_edges_take_no_place_of_the_strangest() -> None:
    """Where nothing is strange, the strangest edges of the day fill the budget; those of nobody do not."""
    rows = [("anonymous logon", "pc1", f"fs{n}") for n in range(5)] + [("ann", "pc2", "srv")]
    table = edges(*rows, p_value=0.5, strangeness=[9.0, 8.0, 7.0, 6.0, 5.0, 4.0])
    kinds = ["anonymous"] * 5 + ["human"]
    assert ranked(table.assign(user_kind=kinds), budget=1) == {"ann srv": 1}


def test_an_anonymous_use_of_honey_is_an_incident() -> None:
    table = edges(("anonymous logon", "pc1", "pot"), user_kind="anonymous", honey="pot")
    assert ranked(table) == {"anonymous logon pot": 1}


# --- a scored day -------------------------------------------------------------------------------------------

BAIT = f"{HOSTILE}@X"  # whose only edge of the day is not among the strangest
UNTOUCHED = [
    "surprise",
    "p_value",
    "once_in_days",
    "carry_over",
    "strangeness_alone",
    "strangeness_persisted",
]
JHADDAD, HBIANCHI = "jhaddad@corp.example", "adm-hbianchi@corp.example"
NOW = dt.datetime(2026, 1, 16, 9, tzinfo=dt.UTC)
DAY_LONG = dt.timedelta(days=1)
HIDES_BAIT = """
[[rule]]
name = "scans"
reason = "they are allowed"
owner = "ann"
expires = 2026-06-30
user = "*DETACH*"
"""
TABLES = {
    "users.csv": "user,honey,left,maintenance\n"
    f'"{BAIT}",yes,,\n'
    "jhaddad@corp.example,,2026-01-15,\n"
    "adm-hbianchi@corp.example,,,2026-01-16\n",
    "hosts.csv": "host,crown_jewel\nSRV-JUMP-001,yes\n",
}


def listed(workspace: Workspace, folder: Path) -> None:
    """Put the tables into a workspace."""
    options = []
    for name, text in TABLES.items():
        (folder / name).write_text(text)
        options += ["--entities", str(folder / name)]
    run(workspace.root, "ingest", *options)


def by_edge(found: Findings) -> pd.DataFrame:
    return found.edges.set_index(list(Edge._fields)).sort_index()


def test_lists_change_the_ranks_and_nothing_that_is_learned(
    scored_workspace: Workspace, tmp_path: Path
) -> None:
    """jhaddad left, adm-hbianchi is under maintenance, adm-pyilmaz acts from a crown jewel, and the account
    that nobody should use was used once."""
    folder = scored_workspace.findings
    before = findings.load(folder, LAST)
    listed(scored_workspace, tmp_path)
    rules.install(scored_workspace.root, HIDES_BAIT, "ann", NOW, [])
    after = score(scored_workspace)
    was, now = by_edge(before), by_edge(after)
    assert set(was.index) <= set(now.index)
    [bait] = [edge for edge in contract.edges(after.edges) if edge.user == BAIT]
    assert set(now.index) - set(was.index) <= {edge for edge in now.index if edge[0] in (BAIT, JHADDAD)}
    pd.testing.assert_frame_equal(now.loc[was.index, UNTOUCHED], was[UNTOUCHED], check_exact=True)
    for edge in contract.edges(after.edges):
        base, nats = edge.strangeness_persisted, 0.0
        nats += 100.0 if edge.user == BAIT else 0.0
        nats += min(max(base, 5.0), 10.0) if edge.user == JHADDAD else 0.0
        nats -= min(max(base, 0.0) / 2, 10.0) if edge.user == HBIANCHI else 0.0
        jewel = "srv-jump-001" in (edge.source, edge.target) and edge.p_value <= 0.02
        nats += min(max(base, 0.0), 10.0) if jewel else 0.0
        assert edge.strangeness == pytest.approx(base + nats)
        known = [reason for reason in edge.reasons if isinstance(reason, Known)]
        assert sum(reason.nats for reason in known) == pytest.approx(nats)
        assert edge.verdict_nats == 0.0
    first = after.incidents[0]
    assert (first.rank, first.users, first.edges, first.hidden_by) == (1, (BAIT,), 1, None)
    assert isinstance(first.reasons[0], Honey) and bait.incident == first.id and bait.rule is None
    assert first.score > 100 > after.incidents[1].score
    ranks = {incident.users[0]: incident.rank for incident in after.incidents}
    assert ranks[JHADDAD] == 2 and ranks["adm-pyilmaz@corp.example"] == 3
    assert HBIANCHI in {incident.users[0] for incident in before.incidents} - {*ranks}
    assert after.below is not None and HBIANCHI in {item.incident.users[0] for item in after.below}
    same = carryover.excess_of(before.edges)
    pd.testing.assert_series_equal(carryover.excess_of(after.edges)[same.index], same, check_exact=True)
    hide_all(folder, rules.installed(scored_workspace.root))
    assert findings.load(folder, LAST).incidents == after.incidents


def test_reasons_reach_the_command_line_reports_and_exports(
    scored_workspace: Workspace, tmp_path: Path
) -> None:
    root = scored_workspace.root
    listed(scored_workspace, tmp_path)
    run(root, "score", "--day", str(LAST))
    bait, leaver, jewel = json.loads(run(root, "incidents", "--format", "json").output)[:3]
    below = json.loads(run(root, "incidents", "--below", "--format", "json").output)
    [maintained] = [incident for incident in below if incident["users"] == [HBIANCHI]]
    assert bait["headline"].endswith("@X is a honey account: any use of it is an incident")
    assert bait["reasons"][0] | {"sentence": ""} == {
        "kind": "honey",
        "role": "user",
        "what": "user",
        "name": BAIT,
        "nats": 100.0,
        "sentence": "",
    }
    [left] = [reason for reason in leaver["reasons"] if reason["kind"] == "leaver"]
    assert 5 < left["nats"] <= 10 and left["times"] == pytest.approx(2)  # its strangest edge has less than 10
    explained_text = run(root, "explain", leaver["id"]).output
    assert "jhaddad@corp.example left on 2026-01-15: counts twice as much." in explained_text
    assert "nats" not in explained_text
    numbers = run(root, "explain", leaver["id"], "--numbers").output
    assert f"counts twice as much (+{left['nats']:.1f} nats)" in numbers
    assert "srv-jump-001 is a crown jewel: counts twice as much." in run(root, "explain", jewel["id"]).output
    during = "adm-hbianchi@corp.example is under maintenance until 2026-01-16 23:59 UTC: counts half as much."
    assert during in run(root, "explain", maintained["id"]).output
    explained = json.loads(run(root, "explain", maintained["id"], "--format", "json").output)
    [explained] = explained
    of_edges = [
        (reason, edge["strangeness_persisted"])
        for edge in explained["edges"]
        for reason in edge["reasons"]
        if reason["kind"] == "maintenance"
    ]
    assert of_edges
    for fact, persisted in of_edges:
        assert fact["nats"] == pytest.approx(-persisted / 2)
        assert fact["times"] == 0.5
    for form, where in (("ocsf", "desc"), ("ecs", "reason"), ("csv", ""), ("timesketch", "")):
        exported = run(root, "export", form, "--day", str(LAST)).output
        assert "is a honey account" in exported, (form, where)
    run(root, "report", "--output", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert "left on 2026-01-15" in page and "is a honey account" in page


def test_a_backtest_knows_the_lists_too(scored_workspace: Workspace, tmp_path: Path) -> None:
    listed(scored_workspace, tmp_path)
    plan = backtest.Plan(LAST - DAY_LONG, LAST, LAST)
    walked = backtest.backtest(scored_workspace.lake, plan, CONFIG)
    assert isinstance(walked.incidents[0].reasons[0], Honey) and walked.incidents[0].users == (BAIT,)


def test_an_entity_shows_what_the_organisation_says(scored_workspace: Workspace, tmp_path: Path) -> None:
    listed(scored_workspace, tmp_path)
    root, day = scored_workspace.root, str(LAST + DAY_LONG)
    shown = run(root, "entity", "jhaddad@corp.example", "--day", day).output
    assert "left: the last day is 2026-01-15" in shown
    assert "crown jewel" in run(root, "entity", "srv-jump-001", "--day", day).output
    assert "honey account: any use of it is an incident" in run(root, "entity", BAIT, "--day", day).output
    admin = run(root, "entity", HBIANCHI, "--day", day, "--format", "json").output
    assert json.loads(admin)[0]["standing"] == {
        "crown_jewel": False,
        "honey": False,
        "left": None,
        "maintenance": [{"since": "2026-01-16T00:00:00", "until": "2026-01-16T23:59:59.999999"}],
    }


def test_an_entity_that_was_never_seen_is_told_with_what_tables_say(
    scored_workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "traps.csv").write_text("host,honey\nTRAP-1.corp.example,yes\n")
    run(scored_workspace.root, "ingest", "--entities", str(tmp_path / "traps.csv"))
    failed = run(scored_workspace.root, "entity", "TRAP-1.corp.example", code=1).output
    assert "entity tables say: honey machine: any use of it is an incident" in failed
    assert "entity tables" not in run(scored_workspace.root, "entity", "trap-2", code=1).output


def test_an_unknown_value_is_one_error_and_changes_nothing(
    scored_workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text("user,honey\nann,perhaps\n")
    before = lake.read_entities(scored_workspace.lake)
    failed = run(scored_workspace.root, "ingest", "--entities", str(tmp_path / "bad.csv"), code=1)
    assert (
        "bad.csv: line 2, column honey: 'perhaps': write true, yes or 1, or false, no or 0" in failed.output
    )
    assert lake.read_entities(scored_workspace.lake).equals(before)  # type: ignore[union-attr]
