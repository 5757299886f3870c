"""The only writers, locks and clock conversions of the project.

Every file of a workspace is written so that a reader sees the old content or the new one, never half of
one; a path that is a pipe or a device is written to as it is. Leaves out the formats; those are
`ueba.contracts`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ueba.errors import WorkspaceError

if TYPE_CHECKING:
    import pyarrow as pa


# --- writing ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside a file, which takes the file's place when the block ends without an error. A
    link is followed; for a pipe or a device it is the path itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        yield path
        return
    whole = path.resolve()
    temporary = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(whole)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write text, UTF-8."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON, indented; a value that JSON does not know is written as text."""
    write_text(path, json.dumps(content, indent=1, default=str, ensure_ascii=False))


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet."""
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        pq.write_table(table, temporary)


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder, which takes the place of `folder` when the block ends without an error.

    A folder with content cannot be replaced by one rename: if the process ends between the two, the old
    folder is beside, and the next writing brings it back before it begins."""
    temporary, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("tmp", "old"))
    if old.exists() and not folder.exists():
        old.rename(folder)
    for left in (temporary, old):
        shutil.rmtree(left, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def append_json(
    path: Path,
    line: Callable[[bytes], Mapping[str, Any] | None],
    written: Callable[[bytes], None] = lambda content: None,
) -> bool:
    """Add what `line` makes of a file's content as one line of JSON, one writer at a time, and flush it to
    the disk. Nothing is overwritten: a line that a crash left half written stays, on a line of its own.
    written: called with the new content before the next writer may begin

    Returns whether there was a line to add. Raises WorkspaceError if it could not be written whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with open(path, "ab+", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        content = file.read()
        row = line(content)
        if row is None:
            return False
        data = b"" if not content or content.endswith(b"\n") else b"\n"
        data += json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
        if file.write(data) != len(data):
            raise WorkspaceError(f"{path}: could not be written to its end; is the disk full?")
        os.fsync(file.fileno())
        written(content + data)
    if is_new:
        _flush_folder(path.parent)
    return True


def _flush_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# --- locks --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock file for one process at a time; the lock goes with the process.

    Raises WorkspaceError with the message `busy` if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as reason:
            raise WorkspaceError(busy) from reason
        yield


# --- time ---------------------------------------------------------------------------------------------------


def now() -> dt.datetime:
    """The time in UTC, without a zone, as columns have it."""
    return utc(dt.datetime.now(dt.UTC))


def utc(time: dt.datetime | str) -> dt.datetime:
    """A time in UTC, without a zone, as columns have it; a time without a zone is UTC already.

    Raises ValueError or OverflowError if the text is not an ISO time."""
    parsed = dt.datetime.fromisoformat(time) if isinstance(time, str) else time
    return parsed.astimezone(dt.UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


def aware(time: dt.datetime) -> dt.datetime:
    """A time of a column, which is in UTC without a zone, with its zone."""
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def iso_utc(time: dt.datetime, precision: str = "seconds") -> str:
    """`2026-01-05T09:00:00Z`, as other programs read it. precision: seconds, milliseconds or microseconds;
    smaller units are cut off."""
    return aware(time).isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def days_text(first: dt.date, last: dt.date) -> str:
    """`2026-01-05 to 2026-01-09`, or the one day."""
    return str(first) if first == last else f"{first} to {last}"
