"""The tools of log sources: fields of a JSON record, columns of a CSV line, times, addresses, names, and
records of several kinds. Ibis expressions only.

A JSON record is parsed once for all its fields. Leaves out what a field means: each log source knows that.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.datatypes as dtypes
import ibis.expr.types as ir

from ueba.ingest.identity import blank_to_null, is_local, once, somewhere
from ueba.ingest.reading.characters import MARK

# The text of a time with a zone.
OFFSET = (
    r"(?:\d:\d\d(?::\d\d)?|T\d{4,6})(?:[.,]\d+)?\s*(?:[AaPp]\.?[Mm]\.?\s*)?"
    r"(?:Z|z|\(UTC\)|(?:UTC|GMT)?[+-]\d\d(?::?\d\d)?|UTC|GMT)(?:\[[^\]]*\])?$"
)
ISO = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?"  # as DuckDB reads it
ISO_ZONED, ISO_LOCAL = rf"{ISO}(?:Z|[+-](?:0\d|1[0-4])(?::?\d\d)?)$", rf"{ISO}$|^\d{{4}}-\d\d-\d\d$"
TYPE_LINE = "#TYPE "  # the beginning of a CSV that Export-Csv of Windows PowerShell wrote
ADDRESS = r"^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F.:]*(%\w+)?)$"


# --- JSON ---------------------------------------------------------------------------------------------------


Paths = Mapping[str, str | Sequence[str]]  # column -> one path of a JSON record, or several


def all_paths(paths: Paths) -> tuple[str, ...]:
    """Every path in a table of paths, once."""
    flat = (path for value in paths.values() for path in ([value] if isinstance(value, str) else value))
    return tuple(dict.fromkeys(flat))


def json_fields(lines: ir.Table, paths: Paths) -> ir.Table:
    """lines with a text column for each field, and the column `is_json`. The value of a field is the first
    value among its paths that is not empty, `?`, `-` or null.

    paths: column -> `user.name`; a JSON pointer (`/a/0/b.c`) if a key has a dot, or for an element of a list;
    or several of these
    """
    wanted = [[value] if isinstance(value, str) else list(value) for value in paths.values()]
    flat = all_paths(paths)
    rows = lines.mutate(is_json=json_valid(lines.text))
    parsed = json_extract_strings(
        ibis.ifelse(rows.is_json, rows.text, "{}"), [json_path(path) for path in flat]
    )
    rows = rows.mutate(_json=parsed)
    found = {path: blank_to_null(rows._json[number]) for number, path in enumerate(flat)}
    columns = {
        name: ibis.coalesce(*(found[path] for path in options)) if options else ibis.null("string")
        for name, options in zip(paths, wanted, strict=True)
    }
    return rows.mutate(**columns).drop("_json")


def json_path(path: str) -> str:
    """`user.name` as DuckDB writes it. A path that begins with / is a JSON pointer, which DuckDB takes as it
    is."""
    return path if path.startswith("/") else "$" + "".join(f'."{part}"' for part in path.split("."))


def json_list(text: ir.StringValue, keys: Sequence[str]) -> ir.ArrayValue:
    """A field that is a list of objects, as structs of texts; an empty list if it is not a list. Keys keep
    their case."""

    @ibis.udf.scalar.builtin(
        signature=((str, str), dtypes.Array(dtypes.Struct(dict.fromkeys(keys, dtypes.string))))
    )
    def from_json(text, structure): ...  # type: ignore[no-untyped-def]

    is_list = text.startswith("[") & json_valid(text)
    structure = "[{" + ", ".join(f'"{key}": "VARCHAR"' for key in keys) + "}]"
    return from_json(ibis.ifelse(is_list, text, "[]"), structure)


# --- CSV ----------------------------------------------------------------------------------------------------

SEPARATOR = "\x1f"  # a character that does not occur in texts


def csv_fields(
    lines: ir.Table, header: Sequence[str], delimiter: str = ","
) -> tuple[ir.Table, dict[str, ir.StringValue]]:
    """lines with the column `field`, a list of texts in which quotes may stand (RFC 4180), and the value of
    each column of the header without its quotes."""
    by_pattern = regexp_extract_all(delimiter + lines.text, csv_pattern(delimiter), 1)
    # faster, and right if quotes come in pairs: every second part between quotes is outside of them
    parts = lines.text.split('"').map(
        lambda part, number: ibis.ifelse(number % 2 == 0, part.replace(delimiter, SEPARATOR), part)
    )
    by_quotes = ibis.ifelse(lines.text.contains(SEPARATOR), by_pattern, parts.join('"').split(SEPARATOR))
    quoted = once(by_quotes, lambda found: ibis.ifelse(found.length() == len(header), found, by_pattern))
    rows = lines.mutate(field=ibis.ifelse(lines.text.contains('"'), quoted, lines.text.split(delimiter)))
    return rows, {name: unquoted(rows.field[number]) for number, name in enumerate(header)}


def csv_pattern(delimiter: str) -> str:
    escaped = rf"\x{{{ord(delimiter):x}}}"
    return rf'{escaped}("(?:[^"]|"")*"|[^{escaped}]*)'


def split_csv(line: str, delimiter: str = ",") -> list[str]:
    """The fields of a line, without space around them; none if it is not CSV."""
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def unquoted(field: ir.StringValue) -> ir.StringValue:
    inside = field.substr(1, field.length() - 2).replace('""', '"')
    return ibis.ifelse(field.startswith('"') & field.endswith('"'), inside, field)


def value_or_null(text: ir.StringValue) -> ir.StringValue:
    """A text without space around it; null if it is empty, `?` or `-`."""
    # strip is slow, and rarely needed
    return once(
        once(text, lambda text: ibis.ifelse(text.re_search(r"^\s|\s$"), text.strip(), text)), blank_to_null
    )


Cases = list[tuple[ir.BooleanValue, str]]  # (condition, reason): why a record is dropped


# --- times --------------------------------------------------------------------------------------------------


def parsed_time(text: ir.StringValue, format: str, timezone: str = "UTC") -> ir.TimestampValue:
    """A text as a time in UTC; null if the text does not have that format: iso8601, epoch_s, epoch_ms, or a
    strptime pattern. timezone: of times without a zone"""
    if format in ("epoch_s", "epoch_ms"):
        microseconds = text.try_cast("float64") * (1e6 if format == "epoch_s" else 1e3)
        return make_timestamp(
            ibis.ifelse(microseconds.abs() < 1e17, microseconds, None).round().cast("int64")
        )
    if format != "iso8601":
        parsed = try_strptime(text, format)
        return at_utc(parsed) if "%z" in format or "%Z" in format else as_utc(parsed, timezone)
    return once(text, lambda text: iso_time(text, timezone))


def iso_time(text: ir.StringValue, timezone: str = "UTC") -> ir.TimestampValue:
    """ISO 8601 as a time in UTC, also with a comma before the fraction, a lower-case `t`, and a space before
    the zone."""
    return ibis.ifelse(text.re_search(r"^\s*\d{4}[-/\d]"), written_time(text, timezone), None)


def written_time(text: ir.StringValue, timezone: str) -> ir.TimestampValue:
    """A date and the time of a day. A time with an offset is cast with it; DuckDB's cast without a zone would
    ignore the offset, and names such as CET and PM."""
    return ibis.cases(
        (text.re_search(ISO_ZONED), at_utc(text.try_cast(dtypes.Timestamp(timezone="UTC")))),
        (text.re_search(ISO_LOCAL), as_utc(text.try_cast("timestamp(6)"), timezone)),
        else_=unusual_time(text, timezone),
    )


def unusual_time(text: ir.StringValue, timezone: str) -> ir.TimestampValue:
    """A time that DuckDB does not read as it is: with another order of the date's parts, AM and PM, a space
    before the zone, a comma before the fraction. The parts are brought into the order of ISO 8601 and cast,
    which takes a tenth of the time of trying patterns."""

    def parsed(plain: ir.StringValue) -> ir.TimestampValue:
        clock, zone = plain.re_replace(ZONE, ""), plain.re_extract(ZONE, 1)
        local = once(clock.re_replace(HALF, r"\1"), local_time)
        in_day = once(local, lambda time: in_half(time, clock.re_extract(HALF, 2).upper()))
        return once(in_day, lambda time: in_utc(time, zone, plain.re_search(ZONE)))

    def in_utc(time: ir.TimestampValue, zone: ir.StringValue, has_zone: ir.BooleanValue) -> ir.TimestampValue:
        zoned = at_utc((time.cast("string") + zone).try_cast(dtypes.Timestamp(timezone="UTC")))
        return ibis.cases((zone != "", zoned), (has_zone, time), else_=as_utc(time, timezone))

    return once(text.re_replace(SPACES, " ").strip(), parsed)


def local_time(text: ir.StringValue) -> ir.TimestampValue:
    """A date in any order, and the time of a day; null for anything else."""
    for pattern, iso in ORDERS:
        text = text.re_replace(pattern, iso)
    return once(
        text,
        lambda text: ibis.cases(
            (text.re_search(ORDERED), text.try_cast("timestamp(6)")),
            (text.re_search("^[0-9]+-[A-Za-z]"), try_strptimes(text, NAMED)),
        ),
    )


def in_half(time: ir.TimestampValue, half: ir.StringValue) -> ir.TimestampValue:
    """A time of a clock of twelve hours, by the half of the day: A, P, or nothing of a clock of 24."""
    hour = time.hour()
    moved = ibis.cases(
        ((half == "P") & (hour < 12), time + ibis.interval(hours=12)),
        ((half == "A") & (hour == 12), time - ibis.interval(hours=12)),
        else_=time,
    )
    return ibis.ifelse((half == "") | hour.between(1, 12), moved, None)


def has_zone(text: ir.StringValue) -> ir.BooleanValue:
    """Whether the text of a time ends with a zone."""
    return text.re_search(OFFSET)


def as_utc(time: ir.TimestampValue, timezone: str) -> ir.TimestampValue:
    """A local time without zone, as UTC."""
    return time if timezone == "UTC" else at_utc(in_zone(timezone, time))


def at_utc(time: ir.TimestampValue) -> ir.TimestampValue:
    """A time with a zone, as UTC without zone."""
    return without_zone("UTC", time)


def any_time(text: ir.StringValue, timezone: str = "UTC") -> ir.TimestampValue:
    """A time as exports write it: ISO 8601; a number since 1970, of seconds, milliseconds, microseconds or
    nanoseconds by its size; `7/11/2021 10:24:22 AM` of Microsoft's exports in English, `Jul 11, 2021 @
    10:24:22.000` of Kibana's, with or without comma, fraction and zone; or `/Date(1626000000000)/` of Windows
    PowerShell."""

    def scaled(number: ir.FloatingValue) -> ir.TimestampValue:
        scale = ibis.cases((number < 1e11, 1e6), (number < 1e14, 1e3), (number < 1e17, 1.0), else_=1e-3)
        return make_timestamp(
            ibis.ifelse((number >= FIRST_SECOND) & (number < 1e20), number * scale, None)
            .round()
            .cast("int64")
        )

    def parsed(text: ir.StringValue) -> ir.TimestampValue:
        return ibis.cases(
            (text.re_search(DOT_NET), parsed_time(text.re_extract(DOT_NET, 1), "epoch_ms")),
            (text.re_search("[:/]|T[0-9]"), written_time(text, timezone)),
            else_=once(text.try_cast("float64"), scaled),  # casts cost more than a search
        )

    return once(text, parsed)


FIRST_SECOND = 1e8  # in 1973: a smaller number is no time of a log
DOT_NET = r"^\\?/?Date\((-?\d+)(?:[+-]\d{4})?\)\\?/?$"
SPACES = r"[\s\x{A0}\x{202F}]+"
ZONE = r" ?(?:Z|z|\(UTC\)|(?:UTC|GMT)?([+-](?:0\d|1[0-4])(?::?\d\d)?)|UTC|GMT)(?:\[[^\]]*\])?$"
HALF = r"(\d) ?([AaPp])\.?[Mm]\.?$"
ORDERS = (  # a text with the parts of a time -> nearer to ISO 8601
    (r"^(\d{1,2})/(\d{1,2})/(\d{4})", r"\3-\1-\2"),
    (r"^(\d{1,2})\.(\d{1,2})\.(\d{4})", r"\3-\2-\1"),
    (r"^(\d{4})(\d\d)(\d\d)", r"\1-\2-\3"),
    (r"^(?:[A-Za-z]{3},? )?([A-Za-z]{3})[a-z]* (\d{1,2}),? (\d{4})", r"\3-\1-\2"),
    (r"^(?:[A-Za-z]{3},? )?(\d{1,2})[ /-]([A-Za-z]{3})[a-z]*[ /-](\d{4})", r"\3-\2-\1"),
    (r"^(\d{4}[-/]\w+[-/]\d{1,2})(?:[Tt]|,? ?@? |,|:)(\d{1,2}):?(\d\d)", r"\1 \2:\3"),
    (r"^(\S+ \d{1,2}:\d\d)(\d\d)", r"\1:\2"),
    (r"[.,](\d{1,6})\d*$", r".\1"),
)
ORDERED = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2} \d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?$"
NAMED = ["%Y-%b-%d %H:%M:%S", "%Y-%b-%d %H:%M:%S.%f", "%Y-%b-%d %H:%M"]


# --- addresses ----------------------------------------------------------------------------------------------


def is_address(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a text is an IPv4 or IPv6 address."""
    return text.re_search(ADDRESS)


def without_port(text: ir.StringValue) -> ir.StringValue:
    """The address in `10.0.0.7:443` and `[2001:db8::1]:443`."""
    return once(
        text,
        lambda t: t.re_replace(r"^\[(.*)\](:\d+)?$", r"\1").re_replace(r"^(\d+\.\d+\.\d+\.\d+):\d+$", r"\1"),
    )


def address(text: ir.StringValue) -> ir.StringValue:
    """The address in a text, without brackets and port, and an IPv4 address without its IPv6 prefix; null for
    a name and for a loopback address."""

    def bared(text: ir.StringValue) -> ir.StringValue:
        bare = text.re_replace(r"^\[(.*)\](:\d+)?$", r"\1").re_replace(
            r"(?i)^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(?::\d+)?$", r"\1"
        )
        return ibis.ifelse(text.re_search(r"^\[|^::|:\d+$|%"), bare.re_replace(r"%.*$", ""), text)

    return once(
        once(text, bared), lambda bare: ibis.ifelse(is_address(bare) & ~is_local(bare), somewhere(bare), None)
    )


# --- names --------------------------------------------------------------------------------------------------


def account(name: ir.StringValue, domain: ir.StringValue) -> ir.StringValue:
    """`DOMAIN\\name`; the name alone if it contains its domain."""
    return ibis.ifelse(domain.isnull() | name.contains("@") | name.contains("\\"), name, domain + "\\" + name)


def kerberos_machine(service: ir.StringValue) -> ir.StringValue:
    """The machine in a Kerberos service name: `HOST$`, `cifs/host.corp.example:445@REALM`. Null for the
    ticket service and for an account that runs a service."""

    def machine(name: ir.StringValue) -> ir.StringValue:
        principal = name.re_extract(r"^[^/@]+/([^/:@]+)", 1)
        other = ibis.ifelse(principal == "", None, principal)
        account = ibis.ifelse(name.contains("$"), name.re_extract(r"^([^/@]+)\$(@|$)", 1).nullif(""), other)
        return ibis.ifelse(is_ticket_service(name), None, account)

    return once(service, machine)


def is_ticket_service(service: ir.StringValue) -> ir.BooleanValue:
    return service.lower().startswith("krbtgt")


# --- records of several kinds -------------------------------------------------------------------------------

Columns = dict[str, ir.Value]  # columns of events
Parsed = tuple[
    Cases, Columns
]  # of one kind of record: why a record is dropped, and the columns of the others


def by_kind(kind: ir.StringValue, parsed: Mapping[str, Parsed]) -> Parsed:
    """What is parsed from each kind of record, as one. Expressions of a kind are evaluated for records of
    that kind only: `and` would evaluate them for all."""
    names = dict.fromkeys(name for _, columns in parsed.values() for name in columns)
    merged = {
        name: ibis.cases(
            *((kind == of_kind, columns[name]) for of_kind, (_, columns) in parsed.items() if name in columns)
        )
        for name in names
    }
    cases = [
        (ibis.ifelse(kind == of_kind, case, False), reason)
        for of_kind, (cases_of_kind, _) in parsed.items()
        for case, reason in cases_of_kind
    ]
    return cases, merged


# --- text ---------------------------------------------------------------------------------------------------


def groups(text: ir.StringValue, pattern: str, names: Sequence[str]) -> ir.StructValue:
    """The groups of a pattern by name; empty texts if the pattern does not match."""

    def regexp_extract(text, pattern, names): ...  # type: ignore[no-untyped-def]

    texts = dtypes.Struct(dict.fromkeys(names, dtypes.string))
    return ibis.udf.scalar.builtin(regexp_extract, signature=((str, str, list[str]), texts))(
        text, pattern, list(names)
    )


# Functions of DuckDB that are not in Ibis.


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_valid(text: str) -> bool: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_extract_string(text: str, path: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="json_extract_string")  # type: ignore[untyped-decorator]
def json_extract_strings(text: str, paths: list[str]) -> list[str]: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def to_json(text: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def regexp_extract_all(text: str, pattern: str, group: int) -> list[str]: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(signature=((str, str), "timestamp(6)"))
def try_strptime(text, format): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(name="try_strptime", signature=((str, dtypes.Array(dtypes.string)), "timestamp(6)"))
def try_strptimes(text, formats): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(signature=((int,), "timestamp(6)"))
def make_timestamp(microseconds):  # type: ignore[no-untyped-def]
    """A time from microseconds since 1970."""


@ibis.udf.scalar.builtin(name="timezone", signature=((str, "timestamp(6)"), dtypes.Timestamp(timezone="UTC")))
def in_zone(zone, time): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(name="timezone", signature=((str, dtypes.Timestamp(timezone="UTC")), "timestamp(6)"))
def without_zone(zone, time): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(name="chr")  # type: ignore[untyped-decorator]
def character(code: int) -> str: ...  # type: ignore[empty-body]


def text_of(data: ir.BinaryValue) -> ir.StringValue:
    """Bytes of UTF-8 as a text; if they are none, U+FFFD for each byte that is not ASCII. So is NUL."""
    marked = data.cast("string").re_replace(r"\\x[89A-F][0-9A-F]", r"\\xEF\\xBF\\xBD")
    text = ibis.coalesce(attempted(decode(data)), decode(marked.cast("binary")))
    return text.replace(character(0), MARK)


@ibis.udf.scalar.builtin(signature=(("binary",), str))
def decode(data):  # type: ignore[no-untyped-def]
    """A text from bytes, which must be UTF-8: an error ends the whole query."""


@ibis.udf.scalar.builtin(signature=((str,), "binary"))
def encode(text):  # type: ignore[no-untyped-def]
    """A text as bytes of UTF-8."""


@ibis.udf.scalar.builtin(name="try")  # type: ignore[untyped-decorator]
def attempted(text: str) -> str:  # type: ignore[empty-body]
    """A text; null if it cannot be computed."""
