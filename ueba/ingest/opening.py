"""What stands around the records of a log, opened for every log source alike: a table with named columns, an
envelope of another tool, keys with dots, JSON behind a header, base64.

Splunk exports `{"result": {"_raw": "..."}}`, Elasticsearch `{"_source": {...}}` or `{"fields": {"a.b":
["x"]}}`, EventBridge `{"detail": {...}}`, CloudWatch and Filebeat `{"message": "..."}`; a table has one of
these in a column. No list of names could be whole, so none is needed: an opening is right if a log source
recognises what it lays bare. It is chosen by the first records of a file (`candidates`, in Python) and
applied to all of them (`opened`, as an Ibis expression); both do the same. A record without an envelope is
read as it is.

Leaves out which log source recognises what (`sources`), and where a record ends (`reading.framing`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ibis
import ibis.expr.datatypes as dtypes
import ibis.expr.types as ir

from ueba.contracts.event import HEADER
from ueba.ingest import fields
from ueba.ingest.fields import TYPE_LINE, json_extract_string, json_valid, to_json
from ueba.ingest.identity import blank_to_null, once
from ueba.ingest.reading.wineventlog import FIRST_FIELD, SEPARATOR
from ueba.ingest.sample import Sample, parse_json

DELIMITERS = (",", ";", "\t", "|")
PREAMBLES = (TYPE_LINE, "sep=")  # beginnings of a line before the header: of PowerShell, for Excel
UTC_COLUMN = "[UTC]"  # what Azure's exports write behind the name of a time
# Keys that tools wrap records in, the likeliest first; all other keys are tried after them.
USUAL = (
    *("AuditData", "auditData", "CloudTrailEvent", "_source", "result", "detail", "_raw", "event"),
    *("message", "Message", "MESSAGE", "log", "original", "fields", "body", "Body", "data", "payload"),
)
IDENTITY = "_id"  # of an Elasticsearch hit, beside the envelope
DEPTH = 4  # steps of an opening, at most
MOST = 80  # openings that are tried
SHORTEST = 15  # characters of a text that may be a record
SHOWN = 30  # records by which openings are tried
LEVELS = 2  # of objects in which keys with dots are looked for
MOST_DOTS = 50  # in such a key; one with more is a name
NAME = r"[\w@#%$&*.\[\]()/ +-]{0,80}"  # of a column
ENCODED = r"[A-Za-z0-9+/]{20,}={0,2}$"
BASE64 = "^" + ENCODED
# How a record begins: JSON, XML, a priority, a time, a number; or base64.
RECORD = (
    r"\s*(?:[{[]|<Event|<\d{1,3}>|[A-Z][a-z]{2} {1,2}\d|\d{4}-\d\d-\d\d[Tt ]\d|\d\d/\d\d/\d{4} "
    rf"|\d+[.,]\d|\d+,\w|{ENCODED}|[A-Z][a-z]{{2}} .*\{{)"
)
BEHIND = r"(?s)^\s*[^{\s][^{]*(\{.*\})\s*$"  # a record that begins with a brace has no header


# --- steps --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inside:
    """The value of a key: an object, or a text that is a record."""

    key: str

    def of_record(self, record: str) -> str | None:
        found = parse_json(record)
        value = found.get(self.key) if isinstance(found, dict) else None
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def of_rows(self, text: ir.StringValue) -> ir.StringValue:
        return json_extract_string(ibis.ifelse(json_valid(text), text, "{}"), pointer(self.key))


@dataclass(frozen=True)
class Behind:
    """JSON behind a header, as a relay writes it: `Mar  5 10:00:00 relay okta: {...}`."""

    def of_record(self, record: str) -> str | None:
        found = re.search(BEHIND, record)
        return found[1] if found else None

    def of_rows(self, text: ir.StringValue) -> ir.StringValue:
        return text.re_extract(BEHIND, 1).nullif("")


@dataclass(frozen=True)
class Decoded:
    """A text in base64, as queues carry it."""

    def of_record(self, record: str) -> str | None:
        is_encoded = re.search(BASE64, record) and len(record) % 4 == 0
        return base64.b64decode(record).decode(errors="replace") if is_encoded else None

    def of_rows(self, text: ir.StringValue) -> ir.StringValue:
        is_encoded = text.re_search(BASE64) & (text.length() % 4 == 0)
        return ibis.ifelse(is_encoded, fields.text_of(from_base64(text)), None)


@dataclass(frozen=True)
class Nested:
    """`{"a.b": "x"}` as `{"a": {"b": "x"}}`; if all values are lists, as Elasticsearch writes fields, a list
    of one is that one. A key that comes twice has the last value; null and an empty text are no value."""

    def of_record(self, record: str) -> str | None:
        found = parse_json(record)
        if not isinstance(found, dict):
            return None
        is_listed = all(isinstance(value, list) for value in found.values())
        return json.dumps(nested(found, LEVELS, is_listed))

    def of_rows(self, text: ir.StringValue) -> ir.StringValue:
        is_object = ibis.ifelse(json_valid(text), json_type(text) == "OBJECT", False)
        found = once(ibis.ifelse(is_object, text, "{}"), nested_record)
        return ibis.ifelse(is_object, found, None)


Step = Inside | Behind | Decoded | Nested


def nested(value: dict[str, Any], levels: int, is_listed: bool = False) -> dict[str, Any]:
    """An object with objects in place of dots in its keys, down to a number of levels. is_listed: a list of
    one is that one"""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if inner is None or inner == "":
            continue
        if is_listed and len(inner) == 1:
            inner = inner[0]
        if isinstance(inner, dict) and levels > 1:
            inner = nested(inner, levels - 1)
        for part in reversed(key.split(".") if key.count(".") <= MOST_DOTS else [key]):
            inner = {part: inner}
        found = patched(found, inner)
    return found


def patched(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396), which is what DuckDB merges by."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = patched(found.get(key), value)
    return found


def nested_record(text: ir.StringValue) -> ir.StringValue:
    """What `Nested` makes of a JSON object, in the database."""
    others = json_keys(text).filter(lambda key: json_type(member_of(text, key)) != "ARRAY")
    return once(others.length() == 0, lambda is_listed: nested_rows(text, LEVELS, is_listed))


def nested_rows(
    text: ir.StringValue, levels: int, is_listed: ir.BooleanValue | None = None
) -> ir.StringValue:
    """`nested` in the database. text: a JSON object; is_listed: a list of one is that one"""

    def value(inner: ir.StringValue) -> ir.StringValue:
        if is_listed is not None:
            inner = ibis.ifelse(is_listed & (json_array_length(inner) == 1), json_extract(inner, "/0"), inner)
        if levels == 1:
            return inner
        return once(inner, lambda v: ibis.ifelse(json_type(v) == "OBJECT", nested_rows(v, levels - 1), v))

    def member(key: ir.StringValue) -> ir.StringValue:
        inner = once(member_of(text, key), value)
        dots = key.length() - key.replace(".", "").length()
        is_path = dots <= MOST_DOTS
        opening = to_json(key).replace(".", ibis.ifelse(is_path, '":{"', "."))
        closing = ibis.literal("}").repeat(ibis.ifelse(is_path, dots, 0) + 1)
        return ibis.literal("{") + opening + ":" + ibis.coalesce(inner, "null") + closing

    values = json_keys(text).filter(lambda key: member_of(text, key).notin(("null", '""')))
    return merged(values.map(member))


# --- a table ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A table in a text whose first row names its columns.

    header:  the row as it is written
    columns: their names, without `[UTC]` behind them; empty for a column without a name, which is an index
    """

    delimiter: str
    header: str
    columns: tuple[str, ...]

    @classmethod
    def of(cls, records: tuple[str, ...], delimiter: str) -> Table | None:
        """The table of the first records; None if they are none."""
        header = next((record for record in records[:3] if not is_preamble(record)), "")
        columns = fields.split_csv(header, delimiter)
        names = [name.replace(SEPARATOR, " ").removesuffix(UTC_COLUMN).strip() for name in columns]
        is_table = len(columns) > 1 and len(set(names)) == len(names) and all(map(is_name, names))
        return cls(delimiter, header, tuple(names)) if is_table else None

    def objects(self, records: tuple[str, ...]) -> list[dict[str, Any]]:
        """The rows below the header by column. A header alone is a row of empty texts."""
        below = records[records.index(self.header) + 1 :]
        split = (fields.split_csv(record, self.delimiter) for record in below)  # each may be no CSV
        rows = [row for row in split if len(row) == len(self.columns)]
        rows = rows or ([[""] * len(self.columns)] if not any(below) else [])
        return [
            {name: cell(value) for name, value in zip(self.columns, row, strict=True) if name} for row in rows
        ]


def cell(text: str) -> Any:
    """The value of a cell: an object or a list if it is one."""
    found = parse_json(text.replace(SEPARATOR, " ")) if text.startswith(("{", "[")) else None
    return text.replace(SEPARATOR, "\n" if FIRST_FIELD in text else " ") if found is None else found


def spellings(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Names of columns, each as a log source spells it: exports change upper and lower case."""
    exact = set(known)
    others = {name.lower(): name for name in exact}
    return {name: name if name in exact else others.get(name.lower(), name) for name in names}


def is_name(text: str) -> bool:
    """Whether a text may be the name of a column; an index has none."""
    return re.fullmatch(NAME, text) is not None


def is_preamble(record: str) -> bool:
    """Whether a line before the header of a table names no columns: a type line of PowerShell, a separator
    line of Excel."""
    return record.startswith(PREAMBLES) or not record.strip()


def table_rows(lines: ir.Table, table: Table, known: tuple[str, ...]) -> ir.Table:
    """lines with each row as a JSON object, and why it is none in `refused`. known: names as the log source
    spells them"""
    names = spellings(table.columns, known)
    rows, values = fields.csv_fields(lines, table.columns, table.delimiter)
    members = [
        to_json(ibis.literal(names[name])) + ":" + cells(value) for name, value in values.items() if name
    ]
    is_header = ibis.or_(rows.text == table.header, *(rows.text.startswith(begin) for begin in PREAMBLES))
    is_row = rows.field.length() == len(table.columns)
    text = ibis.literal("{") + ibis.literal(",").join(members) + "}"
    return rows.mutate(
        text=ibis.ifelse(is_row, text, rows.text),
        refused=ibis.cases(
            (is_header, HEADER), (~is_row & (rows.text != ""), f"not {len(table.columns)} fields")
        ),
    ).drop("field")


def cells(text: ir.StringValue) -> ir.StringValue:
    """The values of cells as JSON."""

    def written(text: ir.StringValue) -> ir.StringValue:
        line_end = ibis.ifelse(text.contains(FIRST_FIELD), "\n", " ")
        return to_json(text.replace(SEPARATOR, line_end))

    def object_or_text(found: ir.StringValue) -> ir.StringValue:
        return ibis.ifelse(json_valid(found), found, to_json(found))

    def value(text: ir.StringValue) -> ir.StringValue:
        may_be = text.startswith("{") | text.startswith("[")
        return ibis.ifelse(may_be, once(text.replace(SEPARATOR, " "), object_or_text), written(text))

    return once(text, value)


# --- openings -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opening:
    """How the records of a file are laid bare, whoever reads them. frame: where a record ends, a name of
    `reading.framing`"""

    frame: str
    table: Table | None = None
    steps: tuple[Step, ...] = ()


def candidates(sample: Sample, frame: str) -> Iterator[tuple[Opening, Sample]]:
    """Openings of a file and what they lay bare of its first records, those with fewest steps first."""
    waiting = [(Opening(frame), sample)]
    if frame == "rows":
        waiting = list(tables(sample))
    elif sum(re.search(BEHIND, record) is not None for record in sample.records) * 2 > len(sample.records):
        # behind a header there may be records: rather these than the header's own
        waiting.insert(0, (Opening(frame, steps=(Behind(),)), taken(sample, [Behind()])))
    for _ in range(MOST):
        if not waiting:
            return
        opening, laid_bare = waiting.pop(0)
        yield opening, laid_bare
        if len(opening.steps) < DEPTH:
            waiting += wider(opening, replace(laid_bare, records=laid_bare.records[:SHOWN]))


def tables(sample: Sample) -> Iterator[tuple[Opening, Sample]]:
    """The tables that these records may be the beginning of."""
    for delimiter in DELIMITERS:
        if table := Table.of(sample.records, delimiter):
            rows = tuple(json.dumps(row) for row in table.objects(sample.records))
            names = tuple(fields.split_csv(table.header, delimiter))
            yield Opening("rows", table), replace(sample, records=rows, columns=names)


def wider(opening: Opening, sample: Sample) -> Iterator[tuple[Opening, Sample]]:
    """Openings with one more step."""
    for step in steps_into(sample, opening):
        bare = (step.of_record(record) for record in sample.records)
        if any(text is not None and len(text) >= SHORTEST for text in bare):
            yield replace(opening, steps=(*opening.steps, step)), taken(sample, [step])


def taken(sample: Sample, steps: Iterable[Step]) -> Sample:
    """The first records after these steps."""
    records = sample.records
    for step in steps:
        bare = (step.of_record(record) for record in records)
        records = tuple(record if text is None else text for text, record in zip(bare, records, strict=True))
    return replace(sample, records=records)


def steps_into(sample: Sample, opening: Opening) -> Iterator[Step]:
    """The steps that may lay something bare of these records."""
    if not sample.objects:
        yield Behind()
        yield Decoded()
        return
    keys = dict.fromkeys(key for record in sample.objects for key in record)
    if Nested() not in opening.steps and any("." in key for key in keys):
        yield Nested()
    for key in sorted(keys, key=lambda key: USUAL.index(key) if key in USUAL else len(USUAL)):
        if any(may_hold(record.get(key)) for record in sample.objects):
            yield Inside(key)


def may_hold(value: Any) -> bool:
    """Whether a value may be a record, or lead to one."""
    return isinstance(value, dict) or (isinstance(value, str) and re.match(RECORD, value) is not None)


def opened(lines: ir.Table, opening: Opening, known: tuple[str, ...]) -> ir.Table:
    """lines with the text of their records laid bare. If the opening does anything they have the columns
    `written` (the text as it is in the file), `refused` (why a line is no record, or null) and `hit` (the
    identity that an envelope gives the record, or null). known: names as the log source spells them"""
    if opening.table is None and not opening.steps:
        return lines
    rows = lines.mutate(written=lines.text, refused=ibis.null("string"), hit=ibis.null("string"))
    if opening.table:
        rows = table_rows(rows, opening.table, known)
    for step in opening.steps:
        if isinstance(step, Inside) and step.key in ("_source", "fields"):
            rows = rows.mutate(
                hit=ibis.coalesce(rows.hit, blank_to_null(Inside(IDENTITY).of_rows(rows.text)))
            )
        rows = rows.mutate(text=once(rows.text, partial(laid_bare, step)))
    return rows


def laid_bare(step: Step, text: ir.StringValue) -> ir.StringValue:
    """What a step finds in a text; the text itself if that is nothing."""
    return ibis.coalesce(step.of_rows(text), text)


def member_of(text: ir.StringValue, key: ir.StringValue) -> ir.StringValue:
    """The value of a key as JSON."""
    return json_extract(text, ibis.literal("/") + key.replace("~", "~0").replace("/", "~1"))


# --- functions of DuckDB ------------------------------------------------------------------------------------


def pointer(key: str) -> str:
    """A key as a JSON pointer."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_type(text: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_array_length(text: str) -> int: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_extract(text: str, path: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_keys(text: str) -> list[str]: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(signature=((dtypes.Array(dtypes.string),), str))
def merged(objects):  # type: ignore[no-untyped-def]
    """JSON objects merged into one: a macro of `lake.connect`."""


@ibis.udf.scalar.builtin(signature=((str,), "binary"))
def from_base64(text): ...  # type: ignore[no-untyped-def]
