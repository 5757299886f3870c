"""Files that are no text -> blocks of JSON lines, a record a line: Windows event logs (EVTX) and Parquet.

Leaves out what a record means (`ueba.ingest.sources`).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import duckdb

from ueba.errors import InputError
from ueba.ingest.reading.framing import one_line
from ueba.ingest.reading.limits import Limits, on_temporary_disk

EVTX, PARQUET = b"ElfFile\0", b"PAR1"  # the first bytes of a file
ROWS = 10_000  # of Parquet, converted at a time

Blocks = Iterator[bytes]
# (blocks, path, memory limit, limits) -> blocks of lines
Converter = Callable[[Iterable[bytes], str, str, Limits], Blocks]


def converter(start: bytes) -> Converter | None:
    """The converter of a file that begins so; None for a text."""
    return windows_events if start.startswith(EVTX) else parquet_rows if start.startswith(PARQUET) else None


def windows_events(blocks: Iterable[bytes], path: str, memory_limit: str, limits: Limits) -> Blocks:
    """An EVTX file through the evtx package (Ben-Amram), whose JSON is that of its evtx_dump. A record that
    it cannot read becomes a line that says why and is not JSON. memory_limit: not needed"""
    from evtx import PyEvtxParser

    with on_disk(blocks, path, limits) as file:
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


def parquet_rows(blocks: Iterable[bytes], path: str, memory_limit: str, limits: Limits) -> Blocks:
    """The rows of a Parquet file. memory_limit: of DuckDB, such as 1GB"""
    with (
        on_disk(blocks, path, limits) as file,
        duckdb.connect(config={"memory_limit": memory_limit}) as connection,
    ):
        try:
            name = no_column(connection, str(file))
            rows = connection.sql(
                f"SELECT to_json({name}) FROM read_parquet(?) AS {name}", params=[str(file)]
            )
            for batch in rows.to_arrow_reader(ROWS):
                yield ("\n".join(batch.column(0).to_pylist()) + "\n").encode()
        except duckdb.Error as reason:
            raise InputError(f"{path}: cannot be read as Parquet ({reason})") from reason


def no_column(connection: duckdb.DuckDBPyConnection, path: str) -> str:
    """A name for the rows of a Parquet file that no column of it has: a column would stand for the row."""
    rows = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()
    longest = max((len(column[0]) for column in rows), default=0)
    return "row" + "_" * longest


@contextlib.contextmanager
def on_disk(blocks: Iterable[bytes], name: str, limits: Limits) -> Iterator[Path]:
    """A temporary file with these blocks, for readers that need a path. name: of the log, for messages"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        with open(path, "wb") as file:
            file.writelines(on_temporary_disk(blocks, name, limits))
        yield path
