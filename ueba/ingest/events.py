"""An event: what every source makes of one record of a log. Who reached what, from where, how, and whether
it worked.

| column         | type         | meaning                                                                             |
|----------------|--------------|-------------------------------------------------------------------------------------|
| time           | timestamp(6) | UTC, microseconds                                                                   |
| user           | string       | the account that was used, `name@domain` or `DOMAIN\\name` where the log tells it    |
| actor          | string       | the account that used it, if another; null if the same                              |
| source         | string       | name of the machine acted from, its address if the log has no name; null if unknown |
| target         | string       | the machine or resource reached                                                     |
| target_kind    | string       | machine, resource                                                                   |
| detail         | string       | what in the target: a file, a rule, a path in a share, an API call; null if nothing |
| action         | string       | logon, ticket, service_ticket, explicit_credential, share_access, object_access,    |
|                |              | mailbox_access, forward, send, consent, assume_role, sso; and evidence, see below   |
| logon_type     | string       | Network, Interactive, RemoteInteractive, ... as Windows names them; null if unknown |
| auth_package   | string       | Kerberos, NTLM, Negotiate, SAML, publickey, ...; null if unknown                    |
| outcome        | string       | success, failure, unknown                                                           |
| outcome_reason | string       | why it failed, as the log says it; null if it does not                              |
| user_id        | string       | what the directory calls `user`: a SID, an object id, an e-mail address             |
| source_ip      | string       | the address of `source`                                                             |
| target_ip      | string       | the address of `target`                                                             |
| reporter       | string       | the machine or service that wrote the log                                           |
| session        | string       | the logon session on the reporter (`host:0x3e7`), to which later events refer       |
| witness        | string       | where one logon may be seen several times, this is the view of: the host, the       |
|                |              | controller, or the source; null where nobody else saw it                            |
| code           | string       | the log's own name or number for such events                                        |
| event_id       | string       | the log's own identity of this event: the same wherever it is exported again        |
| dropped        | string       | null, or why this record is not an event: one of few reasons, to be counted         |
| note           | string       | null, or what had to be assumed ("time without a zone"): one of few, to be counted  |
| line           | int64        | the number of the line (of the record, in a JSON document), from 1                  |
| text           | string       | the record itself                                                                   |

A record is never lost: it is an event, or it is dropped for a reason, and then the other columns mean
nothing. Records come in as (line, text), see `read`. An event whose action is in EVIDENCE tells about
entities and makes no edge: `privilege`, that `user` holds administrator rights on `target`; `lease`, that
`source` has the address `source_ip`; such may lack what edges need.

Leaves out: spelling of names (`identity`), who is who (`entities`), counting (`edges`).
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir

from ueba.ingest.read import MAX_LINE

KEPT = (
    "time",
    "user",
    "actor",
    "source",
    "target",
    "target_kind",
    "detail",
    "action",
    "logon_type",
    "auth_package",
    "outcome",
    "outcome_reason",
    "user_id",
    "source_ip",
    "target_ip",
    "reporter",
    "session",
    "witness",
    "code",
    "event_id",
)
KEPT_SQL = ", ".join(f'"{name}"' for name in KEPT)
COLUMNS = (*KEPT, "dropped", "note", "line", "text")
LINES = ibis.schema({"line": "int64", "text": "string"})
FILE = "file_number"  # a column of lines that is carried along: the number of their file, where lines of several are read at once
SCHEMA = ibis.schema({name: "string" for name in COLUMNS} | {"time": "timestamp(6)", "line": "int64"})

PRIVILEGE, LEASE = "privilege", "lease"
EVIDENCE = (PRIVILEGE, LEASE)
HOST, CONTROLLER, SOURCE = WITNESSES = ("host", "controller", "source")

NOT_A_LOGON = "not a logon"  # a reason that begins so is of a record that is well-formed, and of no interest
HEADER = "header"  # the reason of a line that names the columns
CALENDAR = (dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))
FIRST_YEAR = 1970  # before it, a clock was not set: Windows begins in 1601
Case = tuple[ir.BooleanValue, str]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def strlen(text: str) -> int:  # type: ignore[empty-body]
    """Bytes, without looking at them."""


def finish(lines: ir.Table, cases: list[Case], **columns: ir.Value) -> ir.Table:
    """lines and what a source found in them -> events. The first case that holds is why a record is dropped;
    columns that neither has are null. A time that is null was not understood; a user or target that is null
    is why a record is dropped."""
    missing = [name for name in COLUMNS if name not in lines.columns and name != "dropped"]
    given = {name: ibis.null(SCHEMA[name]) for name in missing} | columns
    made = lines.mutate(**given)
    makes_edge = made.action.isnull() | made.action.notin(EVIDENCE)
    unreadable: list[Case] = [
        (strlen(lines.text) > MAX_LINE, "line longer than 1 MB"),
        (lines.text == "", "empty line"),
    ]
    is_time = made.time.between(*CALENDAR).fill_null(
        False
    )  # DuckDB reads `-infinity` as a time, and years BC
    unusable: list[Case] = [
        (~is_time, "time not understood"),
        (made.time.year() < FIRST_YEAR, f"time before {FIRST_YEAR}"),
        (made.time > latest(), "time in the future"),
        (made.user.isnull() & makes_edge, "no user"),
        (made.target.isnull() & makes_edge, "no target"),
    ]
    time = ibis.ifelse(is_time, made.time, None)
    found = made.mutate(
        time=time, dropped=ibis.cases(*unreadable, *cases, *unusable, else_=ibis.null("string"))
    )
    carried = [found[FILE]] if FILE in lines.columns else []
    return found.select([found[name].cast(SCHEMA[name]).name(name) for name in COLUMNS] + carried)


def latest() -> dt.datetime:
    """After this time, UTC, a clock was wrong: a day from now, for zones that were not told."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0) + dt.timedelta(days=1)
