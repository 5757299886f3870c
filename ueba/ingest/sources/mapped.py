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

import datetime as dt
import tomllib
import zoneinfo
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dtypes
import ibis.expr.types as ir

from ueba.errors import UsageError
from ueba.ingest import events
from ueba.ingest.identity import blank_to_null, once
from ueba.ingest.sources import Source

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
MAPPABLE = events.COLUMNS[: events.COLUMNS.index("dropped")]
CONSTANTS = {"target_kind": "machine", "action": "logon"}
ALLOWED = {
    "target_kind": ("machine", "resource"),
    "outcome": ("success", "failure", "unknown"),
}
FIRST_YEAR, LAST_YEAR = 1970, 2100
OFFSET = r"\d\d:\d\d(:\d\d)?(\.\d+)?\s*(Z|z|UTC|[+-]\d\d(:?\d\d)?)$"  # the text of a time that tells its zone


def source(format: str, epoch: dt.datetime) -> Source:
    """The mapping file `format`. The epoch is of no use here: times are absolute."""
    mapping = load(format)
    return Source(
        Path(format).name,
        {"mapping": mapping},
        canonical=False,
        events=lambda lines, first: read(lines, first, mapping, format),
    )


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
    missing = {name: ibis.null("string") for name in MAPPABLE if name != "time"}
    constants = {name: ibis.literal(value) for name, value in (CONSTANTS | mapping["constants"]).items()}
    columns = missing | constants | {name: replaced(name, value, mapping["values"]) for name, value in text.items()}
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
            (columns["user"].isnull(), "no user"),
            (columns["target"].isnull(), "no target"),
        ],
        time=timed["_at"],
        **columns,
    )


def told(text: ir.StringValue) -> ir.StringValue:
    """Without space around; null where the log says nothing."""
    # strip is slow, and seldom needed
    return once(once(text, lambda text: ibis.ifelse(text.re_search(r"^\s|\s$"), text.strip(), text)), blank_to_null)


def replaced(name: str, value: ir.StringValue, values: dict[str, dict[str, list[Any]]]) -> ir.StringValue:
    """A column with the mapping's `values` put in."""
    table = {str(text).lower(): written for written, read in values.get(name, {}).items() for text in read}
    if name == "outcome":
        table = table or {written: written for written in ALLOWED["outcome"]}
        return once(value.lower(), lambda text: text.cases(*table.items(), else_="unknown"))
    return once(value, lambda text: text.lower().cases(*table.items(), else_=text)) if table else value


def parsed_time(text: ir.StringValue, format: str, timezone: str) -> ir.TimestampValue:
    """UTC; null where the text is not a time of that format."""
    if format in ("epoch_s", "epoch_ms"):
        microseconds = text.try_cast("float64") * (1e6 if format == "epoch_s" else 1e3)
        return make_timestamp(ibis.ifelse(microseconds.abs() < 1e17, microseconds, None).round().cast("int64"))
    if format != "iso8601":
        parsed = try_strptime(text, format)
        return at_utc(parsed) if "%z" in format or "%Z" in format else as_utc(parsed, timezone)
    return once(text, lambda text: iso_time(text, timezone))


def iso_time(text: ir.StringValue, timezone: str) -> ir.TimestampValue:
    """A time that tells its offset is cast with it; DuckDB's cast without a zone would ignore the offset."""
    zoned = at_utc(text.try_cast(dtypes.Timestamp(timezone="UTC")))
    return ibis.ifelse(text.re_search(OFFSET), zoned, as_utc(text.try_cast("timestamp(6)"), timezone))


def as_utc(time: ir.TimestampValue, timezone: str) -> ir.TimestampValue:
    """A clock time somewhere, as UTC."""
    return time if timezone == "UTC" else at_utc(in_zone(timezone, time))


def at_utc(time: ir.TimestampValue) -> ir.TimestampValue:
    """A time with a zone, as UTC without."""
    return without_zone("UTC", time)


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
    quoted = regexp_extract_all(delimiter + lines.text, csv_pattern(delimiter), 1)
    rows = lines.mutate(field=ibis.ifelse(lines.text.contains('"'), quoted, lines.text.split(delimiter)))
    cases: list[events.Case] = [(rows.field.length() != len(header), f"not {len(header)} fields")]
    if mapping["header"]:
        cases.insert(0, ((rows.line == 1) | (rows.text == first), events.HEADER))
    return rows, cases, {name: unquoted(rows.field[number]) for number, name in enumerate(header)}


def csv_pattern(delimiter: str) -> str:
    escaped = rf"\x{{{ord(delimiter):x}}}"
    return rf'{escaped}("(?:[^"]|"")*"|[^{escaped}]*)'


def split_csv(line: str, delimiter: str) -> list[str]:
    """The header, as Python's csv reads it."""
    import csv

    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]


def unquoted(field: ir.StringValue) -> ir.StringValue:
    inside = field.substr(1, field.length() - 2).replace('""', '"')
    return ibis.ifelse(field.startswith('"') & field.endswith('"'), inside, field)


def json_values(lines: ir.Table, mapping: dict[str, Any]) -> tuple[ir.Table, list[events.Case], dict[str, ir.StringValue]]:
    """What stands at each JSON path of a line, as text."""
    rows = lines.mutate(json=ibis.ifelse(json_valid(lines.text), lines.text, None))
    paths = [*mapping["columns"].values(), *mapping["keep"]]
    return (
        rows,
        [(rows.json.isnull(), "not JSON")],
        {path: json_extract_string(rows.json, json_path(path)) for path in paths},
    )


def json_path(path: str) -> str:
    """`user.name` as DuckDB has it; a path that begins with / is a JSON pointer already."""
    return path if path.startswith("/") else "$" + "".join(f'."{part}"' for part in path.split("."))


# Functions of DuckDB that Ibis has no name for.


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_valid(text: str) -> bool: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_extract_string(text: str, path: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def regexp_extract_all(text: str, pattern: str, group: int) -> list[str]: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(signature=((str, str), "timestamp(6)"))
def try_strptime(text, format): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(signature=((int,), "timestamp(6)"))
def make_timestamp(microseconds): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(name="timezone", signature=((str, "timestamp(6)"), dtypes.Timestamp(timezone="UTC")))
def in_zone(zone, time): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(name="timezone", signature=((str, dtypes.Timestamp(timezone="UTC")), "timestamp(6)"))
def without_zone(zone, time): ...  # type: ignore[no-untyped-def]
