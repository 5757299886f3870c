"""Explanations: exact sums, alternatives judged as the model itself would, sentences from numbers worked out
by hand."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from detect_world import DAY, edge_table, learned
from hypothesis import given, settings
from hypothesis import strategies as st
from small_workspace import CONFIG, LAST, history_before, run

from models import inference
from ueba import findings, words
from ueba.contracts import scored as contract
from ueba.contracts.edge import Edge
from ueba.contracts.explanation import Counterfactual, Expected, Explanation, Habit, Usual
from ueba.contracts.incident import Incident, ModelFacts
from ueba.contracts.period import Period
from ueba.contracts.reason import Combination
from ueba.contracts.scored import ScoredEdge
from ueba.detect.day import Past, score_day
from ueba.detect.look import features, neighbours
from ueba.detect.past.history import day_number
from ueba.detect.past.walk import DayEdges, day_edges
from ueba.detect.reasons import HISTORY_OF
from ueba.detect.score.detector import Detector
from ueba.investigate.explain import counterfactuals, habits, kept, weigh
from ueba.investigate.explain import day as explaining
from ueba.investigate.explain import words as sentences
from ueba.investigate.explain.incident import ExplainedEdge, ExplainedIncident
from ueba.investigate.explain.scoring import DayScoring

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
def day(scored):
    return scored, findings.load(scored.findings, LAST)


@pytest.fixture(scope="module")
def judged(day):
    workspace, found = day
    model, history = Detector.load(workspace.model), history_before(workspace)
    edges = day_edges(workspace.lake, history, LAST, "1GB")
    return model, history, edges, found, DayScoring.of(model, history, edges)


def strangest_row(edges, found):
    """The strangest edge of the day that is in an incident, and where it stands among all of the day."""
    wanted = contract.edges(found.edges[found.edges["incident"].notna()])[0].edge
    every = zip(*(edges.table[name].to_pylist() for name in Edge._fields), strict=True)
    return wanted, list(every).index(wanted)


def test_an_edge_that_never_happened_is_scored_as_the_detector_does(judged):
    model, history, edges, _, scoring = judged
    score, _ = model.score(history, edges.encoded, day_number(LAST))
    surprise, p = scoring.score(edges.encoded)
    assert surprise == pytest.approx(score.surprise, abs=1e-4) and p == pytest.approx(score.p_value, rel=1e-3)


def test_parts_add_up_to_the_log_odds_and_these_are_the_surprise(day):
    workspace, found = day
    explanations = kept.load(workspace.findings, LAST)
    assert set(explanations) == {incident.id for incident in found.incidents} and explanations
    surprise = {edge.edge: edge.surprise for edge in contract.edges(found.edges)}
    for of_incident in explanations.values():
        assert 1 <= len(of_incident) <= explaining.MOST_EDGES
        for explanation in of_incident:
            assert explanation.ordinary_log_odds + sum(explanation.parts.values()) == pytest.approx(
                explanation.log_odds, abs=1e-6
            )
            assert np.logaddexp(0, explanation.log_odds) == pytest.approx(
                surprise[explanation.edge], abs=1e-4
            )


def test_what_is_explained_is_kept(judged, scored):
    model, history, edges, found, _ = judged
    assert explaining.explain(model, history, edges, found) == kept.load(scored.findings, LAST)


@pytest.mark.parametrize("part", weigh.PARTS)
def test_what_differs_in_one_part_owes_all_to_it(judged, part):
    """The edge is its own ordinary one, but for the features of one part."""
    *_, edges, _, scoring = judged
    row = edges.encoded.take(np.array([0]))
    described = scoring.describe(row)
    changed = np.where(weigh.MEMBERS[part], described + 1, described).astype(np.float32)
    (weights,) = weigh.weigh(scoring, row, changed, ordinary=row)
    graph = scoring.products(row)
    difference = scoring.log_odds(graph, changed)[0] - scoring.log_odds(graph, described)[0]
    assert abs(difference) > 1e-6
    assert weights.parts[weigh.PARTS[part]] == pytest.approx(difference, abs=1e-6)
    assert all(abs(nats) < 1e-9 for name, nats in weights.parts.items() if name != weigh.PARTS[part])
    for feature in weights.features:  # each by its own function, on top of the ordinary value
        column = features.FEATURE_NAMES.index(feature.feature)
        assert weigh.MEMBERS[part][column] and feature.value == pytest.approx(feature.ordinary + 1)
        alone = described.copy()
        alone[0, column] += 1
        own = [
            (inference.contributions(model, alone) - inference.contributions(model, described)).sum()
            + (
                (inference.standardised(model, alone) - inference.standardised(model, described))
                @ model.arrays["linear.weight"][0]
            )[0]
            for model in scoring.model.models
        ]
        assert feature.log_odds == pytest.approx(np.mean(own), abs=1e-5)


def test_what_differs_in_its_ends_alone_owes_all_to_the_graph(judged):
    *_, edges, _, scoring = judged
    graph = scoring.products(edges.encoded)[0]
    other = int(np.argmax(np.abs(graph - graph[0]).sum(1)))
    row, ordinary = edges.encoded.take(np.array([other])), edges.encoded.take(np.array([0]))
    (weights,) = weigh.weigh(scoring, row, scoring.describe(ordinary), ordinary)
    assert abs(weights.parts[weigh.GRAPH]) > 1e-6
    assert all(abs(nats) < 1e-9 for name, nats in weights.parts.items() if name != weigh.GRAPH)


def test_the_ordinary_edge_is_the_median_of_the_days(judged):
    *_, edges, _, scoring = judged
    ordinary, row = edges.encoded.take(np.arange(5)), edges.encoded.take(np.array([7]))
    (weights,) = weigh.weigh(scoring, row, scoring.describe(row), ordinary)
    median = np.median(scoring.describe(ordinary), axis=0)
    assert weights.features and all(
        feature.ordinary == pytest.approx(median[features.FEATURE_NAMES.index(feature.feature)])
        for feature in weights.features
    )


def test_a_name_that_is_both_a_machines_and_a_resources_can_be_explained(judged):
    model, history, edges, found, _ = judged
    wanted, row = strangest_row(edges, found)
    table = edges.table
    column = table.column_names.index("target_kind")
    other = table.slice(row, 1).set_column(column, "target_kind", pa.array(["resource"]))
    both = pa.concat_tables([table, other.cast(table.schema)])
    twice = DayEdges(LAST, history.encode(both), both)
    again, _ = score_day(model, Past(history), twice, CONFIG.incidents)
    explanations = explaining.explain(model, history, twice, again)
    explained = [
        row.edge for rows in explanations.values() for row in rows if row.edge.target == wanted.target
    ]
    assert len(explained) == len(set(explained)) and {edge.target_kind for edge in explained} >= {"machine"}


def test_every_feature_is_of_one_part():
    assert sum(weigh.MEMBERS.values()).tolist() == [1] * len(features.FEATURES)
    part_of = {feature.name: feature.part for feature in features.FEATURES}
    assert {part_of[name] for name in ("rare_hours_user", "hour_surprise_worst")} == {"hour"}


def test_a_change_is_judged_as_an_edge_that_has_it(judged):
    """Each alternative again, through the detector's own functions."""
    model, history, edges, found, scoring = judged
    row = edges.encoded.take(np.array([strangest_row(edges, found)[1]]))
    [changes] = counterfactuals.counterfactuals(scoring, row)
    assert {change.change for change in changes} >= {"source", "target"}
    assert [change.p_value for change in changes] == sorted(
        (change.p_value for change in changes), reverse=True
    )
    ids = {"source": history.places, "target": history.places, "user": history.users}
    changed = row.take(np.zeros(len(changes), np.int64))
    columns = {name: getattr(changed, name).copy() for name in ("user", "source", "target", "hours", "types")}
    for number, change in enumerate(changes):
        if change.change in ids:
            columns[change.change][number] = ids[change.change].find([change.to])[0]
            if change.acts_from is not None:
                columns["source"][number] = history.places.find([change.acts_from])[0]
        else:
            name = "hours" if change.change == "hour" else "types"
            to = int(change.to) if change.change == "hour" else history.types.names.index(change.to)
            columns[name][number] = np.arange(columns[name].shape[1]) == to
    changed = replace(changed, **columns)
    seen = features.today(history, edges.encoded)
    described = features.describe(history, changed, day_number(LAST), seen)
    expected = model.surprise(history, changed, described, seen.likeness.space)
    # Rows of a matrix product differ in their last digit by where they stand, and a feature's own function
    # can be steep.
    assert np.array([change.surprise for change in changes]) == pytest.approx(expected, abs=1e-2)


# --- what is counted ----------------------------------------------------------------------------------------


def test_what_a_user_does_on_most_days_is_counted_in_decayed_days():
    """A day counts half after one: of ann's 1.5 days srv was on all, pc1 and pc2 on one each."""
    history = learned(
        [("ann", "pc1", "srv"), ("ann", "pc1", "pc1")], [("ann", "pc1", "srv"), ("ann", "pc1", "pc2")]
    )
    assert habits.expected(history, 0) == Expected(
        target=(Usual("srv", 1.0), Usual("pc2", round(1 / 1.5, 4)), Usual("pc1", round(0.5 / 1.5, 4))),
        source=(Usual("pc1", 1.0),),
        hour=(Usual("9", 1.0),),
        logon_type=(Usual("Network", 1.0),),
    )


def test_how_often_somebody_does_new_things_can_be_counted():
    """Of the four targets of their second days one was new, and it was cal's; on the third day dee meets two
    new ones."""
    history = learned(
        [("cal", None, "x1"), ("dee", None, "x1"), ("dee", None, "x2")],
        [("cal", None, "x1"), ("cal", None, "x2"), ("dee", None, "x1"), ("dee", None, "x2")],
    )
    day = DAY + dt.timedelta(days=2)
    encoded = history.encode(
        edge_table(day, [("cal", None, "x1"), ("dee", None, "x3"), ("dee", None, "x4"), ("cal", None, "x5")])
    )
    scoring = DayScoring(None, history, day_number(day), features.today(history, encoded), {}, [])
    cal, dee = (
        habits.habit(scoring, encoded, row, "user_target", Edge(user, None, "x", "machine"), False)
        for row, user in ((3, "cal"), (1, "dee"))
    )
    assert (dee.actor, dee.partner, dee.new_today, dee.partners, dee.cohort) == ("dee", "x", 2, 2, 1)
    assert cal.new_today == 1 and cal.novelty_of_cohort == dee.novelty_of_cohort == pytest.approx(0.25)
    assert dee.novelty_rate < 0.25 < cal.novelty_rate and dee.new_a_day < cal.new_a_day
    assert (cal.most_new, dee.most_new) == (1, 0)


@pytest.mark.parametrize(
    ("feature", "names"),
    [
        ("user_target.unknown_user", ("ann",)),
        ("source_target.unknown_source", ("pc1",)),
        ("user_target.unknown_target", ("srv",)),
        ("user_source.unknown_user", ()),
    ],
)
def test_who_has_no_history_is_named(feature, names):
    described = np.zeros(len(features.FEATURES), np.float32)
    described[features.FEATURE_NAMES.index(feature)] = 1
    assert (feature in HISTORY_OF.values()) is bool(names)
    assert explaining._without_history(scored_edge("pc1", "srv"), described) == names
    no_source = tuple(name for name in names if name != "pc1")
    assert explaining._without_history(scored_edge(None, "srv"), described) == no_source


def test_a_change_is_to_what_is_usual_and_never_to_what_is():
    history = learned(
        [("ann", "pc1", "srv"), ("bob", "pc2", "srv"), ("bob", "pc2", "db"), ("cat", "pc3", "srv")],
        [("ann", "pc1", "srv"), ("bob", "pc2", "db")],
    )
    encoded = history.encode(edge_table(DAY, [("ann", "pc1", "db")], hour=3, logon_type="Interactive"))
    alike = neighbours.before(history, encoded)
    scoring = DayScoring(None, history, day_number(DAY), features.today(history, encoded), alike, [])
    near = counterfactuals._like(alike["user"], encoded.user)
    choices = counterfactuals._choices(scoring, encoded, 0, near)
    names = {
        "source": history.places.names,
        "target": history.places.names,
        "user": history.users.names,
        "hour": range(24),
    }
    found = {
        (choice.change, names.get(choice.change, history.types.names)[choice.to], choice.why)
        for choice in choices
    }
    (peer,) = [choice for choice in choices if choice.change == "user"]
    assert (
        history.places.names[peer.acts_from] == "pc2"
    )  # from where bob reaches db, as he never acted from pc1
    assert {choice.acts_from for choice in choices if choice.change != "user"} == {-1}
    assert found == {
        ("source", "pc2", "where the target is usually reached from"),
        ("target", "srv", "what the user usually reaches"),
        ("user", "bob", "an account like it that knows the target"),
        ("hour", 9, "when the user is usually active"),
        ("logon_type", "Network", "how the user usually logs on"),
    }


def test_the_account_that_would_have_been_normal_is_like_it_by_what_both_reach():
    everybody = [(user, None, "mail") for user in ("ann", "bob", "cat", "dan", "eve", "fay")]
    rows = [("ann", "git"), ("bob", "git"), ("bob", "db"), ("cat", "db"), ("ann", "wiki"), ("bob", "wiki")]
    history = learned([*everybody, *((user, None, target) for user, target in rows)])
    day = DAY + dt.timedelta(days=1)
    reached = [("ann", "db"), ("new", "db"), ("new", "git"), ("lone", "db")]
    encoded = history.encode(edge_table(day, [(user, None, target) for user, target in reached]))
    alike, seen = neighbours.before(history, encoded), features.today(history, encoded)
    scoring = DayScoring(None, history, day_number(day), seen, alike, [])
    near = counterfactuals._like(alike["user"], encoded.user)

    def others(row: int) -> list[tuple[str, str]]:
        choices = counterfactuals._choices(scoring, encoded, row, near)
        return [(history.users.names[choice.to], choice.why) for choice in choices if choice.change == "user"]

    like_it = "an account like it that knows the target"
    assert others(0) == [("bob", f"{like_it}: both reach wiki and git"), ("cat", like_it)]
    assert others(1) == [("bob", f"{like_it}: both reach git")]  # cat has nothing else in common with it
    assert others(3) == []  # nothing is known of it but the edge itself


# --- in words -----------------------------------------------------------------------------------------------

HABIT = Habit(
    relation="user_target",
    actor="ann",
    partner="srv9",
    was_quarantined=False,
    new_today=3,
    new_a_day=0.25,
    most_new=1.0,
    novelty_rate=0.02,
    novelty_of_cohort=0.05,
    cohort=12,
    partners=4,
    partners_quarantined=1,
    known_days=30,
)
EXPLANATION = Explanation(
    edge=Edge("ann", None, "srv9", "machine"),
    new=(HABIT,),
    expected=Expected(
        target=(Usual("srv1", 0.9),),
        source=(Usual("ws1", 1.0),),
        hour=(Usual("10", 0.5), Usual("9", 0.3)),
        logon_type=(Usual("Network", 1.0),),
    ),
    counterfactuals=(
        Counterfactual("user", "bob", "ws2", "an account like it that knows the target", 0.1, 0.4),
        Counterfactual("source", "ws1", None, "where the user usually acts from", 2.0, 0.05),
    ),
    log_odds=6.0,
    ordinary_log_odds=-4.0,
    hours=(Usual("3", 0.0004),),
    logon_types=(Usual("Network", 1.0),),
    parts={"user and target": 5.0, "hours": 3.0, "logon type": -0.01, "the graph": 2.01},
    features=(),
    backoff=("srv9",),
)
WHEN = dt.datetime(2026, 3, 2, 3, 4, 5)


def scored_edge(source=None, target="srv9", **other):
    fields = {
        "day": WHEN.date(),
        "user": "ann",
        "user_kind": "human",
        "source": source,
        "target": target,
        "target_kind": "machine",
        "count": 2,
        "failures": 0,
        "first_seen": WHEN,
        "last_seen": WHEN.replace(hour=4, minute=0, second=0),
        "logon_types": ("Network",),
        "surprise": 6.0,
        "p_value": 0.0005,
        "p_is_bound": False,
        "once_in_days": 400.0,
        "carry_over": 1.5,
        "strangeness_alone": 13.6,
        "strangeness_persisted": 15.1,
        "strangeness": 15.1,
        "verdicts": (),
        "rule": None,
        "incident": "20260302-aa",
        "reasons": (Combination(),),
        "pattern": ("Network",),
    }
    return ScoredEdge(**{**fields, **other})


def incident_of(*edges):
    """An incident with these edges (edge, explanation)."""
    incident = Incident(
        id="20260302-aa",
        day=WHEN.date(),
        rank=2,
        score=12.34,
        p_value=0.0005,
        once_in_days=400.0,
        users=("ann",),
        machines=("srv9",),
        resources=(),
        edges=len(edges),
        reasons=(Combination(),),
        backoff=False,
        model=ModelFacts(WHEN.date(), WHEN.date(), 1, {}, "features"),
    )
    rows = [ExplainedEdge(f"e{n}", edge, explanation, []) for n, (edge, explanation) in enumerate(edges, 1)]
    return ExplainedIncident(incident, rows, Period(40.0, False))


def test_an_explanation_reads_as_its_numbers():
    assert sentences.sentences(incident_of((scored_edge(), EXPLANATION))) == [
        "ann made 1 strange edge between 2026-03-02 03:04:05 and 04:00:00 UTC; rank 2 of 2026-03-02:"
        " anything so strange happens here about once in 40 days.",
        "e1: ann reached srv9 from an unknown machine at 03:04:05, 2 times; about once in 400 days an"
        " account this active does something this unusual.",
        "e1: ann reached srv9 for the first time; it knew 4 targets (and 1 from strange edges only), and 2.0%"
        " of those it meets in a day are new (5.0% for the 12 as broad); on this day it met 3 new ones,"
        " usually 0.2.",
        "e1: of what ann usually does, 3 h UTC is 0.0%.",
        "e1: usually ann reaches srv1 (on 90% of its days); acts from ws1 (on 100% of its days); is most"
        " active at 9 h, 10 h UTC; logs on by Network (100%).",
        "e1: it would have been normal by bob from ws2, an account like it that knows the target.",
        "e1: what counted most: user and target (50%), hours (30%), the graph (20%).",
        "e1: srv9 has no history: it was compared with similar ones (back-off).",
        "e1: ann was also strange on the days before.",
    ]


def test_numbers_stand_beside_for_those_who_want_them():
    first, what, *_ = found = sentences.sentences(incident_of((scored_edge(), EXPLANATION)), numbers=True)
    assert first.endswith("about once in 40 days (score 12.3 nats, p 0.0005).")
    assert what.endswith("does something this unusual (surprise 6.0 nats, p 0.0005).")
    assert (
        "e1: it would have been normal by bob from ws2, an account like it that knows the target (p 0.4)."
        in found
    )
    assert (
        "e1: evidence in log odds: user and target +5.0, hours +3.0, the graph +2.0; together 6.0, where an"
        " ordinary edge of the day has -4.0." in found
    )


def test_without_numbers_no_sentence_has_any_of_a_model():
    text = " ".join(sentences.sentences(incident_of((scored_edge(), EXPLANATION), (scored_edge(), None))))
    assert not re.search(r"\b(nats|log odds|p|p-value|surprise)\b", text)


def test_without_a_change_that_helps_it_says_how_far_the_best_goes():
    no_help = msgspec.structs.replace(EXPLANATION, counterfactuals=EXPLANATION.counterfactuals[1:])
    assert (
        "e1: no single change makes it normal; the nearest is from ws1, where the user usually acts from."
        in sentences.sentences(incident_of((scored_edge(), no_help)))
    )


@pytest.mark.parametrize(
    ("days", "text"),
    [(0.2, "every day"), (2.4, "once in 2 days"), (43.2, "once in 43 days"), (356.0, "once in 360 days")]
    + [(1e9, "less than once in 1,000 days")],
)
def test_rarity_is_said_for_a_person(days, text):
    assert words.once_in(days) == text
    assert text.split(" in ")[-1] in words.rarity(days)


@pytest.mark.parametrize(
    ("count", "failures", "text"),
    [
        (1, 0, "ann reached srv9 from an unknown machine at 03:04:05, once;"),
        (1, 1, "ann tried to reach srv9 from an unknown machine at 03:04:05, once (it failed);"),
        (3, 3, "ann tried to reach srv9 from an unknown machine at 03:04:05, 3 times (all failed);"),
        (3, 1, "ann reached srv9 from an unknown machine at 03:04:05, 3 times (1 failed);"),
    ],
)
def test_what_failed_did_not_reach(count, failures, text):
    edge = scored_edge(count=count, failures=failures)
    assert text in sentences.sentences(incident_of((edge, EXPLANATION)))[1]


def test_what_a_user_usually_does_is_said_once_and_that_it_is_new():
    habit = msgspec.structs.replace(HABIT, known_days=1, partners=1, partners_quarantined=0, new_today=1)
    young = msgspec.structs.replace(EXPLANATION, new=(habit,))
    edges = (scored_edge(), young), (scored_edge(), EXPLANATION), (scored_edge(user="bob"), EXPLANATION)
    found = sentences.sentences(incident_of(*edges))
    assert [row[:2] for row in found if ": usually " in row] == ["e1", "e3"]
    assert "for the first time; known for 1 day, it knew 1 target, and" in found[2]
    assert "it met 1 new one, usually 0.2" in found[2]


# --- the command --------------------------------------------------------------------------------------------


def test_the_command_tells_names_and_shows_where_in_the_log(day, tmp_path):
    workspace, finding = day
    name = finding.incidents[0].id
    result = run(workspace.root, "explain", name, "--picture", str(tmp_path / "incident.svg"))
    assert (
        ": usually " not in result.stdout
        and "- usually " in result.stdout
        and "what counted most" in result.stdout
        and f"{LAST}.txt:" in result.stdout
    )
    assert "has no explanations" not in result.stderr and (tmp_path / "incident.svg").exists()
    [facts] = json.loads(run(workspace.root, "explain", name, "--format", "json").stdout)
    assert facts["id"] == name and facts["sentences"][0].startswith(facts["edges"][0]["user"])
    event = facts["edges"][0]["events"][0]
    path, _, line = event["event"].rpartition(":")
    record = Path(path).read_text().splitlines()[int(line) - 1].split(",")
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=int(record[0]))
    assert (
        moment.isoformat() == event["time"]
        and facts["edges"][0]["target"].split(".")[0].casefold() in record[4].casefold()
    )
    lines = run(workspace.root, "explain", name, "--format", "jsonl").stdout.splitlines()
    assert len(lines) == len(facts["edges"]) and json.loads(lines[0])["incident"] == name


def test_a_day_scored_without_explanations_still_tells_its_reasons(scored_workspace):
    found = findings.load(scored_workspace.findings, LAST)
    (scored_workspace.findings / f"explained={LAST}.json").unlink()
    shown = run(scored_workspace.root, "explain", found.incidents[0].id)
    assert "ueba score --day" in shown.stderr
    assert words.sentence(found.incidents[0].reasons[0]) in " ".join(shown.stdout.split())
