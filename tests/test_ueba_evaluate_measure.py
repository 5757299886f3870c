"""Measures on worlds small enough to count by hand, and an oracle that must be perfect."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluate_world import INTRUDER, SCORED, STRANGERS, world

from ueba.config import IncidentConfig
from ueba.errors import InputError
from ueba.evaluate import measure, results
from ueba.evaluate.ranking import rank
from ueba.evaluate.rows import ROWS, Run

DAY = dt.date(2026, 3, 1)
NEXT = dt.date(2026, 3, 2)


def labels(*rows: tuple[dt.date, str, int, str]) -> pd.DataFrame:
    """(day, user, campaign, kind); source and target are named after the user."""
    table = pd.DataFrame(rows, columns=["day", "user", "campaign", "kind"])
    return table.assign(source="s" + table["user"], target="t" + table["user"])


def listed(*rows: tuple[dt.date, str, str]) -> pd.DataFrame:
    """(day, user, incident)"""
    table = pd.DataFrame(rows, columns=["day", "user", "incident"])
    return table.assign(source="s" + table["user"], target="t" + table["user"])


BAD = labels(
    (DAY, "a", 1, "chain"),
    (DAY, "b", 1, "chain"),
    (NEXT, "c", 2, "burst"),
    (NEXT, "d", -2, "red"),
    (DAY, "e", -2, "red"),
)


def test_campaigns_incidents_and_days_are_counted() -> None:
    """Incident x holds campaign 1 and work, y the red team, z only work; campaign 2 is in none; user c on
    another day is not it."""
    found = measure.matched(listed((DAY, "a", "x"), (DAY, "w", "x"), (NEXT, "d", "y"), (DAY, "c", "z")), BAD)
    assert dict(measure.campaigns_found(found)) == {1: "chain"}
    assert dict(measure.campaigns_there(BAD)) == {1: "chain", 2: "burst"}
    assert measure.precision(found) == pytest.approx(2 / 3)
    assert (measure.red_team_days(found), measure.red_team_days(BAD)) == (1, 2)


@pytest.mark.parametrize(("work", "found"), [(4, 1), (5, 0)])
def test_nobody_is_found_in_a_crowd(work: int, found: int) -> None:
    """Ten malicious edges of fifty are a fifth; of sixty, and of 40 it would not matter, they are fewer."""
    bad = labels(*((DAY, f"m{number}", 1, "burst") for number in range(10)))
    crowd = [(DAY, f"m{number}", "x") for number in range(10)] + [
        (DAY, f"w{number}", "x") for number in range(10 * work)
    ]
    judged = measure.matched(listed(*crowd), bad)
    assert len(measure.campaigns_found(judged)) == found and measure.precision(judged) == found


def test_a_small_incident_is_no_crowd() -> None:
    judged = measure.matched(
        listed((DAY, "a", "x"), *((DAY, f"w{number}", "x") for number in range(39))), BAD
    )
    assert len(measure.campaigns_found(judged)) == 1


def test_what_is_labelled_harmless() -> None:
    """x is about a sweep, y about a sweep and an attack, z about neither."""
    found = measure.matched(listed((DAY, "s", "x"), (DAY, "s", "y"), (DAY, "a", "y"), (DAY, "w", "z")), BAD)
    assert measure.benign_share(found, labels((DAY, "s", -1, "sweep"))) == pytest.approx(1 / 3)


SCORES = {"x": 9.0, "swept": 8, "red": 7.5, "y": 7, "work": 6, "crowd": 5, "late": 4}  # of incidents


def scored_incidents(scores: dict[str, float]) -> pd.DataFrame:
    """Over two days, best first: campaign 1; a sweep, which labels call harmless; the red team; campaign 2;
    only work; campaign 3 in a crowd, where nobody sees it; campaign 3 again."""
    crowd = [(NEXT, f"w{number}", "crowd") for number in range(50)]
    rows = [(DAY, "a", "x"), (DAY, "s", "swept"), (NEXT, "d", "red"), (NEXT, "c", "y"), (DAY, "w", "work")]
    reported = listed(*rows, (NEXT, "f", "crowd"), *crowd, (DAY, "f", "late"))
    bad = pd.concat([BAD, labels((DAY, "f", 3, "new"), (NEXT, "f", 3, "new"))])
    return measure.matched(reported.assign(score=reported["incident"].map(scores)), bad)


def test_campaigns_found_against_false_incidents_a_day() -> None:
    """The sweep and the work are false, the crowd with an attack in it is not. Of two days, half a false
    incident a day lets the sweep through, one a day everything."""
    rates = (0.1, 0.49, 0.5, 0.99, 1, 3)
    found = measure.found_at_false(scored_incidents(SCORES), 2, rates)
    assert found == {0.1: 1, 0.49: 1, 0.5: 2, 0.99: 2, 1: 3, 3: 3}


def test_one_threshold_holds_on_all_days() -> None:
    """A false incident of one day that scores above all campaigns costs them on the other day too; what
    scores the same as the first one too many stays out."""
    assert measure.found_at_false(scored_incidents({**SCORES, "swept": 10}), 2, (0.1, 0.5)) == {
        0.1: 0,
        0.5: 2,
    }
    assert measure.found_at_false(scored_incidents({**SCORES, "swept": 9}), 2, (0.1,)) == {0.1: 0}


def test_a_share_of_days_is_not_lost_to_rounding() -> None:
    """0.1 * 3 * 10 is 3 in words, and a little more or less in binary."""
    bad = labels((DAY, "a", 1, "new"))
    rows = [(DAY, f"w{number}", f"false-{number}") for number in range(6)]
    reported = listed(*rows, (DAY, "a", "x"))
    scores = {**{f"false-{number}": 10.0 - number for number in range(6)}, "x": 7.5}
    found = measure.matched(reported.assign(score=reported["incident"].map(scores)), bad)
    assert measure.found_at_false(found, 10, (0.3, 0.1 + 0.2, 0.2)) == {0.3: 1, 0.1 + 0.2: 1, 0.2: 0}
    assert measure.found_at_false(found, 30, (0.1,)) == {0.1: 1}


def test_without_incidents_nothing_is_found() -> None:
    none = measure.matched(listed().assign(score=[]), BAD)
    assert measure.found_at_false(none, 2, (0.1, 3)) == {0.1: 0, 3: 0}


def test_the_order_of_edges_by_hand() -> None:
    """Strangest first: bad, good, bad, good, good, bad."""
    malicious, strangeness = np.array([1, 0, 1, 0, 0, 1], bool), np.array([6.0, 5, 4, 3, 2, 1])
    assert measure.false_positives(malicious, strangeness) == 1  # two of three are half
    assert measure.false_positives(malicious, strangeness, recall=0.3) == 0
    assert measure.average_precision(malicious, strangeness) == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)
    assert measure.roc_area(malicious, strangeness) == pytest.approx((3 + 2 + 0) / 9)


def test_what_is_as_strange_counts_as_false() -> None:
    assert measure.false_positives(np.array([True, False, False]), np.array([1.0, 1.0, 0.0])) == 1


def test_flat_p_values_and_those_that_are_not() -> None:
    """One of a hundred in each tenth is flat. With four in the broadest: (4 + 0.5) / (100 + 50) is three
    times 1 %."""
    breadth = np.repeat(np.arange(10), 100)
    p = np.where(np.arange(1000) % 100 == 0, 0.001, 0.5)
    assert measure.p_flatness(p, breadth) == pytest.approx(1)
    p[-3:] = 0.001
    assert measure.p_flatness(p, breadth) == pytest.approx(3)


def test_the_broadest_of_a_hundred_users() -> None:
    user = np.repeat(np.arange(100), 2)
    assert measure.broadest(user, np.repeat(np.arange(100.0), 2)).tolist() == [99]


@pytest.mark.parametrize(
    ("time", "day"), [("86400", DAY + dt.timedelta(1)), ("2026-03-01T23:30:00-01:00", NEXT)]
)
def test_times_of_labels(time: str, day: dt.date, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        f"time,user,source,target,kind,campaign,malicious\n{time},a,b,c,burst,1,1\n"
    )
    read = measure.read_labels(tmp_path / "labels.csv", dt.datetime(2026, 3, 1))
    assert read["day"].tolist() == [day]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,user\n1,a\n", "no column source, target"),
        ("", "cannot be read"),
        ("time,user,source,target,kind,campaign,malicious\nx,a,b,c,k,1,1\n", "ISO"),
    ],
)
def test_labels_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        measure.read_labels(tmp_path / "labels.csv")


# --- an oracle ----------------------------------------------------------------------------------------------


def test_an_oracle_is_perfect(tmp_path: Path) -> None:
    """The intruder and a stranger scored far above all others are two incidents, the first two of the day."""
    prepared = world(tmp_path / "days")
    (scored,) = prepared.of_use("score")
    columns = ["user", "source", "target"]
    bad = pd.DataFrame([INTRUDER, STRANGERS[1]], columns=columns).assign(
        campaign=[0, 1], kind=["pivot", "new"]
    )
    bad = bad.assign(day=scored.date, malicious=1)
    there = results.truth(prepared, bad)
    assert there.edge_malicious.tolist() == [edge in (INTRUDER, STRANGERS[1]) for edge in SCORED]
    by_kind = {"new": 1, "pivot": 1}
    assert there.facts == results.Facts(1, 2, 0, by_kind, resembles={"new": "?", "pivot": "?"})
    rng = np.random.default_rng(0)
    for day in prepared.days:
        surprise = rng.random(len(day.encoded))
        np.save(
            tmp_path / f"surprise-{day.date}.npy",
            surprise + 50 * there.edge_malicious if day.use == "score" else surprise,
        )
    run = Run("first-seen", 0, tmp_path, 1.0, 100.0)
    found = results.result(rank(prepared, run, ROWS[0], IncidentConfig()), there, run)
    assert (found.curve[1], found.numbers["found_5"], found.numbers["reported_found"]) == (1, 2, 2)
    assert found.found_by_kind == {"new": 1, "pivot": 1}
    assert [found.numbers[f"found_at_false_{rate}"] for rate in (0.1, 0.3, 1, 3)] == [2, 2, 2, 2]
    assert set(found.false_curve.values()) == {2} and found.false_curve.keys() == set(results.CURVE_RATES)
    assert found.numbers["ap"] == found.numbers["auc"] == 1 and found.numbers["false_a_day"] == 0
    assert found.numbers["precision_5"] == pytest.approx(2 / 5)
    assert "red_days_10" not in found.numbers and "benign_10" not in found.numbers
    table = results.summary(ROWS[0], [found, found])
    assert (table.mean["found_10"], table.spread["found_10"], table.curve[1]) == (2, 0, 1)
    record = table.to_dict()
    assert (record["row"], record["found_10"], record["found_10_spread"]) == ("first-seen", 2, 0)
    assert (record["found_at_false_0.1"], record["found_at_false_0.1_spread"]) == (2, 0)
    assert record["false_curve"][0.05] == 2


def test_labels_of_another_lake_are_refused(tmp_path: Path) -> None:
    prepared = world(tmp_path / "days")
    bad = pd.DataFrame([("x", "y", "z")], columns=["user", "source", "target"])
    bad = bad.assign(campaign=1, kind="k", malicious=1, day=prepared.days[-1].date)
    with pytest.raises(InputError, match="none of the 1 malicious edges"):
        results.truth(prepared, bad)
