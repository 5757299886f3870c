"""Mapping files: what each key does, on logs of a few lines; expected edges are worked out by hand."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from ueba.errors import InputError, UsageError
from ueba.ingest import ingest, lake

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
    return lake.read(root, dt.date.min, dt.date.max).to_pylist()


def test_vpn_example_by_hand(tmp_path):
    report = ingest(log(tmp_path, VPN), str(EXAMPLES / "vpn_csv.toml"), tmp_path / "lake")
    alice, bob = everything(tmp_path / "lake")
    day = dt.date(2024, 3, 1)
    assert [alice[name] for name in ("day", "user", "source", "target")] == [day, "alice@corp", "lt-0412", "vpn-gw-1"]
    assert [alice[name] for name in ("action", "logon_type", "auth_package")] == ["logon", "RemoteInteractive", "SAML"]
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
        ("time_format = '%d/%m/%Y %H:%M'\ntimezone = 'Asia/Tokyo'", "02/01/2024 03:04", dt.datetime(2024, 1, 1, 18, 4)),
    ],
)
def test_times(tmp_path, settings, text, expected):
    columns = "format = 'csv'\nheader = false\ndelimiter = ';'\n[columns]\ntime = 1\nuser = 2\ntarget = 3"
    ingest(log(tmp_path, f"{text};alice;c1\n"), mapping(tmp_path, f"{settings}\n{columns}"), tmp_path / "lake")
    assert everything(tmp_path / "lake")[0]["first_seen"] == expected


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e300", "x"])
def test_absurd_epochs_are_dropped(tmp_path, text):
    columns = "format = 'csv'\nheader = false\ntime_format = 'epoch_s'\n[columns]\ntime = 1\nuser = 2\ntarget = 3"
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
    lines = [{"at": "2024-01-01T00:00:00Z", "who": [{"the.name": "a"}], "to": "b", "type": kind} for kind in (3, "NET", 9)]
    ingest(log(tmp_path, "\n".join(map(json.dumps, lines))), mapping(tmp_path, text), tmp_path / "lake")
    edges = everything(tmp_path / "lake")
    assert [(edge["logon_type"], edge["count"], edge["failures"]) for edge in edges] == [("9", 1, 1), ("Network", 2, 2)]
    assert {(edge["user"], edge["source"], edge["action"]) for edge in edges} == {("a", "jump", "explicit_credential")}


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
        (f"format = 'csv'\n{GOOD}source = 'nowhere'", "columns.source: the log has no column 'nowhere'"),
        (f"format = 'csv'\n{GOOD}[values.outcome]\nfine = ['ok']", "values.outcome: 'fine'"),
        (f"format = 'csv'\n{GOOD}[constants]\ntarget_kind = 'toaster'", "constants.target_kind: 'toaster'"),
        (f"format = 'csv'\n{GOOD}[keep]\ntype = 'x'", "keep.type"),
        ("format = 'csv'\ncolumns = 1", "columns: 1"),
        ("format =", "is not TOML"),
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
    again = ingest(log(tmp_path, VPN), mapping(tmp_path, f"format = 'csv'\n# same\n{GOOD}"), tmp_path / "lake")
    other = ingest(log(tmp_path, VPN), mapping(tmp_path, f"format = 'csv'\n{GOOD}source = 'from_host'"), tmp_path / "lake")
    assert (first.already_ingested, again.already_ingested, other.already_ingested) == (False, True, False)
    assert {edge["source"] for edge in everything(tmp_path / "lake")} == {"lt-0412", None}


def test_header_only_is_an_empty_log_but_nonsense_is_an_error(tmp_path):
    path = str(EXAMPLES / "vpn_csv.toml")
    assert ingest(log(tmp_path, VPN.splitlines()[0]), path, tmp_path / "lake").events == 0
    with pytest.raises(InputError, match="no line reads as vpn_csv.toml"):
        ingest(log(tmp_path, VPN.splitlines()[0] + "\nx\n"), path, tmp_path / "lake")
