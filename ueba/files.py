"""The only writers, locks and clock conversions of the project.

Every file is written so that a reader sees the old content or the new one, never half of one, and that only
its owner can read it. What another user has put in the way is never written through: a link in the place of a
file is replaced, a temporary file is always a new one, and all happens in the folder that was opened first.
A path that is a pipe or a device is written to as it is. Leaves out the formats; those are `ueba.contracts`.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import errno
import fcntl
import functools
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ueba.errors import WorkspaceError
from ueba.text import as_json

if TYPE_CHECKING:
    import pyarrow as pa

OPEN_FILES = {"/dev/stdout": 1, "/dev/stderr": 2}
FOLDERS_OF_OPEN_FILES = ("/dev/fd", "/proc/self/fd")


# --- writing ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file, which takes the place of `path` when the block ends without an error; of a link, not of
    the file that the link names. A pipe, a device or an open file is written to as it is.

    Raises WorkspaceError if the path leads through another user's link, pipe or device."""
    stream = _opened_stream(path)
    with stream or replacing_file(path) as file:
        yield file


@contextlib.contextmanager
def replacing_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, which takes the place of `path` when the block ends without an error, whatever is there: a
    pipe in a workspace would keep its writer waiting."""
    make_folder(path.parent)
    with _opened_folder(path) as folder:
        temporary = f".{path.name[:40]}.{secrets.token_hex(8)}"
        try:
            with open(os.open(temporary, os.O_RDWR | NEW, 0o600, dir_fd=folder), "w+b") as file:
                yield file
            os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as reason:
            if reason.filename not in (None, temporary):
                raise
            raise OSError(reason.errno, reason.strerror, str(path)) from reason
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)


NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _opened_stream(path: Path) -> BinaryIO | None:
    """What a path names, if that is a pipe, a device or a file that this process has open; else None."""
    number = _open_file(path)
    if number is not None:
        return open(os.dup(number), "wb")
    if not path.exists() or path.is_file() or path.is_dir():
        return None
    owners = {os.lstat(path).st_uid, os.stat(path).st_uid}
    if not owners <= {0, os.geteuid()}:
        raise WorkspaceError(f"{path}: is a pipe, device or link of another user; name another file")
    stream = open(os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC), "wb")
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise WorkspaceError(
            f"{path}: was exchanged while it was opened; name a file in a folder of your own"
        )
    return stream


def _open_file(path: Path) -> int | None:
    """The number of the open file that a path names, as /dev/stdout or /dev/fd/63 do."""
    if str(path.parent) in FOLDERS_OF_OPEN_FILES and path.name.isdecimal():
        return int(path.name)
    return OPEN_FILES.get(str(path))


@contextlib.contextmanager
def _opened_folder(path: Path) -> Iterator[int]:
    """The folder of a file, open. Raises WorkspaceError if the way to it is another user's link."""
    folder = path.parent.absolute()
    for place in (folder, *folder.parents):
        status = os.lstat(place)
        if stat.S_ISLNK(status.st_mode) and status.st_uid not in (0, os.geteuid()):
            raise WorkspaceError(f"{path}: {place} is a link of another user; name another folder")
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield number
    finally:
        os.close(number)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the user alone."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(0o700, exist_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write text, UTF-8."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON, indented; a value that JSON does not know is written as text."""
    write_text(path, as_json(content, indent=1))


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet."""
    import pyarrow.parquet as pq

    with replacing(path) as file:
        pq.write_table(table, file)


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder, which takes the place of `folder` when the block ends without an error.

    A folder with content cannot be replaced by one rename: if the process ends between the two, the old
    folder is beside, and the next writing brings it back before it begins."""
    temporary, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("tmp", "old"))
    if old.exists() and not folder.exists():
        old.rename(folder)
    remove(old)
    empty_folder(temporary)
    try:
        yield temporary
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        remove(old)
    finally:
        remove(temporary)


def empty_folder(path: Path) -> None:
    """Make a folder that is new; what was in its place is removed."""
    make_folder(path.parent)
    remove(path)
    path.mkdir(0o700)


def remove(path: Path) -> None:
    """Remove a folder, a file, or a link but not what it names; nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@functools.cache
def scratch() -> Path:
    """A temporary folder of this process, which others cannot enter; removed when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="ueba-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return Path(folder.name)


def append_json(
    path: Path,
    line: Callable[[bytes], Mapping[str, Any] | None],
    written: Callable[[bytes], None] = lambda content: None,
) -> bool:
    """Add what `line` makes of a file's content as one line of JSON, one writer at a time, and flush it to
    the disk. Nothing is overwritten: a line that a crash left half written stays, on a line of its own.
    written: called with the new content before the next writer may begin

    Returns whether there was a line to add. Raises WorkspaceError if it could not be written whole."""
    make_folder(path.parent)
    is_new = not path.exists()
    with open(_own_file(path, os.O_RDWR | os.O_APPEND), "ab+", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        content = file.read()
        row = line(content)
        if row is None:
            return False
        data = b"" if not content or content.endswith(b"\n") else b"\n"
        data += as_json(row).encode() + b"\n"
        if file.write(data) != len(data):
            raise WorkspaceError(f"{path}: could not be written to its end; is the disk full?")
        os.fsync(file.fileno())
        written(content + data)
    if is_new:
        _flush_folder(path.parent)
    return True


def _own_file(path: Path, flags: int) -> int:
    """Open a file that lasts, made if it is missing, for the user alone. Raises WorkspaceError if it is a
    link, a pipe or a device."""
    try:
        number = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as reason:
        if reason.errno == errno.ELOOP:
            raise WorkspaceError(f"{path}: is a link, which is not written to; remove it") from reason
        raise
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise WorkspaceError(f"{path}: is a pipe or a device, which is not written to; remove it")
    return number


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
    make_folder(path.parent)
    with open(_own_file(path, os.O_RDWR), "r+b", buffering=0) as file:
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
