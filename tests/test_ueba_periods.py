"""Return periods of incidents and cases: counted by hand on small worlds, kept by chance on days that are
alike, shown by commands, and chosen by with --at-most."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scored_world import MODEL, incident_of, on_day, table
from script_files import script
from small_workspace import run

from ueba import findings, words
from ueba.contracts.edge import Edge
from ueba.contracts.incident import BelowLine, Incident
from ueba.contracts.period import NOTHING_KNOWN, Period
from ueba.contracts.scored import ScoredEdge
from ueba.detect import periods as counting
from ueba.evaluate.measure import read_labels
from ueba.findings import Findings
from ueba.investigate import cases, periods
from ueba.investigate.periods import MOST_DAYS
from ueba.workspace import Workspace

FIRST = dt.date(2026, 3, 2)


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def name(number: int, place: int) -> str:
    return f"{day(number):%Y%m%d}-{place:08x}"


def save(
    root: Path,
    number: int,
    scores: Sequence[float],
    below: Sequence[float] = (),
    user: str = "",
    **fields: object,
) -> None:
    """The findings of a day: incidents of these scores, each of a user of its own, or all of one."""
    edges: list[ScoredEdge] = []
    incidents: list[Incident] = []
    for place, score in enumerate((*scores, *below)):
        who = user or f"u{number}-{place}"
        edge = on_day(day(number), Edge(who, None, f"srv{number}-{place}", "machine"), name(number, place))
        edges.append(edge)
        rest = {"score": score, "rank": place + 1, "below_line": place >= len(scores)} | fields
        incidents.append(incident_of([edge], **rest))
    above, under = incidents[: len(scores)], incidents[len(scores) :]
    kept = tuple(
        BelowLine(incident, (edge.edge,)) for incident, edge in zip(under, edges[len(scores) :], strict=True)
    )
    listed = [msgspec.structs.replace(edge, incident=None) for edge in edges[len(scores) :]]
    found = Findings(day(number), table([*edges[: len(scores)], *listed]), tuple(above), kept)
    findings.save(found, root / "findings")


def of_day(root: Path, number: int, verdicts: dict[str, str] | None = None) -> list[Period]:
    """The periods of a day's incidents, reported ones first."""
    folder = root / "findings"
    found = findings.load_incidents(folder, day(number), day(number), below=True)
    often = periods.of_incidents(folder, verdicts or {}, found)
    return [often[incident.id] for incident in found]


def of_cases(root: Path, number: int) -> list[Period]:
    """The periods of the cases of a day, highest score first."""
    workspace = Workspace(root)
    book = cases.read(workspace)
    found = book.between(day(number), day(number))
    often = periods.of_cases(workspace.findings, book, found)
    return [often[case.id] for case in found]


# --- by hand ------------------------------------------------------------------------------------------------


def test_what_came_on_other_days_is_counted_and_what_never_came_is_a_bound(tmp_path: Path) -> None:
    """Of three days one had a 12; two had a 10, one of them below the line: 4 / 2 and 4 / 4 days."""
    save(tmp_path, 0, [12.0])
    save(tmp_path, 1, [10.0], below=[3.0])
    save(tmp_path, 2, [], below=[10.0])
    save(tmp_path, 3, [13.0, 12.0, 10.0], below=[2.0])
    save(tmp_path, 4, [99.0])  # what comes later is not looked at
    assert of_day(tmp_path, 3) == [
        Period(3.0, True),
        Period(2.0, False),
        Period(1.0, False),
        Period(4 / 5, False),
    ]
    assert of_day(tmp_path, 0) == [NOTHING_KNOWN]


def test_a_true_incident_says_nothing_of_days_without_attacks_and_a_hidden_one_does(tmp_path: Path) -> None:
    save(tmp_path, 0, [20.0])
    save(tmp_path, 1, [20.0], hidden_by="patches")
    save(tmp_path, 2, [15.0])
    assert of_day(tmp_path, 2) == [Period(1.0, False)]  # 3 / 3
    assert of_day(tmp_path, 2, {name(0, 0): "true", name(1, 0): "benign"}) == [Period(1.5, False)]
    assert of_day(tmp_path, 2, {name(0, 0): "true", name(1, 0): "true"}) == [Period(2.0, True)]


def test_scores_of_other_features_are_of_another_scale(tmp_path: Path) -> None:
    save(tmp_path, 0, [20.0], model=msgspec.structs.replace(MODEL, features_digest="others"))
    save(tmp_path, 1, [1.0])
    save(tmp_path, 2, [15.0])
    assert of_day(tmp_path, 2) == [Period(1.0, True)]


def test_the_last_days_of_a_season_are_compared_with(tmp_path: Path) -> None:
    save(tmp_path, 0, [20.0])
    for number in range(1, MOST_DAYS + 1):
        save(tmp_path, number, [1.0])
    save(tmp_path, MOST_DAYS + 1, [15.0])
    assert of_day(tmp_path, MOST_DAYS) == [Period((MOST_DAYS + 1) / (MOST_DAYS + 1), False)]
    assert of_day(tmp_path, MOST_DAYS + 1) == [Period(float(MOST_DAYS), True)]


def test_held_out_days_are_lent_until_they_are_scored(tmp_path: Path) -> None:
    """The training held out the days 0 and 1; the first night has no other."""
    lent = {day(0): (9.0, 8.0), day(1): (5.0,)}
    model = msgspec.structs.replace(MODEL, quiet_scores=lent)
    save(tmp_path, 2, [8.5, 4.0], model=model)
    assert of_day(tmp_path, 2) == [Period(1.5, False), Period(3 / 4, False)]
    assert of_cases(tmp_path, 2) == [Period(1.5, False), Period(3 / 4, False)]
    save(tmp_path, 0, [1.0])
    assert of_day(tmp_path, 2)[0] == Period(2.0, True)


def test_a_case_is_compared_with_cases_where_they_ended_and_with_what_is_in_no_case(tmp_path: Path) -> None:
    """A case of two days ended on day 1 with 11.69: a third from 11, as exp(-0) adds log 2 to 11."""
    save(tmp_path, 0, [11.0], user="ann")
    save(tmp_path, 1, [11.0], user="ann")
    save(tmp_path, 2, [11.5], below=[11.6])
    save(tmp_path, 3, [11.65])
    assert of_day(tmp_path, 3) == [Period(3.0, True)]
    assert of_cases(tmp_path, 3) == [Period(2.0, False)]  # the case of ann is as strange
    assert of_cases(tmp_path, 2) == [Period(1.5, False)]
    assert of_cases(tmp_path, 1) == [Period(1.0, True)]  # not compared with its own beginning
    run(tmp_path, "triage", name(0, 0), "--verdict", "true", "--reason", "stolen")
    assert of_cases(tmp_path, 3) == [Period(3.0, True)]
    save(tmp_path, 3, [11.6])
    assert of_cases(tmp_path, 3) == [Period(2.0, False)]  # the one below the line, which is in no case
    run(tmp_path, "triage", name(2, 1), "--verdict", "true", "--reason", "stolen")
    assert of_cases(tmp_path, 3) == [Period(3.0, True)]


# --- by chance ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("busy", [False, True], ids=["even days", "some days are busy"])
def test_on_days_that_are_alike_a_claim_comes_as_often_as_it_says(busy: bool) -> None:
    """Twenty incidents a day, or on one day in five a hundred: at most once in N days comes once in N."""
    rng = np.random.default_rng(0)
    claims = dict.fromkeys((3, 10, 30), 0)
    trials, known = 3000, 60
    for _ in range(trials):
        counts = np.where(rng.random(known + 1) < 0.2, 100 if busy else 20, 20)
        *before, today = (rng.exponential(size=count) for count in counts)
        pool = np.sort(np.concatenate(before))
        found = [counting.period(score, known, pool) for score in today]
        for days in claims:
            claims[days] += sum(period.comes_at_most(1 / days) for period in found)
    for days, count in claims.items():
        assert 0.85 < days * count / trials < 1.15


# --- in words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "text"),
    [
        (Period(34.0, True), "rarer than anything in 34 days"),
        (Period(1.0, True), "rarer than anything in 1 day"),
        (NOTHING_KNOWN, "no day to compare with yet"),
        (Period(40.4, False), "about once in 40 days"),
        (Period(1.5, False), "about once in 2 days"),
        (Period(1.2, False), "about once a day"),
        (Period(0.7, False), "several a day"),
    ],
)
def test_how_often_in_words(period: Period, text: str) -> None:
    assert words.how_often(period) == text
    assert text.removeprefix("no day ") in words.happens(period).replace("compare it with", "compare with")


# --- at the command line ------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Nine days with a 10 and a 5, but one with a 12; then a day that is asked about."""
    for number in range(9):
        save(tmp_path, number, [12.0 if number == 4 else 10.0, 5.0])
    save(tmp_path, 9, [14.0, 11.0, 6.0], below=[13.0])
    return tmp_path


def test_incidents_and_cases_have_their_period(workspace: Path) -> None:
    listed = json.loads(run(workspace, "incidents", "--below", "--format", "json").stdout)
    assert [(row["period_days"], row["period_is_bound"]) for row in listed] == [
        (9.0, True),
        (5.0, False),
        (1.0, False),
        (9.0, True),
    ]
    lines = run(workspace, "cases", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["period_days"] for line in lines] == [9.0, 5.0, 1.0]
    text = " ".join(run(workspace, "incidents").stdout.split())
    assert "how often" in text and "how rare" not in text and "rarer than anything in 9 days" in text
    rows = list(csv.DictReader(run(workspace, "incidents", "--format", "csv").stdout.splitlines()))
    assert [(row["how_often"], row["period_days"]) for row in rows][:2] == [
        ("rarer than anything in 9 days", "9.0"),
        ("about once in 5 days", "5.0"),
    ]
    assert "about once in 5 days" in run(workspace, "cases").stdout


def test_explain_begins_with_it(workspace: Path) -> None:
    [summary, *_] = run(workspace, "explain", name(9, 1)).stdout.split("\n\n")
    assert "anything so strange happens here about once in 5 days." in " ".join(summary.split())
    record = json.loads(run(workspace, "explain", name(9, 1), "--format", "json").stdout)
    record = record[0] if isinstance(record, list) else record
    assert (record["period_days"], record["period_is_bound"]) == (5.0, False)
    first = run(workspace, "explain", f"case-{name(9, 0)}").stdout.splitlines()[0]
    assert first.endswith("here it is rarer than anything in 9 days")


@pytest.mark.parametrize(
    ("at_most", "places"),
    [
        ("0.2/day", [0, 1, 3]),
        ("1.4/week", [0, 1, 3]),
        ("0.19/day", [0, 3]),
        ("1 / week", [0, 3]),
        ("3/day", [0, 1, 2, 3]),
    ],
)
def test_at_most_decides_instead_of_the_budget(workspace: Path, at_most: str, places: list[int]) -> None:
    """Once in 5 days is 0.2 a day; what is below the line counts by how rare it is."""
    result = run(workspace, "incidents", "--at-most", at_most, "--format", "json")
    assert [row["id"] for row in json.loads(result.stdout)] == [name(9, place) for place in places]
    exported = run(workspace, "export", "ecs", "--at-most", at_most).stdout.splitlines()
    assert [json.loads(line)["event"]["id"] for line in exported] == [name(9, place) for place in places]
    found = json.loads(run(workspace, "cases", "--at-most", at_most, "--format", "json").stdout)
    assert [row["id"] for row in found] == [f"case-{name(9, place)}" for place in places if place != 3]


def test_a_bound_holds_as_far_as_days_are_known(workspace: Path) -> None:
    result = run(workspace, "incidents", "--at-most", "0.1/day")
    assert name(9, 0) not in result.stdout
    note = " ".join(result.stderr.split())
    assert "2 incidents left out are rarer than anything before; whether as strange ones come at most" in note
    assert "0.1/day is known once 10 days were scored before" in note
    assert "1 case left out is rarer" in " ".join(
        run(workspace, "cases", "--at-most", "0.1/day").stderr.split()
    )


@pytest.mark.parametrize(
    "at_most", ["0.3", "0/day", "-1/day", "nan/day", "1/month", "1e3/day", "day", "", "٣/day"]
)
@pytest.mark.parametrize("command", [("incidents",), ("cases",), ("export", "ocsf")])
def test_what_is_no_rate_is_refused(tmp_path: Path, command: tuple[str, ...], at_most: str) -> None:
    message = run(tmp_path, *command, "--at-most", at_most, code=2).stderr
    assert "--at-most" in message and "write it as 0.3/day or 2/week" in " ".join(message.split())


def test_a_rate_does_not_choose_among_ids(workspace: Path) -> None:
    message = run(workspace, "export", "ecs", name(9, 0), "--at-most", "1/day", code=2).stderr
    assert "--at-most chooses among the incidents of days" in " ".join(message.split())


def test_exports_have_it(workspace: Path) -> None:
    [record, *_] = map(json.loads, run(workspace, "export", "ocsf").stdout.splitlines())
    unmapped = record["unmapped"]
    assert (unmapped["period_days"], unmapped["period_is_bound"]) == (9.0, True)
    assert unmapped["case"]["period_days"] == 9.0 and "rarer than anything in 9 days" in record["message"]
    [row, *_] = csv.DictReader(run(workspace, "export", "csv").stdout.splitlines())
    assert (row["incident_period_days"], row["incident_period_is_bound"]) == ("9.0", "1")


# --- the measure --------------------------------------------------------------------------------------------


def test_claims_are_counted_on_days_that_could_make_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the days 3 to 5, with three days known, the 11 of day 3 claims once in 3 days, and the 12 of day 5
    only if the two attacks of day 4, no claims themselves, are called true: 3 * 1 / 3 and 3 * 2 / 3."""
    for number, scores in enumerate([[10.0], [10.0], [10.0], [11.0], [12.0, 12.0], [12.0]]):
        save(tmp_path, number, scores)
    attacks = "".join(f"{day(4)}T09:00:00Z,u4-{n},,srv4-{n},pivot,1,1\n" for n in (0, 1))
    (tmp_path / "labels.csv").write_text(f"time,user,source,target,kind,campaign,malicious\n{attacks}")
    script("periods").main(Workspace(tmp_path), read_labels(tmp_path / "labels.csv"))
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines()[1:]]
    assert [[cell.strip() for cell in line[:3]] for line in lines] == [
        ["nobody says so", "incidents", "1.00"],
        ["nobody says so", "cases", "1.00"],
        ["called true", "incidents", "2.00"],
        ["called true", "cases", "2.00"],
    ]
