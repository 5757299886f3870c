"""What `ueba ingest` is given -> the files to read, each with its name, size and time.

    given                       files
    a path                      that file, or what is in it if it is an archive
    a folder                    all files in it and below by name, archives opened; links are followed, each folder is read once
    logs/**/*.gz                what matches, and all that is in a folder that matches; a file of just that name comes first
    -                           standard input, once
    s3:// gs:// https:// ...    the object, all objects below a prefix, or what matches, as fsspec finds them

    archive                     recognised by                         read
    zip                         PK at its beginning                   where it lies; a temporary file if that is no plain file
    tar                         ustar at byte 257                     as a stream
    these in gzip, zstd, bzip2  the same, after decompression         as a stream

Names do not matter. A member is `archive.zip/inner.json`; it may be compressed, and an archive itself,
`DEPTH` deep. No member is in memory or on disk as a whole (but for a zip in another archive), so what an
archive says of its sizes does no harm. Of a zip, members that are stored or deflated can be read, as those
of nearly all are.

A file that cannot be read, an encrypted member, an archive that breaks off: each is there with an `open`
that raises InputError and says why, so that all others are read. What is hidden or empty in a folder or an
archive, and no plain file, is passed over, and `find` says how many were.

Leaves out: what is in a file, see `read`; whether it is a log.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fnmatch
import functools
import glob
import io
import os
import re
import stat
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from ueba.errors import InputError

BLOCK = 1 << 20  # bytes read at once, at most
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
FIRST_BLOCK = {"gzip": 1 << 17, "zstd": 1 << 18, "bz2": 1 << 20}  # so many bytes can be decompressed to some
OTHERS = {
    b"\xfd7zXZ\0": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
}
ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
DEPTH = 3
SPARING = {
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
}  # of the others zipfile decompresses at once whatever comes out
TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")  # as fsspec's file systems name it
EXTRAS = {"s3": "ueba[s3]", "s3a": "ueba[s3]", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


@dataclass(frozen=True)
class File:
    """One file to read.

    name:     for reports: its path, `archive.zip/inner.json` inside an archive, `-` for standard input
    open:     a stream from its beginning. To be called before the next file is asked for, and closed: an archive is read forward.
              Later it is read anew from its beginning, and what came through a pipe is gone (InputError)
    size:     bytes as stored, of a member as it comes out of its archive; None where that is not known
    modified: when it was last written, UTC without zone; now where that is not known
    local:    its path if it lies on a disk as it is, which is quicker to read
    """

    name: str
    open: Callable[[], Stream]
    size: int | None
    modified: dt.datetime
    local: Path | None = None


def find(given: str, say: Callable[[str], None] = lambda message: None) -> Iterator[File]:
    """The files that an argument names. Raises InputError where there are none. say: is told what was passed
    over"""
    skipped: Counter[str] = Counter()
    is_empty = True
    for file in named(given, skipped):
        for each in opened(file, skipped, is_given=file.name == shown(given)):
            is_empty = False
            yield each
    told = "skipped " + ", ".join(f"{number:,} {what}" for what, number in skipped.items())
    if is_empty:
        raise InputError(f"{shown(given)}: no files in it" + (f"; {told}" if skipped else ""))
    if skipped:
        say(f"{shown(given)}: {told}")


def check(given: str) -> None:
    """Raises InputError where a path is not there, before anything is read. Patterns and addresses are seen
    as they are met."""
    if given != "-" and "://" not in given and not glob.has_magic(given) and not os.path.lexists(given):
        raise InputError(f"{shown(given)}: No such file or directory")


def named(given: str, skipped: Counter[str]) -> Iterator[File]:
    """The files that an argument names, archives as they are."""
    if given == "-":
        return iter([standard_input()])
    return remote(given, skipped) if "://" in given else local(given, skipped)


def standard_input() -> File:
    @functools.cache  # there is one, and it is not closed
    def stream() -> Stream:
        return opening("-", lambda: SimpleNamespace(read=sys.stdin.buffer.read, close=lambda: None))

    return File("-", stream, None, now())


def passed_over(name: str, size: int | None, is_special: bool, skipped: Counter[str]) -> bool:
    """Whether what is in a folder or an archive is no file to read; counted. name: from there on"""
    is_hidden = any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
    why = (
        "hidden" if is_hidden else "links, pipes or devices" if is_special else "empty" if size == 0 else None
    )
    if why:
        skipped[why] += 1
    return why is not None


def shown(name: str) -> str:
    """A name as text that can be written: what is not UTF-8 in it cannot."""
    return name.encode("utf-8", "backslashreplace").decode()


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def time_of(value: Any, default: dt.datetime) -> dt.datetime:
    """UTC without zone, of what archives and file systems have: seconds, year to second (a zip: of an
    unknown zone), ISO 8601. 1970 and 1980 are what they have where they know of none."""
    try:
        if isinstance(value, int | float):
            value = dt.datetime.fromtimestamp(value, dt.UTC)
        elif isinstance(value, tuple):
            value = dt.datetime(*value)
        elif isinstance(value, str):
            value = dt.datetime.fromisoformat(value)
        time: dt.datetime = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return time if time.year > 1980 and time <= now() else default
    except (ValueError, OverflowError, OSError, AttributeError):
        return default


# --- what is being read -------------------------------------------------------------------------------------


class Stream(io.RawIOBase):
    """A file that is read forward. `read` gives what is asked for, but no more than a block, and less only
    at the end.

    Whatever goes wrong is an InputError that names the file. (Archives, decompression, networks: exceptions
    of their own each.)

    source: has read and close; after: called when it is closed
    """

    def __init__(self, name: str, source: Any, after: Callable[[], object] | None = None) -> None:
        self.name = name
        self._source = source
        self._after = after
        self._ahead = b""  # was read and not yet given
        self._at = 0
        self._problem = ""

    def peek(self, size: int) -> bytes:
        """What `read` will give."""
        self._fill(size)
        return self._ahead[:size]

    def read(self, size: int = -1, /) -> bytes:
        size = min(size, BLOCK) if size >= 0 else BLOCK
        self._fill(size)
        made, self._ahead = self._ahead[:size], self._ahead[size:]
        self._at += len(made)
        return made

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Forward."""
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
        if self._problem:  # Arrow would go on, with whatever is in its memory
            raise InputError(self._problem)
        parts, missing = [self._ahead] if self._ahead else [], size - len(self._ahead)
        try:
            while missing > 0 and (part := self._source.read(min(missing, BLOCK))):
                parts.append(part)
                missing -= len(part)
        except Exception as reason:
            self._problem = str(unreadable(self.name, reason))
            raise InputError(self._problem) from reason
        self._ahead = parts[0] if len(parts) == 1 else b"".join(parts)


def opening(name: str, source: Callable[[], Any]) -> Stream:
    try:
        return Stream(name, source())
    except Exception as reason:
        raise unreadable(name, reason) from reason


def unreadable(name: str, reason: BaseException) -> InputError:
    """What is wrong with a file, also where that is because of something wrong with the archive that it is
    in."""
    while isinstance(reason, InputError) and reason.__cause__:
        reason = reason.__cause__
    if isinstance(reason, InputError):
        return reason
    if isinstance(reason, OSError) and reason.strerror:
        return InputError(f"{name}: {reason.strerror}")
    if isinstance(reason, FileNotFoundError | PermissionError):  # of a network
        return InputError(f"{name}: not found or not allowed ({reason})")
    return InputError(
        f"{name}: cannot be read to its end ({str(reason) or 'it ends early'}); was it copied completely?"
    )


def broken(name: str, problem: str) -> File:
    """A file that says what is wrong with it when it is opened."""

    def raises() -> Stream:
        raise InputError(problem)

    return File(name, raises, None, now())


def compression(start: bytes) -> str | None:
    """Of a file that begins so."""
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)


def content(stream: Stream) -> Stream:
    """A file decompressed, if it is compressed."""
    kind = compression(stream.peek(4))
    return Stream(stream.name, pa.CompressedInputStream(pa.PythonFile(stream, "r"), kind)) if kind else stream


# --- on disks and networks ----------------------------------------------------------------------------------


def local(given: str, skipped: Counter[str]) -> Iterator[File]:
    """A path, or what matches it if nothing has that name."""
    try:
        is_folder = stat.S_ISDIR(os.stat(given).st_mode)
    except (OSError, ValueError) as reason:
        seen = skipped.total()
        file = None
        for file in matching(given, skipped):
            yield file
        if file is None and skipped.total() == seen:
            why = "no file matches" if glob.has_magic(given) else getattr(reason, "strerror", None) or reason
            raise InputError(f"{shown(given)}: {why}") from reason
    else:
        yield from below([given], skipped) if is_folder else [on_disk(given)]


def matching(pattern: str, skipped: Counter[str]) -> Iterator[File]:
    """What a pattern of the shell matches. `**` does not follow a link in circles, as it would in glob."""
    parts = pattern.split("/")
    if "**" not in parts:
        yield from below(sorted(glob.glob(pattern)), skipped)
        return
    at = parts.index("**")
    root = "/".join(parts[:at]) + "/" * (parts[:at] == [""])
    for folder in sorted(glob.glob(root)) if root else [""]:
        yield from below([folder], skipped, functools.partial(matches, folder, parts[at:]))


def matches(folder: str, patterns: list[str], path: str) -> bool:
    """Whether a path below a folder, or a folder it is in, matches."""
    parts = path.removeprefix(folder).strip("/").split("/")
    return any(fits(parts[:end], patterns) for end in range(1, len(parts) + 1))


def fits(parts: list[str], patterns: list[str]) -> bool:
    if patterns[:1] == ["**"]:
        return any(fits(parts[start:], patterns[1:]) for start in range(len(parts) + 1))
    return parts == patterns or (
        bool(parts and patterns)
        and fnmatch.fnmatchcase(parts[0], patterns[0])
        and fits(parts[1:], patterns[1:])
    )


def below(
    paths: Iterable[str], skipped: Counter[str], is_wanted: Callable[[str], bool] = lambda path: True
) -> Iterator[File]:
    """Files, and all files that are wanted in folders and below them."""
    waiting = [*paths][::-1]
    folders = set()
    while waiting:
        path = waiting.pop()
        try:
            found = os.stat(path or ".")
            if stat.S_ISDIR(found.st_mode):
                if (found.st_dev, found.st_ino) not in folders:
                    folders.add((found.st_dev, found.st_ino))
                    for name in sorted(os.listdir(path or "."), reverse=True):
                        inner = os.path.join(path, name)
                        if not name.startswith("."):
                            waiting.append(inner)
                        elif is_wanted(inner):
                            skipped["hidden"] += 1
                continue
            if not is_wanted(path) or passed_over(
                "", found.st_size, not stat.S_ISREG(found.st_mode), skipped
            ):
                continue
            file = on_disk(path)
        except OSError as reason:
            file = broken(shown(path), str(unreadable(shown(path), reason)))
        yield file


def on_disk(path: str) -> File:
    """Also a pipe, which can be read once, and what has no size and yet a content."""
    found = os.stat(path)
    name = shown(path)
    stream = functools.partial(opening, name, functools.partial(open, path, "rb", buffering=0))
    is_plain = stat.S_ISREG(found.st_mode)
    return File(
        name,
        stream if is_plain else functools.cache(stream),
        found.st_size or None,
        time_of(found.st_mtime, now()),
        Path(path) if is_plain and found.st_size else None,
    )


def remote(given: str, skipped: Counter[str]) -> Iterator[File]:
    """Objects that fsspec finds by an address. Raises InputError where there are none."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(given)
        folder, is_pattern = path, False
        try:
            found = [system.info(path)]
        except FileNotFoundError:
            is_pattern = glob.has_magic(path)
            folder = re.split(r"[*?[]", path)[0].rpartition("/")[0]
            found = list(system.glob(path, detail=True).values()) if is_pattern else []
            if not found:
                raise InputError(
                    f"{given}: {'nothing matches' if is_pattern else 'no such object'}"
                ) from None
        inner = [
            each
            for info in found
            if info["type"] == "directory"
            for each in system.find(info["name"], detail=True).values()
        ]
    except InputError:
        raise
    except ImportError as reason:
        protocol = given.partition("://")[0]
        needed = f"pip install {EXTRAS[protocol]}" if protocol in EXTRAS else reason
        raise InputError(f"{given}: needs another package: {needed}") from reason
    except Exception as reason:  # each file system has its own
        raise InputError(f"{given}: cannot be listed ({reason})") from reason
    objects = {info["name"]: info for info in [*found, *inner] if info["type"] == "file"}
    is_given = not is_pattern and found[0]["type"] == "file"
    for each in sorted(objects):
        size = objects[each].get("size")
        if is_given or not passed_over(each.removeprefix(folder), size, False, skipped):
            name = given if is_given else system.unstrip_protocol(each)
            modified = time_of(
                next((objects[each][key] for key in TIMES if objects[each].get(key)), None), now()
            )
            yield File(
                name,
                functools.partial(opening, name, functools.partial(system.open, each, "rb")),
                size or None,
                modified,
            )


# --- archives -----------------------------------------------------------------------------------------------

Members = Generator[File, None, None]  # each to be opened before the next is asked for, and once


def opened(file: File, skipped: Counter[str], depth: int = 0, is_given: bool = False) -> Iterator[File]:
    """A file, or what is in it if it is an archive. is_given: by its name, and so not passed over if it is
    empty"""
    try:
        stream, start = begun(file)
    except InputError as reason:
        yield broken(file.name, str(reason))
        return
    other = next((kind for magic, kind in OTHERS.items() if start.startswith(magic)), None)
    members = members_of(start)
    if other or (members and depth == DEPTH):
        stream.close()
        what = f"{other} files" if other else f"archives in archives, more than {DEPTH} deep,"
        yield broken(file.name, f"{file.name}: {what} cannot be read; unpack it first")
    elif members:
        before, number = skipped.total(), -1
        for number, member in enumerate(members(file, stream, skipped)):
            again = functools.partial(nth, file, number)
            yield from opened(replace(member, open=in_turn(member.open, again)), skipped, depth + 1)
        if number < 0 and skipped.total() == before:
            skipped["empty"] += 1
    elif not start and not is_given:
        stream.close()
        skipped["empty"] += 1
    elif file.local:
        stream.close()
        yield file
    else:
        yield replace(file, open=in_turn(lambda: file.open() if stream.closed else stream, file.open))


def begun(file: File) -> tuple[Stream, bytes]:
    """A file, opened, and how it begins when it is decompressed."""
    stream = file.open()
    try:
        start = stream.peek(512)
        if kind := compression(start):
            some = stream.peek(FIRST_BLOCK[kind])
            with contextlib.suppress(OSError):  # whoever reads it is told
                start = pa.CompressedInputStream(pa.BufferReader(some), kind).read(512)
    except InputError:
        stream.close()
        raise
    return stream, start


def members_of(start: bytes) -> Callable[[File, Stream, Counter[str]], Members] | None:
    """How to read an archive that begins so, if it is one."""
    return zip_members if start.startswith(ZIP) else tar_members if start.startswith(b"ustar", 257) else None


def nth(archive: File, number: int) -> Stream:
    """A member of an archive, which is read anew."""
    stream, start = begun(archive)
    found = (members_of(start) or zip_members)(archive, stream, Counter())
    member = next(islice(found, number, None), None)
    if member is None:
        raise InputError(f"{archive.name}: was changed while it was read")
    return Stream(member.name, member.open(), after=found.close)


def in_turn(first: Callable[[], Stream], later: Callable[[], Stream]) -> Callable[[], Stream]:
    """Calls one and from then on the other."""
    calls = iter([first])
    return lambda: next(calls, later)()


def inside(archive: File, name: str) -> str:
    return f"{archive.name}/{shown(name.removeprefix('./').lstrip('/'))}"


def zip_members(file: File, stream: Stream, skipped: Counter[str]) -> Members:
    try:
        with stream:
            archive = (
                zipfile.ZipFile(file.local)
                if file.local and not compression(stream.peek(4))
                else spooled(stream)
            )
    except Exception as reason:
        yield broken(file.name, str(unreadable(file.name, reason)))
        return
    with archive:
        for info in archive.infolist():
            if info.is_dir() or passed_over(
                info.filename, info.file_size, stat.S_ISLNK(info.external_attr >> 16), skipped
            ):
                continue
            name = inside(file, info.filename)
            member = functools.partial(opening, name, functools.partial(archive.open, info))
            if info.flag_bits & 1:
                yield broken(name, f"{name}: is encrypted; unpack it with its password")
            elif info.compress_type not in SPARING:
                how = zipfile.compressor_names.get(info.compress_type, info.compress_type)  # type: ignore[attr-defined]
                yield broken(
                    name, f"{name}: is compressed by a method that cannot be read ({how}); unpack it first"
                )
            else:
                yield File(name, member, info.file_size, time_of(info.date_time, file.modified))


def spooled(stream: Stream) -> zipfile.ZipFile:
    """A zip that does not lie on a disk, whose table of contents is at its end. The file goes when it is
    closed."""
    with tempfile.NamedTemporaryFile() as file:
        file.writelines(iter(content(stream).read, b""))
        file.flush()
        return zipfile.ZipFile(file.name)


def tar_members(file: File, stream: Stream, skipped: Counter[str]) -> Members:
    with stream, content(stream) as text:
        try:
            archive = tarfile.TarFile(fileobj=text)  # reads the first header
            info = archive.next()
            while info:
                if not info.isdir() and not passed_over(info.name, info.size, not info.isreg(), skipped):
                    name = inside(file, info.name)
                    source = functools.partial(archive.extractfile, info)
                    with contextlib.ExitStack() as streams:  # behind the next header it can no longer be read

                        def member(
                            name: str = name, source: Any = source, streams: contextlib.ExitStack = streams
                        ) -> Stream:
                            return streams.enter_context(opening(name, source))

                        yield File(name, member, info.size, time_of(info.mtime, file.modified))
                text.seek(archive.offset)
                info = tarfile.TarInfo.fromtarfile(archive) if any(text.peek(tarfile.BLOCKSIZE)) else None
            check_end(text)
        except Exception as reason:
            yield broken(file.name, str(unreadable(file.name, reason)))


def check_end(text: Stream) -> None:
    """A tar ends with zeros. To be read, as what it is compressed with has a checksum at its end."""
    if not text.peek(1):
        raise EOFError
    while block := text.read():
        if block.strip(b"\0"):
            raise InputError(f"{text.name}: has more after its end; are these two archives in one?")
