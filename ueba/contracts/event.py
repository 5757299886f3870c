"""An event: what a log source makes of one record. Who reached what, from where, how, and with what outcome.

`COLUMNS` is the table. A record is never lost: it is an event, or it is dropped for a reason, and then the
columns before `dropped` mean nothing. An event whose action is in EVIDENCE proves something about entities
and makes no edge: `privilege`, that `user` has administrator rights on `target`; `lease`, that `source` has
the address `source_ip`. Such an event may lack columns that an edge needs.

On disk `lake/events/batch=<id>/*.parquet` has the columns KEPT, `dropped`, `note` and `line`, `example` (the
beginning of the text of a record that was dropped or has a note) and `file` (its number in the manifest).
Leaves out the spelling of names (`ueba.ingest.identity`) and counting (`ueba.contracts.daily_edge`).
"""

from __future__ import annotations

import pyarrow as pa

from ueba.contracts.table import Column

PRIVILEGE, LEASE = "privilege", "lease"
EVIDENCE = (PRIVILEGE, LEASE)  # actions that make no edge
HOST, CONTROLLER, SOURCE = WITNESSES = ("host", "controller", "source")

# Why a record is dropped. Log sources have further reasons of their own.
HEADER = "header"  # a line that names the columns
NOT_A_LOGON = "not a logon"  # a reason that begins so: the record is well-formed and of no interest
EMPTY_LINE = "empty line"
LONG_LINE = "line longer than 1 MB"
LONGEST_NAME = 1024  # bytes
LONG_NAME = f"name longer than {LONGEST_NAME:,} bytes"
NOT_PARSED = "cannot be parsed"  # the record ends the query that reads it
NO_USER, NO_TARGET = "no user", "no target"
TIME_NOT_UNDERSTOOD = "time not understood"
TIME_TOO_EARLY = "time before 1970"
TIME_IN_THE_FUTURE = "time in the future"

_text, _time = pa.string(), pa.timestamp("us")
COLUMNS = (
    Column("time", _time, "UTC", "when"),
    Column(
        "user", _text, "", "the account that was used: `name@domain`, or `DOMAIN\\name` if the log says so"
    ),
    Column("actor", _text, "", "the account that used it, if another; null if the same"),
    Column("source", _text, "", "the machine acted from, its address if it has no name; null if unknown"),
    Column("target", _text, "", "the machine or resource reached"),
    Column("target_kind", _text, "", "machine or resource"),
    Column(
        "detail", _text, "", "what in the target: a file, a rule, a path in a share, an API call; or null"
    ),
    Column(
        "action",
        _text,
        "",
        "logon, ticket, service_ticket, explicit_credential, share_access, object_access, mailbox_access,"
        " forward, send, consent, assume_role, sso, ...; or one of EVIDENCE",
    ),
    Column(
        "logon_type", _text, "", "Network, Interactive, RemoteInteractive, ... as Windows has them; or null"
    ),
    Column("auth_package", _text, "", "Kerberos, NTLM, Negotiate, SAML, publickey, ...; null if unknown"),
    Column("outcome", _text, "", "success, failure or unknown"),
    Column("outcome_reason", _text, "", "why it failed, as the log says it; null if it does not"),
    Column("user_id", _text, "", "the directory's name of `user`: a SID, an object id, an e-mail address"),
    Column("source_ip", _text, "", "the address of `source`"),
    Column("target_ip", _text, "", "the address of `target`"),
    Column("reporter", _text, "", "the machine or service that wrote the log"),
    Column(
        "session", _text, "", "the logon session on the reporter (`host:0x3e7`); later events refer to it"
    ),
    Column(
        "witness", _text, "", "who saw this logon: one of WITNESSES; null if nobody else can have seen it"
    ),
    Column("code", _text, "", "the log's own name or number of such events"),
    Column("event_id", _text, "", "the log's own identity of this event, the same in every export"),
    Column(
        "dropped", _text, "", "null, or why this record is not an event: one of few reasons, to be counted"
    ),
    Column("note", _text, "", "null, or what had to be assumed (`year guessed`): one of few, to be counted"),
    Column("line", pa.int64(), "", "number of the line, or of the record in a JSON document, from 1"),
    Column("text", _text, "", "the record itself"),
)
NAMES = tuple(column.name for column in COLUMNS)
KEPT = NAMES[: NAMES.index("dropped")]  # the columns of an event that the lake keeps
SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])
