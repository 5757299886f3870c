"""Incidents become cases. A world is a few incidents, each a few steps; links and cases are worked out by
hand."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scored_world import incident_of, on_day, scored_edge, table

from ueba import findings
from ueba.contracts import scored as on_disk
from ueba.contracts.case import Case, Pivot, SameMachine, SameUser, Step
from ueba.contracts.edge import Edge
from ueba.contracts.incident import Incident
from ueba.detect.cases import (
    ACTORS_A_DAY,
    CHANCE_KNOWN,
    CHANCE_NEW,
    DAYS,
    LIGHT,
    MACHINES_A_DAY,
    VISITORS_A_DAY,
    cases,
    shared_machines,
    shared_users,
)
from ueba.detect.past.history import History, Side
from ueba.workspace import Workspace

MONDAY = dt.datetime(2026, 3, 2)
MACHINES = 500  # of the organisation
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def step(user: str, source: str | None, target: str, at: dt.datetime, **fields: Any) -> Step:
    """A step that is through, of an account that is at home on the source, to a machine, 10 nats strange."""
    rest: dict[str, Any] = {
        "target_kind": "machine",
        "last_seen": at,
        "is_through": True,
        "is_new_there": False,
        "strangeness": 10.0,
    }
    return Step(user, source, target, first_seen=at, **{**rest, **fields})


class World:
    """Incidents with their steps."""

    def __init__(self) -> None:
        self.incidents: list[Incident] = []
        self.steps: dict[str, list[Step]] = {}

    def add(self, name: str, *steps: Step, **fields: Any) -> None:
        day = steps[0].first_seen.date()
        edges = [
            on_day(day, Edge(s.user, s.source, s.target, s.target_kind), name) for s in steps
        ]  # only for the names in the incident
        self.incidents.append(incident_of(edges, **{"acting_machines": MACHINES, **fields}))
        self.steps[name] = [*steps]

    def cases(self) -> tuple[Case, ...]:
        return cases(self.incidents, self.steps)

    def together(self) -> list[tuple[str, ...]]:
        return [case.incidents for case in self.cases()]


@pytest.fixture
def world() -> World:
    return World()


# --- the same user and the same machine ---------------------------------------------------------------------


def test_who_comes_back_within_a_week_is_one_case(world: World) -> None:
    world.add("a", step("ann", "ws1", "db1", MONDAY + 9 * HOUR), score=10.0)
    world.add("b", step("ann", "ws1", "db2", MONDAY + DAY), score=8.0)
    world.add("c", step("ann", "ws2", "db3", MONDAY + (1 + DAYS) * DAY), score=10.0)
    world.add("d", step("ann", "ws1", "db4", MONDAY + (2 + 2 * DAYS) * DAY))
    first, later = world.cases()
    assert first.id == "case-a" and first.incidents == ("a", "b", "c") and later.incidents == ("d",)
    assert (first.first_day, first.last_day) == (MONDAY.date(), (MONDAY + (1 + DAYS) * DAY).date())
    assert first.links == (SameUser("b", "a", "ann"), SameUser("c", "b", "ann"))
    assert first.users == ("ann",) and first.machines == ("db1", "db2", "db3", "ws1", "ws2")
    # The strangest incident, and log(1 + e^0 + e^-2) for the two others.
    assert first.score == pytest.approx(10 + np.log1p(1 + np.exp(-2)), abs=1e-4)


def test_another_account_on_the_machine_goes_on_if_it_is_new_there(world: World) -> None:
    world.add("a", step("ann", "ws1", "db1", MONDAY))
    world.add("b", step("bob", "ws1", "db2", MONDAY + DAY))  # at home on ws1, as ann is
    world.add("c", step("cy", "ws1", "db3", MONDAY + 2 * DAY, is_new_there=True))
    world.add("d", step("ann", "ws3", "db3", MONDAY + 20 * DAY))
    assert world.together() == [("a",), ("b", "c"), ("d",)]
    assert world.cases()[1].links == (SameMachine("c", "b", "ws1"),)


def test_a_shared_account_that_was_new_on_a_machine_and_comes_back_goes_on(world: World) -> None:
    shared: dict[str, Any] = {"shared_users": ("svc",)}
    world.add("a", step("svc", "ws1", "db1", MONDAY, is_new_there=True), **shared)
    world.add("b", step("svc", "ws1", "db2", MONDAY + DAY), **shared)  # known by now
    world.add("c", step("svc", "ws2", "db3", MONDAY + DAY), **shared)
    assert world.together() == [("a", "b"), ("c",)]
    assert world.cases()[0].links == (SameMachine("b", "a", "ws1"),)


def test_who_and_what_is_shared_leads_nowhere(world: World) -> None:
    for number in range(4):
        at = MONDAY + number * DAY
        world.add(f"a{number}", step("anonymous", f"ws{number}", "dc1", at), shared_users=("anonymous",))
        jump = step(f"user{number}", "jump1", f"db{number}", at, is_new_there=True)
        world.add(f"b{number}", jump, shared_machines=("jump1",))
    assert all(len(case.incidents) == 1 for case in world.cases())


def test_an_edge_that_hardly_counts_leads_nowhere(world: World) -> None:
    light = step("ann", "ws1", "db1", MONDAY, strangeness=10 - LIGHT - 0.1)
    world.add("a", step("bob", "ws1", "db9", MONDAY), light)
    world.add("b", step("ann", "ws7", "db2", MONDAY + DAY))
    assert world.together() == [("a",), ("b",)]


# --- pivots -------------------------------------------------------------------------------------------------


def test_a_chain_from_machine_to_machine_is_one_case(world: World) -> None:
    """ann reaches srv1; from there an account that was never there goes on to srv2, and from that, at once,
    its own service account."""
    world.add("a", step("ann", "ws1", "srv1", MONDAY + 9 * HOUR))
    world.add("b", step("bob", "srv1", "srv2", MONDAY + 2 * DAY, is_new_there=True))
    world.add("c", step("svc", "srv2", "srv3", MONDAY + 2 * DAY + HOUR / 2))
    world.add("x", step("dan", "ws9", "db9", MONDAY + 2 * DAY))
    chain, other = world.cases()
    assert chain.incidents == ("a", "b", "c") and other.incidents == ("x",)
    assert chain.links == (
        Pivot("b", "a", "srv1", "ann", MONDAY + 9 * HOUR, "bob", MONDAY + 2 * DAY),
        Pivot("c", "b", "srv2", "bob", MONDAY + 2 * DAY, "svc", MONDAY + 2 * DAY + HOUR / 2),
    )


@pytest.mark.parametrize(
    ("at", "goes_on"),
    [
        (9 * HOUR, True),
        (DAYS * DAY + 9 * HOUR, True),
        (8 * HOUR, False),  # before srv1 was reached
        ((DAYS + 1) * DAY, False),  # too long ago
    ],
)
@pytest.mark.parametrize("is_new_there", [True, False])
def test_a_pivot_is_in_order(world: World, at: dt.timedelta, goes_on: bool, is_new_there: bool) -> None:
    world.add("a", step("ann", "ws1", "srv1", MONDAY + 9 * HOUR))
    world.add("b", step("bob", "srv1", "db1", MONDAY + at, is_new_there=is_new_there))
    assert (len(world.cases()) == 1) is goes_on


def test_what_was_tried_in_vain_or_is_shared_is_no_pivot(world: World) -> None:
    world.add("a", step("ann", "ws1", "srv1", MONDAY, is_through=False))
    world.add("b", step("bob", "srv1", "db1", MONDAY + HOUR, is_new_there=True))
    world.add("c", step("cy", "ws3", "mail1", MONDAY), shared_machines=("mail1",))
    world.add("d", step("dan", "mail1", "db2", MONDAY + HOUR, is_new_there=True), shared_machines=("mail1",))
    world.add("e", step("eve", "ws5", "vault", MONDAY, target_kind="resource"))
    world.add("f", step("fay", "vault", "db3", MONDAY + HOUR, is_new_there=True))
    assert all(len(case.incidents) == 1 for case in world.cases())


@pytest.mark.parametrize(("is_new_there", "chance"), [(True, CHANCE_NEW), (False, CHANCE_KNOWN)])
def test_a_machine_that_was_reached_before_many_others_is_a_chance(
    world: World, is_new_there: bool, chance: float
) -> None:
    """As many others as chance allows of all machines, less one, may have been reached in between. What the
    incident itself reached does not count."""
    near = int(MACHINES * chance)
    world.add("a", step("ann", "ws1", "srv1", MONDAY))
    world.add("x", *(step("xi", "pc1", f"db{number}", MONDAY + HOUR) for number in range(near - 1)))
    own = [step("bob", "ws7", f"own{number}", MONDAY + HOUR) for number in range(9)]
    world.add("b", *own, step("bob", "srv1", "vm1", MONDAY + 2 * HOUR, is_new_there=is_new_there))
    assert ("a", "b") in world.together()
    world.add("y", step("yo", "pc2", "db99", MONDAY + HOUR))
    assert ("a", "b") not in world.together()


def test_who_went_there_in_the_same_incident_did_not_come_by_another(world: World) -> None:
    world.add("a", step("ann", "ws1", "srv1", MONDAY))
    to, on = step("bob", "ws2", "srv1", MONDAY + HOUR), step("bob", "srv1", "srv2", MONDAY + 2 * HOUR)
    world.add("b", to, on)
    assert len(world.cases()) == 2
    world.steps["b"] = [on]
    assert len(world.cases()) == 1


# --- the identity of a case ---------------------------------------------------------------------------------


def grown() -> World:
    """Two cases, a and x, that incident m joins."""
    world = World()
    world.add("a", step("ann", "ws1", "srv1", MONDAY))
    world.add("b", step("ann", "ws1", "srv2", MONDAY + DAY))
    world.add("x", step("xi", "ws8", "srv8", MONDAY + DAY))
    world.add("y", step("xi", "ws8", "srv9", MONDAY + 2 * DAY))
    world.add("m", step("xi", "srv2", "db1", MONDAY + 3 * DAY, is_new_there=True))
    return world


def test_a_case_keeps_its_id_while_it_grows_and_two_become_the_earlier() -> None:
    world = grown()
    by_day: list[list[str]] = []
    for last in range(4):
        until = (MONDAY + last * DAY).date()
        known = [incident for incident in world.incidents if incident.day <= until]
        by_day.append([case.id for case in cases(known, world.steps)])
    assert by_day == [["case-a"], ["case-a", "case-x"], ["case-a", "case-x"], ["case-a"]]


def test_cases_do_not_depend_on_the_order_in_which_days_are_scored() -> None:
    world = grown()
    expected = world.cases()
    for seed in range(5):
        shuffled = random.Random(seed).sample(world.incidents, len(world.incidents))
        steps = {
            name: random.Random(seed).sample(list(found), len(found)) for name, found in world.steps.items()
        }
        assert cases(shuffled, steps) == expected


def test_half_the_network_does_not_become_one_case() -> None:
    """Ten false incidents a day for 30 days, of 300 people in 400 machines, drawn at random."""
    rng = random.Random(0)
    world = World()
    for number in range(300):
        at = MONDAY + (number // 10) * DAY + rng.randrange(9, 18) * HOUR
        user = rng.randrange(300)
        targets = rng.sample(range(400), rng.randrange(1, 6))
        is_new = rng.random() < 0.2
        source = f"pc{rng.randrange(400) if is_new else user}"
        world.add(
            f"i{number:03}", *(step(f"u{user}", source, f"pc{t}", at, is_new_there=is_new) for t in targets)
        )
    sizes = sorted(len(case.incidents) for case in world.cases())
    assert sizes[-1] <= 10 and len(sizes) >= 200


# --- what is shared, and the steps on disk ------------------------------------------------------------------


def side(days: float, partners: Sequence[float]) -> Side:
    found = Side()
    found.grow(len(partners))
    found.days[:] = days
    found.pair_days[:] = [days * a_day for a_day in partners]
    return found


def test_what_is_shared_is_decided_by_who_meets_there_on_a_usual_day() -> None:
    history = History()
    history.users.ids(["ann", "svc"])
    history.places.ids(["ws1", "jump1", "mail1"])
    history.sides["user_source"] = (
        side(4, [MACHINES_A_DAY - 0.5, MACHINES_A_DAY]),
        side(4, [ACTORS_A_DAY - 0.5, ACTORS_A_DAY, 0]),
    )
    history.sides["user_target"] = (side(4, [1, 1]), side(4, [VISITORS_A_DAY - 0.5, 1, VISITORS_A_DAY]))
    edges = [
        scored_edge(user="ann", source="ws1", target="jump1"),
        scored_edge(user="svc", source=None, target="mail1"),
        scored_edge(user="nobody", user_kind="anonymous", source="kali", target="mail1"),
        scored_edge(user="new", source="kali", target="jump1", target_kind="resource"),
    ]
    assert shared_users(history, edges) == ("nobody", "svc")
    assert shared_machines(history, edges) == ("jump1", "mail1")


def test_an_incident_keeps_what_its_cases_need(scored: Workspace) -> None:
    found = findings.load_incidents(scored.findings)
    assert found and all(0 < incident.acting_machines < 10_000 for incident in found)
    assert all({*incident.shared_machines} <= {*incident.machines} for incident in found)


def test_the_steps_of_an_incident_are_read_from_its_scored_edges() -> None:
    edges = [
        scored_edge(incident="i1", count=3, failures=3, pattern=("new user_source", "hour")),
        scored_edge(incident="i1", target="srv2", count=3, failures=2, pattern=("new user_target",)),
        scored_edge(target="srv3"),
    ]
    found = on_disk.steps(on_disk.to_arrow(table(edges)))
    assert list(found) == ["i1"]
    assert [(s.target, s.is_through, s.is_new_there) for s in found["i1"]] == [
        ("srv1", False, True),
        ("srv2", True, False),
    ]
    with pytest.raises(ValueError, match="no version instead of"):
        on_disk.steps(pa.table({"user": ["ann"]}))
