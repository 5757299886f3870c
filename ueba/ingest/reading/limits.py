"""What reading one file may cost, and the folders that a DuckDB may reach.

A small file may become a large one, or very many records: a gzip of nothing but newlines, a Parquet file
with one value 40 million times, archives whose members overlap. So each file that is opened has a budget,
which it shares with all members of its archives:

    unpacked_limit   bytes that it may become, whatever it is packed in; and bytes that a pipe or a network
                     may bring
    ratio_limit      times its own size that it may become; up to `FREE` bytes it may have any ratio. A record
                     counts as `RECORD` bytes at least, as each takes time
    members_limit    files in its archives
    disk_share       part of the free disk that one temporary copy may take: of an archive in an archive, or
                     of what has to lie on a disk to be read (EVTX, Parquet)

The settings are those of `ueba.config.IngestConfig`. Leaves out memory: text is read in slices of bounded
size (`feed`), and DuckDB has a limit of its own.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from ueba.config import IngestConfig, size_bytes
from ueba.errors import InputError
from ueba.text import plain

FREE = 256 << 20  # bytes
RECORD = 64  # bytes
DEFAULTS = IngestConfig()


class Budget:
    """What one file, as it was opened, has cost so far.

    stored:   bytes that were read of it as it lies on a disk or comes from a network
    unpacked: bytes that became of them, in all layers of archives and compression
    work:     the same with the text of records that were converted, and what short records count more
    members:  files of its archives
    """

    def __init__(self, limits: IngestConfig = DEFAULTS, stored: int = 0) -> None:
        self.limits, self.stored = limits, stored
        self.unpacked = self.work = self.members = 0
        self._most = size_bytes(limits.unpacked_limit)
        self._spent: tuple[str, str] | None = None  # what was exceeded, and its setting

    def store(self, name: str, size: int) -> None:
        """Count bytes of a file as it lies on a disk or comes from a network or a pipe."""
        self.stored += size
        if self.stored > self._most:
            raise self._exceeded(name, f"has more than {self.limits.unpacked_limit}", "unpacked_limit")

    def unpack(self, name: str, size: int) -> None:
        """Count bytes that were unpacked. name: of the file, for the error"""
        self.unpacked += size
        if self.unpacked > self._most:
            raise self._exceeded(
                name, f"becomes more than {self.limits.unpacked_limit} unpacked", "unpacked_limit"
            )
        self.convert(name, size)

    def convert(self, name: str, size: int) -> None:
        """Count bytes of text that stored bytes became."""
        self.work += size
        if self.work > max(FREE, self.limits.ratio_limit * self.stored):
            times = f"becomes more than {self.limits.ratio_limit:,} times its size"
            raise self._exceeded(name, f"{times} (a record counts as {RECORD} bytes)", "ratio_limit")

    def read(self, name: str, records: int, size: int) -> None:
        """Count the records of a text. size: of all of them, bytes"""
        self.convert(name, max(records * RECORD - size, 0))

    def add_member(self, name: str) -> None:
        """Count a file of an archive. Raises InputError also if an earlier one cost too much. name: of the
        archive"""
        self.members += 1
        if self._spent:
            raise exceeded(name, *self._spent)
        if self.members > self.limits.members_limit:
            raise self.too_many_members(name)

    def too_many_members(self, name: str) -> InputError:
        return self._exceeded(name, f"has more than {self.limits.members_limit:,} files", "members_limit")

    def _exceeded(self, name: str, what: str, setting: str) -> InputError:
        self._spent = what, setting
        return exceeded(name, what, setting)


def exceeded(name: str, what: str, setting: str) -> InputError:
    """The error of a file that costs too much."""
    return InputError(f"{name}: {what}; raise ingest.{setting} if it is no attack")


# --- temporary copies ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def on_disk(blocks: Iterable[bytes], name: str, limits: IngestConfig) -> Iterator[Path]:
    """A temporary file with these blocks, in a folder of its own, for readers that need a path.

    name: of the file they are of. Raises InputError if they take more than their share of the free disk"""
    with tempfile.TemporaryDirectory(prefix="ueba-") as folder:
        path = Path(folder) / "log"
        with open(path, "wb", buffering=0) as file:
            for block in within_share(blocks, name, limits):
                try:
                    file.write(block)
                except OSError as reason:
                    why = f"{tempfile.gettempdir()}: {reason.strerror}"
                    raise InputError(f"{name}: its temporary copy cannot be written to {why}") from None
        yield path


def within_share(blocks: Iterable[bytes], name: str, limits: IngestConfig) -> Iterator[bytes]:
    """Blocks on their way to a temporary file. Raises InputError beyond their share of the free disk."""
    left = int(shutil.disk_usage(tempfile.gettempdir()).free * limits.disk_share)
    for block in blocks:
        left -= len(block)
        if left < 0:
            what = f"needs more than {limits.disk_share:.0%} of the free disk of {tempfile.gettempdir()}"
            raise exceeded(name, f"{what} for a temporary copy", "disk_share")
        yield block


# --- DuckDB -------------------------------------------------------------------------------------------------


def confine(connection: duckdb.DuckDBPyConnection, folder: Path, limits: IngestConfig) -> None:
    """Let a DuckDB read and write below one folder only, where it spills no more than a share of the free
    disk, and neither load nor fetch an extension."""
    place = f"{folder.absolute()}{os.sep}"
    allowed = ", ".join("'{}'".format(path.replace("'", "''")) for path in (place, glob.escape(place)))
    most = int(shutil.disk_usage(folder).free * limits.disk_share)
    connection.execute(
        f"SET max_temp_directory_size = '{most}B'; SET allowed_directories = [{allowed}];"
        " SET enable_external_access = false"
    )


# --- files that the rest is read without --------------------------------------------------------------------


def is_memory(reason: BaseException) -> bool:
    """Whether there was too little memory."""
    return isinstance(reason, MemoryError | duckdb.OutOfMemoryException)


def given_up(name: str, reason: BaseException) -> str:
    """The problem of a file that cannot be read for this reason."""
    if isinstance(reason, InputError):
        return str(reason)
    what = plain(str(reason).split("\n")[0]) or type(reason).__name__
    if is_memory(reason):
        return f"{name}: needs more memory than there is ({what}); raise ingest.memory_limit"
    return f"{name}: cannot be read ({what}); is it a log at all?"
