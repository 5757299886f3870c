"""CERT logs -> events, worked out by hand; a mutilated row is counted."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from ingest_world import detected, table_of

from ueba.ingest import IngestOptions, Options, events_of
from ueba.ingest.sources import Sample, cert

HEADER = "id,date,user,pc,activity"
LOGON = "{X1D9-S0ES98JV-5357PWMI},01/02/2010 06:49:00,NGF0157,PC-6056,Logon"
ROWS = f"""\
{LOGON}
{{G2B3-L6EJ61GT-2222RKSO}},12/31/2010 23:59:59,DTAA/LRR0148,PC-4275,Logon
{{G2B3-L6EJ61GT-2222RKSP}},01/03/2010 00:00:00,"DTAA\\LRR0148","PC-4275",Logon
{{U6Q3-U0WE70UA-3770UREL}},01/02/2010 06:53:04,LRR0148,PC-4124,Logoff
{{U6Q3-U0WE70UA-3770UREM}},01/02/2010 06:53:04,LRR0148,PC-4124,Connect
{{U6Q3-U0WE70UA-3770UREN}},01/02/2010 06:53:04,LRR0148,PC-4124,Lunch
{{U6Q3-U0WE70UA-3770UREO}},13/31/2010 06:53:04,LRR0148,PC-4124,Logon
{{U6Q3-U0WE70UA-3770UREP}},01/02/1601 06:53:04,LRR0148,PC-4124,Logon
{{U6Q3-U0WE70UA-3770UREQ}},01/02/2010 06:53:04,,PC-4124,Logon
{{U6Q3-U0WE70UA-3770URER}},01/02/2010 06:53:04,LRR0148,-,Logon
X,01/02/2010 06:53:04,LRR0148,PC-4124,Logon
{{U6Q3-U0WE70UA-3770URES}},01/02/2010 06:53:04,LRR0148

"""
REASONS = [
    *(
        None,
        None,
        None,
        "not a logon: Logoff",
        "not a logon: device",
        "unknown activity",
        "time not understood",
        "time before 1970",
    ),
    *("no user", "no target", "not a CERT record", "not 5 fields", "empty line"),
]


def read(folder: Path, text: str, **options: Any) -> list[dict[str, Any]]:
    (folder / "logon.csv").write_text(text, newline="")
    return events_of(folder / "logon.csv", "cert", IngestOptions(Options(**options))).to_pylist()


@pytest.mark.parametrize("header", [True, False])
def test_logons_by_hand(tmp_path, header):
    rows = read(tmp_path, f"{HEADER}\r\n" * header + ROWS)
    assert [event["dropped"] for event in rows] == ["header"] * header + REASONS
    first, second, third = rows[header : 3 + header]
    assert {
        name: value for name, value in first.items() if value is not None and name not in ("line", "text")
    } == {
        "time": dt.datetime(2010, 1, 2, 6, 49),
        "user": "NGF0157",
        "source": "PC-6056",
        "target": "PC-6056",
        "target_kind": "machine",
        "action": "logon",
        "logon_type": "Interactive",
        "outcome": "success",
        "event_id": "X1D9-S0ES98JV-5357PWMI",
        "note": "time without a zone: taken as UTC",
    }
    assert second["user"] == third["user"] == "DTAA\\LRR0148" and third["target"] == "PC-4275"


def test_times_are_of_a_zone(tmp_path):
    (event,) = read(tmp_path, LOGON, timezone="America/New_York")
    assert (event["time"], event["note"]) == (
        dt.datetime(2010, 1, 2, 11, 49),
        "time without a zone: taken as America/New_York",
    )


ROW = "{X1D9-S0ES98JV-5357PWMI},01/02/2010 06:49:00,NGF0157,PC-6056"


@pytest.mark.parametrize(
    ("columns", "row", "log"),
    [
        ("filename,content", 'a.doc,"D0-CF, ""x""\nyesterday"', "file"),
        (
            "filename,activity,to_removable_media,from_removable_media,content",
            "a.doc,File Write,True,False,x",
            "file",
        ),
        ("url,activity,content", "http://a.example/x,WWW Visit,y", "http"),
        ("to,cc,bcc,from,activity,size,attachments,content", "a@x,,,b@x,Send,5,,y", "email"),
        ("file_tree,activity", "R:\\,Connect", "device"),
        ("activity", "Connect", "device"),
    ],
)
def test_other_logs_are_counted(tmp_path, columns, row, log):
    rows = read(tmp_path, f"id,date,user,pc,{columns}\n{ROW},{row}\n{ROW},{row}\n")
    assert [event["dropped"] for event in rows] == ["header"] + [f"not a logon: {log}"] * 2


def test_recognises_its_own_only():
    others = [
        "user,computer,red_dst,red_src",
        "ANONYMOUS LOGON,C1,0,0",
        "id,date,user,pc,activity",
        '{"a": 1, "b": "x-y-z"}',
        "",
    ]
    others += [
        "0,U1@D,U1@D,C1,C2,Kerberos,Network,LogOn,Success",
        '{"a-b":1,"c-d":2,"e":3,"f":4,"g":"}',
        "{},{},{},{},{}",
    ]
    now = dt.datetime(2024, 1, 1)
    assert cert.recognises(Sample("log", tuple(others), now)) == 0
    sample = Sample("log", (HEADER, *ROWS.splitlines()), now)
    assert cert.recognises(sample) == 0  # a table: its rows are objects
    assert cert.recognises(table_of(sample.records)) == 10
    assert cert.recognises(Sample("log", tuple(ROWS.splitlines()), now)) == 10
    assert detected(sample.records) == "cert"
