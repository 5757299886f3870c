"""A peer's expected output beside a sample: every record is counted, and every difference has a class.

Two families, made up by hand: a log of sshd and sudo, laid out as in elastic/integrations, and sign-ins of
Okta, as in SEKOIA-IO/intake-formats.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest
from script_files import script

PEERS = script("peers")
SYSTEM = "packages/system/data_stream/auth/_dev/test/pipeline"
OKTA = "Okta/okta-system-logs/tests"

LINES = """\
Mar  1 08:15:02 web1 sshd[71]: Accepted publickey for root from 10.0.2.2 port 5022 ssh2: RSA 39:33
Mar  1 08:15:03 web1 sshd[72]: Failed password for otto from 10.0.2.3 port 5022 ssh2

Mar  1 08:16:00 web1 sudo:     lena : TTY=pts/0 ; PWD=/home/lena ; USER=root ; COMMAND=/bin/ls
Mar  1 08:17:00 web1 groupadd[73]: new group: name=apache, GID=48
Mar  1 08:18:00 web1 sshd[74]: Accepted password for ida from 10.0.2.4 port 5022 ssh2
"""


def document(at: str | None, name: str, address: str | None, outcome: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "host": {"hostname": "web1"},
        "event": {"category": ["authentication"], "outcome": outcome},
        "user": {"name": name},
        "related": {"user": [name, "root"]},
    }
    return found | {"@timestamp": at, "source": {"ip": address}}


EXPECTED = [
    document("2024-03-01T08:15:02.000Z", "root", "10.0.2.2", "success"),
    document("2019-03-01T10:15:03.000+02:00", "otto", "10.0.2.33", "success"),
    document("2024-03-01T06:16:00.000Z", "lena", None, None),
    {"event": {"category": ["iam"]}, "group": {"name": "apache"}},
    None,
]


def okta(event_type: str = "user.session.start", **more: Any) -> dict[str, Any]:
    return {
        "actor": {
            "id": "00u1",
            "type": "User",
            "alternateId": "k.holm@fabrik.example",
            "displayName": "Kim Holm",
        },
        "client": {"ipAddress": "203.0.113.9", "userAgent": {"rawUserAgent": "x"}},
        "eventType": event_type,
        "outcome": {"result": "SUCCESS"},
        "published": "2024-03-01T08:15:02.072Z",
        "uuid": "u1",
        "version": "0",
        "target": [],
    } | more


OKTA_DOCUMENT = {
    "@timestamp": "2024-03-01T08:15:02.072Z",
    "event": {"category": ["authentication"], "outcome": "success"},
    "source": {"ip": "203.0.113.9", "user": {"full_name": "Kim Holm"}},
    "user": {"full_name": "Kim Holm", "name": "Kim Holm"},
    "okta": {"host": "Okta"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A peer's tests, all written in March 2024."""
    write(tmp_path / SYSTEM / "test-auth.log", LINES)
    write(tmp_path / SYSTEM / "test-auth.log-expected.json", json.dumps({"expected": EXPECTED}))
    write(tmp_path / SYSTEM / "test-auth.log-config.yml", "fields: {}")
    write(
        tmp_path / OKTA / "sign_in.json",
        json.dumps({"input": {"message": json.dumps(okta(), indent=1)}, "expected": OKTA_DOCUMENT}),
    )
    write(
        tmp_path / OKTA / "odd.json",
        json.dumps({"input": {"message": "?"}, "expected": {"event": {"category": ["authentication"]}}}),
    )
    write(tmp_path / "README.json", "{}")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    at = dt.datetime(2024, 3, 20, tzinfo=dt.UTC).timestamp()
    os.utime(path, (at, at))


def rows(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for sample in PEERS.samples(folder):
        PEERS.count(found.setdefault(sample.stream, PEERS.Row()), sample)
    return found


def test_every_record_is_counted_and_every_difference_has_a_class(folder):
    """Line 1: root of which machine? Line 2: another address, outcome and year. Line 4: sudo."""
    found = rows(folder)
    system = found["system/auth"]
    assert (system.files, system.records, system.events, system.lost) == (1, 5, 4, 0)
    assert system.equal == {"user": 1, "source": 1, "target": 3, "outcome": 1, "time": 1}
    assert system.classes == {
        ("", "dropped: not a logon: another program"): 1,
        ("", "no document at the peer"): 1,
        ("user", "the machine as the domain here, none at the peer"): 1,
        ("user", "the account that was acted as here, the actor at the peer"): 1,
        ("source", "another value"): 1,
        ("source", "the machine of the record here, none at the peer"): 1,
        ("outcome", "failure here, success at the peer"): 1,
        ("outcome", "none or unknown at the peer"): 1,
        ("time", "another year"): 1,
        ("time", "another time zone"): 1,
    }
    assert system.shown["source", "another value"] == ["test-auth.log:2: 10.0.2.3 / 10.0.2.33, web1"]
    cloud = found["Okta/okta-system-logs"]
    assert (cloud.files, cloud.records, cloud.events, cloud.lost) == (2, 2, 1, 0)
    assert cloud.equal == {"user": 0, "source": 1, "target": 0, "outcome": 1, "time": 1}
    assert cloud.classes == {
        ("", "not recognised (an authentication to the peer)"): 1,
        ("user", "display name at the peer, login name here"): 1,
        ("target", "in another field at the peer"): 1,
    }


def test_the_tables_add_up_and_show_examples(folder, capsys):
    assert PEERS.main([folder], {}, 1) == 0
    printed = capsys.readouterr().out.splitlines()
    assert f"| {folder.name} | system/auth | 1 | 5 | 4 | 1 | 1 | 3 | 1 | 1 |" in printed
    assert "| all |  | 3 | 7 | 5 | 1 | 2 | 3 | 2 | 2 |" in printed
    shown = printed.index("| system | time | another time zone | 1 |")
    assert printed[shown + 1].startswith(
        "    test-auth.log:4: 2024-03-01 08:16:00 / 2024-03-01t06:16:00.000z"
    )


def test_a_data_stream_is_read_by_a_mapping(folder, capsys):
    mapping = folder / "tests.toml"
    mapping.write_text(
        'format = "jsonl"\n[columns]\ntime = "published"\nuser = "actor.displayName"\ntarget = "eventType"\n'
    )
    assert PEERS.main([folder], {"Okta/okta-system-logs": str(mapping)}, 0) == 0
    printed = capsys.readouterr().out
    assert f"| {folder.name} | Okta/okta-system-logs | 2 | 2 | 1 | 1 | 0 | 0 | 0 | 1 |" in printed


def test_a_folder_without_samples_is_an_error(tmp_path, capsys):
    assert PEERS.main([tmp_path], {}, 0) == 1
    assert "has no samples" in capsys.readouterr().err


def test_a_record_that_leaves_no_row_is_lost(folder, capsys, monkeypatch):
    monkeypatch.setattr(PEERS, "read", lambda sample, log_format: [])
    assert PEERS.main([folder], {}, 0) == 1
    assert "2 records are lost" in capsys.readouterr().err


def test_lines_and_documents_meet_by_their_offset(tmp_path):
    """Filebeat's tests stop after a number of documents, and a document may be of several lines."""
    path = tmp_path / "a.log"
    path.write_bytes(b"one\n\nthree\nfour\n")
    starts = PEERS.line_starts(path)
    assert starts == {"0": 1, "4": 2, "5": 3, "11": 4}
    events = [{"line": number} for number in (1, 3, 4)]
    third = {"log.offset": ["5"]}
    assert [(pair.event["line"], pair.document) for pair in PEERS.paired(events, [third], starts)] == [
        (1, None),
        (3, third),
        (4, None),
    ]
    assert PEERS.paired(events, [{"log.offset": ["7"]}], starts) is None
    assert PEERS.paired(events, [third, third], starts) is None


def test_records_of_a_document_are_their_messages_or_their_fields(tmp_path):
    write(tmp_path / "b.json", json.dumps({"events": [{"message": "a\nb"}, {"event": {"code": 1}}]}))
    write(tmp_path / "b.json-expected.json", json.dumps({"expected": [None, {"a": {"b": [1, {"c": "x"}]}}]}))
    (sample,) = PEERS.samples(tmp_path)
    assert sample.texts == ["a b", '{"event": {"code": 1}}']
    assert sample.expected == [None, {"a.b": ["1"], "a.b.c": ["x"]}]


EVENT: dict[str, Any] = dict.fromkeys(
    ("user", "actor", "source", "source_ip", "target", "target_ip", "outcome", "time", "action")
)


@pytest.mark.parametrize(
    ("column", "event", "peer", "expected"),
    [
        ("user", {"user": "CORP\\Al"}, {"user.name": ["al"], "user.domain": ["corp"]}, "equal"),
        ("user", {"user": "al@corp"}, {"user.name": ["al"]}, "domain here, none at the peer"),
        ("user", {"user": "al@a"}, {"user.name": ["al"], "user.domain": ["b"]}, "another domain"),
        ("user", {"user": "al"}, {"user.email": ["al@corp"]}, "domain at the peer, none here"),
        (
            "user",
            {"user": "al"},
            {"user.name": ["bo"], "user.target.name": ["al"]},
            "another account of the record",
        ),
        ("user", {"user": "root@1"}, {"user.id": ["1"]}, "only an identifier at the peer"),
        ("user", {"user": "al"}, {}, "none at the peer"),
        ("user", {}, {"user.name": ["al"]}, "no user here"),
        ("user", {}, {}, "equal"),
        ("source", {"source": "fe80:0::1"}, {"source.ip": ["fe80::1"]}, "another spelling of the address"),
        ("source", {}, {"source.ip": ["10.0.0.7"]}, "no source here"),
        ("source", {"source": "ws7", "source_ip": "10.0.0.7"}, {"client.ip": ["10.0.0.7"]}, "equal"),
        (
            "target",
            {"target": "srv1.corp"},
            {"host.name": ["srv1"]},
            "the full name of the machine on one side",
        ),
        ("target", {"target": "box"}, {"user.name": ["box"]}, "the account itself"),
        ("target", {"target": "Okta"}, {"service.name": ["x"]}, "another thing that was reached"),
        ("target", {"action": "lease"}, {"destination.ip": ["10.0.0.1"]}, "equal"),
        ("target", {}, {"destination.ip": ["10.0.0.1"]}, "no target here"),
        ("outcome", {"outcome": "unknown"}, {"event.outcome": ["failure"]}, "unknown here"),
        ("outcome", {"outcome": "unknown"}, {}, "equal"),
        (
            "time",
            {"time": dt.datetime(2024, 3, 1)},
            {"@timestamp": ["2024-03-01T00:00:00.500Z"]},
            "less than a second apart",
        ),
        ("time", {"time": dt.datetime(2024, 3, 1)}, {"@timestamp": ["2024-03-01T00:07:00Z"]}, "another time"),
        ("time", {"time": dt.datetime(2024, 3, 1)}, {"@timestamp": ["soon"]}, "none at the peer"),
        (
            "time",
            {"time": dt.datetime(2024, 3, 1)},
            {"@timestamp": ["2025-01-01T00:07:00Z"], "event.created": ["2024-03-01T00:00:00Z"]},
            "in another field at the peer",
        ),
    ],
)
def test_classes(column, event, peer, expected):
    assert PEERS.compared(EVENT | event, peer)[column] == expected
