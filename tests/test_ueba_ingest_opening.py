"""What stands around records: every log source reads its records through every envelope, in every table and
encoding, alone or beside any other file."""

from __future__ import annotations

import base64
import csv
import functools
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_world import detected

from ueba.ingest import events, events_of, ingest_all, lake
from ueba.ingest.opening import Behind, Decoded, Inside, Nested, Step
from ueba.ingest.reading.characters import safe, utf8

RECORDS = Path(__file__).parent / "records"
JSON_FILES = sorted(path for path in RECORDS.glob("*.jsonl") if path.stem != "mapped")
TEXT_FILES = [RECORDS / name for name in ("syslog.log", "windows.xml", "lanl.txt")]
CSV_FILES = [
    RECORDS / name for name in ("entra-portal.csv", "m365-search.csv", "message_trace-export.csv", "cert.csv")
]
ALL_FILES = [path for path in sorted(RECORDS.iterdir()) if path.stem != "mapped"]

Event = dict[str, Any]


def read(path: Path) -> list[Event]:
    """The events of a file, without where in the file they stand."""
    rows = events_of(path).to_pylist()
    return [
        {name: value for name, value in row.items() if name not in ("line", "text")}
        for row in rows
        if row["dropped"] != events.HEADER
    ]


@functools.cache
def plain_events(path: Path) -> list[Event]:
    return read(path)


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- envelopes ----------------------------------------------------------------------------------------------


def a_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def inside(*keys: str) -> Callable[[str], str]:
    """The record, or its text, under keys one in another."""

    def wrap(record: str) -> str:
        value: Any = json.loads(record) if record.startswith("{") else record
        for key in reversed(keys):
            value = {"host": "collector", key: value}
        return a_line(value)

    return wrap


def text_inside(key: str) -> Callable[[str], str]:
    return lambda record: a_line({"id": "7", key: record, "stream": "stdout"})


def in_a_queue(record: str) -> str:
    notification = json.dumps({"Type": "Notification", "Message": record})
    return a_line({"MessageId": "1", "Body": notification})


def in_base64(record: str) -> str:
    return a_line({"recordId": "1", "data": base64.b64encode(record.encode()).decode()})


def relayed(record: str) -> str:
    return f"Mar  5 10:00:00 relay shipper[7]: {record}\n"


LINES: dict[str, Callable[[str], str]] = {
    "a search hit": inside("_source"),
    "EventBridge": inside("detail"),
    "a search result": inside("result"),
    "a search result with its text": lambda record: a_line({"preview": False, "result": {"_raw": record}}),
    "a raw text": text_inside("_raw"),
    "an event collector": inside("event"),
    "a shipper": text_inside("message"),
    "a container": text_inside("log"),
    "a name that nobody knows": inside("evidence"),
    "two names that nobody knows": inside("outer", "inner"),
    "a queue": in_a_queue,
    "base64": in_base64,
}
OF_OBJECTS = {"a relay": relayed}  # text behind a header would be a message of that header


def as_list(key: str, records: list[str]) -> str:
    return json.dumps({"count": 2, key: [json.loads(record) for record in records]}, ensure_ascii=False)


def in_log_events(records: list[str]) -> str:
    """As a subscription delivers them: objects without a line end between."""
    parts = [
        json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": record}]})
        for record in records
    ]
    return "".join(parts)


DOCUMENTS: dict[str, Callable[[list[str]], str]] = {
    "an array under a known key": lambda records: as_list("Records", records),
    "an array under a key that nobody knows": lambda records: as_list("signIns", records),
    "an array": lambda records: json.dumps([json.loads(record) for record in records]),
    "objects without line ends": lambda records: "".join(records),
    "objects over many lines": lambda records: "\n".join(
        json.dumps(json.loads(r), indent=2) for r in records
    ),
    "log events": in_log_events,
}


# Every envelope with one log, and every log in the envelopes that are opened in different ways.
OTHERS = ("a search hit", "a search result with its text", "two names that nobody knows", "a relay")
ENVELOPES = LINES | OF_OBJECTS
PAIRS = [(path, name) for path in JSON_FILES for name in ENVELOPES if path.stem == "okta" or name in OTHERS]


@pytest.mark.parametrize(("path", "name"), PAIRS, ids=[f"{path.stem}-{name}" for path, name in PAIRS])
def test_every_log_source_reads_through_every_envelope(tmp_path, path, name):
    wrap = ENVELOPES[name]
    records = path.read_text().splitlines()
    assert read(written(tmp_path, "log", "".join(map(wrap, records)))) == plain_events(path)


@pytest.mark.parametrize("wrap", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("path", [RECORDS / "okta.jsonl", RECORDS / "ecs.jsonl"], ids=lambda path: path.stem)
def test_documents_are_taken_apart(tmp_path, path, wrap):
    records = path.read_text().splitlines()
    assert read(written(tmp_path, "log", wrap(records))) == plain_events(path)


@pytest.mark.parametrize("wrap", [LINES[name] for name in OTHERS[:3]], ids=OTHERS[:3])
@pytest.mark.parametrize("path", TEXT_FILES, ids=lambda path: path.name)
def test_text_is_read_through_every_envelope(tmp_path, path, wrap):
    records = path.read_text().splitlines()
    assert read(written(tmp_path, "log", "".join(map(wrap, records)))) == plain_events(path)


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """An object with dots in its keys in place of objects in it."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= (
            flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) and inner else {f"{prefix}{key}": inner}
        )
    return found


FLAT = [path for path in JSON_FILES if path.stem != "zeek"]  # its keys have dots


def nested_records(path: Path) -> list[dict[str, Any]]:
    """The records of a file without envelopes and without dots in keys."""
    records = map(json.loads, path.read_text().splitlines())
    return [
        record
        for record in records
        if not {"_source", "fields", "result"} & record.keys() and "." not in "".join(record)
    ]


@pytest.mark.parametrize("path", FLAT, ids=lambda path: path.stem)
def test_keys_with_dots_are_objects(tmp_path, path):
    records = nested_records(path)
    plain = written(tmp_path, "plain", "".join(map(a_line, records)))
    dotted = written(tmp_path, "dotted", "".join(a_line(flat(record)) for record in records))
    hits = written(tmp_path, "hits", "".join(a_line({"_index": "x", "_source": flat(r)}) for r in records))
    assert read(dotted) == read(plain) == read(hits)


def test_a_hit_lends_its_identity_to_a_record_without_one(tmp_path):
    document = {
        "@timestamp": "2024-03-05T10:00:00Z",
        "event": {"category": ["authentication"], "outcome": "success"},
        "user": {"name": "olga"},
        "host": {"name": "web7"},
        "source": {"ip": "10.0.0.9"},
    }
    (event,) = read(written(tmp_path, "log", a_line({"_index": "x", "_id": "h1", "_source": document})))
    assert (event["user"], event["target"], event["event_id"]) == ("olga", "web7", "h1")


def test_records_in_different_envelopes_in_one_file(tmp_path):
    records = (RECORDS / "okta.jsonl").read_text().splitlines()
    text = records[0] + "\n" + inside("_source")(records[1]) + text_inside("_raw")(records[2])
    assert read(written(tmp_path, "log", text)) == plain_events(RECORDS / "okta.jsonl")[:3]


def test_a_field_with_the_name_of_an_envelope_is_left_alone(tmp_path):
    """`message` is a text of this record, and an envelope of no other."""
    record = json.loads((RECORDS / "windows.jsonl").read_text().splitlines()[0])
    plain = read(written(tmp_path, "a", a_line(record)))
    assert read(written(tmp_path, "b", a_line(record | {"message": "An account was logged on."}))) == plain


# --- the same steps in Python and in the database -----------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "a.b", "b.c.d", "x/y", "~", "_raw", "", "ü"])
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.dictionaries(KEYS, VALUES, max_size=4).map(json.dumps) | st.sampled_from(
    ["", "x", "{", "[1]", "null", 'Mar  5 {"a": 1}', "aGVsbG8gd29ybGQsIGhlbGxv", "aGVsbG8gd29ybGQsIGhlbGx"]
)
STEPS: list[Step] = [Inside("a"), Inside("x/y"), Inside("~"), Inside(""), Behind(), Decoded(), Nested()]


def same(text: str | None) -> Any:
    """A text; its value if it is JSON, as spaces and the order of keys do not matter."""
    try:
        return json.loads(text or "")
    except ValueError:
        return text


@given(st.lists(TEXTS, min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_a_step_does_the_same_in_python_and_in_the_database(texts):
    lines = ibis.table({"number": "int64", "text": "string"}, name="lines")
    found = lines.select("number", **{f"s{i}": step.of_rows(lines.text) for i, step in enumerate(STEPS)})
    with lake.connect("1GB") as connection:
        connection.register("lines", pa.table({"number": range(len(texts)), "text": texts}))
        rows = (
            connection.sql(f"{ibis.to_sql(found, dialect='duckdb')} ORDER BY number")
            .to_arrow_table()
            .to_pylist()
        )
    for text, row in zip(texts, rows, strict=True):
        assert [same(step.of_record(text)) for step in STEPS] == [
            same(row[f"s{i}"]) for i in range(len(STEPS))
        ]


# --- tables -------------------------------------------------------------------------------------------------


def table_text(rows: list[list[str]], delimiter: str = ",") -> str:
    found = io.StringIO()
    csv.writer(found, delimiter=delimiter).writerows(rows)
    return found.getvalue()


@pytest.mark.parametrize("path", CSV_FILES, ids=lambda path: path.name)
@given(st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_is_read_by_the_names_of_its_columns(tmp_path_factory, path, data):
    """Columns in any order, others beside them, an index, another delimiter, cells with line breaks, quotes
    and braces."""
    header, *rows = csv.reader(path.read_text().splitlines())
    odd = data.draw(st.sampled_from(["x", 'a "b", {"c": 1}', "line\r\nbreak", "{", "", '{""}', ";"]))
    beside = [["_raw", *[odd] * len(rows)], ["", *map(str, range(len(rows)))]][: data.draw(st.integers(0, 2))]
    columns = [list(column) for column in zip(header, *rows, strict=True)] + beside
    order = data.draw(st.permutations(columns))
    delimiter = data.draw(st.sampled_from([",", ";", "\t"]))
    text = table_text([list(row) for row in zip(*order, strict=True)], delimiter)
    folder = tmp_path_factory.mktemp("table")
    assert read(written(folder, "log.csv", text)) == plain_events(path)


def as_table(records: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for record in records for name in record))
    cells = [
        [
            "" if (v := record.get(name)) is None else v if isinstance(v, str) else json.dumps(v)
            for name in names
        ]
        for record in records
    ]
    return table_text([names, *cells])


@pytest.mark.parametrize("path", FLAT, ids=lambda path: path.stem)
def test_records_with_dots_in_the_names_of_columns(tmp_path, path):
    """Any log source's records as a CSV, as spreadsheets and notebooks write them."""
    records = nested_records(path)
    name = path.stem.split("-")[0]
    plain = [event for event in read(path) if event["dropped"] is None]
    found = read(written(tmp_path, "log.csv", as_table([flat(record) for record in records])))
    assert detected(as_table([flat(record) for record in records]).splitlines()) == name
    assert len([event for event in found if event["dropped"] is None]) > len(plain) // 2


SECURITY = """,TimeGenerated,EventID,Computer,TargetUserName,TargetDomainName,LogonType,IpAddress
0,2024-03-05T11:00:00Z,4624,srv8,p.lind,NORD,3,10.8.0.5
"""
SYSLOG = """TimeGenerated,Computer,Facility,ProcessName,SyslogMessage,HostIP
2024-03-05T11:00:00Z,web8,auth,sshd,Accepted publickey for olga from 10.8.0.5 port 5 ssh2,10.8.0.1
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [(SECURITY, ("NORD\\p.lind", "10.8.0.5", "srv8")), (SYSLOG, ("olga", "10.8.0.5", "web8"))],
)
def test_tables_of_azure_monitor(tmp_path, text, expected):
    (event,) = read(written(tmp_path, "log.csv", text))
    assert (event["user"], event["source"], event["target"], event["dropped"]) == (*expected, None)


# --- encodings ----------------------------------------------------------------------------------------------

LOGON = "Jun  3 09:10:13 web1 sshd[9]: Accepted password for {} from 10.1.2.5 port 4 ssh2\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
@pytest.mark.parametrize("path", [*TEXT_FILES, *CSV_FILES[:2]], ids=lambda path: path.name)
def test_an_encoding_changes_nothing(tmp_path, path, encoding):
    assert read(written(tmp_path, path.name, path.read_text().encode(encoding))) == plain_events(path)


@pytest.mark.parametrize(
    ("name", "encoding", "right"),
    [
        ("jürgen", "latin-1", "jürgen"),
        ("Müßig", "cp1252", "Müßig"),
        ("renée", "latin-1", "renée"),
        ("Иван", "cp1251", "\ufffd" * 4),
        ("張偉", "gbk", "\ufffd" * 4),
        ("jürgen", "utf-8", "jürgen"),
    ],
)
def test_a_name_is_right_or_marked(tmp_path, name, encoding, right):
    (event,) = read(written(tmp_path, "log", LOGON.format(name).encode(encoding)))
    assert (event["user"], "no UTF-8" in event["note"]) == (right, encoding != "utf-8")


@pytest.mark.parametrize(
    "path", [path for path in JSON_FILES if path.stem in ("okta", "entra", "cloudtrail")]
)
def test_no_byte_makes_a_domain(tmp_path, path):
    """A byte that is no UTF-8 in a name never becomes a backslash."""
    text = path.read_text().replace("a", "ÿÿÿ", 3).encode("latin-1", "replace")
    for event in read(written(tmp_path, "log", text)):
        assert "\\x" not in (event["user"] or "")


def test_zero_bytes_cost_no_line(tmp_path):
    lines = [LOGON.format(name).encode() for name in ("ann", "bob", "eve", "dan")]
    text = lines[0] + b"\0" * 60 + lines[1] + lines[2][:40] + b"\0" * 60 + lines[3] + b"\0" * 9
    found = read(written(tmp_path, "log", text))
    assert [event["user"] for event in found if not event["dropped"]] == ["ann", "bob", "dan"]


def test_lines_that_end_with_carriage_returns_alone(tmp_path):
    text = "".join(LOGON.format(name) for name in ("ann", "bob")).replace("\n", "\r")
    assert [event["user"] for event in read(written(tmp_path, "log", text))] == ["ann", "bob"]


@given(st.binary(max_size=60), st.integers(1, 9))
@settings(max_examples=200, deadline=None)
def test_any_bytes_become_utf8_line_by_line(data, size):
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    text = b"".join(utf8(iter(blocks)))
    found, guessed = safe(text)
    assert found.decode().count("\n") == text.count(b"\n") and "\0" not in found.decode()
    assert guessed is None or len(guessed) == text.count(b"\n")


# --- files beside one another -------------------------------------------------------------------------------


def reshaped(draw: st.DrawFn, path: Path) -> bytes:
    """A file's records in another shape."""
    text = path.read_text()
    if path in JSON_FILES:
        wraps: list[Callable[[str], str]] = [*LINES.values(), a_line_of]
        text = "".join(map(draw(st.sampled_from(wraps)), text.splitlines()))
    elif path in CSV_FILES:
        columns = list(zip(*csv.reader(text.splitlines()), strict=True))
        text = table_text([list(row) for row in zip(*draw(st.permutations(columns)), strict=True)])
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


def a_line_of(record: str) -> str:
    return record + "\n"


def kept(root: Path) -> list[tuple[Any, ...]]:
    """The events of a lake, names unified."""
    rows = [
        row for path in root.glob("events/*/*") for row in pq.read_table(path, partitioning=None).to_pylist()
    ]
    return sorted(repr([row[name] for name in (*events.KEPT, "dropped", "note", "line")]) for row in rows)


@given(st.data())
@settings(max_examples=6, deadline=None)
def test_files_together_are_read_as_each_alone(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("files")
    names = data.draw(st.lists(st.sampled_from(ALL_FILES), min_size=2, max_size=6, unique=True))
    paths = []
    for number, path in enumerate(names):
        content = data.draw(st.composite(reshaped)(path))
        paths.append(str(written(folder, f"{number:02}-{path.name}", content)))
    ingest_all(paths, "auto", folder / "together")
    contents = {Path(path).read_bytes(): path for path in paths}  # the same content counts once
    alone = []
    for number, path in enumerate(contents.values()):
        ingest_all([path], "auto", folder / f"alone{number}")
        alone += kept(folder / f"alone{number}")
    assert kept(folder / "together") == sorted(alone)


ENDS = "ts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\t"
FIRST = "1709632800.1\tC1\t10.0.0.1\t5\t10.0.0.3\t88\t"


def zeek_log(log: str, columns: str, row: str) -> str:
    return (
        f"#separator \\x09\n#unset_field\t-\n#path\t{log}\n"
        f"#fields\t{ENDS}" + columns.replace(" ", "\t") + f"\n{FIRST}" + row.replace(" ", "\t") + "\n"
    )


def test_a_folder_of_zeek_logs(tmp_path):
    """Logs with different columns and as many of them; others of the same product are counted, and are no
    error."""
    ntlm = ("username hostname domainname server_nb_computer_name", "olga ws8 NORD SRV9")
    kerberos = ("request_type client service success", "TGS p.lind/NORD cifs/srv8 T")
    written(tmp_path, "a.log", zeek_log("weird", "name addl", "x y"))
    written(tmp_path, "kerberos.log", zeek_log("kerberos", *kerberos))
    written(tmp_path, "ntlm.log", zeek_log("ntlm", *ntlm))
    written(tmp_path, "x.log", a_line({"ts": 1709632800.1, "fingerprint": "a1", "certificate.serial": "7"}))
    reports = ingest_all([str(tmp_path)], "auto", tmp_path / "lake")
    assert [report.problem for report in reports] == [None] * 4
    assert {Path(report.file).name: report.events for report in reports if report.events} == {
        "kerberos.log": 1,
        "ntlm.log": 1,
    }


# --- bytes and lines inside values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written_name", "right"),
    [
        (r"caf\xc3\xa9", "café"),
        (r"pl\xffan", "pl\ufffdan"),
        (r"\xff\xff", "\ufffd\ufffd"),
        ("ü\\xff", "\ufffd\ufffd\ufffd"),
        (r"a\x00b", "a\ufffdb"),
        (r"\x41nn", "Ann"),
    ],
)
def test_bytes_that_zeek_escapes(tmp_path, written_name, right):
    """They are a text or marked; one that is no text takes no other record along."""
    header = "#separator \\x09\n#path\tntlm\n#fields\tts\tuid\tid.orig_h\tid.resp_h\tusername\tsuccess\n"
    rows = (
        f"170963286{n}.1\tC{n}\t10.0.0.7\t10.0.0.1\t{name}\tT\n"
        for n, name in enumerate((written_name, "ann"))
    )
    found = read(written(tmp_path, "ntlm.log", header + "".join(rows)))
    assert [event["user"] for event in found if not event["dropped"]] == [right, "ann"]


def test_base64_of_what_is_no_text_takes_no_other_record_along(tmp_path):
    good = LOGON.format("ann").strip().encode()
    lines = [good, good.replace(b"ann", b"a\xffn"), good.replace(b"ann", b"bob")]
    encoded = [base64.b64encode(line + b" " * (-len(line) % 3)).decode() for line in lines]
    text = "".join(json.dumps({"data": line}) + "\n" for line in [*encoded, encoded[0][:-1] + "=", "=" * 40])
    users = [event["user"] for event in read(written(tmp_path, "log", text)) if not event["dropped"]]
    assert users[:3] == ["ann", "a\ufffdn", "bob"]


WINDOWS_XML = RECORDS / "windows.xml"
SPLUNK_TEXT = """03/05/2024 10:00:00 AM
LogName=Security
SourceName=Microsoft Windows security auditing.
EventCode=4624
ComputerName=srv1.fabrik.example
Message=An account was successfully logged on.

Subject:
\tAccount Name:\t\t-

Logon Type:\t\t\t3

New Logon:
\tAccount Name:\t\tk.holm
\tAccount Domain:\t\tFABRIK

Network Information:
\tSource Network Address:\t10.1.1.5
"""


def test_a_cell_holds_a_record_of_any_kind_over_many_lines(tmp_path):
    """As Splunk exports `_raw`: text of its forwarder, XML, JSON over several lines."""
    for name, record in {
        "syslog": LOGON.format("ann").strip(),
        "text": SPLUNK_TEXT,
        "xml": WINDOWS_XML.read_text().split("\n")[0].replace("><", ">\n<"),
        "json": json.dumps(json.loads((RECORDS / "windows.jsonl").read_text().split("\n")[0]), indent=1),
    }.items():
        alone = read(written(tmp_path, name, record))
        table = io.StringIO()
        csv.writer(table).writerows([["_time", "_raw", "host"], ["1", record, "x"], ["2", record, "y"]])
        found = read(written(tmp_path, f"{name}.csv", table.getvalue()))
        assert [event["user"] for event in found] == [alone[0]["user"]] * 2 and not alone[0]["dropped"]
        assert found == alone * 2, name
