"""Exchange Online message trace: JSON or CSV of Get-MessageTrace(V2), its reporting web service, and Graph.

A message to one recipient is a record: `send` from the sender to the recipient's address, the subject is the
detail. A sender outside is a user like any other; the address from which mail comes in is that of its mail
server. Delivered is a success, and so is a message to a group, which was expanded; what was quarantined,
filtered as spam or failed is a failure; the rest is pending or went to somebody else, which has its own
record. Leaves out reports of historical searches, where a record has several recipients. Fields:
https://learn.microsoft.com/powershell/module/exchange/get-messagetracev2 (times are UTC),
https://learn.microsoft.com/graph/api/resources/exchangemessagetrace.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import address, exported_time, record_fields
from ueba.ingest.identity import once
from ueba.ingest.sources import Options, Sample, Source
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
NOBODY = "<>"  # sends reports that mail was not delivered
SERVICE = "Exchange Online"


def source(format: str, options: Options) -> Source:
    """Times are UTC in all of its forms."""
    fields = tuple(path for given in FIELDS.values() for path in given)
    return Source(
        format,
        {"format": format},
        lambda lines, sample: read(lines, sample.header),
        by_header=True,
        is_csv=True,
        fields=fields,
    )


def recognises(sample: Sample) -> int:
    """Objects or rows with a time of receipt and the addresses of a message."""
    keys = [{key.lower() for key in record} for record in sample.objects or sample.rows]
    needed = {"senderaddress", "recipientaddress", "status"}
    return sum(needed <= each and bool({"received", "receiveddatetime"} & each) for each in keys)


def read(lines: ir.Table, header: str) -> ir.Table:
    """lines -> events. header: of a CSV, else empty"""
    rows, cases = record_fields(lines, header, FIELDS)
    rows = rows.mutate(
        to=rows.recipient.lower(),
        ended=rows.status.lower().cases(*OUTCOME.items(), else_="unknown"),
        address=once(address(rows.from_ip), lambda ip: ibis.ifelse(ip.re_search(OWN_NETWORK), None, ip)),
    )
    return events.finish(
        rows,
        [*cases, (rows.received.isnull() | rows.status.isnull(), "not a message trace record")],
        time=exported_time(rows.received),
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
