"""The events behind edges: where in which file, by their resolved names, within a span of time."""

from __future__ import annotations

import datetime as dt

from ingest_world import event, read

from ueba.ingest import raw

DAY = dt.datetime(2026, 3, 2)
NOON = DAY.replace(hour=12)


def told(table):
    return [
        (row["time"].hour, row["user"], row["target"], row["path"].rsplit("/", 1)[1], row["line"])
        for row in table.to_pylist()
    ]


def test_events_come_by_time_with_file_and_line_and_the_name_of_the_entity(tmp_path):
    alice = {"user_id": "S-1-5-21-1-2-3-9"}
    read(
        tmp_path,
        [
            event("11:00:00", "alice@corp.example", "ws1", "srv1", **alice),
            event("09:00:00", "bob", "ws2", "srv1"),
        ],
        [
            event("10:00:00", "S-1-5-21-1-2-3-9", "ws1", "srv2"),
            event("2026-03-03T10:00:00", "bob", "ws2", "srv1"),
        ],
    )
    expected = [
        (9, "bob", "srv1", "log0", 2),
        (10, "alice@corp.example", "srv2", "log1", 1),
        (11, "alice@corp.example", "srv1", "log0", 1),
    ]
    assert told(raw.events(tmp_path / "lake", DAY, DAY.replace(hour=23))) == expected
    assert (
        told(raw.events(tmp_path / "lake", DAY, NOON, '"user" = ?', ["alice@corp.example"])) == expected[1:]
    )
    assert told(raw.events(tmp_path / "lake", DAY.replace(hour=9), DAY.replace(hour=10))) == expected[:2]
    assert len(raw.events(tmp_path / "lake", DAY, DAY + dt.timedelta(days=2))) == 4


def test_no_day_has_no_events_and_the_same_columns(tmp_path):
    read(tmp_path, [event("11:00:00", "alice", "ws1", "srv1")])
    some = raw.events(tmp_path / "lake", DAY, NOON)
    none = raw.events(tmp_path / "lake", DAY - dt.timedelta(days=9), DAY - dt.timedelta(days=8))
    assert len(some) == 1 and len(none) == 0 and none.schema.equals(some.schema)


def test_only_the_columns_that_are_wanted_are_read_and_texts_are_there_once(tmp_path):
    later = [
        event("2026-03-03T10:00:00", "bob", "ws2", "srv1"),
        event("2026-03-03T11:00:00", "alice", None, "srv1"),
    ]
    read(tmp_path, [event("11:00:00", "alice", "ws1", "srv1"), *later])
    table = raw.events(
        tmp_path / "lake", DAY, DAY + dt.timedelta(days=2), columns=("source", "user", "path", "line")
    )
    assert table.column_names == ["source", "user", "path", "line"] and table["source"].to_pylist() == [
        "ws1",
        "ws2",
        None,
    ]
    user, path = table["user"].combine_chunks(), table["path"].combine_chunks()
    assert (
        user.dictionary.to_pylist() == ["alice", "bob"]
        and user.indices.to_pylist() == [0, 1, 0]
        and len(path.dictionary) == 1
    )


def test_evidence_is_no_event_and_a_logon_seen_twice_is_there_once(tmp_path):
    twice = [event("11:00:00", "alice@corp", "ws1", "srv1", witness="host")]
    twice += [event("11:00:02", "alice@corp", "ws1", "srv1", witness="controller", action="service_ticket")]
    read(tmp_path, [*twice, event("11:00:00", "alice@corp", "ws1", "srv1", action="privilege")])
    found = raw.events(tmp_path / "lake", DAY, NOON).to_pylist()
    assert [(row["action"], row["witnesses"], row["line"]) for row in found] == [("logon", 3, 1)]
