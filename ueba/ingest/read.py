"""Any log file as numbered lines, read once: plain, gzip, zstd or bzip2 by its first bytes, `-` for standard input.

On the way past the content is hashed (a batch is named by what it says, so `auth.txt` and `auth.txt.gz` are one batch),
lines are counted, and made safe: a byte that is not UTF-8 and a NUL become `\\xNN`, CRLF becomes LF, and of a line over
`MAX_LINE` only the beginning is kept, so that memory stays bounded whatever the file holds.

Lines come in slices of bounded size, the next one read while the last one is worked on.

Leaves out: what a line means; that is `sources`. Records that span lines are not joined: one line is one record.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from ueba.errors import InputError

MAX_LINE = 1 << 20  # bytes; a longer line is not a log line
BLOCK = 1 << 20  # bytes read at once
SLICE = 1 << 26  # bytes of text in a slice: the larger, the fewer days are cut in two; two are in memory at a time
LINES = pa.schema([("line", pa.int64()), ("text", pa.string())])  # line: from 1; text: without its newline
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}

Progress = Callable[[int, int, int | None], None]  # lines, bytes read of the file as stored, its size (a pipe: lines, None)


class Feed:
    """The lines of one file, to be read once; a thread of its own begins at once. After the last of `slices`, `lines` and `digest`
    stand for the whole file.

    first: the first line, before anything else is read (a header, for formats that have one)
    """

    def __init__(self, path: str, progress: Progress | None = None) -> None:
        self.path = path
        self.lines = 0
        self._progress = progress
        self._hash = hashlib.sha256()
        self._file, self._size = open_file(path)
        # Arrow reads a file by itself a quarter faster than through Python.
        self._stored = pa.OSFile(path) if self._size else pa.PythonFile(self._file, "r")
        self._blocks = self._read()
        self._reader = ThreadPoolExecutor(1)
        try:
            self._start = next(self._blocks, b"")
            if not self._start:
                raise InputError(f"{path}: the file is empty; nothing to ingest")
        except InputError:
            self.close()
            raise
        self.first = safe(self._start.split(b"\n", 1)[0][:MAX_LINE]).decode().rstrip("\r").removeprefix("\ufeff")
        self._unread = self._slices()
        self._upcoming = self._reader.submit(next, self._unread, None)

    def slices(self) -> Iterator[pa.Table]:
        """All lines as tables of `LINES`, in order. Raises InputError where the file cannot be read to its end."""
        while (ready := self._upcoming.result()) is not None:
            self._upcoming = self._reader.submit(next, self._unread, None)
            yield ready

    @property
    def digest(self) -> str:
        """128 bits of the SHA-256 of the decompressed content, as 32 hexadecimal digits."""
        return self._hash.hexdigest()[:32]

    def close(self) -> None:
        self._reader.shutdown(cancel_futures=True)
        if self.path != "-":
            self._stored.close()
            self._file.close()

    def _read(self) -> Iterator[bytes]:
        try:
            kind = next((kind for magic, kind in MAGIC.items() if self._file.peek(4).startswith(magic)), None)  # type: ignore[attr-defined]
            stream = pa.CompressedInputStream(self._stored, kind) if kind else self._stored
            while block := stream.read(BLOCK):
                self._hash.update(block)
                yield block
        except (OSError, EOFError) as reason:
            raise InputError(f"{self.path}: cannot be read to its end ({reason}); was it copied completely?") from reason

    def _slices(self) -> Iterator[pa.Table]:
        batches: list[pa.RecordBatch] = []
        size = 0
        for text in map(safe, whole_lines(chain([self._start], self._blocks))):
            ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))  # [lines]
            offsets = np.zeros(len(ends) + 1, np.int32)
            offsets[1:] = ends - np.arange(len(ends))
            texts = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(text.replace(b"\n", b"")))
            numbers = np.arange(self.lines + 1, self.lines + 1 + len(ends))
            batches.append(pa.record_batch([pa.array(numbers), texts], schema=LINES))
            self.lines += len(ends)
            size += len(text)
            if self._progress:
                self._progress(self.lines, self._stored.tell() if self._size else self.lines, self._size)
            if size > SLICE:
                yield pa.Table.from_batches(batches)
                batches, size = [], 0
        if batches:
            yield pa.Table.from_batches(batches)


def open_file(path: str) -> tuple[IO[bytes], int | None]:
    """The file and its size as stored; no size for standard input and pipes."""
    if path == "-":
        return sys.stdin.buffer, None
    try:
        if Path(path).is_dir():
            raise InputError(f"{path}: is a directory; name the log files in it")
        return open(path, "rb"), Path(path).stat().st_size or None  # noqa: SIM115
    except OSError as reason:
        raise InputError(f"{path}: {reason.strerror}") from reason


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks cut after a newline. Of a line over MAX_LINE, somewhat more is passed on: enough to see that it is one."""
    rest = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(block)[:end]))
            rest = block[end:]
        else:
            rest = (rest + block)[: MAX_LINE + 1]
    if rest:
        yield rest + b"\n"


def safe(text: bytes) -> bytes:
    """The same lines as valid UTF-8 without NUL and CRLF."""
    if not text.isascii():
        text = text.decode("utf-8", "backslashreplace").encode()
    if b"\0" in text:
        text = text.replace(b"\0", b"\\x00")
    return text.replace(b"\r\n", b"\n") if b"\r" in text else text
