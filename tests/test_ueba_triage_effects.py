"""What verdicts change, in worlds small enough to work out by hand."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detect_world import DAY as FIRST_DAY
from detect_world import edge_table, learned
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ueba.contracts.edge import Edge
from ueba.contracts.reason import Effect
from ueba.contracts.verdict import Verdict, VerdictEdge, to_json
from ueba.detect.past import lessons
from ueba.detect.past.history import History, day_number
from ueba.detect.past.lessons import Lessons
from ueba.triage import effects, log
from ueba.words import sentence

DAY = dt.timedelta(days=1)
MONDAY = dt.date(2026, 1, 19)
NEXT = MONDAY + DAY
NOON = dt.datetime(2026, 1, 20, 12, tzinfo=dt.UTC)
EDGE = Edge("ann", "pc1", "srv", "machine")
NEW = frozenset({"new user_target", "Network"})
NIGHT = frozenset({"hour", "Network"})


def edge(user: str, source: str | None, target: str) -> Edge:
    return Edge(user, source, target, "machine")


def called(
    verdict: str,
    *edges: Edge,
    incident: str = "20260119-aa",
    nats: float = 9.0,
    pattern: frozenset[str] = NEW,
    minutes: int = 0,
    **other: Any,
) -> Verdict:
    """A verdict of Monday, which counts from Tuesday on and for 90 days."""
    fields = {
        "incident": incident,
        "day": MONDAY,
        "reason": "new job",
        "who": "ann",
        "entered": NOON + dt.timedelta(minutes=minutes),
        "since": NEXT,
        "expires": None if verdict in ("true", "withdrawn") else NEXT + 90 * DAY,
    }
    judged = tuple(VerdictEdge(edge, pattern, nats) for edge in edges)
    return Verdict(**{"verdict": verdict, **fields, **other}, edges=judged)


def found(
    verdicts: Sequence[Verdict],
    edge: Edge = EDGE,
    day: dt.date = NEXT,
    pattern: frozenset[str] = NEW,
    strangeness: float = 20.0,
    is_strange: bool = True,
) -> list[Effect]:
    """What verdicts do to one edge."""
    return effects.Verdicts(verdicts, day).effects(edge, lambda: pattern, strangeness, is_strange)


def nats(*arguments: Any, **options: Any) -> float:
    """The same in nats."""
    return sum(effect.nats for effect in found(*arguments, **options))


def fingerprint(verdicts: Sequence[Verdict], last: dt.date) -> str:
    return Lessons(verdicts=verdicts).fingerprint(last)


def excluded(verdicts: Sequence[Verdict], day: dt.date, strange: dict[Edge, float]) -> dict[Edge, float]:
    """The excluded edges of a day with these strange edges."""
    return dict(Lessons(lambda _: strange, verdicts).excluded(day))


# --- benign -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edge", "same_pattern", "other_pattern"),
    [
        (EDGE, 9.0, 4.5),
        (edge("ann", "pc2", "srv"), 6.0, 3.0),
        (edge("ann", "pc1", "db"), 6.0, 0.0),
        (edge("bob", "pc1", "srv"), 6.0, 0.0),
        (edge("ann", "pc2", "db"), 3.0, 0.0),
        (edge("bob", "pc1", "db"), 0.0, 0.0),  # who only shares the machine
        (edge("bob", "pc2", "srv"), 0.0, 0.0),  # everybody meets at the server
        (edge("ann", None, "srv"), 6.0, 3.0),
    ],
)
def test_benign_lowers_by_ends_and_pattern(edge: Edge, same_pattern: float, other_pattern: float) -> None:
    verdicts = [called("benign", EDGE)]
    assert nats(verdicts, edge) == pytest.approx(-same_pattern)
    assert nats(verdicts, edge, pattern=NIGHT) == pytest.approx(-other_pattern)


def test_less_strange_in_kind_is_like_it_and_stranger_in_kind_is_not() -> None:
    verdicts, elsewhere = [called("benign", EDGE)], edge("ann", "pc1", "db")
    assert nats(verdicts, elsewhere, pattern=frozenset({"Network"})) == pytest.approx(-6.0)
    assert nats(verdicts, elsewhere, pattern=NEW | {"many user_target of user"}) == 0.0


def test_an_unknown_machine_is_no_machine_that_edges_share() -> None:
    verdicts = [called("benign", edge("ann", None, "srv"))]
    assert nats(verdicts, edge("ann", None, "srv")) == pytest.approx(-9.0)
    assert nats(verdicts, edge("ann", None, "db")) == pytest.approx(-3.0)
    assert nats(verdicts, edge("bob", None, "srv")) == 0.0


def test_benign_counts_half_after_thirty_days_and_nothing_after_it_expires() -> None:
    verdicts = [called("benign", EDGE)]
    assert nats(verdicts, day=MONDAY) == 0.0  # its own day stays as it was
    assert nats(verdicts, day=NEXT + 30 * DAY) == pytest.approx(-4.5)
    assert nats(verdicts, day=NEXT + 90 * DAY) == pytest.approx(-9.0 / 8)
    assert nats(verdicts, day=NEXT + 91 * DAY) == 0.0
    late = [replace(verdicts[0], since=NEXT + 10 * DAY)]  # given ten days later: until then it counts in full
    assert nats(late, day=NEXT + 3 * DAY) == pytest.approx(-9.0)
    assert nats(late, day=NEXT + 40 * DAY) == pytest.approx(-4.5)


def test_what_is_far_stranger_than_what_was_called_benign_still_shows() -> None:
    assert nats([called("benign", EDGE, nats=4.0)], strangeness=30.0) == pytest.approx(-4.0)
    assert nats([called("benign", EDGE, nats=25.0)], strangeness=30.0) == pytest.approx(-effects.MOST_NATS)
    assert nats([called("benign", EDGE)], strangeness=2.0) == pytest.approx(-2.0)  # never below nothing


def test_to_say_it_ten_times_is_to_say_it_once() -> None:
    verdicts = [called("benign", EDGE, incident=f"20260119-{number}") for number in range(10)]
    assert nats(verdicts, edge("ann", "pc2", "db")) == pytest.approx(-3.0)


def test_a_true_verdict_on_a_user_ends_the_benign_ones_before_it() -> None:
    attack = called("true", edge("ann", "pc9", "dc"), incident="20260120-bb", day=NEXT)
    later = called("benign", EDGE, incident="20260121-cc", day=NEXT + DAY)
    when = NEXT + 2 * DAY
    lifted = 5.0 * 0.7**2
    assert nats([called("benign", EDGE), attack], day=when) == pytest.approx(lifted)
    assert nats([called("benign", EDGE), attack, later], day=when) == pytest.approx(
        lifted - 9 * 0.5 ** (2 / 30)
    )
    assert nats([called("benign", edge("bob", "pc1", "srv")), attack], edge("bob", "pc1", "srv"), when) < 0


# --- expected, true -----------------------------------------------------------------------------------------


def test_expected_is_exactly_its_edges_whatever_the_pattern_until_it_expires() -> None:
    verdicts = [called("expected", EDGE, expires=NEXT + 7 * DAY)]
    assert nats(verdicts, pattern=NIGHT, day=NEXT + 7 * DAY) == pytest.approx(-9.0)
    assert nats(verdicts, day=NEXT + 8 * DAY) == 0.0
    others: list[Edge] = [
        edge("ann", "pc2", "srv"),
        edge("ann", "pc1", "db"),
        edge("bob", "pc1", "srv"),
        edge("ann", None, "srv"),
    ]
    assert [nats(verdicts, edge) for edge in others] == [0.0] * 4


def test_true_lifts_its_users_and_what_is_done_from_its_machines() -> None:
    verdicts = [called("true", EDGE)]
    assert nats(verdicts, edge("ann", "pc7", "x")) == pytest.approx(5.0)
    assert nats(verdicts, edge("eve", "pc1", "x")) == pytest.approx(5.0)
    assert (
        nats(verdicts, edge("eve", "srv", "x")) == 0.0
    )  # reached, and not acted from: its own users are no suspects
    assert nats(verdicts, edge("eve", "pc7", "srv")) == 0.0  # everybody meets there
    assert nats(verdicts, edge("eve", None, "x")) == 0.0
    assert nats(verdicts, day=NEXT + DAY) == pytest.approx(3.5)
    assert nats(verdicts, day=NEXT + 10 * DAY) == 0.0
    assert found(verdicts, strangeness=1.0, is_strange=False) == []


def test_the_reason_names_incident_person_day_and_end() -> None:
    (lower,) = found([called("benign", EDGE)])
    assert sentence(lower) == (
        "counts less: it is like incident 20260119-aa, called benign by ann on 2026-01-20 (new"
        " job), until 2026-04-20"
    )
    assert sentence(lower, numbers=True).endswith(" (-9.0 nats)")
    (lift,) = found([called("true", EDGE)])
    assert sentence(lift) == (
        "counts more: ann is in incident 20260119-aa, called true by ann on 2026-01-20 (new job)"
    )


# --- what holds for all -------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b"])
edges = st.builds(
    Edge,
    names,
    st.sampled_from([None, "p", "q"]),
    st.sampled_from(["p", "x"]),
    st.sampled_from(["machine", "resource"]),
)
patterns = st.frozensets(st.sampled_from(["new", "hour", "Network"]))
days = st.integers(1, 120).map(lambda after: MONDAY + after * DAY)


@st.composite
def worlds(draw: st.DrawFn, kinds: tuple[str, ...] = ("true", "benign", "expected")) -> list[Verdict]:
    """Verdicts on different incidents of some days."""
    verdicts = []
    for number in range(draw(st.integers(0, 5))):
        day = MONDAY + draw(st.integers(0, 4)) * DAY
        judged = draw(st.lists(edges, min_size=1, max_size=3, unique=True))
        verdict = called(
            draw(st.sampled_from(kinds)),
            *judged,
            incident=str(number),
            nats=draw(st.floats(0, 40)),
            pattern=draw(patterns),
        )
        verdicts.append(replace(verdict, day=day, since=day + draw(st.integers(1, 5)) * DAY))
    return verdicts


@given(worlds(("benign", "expected")), edges, patterns, days, st.floats(0, 50))
def test_harmless_verdicts_never_raise_and_take_off_no_more_than_allowed(
    verdicts: list[Verdict], edge: Edge, pattern: frozenset[str], day: dt.date, strangeness: float
) -> None:
    got = nats(verdicts, edge, day, pattern, strangeness)
    assert -min(effects.MOST_NATS, strangeness) <= got <= 0


@given(worlds(), worlds(("true",)), edges, patterns, days, st.floats(0, 50))
def test_true_verdicts_never_lower(
    verdicts: list[Verdict],
    true: list[Verdict],
    edge: Edge,
    pattern: frozenset[str],
    day: dt.date,
    strangeness: float,
) -> None:
    more = [*verdicts, *(replace(verdict, incident=f"true {verdict.incident}") for verdict in true)]
    assert nats(more, edge, day, pattern, strangeness) >= nats(verdicts, edge, day, pattern, strangeness)
    assert 0 <= nats(true, edge, day, pattern, strangeness) <= effects.LIFTED_NATS


@given(worlds(("benign",)), edges, patterns, days, days)
def test_benign_only_fades(
    verdicts: list[Verdict], edge: Edge, pattern: frozenset[str], one: dt.date, other: dt.date
) -> None:
    sooner, later = sorted((max(one, MONDAY + 5 * DAY), max(other, MONDAY + 5 * DAY)))  # after all their days
    assert nats(verdicts, edge, sooner, pattern) <= nats(verdicts, edge, later, pattern)


@given(worlds(), st.randoms(), edges, patterns, days)
def test_the_order_of_lines_about_different_incidents_is_nothing(
    verdicts: list[Verdict], random: Any, edge: Edge, pattern: frozenset[str], day: dt.date
) -> None:
    mixed = random.sample(verdicts, len(verdicts))
    assert found(verdicts, edge, day, pattern) == found(mixed, edge, day, pattern)
    assert excluded(verdicts, day, {edge: 0.01}) == excluded(mixed, day, {edge: 0.01})
    assert fingerprint(verdicts, day) == fingerprint(mixed, day)


# --- learning -----------------------------------------------------------------------------------------------


def test_true_edges_are_no_suspects_but_known() -> None:
    verdicts, other = [called("true", EDGE)], edge("bob", None, "db")
    assert excluded(verdicts, MONDAY, {EDGE: 0.001, other: 0.01}) == {EDGE: 0.0, other: 0.01}
    # On its day even if the day was scored otherwise since.
    assert excluded(verdicts, MONDAY, {}) == {EDGE: 0.0}
    assert excluded(verdicts, NEXT, {EDGE: 0.01}) == {EDGE: 0.0}  # who comes back as strange
    assert excluded(verdicts, NEXT, {}) == {}  # and not who does what is normal by now
    assert excluded(verdicts, MONDAY - DAY, {EDGE: 0.01}) == {EDGE: 0.01}


def test_the_last_word_about_an_edge_counts_in_learning() -> None:
    verdicts = [called("true", EDGE), called("benign", EDGE, incident="20260120-bb", day=NEXT)]
    assert excluded(verdicts, NEXT, {EDGE: 0.01}) == {EDGE: 0.01}
    assert excluded(verdicts, MONDAY, {EDGE: 0.01}) == {EDGE: 0.0}


def test_a_true_edge_leaves_no_trace_in_a_history() -> None:
    """The same as if it had not happened, but for names."""
    day = FIRST_DAY + DAY
    attack: list[tuple[str, str | None, str]] = [("ann", "pc9", "dc"), ("ann", "pc1", "dc")]
    usual: list[tuple[str, str | None, str]] = [("ann", "pc1", "srv"), ("bob", "pc2", "srv")]

    def after(rows: list[tuple[str, str | None, str]], p_value: list[float]) -> History:
        history = learned([("ann", "pc1", "srv"), ("bob", "pc2", "srv")])
        history.encode(edge_table(day, [*usual, *attack]))  # so that both know the same names
        history.learn(day_number(day), history.encode(edge_table(day, rows)), np.array(p_value))
        return history

    with_attack, without = after([*usual, *attack], [1, 1, 0, 0]), after(usual, [1, 1])
    for (key, owner, name), (_, other, _) in zip(with_attack._arrays(), without._arrays(), strict=True):
        np.testing.assert_array_equal(getattr(owner, name), getattr(other, name), key)


def test_a_fingerprint_tells_what_is_kept_out_until_a_day() -> None:
    true = called("true", EDGE)
    assert fingerprint([], NEXT) == ""
    assert fingerprint([called("benign", EDGE)], NEXT) == ""  # benign teaches nothing
    assert fingerprint([true], MONDAY - DAY) == ""  # a history that ends before it is as it was
    assert (
        fingerprint([true], MONDAY)
        == fingerprint([true, called("benign", edge("x", None, "y"), incident="b")], NEXT)
        != ""
    )
    assert fingerprint([true, called("benign", EDGE, incident="b", day=NEXT)], NEXT) != fingerprint(
        [true], NEXT
    )


def test_benign_and_expected_verdicts_clear_the_edges_of_their_day() -> None:
    verdicts = [called("benign", EDGE), called("true", edge("kim", "pc4", "y"), incident="b")]
    assert lessons.cleared(verdicts, MONDAY) == {EDGE}
    assert lessons.cleared(verdicts, NEXT) == set()


def test_a_name_that_is_a_machine_and_a_resource_is_two_edges() -> None:
    resource = EDGE._replace(target_kind="resource")
    assert nats([called("expected", EDGE)], resource) == 0.0
    assert excluded([called("true", EDGE)], MONDAY, {resource: 0.01}) == {EDGE: 0.0, resource: 0.01}


# --- the log ------------------------------------------------------------------------------------------------


def test_the_last_verdict_on_an_incident_counts_and_the_log_keeps_all(tmp_path: Path) -> None:
    benign, true = called("benign", EDGE), called("true", EDGE, minutes=1)
    other = called("expected", EDGE, incident="20260119-bb")
    assert [log.add(tmp_path, verdict) for verdict in (benign, other, true)] == [True] * 3
    kept = log.read(tmp_path)
    assert kept.verdicts == (benign, other, true)
    assert kept.damaged == ()
    assert {verdict.incident: verdict.verdict for verdict in log.latest(kept.verdicts)} == {
        "20260119-aa": "true",
        "20260119-bb": "expected",
    }
    assert log.read(tmp_path).by_incident["20260119-aa"] == true
    states = [log.standing(verdict, kept.verdicts, NEXT + 91 * DAY) for verdict in kept.verdicts]
    assert states == ["superseded: true since 2026-01-20 12:01", "expired", "in force"]
    assert (
        log.standing(other, kept.verdicts, NEXT + 90 * DAY)
        == "ended: their users are in an incident that was called true"
    )
    both = called("benign", EDGE, edge("bob", "pc1", "srv"), incident="20260119-cc")
    assert log.standing(both, [true, both], NEXT).startswith("ended for 1 of 2 edges")
    assert log.standing(both, [both], NEXT) == "in force"


def test_a_verdict_is_withdrawn_by_a_later_one(tmp_path: Path) -> None:
    for verdict in (called("benign", EDGE), called("withdrawn", EDGE, minutes=1)):
        log.add(tmp_path, verdict)
    assert log.read(tmp_path).by_incident == {}
    assert log.read(tmp_path).latest == ()
    assert log.add(tmp_path, called("benign", EDGE, minutes=2))
    assert list(log.read(tmp_path).by_incident) == ["20260119-aa"]


def test_submitted_twice_is_written_once(tmp_path: Path) -> None:
    assert log.add(tmp_path, called("benign", EDGE))
    assert not log.add(tmp_path, called("benign", EDGE, minutes=5))
    assert log.add(tmp_path, called("benign", EDGE, minutes=5, reason="another"))
    assert log.add(tmp_path, called("benign", EDGE, minutes=6))  # he comes back to what he said first
    assert len(log.read(tmp_path).verdicts) == 3


def test_a_half_written_line_is_said_and_skipped_and_stays(tmp_path: Path) -> None:
    log.add(tmp_path, called("benign", EDGE))
    path = log.path(tmp_path)
    broken = path.read_bytes() + b'{"incident": "20260119-bb", "verd\xc3'
    path.write_bytes(broken)
    (damage,) = log.read(tmp_path).damaged
    assert damage.startswith(f"{path}:2: not a verdict (")
    log.add(tmp_path, called("true", EDGE, minutes=1))
    assert path.read_bytes().startswith(broken + b"\n")
    kept = log.read(tmp_path)
    assert [verdict.verdict for verdict in kept.verdicts] == ["benign", "true"]
    assert len(kept.damaged) == 1


@pytest.mark.parametrize("line", ["[]", "7", '{"verdict": "maybe"}', "{}"])
def test_a_line_that_is_no_verdict_is_no_crash(tmp_path: Path, line: str) -> None:
    log.path(tmp_path).parent.mkdir()
    log.path(tmp_path).write_text(line + "\n")
    assert len(log.read(tmp_path).damaged) == 1


def test_a_line_whose_content_was_changed_is_no_verdict(tmp_path: Path) -> None:
    """The id of a verdict is a hash of what it says, so that a changed line is noticed."""
    row = to_json(called("benign", EDGE))
    log.path(tmp_path).parent.mkdir()
    log.path(tmp_path).write_text(json.dumps(row) + "\n" + json.dumps({**row, "who": "ciso"}) + "\n")
    kept = log.read(tmp_path)
    assert kept.verdicts == (called("benign", EDGE),)
    assert "does not match its content" in kept.damaged[0]


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    code = """
import datetime as dt, sys
from pathlib import Path
from ueba.contracts.edge import Edge
from ueba.contracts.verdict import VerdictEdge, Verdict
from ueba.triage.log import add
now, day = dt.datetime.now(dt.UTC), dt.date(2026, 1, 1)
for number in range(40):
    edges = (VerdictEdge(Edge(sys.argv[2] * 3000, None, "x", "machine"), frozenset(), 1.0),)
    add(Path(sys.argv[1]), Verdict(f"{sys.argv[2]}-{number}", day, "true", "r", "w", now, day, None, edges))
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    kept = log.read(tmp_path)
    assert kept.damaged == ()
    assert sorted(verdict.incident for verdict in kept.verdicts) == sorted(
        f"{a}-{n}" for a, n in itertools.product("ab", range(40))
    )
