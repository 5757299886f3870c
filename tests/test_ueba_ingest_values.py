"""What every log source reads alike: times however exports write them, addresses that are none or have two
spellings, outcomes that nobody knows."""

from __future__ import annotations

import datetime as dt
import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from ueba.ingest import events_of, fields, identity

AT = dt.datetime(2024, 3, 5, 9, 41, 7)
SECONDS = 1709631667
NONSENSE = "Flurb"


def windows(time: Any, address: str, outcome: str = "0x0") -> dict[str, Any]:
    record = {"EventID": 4768, "Channel": "Security", "Computer": "dc1", "TargetUserName": "bo.ek"}
    return record | {"TimeCreated": time, "IpAddress": address, "Status": outcome, "ServiceName": "krbtgt"}


def entra(time: Any, address: str, outcome: str = "0") -> dict[str, Any]:
    properties = {"id": "1", "userPrincipalName": "bo@werk.example", "appDisplayName": "Pay"}
    return {
        "time": time,
        "category": "SignInLogs",
        "operationName": "Sign-in activity",
        "resultType": outcome,
        "properties": properties | {"ipAddress": address},
    }


def m365(time: Any, address: str, outcome: str = "Success") -> dict[str, Any]:
    record = {"CreationTime": time, "ClientIP": address, "ResultStatus": outcome, "UserId": "bo@werk.example"}
    return record | {"Operation": "UserLoggedIn", "Workload": "AzureActiveDirectory", "ApplicationId": "app1"}


def okta(time: Any, address: str, outcome: str = "SUCCESS") -> dict[str, Any]:
    return {
        "published": time,
        "eventType": "user.session.start",
        "uuid": "1",
        "actor": {"type": "User", "alternateId": "bo@werk.example"},
        "client": {"ipAddress": address},
        "outcome": {"result": outcome},
    }


def google(time: Any, address: str) -> dict[str, Any]:
    return {
        "kind": "admin#reports#activity",
        "id": {"time": time, "applicationName": "login"},
        "actor": {"email": "bo@werk.example"},
        "ipAddress": address,
        "events": [{"type": "login", "name": "login_success"}],
    }


def cloudtrail(time: Any, address: str, outcome: str = "Success") -> dict[str, Any]:
    return {
        "eventTime": time,
        "eventSource": "signin.amazonaws.com",
        "eventName": "ConsoleLogin",
        "sourceIPAddress": address,
        "userIdentity": {"type": "IAMUser", "userName": "bo", "accountId": "111122223333"},
        "responseElements": {"ConsoleLogin": outcome},
        "recipientAccountId": "111122223333",
    }


def ocsf(time: Any, address: str, outcome: str = "Success") -> dict[str, Any]:
    record = {
        "class_uid": 3002,
        "activity_id": 1,
        "user": {"name": "bo"},
        "dst_endpoint": {"hostname": "srv1"},
    }
    return record | {"time": time, "src_endpoint": {"ip": address}, "status": outcome}


def ecs(time: Any, address: str, outcome: str = "success") -> dict[str, Any]:
    return {
        "@timestamp": time,
        "event": {"category": ["authentication"], "outcome": outcome},
        "user": {"name": "bo"},
        "host": {"name": "srv1"},
        "source": {"ip": address},
    }


def zeek(time: Any, address: str, outcome: str = "T") -> dict[str, Any]:
    record = {"_path": "kerberos", "uid": "C1", "id.resp_h": "10.0.0.2", "request_type": "AS"}
    return record | {"ts": time, "id.orig_h": address, "client": "bo/WERK", "success": outcome}


def message_trace(time: Any, address: str, outcome: str = "Delivered") -> dict[str, Any]:
    record = {"SenderAddress": "bo@werk.example", "RecipientAddress": "eva@werk.example"}
    return record | {"Received": time, "FromIP": address, "Status": outcome}


RECORDS_OF: dict[str, Callable[..., dict[str, Any]]] = {
    record_of.__name__: record_of
    for record_of in (windows, entra, m365, okta, google, cloudtrail, ocsf, ecs, zeek, message_trace)
}
TIMES = [
    "2024-03-05T09:41:07Z",
    "2024-03-05t09:41:07z",
    "2024-03-05 09:41:07",
    "2024-03-05 09:41:07 UTC",
    "2024-03-05T09:41:07+0000",
    "2024-03-05T10:41:07+01:00",
    "2024-03-05 04:11:07 -0530",
    "2024-03-05T09:41:07.0000000Z",
    "2024-03-05T09:41:07.000000000+00:00",
    "2024-03-05 09:41:07,000",
    "3/5/2024 9:41:07 AM",
    "3/5/2024, 9:41:07 AM",
    "3/5/2024 9:41:07\u202fAM",
    "3/5/2024 10:41:07 AM +01:00",
    "/Date(1709631667000)/",
    "Mar 5, 2024 @ 09:41:07.000",
    SECONDS,
    f"{SECONDS}.0",
    SECONDS * 1000,
    f"{SECONDS}000000",
    f"{SECONDS}000000000",
]
NONE = ["0.0.0.0", "255.255.255.255", "::", "::ffff:0.0.0.0", "-", "unknown", "0", ":443", "0.0.0.0:0"]
NONE += ["[::]:443", "224.0.0.251", "ff02::1%eth0", "0:0:0:0:0:0:0:0", "N/A", "null"]
SPELT = {
    "10.0.0.7:443": "10.0.0.7",
    "::ffff:10.0.0.7": "10.0.0.7",
    "[2001:db8::7]:443": "2001:db8::7",
    "fe80::A1B2%14": "fe80::a1b2",
    "fe80::a1b2%eth0.1": "fe80::a1b2",
}


@functools.cache
def unified(name: str) -> list[dict[str, Any]]:
    """The events of one file of a log source: a record for each time, each address, and one with an outcome
    that nobody knows."""
    record_of = RECORDS_OF[name]
    records = [record_of(time, "10.0.0.9") for time in TIMES]
    records += [record_of(TIMES[0], address) for address in (*NONE, *SPELT)]
    records += [record_of(TIMES[0], "10.0.0.9", NONSENSE)] if name != "google" else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        found = events_of(path, name)
    rows: list[dict[str, Any]] = identity.unify(ibis.memtable(found)).to_pyarrow().to_pylist()
    return sorted(rows, key=lambda row: row["line"])


@pytest.mark.parametrize("name", RECORDS_OF)
def test_every_log_source_reads_every_time(name):
    rows = unified(name)[: len(TIMES)]
    assert {str(time): row["time"] for time, row in zip(TIMES, rows, strict=True)} == dict.fromkeys(
        map(str, TIMES), AT
    )
    assert {row["dropped"] for row in rows} == {None}


@pytest.mark.parametrize("name", RECORDS_OF)
def test_an_address_that_is_none_is_no_source(name):
    rows = unified(name)[len(TIMES) :][: len(NONE)]
    places = {
        address: (row["source"], row["source_ip"], row["dropped"])
        for address, row in zip(NONE, rows, strict=True)
    }
    assert places == dict.fromkeys(NONE, (None, None, None))


@pytest.mark.parametrize("name", RECORDS_OF)
def test_a_machine_has_one_name(name):
    rows = unified(name)[len(TIMES) + len(NONE) :][: len(SPELT)]
    assert {address: row["source"] for address, row in zip(SPELT, rows, strict=True)} == SPELT


@pytest.mark.parametrize("name", [name for name in RECORDS_OF if name != "google"])  # it has no such field
def test_an_outcome_that_nobody_knows_is_unknown(name):
    *_, row = unified(name)
    assert (row["outcome"], row["dropped"]) == ("unknown", None)


def test_lanl_knows_two_outcomes(tmp_path):
    (tmp_path / "auth.txt").write_text(f"1,A@D,B@D,C1,C2,NTLM,Network,LogOn,{NONSENSE}\n")
    (row,) = events_of(tmp_path / "auth.txt", "lanl").to_pylist()
    assert row["outcome"] == "unknown"


# --- times --------------------------------------------------------------------------------------------------


def parsed(texts: list[str], timezone: str = "UTC") -> list[dt.datetime | None]:
    table = ibis.memtable(pa.table({"text": texts}))
    found: list[dt.datetime | None] = fields.any_time(table.text, timezone).to_pyarrow().to_pylist()
    return found


CLOCKS = {
    "3/5/2024 9:41:07 PM": AT.replace(hour=21),
    "2024-03-05 9:41:07 PM": AT.replace(hour=21),
    "3/5/2024 12:00:00 AM": dt.datetime(2024, 3, 5),
    "3/5/2024 12:00:00 PM": dt.datetime(2024, 3, 5, 12),
    "3/5/2024 9:41 AM": AT.replace(second=0),
    "3/5/2024 9:41:07.1234567 AM": AT.replace(microsecond=123456),
    "2024-03-05T09:41:07.123456789Z": AT.replace(microsecond=123456),
    "2024-03-05 09:41:07,5 +0000": AT.replace(microsecond=500000),
    "2024/03/05 09:41:07": AT,
    "05.03.2024 09:41:07": AT,
    "20240305T094107Z": AT,
    "05/Mar/2024:10:41:07 +0100": AT,
    "Tue, 05 Mar 2024 09:41:07 GMT": AT,
    "2024-03-05T09:41:07+00:00[Europe/London]": AT,
    "/Date(1709631667250+0200)/": AT.replace(microsecond=250000),
    f"{SECONDS}.25": AT.replace(microsecond=250000),
}
NO_TIMES = ["", "-", "0", "abc", "2024", "12:00:00", "31/12/2024 10:00:00", "2024-02-30T00:00:00Z", "nan"]
NO_TIMES += ["2024-03-05 09:41:07 CET", "2024-03-05T09:41:07+99:00", "13:00:00 PM", "3/5/2024 13:00:00 PM"]
NO_TIMES += ["infinity", "-infinity", "1e300", "0x65e6e9f3"]


def test_times_by_example():
    assert dict(zip(CLOCKS, parsed(list(CLOCKS)), strict=True)) == CLOCKS
    assert dict(zip(NO_TIMES, parsed(NO_TIMES), strict=True)) == dict.fromkeys(NO_TIMES)


def test_only_a_time_without_a_zone_is_of_the_zone_of_the_log():
    texts = ["2024-03-05 10:41:07", "3/5/2024 10:41:07 AM", "2024-03-05T09:41:07Z", "3/5/2024 9:41:07 AM UTC"]
    assert parsed(texts, "Europe/Berlin") == [AT] * 4
    table = ibis.memtable(pa.table({"text": [*texts, "20240305T094107Z", "3/5/2024 9:41 AM -05"]}))
    assert fields.has_zone(table.text).to_pyarrow().to_pylist() == [False, False, True, True, True, True]


# --- addresses ----------------------------------------------------------------------------------------------


def test_a_source_that_is_a_loopback_is_the_machine_that_was_reached():
    places = ["127.0.0.1", "127.0.1.1", "::1%0", "[::1]:22", "0:0:0:0:0:0:0:1", "LOCALHOST"]
    columns = ("user", "actor", "user_id", "source_ip", "target_ip", "reporter")
    rows = [
        dict.fromkeys(columns) | {"user": "bo", "source": place, "target": "srv1", "target_kind": kind}
        for place in places
        for kind in ("machine", "resource")
    ]
    types = pa.schema([(name, pa.string()) for name in rows[0]])
    found = identity.unify(ibis.memtable(pa.Table.from_pylist(rows, types))).to_pyarrow().to_pylist()
    assert [row["source"] for row in found] == ["srv1", None] * len(places)
