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
   for records of any other format. A third function, `resembles(sample) -> int`, may return the number of
   records that are of another log of the same product, or too bare to be sure: it is asked if nothing was
   recognised, so that such a file is counted and is no error.
3. Define the function that `LogSource.events` calls, `(lines, facts) -> events`, with Ibis expressions.
   `lines` has the columns `line` and `text`, a record a row; the columns of the result are those of
   `ueba.contracts.event`. Tables and envelopes are open already (`ueba.ingest.opening`): a row of a CSV is a
   JSON object with the names of its columns. What events depend on in a file, beside its lines, is in
   `facts`.
   - Read fields with `json_fields`, `csv_fields` or `groups` of `ueba.ingest.fields`.
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

import datetime as dt
import json
import pkgutil
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import ibis.expr.types as ir

from ueba.errors import InputError, UsageError
from ueba.ingest.opening import (
    SHOWN,
    USUAL,
    Inside,
    Nested,
    Opening,
    Step,
    candidates,
    opened,
    spellings,
    taken,
)
from ueba.ingest.sample import Sample, parse_json
from ueba.text import plain

__all__ = ["LogSource", "Options", "Plan", "Sample", "find", "formats", "planned"]

AUTO = "auto"
MAPPED = "mapped"  # the module that reads mapping files; it has no format of its own
MOST_ENVELOPES = 3  # beside the first, in one file
UNKNOWN = "no format recognises it"


@dataclass(frozen=True)
class Options:
    """What a log does not say, and the user can.

    epoch:    second 0 of formats that count seconds, UTC without zone
    year:     of the first time without a year of a file; None to guess it from when the file was written
    timezone: of times without a zone, a name of the IANA database
    """

    epoch: dt.datetime = dt.datetime(1970, 1, 1)
    year: int | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, eq=False)
class LogSource:
    """How to read one log format.

    name:      for reports
    settings:  every setting on which the events of a file depend; JSON values
    events:    (lines of a file, its facts) -> events. It sees nothing else of the file: what is compiled for
               one file serves every file with the same facts
    facts:     what the first records of a file say that its events depend on, such as the names of columns;
               a value that can be compared
    canonical: names have one spelling already, and are not changed
    frame:     where a record ends (`reading.framing`), if the source knows; empty if the content shows it
    fields:    the JSON paths or columns that are read, so that a report can list the others; empty if
               records have no named fields
    """

    name: str
    settings: dict[str, Any]
    events: Callable[[ir.Table, Any], ir.Table]
    facts: Callable[[Sample], Hashable] = lambda sample: None
    canonical: bool = False
    frame: str = ""
    fields: tuple[str, ...] = ()


FOUND: dict[tuple[str, Options, str], LogSource] = {}  # by format, options and settings


def formats() -> dict[str, str]:
    """The name of each log format, and one line about it."""
    return {name: (module.__doc__ or "").splitlines()[0] for name, module in modules().items()}


def known_names() -> str:
    """The names of log formats, for messages."""
    return ", ".join(name for name in modules() if name != MAPPED)


@cache
def modules() -> dict[str, ModuleType]:
    """Every log source by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: import_module(f"{__name__}.{name}") for name in names}


def find(format: str, options: Options) -> LogSource:
    """The log source of a log format, or of a mapping file: one object for the same format, options and
    content of the mapping file, however often it is asked for. Raises UsageError if there is none."""
    is_mapping = format.endswith(".toml")
    name = MAPPED if is_mapping else format
    if name not in modules() or (name == MAPPED and not is_mapping):
        raise UsageError(
            f"--log-format {format}: unknown; use {AUTO}, one of: {known_names()},"
            " or the path of a mapping file (*.toml)"
        )
    source: LogSource = modules()[name].source(format, options)
    return FOUND.setdefault((format, options, json.dumps(source.settings, sort_keys=True)), source)


# --- how a file is read -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """How the records of a file become events: laid bare by an opening, read by a log source that knows these
    facts. Nothing else of a file matters, so equal plans have the same expression."""

    source: LogSource
    opening: Opening
    facts: Hashable

    def events(self, lines: ir.Table) -> ir.Table:
        """lines -> events"""
        known = tuple(name for name in self.source.fields if not name.startswith("/"))
        return self.source.events(opened(lines, self.opening, known), self.facts)


def planned(
    frames: Sequence[str], sample: Callable[[str], Sample], log_format: str, options: Options
) -> tuple[Plan, Sample]:
    """How to read a file, and its first records laid bare.

    frames: those that it may have, the likeliest first; sample: its first records in a frame

    Raises InputError if no log source recognises the records, UsageError if the log format is unknown."""
    if log_format != AUTO:
        return of_format(frames, sample, find(log_format, options))

    def reader(laid_bare: Sample, asks: str) -> LogSource | None:
        name = best_match(laid_bare, asks)
        return find(name, options) if name else None

    if found := first_plan(frames, sample, reader):
        return found
    first = sample(frames[0])
    proposed = modules()[MAPPED].skeleton(first)
    raise InputError(
        f"{first.path}: {UNKNOWN}, as\n  {plain(first.first[:120])}\nsay what it is with --log-format:"
        f" one of {known_names()}, or a mapping file (*.toml, see configs/sources)"
        + (f"; it may be\n\n{proposed}" if proposed else "")
    )


def of_format(
    frames: Sequence[str], sample: Callable[[str], Sample], source: LogSource
) -> tuple[Plan, Sample]:
    """How to read a file whose format is known: laid bare so that the log source recognises records, else as
    they are."""
    module = modules().get(source.name)  # a mapping file has none, and says itself how it is read

    def reader(laid_bare: Sample, asks: str) -> LogSource | None:
        return source if module and matches(module, spelt(laid_bare, module), asks) else None

    found = first_plan(frames, sample, reader) if module else None
    frame = source.frame or frames[0]
    return found or plan(source, Opening(frame), sample(frame))


def first_plan(
    frames: Sequence[str],
    sample: Callable[[str], Sample],
    reader: Callable[[Sample, str], LogSource | None],
) -> tuple[Plan, Sample] | None:
    """The plan of the first opening with records that a log source recognises, else of the first with records
    that resemble its own; None if there is neither. reader: the log source of records, by the function that
    it is to be asked by"""
    tried: list[tuple[Opening, Sample]] = []
    for opening, laid_bare in openings(frames, sample):
        if source := reader(laid_bare, "recognises"):
            return plan(source, opening, laid_bare)
        tried.append((opening, laid_bare))
    for opening, laid_bare in tried:
        if source := reader(laid_bare, "resembles"):
            return plan(source, opening, laid_bare)
    return None


def plan(source: LogSource, opening: Opening, sample: Sample) -> tuple[Plan, Sample]:
    """How to read a file that this opening lays bare for this source; and its first records, laid bare
    further if some of their keys are nested in the source and have dots in the file."""
    opening = replace(opening, frame=source.frame or opening.frame)
    if (module := modules().get(source.name)) and not opening.table:
        opening, sample = with_others(opening, sample, module)
    if has_dots(sample, source):
        opening = replace(opening, steps=(*opening.steps, Nested()))
        sample = taken(sample, [Nested()])
    return Plan(source, opening, source.facts(sample)), sample


def with_others(opening: Opening, sample: Sample, module: ModuleType) -> tuple[Opening, Sample]:
    """An opening that also lays bare the records that a log source does not recognise yet: a file may hold
    records in several envelopes, and others without one."""
    for _ in range(MOST_ENVELOPES):
        if matches(module, sample, "recognises") >= len(sample.records):
            break
        known = {
            text for text in sample.records if matches(module, replace(sample, records=(text,)), "recognises")
        }
        others = tuple(text for text in sample.records if text not in known)[:SHOWN]
        kept = {key for record in replace(sample, records=tuple(known)).objects for key in record}
        steps = next(steps_to(replace(sample, records=others), module, kept), None)
        if steps is None:
            break
        opening, sample = replace(opening, steps=opening.steps + steps), taken(sample, steps)
    return opening, sample


def steps_to(sample: Sample, module: ModuleType, kept: set[str]) -> Iterator[tuple[Step, ...]]:
    """Steps that lay bare records of a log source, and change no record with the keys `kept`."""
    for opening, laid_bare in candidates(sample, "lines"):
        first = opening.steps[0] if opening.steps else None
        is_envelope = isinstance(first, Inside) and first.key in USUAL and first.key not in kept
        if is_envelope and matches(module, laid_bare, "recognises"):
            yield opening.steps


def has_dots(sample: Sample, source: LogSource) -> bool:
    """Whether records have a key such as `a.b` that the source reads as b in a."""
    keys = {key for record in sample.objects for key in record if "." in key}
    return not keys.isdisjoint(nested_keys(source.fields))


@cache
def nested_keys(fields: tuple[str, ...]) -> frozenset[str]:
    """JSON paths and their beginnings, without the keys that a source reads as they are written."""
    written = {name[1:] for name in fields if name.startswith("/")}
    paths = {name for name in fields if not name.startswith("/")}
    beginnings = {path[: place.start()] for path in paths for place in re.finditer(r"\.", path)}
    return frozenset((paths | beginnings) - written)


def openings(frames: Sequence[str], sample: Callable[[str], Sample]) -> Iterator[tuple[Opening, Sample]]:
    """Openings of a file in every frame that it may have, and what they lay bare."""
    for frame in frames:
        for opening, laid_bare in candidates(sample(frame), frame):
            if opening.steps or not opening.table or has_known_column(opening.table.columns):
                yield opening, laid_bare


def has_known_column(names: Sequence[str]) -> bool:
    """Whether a log source reads a column of that name: a row of values is no header."""
    return not known_columns().isdisjoint(name.lower() for name in names)


@cache
def known_columns() -> frozenset[str]:
    """The names of columns that log sources read, and the beginnings of paths, in lower case."""
    fields = (name for module in modules().values() for name in field_names(module))
    parts = (name.removeprefix("/").lower() for name in fields)
    return frozenset(beginning for name in parts for beginning in (name, re.split(r"[./]", name)[0]))


def best_match(sample: Sample, asks: str = "recognises") -> str | None:
    """The name of the log source that recognises most records; None if none recognises any."""
    count = {name: matches(module, spelt(sample, module), asks) for name, module in modules().items()}
    best = max(count, key=lambda name: count[name])
    return best if count[best] else None


def matches(module: ModuleType, sample: Sample, asks: str) -> int:
    """The number of records that a log source recognises; or that it resembles, if it asks that."""
    ask = getattr(module, asks, None)
    return int(ask(sample)) if ask else 0


def spelt(sample: Sample, module: ModuleType) -> Sample:
    """The rows of a table with the names of columns as the log source spells them."""
    if not sample.columns:
        return sample
    keys = {key for record in sample.objects for key in record}
    names = spellings(keys, field_names(module))

    def respelt(text: str) -> str:
        row = parse_json(text)
        if not isinstance(row, dict):
            return text
        return json.dumps({names[key]: value for key, value in row.items()})

    return replace(sample, records=tuple(map(respelt, sample.records)))


@cache
def field_names(module: ModuleType) -> tuple[str, ...]:
    """The fields that a log source reads; those of a mapping file are its own."""
    if module.__name__.endswith(f".{MAPPED}"):
        return ()
    source: LogSource = module.source(module.__name__.rsplit(".", 1)[-1], Options())
    return source.fields
