"""Archives -> their members, as files to read.

    archive                     recognised by                         read
    zip                         PK at its beginning                   in place, or through a temporary file
    tar                         ustar at byte 257                     as a stream
    these in gzip, zstd, bzip2  the same, after decompression         as a stream

File names do not matter. A member is named `archive.zip/inner.json`; it may be compressed, and an archive
itself, `DEPTH` deep. No member is in memory or on disk as a whole (except a zip in another archive), so a
wrong size in an archive does no harm; what all of them together may cost is in `limits`. Of a zip, stored
and deflated members can be read: nearly all are.

Leaves out xz, 7-Zip, RAR and LZ4: such a file is listed with an `open` that says so.
"""

from __future__ import annotations

import contextlib
import functools
import io
import stat
import sys
import tarfile
import weakref
import zipfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from ueba.errors import InputError
from ueba.ingest.reading.limits import Budget, on_disk
from ueba.ingest.reading.stream import (
    BLOCK,
    LONGEST_MAGIC,
    File,
    Stream,
    broken,
    compression,
    decompressed,
    open_stream,
    printable_name,
    unreadable,
    utc_time,
)

# Bytes from which the beginning of a compressed file can be decompressed.
FIRST_BLOCK = {"gzip": 1 << 17, "zstd": 1 << 18, "bz2": 1 << 20}
UNSUPPORTED = {
    b"\xfd7zXZ\0": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
}
ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
TAR, TAR_AT = b"ustar", 257
START = 512  # bytes that show what a file is
DEPTH = 3
LONGEST_NAME = 1024  # characters of a member's name that a report shows
LONGEST_HEADERS = 4 << 20  # bytes of headers before one member of a tar
DIRECTORY_ENTRY = b"PK\1\2"  # begins each entry of a zip's table of contents
HEADER_SIZE = 30  # bytes before each member, at least
ENTRY_SIZE = 512  # bytes of an entry, on average and at most
# The methods that zipfile decompresses in blocks of bounded size; the others it decompresses at once.
BOUNDED_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}

Members = Generator[File, None, None]  # open each before the next is asked for, and once


def is_skipped(name: str, size: int | None, is_special: bool, skipped: Counter[str]) -> bool:
    """Whether something in a folder or an archive is no file to read; it is counted. name: its path below
    the folder or in the archive; is_special: it is a link, a pipe or a device"""
    is_hidden = any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
    if is_hidden:
        skipped["hidden"] += 1
    elif is_special:
        skipped["links, pipes or devices"] += 1
    elif size == 0:
        skipped["empty"] += 1
    return is_hidden or is_special or size == 0


def unpacked(file: File, skipped: Counter[str], depth: int = 0, is_named: bool = False) -> Iterator[File]:
    """A file, or its members if it is an archive. is_named: the user named this file, so it is not skipped if
    it is empty"""
    try:
        stream, start = opened(file)
    except InputError as reason:
        yield broken(file.name, str(reason))
        return
    problem = unsupported(start, depth)
    members = members_of(start)
    if problem:
        stream.close()
        yield broken(file.name, f"{file.name}: {problem} cannot be read; unpack it first")
    elif members:
        yield from members_below(file, members(file, stream, skipped), stream.budget, skipped, depth)
    elif not start and not is_named:
        stream.close()
        skipped["empty"] += 1
    elif file.local:
        stream.close()
        yield file
    else:
        yield replace(file, open=first_then(lambda: file.open() if stream.closed else stream, file.open))


def unsupported(start: bytes, depth: int) -> str | None:
    """The kind of file that cannot be unpacked, if a file that begins so is one."""
    kind = next((kind for magic, kind in UNSUPPORTED.items() if start.startswith(magic)), None)
    if kind:
        return f"{kind} files"
    too_deep = depth == DEPTH and members_of(start) is not None
    return f"archives in archives, more than {DEPTH} deep," if too_deep else None


def members_below(
    archive: File, members: Members, budget: Budget, skipped: Counter[str], depth: int
) -> Iterator[File]:
    """The members of an archive, and those of archives in it, as far as its budget reaches."""
    before, number = skipped.total(), -1
    for number, member in enumerate(members):
        try:
            budget.add_member(archive.name)
        except InputError as problem:
            members.close()
            yield broken(archive.name, str(problem))
            return
        again = functools.partial(reopened, archive, number)
        yield from unpacked(replace(member, open=first_then(member.open, again)), skipped, depth + 1)
    if number < 0 and skipped.total() == before:
        skipped["empty"] += 1


def opened(file: File) -> tuple[Stream, bytes]:
    """A file's stream, and the file's first bytes after decompression."""
    stream = file.open()
    try:
        start = stream.peek(START)
        if kind := compression(start):
            block = stream.peek(FIRST_BLOCK[kind])
            with contextlib.suppress(OSError):  # the error is reported when the file is read
                start = pa.CompressedInputStream(pa.BufferReader(block), kind).read(START)
    except InputError:
        stream.close()
        raise
    return stream, start


def members_of(start: bytes) -> Callable[[File, Stream, Counter[str]], Members] | None:
    """The reader of an archive that begins so; None if it is no archive."""
    return zip_members if start.startswith(ZIP) else tar_members if start.startswith(TAR, TAR_AT) else None


def reopened(archive: File, number: int) -> Stream:
    """The n-th member of an archive, which is read again from its beginning."""
    stream, start = opened(archive)
    members = (members_of(start) or zip_members)(archive, stream, Counter())
    member = next(islice(members, number, None), None)
    if member is None:
        raise InputError(f"{archive.name}: was changed while it was read")
    return Stream(member.name, member.open(), members.close, stream.budget)


def first_then(first: Callable[[], Stream], later: Callable[[], Stream]) -> Callable[[], Stream]:
    """A function that calls one function the first time, and another one from then on."""
    calls = iter([first])
    return lambda: next(calls, later)()


def member_name(archive: File, name: str) -> str:
    inner = printable_name(name.removeprefix("./").lstrip("/"))
    return f"{archive.name}/{inner if len(inner) <= LONGEST_NAME else inner[:LONGEST_NAME] + '...'}"


# --- zip ----------------------------------------------------------------------------------------------------


def zip_members(file: File, stream: Stream, skipped: Counter[str]) -> Members:
    budget = stream.budget
    try:
        archive = opened_zip(zip_source(file, stream))
    except Exception as reason:
        yield broken(file.name, str(unreadable(file.name, reason)))
        return
    with archive:
        overlapping = overlapping_members(archive)
        for info in archive.infolist():
            is_link = stat.S_ISLNK(info.external_attr >> 16)
            if not info.is_dir() and not is_skipped(info.filename, info.file_size, is_link, skipped):
                yield zip_member(file, archive, info, budget, info in overlapping)


def opened_zip(source: ZipSource) -> zipfile.ZipFile:
    """A zip, whose file is closed when it and the last stream of its members are gone."""
    try:
        archive = zipfile.ZipFile(source)
    except BaseException:
        source.close()
        raise
    source.is_listed = True
    weakref.finalize(archive, source.close)
    return archive


class ZipSource(io.BufferedReader):
    """The bytes of a zip. Its table of contents, which zipfile reads at once, is an error if it is longer
    than a budget allows.

    is_listed: that table was read"""

    def __init__(self, name: str, path: Path, budget: Budget) -> None:
        super().__init__(open(path, "rb", buffering=0))
        self._name, self._budget, self.is_listed = name, budget, False

    def read(self, size: int | None = -1, /) -> bytes:
        most = self._budget.limits.members_limit
        if not self.is_listed and size and size > max(most * ENTRY_SIZE, BLOCK):
            raise self._budget.too_many_members(self._name)
        content = super().read(size)
        if not self.is_listed and content.count(DIRECTORY_ENTRY) > most:
            raise self._budget.too_many_members(self._name)
        return content


def zip_source(file: File, stream: Stream) -> ZipSource:
    """A zip on a disk. One that is no plain file there is copied to a temporary one, which is deleted when it
    is closed: the table of contents of a zip is at its end."""
    budget = stream.budget
    with stream:
        if file.local and not compression(stream.peek(LONGEST_MAGIC)):
            budget.stored = max(budget.stored, file.size or 0)
            return ZipSource(file.name, file.local, budget)
        blocks = iter(decompressed(stream).read, b"")
        with on_disk(blocks, stream.name, budget.limits) as path:
            return ZipSource(stream.name, path, budget)


def overlapping_members(archive: zipfile.ZipFile) -> set[zipfile.ZipInfo]:
    """Members that reach into the next one. No honest zip has them: the same bytes, many times over, are
    a way to make a small one huge."""
    by_place = sorted(archive.infolist(), key=lambda info: info.header_offset)
    begins = [info.header_offset for info in by_place[1:]] + [archive.start_dir]
    return {
        info
        for info, begin in zip(by_place, begins, strict=False)
        if info.header_offset + HEADER_SIZE + info.compress_size > begin
    }


def zip_member(
    file: File, archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget, is_overlapping: bool
) -> File:
    """A member; one that cannot be read says why when it is opened."""
    name = member_name(file, info.filename)
    if info.flag_bits & 1:
        return broken(name, f"{name}: is encrypted; unpack it with its password")
    if is_overlapping:
        return broken(name, f"{name}: overlaps another file of the archive, which no zip program writes")
    if info.compress_type not in BOUNDED_METHODS:
        method = zipfile.compressor_names.get(info.compress_type, info.compress_type)  # type: ignore[attr-defined]
        return broken(
            name, f"{name}: is compressed by a method that cannot be read ({method}); unpack it first"
        )
    source = functools.partial(archive.open, info)
    stream = functools.partial(open_stream, name, source, budget, is_unpacked=True)
    return File(name, stream, info.file_size, utc_time(info.date_time, file.modified))


# --- tar ----------------------------------------------------------------------------------------------------


def tar_members(file: File, stream: Stream, skipped: Counter[str]) -> Members:
    with stream, decompressed(stream) as text:
        try:
            text.last = LONGEST_HEADERS
            archive = tarfile.TarFile(fileobj=text)  # reads the first header
            info = archive.next()
            while info:
                text.last = sys.maxsize
                if not info.isdir() and not is_skipped(info.name, info.size, not info.isreg(), skipped):
                    with contextlib.ExitStack() as open_members:  # unreadable behind the next header: closed
                        yield tar_member(file, archive, info, stream.budget, open_members)
                text.seek(archive.offset)
                text.last = text.tell() + LONGEST_HEADERS
                info = tarfile.TarInfo.fromtarfile(archive) if any(text.peek(tarfile.BLOCKSIZE)) else None
            text.last = sys.maxsize
            check_end(text)
        except Exception as reason:
            yield broken(file.name, str(unreadable(file.name, reason)))


def tar_member(
    file: File,
    archive: tarfile.TarFile,
    info: tarfile.TarInfo,
    budget: Budget,
    open_members: contextlib.ExitStack,
) -> File:
    """A member. What lies in the holes of a sparse file is not in the tar, and counts as unpacked."""
    name = member_name(file, info.name)
    source: Callable[[], Any] = functools.partial(archive.extractfile, info)

    def stream() -> Stream:
        return open_members.enter_context(open_stream(name, source, budget, info.issparse()))

    return File(name, stream, info.size, utc_time(info.mtime, file.modified))


def check_end(text: Stream) -> None:
    """Raises an error unless a tar ends with zeros. Reads to the end, because a compressed tar has a checksum
    there."""
    if not text.peek(1):
        raise EOFError
    while block := text.read():
        if block.strip(b"\0"):
            raise InputError(f"{text.name}: has more after its end; are these two archives in one?")
