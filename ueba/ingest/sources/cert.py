"""CERT insider threat data sets, releases 1 to 6: `logon.csv`; records of their other logs are dropped.

    id,date,user,pc,activity
    {X1D9-S0ES98JV-5357PWMI},01/02/2010 06:49:00,DTAA/NGF0157,PC-6056,Logon

A logon is at the machine itself: these data sets have no remote logons, count screen unlocks as logons, and
record no failures. The domain before the user (`DTAA/`) is in some releases only. Times have no zone:
`--log-timezone` sets it. Leaves out device.csv, file.csv, http.csv and email.csv, which reach no other
machine, and people (LDAP, psychometric.csv). Format: J. Glasser, B. Lindauer (2013), "Bridging the Gap: A
Pragmatic Approach to Generating Insider Threat Data", and the readme.txt of each release,
https://doi.org/10.1184/R1/12841247.
"""

from __future__ import annotations

import re

import ibis
import ibis.expr.types as ir

from ueba.ingest import events
from ueba.ingest.fields import as_utc, csv_fields, json_fields, split_csv, try_strptime, value_or_null
from ueba.ingest.identity import once
from ueba.ingest.sources import LogSource, Options, Sample

COLUMNS = ("id", "date", "user", "pc")  # the first columns of every log of a release
LOGON = (*COLUMNS, "activity")
# A column that occurs in one other log only -> that log. The most certain first: later releases add columns.
OTHERS = {"url": "http", "to": "email", "filename": "file", "file_tree": "device"}
# Activities of device.csv, which has the columns of logon.csv in early releases.
CONNECT = ("Connect", "Disconnect")
LOGOFF = "Logoff"
IDENTITY = r"^\{[0-9A-Z]{4}-[0-9A-Z]{8}-[0-9A-Z]{8}\}$"
TIME = "%m/%d/%Y %H:%M:%S"


def source(format: str, options: Options) -> LogSource:
    settings = {"format": format, "timezone": options.timezone}
    return LogSource(
        format,
        settings,
        lambda lines, columns: read(lines, columns, options.timezone),
        facts=columns_of,
        frame="rows",
        fields=LOGON,
    )


def recognises(sample: Sample) -> int:
    """Rows with the columns of every log and an identity of a form that no other log has; without a header,
    rows that begin with such an identity, from the first on."""
    if sample.columns:
        rows = [record for record in sample.objects if set(COLUMNS) <= record.keys()]
        return sum(
            re.match(IDENTITY, str(record["id"])) is not None or not any(record.values()) for record in rows
        )
    fields = [split_csv(record) for record in sample.records[:50]]
    is_row = [len(row) > len(COLUMNS) and re.match(IDENTITY, row[0]) is not None for row in fields]
    return sum(is_row) if is_row and is_row[0] else 0


def columns_of(sample: Sample) -> tuple[str, ...]:
    """The columns of a file; none if it has no header."""
    return tuple(sample.objects[0]) if sample.columns and sample.objects else ()


def read(lines: ir.Table, columns: tuple[str, ...], timezone: str) -> ir.Table:
    """lines -> events. columns: of the header; without one they are those of `logon.csv`"""
    if columns:
        rows = json_fields(lines, {f"_{name}": name for name in LOGON})
        cases = [(~rows.is_json, "not a CERT record")]
    else:
        rows, values = csv_fields(lines, LOGON)
        rows = rows.mutate(**{f"_{name}": value_or_null(value) for name, value in values.items()})
        cases = [(rows.field.length() != len(LOGON), f"not {len(LOGON)} fields")]
    user = rows._user.re_replace(r"^([^/]+)/", r"\1\\")
    other = next((log for column, log in OTHERS.items() if column in columns), None)
    return events.finish(
        rows,
        [
            *cases,
            (~rows._id.re_search(IDENTITY).fill_null(False), "not a CERT record"),
            *([(rows._id.notnull(), f"{events.NOT_A_LOGON}: {other}")] if other else []),
            (rows._activity.isin(CONNECT), f"{events.NOT_A_LOGON}: device"),
            (rows._activity == LOGOFF, f"{events.NOT_A_LOGON}: {LOGOFF}"),
            (~rows._activity.identical_to("Logon"), "unknown activity"),
        ],
        time=as_utc(try_strptime(rows._date, TIME), timezone),
        user=user,
        source=rows._pc,
        target=rows._pc,
        target_kind=ibis.literal("machine"),
        action=ibis.literal("logon"),
        logon_type=ibis.literal("Interactive"),
        outcome=ibis.literal("success"),
        event_id=once(rows._id, lambda text: text.substr(1, text.length() - 2)),
        note=ibis.literal(f"time without a zone: taken as {timezone}"),
    )
