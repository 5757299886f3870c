"""A user's day beside its normal day: every mark in a world counted by hand."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import scored_world
from ingest_world import event, read
from small_workspace import run

from ueba.contracts.edge import Edge
from ueba.errors import WorkspaceError
from ueba.investigate import day as days
from ueba.workspace import Workspace

MONDAY = dt.date(2026, 3, 2)


def on(day: int, time: str, source: str | None, target: str, user: str = "ann@corp", **more: str) -> str:
    """An event so many days after the first Monday."""
    return event(f"{MONDAY + dt.timedelta(days=day)}T{time}:00", user, source, target, **more)


@pytest.fixture
def world(tmp_path):
    """Ann works from ws1 on srv1 every working day of a week and the next Monday, on share on four of these
    days, on old once; and on Saturday from home. On the second Tuesday, day 8, she does not touch share."""
    log = [on(day, "09:00", "ws1", "srv1", logon_type="Network") for day in (0, 1, 2, 3, 4, 7, 8)]
    log += [on(day, "10:00", "ws1", "share") for day in (0, 1, 2, 7)]
    log += [on(0, "11:00", "ws1", "old"), on(5, "12:00", "home", "vpn")]
    log += [
        on(8, "09:30", "ws1", "old"),
        on(8, "10:00", "ws1", "brandnew"),
        on(8, "10:30", "ws9", "srv1"),
        on(8, "11:00", "ws9", "other"),
        on(8, "03:00", "ws1", "srv1"),
        on(8, "12:00", None, "vpn"),
        on(8, "09:00", "ws2", "srv1", user="bob@corp"),
    ]
    read(tmp_path, log)
    return Workspace(tmp_path)


def facts(found):
    return [
        (row["mark"], row["source"], row["target"], row["days"], row["why"]) for row in days.to_dicts(found)
    ]


def test_new_unusual_usual_and_missing_are_what_the_days_before_say(world):
    found = days.day_of(world, "ann@corp", MONDAY + dt.timedelta(days=8))
    assert found.like_days == 6
    assert facts(found) == [
        ("unusual", "ws1", "srv1", "6 of 6", "never active at 3 h on like days"),
        ("unusual", "ws1", "old", "1 of 6", "on 1 of 6 like days"),
        ("new", "ws1", "brandnew", "0 of 6", "never reached before"),
        ("new", "ws9", "srv1", "0 of 6", "never acted from there before"),
        ("new", "ws9", "other", "0 of 6", "never reached before, and never acted from there"),
        (
            "new",
            None,
            "vpn",
            "0 of 6",
            "reached before, but not from there; never active at 12 h on like days",
        ),
        ("missing", "ws1", "share", "4 of 6", "last on 2026-03-09"),
    ]
    assert days.sentence(found).startswith(
        "ann@corp on 2026-03-10: 4 new, 2 unusual, 1 missing; beside 6 working days"
    )


def test_a_weekend_is_beside_weekends_and_few_days_make_nothing_rare(world):
    found = days.day_of(world, "ann@corp", MONDAY + dt.timedelta(days=5))
    assert found.like_days == 0
    assert facts(found) == [
        ("new", "home", "vpn", "0 of 0", "never reached before, and never acted from there")
    ]
    assert facts(days.day_of(world, "ANN", MONDAY + dt.timedelta(days=1))) == [
        ("known", "ws1", "srv1", "1 of 1", ""),
        ("known", "ws1", "share", "1 of 1", ""),
    ]


def test_four_weeks_three_days_and_half_of_them_are_the_normal_day(tmp_path):
    """Like days of Monday the 30th, day 28: those from day 0 on, not that of the week before."""
    log = [on(day, "09:00", "ws1", "srv1") for day in (-3, 0, 1, 2, 3)]
    log += [on(day, "10:00", "ws1", "half") for day in (1, 3)] + [on(2, "10:00", "ws1", "less")]
    log += [
        on(-3, "11:00", "ws1", "long ago"),
        on(28, "09:00", "ws1", "srv1"),
        on(28, "11:00", "ws1", "long ago"),
    ]
    read(tmp_path, log)
    found = days.day_of(Workspace(tmp_path), "ann@corp", MONDAY + dt.timedelta(days=28))
    assert found.like_days == 4
    assert [(row.mark, row.edge.target, f"{row.like_days} of {found.like_days}") for row in found.edges] == [
        ("usual", "srv1", "4 of 4"),
        ("unusual", "long ago", "0 of 4"),  # known, but not from these four weeks
        ("missing", "half", "2 of 4"),
    ]
    few = days.day_of(Workspace(tmp_path), "ann@corp", MONDAY + dt.timedelta(days=2))
    assert few.like_days == 3 and {row.mark for row in few.edges} == {"usual", "new"}
    fewer = days.day_of(Workspace(tmp_path), "ann@corp", MONDAY + dt.timedelta(days=1))
    assert fewer.like_days == 2 and {row.mark for row in fewer.edges} == {"known", "new"}


def test_another_logon_type_is_unusual(world, tmp_path):
    read(tmp_path, [on(9, "09:00", "ws1", "srv1", logon_type="RemoteInteractive")])
    found = days.day_of(world, "ann@corp", MONDAY + dt.timedelta(days=9))
    assert facts(found)[0] == ("unusual", "ws1", "srv1", "7 of 7", "no RemoteInteractive logon on like days")


def test_a_strange_edge_of_a_scored_day_is_unusual(world):
    day = MONDAY + dt.timedelta(days=7)
    edge = Edge("ann@corp", "ws1", "srv1", "machine")
    scored_world.save(world.root, [scored_world.on_day(day, edge, "20260309-aaaaaaaa")])
    row = days.day_of(world, "ann@corp", day).edges[0]
    assert (row.mark, row.incident, row.why) == (
        "unusual",
        "20260309-aaaaaaaa",
        ("one of the strangest of the day (once in 100 days)",),
    )


def test_a_machine_and_a_resource_of_one_name_are_two(tmp_path):
    """Ann reaches the machine fs on three days, and the resource fs on the fourth; only the resource is in an
    incident."""
    log = [on(day, "09:00", "ws1", "fs", logon_type="Network") for day in (0, 1, 2, 3)]
    read(tmp_path, [*log, on(3, "10:00", "ws1", "fs", target_kind="resource", logon_type="Network")])
    workspace, day = Workspace(tmp_path), MONDAY + dt.timedelta(days=3)
    edge = Edge("ann@corp", "ws1", "fs", "resource")
    scored_world.save(tmp_path, [scored_world.on_day(day, edge, "20260305-aaaaaaaa")])
    found = days.day_of(workspace, "ann@corp", day)
    assert [(row.edge.target_kind, row.mark, row.incident, row.why[:1]) for row in found.edges] == [
        ("machine", "usual", None, ()),
        ("resource", "new", "20260305-aaaaaaaa", ("never reached before",)),
    ]
    assert len(days.to_drawing(found).nodes) == 4


def test_no_such_day_or_user_is_told_with_what_there_is(world):
    with pytest.raises(WorkspaceError, match=r"2026-03-02 to 2026-03-10"):
        days.day_of(world, "ann@corp", MONDAY - dt.timedelta(days=1))
    with pytest.raises(WorkspaceError, match=r"Did you mean ann@corp"):
        days.day_of(world, "ann@co", MONDAY)


def test_the_command_shows_and_draws_it(world, tmp_path):
    day = "2026-03-10"
    table = run(world.root, "day", "CORP\\ann", day, "--picture", str(tmp_path / "day.svg")).stdout
    assert "4 new" in table and "missing" in table
    rows = json.loads(run(world.root, "day", "ann", day, "--format", "json").stdout)
    assert [row["mark"] for row in rows].count("new") == 4 and {row["user"] for row in rows} == {"ann@corp"}
    drawn = (tmp_path / "day.svg").read_text()
    assert drawn.count("<circle") == 9 and "stroke-dasharray" in drawn
    assert "no edges of" in run(world.root, "day", "ann", "2026-05-05", code=1).output
