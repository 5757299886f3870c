"""Log files -> events -> daily edges in the lake. `ingest` is the road; each stage is one module.

files      what was given -> files                  framing    a file -> records
read       a file -> numbered records               sources    records -> events, one file per log family
events     the contract of an event                 fields     what sources read records with
identity   one spelling for a name                  batch      files -> events in the lake, and their reports
evidence   what events tell of entities             entities   who is who, from all of it; given: tables of entities
witnesses  one logon, one event                     edges      events -> daily edges
build      the events of a day -> its edges         lake       all of it <-> Parquet
report     what became of every record              silence    who stopped reporting
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from ueba.errors import InputError
from ueba.ingest import files
from ueba.ingest.read import Feed, Progress
from ueba.ingest.report import IngestReport

__all__ = ["EPOCH", "IngestReport", "events_of", "ingest", "ingest_all"]

EPOCH = dt.datetime(1970, 1, 1)
T = TypeVar("T")


def ingest_all(
    given: Sequence[str],
    format: str,
    root: Path,
    *,
    epoch: dt.datetime = EPOCH,
    year: int | None = None,
    timezone: str = "UTC",
    memory_limit: str = "1GB",
    known: Path | None = None,
    progress: Callable[[str], Progress] | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> list[IngestReport]:
    """Read log files, folders, archives, globs (`-` is standard input) into the lake at `root`, and make its
    edges anew.

    The same content twice changes nothing; the order of files and what they repeat of each other does not
    matter. A file that cannot be read has a report that says why; what is given and is not there is an
    InputError. known: another lake, whose knowledge of entities counts too; progress: of the file of a name;
    say: is told what was passed over"""
    from ueba.ingest import batch
    from ueba.ingest.sources import AUTO, Options, find

    options = Options(epoch, year, timezone)
    if format != AUTO:
        find(format, options)  # a wrong format is the error of the command, not of each file
    for each in given:
        files.check(each)
    found = chain.from_iterable(files.find(each, say) for each in given)
    first = next(found, None)
    every = found if first is None else chain([first], found)
    return batch.ingest(every, format, root, options, memory_limit, known, progress)


def ingest(
    path: str | Path,
    format: str,
    root: Path,
    *,
    epoch: dt.datetime = EPOCH,
    memory_limit: str = "1GB",
    known: Path | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Read one log file. Raises InputError where it cannot be read."""
    shown = None if progress is None else lambda name: progress
    reports = ingest_all(
        [str(path)], format, root, epoch=epoch, memory_limit=memory_limit, known=known, progress=shown
    )
    report = only(reports, path)
    if report.problem:
        raise InputError(report.problem)
    return report


def events_of(
    path: str | Path, format: str = "auto", *, year: int | None = None, timezone: str = "UTC"
) -> pa.Table:
    """The events of one log file as its source finds them, dropped records too; columns as
    `ueba.ingest.events` lists them."""
    found = list(files.find(str(path)))
    with contextlib.closing(Feed(only(found, path))) as feed:
        from ueba.ingest import batch
        from ueba.ingest.sources import Options

        return batch.events_of(feed, format, Options(year=year, timezone=timezone))


def only(found: Sequence[T], path: str | Path) -> T:
    """The one file that a path was to name, or what became of it."""
    if len(found) != 1:
        raise InputError(f"{path}: holds {len(found)} files, and one was to be read")
    return found[0]
