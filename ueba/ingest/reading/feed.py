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

from ueba.errors import InputError
from ueba.ingest.reading import conversion, framing
from ueba.ingest.reading.characters import Guessed, safe, utf8
from ueba.ingest.reading.framing import MAX_LINE, NEWLINE, Frame
from ueba.ingest.reading.limits import Budget, within_share
from ueba.ingest.reading.stream import BLOCK, LONGEST_MAGIC, File, compression, unreadable

# Bytes of text in a slice: the larger, the fewer days are cut in two. Two slices are in memory at a time.
SLICE = 1 << 26
SLICE_ROWS = 1 << 21
EMPTY_LINES = 1000  # empty records of a file that are passed on
# line: from 1; text: without its newline; is_guessed: bytes in it are no UTF-8, see `characters`
LINES = pa.schema([("line", pa.int64()), ("text", pa.string()), ("is_guessed", pa.bool_())])
SAMPLE = 200  # records that show what a file is

# (records, bytes read of the file as stored, its size); of a pipe (records, records, None)
Progress = Callable[[int, int, int | None], None]


class Feed:
    """The records of one file, to be read once. After the last of `slices`, `lines`, `left_out` and `digest`
    describe the whole file.

    frames:       how it may be cut into records, the likeliest first: names of `framing.FRAMES`
    lines:        records
    left_out:     of these, empty ones that are in no slice: millions of them cost next to nothing
    memory_limit: of DuckDB, which reads Parquet; such as 1GB
    """

    def __init__(self, file: File, memory_limit: str, progress: Progress | None = None) -> None:
        self.path = file.name
        self.modified = file.modified
        self.lines = self.left_out = self._empty = 0
        self._size = file.size
        self._progress = progress
        self._hash = hashlib.sha256()
        self._local = file.local
        self._spooled: IO[bytes] | None = None
        self._conversion: conversion.Blocks | None = None
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
        try:
            self._blocks, self._start = self._begin(memory_limit)
        except InputError:
            self.close()
            raise
        self.frames = framing.frames(self._start)

    def sample(self, frame: str) -> tuple[str, ...]:
        """The first records, the last of them perhaps truncated. frame: a name of `framing.FRAMES`"""
        text = b"".join(text for text, _ in framing.FRAMES[frame]([self._start]))
        first = text.removesuffix(b"\n").split(b"\n", SAMPLE)
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
            self._spooled.writelines(within_share(whole, self.path, self._budget.limits))
            blocks = self._respooled()
            self._blocks = self._respooled(len(self._start))
        return (safe(text)[0] for text, _ in framing.FRAMES[frame](blocks))

    def _reread(self, path: Path) -> Iterator[bytes]:
        """The text of a file on a disk."""
        budget = Budget(self._budget.limits, self._size or 0)
        try:
            with pa.OSFile(os.fsencode(path)) as stored:
                kind = compression(stored.read(LONGEST_MAGIC))
                stored.seek(0)
                yield from utf8(self._content(stored, kind, budget))
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
        if self._conversion:
            self._conversion.close()
        self._stored.close()
        self._file.close()
        if self._spooled:
            self._spooled.close()

    def _begin(self, memory_limit: str) -> tuple[Iterator[bytes], bytes]:
        """The blocks of the file's text, and the first of them, which the others follow."""
        blocks = self._read()
        start = next(blocks, b"")
        if convert := conversion.converter(start):
            self._local = None  # it holds no text
            self._conversion = convert(chain([start], blocks), self.path, memory_limit, self._budget.limits)
            blocks = self._converted(self._conversion)
        else:
            blocks = utf8(chain([start], blocks))
        start = next(blocks, b"")
        if not start and not convert:
            raise InputError(f"{self.path}: the file is empty; nothing to ingest")
        return blocks, start

    def _read(self) -> Iterator[bytes]:
        try:
            kind = compression(self._file.peek(LONGEST_MAGIC))
            yield from self._hashed(self._content(self._stored, kind, self._budget))
        except OSError as reason:
            raise unreadable(self.path, reason) from reason

    def _content(self, stored: pa.NativeFile, kind: str | None, budget: Budget) -> Iterator[bytes]:
        """The content of the file in blocks; what is decompressed counts. kind: its compression; None if it
        is not compressed"""
        stream = pa.CompressedInputStream(stored, kind) if kind else stored
        while block := stream.read(BLOCK):
            if kind:
                budget.unpack(self.path, len(block))
            yield block

    def _converted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in gathered(blocks):
            self._budget.convert(self.path, len(block))
            yield block

    def _hashed(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._hash.update(block)
            yield block

    def _slices(self, frame: Frame) -> Iterator[pa.Table]:
        batches: list[pa.RecordBatch] = []
        size, rows = 0, 0
        for text, numbers in frame(chain([self._start], self._blocks)):
            text, guessed = safe(text)
            batches.append(self._records(text, numbers, guessed))
            size, rows = size + len(text), rows + batches[-1].num_rows
            if self._progress:
                self._progress(self.lines, self._position(), self._size)
            if size > SLICE or rows > SLICE_ROWS:
                yield pa.Table.from_batches(batches)
                batches, size, rows = [], 0, 0
        if batches:
            yield pa.Table.from_batches(batches)

    def _position(self) -> int:
        """Bytes read of the file as it is stored; records if its size is unknown."""
        if self._size is None:
            return self.lines
        return self._size if self._stored.closed else self._stored.tell()  # Arrow closes it at its end

    def _records(
        self, text: bytes, numbers: npt.NDArray[np.int64] | None, guessed: Guessed
    ) -> pa.RecordBatch:
        """Whole lines as `LINES`; empty ones after many others are counted only.

        numbers: of the records; None if they count on"""
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == NEWLINE)  # [records]
        if numbers is None:
            numbers = np.arange(self.lines + 1, self.lines + 1 + len(ends))
        is_guessed = np.zeros(len(ends), bool) if guessed is None else guessed
        is_kept = np.ones(len(ends), bool)
        if text.startswith(b"\n") or b"\n\n" in text:
            is_empty = np.diff(ends, prepend=-1) == 1
            is_kept = ~(is_empty & (np.cumsum(is_empty) > EMPTY_LINES - self._empty))
            self._empty += int(is_empty.sum())
            self.left_out += int((~is_kept).sum())
        records = record_batch(text, ends, numbers, is_guessed, is_kept)
        self.lines += len(ends)
        self._budget.read(self.path, records.num_rows, len(text))
        return records


def record_batch(
    text: bytes,
    ends: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    is_guessed: npt.NDArray[np.bool_],
    is_kept: npt.NDArray[np.bool_],
) -> pa.RecordBatch:
    """Whole lines as `LINES`, without a copy of each.

    ends: of the lines, in the text; numbers: of the records; is_guessed: see `LINES`; is_kept: lines to
    take, all but empty ones at least [lines]"""
    if not is_kept.all():
        numbers, is_guessed = numbers[is_kept], is_guessed[is_kept]
    offsets = np.zeros(len(numbers) + 1, np.int32)
    offsets[1:] = (ends - np.arange(len(ends)))[is_kept]  # without newlines an empty line is nothing
    texts = pa.StringArray.from_buffers(
        len(numbers), pa.py_buffer(offsets), pa.py_buffer(text.replace(b"\n", b""))
    )
    return pa.record_batch([pa.array(numbers), texts, pa.array(is_guessed)], schema=LINES)


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
