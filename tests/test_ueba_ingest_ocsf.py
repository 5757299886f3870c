"""OCSF records -> events, worked out by hand; what the simulation writes is read back; a mutilated record is
counted."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from ingest_world import detected

from ueba.ingest import events_of
from ueba.ingest.sources import Sample, ocsf
from ueba.simulate import Organisation, formats, simulate

AT = dt.datetime(2024, 3, 1, 8, 15, 2)
BASE = {
    "time": 1709280902000,
    "activity_id": 1,
    "status_id": 1,
    "metadata": {"version": "1.3.0", "uid": "e1"},
}
LOGON: dict[str, Any] = BASE | {
    "class_uid": 3002,
    "user": {"name": "alice", "domain": "CORP", "uid": "S-1-5-21-1"},
    "src_endpoint": {"hostname": "WS7", "ip": "::ffff:10.0.0.7"},
    "dst_endpoint": {"hostname": "SRV1.corp.example", "ip": "10.0.0.1"},
    "logon_type_id": 3,
    "auth_protocol_id": 2,
}
ACCESS: dict[str, Any] = BASE | {
    "actor": {"user": {"name": "bob", "domain": "CORP", "uid": "u-2"}},
    "src_endpoint": {"ip": "10.0.0.8"},
}
AWS: dict[str, Any] = {
    "time": 1709280902000,
    "time_dt": "2024-03-01T08:15:02+00:00",
    "metadata": {"uid": "aws-1", "event_code": "AwsApiCall", "product": {"name": "CloudTrail"}},
    "cloud": {"provider": "AWS", "account": {"uid": "1111"}},
    "src_endpoint": {"ip": "205.8.181.128"},
    "status": "Success",
}


def read(folder: Path, *records: Any) -> list[dict[str, Any]]:
    path = folder / "log.jsonl"
    path.write_text(
        "\n".join(record if isinstance(record, str) else json.dumps(record) for record in records) + "\n"
    )
    return events_of(path, "ocsf").to_pylist()


def one(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """What is told of one record."""
    (event,) = read(folder, record)
    return {
        name: value for name, value in event.items() if value is not None and name not in ("line", "text")
    }


def test_a_logon_by_hand(tmp_path):
    assert one(tmp_path, LOGON) == {
        "time": AT,
        "user": "CORP\\alice",
        "source": "WS7",
        "target": "SRV1.corp.example",
        "target_kind": "machine",
        "action": "logon",
        "logon_type": "Network",
        "auth_package": "Kerberos",
        "outcome": "success",
        "user_id": "S-1-5-21-1",
        "source_ip": "10.0.0.7",
        "target_ip": "10.0.0.1",
        "witness": "host",
        "event_id": "e1",
    }


WINDOWS = BASE | {
    # an interactive logon of release 0.31: the actor is the machine, addresses are blank, the package is not
    # in the table
    "class_uid": 3002,
    "actor": {
        "user": {"domain": "ATTACKRANGE", "name": "WIN-DC$", "session_uid": "0x3E7", "uid": "S-1-5-18"}
    },
    "auth_protocol": "Negotiate",
    "auth_protocol_id": -1,
    "device": {"hostname": "win-dc.attackrange.local"},
    "dst_endpoint": {"hostname": "win-dc.attackrange.local"},
    "logon_type_id": 2,
    "metadata": {"event_code": "4624", "profiles": ["host"], "uid": "53397835"},
    "src_endpoint": {"ip": "127.0.0.1", "name": "-", "port": 0},
    "user": {"domain": "ATTACKRANGE", "name": "bob", "session_uid": "0x5A1", "uid": "S-1-5-21-9"},
}


def test_a_local_windows_logon(tmp_path):
    event = one(tmp_path, WINDOWS)
    assert (event["source"], event["target"], event["reporter"]) == ("win-dc.attackrange.local",) * 3
    assert "source_ip" not in event and "actor" not in event
    assert (
        event["user"],
        event["user_id"],
        event["logon_type"],
        event["auth_package"],
        event["code"],
        event["session"],
    ) == (
        "ATTACKRANGE\\bob",
        "S-1-5-21-9",
        "Interactive",
        "Negotiate",
        "4624",
        "win-dc.attackrange.local:0x5a1",
    )


HOSTED = {"metadata": {"profiles": ["cloud", "host"]}, "device": {"hostname": "web1"}}


DROPPED: list[tuple[Any, str]] = [
    ("{", "not JSON"),
    ("", "empty line"),
    ({"time": 1}, "not an OCSF record"),
    ([LOGON], "not an OCSF record"),
    (LOGON | {"class_uid": "many"}, "not an OCSF record"),
    (LOGON | {"class_uid": 4001}, "not a logon: another class"),
    (LOGON | {"activity_id": 2}, "not a logon: Logoff"),
    (
        AWS | {"class_uid": 3002, "api": {"operation": "CredentialChallenge"}},
        "not a logon: step of a sign-in",
    ),
    (LOGON | {"class_uid": 3003, "activity_id": 2}, "not a logon: no privileges"),
    (ACCESS | {"class_uid": 4007, "activity_id": 6}, "not a logon: a connection continues or ends"),
    (LOGON | {"time": -11644473600000}, "time not understood"),
    (LOGON | {"time": "1601-01-01T00:00:00Z"}, "time before 1970"),
    (LOGON | {"time": 4102444800000}, "time in the future"),
    (LOGON | {"user": [1]}, "no user"),
    (LOGON | {"dst_endpoint": "?"}, "no target"),
]
READ: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # who and where to
    (
        LOGON | {"actor": {"user": {"name": "eve", "domain": "CORP"}}},
        {"user": "CORP\\alice", "actor": "CORP\\eve"},
    ),
    (LOGON | {"user": {"email_addr": "al@corp.example"}}, {"user": "al@corp.example", "user_id": None}),
    (LOGON | {"user": {"uid": "0042"}}, {"user": "0042", "user_id": "0042"}),
    (LOGON | {"user": {}, "actor": {"user": {"name": "carol"}}}, {"user": "carol", "actor": None}),
    (
        LOGON | {"src_endpoint": {"ip": "[2001:db8::1]:443"}},
        {"source": "2001:db8::1", "source_ip": "2001:db8::1"},
    ),
    (LOGON | {"src_endpoint": {"ip": "10.0.0.9:5121"}}, {"source": "10.0.0.9", "source_ip": "10.0.0.9"}),
    (LOGON | {"src_endpoint": {"name": "LOCAL"}}, {"source": "SRV1.corp.example", "source_ip": None}),
    (LOGON | {"src_endpoint": None, "is_remote": False}, {"source": "SRV1.corp.example"}),
    (LOGON | {"src_endpoint": {"ip": "-"}}, {"source": None, "source_ip": None}),
    (
        LOGON | {"dst_endpoint": {"ip": "10.0.0.3"}},
        {"target": "10.0.0.3", "target_ip": "10.0.0.3", "target_kind": "machine"},
    ),
    (
        LOGON | {"dst_endpoint": None, "service": {"name": "Payroll"}, "auth_protocol_id": 5},
        {
            "target": "Payroll",
            "target_kind": "resource",
            "action": "sso",
            "auth_package": "SAML",
            "witness": None,
        },
    ),
    (
        LOGON
        | {"dst_endpoint": None, "service": {"name": "sshd"}, "auth_protocol_id": 99, "auth_protocol": "pam"}
        | HOSTED,
        {
            "target": "web1",
            "target_kind": "machine",
            "action": "logon",
            "auth_package": "pam",
            "reporter": "web1",
        },
    ),
    # tickets: the controller's view
    (
        LOGON | {"activity_id": 3, "service": {"name": "krbtgt"}},
        {
            "action": "ticket",
            "target": "SRV1.corp.example",
            "target_kind": "machine",
            "witness": "controller",
        },
    ),
    (
        LOGON | {"activity_id": 6, "status_id": 2, "status_detail": "0x18"},
        {"action": "ticket", "outcome": "failure", "outcome_reason": "0x18"},
    ),
    (
        LOGON | {"activity_id": 4, "service": {"name": "FS1$"}},
        {"action": "service_ticket", "target": "FS1", "target_kind": "machine", "witness": "controller"},
    ),
    (LOGON | {"activity_id": 4, "service": {"name": "FS1$@CORP.EXAMPLE"}}, {"target": "FS1"}),
    (
        LOGON | {"activity_id": 5, "service": {"name": "cifs/fs1.corp.example:445@CORP"}},
        {"target": "fs1.corp.example"},
    ),
    (
        LOGON | {"activity_id": 4, "service": {"name": "svc-sql"}},
        {"target": "svc-sql", "target_kind": "resource"},
    ),
    (LOGON | {"activity_id": 4, "service": {"name": "krbtgt/CORP"}}, {"target": "SRV1.corp.example"}),
    (LOGON | {"activity_id": 4}, {"target": "SRV1.corp.example", "action": "service_ticket"}),
    # outcomes, with and without numbers
    (
        LOGON | {"status_id": 2, "status_detail": "bad password"},
        {"outcome": "failure", "outcome_reason": "bad password"},
    ),
    (LOGON | {"status_id": None, "status": "Failure"}, {"outcome": "failure"}),
    (LOGON | {"status_id": 0, "status": "Success"}, {"outcome": "success"}),
    (LOGON | {"status_id": None}, {"outcome": "unknown"}),
    # times
    (LOGON | {"time": 1709280902}, {"time": AT, "note": None}),
    (LOGON | {"time": 1709280902123456}, {"time": AT.replace(microsecond=123456)}),
    (LOGON | {"time": "2024-03-01T10:15:02+02:00"}, {"time": AT, "note": None}),
    (LOGON | {"time": "2024-03-01 08:15:02"}, {"time": AT, "note": ocsf.NO_ZONE}),
    (LOGON | {"time": None, "time_dt": "2024-03-01T08:15:02.5Z"}, {"time": AT.replace(microsecond=500_000)}),
    # privileges, and ways into machines
    (
        LOGON | {"class_uid": 3003},
        {"action": "privilege", "target": "SRV1.corp.example", "user": "CORP\\alice"},
    ),
    (
        ACCESS | {"class_uid": 4007, "auth_type_id": 6, "dst_endpoint": {"ip": "10.0.0.3"}},
        {
            "action": "logon",
            "user": "CORP\\bob",
            "target": "10.0.0.3",
            "auth_package": "publickey",
            "outcome": "success",
        },
    ),
    (
        ACCESS | {"class_uid": 4007, "activity_id": 4, "status_id": None, "dst_endpoint": {"ip": "10.0.0.3"}},
        {"action": "logon", "outcome": "failure"},
    ),
    (
        ACCESS
        | {
            "class_uid": 4006,
            "share": "\\\\*\\Data$",
            "file": {"path": "a\\b.txt"},
            "dst_endpoint": {"hostname": "FS1.corp"},
        },
        {
            "action": "share_access",
            "target": "\\\\fs1\\data$",
            "target_kind": "resource",
            "detail": "a\\b.txt",
        },
    ),
    # files
    (
        ACCESS
        | {
            "class_uid": 6006,
            "file": {"name": "x.docx", "path": "https://c.sharepoint.com/sites/HR/Docs/x.docx"},
        },
        {
            "action": "object_access",
            "target": "https://c.sharepoint.com/sites/HR",
            "detail": "https://c.sharepoint.com/sites/HR/Docs/x.docx",
            "user": "CORP\\bob",
            "user_id": "u-2",
            "source": "10.0.0.8",
        },
    ),
    (
        ACCESS | {"class_uid": 6006, "file": {"path": "\\\\FS1\\HR\\pay.xlsx", "type_id": 1}},
        {"action": "object_access", "target": "\\\\fs1\\hr", "detail": "\\\\FS1\\HR\\pay.xlsx"},
    ),
    (
        ACCESS | {"class_uid": 6006, "file": {"name": "pay.xlsx", "parent_folder": "/HR"}},
        {"target": "/HR", "detail": "pay.xlsx", "target_kind": "resource"},
    ),
    (
        ACCESS | {"class_uid": 6006, "file": {"name": "share/x", "type_id": 2}},
        {"action": "share_access", "target": "share/x"},
    ),
    # applications
    (
        ACCESS
        | {"class_uid": 6001, "web_resources": [{"url_string": "https://wiki.corp.example:8443/page?id=7"}]},
        {
            "target": "wiki.corp.example",
            "detail": "https://wiki.corp.example:8443/page?id=7",
            "action": "object_access",
        },
    ),
    (
        ACCESS | {"class_uid": 6004, "status_id": 2, "http_request": {"url": {"hostname": "intra"}}},
        {"target": "intra", "outcome": "failure"},
    ),
    (
        ACCESS
        | {
            "class_uid": 6005,
            "dst_endpoint": {"hostname": "db1"},
            "database": {"name": "hr"},
            "table": {"name": "pay"},
        },
        {"target": "db1/hr", "detail": "pay", "target_kind": "resource"},
    ),
    (
        ACCESS | {"class_uid": 6005, "databucket": {"name": "b"}, "cloud": {"provider": "AWS"}},
        {"target": "s3://b"},
    ),
    # Amazon
    (
        AWS
        | {
            "class_uid": 6003,
            "activity_id": 2,
            "api": {"operation": "ListUsers", "service": {"name": "iam.amazonaws.com"}},
        }
        | {"actor": {"user": {"name": "Level6", "uid": "arn:aws:iam::1111:user/Level6", "uid_alt": "AIDA"}}},
        {
            "user": "Level6@1111",
            "user_id": "AIDA",
            "target": "iam.amazonaws.com",
            "detail": "ListUsers",
            "code": "ListUsers",
            "reporter": "1111",
            "source": "205.8.181.128",
            "outcome": "success",
            "event_id": "aws-1",
        },
    ),
    (
        AWS
        | {"class_uid": 6003, "api": {"operation": "GetObject", "service": {"name": "s3.amazonaws.com"}}}
        | {"actor": {"user": {"uid": "arn:aws:sts::1111:assumed-role/Admin/x"}}, "status": None}
        | {"resources": [{"uid": "arn:aws:s3:::pay-bucket/2024/a.csv"}]},
        {"target": "s3://pay-bucket", "detail": "GetObject", "user": "role/Admin@1111", "actor": "x"},
    ),
    (
        AWS
        | {"class_uid": 3002, "activity_id": 1, "api": {"operation": "AssumeRole"}}
        | {"actor": {"user": {"name": "dev", "uid": "arn:aws:iam::1111:user/dev"}}}
        | {"user": {"name": "session-1", "uid": "arn:aws:iam::1111:role/Admin"}},
        {
            "action": "assume_role",
            "user": "dev@1111",
            "target": "arn:aws:iam::1111:role/Admin",
            "target_kind": "resource",
        },
    ),
    (
        AWS
        | {
            "class_uid": 6003,
            "api": {"operation": "AssumeRole", "request": {"data": '{"roleArn":"arn:aws:iam::1:role/R"}'}},
        }
        | {"actor": {"user": {"name": "dev"}}, "status": None},
        {"action": "assume_role", "target": "arn:aws:iam::1:role/R", "outcome": "unknown"},
    ),
    (
        AWS
        | {
            "class_uid": 6003,
            "api": {"operation": "PutUser", "response": {"error": "AccessDenied"}},
            "status": None,
        }
        | {"actor": {"user": {"name": "dev"}}},
        {"outcome": "failure", "outcome_reason": "AccessDenied", "target": "CloudTrail"},
    ),
    (
        AWS
        | {
            "class_uid": 3002,
            "activity_id": 1,
            "api": {"operation": "ConsoleLogin"},
            "is_mfa": False,
            "status": "Failure",
        }
        | {
            "actor": {
                "user": {
                    "uid": "AROA:a@corp.example",
                    "uuid": "arn:aws:sts::1111:assumed-role/Admin/a@corp.example",
                }
            }
        },
        {
            "action": "logon",
            "target": "AWS console 1111",
            "user": "a@corp.example",
            "user_id": None,
            "auth_package": "no MFA",
        }
        | {"outcome": "failure", "target_kind": "resource", "actor": None},
    ),
    (
        AWS
        | {
            "class_uid": 6003,
            "api": {"operation": "Decrypt"},
            "resources": [{"uid": "arn:aws:kms:eu-1:1111:key/k"}],
        }
        | {"actor": {"user": {"uid": "arn:aws:iam::1111:root", "uid_alt": "1111"}}},
        {"user": "root@1111", "target": "arn:aws:kms:eu-1:1111:key/k"},
    ),
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Events of all records that are read, and of those that are dropped."""
    return read(tmp_path_factory.mktemp("made"), *(record for record, _ in (*READ, *DROPPED)))


@pytest.mark.parametrize("number", range(len(READ)))
def test_what_is_read(rows, number):
    event, expected = rows[number], READ[number][1]
    assert event["dropped"] is None
    assert {name: event[name] for name in expected} == expected


@pytest.mark.parametrize("number", range(len(DROPPED)))
def test_what_is_dropped(rows, number):
    assert rows[len(READ) + number]["dropped"] == DROPPED[number][1]


@pytest.mark.parametrize("wrap", ["array", "parquet"])
def test_documents_and_parquet(tmp_path, wrap):
    path = tmp_path / "log"
    if wrap == "array":
        path.write_text(json.dumps({"Records": [LOGON, LOGON]}, indent=1))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        times = pa.array([AT, AT], pa.timestamp("us"))
        pq.write_table(pa.Table.from_pylist([LOGON, LOGON]).append_column("time_dt", times), path)
    rows = events_of(path).to_pylist()
    assert [(event["user"], event["time"], event["dropped"]) for event in rows] == [
        ("CORP\\alice", AT, None)
    ] * 2


def test_recognises_its_own_only():
    windows = {"@timestamp": "2024-03-01T08:15:02Z", "winlog": {"event_id": 4624}, "event": {"code": "4624"}}
    others = [
        "U1@D,U1@D,C1,C2",
        "{",
        "[1]",
        '{"class_uid": 3002}',
        json.dumps(windows),
        '{"eventVersion": "1.08"}',
    ]
    sample = Sample("log", tuple(map(json.dumps, (LOGON, AWS | {"class_uid": 6003}))) + tuple(others), AT)
    assert ocsf.recognises(sample) == 2
    assert ocsf.recognises(Sample("log", tuple(others), AT)) == 0
    assert detected(sample.records) == "ocsf"


def test_what_the_simulation_writes_is_read_back(tmp_path):
    """Every event, by all columns that both have."""
    world = simulate(Organisation(users=60, days=8, attack_days=4, campaigns=1))
    formats.write(world.events, "ocsf", tmp_path)
    rows = events_of(tmp_path / formats.FILES["ocsf"])
    assert rows["dropped"].null_count == len(rows) == len(world.events)
    names = ["source", "target", "target_kind", "action", "outcome", "logon_type", "auth_package"]
    for event, wrote in zip(rows.to_pylist(), world.events.to_pylist(), strict=True):
        name, domain = wrote["user"].split("@")
        at = wrote["time"].replace(tzinfo=None, microsecond=wrote["time"].microsecond // 1000 * 1000)
        assert (event["time"], event["user"]) == (at, f"{domain}\\{name}")
        # how a share was logged on to, an OCSF file activity does not tell
        both = names if wrote["action"] in ("logon", "ticket", "service_ticket", "sso") else names[:5]
        assert [event[column] for column in both] == [wrote[column] for column in both]


RECORDS = [
    LOGON,
    WINDOWS,
    ACCESS | {"class_uid": 4006, "share": "\\\\*\\x"},
    AWS | {"class_uid": 6003, "api": {"operation": "AssumeRole"}},
]


# --- who and what of services in the cloud ------------------------------------------------------------------

OKTA = {"product": {"name": "Okta System Log", "vendor_name": "Okta"}, "event_code": "user.session.start"}
ACME = {"product": {"name": "Acme SSO", "vendor_name": "Acme"}}
TRAIL = {"product": {"name": "CloudTrail", "vendor_name": "AWS"}}
EVA = {"name": "Eva Lind", "email_addr": "e.lind@werk.example", "uid": "00u9"}
PHONE = {"name": "iPhone12,1", "hostname": "evas-phone"}
PAGE = {"svc_name": "/idp/idx/authenticators/poll"}
USER = "arn:aws:iam::111122223333:user/eva"
CLOUD_RECORDS: list[tuple[dict[str, Any], tuple[str, str, str]]] = [  # record -> user, target, action
    (
        {"user": EVA, "metadata": OKTA, "dst_endpoint": PAGE, "device": PHONE},
        ("e.lind@werk.example", "Okta", "logon"),
    ),
    (
        {"user": EVA, "metadata": OKTA | {"profiles": ["host"]}, "dst_endpoint": PAGE, "device": PHONE},
        ("e.lind@werk.example", "Okta", "logon"),
    ),
    (
        {"user": EVA, "metadata": OKTA, "dst_endpoint": PAGE | {"hostname": "werk.okta.com"}},
        ("e.lind@werk.example", "Okta", "logon"),
    ),
    (
        {"user": EVA, "metadata": OKTA, "service": {"name": "Pay roll"}, "device": PHONE},
        ("e.lind@werk.example", "Pay roll", "sso"),
    ),
    # another person of that name
    (
        {"user": EVA | {"email_addr": "e.lind2@werk.example"}, "metadata": OKTA},
        ("e.lind2@werk.example", "Okta", "logon"),
    ),
    ({"user": {"name": "Eva Lind", "uid": "00u9"}, "metadata": OKTA}, ("00u9", "Okta", "logon")),
    (
        {"user": {"full_name": "Eva", "uid": "e.lind@werk.example"}, "metadata": OKTA},
        ("e.lind@werk.example", "Okta", "logon"),
    ),
    # a service that nobody has heard of
    (
        {"user": EVA, "metadata": ACME, "dst_endpoint": {"svc_name": "/login"}, "device": PHONE},
        ("e.lind@werk.example", "Acme", "logon"),
    ),
    (
        {
            "user": EVA,
            "metadata": ACME,
            "dst_endpoint": {"svc_name": "https://pay.werk.example/a"},
            "device": PHONE,
        },
        ("e.lind@werk.example", "pay.werk.example", "sso"),
    ),
    # the console of AWS
    (
        {
            "user": {"name": "eva", "uid": USER},
            "metadata": TRAIL,
            "cloud": {"provider": "AWS"},
            "api": {"operation": "ConsoleLogin"},
            "dst_endpoint": {"svc_name": "https://console.aws.amazon.com/console/home"},
        },
        ("eva@111122223333", "AWS console 111122223333", "logon"),
    ),
    (
        {
            "user": {"name": "eva", "account": {"uid": "111122223333"}},
            "metadata": TRAIL,
            "api": {"operation": "ConsoleLogin"},
        },
        ("eva@111122223333", "AWS console 111122223333", "logon"),
    ),
    (
        {
            "actor": {"user": {"name": "root", "uid": "arn:aws:iam::111122223333:root"}},
            "metadata": TRAIL,
            "cloud": {"provider": "AWS"},
            "api": {"operation": "ConsoleLogin"},
        },
        ("root@111122223333", "AWS console 111122223333", "logon"),
    ),
    # no cloud: a name with a domain, and a machine
    (
        {
            "user": EVA | {"name": "eva", "domain": "WERK"},
            "dst_endpoint": {"hostname": "srv1"},
            "device": PHONE,
        },
        ("WERK\\eva", "srv1", "logon"),
    ),
]


def test_who_and_what_of_services_in_the_cloud(tmp_path):
    """The source is the address, and never what an endpoint's network is called."""
    place = {"src_endpoint": {"ip": "203.0.113.9", "domain": "isp.example"}}
    rows = read(tmp_path, *(BASE | {"class_uid": 3002} | place | record for record, _ in CLOUD_RECORDS))
    assert [(row["user"], row["target"], row["action"]) for row in rows] == [
        found for _, found in CLOUD_RECORDS
    ]
    assert {(row["source"], row["dropped"]) for row in rows} == {("203.0.113.9", None)}
