"""What `ueba ingest` is given -> the files to read, each with its name, size and time.

    argument                    files
    a path                      that file, or its members if it is an archive
    a folder                    all files in it and below it, by name; archives are opened, links followed;
                                each folder is read once
    logs/**/*.gz                the files that match, and all files of a folder that matches; a file with
                                exactly that name comes first
    -                           standard input, once
    s3:// gs:// https:// ...    the object, all objects below a prefix, or those that match (through fsspec)

A file that cannot be read (no permission, an encrypted member, a truncated archive) is listed with an `open`
that raises InputError and says why, so that all others are read. Hidden and empty files, and what is no plain
file, are skipped in folders and archives; `find` reports how many.

Leaves out what is in a file (`feed`), and whether it is a log (`ueba.ingest.sources`).
"""

from __future__ import annotations

import fnmatch
import functools
import glob
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ueba.config import IngestConfig
from ueba.errors import InputError
from ueba.ingest.reading import archives
from ueba.ingest.reading.archives import is_skipped
from ueba.ingest.reading.limits import DEFAULTS, Budget
from ueba.ingest.reading.stream import (
    File,
    Stream,
    broken,
    now,
    open_stream,
    printable_name,
    public_name,
    unreadable,
    utc_time,
)

MODIFIED_KEYS = ("LastModified", "last_modified", "updated", "mtime", "created")  # of fsspec's file systems
EXTRAS = {"s3": "ueba[s3]", "s3a": "ueba[s3]", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


def find(
    argument: str,
    notify: Callable[[str], None] = lambda message: None,
    limits: IngestConfig = DEFAULTS,
) -> Iterator[File]:
    """The files that an argument names. Raises InputError if it names none.

    notify: receives a message about skipped files; limits: of what each may cost"""
    skipped: Counter[str] = Counter()
    is_empty, shown = True, public_name(argument)
    for file in named(argument, skipped):
        file = replace(file, open=functools.partial(limited, file.open, limits))
        for member in archives.unpacked(file, skipped, is_named=file.name == shown):
            is_empty = False
            yield member
    message = "skipped " + ", ".join(f"{number:,} {what}" for what, number in skipped.items())
    if is_empty:
        raise InputError(f"{shown}: no files in it" + (f"; {message}" if skipped else ""))
    if skipped:
        notify(f"{shown}: {message}")


def named(argument: str, skipped: Counter[str]) -> Iterator[File]:
    """The files that an argument names; an archive is one file."""
    if argument == "-":
        return iter([standard_input()])
    return remote(argument, skipped) if "://" in argument else local(argument, skipped)


def limited(open_file: Callable[[], Stream], limits: IngestConfig) -> Stream:
    """A file's stream, with a budget."""
    stream = open_file()
    if stream.budget.limits is not limits:  # a pipe is opened once
        stream.budget = Budget(limits)
    return stream


def standard_input() -> File:
    @functools.cache  # there is one standard input, and it stays open
    def stream() -> Stream:
        return open_stream("-", lambda: SimpleNamespace(read=sys.stdin.buffer.read, close=lambda: None))

    return File("-", stream, None, now())


# --- on disks -----------------------------------------------------------------------------------------------


def local(argument: str, skipped: Counter[str]) -> Iterator[File]:
    """The file or folder of that name, or what matches it as a pattern if nothing has that name."""
    try:
        is_folder = stat.S_ISDIR(os.stat(argument).st_mode)
    except (OSError, ValueError) as reason:
        skipped_before = skipped.total()
        file = None
        for file in matching(argument, skipped):
            yield file
        if file is None and skipped.total() == skipped_before:
            is_pattern = glob.has_magic(argument)
            why = "no file matches" if is_pattern else getattr(reason, "strerror", None) or reason
            raise InputError(f"{printable_name(argument)}: {why}") from reason
    else:
        yield from below([argument], skipped) if is_folder else [on_disk(argument)]


def matching(pattern: str, skipped: Counter[str]) -> Iterator[File]:
    """The files that match a shell pattern. Unlike in glob, `**` does not follow a link in circles."""
    parts = pattern.split("/")
    if "**" not in parts:
        yield from below(sorted(glob.glob(pattern)), skipped)
        return
    at = parts.index("**")
    root = "/".join(parts[:at]) + "/" * (parts[:at] == [""])
    for folder in sorted(glob.glob(root)) if root else [""]:
        yield from below([folder], skipped, functools.partial(matches, folder, parts[at:]))


def matches(folder: str, patterns: list[str], path: str) -> bool:
    """Whether a path below a folder, or one of its parent folders below it, matches."""
    parts = path.removeprefix(folder).strip("/").split("/")
    return any(fits(parts[:end], patterns) for end in range(1, len(parts) + 1))


def fits(parts: list[str], patterns: list[str]) -> bool:
    """Whether the parts of a path match the parts of a pattern."""
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
    """The files among some paths, and the wanted files in folders and below them, by name."""
    waiting = [*paths][::-1]
    visited: set[tuple[int, int]] = set()  # folders, by device and inode
    while waiting:
        path = waiting.pop()
        try:
            found = os.stat(path or ".")
            if stat.S_ISDIR(found.st_mode):
                if (found.st_dev, found.st_ino) not in visited:
                    visited.add((found.st_dev, found.st_ino))
                    waiting += children(path, skipped, is_wanted)
                continue
            is_special = not stat.S_ISREG(found.st_mode)
            if not is_wanted(path) or is_skipped("", found.st_size, is_special, skipped):
                continue
            file = on_disk(path)
        except OSError as reason:
            file = broken(printable_name(path), str(unreadable(printable_name(path), reason)))
        yield file


def children(folder: str, skipped: Counter[str], is_wanted: Callable[[str], bool]) -> list[str]:
    """The paths in a folder, the last name first; hidden ones are skipped."""
    paths = []
    for name in sorted(os.listdir(folder or "."), reverse=True):
        path = os.path.join(folder, name)
        if not name.startswith("."):
            paths.append(path)
        elif is_wanted(path):
            skipped["hidden"] += 1
    return paths


def on_disk(path: str) -> File:
    """The file of a path; also a pipe, which can be read once, and a file of /proc, whose size is 0."""
    found = os.stat(path)
    name = printable_name(path)
    stream = functools.partial(open_stream, name, functools.partial(open, path, "rb", buffering=0))
    is_plain = stat.S_ISREG(found.st_mode)
    return File(
        name,
        stream if is_plain else functools.cache(stream),
        found.st_size or None,
        utc_time(found.st_mtime, now()),
        Path(path) if is_plain and found.st_size else None,
    )


# --- on networks --------------------------------------------------------------------------------------------


def remote(address: str, skipped: Counter[str]) -> Iterator[File]:
    """The objects that fsspec finds at an address. Raises InputError if there are none."""
    shown = public_name(address)
    try:
        system, folder, objects, is_named = listed(address)
    except InputError:
        raise
    except ImportError as reason:
        protocol = address.partition("://")[0]
        needed = f"pip install {EXTRAS[protocol]}" if protocol in EXTRAS else reason
        raise InputError(f"{shown}: needs another package: {needed}") from reason
    except Exception as reason:  # each file system has exceptions of its own
        raise InputError(f"{shown}: cannot be listed ({public_name(str(reason))})") from reason
    for path in sorted(objects):
        size = objects[path].get("size")
        if is_named or not is_skipped(path.removeprefix(folder), size, False, skipped):
            name = shown if is_named else public_name(system.unstrip_protocol(path))
            modified = next((objects[path][key] for key in MODIFIED_KEYS if objects[path].get(key)), None)
            stream = functools.partial(open_stream, name, functools.partial(system.open, path, "rb"))
            yield File(name, stream, size or None, utc_time(modified, now()))


def listed(address: str) -> tuple[Any, str, dict[str, dict[str, Any]], bool]:
    """The file system of an address, the folder that is searched, what fsspec knows of each object by its
    path, and whether the address is the name of one object."""
    import fsspec

    system, path = fsspec.core.url_to_fs(address)
    folder, is_pattern = path, False
    try:
        found = [system.info(path)]
    except FileNotFoundError:
        is_pattern = glob.has_magic(path)
        folder = re.split(r"[*?[]", path)[0].rpartition("/")[0]
        found = list(system.glob(path, detail=True).values()) if is_pattern else []
        if not found:
            problem = "nothing matches" if is_pattern else "no such object"
            raise InputError(f"{public_name(address)}: {problem}") from None
    folders = [info["name"] for info in found if info["type"] == "directory"]
    inner = [info for name in folders for info in system.find(name, detail=True).values()]
    objects = {info["name"]: info for info in [*found, *inner] if info["type"] == "file"}
    return system, folder, objects, not is_pattern and found[0]["type"] == "file"
