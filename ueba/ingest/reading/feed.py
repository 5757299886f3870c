"""One log file -> numbered records, read once: plain, gzip, zstd or bzip2 by its first bytes.

A record is a line; or, if the content shows it, an element of a JSON document (an array, an array under a
name that export tools use, or objects one after another over several lines), a CSV row with line ends inside
quotes, a record of a Windows event log (EVTX), or a row of a Parquet file (as JSON). Every record leaves here
as one line of text.

On the way the content is hashed (a file is identified by its content, so `auth.txt` and `auth.txt.gz` are
one), records are counted, text becomes UTF-8 (`characters`), and only the beginning of a record over
`MAX_LINE` is kept, so that memory stays bounded whatever the file holds.

Records come in slices of bounded size; the next slice is read while the last one is processed. Leaves out
what a record means (`ueba.ingest.sources`), which files there are (`find`) and archives (`archives`).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ueba.errors import InputError
from ueba.ingest.reading import conversion, framing
from ueba.ingest.reading.characters import Guessed, safe, utf8
from ueba.ingest.reading.framing import MAX_LINE, NEWLINE, Frame
from ueba.ingest.reading.limits import DEFAULTS, Limits, on_temporary_disk, unpacked
from ueba.ingest.reading.stream import BLOCK, LONGEST_MAGIC, File, compression, unreadable

# Bytes of text in a slice: the larger, the fewer days are cut in two. Two slices are in memory at a time.
SLICE = 1 << 26
SLICE_ROWS = 1 << 21
MANY_BLANK = 10_000  # lines of a block
# line: from 1; text: without its newline; is_guessed: bytes in it are no UTF-8, see `characters`
LINES = pa.schema([("line", pa.int64()), ("text", pa.string()), ("is_guessed", pa.bool_())])
SAMPLE = 200  # records that show what a file is

# (records, bytes read of the file as stored, its size); of a pipe (records, records, None)
Progress = Callable[[int, int, int | None], None]


class Feed:
    """The records of one file, to be read once. After the last of `slices`, `lines` and `digest` describe the
    whole file.

    frames:       how it may be cut into records, the likeliest first: names of `framing.FRAMES`
    blank:        empty lines that are counted in `lines` and in no slice, because they are very many
    memory_limit: of DuckDB, which reads Parquet; such as 1GB
    """

    def __init__(
        self, file: File, memory_limit: str, progress: Progress | None = None, limits: Limits = DEFAULTS
    ) -> None:
        self.path = file.name
        self.blank = 0
        self._limits = limits
        self.modified = file.modified
        self.lines = 0
        self._size = file.size
        self._progress = progress
        self._hash = hashlib.sha256()
        self._local = file.local
        self._spooled: IO[bytes] | None = None
        self._file = file.open()
        try:  # Arrow reads a file by itself a quarter faster than through Python.
            self._stored = (
                pa.OSFile(os.fsencode(file.local)) if file.local else pa.PythonFile(self._file, "r")
            )
        except OSError as reason:
            self._file.close()
            raise unreadable(self.path, reason) from reason
        try:
            self._blocks, self._start = self._begin(memory_limit)
        except InputError:
            self.close()
            raise
        self.frames = framing.frames(self._start)

    def sample(self, frame: str) -> tuple[str, ...]:
        """The first records, the last of them perhaps truncated. frame: a name of `framing.FRAMES`"""
        first = b"".join(text for text, _ in framing.FRAMES[frame]([self._start])).split(b"\n")
        return tuple(safe(record[:MAX_LINE])[0].decode().rstrip("\r") for record in first[:SAMPLE])

    def again(self, frame: str) -> Iterator[bytes]:
        """The lines of the whole file, in blocks, to be read before `slices`. A file on a disk is opened once
        more; what comes from elsewhere, if it is more than one block, is kept in a temporary file."""
        if self._local:
            return (safe(text)[0] for text, _ in framing.FRAMES[frame](self._reread(self._local)))
        blocks: Iterable[bytes] = [self._start]
        if self._has_second_block():
            self._spooled = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the feed
            whole = chain([self._start], self._blocks)
            self._spooled.writelines(on_temporary_disk(whole, self.path, self._limits))
            blocks = self._respooled()
            self._blocks = self._respooled(len(self._start))
        return (safe(text)[0] for text, _ in framing.FRAMES[frame](blocks))

    def _reread(self, path: Path) -> Iterator[bytes]:
        """The text of a file on a disk."""
        try:
            with pa.OSFile(os.fsencode(path)) as stored:
                kind = compression(stored.read(LONGEST_MAGIC))
                stored.seek(0)
                yield from utf8(self._decompressed(stored, kind))
        except OSError as reason:
            raise unreadable(self.path, reason) from reason

    def _respooled(self, begin: int = 0) -> Iterator[bytes]:
        """What was kept in a temporary file, from an offset on."""
        assert self._spooled is not None
        while True:
            self._spooled.seek(begin)
            if not (block := self._spooled.read(BLOCK)):
                return
            begin += len(block)
            yield block

    def slices(self, frame: str) -> Iterator[pa.Table]:
        """All records as tables of `LINES`, in order. Raises InputError if the file cannot be read to its
        end."""
        unread = self._slices(framing.FRAMES[frame])
        if not self._has_second_block():  # a thread costs more than it saves
            yield from unread
            return
        with ThreadPoolExecutor(1) as reader:
            upcoming = reader.submit(next, unread, None)
            while (ready := upcoming.result()) is not None:
                upcoming = reader.submit(next, unread, None)
                yield ready

    def _has_second_block(self) -> bool:
        second = next(self._blocks, None)
        if second is not None:
            self._blocks = chain([second], self._blocks)
        return second is not None

    @property
    def digest(self) -> str:
        """128 bits of the SHA-256 of the decompressed content, as 32 hexadecimal digits."""
        return self._hash.hexdigest()[:32]

    def close(self) -> None:
        self._stored.close()
        self._file.close()
        if self._spooled:
            self._spooled.close()

    def _begin(self, memory_limit: str) -> tuple[Iterator[bytes], bytes]:
        """The blocks of the file's text, and the first of them, which the others follow."""
        blocks = self._read()
        start = next(blocks, b"")
        if not start:
            raise InputError(f"{self.path}: the file is empty; nothing to ingest")
        if convert := conversion.converter(start):
            self._local = None  # it holds no text
            blocks = convert(chain([start], blocks), self.path, memory_limit, self._limits)
            start = next(blocks, b"")
        return blocks, start

    def _read(self) -> Iterator[bytes]:
        try:
            kind = compression(self._file.peek(LONGEST_MAGIC))
            yield from utf8(self._hashed(self._decompressed(self._stored, kind)))
        except OSError as reason:
            raise unreadable(self.path, reason) from reason

    def _decompressed(self, stored: pa.NativeFile, kind: str | None) -> Iterator[bytes]:
        """The content of the file in blocks. kind: its compression; None if it is not compressed"""
        if kind is None:
            return iter(lambda: stored.read(BLOCK), b"")
        stream = pa.CompressedInputStream(stored, kind)
        return unpacked(iter(lambda: stream.read(BLOCK), b""), self.path, self._size, self._limits)

    def _hashed(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._hash.update(block)
            yield block

    def _slices(self, frame: Frame) -> Iterator[pa.Table]:
        batches: list[pa.RecordBatch] = []
        size, rows = 0, 0
        for text, numbers in frame(chain([self._start], self._blocks)):
            text, guessed = safe(text)
            batch = record_batch(text, numbers, guessed, self.lines)
            self.lines += batch.num_rows
            batches.append(self._without_blank(batch))
            size, rows = size + len(text), rows + batches[-1].num_rows
            if self._progress:
                self._progress(self.lines, self._stored.tell() if self._size else self.lines, self._size)
            if size > SLICE or rows > SLICE_ROWS:
                yield pa.Table.from_batches(batches)
                batches, size, rows = [], 0, 0
        if batches:
            yield pa.Table.from_batches(batches)

    def _without_blank(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The lines that have a character, if the others are many: these are counted. A megabyte may be a
        million of them."""
        length = pc.binary_length(batch.column("text")).to_numpy(zero_copy_only=False)
        blank = int(np.count_nonzero(length == 0))
        if blank < MANY_BLANK:
            return batch
        self.blank += blank
        return batch.filter(pa.array(length > 0))


def record_batch(
    text: bytes, numbers: npt.NDArray[np.int64] | None, guessed: Guessed, lines_before: int
) -> pa.RecordBatch:
    """Whole lines as `LINES`, without a copy of each. numbers: of the records; None if they count on"""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == NEWLINE)  # [records]
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends - np.arange(len(ends))
    texts = pa.StringArray.from_buffers(
        len(ends), pa.py_buffer(offsets), pa.py_buffer(text.replace(b"\n", b""))
    )
    if numbers is None:
        numbers = np.arange(lines_before + 1, lines_before + 1 + len(ends))
    is_guessed = np.zeros(len(ends), bool) if guessed is None else guessed
    return pa.record_batch([pa.array(numbers), texts, pa.array(is_guessed)], schema=LINES)
