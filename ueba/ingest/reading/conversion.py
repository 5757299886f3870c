"""Files that are no text -> blocks of JSON lines, a record a line: Windows event logs (EVTX) and Parquet.

Leaves out what a record means (`ueba.ingest.sources`).
"""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path

import duckdb

from ueba.config import IngestConfig
from ueba.errors import InputError
from ueba.ingest.reading.framing import one_line
from ueba.ingest.reading.limits import confine, on_disk

EVTX, PARQUET = b"ElfFile\0", b"PAR1"  # the first bytes of a file
ROWS = 10_000  # of Parquet, converted at a time

Blocks = Generator[bytes, None, None]  # closed, it removes its temporary files
# (blocks, path, memory limit, limits) -> blocks of lines
Converter = Callable[[Iterable[bytes], str, str, IngestConfig], Blocks]


def converter(start: bytes) -> Converter | None:
    """The converter of a file that begins so; None for a text."""
    return windows_events if start.startswith(EVTX) else parquet_rows if start.startswith(PARQUET) else None


def windows_events(blocks: Iterable[bytes], path: str, memory_limit: str, limits: IngestConfig) -> Blocks:
    """An EVTX file through the evtx package (Ben-Amram), whose JSON is that of its evtx_dump. A record that
    it cannot read becomes a line that says why and is not JSON. memory_limit: not needed"""
    from evtx import PyEvtxParser

    with on_disk(blocks, path, limits) as file, panics_named(path):
        try:
            records = PyEvtxParser(str(file)).records_json()
        except (OSError, RuntimeError) as reason:
            raise InputError(
                f"{path}: is not a whole Windows event log ({reason}); was it copied completely?"
            ) from reason
        while True:
            try:
                record = next(records)
            except StopIteration:
                return
            except (OSError, RuntimeError, ValueError) as reason:
                record = {"data": f"unreadable record: {reason}"}
            yield one_line(str((record or {}).get("data")).encode("utf-8", "backslashreplace"))


@contextlib.contextmanager
def panics_named(path: str) -> Iterator[None]:
    """Make a panic of the evtx package's Rust code, which is no Exception, an InputError."""
    try:
        yield
    except BaseException as reason:
        if type(reason).__name__ != "PanicException":
            raise
        raise InputError(f"{path}: cannot be read as a Windows event log ({reason})") from reason


def parquet_rows(blocks: Iterable[bytes], path: str, memory_limit: str, limits: IngestConfig) -> Blocks:
    """The rows of a Parquet file, objects with the names of its columns. memory_limit: of DuckDB, such as
    1GB"""
    with (
        on_disk(blocks, path, limits) as file,
        parquet_reader(file.parent, memory_limit, limits) as connection,
    ):
        try:
            sql, parameters = rows_as_json(connection, glob.escape(str(file)))
            for batch in connection.sql(sql, params=parameters).to_arrow_reader(ROWS):
                yield ("\n".join(batch.column(0).to_pylist()) + "\n").encode()
        except (duckdb.Error, MemoryError) as reason:
            what = str(reason).replace(str(file), path)
            raise InputError(f"{path}: cannot be read as Parquet ({what})") from reason


def parquet_reader(folder: Path, memory_limit: str, limits: IngestConfig) -> duckdb.DuckDBPyConnection:
    """A DuckDB that reaches this folder, and nothing else."""
    spill = str(folder / "spill")
    connection = duckdb.connect(config={"memory_limit": memory_limit, "temp_directory": spill})
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    confine(connection, folder, limits)
    return connection


def rows_as_json(connection: duckdb.DuckDBPyConnection, path: str) -> tuple[str, list[str]]:
    """SQL, and its parameters: the rows of a Parquet file as JSON. Columns are called by their position:
    whatever name a file gives a column, it means nothing in SQL."""
    names = column_names(connection, path)
    columns = [f"c{number}" for number in range(len(names))]
    pairs = ", ".join(f"?::VARCHAR, {column}" for column in columns)
    rows = f"read_parquet(?, hive_partitioning = false) AS file({', '.join(columns)})"
    return f"SELECT json_object({pairs})::VARCHAR FROM {rows}", [*names, path]


def column_names(connection: duckdb.DuckDBPyConnection, path: str) -> list[str]:
    """The names of a Parquet file's columns, in order: the children of its root, without theirs."""
    tree = connection.execute("SELECT name, coalesce(num_children, 0) FROM parquet_schema(?)", [path])
    names, inner = [], 0  # inner: elements of the column before that are still to come
    for name, children in tree.fetchall()[1:]:
        if inner:
            inner += children - 1
        else:
            names.append(name)
            inner = children
    return names
