"""An event: what every source makes of one line of a log. Who reached what, from where, how, and whether it worked.

| column       | type         | meaning                                                                               |
|--------------|--------------|---------------------------------------------------------------------------------------|
| time         | timestamp(6) | UTC, microseconds                                                                     |
| user         | string       | the account that was used, `name@domain` where the log tells the domain               |
| actor        | string       | the account that used it, if another; null if the same                                |
| source       | string       | the machine acted from; null if unknown                                               |
| target       | string       | the machine or resource reached                                                       |
| target_kind  | string       | machine, resource                                                                     |
| action       | string       | logon, ticket, service_ticket, explicit_credential, share_access, object_access, ...  |
| logon_type   | string       | as the log names it (Network, Interactive, ...); null if unknown                      |
| auth_package | string       | Kerberos, NTLM, Negotiate, ...; null if unknown                                       |
| outcome      | string       | success, failure, unknown                                                             |
| dropped      | string       | null, or why this line is not an event: one of few reasons, to be counted              |
| line         | int64        | the number of the line, from 1                                                        |
| text         | string       | the line itself                                                                       |

A line is never lost: it is an event, or it is dropped for a reason, and then the other columns mean nothing. Lines come
in as (line, text), see `read`. Leaves out: spelling of names (`identity`) and counting (`edges`).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest.read import MAX_LINE

COLUMNS = (
    "time",
    "user",
    "actor",
    "source",
    "target",
    "target_kind",
    "action",
    "logon_type",
    "auth_package",
    "outcome",
    "dropped",
    "line",
    "text",
)
LINES = ibis.schema({"line": "int64", "text": "string"})
SCHEMA = ibis.schema({name: "string" for name in COLUMNS} | {"time": "timestamp(6)", "line": "int64"})

NOT_A_LOGON = "not a logon"  # a reason that begins so is of a line that is well-formed, and of no interest
HEADER = "header"  # the reason of a line that names the columns
Case = tuple[ir.BooleanValue, str]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def strlen(text: str) -> int:  # type: ignore[empty-body]
    """Bytes, without looking at them."""


def finish(lines: ir.Table, cases: list[Case], **columns: ir.Value) -> ir.Table:
    """lines and what a source found in them -> events. The first case that holds is why a line is dropped."""
    unreadable: list[Case] = [
        (strlen(lines.text) > MAX_LINE, "line longer than 1 MB"),
        (lines.text == "", "empty line"),
    ]
    found = lines.mutate(dropped=ibis.cases(*unreadable, *cases, else_=ibis.null("string")), **columns)
    return found.select([found[name].cast(SCHEMA[name]) for name in COLUMNS])
