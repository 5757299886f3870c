"""Any CSV, JSON or Parquet log, by a mapping file (TOML) that names its columns.

    format = "csv"                  csv, jsonl (JSON documents too), parquet
    delimiter = ","                 csv: one character, "\\t" for a tabulator
    header = true                   csv: the first line names the columns; else columns are numbers from 1
    time_format = "iso8601"         iso8601, epoch_s, epoch_ms, a strptime pattern ("%d/%m/%Y %H:%M:%S"), or a list of such
    timezone = "Europe/Berlin"      of times that do not tell, a name of the IANA database; else as --log-timezone says
    [columns]                       event column = column, or JSON path: "user.name"; "/a/0/b.c" for odd keys; or a list of such,
                                    of which the first that says something counts
    [constants]                     event column = value for every line
    [values.outcome]                written value = [values in the log], case-insensitive; also for other columns
    [keep]                          column or JSON path = [values]: other lines are dropped, and counted

Event columns are those of `ueba.ingest.events`. Needs time, user and target. Beside target there is
`resource`, for logs that reach machines and applications: it is the target, of the kind resource, where a
line has no target. Of source and source_ip, and of target and target_ip, one tells the other. An outcome
that `values` does not name is unknown; another column's keeps its text. `skeleton` proposes a mapping for a
file, see `ueba.ingest.proposal`. Leaves out times without a year, or in two columns.
"""

from __future__ import annotations

import tomllib
import zoneinfo
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from ueba.errors import UsageError
from ueba.ingest import events
from ueba.ingest.fields import address, csv_fields, has_zone, json_fields, parsed_time, split_csv, told
from ueba.ingest.identity import once
from ueba.ingest.proposal import lookup, paths_of, skeleton
from ueba.ingest.sources import Options, Sample, Source

__all__ = ["read", "recognises", "skeleton", "source"]

DEFAULTS: dict[str, Any] = {
    "format": "",
    "delimiter": ",",
    "header": True,
    "time_format": "iso8601",
    "timezone": "",
    "columns": {},
    "constants": {},
    "values": {},
    "keep": {},
}
RESOURCE = "resource"
MAPPABLE = (*events.KEPT, RESOURCE)
FORMATS = ("csv", "jsonl", "parquet")
CONSTANTS = {"target_kind": "machine", "action": "logon"}
ADDRESSED = ("user", "source", "target", "source_ip", "target_ip")  # columns that may hold an address
NO_ZONE = "time without a zone: taken as "
ALLOWED = {
    "target_kind": ("machine", "resource"),
    "outcome": ("success", "failure", "unknown"),
}
FIRST_YEAR, LAST_YEAR = 1970, 2100


def source(format: str, options: Options) -> Source:
    """The mapping file `format`; what it does not tell of times, `options` do."""
    mapping = load(format)
    is_told = bool(mapping["timezone"])
    mapping |= {
        "timezone": mapping["timezone"] or options.timezone,
        "note": "" if is_told else NO_ZONE + options.timezone,
    }
    is_csv = mapping["format"] == "csv"
    return Source(
        Path(format).name,
        {"mapping": mapping},
        lambda lines, sample: read(lines, sample, mapping, format),
        by_header=is_csv,
        is_csv=is_csv,
        fields=tuple(dict.fromkeys(column for columns in wanted(mapping).values() for column in columns)),
    )


def recognises(sample: Sample) -> int:
    """None: only its owner knows what the columns of a log mean."""
    return 0


def load(path: str) -> dict[str, Any]:
    """The mapping file with its defaults, checked."""
    try:
        given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as reason:
        raise UsageError(
            f"{path}: cannot be read ({reason}); --log-format takes a format's name or a mapping file"
        ) from reason
    except tomllib.TOMLDecodeError as reason:
        raise UsageError(f"{path}: is not TOML: {reason}") from reason
    check_keys(path, "", given, DEFAULTS)
    mapping = DEFAULTS | given
    for table in ("columns", "constants", "values", "keep"):
        if not isinstance(mapping[table], dict):
            raise UsageError(f"{path}: {table}: {mapping[table]!r} is not possible; use a table, [{table}]")
    for table in ("columns", "constants", "values"):
        check_keys(path, f"{table}.", mapping[table], MAPPABLE)
    for key, wrong, allowed in wrong_values(mapping):
        raise UsageError(f"{path}: {key}: {wrong!r} is not possible; use {allowed}")
    return mapping


def check_keys(path: str, prefix: str, given: dict[str, Any], known: Any) -> None:
    for key in given:
        if key not in known:
            raise UsageError(f"{path}: unknown key {prefix}{key}; known: {', '.join(known)}")


def wrong_values(mapping: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """(key, value, what is allowed) of every setting that cannot be."""
    wrong = []
    if mapping["format"] not in FORMATS:
        wrong.append(("format", mapping["format"], "csv, jsonl or parquet"))
    if (
        not isinstance(mapping["delimiter"], str)
        or len(mapping["delimiter"]) != 1
        or mapping["delimiter"] in '"\n'
    ):
        wrong.append(("delimiter", mapping["delimiter"], "one character"))
    if not isinstance(mapping["header"], bool):
        wrong.append(("header", mapping["header"], "true or false"))
    if not all(map(is_time_format, listed(mapping["time_format"]))):
        wrong.append(
            ("time_format", mapping["time_format"], "iso8601, epoch_s, epoch_ms or a strptime pattern")
        )
    if not isinstance(mapping["timezone"], str) or mapping["timezone"] not in {
        "",
        *zoneinfo.available_timezones(),
    }:
        wrong.append(("timezone", mapping["timezone"], "a name of the IANA database, as Europe/Berlin"))
    numbered = mapping["format"] == "csv" and not mapping["header"]
    given = [
        (name, column) for name, columns in mapping["columns"].items() for column in listed(columns) or [None]
    ]
    for name, column in [*given, *((f"keep.{name}", name) for name in mapping["keep"])]:
        if numbered and not (str(column).isdigit() and int(column) > 0):
            wrong.append((f"columns.{name}", column, "the column's number, from 1"))
        elif not numbered and not (isinstance(column, str) and column):
            wrong.append((f"columns.{name}", column, "the column's name in quotes"))
    for name in ("time", "user", "target"):
        if name == "target" and RESOURCE in mapping["columns"]:
            continue
        if name not in mapping["columns"] and not (name != "time" and name in mapping["constants"]):
            wrong.append((f"columns.{name}", None, "the column of the log that holds it"))
    for name, value in mapping["constants"].items():
        if not isinstance(value, str) or value not in ALLOWED.get(name, (value,)) or name == "time":
            wrong.append((f"constants.{name}", value, " or ".join(ALLOWED.get(name, ("a text",)))))
    for name, values in mapping["values"].items():
        for written, read in values.items() if isinstance(values, dict) else [("", values)]:
            if not isinstance(read, list) or not all(isinstance(value, str | int) for value in read):
                wrong.append((f"values.{name}.{written}", read, "a list of values of the log"))
            elif written not in ALLOWED.get(name, (written,)):
                wrong.append((f"values.{name}", written, " or ".join(ALLOWED[name])))
    for name, kept in mapping["keep"].items():
        if not isinstance(kept, list) or not kept:
            wrong.append((f"keep.{name}", kept, "a list of values of the log"))
    return wrong


def is_time_format(given: Any) -> bool:
    return isinstance(given, str) and (given in ("iso8601", "epoch_s", "epoch_ms") or "%" in given)


def listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def wanted(mapping: dict[str, Any]) -> dict[str, list[str]]:
    """Every key of a mapping that names columns of the log, with those columns: `columns.user`,
    `keep.type`."""
    columns = {
        f"columns.{name}": [str(column) for column in listed(given)]
        for name, given in mapping["columns"].items()
    }
    return columns | {f"keep.{name}": [name] for name in mapping["keep"]}


def read(lines: ir.Table, sample: Sample, mapping: dict[str, Any], path: str) -> ir.Table:
    """lines -> events"""
    is_csv = mapping["format"] == "csv"
    rows, cases = (
        csv_columns(lines, sample.first, mapping, path)
        if is_csv
        else json_columns(lines, sample, mapping, path)
    )
    text = {name: rows[f"columns.{name}"] for name in mapping["columns"]}
    when = text.pop("time")
    formats = listed(mapping["time_format"])
    constants = {name: ibis.literal(value) for name, value in (CONSTANTS | mapping["constants"]).items()}
    columns = constants | {name: replaced(name, value, mapping["values"]) for name, value in text.items()}
    if "outcome" not in mapping["columns"] and "outcome" not in mapping["constants"]:
        columns["outcome"] = ibis.literal("unknown")
    is_told = (
        [has_zone(when)]
        if formats == ["iso8601"]
        else [ibis.literal(all("%z" in each or "epoch" in each for each in formats))]
    )
    note = (
        ibis.ifelse(is_told[0] | when.isnull(), None, mapping["note"])
        if mapping["note"]
        else ibis.null("string")
    )
    timed = rows.mutate(
        _at=ibis.coalesce(*(parsed_time(when, each, mapping["timezone"]) for each in formats))
    )
    return events.finish(
        timed,
        [
            *cases,
            *(
                (
                    timed[f"keep.{name}"].isnull()
                    | timed[f"keep.{name}"].notin([str(value) for value in kept]),
                    f"{events.NOT_A_LOGON}: not in keep.{name}",
                )
                for name, kept in mapping["keep"].items()
            ),
            (timed["columns.time"].isnull(), "no time"),
            (timed["_at"].isnull(), "time not understood"),
            ((timed["_at"].year() < FIRST_YEAR) | (timed["_at"].year() >= LAST_YEAR), "time out of range"),
        ],
        time=timed["_at"],
        note=note,
        **places(columns),
    )


def places(columns: dict[str, ir.Value]) -> dict[str, ir.Value]:
    """Event columns with all that source, target, their addresses and `resource` tell of each other."""
    made = columns | {name: unpadded(columns[name]) for name in ADDRESSED if name in columns}
    for name in ("source", "target"):
        given = [made[each] for each in (name, f"{name}_ip") if each in made]
        if given:
            made[name] = ibis.coalesce(*given)
            made[f"{name}_ip"] = ibis.coalesce(*(address(each) for each in reversed(given)))
    resource = made.pop(RESOURCE, None)
    if resource is not None:
        target = made.pop("target", ibis.null("string"))
        kind = ibis.ifelse(target.isnull() & resource.notnull(), "resource", made["target_kind"])
        made |= {"target": ibis.coalesce(target, resource), "target_kind": kind}
    if "target_ip" in made:
        made["target_ip"] = ibis.ifelse(made["target_kind"] == "machine", made["target_ip"], None)
    return made


def unpadded(name: ir.StringValue) -> ir.StringValue:
    """172.016.112.020 -> 172.16.112.20; any other name as it is."""

    def plain(name: ir.StringValue) -> ir.StringValue:
        is_padded = (name.contains(".0") | name.startswith("0")) & name.re_search(r"^\d{1,3}(\.\d{1,3}){3}$")
        return ibis.ifelse(is_padded, name.re_replace(r"(^|\.)0+(\d)", r"\1\2"), name)

    return once(name, plain)


def replaced(name: str, value: ir.StringValue, values: dict[str, dict[str, list[Any]]]) -> ir.StringValue:
    """A column with the mapping's `values` put in."""
    table = {str(text).lower(): written for written, read in values.get(name, {}).items() for text in read}
    if name == "outcome":
        table = table or {written: written for written in ALLOWED["outcome"]}
        return once(value.lower(), lambda text: text.cases(*table.items(), else_="unknown"))
    return once(value, lambda text: text.lower().cases(*table.items(), else_=text)) if table else value


def csv_columns(
    lines: ir.Table, first: str, mapping: dict[str, Any], path: str
) -> tuple[ir.Table, list[events.Case]]:
    """lines with a column for each key that names columns; quotes as RFC 4180 has them."""
    delimiter = mapping["delimiter"]
    header = (
        split_csv(first, delimiter)
        if mapping["header"]
        else [str(n + 1) for n in range(len(split_csv(first, delimiter)))]
    )
    keys = wanted(mapping)
    for key, columns in keys.items():
        if not any(column in header for column in columns):
            lacks = " or ".join(map(repr, columns))
            raise UsageError(
                f"{path}: {key}: the log has no column {lacks}; it has: {', '.join(header)[:200]}"
            )
    rows, values = csv_fields(lines, header, delimiter)
    found = {
        # a value that says nothing may be one to keep
        key: values[columns[0]]
        if key.startswith("keep.")
        else ibis.coalesce(*(told(values[column]) for column in columns if column in values))
        for key, columns in keys.items()
    }
    cases: list[events.Case] = [(rows.field.length() != len(header), f"not {len(header)} fields")]
    if mapping["header"]:
        cases.insert(0, ((rows.line == 1) | (rows.text == first), events.HEADER))
    return rows.mutate(**found), cases


def json_columns(
    lines: ir.Table, sample: Sample, mapping: dict[str, Any], path: str
) -> tuple[ir.Table, list[events.Case]]:
    """lines with a column for each key that names JSON paths."""
    keys = wanted(mapping)
    known = {known for record in sample.objects for known in paths_of(record)}
    times = keys["columns.time"]
    # what every record should have; another path may be one that only some records have
    if known and not any(
        lookup(record, time) not in (None, "") for record in sample.objects for time in times
    ):
        raise UsageError(
            f"{path}: columns.time: no record of the first {len(sample.objects)} has {' or '.join(map(repr, times))};"
            f" they have: {', '.join(sorted(known))[:200]}"
        )
    rows = json_fields(lines, keys)
    plain = {key: told(rows[key]) for key in keys if key.startswith("columns.")}
    return rows.mutate(**plain), [(~rows.is_json, "not JSON")]
