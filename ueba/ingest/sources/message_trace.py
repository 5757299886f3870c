"""Exchange Online message trace: JSON or CSV of Get-MessageTrace(V2), its reporting web service, and Graph.

A record is a message to one recipient: `send` from the sender to the recipient's address; the subject is the
detail. A sender outside the organisation is a user too; the source of incoming mail is its mail server.
Delivered and expanded (to a group) are successes; quarantined, filtered as spam and failed are failures; any
other status is unknown: the message is pending, or has another record for the recipient to whom it went.
Leaves out reports of historical searches, whose records have several recipients. Fields:
https://learn.microsoft.com/powershell/module/exchange/get-messagetracev2 (times are UTC),
https://learn.microsoft.com/graph/api/resources/exchangemessagetrace.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import address, all_paths, any_time, json_fields
from ueba.ingest.identity import once
from ueba.ingest.sources import LogSource, Options, Sample
from ueba.ingest.sources.m365 import OWN_NETWORK

FIELDS: dict[str, tuple[str, ...]] = {
    "received": ("Received", "receivedDateTime"),
    "sender": ("SenderAddress", "senderAddress"),
    "recipient": ("RecipientAddress", "recipientAddress"),
    "subject": ("Subject", "subject"),
    "status": ("Status", "status"),
    "from_ip": ("FromIP", "fromIP"),
    "trace": ("MessageTraceId", "id"),
    "organization": ("Organization",),
}
OUTCOME = {
    **dict.fromkeys(("delivered", "expanded"), "success"),
    **dict.fromkeys(("failed", "filteredasspam", "quarantined"), "failure"),
}
NOBODY = "<>"  # the sender of non-delivery reports
SERVICE = "Exchange Online"


def source(format: str, options: Options) -> LogSource:
    """Times are UTC in every form of this log."""
    return LogSource(
        format,
        {"format": format},
        lambda lines, facts: read(lines),
        fields=all_paths(FIELDS),
    )


def recognises(sample: Sample) -> int:
    """Objects or rows with the time when a message was received, its sender, its recipient and its status."""
    records = [{key.lower() for key in record} for record in sample.objects]
    needed = {"senderaddress", "recipientaddress", "status"}
    return sum(needed <= keys and bool({"received", "receiveddatetime"} & keys) for keys in records)


def read(lines: ir.Table) -> ir.Table:
    """lines -> events"""
    rows = json_fields(lines, FIELDS)
    rows = rows.mutate(
        to=rows.recipient.lower(),
        ended=rows.status.lower().cases(*OUTCOME.items(), else_="unknown"),
        address=once(address(rows.from_ip), lambda ip: ibis.ifelse(ip.re_search(OWN_NETWORK), None, ip)),
    )
    return events.finish(
        rows,
        [
            (~rows.is_json, "not JSON"),
            (rows.received.isnull() | rows.status.isnull(), "not a message trace record"),
        ],
        time=any_time(rows.received),
        user=rows.sender.nullif(NOBODY),
        source=rows.address,
        source_ip=rows.address,
        target=rows.to,
        target_kind=ibis.literal("resource"),
        detail=rows.subject,
        action=ibis.literal("send"),
        outcome=rows.ended,
        outcome_reason=ibis.ifelse(rows.ended == "success", None, rows.status),
        reporter=ibis.coalesce(rows.organization, SERVICE),
        code=rows.status,
        event_id=rows.trace + "/" + rows.to,
    )
