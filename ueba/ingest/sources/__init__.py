"""Log families, one file each: `ueba/ingest/sources/<name>.py` is `--log-format <name>`. Adding a file adds the
format.

Each has, and its docstring's first line is what `ueba formats` shows:

    def source(format: str, options: Options) -> Source     how to read it
    def recognises(sample: Sample) -> int                   how many of the sample's records are surely of this family

`--log-format auto` takes the family that recognises most; a format that ends in `.toml` is a mapping file, which
`mapped` reads.
"""

from __future__ import annotations

import csv
import datetime as dt
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

AUTO = "auto"
UNKNOWN = "no format recognises it"
# What shippers put records into: Elasticsearch, EventBridge, `aws cloudtrail lookup-events`, Splunk,
# Filebeat and the like.
ENVELOPES = ("_source", "detail", "CloudTrailEvent", "_raw", "message", "Message")


@dataclass(frozen=True)
class Options:
    """What logs leave out and the user may tell.

    epoch:    what second 0 is in formats that count seconds, UTC without zone
    year:     of times without a year; None: the latest that is not after the file was last written
    timezone: of times without a zone, a name of the IANA database
    """

    epoch: dt.datetime = dt.datetime(1970, 1, 1)
    year: int | None = None
    timezone: str = "UTC"


@dataclass(frozen=True)
class Sample:
    """What is known of a file before it is read.

    path:     for messages
    records:  its first records, the last of them perhaps cut; the first is a header, for formats that have one
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
        """The record that names the columns: the first, but for a line that tells a type. Empty if records
        are JSON."""
        return (
            ""
            if self.objects
            else next((record for record in self.records[:2] if not record.startswith(TYPE_LINE)), "")
        )

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The records after the header as a CSV with commas has them, texts by column."""
        try:
            first = self.records.index(self.header) if self.header else 0
            return list(csv.DictReader(self.records[first:], restkey="", restval=""))
        except csv.Error:
            return []


def parse_json(text: str) -> Any:
    """None where it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True)
class Source:
    """How to read one log family.

    name:       for reports
    settings:   all that changes what comes out of the same file; JSON values
    events:     (records, sample of their file) -> events
    canonical:  names are spelt one way already, and kept as written
    by_header:  what comes out depends on the first line of the file (the names of its columns)
    by_time:    what comes out depends on when the file was last written (a guessed year)
    is_csv:     a record goes on after a line end inside quotes, unless records are JSON
    fields:     the fields that are read, as a file's report names them: JSON paths or columns; empty if lines have no named fields
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
        """Whether a file of this family is a CSV: some come as CSV or as JSON, which has no header."""
        return self.is_csv and sample.header != ""


def formats() -> dict[str, str]:
    """Name and one line on each format."""
    return {name: (module.__doc__ or "").splitlines()[0] for name, module in modules().items()}


def known_names() -> str:
    """The formats that have a name, for messages."""
    return ", ".join(name for name in modules() if name != "mapped")


def modules() -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: import_module(f"{__name__}.{name}") for name in names}


def find(format: str, options: Options) -> Source:
    """The source that `--log-format` names."""
    name = "mapped" if format.endswith(".toml") else format
    if name not in modules() or (name == "mapped" and name == format):
        raise UsageError(
            f"--log-format {format}: unknown; use {AUTO}, one of: {known_names()}, or the path of a mapping file (*.toml)"
        )
    source: Source = import_module(f"{__name__}.{name}").source(format, options)
    return source


def detect(sample: Sample, options: Options) -> Source:
    """The source whose records a file holds, or has inside of an envelope. Raises InputError where no family
    knows its own."""
    found = best_of(sample)
    if found:
        return find(found, options)
    for envelope in ENVELOPES:
        inside = opened(sample, envelope)
        if found := best_of(inside):
            return within(find(found, options), inside, envelope)
    proposed = modules()["mapped"].skeleton(sample)
    raise InputError(
        f"{sample.path}: {UNKNOWN}, as\n  {printable(sample.first[:120])}\nsay what it is with --log-format:"
        f" one of {known_names()}, or a mapping file (*.toml, see configs/sources)"
        + (f"; it may be\n\n{proposed}" if proposed else "")
    )


def best_of(sample: Sample) -> str | None:
    """The family that recognises most."""
    found = {name: module.recognises(sample) for name, module in modules().items()}
    best = max(found, key=lambda name: found[name])
    return best if found[best] else None


def opened(sample: Sample, envelope: str) -> Sample:
    """A sample of what records have in one field: an object, or a text."""
    values = [record.get(envelope) for record in sample.objects]
    texts = [
        value if isinstance(value, str) else json.dumps(value)
        for value in values
        if isinstance(value, str | dict)
    ]
    return replace(sample, records=tuple(texts))


def within(source: Source, inside: Sample, envelope: str) -> Source:
    """A source of what is in one field of JSON records. A record without it is what it is."""

    def events(lines: ir.Table, sample: Sample) -> ir.Table:
        found = json_fields(lines, {"_inside": f"/{envelope}"})
        return source.events(
            found.mutate(text=found["_inside"].fill_null(found.text)).drop("_inside", "is_json"), inside
        )

    return replace(source, events=events, settings=source.settings | {"envelope": envelope}, fields=())


def printable(text: str) -> str:
    """Harmless on a terminal and in JSON."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
