"""Mutations of log records and of log files: pure functions (rng, bytes) -> bytes, in tables.

BYTES, FIELDS and ENVELOPES change one record, without its line end; what they return may have line ends.
LOSSLESS turns a file into another one that says the same, FRAMES and DAMAGE into one that need not. A
function that does not fit its input (a field of a record without fields) returns it as it is. Leaves out what
is read of them (`trials`).
"""

from __future__ import annotations

import bz2
import csv
import functools
import gzip
import io
import json
import re
import tarfile
import zipfile
from base64 import b64encode
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

Mutator = Callable[[Random, bytes], bytes]

# Values that no log source expects.
ODD = [
    None,
    True,
    0,
    -1,
    1e300,
    "",
    " ",
    "-",
    "$",
    "\\",
    "/",
    "@",
    "::",
    "%",
    "{",
    "<Event",
    "\x00",
    "ü" * 300,
]
ODD += [[], {}, [[]], [{"type": 5}], {"type": []}, [{"name": None, "ARN": 5}], "infinity", "9" * 40]
ODD += ["294247-01-10 04:00:54", "2024-02-30T00:00:00Z", "/Date(1)/", "arn:aws:iam::1:role/x", "S-1-5-18"]
TIMES = [
    "0000-00-00T00:00:00Z",
    "2024-13-01T25:61:61Z",
    "9999-12-31T23:59:59.9999999Z",
    "1601-01-01T00:00:00Z",
]
TIMES += [
    "-infinity",
    "epoch",
    "now",
    "today",
    "2024-03-01T08:15:02+99:99",
    "2024-03-01T08:15:02 Mars/Phobos",
]
TIMES += [
    "0044-03-15 (BC) 12:00:00",
    "12/31/9999 11:59:59 PM",
    "Feb 29 23:59:60",
    "/Date(-99999999999999999)/",
]
TIMES += ["1969-12-31T23:59:59Z", "2024-03-01", "08:15:02", "20240301T081502Z", "2024-03-01T08:15:02.5-0530"]
NUMBERS = [
    2**31,
    2**63,
    -(2**63),
    2**64,
    10**40,
    1e18,
    1709280902123456789,
    -1.5,
    5e-324,
    1.7976931348623157e308,
]
CONTROLS = [
    "a\x1b[31mb",
    "\u202eecila",
    "\u2066a\u2069",
    "\x7f",
    "a\x85b",
    "a\u2028b",
    "\x0b\x0c",
    "\ufeffa",
    "a\rb",
]
CONTROLS += [
    "\U0010ffff",
    "\ufffd",
    "İ",
    "ﬃ",
    "e\u0301" * 50,
    "a\tb",
    'a"b',
    "a,b",
    "a;b|c",
    "\x1f",
    "a\nb",
    "\x1c",
]
NAMES = [
    "../../x",
    "'; DROP TABLE events; --",
    "%s%n",
    "$1\\1",
    "{{7*7}}",
    "=1+1",
    "&#0;&#x110000;&lt;",
    "\\u0000",
]
NAMES += [
    "\\xff",
    "999.1.1.1",
    "::ffff:999.1.1.1",
    "fe80::1%eth0",
    "10.0.0.7:99999",
    "[::1]:443",
    "\\\\?\\C:\\x",
]
NAMES += ["a@b@c", "@", "\\", "a\\b\\c", "..", "$$", "krbtgt", "ANONYMOUS LOGON", "null", "NaN", "undefined"]
TEXTS = [value for value in ODD if isinstance(value, str)] + TIMES + CONTROLS + NAMES
OTHERS = [value for value in ODD if not isinstance(value, str)] + NUMBERS
RAW = [
    b"1e400",
    b"-1e400",
    b"NaN",
    b"Infinity",
    b"01",
    b"+1",
    b"'a'",
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\\x"',
    b"",
    b"1.",
    b"-",
]
LENGTHS = [300] * 40 + [5_000] * 8 + [70_000, (1 << 20) + 10]  # characters of a long text


def span(rng: Random, size: int, longest: int = 40) -> tuple[int, int]:
    """The beginning and the end of a part of a text."""
    begin = rng.randrange(size + 1)
    return begin, min(size, begin + rng.randrange(longest))


# --- bytes of a record --------------------------------------------------------------------------------------


def inserted(rng: Random, data: bytes, part: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + part + data[at:]


def inserting(*parts: bytes) -> Mutator:
    return lambda rng, data: inserted(rng, data, rng.choice(parts))


def bit_flipped(rng: Random, data: bytes) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def bytes_inserted(rng: Random, data: bytes) -> bytes:
    return inserted(rng, data, rng.randbytes(1 + rng.randrange(4)))


def part_deleted(rng: Random, data: bytes) -> bytes:
    begin, end = span(rng, len(data))
    return data[:begin] + data[end:]


def part_doubled(rng: Random, data: bytes) -> bytes:
    begin, end = span(rng, len(data), 400)
    return data[:end] + data[begin:]


def truncated(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def beheaded(rng: Random, data: bytes) -> bytes:
    return data[rng.randrange(len(data) + 1) :]


def in_latin_1(rng: Random, data: bytes) -> bytes:
    return inserted(rng, data, "Jürgen".encode()).decode("utf-8", "replace").encode("latin-1", "replace")


def recoded(*encodings: str) -> Mutator:
    return lambda rng, data: data.decode("utf-8", "replace").encode(rng.choice(encodings), "replace")


def in_other_case(rng: Random, data: bytes) -> bytes:
    return rng.choice([data.upper(), data.lower(), data.swapcase()])


BYTES: tuple[Mutator, ...] = (
    bit_flipped,
    bytes_inserted,
    part_deleted,
    part_doubled,
    truncated,
    beheaded,
    in_latin_1,
    recoded("utf-16-le", "utf-16-be", "utf-16", "cp437", "utf-7", "utf-32-le"),
    in_other_case,
    inserting(b"\0", b"\0\0\0\0"),
    inserting(
        b"\xff",
        b"\xc3",
        b"\xe2\x82",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
    ),
    inserting(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"),
    inserting(
        b"\r", b"\r\n", b"\n", b"\r\r\n", b"\n\n", b"\x0b", b"\x0c", b"\x1c", b"\xc2\x85", b"\xe2\x80\xa8"
    ),
    inserting(
        b'"',
        b"'",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b"<",
        b">",
        b"&",
        b",",
        b"\t",
        b" ",
        b";",
        b"|",
        b"]]>",
        b"-->",
    ),
    inserting(
        b"\\x00", b"\\xff", b"\\u0000", b"\\ud800", b"&#0;", b"&#xD800;", b"&amp;", b"%00", b'\\"', b'""'
    ),
)


# --- fields of a record -------------------------------------------------------------------------------------

TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:]|[^\s,:{}\[\]"]+')
XML_VALUES = re.compile(rb">([^<>]+)<|='([^']*)'|=\"([^\"]*)\"")
CELLS = {
    b",": re.compile(rb'"(?:[^"]|"")*"|[^,"]+'),
    b"\t": re.compile(rb"[^\t]+"),
    b" ": re.compile(rb"[^ :=]+"),
}


class Fields(NamedTuple):
    """Where the fields of a record are, as pairs of offsets. names: of a JSON object, without their quotes"""

    is_json: bool
    values: tuple[tuple[int, int], ...]
    names: tuple[tuple[int, int], ...] = ()


@functools.lru_cache(maxsize=8192)
def fields_of(record: bytes) -> Fields:
    if record.startswith((b"{", b"[")):
        return json_fields(record)
    if record.startswith(b"<Event"):
        found = XML_VALUES.finditer(record)
        return Fields(False, tuple(part.span(part.lastindex or 0) for part in found))
    delimiter = max(CELLS, key=lambda delimiter: (record.count(delimiter) > 2, delimiter != b" "))
    return Fields(False, tuple(part.span() for part in CELLS[delimiter].finditer(record)))


def json_fields(record: bytes) -> Fields:
    values, names, opened = [], [], []
    for token in TOKENS.finditer(record):
        match token[0]:
            case b"{" | b"[":
                opened.append(token.start())
            case b"}" | b"]":
                values.append((opened.pop(), token.end())) if opened else None
            case b":":
                if values:
                    begin, end = values.pop()
                    names.append((begin + 1, end - 1))
            case _:
                values.append(token.span())
    return Fields(True, tuple(value for value in values if value[0]), tuple(names))


def odd_value(rng: Random, is_json: bool) -> bytes:
    """A value that the field does not expect, as JSON or as plain text."""
    if rng.random() < 0.05:
        text = rng.choice(["a", "ü", "😀", "\\", "a.", "\x00"]) * rng.choice(LENGTHS)
    elif is_json and rng.random() < 0.1:
        return rng.choice(RAW)
    elif rng.random() < 0.3:
        return json.dumps(rng.choice(OTHERS)).encode()
    else:
        text = rng.choice(TEXTS)
    return json.dumps(text, ensure_ascii=rng.random() < 0.5).encode() if is_json else text.encode()


def changing(change: Callable[[Random, bytes, bool], bytes]) -> Mutator:
    """A change to the value of one field. A JSON object inside a text of JSON or of CSV is changed inside
    half of the time."""

    def changed(rng: Random, record: bytes) -> bytes:
        is_json, values, _ = fields_of(record)
        if not values:
            return record
        begin, end = rng.choice(values)
        value = record[begin:end]
        if value.startswith((b'"{', b'"[')) and rng.random() < 0.5:
            value = inside(rng, value, is_json, changed)
        else:
            value = change(rng, value, is_json)
        return record[:begin] + value + record[end:]

    return changed


def inside(rng: Random, value: bytes, is_json: bool, changed: Mutator) -> bytes:
    """The change made to the JSON that a quoted value holds."""
    if not is_json:
        return b'"' + changed(rng, value[1:-1].replace(b'""', b'"')).replace(b'"', b'""') + b'"'
    try:
        text = json.loads(value).encode("utf-8", "replace")
    except ValueError:
        return value
    return json.dumps(changed(rng, text).decode("utf-8", "replace")).encode()


def wrapped_value(rng: Random, value: bytes, is_json: bool) -> bytes:
    """A value as a list, an object, a text, deep in lists, with dots in its name."""
    depth = rng.choice([1, 2, 30, 400, 950, 3000])  # Python gives up at a thousand
    text = value.decode("utf-8", "replace")
    return rng.choice(
        [
            b"[" * depth + value + b"]" * depth,
            b'{"a":' * depth + value + b"}" * depth,
            b'{"#text":%b,"#attributes":{}}' % value,
            b'{"":%b,"":%b}' % (value, value),
            b"[%b,%b]" % (value, value),
            json.dumps(text).encode(),
            json.dumps(json.dumps(text)).encode(),
            b"",
        ]
    )


def value_edited(rng: Random, value: bytes, is_json: bool) -> bytes:
    """A change of a few bytes within a value, whose quotes stay."""
    if is_json and value.startswith(b'"'):
        return b'"' + rng.choice(BYTES)(rng, value[1:-1]).replace(b'"', b'\\"') + b'"'
    return rng.choice(BYTES)(rng, value)


def swapped(rng: Random, record: bytes) -> bytes:
    """Two values in each other's place."""
    values = fields_of(record).values
    if len(values) < 2:
        return record
    (first, first_end), (second, second_end) = sorted(rng.sample(values, 2))
    if second < first_end:  # one lies inside the other
        return record[:first] + record[second:second_end] + record[first_end:]
    middle = record[first_end:second]
    return record[:first] + record[second:second_end] + middle + record[first:first_end] + record[second_end:]


def renamed(rng: Random, record: bytes) -> bytes:
    """Another name for a field: of another field, in another case, with a dot or many, empty, odd."""
    names = fields_of(record).names
    if not names:
        return record
    begin, end = rng.choice(names)
    other_begin, other_end = rng.choice(names)
    name, other = record[begin:end], record[other_begin:other_end]
    odd = json.dumps(rng.choice(TEXTS))[1:-1].encode()
    many = (name + b".") * rng.choice([3, 60, 2000])
    new = rng.choice(
        [other, name.upper(), name.swapcase(), name + b"." + other, many, b"", b"$", odd, name + b" ", b"[0]"]
    )
    return record[:begin] + new + record[end:]


def dotted(rng: Random, record: bytes) -> bytes:
    """An object with dots in the names of its fields instead of objects: `{"a.b": 1}`."""
    try:
        value = json.loads(record)
    except (ValueError, RecursionError):
        return record
    return json.dumps(flattened(value, rng.randrange(1, 4))).encode() if isinstance(value, dict) else record


def flattened(value: dict[str, object], depth: int) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, inner in value.items():
        if isinstance(inner, dict) and inner and depth:
            flat |= {f"{name}.{key}": part for key, part in flattened(inner, depth - 1).items()}
        else:
            flat[name] = inner
    return flat


FIELDS: tuple[Mutator, ...] = (
    changing(lambda rng, value, is_json: odd_value(rng, is_json)),
    changing(lambda rng, value, is_json: odd_value(rng, is_json)),
    changing(lambda rng, value, is_json: b"null" if is_json else b""),
    changing(wrapped_value),
    changing(value_edited),
    swapped,
    renamed,
)


# --- envelopes of a record ----------------------------------------------------------------------------------

FIELD_NAMES = (
    "_source",
    "result",
    "fields",
    "detail",
    "message",
    "_raw",
    "event",
    "data",
    "CloudTrailEvent",
    "body",
    "log",
)


def enveloped(rng: Random, record: bytes) -> bytes:
    """A record in one field of another record, as an object or as a text."""
    name = rng.choice(FIELD_NAMES)
    is_object = record.startswith(b"{") and rng.random() < 0.5
    value = record if is_object else json.dumps(record.decode("utf-8", "replace")).encode()
    others = rng.choice(
        [b"", b'"preview":false,', b'"_index":"logs-1","_id":"a",', b'"@timestamp":"2024-03-01T08:15:02Z",']
    )
    outer = b'{%b"%b":%b}' % (others, name.encode(), value)
    return enveloped(rng, outer) if rng.random() < 0.2 else outer


ENVELOPES: tuple[Mutator, ...] = (enveloped, dotted)


def mutated(rng: Random, record: bytes) -> bytes:
    """A record with something wrong in it: mostly one thing."""
    chance = rng.random()
    table = BYTES if chance < 0.4 else FIELDS if chance < 0.93 else ENVELOPES
    record = rng.choice(table)(rng, record)
    return mutated(rng, record) if len(record) < 20_000 and rng.random() < 0.15 else record


# --- files that say the same --------------------------------------------------------------------------------


def zipped(rng: Random, data: bytes, name: str = "log", method: int | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(
        file, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]) if method is None else method
    ) as zip:
        zip.writestr(name, data)
    return file.getvalue()


def tarred(rng: Random, data: bytes, name: str = "folder/log") -> bytes:
    file = io.BytesIO()
    with tarfile.open(
        fileobj=file, mode="w", format=rng.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    ) as tar:
        info = tarfile.TarInfo(name * rng.choice([1, 1, 40]))
        info.size, info.mtime = len(data), 1_700_000_000
        tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def zstd(rng: Random, data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


def gzipped(rng: Random, data: bytes) -> bytes:
    """One gzip stream, or several one after another, as log rotation leaves them."""
    at = rng.choice([0, len(data) // 2])
    return (gzip.compress(data[:at], mtime=0) if at else b"") + gzip.compress(data[at:], mtime=0)


def bzipped(rng: Random, data: bytes) -> bytes:
    return bz2.compress(data)


def nested(rng: Random, data: bytes) -> bytes:
    """An archive in an archive, two or three deep."""
    for _ in range(rng.randrange(1, 3)):
        data = rng.choice([zipped, tarred])(rng, data)
        data = rng.choice([gzipped, zstd, bzipped, lambda rng, data: data])(rng, data)
    return data


def with_bom(rng: Random, data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


def in_utf_16(rng: Random, data: bytes) -> bytes:
    text = data.decode()
    return rng.choice([b"\xff\xfe" + text.encode("utf-16-le"), b"\xfe\xff" + text.encode("utf-16-be")])


def with_crlf(rng: Random, data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def unended(rng: Random, data: bytes) -> bytes:
    return data.rstrip(b"\n")


def objects_of(data: bytes) -> list[bytes]:
    """The records of a file of JSON objects; none if it is no such file."""
    records = data.splitlines()
    return records if records and all(record.startswith(b"{") for record in records) else []


def listing(before: bytes, after: bytes = b"]}") -> Mutator:
    """JSON records as a list in a document."""

    def listed(rng: Random, data: bytes) -> bytes:
        records = objects_of(data)
        return before + rng.choice([b",", b",\n", b" ,\r\n  "]).join(records) + after if records else data

    return listed


def indented(rng: Random, data: bytes) -> bytes:
    """JSON records over several lines, in a list or one after another."""
    records = [json.loads(record) for record in objects_of(data)]
    if not records:
        return data
    one_by_one = "\n".join(json.dumps(record, indent=2) for record in records)
    return rng.choice([one_by_one, json.dumps(records, indent=rng.choice([1, 4]))]).encode()


def shuffled_names(rng: Random, data: bytes) -> bytes:
    """The fields of JSON records in another order."""
    records = [[*json.loads(record).items()] for record in objects_of(data)]
    return (
        b"".join(json.dumps(dict(rng.sample(items, len(items)))).encode() + b"\n" for items in records)
        or data
    )


def table_of(data: bytes) -> list[list[str]]:
    """The rows of a CSV with a header; none if it is no such file."""
    rows = [row for row in csv.reader(io.StringIO(data.decode(), newline=""))]
    is_table = (
        len(rows) > 1
        and len({*map(len, rows)}) == 1
        and len(rows[0]) > 2
        and not data.startswith((b"{", b"<"))
    )
    return rows if is_table and all(re.fullmatch(r"[A-Z a-z()_-]+", name) for name in rows[0]) else []


def written_csv(
    rows: Sequence[Sequence[str]], delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL
) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    return file.getvalue().encode()


def columns_moved(rng: Random, data: bytes) -> bytes:
    """The columns of a CSV in another order, with or without quotes."""
    rows = table_of(data)
    if not rows:
        return data
    order = rng.sample(range(len(rows[0])), len(rows[0]))
    return written_csv(
        [[row[number] for number in order] for row in rows],
        quoting=rng.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    )


def columns_added(rng: Random, data: bytes) -> bytes:
    """Columns that no log source knows, anywhere in a CSV, whose cells have commas, braces, quotes and line
    ends."""
    rows = table_of(data)
    if not rows:
        return data
    at = rng.randrange(len(rows[0]) + 1)
    cells = ["", "a, b", 'a "b" c', '{"a": "}"}', "a\nb", "{", "x" * 300]
    added = [
        [f"Other {number}" for number in range(2)],
        *([rng.choice(cells), rng.choice(cells)] for _ in rows[1:]),
    ]
    return written_csv([[*row[:at], *more, *row[at:]] for row, more in zip(rows, added, strict=True)])


PACKED: tuple[Mutator, ...] = (gzipped, bzipped, zstd, zipped, tarred, nested)
LOSSLESS: tuple[Mutator, ...] = (
    *PACKED,
    with_bom,
    in_utf_16,
    with_crlf,
    unended,
    listing(b"[", b"]"),
    listing(b'{"Records":['),
    listing(b'{"value":['),
    listing(b'{"@odata.context":"https://x","value":[', b"]}\n"),
    listing(b'{"items":[\n'),
    indented,
    shuffled_names,
    columns_moved,
    columns_added,
)


# --- files that need not say the same -----------------------------------------------------------------------


def log_events(rng: Random, data: bytes) -> bytes:
    """As CloudWatch hands logs over: texts in a list, a document or several."""
    events = [
        {"id": str(number), "timestamp": 1709280902000 + number, "message": record.decode("utf-8", "replace")}
        for number, record in enumerate(data.splitlines())
    ]
    document = {
        "messageType": "DATA_MESSAGE",
        "owner": "1",
        "logGroup": "g",
        "logStream": "s",
        "logEvents": events,
    }
    return json.dumps(document).encode() * rng.choice([1, 1, 2]) + b"\n"


def firehose(rng: Random, data: bytes) -> bytes:
    """As Firehose hands records over: base64 in a list."""
    records = [{"data": b64encode(record).decode()} for record in data.splitlines()]
    return json.dumps({"requestId": "a", "timestamp": 1709280902000, "records": records}).encode()


def all_enveloped(rng: Random, data: bytes) -> bytes:
    """Every record in the same envelope."""
    seed = rng.random()
    return b"\n".join(enveloped(Random(seed), record) for record in data.splitlines())


def all_dotted(rng: Random, data: bytes) -> bytes:
    seed = rng.random()
    return b"\n".join(dotted(Random(seed), record) for record in data.splitlines())


def lists_of_lists(rng: Random, data: bytes) -> bytes:
    depth = rng.choice([2, 3, 1000, 100_000])
    return b"[" * depth + b",".join(data.splitlines()) + b"]" * rng.choice([depth, depth - 1, 0])


def deep_json(rng: Random, data: bytes) -> bytes:
    depth = rng.choice([50, 2000, 100_000])
    name = rng.choice([b"a", b"Records", b"_source", b"message", b"result"])
    return data + (b'{"%b":' % name) * depth + b"1" + b"}" * depth + b"\n" + data


def deep_xml(rng: Random, data: bytes) -> bytes:
    depth = rng.choice([50, 2000, 100_000])
    return (
        data + b"<Event xmlns='x'>" + b"<a>" * depth + b"</a>" * rng.choice([0, depth]) + b"</Event>\n" + data
    )


def xml_document(rng: Random, data: bytes) -> bytes:
    head = rng.choice(
        [b"", b"<?xml version='1.0' encoding='utf-8'?>\n", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"Record 1\n"]
    )
    return (
        head
        + b"<Events>"
        + rng.choice([b"", b"\n"]).join(data.splitlines())
        + rng.choice([b"</Events>", b""])
    )


def list_with_others(rng: Random, data: bytes) -> bytes:
    """A list in which values that are no objects stand between the records."""
    values = [
        part
        for record in data.splitlines()
        for part in (record, rng.choice([b"null", b"1", b'"{"', b"[]", b"{}"]))
    ]
    return rng.choice(
        [b'{"Records":[', b"[", b'{"hits":{"hits":[', b'{"took":1,"hits":{"hits":[']
    ) + b",".join(values)


def other_delimiter(rng: Random, data: bytes) -> bytes:
    return data.replace(b",", rng.choice([b";", b"\t", b"|", b", "]))


def ragged(rng: Random, data: bytes) -> bytes:
    """Rows of a CSV with cells too many or too few, or a header twice, or none, or after other lines."""
    records = data.splitlines()
    rows = [
        record + b"," * rng.randrange(3) if rng.random() < 0.5 else record.rpartition(b",")[0]
        for record in records
    ]
    return b"\n".join(
        rng.choice(
            [rows, records[1:], records[:1] * 2 + records, [b"Report of x", b"", *records], records[:1]]
        )
    )


def lone_cr(rng: Random, data: bytes) -> bytes:
    return data.replace(b"\n", b"\r")


def in_encoding(rng: Random, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace").replace("alice", "zoë")
    return text.encode(
        rng.choice(["latin-1", "utf-16-le", "utf-16-be", "utf-32", "cp500", "utf-7", "shift-jis"]), "replace"
    )


def odd_utf_16(rng: Random, data: bytes) -> bytes:
    """UTF-16 with a byte missing, or half of a pair."""
    return truncated(rng, in_utf_16(rng, data.decode("utf-8", "replace").encode())) + rng.choice(
        [b"", b"\x00\xd8", b"\x0a"]
    )


def blank_lines(rng: Random, data: bytes) -> bytes:
    return data.replace(b"\n", rng.choice([b"\n\n", b"\n \n", b"\n\r\n", b"\n" * 200]))


def long_line(rng: Random, data: bytes) -> bytes:
    filler = rng.choice([b"x", b"{", b'"', b"[", b",", b" ", b'{"a":', b"<Event>", b"\\", b"\xff", b"\0"])
    return (
        data
        + filler * (((1 << 20) + rng.randrange(3 << 20)) // len(filler))
        + rng.choice([b"", b"\n"])
        + data
    )


def as_parquet(rng: Random, data: bytes) -> bytes:
    """JSON records as a Parquet file; other records as a column of texts."""
    try:
        table = pa.json.read_json(pa.BufferReader(data)) if objects_of(data) else None
    except pa.ArrowInvalid:
        table = None
    if table is None:
        name = rng.choice(["message", "row", "text", "a b", '"', ""])
        table = pa.table({name: [record.decode("utf-8", "replace") for record in data.splitlines()]})
    file = io.BytesIO()
    pa.parquet.write_table(table, file, compression=rng.choice(["none", "snappy", "zstd", "gzip"]))
    return file.getvalue()


FRAMES: tuple[Mutator, ...] = (
    log_events,
    firehose,
    all_enveloped,
    all_enveloped,
    all_dotted,
    lists_of_lists,
    deep_json,
    deep_xml,
    xml_document,
    list_with_others,
    other_delimiter,
    ragged,
    lone_cr,
    in_encoding,
    odd_utf_16,
    blank_lines,
    long_line,
    as_parquet,
)


# --- damage to a file ---------------------------------------------------------------------------------------


def damaged(rng: Random, data: bytes) -> bytes:
    """A few bytes flipped, at the beginning, at the end or anywhere: where archives have their headers and
    tables."""
    changed = bytearray(data)
    low, high = rng.choice([(0, 64), (0, 600), (max(len(data) - 200, 0), len(data)), (0, len(data))])
    for _ in range(rng.choice([1, 1, 2, 8, 60])):
        if changed:
            at = min(rng.randrange(low, max(high, low + 1)), len(changed) - 1)
            changed[at] = rng.choice([rng.randrange(256), 0, 255, changed[at] ^ 1 << rng.randrange(8)])
    return bytes(changed)


def joined(rng: Random, data: bytes) -> bytes:
    """Something else behind a file."""
    return data + rng.choice(
        [data, b"\0" * 600, b"PK\x05\x06" + b"\0" * 18, gzip.compress(b"x"), rng.randbytes(50)]
    )


def odd_members(rng: Random, data: bytes) -> bytes:
    """A zip or tar with odd names: of other folders, hidden, twice, long, not printable, empty members beside
    them."""
    names = [
        "../../x",
        "/etc/x",
        ".hidden",
        "a" * 200,
        "a\x1b[31m",
        "\u202ea",
        "a\\b",
        "log",
        "log",
        "x/",
        "a.zip",
        "ü",
        " ",
    ]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zip:
        for name in dict.fromkeys(rng.sample(names, 5)):
            zip.writestr(name, rng.choice([data, b"", data[:100]]))
    return rng.choice([file.getvalue(), tarred(rng, data, rng.choice(names[:7]))])


def other_method(rng: Random, data: bytes) -> bytes:
    return zipped(rng, data, method=rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))


DAMAGE: tuple[Mutator, ...] = (damaged, damaged, truncated, joined, bit_flipped)
ARCHIVES: tuple[Mutator, ...] = (
    *PACKED,
    odd_members,
    other_method,
    as_parquet,
)


def broken_archive(rng: Random, data: bytes) -> bytes:
    """An archive or a Parquet file that is damaged, perhaps inside another one."""
    data = rng.choice(DAMAGE)(rng, rng.choice(ARCHIVES)(rng, data))
    return rng.choice(ARCHIVES[:6])(rng, data) if rng.random() < 0.3 else data


def reframed(rng: Random, data: bytes) -> bytes:
    """A file in another frame, perhaps damaged, perhaps in an archive."""
    data = rng.choice(FRAMES)(rng, data)
    chance = rng.random()
    return data if chance < 0.5 else rng.choice(DAMAGE if chance < 0.8 else ARCHIVES[:6])(rng, data)
