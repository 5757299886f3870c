"""Files that are no text -> blocks of JSON lines, a record a line: Windows event logs (EVTX) and Parquet.

Leaves out what a record means (`ueba.ingest.sources`).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ueba.errors import InputError
from ueba.ingest.reading.framing import one_line

EVTX, PARQUET = b"ElfFile\0", b"PAR1"  # the first bytes of a file
ROWS = 10_000  # of Parquet, converted at a time

Blocks = Iterator[bytes]
Converter = Callable[[Iterable[bytes], str, str], Blocks]  # (blocks, path, memory limit) -> blocks of lines


def converter(start: bytes) -> Converter | None:
    """The converter of a file that begins so; None for a text."""
    return windows_events if start.startswith(EVTX) else parquet_rows if start.startswith(PARQUET) else None


def windows_events(blocks: Iterable[bytes], path: str, memory_limit: str) -> Blocks:
    """An EVTX file through the evtx package (Ben-Amram), whose JSON is that of its evtx_dump. A record that
    it cannot read becomes a line that says why and is not JSON. memory_limit: not needed"""
    from evtx import PyEvtxParser

    with on_disk(blocks) as file:
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


def parquet_rows(blocks: Iterable[bytes], path: str, memory_limit: str) -> Blocks:
    """The rows of a Parquet file. memory_limit: of DuckDB, such as 1GB"""
    import duckdb

    with on_disk(blocks) as file, duckdb.connect(config={"memory_limit": memory_limit}) as connection:
        try:
            rows = connection.sql("SELECT to_json(row) FROM read_parquet(?) AS row", params=[str(file)])
            for batch in rows.to_arrow_reader(ROWS):
                yield ("\n".join(batch.column(0).to_pylist()) + "\n").encode()
        except duckdb.Error as reason:
            raise InputError(f"{path}: cannot be read as Parquet ({reason})") from reason


@contextlib.contextmanager
def on_disk(blocks: Iterable[bytes]) -> Iterator[Path]:
    """A temporary file with these blocks, for readers that need a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        with open(path, "wb") as file:
            file.writelines(blocks)
        yield path
