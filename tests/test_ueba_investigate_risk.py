"""Risk over days, by hand: an edge with p = exp(-9) has 4 nats beyond the 5 that chance explains."""

from __future__ import annotations

import datetime as dt
import json
from math import exp
from pathlib import Path

import pandas as pd
import pytest
import verdicts
from scored_world import incident_of, on_day, table
from small_workspace import run
from verdicts import verdict

from ueba import findings, scores
from ueba.config import Config
from ueba.contracts import day_scores
from ueba.contracts.edge import Edge
from ueba.contracts.verdict import VerdictEdge
from ueba.errors import WorkspaceError
from ueba.investigate import risk
from ueba.investigate.report.page import page
from ueba.investigate.risk import MOST_NATS, ScoredDay, Standings
from ueba.workspace import Workspace

MONDAY = dt.date(2026, 3, 2)
DAY, WEEK = dt.timedelta(days=1), dt.timedelta(days=7)
ONE = 4 - exp(-5) - 2 * (2 * exp(-5)) ** 0.5  # nats of such an edge of somebody who has no other: 3.76

Row = tuple[str, str | None, str, str, float]  # user, source, target, kind, -log p


def day_scores_of(*rows: Row, incident: str | None = None) -> pd.DataFrame:
    names = ("user", "source", "target", "target_kind", "surprise")
    edges = pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows])
    return edges.assign(
        p_value=[exp(-nats) for nats in edges["surprise"]],
        p_is_bound=False,
        strangeness=2.0,
        edges_a_day=1.0,
        incident=incident,
    )


def of_day(*rows: Row, day: dt.date = MONDAY, clear: set[Edge] = frozenset(), words: tuple = ()) -> ScoredDay:  # type: ignore[assignment, type-arg]
    return risk.day_of(day, day_scores.from_pandas(day_scores_of(*rows)), clear, words)


def ann(nats: float = 9.0, target: str = "srv1") -> Row:
    return ("ann", "ws1", target, "machine", nats)


# --- a day --------------------------------------------------------------------------------------------------


def test_a_day_is_what_chance_does_not_explain() -> None:
    assert risk.beyond_chance(4.0, 1) == pytest.approx(ONE) == pytest.approx(3.761, abs=0.001)
    # 500 edges bring 500 exp(-5) = 3.37 nats by chance, with a deviation of (2 x 3.37) ** 0.5 = 2.60
    assert risk.beyond_chance(4.0, 500) == 0
    assert risk.beyond_chance(12.0, 500) == pytest.approx(12 - 3.369 - 2 * 2.596, abs=0.001)
    assert risk.beyond_chance(300.0, 1) == MOST_NATS


def test_an_administrator_is_not_on_top_by_the_number_of_edges() -> None:
    many = [("adm", "ws9", f"srv{number}", "machine", 9.0 if number == 0 else 0.5) for number in range(500)]
    assert of_day(*many, ann()).nats["user"] == {"ann": pytest.approx(ONE, abs=0.001)}


def test_unusual_edges_add_up() -> None:
    found = of_day(ann(), ann(8.0, "srv2"), ann(4.9, "srv3"))
    chance = 3 * exp(-5) + 2 * (6 * exp(-5)) ** 0.5
    assert found.nats["user"] == {"ann": pytest.approx(4 + 3 - chance, abs=0.002)}
    assert [edge.edge.target for edge in found.unusual] == ["srv1", "srv2"]
    assert found.edges["user"]["ann"] == 3


def test_a_machine_has_the_edges_from_it_and_to_it() -> None:
    found = of_day(
        ann(),
        ("bea", "ws1", "ws1", "machine", 9.0),  # one edge, though both ends are ws1
        ("cat", None, "srv1", "machine", 1.0),
        ("dan", "ws2", "mail", "resource", 9.0),
    )
    assert found.edges["machine"] == {"ws1": 2, "srv1": 2, "ws2": 1}
    chance = 2 * exp(-5) + 2 * (4 * exp(-5)) ** 0.5
    assert found.nats["machine"] == {
        "ws1": pytest.approx(8 - chance, abs=0.002),
        "srv1": pytest.approx(4 - chance, abs=0.002),
        "ws2": pytest.approx(ONE, abs=0.002),
    }


def test_a_cleared_edge_adds_nothing() -> None:
    found = of_day(ann(), ann(8.0, "srv2"), clear={Edge("ann", "ws1", "srv1", "machine")})
    assert [edge.edge.target for edge in found.unusual] == ["srv2"]
    assert found.nats["machine"].keys() == {"ws1", "srv2"}


def test_a_confirmed_attack_counts_in_full_for_its_user_and_source() -> None:
    edge = VerdictEdge(Edge("ann", "ws1", "srv1", "machine"), frozenset(), 5.0)
    attack = verdict("20260302-aa", "true", day=MONDAY, edges=(edge,))
    found = of_day(ann(), words=(attack,))
    assert found.nats["user"] == {"ann": MOST_NATS} and found.nats["machine"]["ws1"] == MOST_NATS
    assert found.nats["machine"]["srv1"] == pytest.approx(ONE, abs=0.001)  # a target is no culprit
    assert found.attacks == {"user": {"ann": "20260302-aa"}, "machine": {"ws1": "20260302-aa"}}
    assert of_day(ann(), day=MONDAY + DAY, words=(attack,)).nats["user"]["ann"] < MOST_NATS


# --- over days ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "left"), [(0, 1.0), (7, 0.5), (14, 0.25), (29, 0.5 ** (29 / 7)), (30, 0.0), (-1, 0.0)]
)
def test_a_day_fades_by_half_in_a_week_and_ends_after_thirty(age: int, left: float) -> None:
    assert risk.fading(MONDAY, MONDAY + age * DAY) == left


def test_the_list_has_risk_and_change() -> None:
    week_ago = of_day(ann(), ("bea", "ws2", "srv1", "machine", 9.0), day=MONDAY - WEEK)
    today = of_day(ann(13.0))
    found = risk.ranked(Standings(MONDAY, [week_ago, today]), "user")
    # ann: 3.76 / 2 of a week ago and 7.76 of today, where there were 3.76
    assert [tuple(row) for row in found] == [("ann", 9.6, 5.9), ("bea", 1.9, -1.9)]
    assert risk.ranked(Standings(MONDAY, [today]), "user")[0].change is None  # nothing to compare with


def test_a_risk_that_would_be_printed_as_nothing_is_none() -> None:
    old = of_day(ann(5.3), day=MONDAY - 20 * DAY)
    assert 0 < Standings(MONDAY, [old]).risks("user", MONDAY)["ann"] < 0.05
    assert risk.ranked(Standings(MONDAY, [old]), "user") == []


# --- verdicts -----------------------------------------------------------------------------------------------

EDGE = Edge("ann", "ws1", "srv1", "machine")


def test_benign_and_expected_clear_their_edges_until_they_expire() -> None:
    rows = (VerdictEdge(EDGE, frozenset(), 5.0),)
    for word in ("benign", "expected"):
        benign = verdict("a", word, day=MONDAY, edges=rows, expires=MONDAY + 9 * DAY)
        cleared = [age for age in (-1, 0, 9, 10) if EDGE in risk.cleared([benign], MONDAY + age * DAY)]
        assert cleared == [0, 9]
    attack = verdict("b", "true", day=MONDAY + DAY, edges=rows)
    assert risk.cleared([benign, attack], MONDAY) == {EDGE}
    assert risk.cleared([benign, attack], MONDAY + DAY) == set()  # called an attack since


# --- in a workspace -----------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Ann in an incident eight days before the last day and on it, bea with an unusual edge in none."""
    found = Workspace(tmp_path)
    store(found, MONDAY - 8 * DAY, [ann(8.0)], "20260222-aaaaaaaa")
    store(found, MONDAY, [ann(13.0), ("bea", "ws2", "srv2", "machine", 9.0)], "20260302-bbbbbbbb")
    return found


def store(workspace: Workspace, day: dt.date, rows: list[Row], incident: str) -> None:
    """A scored day, whose first edge is an incident."""
    edges = [
        on_day(day, Edge(*row[:4]), incident if number == 0 else None, p_value=exp(-row[4]))
        for number, row in enumerate(rows)
    ]
    frame = day_scores_of(*rows).assign(incident=[incident] + [None] * (len(rows) - 1))
    scores.save(day_scores.from_pandas(frame), workspace.findings, day, 37)
    findings.save(findings.Findings(day, table(edges), (incident_of(edges[:1]),)), workspace.findings)


def asked(workspace: Workspace, *arguments: str) -> dict[str, dict]:  # type: ignore[type-arg]
    printed = run(workspace.root, "risk", *arguments, "--format", "jsonl").stdout
    return {row["name"]: row for row in map(json.loads, printed.splitlines())}


def test_the_command_lists_users_and_machines_with_reasons(workspace: Workspace) -> None:
    found = asked(workspace)
    faded = (ONE - 1) * 0.5 ** (8 / 7)
    assert [(row["kind"], row["name"], row["rank"]) for row in found.values()][:2] == [
        ("user", "ann", 1),
        ("user", "bea", 2),
    ]
    assert found["ann"]["risk"] == round(ONE + 4 + faded, 1) == 9.0
    assert found["ann"]["change"] == round(ONE + 4 + faded - (ONE - 1) * 0.5 ** (1 / 7), 1)
    last, first = found["ann"]["days"]
    assert last["day"] == "2026-03-02" and last["incidents"] == ["20260302-bbbbbbbb"]
    assert last["share"] + first["share"] == pytest.approx(1, abs=0.002) and last["share"] > first["share"]
    assert (last["unusual"], last["edges"], last["verdict"]) == (1, 1, None)
    assert last["sentence"] == (
        f"2026-03-02 ({last['share']:.0%}): every part of it is usual, but not together;"
        " incident 20260302-bbbbbbbb"
    )
    assert found["bea"]["days"][0]["incidents"] == []
    assert {row["kind"] for row in asked(workspace, "--kind", "machine").values()} == {"machine"}
    assert list(asked(workspace, "--kind", "user", "--limit", "1")) == ["ann"]
    assert asked(workspace, "--day", str(MONDAY - 8 * DAY)).keys() == {"ann", "ws1", "srv1"}


def test_a_table_has_words_and_no_nats(workspace: Workspace) -> None:
    shown = run(workspace.root, "risk")
    assert "+6.5" in shown.stdout and "incident 20260302-bbbbbbbb" in shown.stdout
    assert "nats" not in shown.stdout
    assert "of the 30 days up to 2026-03-02, 2 were scored and count" in shown.stderr


def test_verdicts_reset_and_lift(workspace: Workspace) -> None:
    before = asked(workspace)
    run(workspace.root, "triage", "bbbb", "--verdict", "benign", "--reason", "new job")
    after = asked(workspace)
    assert after["ann"]["risk"] == round((ONE - 1) * 0.5 ** (8 / 7), 1) and after["bea"] == before["bea"] | {
        "rank": 1
    }
    run(workspace.root, "triage", "bbbb", "--verdict", "withdrawn", "--reason", "mistaken")
    assert asked(workspace) == before
    run(workspace.root, "triage", "bbbb", "--verdict", "true", "--reason", "stolen")
    lifted = asked(workspace)["ann"]
    assert lifted["risk"] == round(MOST_NATS + (ONE - 1) * 0.5 ** (8 / 7), 1)
    assert lifted["days"][0]["verdict"] == "true" and "called true" in lifted["days"][0]["sentence"]


def test_what_rules_hide_adds_nothing(workspace: Workspace, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "n"\nreason = "r"\nowner = "o"\nexpires = 2026-04-01\nuser = "ann"\n')
    run(workspace.root, "triage", "rules", "--apply", str(rules), "--yes")
    assert asked(workspace, "--kind", "user").keys() == {"bea"}


def test_nothing_is_said_where_nothing_adds_up(workspace: Workspace) -> None:
    for day in scores.days(workspace.findings):
        scores.path(workspace.findings, day).unlink()
    shown = run(workspace.root, "risk")
    assert "nothing is unusual beyond chance as of 2026-03-02" in shown.stderr
    assert "of the 30 days up to 2026-03-02, 0 were scored and count" in shown.stderr
    with pytest.raises(WorkspaceError, match="2026-03-03 was not scored"):
        risk.standings(workspace, MONDAY + DAY, ())


def test_a_verdict_of_a_log_that_was_written_elsewhere_counts(workspace: Workspace) -> None:
    rows = (VerdictEdge(EDGE, frozenset(), 5.0),)
    verdicts.write(workspace.root, verdict("20260302-bbbbbbbb", "expected", day=MONDAY, edges=rows))
    assert asked(workspace, "--kind", "user")["ann"]["risk"] < 1.5


def test_the_report_has_the_risk_of_its_day(workspace: Workspace) -> None:
    html = page(workspace, MONDAY, Config())
    section = html[html.index('id="risk"') : html.index('id="trend"')]
    assert section.index("ann") < section.index("bea") and "+6.5" in section
    assert "incident 20260302-bbbbbbbb" in section
    assert "of the 30 days up to 2026-03-02, 2 were scored and count" in section.lower()
    earlier = page(workspace, MONDAY - 8 * DAY, Config())
    assert "bea" not in earlier[earlier.index('id="risk"') : earlier.index('id="trend"')]
