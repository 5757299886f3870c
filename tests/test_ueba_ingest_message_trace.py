"""Message traces of Exchange Online -> events; expected events are worked out by hand."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pytest
from ingest_world import table_of

from ueba.ingest import events_of
from ueba.ingest.sources import Sample, m365, message_trace

SHOWN = ("time", "user", "source", "target", "detail", "outcome", "outcome_reason", "dropped")
TIME = dt.datetime(2024, 7, 11, 22, 24, 22)


def trace(**more: Any) -> dict[str, Any]:
    """As PowerShell and the reporting web service have it."""
    return {
        "Organization": "corp.onmicrosoft.com",
        "MessageId": "<1@corp.example>",
        "Received": "2024-07-11T22:24:22.1234567",
        "SenderAddress": "Alice@corp.example",
        "RecipientAddress": "Evil@Outside.example",
        "Subject": 'Urgent, "now"',
        "Status": "Delivered",
        "ToIP": None,
        "FromIP": "203.0.113.7",
        "Size": 27035,
        "MessageTraceId": "11111111-2222",
    } | more


def of_graph(**more: Any) -> dict[str, Any]:
    return {
        "id": "11111111-2222",
        "receivedDateTime": "2024-07-11T22:24:22Z",
        "senderAddress": "Alice@corp.example",
        "recipientAddress": "Evil@Outside.example",
        "subject": 'Urgent, "now"',
        "status": "delivered",
        "fromIP": "203.0.113.7",
    } | more


SENT = ("Alice@corp.example", "203.0.113.7", "evil@outside.example", 'Urgent, "now"')
CASES = {
    "delivered": (trace(), (dt.datetime(2024, 7, 11, 22, 24, 22, 123456), *SENT, "success", None, None)),
    "Graph": (of_graph(), (TIME, *SENT, "success", None, None)),
    "failed": (
        trace(Status="Failed", Received="2024-07-11T22:24:22Z"),
        (TIME, *SENT, "failure", "Failed", None),
    ),
    "quarantined": (of_graph(status="quarantined"), (TIME, *SENT, "failure", "quarantined", None)),
    "pending": (of_graph(status="pending"), (TIME, *SENT, "unknown", "pending", None)),
    "from within": (
        of_graph(fromIP="2603:10a6:802:59::56", subject=None),
        (TIME, SENT[0], None, SENT[2], None, "success", None, None),
    ),
    "Windows PowerShell": (trace(Received="/Date(1720736662000)/"), (TIME, *SENT, "success", None, None)),
    "a report of non-delivery": (
        of_graph(senderAddress="<>"),
        (TIME, None, *SENT[1:], "success", None, "no user"),
    ),
    "to nobody": (
        of_graph(recipientAddress=""),
        (TIME, *SENT[:2], None, SENT[3], "success", None, "no target"),
    ),
}
REAL = [record for record, _ in CASES.values()]


def read(path: Path, *records: Any, format: str = "message_trace") -> list[dict[str, Any]]:
    path.write_text(
        "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)
    )
    return events_of(path, format).to_pylist()


def test_events_by_hand(tmp_path):
    found = read(tmp_path / "log", *REAL)
    shown = [tuple(event[column] for column in SHOWN) for event in found]
    assert dict(zip(CASES, shown, strict=True)) == {name: expected for name, (_, expected) in CASES.items()}
    assert {(event["action"], event["target_kind"]) for event in found} == {("send", "resource")}
    assert [event["reporter"] for event in found[:2]] == ["corp.onmicrosoft.com", "Exchange Online"]
    assert {event["event_id"] for event in found[:-1]} == {"11111111-2222/evil@outside.example"}


def test_dropped(tmp_path):
    odd = [
        {},
        [],
        5,
        "{",
        "",
        trace(Received="yesterday"),
        trace(Received="1601-01-01T00:00:00"),
        trace(Status=None),
    ]
    reasons = [
        *["not a message trace record"] * 3,
        "not JSON",
        "empty line",
        "time not understood",
        "time before 1970",
    ]
    assert [event["dropped"] for event in read(tmp_path / "log", *odd)] == [
        *reasons,
        "not a message trace record",
    ]


@pytest.mark.parametrize(
    "time",
    ["7/11/2024 10:24:22 PM", "07/11/2024 22:24:22", "2024-07-11 22:24:22", "7/11/2024 10:24:22\u202fPM"],
)
@pytest.mark.parametrize("type_line", ["", "#TYPE Selected.X\r\n"])
def test_csv(tmp_path, time, type_line):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(trace()), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerow(trace(Received=time, Subject='Urgent, "now"\nor'))
    (tmp_path / "log").write_text(type_line + text.getvalue(), newline="")
    *headers, event = events_of(tmp_path / "log").to_pylist()
    assert [header["dropped"] for header in headers] == ["header"] * (1 + bool(type_line))
    assert tuple(event[column] for column in SHOWN) == (
        TIME,
        *SENT[:3],
        'Urgent, "now" or',
        "success",
        None,
        None,
    )


def test_recognises_its_own_and_nothing_else(tmp_path):
    def sample(*records: Any) -> Sample:
        texts = [record if isinstance(record, str) else json.dumps(record) for record in records]
        return Sample("log", tuple(texts), dt.datetime(2024, 1, 1))

    assert message_trace.recognises(sample(*REAL)) == len(REAL)
    assert (
        message_trace.recognises(table_of(["Received,SenderAddress,RecipientAddress,Status", "a,b,c,d"])) == 1
    )
    others = [{"SenderAddress": "a", "RecipientAddress": "b"}, {"Received": 5}, [], 5, "x", ""]
    assert message_trace.recognises(sample(*others)) == message_trace.recognises(sample("a,b", "1,2")) == 0
    assert m365.recognises(sample(*REAL)) == message_trace.recognises(sample()) == 0
