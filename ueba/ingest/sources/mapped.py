"""Any CSV or JSON lines log, by a mapping file (TOML) that names its columns.

    format = "csv"                  csv, jsonl
    delimiter = ","                 csv: one character
    header = true                   csv: the first line names the columns; else columns are numbers from 1
    time_format = "iso8601"         iso8601, epoch_s, epoch_ms, or a strptime pattern ("%d/%m/%Y %H:%M:%S")
    timezone = "UTC"                of times that do not tell: a name of the IANA database
    [columns]                       event column = CSV column, or JSON path: "user.name"; "/a/0/b.c" for odd keys
    [constants]                     event column = value for every line
    [values.outcome]                written value = [values in the log], case-insensitive; also for other columns
    [keep]                          CSV column or JSON path = [values]: other lines are dropped, and counted

Needs time, user and target. An outcome that `values` does not name is unknown; another column's keeps its text.
Leaves out: CSV records that span lines, and times without a year.
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
from ueba.ingest.fields import csv_fields, json_fields, parsed_time, split_csv, told
from ueba.ingest.identity import once
from ueba.ingest.sources import Options, Sample, Source

DEFAULTS: dict[str, Any] = {
    "format": "",
    "delimiter": ",",
    "header": True,
    "time_format": "iso8601",
    "timezone": "UTC",
    "columns": {},
    "constants": {},
    "values": {},
    "keep": {},
}
MAPPABLE = events.KEPT
CONSTANTS = {"target_kind": "machine", "action": "logon"}
ALLOWED = {
    "target_kind": ("machine", "resource"),
    "outcome": ("success", "failure", "unknown"),
}
FIRST_YEAR, LAST_YEAR = 1970, 2100


def source(format: str, options: Options) -> Source:
    """The mapping file `format`, which tells all that `options` could."""
    mapping = load(format)
    is_csv = mapping["format"] == "csv"
    return Source(
        Path(format).name,
        {"mapping": mapping},
        lambda lines, sample: read(lines, sample.first, mapping, format),
        by_header=is_csv,
        is_csv=is_csv,
        fields=tuple(str(column) for column in (*mapping["columns"].values(), *mapping["keep"])),
    )


def recognises(sample: Sample) -> int:
    """None: only its owner knows what the columns of a log mean."""
    return 0


def load(path: str) -> dict[str, Any]:
    """The mapping file with its defaults, checked."""
    try:
        given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as reason:
        raise UsageError(f"{path}: cannot be read ({reason}); --format takes a format's name or a mapping file") from reason
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
    if mapping["format"] not in ("csv", "jsonl"):
        wrong.append(("format", mapping["format"], "csv or jsonl"))
    if not isinstance(mapping["delimiter"], str) or len(mapping["delimiter"]) != 1 or mapping["delimiter"] in '"\n':
        wrong.append(("delimiter", mapping["delimiter"], "one character"))
    if not isinstance(mapping["header"], bool):
        wrong.append(("header", mapping["header"], "true or false"))
    if not isinstance(mapping["time_format"], str) or not is_time_format(mapping["time_format"]):
        wrong.append(("time_format", mapping["time_format"], "iso8601, epoch_s, epoch_ms or a strptime pattern"))
    if not isinstance(mapping["timezone"], str) or mapping["timezone"] not in zoneinfo.available_timezones():
        wrong.append(("timezone", mapping["timezone"], "a name of the IANA database, as Europe/Berlin"))
    numbered = mapping["format"] == "csv" and not mapping["header"]
    for name, column in [*mapping["columns"].items(), *((f"keep.{name}", name) for name in mapping["keep"])]:
        if numbered and not (str(column).isdigit() and int(column) > 0):
            wrong.append((f"columns.{name}", column, "the column's number, from 1"))
        elif not numbered and not (isinstance(column, str) and column):
            wrong.append((f"columns.{name}", column, "the column's name in quotes"))
    for name in ("time", "user", "target"):
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


def is_time_format(text: str) -> bool:
    return text in ("iso8601", "epoch_s", "epoch_ms") or "%" in text


def read(lines: ir.Table, first: str, mapping: dict[str, Any], path: str) -> ir.Table:
    """lines -> events"""
    rows, cases, values = csv_values(lines, first, mapping, path) if mapping["format"] == "csv" else json_values(lines, mapping)
    found = rows.mutate(**{f"_{name}": values[str(column)] for name, column in mapping["columns"].items()})
    text = {name: told(found[f"_{name}"]) for name in mapping["columns"]}
    time = parsed_time(text.pop("time"), mapping["time_format"], mapping["timezone"])
    constants = {name: ibis.literal(value) for name, value in (CONSTANTS | mapping["constants"]).items()}
    columns = constants | {name: replaced(name, value, mapping["values"]) for name, value in text.items()}
    if "outcome" not in mapping["columns"] and "outcome" not in mapping["constants"]:
        columns["outcome"] = ibis.literal("unknown")
    timed = found.mutate(_at=time)
    return events.finish(
        timed,
        [
            *cases,
            *(
                (
                    values[name].isnull() | values[name].notin([str(value) for value in kept]),
                    f"{events.NOT_A_LOGON}: not in keep.{name}",
                )
                for name, kept in mapping["keep"].items()
            ),
            (told(found["_time"]).isnull(), "no time"),
            (timed["_at"].isnull(), "time not understood"),
            ((timed["_at"].year() < FIRST_YEAR) | (timed["_at"].year() >= LAST_YEAR), "time out of range"),
        ],
        time=timed["_at"],
        **columns,
    )


def replaced(name: str, value: ir.StringValue, values: dict[str, dict[str, list[Any]]]) -> ir.StringValue:
    """A column with the mapping's `values` put in."""
    table = {str(text).lower(): written for written, read in values.get(name, {}).items() for text in read}
    if name == "outcome":
        table = table or {written: written for written in ALLOWED["outcome"]}
        return once(value.lower(), lambda text: text.cases(*table.items(), else_="unknown"))
    return once(value, lambda text: text.lower().cases(*table.items(), else_=text)) if table else value


def csv_values(
    lines: ir.Table, first: str, mapping: dict[str, Any], path: str
) -> tuple[ir.Table, list[events.Case], dict[str, ir.StringValue]]:
    """The fields of each line by column name; quotes as RFC 4180 has them."""
    delimiter = mapping["delimiter"]
    header = split_csv(first, delimiter) if mapping["header"] else [str(n + 1) for n in range(len(split_csv(first, delimiter)))]
    wanted = {f"columns.{name}": str(column) for name, column in mapping["columns"].items()}
    for key, column in (wanted | {f"keep.{name}": name for name in mapping["keep"]}).items():
        if column not in header:
            raise UsageError(f"{path}: {key}: the log has no column {column!r}; it has: {', '.join(header)[:200]}")
    rows, values = csv_fields(lines, header, delimiter)
    cases: list[events.Case] = [(rows.field.length() != len(header), f"not {len(header)} fields")]
    if mapping["header"]:
        cases.insert(0, ((rows.line == 1) | (rows.text == first), events.HEADER))
    return rows, cases, values


def json_values(lines: ir.Table, mapping: dict[str, Any]) -> tuple[ir.Table, list[events.Case], dict[str, ir.StringValue]]:
    """What stands at each JSON path of a line, as text."""
    paths = [str(path) for path in (*mapping["columns"].values(), *mapping["keep"])]
    rows = json_fields(lines, {f"_at_{path}": path for path in paths})
    return rows, [(~rows.is_json, "not JSON")], {path: rows[f"_at_{path}"] for path in paths}
