"""Log files -> events -> daily edges in the lake. `ingest` is the road; each stage is one module.

read      a file -> numbered lines           sources   lines -> events, one file per log family
events    the contract of an event           identity  events -> events, one spelling for an entity
edges     events -> daily edges              lake      daily edges <-> Parquet
report    what became of every line
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import ibis

from ueba.errors import InputError
from ueba.ingest import edges, events, identity, lake, sources
from ueba.ingest.read import Feed, Progress
from ueba.ingest.report import SCHEMA_VERSION, IngestReport

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
    started = time.monotonic()
    source = sources.find(format, epoch)
    with contextlib.closing(Feed(str(path), progress)) as feed, lake.writing(root) as temporary:
        with lake.connect(memory_limit, temporary) as connection:
            count_edges(connection, feed, source)
            settings = source.settings | {"schema_version": SCHEMA_VERSION}
            stored = stored_report(root, feed.digest, settings)
            if stored:
                return stored
            report = reported(connection, feed, source.name)
            write_days(connection, report.days, temporary)
        report = replace(report, seconds=round(time.monotonic() - started, 3))
        how = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        manifest = {"id": f"{feed.digest}-{how}", "settings": settings, "report": report.to_dict()}
        lake.publish(root, temporary, manifest)
        return report


def count_edges(connection: duckdb.DuckDBPyConnection, feed: Feed, source: sources.Source) -> None:
    """Read the whole file into the table `edges`, dropped lines with it."""
    connection.register("feed", feed.reader)
    # Arrays of lines are cut after newlines; `left` takes them off at a fraction of the cost of `rtrim`.
    connection.execute("CREATE VIEW lines AS SELECT line, left(text, -1) AS text FROM feed")
    found = source.events(ibis.table(events.LINES, name="lines"), feed.first)
    counted = edges.daily(found if source.canonical else identity.unify(found))
    try:
        connection.execute(f"CREATE TABLE edges AS {ibis.to_sql(counted, dialect='duckdb')}")
    except duckdb.Error as reason:
        if feed.error:
            raise feed.error from reason
        raise


def stored_report(root: Path, batch: str, settings: dict[str, Any]) -> IngestReport | None:
    """The report of an earlier ingest of the same content with the same settings."""
    path = lake.manifest_path(root, batch)
    manifest = json.loads(path.read_text()) if path.exists() else {}
    if manifest.get("settings") != settings:
        return None
    return IngestReport.from_dict(manifest["report"] | {"already_ingested": True})


def reported(connection: duckdb.DuckDBPyConnection, feed: Feed, format: str) -> IngestReport:
    """Account for every line. Nothing that reads as the format is an InputError."""
    reasons = connection.execute(
        "SELECT dropped, sum(count)::BIGINT, min(example) FROM edges WHERE dropped IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    dropped = {reason: lines for reason, lines, _ in reasons}
    examples = {reason: example(feed.path, first) for reason, _, first in reasons}
    understood = sum(dropped.values()) < feed.lines or any(reason.startswith(events.NOT_A_LOGON) for reason in dropped)
    if not understood and set(dropped) != {events.HEADER}:
        said = "; ".join(f"{reason}: {lines}" for reason, lines in dropped.items())
        shown = next(iter(examples.values()))
        raise InputError(f"{feed.path}: no line reads as {format} ({said}), as\n  {shown}\nsay what it is with --format")
    measures = connection.execute(
        "SELECT coalesce(sum(count), 0)::BIGINT, count(*), min(first_seen), max(last_seen),"
        ' list_sort(list(DISTINCT day)), count(DISTINCT "user"), count(DISTINCT source), count(DISTINCT target)'
        " FROM edges WHERE dropped IS NULL"
    ).fetchone()
    assert measures is not None
    counted, rows, first, last, days, users, sources_, targets = measures
    if counted + sum(dropped.values()) != feed.lines:
        raise AssertionError(f"{feed.lines} lines became {counted} events and {sum(dropped.values())} dropped lines")
    return IngestReport(
        file=feed.path,
        format=format,
        batch=feed.digest,
        lines=feed.lines,
        events=counted,
        edges=rows,
        dropped=dropped,
        examples=examples,
        first=first,
        last=last,
        days=tuple(days or ()),
        users=users,
        sources=sources_,
        targets=targets,
        seconds=0.0,
    )


def example(path: str, numbered: str) -> str:
    """`file:line: text`, harmless on a terminal and in JSON."""
    number, _, text = numbered.partition(":")
    return f"{path}:{int(number)}: {''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)}"


def write_days(connection: duckdb.DuckDBPyConnection, days: tuple[dt.date, ...], directory: Path) -> None:
    """`<day>.parquet` for each day, several at once: DuckDB gives one file of this size one thread."""

    def write(day: dt.date) -> None:
        path = str(directory / f"{day}.parquet").replace("'", "''")
        connection.cursor().execute(
            f"COPY (SELECT * EXCLUDE (dropped, example) FROM edges WHERE dropped IS NULL AND day = DATE '{day}')"
            f" TO '{path}' (FORMAT parquet)"
        )

    with ThreadPoolExecutor(os.cpu_count()) as writers:
        list(writers.map(write, days))
