"""What sources read records with: the fields of a JSON record, the columns of a CSV line, times, addresses.
Ibis expressions only.

A JSON record is parsed once for all its fields. Leaves out what a field means; that is each source's.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.datatypes as dtypes
import ibis.expr.types as ir

from ueba.ingest.events import HEADER
from ueba.ingest.identity import LOOPBACK, blank_to_null, once

OFFSET = r"\d\d:\d\d(:\d\d)?(\.\d+)?\s*(Z|z|UTC|[+-]\d\d(:?\d\d)?)$"  # the text of a time that tells its zone
TYPE_LINE = "#TYPE "  # how Export-Csv of Windows PowerShell begins a CSV
ADDRESS = r"^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F.:]*(%\w+)?)$"


# --- JSON ---------------------------------------------------------------------------------------------------


def json_fields(lines: ir.Table, paths: Mapping[str, str | Sequence[str]]) -> ir.Table:
    """lines with a text column for each field, and `is_json`. A field is at the first of its paths that says
    something; `?`, `-`, and empty texts say nothing.

    paths: column -> `user.name`, or a JSON pointer (`/a/0/b.c`) where a key holds a dot or a list is in the
    way, or several such
    """
    wanted = [[given] if isinstance(given, str) else list(given) for given in paths.values()]
    flat = list(dict.fromkeys(path for each in wanted for path in each))
    rows = lines.mutate(is_json=json_valid(lines.text))
    parsed = json_extract_strings(
        ibis.ifelse(rows.is_json, rows.text, "{}"), [json_path(path) for path in flat]
    )
    rows = rows.mutate(_json=parsed)
    found = {path: blank_to_null(rows._json[number]) for number, path in enumerate(flat)}
    columns = {
        name: ibis.coalesce(*(found[path] for path in each)) for name, each in zip(paths, wanted, strict=True)
    }
    return rows.mutate(**columns).drop("_json")


def json_path(path: str) -> str:
    """`user.name` as DuckDB has it; a path that begins with / is a JSON pointer already."""
    return path if path.startswith("/") else "$" + "".join(f'."{part}"' for part in path.split("."))


def json_list(text: ir.StringValue, keys: Sequence[str]) -> ir.ArrayValue:
    """A field that is a list of objects, as structs of texts; empty where it is not a list. Keys keep their
    case."""

    @ibis.udf.scalar.builtin(
        signature=((str, str), dtypes.Array(dtypes.Struct(dict.fromkeys(keys, dtypes.string))))
    )
    def from_json(text, structure): ...  # type: ignore[no-untyped-def]

    is_list = text.startswith("[") & json_valid(text)
    structure = "[{" + ", ".join(f'"{key}": "VARCHAR"' for key in keys) + "}]"
    return from_json(ibis.ifelse(is_list, text, "[]"), structure)


# --- CSV ----------------------------------------------------------------------------------------------------

SEPARATOR = "\x1f"  # a character that texts do not have


def csv_fields(
    lines: ir.Table, header: Sequence[str], delimiter: str = ","
) -> tuple[ir.Table, dict[str, ir.StringValue]]:
    """lines with their list `field` (texts, quotes as RFC 4180 has them), and the value of each column of
    the header."""
    by_pattern = regexp_extract_all(delimiter + lines.text, csv_pattern(delimiter), 1)
    # quicker, and right where quotes stand in pairs: every second part between quotes is outside of them
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
    """The header, as Python's csv reads it."""
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def unquoted(field: ir.StringValue) -> ir.StringValue:
    inside = field.substr(1, field.length() - 2).replace('""', '"')
    return ibis.ifelse(field.startswith('"') & field.endswith('"'), inside, field)


def told(text: ir.StringValue) -> ir.StringValue:
    """Without space around; null where the log says nothing."""
    # strip is slow, and seldom needed
    return once(
        once(text, lambda text: ibis.ifelse(text.re_search(r"^\s|\s$"), text.strip(), text)), blank_to_null
    )


Cases = list[tuple[ir.BooleanValue, str]]


def record_fields(
    lines: ir.Table, header: str, fields: Mapping[str, Sequence[str]]
) -> tuple[ir.Table, Cases]:
    """lines with a text column for each field, and why a line is no record. Records are JSON objects, of
    which fields name paths; or, if there is a header, rows of a CSV, whose columns they name in any case,
    `[UTC]` behind them or not."""
    if not header:
        rows = json_fields(lines, fields)
        return rows, [(~rows.is_json, "not JSON")]
    columns = [name.removesuffix("[UTC]").strip().lower() for name in split_csv(header)]
    rows, _ = csv_fields(lines, columns)
    found = {
        name: [columns.index(each.lower()) for each in given if each.lower() in columns]
        for name, given in fields.items()
    }
    values = {
        name: ibis.coalesce(*(told(unquoted(rows.field[number])) for number in numbers))
        if numbers
        else ibis.null("string")
        for name, numbers in found.items()
    }
    is_header = (rows.text == header) | rows.text.startswith(TYPE_LINE)
    return rows.mutate(**values), [
        (is_header, HEADER),
        (rows.field.length() != len(columns), f"not {len(columns)} fields"),
    ]


# --- times --------------------------------------------------------------------------------------------------


def parsed_time(text: ir.StringValue, format: str, timezone: str = "UTC") -> ir.TimestampValue:
    """UTC; null where the text is not a time of that format: iso8601, epoch_s, epoch_ms, or a strptime
    pattern."""
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
    """A time that tells its offset is cast with it; DuckDB's cast without a zone would ignore the offset."""
    zoned = at_utc(text.try_cast(dtypes.Timestamp(timezone="UTC")))
    local = as_utc(text.try_cast("timestamp(6)"), timezone)  # a zone by its name (CET) would be ignored
    return ibis.ifelse(has_zone(text), zoned, ibis.ifelse(text.re_search(r"[A-Za-z]{3,}$"), None, local))


def has_zone(text: ir.StringValue) -> ir.BooleanValue:
    return text.re_search(OFFSET)


def as_utc(time: ir.TimestampValue, timezone: str) -> ir.TimestampValue:
    """A clock time somewhere, as UTC."""
    return time if timezone == "UTC" else at_utc(in_zone(timezone, time))


def at_utc(time: ir.TimestampValue) -> ir.TimestampValue:
    """A time with a zone, as UTC without."""
    return without_zone("UTC", time)


def any_time(text: ir.StringValue, timezone: str = "UTC") -> ir.TimestampValue:
    """A text of ISO 8601, or a number since 1970: by its size seconds, milli-, micro- or nanoseconds."""

    def scaled(number: ir.FloatingValue) -> ir.TimestampValue:
        scale = ibis.cases((number < 1e11, 1e6), (number < 1e14, 1e3), (number < 1e17, 1.0), else_=1e-3)
        return make_timestamp(
            ibis.ifelse((number >= 0) & (number < 1e20), number * scale, None).round().cast("int64")
        )

    # a number is told from a text before casts are tried, which cost more
    return once(
        text,
        lambda t: ibis.ifelse(t.contains(":"), iso_time(t, timezone), once(t.try_cast("float64"), scaled)),
    )


AMERICAN = [
    f"%m/%d/%Y{comma} {time}"
    for comma in ("", ",")
    for time in ("%I:%M:%S %p", "%I:%M:%S.%f %p", "%H:%M:%S", "%H:%M")
]


def exported_time(text: ir.StringValue, timezone: str = "UTC") -> ir.TimestampValue:
    """ISO 8601, or as exports of Microsoft write it in English: `7/11/2021 10:24:22 AM`, with comma and
    fraction or without; `/Date(1626000000000)/` of Windows PowerShell."""

    @ibis.udf.scalar.builtin(signature=((str, dtypes.Array(dtypes.string)), "timestamp(6)"))
    def try_strptime(text, formats): ...  # type: ignore[no-untyped-def]

    def parsed(text: ir.StringValue) -> ir.TimestampValue:
        return ibis.cases(
            (text.startswith("/Date("), parsed_time(text.re_extract(r"^/Date\((-?\d+)", 1), "epoch_ms")),
            (text.contains("/"), as_utc(try_strptime(text.replace("\u202f", " "), AMERICAN), timezone)),
            else_=iso_time(text, timezone),
        )

    return once(text, parsed)


# --- addresses ----------------------------------------------------------------------------------------------


def is_address(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a text is an IPv4 or IPv6 address and not a name."""
    return text.re_search(ADDRESS)


def without_port(text: ir.StringValue) -> ir.StringValue:
    """`10.0.0.7:443` and `[2001:db8::1]:443` as addresses alone."""
    return once(
        text,
        lambda t: t.re_replace(r"^\[(.*)\](:\d+)?$", r"\1").re_replace(r"^(\d+\.\d+\.\d+\.\d+):\d+$", r"\1"),
    )


def address(text: ir.StringValue) -> ir.StringValue:
    """The address that a text is, without brackets, port and IPv6 clothes; null for a name and for one's own
    machine."""

    def bared(text: ir.StringValue) -> ir.StringValue:
        bare = text.re_replace(r"^\[(.*)\](:\d+)?$", r"\1").re_replace(
            r"(?i)^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(?::\d+)?$", r"\1"
        )
        return ibis.ifelse(text.re_search(r"^\[|^::|:\d+$"), bare, text)

    return once(once(text, bared), lambda bare: ibis.ifelse(is_address(bare) & ~is_local(bare), bare, None))


def is_local(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a machine or address is how a machine calls itself."""
    return text.lower().isin(LOOPBACK) | text.startswith("127.")


# --- names --------------------------------------------------------------------------------------------------


def account(name: ir.StringValue, domain: ir.StringValue) -> ir.StringValue:
    """`DOMAIN\\name`, unless the name tells its domain itself."""
    return ibis.ifelse(domain.isnull() | name.contains("@") | name.contains("\\"), name, domain + "\\" + name)


def kerberos_machine(service: ir.StringValue) -> ir.StringValue:
    """The machine of a service as Kerberos names it: `HOST$`, `cifs/host.corp.example:445@REALM`. Null for
    the ticket service itself and for an account that is a service."""

    def machine(name: ir.StringValue) -> ir.StringValue:
        principal = name.re_extract(r"^[^/@]+/([^/:@]+)", 1)
        other = ibis.ifelse(principal == "", None, principal)
        account = ibis.ifelse(name.contains("$"), name.re_extract(r"^([^/@]+)\$(@|$)", 1).nullif(""), other)
        return ibis.ifelse(is_ticket_service(name), None, account)

    return once(service, machine)


def is_ticket_service(service: ir.StringValue) -> ir.BooleanValue:
    return service.lower().startswith("krbtgt")


# --- records of several kinds -------------------------------------------------------------------------------

Made = tuple[
    Cases, dict[str, ir.Value]
]  # why a record of one kind is no event, and the columns of those that are


def by_kind(kind: ir.StringValue, made: Mapping[str, Made]) -> Made:
    """What each kind of record makes of it, as one. Each is computed for records of its kind only, which an
    `and` would not do."""
    names = dict.fromkeys(name for _, columns in made.values() for name in columns)
    found = {
        name: ibis.cases(
            *((kind == each, columns[name]) for each, (_, columns) in made.items() if name in columns)
        )
        for name in names
    }
    return [
        (ibis.ifelse(kind == each, case, False), why)
        for each, (cases, _) in made.items()
        for case, why in cases
    ], found


# --- text ---------------------------------------------------------------------------------------------------


def groups(text: ir.StringValue, pattern: str, names: Sequence[str]) -> ir.StructValue:
    """What the groups of a pattern match, by name; empty texts where it does not match."""

    def regexp_extract(text, pattern, names): ...  # type: ignore[no-untyped-def]

    texts = dtypes.Struct(dict.fromkeys(names, dtypes.string))
    return ibis.udf.scalar.builtin(regexp_extract, signature=((str, str, list[str]), texts))(
        text, pattern, list(names)
    )


# Functions of DuckDB that Ibis has no name for.


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_valid(text: str) -> bool: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_extract_string(text: str, path: str) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="json_extract_string")  # type: ignore[untyped-decorator]
def json_extract_strings(text: str, paths: list[str]) -> list[str]: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def regexp_extract_all(text: str, pattern: str, group: int) -> list[str]: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(signature=((str, str), "timestamp(6)"))
def try_strptime(text, format): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(signature=((int,), "timestamp(6)"))
def make_timestamp(microseconds):  # type: ignore[no-untyped-def]
    """Microseconds since 1970 as a time."""


@ibis.udf.scalar.builtin(name="timezone", signature=((str, "timestamp(6)"), dtypes.Timestamp(timezone="UTC")))
def in_zone(zone, time): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(name="timezone", signature=((str, dtypes.Timestamp(timezone="UTC")), "timestamp(6)"))
def without_zone(zone, time): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(name="chr")  # type: ignore[untyped-decorator]
def character(code: int) -> str: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(signature=(("binary", str), str))
def decode(data, on_error):  # type: ignore[no-untyped-def]
    """Bytes as UTF-8; on_error: strict, replace, ignore."""
