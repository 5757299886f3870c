"""One log file -> the edges of its days: read in slices, counted, accounted for line by line, written, published.

Leaves out how lines are read (`read`), understood (`sources`) and counted (`edges`), and where edges are kept (`lake`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from ueba.errors import InputError
from ueba.ingest import edges, events, identity, lake, sources
from ueba.ingest.read import Feed
from ueba.ingest.report import IngestReport
from ueba.ingest.sources import AUTO, Options, Sample, Source

DEFAULTS = Options()
MEMORY = "1GB"  # for events that were made


def chosen(feed: Feed, format: str, options: Options) -> tuple[Source, Sample]:
    """How to read a file: as `--format` says, or as its first records show."""
    sample = Sample(feed.path, feed.sample, feed.modified)
    return sources.detect(sample, options) if format == AUTO else sources.find(format, options), sample


def events_of(feed: Feed, format: str, options: Options = DEFAULTS) -> pa.Table:
    """The events of one file before names are unified, dropped records with them; columns as `events` lists them."""
    source, sample = chosen(feed, format, options)
    found = ibis.to_sql(source.events(ibis.table(events.LINES, name="lines"), sample), dialect="duckdb")
    made = []
    with lake.connect(MEMORY) as connection:
        for lines in feed.slices(source.is_csv):
            connection.register("lines", lines)
            made.append(connection.sql(f"SELECT * FROM ({found}) ORDER BY line").to_arrow_table())
    return pa.concat_tables(made) if made else events.SCHEMA.to_pyarrow().empty_table()


def ingest(feed: Feed, format: str, root: Path, options: Options, memory_limit: str) -> IngestReport:
    """Read a log into the lake at `root`. The same content twice changes nothing."""
    started = time.monotonic()
    source, sample = chosen(feed, format, options)
    with lake.writing(root) as temporary:
        with lake.connect(memory_limit, temporary) as connection:
            count_edges(connection, feed, source, sample)
            settings = source.settings | {"lake_version": lake.VERSION}
            stored = stored_report(root, feed.digest, settings)
            if stored:
                return stored
            rows = write_days(connection, temporary)
            report = reported(connection, feed.path, feed.lines, feed.digest, source.name, rows)
        report = replace(report, seconds=round(time.monotonic() - started, 3))
        publish(root, temporary, settings, report)
        return report


def counted(made: pa.Table, stage: Callable[[ir.Table], ir.Table]) -> pa.Table:
    """The edges of events that were made and not read, through an expression of edges. made: columns as `events` lists them."""
    with lake.connect(MEMORY) as connection:
        count_made(connection, made)
        return connection.sql(ibis.to_sql(stage(ibis.table(edges.SCHEMA, name="edges")), dialect="duckdb")).to_arrow_table()


def keep(made: pa.Table, name: str, root: Path) -> IngestReport:
    """Events that were made and not read, as a batch of their own. made: columns as `events` lists them; name: for reports"""
    with lake.writing(root) as temporary, lake.connect(MEMORY, temporary) as connection:
        count_made(connection, made)
        rows = write_days(connection, temporary)
        digest = hashlib.sha256(str(made.to_pydict()).encode()).hexdigest()[:32]
        report = reported(connection, name, len(made), digest, "events", rows)
        publish(root, temporary, {"lake_version": lake.VERSION}, report)
    return report


def count_made(connection: duckdb.DuckDBPyConnection, made: pa.Table) -> None:
    """Made events into the tables `slices` and `edges`, as if they were one slice of a file. Columns that they lack are null."""
    columns = {column: made[column] if column in made.column_names else pa.nulls(len(made)) for column in events.COLUMNS}
    connection.register("made", pa.table(columns).cast(events.SCHEMA.to_pyarrow()))
    found = ibis.to_sql(edges.daily(ibis.table(events.SCHEMA, name="made")), dialect="duckdb")
    connection.execute(f"CREATE TABLE slices AS SELECT *, 0 AS slice FROM ({found})")
    view_edges(connection)


def publish(root: Path, temporary: Path, settings: dict[str, Any], report: IngestReport) -> None:
    how = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    manifest = {"id": f"{report.batch}-{how}", "settings": settings, "report": report.to_dict()}
    lake.publish(root, temporary, manifest)


def count_edges(connection: duckdb.DuckDBPyConnection, feed: Feed, source: Source, sample: Sample) -> None:
    """Read the whole file into the table `slices`: the daily edges of each slice, dropped lines with them, and its number."""
    found = source.events(ibis.table(events.LINES, name="lines"), sample)
    daily = ibis.to_sql(edges.daily(found if source.canonical else identity.unify(found)), dialect="duckdb")
    into = "CREATE TABLE slices AS"
    for number, lines in enumerate(feed.slices(source.is_csv)):
        connection.register("lines", lines)
        connection.execute(f"{into} SELECT *, {number} AS slice FROM ({daily})")
        into = "INSERT INTO slices"
    view_edges(connection)


def view_edges(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE VIEW edges AS SELECT * EXCLUDE (dropped, example, slice) FROM slices WHERE dropped IS NULL")


def stored_report(root: Path, batch: str, settings: dict[str, Any]) -> IngestReport | None:
    """The report of an earlier ingest of the same content with the same settings."""
    path = lake.manifest_path(root, batch)
    manifest = json.loads(path.read_text()) if path.exists() else {}
    if manifest.get("settings") != settings:
        return None
    return IngestReport.from_dict(manifest["report"] | {"already_ingested": True})


def reported(connection: duckdb.DuckDBPyConnection, path: str, lines: int, digest: str, format: str, rows: int) -> IngestReport:
    """Account for every line, of which `rows` daily edges were made. Nothing that reads as the format is an InputError."""
    reasons = connection.execute(
        "SELECT dropped, sum(count)::BIGINT, min(example) FROM slices WHERE dropped IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    dropped = {reason: number for reason, number, _ in reasons}
    examples = {reason: example(path, first) for reason, _, first in reasons}
    understood = sum(dropped.values()) < lines or any(reason.startswith(events.NOT_A_LOGON) for reason in dropped)
    if not understood and set(dropped) != {events.HEADER}:
        said = "; ".join(f"{reason}: {number}" for reason, number in dropped.items())
        shown = next(iter(examples.values()))
        raise InputError(f"{path}: no line reads as {format} ({said}), as\n  {shown}\nsay what it is with --format")
    measures = connection.execute(
        "SELECT coalesce(sum(count), 0)::BIGINT, min(first_seen), max(last_seen),"
        ' list_sort(list(DISTINCT day)), count(DISTINCT "user"), count(DISTINCT source), count(DISTINCT target)'
        " FROM slices WHERE dropped IS NULL"
    ).fetchone()
    assert measures is not None
    counted, first, last, days, users, sources_, targets = measures
    if counted + sum(dropped.values()) != lines:
        raise AssertionError(f"{lines} lines became {counted} events and {sum(dropped.values())} dropped lines")
    return IngestReport(
        file=path,
        format=format,
        batch=digest,
        lines=lines,
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


def write_days(connection: duckdb.DuckDBPyConnection, directory: Path) -> int:
    """`<day>.parquet` for each day, several at once: DuckDB gives one file of this size one thread. Returns the rows written."""
    merged = ibis.to_sql(edges.merged(ibis.table(edges.SCHEMA, name="edges")), dialect="duckdb")
    days = connection.execute(
        "SELECT day, min(slice) < max(slice) FROM slices WHERE dropped IS NULL GROUP BY day ORDER BY day"
    ).fetchall()

    def write(day: dt.date, is_cut: bool) -> int:
        path = str(directory / f"{day}.parquet").replace("'", "''")
        rows = f"({merged})" if is_cut else "edges"
        copied = f"COPY (FROM {rows} WHERE day = DATE '{day}') TO '{path}' (FORMAT parquet, PARQUET_VERSION V2)"
        return int(connection.cursor().execute(copied).fetchall()[0][0])

    with ThreadPoolExecutor(os.cpu_count()) as writers:
        return sum(writers.map(lambda found: write(*found), days))
