"""Any CSV, JSON or Parquet log, through a mapping file (TOML) that names its columns.

    [columns]                       event column = column of the log
    [constants], [values], [keep]   event column = value; value = [values in the log]; which lines to read

All keys are in `ueba.ingest.mapping`. A line without target has its `resource` as the target, of the kind
resource. An address in source is source_ip too, and without source, source_ip is the source; so with target
and target_ip. An outcome that `values` does not name is unknown; any other column keeps its text. `skeleton`
proposes a mapping for a file, see `ueba.ingest.proposal`. Leaves out times without a year, or in two columns.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import ibis
import ibis.expr.types as ir

from ueba.errors import InputError
from ueba.ingest import events
from ueba.ingest.fields import (
    Cases,
    Columns,
    address,
    csv_fields,
    has_zone,
    json_fields,
    parsed_time,
    split_csv,
    value_or_null,
)
from ueba.ingest.identity import once
from ueba.ingest.mapping import ALLOWED, ISO, RESOURCE, MappingFile, load
from ueba.ingest.proposal import lookup, paths_of, skeleton
from ueba.ingest.sources import LogSource, Options, Sample

__all__ = ["read", "recognises", "skeleton", "source"]

CONSTANTS = {"target_kind": "machine", "action": "logon"}  # of a mapping that sets none
ADDRESSED = ("user", "source", "target", "source_ip", "target_ip")  # columns that may have an address
PORT = r"^\[.*\](:\d+)?$|^[\d.]+:\d+$"  # of an address, as logs of gateways and cloud services write it
NO_ZONE = "time without a zone: taken as "
FIRST_YEAR, LAST_YEAR = 1970, 2100
SHOWN = 200  # characters of the columns of a log in a message


def source(format: str, options: Options) -> LogSource:
    """The mapping file `format`. options: `timezone` is that of times without a zone, unless the file sets
    it."""
    mapping = load(format)
    note = "" if mapping.timezone else NO_ZONE + options.timezone
    mapping = dataclasses.replace(mapping, timezone=mapping.timezone or options.timezone)
    is_csv = mapping.format == "csv"
    return LogSource(
        Path(format).name,
        {"mapping": mapping.as_json() | {"note": note}},
        lambda lines, header: read(lines, header, mapping, note),
        facts=lambda sample: (
            header_of(sample, mapping, format) if is_csv else check_time(sample, mapping, format)
        ),
        frame="rows" if is_csv else "",
        fields=tuple(dict.fromkeys(name for names in mapping.wanted().values() for name in names)),
    )


def recognises(sample: Sample) -> int:
    """None: only its owner knows what the columns of a log mean."""
    return 0


def read(lines: ir.Table, header: str | None, mapping: MappingFile, note: str) -> ir.Table:
    """lines -> events. header: the first record of a CSV; note: of a time without a zone"""
    rows, cases = json_columns(lines, mapping) if header is None else csv_columns(lines, header, mapping)
    when = rows["columns.time"]
    times = (parsed_time(when, format, mapping.timezone) for format in mapping.time_format)
    rows = rows.mutate(_at=ibis.coalesce(*times))
    has_note = ~says_zone(when, mapping) & when.notnull()
    return events.finish(
        rows,
        [*cases, *not_kept(rows, mapping), *without_time(rows)],
        time=rows["_at"],
        note=ibis.ifelse(has_note, note, None) if note else ibis.null("string"),
        **places(event_columns(rows, mapping)),
    )


def not_kept(rows: ir.Table, mapping: MappingFile) -> Cases:
    """The lines whose values are not in [keep]."""
    return [
        (
            rows[f"keep.{name}"].isnull() | rows[f"keep.{name}"].notin(list(values)),
            f"{events.NOT_A_LOGON}: not in keep.{name}",
        )
        for name, values in mapping.keep.items()
    ]


def without_time(rows: ir.Table) -> Cases:
    year = rows["_at"].year()
    return [
        (rows["columns.time"].isnull(), "no time"),
        (rows["_at"].isnull(), "time not understood"),
        ((year < FIRST_YEAR) | (year >= LAST_YEAR), "time out of range"),
    ]


def says_zone(when: ir.StringValue, mapping: MappingFile) -> ir.BooleanValue:
    """Whether a time has its zone: in its text, or by the format of the log."""
    if mapping.time_format == (ISO,):
        return has_zone(when)
    return ibis.literal(all("%z" in format or "epoch" in format for format in mapping.time_format))


# --- columns of the log -> columns of events ----------------------------------------------------------------


def event_columns(rows: ir.Table, mapping: MappingFile) -> Columns:
    """The columns that the mapping sets, without the time."""
    constants = {name: ibis.literal(value) for name, value in (CONSTANTS | mapping.constants).items()}
    unknown = {"outcome": ibis.literal("unknown")}
    mapped = {
        name: replaced(name, rows[f"columns.{name}"], mapping.values.get(name, {}))
        for name in mapping.columns
        if name != "time"
    }
    return unknown | constants | mapped


def places(columns: Columns) -> Columns:
    """Event columns with what source, target, their addresses and `resource` say of each other."""
    plain = {name: unpadded(columns[name]) for name in ADDRESSED if name in columns}
    found = columns | plain
    for name in ("source", "target"):
        names = [found[column] for column in (name, f"{name}_ip") if column in found]
        if names:
            whole = ibis.coalesce(*names)
            is_machine = ibis.literal(name == "source") | (found["target_kind"] == "machine")
            found[name] = ibis.ifelse(is_machine, without_port(whole), whole)
            found[f"{name}_ip"] = ibis.coalesce(*(address(value) for value in reversed(names)))
    resource = found.pop(RESOURCE, None)
    if resource is not None:
        target = found.pop("target", ibis.null("string"))
        kind = ibis.ifelse(target.isnull() & resource.notnull(), "resource", found["target_kind"])
        found |= {"target": ibis.coalesce(target, resource), "target_kind": kind}
    if "target_ip" in found:
        found["target_ip"] = ibis.ifelse(found["target_kind"] == "machine", found["target_ip"], None)
    return found


def without_port(name: ir.StringValue) -> ir.StringValue:
    """10.0.0.7:51234 -> 10.0.0.7, which is one machine whatever the port; any other name is not changed."""
    return once(
        name, lambda text: ibis.ifelse(text.re_search(PORT), ibis.coalesce(address(text), text), text)
    )


def unpadded(name: ir.StringValue) -> ir.StringValue:
    """172.016.112.020 -> 172.16.112.20; any other name is not changed."""

    def plain(name: ir.StringValue) -> ir.StringValue:
        is_padded = (name.contains(".0") | name.startswith("0")) & name.re_search(r"^\d{1,3}(\.\d{1,3}){3}$")
        return ibis.ifelse(is_padded, name.re_replace(r"(^|\.)0+(\d)", r"\1\2"), name)

    return once(name, plain)


def replaced(name: str, value: ir.StringValue, values: dict[str, str]) -> ir.StringValue:
    """A column with the mapping's `values` put in. values: text in the log, in lower case -> value"""
    if name == "outcome":
        outcomes = values or {outcome: outcome for outcome in ALLOWED["outcome"]}
        return once(value.lower(), lambda text: text.cases(*outcomes.items(), else_="unknown"))
    if not values:
        return value
    return once(value, lambda text: text.lower().cases(*values.items(), else_=text))


# --- records -> columns of the log --------------------------------------------------------------------------


def header_of(sample: Sample, mapping: MappingFile, path: str) -> str:
    """The first record of a CSV, which names its columns or shows how many there are. Raises InputError if it
    lacks a column of the mapping."""
    names_of = columns(sample.first, mapping)
    for key, names in mapping.wanted().items():
        if not any(name in names_of for name in names):
            missing = " or ".join(map(repr, names))
            raise InputError(
                f"{sample.path}: has no column {missing}, which {path} names as {key}; it has:"
                f" {', '.join(names_of)[:SHOWN]}"
            )
    return sample.first


def columns(header: str, mapping: MappingFile) -> list[str]:
    """The names of columns; numbers if the first record does not name them."""
    first = split_csv(header, mapping.delimiter)
    return first if mapping.header else [str(number + 1) for number in range(len(first))]


def csv_columns(lines: ir.Table, header: str, mapping: MappingFile) -> tuple[ir.Table, Cases]:
    """lines with a column for each key that names columns; quotes as in RFC 4180."""
    names_of = columns(header, mapping)
    rows, values = csv_fields(lines, names_of, mapping.delimiter)
    found = {
        # an empty value, `?` or `-` may be one to keep
        key: values[names[0]]
        if key.startswith("keep.")
        else ibis.coalesce(*(value_or_null(values[name]) for name in names if name in values))
        for key, names in mapping.wanted().items()
    }
    cases: Cases = [(rows.field.length() != len(names_of), f"not {len(names_of)} fields")]
    if mapping.header:
        cases.insert(0, ((rows.line == 1) | (rows.text == header), events.HEADER))
    return rows.mutate(**found), cases


def json_columns(lines: ir.Table, mapping: MappingFile) -> tuple[ir.Table, Cases]:
    """lines with a column for each key that names JSON paths."""
    wanted = mapping.wanted()
    rows = json_fields(lines, wanted)
    plain = {key: value_or_null(rows[key]) for key in wanted if key.startswith("columns.")}
    return rows.mutate(**plain), [(~rows.is_json, "not JSON")]


def check_time(sample: Sample, mapping: MappingFile, path: str) -> None:
    """Raises InputError if no record of the sample has the time. Every record should have one; another path
    may be in some records only."""
    times = mapping.columns["time"]
    paths = {path for record in sample.objects for path in paths_of(record)}
    if paths and not any(
        lookup(record, time) not in (None, "") for record in sample.objects for time in times
    ):
        named = " or ".join(map(repr, times))
        raise InputError(
            f"{sample.path}: no record of the first {len(sample.objects)} has {named}, which {path} names as"
            f" columns.time; they have: {', '.join(sorted(paths))[:SHOWN]}"
        )
