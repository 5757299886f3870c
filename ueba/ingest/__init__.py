"""Log files -> events -> daily edges in the lake. `ingest` is the road; each stage is one module.

files     what was given -> files                    framing   a file -> records
read      a file -> numbered records                 sources   records -> events, one file per log family
events    the contract of an event                   fields    what sources read records with
identity  events -> events, one spelling for a name  edges     events -> daily edges
lake      daily edges <-> Parquet                    report    what became of every record
batch     the whole road for one file
"""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path

import pyarrow as pa

from ueba.ingest import files
from ueba.ingest.read import Feed, Progress
from ueba.ingest.report import IngestReport

__all__ = ["EPOCH", "IngestReport", "events_of", "ingest"]

EPOCH = dt.datetime(1970, 1, 1)


def ingest(
    path: str | Path,
    format: str,
    root: Path,
    *,
    epoch: dt.datetime = EPOCH,
    memory_limit: str = "1GB",
    progress: Progress | None = None,
) -> IngestReport:
    """Read one log file (`-` is standard input) into the lake at `root`. The same content twice changes nothing."""
    (file,) = files.find(str(path))
    with contextlib.closing(Feed(file, progress)) as feed:
        from ueba.ingest import batch  # imports Ibis, which takes a while; the file is being read meanwhile
        from ueba.ingest.sources import Options

        return batch.ingest(feed, format, root, Options(epoch), memory_limit)


def events_of(path: str | Path, format: str = "auto", *, year: int | None = None, timezone: str = "UTC") -> pa.Table:
    """The events of one log file as its source finds them, dropped records too; columns as `ueba.ingest.events` lists them."""
    (file,) = files.find(str(path))
    with contextlib.closing(Feed(file)) as feed:
        from ueba.ingest import batch
        from ueba.ingest.sources import Options

        return batch.events_of(feed, format, Options(year=year, timezone=timezone))
