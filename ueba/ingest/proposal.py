"""A mapping file for a log that no source knows, guessed by the names of its columns and by their values,
for a person to correct.

Of a CSV: its delimiter, whether its first row is a header, how it writes times. Of JSON: the paths to single
values. What a mapping file is: `ueba.ingest.sources.mapped`. Leaves out logs that are neither, and whatever
values alone cannot tell.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ueba.ingest.fields import split_csv
from ueba.ingest.sources import Sample, printable

# How logs call what an event column holds, the likeliest first: letters and digits of a column's name, or of
# its last part.
NAMES = {
    "time": (
        "timestamp time eventtime datetime timegenerated createddatetime creationtime creationdate starttime "
        "eventstarttime logintime logontime date ts published created when"
    ),
    "user": (
        "username user account accountname userprincipalname upn targetusername login loginname logonname samaccountname "
        "srcuser sourceuser userid userids subject identity principal email actor"
    ),
    "source": (
        "source src sourceip srcip sourceaddress sourcehost srchost fromhost from client sourceipaddress callersourceip "
        "clientip clientaddress clienthost ipaddress remoteip remoteaddress remotehost rhost workstation workstationname "
        "callingstationid srccomputer sourcecomputer ip"
    ),
    "target": (
        "target dst dest destination destinationip dstip destinationhost dsthost tohost to targethost targethostname "
        "server servername nasipaddress dstcomputer computer computername host hostname application app appname "
        "appdisplayname service servicename resource gateway device machine pc"
    ),
    "outcome": "outcome result status success eventresult action reply disposition",
}
NEEDED = ("time", "user", "target")
DELIMITERS = (",", "\t", ";", "|")
PATTERNS = (
    *(
        "%m/%d/%Y %H:%M:%S",
        "%d/%m/%Y %H:%M:%S",
        "%m/%d/%Y %I:%M:%S %p",
        "%m/%d/%Y %H:%M",
        "%d/%m/%Y %H:%M",
        "%m/%d/%Y-%H:%M",
    ),
    *(
        "%d.%m.%Y %H:%M:%S",
        "%d.%m.%Y %H:%M",
        "%Y/%m/%d %H:%M:%S",
        "%d/%b/%Y:%H:%M:%S %z",
        "%d-%b-%Y %H:%M:%S",
    ),
    *("%a %b %d %H:%M:%S %Y", "%b %d %Y %H:%M:%S", "%Y%m%d%H%M%S", "%Y-%m-%d-%H.%M.%S"),
)
ISO = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|UTC|[+-]\d\d:?(\d\d)?)?)?"
WORDS = {  # that begin, or are, what logs say of an outcome
    "success": r"succ|ok$|accept|allow|pass|grant|true$|yes$|permit|access-accept",
    "failure": r"fail|den|rej|invalid|error|block|false$|no$|bad|lock|access-reject",
}
Column = tuple[str, list[str]]  # its name and the values of it that say something
DEPTH, COLUMNS = 4, 60  # of JSON paths that are looked at


def skeleton(sample: Sample) -> str:
    """A mapping file for a CSV or JSON log; empty where the sample is neither."""
    delimiter, header, columns = table(sample) if not sample.objects else ("", True, objects(sample.objects))
    if len(columns) < 2:
        return ""
    when, time_format = guessed_time(columns)
    chosen = {"time": when} if when else {}
    for name in ("user", "source", "target", "outcome"):
        free = [column for column in columns if column[0] not in chosen.values()]
        found = by_name(free, NAMES[name].split()) or by_value(free, name, header)
        chosen |= {name: found} if found else {}
    rest = [name for name, _ in columns if name not in chosen.values()] or [columns[0][0]]
    guesses = {
        name: chosen.get("source", rest[0]) if name == "user" else rest[0]
        for name in NEEDED
        if name not in chosen
    }
    is_application = re.search("app|service|resource", chosen.get("target", ""), re.IGNORECASE)
    values = dict(columns)
    lines = [
        f"# For {printable(Path(sample.path).name)}. A proposal: check what each column means; the other columns of the log are",
        *(
            f"#   {printable(name)}: {printable(', '.join(values[name][:2]))[:80]}"
            for name, _ in columns
            if name not in chosen.values()
        ),
        f'format = "{"csv" if delimiter else "jsonl"}"',
        *([f"delimiter = {quoted(delimiter)}"] if delimiter not in ("", ",") else []),
        *([] if header else ["header = false"]),
        f"time_format = {quoted(time_format)}{doubt(time_format, values[when])}"
        if when
        else "# no column looks like a time, without which nothing can be ingested",
        "",
        "[columns] # event column = column of the log",
        *(f"{name} = {reference(chosen[name], header)}" for name in NAMES if name in chosen),
        *(
            f"{name} = {reference(column, header)} # no name of a column says so"
            for name, column in guesses.items()
        ),
        "",
        "[constants]",
        *(
            ('action = "sso"', 'target_kind = "resource"')
            if is_application
            else ('action = "logon"', 'target_kind = "machine"')
        ),
        *outcomes(values[chosen["outcome"]] if "outcome" in chosen else []),
    ]
    return "\n".join(lines) + "\n"


def table(sample: Sample) -> tuple[str, bool, list[Column]]:
    """Delimiter, whether the first row names the columns, and the columns of a CSV; none where it is no
    CSV."""
    for delimiter in DELIMITERS:
        rows = [split_csv(record, delimiter) for record in sample.records[:-1] or sample.records]
        width = len(split_csv(sample.first, delimiter))
        alike = [row for row in rows if len(row) == width]
        # rows with line ends inside quotes are in pieces here, and of many columns it takes few rows to be
        # sure
        if width > 1 and len(alike) * 2 > len(rows) or width > 4 and len(alike) > 1:
            header = is_header(alike[0])
            names = alike[0] if header else [str(number + 1) for number in range(width)]
            values = [[row[number] for row in alike[header:] if row[number]] for number in range(width)]
            return delimiter, header, list(zip(names, values, strict=True))
    return "", True, []


def is_header(row: list[str]) -> bool:
    """Whether all are words, and no two the same."""
    return len(set(row)) == len(row) and all(
        re.match(r"[^\W\d][^@\\]*$", name) and not re.search(r"\d\d", name) for name in row
    )


def objects(records: list[dict[str, Any]]) -> list[Column]:
    """The JSON paths of some records that lead to single values."""
    found: dict[str, list[str]] = {}
    for record in records:
        for path in paths_of(record):
            found.setdefault(path, []).append(str(lookup(record, path)))
    return [(path, values) for path, values in found.items()][:COLUMNS]


def paths_of(record: Any, before: tuple[str, ...] = ()) -> Iterator[str]:
    """The JSON paths to the single values of a record, of lists the first element."""
    inside = (
        record.items()
        if isinstance(record, dict)
        else enumerate(record[:1])
        if isinstance(record, list)
        else ()
    )
    for key, value in inside:
        keys = (*before, str(key))
        if isinstance(value, dict | list):
            yield from paths_of(value, keys) if len(keys) < DEPTH else ()
        elif value not in (None, ""):
            plain = all(re.fullmatch(r"[\w@-]+", each) for each in keys) and not any(
                each.isdigit() for each in keys
            )
            yield (
                ".".join(keys)
                if plain
                else "".join("/" + each.replace("~", "~0").replace("/", "~1") for each in keys)
            )


def lookup(record: Any, path: str) -> Any:
    """What a JSON path leads to; None where it leads nowhere."""
    is_pointer = path.startswith("/")
    for key in path[1:].split("/") if is_pointer else path.split("."):
        key = key.replace("~1", "/").replace("~0", "~") if is_pointer else key
        if isinstance(record, list) and key.isdigit() and int(key) < len(record):
            record = record[int(key)]
        else:
            record = record.get(key) if isinstance(record, dict) else None
    return record


def guessed_time(columns: list[Column]) -> tuple[str | None, str]:
    """The column that holds the time, and how it is written: of all that look like one the one that is named
    so."""
    read = {name: how for name, values in columns if (how := time_format(values))}
    number = [name for name, how in read.items() if how.startswith("epoch")]
    named = by_name([column for column in columns if column[0] in read], NAMES["time"].split())
    found = (
        named
        or next((name for name in read if name not in number), None)
        or (number[0] if number and number[0] == columns[0][0] else None)
    )
    return found, read.get(found or "", "iso8601")


def time_format(values: list[str]) -> str | None:
    """How some texts tell a time; None where they tell none."""
    if not values:
        return None
    if all(re.fullmatch(ISO, value) for value in values):
        return "iso8601"
    if all(re.fullmatch(r"\d{1,16}(\.\d+)?", value) for value in values):
        return "epoch_ms" if all(float(value) > 1e11 for value in values) else "epoch_s"
    return next(
        (pattern for pattern in PATTERNS if all(is_written(value, pattern) for value in values)), None
    )


def doubt(time_format: str, values: list[str]) -> str:
    """A comment where days and months cannot be told apart."""
    other = time_format.replace("%m/%d", "%d/%m")
    return (
        " # or the day first?"
        if other != time_format and all(is_written(value, other) for value in values)
        else ""
    )


def is_written(value: str, pattern: str) -> bool:
    try:
        return bool(dt.datetime.strptime(value, pattern))
    except ValueError:
        return False


def by_name(columns: list[Column], names: list[str]) -> str | None:
    """The column with the likeliest of some names, the whole name before its last part."""
    last = {name: name.rsplit("/" if name.startswith("/") else ".", 1)[-1] for name, _ in columns}
    parts: tuple[Callable[[str], str], ...] = (lambda name: name, lambda name: last[name])
    plain = [
        {re.sub(r"[^a-z0-9]", "", part(name).lower()): name for name, _ in reversed(columns)}
        for part in parts
    ]
    return next((table[name] for table in plain for name in names if name in table), None)


def by_value(columns: list[Column], name: str, is_named: bool) -> str | None:
    """The first column whose values look like accounts or like addresses, or like machines where columns
    have no names."""
    address = r"\d{1,3}(\.\d{1,3}){3}|[\da-f]*:[\da-f:]+"
    machine = address if is_named else rf"{address}|[A-Za-z-]+\d+"
    pattern = {"user": r".+@.+|.+\\.+", "source": machine, "target": machine}.get(name)
    return next(
        (
            each
            for each, values in columns
            if pattern and values and all(re.fullmatch(pattern, v) for v in values)
        ),
        None,
    )


def outcomes(values: list[str]) -> list[str]:
    """The table of what a log says of outcomes; empty where it says nothing known."""
    said = sorted({value.lower() for value in values})[:20]
    known = {outcome: [value for value in said if re.match(words, value)] for outcome, words in WORDS.items()}
    if not any(known.values()):
        return []
    lines = [f"{outcome} = [{', '.join(map(quoted, found))}]" for outcome, found in known.items()]
    return ["", "[values.outcome] # outcome = what the log says, in any case; all else is unknown", *lines]


def reference(column: str, is_named: bool) -> str:
    return quoted(column) if is_named else column


def quoted(text: str) -> str:
    """As TOML has it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
