"""Log files -> events -> daily edges in the lake. Each stage is one module.

reading    arguments -> files -> records       sources    records -> events, one module a log format
events     fields of records -> events         fields     what log sources read fields with
mapping    a mapping file                      proposal   a mapping file for an unknown log
identity   who is who, a package               batch      files -> events in the lake, and their reports
edges      events -> daily edges               build      events of a day -> its edges
lake       everything <-> Parquet
tally      rows of a batch, counted            steps      SQL in named steps
report     totals over files, gaps             silence    who stopped reporting
raw        the events behind an edge
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from ueba.config import IngestConfig
from ueba.contracts.report import IngestReport
from ueba.errors import InputError
from ueba.ingest import batch, sources
from ueba.ingest.batch import DEFAULTS, IngestOptions
from ueba.ingest.reading import find as files
from ueba.ingest.reading.feed import Feed, Progress
from ueba.ingest.reading.stream import File, public_name
from ueba.ingest.sources import AUTO, Options

__all__ = ["IngestOptions", "IngestReport", "Options", "events_of", "ingest", "ingest_all"]

T = TypeVar("T")


def ingest_all(
    paths: Sequence[str],
    log_format: str,
    root: Path,
    options: IngestOptions = DEFAULTS,
    progress: Callable[[str], Progress] | None = None,
    notify: Callable[[str], None] = lambda message: None,
) -> list[IngestReport]:
    """Read log files, folders, archives, globs (`-` is standard input) into the lake at `root`, and make its
    daily edges again.

    The same content twice changes nothing; the order of files and what they repeat of each other does not
    matter. A file that cannot be read, or is not there, does not stop the others: its report says why.
    Returns the reports of files in order, then those of arguments that name no file. Without paths it makes
    the edges again by what entity tables say.

    progress: of the file of a name; notify: receives messages about skipped files

    Raises UsageError if the log format is unknown."""
    if log_format != AUTO:
        sources.find(log_format, options.log)  # an unknown format is one error, not one of each file
    failed: list[IngestReport] = []
    found = _files(paths, notify, failed, options.limits)
    first = list(islice(found, 1))
    if failed and not first:  # a misspelt name makes no lake
        return failed
    return [*batch.ingest(chain(first, found), log_format, root, options, progress), *failed]


def _files(
    paths: Sequence[str],
    notify: Callable[[str], None],
    failed: list[IngestReport],
    limits: IngestConfig,
) -> Iterator[File]:
    """The files that arguments name. An argument that names none gets a report in `failed`."""
    for path in paths:
        try:
            yield from files.find(path, notify, limits)
        except InputError as problem:
            failed.append(IngestReport(file=public_name(path), problem=str(problem)))


def ingest(
    path: str | Path,
    log_format: str,
    root: Path,
    options: IngestOptions = DEFAULTS,
    progress: Progress | None = None,
) -> IngestReport:
    """Read one log file into the lake at `root`. Raises InputError if it cannot be read."""
    shown = None if progress is None else lambda name: progress
    report = only(ingest_all([str(path)], log_format, root, options, shown), path)
    if report.problem:
        raise InputError(report.problem)
    return report


def events_of(path: str | Path, log_format: str = AUTO, options: IngestOptions = DEFAULTS) -> pa.Table:
    """The events of one log file as its log source finds them, dropped records too; columns
    `event.COLUMNS`. Raises InputError if the file cannot be read."""
    found = list(files.find(str(path), limits=options.limits))
    with contextlib.closing(Feed(only(found, path), options.memory_limit)) as feed:
        return batch.events_of(feed, log_format, options)


def only(found: Sequence[T], path: str | Path) -> T:
    """The one file that a path names, or its report. Raises InputError if it names several."""
    if len(found) != 1:
        raise InputError(f"{path}: has {len(found)} files; name one of them")
    return found[0]
