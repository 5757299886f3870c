"""What a file may cost, and what it costs the others: names of columns, bombs of every packing, memory, disk,
members, names, and files that DuckDB fails on."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import http.server
import io
import json
import random
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packing import tarred, zipped

from ueba.config import IngestConfig
from ueba.contracts.event import LONG_NAME, LONGEST_NAME
from ueba.contracts.report import IngestReport
from ueba.errors import InputError, WorkspaceError
from ueba.ingest import IngestOptions, batch, build, events, events_of, ingest_all, lake, sources, tally
from ueba.ingest.reading import archives, framing, limits
from ueba.ingest.reading import find as files
from ueba.ingest.reading.feed import EMPTY_LINES, LINES, Feed
from ueba.ingest.sample import Sample
from ueba.ingest.steps import Step

LINE = "{second},U{user}@DOM1,U1@DOM1,C1,C2,Kerberos,Network,LogOn,Success\n"


def lanl(user: int, records: int = 50) -> bytes:
    return "".join(LINE.format(second=second, user=user) for second in range(records)).encode()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary copies, which must be empty at the end."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def read(folder: Path, contents: dict[str, bytes], **allowed: Any) -> dict[str, IngestReport]:
    """The reports of files in a folder, by the part of their name below it."""
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    for name, content in contents.items():
        (logs / name).write_bytes(content)
    options = IngestOptions(memory_limit="256MB", limits=IngestConfig(**allowed))
    reports = ingest_all([str(logs)], "lanl", folder / "lake", options)
    return {report.file.removeprefix(f"{logs}/"): report for report in reports}


# --- names of columns ---------------------------------------------------------------------------------------

NASTY = (
    *("row", "Row", "file", "File", "c0", "C1", "lines", "text", "line", "_json", "json", "rowid", "*"),
    *("filename", "file_row_number", "file_index", "a.b", "a b", "", " ", "\n", "\0", "x\0y", "'", '"'),
    *("$1", "?", "{}", "%s", "--", "columns", "to_json", "é", "\u202e", "time", "TIME", "user", "User"),
    *("'; DROP TABLE x; --", "\") FROM read_csv('/etc/passwd') --", "x" * 5000),
)


def records_of(path: Path) -> list[list[tuple[str, Any]]]:
    """The records of a file, as names and values in order."""
    (file,) = files.find(str(path))
    with contextlib.closing(Feed(file, "256MB")) as feed:
        texts = [text for table in feed.slices(feed.frames[0]) for text in table["text"].to_pylist()]
    return [json.loads(text, object_pairs_hook=list) for text in texts]


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("value", ["plain", {"user": "forged", "name": "forged"}], ids=["text", "struct"])
def test_a_column_of_any_name_reads_as_under_an_ordinary_one(name: str, value: Any, tmp_path: Path) -> None:
    columns = [pa.array([value] * 3), pa.array(["ann", "bob", "cho"]), pa.array([1, 2, 3])]
    for path, names in (("nasty", [name, "person", "at"]), ("plain", ["other", "person", "at"])):
        pq.write_table(pa.Table.from_arrays(columns, names), tmp_path / path)
    ordinary = records_of(tmp_path / "plain")
    assert records_of(tmp_path / "nasty") == [[(name, record[0][1]), *record[1:]] for record in ordinary]
    assert [record[1] for record in ordinary] == [("person", person) for person in ("ann", "bob", "cho")]


def test_names_that_differ_in_case_or_not_at_all(tmp_path: Path) -> None:
    names = ["a", "A", "a", "a_1", "", "C0", ""]
    columns = [pa.array([number]) for number in range(len(names))]
    pq.write_table(pa.Table.from_arrays(columns, names), tmp_path / "log")
    assert records_of(tmp_path / "log") == [list(zip(names, range(len(names)), strict=True))]


def test_nested_columns_are_no_columns(tmp_path: Path) -> None:
    nested = {"row": [{"a": {"b": 1}, "c": [1, 2]}], "l": [[{"x": 1}]], "m": [[("k", 1)]], "z": [7]}
    types = {"m": pa.map_(pa.string(), pa.int64())}
    pq.write_table(pa.table({k: pa.array(v, types.get(k)) for k, v in nested.items()}), tmp_path / "log")
    (record,) = records_of(tmp_path / "log")
    assert [name for name, _ in record] == ["row", "l", "m", "z"] and record[-1] == ("z", 7)


def test_users_are_not_forged_by_a_column(tmp_path: Path) -> None:
    mapping = 'format = "parquet"\n[columns]\ntime = "time"\nuser = "user"\ntarget = "host"\n'
    (tmp_path / "m.toml").write_text(mapping)
    forged = [{"user": "forged", "host": "forged", "time": "2026-01-05T09:00:00Z"}] * 2
    table = pa.table(
        {"user": ["ann", "bob"], "host": ["h1", "h2"], "time": ["2026-01-05T09:00:00Z"] * 2, "row": forged}
    )
    pq.write_table(table, tmp_path / "log.parquet")
    found = events_of(tmp_path / "log.parquet", str(tmp_path / "m.toml"))
    assert found["user"].to_pylist() == ["ann", "bob"]


def test_times_of_parquet_are_utc_whatever_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    pq.write_table(pa.table({"t": pa.array([0], pa.timestamp("us", "UTC"))}), tmp_path / "log")
    assert records_of(tmp_path / "log") == [[("t", "1970-01-01 00:00:00+00")]]


def test_the_temporary_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "w[a]*?'\"x=1"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    pq.write_table(pa.table({"user": ["ann"]}), tmp_path / "log")
    assert records_of(tmp_path / "log") == [[("user", "ann")]]


# --- bombs --------------------------------------------------------------------------------------------------

ZEROS = b"\0" * 3_000_000
BOMBS = {
    "gzip": gzip.compress(ZEROS),
    "zip": zipped({"a": ZEROS}),
    "tar.gz": gzip.compress(tarred({"a": ZEROS})),
    "zip in gzip": gzip.compress(zipped({"a": ZEROS}, zipfile.ZIP_STORED)),
    "gzip in zip": zipped({"a": gzip.compress(ZEROS)}),
    "gzip in tar.gz": gzip.compress(tarred({"a": gzip.compress(ZEROS)})),
    "EVTX in gzip": gzip.compress(b"ElfFile\0" + ZEROS),
    "Parquet in gzip": gzip.compress(b"PAR1" + ZEROS),
    "zips in zip": zipped({str(n): zipped({"a": ZEROS[:1_000_000]}) for n in range(3)}),
}


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of 100 kB and more have a ratio."""
    monkeypatch.setattr(limits, "FREE", 100_000)


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize(
    ("allowed", "setting"),
    [
        ({"unpacked_limit": "1MB", "ratio_limit": 1_000_000}, "unpacked_limit"),
        ({"ratio_limit": 100}, "ratio_limit"),
    ],
    ids=["size", "ratio"],
)
def test_a_bomb_is_one_error_and_the_others_are_read(
    kind: str, allowed: dict[str, Any], setting: str, tmp_path: Path, scratch: Path, small_limits: None
) -> None:
    contents = {"a.txt": lanl(2), "bomb": BOMBS[kind], "c.txt": lanl(3)}
    reports = read(tmp_path, contents, **allowed)
    problems = [report.problem or "" for name, report in reports.items() if name.startswith("bomb")]
    assert any(
        f"{tmp_path}/logs/bomb" in problem and f"raise ingest.{setting} if it is no attack" in problem
        for problem in problems
    ), problems
    assert len(problems) <= 4
    assert [(reports[name].events, reports[name].problem) for name in ("a.txt", "c.txt")] == [(50, None)] * 2
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("kind", ["zip in gzip", "EVTX in gzip", "Parquet in gzip", "zip in tar"])
@pytest.mark.parametrize("is_full", [False, True], ids=["share", "full"])
def test_temporary_copies_leave_room_on_the_disk(
    kind: str, is_full: bool, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_full:
        monkeypatch.setattr(limits, "open", full_disk, raising=False)
        why = f"its temporary copy cannot be written to {scratch}: No space left on device"
    else:
        monkeypatch.setattr(limits.shutil, "disk_usage", lambda path: SimpleNamespace(free=2_000_000))
        why = (
            f"needs more than 50% of the free disk of {scratch} for a temporary copy; raise ingest.disk_share"
        )
    bomb = tarred({"in.zip": zipped({"a": ZEROS}, 0)}) if kind == "zip in tar" else BOMBS[kind]
    reports = read(tmp_path, {"a.txt": lanl(2), "bomb": bomb, "c.txt": lanl(3)})
    (problem,) = (report.problem or "" for name, report in reports.items() if name.startswith("bomb"))
    assert problem.startswith(f"{tmp_path}/logs/bomb") and why in problem
    assert [reports[name].events for name in ("a.txt", "c.txt")] == [50, 50]
    assert not list(scratch.iterdir())


class FullDisk(io.FileIO):
    def write(self, content: Any) -> int:
        raise OSError(28, "No space left on device")


def full_disk(path: Path, mode: str, buffering: int) -> FullDisk:
    return FullDisk(path, mode)


def test_a_file_of_ordinary_ratio_is_no_bomb(tmp_path: Path, small_limits: None) -> None:
    reports = read(tmp_path, {"log.gz": gzip.compress(lanl(2, 20_000))}, ratio_limit=100)
    assert reports["log.gz"].events == 20_000


@pytest.mark.parametrize("content", [b"x\n", b"{}\n", b" \n"])
def test_records_of_next_to_nothing_count(content: bytes, tmp_path: Path, small_limits: None) -> None:
    """They are few bytes, and each takes time."""
    reports = read(tmp_path, {"log.gz": gzip.compress(content * 50_000)}, ratio_limit=1000)
    assert "becomes more than 1,000 times its size (a record counts as 64 bytes)" in (
        reports["log.gz"].problem or ""
    )


def test_rows_of_a_parquet_that_is_all_one_value(tmp_path: Path, small_limits: None) -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 500_000, pa.int32()), ["x" * 50])
    pq.write_table(pa.table({"user": values}), tmp_path / "rows.parquet")
    with pytest.raises(InputError, match="becomes more than 250 times its size"):
        records_of(tmp_path / "rows.parquet")


def test_empty_lines_are_counted_and_cost_nothing(tmp_path: Path) -> None:
    many = 3_000_000
    content = lanl(2) + b"\n" * many + b"\r\n" * 10 + lanl(3)
    path = tmp_path / "log.txt"
    path.write_bytes(content)
    (file,) = files.find(str(path))
    with contextlib.closing(Feed(file, "256MB")) as feed:
        tables = list(feed.slices(feed.frames[0]))
    assert sum(map(len, tables)) == 100 + EMPTY_LINES and feed.left_out == many + 10 - EMPTY_LINES
    assert tables[-1]["line"][-1].as_py() == feed.lines == 100 + many + 10
    (report,) = ingest_all([str(path)], "lanl", tmp_path / "lake")
    assert (report.lines, report.events) == (many + 110, 100)
    assert report.dropped == {"empty line": many + 10}
    assert report.examples == {"empty line": f"{path}:51: "}


# --- members ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pack",
    [
        zipped,
        tarred,
        lambda members: gzip.compress(tarred(members)),
        lambda members: tarred({"z": zipped(members)}),
    ],
    ids=["zip", "tar", "tar.gz", "zip in tar"],
)
def test_an_archive_has_so_many_members(pack: Callable[..., bytes], tmp_path: Path, scratch: Path) -> None:
    members = {f"{number}.txt": lanl(number) for number in range(1, 7)}
    reports = read(tmp_path, {"a.txt": lanl(9), "many": pack(members), "z.txt": lanl(8)}, members_limit=4)
    problem = next(report.problem for report in reports.values() if report.problem)
    assert "many" in problem and "has more than 4 files; raise ingest.members_limit" in problem
    assert reports["a.txt"].events == reports["z.txt"].events == 50
    assert sum(report.problem is None for report in reports.values()) <= 2 + 4


def test_archives_in_archives_have_a_depth(tmp_path: Path) -> None:
    content = lanl(2)
    for _ in range(archives.DEPTH + 1):
        content = zipped({"a": content})
    (report,) = read(tmp_path, {"deep": content}).values()
    assert "archives in archives, more than 3 deep" in (report.problem or "")


LOCAL = struct.Struct("<4sHHHHHIIIHH")
ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
END = struct.Struct("<4sHHHHIIH")


def quoting_zip(members: int) -> bytes:
    """A zip in which the data of each member is the next member, its header quoted in a stored block, so that
    all of them are the last one's data."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body, plain, whole = deflate.compress(ZEROS) + deflate.flush(), ZEROS, b""
    entries = []
    for number in reversed(range(members)):
        name, crc = str(number).encode(), zlib.crc32(plain)
        local = LOCAL.pack(b"PK\3\4", 20, 0, 8, 0, 0, crc, len(body), len(plain), len(name), 0) + name
        whole = local + body
        entries.append((name, crc, len(body), len(plain), len(whole)))
        body, plain = struct.pack("<BHH", 0, len(local), len(local) ^ 0xFFFF) + whole, local + plain
    directory = b"".join(
        ENTRY.pack(
            b"PK\1\2", 20, 20, 0, 8, 0, 0, crc, packed, size, len(name), 0, 0, 0, 0, 0, len(whole) - place
        )
        + name
        for name, crc, packed, size, place in reversed(entries)
    )
    return whole + directory + END.pack(b"PK\5\6", 0, 0, members, members, len(directory), len(whole), 0)


def repeating_zip(members: int) -> bytes:
    """A zip whose table of contents lists its one member many times."""
    content = zipped({"a": ZEROS})
    at = content.index(b"PK\1\2")
    directory = content[at : content.index(b"PK\5\6")] * members
    return content[:at] + directory + END.pack(b"PK\5\6", 0, 0, members, members, len(directory), at, 0)


@pytest.mark.parametrize("pack", [quoting_zip, repeating_zip])
def test_members_of_a_zip_that_overlap(pack: Callable[[int], bytes], tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(pack(20))
    found = list(files.find(str(tmp_path / "log")))
    refused = 0
    for file in found:
        try:
            file.open().close()
        except InputError as problem:
            refused += "overlaps another file of the archive" in str(problem)
    assert (len(found), refused) == (20, 19)


def test_a_table_of_contents_is_not_read_if_it_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(zipped({f"{number}/": b"" for number in range(2000)}))
    (refused,) = files.find(str(tmp_path / "log"), limits=IngestConfig(members_limit=1000))
    with pytest.raises(InputError, match="has more than 1,000 files; raise ingest.members_limit"):
        refused.open()


def test_long_names_of_members_are_shortened(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(tarred({"x" * 70_000: b"1\n"}))
    (file,) = files.find(str(tmp_path / "log"))
    assert file.name == f"{tmp_path}/log/{'x' * 1024}..."


# --- headers of tar -----------------------------------------------------------------------------------------


def pax(headers: dict[str, str], content: bytes = b"1\n") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a")
        info.size, info.pax_headers = len(content), headers
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "headers",
    [
        {"path": "../../../etc/passwd"},
        {"path": "/etc/passwd"},
        {"path": "x\0y\n\x1b[31m"},
        {"size": "-1"},
        {"size": "-512"},
        {"size": str(1 << 62)},
        {"size": "9" * 5000},
        {"size": "nan"},
        {"mtime": "1e400"},
        {"mtime": "-9e99"},
        {"mtime": "nan"},
        {"hdrcharset": "BINARY", "path": "\udcff"},
        {"linkpath": "/etc/passwd"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 60)},
        {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 60)},
        {"GNU.sparse.name": "../../x", "GNU.sparse.map": "-5,-7,9", "GNU.sparse.size": "-3"},
    ],
    ids=repr,
)
def test_pax_headers_do_no_harm(headers: dict[str, str], tmp_path: Path, small_limits: None) -> None:
    """What they say is a name to show, or an error; nothing is written, and the end is reached."""
    (tmp_path / "log").write_bytes(pax(headers))
    (report,) = ingest_all([str(tmp_path / "log")], "lanl", tmp_path / "lake")[:1]
    assert report.file.startswith(f"{tmp_path}/log") and report.problem
    assert {path.name for path in tmp_path.iterdir()} <= {"log", "lake"}


def test_the_holes_of_a_sparse_file_count(tmp_path: Path, small_limits: None) -> None:
    (tmp_path / "log").write_bytes(pax({"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 60)}))
    (file, *_) = files.find(str(tmp_path / "log"))
    with pytest.raises(InputError, match="becomes more than 250 times its size"):  # noqa: SIM117
        with contextlib.closing(Feed(file, "256MB")) as feed:
            list(feed.slices(feed.frames[0]))


def test_a_map_of_holes_is_not_read_if_it_is_too_long(tmp_path: Path) -> None:
    """It is a list of numbers in front of the content, all of which would be in memory."""
    numbers = b"9999999\n" + b"1\n" * 5_000_000
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    (tmp_path / "log.gz").write_bytes(gzip.compress(pax(headers, numbers), 1))
    (broken,) = files.find(str(tmp_path / "log.gz"))
    with pytest.raises(InputError, match="a header in it is too long|cannot be read to its end"):
        broken.open()


# --- files that DuckDB fails on -----------------------------------------------------------------------------


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """DuckDB has no memory for more than 80 lines if one has the user U666. Lists how many it refused."""
    refused: list[int] = []
    execute = batch.execute

    def watched(connection: duckdb.DuckDBPyConnection, step: Step) -> int | None:
        if step.name == "batch_rows":
            ((lines, bad),) = connection.execute(
                "SELECT count(*), count(*) FILTER (text LIKE '%U666@%') FROM lines"
            ).fetchall()
            if bad and lines > 80:
                refused.append(lines)
                raise duckdb.OutOfMemoryException("Out of Memory Error: no more\nPossible solutions")
        return execute(connection, step)

    monkeypatch.setattr(batch, "execute", watched)
    yield refused


def test_fewer_lines_at_a_time_where_memory_ends(tmp_path: Path, failing: list[int]) -> None:
    contents = {"a.txt": lanl(1), "b.txt": lanl(666, 300), "c.txt": lanl(3)}
    reports = read(tmp_path, contents)
    assert [(report.events, report.problem) for report in reports.values()] == [
        (50, None),
        (300, None),
        (50, None),
    ]
    assert failing == [400, 350, 300]  # all, b and c, b; then quarters of b


@pytest.mark.parametrize("step", ["batch_rows", "count", "batch_evidence"])
@pytest.mark.parametrize(
    "failure",
    [
        duckdb.OutOfMemoryException("Out of Memory Error: no more\nmore"),
        duckdb.InternalException("INTERNAL Error: \x1b[31mwrong"),
        MemoryError(),
    ],
    ids=["memory", "internal", "Python"],
)
def test_the_file_that_fails_fails_alone(
    step: str, failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step it is, and whatever else is in its batch."""
    number_of_bad = 3
    execute, count, evidence = batch.execute, tally.count, batch.Batch.evidence

    def executed(connection: duckdb.DuckDBPyConnection, current: Step) -> int | None:
        bad = "FROM lines WHERE text LIKE '%U666@%' LIMIT 1"
        if current.name == step == "batch_rows" and connection.execute(bad).fetchall():
            raise failure
        return execute(connection, current)

    def counted(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[int, tally.Tally]:
        bad = f"FROM {rows} WHERE actor LIKE 'U666@%' LIMIT 1"
        if step == "count" and connection.execute(bad).fetchall():
            raise failure
        return count(connection, rows)

    def proved(self: batch.Batch, numbers: list[int]) -> str:
        if step == "batch_evidence" and number_of_bad in numbers:
            raise failure
        return evidence(self, numbers)

    monkeypatch.setattr(batch, "execute", executed)
    monkeypatch.setattr(tally, "count", counted)
    monkeypatch.setattr(batch.Batch, "evidence", proved)
    contents = {f"{n}.txt": lanl(666 if n == number_of_bad else n, 10 + n) for n in range(7)}
    reports = read(tmp_path, contents)
    problem = reports[f"{number_of_bad}.txt"].problem or ""
    assert problem.startswith(f"{tmp_path}/logs/{number_of_bad}.txt: ") and "\x1b" not in problem
    assert "\n" not in problem
    assert ("raise ingest.memory_limit" in problem) == (not isinstance(failure, duckdb.InternalException))
    others = {name: report for name, report in reports.items() if name != f"{number_of_bad}.txt"}
    assert {name: (report.events, report.problem) for name, report in others.items()} == {
        f"{n}.txt": (10 + n, None) for n in range(7) if n != number_of_bad
    }
    monkeypatch.undo()
    again = read(tmp_path, {})
    assert {report.events for report in again.values()} == {10 + n for n in range(7)}
    assert [name for name, report in again.items() if not report.already_ingested] == [f"{number_of_bad}.txt"]


def test_a_record_that_ends_its_query_costs_that_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever function of DuckDB does not take it."""
    execute = batch.execute

    def executed(connection: duckdb.DuckDBPyConnection, step: Step) -> int | None:
        bad = "FROM lines WHERE text LIKE '7,U666@%' LIMIT 1"
        is_parsed = step.name == "batch_rows" and batch.refused() not in step.sql
        if is_parsed and connection.execute(bad).fetchall():
            raise duckdb.ConversionException("Conversion Error: no UTF-8")
        return execute(connection, step)

    monkeypatch.setattr(batch, "execute", executed)
    reports = read(tmp_path, {"a.txt": lanl(1), "b.txt": lanl(666, 300), "c.txt": lanl(3)})
    assert {name: (report.events, report.dropped) for name, report in reports.items()} == {
        "a.txt": (50, {}),
        "b.txt": (299, {"cannot be parsed": 1}),
        "c.txt": (50, {}),
    }
    assert "7,U666@DOM1" in reports["b.txt"].examples["cannot be parsed"]
    monkeypatch.undo()
    lake.check_all(tmp_path / "lake")


def test_a_copy_of_a_file_that_failed_says_so(tmp_path: Path, failing: list[int], monkeypatch: Any) -> None:
    monkeypatch.setattr(batch.Batch, "write_lines", lambda *more: (_ for _ in ()).throw(MemoryError()))
    reports = read(tmp_path, {"a.txt": lanl(1), "b.txt": lanl(1)})
    assert all("raise ingest.memory_limit" in (report.problem or "") for report in reports.values())


def test_a_binary_beside_good_logs_with_hardly_any_memory(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(lanl(1, 500))
    (tmp_path / "b.bin").write_bytes(random.Random(3).randbytes(12_000_000))
    (tmp_path / "c.txt").write_bytes(lanl(2, 500))
    paths = [str(tmp_path / name) for name in ("a.txt", "b.bin", "c.txt")]
    good, bad, last = ingest_all(paths, "lanl", tmp_path / "lake", IngestOptions(memory_limit="25MB"))
    assert (good.events, last.events) == (500, 500) and bad.problem


def test_edges_that_cannot_be_made_are_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*more: Any) -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error: no more\nPossible solutions")

    with monkeypatch.context() as patched:
        patched.setattr(build, "refresh", fails)
        with pytest.raises(WorkspaceError, match="edges cannot be made.*raise ingest.memory_limit"):
            read(tmp_path, {"a.txt": lanl(1)})
    (again,) = read(tmp_path, {}).values()
    assert again.problem is None and lake.size(tmp_path / "lake", lake.days(tmp_path / "lake")[0]) > 0


# --- what DuckDB reaches ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('{outside}/secret')",
        "FROM read_text('{inside}/../secret')",
        "FROM glob('{outside}/*')",
        "COPY (SELECT 1) TO '{outside}/written'",
        "ATTACH '{outside}/written'",
        "FROM read_csv('http://127.0.0.1:1/x')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
    ],
)
def test_a_connection_that_parses_logs_reaches_its_folder_only(sql: str, tmp_path: Path) -> None:
    inside = tmp_path / "in'side"
    inside.mkdir()
    (tmp_path / "secret").write_text("x\n")
    (inside / "allowed").write_text("x\n")
    work = batch.Batch.begin("256MB", inside)
    with work.connection as connection:
        assert connection.execute("FROM read_text(?)", [str(inside / "allowed")]).fetchall()
        with pytest.raises(duckdb.Error):
            found = connection.execute(sql.format(outside=tmp_path, inside=str(inside).replace("'", "''")))
            assert found.fetchall()  # a glob that finds nothing
            raise duckdb.Error("nothing is to be found outside")
    assert not (tmp_path / "written").exists()


# --- names --------------------------------------------------------------------------------------------------


def test_a_name_that_is_too_long_is_no_name(tmp_path: Path) -> None:
    longest = "u" * (LONGEST_NAME - len("@dom1"))
    lines = "".join(
        f"1,{user}@DOM1,U1@DOM1,{source},C2,Kerberos,Network,LogOn,Success\n"
        for user, source in (("U1", "C1"), (longest, "C1"), (longest + "u", "C1"), ("U1", "c" * 2000))
    )
    reports = read(tmp_path, {"log.txt": lines.encode()})
    assert (reports["log.txt"].events, reports["log.txt"].dropped) == (2, {LONG_NAME: 2})
    assert LONG_NAME == "name longer than 1,024 bytes"


# --- networks -----------------------------------------------------------------------------------------------


class Hostile(http.server.BaseHTTPRequestHandler):
    """Redirects to a file, says a size that is none, never ends."""

    def log_message(self, *message: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        place = {"/file": "file:///etc/passwd", "/loop": "/loop"}.get(self.path.split("?")[0])
        self.send_response(302 if place else 403 if self.path.startswith("/secret") else 200)
        if place:
            self.send_header("Location", place)
        if self.path == "/liar":
            self.send_header("Content-Length", "5000000000")
        self.end_headers()
        if self.command == "GET" and self.path in ("/endless", "/liar"):
            with contextlib.suppress(OSError):
                for _ in range(10**6 if self.path == "/endless" else 1):
                    self.wfile.write(lanl(1))


@pytest.fixture
def hostile_server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("file", "no such object"),
        ("loop", "no such object"),
        ("endless", "has more than 1MB; raise ingest.unpacked_limit"),
        ("liar", "cannot be read to its end"),
    ],
)
def test_a_hostile_server(path: str, why: str, hostile_server: str, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_bytes(lanl(2))
    address = f"http://{hostile_server}/{path}"
    options = IngestOptions(limits=IngestConfig(unpacked_limit="1MB"))
    bad, good = sorted(
        ingest_all([address, str(tmp_path / "good.txt")], "lanl", tmp_path / "lake", options),
        key=lambda report: report.events,
    )
    assert bad.file == address and why in (bad.problem or "") and good.events == 50


def test_no_report_has_a_password_or_a_signature(hostile_server: str, tmp_path: Path) -> None:
    for address in (
        f"http://joe:hunter2@{hostile_server}/secret?sig=hunter2",
        "memory://joe:hunter2@x/y?k=hunter2",
    ):
        (report,) = ingest_all([address], "lanl", tmp_path / "lake")
        assert report.problem and "hunter2" not in f"{report}" and "://...@" in report.file


# --- patterns -----------------------------------------------------------------------------------------------

BEGINNINGS = (
    "",
    '{"a":"',
    "<Event xmlns='",
    "<34>1 ",
    "Jan  1 00:00:00 h sshd[1]: ",
    "Record 1 ",
    "#fields\t",
    " \n",
)
REPEATED = (
    "a",
    " ",
    "1",
    "\\",
    '"',
    ",",
    "\t",
    "<Event ",
    "{",
    "[",
    '{"a":',
    "a=",
    "a@",
    "1.",
    "# ",
    "'",
    "<?xml ",
)


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_no_pattern_goes_back_and_forth(beginning: str) -> None:
    """What is repeated 200,000 times takes a log source, and the frame of a text, a moment."""
    for repeated in REPEATED:
        text = (beginning + repeated * 200_000)[:200_000]
        sample = Sample("log", (text,), dt.datetime(2024, 1, 1))
        begin = time.process_time()
        framing.frames(text.encode())
        for name, module in sources.modules().items():
            if name != sources.MAPPED:
                module.recognises(sample)
        assert time.process_time() - begin < 3, repeated


# --- many small files ---------------------------------------------------------------------------------------


def test_lines_are_parsed_in_chunks_of_many_lines_but_for_long_ones() -> None:
    small = [(number, feed_lines(["x"])) for number in range(5)]
    many = batch.CHUNK_LINES
    table = batch.numbered([*small, (5, feed_lines(["x"] * many)), (6, feed_lines([]))])
    assert table[events.FILE].to_pylist() == [0, 1, 2, 3, 4] + [5] * many
    assert [len(chunk) for chunk in table["text"].chunks] == [many // 2 + 2, many // 2 + 3]
    assert batch.numbered([(0, feed_lines([]))]).column_names == [*LINES.names, events.FILE]
    texts = ["x"] * 300 + ["y" * 1_000_000] + ["z"] * 1700
    chunked = batch.in_chunks(feed_lines(texts))["text"].chunks
    assert [text for chunk in chunked for text in chunk.to_pylist()] == texts
    assert max(len(chunk) * max(map(len, chunk.to_pylist())) for chunk in chunked) <= batch.CHUNK_BYTES
    assert len(chunked) == 8 and max(map(len, chunked)) == 1001


def feed_lines(texts: list[str]) -> pa.Table:
    numbers = list(range(1, len(texts) + 1))
    return pa.table([numbers, texts, [False] * len(texts)], schema=LINES)


@pytest.mark.parametrize("files", [1, 2, 3, 7])
def test_how_many_files_a_batch_has_does_not_matter(
    files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = {f"{number}": lanl(number % 3, 5 + number) for number in range(7)}
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    whole = read(tmp_path / "whole", logs)
    monkeypatch.setattr(batch, "GROUP_FILES", files)
    parts = read(tmp_path / "parts", logs)
    assert [without_time(report) for report in parts.values()] == [
        without_time(report) for report in whole.values()
    ]
    assert [report.edges for report in whole.values()] == [1] * 7
    stored = lake.manifests(tmp_path / "parts" / "lake")
    assert [manifest.number for manifest in stored] == list(range(1, -(-7 // files) + 1))
    read(tmp_path / "parts", {"8": lanl(8)})
    assert lake.manifests(tmp_path / "parts" / "lake")[-1].number == len(stored) + 1


def without_time(report: IngestReport) -> IngestReport:
    examples = {reason: example.rsplit("/", 1)[-1] for reason, example in report.examples.items()}
    return msgspec.structs.replace(report, seconds=0, file=report.file.rsplit("/", 1)[-1], examples=examples)


# --- memory, as the operating system sees it ----------------------------------------------------------------

OVERHEAD = 600  # MB beside ingest.memory_limit: Python and its libraries, two slices of text and their copies
WINDOWS = '{"EventID": 4624, "Channel": "Security", "Computer": "%s", "Type": "SecurityEvent"}'
INPUTS = {
    "ordinary": lambda: b"".join(lanl(user, 20_000) for user in range(15)),
    "newlines": lambda: gzip.compress(b"\n" * 40_000_000, 1),
    "one line": lambda: gzip.compress(b"x" * 150_000_000, 1),
    "short records": lambda: b"a\n" * 3_000_000,
    "brackets": lambda: b"[" * 20_000_000,
    "elements": lambda: b"[" + b"{}," * 2_000_000 + b"{}]",
    "events": lambda: b"<Events>" + b"<Event ></Event>" * 200_000,
    "one cell": lambda: b'a,"' + b"x\n" * 2_000_000,
    "binary": lambda: random.Random(4).randbytes(10_000_000),
    "NUL": lambda: gzip.compress(b"\0" * 30_000_000),
    "NUL inside": lambda: gzip.compress((b"a" + b"\0" * 900_000 + b"b\n") * 20),
    "long names": lambda: (f"{WINDOWS % ('ü' * 300_000)}\n" + "{}\n" * 2047).encode() * 10,
    "members": lambda: zipped({f"{number}": b"x" for number in range(3000)}),
    "deep JSON": lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "entities": lambda: (
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "' + b"&a;" * 99 + b'">]><Event>&b;</Event>'
    ),
}
FORMATS = {"long names": "windows"} | dict.fromkeys(("members", "brackets", "deep JSON", "entities"), "auto")
PROGRAM = """
import pathlib, sys, time
from ueba.ingest import IngestOptions, ingest_all
begin = time.process_time()
lake = pathlib.Path(sys.argv[1] + "-lake")
ingest_all([sys.argv[1]], sys.argv[2], lake, IngestOptions(memory_limit="200MB"))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(int(peak) // 1000, time.process_time() - begin)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("kind", INPUTS)
def test_memory_and_time_of_a_process(kind: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(INPUTS[kind]())
    log_format = FORMATS.get(kind, "lanl")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "log"), log_format]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stderr == ""
    peak_mb, seconds = map(float, done.stdout.split())
    assert peak_mb < 200 + OVERHEAD and seconds < 60


def with_long_values(record: str) -> Iterator[str]:
    """A record with one of its words, here and there, as long as the whole may be."""
    words = list(re.finditer(r"[\w.]{4,}", record))
    for word in words[:: -(-len(words) // 8)]:
        yield record[: word.start()] + "ü.@/" * 60_000 + record[word.end() :]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_of_long_records_before_short_ones(tmp_path: Path) -> None:
    """Of every log format: DuckDB would fill what the short records lack with copies of the long ones."""
    (tmp_path / "log").mkdir()
    for path in sorted((Path(__file__).parent / "records").glob("[!m]*.*")):
        lines = path.read_text().splitlines()
        short = ("{}\n" if lines[-1].startswith("{") else "x\n") * 2047
        odd = "".join(f"{record}\n{short}" for record in with_long_values(lines[-1]))
        (tmp_path / "log" / path.name).write_text("\n".join(lines * 20) + "\n" + odd)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "log"), "auto"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and done.stderr == ""
    assert float(done.stdout.split()[0]) < 200 + OVERHEAD


DOTTED = {
    "@timestamp": "2024-03-01T08:15:00Z",
    "event.category": ["authentication"],
    "event.outcome": "success",
    "user.name": "alice",
    "host.name": "web1",
    "source.ip": "10.0.0.7",
}
DEEP = {
    "900 dots": '"' + "a." * 900 + '": 1',
    "2,000 dots": '"' + "a." * 2000 + '": 1',
    "200,000 dots": '"' + "a." * 200_000 + '": 1',
    "930 objects": '"a":' + '{"a":' * 930 + "1" + "}" * 930,
    "150,000 objects": '"a":' + '{"a":' * 150_000 + "1" + "}" * 150_000,
    "400,000 lists": '"a":' + "[" * 400_000 + "]" * 400_000,
}


@pytest.mark.parametrize("member", DEEP)
@pytest.mark.parametrize("place", [0, 1, 300])
def test_a_record_of_any_depth_costs_that_record(member: str, place: int, tmp_path: Path) -> None:
    """Keys with dots are nested on the way, and deep objects are looked into."""
    lines = [json.dumps(DOTTED)] * 300
    lines.insert(place, f'{{"user.name": "x", {DEEP[member]}}}')
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    options = IngestOptions(memory_limit="256MB")
    (report,) = ingest_all([str(tmp_path / "log")], "auto", tmp_path / "lake", options)
    assert report.problem is None and (report.lines, report.events) == (301, 300)


def test_a_panic_of_the_evtx_package_is_an_error_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panic = type("PanicException", (BaseException,), {})

    def fails(path: str) -> None:
        raise panic("index out of bounds")

    monkeypatch.setattr("evtx.PyEvtxParser", fails)
    reports = read(tmp_path, {"a.txt": lanl(2), "b.evtx": b"ElfFile\0" + bytes(5000)})
    assert "cannot be read as a Windows event log (index out of bounds)" in (reports["b.evtx"].problem or "")
    assert reports["a.txt"].events == 50


@pytest.mark.parametrize("value", ["\r", "a\rb", "\ufeff", "a\0b"])
def test_bytes_of_a_parquet_are_no_text(value: str, tmp_path: Path) -> None:
    """What looks like an encoding or like line ends in a text is not changed in what is none."""
    pq.write_table(pa.table({"user": [value] * 9}), tmp_path / "log", compression="none")
    assert records_of(tmp_path / "log") == [[("user", value)]] * 9


MEMBERS = ('"HALF":1', '"x":"HALF"', '"x":{"HALF":[]}')  # of a JSON object
JSON_RECORDS = sorted((Path(__file__).parent / "records").glob("*.jsonl"))


@pytest.mark.parametrize("path", JSON_RECORDS, ids=lambda path: path.stem)
def test_half_of_a_surrogate_pair_is_no_text(path: Path, tmp_path: Path) -> None:
    """JSON can write it, and no file can: the record is dropped, and not the ingest."""
    records = path.read_text().splitlines() * 10
    halves = ("\\ud800", "\\uDFFF", "\\ude00\\ud83d")
    members = [member.replace("HALF", half) for half in halves for member in MEMBERS]
    odd = [f"{{{member},{records[0].lstrip().removeprefix('{')}" for member in members]
    (tmp_path / "log").write_text("\n".join([*odd[:3], *records, *odd[3:]]) + "\n")
    log_format = str(path.with_suffix(".toml")) if path.with_suffix(".toml").exists() else "auto"
    (report,) = ingest_all([str(tmp_path / "log")], log_format, tmp_path / "lake")
    assert report.problem is None and report.lines == len(records) + len(odd)
    assert sum(report.dropped.values()) >= len(odd) and "\\ud" not in ascii(report.unread_fields)


def test_a_parquet_that_is_no_log_leaves_no_temporary_copy(tmp_path: Path, scratch: Path) -> None:
    pq.write_table(pa.table({"a": ["x"] * 50_000, "b": ["y"] * 50_000}), tmp_path / "log")
    (file,) = files.find(str(tmp_path / "log"))
    feed = Feed(file, "256MB")
    reading = feed._conversion  # whoever has it, of an error's traceback for example
    assert list(scratch.iterdir())
    feed.close()
    assert not list(scratch.iterdir()) and reading


SMALL_EVTX = sorted(
    path
    for path in (Path(__file__).parents[2] / "shared/data/windows_evtx").glob("*.evtx")
    if path.stat().st_size < 100_000
)


@pytest.mark.skipif(not SMALL_EVTX, reason="no shared/data/windows_evtx beside the project")
@pytest.mark.parametrize("path", SMALL_EVTX[:12], ids=lambda path: path.stem[:30])
def test_a_damaged_event_log_is_read_or_an_error(path: Path, tmp_path: Path) -> None:
    """30 times bytes of it are changed, where its structure is as often as anywhere, or it is cut."""
    content, draw = path.read_bytes(), random.Random(path.name)
    for _ in range(30):
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 5, 50))):
            place = draw.choice((0, 4096, draw.randrange(len(damaged) - 600))) + draw.randrange(600)
            damaged[place % len(damaged)] = draw.choice((0, 0xFF, draw.randrange(256)))
        (tmp_path / "log").write_bytes(damaged[: draw.choice((len(damaged), draw.randrange(len(damaged))))])
        (file,) = files.find(str(tmp_path / "log"))
        with contextlib.suppress(InputError), contextlib.closing(Feed(file, "256MB")) as feed:
            assert sum(map(len, feed.slices(feed.frames[0]))) < 5_000
