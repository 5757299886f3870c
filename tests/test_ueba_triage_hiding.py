"""Rules put over scored days: a day with three incidents, of two edges, one edge and one edge."""

import datetime as dt
import os
from pathlib import Path

import pytest
from scored_world import NOON, incident_of, scored_edge, table

from ueba import findings
from ueba.findings import Findings
from ueba.triage import hiding, rules

DAY = NOON.date()
LATER = DAY + dt.timedelta(days=1)
WHEN = 1_800_000_000.0  # seconds since 1970; when the days were scored


def rule(name: str, conditions: str, effect: str = "hide") -> str:
    about = f'name = "{name}"\nreason = "change 4711"\nowner = "ann"\nexpires = {LATER}\n'
    return f'[[rule]]\n{about}effect = "{effect}"\n{conditions}\n'


def parsed(*texts: str) -> list[rules.Rule]:
    return rules.parse("".join(texts), "rules.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Findings of two days: `i1` is ann and bob from ws1, `i2` is carl, `i3` is dora; eve is in none."""
    users = {"i1": ("ann", "bob"), "i2": ("carl",), "i3": ("dora",), None: ("eve",)}
    for day in (DAY, LATER):
        nine = dt.datetime.combine(day, dt.time(9))
        edges = {
            name: [scored_edge(user=user, incident=name, first_seen=nine) for user in members]
            for name, members in users.items()
        }
        incidents = tuple(
            incident_of(edges[name], rank=rank, score=10.0 - rank)
            for rank, name in enumerate(("i1", "i2", "i3"), start=1)
        )
        found = Findings(day, table([edge for rows in edges.values() for edge in rows]), incidents)
        findings.save(found, tmp_path)
        os.utime(tmp_path / f"day={day}.json", (WHEN, WHEN))
    return tmp_path


def hidden(folder: Path, day: dt.date = DAY) -> list[tuple[str, int, str | None]]:
    """Id, rank and what hides it, of the incidents of a day as they are on disk."""
    return [
        (incident.id, incident.rank, incident.hidden_by) for incident in findings.load(folder, day).incidents
    ]


def test_an_incident_goes_only_if_rules_hide_all_its_edges(folder: Path) -> None:
    hiding.hide_all(folder, parsed(rule("a", 'user = "ann"'), rule("c", 'user = "carl"')))
    assert sorted(hidden(folder)) == [("i1", 1, None), ("i2", 3, "c"), ("i3", 2, None)]
    hiding.hide_all(folder, parsed(rule("b", 'user = "bob"'), rule("a", 'user = "ann"')))
    assert sorted(hidden(folder)) == [("i1", 3, "a, b"), ("i2", 1, None), ("i3", 2, None)]


def test_the_first_rule_that_matches_decides(folder: Path) -> None:
    everybody = rule("all", 'source = "ws1"')
    hiding.hide_all(folder, parsed(rule("not carl", 'user = "carl"', "show"), everybody))
    assert sorted(hidden(folder)) == [("i1", 2, "all"), ("i2", 1, None), ("i3", 3, "all")]
    hiding.hide_all(folder, parsed(everybody, rule("not carl", 'user = "carl"', "show")))
    assert {hidden_by for _, _, hidden_by in hidden(folder)} == {"all"}


def test_hiding_a_day_changes_neither_when_it_was_scored_nor_its_scores(folder: Path) -> None:
    before = findings.load(folder, DAY)
    hiding.hide_all(folder, parsed(rule("c", 'user = "carl"')))
    after = findings.load(folder, DAY)
    assert findings.scored_at(folder, DAY).timestamp() == WHEN
    assert after.edges["rule"].tolist() == [None, None, "c", None, None]
    assert after.edges.drop(columns="rule").equals(before.edges.drop(columns="rule"))


def test_a_day_on_which_nothing_changes_is_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, save = [], findings.save

    def saving(found: Findings, place: Path) -> None:
        written.append(found.day)
        save(found, place)

    monkeypatch.setattr(findings, "save", saving)
    window = f'[[rule]]\nname = "w"\nreason = "r"\nowner = "o"\nfrom = {LATER}\nto = {LATER}\nuser = "carl"\n'
    for _ in range(2):  # the second time the days are as the rules say
        hiding.hide_all(folder, parsed(window))
    assert written == [LATER]
    assert hidden(folder, LATER)[-1] == ("i2", 3, "w") and all(rule is None for _, _, rule in hidden(folder))


def test_a_dry_run_counts_and_keeps_nothing(folder: Path) -> None:
    """i2 goes on both days; of i1 only ann's edge matches, on both days; eve is in no incident."""
    chosen = parsed(*(rule(user, f'user = "{user}"') for user in ("ann", "carl", "eve")))
    run = hiding.dry_run(folder, chosen, {"i2": "true", "i1": "true"}, [DAY, LATER])
    assert (run.days, run.incidents, len(run.hidden), run.marked) == (2, 6, 2, 2)
    assert [incident.id for incident in run.true] == ["i2", "i2"]
    assert all(rule is None for _, _, rule in hidden(folder))
