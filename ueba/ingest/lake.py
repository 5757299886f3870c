"""Daily edges in Parquet, `edges/day=YYYY-MM-DD/batch=<id>.parquet`, and a manifest a batch, `batches/<hash>.json`.

The id of a batch is the hash of its content and that of how it was read. The manifest is written last, by renaming, and
names the files that count: without it a file is not there. So an interrupted ingest leaves nothing to be seen, and a
batch read anew with other settings is replaced in one step. Leftovers go with the next ingest. Days are merged over
batches when they are read.

Leaves out: object stores, compaction, and removal of old days.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from ueba.errors import WorkspaceError
from ueba.ingest import edges

VERSION = 2  # of what the files hold


@contextlib.contextmanager
def writing(lake: Path) -> Iterator[Path]:
    """An empty directory inside the lake for one writer at a time; what an interrupted one left is removed before."""
    lake.mkdir(parents=True, exist_ok=True)
    with open(lake / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as reason:
            raise WorkspaceError(f"{lake}: another ingest is writing; wait for it to end") from reason
        clean(lake)
        temporary = lake / ".tmp"
        temporary.mkdir()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def clean(lake: Path) -> None:
    """Remove all that no manifest names."""
    shutil.rmtree(lake / ".tmp", ignore_errors=True)
    named = {path for manifest in manifests(lake) for path in files(lake, manifest)}
    for path in lake.glob("edges/day=*/*.parquet"):
        if path not in named:
            path.unlink()


def publish(lake: Path, temporary: Path, manifest: dict[str, Any]) -> None:
    """Make a batch visible: `temporary` holds `<day>.parquet` for each of the manifest's days."""
    for day, path in zip(manifest["report"]["days"], files(lake, manifest), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary / f"{day}.parquet", path)
    (lake / "batches").mkdir(exist_ok=True)
    written = temporary / "manifest.json"
    written.write_text(json.dumps(manifest, indent=2))
    os.replace(written, manifest_path(lake, manifest["report"]["batch"]))
    clean(lake)


def manifest_path(lake: Path, batch: str) -> Path:
    return lake / "batches" / f"{batch}.json"


def manifests(lake: Path) -> list[dict[str, Any]]:
    """Every batch that is there: `id`, `settings`, `report`."""
    return [json.loads(path.read_text()) for path in sorted(lake.glob("batches/*.json"))]


def files(lake: Path, manifest: dict[str, Any]) -> list[Path]:
    return [lake / "edges" / f"day={day}" / f"batch={manifest['id']}.parquet" for day in manifest["report"]["days"]]


def stored(lake: Path, from_day: dt.date, to_day: dt.date) -> list[Path]:
    """The files that hold the edges of some days, both ends included. Raises WorkspaceError where they are of another version."""
    held = manifests(lake)
    for manifest in held:
        if manifest["settings"].get("lake_version") != VERSION:
            raise WorkspaceError(f"{manifest['report']['file']}: was ingested by another version; ingest it again")
    return [
        path
        for manifest in held
        for path, day in zip(files(lake, manifest), manifest["report"]["days"], strict=True)
        if from_day.isoformat() <= day <= to_day.isoformat()
    ]


def days(lake: Path) -> list[dt.date]:
    """Days that have edges, in order."""
    return sorted({dt.date.fromisoformat(day) for manifest in manifests(lake) for day in manifest["report"]["days"]})


def size(lake: Path, day: dt.date) -> int:
    """Rows that are stored of a day, over all batches."""
    return sum(pq.read_metadata(path).num_rows for path in stored(lake, day, day))


def read(lake: Path, from_day: dt.date, to_day: dt.date, *, memory_limit: str = "1GB") -> pa.Table:
    """The edges of some days, both ends included; columns as `edges` lists them, sorted by key."""
    return query(lake, from_day, to_day, edges.merged, memory_limit)


def read_pairs(lake: Path, from_day: dt.date, to_day: dt.date, *, memory_limit: str = "1GB") -> pa.Table:
    """The same at the grain of detection, see `edges.pairs`."""
    return query(lake, from_day, to_day, edges.pairs, memory_limit)


def query(lake: Path, from_day: dt.date, to_day: dt.date, stage: Callable[[ir.Table], ir.Table], memory_limit: str) -> pa.Table:
    """Some days' edges through an expression, over all batches."""
    chosen = [str(path) for path in stored(lake, from_day, to_day)]
    with connect(memory_limit) as connection:
        if chosen:
            connection.read_parquet(chosen, hive_partitioning=False).create_view("stored")
        else:
            connection.register("stored", edges.SCHEMA.to_pyarrow().empty_table())
        expression = stage(ibis.table(edges.SCHEMA, name="stored"))
        table = connection.sql(ibis.to_sql(expression, dialect="duckdb")).to_arrow_table()
    # DuckDB adds integers up to 128 bits, which Arrow knows only as decimals.
    plain = [field.with_type(pa.int64()) if pa.types.is_decimal(field.type) else field for field in table.schema]
    return table.cast(pa.schema(plain))


def connect(memory_limit: str, temporary: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB of our own, in memory, that spills to `temporary`. Times have no zone and mean UTC."""
    config: dict[str, Any] = {"memory_limit": memory_limit, "preserve_insertion_order": "false"}
    connection = duckdb.connect(config=config | ({"temp_directory": str(temporary)} if temporary else {}))
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")  # a bar would go to standard output
    # This optimiser copies what is aggregated into one projection, exponentially where expressions build on one another.
    connection.execute("SET disabled_optimizers = 'partial_aggregate_pushdown'")
    return connection
