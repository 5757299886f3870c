"""Windows events as the text of Splunk's forwarder, and references to characters in their XML."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from ueba.ingest import events_of
from ueba.ingest.reading.wineventlog import SEPARATOR, is_text, text_events

HEAD = """03/05/2024 10:00:00 AM
LogName=Security
SourceName=Microsoft Windows security auditing.
EventCode={code}
EventType=0
Type=Information
ComputerName=dc1.werk.example
RecordNumber=44
Keywords=Audit {keywords}
"""
LOGON = (
    HEAD.format(code=4624, keywords="Success")
    + """Message=An account was successfully logged on.

Subject:
	Security ID:		NT AUTHORITY\\SYSTEM
	Account Name:		DC1$
	Account Domain:		WERK
	Logon ID:		0x3E7

Logon Type:			3

New Logon:
	Security ID:		WERK\\eva.lind
	Account Name:		eva.lind
	Account Domain:		WERK
	Logon ID:		0x1ABC

Network Information:
	Workstation Name:	WS9
	Source Network Address:	10.9.9.9
	Source Port:		50000

Detailed Authentication Information:
	Authentication Package:	NTLM
"""
)
GERMAN = {
    "Security ID": "Sicherheits-ID",
    "Account Name": "Kontoname",
    "Account Domain": "Kontodomäne",
    "Logon ID": "Anmelde-ID",
    "Logon Type": "Anmeldetyp",
    "Workstation Name": "Arbeitsstationsname",
    "Source Network Address": "Quellnetzwerkadresse",
    "Authentication Package": "Authentifizierungspaket",
}
FRENCH = {
    "Security ID": "ID de sécurité",
    "Account Name": "Nom du compte",
    "Account Domain": "Domaine du compte",
    "Logon ID": "ID d’ouverture de session",
    "Logon Type": "Type d'ouverture de session",
    "Workstation Name": "Nom de la station de travail",
    "Source Network Address": "Adresse du réseau source",
    "Authentication Package": "Package d'authentification",
    ":\t": "\u00a0:\t",
    "\t:": " :\t",
}
FAILED = (
    LOGON.replace("EventCode=4624", "EventCode=4625").replace("Audit Success", "Audit Failure")
    + "\nFailure Information:\n\tStatus:\t\t0xC000006D\n\tSub Status:\t\t0xC000006A\n"
)
TICKET = (
    HEAD.format(code=4768, keywords="Success")
    + "Message=A Kerberos authentication ticket (TGT) was requested.\n\nAccount Information:\n"
    + "\tAccount Name:\t\teva.lind\n\tSupplied Realm Name:\tWERK\n\nNetwork Information:\n"
    + "\tClient Address:\t\t::ffff:10.9.9.9\n\nAdditional Information:\n\tResult Code:\t\t0x0\n"
)
OTHER = HEAD.format(code=4634, keywords="Success") + "Message=An account was logged off.\n"
SHOWN = ("user", "source", "source_ip", "target", "logon_type", "auth_package", "outcome", "outcome_reason")
EVA = ("WERK\\eva.lind", "WS9", "10.9.9.9", "dc1.werk.example", "Network", "NTLM")
AT_TEN = dt.datetime(2024, 3, 5, 10)


def translated(text: str, words: dict[str, str]) -> str:
    for word, other in words.items():
        text = text.replace(word, other)
    return text


def shown(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in SHOWN)


@pytest.mark.parametrize("between", ["", "\n", "\n\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_events_by_hand(tmp_path: Path, between: str, line_end: str):
    texts = [LOGON, translated(LOGON, GERMAN), translated(LOGON, FRENCH), FAILED, OTHER, TICKET]
    (tmp_path / "log.txt").write_bytes(between.join(texts).replace("\n", line_end).encode())
    *logons, failed, other, ticket = events_of(tmp_path / "log.txt").to_pylist()
    assert [(row["time"], *shown(row)) for row in logons] == [(AT_TEN, *EVA, "success", None)] * 3
    assert shown(failed) == (*EVA, "failure", "bad password")
    assert other["dropped"] == "not a logon: other event"
    assert shown(ticket)[:4] == ("eva.lind@WERK", "10.9.9.9", "10.9.9.9", "dc1.werk.example")
    assert (ticket["action"], ticket["outcome"], ticket["line"]) == ("ticket", "success", 6)


def test_an_event_in_a_field_of_an_export(tmp_path: Path):
    record = {"_raw": LOGON, "_time": "2024-03-05T10:00:00.000+00:00", "host": "indexer1"}
    (tmp_path / "log.jsonl").write_text(json.dumps(record) + "\n")
    (row,) = events_of(tmp_path / "log.jsonl").to_pylist()
    assert (row["time"], *shown(row)) == (AT_TEN, *EVA, "success", None)


def test_events_are_framed_wherever_blocks_end():
    text = ("rest of an event\n" + LOGON + "\n" + FAILED).encode()
    whole = [record for record, _ in text_events([text])]
    assert len(whole) == 3 and whole[1].startswith(b"03/05/2024") and SEPARATOR.encode() in whole[1]
    for size in (1, 7, 100):
        blocks = [text[at : at + size] for at in range(0, len(text), size)]
        assert b"".join(record for record, _ in text_events(blocks)) == b"".join(whole)
    assert not is_text(b"03/05/2024 10:00:00 AM something else\n")


# --- XML ----------------------------------------------------------------------------------------------------

NAMES = {
    "b&#228;r": "bär",
    "b&#xE4;r": "bär",
    "b&#X0000e4;r": "bär",
    "b&#0000000000228;r": "bär",
    "b&#128512;r": "b\N{GRINNING FACE}r",
    "b&amp;#228;r": "b&#228;r",  # decoded once
    "b&amp;amp;r": "b&amp;r",
    "b&#xD800;r": "b\ufffdr",
    "b&#x110000;r": "b\ufffdr",
    "b&#99999999999999999999;r": "b\ufffdr",
    "b&#0;r": "b\ufffdr",
    "b&#;r": "b&#;r",
    "b&other;r": "b&other;r",
    "b&lt;Data Name='TargetUserName'&gt;r": "b<Data Name='TargetUserName'>r",
    "<![CDATA[b&amp;är]]>": "b&amp;är",
    "x<![CDATA[<Data Name='TargetUserName'>y</Data>]]>z": "x<Data Name='TargetUserName'>y</Data>z",
}


def test_references_to_characters(tmp_path: Path):
    head = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
    system = (
        "<EventID>4624</EventID><TimeCreated SystemTime='2024-03-05T10:00:00.0Z'/><Computer>s1</Computer>"
    )
    values = "<Data Name='LogonType'>3</Data><Data Name='IpAddress'>10.9.9.9</Data>"
    lines = [
        f"{head}{system}<Channel>Security</Channel></System><EventData>"
        f"<Data Name='TargetUserName'>{name}</Data>{values}</EventData></Event>\n"
        for name in NAMES
    ]
    (tmp_path / "log.xml").write_text("".join(lines))
    rows = events_of(tmp_path / "log.xml").to_pylist()
    assert {name: row["user"] for name, row in zip(NAMES, rows, strict=True)} == NAMES
    assert {row["source"] for row in rows} == {"10.9.9.9"}
