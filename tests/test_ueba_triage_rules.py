"""Rules that hide, by hand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ueba import findings
from ueba.contracts import scored as contract
from ueba.contracts.incident import Incident, ModelFacts
from ueba.contracts.reason import Combination
from ueba.detect import incidents
from ueba.errors import UsageError
from ueba.triage import hiding, rules

DAY = dt.date(2026, 1, 20)
WHO = 'name = "{name}"\nreason = "change 4711"\nowner = "ann"\n'


def rule(conditions: str, time: str = "expires = 2026-01-31", name: str = "patches") -> str:
    return "[[rule]]\n" + WHO.format(name=name) + f"{time}\n{conditions}\n"


def edge(
    user: str = "svc-patch1", source: str | None = "mgmt", target: str = "srv1", **other: Any
) -> SimpleNamespace:
    at = dt.datetime.combine(DAY, dt.time(22))
    times = {"first_seen": at, "last_seen": at + dt.timedelta(hours=1)}
    named = {"user": user, "source": source, "target": target, "user_kind": "service"}
    return SimpleNamespace(**{**named, "logon_types": ["Network"], **times, **other})


def hides(text: str, candidate: SimpleNamespace) -> bool:
    return rules.hiding_rule(rules.parse(text, "rules.toml"), candidate) is not None


@pytest.mark.parametrize(
    ("conditions", "hidden"),
    [
        ('user = "svc-patch1"', True),
        ('user = "SVC-Patch*"', True),
        ('user = "svc"', False),
        ('user = "svc-*"\nsource = "mgmt"\ntarget = "srv?"', True),
        ('user = "svc-*"\nsource = "other"', False),
        ('logon_type = "network"', True),
        ('logon_type = "Interactive"', False),
        ('kind = "service"', True),
        ('kind = "human"', False),
    ],
)
def test_all_conditions_must_hold(conditions: str, hidden: bool) -> None:
    assert hides(rule(conditions), edge()) is hidden


def test_what_is_not_known_matches_nothing_and_every_logon_type_must() -> None:
    assert not hides(rule('source = "*"'), edge(source=None))
    assert not hides(rule('kind = "service"'), edge(user_kind=None))
    assert not hides(rule('logon_type = "Network"'), edge(logon_types=["Network", "Interactive"]))
    assert hides(rule('logon_type = "*"'), edge(logon_types=["Network", "Interactive"]))
    assert not hides(rule('logon_type = "*"'), edge(logon_types=[]))
    assert hides(rule('user = "a[1]"'), edge(user="a[1]"))  # exact before glob


@pytest.mark.parametrize(
    ("time", "hidden"),
    [
        ("expires = 2026-01-20", True),
        ("expires = 2026-01-19", False),
        ("from = 2026-01-20\nto = 2026-01-20", True),
        ("from = 2026-01-21\nto = 2026-01-22", False),
        ("from = 2026-01-20T22:00:00\nto = 2026-01-20T23:00:00", True),
        ("from = 2026-01-20T22:30:00\nto = 2026-01-21", False),  # began before
        ("from = 2026-01-20\nto = 2026-01-20T22:30:00", False),  # went on after
        ("from = 2026-01-20T23:00:00+01:00\nto = 2026-01-21T00:00:00+01:00", True),
    ],
)
def test_an_edge_must_lie_in_the_window(time: str, hidden: bool) -> None:
    assert hides(rule('user = "*"', time), edge()) is hidden


def test_the_first_rule_that_matches_decides() -> None:
    shows = rule('target = "dc*"\neffect = "show"', name="not the dc")
    every = rule('user = "svc-*"', name="all")
    two_rules = rules.parse(shows + every, "x")
    assert rules.hiding_rule(two_rules, edge(target="dc1")) is None
    assert rules.hiding_rule(two_rules, edge()) == "all"
    assert rules.hiding_rule(rules.parse(every + shows, "x"), edge(target="dc1")) == "all"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rule('user = "a"\nuzer = "b"'), "rules.toml: rule 'patches': unknown key 'uzer'"),
        (rule("user = 7"), "rules.toml: rule 'patches': user = 7 is not text"),
        (rule(""), "rules.toml: rule 'patches': would hide everything"),
        (rule('user = "a"', ""), "either from and to, a window, or expires"),
        (rule('user = "a"', "from = 2026-01-01"), "either from and to, a window, or expires"),
        (
            rule('user = "a"', "from = 2026-01-01\nto = 2026-01-02\nexpires = 2026-01-02"),
            "either from and to",
        ),
        (rule('user = "a"', "from = 2026-01-02\nto = 2026-01-01"), "from 2026-01-02 is after to 2026-01-01"),
        (
            rule('user = "a"', 'expires = "2026-01-01"'),
            "rule 'patches': expires = '2026-01-01' is not a date",
        ),
        (rule('kind = "robot"'), "kind = 'robot'; accounts are human, service, machine, anonymous"),
        (rule('user = "a"\neffect = "drop"'), "effect = 'drop'"),
        (rule('user = "a"') + rule('user = "b"'), "two rules are called 'patches'"),
        (
            '[[rule]]\nname = "x"\nowner = "ann"\nexpires = 2026-01-01\nuser = "a"',
            "rule 'x': reason is missing",
        ),
        ('[[rule]]\nreason = "x"', "rules.toml: rule 1: name is missing"),
        ('[rule]\nname = "x"', "every rule stands under [[rule]]"),
        ("rules = []", "unknown key rules"),
        ("[[rule]", "cannot be read as TOML"),
    ],
)
def test_a_mistake_is_named_by_file_rule_and_key(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        rules.parse(text, "rules.toml")
    assert message in str(error.value)
    assert "rules.toml" in str(error.value)


# --- incidents ----------------------------------------------------------------------------------------------


def day_of(*rows: tuple[str, float, str | None]) -> pd.DataFrame:
    """Edges (user, strangeness, rule), each from a machine of its user."""
    users = [user for user, _, _ in rows]
    return pd.DataFrame(
        {
            "user": users,
            "source": pd.Series([f"pc-{user}" for user in users], dtype=object),
            "target": [f"srv{number}" for number in range(len(rows))],
            "surprise": 1.0,
            "p_value": 0.001,
            "strangeness": [value for _, value, _ in rows],
            "rule": pd.Series([name for _, _, name in rows], dtype=object),
        }
    )


def found(edges: pd.DataFrame, budget: int, least: float = 0.0) -> list[tuple[str, int, str | None]]:
    table, every = incidents.incidents(DAY, edges, 100, budget, least)
    user = dict(zip(table["incident"], table["user"], strict=True))
    return [(user[incident.id], incident.rank, incident.hidden_by) for incident in every]


def test_an_incident_is_hidden_if_all_its_edges_are_and_takes_no_place() -> None:
    edges = day_of(
        ("a", 20, "r1"), ("a", 19, "r2"), ("b", 18, "r1"), ("b", 17, None), ("c", 16, None), ("d", 5, None)
    )
    assert found(edges, 2) == [("b", 1, None), ("c", 2, None), ("a", 3, "r1, r2")]
    assert found(edges, 10, 10.0) == [("b", 1, None), ("c", 2, None), ("a", 3, "r1, r2")]
    assert found(edges.assign(rule=None), 2) == [("a", 1, None), ("b", 2, None)]
    assert found(edges.drop(columns="rule"), 2) == [("a", 1, None), ("b", 2, None)]


def test_what_would_not_have_been_reported_is_not_hidden_either() -> None:
    edges = day_of(("a", 20, None), ("b", 18, "r1"), ("c", 16, None), ("d", 15, "r1"))
    assert found(edges, 2) == [("a", 1, None), ("c", 2, None), ("b", 3, "r1")]
    assert found(edges, 10, 15.5) == [("a", 1, None), ("c", 2, None), ("b", 3, "r1")]


# --- scored days --------------------------------------------------------------------------------------------


MODEL = ModelFacts(DAY, DAY, 1, {}, "features")


def scored(folder: Path, day: dt.date) -> list[str]:
    """Two incidents of patching, one of which has somebody else in it, and one of ann."""
    edges = day_of(("svc-a", 20, None), ("svc-b", 18, None), ("svc-b", 17, None), ("ann", 16, None))
    edges.loc[2, "user"] = "eve"
    edges.loc[2, "source"] = "pc-svc-b"
    at = dt.datetime.combine(day, dt.time(9))
    lists = {"logon_types": [("Network",)] * 4, "verdicts": [()] * 4, "pattern": [("Network",)] * 4}
    edges = edges.assign(
        day=day,
        user_kind="service",
        target_kind="machine",
        count=1,
        failures=0,
        first_seen=at,
        last_seen=at,
        once_in_days=10.0,
        p_is_bound=False,
        carry_over=0.0,
        strangeness_alone=edges["strangeness"],
        strangeness_persisted=edges["strangeness"],
        reasons=[(Combination(),)] * 4,
        **lists,
    )
    strangest, ranked = incidents.incidents(day, edges, 100, 10)
    every = tuple(
        Incident(
            id=incident.id,
            day=day,
            rank=incident.rank,
            score=incident.score,
            p_value=0.001,
            once_in_days=10.0,
            users=(),
            machines=(),
            resources=(),
            edges=1,
            reasons=(Combination(),),
            backoff=False,
            model=MODEL,
        )
        for incident in ranked
    )
    findings.save(findings.Findings(day, strangest[list(contract.NAMES)], every), folder)
    return [incident.id for incident in every]


def test_a_dry_run_counts_what_would_be_hidden_and_warns_of_what_was_true(tmp_path: Path) -> None:
    next_day = DAY + dt.timedelta(days=1)
    scored(tmp_path, DAY)
    patching, mixed, ann = scored(tmp_path, next_day)
    chosen = rules.parse(rule('user = "svc-*"'), "x")
    run = hiding.dry_run(tmp_path, chosen, {patching: "true", ann: "true"}, [DAY, next_day])
    assert run.sentence() == (
        "would have hidden 2 of 6 incidents on 2 scored days, 1 of them called true; 2 edges of"
        " other incidents match"
    )
    assert [incident.id for incident in run.true] == [patching]
    later = hiding.dry_run(tmp_path, chosen, {}, [next_day])
    assert (later.days, later.incidents, later.true) == (1, 3, [])
    assert [incident.id for incident in later.hidden] == [patching]
    assert hiding.dry_run(tmp_path, [], {}, [DAY, next_day]).hidden == ()
    assert findings.load(tmp_path, DAY).edges["rule"].isna().all()  # nothing was kept


def test_days_are_put_under_other_rules_and_back(tmp_path: Path) -> None:
    patching, mixed, ann = scored(tmp_path, DAY)
    before = findings.load(tmp_path, DAY)
    hiding.hide_all(tmp_path, rules.parse(rule('user = "svc-*"'), "x"))
    after = findings.load(tmp_path, DAY)
    assert [(incident.id, incident.rank, incident.hidden_by) for incident in after.incidents] == [
        (mixed, 1, None),
        (ann, 2, None),
        (patching, 3, "patches"),
    ]
    assert after.edges["rule"].tolist() == ["patches", "patches", None, None]
    assert np.array_equal(after.edges["strangeness"], before.edges["strangeness"])
    hiding.hide_all(tmp_path, [])
    again = findings.load(tmp_path, DAY)
    pd.testing.assert_frame_equal(again.edges, before.edges)
    assert again.incidents == before.incidents


@pytest.mark.parametrize(
    ("condition", "edge_has"),
    [
        ("user = 'CORP\\alice'", {"user": "alice@corp"}),
        ("user = 'alice@CORP.'", {"user": "alice@corp"}),
        ("user = 'U7@DOM1'", {"user": "U7@DOM1"}),  # a log source with canonical names keeps capitals
        ("source = '\\\\WS7.Corp.Example.'", {"source": "ws7.corp.example"}),
        ("source = '::ffff:10.0.0.7'", {"source": "10.0.0.7"}),
        ("target = 'SRV1.'", {"target": "srv1"}),
        ("target = '\\\\Srv\\Share'", {"target": "\\\\Srv\\Share"}),
        ("user = 'corp\\svc-*'", {"user": "corp\\svc-1"}),  # a pattern stays as it is written
    ],
)
def test_an_exact_name_is_matched_as_ingest_spells_it(condition: str, edge_has: dict[str, str]) -> None:
    assert hides(rule(condition), edge(**edge_has))
    assert not hides(rule(condition), edge(**{name: f"x{value}" for name, value in edge_has.items()}))


# --- how long a rule holds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "hidden"), [("2027-01-21", True), ("2027-01-22", False), ("9999-12-31", False)]
)
def test_a_rule_holds_for_a_year_at_most(expires: str, hidden: bool, tmp_path: Path) -> None:
    """366 days back from its end, whoever wrote it into the file; one that would not hold yet is refused."""
    text = rule('user = "*"', f"expires = {expires}")
    assert hides(text, edge()) is hidden
    now = dt.datetime.combine(DAY, dt.time(12), dt.UTC)
    if hidden:
        rules.install(tmp_path, text, "ann", now, [])
    else:
        with pytest.raises(UsageError, match=f"expires {expires}; a rule holds for 366 days at most"):
            rules.install(tmp_path, text, "ann", now, [])
        assert not list(tmp_path.iterdir())


def test_a_window_is_a_year_at_most() -> None:
    with pytest.raises(UsageError, match="are more than 366 days"):
        rules.parse(rule('user = "*"', "from = 2026-01-01\nto = 2027-01-02"), "x")
    assert hides(rule('user = "*"', "from = 2026-01-01\nto = 2027-01-01"), edge())


@pytest.mark.parametrize("time", ["expires = 0001-01-01", "from = 0001-01-01\nto = 0001-06-01"])
def test_the_first_days_of_the_calendar_end_nothing(time: str) -> None:
    assert not hides(rule('user = "*"', time), edge())
