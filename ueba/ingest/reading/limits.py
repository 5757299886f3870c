"""What a file may use while it is read: temporary disk, what comes out of compression, members of archives.

A file over a limit has an error that names the limit and the setting that raises it; the other files are
read. Leaves out memory, which is bounded by slices (`feed`) and by DuckDB's own limit.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ueba.config import IngestConfig
from ueba.errors import InputError

UNITS = {f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)}
UNITS |= {f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)}
FREE_SHARE = 0.5  # of the free space of the temporary folder, of which one file may take this much
FLOOR = 64_000_000  # bytes: what comes out of compression is not counted below this
CHECKED = 1 << 26  # bytes between two looks at the free space


@dataclass(frozen=True)
class Limits:
    """temporary_bytes: of one file that must lie on disk as a whole (EVTX, Parquet, an archive in another);
    ratio: bytes that come out of compression, for each byte that goes in; members: of one archive"""

    temporary_bytes: int
    ratio: float
    members: int


def limits_of(settings: IngestConfig) -> Limits:
    """The limits that the configuration sets."""
    return Limits(in_bytes(settings.temporary_limit), settings.ratio_limit, settings.members_limit)


def in_bytes(size: str) -> int:
    """A size of the configuration, as `512MB` or `1.5 GiB`, in bytes."""
    number = size.rstrip("KMGTIBkmgtib ")
    return int(float(number) * UNITS[size.removeprefix(number).strip().upper()])


DEFAULTS = limits_of(IngestConfig())


def on_temporary_disk(blocks: Iterable[bytes], name: str, limits: Limits) -> Iterator[bytes]:
    """Blocks on their way to a temporary file. Raises InputError beyond the limit, or if the disk is nearly
    full."""
    total, looked = 0, -CHECKED
    for block in blocks:
        total += len(block)
        if total > limits.temporary_bytes:
            raise InputError(
                f"{name}: is over {limits.temporary_bytes:,} bytes when it is unpacked to be read from disk;"
                " unpack it first, or raise ingest.temporary_limit"
            )
        if total - looked >= CHECKED:
            looked = total
            check_space(name, total)
        yield block


def check_space(name: str, written: int) -> None:
    """Raises InputError if a file has taken its share of the temporary folder."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if written > FREE_SHARE * (free + written):
        raise InputError(
            f"{name}: would fill the temporary folder {folder} ({free:,} bytes free); unpack it first, or set"
            " TMPDIR to a folder with more space"
        )


def unpacked(blocks: Iterable[bytes], name: str, stored: int | None, limits: Limits) -> Iterator[bytes]:
    """Blocks as they come out of compression. Raises InputError if there are far too many for what is stored.

    stored: bytes; None if unknown"""
    most = None if stored is None else max(FLOOR, int(stored * limits.ratio))
    total = 0
    for block in blocks:
        total += len(block)
        if most is not None and total > most:
            raise InputError(
                f"{name}: more than {limits.ratio:g} bytes come out of each byte of it; if that is right,"
                " unpack it first or raise ingest.ratio_limit"
            )
        yield block


def too_many(name: str, limits: Limits) -> InputError:
    return InputError(
        f"{name}: has more than {limits.members:,} members; the others are not read: unpack it, or raise"
        " ingest.members_limit"
    )
