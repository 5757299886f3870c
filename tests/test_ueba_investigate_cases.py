"""The cases of a workspace: read from its findings, told in sentences, listed and explained at the command
line, and drawn in the report."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path

import pytest
from scored_world import on_day, save, scored_edge
from small_workspace import run

from ueba import findings
from ueba.contracts.edge import Edge
from ueba.contracts.scored import ScoredEdge
from ueba.errors import WorkspaceError
from ueba.evaluate.cases import CaseCounts, case_counts
from ueba.investigate import cases
from ueba.investigate.report import cases as of_report
from ueba.workspace import Workspace

MONDAY, TUESDAY, FRIDAY = (dt.date(2026, 3, day) for day in (2, 3, 6))
FIRST, NEXT, LAST, ALONE = "20260302-aaaaaaaa", "20260303-bbbbbbbb", "20260306-cccccccc", "20260303-dddddddd"
CASE = f"case-{FIRST}"


def edge(day: dt.date, user: str, source: str | None, target: str, incident: str, hour: int) -> ScoredEdge:
    at = dt.datetime.combine(day, dt.time(hour))
    parts = Edge(user, source, target, "machine")._asdict()
    return scored_edge(**parts, first_seen=at, incident=incident, pattern=("new user_source",))


CHAIN = {
    MONDAY: [
        edge(MONDAY, "ann", "ws1", "srv1", FIRST, 9),
        edge(MONDAY, "ann", "ws1", "srv7", FIRST, 10),
        edge(MONDAY, "ann", "ws1", "srv8", FIRST, 11),
        edge(MONDAY, "ann", "ws1", "srv9", FIRST, 12),
    ],
    TUESDAY: [edge(TUESDAY, "svc", "srv1", "dc1", NEXT, 8), edge(TUESDAY, "dan", None, "mail", ALONE, 7)],
    FRIDAY: [edge(FRIDAY, "ann", "ws2", "vault", LAST, 23)],
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for edges in CHAIN.values():
        save(tmp_path, edges)
    return Workspace(tmp_path)


# --- reading ------------------------------------------------------------------------------------------------


def test_cases_are_found_by_their_id_or_by_that_of_any_incident(workspace: Workspace) -> None:
    book = cases.read(workspace)
    assert [case.incidents for case in book.cases] == [(FIRST, NEXT, LAST), (ALONE,)]
    for name in (CASE, "case-20260302", f"CASE-{LAST}", "case-bbbb", f" {CASE} "):
        assert cases.is_case(name) and cases.find(book, name).id == CASE
    for name, problem in (
        (
            "case-20260303",
            r"2 cases match 'case-20260303': case-2026\S+, case-20260303-dddddddd; `ueba cases`",
        ),
        ("case-", "no case is called 'case-'; `ueba cases` lists them"),
        ("case-x", "no case is called 'case-x'"),
    ):
        with pytest.raises(WorkspaceError, match=problem):
            cases.find(book, name)


def test_a_case_is_of_every_day_on_which_it_has_an_incident(workspace: Workspace) -> None:
    book = cases.read(workspace)
    of_days = {
        day: [case.id for case in book.between(day, day)] for day in (MONDAY, TUESDAY, FRIDAY, dt.date.max)
    }
    assert of_days == {MONDAY: [CASE], TUESDAY: [CASE, f"case-{ALONE}"], FRIDAY: [CASE], dt.date.max: []}


def test_a_day_that_is_scored_late_or_again_gives_the_same_cases(
    workspace: Workspace, tmp_path: Path
) -> None:
    late = Workspace(tmp_path / "late")
    for day in (FRIDAY, MONDAY, TUESDAY, MONDAY):
        save(late.root, CHAIN[day])
    assert cases.read(late).cases == cases.read(workspace).cases


def test_a_hidden_incident_is_in_no_case_unless_it_was_called_true(workspace: Workspace) -> None:
    import msgspec

    found = findings.load(workspace.findings, TUESDAY)
    hidden = tuple(msgspec.structs.replace(incident, hidden_by="drill") for incident in found.incidents)
    findings.save(findings.Findings(TUESDAY, found.edges, hidden), workspace.findings)
    assert [case.incidents for case in cases.read(workspace).cases] == [(FIRST, LAST)]
    run(workspace.root, "triage", NEXT, "--verdict", "true", "--reason", "stolen")
    assert [case.incidents for case in cases.read(workspace).cases] == [(FIRST, NEXT, LAST)]


def test_damaged_edges_are_one_message(workspace: Workspace) -> None:
    (workspace.findings / f"day={TUESDAY}.parquet").write_bytes(b"PAR1")
    result = run(workspace.root, "cases", code=1)
    assert f"day={TUESDAY}.parquet" in result.stderr and f"`ueba score --day {TUESDAY}`" in result.stderr


# --- words --------------------------------------------------------------------------------------------------

RARE = "here it is rarer than anything in 2 days"
STORY = (
    "On 2026-03-02 at 09:00 ann from ws1 reached srv1, srv7, srv8 and 1 more; on 2026-03-03 at 08:00 svc from"
    " srv1, which ann had reached, reached dc1; on 2026-03-06 at 23:00 ann from ws2 reached vault."
)


def test_the_story_is_one_sentence_and_then_goes_by_time(workspace: Workspace) -> None:
    book = cases.read(workspace)
    case = cases.find(book, CASE)
    assert cases.sentence(book, case) == STORY
    assert cases.chapters(book, case) == {
        FIRST: ["2026-03-02 09:00:00 to 12:00:00 UTC: ann from ws1 reached srv1, srv7, srv8 and 1 more"],
        NEXT: [
            "2026-03-03 08:00:00 to 08:00:00 UTC: svc from srv1 reached dc1",
            f"goes on from {FIRST}: ann reached srv1 at 2026-03-02 09:00:00, and svc acted from it at"
            " 2026-03-03 08:00:00",
        ],
        LAST: [
            "2026-03-06 23:00:00 to 23:00:00 UTC: ann from ws2 reached vault",
            f"goes on from {FIRST}: ann was in it too",
        ],
    }
    assert cases.place_in_case(case, NEXT) == [
        f"It is one of 3 incidents of {CASE}.",
        cases.chapters(book, case)[NEXT][1],
    ]
    assert cases.place_in_case(case, FIRST)[1:] == [
        f"{NEXT} {cases.chapters(book, case)[NEXT][1]}",
        f"{LAST} {cases.chapters(book, case)[LAST][1]}",
    ]
    alone = cases.find(book, f"case-{ALONE}")
    assert cases.sentence(book, alone) == "On 2026-03-03 at 07:00 dan reached mail."
    assert cases.place_in_case(alone, ALONE) == cases.place_in_case(None, ALONE) == []


def test_a_long_case_is_cut_and_a_vain_attempt_is_called_one(tmp_path: Path) -> None:
    days = [MONDAY + dt.timedelta(days=number) for number in range(6)]
    for number, day in enumerate(days):
        parts = Edge("ann", "ws1", f"srv{number}", "machine")
        save(tmp_path, [on_day(day, parts, f"{day:%Y%m%d}-aaaaaaaa", count=2, failures=2)])
    book = cases.read(Workspace(tmp_path))
    [case] = book.cases
    assert "ann from ws1 tried to reach srv0;" in cases.sentence(book, case)
    assert cases.sentence(book, case).endswith("; then 2 more incidents until 2026-03-07.")


# --- the command line ---------------------------------------------------------------------------------------


def test_cases_are_listed_worst_first(workspace: Workspace) -> None:
    table = " ".join(run(workspace.root, "cases", "--from", str(MONDAY)).stdout.split())
    assert table.index(CASE) < table.index(f"case-{ALONE}")
    result = run(workspace.root, "cases", "--from", str(MONDAY), "--limit", "1", "--format", "jsonl")
    [record] = map(json.loads, result.stdout.splitlines())
    assert "1 more case; --limit shows them" in result.stderr
    assert (record["id"], record["incidents"], record["story"]) == (CASE, [FIRST, NEXT, LAST], STORY)
    assert [link["kind"] for link in record["links"]] == ["pivot", "same_user"]
    assert record["links"][0]["reached_at"] == "2026-03-02T09:00:00"
    [row] = csv.DictReader(run(workspace.root, "cases", "--format", "csv").stdout.splitlines())
    assert (row["id"], row["incidents"]) == (CASE, f"{FIRST} | {NEXT} | {LAST}")
    assert "no case on the days asked for" in run(workspace.root, "cases", "--from", "2026-04-01").stderr
    assert "was not scored" in run(workspace.root, "cases", "--day", "2026-04-01", code=1).stderr


def test_explain_tells_a_case_and_names_it_with_each_incident(workspace: Workspace) -> None:
    run(workspace.root, "triage", NEXT, "--verdict", "true", "--reason", "stolen")
    text = run(workspace.root, "explain", "case-aaaa").stdout
    lines = " ".join(text.split())
    head = f"{CASE}: 3 incidents, 2026-03-02 to 2026-03-06; {RARE}"
    assert lines.startswith(f"{head} {STORY} incident {FIRST} -")
    assert f"incident {NEXT} (true)" in lines and f"ueba explain {LAST}" in lines and "nats" not in lines
    [record] = json.loads(run(workspace.root, "explain", CASE, "--format", "json").stdout)
    assert record["verdicts"] == {NEXT: "true"} and record["story"] == STORY
    assert (
        "--picture draws an incident"
        in run(workspace.root, "explain", CASE, "--picture", "x.svg", code=2).stderr
    )
    zone = run(workspace.root, "explain", CASE, "--timezone", "Europe/Berlin").stdout
    assert "On 2026-03-02 at 10:00 ann" in " ".join(zone.split())


# --- the report ---------------------------------------------------------------------------------------------


def test_the_report_has_the_cases_of_its_day_that_are_several_incidents(workspace: Workspace) -> None:
    book = cases.read(workspace)
    [case] = of_report.of_day(book, TUESDAY, workspace.findings)
    assert (case.id, case.story) == (CASE, STORY)
    assert [(chapter.incident, chapter.is_of_day) for chapter in case.chapters] == [
        (FIRST, False),
        (NEXT, True),
        (LAST, False),
    ]


# --- the measure --------------------------------------------------------------------------------------------


def test_split_and_mixed_are_counted_by_labels() -> None:
    """Campaign 1 is in two cases; case c mixes 2 and 3, by an incident that mixes them; 4 was not found."""
    import pandas as pd

    names = {"u1": ("i1", "a"), "u2": ("i2", "b"), "u3": ("i3", "c"), "u4": ("i3", "c"), "u5": ("i4", "d")}
    edges = pd.DataFrame(
        [(MONDAY, user, "ws", "srv", *ids) for user, ids in names.items()],
        columns=["day", "user", "source", "target", "incident", "case"],
    )
    campaigns = {"u1": 1, "u2": 1, "u3": 2, "u4": 3, "u5": -2, "u6": 4}
    labels = pd.DataFrame(
        [(MONDAY, user, "ws", "srv", campaign) for user, campaign in campaigns.items()],
        columns=["day", "user", "source", "target", "campaign"],
    )
    assert case_counts(edges, labels) == CaseCounts(
        incidents=4, cases=4, attacks=3, campaigns=3, split=1, mixed=1, mixed_incidents=1, crowds=0
    )
    crowd = pd.concat([edges.iloc[:1]] * 41).assign(user=[f"x{n}" for n in range(41)])
    assert case_counts(crowd, labels).crowds == 1
