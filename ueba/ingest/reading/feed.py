"""One log file -> numbered records, read once: plain, gzip, zstd or bzip2 by its first bytes.

A record is a line; or, if the content shows it, an element of a JSON document (an array, an array under a
name that export tools use, or objects one after another over several lines), a CSV row with line ends inside
quotes, a record of a Windows event log (EVTX), or a row of a Parquet file (as JSON). Every record leaves here
as one line of text.

On the way the content is hashed (a file is identified by its content, so `auth.txt` and `auth.txt.gz` are
one), records are counted, and text is made safe: UTF-16 becomes UTF-8, a byte that is not UTF-8 and a NUL
become `\\xNN`, CRLF becomes LF, and only the beginning of a record over `MAX_LINE` is kept, so that memory
stays bounded whatever the file holds.

Records come in slices of bounded size; the next slice is read while the last one is processed. Leaves out
what a record means (`ueba.ingest.sources`), which files there are (`find`) and archives (`archives`).
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ueba.errors import InputError
from ueba.ingest.reading import conversion, framing
from ueba.ingest.reading.framing import MAX_LINE
from ueba.ingest.reading.stream import BLOCK, LONGEST_MAGIC, File, compression, unreadable

# Bytes of a slice, of which each record has 12 more than its text: the larger, the fewer days are cut in two.
# Two slices are in memory at a time.
SLICE = 1 << 26
LINES = pa.schema([("line", pa.int64()), ("text", pa.string())])  # line: from 1; text: without its newline
EMPTY_LINES = 1000  # empty records of a file that are passed on
SAMPLE = 200  # records that show what a file is

# (records, bytes read of the file as stored, its size); of a pipe (records, records, None)
Progress = Callable[[int, int, int | None], None]


class Feed:
    """The records of one file, to be read once. After the last of `slices`, `lines`, `left_out` and `digest`
    describe the whole file.

    lines:        records
    left_out:     of these, empty ones that are in no slice: millions of them cost next to nothing
    sample:       the first records, the last of them perhaps truncated
    memory_limit: of DuckDB, which reads Parquet; such as 1GB
    """

    def __init__(self, file: File, memory_limit: str, progress: Progress | None = None) -> None:
        self.path = file.name
        self.modified = file.modified
        self.lines = self.left_out = self._empty = 0
        self._is_read = False  # to its end
        self._size = file.size
        self._progress = progress
        self._hash = hashlib.sha256()
        self._file = file.open()
        self._budget = self._file.budget
        if file.local:  # Arrow reads it
            self._budget.stored = file.size or 0
        try:  # Arrow reads a file by itself a quarter faster than through Python.
            self._stored = (
                pa.OSFile(os.fsencode(file.local)) if file.local else pa.PythonFile(self._file, "r")
            )
        except OSError as reason:
            self._file.close()
            raise unreadable(self.path, reason) from reason
        self._reader = ThreadPoolExecutor(1)
        try:
            self._blocks, self._start = self._begin(memory_limit)
        except InputError:
            self.close()
            raise
        self._frame = framing.guessed(self._start)
        first = b"".join(text for text, _ in self._frame([self._start])).split(b"\n")
        self.sample = tuple(safe(record[:MAX_LINE]).decode().rstrip("\r") for record in first[:SAMPLE])

    def slices(self, is_csv: bool = False) -> Iterator[pa.Table]:
        """The records as tables of `LINES`, in order, but for empty ones after the first EMPTY_LINES. Raises
        InputError if the file cannot be read to its end."""
        if is_csv:
            self._frame = framing.csv_rows
        unread = self._slices()
        ready = next(unread, None)
        while ready is not None:  # most files are one slice: they need no thread
            upcoming = None if self._is_read else self._reader.submit(next, unread, None)
            yield ready
            ready = upcoming and upcoming.result()

    @property
    def digest(self) -> str:
        """128 bits of the SHA-256 of the decompressed content, as 32 hexadecimal digits."""
        return self._hash.hexdigest()[:32]

    def close(self) -> None:
        self._reader.shutdown(cancel_futures=True)
        self._stored.close()
        self._file.close()

    def _begin(self, memory_limit: str) -> tuple[Iterator[bytes], bytes]:
        """The blocks of the file's text, and the first of them, which the others follow."""
        blocks = self._read()
        start = next(blocks, b"")
        if not start:
            raise InputError(f"{self.path}: the file is empty; nothing to ingest")
        if convert := conversion.converter(start):
            stored = chain([start], blocks)
            blocks = self._converted(convert(stored, self.path, memory_limit, self._budget.limits))
            start = next(blocks, b"")
        return blocks, start

    def _read(self) -> Iterator[bytes]:
        try:
            kind = compression(self._file.peek(LONGEST_MAGIC))
            stream = pa.CompressedInputStream(self._stored, kind) if kind else self._stored
            blocks = iter(lambda: stream.read(BLOCK), b"")
            yield from utf8(self._hashed(self._unpacked(blocks) if kind else blocks))
        except OSError as reason:
            raise unreadable(self.path, reason) from reason

    def _unpacked(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._budget.unpack(self.path, len(block))
            yield block

    def _converted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in gathered(blocks):
            self._budget.convert(self.path, len(block))
            yield block

    def _hashed(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._hash.update(block)
            yield block

    def _slices(self) -> Iterator[pa.Table]:
        batches: list[pa.RecordBatch] = []
        size = 0
        for text, numbers in self._frame(chain([self._start], self._blocks)):
            text = safe(text)
            batches.append(self._records(text, numbers))
            size += batches[-1].nbytes
            if self._progress:
                self._progress(self.lines, self._stored.tell() if self._size else self.lines, self._size)
            if size > SLICE:
                yield pa.Table.from_batches(batches)
                batches, size = [], 0
        self._is_read = True
        if size:
            yield pa.Table.from_batches(batches)

    def _records(self, text: bytes, numbers: npt.NDArray[np.int64] | None) -> pa.RecordBatch:
        """Whole lines as `LINES`; empty ones after many others are counted only.

        numbers: of the records; None if they count on"""
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))  # [records]
        if numbers is None:
            numbers = np.arange(self.lines + 1, self.lines + 1 + len(ends))
        is_empty = np.diff(ends, prepend=-1) == 1
        is_left_out = is_empty & (np.cumsum(is_empty) > EMPTY_LINES - self._empty)
        self._empty += int(is_empty.sum())
        self.left_out += int(is_left_out.sum())
        records = record_batch(text, ends, numbers, ~is_left_out)
        self.lines += len(ends)
        self._budget.read(self.path, records.num_rows, len(text))
        return records


def record_batch(
    text: bytes,
    ends: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    is_kept: npt.NDArray[np.bool_],
) -> pa.RecordBatch:
    """Whole lines as `LINES`, without a copy of each.

    ends: of the lines, in the text; numbers: of the records; is_kept: lines to take, all but empty ones at
    least [lines]"""
    numbers = numbers[is_kept]
    offsets = np.zeros(len(numbers) + 1, np.int32)
    offsets[1:] = (ends - np.arange(len(ends)))[is_kept]  # without newlines an empty line is nothing
    texts = pa.StringArray.from_buffers(
        len(numbers), pa.py_buffer(offsets), pa.py_buffer(text.replace(b"\n", b""))
    )
    return pa.record_batch([pa.array(numbers), texts], schema=LINES)


def gathered(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The first of some blocks, and the others as larger ones: a table of a record each would take much more
    time and memory."""
    waiting: list[bytes] = []
    size = BLOCK  # the first block is passed on as it is
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size >= BLOCK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def utf8(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-16 with a byte order mark, as PowerShell writes it, as UTF-8. A byte order mark of UTF-8 is
    removed; all other bytes pass unchanged."""
    start = next(blocks, b"")
    name = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}.get(start[:2])
    if name is None:
        yield start.removeprefix(codecs.BOM_UTF8)
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(name)("backslashreplace")
    for block in chain([start[2:]], blocks):
        yield decoder.decode(block).encode("utf-8", "backslashreplace")
    yield decoder.decode(b"", final=True).encode("utf-8", "backslashreplace")


def safe(text: bytes) -> bytes:
    """The same lines as valid UTF-8 without NUL and CRLF."""
    if not text.isascii():
        text = text.decode("utf-8", "backslashreplace").encode()
    if b"\0" in text:
        text = text.replace(b"\0", b"\\x00")
    return text.replace(b"\r\n", b"\n") if b"\r" in text else text
