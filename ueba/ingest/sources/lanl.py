"""LANL `auth.txt`: the authentication log of the Los Alamos data sets, nine fields a line, no header, `?`
for unknown.

    seconds, source user@domain, destination user@domain, source computer, destination computer,
    authentication type, logon type, orientation, Success|Fail

Seconds count from an epoch that the data set does not disclose; `--log-epoch` sets one. The user is the
account that was logged on (field 3); the account that logged it on (field 2) is the actor. Quotes are plain
characters. Names are canonical and are not changed. Leaves out LogOff, AuthMap, ScreenLock and ScreenUnlock:
such records are dropped. Format: A. D. Kent (2015), "Comprehensive, Multi-source Cyber-security Events",
https://csr.lanl.gov/data/cyber1/.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import make_timestamp
from ueba.ingest.identity import blank_to_null
from ueba.ingest.sources import LogSource, Options, Sample

FIELDS = 9
ACTION = {"LogOn": "logon", "TGT": "ticket", "TGS": "service_ticket"}
NO_LOGON = ("LogOff", "AuthMap", "ScreenLock", "ScreenUnlock")
OUTCOME = {"Success": "success", "Fail": "failure"}
CENTURY = 100 * 366 * 86400  # seconds
TRUNCATED = "MICROSOFT_AUTH"  # the log truncates the name of this package to various lengths
PACKAGE = "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0"


def source(format: str, options: Options) -> LogSource:
    """options: `epoch` is second 0 of the log."""
    settings = {"format": format, "epoch": options.epoch.isoformat()}
    return LogSource(format, settings, lambda lines, facts: read(lines, options.epoch), canonical=True)


def recognises(sample: Sample) -> int:
    """Lines of nine fields whose first field is a number and whose eighth is an orientation."""
    rows = [line.split(",") for line in sample.records]
    orientations = (*ACTION, *NO_LOGON)
    return sum(len(row) == FIELDS and row[0].isdigit() and row[7] in orientations for row in rows)


def read(lines: ir.Table, epoch: dt.datetime) -> ir.Table:
    """lines -> events"""
    fields = lines.mutate(field=lines.text.split(","))
    seconds, actor, user, source, target, package, logon_type, orientation, outcome = (
        fields.field[number] for number in range(FIELDS)
    )
    rows = fields.mutate(
        seconds=seconds.try_cast("int64"),
        actor=blank_to_null(actor),
        user=ibis.coalesce(blank_to_null(user), blank_to_null(actor)),
        target=blank_to_null(target),
        orientation=orientation,
    )
    microseconds = int((epoch - dt.datetime(1970, 1, 1)) / dt.timedelta(microseconds=1))
    return events.finish(
        rows,
        [
            (rows.field.length() != FIELDS, f"not {FIELDS} fields"),
            *((rows.orientation == name, f"{events.NOT_A_LOGON}: {name}") for name in NO_LOGON),
            (rows.orientation.notin(tuple(ACTION)), "unknown orientation"),
            (rows.seconds.isnull(), "time is not a number"),
            ((rows.seconds < 0) | (rows.seconds > CENTURY), "time out of range"),
        ],
        time=make_timestamp(rows.seconds.clip(0, CENTURY) * 1_000_000 + microseconds),
        actor=ibis.ifelse(rows.actor == rows.user, None, rows.actor),
        source=blank_to_null(source),
        target_kind=ibis.literal("machine"),
        action=rows.orientation.cases(*ACTION.items()),
        logon_type=blank_to_null(logon_type),
        auth_package=ibis.ifelse(package.startswith(TRUNCATED), PACKAGE, blank_to_null(package)),
        outcome=outcome.cases(*OUTCOME.items(), else_="unknown"),
    )
