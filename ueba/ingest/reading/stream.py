"""One file to read, and its bytes as a stream that is read forward and decompressed.

Whatever goes wrong while bytes are read (archives, decompression and networks each have exceptions of their
own) becomes an InputError that names the file. Leaves out which files there are (`find`, `archives`) and
where a record ends (`framing`).
"""

from __future__ import annotations

import datetime as dt
import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ueba.errors import InputError
from ueba.files import utc
from ueba.ingest.reading.limits import Budget

BLOCK = 1 << 20  # bytes read at once, at most
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
LONGEST_MAGIC = 4  # bytes


@dataclass(frozen=True)
class File:
    """One file to read.

    name:     for reports: its path; `archive.zip/inner.json` in an archive; `-` for standard input
    open:     returns a stream from the file's beginning. Call it before the next file is asked for (an
              archive is read forward), and close the stream. A later call reads the archive again from its
              beginning, and raises InputError if it came through a pipe
    size:     bytes as stored; bytes after unpacking for a member of an archive; None if unknown
    modified: when it was last written, UTC without zone; now if unknown
    local:    its path if it lies on a disk as it is: Arrow reads it faster from there
    """

    name: str
    open: Callable[[], Stream]
    size: int | None
    modified: dt.datetime
    local: Path | None = None


def broken(name: str, problem: str) -> File:
    """A file that raises InputError with its problem when it is opened."""

    def fail() -> Stream:
        raise InputError(problem)

    return File(name, fail, None, now())


class Stream(io.RawIOBase):
    """A file that is read forward. `read` returns as many bytes as asked for, but at most a block, and fewer
    only at the end of the file.

    source:      has the methods read and close
    after:       called when the stream is closed
    budget:      of the file on a disk or network that it comes from; a new one if it is that file
    is_unpacked: its bytes were decompressed, and count
    """

    def __init__(
        self,
        name: str,
        source: Any,
        after: Callable[[], object] | None = None,
        budget: Budget | None = None,
        is_unpacked: bool = False,
    ) -> None:
        self.name = name
        self.budget = budget or Budget()
        self.last = sys.maxsize  # reading beyond this offset is an error
        self._is_stored = budget is None
        self._is_unpacked = is_unpacked
        self._source = source
        self._after = after
        self._ahead = b""  # read from the source, but not yet returned
        self._at = 0
        self._problem = ""

    def peek(self, size: int) -> bytes:
        """The bytes that `read` will return next."""
        self._fill(size)
        return self._ahead[:size]

    def read(self, size: int = -1, /) -> bytes:
        size = min(size, BLOCK) if size >= 0 else BLOCK
        if self._at + size > self.last:
            raise InputError(f"{self.name}: a header in it is too long; was it copied completely?")
        self._fill(size)
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Skip forward to an offset."""
        while self._at < offset:
            if not self.read(offset - self._at):
                raise unreadable(self.name, EOFError())
        if self._at > offset or whence:
            raise InputError(f"{self.name}: can be read only forward")
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.close()
            if self._after:
                self._after()

    def _fill(self, size: int) -> None:
        if self.closed:
            raise InputError(f"{self.name}: can be read only once, and in order")
        if self._problem:  # without this, Arrow would go on with whatever is in its memory
            raise InputError(self._problem)
        parts, missing = [self._ahead] if self._ahead else [], size - len(self._ahead)
        try:
            while missing > 0 and (part := self._source.read(min(missing, BLOCK))):
                parts.append(part)
                missing -= len(part)
                self._count(len(part))
        except Exception as reason:
            self._problem = str(unreadable(self.name, reason))
            raise InputError(self._problem) from reason
        self._ahead = parts[0] if len(parts) == 1 else b"".join(parts)

    def _count(self, size: int) -> None:
        if self._is_stored:
            self.budget.store(self.name, size)
        elif self._is_unpacked:
            self.budget.unpack(self.name, size)


def open_stream(
    name: str, open_source: Callable[[], Any], budget: Budget | None = None, is_unpacked: bool = False
) -> Stream:
    """A stream over what `open_source` returns; an InputError if it cannot be opened."""
    try:
        return Stream(name, open_source(), None, budget, is_unpacked)
    except Exception as reason:
        raise unreadable(name, reason) from reason


def unreadable(name: str, reason: BaseException) -> InputError:
    """The error that says what is wrong with a file. A fault of the archive around the file is reported as
    the archive's."""
    problem = problem_of(name, reason)
    return InputError(public_name(str(problem))) if "://" in str(problem) else problem


def problem_of(name: str, reason: BaseException) -> InputError:
    while isinstance(reason, InputError) and reason.__cause__:
        reason = reason.__cause__
    if isinstance(reason, InputError):
        return reason
    if isinstance(reason, OSError) and reason.strerror:
        return InputError(f"{name}: {reason.strerror}")
    if isinstance(reason, FileNotFoundError | PermissionError):  # raised by network file systems
        return InputError(f"{name}: not found or not allowed ({reason})")
    return InputError(
        f"{name}: cannot be read to its end ({str(reason) or 'it ends early'}); was it copied completely?"
    )


def compression(start: bytes) -> str | None:
    """The compression of a file that begins with these bytes; None if it is not compressed."""
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)


def decompressed(stream: Stream) -> Stream:
    """The content of a compressed file; the stream itself if it is not compressed."""
    kind = compression(stream.peek(LONGEST_MAGIC))
    if kind is None:
        return stream
    source = pa.CompressedInputStream(pa.PythonFile(stream, "r"), kind)
    return Stream(stream.name, source, None, stream.budget, is_unpacked=True)


# --- names and times of files -------------------------------------------------------------------------------


def printable_name(name: str) -> str:
    """A file's name as valid UTF-8: bytes of another encoding become `\\xNN`."""
    return name.encode("utf-8", "backslashreplace").decode()


def public_name(name: str) -> str:
    """A path or address as reports show it: without the password, the key or the signature that an address
    may have, in its text or in that of an error about it."""
    shown = re.sub(r"(\w+://)[^\s/@]*@", r"\1...@", printable_name(name))
    return re.sub(r"(\w+://[^\s?'\"]*\?)[^\s'\")]+", r"\1...", shown)


def now() -> dt.datetime:
    """UTC without zone."""
    return utc(dt.datetime.now(dt.UTC))


def utc_time(value: Any, default: dt.datetime) -> dt.datetime:
    """The time that an archive or a file system gives a file, UTC without zone.

    value: seconds since 1970; (year, ..., second) in an unknown zone, as a zip has it; ISO 8601; a datetime.
    Times in the future and up to 1980 are what archives write if they know none: they become the default
    """
    try:
        if isinstance(value, int | float):
            value = dt.datetime.fromtimestamp(value, dt.UTC)
        elif isinstance(value, tuple):
            value = dt.datetime(*value)
        time = utc(value)
        return time if time.year > 1980 and time <= now() else default
    except (ValueError, OverflowError, OSError, AttributeError):
        return default
