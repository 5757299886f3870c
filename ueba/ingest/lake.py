"""The lake: events and daily edges in Parquet, one folder.

    events/batch=<id>/<n>.parquet           what was read: columns of `events.KEPT`, `dropped`, `note`, `line`, `example`, `file`
    evidence/batch=<id>.parquet             what a batch tells about who is who, see `evidence`
    batches/<id>.json                       its manifest: which files, how they were read, what became of them
    given/<name>.json                       tables of entities, see `given`
    edges/day=YYYY-MM-DD/<digest>.parquet   daily edges, made from a day's events and what is known of entities, see `build`
    entities.parquet                        who is who, see `entities`
    index.json                              the edges that count: day -> file and number of rows

In events, `file` is the number of a file in the manifest; records that were dropped are there too, with the
reason alone.

A batch is there when its manifest is, edges are there when the index names them; both are written last, by
renaming. So an interrupted ingest leaves nothing to be seen, and the next one removes what it left. A file
is known by its content: read again with other settings, it takes the place of what was read before.

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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ueba.errors import WorkspaceError
from ueba.ingest import edges

VERSION = 3  # of what the files hold
Manifest = dict[str, Any]


@contextlib.contextmanager
def writing(lake: Path) -> Iterator[Path]:
    """An empty directory inside the lake for one writer at a time; what an interrupted one left is removed
    before and after."""
    lake.mkdir(parents=True, exist_ok=True)
    with open(lake / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as reason:
            raise WorkspaceError(f"{lake}: another ingest is writing; wait for it to end") from reason
        clean(lake)
        temporary = lake / ".tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def clean(lake: Path) -> None:
    """Remove all that no manifest and not the index names, and batches all of whose files were read again."""
    held = manifests(lake)
    counting = live(held)
    named = {lake / entry["file"] for entry in index(lake).values()}
    for manifest in held:
        if counting[manifest["id"]]:
            named |= {events_folder(lake, manifest["id"]), evidence_file(lake, manifest["id"])}
        else:
            manifest_path(lake, manifest["id"]).unlink()
    for path in (*lake.glob("edges/day=*/*"), *lake.glob("events/*"), *lake.glob("evidence/*")):
        if path not in named:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- batches ------------------------------------------------------------------------------------------------


def manifests(lake: Path) -> list[Manifest]:
    """Every batch that is there, in the order in which they came: `id`, `number`, `files`, each with
    `digest`, `how` it was read, `spans` (day -> first time, last time, events) and `report`; None for one
    whose content was known.

    Raises WorkspaceError where they are of another version."""
    held = [json.loads(path.read_text()) for path in lake.glob("batches/*.json")]
    if any(manifest.get("lake_version") != VERSION for manifest in held):
        raise WorkspaceError(
            f"{lake}: was made by another version; remove it, and ingest its log files again"
        )
    return sorted(held, key=lambda manifest: (manifest["number"], manifest["id"]))


def live(held: list[Manifest]) -> dict[str, list[int]]:
    """Which files of each batch count: of the same content, the one that was read last."""
    files = [
        (manifest["id"], number, file)
        for manifest in held
        for number, file in enumerate(manifest["files"])
        if file
    ]
    last = {file["digest"]: (batch, number) for batch, number, file in files}
    counting: dict[str, list[int]] = {manifest["id"]: [] for manifest in held}
    for batch, number in last.values():
        counting[batch].append(number)
    return counting


def publish(lake: Path, temporary: Path, manifest: Manifest) -> None:
    """Make a batch visible: `temporary` holds the folder `events` and the file `evidence.parquet`."""
    for name, path in (
        ("events", events_folder(lake, manifest["id"])),
        ("evidence.parquet", evidence_file(lake, manifest["id"])),
    ):
        path.parent.mkdir(exist_ok=True)
        os.replace(temporary / name, path)
    write_json(temporary, manifest_path(lake, manifest["id"]), manifest)


def manifest_path(lake: Path, batch: str) -> Path:
    return lake / "batches" / f"{batch}.json"


def events_folder(lake: Path, batch: str) -> Path:
    return lake / "events" / f"batch={batch}"


def evidence_file(lake: Path, batch: str) -> Path:
    return lake / "evidence" / f"batch={batch}.parquet"


def write_json(temporary: Path, path: Path, content: Any) -> None:
    """The old or the new, never half of it."""
    path.parent.mkdir(exist_ok=True)
    written = temporary / path.name
    written.write_text(json.dumps(content, indent=1))
    os.replace(written, path)


# --- edges --------------------------------------------------------------------------------------------------


def index(lake: Path) -> dict[str, dict[str, Any]]:
    """Day -> `file` of its edges, in the lake's folder, and `rows`. Raises WorkspaceError where it is of
    another version."""
    path = lake / "index.json"
    if not path.exists():
        manifests(lake)  # where only they are, they may be of another version
        return {}
    stored = json.loads(path.read_text())
    if stored["lake_version"] != VERSION:
        raise WorkspaceError(
            f"{lake}: was made by another version; remove it, and ingest its log files again"
        )
    days: dict[str, dict[str, Any]] = stored["days"]
    return days


def stored(lake: Path, from_day: dt.date, to_day: dt.date) -> list[Path]:
    """The files that hold the edges of some days, both ends included: one a day, whose name changes when its
    edges do."""
    return [
        lake / entry["file"]
        for day, entry in sorted(index(lake).items())
        if from_day.isoformat() <= day <= to_day.isoformat()
    ]


def days(lake: Path) -> list[dt.date]:
    """Days that have edges, in order."""
    return sorted(dt.date.fromisoformat(day) for day in index(lake))


def size(lake: Path, day: dt.date) -> int:
    """Daily edges of a day."""
    return int(index(lake).get(day.isoformat(), {"rows": 0})["rows"])


def read(lake: Path, from_day: dt.date, to_day: dt.date, *, memory_limit: str = "1GB") -> pa.Table:
    """The edges of some days, both ends included; columns as `edges` lists them, sorted by key."""
    return query(lake, from_day, to_day, edges.merged, memory_limit)


def read_pairs(lake: Path, from_day: dt.date, to_day: dt.date, *, memory_limit: str = "1GB") -> pa.Table:
    """The same at the grain of detection, see `edges.pairs`. An account is of the kind that is known, else
    as its name says."""
    pairs = query(lake, from_day, to_day, edges.pairs, memory_limit)
    known = read_entities(lake)
    known = known and known.filter((pc.field("kind") == "user") & pc.field("account_kind").is_valid())
    if not known:
        return pairs
    kinds = known["account_kind"].take(pc.index_in(pairs["user"], known["name"]))
    column = pairs.column_names.index("user_kind")
    return pairs.set_column(column, "user_kind", pc.coalesce(kinds, pairs["user_kind"]))


def read_entities(lake: Path) -> pa.Table | None:
    """Who is who, columns as `entities.TABLE` makes them; None where nothing is known."""
    path = lake / "entities.parquet"
    return pq.read_table(path) if path.exists() else None


def administrators(lake: Path) -> set[str]:
    """Users with administrator rights, seen or told."""
    known = read_entities(lake)
    return (
        set()
        if known is None
        else set(known.filter((pc.field("kind") == "user") & pc.field("is_admin"))["name"].to_pylist())
    )


def query(
    lake: Path, from_day: dt.date, to_day: dt.date, stage: Callable[[ir.Table], ir.Table], memory_limit: str
) -> pa.Table:
    """Some days' edges through an expression."""
    chosen = [str(path) for path in stored(lake, from_day, to_day)]
    with connect(memory_limit) as connection:
        if chosen:
            connection.read_parquet(chosen, hive_partitioning=False).create_view("stored")
        else:
            connection.register("stored", edges.SCHEMA.to_pyarrow().empty_table())
        expression = stage(ibis.table(edges.SCHEMA, name="stored"))
        table = connection.sql(ibis.to_sql(expression, dialect="duckdb")).to_arrow_table()
    # DuckDB adds integers up to 128 bits, which Arrow knows only as decimals.
    plain = [
        field.with_type(pa.int64()) if pa.types.is_decimal(field.type) else field for field in table.schema
    ]
    return table.cast(pa.schema(plain))


def connect(memory_limit: str, temporary: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB of our own, in memory, that spills to `temporary`. Times have no zone and mean UTC."""
    config: dict[str, Any] = {"memory_limit": memory_limit, "preserve_insertion_order": "false"}
    connection = duckdb.connect(config=config | ({"temp_directory": str(temporary)} if temporary else {}))
    connection.execute(
        "SET TimeZone = 'UTC'; SET enable_progress_bar = false"
    )  # a bar would go to standard output
    # This optimiser copies what is aggregated into one projection, exponentially where expressions build on
    # one another.
    connection.execute("SET disabled_optimizers = 'partial_aggregate_pushdown'")
    return connection
