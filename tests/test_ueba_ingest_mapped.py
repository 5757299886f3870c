"""Mapping files: what each key does, on logs of a few lines; expected edges are worked out by hand."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import gzip
import json
import subprocess
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ueba.errors import InputError, UsageError
from ueba.ingest import IngestOptions, events_of, ingest, ingest_all, lake
from ueba.ingest.mapping import EVENT_COLUMNS, MappingFile, WrongValue, load, parsed
from ueba.ingest.reading import find as files
from ueba.ingest.reading.feed import Feed
from ueba.ingest.sources import Options, Sample
from ueba.ingest.sources.mapped import skeleton, source

EXAMPLES = Path(__file__).parents[1] / "configs/sources"
VPN = """\
timestamp,account,from_host,to_host,protocol,type,result
2024-03-01T08:15:02Z,CORP\\Alice,LT-0412,VPN-GW-1,SAML,RemoteInteractive,OK
2024-03-01T10:15:02.5+02:00,alice@corp,lt-0412.,vpn-gw-1,SAML,RemoteInteractive,denied
2024-03-01 23:00:00,"bob, ""the"" admin",,VPN-GW-1,,,maybe
2024-03-01 23:00:01,,,VPN-GW-1,,,OK
yesterday,alice,,VPN-GW-1,,,OK
1601-01-01 00:00:00,alice,,VPN-GW-1,,,OK
,alice,,VPN-GW-1,,,OK
2024-03-01 23:00:02,alice,VPN-GW-1
"""


def mapping(folder: Path, text: str) -> str:
    (folder / "log.toml").write_text(text)
    return str(folder / "log.toml")


def log(folder: Path, text: str) -> Path:
    (folder / "log").write_text(text)
    return folder / "log"


def everything(root: Path) -> list[dict]:
    return lake.read(root, dt.date.min, dt.date.max, "1GB").to_pylist()


def test_vpn_example_by_hand(tmp_path):
    report = ingest(log(tmp_path, VPN), str(EXAMPLES / "vpn_csv.toml"), tmp_path / "lake")
    alice, bob = everything(tmp_path / "lake")
    day = dt.date(2024, 3, 1)
    assert [alice[name] for name in ("day", "user", "source", "target")] == [
        day,
        "alice@corp",
        "lt-0412",
        "vpn-gw-1",
    ]
    assert [alice[name] for name in ("action", "logon_type", "auth_package")] == [
        "logon",
        "RemoteInteractive",
        "SAML",
    ]
    assert (alice["count"], alice["failures"], alice["hours"]) == (2, 1, 1 << 8)
    assert alice["last_seen"] == dt.datetime(2024, 3, 1, 8, 15, 2, 500_000)
    assert [bob[name] for name in ("user", "source", "logon_type")] == ['bob, "the" admin', None, None]
    assert (bob["count"], bob["failures"], bob["hours"]) == (1, 0, 1 << 23)
    assert report.events == 3
    assert report.dropped == {
        "header": 1,
        "no time": 1,
        "no user": 1,
        "not 7 fields": 1,
        "time not understood": 1,
        "time out of range": 1,
    }


def test_jsonl_example_by_hand(tmp_path):
    record = {
        "@timestamp": 1709280902123,
        "event": {"category": "authentication", "outcome": "denied"},
        "user": {"name": "alice@corp.example"},
        "source": {"ip": "::ffff:10.0.0.7"},
        "service": {"name": "Payroll"},
    }
    other = {"@timestamp": 1709280902123, "event": {"category": "network"}}
    lines = [json.dumps(record), json.dumps(other), "{", "", "[]"]
    report = ingest(log(tmp_path, "\n".join(lines)), str(EXAMPLES / "jsonl_auth.toml"), tmp_path / "lake")
    (edge,) = everything(tmp_path / "lake")
    assert [edge[name] for name in ("user", "source", "target", "target_kind", "action")] == [
        "alice@corp.example",
        "10.0.0.7",
        "Payroll",
        "resource",
        "sso",
    ]
    assert edge["failures"] == 1 and edge["first_seen"] == dt.datetime(2024, 3, 1, 8, 15, 2, 123_000)
    assert report.dropped == {"not a logon: not in keep.event.category": 2, "empty line": 1, "not JSON": 1}


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ("", "2024-07-01T12:00:00.1234567Z", dt.datetime(2024, 7, 1, 12, 0, 0, 123_456)),
        ("timezone = 'Europe/Berlin'", "2024-07-01 12:00:00", dt.datetime(2024, 7, 1, 10)),
        ("timezone = 'Europe/Berlin'", "2024-01-01T12:00:00", dt.datetime(2024, 1, 1, 11)),
        ("timezone = 'Europe/Berlin'", "2024-01-01T12:00:00-05:00", dt.datetime(2024, 1, 1, 17)),
        ("time_format = 'epoch_s'", "1709280902.25", dt.datetime(2024, 3, 1, 8, 15, 2, 250_000)),
        ("time_format = 'epoch_ms'", "1709280902123", dt.datetime(2024, 3, 1, 8, 15, 2, 123_000)),
        ("time_format = '%d/%m/%Y %H:%M'", "02/01/2024 03:04", dt.datetime(2024, 1, 2, 3, 4)),
        ("time_format = '%d/%m/%Y %H:%M %z'", "02/01/2024 03:04 +0200", dt.datetime(2024, 1, 2, 1, 4)),
        (
            "time_format = '%d/%m/%Y %H:%M'\ntimezone = 'Asia/Tokyo'",
            "02/01/2024 03:04",
            dt.datetime(2024, 1, 1, 18, 4),
        ),
    ],
)
def test_times(tmp_path, settings, text, expected):
    columns = "format = 'csv'\nheader = false\ndelimiter = ';'\n[columns]\ntime = 1\nuser = 2\ntarget = 3"
    ingest(
        log(tmp_path, f"{text};alice;c1\n"), mapping(tmp_path, f"{settings}\n{columns}"), tmp_path / "lake"
    )
    assert everything(tmp_path / "lake")[0]["first_seen"] == expected


@pytest.mark.parametrize("text", ["inf", "-infinity", "0044-03-15 (BC) 00:00:00", "290000-01-01"])
def test_absurd_times_are_dropped(tmp_path, text):
    columns = "format = 'csv'\nheader = false\n[columns]\ntime = 1\nuser = 2\ntarget = 3"
    rows = events(tmp_path, f"2024-03-01,a,b\n{text},a,b\n", columns)
    assert rows[1]["dropped"] in ("time out of range", "time not understood") and rows[1]["time"] is None


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e300", "x"])
def test_absurd_epochs_are_dropped(tmp_path, text):
    columns = (
        "format = 'csv'\nheader = false\ntime_format = 'epoch_s'\n[columns]\ntime = 1\nuser = 2\ntarget = 3"
    )
    report = ingest(log(tmp_path, f"1,a,b\n{text},a,b\n"), mapping(tmp_path, columns), tmp_path / "lake")
    assert report.events == 1 and set(report.dropped) <= {"time out of range", "time not understood"}


def test_json_pointers_values_and_constants(tmp_path):
    text = """
        format = "jsonl"
        [columns]
        time = "at"
        user = "/who/0/the.name"
        target = "to"
        logon_type = "type"
        [constants]
        action = "explicit_credential"
        source = "JUMP"
        outcome = "failure"
        [values.logon_type]
        Network = [3, "net"]
    """
    lines = [
        {"at": "2024-01-01T00:00:00Z", "who": [{"the.name": "a"}], "to": "b", "type": kind}
        for kind in (3, "NET", 9)
    ]
    ingest(log(tmp_path, "\n".join(map(json.dumps, lines))), mapping(tmp_path, text), tmp_path / "lake")
    edges = everything(tmp_path / "lake")
    assert [(edge["logon_type"], edge["count"], edge["failures"]) for edge in edges] == [
        ("9", 1, 1),
        ("Network", 2, 2),
    ]
    assert {(edge["user"], edge["source"], edge["action"]) for edge in edges} == {
        ("a", "jump", "explicit_credential")
    }


GOOD = "[columns]\ntime = 'timestamp'\nuser = 'account'\ntarget = 'to_host'\n"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"format = 'csv'\nfrmat = 1\n{GOOD}", "unknown key frmat"),
        (f"format = 'csv'\n{GOOD}usr = 'x'", "unknown key columns.usr"),
        (f"format = 'csv'\n{GOOD}[constants]\nx = 'x'", "unknown key constants.x"),
        (f"format = 'xml'\n{GOOD}", "format: 'xml'"),
        (GOOD, "format: ''"),
        (f"format = 'csv'\ndelimiter = '||'\n{GOOD}", "delimiter"),
        (f"format = 'csv'\ntimezone = 'Mars'\n{GOOD}", "timezone: 'Mars'"),
        (f"format = 'csv'\ntime_format = 'sometime'\n{GOOD}", "time_format"),
        ("format = 'csv'\n[columns]\ntime = 'timestamp'\ntarget = 'to_host'", "columns.user"),
        (f"format = 'csv'\nheader = false\n{GOOD}", "columns.time: 'timestamp'"),
        (f"format = 'csv'\n{GOOD}[values.outcome]\nfine = ['ok']", "values.outcome: 'fine'"),
        (f"format = 'csv'\n{GOOD}[constants]\ntarget_kind = 'toaster'", "constants.target_kind: 'toaster'"),
        (f"format = 'csv'\n{GOOD}[keep]\ntype = 'x'", "keep.type"),
        ("format = 'csv'\ncolumns = 1", "columns: 1"),
        ("format =", "is not TOML"),
        (f"format = 'csv'\nheader = 1\n{GOOD}", "header: 1 is not possible; use true or false"),
        (f"format = 'csv'\ndelimiter = 5\n{GOOD}", "delimiter: 5"),
        (f"format = ['csv']\n{GOOD}", "format: ['csv']"),
        (f"format = 'csv'\ntime_format = '%Q %Y'\n{GOOD}", "time_format: '%Q %Y'"),
        (f"format = 'csv'\ntime_format = '%d.%m. %H:%M'\n{GOOD}", "time_format: '%d.%m. %H:%M'"),
        (f"format = 'csv'\ntime_format = '%Y %'\n{GOOD}", "time_format: '%Y %'"),
        (f"format = 'csv'\ntime_format = []\n{GOOD}", "time_format: []"),
        (f"format = 'csv'\ntimezone = 'localtime'\n{GOOD}", "timezone: 'localtime'"),
        (f"format = 'csv'\n{GOOD}source = []", "columns.source: []"),
        (f"format = 'csv'\n{GOOD}source = {{a = 1}}", "columns.source: {'a': 1}"),
        (
            f"format = 'csv'\nheader = false\n{GOOD.replace(chr(39) + 'timestamp' + chr(39), '0')}",
            "columns.time: 0",
        ),
        (f"format = 'jsonl'\n{GOOD}source = 'a\"b'", "columns.source"),
        (f"format = 'jsonl'\n{GOOD}source = 'a..b'", "columns.source: 'a..b'"),
        (f"format = 'csv'\n{GOOD}[constants]\ntime = '2024-01-01'", "constants.time"),
        (f"format = 'csv'\n{GOOD}[constants]\naction = 5", "constants.action: 5"),
        (f"format = 'csv'\n{GOOD}[values]\noutcome = ['ok']", "values.outcome: ['ok']"),
        (f"format = 'csv'\n{GOOD}[values.outcome]\nsuccess = 'ok'", "values.outcome.success: 'ok'"),
        (
            f"format = 'csv'\n{GOOD}[values.outcome]\nsuccess = ['ok']\nfailure = ['OK']",
            "values.outcome.success",
        ),
        (f"format = 'csv'\n{GOOD}[values.outcome]\nsuccess = [1.5]", "values.outcome.success: [1.5]"),
        (f"format = 'csv'\n{GOOD}[values.outcome.success]\nx = 1", "values.outcome.success: {'x': 1}"),
        (f"format = 'csv'\n{GOOD}[keep]\ntype = []", "keep.type: []"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deep"),
        ("x = " + "{a = " * 5000 + "1" + "}" * 5000, "nested too deep"),
        ("x." * 5000 + "x = 1", "unknown key x"),
        (f"format = 'csv'\n{GOOD}[values]\n" + "outcome." * 3000 + "x = 1", "values.outcome"),
    ],
)
def test_a_wrong_mapping_is_named(tmp_path, text, key):
    path = mapping(tmp_path, text)
    with pytest.raises(UsageError) as error:
        ingest(log(tmp_path, VPN), path, tmp_path / "lake")
    assert str(error.value).startswith(f"{path}: ") and key in str(error.value)


def test_a_missing_mapping(tmp_path):
    with pytest.raises(UsageError, match=r"none.toml"):
        ingest(log(tmp_path, VPN), str(tmp_path / "none.toml"), tmp_path / "lake")


def test_another_mapping_replaces_the_batch(tmp_path):
    first = ingest(log(tmp_path, VPN), mapping(tmp_path, f"format = 'csv'\n{GOOD}"), tmp_path / "lake")
    again = ingest(
        log(tmp_path, VPN), mapping(tmp_path, f"format = 'csv'\n# same\n{GOOD}"), tmp_path / "lake"
    )
    other = ingest(
        log(tmp_path, VPN),
        mapping(tmp_path, f"format = 'csv'\n{GOOD}source = 'from_host'"),
        tmp_path / "lake",
    )
    assert (first.already_ingested, again.already_ingested, other.already_ingested) == (False, True, False)
    assert {edge["source"] for edge in everything(tmp_path / "lake")} == {"lt-0412", None}


def test_header_only_is_an_empty_log_but_nonsense_is_an_error(tmp_path):
    path = str(EXAMPLES / "vpn_csv.toml")
    assert ingest(log(tmp_path, VPN.splitlines()[0]), path, tmp_path / "lake").events == 0
    with pytest.raises(InputError, match="no record reads as vpn_csv.toml"):
        ingest(log(tmp_path, VPN.splitlines()[0] + "\nx\n"), path, tmp_path / "lake")


def events(folder: Path, text: str, toml: str, **options) -> list[dict]:
    return events_of(log(folder, text), mapping(folder, toml), IngestOptions(Options(**options))).to_pylist()


ANY = "[columns]\ntime = 'at'\nuser = 'who'\ntarget = 'to'\n"


def test_a_tabulator_quotes_and_a_byte_order_mark(tmp_path):
    text = '\ufeff"at"\t"who"\t"to"\n2024-03-01T08:15:02Z\talice\t"srv ""1"""\n'
    header, event = events(tmp_path, text, f"format = 'csv'\ndelimiter = \"\\t\"\n{ANY}")
    assert header["dropped"] == "header" and (event["user"], event["target"]) == ("alice", 'srv "1"')
    numbers = "header = false\n[columns]\ntime = 1\nuser = 2\ntarget = 3"
    (event,) = events(tmp_path, "\ufeff2024-03-01T08:15:02Z,alice,b\n", f"format = 'csv'\n{numbers}")
    assert event["time"] == dt.datetime(2024, 3, 1, 8, 15, 2)


def test_parquet_documents_and_lines_are_one(tmp_path):
    rows = [{"at": "2024-03-01T08:15:02Z", "who": {"name": "alice"}, "to": "b"}] * 2
    toml = ANY.replace("'who'", "'who.name'")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log")
    found = [events_of(tmp_path / "log", mapping(tmp_path, f"format = 'parquet'\n{toml}"))]
    for text in (
        json.dumps(rows),
        json.dumps({"value": rows}, indent=1),
        "\ufeff" + "\n".join(map(json.dumps, rows)),
    ):
        found.append(events_of(log(tmp_path, text), mapping(tmp_path, f"format = 'jsonl'\n{toml}")))
    assert [[(event["user"], event["dropped"]) for event in table.to_pylist()] for table in found] == [
        [("alice", None)] * 2
    ] * 4


def test_several_ways_to_write_times(tmp_path):
    text = "at,who,to\n2024-03-01T08:15:02+01:00,a,b\n01.03.2024 07:15:02,a,b\n1709277302,a,b\nsoon,a,b\n"
    toml = f"format = 'csv'\ntime_format = ['iso8601', '%d.%m.%Y %H:%M:%S', 'epoch_s']\n{ANY}"
    assert [event["time"] for event in events(tmp_path, text, toml)[1:4]] == [
        dt.datetime(2024, 3, 1, 7, 15, 2)
    ] * 3
    with pytest.raises(UsageError, match="time_format"):
        load(mapping(tmp_path, f"format = 'csv'\ntime_format = ['iso8601', 5]\n{ANY}"))


def test_times_without_a_zone(tmp_path):
    """The mapping's zone counts; without one it is that of --log-timezone, and noted."""
    text = "at,who,to\n2024-03-01T08:15:02,a,b\n2024-03-01T08:15:02Z,a,b\n"
    in_tokyo = events(
        tmp_path, text, f"format = 'csv'\ntimezone = 'Asia/Tokyo'\n{ANY}", timezone="Europe/Berlin"
    )
    assert [(event["time"].hour, event["note"]) for event in in_tokyo[1:]] == [(23, None), (8, None)]
    taken = events(tmp_path, text, f"format = 'csv'\n{ANY}", timezone="Europe/Berlin")
    assert [(event["time"].hour, event["note"]) for event in taken[1:]] == [
        (7, "time without a zone: taken as Europe/Berlin"),
        (8, None),
    ]


def test_every_event_column_can_be_mapped(tmp_path):
    from ueba.ingest.events import KEPT

    names = [name for name in KEPT if name not in ("time", "outcome", "target_kind")]
    values = [f"10.0.0.{number}" for number in range(len(names))]
    text = f"time,outcome,target_kind,{','.join(names)}\n2024-03-01,success,resource,{','.join(values)}\n"
    toml = "format = 'csv'\n[columns]\n" + "".join(f"{name} = '{name}'\n" for name in KEPT)
    event = events(tmp_path, text, toml)[1]
    expected = dict(zip(names, values, strict=True)) | {"target_ip": None}  # a resource has none
    assert {name: event[name] for name in names} == expected and event["dropped"] is None


def test_what_machines_addresses_and_resources_tell_of_each_other(tmp_path):
    toml = """
        format = "csv"
        [columns]
        time = "at"
        user = ["who", "mail"]
        source = "src"
        source_ip = "ip"
        target = "host"
        resource = "app"
    """
    text = "at,who,mail,src,ip,host,app\n" + "".join(
        f"2024-03-01,{line}\n"
        for line in (
            "a,,ws1,10.0.0.1,srv1,App",
            ",m@x,-,010.000.000.001,010.01.0.100,",
            "a,m@x,10.0.0.7,,,App",
            "a,,,::1,,",
            ",,,,b,",
        )
    )
    names = ("user", "source", "source_ip", "target", "target_ip", "target_kind", "dropped")
    assert [tuple(event[name] for name in names) for event in events(tmp_path, text, toml)[1:]] == [
        ("a", "ws1", "10.0.0.1", "srv1", None, "machine", None),
        ("m@x", "10.0.0.1", "10.0.0.1", "10.1.0.100", "10.1.0.100", "machine", None),
        ("a", "10.0.0.7", "10.0.0.7", "App", None, "resource", None),
        ("a", "::1", None, None, None, "machine", "no target"),
        (None, None, None, "b", None, "machine", "no user"),
    ]


def test_json_that_has_no_such_time_is_named(tmp_path):
    text = json.dumps({"when": {"at": 1}, "who": "a", "a.b": [{"c": 1}]})
    with pytest.raises(
        InputError,
        match=r"no record of the first 1 has 'at', which .* columns.time; they have: /a.b/0/c, when.at, who",
    ):
        events(tmp_path, text, f"format = 'jsonl'\n{ANY}")
    assert events(tmp_path, "{", f"format = 'jsonl'\n{ANY}")[0]["dropped"] == "not JSON"


def test_a_file_that_a_mapping_does_not_fit_leaves_the_others(tmp_path):
    (tmp_path / "logs").mkdir()
    for name, header in (("a", "time,who,where"), ("b", "x,y,z"), ("c", "time,who,where")):
        (tmp_path / "logs" / name).write_text(f"{header}\n2024-03-05T10:00:0{ord(name) % 9}Z,{name},srv\n")
    text = (
        "format = 'csv'\ntime_format = 'iso8601'\n[columns]\ntime = 'time'\nuser = 'who'\ntarget = 'where'\n"
    )
    path = mapping(tmp_path, text)
    with pytest.raises(InputError, match="has no column 'nowhere', which .* names as columns.source"):
        ingest(
            log(tmp_path, VPN), mapping(tmp_path, f"format = 'csv'\n{GOOD}source = 'nowhere'"), tmp_path / "l"
        )
    path = mapping(tmp_path, text)
    reports = ingest_all([str(tmp_path / "logs")], path, tmp_path / "lake")
    assert [report.events if not report.problem else None for report in reports] == [1, None, 1]
    assert (
        f"{tmp_path}/logs/b: has no column 'time', which {path} names as columns.time" in reports[1].problem
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_example_mappings_load(path):
    assert source(str(path), Options()).fields


ASIM = """\
TimeGenerated [UTC],EventStartTime,EventType,EventResult,EventResultDetails,EventSubType,EventOriginalType,\
EventOriginalUid,TargetUsername,TargetUserId,TargetSessionId,ActorUsername,SrcHostname,SrcIpAddr,\
TargetHostname,TargetAppName,LogonMethod,DvcHostname
"3/1/2024, 8:15:02.123 AM",,Logon,Success,,Interactive,4624,u1,CORP\\al,S-1,0x5,,ws1,10.0.0.1,srv1,,NTLM,srv1
"3/1/2024, 8:15:03.000 PM",2024-03-01T20:15:01Z,Logon,Failure,No such user,,,u2,bo@corp,id-2,,,,10.0.0.2,,\
Office 365,,
"3/1/2024, 8:15:03.000 PM",,Logoff,Success,,,,u3,bo@corp,,,,,,srv1,,,
"""


def test_asim_by_hand(tmp_path):
    _, machine, cloud, logoff = events_of(
        log(tmp_path, ASIM), str(EXAMPLES / "asim_authentication.toml")
    ).to_pylist()
    shown = (
        "time",
        "user",
        "user_id",
        "source",
        "source_ip",
        "target",
        "target_kind",
        "outcome",
        "outcome_reason",
    )
    assert [
        machine[name]
        for name in (*shown, "logon_type", "auth_package", "code", "event_id", "session", "reporter")
    ] == [
        *(
            dt.datetime(2024, 3, 1, 8, 15, 2, 123_000),
            "CORP\\al",
            "S-1",
            "ws1",
            "10.0.0.1",
            "srv1",
            "machine",
            "success",
            None,
        ),
        *("Interactive", "NTLM", "4624", "u1", "0x5", "srv1"),
    ]
    assert [cloud[name] for name in shown] == [
        *(
            dt.datetime(2024, 3, 1, 20, 15, 1),
            "bo@corp",
            "id-2",
            "10.0.0.2",
            "10.0.0.2",
            "Office 365",
            "resource",
        ),
        *("failure", "No such user"),
    ]
    assert logoff["dropped"] == "not a logon: not in keep.EventType"


def test_radius_by_hand(tmp_path):
    text = (
        "radacctid,acctsessionid,acctuniqueid,username,nasipaddress,acctstarttime,"
        "calledstationid,callingstationid\n"
        "1,81E1,8a4f,bob,10.2.0.1,2024-03-01 08:15:02,00-1A:corp-wifi,AA-BB-CC-00-11-22\n"
    )
    event = events_of(log(tmp_path, text), str(EXAMPLES / "radius_csv.toml")).to_pylist()[1]
    assert [
        event[name]
        for name in ("user", "source", "source_ip", "target", "target_ip", "detail", "session", "outcome")
    ] == [
        *("bob", "AA-BB-CC-00-11-22", None, "10.2.0.1", "10.2.0.1", "00-1A:corp-wifi", "81E1", "success"),
    ]


DUO = {
    "access_device": {"hostname": None, "ip": "203.0.113.7"},
    "application": {"key": "DIX", "name": "Corporate VPN"},
    "auth_device": {"ip": "198.51.100.9", "name": "+1 555 0100"},
    "email": "",
    "event_type": "authentication",
    "factor": "duo_push",
    "isotimestamp": "2024-03-01T08:15:02.351346+00:00",
    "reason": "user_approved",
    "result": "success",
    "timestamp": 1709280902,
    "txid": "t1",
    "user": {"groups": ["VPN"], "key": "DU1", "name": "k.holm"},
}


def test_duo_by_hand(tmp_path):
    """The phone that answers is neither source nor target; a port does not make another machine."""
    records = [
        DUO,
        DUO | {"result": "fraud", "access_device": {"ip": "203.0.113.7:51234"}},
        DUO | {"result": "denied", "access_device": {"ip": "[2001:db8::7]:443"}},
        DUO | {"result": "odd", "access_device": {"hostname": "ws7", "ip": "203.0.113.7"}},
        DUO | {"event_type": "enrollment"},
    ]
    path = log(tmp_path, "\n".join(map(json.dumps, records)))
    *back, enrolled = events_of(path, str(EXAMPLES / "duo_auth.toml")).to_pylist()
    assert [
        tuple(event[name] for name in ("user", "source", "source_ip", "target", "outcome")) for event in back
    ] == [
        ("k.holm", "203.0.113.7", "203.0.113.7", "Corporate VPN", "success"),
        ("k.holm", "203.0.113.7", "203.0.113.7", "Corporate VPN", "failure"),
        ("k.holm", "2001:db8::7", "2001:db8::7", "Corporate VPN", "failure"),
        ("k.holm", "ws7", "203.0.113.7", "Corporate VPN", "unknown"),
    ]
    assert {(event["target_kind"], event["action"], event["note"]) for event in back} == {
        ("resource", "sso", None)
    }
    assert enrolled["dropped"] == "not a logon: not in keep.event_type"


@pytest.mark.parametrize(("kind", "target"), [("machine", "10.0.0.9"), ("resource", "10.0.0.9:443")])
def test_a_port_is_no_part_of_a_machine_and_may_be_of_a_resource(tmp_path, kind, target):
    mapping = tmp_path / "gateway.toml"
    mapping.write_text(
        'format = "csv"\n[columns]\ntime = "at"\nuser = "who"\nsource = "from"\ntarget = "to"\n'
        f'[constants]\ntarget_kind = "{kind}"\n'
    )
    text = "at,who,from,to\n2024-03-01T08:15:02Z,bob,10.0.0.7:51234,10.0.0.9:443\n"
    event = events_of(log(tmp_path, text), str(mapping)).to_pylist()[1]
    assert (event["source"], event["source_ip"], event["target"]) == ("10.0.0.7", "10.0.0.7", target)


# --- a proposal for a file ----------------------------------------------------------------------------------


def proposal(path: Path) -> str:
    with contextlib.closing(Feed(next(files.find(str(path))), "1GB")) as feed:
        return skeleton(Sample(feed.path, feed.sample(feed.frames[0]), feed.modified))


@pytest.mark.parametrize(
    ("text", "settings", "columns"),
    [
        (
            VPN.replace("yesterday", "2024-03-02"),
            {"format": "csv", "time_format": ("iso8601",)},
            "timestamp account from_host to_host result",
        ),
        (
            "Login;Zeit;Datum / Time;Server;Client IP\nal;1;01.03.2024 08:15:02;srv1;10.0.0.1\n",
            {"delimiter": ";", "time_format": ("%d.%m.%Y %H:%M:%S",)},
            "Datum / Time|Login|Client IP|Server",
        ),
        (
            "1709280902,al@corp,C1,C2\n1709280903,bo@corp,C3,C2\n",
            {"header": False, "time_format": ("epoch_s",)},
            "1 2 3 4",
        ),
        (
            "10.0.0.1\t10.0.0.2\t06/14/1998-07:55\n",
            {"header": False, "delimiter": "\t", "time_format": ("%m/%d/%Y-%H:%M",)},
            "3 1 1 2",
        ),
        (
            "".join(
                json.dumps(
                    {
                        "event": {"time": 1709280902123, "user.name": "al"},
                        "src_ip": "10.0.0.1",
                        "app": "Pay",
                        "n": [1],
                    }
                )
                + "\n"
                for _ in range(3)
            ),
            {
                "format": "jsonl",
                "time_format": ("epoch_ms",),
                "constants": {"action": "sso", "target_kind": "resource"},
            },
            "event.time /event/user.name src_ip app",
        ),
        ('what,"odd ""name""\x7f",when\nal,ws1,2024-03-01\n', {}, None),
        ("a|b\n1|2\n", {"delimiter": "|"}, None),
    ],
)
def test_a_proposal_loads_and_reads_its_file(tmp_path, text, settings, columns):
    proposed = load(mapping(tmp_path, proposal(log(tmp_path, text))))
    assert {name: getattr(proposed, name) for name in settings} == settings
    if columns:
        names = zip(
            ("time", "user", "source", "target", "outcome"),
            columns.split("|" if "|" in columns else None),
            strict=False,
        )
        assert proposed.columns == {name: (column,) for name, column in names}
    found = events_of(tmp_path / "log", str(tmp_path / "log.toml"))["dropped"].to_pylist()
    assert len(found) == text.count("\n") and (not columns or None in found)


def test_a_proposal_knows_words_for_outcomes(tmp_path):
    toml = proposal(log(tmp_path, VPN))
    assert 'success = ["ok"]\nfailure = ["denied"]' in toml and "#   protocol: SAML, SAML" in toml
    assert "or the day first" in proposal(log(tmp_path, "time,user,host\n01/02/2024 03:04,a,b\n"))


AT_TEN = "2024-03-05T10:00:00Z"
PHONE = "555-555-0100"


@pytest.mark.parametrize(
    ("record", "columns"),
    [
        (
            {
                "_index": "i",
                "@timestamp": AT_TEN,
                "input": {"type": "log"},
                "agent": {"type": "x"},
                "text": "hello",
            },
            {"user": "text", "target": "text"},
        ),
        (
            {
                "_index": "i",
                "_source": {"@timestamp": AT_TEN, "input": {"type": "log"}, "owner": "eva", "srv": "h"},
            },
            {"user": "_source.owner", "target": "_source.owner"},
        ),
        (
            {"HostIP": "10.0.0.1", "EventTime": AT_TEN, "HostName": "h1", "Level": "6"},
            {"user": "Level", "target": "HostName"},
        ),
        (
            {
                "device": PHONE,
                "integration": "VPN",
                "ip": "203.0.113.9",
                "timestamp": AT_TEN,
                "username": "eva",
            },
            {"user": "username", "source": "ip", "target": "integration"},
        ),
        (
            {
                "auth_device": {"ip": None, "name": PHONE},
                "access_device": {"ip": "203.0.113.9"},
                "application": {"key": "D1", "name": "VPN"},
                "isotimestamp": AT_TEN,
                "user": {"key": "D2", "name": "eva"},
            },
            {"user": "user.name", "source": "access_device.ip", "target": "application.name"},
        ),
        (
            {"_time": AT_TEN, "host": "h1", "source": "/var/log/x.log", "login": "eva"},
            {"user": "login", "target": "host"},
        ),
    ],
)
def test_a_proposal_names_no_collector_and_no_telephone(tmp_path, record, columns):
    proposed = load(mapping(tmp_path, proposal(log(tmp_path, (json.dumps(record) + "\n") * 3))))
    assert {name: paths[0] for name, paths in proposed.columns.items() if name != "time"} == columns


def test_columns_of_a_collector_alone_are_no_log(tmp_path):
    assert proposal(log(tmp_path, '{"_index": "i", "@timestamp": "x", "input": {"type": "log"}}\n')) == ""


def test_a_format_that_was_given_is_not_asked_for(tmp_path):
    """The message has the reasons instead."""
    for form in ("okta", "auto"):
        record = {"uuid": "1", "published": "never", "eventType": "user.session.start"}
        actor = {"type": "User", "alternateId": "eva@werk.example"}
        path = str(log(tmp_path, json.dumps(record | {"actor": actor}) + "\n"))
        (report,) = ingest_all([path], form, tmp_path / form)
        assert "no record reads as okta (time not understood: 1)" in (report.problem or "")
        assert "--log-format" not in (report.problem or "")


@pytest.mark.parametrize(
    "text",
    [
        "Mar  1 08:15:02 web1 sshd[1]: Accepted, too, for al\nMar  1\n",
        "{}\n",
        "one\ntwo\n",
        "{\n",
        '{"a": 1}\n',
    ],
)
def test_no_proposal_for_what_is_no_table(tmp_path, text):
    assert proposal(log(tmp_path, text)) == ""


CELL = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=6) | st.sampled_from(
    ["time", "user", "1", "2024-03-01"]
)
VALUE = st.recursive(
    CELL | st.integers() | st.none() | st.floats(allow_nan=False), lambda inner: st.lists(inner, max_size=2)
)
TABLE = st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=2, max_size=6).map(
    lambda rows: "\n".join(map(",".join, rows))
)
OBJECTS = st.lists(
    st.dictionaries(CELL, VALUE | st.dictionaries(CELL, VALUE, max_size=3), min_size=1, max_size=5),
    min_size=1,
    max_size=5,
).map(lambda records: "\n".join(map(json.dumps, records)))


@given(TABLE | OBJECTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_proposal_for_anything_loads_and_reads(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("anything")
    if toml := proposal(log(folder, text + "\n")):
        with contextlib.suppress(InputError):
            assert all(
                event["dropped"] or event["user"]
                for event in events_of(folder / "log", mapping(folder, toml)).to_pylist()
            )


# --- real files ---------------------------------------------------------------------------------------------

DATA = Path(__file__).parents[2] / "shared/data"
DARPA, LABELS = DATA / "darpa_stream/darpa_original.zip", DATA / "lanl_replay/labels.csv"
EDGES = DATA / "lanl_graph/user_computer_edges.csv.gz"


@pytest.mark.skipif(not DARPA.exists(), reason=f"needs {DARPA}")
def test_darpa(tmp_path):
    unzip = subprocess.Popen(["unzip", "-p", DARPA], stdout=subprocess.PIPE)
    assert unzip.stdout is not None
    rows = [unzip.stdout.readline().decode() for _ in range(50_000)]
    unzip.stdout.close()
    unzip.wait()
    report = ingest(log(tmp_path, "".join(rows)), str(EXAMPLES / "darpa_stream.toml"), tmp_path / "lake")
    assert (report.events, report.dropped) == (50_000, {})

    def plain(address: str) -> str:
        return ".".join(str(int(part)) for part in address.split("."))

    fields = [row.split(",") for row in rows]
    expected = Counter((plain(source), plain(target)) for source, target, _, _ in fields)
    found: Counter[tuple[str, str]] = Counter()
    for edge in everything(tmp_path / "lake"):
        found[edge["source"], edge["target"]] += edge["count"]
    # who reaches itself is told by the target's name: the same
    assert found == expected
    first = min(dt.datetime.strptime(row[2], "%m/%d/%Y-%H:%M") for row in fields)
    assert report.first == first + dt.timedelta(hours=4)  # summer in Massachusetts


@pytest.mark.skipif(not LABELS.exists(), reason=f"needs {LABELS}")
def test_lanl_labels_by_a_proposal(tmp_path):
    report = ingest(LABELS, mapping(tmp_path, proposal(LABELS)), tmp_path / "lake")
    lines = LABELS.read_text().splitlines()
    assert (report.lines, report.events, report.dropped) == (len(lines), len(lines) - 1, {"header": 1})
    assert report.users == len({line.split(",")[1].lower() for line in lines[1:]})


@pytest.mark.skipif(not EDGES.exists(), reason=f"needs {EDGES}")
def test_edges_without_times_are_an_error(tmp_path):
    toml = proposal(EDGES)
    assert "no column looks like a time" in toml and 'user = "user"\ntarget = "computer"' in toml
    with pytest.raises(InputError, match=r"no (line|record) reads as .*time not understood: \d+"):
        ingest(EDGES, mapping(tmp_path, toml), tmp_path / "lake")
    assert gzip.open(EDGES, "rt").readline().startswith("user,computer")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = [field.name for field in dataclasses.fields(MappingFile)]


@given(
    st.dictionaries(st.sampled_from([*KEYS, "x"]), JUNK),
    st.dictionaries(st.sampled_from(EVENT_COLUMNS), JUNK),
)
@settings(max_examples=300, deadline=None)
def test_any_mapping_is_read_or_its_key_is_named(content, columns):
    """Whatever stands at a key, the parser returns a mapping, or names one of the file's keys."""
    content = {"format": "csv", "columns": {"time": "t", "user": "u", "target": "v"} | columns} | content
    try:
        mapping = parsed(content)
    except WrongValue as problem:
        assert str(problem).startswith(("unknown key ", *KEYS))
    else:
        assert MappingFile(**mapping.as_json()).format == mapping.format
        assert json.loads(json.dumps(mapping.as_json())) == mapping.as_json()
