"""Windows Security events in all their shapes; expected events are worked out by hand."""

from __future__ import annotations

import collections
import datetime as dt
import gzip
import json
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ingest_world import detected

from ueba.ingest import IngestOptions, Options, events, events_of, ingest
from ueba.ingest.sources import Sample, windows
from ueba.simulate import Organisation, simulate
from ueba.simulate.windows import write_windows

DATA = Path(__file__).parents[2] / "shared/data"
EVTX, JSON = DATA / "windows_evtx", DATA / "windows_json"
NOON = "2024-03-05T12:00:00.123456Z"
AT_NOON = dt.datetime(2024, 3, 5, 12, 0, 0, 123456)
ALICE, BOB = "S-1-5-21-1-2-3-1101", "S-1-5-21-1-2-3-1102"
NOBODY = {
    "SubjectUserSid": "S-1-0-0",
    "SubjectUserName": "-",
    "SubjectDomainName": "-",
    "SubjectLogonId": "0x0",
}
MACHINE = {
    "SubjectUserSid": "S-1-5-18",
    "SubjectUserName": "SRV1$",
    "SubjectDomainName": "CORP",
    "SubjectLogonId": "0x3e7",
}
SUBJECT = {
    "SubjectUserSid": BOB,
    "SubjectUserName": "bob",
    "SubjectDomainName": "CORP",
    "SubjectLogonId": "0x77",
}
TARGET = {
    "TargetUserSid": ALICE,
    "TargetUserName": "alice",
    "TargetDomainName": "CORP",
    "TargetLogonId": "0xABC",
}
NETWORK = {"LogonType": 3, "AuthenticationPackageName": "Kerberos", "LmPackageName": "-"}
FROM = {"WorkstationName": "-", "IpAddress": "10.0.0.7", "IpPort": "50123"}
LOGON = NOBODY | TARGET | NETWORK | FROM


def evtx(
    code: Any, data: dict[str, Any] | None, computer: str = "SRV1.corp.example", **system: Any
) -> dict[str, Any]:
    """As evtx_dump has it."""
    about = {
        "Provider": {"#attributes": {"Name": "Microsoft-Windows-Security-Auditing"}},
        "EventID": code,
        "Keywords": "0x8020000000000000",
        "TimeCreated": {"#attributes": {"SystemTime": NOON}},
        "EventRecordID": 42,
        "Channel": "Security",
        "Computer": computer,
    }
    return {"Event": {"#attributes": {"xmlns": "..."}, "System": about | system, "EventData": data}}


def winlogbeat(code: int, data: dict[str, Any], outcome: str = "success") -> dict[str, Any]:
    values = {name: str(value) for name, value in data.items()}
    log = {
        "channel": "Security",
        "computer_name": "SRV1.corp.example",
        "event_id": str(code),
        "record_id": 42,
        "event_data": values,
    }
    return {
        "@timestamp": NOON,
        "event": {"code": str(code), "outcome": outcome},
        "host": {"name": "collector"},
        "winlog": log,
    }


def winlogbeat_module(code: int, data: dict[str, Any]) -> dict[str, Any]:
    """As Winlogbeat's module for the Security log leaves a record: it renames where a logon came from."""
    record, values = winlogbeat(code, data), dict(data)
    moved = {"ip": values.pop("IpAddress", None), "domain": values.pop("WorkstationName", None)}
    record["winlog"]["event_data"] = values
    return record | {"source": {name: value for name, value in moved.items() if value not in (None, "-")}}


def winlogbeat_6(code: int, data: dict[str, Any]) -> dict[str, Any]:
    about = {
        "@timestamp": NOON,
        "log_name": "Security",
        "event_id": code,
        "record_number": "42",
        "keywords": ["Audit Success"],
    }
    return about | {"computer_name": "SRV1.corp.example", "event_data": data}


def nxlog(code: int, data: dict[str, Any], **about: Any) -> dict[str, Any]:
    """Its clock is three and a half hours behind UTC; the record arrived 70 seconds late."""
    record = {
        "EventTime": "2024-03-05 08:30:00",
        "EventReceivedTime": "2024-03-05 08:31:10",
        "@timestamp": "2024-03-05T12:01:12.345Z",
        "Hostname": "SRV1.corp.example",
        "host": "collector",
        "Keywords": -9214364837600034816,
        "Channel": "security",
        "SourceName": "Microsoft-Windows-Security-Auditing",
        "EventID": code,
        "RecordNumber": 42,
    }
    return record | {name: str(value) for name, value in data.items()} | about


def splunk(code: int, **data: Any) -> dict[str, Any]:
    about = {
        "_time": "2024-03-05T13:00:00.123456+01:00",
        "LogName": "Security",
        "EventCode": str(code),
        "Keywords": "Audit Success",
    }
    return {
        "preview": False,
        "result": about | {"ComputerName": "SRV1.corp.example", "RecordNumber": "42"} | data,
    }


def azure(code: int, data: dict[str, Any]) -> dict[str, Any]:
    about = {
        "TimeGenerated": NOON,
        "Computer": "SRV1.corp.example",
        "Channel": "Security",
        "EventID": code,
        "EventRecordId": "42",
    }
    return (
        about
        | {"Type": "SecurityEvent", "EventSourceName": "Microsoft-Windows-Security-Auditing", "EventData": ""}
        | data
    )


def values_xml(data: dict[str, Any]) -> str:
    escaped = {name: str(value).replace("&", "&amp;").replace("<", "&lt;") for name, value in data.items()}
    return (
        "<EventData>"
        + "".join(f"<Data Name='{name}'>{value}</Data>" for name, value in escaped.items())
        + "</EventData>"
    )


def xml(code: int, data: dict[str, Any]) -> str:
    return (
        f"<Event xmlns='http://{windows.NAMESPACE}'><System><Provider "
        f"Name='Microsoft-Windows-Security-Auditing' Guid='{{5}}'/>"
        f"<EventID>{code}</EventID><Version>2</Version><Keywords>0x8020000000000000</Keywords>"
        f"<TimeCreated SystemTime='{NOON}'/>"
        "<EventRecordID>42</EventRecordID><Correlation/><Channel>Security</Channel><Computer>SRV1.corp.example</Computer>"
        f"<Security/></System>{values_xml(data)}</Event>"
    )


def found(tmp_path: Path, *records: Any, format: str = "windows", **options: Any) -> list[dict[str, Any]]:
    """Events as dicts, without what is null, line and text."""
    path = tmp_path / "log.json"
    path.write_text(
        "".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records)
    )
    table = events_of(path, format, IngestOptions(Options(**options)))
    assert len(table) == len(records) and table["text"].to_pylist() == path.read_text().splitlines()
    names = [name for name in events.COLUMNS if name not in ("line", "text")]
    return [{name: row[name] for name in names if row[name] is not None} for row in table.to_pylist()]


def expect(record: dict[str, Any], **columns: Any) -> dict[str, Any]:
    """What every record of these tests says, and more; None for what this one does not."""
    usual = {"time": AT_NOON, "target": "SRV1.corp.example", "target_kind": "machine", "outcome": "success"}
    code = record["Event"]["System"]["EventID"]
    usual |= {"reporter": "SRV1.corp.example", "code": str(code), "event_id": "srv1.corp.example/42"}
    return {name: value for name, value in (usual | columns).items() if value is not None}


ALICE_LOGON = {
    "user": r"CORP\alice",
    "user_id": ALICE,
    "action": "logon",
    "logon_type": "Network",
    "auth_package": "Kerberos",
    "session": "srv1.corp.example:0xabc",
    "witness": "host",
    "source": "10.0.0.7",
    "source_ip": "10.0.0.7",
}


SHAPES: list[Any] = [
    evtx(4624, LOGON),
    evtx({"#attributes": {"Qualifiers": ""}, "#text": 4624}, LOGON),
    winlogbeat(4624, LOGON),
    winlogbeat_module(4624, LOGON),
    winlogbeat_6(4624, LOGON),
    nxlog(4624, LOGON),
    azure(4624, LOGON),
    azure(4624, {"EventData": values_xml(LOGON)}),
    xml(4624, LOGON),
    splunk(4624, **LOGON),
    splunk(
        4624,
        Account_Name=["-", "alice"],
        Account_Domain=["-", "CORP"],
        Security_ID=["NULL SID", ALICE],
        Logon_ID=["0x0", "0xABC"],
        Logon_Type="3",
        Authentication_Package="Kerberos",
        Package_Name__NTLM_only_="-",
        Source_Network_Address="10.0.0.7",
        Workstation_Name="-",
    ),
    splunk(4624, **LOGON)["result"],
]


def test_one_logon_in_all_shapes(tmp_path):
    """NXLog's clock has no fractions."""
    expected = expect(evtx(4624, {}), **ALICE_LOGON)
    back = found(tmp_path, *SHAPES, format="auto")
    assert {event["time"] for event in back} == {AT_NOON, AT_NOON.replace(microsecond=0)}
    assert [event | {"time": AT_NOON} for event in back] == [expected] * len(SHAPES)


def test_the_time_to_read_xml_grows_with_its_length(tmp_path):
    """And not with the square of it: a record of 60 kB took 16 seconds."""
    event = xml(4624, LOGON).replace("<EventData>", "<EventData>" + "<Data Name='x'>a</Data>" * 2400)
    began = time.process_time()
    assert [row["user"] for row in found(tmp_path, event)] == ["CORP\\alice"]
    assert time.process_time() - began < 8


@pytest.mark.parametrize("record", [SHAPES[0], *SHAPES[2:7], SHAPES[8], SHAPES[9]])
def test_each_shape_is_known_by_itself(tmp_path, record):
    assert len(found(tmp_path, record, format="auto")) == 1


LOGON_CASES: list[Any] = [
    ({"WorkstationName": "\\\\WS7"}, {"source": "WS7"}),
    ({"IpAddress": "::ffff:10.0.0.8"}, {"source": "10.0.0.8", "source_ip": "10.0.0.8"}),
    ({"IpAddress": "fe80::1cae:5aa4%12"}, {"source": "fe80::1cae:5aa4", "source_ip": "fe80::1cae:5aa4"}),
    ({"IpAddress": "[2001:DB8::1]:443"}, {"source": "2001:db8::1", "source_ip": "2001:db8::1"}),
    ({"IpAddress": "::1"}, {"source": "SRV1.corp.example", "source_ip": None}),
    ({"IpAddress": "::ffff:127.0.0.1"}, {"source": "SRV1.corp.example", "source_ip": None}),
    ({"IpAddress": "-"}, {"source": None, "source_ip": None}),
    ({"IpAddress": "0.0.0.0"}, {"source": None, "source_ip": None}),
    ({"IpAddress": "-", "WorkstationName": "srv1"}, {"source": None, "source_ip": None}),
    ({"IpAddress": "127.0.0.1", "WorkstationName": "WS7"}, {"source": "WS7", "source_ip": None}),
    ({"IpAddress": "-", "WorkstationName": "10.0.0.9"}, {"source": "10.0.0.9", "source_ip": "10.0.0.9"}),
    ({"IpAddress": "-", "WorkstationName": "NULL"}, {"source": None, "source_ip": None}),
    ({"LogonType": 10, "WorkstationName": "SRV1"}, {"logon_type": "RemoteInteractive"}),
    (
        {"LogonType": "2", "WorkstationName": "SRV1", "IpAddress": "127.0.0.1"},
        {"logon_type": "Interactive", "source": "SRV1.corp.example", "source_ip": None},
    ),
    (
        {"LogonType": 5, "IpAddress": "-"},
        {"logon_type": "Service", "source": "SRV1.corp.example", "source_ip": None},
    ),
    ({"LogonType": 99}, {"logon_type": None}),
    (
        {"AuthenticationPackageName": "NTLM", "LmPackageName": "NTLM V1"},
        {"auth_package": "NTLM", "detail": "NTLM V1"},
    ),
    ({"AuthenticationPackageName": "Negotiate", "LmPackageName": "NTLM V2"}, {"auth_package": "NTLM"}),
    ({"TargetUserName": "alice@corp.example", "TargetDomainName": "-"}, {"user": "alice@corp.example"}),
    ({"TargetDomainName": ""}, {"user": "alice"}),
    ({"TargetUserName": "WS7$"}, {"user": r"CORP\WS7$"}),
    (
        {"TargetUserName": "ANONYMOUS LOGON", "TargetDomainName": "NT AUTHORITY", "TargetUserSid": "S-1-5-7"},
        {"user": r"NT AUTHORITY\ANONYMOUS LOGON", "user_id": "S-1-5-7"},
    ),
    (MACHINE, {}),
    (SUBJECT, {"actor": r"CORP\bob"}),
    (SUBJECT | {"SubjectUserSid": ALICE, "SubjectUserName": "al"}, {}),
    (SUBJECT | {"SubjectUserName": "ALICE", "SubjectDomainName": "corp.example"}, {}),
    (SUBJECT | {"SubjectUserName": "alice", "SubjectDomainName": "SRV1"}, {"actor": r"SRV1\alice"}),
]


def test_logons(tmp_path):
    records = [evtx(4624, LOGON | data) for data, _ in LOGON_CASES]
    assert found(tmp_path, *records) == [
        expect(records[0], **(ALICE_LOGON | columns)) for _, columns in LOGON_CASES
    ]


def test_a_source_that_winlogbeat_moved_is_the_same(tmp_path):
    cases = [data for data, _ in LOGON_CASES]
    raw = found(tmp_path, *(winlogbeat(4624, LOGON | data) for data in cases))
    assert found(tmp_path, *(winlogbeat_module(4624, LOGON | data) for data in cases)) == raw


FAILURE_CASES: list[Any] = [
    ({"Status": "0xC000006D", "SubStatus": "0xC0000064"}, "no such user"),
    ({"Status": "0xc000006d", "SubStatus": "0xc000006a"}, "bad password"),
    ({"Status": "0xc0000234", "SubStatus": "0x0"}, "account locked"),
    ({"Status": "0xc000010b", "SubStatus": "0x0"}, "0xc000010b"),
    ({}, None),
]


def test_failed_logons(tmp_path):
    failed = {name: value for name, value in LOGON.items() if name != "TargetLogonId"}
    failed |= {"TargetUserSid": "S-1-0-0", "WorkstationName": "WS7"}
    records = [evtx(4625, failed | status) for status, _ in FAILURE_CASES]
    expected = ALICE_LOGON | {"source": "WS7", "user_id": None, "session": None, "outcome": "failure"}
    assert found(tmp_path, *records) == [
        expect(records[0], **expected, outcome_reason=reason) for _, reason in FAILURE_CASES
    ]


EXPLICIT = SUBJECT | {
    "TargetUserName": "alice",
    "TargetDomainName": "CORP",
    "TargetServerName": "DB2",
    "TargetInfo": "DB2",
}
EXPLICIT |= {"IpAddress": "-", "IpPort": "-"}


EXPLICIT_CASES: list[Any] = [
    ({}, {"target": "DB2"}),
    ({"IpAddress": "10.0.0.9", "IpPort": "445"}, {"target": "DB2", "target_ip": "10.0.0.9"}),
    (
        {"TargetServerName": "localhost", "TargetInfo": "cifs/db2.corp.example:445"},
        {"target": "db2.corp.example"},
    ),
    ({"TargetServerName": "-", "TargetInfo": None}, {}),
    ({"TargetServerName": "srv1$", "TargetInfo": "srv1$"}, {}),
    ({"TargetServerName": "localhost", "TargetInfo": "localhost", "IpAddress": "::1", "IpPort": "0"}, {}),
    (
        {"TargetServerName": "localhost", "TargetInfo": "localhost", "IpAddress": "10.0.0.7", "IpPort": "0"},
        {"source": "10.0.0.7", "source_ip": "10.0.0.7"},
    ),
    (MACHINE, {"target": "DB2", "actor": None, "session": "srv1.corp.example:0x3e7"}),
]


def test_explicit_credentials(tmp_path):
    records = [evtx(4648, EXPLICIT | data) for data, _ in EXPLICIT_CASES]
    expected = {
        "user": r"CORP\alice",
        "actor": r"CORP\bob",
        "source": "SRV1.corp.example",
        "action": "explicit_credential",
    }
    expected |= {"session": "srv1.corp.example:0x77", "witness": "source"}
    assert found(tmp_path, *records) == [
        expect(records[0], **(expected | columns)) for _, columns in EXPLICIT_CASES
    ]


def test_administrator_rights(tmp_path):
    record = evtx(4672, SUBJECT | {"PrivilegeList": "SeSecurityPrivilege\r\n\t\t\tSeDebugPrivilege"})
    expected = {
        "user": r"CORP\bob",
        "user_id": BOB,
        "action": "privilege",
        "session": "srv1.corp.example:0x77",
    }
    assert found(tmp_path, record) == [expect(record, **expected)]


TICKET = {
    "TargetUserName": "alice",
    "TargetDomainName": "CORP.EXAMPLE",
    "TargetSid": ALICE,
    "ServiceName": "krbtgt",
}
TICKET |= {"Status": "0x0", "TicketEncryptionType": "0x12", "IpAddress": "::ffff:10.0.0.7", "IpPort": "50123"}
BY_CONTROLLER = {
    "source": "10.0.0.7",
    "source_ip": "10.0.0.7",
    "auth_package": "Kerberos",
    "witness": "controller",
}


TICKET_CASES: list[Any] = [
    (4768, {}, {}),
    (4768, {"IpAddress": "::1", "IpPort": "0"}, {"source": "SRV1.corp.example", "source_ip": None}),
    (4768, {"TicketEncryptionType": "0x17"}, {"detail": "RC4"}),
    (
        4768,
        {"Status": "0x6", "TargetSid": "S-1-0-0", "ServiceName": "krbtgt/CORP.EXAMPLE"},
        {"outcome": "failure", "outcome_reason": "no such user", "user_id": None},
    ),
    (
        4771,
        {"TargetDomainName": None, "Status": "0x18", "ServiceName": "krbtgt/CORP"},
        {"user": "alice@CORP", "outcome": "failure", "outcome_reason": "bad password"},
    ),
    (
        4771,
        {"TargetDomainName": None, "Status": "0x25"},
        {"user": "alice", "outcome": "failure", "outcome_reason": "clock skew"},
    ),
]


def test_tickets(tmp_path):
    records = [evtx(code, TICKET | data) for code, data, _ in TICKET_CASES]
    common = BY_CONTROLLER | {"user": "alice@CORP.EXAMPLE", "user_id": ALICE, "action": "ticket"}
    expected = [
        expect(record, **(common | columns))
        for record, (*_, columns) in zip(records, TICKET_CASES, strict=True)
    ]
    assert found(tmp_path, *records) == expected


SERVICE_CASES: list[Any] = [
    ({"ServiceName": "DB2$"}, {"target": "DB2"}),
    ({"ServiceName": "krbtgt"}, {"action": "ticket"}),
    ({"ServiceName": "cifs/db2.corp.example"}, {"target": "db2.corp.example"}),
    (
        {"ServiceName": "svc-sql", "TicketEncryptionType": "0x17"},
        {"target": "svc-sql", "target_kind": "resource", "detail": "RC4"},
    ),
    (
        {"ServiceName": "DB2$", "Status": "0x20"},
        {"target": "DB2", "outcome": "failure", "outcome_reason": "ticket expired"},
    ),
]


def test_service_tickets(tmp_path):
    records = [
        evtx(4769, TICKET | {"TargetUserName": "alice@CORP.EXAMPLE", "TargetSid": None} | data)
        for data, _ in SERVICE_CASES
    ]
    expected = BY_CONTROLLER | {"user": "alice@CORP.EXAMPLE", "action": "service_ticket"}
    assert found(tmp_path, *records) == [
        expect(records[0], **(expected | columns)) for _, columns in SERVICE_CASES
    ]


def test_passwords_checked_by_ntlm(tmp_path):
    data = {
        "PackageName": "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0",
        "TargetUserName": "alice",
        "Workstation": "\\\\WS7",
        "Status": "0x0",
    }
    good, bad, own, none = (
        evtx(4776, data | more)
        for more in (
            {},
            {"Status": "0xC000006A"},
            {"Workstation": "SRV1"},
            {"Workstation": None, "TargetUserName": "a@b"},
        )
    )
    expected = {
        "user": "alice",
        "source": "WS7",
        "action": "credential_validation",
        "auth_package": "NTLM",
        "witness": "controller",
    }
    assert found(tmp_path, good, bad, own, none) == [
        expect(good, **expected),
        expect(bad, **expected, outcome_reason="bad password") | {"outcome": "failure"},
        expect(own, **expected) | {"source": "SRV1.corp.example"},
        expect(none, **(expected | {"source": None, "user": "a@b"})),
    ]


def test_a_session_taken_up_again(tmp_path):
    data = {
        "AccountName": "alice",
        "AccountDomain": "CORP",
        "LogonID": "0xABC",
        "SessionName": "RDP-Tcp#3",
        "ClientName": "WS7",
    }
    remote = evtx(4778, data | {"ClientAddress": "10.0.0.7"})
    console = evtx(4778, data | {"SessionName": "Console", "ClientName": "Unknown", "ClientAddress": "LOCAL"})
    expected = {
        "user": r"CORP\alice",
        "action": "logon",
        "session": "srv1.corp.example:0xabc",
        "witness": "host",
    }
    assert found(tmp_path, remote, console) == [
        expect(remote, **expected, logon_type="RemoteInteractive", source="WS7", source_ip="10.0.0.7"),
        expect(console, **expected, logon_type="Unlock", source="SRV1.corp.example"),
    ]


def test_shares_and_objects(tmp_path):
    share = SUBJECT | {
        "ObjectType": "File",
        "ShareName": "\\\\*\\ADMIN$",
        "IpAddress": "10.0.0.7",
        "IpPort": "50123",
    }
    file = share | {"RelativeTargetName": "System32\\cmd.exe"}
    folder, inside, here = evtx(5140, share), evtx(5145, file), evtx(5140, share | {"IpAddress": "::1"})
    refused = evtx(5145, file, Keywords="0x8010000000000000")
    read = evtx(4663, SUBJECT | {"ObjectType": "File", "ObjectName": "C:\\secret.txt"})
    expected = {"user": r"CORP\bob", "user_id": BOB, "session": "srv1.corp.example:0x77"}
    to_share = expected | {
        "source": "10.0.0.7",
        "source_ip": "10.0.0.7",
        "target": r"\\srv1\admin$",
        "target_kind": "resource",
    }
    to_share |= {"action": "share_access"}
    assert found(tmp_path, folder, inside, refused, here, read) == [
        expect(folder, **to_share),
        expect(inside, **to_share, detail="System32\\cmd.exe"),
        expect(refused, **to_share, detail="System32\\cmd.exe") | {"outcome": "failure"},
        expect(here, **(to_share | {"source": "SRV1.corp.example", "source_ip": None})),
        expect(read, **expected, action="object_access", detail="C:\\secret.txt"),
    ]


@pytest.mark.parametrize(
    "record",
    [
        nxlog(5145, SUBJECT | {"ShareName": "\\\\*\\x"}, Keywords=-9218868437227405312),
        winlogbeat(5145, SUBJECT | {"ShareName": "\\\\*\\x"}, "failure"),
        splunk(
            5145, Keywords="Audit Failure", Account_Name="bob", Account_Domain="CORP", Share_Name="\\\\*\\x"
        ),
        winlogbeat_6(5145, SUBJECT | {"ShareName": "\\\\*\\x"}) | {"keywords": ["Audit Failure"]},
    ],
)
def test_refused_in_all_shapes(tmp_path, record):
    (event,) = found(tmp_path, record)
    assert (event["user"], event["target"], event["outcome"]) == (r"CORP\bob", r"\\srv1\x", "failure")


DROPPED_CASES: list[Any] = [
    ("", "empty line"),
    ("{", "not JSON"),
    ("Unreadable record: x", "not JSON"),
    ("[1]", "not a windows record"),
    ("{}", "not a windows record"),
    ({"Event": {"System": {"Channel": "Security"}}}, "not a windows record"),
    (evtx(4634, TARGET), "not a logon: other event"),
    (evtx(1102, None), "not a logon: other event"),
    (evtx(4624, LOGON, Channel="Application"), "not a logon: other event"),
    (
        evtx(4624, LOGON | {"TargetUserSid": "S-1-5-18", "TargetUserName": "Système"}),
        "not a logon: system account",
    ),
    (
        evtx(4624, LOGON | {"TargetUserSid": "S-1-5-90-0-1", "TargetUserName": "DWM-1"}),
        "not a logon: system account",
    ),
    (evtx(4648, EXPLICIT | {"TargetUserName": "UMFD-0"}), "not a logon: system account"),
    (evtx(4648, EXPLICIT | {"TargetUserName": "srv1$"}), "not a logon: system account"),
    (evtx(4672, MACHINE), "not a logon: system account"),
    (evtx(4624, None), "no user"),
    (evtx(4624, LOGON | {"TargetUserName": None}), "no user"),
    (evtx(4769, TICKET | {"ServiceName": ""}), "no target"),
    (evtx(4624, LOGON, Computer=None), "no target"),
    (evtx(4624, LOGON, TimeCreated=None), "time not understood"),
    (evtx(4624, LOGON, TimeCreated={"#attributes": {"SystemTime": "noon: today"}}), "time not understood"),
    (
        evtx(4624, LOGON, TimeCreated={"#attributes": {"SystemTime": "1601-01-01T00:00:00Z"}}),
        "time before 1970",
    ),
    (
        evtx(4624, LOGON, TimeCreated={"#attributes": {"SystemTime": "2999-01-01T00:00:00Z"}}),
        "time in the future",
    ),
]


def test_what_is_dropped(tmp_path):
    logon, *dropped = found(tmp_path, evtx(4624, LOGON), *(record for record, _ in DROPPED_CASES))
    assert "dropped" not in logon and [event["dropped"] for event in dropped] == [
        reason for _, reason in DROPPED_CASES
    ]


TIME_CASES: list[Any] = [
    ({}, "2024-03-05 12:00:00", None),
    ({"EventTime": "2024-03-05T08:30:00.5-03:30"}, "2024-03-05 12:00:00.5", None),
    ({"EventReceivedTime": None}, "2024-03-05 12:01:12.345", None),
    ({"EventReceivedTime": "2021-01-01 00:00:00"}, "2024-03-05 12:01:12.345", None),
    ({"EventTime": None}, "2024-03-05 12:01:12.345", None),
    ({"EventTime": "2024/03/05 08:30:00"}, "2024-03-05 12:00:00", None),
    ({"@timestamp": None}, "2024-03-05 07:30:00", "time without a zone: taken as Europe/Berlin"),
    (
        {"TimeCreated": "2024-03-05 08:30:00.25"},
        "2024-03-05 07:30:00.25",
        "time without a zone: taken as Europe/Berlin",
    ),
    ({"@timestamp": None, "EventTime": None, "_time": "1709640000.25"}, "2024-03-05 12:00:00.25", None),
]


def test_which_time_is_the_event_s(tmp_path):
    back = found(
        tmp_path, *(nxlog(4624, LOGON, **about) for about, _, _ in TIME_CASES), timezone="Europe/Berlin"
    )
    expected = [(dt.datetime.fromisoformat(time), note) for _, time, note in TIME_CASES]
    assert [(event["time"], event.get("note")) for event in back] == expected


def test_only_its_own_is_recognised():
    def count(*records: Any) -> int:
        texts = tuple(record if isinstance(record, str) else json.dumps(record) for record in records)
        return windows.recognises(Sample("log", texts, dt.datetime(2024, 3, 5)))

    own_records = (
        evtx(1, None),
        winlogbeat(1, {}),
        winlogbeat_6(1, {}),
        nxlog(1, {}),
        azure(1, {}),
        xml(1, {}),
    )
    assert count(*own_records) == len(own_records)
    assert detected([json.dumps(splunk(1))]) == "windows"
    assert count(evtx(1, None), json.dumps(evtx(2, None))[:50]) == 1
    others = [
        "0,U1@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success",
        {"eventVersion": "1.08", "eventName": "ConsoleLogin", "eventID": "e"},
        {"eventType": "user.session.start", "published": NOON, "outcome": {"result": "SUCCESS"}},
        {"Workload": "Exchange", "Operation": "Send", "CreationTime": NOON},
        {"class_uid": 3002, "time": 1, "user": {"name": "alice"}},
        {
            "@timestamp": NOON,
            "event": {"category": ["authentication"]},
            "user": {"name": "alice"},
            "host": {"name": "x"},
        },
        {"ts": 1.0, "id.orig_h": "10.0.0.7", "result": "success"},
        {"Event": "x", "winlog": None, "event_data": 1, "EventID": [], "EventCode": {}, "result": None},
        "<Events>",
        "[1]",
    ]
    assert count(*others) == 0


# --- real files ---------------------------------------------------------------------------------------------


def counts(table: pa.Table) -> tuple[dict[str, int], dict[str, int]]:
    """Events by code, dropped records by reason."""
    rows = table.select(["code", "dropped"]).to_pylist()
    codes = collections.Counter(row["code"] for row in rows if row["dropped"] is None)
    return dict(codes), dict(collections.Counter(row["dropped"] for row in rows if row["dropped"]))


def by_hand(records: list[dict[str, Any]]) -> tuple[dict[str, int], dict[str, int]]:
    """The same, of evtx_dump's and of flat records, by the plainest rules."""
    codes: collections.Counter[str] = collections.Counter()
    dropped: collections.Counter[str] = collections.Counter()
    for record in records:
        system = record.get("Event", {}).get("System", record)
        data = record["Event"].get("EventData") or {} if "Event" in record else record
        code = str(system.get("EventID"))
        subject = code in ("4672", "5140", "5145", "4663")
        sid = (
            data.get("SubjectUserSid")
            if subject
            else data.get("TargetUserSid", data.get("TargetSid", "")) or ""
        )
        name = data.get("SubjectUserName" if subject else "TargetUserName") or ""
        own = name.lower() == str(system.get("Hostname", system.get("Computer"))).split(".")[0].lower() + "$"
        if code not in windows.KIND or system["Channel"].lower() != "security":
            dropped["not a logon: other event"] += 1
        elif (
            sid in ("S-1-5-18", "S-1-5-19", "S-1-5-20")
            or sid.startswith(("S-1-5-90-", "S-1-5-96-"))
            or (code == "4648" and (own or name.startswith(("DWM-", "UMFD-"))))
        ):
            dropped["not a logon: system account"] += 1
        elif not name:
            dropped["no user"] += 1
        else:
            codes[code] += 1
    return dict(codes), dict(dropped)


@pytest.mark.skipif(not EVTX.exists(), reason=f"needs {EVTX}")
def test_real_event_logs(tmp_path):
    """45 files, as one file of what the evtx package reads from them; one as it is."""
    from evtx import PyEvtxParser

    files = sorted(EVTX.iterdir())
    texts = [
        json.loads(record["data"]) for file in files for record in PyEvtxParser(str(file)).records_json()
    ]
    path = tmp_path / "all.json"
    path.write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    table = events_of(path)
    assert counts(table) == by_hand(texts)
    assert counts(table) == (
        {
            "4624": 121,
            "4625": 22,
            "4648": 303,
            "4672": 45,
            "4768": 23,
            "4769": 13,
            "4771": 22,
            "4776": 13,
            "5140": 366,
            "5145": 1965,
        },
        {"not a logon: other event": 397, "not a logon: system account": 63, "no user": 1},
    )
    one = next(file for file in files if "CrackMap" in file.name)
    assert counts(events_of(one)) == ({"4624": 7}, {"not a logon: other event": 56})


@pytest.mark.skipif(not JSON.exists(), reason=f"needs {JSON}")
def test_real_json_of_security_events():
    path = JSON / "security_auth_events.jsonl.gz"
    table = events_of(path)
    assert counts(table) == by_hand([json.loads(line) for line in gzip.open(path, "rt")])
    assert counts(table) == (
        {
            "4624": 327,
            "4625": 27,
            "4648": 46,
            "4672": 154,
            "4768": 14,
            "4769": 95,
            "4776": 35,
            "5140": 75,
            "5145": 403,
        },
        {"not a logon: system account": 1719, "not a logon: other event": 777},
    )


@pytest.mark.parametrize("name", sorted(path.name for path in JSON.glob("*.zip")))
def test_real_json_of_all_channels(tmp_path, name):
    with zipfile.ZipFile(JSON / name) as archive:
        (member,) = archive.namelist()
        path = Path(archive.extract(member, tmp_path))
    texts = path.read_text().split("\n")
    records = [json.loads(text) for text in texts if text]
    codes, dropped = counts(events_of(path))
    empty = dropped.pop("empty line", 0)
    assert (codes, dropped) == by_hand(records) and sum(codes.values()) + sum(dropped.values()) == len(
        records
    )
    assert empty == texts[:-1].count("")


def test_what_the_simulation_wrote(tmp_path):
    """Every logon comes back as it was: 4624 and 4625 at the host; the rest are the controllers' and the
    shares' events."""
    world = simulate(Organisation(users=60, days=8, attack_days=4, campaigns=1))
    write_windows(world.events, tmp_path / "windows.jsonl.gz")
    back = events_of(tmp_path / "windows.jsonl.gz").to_pandas()
    assert back.dropped.isna().all() and back.event_id.is_unique
    simulated = world.events.to_pandas().astype(str)

    def short(names: Any) -> Any:
        return names.str.lower().str.split(".").str[0]

    logons = back[back.action == "logon"]
    account = logons.user.str.lower().str.split("\\").str[-1]
    got = collections.Counter(
        zip(logons.time.dt.floor("s"), account, short(logons.target), logons.outcome, strict=True)
    )
    simulated = simulated[simulated.action == "logon"]
    time = (
        simulated.time.astype("datetime64[ns, UTC]")
        .dt.tz_localize(None)
        .dt.floor("s")
        .astype("datetime64[us]")
    )
    wanted = collections.Counter(
        zip(time, simulated.user.str.split("@").str[0], simulated.target, simulated.outcome, strict=True)
    )
    assert got == wanted and len(logons) > 1000
    named = logons[logons.source.str.match("(?i)(ws|srv|dc)-").fillna(False)]
    assert len(named) and set(short(named.source)) <= set(simulated.source)
    report = ingest(tmp_path / "windows.jsonl.gz", "auto", tmp_path / "lake")
    assert report.format == "windows" and report.events == len(back)


def test_order_does_not_matter(tmp_path):
    records = [
        evtx(4624, LOGON),
        nxlog(4625, LOGON),
        splunk(4624, **LOGON),
        evtx(1, None),
        winlogbeat(4648, EXPLICIT),
    ]
    shuffled = random.Random(1).sample(records, len(records))
    assert sorted(map(str, found(tmp_path, *records))) == sorted(map(str, found(tmp_path, *shuffled)))
