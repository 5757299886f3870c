"""Accounts that Windows calls otherwise in every language, in every log that may name them: by SID, else by
name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ueba.ingest import events_of

SYSTEM, NETWORK, ANONYMOUS, PERSON = "S-1-5-18", "S-1-5-20", "S-1-5-7", "S-1-5-21-1-2-3-1105"
DROPPED = "not a logon: system account"
NOBODY = "NT AUTHORITY\\ANONYMOUS LOGON"
ACCOUNTS = {  # (name, domain, SID) -> the user, or why the record is dropped
    ("SYSTEM", "NT AUTHORITY", SYSTEM): DROPPED,
    ("SYSTEM", "NT-AUTORITÄT", SYSTEM): DROPPED,
    ("Système", "AUTORITE NT", SYSTEM): DROPPED,
    ("Servicio de red", "NT AUTHORITY", NETWORK): DROPPED,
    ("Systém", "Úřad", SYSTEM): DROPPED,  # of no language in the table
    ("Système", "AUTORITE NT", None): DROPPED,
    ("NETZWERKDIENST", "NT-AUTORITÄT", None): DROPPED,
    ("Servizio locale", "NT AUTHORITY", None): DROPPED,
    ("ANONYMOUS LOGON", "NT AUTHORITY", ANONYMOUS): NOBODY,
    ("ANONYMOUS-ANMELDUNG", "NT-AUTORITÄT", ANONYMOUS): NOBODY,
    ("Anonymní přihlášení", "NT AUTHORITY", ANONYMOUS): NOBODY,
    ("ANONYMOUS-ANMELDUNG", "NT-AUTORITÄT", None): NOBODY,
    ("sistema", "WERK", PERSON): "WERK\\sistema",  # a person, by the SID
    ("Eva", "WERK", None): "WERK\\Eva",
}


def windows(name: str, domain: str, sid: str | None) -> dict[str, Any]:
    account = {"TargetUserName": name, "TargetDomainName": domain, "TargetUserSid": sid or "-"}
    record = {
        "EventID": 4624,
        "Channel": "Security",
        "Computer": "srv1",
        "TimeCreated": "2024-03-05T10:00:00Z",
    }
    return record | account | {"LogonType": 3, "IpAddress": "10.0.0.9"}


def ecs(name: str, domain: str, sid: str | None) -> dict[str, Any]:
    return {
        "@timestamp": "2024-03-05T10:00:00Z",
        "event": {"category": ["authentication"], "outcome": "success"},
        "user": {"name": name, "domain": domain, "id": sid},
        "host": {"name": "srv1"},
    }


def ocsf(name: str, domain: str, sid: str | None) -> dict[str, Any]:
    record = {
        "class_uid": 3002,
        "activity_id": 1,
        "time": 1709632800000,
        "dst_endpoint": {"hostname": "srv1"},
    }
    return record | {"user": {"name": name, "domain": domain, "uid": sid}, "status": "Success"}


@pytest.mark.parametrize("record_of", [windows, ecs, ocsf], ids=lambda record_of: record_of.__name__)
def test_accounts_in_every_language(tmp_path: Path, record_of):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(record_of(*account)) + "\n" for account in ACCOUNTS))
    rows = events_of(path, record_of.__name__).to_pylist()
    found = {account: row["dropped"] or row["user"] for account, row in zip(ACCOUNTS, rows, strict=True)}
    assert found == ACCOUNTS


def test_an_actor_too(tmp_path: Path):
    subject = {"SubjectUserName": "ANONYMOUS-ANMELDUNG", "SubjectDomainName": "NT-AUTORITÄT"}
    record = windows("Eva", "WERK", PERSON) | subject | {"SubjectUserSid": ANONYMOUS}
    (tmp_path / "log.jsonl").write_text(json.dumps(record) + "\n")
    (row,) = events_of(tmp_path / "log.jsonl", "windows").to_pylist()
    assert (row["user"], row["actor"]) == ("WERK\\Eva", NOBODY)
