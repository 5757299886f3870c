"""The events behind edges: where in which file, by their resolved names, within a span of time."""

from __future__ import annotations

import datetime as dt

import pandas as pd
from ingest_world import event, read

from ueba.contracts.edge import Edge
from ueba.ingest import build, ingest_all, lake, raw
from ueba.ingest.raw import Selection

DAY = dt.datetime(2026, 3, 2)
NOON = DAY.replace(hour=12)
LIMIT = "1GB"


def places(folder, first, last, selection=raw.ALL):
    """Hour, user, target, file and line of each event between two times."""
    return [
        (row["time"].hour, row["user"], row["target"], row["path"].rsplit("/", 1)[1], row["line"])
        for row in raw.events(folder / "lake", first, last, LIMIT, selection).to_pylist()
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
    assert places(tmp_path, DAY, DAY.replace(hour=23)) == expected
    alone = Selection('"user" = ?', ["alice@corp.example"])
    assert places(tmp_path, DAY, NOON, alone) == expected[1:]
    assert places(tmp_path, DAY.replace(hour=9), DAY.replace(hour=10)) == expected[:2]
    assert len(places(tmp_path, DAY, DAY + dt.timedelta(days=2))) == 4


def test_no_day_has_no_events_and_the_same_columns(tmp_path):
    read(tmp_path, [event("11:00:00", "alice", "ws1", "srv1")])
    sample = raw.events(tmp_path / "lake", DAY, NOON, LIMIT)
    none = raw.events(tmp_path / "lake", DAY - dt.timedelta(days=9), DAY - dt.timedelta(days=8), LIMIT)
    assert len(sample) == 1 and len(none) == 0 and none.schema.equals(sample.schema)


def test_only_the_columns_that_are_wanted_are_read_and_texts_are_there_once(tmp_path):
    later = [
        event("2026-03-03T10:00:00", "bob", "ws2", "srv1"),
        event("2026-03-03T11:00:00", "alice", None, "srv1"),
    ]
    read(tmp_path, [event("11:00:00", "alice", "ws1", "srv1"), *later])
    table = raw.events(
        tmp_path / "lake", DAY, DAY + dt.timedelta(days=2), LIMIT, columns=("source", "user", "path", "line")
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
    found = raw.events(tmp_path / "lake", DAY, NOON, LIMIT).to_pylist()
    assert [(row["action"], row["witnesses"], row["line"]) for row in found] == [("logon", 3, 1)]


def test_the_first_events_of_each_edge(tmp_path):
    """Of ten events of one edge and one of another, the first two of each; an edge that is not in the lake
    has none."""
    lines = [event(f"09:00:{second:02}", "alice", "ws1", "srv1") for second in range(10)]
    read(tmp_path, [*lines, event("09:00:05", "bob", None, "srv1")])
    keys = [
        Edge("alice", "ws1", "srv1", "machine"),
        Edge("bob", None, "srv1", "machine"),
        Edge("eve", "ws1", "srv1", "machine"),
    ]
    edges = pd.DataFrame(keys).astype({"source": object}).assign(first_seen=DAY, last_seen=NOON)
    edges["source"] = edges["source"].where(edges["source"].notna(), None)
    for column in ("first_seen", "last_seen"):
        edges[column] = pd.to_datetime(edges[column])
    found = raw.of_edges(tmp_path / "lake", edges, LIMIT, most=2)
    assert {edge.user: [row["line"] for row in rows] for edge, rows in found.items()} == {
        "alice": [1, 2],
        "bob": [11],
        "eve": [],
    }
    assert raw.of_edges(tmp_path / "lake", edges, LIMIT, most=0) == dict.fromkeys(keys, [])
    assert raw.of_edges(tmp_path / "none", edges, LIMIT) == dict.fromkeys(keys, [])


def test_a_plain_day_and_any_other_day_have_the_same_events(tmp_path):
    """A log whose names are canonical is read as it lies; a copy of its first line makes a second file that
    overlaps, so that its day takes every step."""
    line = "36000,U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success\n"
    log = line + line.replace("36000", "36001").replace("C1", "?")
    found = []
    for name, contents in (("plain", [log]), ("steps", [log, line])):
        folder = tmp_path / name
        folder.mkdir()
        for number, content in enumerate(contents):
            (folder / str(number)).write_text(content)
        ingest_all([str(folder / str(number)) for number in range(len(contents))], "lanl", folder / "lake")
        (parts,) = build.parts_by_day(folder / "lake").values()
        assert build.is_plain(parts) == (name == "plain")
        day = dt.datetime(1970, 1, 1)
        table = raw.events(folder / "lake", day, day + dt.timedelta(days=1), LIMIT)
        found.append(table.drop_columns(["path"]).to_pylist())
    assert found[0] == found[1] and [row["line"] for row in found[0]] == [1, 2]
    assert lake.size(tmp_path / "plain/lake", dt.date(1970, 1, 1)) == 2
