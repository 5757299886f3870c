"""Explanations: exact sums, alternatives judged as the model itself would, sentences from numbers worked out
by hand."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from detect_world import DAY, edge_table, learned
from hypothesis import given, settings
from hypothesis import strategies as st
from small_workspace import CONFIG, LAST, run, trained  # noqa: F401

from models import inference
from ueba import stages
from ueba.detect import findings
from ueba.detect.detector import Detector
from ueba.detect.past.history import day_number
from ueba.detect.look import features
from ueba.ingest import lake
from ueba.investigate import explain

# --- Shapley ------------------------------------------------------------------------------------------------

games = st.lists(st.floats(-9, 9), min_size=8, max_size=8)  # the value of each coalition of three


def worth(game):
    return lambda chosen: np.array([game[int(chosen @ [1, 2, 4])]])


@given(games)
@settings(max_examples=50, deadline=None)
def test_what_the_players_bring_adds_up(game):
    assert inference.shapley(worth(game), 3).sum() == pytest.approx(game[7] - game[0], abs=1e-9)


def test_it_is_the_average_over_the_orders_of_coming():
    game = [0, 1, 2, 5, 0, 1, 4, 9]  # players a=1, b=2, c=4
    # orders abc, acb, bac, bca, cab, cba: what a brings is 1, 1, 3, 5, 1, 5
    assert inference.shapley(worth(game), 3)[0] == pytest.approx(
        [16 / 6, 2 / 6 + 26 / 6, 0 + 10 / 6], abs=1e-9
    )


def test_who_changes_nothing_brings_nothing_and_equals_bring_the_same():
    def value(chosen):
        return np.array([3.0 * (chosen[0] or chosen[1])])

    assert inference.shapley(value, 3)[0] == pytest.approx([1.5, 1.5, 0])


# --- a scored day -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(trained):  # noqa: F811
    finding = stages.score(trained, LAST, CONFIG)
    return trained, finding


@pytest.fixture(scope="module")
def judged(scored):
    workspace, finding = scored
    model = Detector.load(workspace.model)
    history = stages.known_before(workspace, LAST, CONFIG)
    table = lake.read_pairs(workspace.lake, LAST, LAST)
    batch = history.encode(table)
    return model, history, batch, table, finding, explain.Judge.of(model, history, LAST, batch)


def test_the_judge_says_what_the_detector_says(judged):
    model, history, batch, _, _, judge = judged
    score, _ = model.score(history, batch, day_number(LAST))
    surprise, p = judge.score(batch)
    assert surprise == pytest.approx(score.surprise, abs=1e-4) and p == pytest.approx(score.p_value, rel=1e-3)


def test_parts_add_up_to_the_log_odds_and_these_are_the_surprise(scored):
    workspace, finding = scored
    told = explain.load(workspace.findings, LAST)
    assert set(told) == {incident["id"] for incident in finding.incidents} and told
    surprise = {
        (edge["user"], edge["source"], edge["target"]): edge["surprise"]
        for edge in findings.records(finding.edges)
    }
    for edges in told.values():
        assert 1 <= len(edges) <= explain.EDGES
        for edge in edges:
            assert edge["ordinary_log_odds"] + sum(edge["parts"].values()) == pytest.approx(
                edge["log_odds"], abs=1e-6
            )
            assert np.logaddexp(0, edge["log_odds"]) == pytest.approx(
                surprise[edge["user"], edge["source"], edge["target"]], abs=1e-4
            )


def test_what_is_explained_is_kept_and_is_json(judged, scored):
    model, history, batch, table, finding, _ = judged
    again = explain.facts(model, history, batch, table, finding)
    assert json.loads(json.dumps(again)) == explain.load(scored[0].findings, LAST)


@pytest.mark.parametrize("part", explain.PARTS)
def test_what_differs_in_one_part_owes_all_to_it(judged, part):
    """The edge is its own ordinary one, but for the features of one part."""
    *_, batch, _, _, judge = judged
    row = batch.take(np.array([0]))
    described = judge.describe(row)
    changed = np.where(explain.MEMBERS[part], described + 1, described).astype(np.float32)
    (told,) = explain.weigh(judge, row, changed, ordinary=row)
    difference = (
        judge.log_odds(judge.together(row), changed)[0] - judge.log_odds(judge.together(row), described)[0]
    )
    assert abs(difference) > 1e-6 and told["parts"][explain.PARTS[part]] == pytest.approx(
        difference, abs=1e-6
    )
    assert all(abs(nats) < 1e-9 for name, nats in told["parts"].items() if name != explain.PARTS[part])
    for each in told["features"]:  # each by its own function, on top of the ordinary value
        column = features.FEATURE_NAMES.index(each["feature"])
        assert explain.MEMBERS[part][column] and each["value"] == pytest.approx(each["ordinary"] + 1)
        alone = described.copy()
        alone[0, column] += 1
        own = [
            (inference.contributions(weights, alone) - inference.contributions(weights, described)).sum()
            + (
                (inference.standardised(weights, alone) - inference.standardised(weights, described))
                @ weights.arrays["linear.weight"][0]
            )[0]
            for weights in judge.model.models
        ]
        assert each["log_odds"] == pytest.approx(np.mean(own), abs=1e-5)


def test_what_differs_in_its_ends_alone_owes_all_to_the_graph(judged):
    *_, batch, _, _, judge = judged
    together = judge.together(batch)[0]
    other = int(np.argmax(np.abs(together - together[0]).sum(1)))
    row, ordinary = batch.take(np.array([other])), batch.take(np.array([0]))
    (told,) = explain.weigh(judge, row, judge.describe(ordinary), ordinary)
    assert abs(told["parts"][explain.GRAPH]) > 1e-6
    assert all(abs(nats) < 1e-9 for name, nats in told["parts"].items() if name != explain.GRAPH)


def test_the_ordinary_edge_is_the_median_of_the_days(judged):
    *_, batch, _, _, judge = judged
    some = batch.take(np.arange(5))
    (told,) = explain.weigh(judge, batch.take(np.array([7])), judge.describe(batch.take(np.array([7]))), some)
    median = np.median(judge.describe(some), axis=0)
    assert told["features"] and all(
        each["ordinary"] == pytest.approx(median[features.FEATURE_NAMES.index(each["feature"])])
        for each in told["features"]
    )


def test_a_name_that_is_both_a_machines_and_a_resources_can_be_explained(judged):
    model, history, _, table, finding, _ = judged
    wanted = finding.edges[finding.edges["incident"].notna()].iloc[0]
    keys = list(zip(*(table[name].to_pylist() for name in ("user", "source", "target")), strict=True))
    row = keys.index((wanted["user"], wanted["source"], wanted["target"]))
    other = table.slice(row, 1).set_column(
        table.column_names.index("target_kind"), "target_kind", pa.array(["resource"])
    )
    both = pa.concat_tables([table, other.cast(table.schema)])
    batch = history.encode(both)
    again, _ = findings.find(model, history, LAST, batch, both, CONFIG)
    told = explain.facts(model, history, batch, both, again)
    explained = [
        explain.key(edge) for edges in told.values() for edge in edges if edge["target"] == wanted["target"]
    ]
    assert len(explained) == len(set(explained)) and {kind for *_, kind in explained} >= {"machine"}


def test_every_feature_is_of_one_part():
    assert sum(explain.MEMBERS.values()).tolist() == [1] * len(features.FEATURES)
    assert {explain.part_of(name) for name in ("rare_hours_user", "hour_surprise_worst")} == {"hour"}


def test_a_change_is_judged_as_an_edge_that_has_it(judged):
    """Each alternative again, through the detector's own functions."""
    model, history, batch, table, finding, judge = judged
    wanted = finding.edges[finding.edges["incident"].notna()].iloc[0]
    keys = list(zip(*(table[name].to_pylist() for name in ("user", "source", "target")), strict=True))
    row = batch.take(np.array([keys.index((wanted["user"], wanted["source"], wanted["target"]))]))
    [changes] = explain.counterfactuals(judge, row)
    assert {each["change"] for each in changes} >= {"source", "target"}
    assert [each["p_value"] for each in changes] == sorted(
        (each["p_value"] for each in changes), reverse=True
    )
    ids = {"source": history.places, "target": history.places, "user": history.users}
    changed = row.take(np.zeros(len(changes), np.int64))
    columns = {name: getattr(changed, name).copy() for name in ("user", "source", "target", "hours", "types")}
    for number, each in enumerate(changes):
        if each["change"] in ids:
            columns[each["change"]][number] = ids[each["change"]].find([each["to"]])[0]
            if each["from"] is not None:
                columns["source"][number] = history.places.find([each["from"]])[0]
        else:
            name = "hours" if each["change"] == "hour" else "types"
            to = each["to"] if each["change"] == "hour" else history.types.names.index(each["to"])
            columns[name][number] = np.arange(columns[name].shape[1]) == to
    changed = replace(changed, **columns)
    described = features.describe(history, changed, day_number(LAST), features.today(history, batch))
    expected = model.surprise(history, changed, described)
    # Rows of a matrix product differ in their last digit by where they stand, and a feature's own function
    # can be steep.
    assert np.array([each["surprise"] for each in changes]) == pytest.approx(expected, abs=1e-2)


# --- what is counted ----------------------------------------------------------------------------------------


def test_what_a_user_does_on_most_days_is_counted_in_decayed_days():
    """A day counts half after one: of ann's 1.5 days srv was on all, pc1 and pc2 on one each."""
    history = learned(
        [("ann", "pc1", "srv"), ("ann", "pc1", "pc1")], [("ann", "pc1", "srv"), ("ann", "pc1", "pc2")]
    )
    expected = explain._expected(history, 0)
    assert expected["target"] == [
        {"name": "srv", "days": 1.0},
        {"name": "pc2", "days": round(1 / 1.5, 4)},
        {"name": "pc1", "days": round(0.5 / 1.5, 4)},
    ]
    assert expected["source"] == [{"name": "pc1", "days": 1.0}]
    assert expected["hour"] == [{"name": 9, "share": 1.0}] and expected["logon_type"] == [
        {"name": "Network", "share": 1.0}
    ]


def test_how_often_somebody_does_new_things_can_be_counted():
    """Of the four targets of their second days one was new, and it was cal's; on the third day dee meets two
    new ones."""
    history = learned(
        [("cal", None, "x1"), ("dee", None, "x1"), ("dee", None, "x2")],
        [("cal", None, "x1"), ("cal", None, "x2"), ("dee", None, "x1"), ("dee", None, "x2")],
    )
    day = DAY + dt.timedelta(days=2)
    batch = history.encode(
        edge_table(day, [("cal", None, "x1"), ("dee", None, "x3"), ("dee", None, "x4"), ("cal", None, "x5")])
    )
    judge = explain.Judge(None, history, day_number(day), features.today(history, batch), [])
    cal, dee = (
        explain._habit(judge, batch, number, "user_target", False, {"user": user, "target": "x"})
        for number, user in ((3, "cal"), (1, "dee"))
    )
    assert (dee["who"], dee["met"], dee["new_today"], dee["partners"], dee["peers"]) == ("dee", "x", 2, 2, 1)
    assert cal["new_today"] == 1 and cal["novelty_of_peers"] == dee["novelty_of_peers"] == pytest.approx(0.25)
    assert dee["novelty"] < 0.25 < cal["novelty"] and dee["new_a_day"] < cal["new_a_day"]
    assert (cal["most_new"], dee["most_new"]) == (1, 0)


@pytest.mark.parametrize(
    ("feature", "told"),
    [
        ("user_target.unknown_user", ["ann"]),
        ("source_target.unknown_source", ["pc1"]),
        ("user_target.unknown_target", ["srv"]),
        ("user_source.unknown_user", []),
    ],
)
def test_who_has_no_history_is_named(feature, told):
    described = np.zeros(len(features.FEATURES), np.float32)
    described[features.FEATURE_NAMES.index(feature)] = 1
    assert explain._backoff({"user": "ann", "source": "pc1", "target": "srv"}, described) == told
    assert explain._backoff({"user": "ann", "source": None, "target": "srv"}, described) == [
        name for name in told if name != "pc1"
    ]


def test_a_change_is_to_what_is_usual_and_never_to_what_is():
    history = learned(
        [("ann", "pc1", "srv"), ("bob", "pc2", "srv"), ("bob", "pc2", "db"), ("cat", "pc3", "srv")],
        [("ann", "pc1", "srv"), ("bob", "pc2", "db")],
    )
    batch = history.encode(edge_table(DAY, [("ann", "pc1", "db")], hour=3, logon_type="Interactive"))
    choices = explain._choices(history, batch, 0, explain._peers(history, batch.user))
    names = {
        "source": history.places.names,
        "target": history.places.names,
        "user": history.users.names,
        "hour": range(24),
    }
    told = {(each.what, names.get(each.what, history.types.names)[each.to], each.why) for each in choices}
    (peer,) = [each for each in choices if each.what == "user"]
    assert (
        history.places.names[peer.acts_from] == "pc2"
    )  # from where bob reaches db, as he never acted from pc1
    assert {each.acts_from for each in choices if each.what != "user"} == {-1}
    assert told == {
        ("source", "pc2", "where the target is usually reached from"),
        ("target", "srv", "what the user usually reaches"),
        ("user", "bob", "a peer who knows the target"),
        ("hour", 9, "when the user is usually active"),
        ("logon_type", "Network", "how the user usually logs on"),
    }


# --- in words -----------------------------------------------------------------------------------------------

TOLD = {
    "new": [
        {
            "relation": "user_target",
            "who": "ann",
            "met": "srv9",
            "was_strange_before": False,
            "new_today": 3,
            "new_a_day": 0.25,
            "most_new": 1.0,
            "novelty": 0.02,
            "novelty_of_peers": 0.05,
            "peers": 12,
            "partners": 4,
            "partners_held": 1,
            "known_days": 30,
        }
    ],
    "expected": {
        "target": [{"name": "srv1", "days": 0.9}],
        "source": [{"name": "ws1", "days": 1.0}],
        "hour": [{"name": 10, "share": 0.5}, {"name": 9, "share": 0.3}],
        "logon_type": [{"name": "Network", "share": 1.0}],
    },
    "counterfactuals": [
        {
            "change": "user",
            "to": "bob",
            "from": "ws2",
            "why": "a peer who knows the target",
            "surprise": 0.1,
            "p_value": 0.4,
        },
        {
            "change": "source",
            "to": "ws1",
            "from": None,
            "why": "where the user usually acts from",
            "surprise": 2.0,
            "p_value": 0.05,
        },
    ],
    "log_odds": 6.0,
    "ordinary_log_odds": -4.0,
    "hours": [{"name": 3, "share": 0.0004}],
    "logon_types": [{"name": "Network", "share": 1.0}],
    "parts": {"user and target": 5.0, "hours": 3.0, "logon type": -0.01, "the graph": 2.01},
    "features": [],
    "backoff": ["srv9"],
}
EDGE = {
    "edge": "e1",
    "user": "ann",
    "source": None,
    "target": "srv9",
    "count": 2,
    "failures": 0,
    "first_seen": "2026-03-02T03:04:05",
    "last_seen": "2026-03-02T04:00:00",
    "surprise": 6.0,
    "p_value": 0.0005,
    "carried": 1.5,
    "reasons": ["new"],
    "explained": TOLD,
}


def test_an_explanation_reads_as_its_numbers():
    facts = {"rank": 2, "day": "2026-03-02", "score": 12.34, "edges": [EDGE]}
    assert explain.sentences(facts) == [
        "ann made 1 strange edge between 2026-03-02T03:04:05 and 04:00:00 UTC; rank 2 of 2026-03-02, 12.3 nats.",
        "e1: ann reached srv9 from an unknown machine at 03:04:05, 2 times; one in 2,000 edges of accounts as broad is so strange"
        " (6.0 nats).",
        "e1: ann reached srv9 for the first time; it knew 4 targets (and 1 by a strange edge alone), and of those it meets in a day"
        " 2.0% are new, of those of the 12 as broad 5.0%; this day it met 3 new ones, 0.2 are usual.",
        "e1: of what ann does otherwise, 3 h UTC 0.0%.",
        "e1: expected instead: ann reaches srv1 (on 90% of its days); acts from ws1 (on 100% of its days); is active most at 9 h,"
        " 10 h UTC; logs on by Network (100%).",
        "e1: it would have been normal by bob from ws2, a peer who knows the target (p 0.4).",
        "e1: what weighed, in log odds: user and target +5.0, hours +3.0, the graph +2.0; together 6.0, where an ordinary edge of"
        " the day has -4.0.",
        "e1: srv9 has no history: it was judged as its group is (back-off).",
        "e1: ann was strange on the days before as well (1.5 nats).",
    ]


def test_without_a_change_that_helps_it_says_how_far_the_best_goes():
    told = {**TOLD, "counterfactuals": TOLD["counterfactuals"][1:]}
    facts = {"rank": 2, "day": "2026-03-02", "score": 12.34, "edges": [{**EDGE, "explained": told}]}
    assert (
        "e1: no single change makes it normal; the nearest is from ws1, where the user usually acts from (p 0.05)."
        in explain.sentences(facts)
    )


def test_p_is_told_for_a_person():
    assert (
        explain.one_in(0.01) == "one in 100 edges"
        and explain.one_in(1e-9) == "fewer than one in 100,000 edges"
    )


@pytest.mark.parametrize(
    ("count", "failures", "said"),
    [
        (1, 0, "ann reached srv9 from an unknown machine at 03:04:05, once;"),
        (1, 1, "ann tried to reach srv9 from an unknown machine at 03:04:05, once (it failed);"),
        (3, 3, "ann tried to reach srv9 from an unknown machine at 03:04:05, 3 times (all failed);"),
        (3, 1, "ann reached srv9 from an unknown machine at 03:04:05, 3 times (1 failed);"),
    ],
)
def test_what_failed_did_not_reach(count, failures, said):
    facts = {
        "rank": 2,
        "day": "2026-03-02",
        "score": 1.0,
        "edges": [{**EDGE, "count": count, "failures": failures}],
    }
    assert said in explain.sentences(facts)[1]


def test_of_a_user_it_is_said_once_what_is_expected_and_that_it_is_new():
    young = {
        **TOLD,
        "new": [{**TOLD["new"][0], "known_days": 1, "partners": 1, "partners_held": 0, "new_today": 1}],
    }
    edges = [{**EDGE, "explained": young}, {**EDGE, "edge": "e2"}, {**EDGE, "edge": "e3", "user": "bob"}]
    said = explain.sentences({"rank": 2, "day": "2026-03-02", "score": 1.0, "edges": edges})
    assert [each[:2] for each in said if "expected instead" in each] == ["e1", "e3"]
    assert (
        "for the first time; known for 1 day, it knew 1 target, and of those" in said[2]
        and "it met 1 new one, 0.2" in said[2]
    )


# --- the command --------------------------------------------------------------------------------------------


def test_the_command_tells_names_and_shows_where_in_the_log(scored, tmp_path):
    workspace, finding = scored
    name = finding.incidents[0]["id"]
    told = run(workspace.root, "explain", name, "--picture", str(tmp_path / "incident.svg"))
    assert (
        "expected instead" in told.stdout and "what weighed" in told.stdout and "auth.txt.gz:" in told.stdout
    )
    assert "scored without explanations" not in told.stderr and (tmp_path / "incident.svg").exists()
    [facts] = json.loads(run(workspace.root, "explain", name, "--format", "json").stdout)
    assert facts["id"] == name and facts["sentences"][0].startswith(facts["edges"][0]["user"])
    event = facts["edges"][0]["events"][0]
    import gzip

    path, _, line = event["event"].rpartition(":")
    with gzip.open(path, "rt") as file:
        record = file.read().splitlines()[int(line) - 1].split(",")
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=int(record[0]))
    assert (
        moment.isoformat() == event["time"]
        and facts["edges"][0]["target"].split(".")[0].casefold() in record[4].casefold()
    )
    lines = run(workspace.root, "explain", name, "--format", "jsonl").stdout.splitlines()
    assert len(lines) == len(facts["edges"]) and json.loads(lines[0])["incident"] == name


def test_a_day_scored_without_explanations_still_tells_its_reasons(scored):
    workspace, finding = scored
    path = workspace.findings / f"explained={LAST}.json"
    kept = path.read_bytes()
    path.unlink()
    try:
        told = run(workspace.root, "explain", finding.incidents[0]["id"])
    finally:
        path.write_bytes(kept)
    assert "ueba score --day" in told.stderr and finding.incidents[0]["reasons"][0].split(" (")[
        0
    ] in " ".join(told.stdout.split())
