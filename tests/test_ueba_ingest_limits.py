"""What one file may use, and that a file that wants more takes no other one along."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import duckdb
import pytest

from ueba.config import IngestConfig
from ueba.errors import ConfigError
from ueba.ingest import IngestOptions, events_of, ingest_all
from ueba.ingest.batch import Batch
from ueba.ingest.reading import find, limits
from ueba.ingest.reading.limits import Limits, in_bytes

LANL = "{},U{}@D,U{}@D,C1,C2,Kerberos,Network,LogOn,Success\n"
GOOD = "".join(LANL.format(n, n, n) for n in range(1, 9))
SMALL = Limits(temporary_bytes=300_000, ratio=5.0, members=3)


def written(folder: Path, name: str, content: bytes | str) -> str:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder / name)


def parquet(folder: Path, select: str, name: str = "log.parquet") -> str:
    duckdb.sql(f"COPY ({select}) TO '{folder / name}' (FORMAT parquet)")
    return str(folder / name)


# --- Parquet: the row is the row ----------------------------------------------------------------------------

MAPPING = """
format = "parquet"
time_format = "iso8601"
[columns]
time = "t"
user = "u"
target = "h"
"""


@pytest.mark.parametrize(
    "name",
    ["row", "ROW", "row_", "lines", "text", "line", "file", "_json", "column0", "is_json", "x y", 'q"q', "r"],
)
def test_no_name_of_a_column_stands_for_the_record(tmp_path, name):
    """A column that is a record of its own, under any name, forges none."""
    forged = "{'t': '2024-01-01T00:00:00Z', 'u': 'forged', 'h': 'forged'}"
    quoted = name.replace('"', '""')
    columns = f'{forged} AS "{quoted}", 1 AS "row__"'
    select = f"SELECT '2024-03-05T10:00:00Z' AS t, 'ann' AS u, 'srv' AS h, {columns}"
    (tmp_path / "m.toml").write_text(MAPPING)
    (event,) = events_of(parquet(tmp_path, select), str(tmp_path / "m.toml")).to_pylist()
    assert (event["user"], event["target"]) == ("ann", "srv")


# --- limits -------------------------------------------------------------------------------------------------


def problems(paths: list[str], lake: Path, chosen: Limits = SMALL) -> dict[str, str]:
    """The problems of files by their names; good files have none."""
    reports = ingest_all(paths, "auto", lake, IngestOptions(limits=chosen))
    return {Path(report.file).name: report.problem for report in reports if report.problem}


def test_a_file_that_fills_the_temporary_folder_is_left_out(tmp_path):
    """A zip, an EVTX and a Parquet in gzip each have to lie on disk: none gets more than the limit, and the
    good log between them is read."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("log", b"\0" * 900_000)
    paths = [
        written(tmp_path, "a.gz", gzip.compress(zipped.getvalue())),
        written(tmp_path, "good", GOOD),
        written(tmp_path, "b.gz", gzip.compress(b"ElfFile\0" + bytes(900_000))),
        written(tmp_path, "c.gz", gzip.compress(b"PAR1" + bytes(900_000))),
    ]
    found = problems(paths, tmp_path / "lake")
    assert found.keys() == {"a.gz", "b.gz", "c.gz"}
    assert all(
        "ingest.temporary_limit" in problem and "300,000 bytes" in problem for problem in found.values()
    )


def test_a_disk_that_is_nearly_full_is_not_filled(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(limits, "CHECKED", 1)
    found = problems(
        [written(tmp_path, "b.gz", gzip.compress(b"PAR1" + bytes(9_000)))], tmp_path / "lake", limits.DEFAULTS
    )
    assert "would fill the temporary folder" in found["b.gz"] and "TMPDIR" in found["b.gz"]


def test_what_comes_out_of_compression_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "FLOOR", 10_000)
    paths = [
        written(tmp_path, "bomb.gz", gzip.compress(GOOD.encode() * 2000)),
        written(tmp_path, "good", GOOD),
    ]
    found = problems(paths, tmp_path / "lake")
    assert found.keys() == {"bomb.gz"} and "ingest.ratio_limit" in found["bomb.gz"]


def test_members_of_an_archive_are_bounded(tmp_path):
    with zipfile.ZipFile(tmp_path / "logs.zip", "w") as archive:
        for number in range(5):
            archive.writestr(f"log{number}", GOOD.replace("C1", f"C{number}"))
    reports = ingest_all([str(tmp_path / "logs.zip")], "auto", tmp_path / "lake", IngestOptions(limits=SMALL))
    assert [report.events for report in reports if not report.problem] == [8, 8, 8]
    (problem,) = [report.problem for report in reports if report.problem]
    assert "more than 3 members" in problem and "ingest.members_limit" in problem


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("512MB", 512_000_000),
        ("4 GB", 4_000_000_000),
        ("1.5GiB", 1_610_612_736),
        ("7KB", 7_000),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes(size, expected):
    assert in_bytes(size) == expected


@pytest.mark.parametrize("wrong", [{"temporary_limit": "much"}, {"ratio_limit": 0}, {"members_limit": -1}])
def test_limits_have_ranges(wrong):
    with pytest.raises(ConfigError):
        IngestConfig(**wrong)


def test_a_name_has_a_size(tmp_path):
    """A name of a megabyte would be carried by every edge of a day."""
    log = GOOD + LANL.format(9, "x" * 1025, 9) + LANL.format(10, "y" * 1000, 9)
    (report,) = ingest_all([written(tmp_path, "log", log)], "lanl", tmp_path / "lake")
    assert (report.events, report.dropped) == (9, {"name longer than 1,024 bytes": 1})


# --- a file that fails takes no other along -----------------------------------------------------------------


def test_a_file_that_does_not_fit_into_memory_leaves_the_others(tmp_path, monkeypatch):
    """The lines of three files are parsed together; those of one run out of memory however few they are."""
    write = Batch.write

    def fails(batch: Batch, rows: str) -> None:
        if batch.connection.execute("SELECT count(*) FROM lines WHERE text LIKE '%C666%'").fetchall()[0][0]:
            raise duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate data")
        write(batch, rows)

    monkeypatch.setattr(Batch, "write", fails)
    logs = {name: GOOD.replace("C1", name) for name in ("C5", "C666", "C7")}
    reports = ingest_all([written(tmp_path, *log) for log in logs.items()], "lanl", tmp_path / "lake")
    assert [report.events if not report.problem else None for report in reports] == [8, None, 8]
    assert "does not fit into memory" in reports[1].problem and "ingest.memory_limit" in reports[1].problem


def test_a_batch_that_cannot_be_published_is_a_problem_of_its_files(tmp_path, monkeypatch):
    def fails(*_: object) -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error: x")

    monkeypatch.setattr(Batch, "evidence", fails)
    (report,) = ingest_all([written(tmp_path, "log", GOOD)], "lanl", tmp_path / "lake")
    assert "does not fit into memory" in report.problem


def test_a_large_binary_beside_a_log(tmp_path):
    """Whatever is said to be a log: the file beside it is read whole, in little memory."""
    noise = bytes(range(256)) * 40_000
    paths = [
        written(tmp_path, "good", GOOD),
        written(tmp_path, "noise", noise),
        written(tmp_path, "z", GOOD * 2),
    ]
    reports = ingest_all(paths, "lanl", tmp_path / "lake", IngestOptions(memory_limit="200MB"))
    assert [report.events for report in reports if not report.problem] == [8, 16]


# --- time and memory a record -------------------------------------------------------------------------------


def test_blank_lines_cost_nothing_and_are_counted(tmp_path):
    log = written(tmp_path, "log.gz", gzip.compress(GOOD.encode() + b"\n" * 3_000_000 + GOOD.encode()))
    (report,) = ingest_all([log], "lanl", tmp_path / "lake")
    assert (report.lines, report.dropped["empty line"]) == (3_000_016, 3_000_000)
    assert report.events + sum(report.dropped.values()) == report.lines


PEAK = """
import sys
from pathlib import Path
from ueba.ingest import IngestOptions, ingest_all
for log in sys.argv[2:]:
    ingest_all([log], "lanl", Path(sys.argv[1]), IngestOptions(memory_limit="256MB"))
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def peak(lake: Path, *logs: str) -> int:
    """The most bytes of memory that a process had which read these logs."""
    arguments = [sys.executable, "-c", PEAK, str(lake), *logs]
    return int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("kind", ["log", "long line", "newlines", "spaces", "deep"])
def test_memory_of_ingest_is_bounded(tmp_path, kind):
    """DuckDB's limit, four slices of 64 MB and what Python itself needs, whatever the file holds: as the
    operating system sees it."""
    content = {
        "log": "".join(LANL.format(n, n % 500, n % 500) for n in range(200_000)).encode(),
        "long line": GOOD.encode() + b"x" * 60_000_000,
        "newlines": GOOD.encode() + b"\n" * 10_000_000,
        "spaces": GOOD.encode() + b" \n" * 3_000_000,
        "deep": GOOD.encode() + b"[" * 3_000_000 + b"\n" + b'{"a":' * 100_000 + b"\n",
    }[kind]
    log = written(tmp_path, "log.gz", gzip.compress(content, 1))
    small = peak(tmp_path / "small", written(tmp_path, "small.log", GOOD))
    assert peak(tmp_path / "lake", log) - small < 256_000_000 + 4 * (1 << 26) + 100_000_000


def test_a_member_is_quick(tmp_path):
    """Thousands of members are one batch, however few lines each has."""
    with zipfile.ZipFile(tmp_path / "logs.zip", "w") as archive:
        for number in range(300):
            archive.writestr(f"log{number}", json.dumps({"a": number}))
    reports = ingest_all([str(tmp_path / "logs.zip")], "auto", tmp_path / "lake")
    assert len(reports) == 300 and all(report.problem for report in reports)
    assert len(list(find.find(str(tmp_path / "logs.zip")))) == 300
