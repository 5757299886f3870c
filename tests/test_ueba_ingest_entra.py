"""Entra ID sign-ins in their shapes -> events; expected events are worked out by hand."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_world import table_of

from ueba.ingest import events_of, ingest, sources
from ueba.ingest.fields import csv_fields
from ueba.ingest.sources import Sample, ecs, entra, m365

SIGN_INS = Path(__file__).parents[2] / "shared/data/entra/signin_logs.csv"
SHOWN = ("user", "source", "target", "detail", "logon_type", "auth_package", "outcome", "outcome_reason")
ALICE_ID, PORTAL_ID, TENANT = (
    "bdb72692-2275-412b-8af0-ea21c2ebd174",
    "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
    "4b2462a4-bbee",
)


def sign_in(**more: Any) -> dict[str, Any]:
    """As the Graph API has it."""
    return {
        "id": "f05079ed-f820-4531-ab26-498b53af3800",
        "createdDateTime": "2024-05-20T18:19:04Z",
        "userDisplayName": "Alice",
        "userPrincipalName": "Alice@corp.example",
        "userId": ALICE_ID,
        "appId": PORTAL_ID,
        "appDisplayName": "Azure Portal",
        "ipAddress": "203.0.113.7",
        "clientAppUsed": "Browser",
        "isInteractive": True,
        "resourceDisplayName": "Windows Azure Service Management API",
        "status": {"errorCode": 0, "failureReason": "Other.", "additionalDetails": None},
        "deviceDetail": {"deviceId": "", "displayName": "", "operatingSystem": "Windows 10"},
    } | more


def failed(code: int, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return sign_in(status={"errorCode": code, "failureReason": reason}, **more)


def monitored(category: str = "SignInLogs", **more: Any) -> dict[str, Any]:
    """As Azure Monitor has it."""
    return {
        "time": "2024-05-20T18:21:30.1234567Z",
        "resourceId": f"/tenants/{TENANT}/providers/Microsoft.aadiam",
        "operationName": "Sign-in activity",
        "category": category,
        "tenantId": TENANT,
        "resultType": str(more.get("status", {}).get("errorCode", 0)),
        "callerIpAddress": "203.0.113.7",
        "properties": sign_in(createdDateTime="2024-05-20T18:19:04.6955459+00:00") | more,
    }


def row(**more: Any) -> dict[str, Any]:
    """As a table of Log Analytics has it."""
    return {
        "TenantId": "workspace",
        "TimeGenerated": "2024-05-20T18:19:04.4230000Z",
        "Category": "SignInLogs",
        "ResultType": "0",
        "ResultDescription": "",
        "AADTenantId": TENANT,
        "Id": "f05079ed-f820-4531-ab26-498b53af3800",
        "AppDisplayName": "Azure Portal",
        "AppId": PORTAL_ID,
        "ResourceDisplayName": "Windows Azure Service Management API",
        "IPAddress": "203.0.113.7",
        "UserPrincipalName": "alice@corp.example",
        "UserId": ALICE_ID,
        "IsInteractive": "False",
        "Status": '{"errorCode":0}',
        "DeviceDetail": '{"deviceId":"x","displayName":"WS7","operatingSystem":"Windows 10"}',
        "AuthenticationDetails": '[{"authenticationMethod":"Password","succeeded":true}]',
        "ClientAppUsed": "Browser",
    } | more


API = "Windows Azure Service Management API"
MACHINE = {
    "userPrincipalName": "",
    "userId": "",
    "servicePrincipalName": "backup-job",
    "servicePrincipalId": "5d1f",
}
CASES = {
    "sign-in": (
        sign_in(),
        ("Alice@corp.example", "203.0.113.7", "Azure Portal", API, "Interactive", "Browser", "success", None),
    ),
    "wrong password": (
        failed(50126, "Invalid username or password."),
        *[("Alice@corp.example", "203.0.113.7", "Azure Portal", API)],
        *[("Interactive", "Browser", "failure", "50126: Invalid username or password.")],
    ),
    "interrupt": (
        failed(50140, "Other."),
        (
            "Alice@corp.example",
            "203.0.113.7",
            "Azure Portal",
            API,
            "Interactive",
            "Browser",
            "unknown",
            "50140",
        ),
    ),
    "device, protocol, no resource": (
        sign_in(
            deviceDetail={"displayName": "WS7"},
            ipAddress="[2001:db8::7]:443",
            authenticationProtocol="deviceCode",
            resourceDisplayName=None,
            isInteractive=False,
        ),
        ("Alice@corp.example", "WS7", "Azure Portal", None, "NonInteractive", "deviceCode", "success", None),
    ),
    "method": (
        sign_in(
            authenticationProtocol="none",
            authenticationDetails=[{"authenticationMethod": "FIDO2 security key"}],
        ),
        (
            "Alice@corp.example",
            "203.0.113.7",
            "Azure Portal",
            API,
            "Interactive",
            "FIDO2 security key",
            "success",
            None,
        ),
    ),
    "no application": (
        sign_in(appDisplayName="", ipAddress="", isInteractive=None, signInEventTypes=["nonInteractiveUser"]),
        ("Alice@corp.example", None, API, None, "NonInteractive", "Browser", "success", None),
    ),
    "nothing but the application's id": (
        sign_in(appDisplayName=None, resourceDisplayName=None, userPrincipalName="{PII Removed}"),
        (ALICE_ID, "203.0.113.7", PORTAL_ID, None, "Interactive", "Browser", "success", None),
    ),
    "service principal": (
        sign_in(**MACHINE, isInteractive=None, appDisplayName="backup-job", clientAppUsed=None),
        ("backup-job", "203.0.113.7", API, None, "Service", None, "success", None),
    ),
    "Azure Monitor": (
        monitored("NonInteractiveUserSignInLogs", status={"errorCode": 50097}, isInteractive=None),
        (
            "Alice@corp.example",
            "203.0.113.7",
            "Azure Portal",
            API,
            "NonInteractive",
            "Browser",
            "unknown",
            "50097",
        ),
    ),
    "managed identity": (
        monitored("ManagedIdentitySignInLogs", **MACHINE, status={"errorCode": 0}, ipAddress=None),
        ("backup-job", "203.0.113.7", API, None, "Service", "Browser", "success", None),
    ),
    "Log Analytics": (
        row(),
        ("alice@corp.example", "WS7", "Azure Portal", API, "NonInteractive", "Password", "success", None),
    ),
    "Log Analytics, failed, text of Python": (
        row(
            ResultType="90072",
            ResultDescription="Other",
            Status="{'errorCode': 90072}",
            DeviceDetail="{'trustType': None, 'displayName': 'WS8'}",
        ),
        ("alice@corp.example", "WS8", "Azure Portal", API, "NonInteractive", "Password", "failure", "90072"),
    ),
    "Log Analytics, few columns, objects": (
        {
            "TimeGenerated": "2024-05-20 18:19:04.423",
            "Type": "AADNonInteractiveUserSignInLogs",
            "UserPrincipalName": "alice@corp.example",
            "AppDisplayName": "Azure Portal",
            "IPAddress": "203.0.113.7",
            "Status": {"errorCode": 50126, "failureReason": "Other."},
            "AuthenticationDetails": '[{"authenticationMethod":"Previously satisfied"}]',
        },
        (
            "alice@corp.example",
            "203.0.113.7",
            "Azure Portal",
            None,
            "NonInteractive",
            None,
            "failure",
            "50126",
        ),
    ),
    "PowerShell": (
        {
            "Id": "1",
            "CreatedDateTime": "/Date(1716229144423)/",
            "UserPrincipalName": "alice@corp.example",
            "AppDisplayName": "Azure Portal",
            "IpAddress": "203.0.113.7",
            "Status": {"ErrorCode": 50053, "FailureReason": "locked"},
            "DeviceDetail": {"DisplayName": "WS7"},
            "IsInteractive": True,
        },
        ("alice@corp.example", "WS7", "Azure Portal", None, "Interactive", None, "failure", "50053: locked"),
    ),
}
REAL = [case[0] for case in CASES.values()]
EXPECTED = [sum(case[1:], ()) for case in CASES.values()]
TIME = dt.datetime(2024, 5, 20, 18, 19, 4)
DROPPED = {
    "not a logon: other category": [monitored("AuditLogs"), monitored("RiskyUsers") | {"properties": {}}],
    "not an Entra record": [
        {},
        [],
        5,
        {"createdDateTime": "2024-05-20T18:19:04Z"},
        {"status": {"errorCode": 0}},
    ],
    "no user": [sign_in(userPrincipalName=None, userId="00000000-0000-0000-0000-000000000000")],
    "no target": [sign_in(appDisplayName=None, resourceDisplayName=None, appId=None)],
    "not JSON": ["{", json.dumps(sign_in())[:-9]],
    "empty line": [""],
    "time not understood": [sign_in(createdDateTime="2024-05-32T00:00:00Z"), sign_in(createdDateTime=5)],
    "time before 1970": [sign_in(createdDateTime="1601-01-01T00:00:00Z")],
}


def read(path: Path, *records: Any, format: str = "entra") -> list[dict[str, Any]]:
    path.write_text(
        "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)
    )
    return events_of(path, format).to_pylist()


def rows_of(header: list[str], *rows: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


def shown(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event[column] for column in SHOWN)


def test_events_by_hand(tmp_path):
    found = read(tmp_path / "log", *REAL)
    assert dict(zip(CASES, map(shown, found), strict=True)) == dict(zip(CASES, EXPECTED, strict=True))
    assert {event["time"] for event in found} == {TIME}
    assert {(event["action"], event["target_kind"], event["dropped"]) for event in found} == {
        ("sso", "resource", None)
    }


def test_who_where_and_what_it_is_called(tmp_path):
    found = read(tmp_path / "log", *REAL)
    graph, machine, monitor, table = found[0], found[7], found[8], found[10]
    assert [event["user_id"] for event in (graph, machine, table)] == [ALICE_ID, "5d1f", ALICE_ID]
    assert [event["reporter"] for event in (graph, monitor, table)] == ["Microsoft Entra ID", TENANT, TENANT]
    assert [event["code"] for event in (graph, found[5], monitor, found[9], table)] == [
        "Sign-in activity",
        "NonInteractiveUserSignInLogs",
        "NonInteractiveUserSignInLogs",
        "ManagedIdentitySignInLogs",
        "SignInLogs",
    ]
    assert found[3]["source_ip"] == "2001:db8::7"
    assert [event["note"] for event in (graph, found[12], found[13])] == [
        None,
        "time without a zone: taken as UTC",
        None,
    ]


def test_dropped_by_hand(tmp_path):
    found = read(tmp_path / "log", sign_in(), *(record for records in DROPPED.values() for record in records))
    assert [event["dropped"] for event in found] == [
        None,
        *(reason for reason, records in DROPPED.items() for _ in records),
    ]


@pytest.mark.parametrize(
    "text", [json.dumps(REAL), json.dumps({"value": REAL}, indent=1), json.dumps({"records": REAL})]
)
def test_documents(tmp_path, text):
    assert [shown(event) for event in read(tmp_path / "log", text, format="auto")] == EXPECTED


def test_one_sign_in_in_three_exports_is_one_event(tmp_path):
    """Graph tells no fractions of a second."""
    (tmp_path / "table").write_text(
        json.dumps(row(IsInteractive="true", DeviceDetail="", AuthenticationDetails="")) + "\n"
    )
    (tmp_path / "graph").write_text(json.dumps(sign_in()) + "\n")
    (tmp_path / "monitor").write_text(json.dumps(monitored()) + "\n")
    from ueba.ingest import ingest_all, lake

    ingest_all([str(tmp_path / name) for name in ("table", "graph", "monitor")], "auto", tmp_path / "lake")
    (edge,) = lake.read(tmp_path / "lake", dt.date.min, dt.date.max, "1GB").to_pylist()
    assert (edge["user"], edge["count"]) == ("alice@corp.example", 1)


PORTAL = [
    *(
        "Date (UTC)",
        "Request ID",
        "User ID",
        "User",
        "Username",
        "Application",
        "Application ID ",
        "Resource",
        "IP address",
    ),
    *("Status", "Sign-in error code", "Failure reason", "Client app", "Authentication Protocol"),
]
PORTAL_ROW = [
    *(
        "2024-05-20T18:19:04Z",
        "f05079ed",
        ALICE_ID,
        "Alice, B.",
        "alice@corp.example",
        "Azure Portal",
        PORTAL_ID,
        API,
    ),
    *("203.0.113.7", "Interrupted", "50074", "Strong authentication\nis required.", "Browser", "None"),
]


@pytest.mark.parametrize(
    "time",
    ["2024-05-20T18:19:04Z", "2024-05-20 18:19:04", "5/20/2024 6:19:04 PM", "05/20/2024, 6:19:04.1 PM"],
)
def test_download_of_the_portal(tmp_path, time):
    plain = [*PORTAL_ROW[:9], "Success", "", "", "", ""]
    (tmp_path / "log").write_text(
        "\ufeff" + rows_of(PORTAL, [time, *PORTAL_ROW[1:]], [time, *plain[1:]], PORTAL_ROW[:5])
    )
    header, event, other, short = events_of(tmp_path / "log").to_pylist()
    assert [row["dropped"] for row in (header, short)] == ["header", "not 14 fields"]
    expected = ("alice@corp.example", "203.0.113.7", "Azure Portal", API, None)
    assert shown(event) == (*expected, "Browser", "unknown", "50074: Strong authentication is required.")
    assert shown(other) == (*expected, None, "success", None)
    assert (event["time"], event["event_id"], event["user_id"], event["note"]) == (
        TIME,
        "f05079ed",
        ALICE_ID,
        None,
    )


@pytest.mark.parametrize("type_line", ["", "#TYPE System.Management.Automation.PSCustomObject\n"])
def test_table_as_csv(tmp_path, type_line):
    fields = row(TimeGenerated="5/20/2024, 6:19:04.423 PM")
    header = ["TimeGenerated [UTC]" if name == "TimeGenerated" else name for name in fields]
    (tmp_path / "log").write_text(type_line + rows_of(header, list(fields.values())))
    *dropped, event = events_of(tmp_path / "log").to_pylist()
    assert [row["dropped"] for row in dropped] == ["header"] * (1 + bool(type_line))
    assert (shown(event), event["time"], event["note"]) == (EXPECTED[10], TIME, None)


def sample(*records: Any) -> Sample:
    return Sample(
        "log",
        tuple(record if isinstance(record, str) else json.dumps(record) for record in records),
        dt.datetime(2024, 1, 1),
    )


def test_recognises_its_own_and_nothing_else(tmp_path):
    assert entra.recognises(sample(*REAL)) == len(REAL)
    rows = [rows_of(row).strip().replace("\n", " ") for row in (PORTAL, PORTAL_ROW)]
    assert entra.recognises(table_of(rows)) == 1
    audit = {
        "CreationTime": "2024-05-20T18:19:04",
        "Operation": "UserLoggedIn",
        "UserId": "a",
        "Workload": "AzureActiveDirectory",
    }
    others = sample(
        audit,
        {"@timestamp": "2024-05-20", "ecs": {"version": "8"}},
        [],
        5,
        {"properties": 5, "category": []},
        "",
        "a,b",
    )
    assert entra.recognises(others) == 0
    assert (
        entra.recognises(table_of(["id,date,user,pc,activity", "1,2,3,4,5"]))
        == entra.recognises(sample())
        == 0
    )
    assert [module.recognises(sample(*REAL)) for module in (ecs, m365)] == [0, 0]


FIELD = st.text(st.characters(exclude_characters="\r\n\0\x1f", codec="utf-8"), max_size=6)


@given(st.lists(st.lists(FIELD, min_size=3, max_size=3)))
@settings(max_examples=100, deadline=None)
def test_fields_of_a_csv_are_those_that_python_reads(rows):
    names = ["a", "b", "c"]
    lines = rows_of(names, *rows).split("\r\n")[1:-1]
    connection = duckdb.connect()
    connection.execute("CREATE TABLE lines (line BIGINT, text VARCHAR)")
    connection.executemany("INSERT INTO lines VALUES (?, ?)", [(-1, "x"), *enumerate(lines)])
    table, found = csv_fields(ibis.table({"line": "int64", "text": "string"}, name="lines"), names)
    sql = ibis.to_sql(table.select("line", **found).order_by("line"), dialect="duckdb")
    assert [list(row[1:]) for row in connection.execute(sql).fetchall()[1:]] == rows


@pytest.mark.skipif(not SIGN_INS.exists(), reason=f"needs {SIGN_INS}")
def test_real_sign_ins_are_accounted_for(tmp_path):
    with open(SIGN_INS, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    header, *found = events_of(SIGN_INS).to_pylist()
    assert (header["dropped"], len(found), {event["dropped"] for event in found}) == ("header", 86, {None})
    for event, listed in zip(found, rows, strict=True):
        assert [event[name] for name in ("user", "user_id", "source", "target", "event_id", "reporter")] == [
            listed[name]
            for name in ("UserPrincipalName", "UserId", "IPAddress", "AppDisplayName", "Id", "AADTenantId")
        ]
        assert event["outcome"] == ("success" if listed["ResultType"] == "0" else "failure")
        assert str(event["time"]) == listed["CreatedDateTime"]
        assert event["logon_type"] == (
            "Interactive" if listed["IsInteractive"] == "True" else "NonInteractive"
        )
    report = ingest(SIGN_INS, "auto", tmp_path / "lake")
    assert (report.format, report.lines, report.events) == ("entra", 87, 86)
    assert report.notes == {"time without a zone: taken as UTC": 86}
    assert sources.modules()["entra"] is entra
