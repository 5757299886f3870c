"""ECS documents -> events, worked out by hand from what Elastic's modules write; a mutilated document is
counted."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from ingest_world import detected

from ueba.ingest import events_of
from ueba.ingest.sources import Sample, ecs

AT = dt.datetime(2024, 3, 1, 8, 15, 2)
SSH: dict[str, Any] = {
    "@timestamp": "2024-03-01T08:15:02.000Z",
    "ecs": {"version": "8.0.0"},
    "event": {
        "action": "ssh_login",
        "category": ["authentication"],
        "dataset": "system.auth",
        "kind": "event",
        "outcome": "failure",
        "type": ["authentication_failure", "info"],
        "id": "x1",
    },
    "host": {"hostname": "slave22", "ip": ["10.0.0.22", "fe80::1"]},
    "source": {"ip": "89.160.20.156", "port": 1786},
    "system": {"auth": {"ssh": {"event": "Failed", "method": "password"}}},
    "user": {"name": "root", "id": "0"},
}
SUDO = SSH | {
    "source": None,
    "system": None,
    "user": {"name": "tsg", "id": "1000", "effective": {"name": "root", "id": "0"}},
}
KERBEROS: dict[str, Any] = {
    "@timestamp": "2024-03-01T08:15:02.590Z",
    "ecs": {"version": "8.11.0"},
    "destination": {"address": "192.168.10.10", "ip": "192.168.10.10", "port": 88},
    "event": {
        "action": "TGS",
        "category": ["network", "authentication"],
        "dataset": "zeek.kerberos",
        "id": "C56Flhb4WQBNkfMOl",
        "outcome": "success",
        "type": ["connection", "protocol", "access"],
    },
    "host": {"name": "sensor-1"},
    "network": {"protocol": "kerberos"},
    "source": {"address": "192.168.10.31", "ip": "192.168.10.31"},
    "user": {"domain": "CONTOSO.LOCAL", "name": "RonHD"},
    "zeek": {"kerberos": {"request_type": "TGS", "service": "HOST/admin-pc"}},
}
OKTA: dict[str, Any] = {
    "@timestamp": "2024-03-01T08:15:02Z",
    "client": {"ip": "108.255.197.247", "user": {"full_name": "Al", "id": "00u1", "name": "Al"}},
    "event": {
        "action": "user.authentication.sso",
        "category": ["authentication", "session"],
        "dataset": "okta.system",
        "id": "3aeede38",
        "kind": "event",
        "outcome": "success",
        "type": ["start", "info"],
    },
    "host": {"name": "collector-1"},
    "okta": {
        "actor": {"alternate_id": "al@corp.example", "id": "00u1"},
        "target": [
            {"id": "0ua", "type": "AppUser", "display_name": "Al Gore"},
            {"display_name": 'Pay "roll"', "id": "0oa", "type": "AppInstance"},
        ],
    },
    "user": {"full_name": "Al", "name": "Al"},
}
ENTRA: dict[str, Any] = {
    "@timestamp": "2024-03-01T08:15:02Z",
    "event": {
        "action": "Sign-in activity",
        "category": ["authentication"],
        "dataset": "azure.signinlogs",
        "id": "8a4d",
        "outcome": "failure",
    },
    "cloud": {"provider": "azure"},
    "source": {"address": "1.1.1.1", "ip": "1.1.1.1"},
    "user": {"name": "test", "id": "8a4de8b5", "domain": "elastic.co"},
    "azure": {
        "tenant_id": "t-1",
        "signinlogs": {
            "properties": {"app_display_name": "Office 365", "status": {"error_code": 50126}},
            "result_type": "50126",
        },
    },
    "error": {"message": "Invalid username or password"},
}
AWS: dict[str, Any] = {
    "@timestamp": "2024-03-01T08:15:02Z",
    "aws": {"cloudtrail": {"user_identity": {"arn": "arn:aws:iam::1111:user/dev/alice", "type": "IAMUser"}}},
    "cloud": {"account": {"id": "1111"}, "provider": "aws"},
    "event": {
        "action": "ConsoleLogin",
        "category": ["authentication"],
        "dataset": "aws.cloudtrail",
        "provider": "signin.amazonaws.com",
    }
    | {"outcome": "success", "kind": "event"},
    "source": {"address": "1.2.3.4", "ip": "1.2.3.4"},
    "user": {"name": "alice", "id": "AIDA"},
}
ROLE = {"aws": {"cloudtrail": {"flattened": {"request_parameters": {"roleArn": "arn:aws:iam::1111:role/R"}}}}}
# Kibana's `fields`: dotted keys, every value in a list
FIELDS = {
    "@timestamp": ["2024-03-01T08:15:02.000Z"],
    "event.category": ["authentication"],
    "event.outcome": ["success"],
    "user.name": ["CORP\\alice"],
    "source.ip": ["::ffff:10.0.0.1"],
    "destination.ip": ["10.0.0.2"],
    "destination.domain": ["srv2"],
}
WINLOGBEAT = {
    "@timestamp": "2024-03-01T08:15:02Z",
    "ecs": {"version": "8.0.0"},
    "winlog": {"event_id": "4624"},
} | {"event": {"category": ["authentication"], "code": "4624"}}


def with_event(record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return record | {"event": record["event"] | changes}


READ: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        SSH,
        {
            "time": AT,
            "user": "root",
            "source": "89.160.20.156",
            "source_ip": "89.160.20.156",
            "target": "slave22",
            "target_kind": "machine",
            "action": "logon",
            "logon_type": None,
            "auth_package": "password",
            "outcome": "failure",
            "user_id": "0",
            "reporter": "slave22",
            "witness": None,
            "code": "ssh_login",
            "event_id": "x1",
            "note": None,
        },
    ),
    (SSH | {"source": {"ip": "127.0.0.1"}}, {"source": "slave22", "source_ip": None}),
    (
        SSH | {"source": {"domain": "ws7.corp", "ip": "10.0.0.7"}},
        {"source": "ws7.corp", "source_ip": "10.0.0.7"},
    ),
    (SSH | {"destination": {"ip": "10.0.0.22"}}, {"target": "slave22", "target_ip": "10.0.0.22"}),
    (SSH | {"destination": {"ip": "10.0.0.99"}}, {"target": "10.0.0.99", "target_ip": "10.0.0.99"}),
    (SSH | {"@timestamp": 1709280902000}, {"time": AT, "note": None}),
    (SSH | {"@timestamp": "2024-03-01 08:15:02"}, {"time": AT, "note": ecs.NO_ZONE}),
    (SSH | {"user": {"email": "al@corp.example"}}, {"user": "al@corp.example"}),
    (  # auditd's record of a logon from outside
        SSH | {"user": {"effective": {"name": "root", "id": "0"}, "selinux": {"user": "=unconfined"}}},
        {"user": "root", "user_id": "0", "actor": None, "action": "logon"},
    ),
    (with_event(SSH, outcome="unknown"), {"outcome": "unknown"}),
    (with_event(SSH, code=4242), {"code": "4242"}),
    (
        SUDO,
        {
            "user": "root",
            "user_id": "0",
            "actor": "tsg",
            "source": "slave22",
            "target": "slave22",
            "action": "explicit_credential",
        },
    ),
    (
        {key: value for key, value in SSH.items() if key != "host"} | {"service": {"name": "Payroll"}},
        {"target": "Payroll", "target_kind": "resource", "action": "sso"},
    ),
    (
        {key: value for key, value in SSH.items() if key != "host"} | {"observer": {"hostname": "vpn-1"}},
        {"target": "vpn-1", "target_kind": "machine", "action": "logon", "reporter": "vpn-1"},
    ),
    (
        KERBEROS,
        {
            "time": AT.replace(microsecond=590_000),
            "user": "CONTOSO.LOCAL\\RonHD",
            "source": "192.168.10.31",
            "target": "admin-pc",
            "target_kind": "machine",
            "action": "service_ticket",
            "auth_package": "Kerberos",
            "witness": "controller",
            "reporter": "sensor-1",
            "event_id": None,
        },
    ),
    (
        KERBEROS | {"zeek": {"kerberos": {"service": "svc-sql"}}},
        {"target": "svc-sql", "target_kind": "resource"},
    ),
    (
        KERBEROS | {"zeek": {"kerberos": {"service": "krbtgt/CONTOSO"}}},
        {"target": "192.168.10.10", "target_ip": "192.168.10.10"},
    ),
    (with_event(KERBEROS, action="AS"), {"action": "ticket", "target": "192.168.10.10"}),
    (
        OKTA,
        {
            "user": "al@corp.example",
            "user_id": "00u1",
            "source": "108.255.197.247",
            "target": 'Pay "roll"',
            "target_kind": "resource",
            "action": "sso",
            "event_id": "3aeede38",
        },
    ),
    (
        OKTA | {"okta": {"target": [{"type": "AppInstance", "id": "1", "display_name": "Wiki"}]}},
        {"target": "Wiki", "user": "Al"},
    ),
    (
        OKTA | {"okta": {"actor": {"alternate_id": "al@corp.example"}}},
        {"target": "Okta", "target_kind": "resource", "action": "logon"},
    ),
    (
        ENTRA,
        {
            "user": "elastic.co\\test",
            "user_id": "8a4de8b5",
            "target": "Office 365",
            "action": "sso",
            "outcome": "failure",
            "outcome_reason": "Invalid username or password",
            "reporter": "t-1",
        },
    ),
    (
        ENTRA | {"azure": {"signinlogs": {"result_type": "50140"}}},
        {"outcome": "unknown", "target": "Microsoft Entra ID"},
    ),
    (
        AWS,
        {
            "user": "alice@1111",
            "target": "AWS console 1111",
            "target_kind": "resource",
            "action": "logon",
            "reporter": "1111",
        },
    ),
    (
        with_event(AWS | ROLE, action="AssumeRole", provider="sts.amazonaws.com"),
        {"user": "alice@1111", "target": "arn:aws:iam::1111:role/R", "action": "assume_role"},
    ),
    (
        {"_index": "logs-1", "_id": "abc", "fields": FIELDS},
        {
            "user": "CORP\\alice",
            "source": "10.0.0.1",
            "target": "srv2",
            "target_ip": "10.0.0.2",
            "outcome": "success",
            "event_id": "abc",
            "time": AT,
        },
    ),
    (
        {"_index": "logs-1", "_id": "abd", "_source": SSH},
        {"user": "root", "target": "slave22", "event_id": "x1"},
    ),
    ({"_index": "logs-1", "_id": "abe", "_source": KERBEROS}, {"target": "admin-pc", "event_id": "abe"}),
    (FIELDS, {"user": "CORP\\alice", "target": "srv2", "event_id": None}),
    ({key: value[0] for key, value in FIELDS.items()}, {"user": "CORP\\alice", "target": "srv2"}),
]
DROPPED: list[tuple[Any, str]] = [
    ("{", "not JSON"),
    ("", "empty line"),
    ({"a": 1}, "not an ECS record"),
    ([SSH], "not an ECS record"),
    ({"_index": "x", "_id": "1"}, "not an ECS record"),
    ({"_index": "x", "_source": [1]}, "not an ECS record"),
    (WINLOGBEAT, "not an ECS record but one of Winlogbeat: use windows"),
    (with_event(SSH, category=["network"]), "not a logon: another category"),
    (with_event(SSH, category="authentication_of_sorts"), "not a logon: another category"),
    (with_event(SSH, category=None), "no event.category: its shipper did not parse it"),
    (with_event(SSH, kind="signal"), "not a logon: an alert or a state"),
    (with_event(SSH, type=["end"]), "not a logon: logoff"),
    (with_event(SSH, action="Logged-Out"), "not a logon: logoff"),
    (with_event(SSH, type=["user", "change"]), "not a logon: a change of an account"),
    (SSH | {"@timestamp": "1601-01-01T00:00:00Z"}, "time before 1970"),
    (SSH | {"@timestamp": "soon"}, "time not understood"),
    (SSH | {"@timestamp": "2099-01-01T00:00:00Z"}, "time in the future"),
    (SSH | {"user": None}, "no user"),
    (SSH | {"host": 7}, "no target"),
]


def read(folder: Path, *records: Any) -> list[dict[str, Any]]:
    path = folder / "log.jsonl"
    path.write_text(
        "\n".join(record if isinstance(record, str) else json.dumps(record) for record in records) + "\n"
    )
    return events_of(path, "ecs").to_pylist()


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Events of all records that are read, and of those that are dropped."""
    return read(tmp_path_factory.mktemp("made"), *(record for record, _ in (*READ, *DROPPED)))


@pytest.mark.parametrize("number", range(len(READ)))
def test_what_is_read(rows, number):
    event, (record, expected) = rows[number], READ[number]
    assert event["dropped"] is None and json.loads(event["text"]) == record
    assert {name: event[name] for name in expected} == expected


@pytest.mark.parametrize("number", range(len(DROPPED)))
def test_what_is_dropped(rows, number):
    assert rows[len(READ) + number]["dropped"] == DROPPED[number][1]


def test_a_search_response_is_its_hits(tmp_path):
    path = tmp_path / "response.json"
    hits = [{"_index": "logs", "_id": str(number), "_score": 1.0, "_source": KERBEROS} for number in range(3)]
    path.write_text(json.dumps({"took": 5, "hits": {"total": {"value": 3}, "hits": hits}}, indent=2))
    assert [event["event_id"] for event in events_of(path, "ecs").to_pylist() if not event["dropped"]] == [
        "0",
        "1",
        "2",
    ]


def test_recognises_its_own_only():
    own_records = [SSH, FIELDS, {"@timestamp": 1, "event": {"outcome": "success"}}]
    hits = [{"_index": "a", "_source": SSH}, {"_index": "a", "fields": FIELDS}]
    others: list[Any] = [
        WINLOGBEAT,
        {"_source": WINLOGBEAT},
        FIELDS | {"winlog.event_id": ["4624"]},
        {"@timestamp": "2024-03-01T08:15:02Z", "message": "sshd: Accepted"},
        {"class_uid": 3002, "time": 1, "metadata": {}},
        {"eventVersion": "1.08", "eventTime": "2024-03-01T08:15:02Z", "userIdentity": {}},
        {"published": "2024-03-01T08:15:02Z", "eventType": "user.session.start", "event": [1]},
        {"_source": 5},
        {"@timestamp": 1, "event": "authentication", "ecs": None, "event.x": 1} | {"ecs": 1, "winlog": None},
    ]
    lines = (*map(json.dumps, others), "0,U1@D,U1@D,C1,C2,Kerberos,Network,LogOn,Success", "{")
    assert ecs.recognises(Sample("log", (*map(json.dumps, own_records), *lines), AT)) == len(own_records)
    assert ecs.recognises(Sample("log", lines, AT)) == 0
    for records in (own_records, hits, hits[:1], hits[1:], [*own_records, *hits]):
        assert detected([json.dumps(record) for record in records]) == "ecs"


RECORDS = [
    SSH,
    SUDO,
    KERBEROS,
    OKTA,
    ENTRA,
    AWS,
    FIELDS,
    {"_index": "a", "_id": "b", "_source": SSH},
    {"_index": "a", "fields": FIELDS},
]
