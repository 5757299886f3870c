"""LANL `auth.txt`: the authentication log of the Los Alamos data sets, nine fields a line, no header, `?`
for unknown.

    seconds, source user@domain, destination user@domain, source computer, destination computer,
    authentication type, logon type, orientation, Success|Fail

Seconds count from an epoch that the data set keeps to itself; `--log-epoch` says which to use. The user is the
account that was logged on (field 3); the one that did it (field 2) is the actor. Quotes are plain
characters. Names are canonical, and kept as written. Leaves out what is not a logon: LogOff, AuthMap,
ScreenLock and the like are dropped, and counted. Format: A. D. Kent (2015), "Comprehensive, Multi-source
Cyber-security Events", https://csr.lanl.gov/data/cyber1/.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import make_timestamp
from ueba.ingest.identity import blank_to_null
from ueba.ingest.sources import Options, Sample, Source

FIELDS = 9
ACTION = {"LogOn": "logon", "TGT": "ticket", "TGS": "service_ticket"}
NO_LOGON = ("LogOff", "AuthMap", "ScreenLock", "ScreenUnlock")
OUTCOME = {"Success": "success", "Fail": "failure"}
CENTURY = 100 * 366 * 86400  # seconds
TRUNCATED = "MICROSOFT_AUTH"  # the log cuts this package's name at various lengths
PACKAGE = "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0"


def source(format: str, options: Options) -> Source:
    """Second 0 of the log is `options.epoch`."""
    settings = {"format": format, "epoch": options.epoch.isoformat()}
    return Source(format, settings, lambda lines, sample: read(lines, options.epoch), canonical=True)


def recognises(sample: Sample) -> int:
    """Lines of nine fields, of which the first is a number and the eighth an orientation."""
    fields = [line.split(",") for line in sample.records]
    known = (*ACTION, *NO_LOGON)
    return sum(len(each) == FIELDS and each[0].isdigit() and each[7] in known for each in fields)


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
