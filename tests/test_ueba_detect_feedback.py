"""What verdicts change, in worlds small enough to work out by hand."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from detect_world import DAY as FIRST_DAY
from detect_world import edge_table, learned
from hypothesis import given
from hypothesis import strategies as st

from ueba.detect import feedback, findings
from ueba.detect.feedback import Edge, Verdict
from ueba.detect.past.history import History, day_number

DAY = dt.timedelta(days=1)
MONDAY = dt.date(2026, 1, 19)
NEXT = MONDAY + DAY
NOON = dt.datetime(2026, 1, 20, 12, tzinfo=dt.UTC)
EDGE: Edge = ("ann", "pc1", "srv")
NEW = frozenset({"new user_target", "Network"})
NIGHT = frozenset({"hour", "Network"})


def called(
    verdict: str,
    *edges: Edge,
    incident: str = "20260119-aa",
    nats: float = 9.0,
    pattern: frozenset[str] | None = NEW,
    minutes: int = 0,
    **other: Any,
) -> Verdict:
    """A verdict of Monday, which counts from Tuesday on and for 90 days."""
    when = NOON + dt.timedelta(minutes=minutes)
    expires = None if verdict in ("true", "withdrawn") else NEXT + 90 * DAY
    known = {
        "incident": incident,
        "day": MONDAY,
        "reason": "new job",
        "who": "ann",
        "when": when,
        "since": NEXT,
        "expires": expires,
    }
    return Verdict(
        **{"verdict": verdict, **known, **other},
        edges=edges,
        patterns=(pattern,) * len(edges),
        strangeness=(nats,) * len(edges),
    )


def nats(
    said: Sequence[Verdict],
    edge: Edge = EDGE,
    day: dt.date = NEXT,
    pattern: frozenset[str] = NEW,
    strangeness: float = 20.0,
) -> float:
    """What verdicts do to one strange edge."""
    found = feedback.effects(said, day, [edge], lambda row: pattern, [strangeness], [True])
    return sum(effect.nats for effect in found.get(0, []))


# --- benign -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edge", "same_pattern", "other_pattern"),
    [
        (EDGE, 9.0, 4.5),
        (("ann", "pc2", "srv"), 6.0, 3.0),
        (("ann", "pc1", "db"), 6.0, 0.0),
        (("bob", "pc1", "srv"), 6.0, 0.0),
        (("ann", "pc2", "db"), 3.0, 0.0),
        (("bob", "pc1", "db"), 0.0, 0.0),  # who only shares the machine
        (("bob", "pc2", "srv"), 0.0, 0.0),  # everybody meets at the server
        (("ann", None, "srv"), 6.0, 3.0),
    ],
)
def test_benign_lowers_by_ends_and_pattern(edge: Edge, same_pattern: float, other_pattern: float) -> None:
    said = [called("benign", EDGE)]
    assert nats(said, edge) == pytest.approx(-same_pattern)
    assert nats(said, edge, pattern=NIGHT) == pytest.approx(-other_pattern)


def test_less_strange_in_kind_is_like_it_and_stranger_in_kind_is_not() -> None:
    said, elsewhere = [called("benign", EDGE)], ("ann", "pc1", "db")
    assert nats(said, elsewhere, pattern=frozenset({"Network"})) == pytest.approx(-6.0)
    assert nats(said, elsewhere, pattern=NEW | {"many user_target of user"}) == 0.0


def test_an_unknown_machine_is_no_machine_that_edges_share() -> None:
    said = [called("benign", ("ann", None, "srv"))]
    assert nats(said, ("ann", None, "srv")) == pytest.approx(-9.0)
    assert nats(said, ("ann", None, "db")) == pytest.approx(-3.0)
    assert nats(said, ("bob", None, "srv")) == 0.0


def test_where_the_pattern_was_not_kept_only_user_and_target_tell() -> None:
    said = [called("benign", EDGE, pattern=None)]
    assert nats(said) == pytest.approx(-4.5)
    assert nats(said, ("ann", "pc1", "db")) == 0.0


def test_benign_counts_half_after_thirty_days_and_nothing_after_it_expires() -> None:
    said = [called("benign", EDGE)]
    assert nats(said, day=MONDAY) == 0.0  # its own day stays as it was
    assert nats(said, day=NEXT + 30 * DAY) == pytest.approx(-4.5)
    assert nats(said, day=NEXT + 90 * DAY) == pytest.approx(-9.0 / 8)
    assert nats(said, day=NEXT + 91 * DAY) == 0.0
    late = [replace(said[0], since=NEXT + 10 * DAY)]  # given ten days later: until then it counts in full
    assert nats(late, day=NEXT + 3 * DAY) == pytest.approx(-9.0)
    assert nats(late, day=NEXT + 40 * DAY) == pytest.approx(-4.5)


def test_what_is_far_stranger_than_what_was_called_benign_still_shows() -> None:
    assert nats([called("benign", EDGE, nats=4.0)], strangeness=30.0) == pytest.approx(-4.0)
    assert nats([called("benign", EDGE, nats=25.0)], strangeness=30.0) == pytest.approx(-feedback.MOST_NATS)
    assert nats([called("benign", EDGE)], strangeness=2.0) == pytest.approx(-2.0)  # never below nothing


def test_to_say_it_ten_times_is_to_say_it_once() -> None:
    said = [called("benign", EDGE, incident=f"20260119-{number}") for number in range(10)]
    assert nats(said, ("ann", "pc2", "db")) == pytest.approx(-3.0)


def test_a_true_verdict_on_a_user_ends_the_benign_ones_before_it() -> None:
    attack = called("true", ("ann", "pc9", "dc"), incident="20260120-bb", day=NEXT)
    later = called("benign", EDGE, incident="20260121-cc", day=NEXT + DAY)
    when = NEXT + 2 * DAY
    lifted = 5.0 * 0.7**2
    assert nats([called("benign", EDGE), attack], day=when) == pytest.approx(lifted)
    assert nats([called("benign", EDGE), attack, later], day=when) == pytest.approx(
        lifted - 9 * 0.5 ** (2 / 30)
    )
    assert nats([called("benign", ("bob", "pc1", "srv")), attack], ("bob", "pc1", "srv"), when) < 0


# --- expected, true -----------------------------------------------------------------------------------------


def test_expected_is_exactly_its_edges_whatever_the_pattern_until_it_expires() -> None:
    said = [called("expected", EDGE, expires=NEXT + 7 * DAY)]
    assert nats(said, pattern=NIGHT, day=NEXT + 7 * DAY) == pytest.approx(-9.0)
    assert nats(said, day=NEXT + 8 * DAY) == 0.0
    others: list[Edge] = [
        ("ann", "pc2", "srv"),
        ("ann", "pc1", "db"),
        ("bob", "pc1", "srv"),
        ("ann", None, "srv"),
    ]
    assert [nats(said, edge) for edge in others] == [0.0] * 4


def test_true_lifts_its_users_and_what_is_done_from_its_machines() -> None:
    said = [called("true", EDGE)]
    assert nats(said, ("ann", "pc7", "x")) == pytest.approx(5.0)
    assert nats(said, ("eve", "pc1", "x")) == pytest.approx(5.0)
    assert (
        nats(said, ("eve", "srv", "x")) == 0.0
    )  # reached, and not acted from: its own users are no suspects
    assert nats(said, ("eve", "pc7", "srv")) == 0.0  # everybody meets there
    assert nats(said, ("eve", None, "x")) == 0.0
    assert nats(said, day=NEXT + DAY) == pytest.approx(3.5)
    assert nats(said, day=NEXT + 10 * DAY) == 0.0
    assert feedback.effects(said, NEXT, [EDGE], lambda row: NEW, [1.0], [False]) == {}  # nothing strange


def test_the_reason_names_incident_person_day_and_end() -> None:
    (lower,) = feedback.effects([called("benign", EDGE)], NEXT, [EDGE], lambda row: NEW, [20.0], [True])[0]
    assert (
        lower.why
        == "lowered by 9.0 nats: like 20260119-aa called benign by ann on 2026-01-20 (new job), until 2026-04-20"
    )
    (lift,) = feedback.effects([called("true", EDGE)], NEXT, [EDGE], lambda row: NEW, [20.0], [True])[0]
    assert lift.why == "lifted by 5.0 nats: ann is in 20260119-aa called true by ann on 2026-01-20 (new job)"


# --- what holds for all -------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b"])
edges = st.tuples(names, st.sampled_from([None, "p", "q"]), st.sampled_from(["p", "x"]))
patterns = st.frozensets(st.sampled_from(["new", "hour", "Network"]))
days = st.integers(1, 120).map(lambda after: MONDAY + after * DAY)


@st.composite
def worlds(draw: st.DrawFn, kinds: tuple[str, ...] = ("true", "benign", "expected")) -> list[Verdict]:
    """Verdicts on different incidents of some days."""
    said = []
    for number in range(draw(st.integers(0, 5))):
        day = MONDAY + draw(st.integers(0, 4)) * DAY
        some = draw(st.lists(edges, min_size=1, max_size=3, unique=True))
        made = called(
            draw(st.sampled_from(kinds)),
            *some,
            incident=str(number),
            nats=draw(st.floats(0, 40)),
            pattern=draw(patterns),
        )
        said.append(replace(made, day=day, since=day + draw(st.integers(1, 5)) * DAY))
    return said


@given(worlds(("benign", "expected")), edges, patterns, days, st.floats(0, 50))
def test_harmless_verdicts_never_raise_and_take_off_no_more_than_allowed(
    said: list[Verdict], edge: Edge, pattern: frozenset[str], day: dt.date, strangeness: float
) -> None:
    got = nats(said, edge, day, pattern, strangeness)
    assert -min(feedback.MOST_NATS, strangeness) <= got <= 0


@given(worlds(), worlds(("true",)), edges, patterns, days, st.floats(0, 50))
def test_true_verdicts_never_lower(
    said: list[Verdict],
    true: list[Verdict],
    edge: Edge,
    pattern: frozenset[str],
    day: dt.date,
    strangeness: float,
) -> None:
    more = [*said, *(replace(verdict, incident=f"true {verdict.incident}") for verdict in true)]
    assert nats(more, edge, day, pattern, strangeness) >= nats(said, edge, day, pattern, strangeness)
    assert 0 <= nats(true, edge, day, pattern, strangeness) <= feedback.LIFTED_NATS


@given(worlds(("benign",)), edges, patterns, days, days)
def test_benign_only_fades(
    said: list[Verdict], edge: Edge, pattern: frozenset[str], one: dt.date, other: dt.date
) -> None:
    sooner, later = sorted((max(one, MONDAY + 5 * DAY), max(other, MONDAY + 5 * DAY)))  # after all their days
    assert nats(said, edge, sooner, pattern) <= nats(said, edge, later, pattern)


@given(worlds(), st.randoms(), edges, patterns, days)
def test_the_order_of_lines_about_different_incidents_is_nothing(
    said: list[Verdict], random: Any, edge: Edge, pattern: frozenset[str], day: dt.date
) -> None:
    mixed = random.sample(said, len(said))
    one, other = (
        feedback.effects(some, day, [edge], lambda row: pattern, [20.0], [True]) for some in (said, mixed)
    )
    assert one == other
    assert feedback.suspects(said, day, {edge: 0.01}) == feedback.suspects(mixed, day, {edge: 0.01})
    assert feedback.fingerprint(said, day) == feedback.fingerprint(mixed, day)


# --- learning -----------------------------------------------------------------------------------------------


def test_true_edges_are_no_suspects_but_known() -> None:
    said, other = [called("true", EDGE)], ("bob", None, "db")
    assert feedback.suspects(said, MONDAY, {EDGE: 0.001, other: 0.01}) == {EDGE: 0.0, other: 0.01}
    assert feedback.suspects(said, MONDAY, {}) == {
        EDGE: 0.0
    }  # on its day even if the day was scored otherwise since
    assert feedback.suspects(said, NEXT, {EDGE: 0.01}) == {EDGE: 0.0}  # who comes back as strange
    assert feedback.suspects(said, NEXT, {}) == {}  # and not who does what is normal by now
    assert feedback.suspects(said, MONDAY - DAY, {EDGE: 0.01}) == {EDGE: 0.01}


def test_the_last_word_about_an_edge_counts_in_learning() -> None:
    said = [called("true", EDGE), called("benign", EDGE, incident="20260120-bb", day=NEXT)]
    assert feedback.suspects(said, NEXT, {EDGE: 0.01}) == {EDGE: 0.01}
    assert feedback.suspects(said, MONDAY, {EDGE: 0.01}) == {EDGE: 0.0}


def test_a_true_edge_leaves_no_trace_in_a_history() -> None:
    """The same as if it had not happened, but for names."""
    day = FIRST_DAY + DAY
    attack: list[Edge] = [("ann", "pc9", "dc"), ("ann", "pc1", "dc")]
    usual: list[Edge] = [("ann", "pc1", "srv"), ("bob", "pc2", "srv")]

    def after(rows: list[Edge], p_value: list[float]) -> History:
        history = learned([("ann", "pc1", "srv"), ("bob", "pc2", "srv")])
        history.encode(edge_table(day, [*usual, *attack]))  # so that both know the same names
        history.learn(day_number(day), history.encode(edge_table(day, rows)), np.array(p_value))
        return history

    with_attack, without = after([*usual, *attack], [1, 1, 0, 0]), after(usual, [1, 1])
    for (key, owner, name), (_, other, _) in zip(with_attack._arrays(), without._arrays(), strict=True):
        np.testing.assert_array_equal(getattr(owner, name), getattr(other, name), key)


def test_a_fingerprint_tells_what_is_kept_out_until_a_day() -> None:
    true = called("true", EDGE)
    assert feedback.fingerprint([], NEXT) == ""
    assert feedback.fingerprint([called("benign", EDGE)], NEXT) == ""  # benign teaches nothing
    assert feedback.fingerprint([true], MONDAY - DAY) == ""  # a history that ends before it is as it was
    assert (
        feedback.fingerprint([true], MONDAY)
        == feedback.fingerprint([true, called("benign", ("x", None, "y"), incident="b")], NEXT)
        != ""
    )
    assert feedback.fingerprint(
        [true, called("benign", EDGE, incident="b", day=NEXT)], NEXT
    ) != feedback.fingerprint([true], NEXT)


def test_what_was_called_harmless_leaves_no_evidence_with_its_user() -> None:
    edges = pd.DataFrame(
        {
            "user": ["ann", "bob", "eve", "kim"],
            "source": ["pc1", None, "pc3", "pc4"],
            "target": ["srv", "db", "x", "y"],
            "p_value": np.exp([-9.0, -8.0, -7.0, -9.0]),
            "feedback": [0.0, 0.0, -1.5, 4.0],
            "rule": pd.Series([None, "patches", None, None], dtype=object),
        }
    )
    assert findings.evidence(edges).to_dict() == pytest.approx({"ann": 4.0, "eve": 0.5, "kim": 4.0})
    cleared = feedback.cleared(
        [called("benign", EDGE), called("true", ("kim", "pc4", "y"), incident="b")], MONDAY
    )
    assert cleared == {EDGE}
    assert findings.evidence(edges, cleared).to_dict() == pytest.approx({"eve": 0.5, "kim": 4.0})
    assert feedback.cleared([called("benign", EDGE)], NEXT) == set()


# --- the log ------------------------------------------------------------------------------------------------


def test_the_last_verdict_on_an_incident_counts_and_the_log_keeps_all(tmp_path: Path) -> None:
    benign, true = called("benign", EDGE), called("true", EDGE, minutes=1)
    other = called("expected", EDGE, incident="20260119-bb", pattern=None)
    assert [feedback.add(tmp_path, verdict) for verdict in (benign, other, true)] == [True] * 3
    log = feedback.read(tmp_path)
    assert log.verdicts == [benign, other, true]
    assert log.damaged == []
    assert {each.incident: each.verdict for each in feedback.latest(log.verdicts)} == {
        "20260119-aa": "true",
        "20260119-bb": "expected",
    }
    assert feedback.verdicts(tmp_path)["20260119-aa"] == true.to_dict()
    states = [feedback.state(verdict, log.verdicts, NEXT + 91 * DAY) for verdict in log.verdicts]
    assert states == ["superseded: true since 2026-01-20 12:01", "expired", "in force"]
    assert (
        feedback.state(other, log.verdicts, NEXT + 90 * DAY)
        == "ended: their users are in what was called true"
    )
    both = called("benign", EDGE, ("bob", "pc1", "srv"), incident="20260119-cc")
    assert feedback.state(both, [true, both], NEXT).startswith("ended for 1 of 2 edges")
    assert feedback.state(both, [both], NEXT) == "in force"


def test_a_verdict_is_withdrawn_by_a_later_one(tmp_path: Path) -> None:
    for verdict in (called("benign", EDGE), called("withdrawn", EDGE, minutes=1)):
        feedback.add(tmp_path, verdict)
    assert feedback.verdicts(tmp_path) == {}
    assert feedback.latest(feedback.read(tmp_path).verdicts) == []
    assert feedback.add(tmp_path, called("benign", EDGE, minutes=2))
    assert list(feedback.verdicts(tmp_path)) == ["20260119-aa"]


def test_submitted_twice_is_written_once(tmp_path: Path) -> None:
    assert feedback.add(tmp_path, called("benign", EDGE))
    assert not feedback.add(tmp_path, called("benign", EDGE, minutes=5))
    assert feedback.add(tmp_path, called("benign", EDGE, minutes=5, reason="another"))
    assert feedback.add(tmp_path, called("benign", EDGE, minutes=6))  # he comes back to what he said first
    assert len(feedback.read(tmp_path).verdicts) == 3


def test_a_half_written_line_is_said_and_skipped_and_stays(tmp_path: Path) -> None:
    feedback.add(tmp_path, called("benign", EDGE))
    path = feedback.log_path(tmp_path)
    broken = path.read_bytes() + b'{"incident": "20260119-bb", "verd\xc3'
    path.write_bytes(broken)
    (said,) = feedback.read(tmp_path).damaged
    assert said.startswith(f"{path}:2: no verdict")
    feedback.add(tmp_path, called("true", EDGE, minutes=1))
    assert path.read_bytes().startswith(broken + b"\n")
    log = feedback.read(tmp_path)
    assert [verdict.verdict for verdict in log.verdicts] == ["benign", "true"]
    assert len(log.damaged) == 1


@pytest.mark.parametrize("line", ["[]", "7", '{"verdict": "maybe"}', "{}"])
def test_a_line_that_is_no_verdict_is_no_crash(tmp_path: Path, line: str) -> None:
    feedback.log_path(tmp_path).parent.mkdir()
    feedback.log_path(tmp_path).write_text(line + "\n")
    assert len(feedback.read(tmp_path).damaged) == 1


def test_what_only_has_the_columns_of_the_contract_is_read(tmp_path: Path) -> None:
    row = called("benign", EDGE).to_dict()
    for name in ("since", "patterns", "strangeness"):
        del row[name]
    feedback.log_path(tmp_path).parent.mkdir()
    feedback.log_path(tmp_path).write_text(json.dumps(row) + "\n")
    (verdict,) = feedback.read(tmp_path).verdicts
    assert verdict == called("benign", EDGE, nats=feedback.MOST_NATS, pattern=None)


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    code = """
import datetime as dt, sys
from pathlib import Path
from ueba.detect.feedback import Verdict, add
now, day = dt.datetime.now(dt.UTC), dt.date(2026, 1, 1)
for number in range(40):
    edges = ((sys.argv[2] * 3000, None, "x"),)
    add(Path(sys.argv[1]), Verdict(f"{sys.argv[2]}-{number}", day, "benign", "r", "w", now, day, None, edges, (None,), (1.0,)))
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    log = feedback.read(tmp_path)
    assert log.damaged == []
    assert sorted(verdict.incident for verdict in log.verdicts) == sorted(
        f"{a}-{n}" for a, n in itertools.product("ab", range(40))
    )
