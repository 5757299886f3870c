"""Log sources, one module each: `ueba/ingest/sources/<name>.py` reads the log format `<name>`.

How to add a log source, in five steps:

1. Write `ueba/ingest/sources/<name>.py`. `ueba formats` shows the first line of its docstring. The docstring
   says what each kind of record becomes, what is left out, the traps, and where the format is documented.
2. Define two functions in it:

       def source(format: str, options: Options) -> LogSource: ...
       def recognises(sample: Sample) -> int: ...

   `source` returns how to read a file; see `LogSource`. Its `settings` hold the format and every option on
   which events depend: a file is read again if they change. `recognises` returns the number of records of the
   sample that are surely of this format; `--log-format auto` takes the log source with the most. It must be 0
   for records of any other format.
3. Define the function that `LogSource.events` calls, `(lines, sample) -> events`, with Ibis expressions.
   `lines` has the columns `line` and `text`, a record a row; the columns of the result are those of
   `ueba.contracts.event`.
   - Read fields with `json_fields`, `record_fields`, `csv_fields` or `groups` of `ueba.ingest.fields`.
   - If records are of several kinds, add a column `kind` and write one small function for each kind. It
     returns the cases in which a record of that kind is dropped, (condition, reason), and the columns of the
     others. `by_kind` merges them.
   - End with `events.finish(rows, cases, **columns)`. The first case that is true is the reason why a record
     is dropped; begin the reason with `events.NOT_A_LOGON` if the record is well-formed and of no interest.
     `finish` drops a record whose time is not understood, or without user or target, and fills missing
     columns with null. So every record leaves as an event, or dropped with a reason.
4. Add valid records, of every kind, as `tests/records/<name>.<extension>`: one a line, a header first if the
   format has one. A log with several forms has a file for each, `<name>-<form>.<extension>`.
   `tests/test_ueba_ingest_records.py` reads them whole, and mutates them: no mutation may raise an error or
   lose a record. Write expected events, worked out by hand, as `tests/test_ueba_ingest_<name>.py`.
5. Add a template of one record that is an event to `MADE` in `scripts/bench` (and its header, if the format
   has one, to `HEADERS`): `tests/test_ueba_ingest_formats.py` checks that this log source recognises it,
   reads every record, and that no other log source recognises it. Add the format to the table in
   `docs/ingest.md`.

Nothing else registers a log source: every module in this folder is one. A log format that ends in `.toml` is
the path of a mapping file, which `mapped` reads.
"""

from __future__ import annotations

import csv
import datetime as dt
import functools
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

import ibis.expr.types as ir

from ueba.errors import InputError, UsageError
from ueba.ingest.fields import TYPE_LINE, json_fields
from ueba.text import plain

AUTO = "auto"
MAPPED = "mapped"  # the module that reads mapping files; it has no format of its own
UNKNOWN = "no format recognises it"
# Fields in which other tools wrap a record: Elasticsearch, EventBridge, `aws cloudtrail lookup-events`,
# Splunk, Filebeat.
ENVELOPES = ("_source", "detail", "CloudTrailEvent", "_raw", "message", "Message")


@dataclass(frozen=True)
class Options:
    """What a log does not say, and the user can.

    epoch:    second 0 of formats that count seconds, UTC without zone
    year:     of times without a year; None for the latest in which the time is not after the file was written
    timezone: of times without a zone, a name of the IANA database
    """

    epoch: dt.datetime = dt.datetime(1970, 1, 1)
    year: int | None = None
    timezone: str = "UTC"


@dataclass(frozen=True)
class Sample:
    """The first records of a file, by which its log source is chosen.

    path:     for messages
    records:  texts; the first is a header if the format has one, the last may be truncated
    modified: when the file was last written, UTC without zone; now for a pipe
    """

    path: str
    records: tuple[str, ...]
    modified: dt.datetime

    @property
    def first(self) -> str:
        return self.records[0] if self.records else ""

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The records that are JSON objects."""
        parsed = map(parse_json, self.records)
        return [record for record in parsed if isinstance(record, dict)]

    @cached_property
    def header(self) -> str:
        """The record that names the columns: the first, or the second after a type line of PowerShell. Empty
        if records are JSON."""
        if self.objects:
            return ""
        return next((record for record in self.records[:2] if not record.startswith(TYPE_LINE)), "")

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The records after the header, read as CSV with commas: texts by column."""
        try:
            first = self.records.index(self.header) if self.header else 0
            return list(csv.DictReader(self.records[first:], restkey="", restval=""))
        except csv.Error:
            return []


def parse_json(text: str) -> Any:
    """The value of a JSON text; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True)
class LogSource:
    """How to read one log format.

    name:       for reports
    settings:   every setting on which the events of a file depend; JSON values
    events:     (lines of a file, its sample) -> events
    canonical:  names have one spelling already, and are not changed
    by_header:  events depend on the header of the file
    by_time:    events depend on when the file was last written (a guessed year)
    is_csv:     a record may continue after a line end inside quotes, unless records are JSON
    fields:     the JSON paths or columns that are read, so that a report can list the others; empty if
                records have no named fields
    """

    name: str
    settings: dict[str, Any]
    events: Callable[[ir.Table, Sample], ir.Table]
    canonical: bool = False
    by_header: bool = False
    by_time: bool = False
    is_csv: bool = False
    fields: tuple[str, ...] = ()

    def has_rows(self, sample: Sample) -> bool:
        """Whether a file is a CSV: the same format may come as CSV or as JSON, which has no header."""
        return self.is_csv and sample.header != ""


def formats() -> dict[str, str]:
    """The name of each log format, and one line about it."""
    return {name: (module.__doc__ or "").splitlines()[0] for name, module in modules().items()}


def known_names() -> str:
    """The names of log formats, for messages."""
    return ", ".join(name for name in modules() if name != MAPPED)


@functools.cache
def modules() -> dict[str, ModuleType]:
    """Every log source by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: import_module(f"{__name__}.{name}") for name in names}


def find(format: str, options: Options) -> LogSource:
    """The log source of a log format, or of a mapping file. Raises UsageError if there is none."""
    is_mapping = format.endswith(".toml")
    name = MAPPED if is_mapping else format
    if name not in modules() or (name == MAPPED and not is_mapping):
        raise UsageError(
            f"--log-format {format}: unknown; use {AUTO}, one of: {known_names()},"
            " or the path of a mapping file (*.toml)"
        )
    source: LogSource = import_module(f"{__name__}.{name}").source(format, options)
    return source


def detect(sample: Sample, options: Options) -> LogSource:
    """The log source that recognises the records of a file, or records wrapped in one of ENVELOPES. Raises
    InputError if none does."""
    if name := best_match(sample):
        return find(name, options)
    for envelope in ENVELOPES:
        inner = unwrapped(sample, envelope)
        if name := best_match(inner):
            return wrapped(find(name, options), inner, envelope)
    proposed = modules()[MAPPED].skeleton(sample)
    raise InputError(
        f"{sample.path}: {UNKNOWN}, as\n  {plain(sample.first[:120])}\nsay what it is with --log-format:"
        f" one of {known_names()}, or a mapping file (*.toml, see configs/sources)"
        + (f"; it may be\n\n{proposed}" if proposed else "")
    )


def best_match(sample: Sample) -> str | None:
    """The name of the log source that recognises most records; None if none recognises any."""
    if not sample.records:
        return None
    count = {name: module.recognises(sample) for name, module in modules().items()}
    best = max(count, key=lambda name: count[name])
    return best if count[best] else None


def unwrapped(sample: Sample, envelope: str) -> Sample:
    """A sample of the values of one field: those that are objects or texts."""
    values = [record.get(envelope) for record in sample.objects]
    texts = [
        value if isinstance(value, str) else json.dumps(value)
        for value in values
        if isinstance(value, str | dict)
    ]
    return replace(sample, records=tuple(texts))


def wrapped(source: LogSource, inner: Sample, envelope: str) -> LogSource:
    """A log source that reads one field of JSON records. A record without that field is read as it is."""

    def events(lines: ir.Table, sample: Sample) -> ir.Table:
        rows = json_fields(lines, {"_inner": f"/{envelope}"})
        text = rows["_inner"].fill_null(rows.text)
        return source.events(rows.mutate(text=text).drop("_inner", "is_json"), inner)

    return replace(source, events=events, settings=source.settings | {"envelope": envelope}, fields=())
