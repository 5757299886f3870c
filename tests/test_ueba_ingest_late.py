"""Late and repeated data: whatever the order, whatever the overlap, the same lake at the end."""

from __future__ import annotations

import datetime as dt
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_world import event, everything, read, short

from ueba.ingest import lake

NAMES = ["corp\\alice", "alice@corp.example", "S-1-5-21-1-2-3-9", "bob"]
HOSTS = ["ws1", "ws1.corp.example", "10.0.0.7", None]
VIEWS = [
    {},
    {"witness": "host"},
    {"witness": "controller", "action": "service_ticket"},
    {"witness": "source"},
]


def line(number: int) -> str:
    """One of many kinds of events, on three days."""
    draw = random.Random(number)
    user = draw.choice(NAMES)
    more = dict(draw.choice(VIEWS)) | (
        {"user_id": "S-1-5-21-1-2-3-9"} if user != "bob" and draw.random() < 0.5 else {}
    )
    if draw.random() < 0.3:
        more["event_id"] = f"id{number}"
    time = dt.datetime(2026, 3, 1) + dt.timedelta(minutes=draw.randrange(3 * 24 * 6) * 10)
    return event(time.isoformat(), user, draw.choice(HOSTS), draw.choice(["srv1", "srv2"]), **more)


POOL = [line(number) for number in range(24)]


@st.composite
def overlapping(draw) -> tuple[list[str], list[list[str]]]:
    """A log, some of its lines twice, and parts of it that overlap and together hold all of it."""
    log = draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=16))
    cuts = draw(st.lists(st.tuples(st.integers(0, 15), st.integers(1, 16)), min_size=1, max_size=3))
    parts = [log[begin : begin + size] for begin, size in cuts]
    return log, [part for part in [*parts, log[: len(log) // 2], log[len(log) // 2 :], log] if part]


@given(overlapping(), st.randoms(use_true_random=False))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_and_any_overlap_make_the_same_lake(tmp_path_factory, world, shuffler):
    log, parts = world
    folder = tmp_path_factory.mktemp("late")
    read(folder / "whole", log)
    shuffler.shuffle(parts)
    read(folder / "parts", *parts)
    assert everything(folder / "parts") == everything(folder / "whole")
    assert (
        lake.read_entities(folder / "parts/lake").drop_columns([]).to_pylist()
        == lake.read_entities(folder / "whole/lake").to_pylist()
    )


def test_the_same_line_twice_in_a_log_is_two_events_and_in_two_copies_one(tmp_path):
    twice = [event("09:00:00", "alice@corp", "ws1", "srv1")] * 2
    read(tmp_path, twice, [*twice, event("09:00:01", "alice@corp", "ws1", "srv1")], twice[:1])
    assert short(tmp_path, "count") == [("alice@corp", "ws1", "srv1", 3)]


def test_an_event_with_an_identity_is_there_once(tmp_path):
    once = event("09:00:00", "alice@corp", "ws1", "srv1", event_id="7")
    (report, _) = read(
        tmp_path, [once, once], [once, event("09:00:00", "alice@corp", "ws1", "srv1", event_id="8")]
    )
    assert short(tmp_path, "count") == [("alice@corp", "ws1", "srv1", 2)]
    assert (report.lines, report.events, report.repeated, report.edges) == (2, 2, 1, 1)


def test_every_step_can_be_looked_at(tmp_path, monkeypatch, capfd):
    """Two overlapping files with aliases and witnesses: the second ingest takes every step."""
    lines = [line(number) for number in range(6)]
    read(tmp_path, lines)
    monkeypatch.setenv("UEBA_SHOW_SQL", "1")
    read(tmp_path, [*lines[:3], line(7)])
    shown = capfd.readouterr().err
    steps = ("batch_rows", "dropped_records", "days", "batch_evidence", "evidence", "user_alias")
    steps += ("day_record", "day_unique", "day_resolved", "witnessed", "day_edges", "entity")
    assert [name for name in steps if f"-- step: {name}\n" not in shown] == []
