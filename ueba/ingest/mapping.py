"""A mapping file: a frozen value, and the strict parser of its TOML.

    format = "csv"                  csv, jsonl (JSON documents too), parquet
    delimiter = ","                 csv: one character, "\\t" for a tab
    header = true                   csv: the first line names the columns; else columns are numbers from 1
    time_format = "iso8601"         iso8601, epoch_s, epoch_ms, a strptime pattern ("%d/%m/%Y %H:%M:%S"), or a
                                    list of these
    timezone = "Europe/Berlin"      of times without a zone, an IANA name; else as --log-timezone
    [columns]                       event column = column, or JSON path: "user.name", "/a/0/b.c" for keys with
                                    dots; or a list of these, of which the first with a value counts
    [constants]                     event column = value for every line
    [values.outcome]                written value = [values in the log], in any case; also for other columns
    [keep]                          column or JSON path = [values]: all other lines are dropped

Event columns are those of `ueba.contracts.event`, and `resource`. time, user and target (or resource) are
required. Every key, type and value is checked when the file is read: a wrong one is a UsageError that names
file and key and says what is allowed. Leaves out what the keys do (`ueba.ingest.sources.mapped`).
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
import zoneinfo
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from ueba import state
from ueba.errors import UsageError
from ueba.ingest.events import KEPT
from ueba.text import shortened

FORMATS = ("csv", "jsonl", "parquet")
ISO, EPOCH_S, EPOCH_MS = "iso8601", "epoch_s", "epoch_ms"
RESOURCE = "resource"  # the target of a line without target, for logs that reach machines and applications
EVENT_COLUMNS = (*KEPT, RESOURCE)
ALLOWED = {"target_kind": ("machine", "resource"), "outcome": ("success", "failure", "unknown")}
YEAR = r"%-?[YyGcx]"  # what a strptime pattern needs one of
MOST_BYTES = 2**20  # of a file: [values] may be long
MOST_SHOWN = 100  # characters of a wrong value in a message


@dataclass(frozen=True)
class MappingFile:
    """A mapping file with its defaults.

    columns:   event column -> columns of the log, or JSON paths
    constants: event column -> its value
    values:    event column -> value in the log, in lower case -> value of the event
    keep:      column of the log or JSON path -> the values of lines that are not dropped
    timezone:  empty if the file does not set it
    """

    format: str
    columns: dict[str, tuple[str, ...]]
    delimiter: str = ","
    header: bool = True
    time_format: tuple[str, ...] = (ISO,)
    timezone: str = ""
    constants: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    keep: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def wanted(self) -> dict[str, tuple[str, ...]]:
        """The columns of the log that each key names: `columns.user`, `keep.type`."""
        columns = {f"columns.{name}": names for name, names in self.columns.items()}
        return columns | {f"keep.{name}": (name,) for name in self.keep}

    def as_json(self) -> dict[str, Any]:
        """JSON values, of which two are equal if the mappings are."""
        content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return content


class WrongValue(Exception):
    """A key of the file, what is wrong with it, and what to do."""


def load(path: str) -> MappingFile:
    """The mapping file of a path. Raises UsageError, which names the path, if it is wrong."""
    try:
        content = state.toml(Path(path), MOST_BYTES)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as reason:
        raise UsageError(f"{path}: {unreadable(reason)}") from reason
    try:
        return parsed(content)
    except (WrongValue, RecursionError) as reason:
        problem = unreadable(reason) if isinstance(reason, RecursionError) else reason
        raise UsageError(f"{path}: {problem}") from reason


def unreadable(reason: Exception) -> str:
    """What is wrong with a file that is not TOML, or cannot be read."""
    if isinstance(reason, tomllib.TOMLDecodeError):
        return f"is not TOML: {state.in_a_line(reason)}"
    if isinstance(reason, RecursionError):
        return "is nested too deep; a mapping file has tables and lists of texts only"
    return f"cannot be read ({state.in_a_line(reason)}); --log-format takes a format's name or a mapping file"


def parsed(content: dict[str, Any]) -> MappingFile:
    """The mapping in a TOML document. Raises WrongValue if a key is unknown, missing, or has a wrong
    value."""
    check_keys("", content, [key.name for key in dataclasses.fields(MappingFile)])
    format = one_of("format", content.get("format", ""), FORMATS)
    header = content.get("header", True)
    check(isinstance(header, bool), "header", header, "true or false")
    is_numbered = format == "csv" and not header
    column = column_number if is_numbered else column_name if format == "csv" else json_path
    mapping = MappingFile(
        format,
        columns_in(content, column),
        delimiter_in(content),
        header,
        time_formats_in(content),
        timezone_in(content),
        constants_in(content),
        values_in(content),
        keep_in(content, column),
    )
    check_required(mapping)
    return mapping


# --- keys ---------------------------------------------------------------------------------------------------


def columns_in(content: dict[str, Any], column: Callable[[str, Any], str]) -> dict[str, tuple[str, ...]]:
    columns = {}
    for name, value in table("columns", content, EVENT_COLUMNS).items():
        options = value if isinstance(value, list) else [value]
        check(bool(options), f"columns.{name}", value, "a column of the log, or a list of columns")
        columns[name] = tuple(column(f"columns.{name}", option) for option in options)
    return columns


def delimiter_in(content: dict[str, Any]) -> str:
    delimiter = content.get("delimiter", ",")
    is_character = isinstance(delimiter, str) and len(delimiter) == 1 and delimiter not in '"\r\n\0'
    check(is_character, "delimiter", delimiter, "one character, no quote and no line end")
    return str(delimiter)


def time_formats_in(content: dict[str, Any]) -> tuple[str, ...]:
    value = content.get("time_format", ISO)
    formats = value if isinstance(value, list) else [value]
    check(bool(formats), "time_format", value, "a format, or a list of formats")
    for format in formats:
        check(
            isinstance(format, str) and (format in (ISO, EPOCH_S, EPOCH_MS) or is_pattern(format)),
            "time_format",
            format,
            f"{ISO}, {EPOCH_S}, {EPOCH_MS}, or a strptime pattern with a year, as %d/%m/%Y %H:%M:%S",
        )
    return tuple(formats)


def timezone_in(content: dict[str, Any]) -> str:
    timezone = content.get("timezone", "")
    is_zone = isinstance(timezone, str) and (timezone == "" or is_timezone(timezone))
    check(is_zone, "timezone", timezone, "a name of the IANA database, as Europe/Berlin")
    return str(timezone)


def constants_in(content: dict[str, Any]) -> dict[str, str]:
    constants = table("constants", content, EVENT_COLUMNS)
    check("time" not in constants, "constants.time", constants.get("time"), "columns.time")
    return {name: event_value(f"constants.{name}", name, value) for name, value in constants.items()}


def values_in(content: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Event column -> value in the log, in lower case -> value of the event."""
    values: dict[str, dict[str, str]] = {}
    for name, written in table("values", content, EVENT_COLUMNS).items():
        key = f"values.{name}"
        check(isinstance(written, dict), key, written, "a table: written value = [values in the log]")
        values[name] = {}
        for value, in_log in written.items():
            event_value(key, name, value)
            for text in texts(f"{key}.{value}", in_log):
                other = values[name].setdefault(text.lower(), value)
                check(other == value, f"{key}.{value}", text, f"each value once: it is in {key}.{other} too")
    return values


def keep_in(content: dict[str, Any], column: Callable[[str, Any], str]) -> dict[str, tuple[str, ...]]:
    keep = table("keep", content)
    for name, value in keep.items():
        column(f"keep.{name}", name)
        check(value != [], f"keep.{name}", value, "a list of values of the log")
    return {name: texts(f"keep.{name}", value) for name, value in keep.items()}


def check_required(mapping: MappingFile) -> None:
    for name in ("time", "user", "target"):
        is_given = name in mapping.columns or name in mapping.constants
        if not is_given and not (name == "target" and RESOURCE in mapping.columns):
            raise WrongValue(f"columns.{name}: is missing; set it to the column of the log that holds it")


# --- values -------------------------------------------------------------------------------------------------


def check(is_right: bool, key: str, value: Any, allowed: str) -> None:
    """Raises WrongValue unless a value is right."""
    if not is_right:
        raise WrongValue(f"{key}: {shortened(repr(value), MOST_SHOWN)} is not possible; use {allowed}")


def check_keys(prefix: str, content: dict[str, Any], names: Collection[str]) -> None:
    for key in content:
        if key not in names:
            key = shortened(key, MOST_SHOWN)
            raise WrongValue(f"unknown key {prefix}{key}; known: {', '.join(names)}")


def table(key: str, content: dict[str, Any], names: Collection[str] | None = None) -> dict[str, Any]:
    """A table of the file; empty if it is missing. names: of its keys"""
    value = content.get(key, {})
    check(isinstance(value, dict), key, value, f"a table, [{key}]")
    if names is not None:
        check_keys(f"{key}.", value, names)
    return dict(value)


def one_of(key: str, value: Any, allowed: Collection[str]) -> str:
    check(isinstance(value, str) and value in allowed, key, value, " or ".join(allowed))
    return str(value)


def event_value(key: str, name: str, value: Any) -> str:
    """A value of an event column."""
    if name in ALLOWED:
        return one_of(key, value, ALLOWED[name])
    check(isinstance(value, str), key, value, "a text")
    return str(value)


def texts(key: str, value: Any) -> tuple[str, ...]:
    """A list of values of the log, as texts: a number and a truth value as JSON writes them."""
    is_list = isinstance(value, list) and all(isinstance(item, str | int) for item in value)
    check(is_list, key, value, "a list of values of the log: texts, whole numbers, true or false")
    return tuple(item if isinstance(item, str) else json.dumps(item) for item in value)


def column_name(key: str, value: Any) -> str:
    check(isinstance(value, str) and value != "", key, value, "the column's name in quotes")
    return str(value)


def column_number(key: str, value: Any) -> str:
    is_number = re.fullmatch(r"[1-9]\d{0,8}", str(value), re.ASCII) is not None
    check(is_number, key, value, "the column's number, from 1")
    return str(value)


def json_path(key: str, value: Any) -> str:
    column_name(key, value)
    is_dotted = not value.startswith("/") and all(value.split(".")) and not set('"\\') & set(value)
    check(
        value.startswith("/") or is_dotted, key, value, "keys with dots between, or a JSON pointer, as /a/0/b"
    )
    return str(value)


def is_pattern(format: str) -> bool:
    """Whether DuckDB can parse times by a strptime pattern, and the pattern has a year."""
    return re.search(YEAR, format) is not None and is_accepted("SELECT try_strptime('', ?)", format)


def is_timezone(name: str) -> bool:
    is_known = name in zoneinfo.available_timezones()
    return is_known and is_accepted("SELECT timezone(?, TIMESTAMP '2024-01-01')", name)


def is_accepted(sql: str, value: str) -> bool:
    """Whether DuckDB runs SQL with this value."""
    with duckdb.connect() as connection:
        try:
            connection.execute(sql, [value]).fetchone()
        except duckdb.Error:
            return False
    return True
