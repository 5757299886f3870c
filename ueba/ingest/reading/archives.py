"""Archives -> their members, as files to read.

    archive                     recognised by                         read
    zip                         PK at its beginning                   in place, or through a temporary file
    tar                         ustar at byte 257                     as a stream
    these in gzip, zstd, bzip2  the same, after decompression         as a stream

File names do not matter. A member is named `archive.zip/inner.json`; it may be compressed, and an archive
itself, `DEPTH` deep. No member is in memory or on disk as a whole (except a zip in another archive), so a
wrong size in an archive does no harm. Of a zip, stored and deflated members can be read: nearly all are.

Leaves out xz, 7-Zip, RAR and LZ4: such a file is listed with an `open` that says so.
"""

from __future__ import annotations

import contextlib
import functools
import stat
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pyarrow as pa

from ueba.errors import InputError
from ueba.ingest.reading.limits import Limits, on_temporary_disk, too_many
from ueba.ingest.reading.stream import (
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


def unpacked(
    file: File, skipped: Counter[str], limits: Limits, depth: int = 0, is_named: bool = False
) -> Iterator[File]:
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
        yield from members_below(file, members(file, stream, skipped, limits), skipped, limits, depth)
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
    archive: File, members: Members, skipped: Counter[str], limits: Limits, depth: int
) -> Iterator[File]:
    """The members of an archive, and those of archives in it."""
    before, number = skipped.total(), -1
    for number, member in enumerate(members):
        if number >= limits.members:
            yield broken(archive.name, str(too_many(archive.name, limits)))
            return
        again = functools.partial(reopened, archive, number, limits)
        yield from unpacked(replace(member, open=first_then(member.open, again)), skipped, limits, depth + 1)
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


def members_of(start: bytes) -> Callable[[File, Stream, Counter[str], Limits], Members] | None:
    """The reader of an archive that begins so; None if it is no archive."""
    return zip_members if start.startswith(ZIP) else tar_members if start.startswith(TAR, TAR_AT) else None


def reopened(archive: File, number: int, limits: Limits) -> Stream:
    """The n-th member of an archive, which is read again from its beginning."""
    stream, start = opened(archive)
    members = (members_of(start) or zip_members)(archive, stream, Counter(), limits)
    member = next(islice(members, number, None), None)
    if member is None:
        raise InputError(f"{archive.name}: was changed while it was read")
    return Stream(member.name, member.open(), after=members.close)


def first_then(first: Callable[[], Stream], later: Callable[[], Stream]) -> Callable[[], Stream]:
    """A function that calls one function the first time, and another one from then on."""
    calls = iter([first])
    return lambda: next(calls, later)()


def member_name(archive: File, name: str) -> str:
    return f"{archive.name}/{printable_name(name.removeprefix('./').lstrip('/'))}"


# --- zip ----------------------------------------------------------------------------------------------------


def zip_members(file: File, stream: Stream, skipped: Counter[str], limits: Limits) -> Members:
    try:
        with stream:
            is_plain = file.local and not compression(stream.peek(LONGEST_MAGIC))
            archive = zipfile.ZipFile(file.local) if is_plain and file.local else spooled(stream, limits)
    except Exception as reason:
        yield broken(file.name, str(unreadable(file.name, reason)))
        return
    with archive:
        for info in archive.infolist():
            is_link = stat.S_ISLNK(info.external_attr >> 16)
            if not info.is_dir() and not is_skipped(info.filename, info.file_size, is_link, skipped):
                yield zip_member(file, archive, info)


def zip_member(file: File, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> File:
    """A member; one that cannot be read says why when it is opened."""
    name = member_name(file, info.filename)
    if info.flag_bits & 1:
        return broken(name, f"{name}: is encrypted; unpack it with its password")
    if info.compress_type not in BOUNDED_METHODS:
        method = zipfile.compressor_names.get(info.compress_type, info.compress_type)  # type: ignore[attr-defined]
        return broken(
            name, f"{name}: is compressed by a method that cannot be read ({method}); unpack it first"
        )
    stream = functools.partial(open_stream, name, functools.partial(archive.open, info))
    return File(name, stream, info.file_size, utc_time(info.date_time, file.modified))


def spooled(stream: Stream, limits: Limits) -> zipfile.ZipFile:
    """A zip that is no plain file on a disk, copied to a temporary one: its table of contents is at its end.
    The copy is deleted when the zip is closed."""
    with tempfile.NamedTemporaryFile() as file:
        blocks = iter(decompressed(stream).read, b"")
        file.writelines(on_temporary_disk(blocks, stream.name, limits))
        file.flush()
        return zipfile.ZipFile(file.name)


# --- tar ----------------------------------------------------------------------------------------------------


def tar_members(file: File, stream: Stream, skipped: Counter[str], limits: Limits) -> Members:
    with stream, decompressed(stream) as text:
        try:
            archive = tarfile.TarFile(fileobj=text)  # reads the first header
            info = archive.next()
            while info:
                if not info.isdir() and not is_skipped(info.name, info.size, not info.isreg(), skipped):
                    with contextlib.ExitStack() as open_members:  # unreadable behind the next header: closed
                        yield tar_member(file, archive, info, open_members)
                text.seek(archive.offset)
                info = tarfile.TarInfo.fromtarfile(archive) if any(text.peek(tarfile.BLOCKSIZE)) else None
            check_end(text)
        except Exception as reason:
            yield broken(file.name, str(unreadable(file.name, reason)))


def tar_member(
    file: File, archive: tarfile.TarFile, info: tarfile.TarInfo, open_members: contextlib.ExitStack
) -> File:
    name = member_name(file, info.name)
    source: Callable[[], Any] = functools.partial(archive.extractfile, info)

    def stream() -> Stream:
        return open_members.enter_context(open_stream(name, source))

    return File(name, stream, info.size, utc_time(info.mtime, file.modified))


def check_end(text: Stream) -> None:
    """Raises an error unless a tar ends with zeros. Reads to the end, because a compressed tar has a checksum
    there."""
    if not text.peek(1):
        raise EOFError
    while block := text.read():
        if block.strip(b"\0"):
            raise InputError(f"{text.name}: has more after its end; are these two archives in one?")
