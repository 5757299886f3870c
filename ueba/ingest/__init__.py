"""Log files -> events -> daily edges in the lake. `ingest` is the road; each stage is one module.

read      a file -> numbered lines           sources   lines -> events, one file per log family
events    the contract of an event           identity  events -> events, one spelling for an entity
edges     events -> daily edges              lake      daily edges <-> Parquet
report    what became of every line          batch     the whole road for one file
"""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path

from ueba.ingest.read import Feed, Progress
from ueba.ingest.report import IngestReport

__all__ = ["EPOCH", "IngestReport", "ingest"]

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
    with contextlib.closing(Feed(str(path), progress)) as feed:
        from ueba.ingest import batch  # imports Ibis, which takes a while; the file is being read meanwhile

        return batch.ingest(feed, format, root, epoch, memory_limit)
