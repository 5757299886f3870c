"""What `ueba ingest` is given -> the files to read, each with its name, size and time.

Leaves out what is in them: compression of a single file and what a record is, see `read`.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ueba.errors import InputError


@dataclass(frozen=True)
class File:
    """One file to read.

    name:     for reports: its path, `archive.zip/inner.json` inside an archive, `-` for standard input
    open:     a binary stream with `peek`, from its beginning
    size:     bytes as stored; None where that is not known
    modified: when it was last written, UTC without zone; now where that is not known
    local:    its path if it lies on a disk as it is, which is quicker to read
    """

    name: str
    open: Callable[[], IO[bytes]]
    size: int | None
    modified: dt.datetime
    local: Path | None = None


def find(given: str) -> Iterator[File]:
    """The files that an argument names, in order of their names. Raises InputError where there are none."""
    if given == "-":
        yield File("-", lambda: sys.stdin.buffer, None, now())
        return
    path = Path(given)
    if path.is_dir():
        raise InputError(f"{given}: is a directory; name the log files in it")
    try:
        found = path.stat()
    except OSError as reason:
        raise InputError(f"{given}: {reason.strerror}") from reason
    modified = dt.datetime.fromtimestamp(found.st_mtime, dt.UTC).replace(tzinfo=None)
    yield File(given, lambda: open(path, "rb"), found.st_size or None, modified, path if found.st_size else None)  # noqa: SIM115


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
