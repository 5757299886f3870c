"""A proposed mapping file for a log that no log source recognises, guessed from the names and values of its
columns, for a person to correct.

Of a CSV it guesses the delimiter, whether the first row is a header, and the format of times; of JSON the
paths to single values. The keys of a mapping file are in `ueba.ingest.mapping`. Leaves out logs of any other
form, and meanings that values alone do not show.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ueba.ingest.fields import split_csv
from ueba.ingest.sources import Sample
from ueba.text import plain

# Event column -> the names that logs give such a column, or its last part, the likeliest first; letters and
# digits only.
NAMES = {
    "time": (
        "timestamp time eventtime datetime timegenerated createddatetime creationtime creationdate starttime"
        " eventstarttime logintime logontime date ts published created when"
    ),
    "user": (
        "username user account accountname userprincipalname upn targetusername login loginname logonname"
        " samaccountname srcuser sourceuser userid userids subject identity principal email actor"
    ),
    "source": (
        "source src sourceip srcip sourceaddress sourcehost srchost fromhost from client sourceipaddress"
        " callersourceip clientip clientaddress clienthost ipaddress remoteip remoteaddress remotehost rhost"
        " workstation workstationname callingstationid srccomputer sourcecomputer ip"
    ),
    "target": (
        "target dst dest destination destinationip dstip destinationhost dsthost tohost to targethost"
        " targethostname server servername nasipaddress dstcomputer computer computername host hostname"
        " application applicationname app appname appdisplayname integration integrationname service"
        " servicename resource resourcename gateway device machine pc"
    ),
    "outcome": "outcome result status success eventresult action reply disposition",
}
REQUIRED = ("time", "user", "target")
DELIMITERS = (",", "\t", ";", "|")
PATTERNS = (  # strptime; of those that fit, the first
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y-%H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d/%b/%Y:%H:%M:%S %z",
    "%d-%b-%Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%b %d %Y %H:%M:%S",
    "%Y%m%d%H%M%S",
    "%Y-%m-%d-%H.%M.%S",
)
ISO = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|UTC|[+-]\d\d:?(\d\d)?)?)?"
WORDS = {  # outcome -> what its value in a log begins with, or is
    "success": r"succ|ok$|accept|allow|pass|grant|true$|yes$|permit|access-accept",
    "failure": r"fail|den|rej|invalid|error|block|false$|no$|bad|lock|access-reject",
}
Column = tuple[str, list[str]]  # its name, and its values that are not empty
# Columns that a shipper or a store adds: they are of the collector.
SHIPPERS = (
    r"(?i)^(?:_source\.)?(_(?!raw|source)\w+|@\w+|hostip$"
    r"|(input|agent|ecs|log|elastic_agent|data_stream|fields|tags)(\.|$))"
)
DEPTH, COLUMNS = 4, 60  # most keys in a JSON path; most JSON paths
MOST_VALUES = 20  # of an outcome


def skeleton(sample: Sample) -> str:
    """A mapping file for a CSV or JSON log; empty for any other form."""
    delimiter, header, columns = table(sample) if not sample.objects else ("", True, objects(sample.objects))
    if len(columns) < 2 or all(re.search(SHIPPERS, name) for name, _ in columns):
        return ""
    values = dict(columns)
    time, time_format = guessed_time(columns)
    chosen = ({"time": time} if time else {}) | guessed_columns(columns, time, header)
    lines = [
        f"# For {plain(Path(sample.path).name)}. A proposal: check what each column means. Other columns:",
        *(
            f"#   {plain(name)}: {plain(', '.join(values[name][:2]))[:80]}"
            for name in values
            if name not in chosen.values()
        ),
        f'format = "{"csv" if delimiter else "jsonl"}"',
        *([f"delimiter = {quoted(delimiter)}"] if delimiter not in ("", ",") else []),
        *([] if header else ["header = false"]),
        f"time_format = {quoted(time_format)}{doubt(time_format, values[time])}"
        if time
        else "# no column looks like a time, without which nothing can be ingested",
        "",
        "[columns] # event column = column of the log",
        *(f"{name} = {reference(chosen[name], header)}" for name in NAMES if name in chosen),
        *(
            f"{name} = {reference(column, header)} # a guess: no column has such a name or value"
            for name, column in guesses(columns, chosen).items()
        ),
        "",
        "[constants]",
        *constants(chosen),
        *outcomes(values[chosen["outcome"]] if "outcome" in chosen else []),
    ]
    return "\n".join(lines) + "\n"


def guessed_columns(columns: list[Column], time: str | None, header: bool) -> dict[str, str]:
    """Event column -> the free column of the log with the likeliest name, else with the likeliest values."""
    chosen: dict[str, str] = {}
    for name in ("user", "source", "target", "outcome"):
        taken = {time, *chosen.values()}
        free = [column for column in columns if column[0] not in taken and may_be(column, name)]
        found = by_name(free, NAMES[name].split()) or by_value(free, name, header)
        chosen |= {name: found} if found else {}
    return chosen


def may_be(column: Column, name: str) -> bool:
    """Whether a column may hold what an event column of this name does: of the shipper's own none does, no
    address is a user, no file is a source, and no telephone is reached."""
    if re.search(SHIPPERS, column[0]):
        return False
    is_wrong = {"user": is_address, "source": is_path, "target": is_telephone}.get(name)
    return is_wrong is None or not any(map(is_wrong, column[1]))


def is_address(text: str) -> bool:
    return re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}|[\da-fA-F]*:[\da-fA-F:]+", text) is not None


def is_path(text: str) -> bool:
    return re.match(r"/|[A-Za-z]:\\", text) is not None


def is_telephone(text: str) -> bool:
    return re.fullmatch(r"\+?[\d ()x.-]{7,}", text) is not None and not is_address(text)


def guesses(columns: list[Column], chosen: dict[str, str]) -> dict[str, str]:
    """A column of the log for each required event column that was not found, for a person to correct: any
    that may be it, and the source for a user who is not named."""
    found = {}
    for name in REQUIRED:
        if name not in chosen:
            free = [column for column in columns if column[0] not in chosen.values()] or columns
            own = [column for column in free if not re.search(SHIPPERS, column[0])] or free
            likely = [column[0] for column in free if may_be(column, name)] or [own[0][0]]
            found[name] = chosen.get("source", likely[0]) if name == "user" else likely[0]
    return found


def constants(chosen: dict[str, str]) -> tuple[str, str]:
    """Whether an application or a machine is reached, by the name of the column."""
    if re.search("app|service|resource", chosen.get("target", ""), re.IGNORECASE):
        return 'action = "sso"', 'target_kind = "resource"'
    return 'action = "logon"', 'target_kind = "machine"'


def table(sample: Sample) -> tuple[str, bool, list[Column]]:
    """The delimiter of a CSV, whether its first row is a header, and its columns; none if it is no CSV."""
    for delimiter in DELIMITERS:
        rows = [split_csv(record, delimiter) for record in sample.records]
        width = len(split_csv(sample.first, delimiter))
        whole = [row for row in rows if len(row) == width]
        # rows with line ends inside quotes are in pieces here; with many columns, few rows are enough
        if width > 1 and len(whole) * 2 > len(rows) or width > 4 and len(whole) > 1:
            header = is_header(whole[0])
            names = whole[0] if header else [str(number + 1) for number in range(width)]
            values = [[row[number] for row in whole[header:] if row[number]] for number in range(width)]
            return delimiter, header, list(zip(names, values, strict=True))
    return "", True, []


def is_header(row: list[str]) -> bool:
    """Whether all fields are different words."""
    return len(set(row)) == len(row) and all(
        re.match(r"[^\W\d][^@\\]*$", name) and not re.search(r"\d\d", name) for name in row
    )


def objects(records: list[dict[str, Any]]) -> list[Column]:
    """The JSON paths to single values of records, with those values."""
    found: dict[str, list[str]] = {}
    for record in records:
        for path in paths_of(record):
            found.setdefault(path, []).append(str(lookup(record, path)))
    return [(path, values) for path, values in found.items()][:COLUMNS]


def paths_of(record: Any, before: tuple[str, ...] = ()) -> Iterator[str]:
    """The JSON paths to the single values of a record; of a list, those of its first element."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(record, dict):
        items = record.items()
    elif isinstance(record, list):
        items = enumerate(record[:1])
    for key, value in items:
        keys = (*before, str(key))
        if isinstance(value, dict | list):
            yield from paths_of(value, keys) if len(keys) < DEPTH else ()
        elif value not in (None, ""):
            yield path_of(keys)


def path_of(keys: tuple[str, ...]) -> str:
    """`user.name`; a JSON pointer if a key is a number or has other characters."""
    is_plain = all(re.fullmatch(r"[\w@-]+", key) and not key.isdigit() for key in keys)
    if is_plain:
        return ".".join(keys)
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def lookup(record: Any, path: str) -> Any:
    """The value at a JSON path; None if there is none."""
    is_pointer = path.startswith("/")
    for key in path[1:].split("/") if is_pointer else path.split("."):
        key = key.replace("~1", "/").replace("~0", "~") if is_pointer else key
        if isinstance(record, list) and key.isdigit() and int(key) < len(record):
            record = record[int(key)]
        else:
            record = record.get(key) if isinstance(record, dict) else None
    return record


def guessed_time(columns: list[Column]) -> tuple[str | None, str]:
    """The column of the time, and its format. Of the columns that look like a time: the one with the
    likeliest name, else the first that is not a number, else a number in the first column."""
    formats = {name: format for name, values in columns if (format := time_format(values))}
    numbers = [name for name, format in formats.items() if format.startswith("epoch")]
    named = by_name([column for column in columns if column[0] in formats], NAMES["time"].split())
    texts = [name for name in formats if name not in numbers]
    first_number = numbers[0] if numbers and numbers[0] == columns[0][0] else None
    found = named or (texts[0] if texts else first_number)
    return found, formats.get(found or "", "iso8601")


def time_format(values: list[str]) -> str | None:
    """The format of some times; None if they are no times."""
    if not values:
        return None
    if all(re.fullmatch(ISO, value) for value in values):
        return "iso8601"
    if all(re.fullmatch(r"\d{1,16}(\.\d+)?", value) for value in values):
        return "epoch_ms" if all(float(value) > 1e11 for value in values) else "epoch_s"
    fitting = (pattern for pattern in PATTERNS if all(is_written(value, pattern) for value in values))
    return next(fitting, None)


def doubt(time_format: str, values: list[str]) -> str:
    """A comment if the values do not show which number is the day and which the month."""
    other = time_format.replace("%m/%d", "%d/%m")
    is_open = other != time_format and all(is_written(value, other) for value in values)
    return " # or the day first?" if is_open else ""


def is_written(value: str, pattern: str) -> bool:
    """Whether a time has the format of a strptime pattern."""
    try:
        return bool(dt.datetime.strptime(value, pattern))
    except ValueError:
        return False


def by_name(columns: list[Column], names: list[str]) -> str | None:
    """The column with the likeliest of some names: first by its whole name, then by its last part."""
    by_parts: list[dict[str, str]] = [{}, {}, {}]  # by the whole name, the last two parts, the last part
    for column, _ in reversed(columns):
        parts = column.split("/" if column.startswith("/") else ".")
        for by_part, last in zip(by_parts, (parts, parts[-2:], parts[-1:]), strict=True):
            by_part[letters("".join(last))] = column
    return next((by_part[name] for by_part in by_parts for name in names if name in by_part), None)


def letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def by_value(columns: list[Column], name: str, is_named: bool) -> str | None:
    """The first column whose values look like accounts, or like addresses, or like machines if columns have
    no names."""
    address = r"\d{1,3}(\.\d{1,3}){3}|[\da-f]*:[\da-f:]+"
    machine = address if is_named else rf"{address}|[A-Za-z-]+\d+"
    pattern = {"user": r".+@.+|.+\\.+", "source": machine, "target": machine}.get(name)
    if pattern is None:
        return None
    return next(
        (
            column
            for column, values in columns
            if values and all(re.fullmatch(pattern, value) for value in values)
        ),
        None,
    )


def outcomes(values: list[str]) -> list[str]:
    """The table of an outcome's values; empty if none is recognised."""
    in_log = sorted({value.lower() for value in values})[:MOST_VALUES]
    found = {
        outcome: [value for value in in_log if re.match(words, value)] for outcome, words in WORDS.items()
    }
    if not any(found.values()):
        return []
    lines = [f"{outcome} = [{', '.join(map(quoted, names))}]" for outcome, names in found.items()]
    return [
        "",
        "[values.outcome] # outcome = its values in the log, in any case; all others are unknown",
        *lines,
    ]


def reference(column: str, is_named: bool) -> str:
    """A column as a mapping file names it: its name in quotes, or its number."""
    return quoted(column) if is_named else column


def quoted(text: str) -> str:
    """A text in the syntax of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
