"""The lake: events and daily edges in Parquet, one folder.

    events/batch=<id>/<n>.parquet           what was read, see `ueba.contracts.event`
    evidence/batch=<id>.parquet             what a batch proves about entities, see `evidence`
    batches/<id>.json                       its manifest, see `ueba.contracts.manifest`
    given/<name>.json                       entity tables, see `ueba.contracts.names`
    edges/day=YYYY-MM-DD/<digest>.parquet   daily edges, see `ueba.contracts.daily_edge`; `build` makes them
    entities.parquet                        who is who, see `entities`
    index.json                              the daily edges that count, see `ueba.contracts.manifest`

A batch is in the lake when its manifest is, edges are when the index names them; both are written last. So an
interrupted ingest leaves nothing that a reader sees, and the next ingest removes what it left. A file is
identified by its content: read again with other settings, it replaces what was read before.

Leaves out: object stores, compaction, and removal of old days.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from ueba import files, state
from ueba.contracts import daily_edge, manifest, names
from ueba.contracts.manifest import DayFile, Index, Manifest, ManifestFile
from ueba.errors import WorkspaceError
from ueba.ingest import edges
from ueba.ingest.events import KEPT

T = TypeVar("T")

EDGES = dict(zip(daily_edge.SCHEMA.names, daily_edge.SCHEMA.types, strict=True))
EVENTS = {
    **{name: pa.string() for name in (*KEPT, "dropped", "note", "example")},
    "time": pa.timestamp("us"),
    "line": pa.int64(),
    "file": pa.int32(),
}
EVIDENCE = {
    "file": pa.int32(),
    "kind": pa.string(),
    "day": pa.date32(),
    "hour": pa.int64(),
    "name": pa.string(),
    "other": pa.string(),
    "count": pa.int64(),
    "first": pa.timestamp("us"),
    "last": pa.timestamp("us"),
}
REMEDY = "remove it, and the next `ueba ingest` makes it anew"  # of daily edges, and of the entities

# An optimiser that copies what is aggregated into one projection, exponentially if expressions build on one
# another.
HARMFUL = "partial_aggregate_pushdown"
# A function of SQL that every connection has: JSON objects merged into one (RFC 7396).
MERGED = """CREATE TEMP MACRO merged(objects) AS
list_reduce(list_prepend('{}', objects), lambda a, b: json_merge_patch(a, b)::VARCHAR)"""


@contextlib.contextmanager
def writing(lake: Path) -> Iterator[Path]:
    """An empty folder inside the lake for one writer at a time, removed at the end. What an interrupted
    writer left is removed first.

    Raises WorkspaceError if another process is writing."""
    with files.locked(lake / ".lock", f"{lake}: another ingest is writing; wait for it to end"):
        clean(lake)
        temporary = lake / ".tmp"
        files.empty_folder(temporary)
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def clean(lake: Path) -> None:
    """Remove every file that no manifest and not the index names, and every batch all of whose files were
    read again."""
    stored = manifests(lake)
    live = {file.batch for file in live_files(stored)}
    keep = {lake / day.file for day in index(lake).values()}
    keep |= {lake / folder / state.SEALS for folder in ("evidence", "batches")}
    for batch in stored:
        if batch.id in live:
            keep |= {events_folder(lake, batch.id), evidence_file(lake, batch.id)}
        else:
            state.remove(state.inside(manifest_path(lake, batch.id), lake))
    for pattern in ("edges/day=*/*", "events/*", "evidence/*", "batches/.*", ".index.json.*"):
        for path in lake.glob(pattern):
            if path not in keep and path.name != state.SEALS:
                state.inside(path.parent, lake)
                state.remove(path)


# --- batches ------------------------------------------------------------------------------------------------


class LiveFile(NamedTuple):
    """A file that counts: of the same content, the one that was read last.

    batch:  the id of its batch
    number: of the file in its batch
    """

    batch: str
    number: int
    file: ManifestFile


def manifests(lake: Path) -> list[Manifest]:
    """Every batch of the lake, in the order in which they came.

    Raises WorkspaceError if one is damaged or of another version."""
    stored = [_manifest(lake, path) for path in lake.glob("batches/*.json")]
    return sorted(stored, key=lambda batch: (batch.number, batch.id))


def _manifest(lake: Path, path: Path) -> Manifest:
    found = _load(lake, path, manifest.manifest)
    with state.reading(path, remedy(lake)):
        if path.stem != found.id:
            raise ValueError(f"it is the manifest of batch {found.id}")
    return found


def live_files(stored: Sequence[Manifest]) -> list[LiveFile]:
    """The files that count, in the order of their batches. stored: all manifests of a lake, in order"""
    read = [
        LiveFile(batch.id, number, file)
        for batch in stored
        for number, file in enumerate(batch.files)
        if file is not None
    ]
    last = {live.file.digest: live for live in read}
    return [live for live in read if last[live.file.digest] is live]


def publish(lake: Path, temporary: Path, batch: Manifest) -> None:
    """Make a batch visible: `temporary` holds the folder `events` and the file `evidence.parquet`."""
    for name, path in (
        ("events", events_folder(lake, batch.id)),
        ("evidence.parquet", evidence_file(lake, batch.id)),
    ):
        path.parent.mkdir(exist_ok=True)
        os.replace(temporary / name, path)
    for path in (*batch_files(lake, batch.id), evidence_file(lake, batch.id)):
        state.seal(path)
    write_manifest(lake, batch)


def write_manifest(lake: Path, batch: Manifest) -> None:
    state.write(manifest_path(lake, batch.id), manifest.to_json(batch))


def manifest_path(lake: Path, batch: str) -> Path:
    return lake / "batches" / f"{batch}.json"


def events_folder(lake: Path, batch: str) -> Path:
    return lake / "events" / f"batch={batch}"


def evidence_file(lake: Path, batch: str) -> Path:
    return lake / "evidence" / f"batch={batch}.parquet"


def batch_files(lake: Path, batch: str) -> list[Path]:
    """The Parquet files of the events of a batch, in order."""
    return sorted(events_folder(lake, batch).glob("*.parquet"))


def _load(lake: Path, path: Path, decode: Callable[[bytes], T]) -> T:
    data = state.content(path, remedy(lake))
    with state.reading(path, remedy(lake)):
        return decode(data)


def remedy(lake: Path) -> str:
    """What makes a lake anew."""
    return f"remove {lake}, and `ueba ingest` its log files again"


# --- damage -------------------------------------------------------------------------------------------------


def batch_remedy(lake: Path, batch: str) -> str:
    """What makes the files of a batch anew."""
    return f"remove {manifest_path(lake, batch)}, and `ueba ingest` its log files again"


def check_batch(lake: Path, batch: str, in_whole: bool = False) -> None:
    """Raises WorkspaceError if a file of the events or the evidence of a batch is damaged. in_whole: read all
    rows too"""
    check = state.table if in_whole else state.check_columns
    for path in batch_files(lake, batch):
        check(state.inside(path, lake), batch_remedy(lake, batch), EVENTS)
    check_evidence(lake, batch, in_whole)


def check_evidence(lake: Path, batch: str, in_whole: bool = False) -> None:
    """Raises WorkspaceError if the file of the evidence of a batch is damaged. in_whole: read all rows too"""
    check = state.table if in_whole else state.check_columns
    check(state.inside(evidence_file(lake, batch), lake), batch_remedy(lake, batch), EVIDENCE)


@contextlib.contextmanager
def naming_damage(*lakes: Path) -> Iterator[None]:
    """Make of an error of DuckDB the one that names the damaged file, if there is one."""
    try:
        yield
    except duckdb.Error:
        for lake in lakes:
            check_all(lake)
        raise


def check_all(lake: Path) -> None:
    """Read every file of a lake that counts. Raises WorkspaceError for the first that is damaged."""
    for batch in {live.batch: None for live in live_files(manifests(lake))}:
        check_batch(lake, batch, in_whole=True)
    for path in stored(lake, dt.date.min, dt.date.max):
        state.table(path, REMEDY, EDGES)
    read_entities(lake)


# --- daily edges --------------------------------------------------------------------------------------------


def index(lake: Path) -> dict[dt.date, DayFile]:
    """The daily edges that count, by day.

    Raises WorkspaceError if the lake is damaged or of another version."""
    path = lake / "index.json"
    if not state.is_there(path):
        manifests(lake)  # an interrupted ingest of another version left no index
        return {}
    return _load(lake, path, manifest.index).days


def write_index(lake: Path, days: dict[dt.date, DayFile]) -> None:
    state.write(lake / "index.json", manifest.to_json(Index(days=days)))


def stored(lake: Path, first: dt.date, last: dt.date) -> list[Path]:
    """The files of the daily edges of some days, both ends included: one a day, whose name changes when its
    edges do."""
    return [
        state.inside(lake / file.file, lake)
        for day, file in sorted(index(lake).items())
        if first <= day <= last
    ]


def days(lake: Path) -> list[dt.date]:
    """Days that have edges, in order."""
    return sorted(index(lake))


def size(lake: Path, day: dt.date) -> int:
    """The number of daily edges of a day."""
    file = index(lake).get(day)
    return file.rows if file else 0


def read(lake: Path, first: dt.date, last: dt.date, memory_limit: str) -> pa.Table:
    """The daily edges of some days, both ends included, sorted by key; columns `daily_edge.COLUMNS`."""
    return query(lake, first, last, edges.merged, memory_limit)


def read_pairs(lake: Path, first: dt.date, last: dt.date, memory_limit: str) -> pa.Table:
    """The same at the grain of detection, columns `daily_edge.PAIR_COLUMNS`. The kind of an account is that
    of the table of entities, otherwise what its name suggests."""
    pairs = query(lake, first, last, edges.pairs, memory_limit)
    entities = read_entities(lake)
    known = entities and entities.filter((pc.field("kind") == "user") & pc.field("account_kind").is_valid())
    if not known:
        return pairs
    kinds = known["account_kind"].take(pc.index_in(pairs["user"], known["name"]))
    column = pairs.column_names.index("user_kind")
    return pairs.set_column(column, "user_kind", pc.coalesce(kinds, pairs["user_kind"]))


def read_entities(lake: Path) -> pa.Table | None:
    """Who is who, columns as `ueba.contracts.names` lists them; None if there is no such table."""
    path = lake / "entities.parquet"
    if not state.is_there(path):
        return None
    stored = state.table(path, REMEDY)
    if "standing" not in stored.column_names:  # of a version that knew of none
        stored = stored.append_column("standing", pa.array(["{}"] * len(stored), pa.string()))
    with state.reading(path, REMEDY):
        state.compare_columns(stored.schema, names.COLUMNS)
    return stored


def administrators(lake: Path) -> set[str]:
    """Users with administrator rights, from events or from entity tables."""
    entities = read_entities(lake)
    if entities is None:
        return set()
    return {*entities.filter((pc.field("kind") == "user") & pc.field("is_admin"))["name"].to_pylist()}


# --- DuckDB -------------------------------------------------------------------------------------------------


def query(
    lake: Path, first: dt.date, last: dt.date, stage: Callable[[ir.Table], ir.Table], memory_limit: str
) -> pa.Table:
    """The daily edges of some days, both ends included, through an expression."""
    paths = stored(lake, first, last)
    for path in paths:
        state.check_columns(path, REMEDY, EDGES)
    with naming_damage(lake), connect(memory_limit) as connection:
        if paths:
            connection.read_parquet([literal(path) for path in paths], hive_partitioning=False).create_view(
                "stored"
            )
        else:
            connection.register("stored", daily_edge.SCHEMA.empty_table())
        return _fetch(connection, stage(ibis.table(edges.SCHEMA, name="stored")))


def literal(path: Path) -> str:
    """A path as DuckDB reads it: as it stands, not as a pattern that may match a neighbour, and not as one of
    the home folder. Raises WorkspaceError for a backslash, which separates folders in a pattern."""
    whole = str(path.absolute())
    if "\\" in whole:
        raise WorkspaceError(f"{path}: a path with a backslash cannot be read; call the folder otherwise")
    return re.sub(r"[*?\[]", r"[\g<0>]", whole)


def _fetch(connection: duckdb.DuckDBPyConnection, expression: ir.Table) -> pa.Table:
    table = connection.sql(ibis.to_sql(expression, dialect="duckdb")).to_arrow_table()
    # DuckDB adds integers up to 128 bits, which Arrow knows only as decimals.
    fields = [
        field.with_type(pa.int64()) if pa.types.is_decimal(field.type) else field for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def connect(memory_limit: str, temporary: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own, in memory. Times have no zone and mean UTC.

    memory_limit: beyond which it writes to disk, as `ingest.memory_limit` of the configuration
    temporary:    the folder that it then writes to; by default one of this process, `files.scratch`"""
    spill = temporary or files.scratch()
    config: dict[str, Any] = {
        "memory_limit": memory_limit,
        "preserve_insertion_order": "false",
        "temp_directory": str(spill),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    connection = duckdb.connect(config=config)
    # A progress bar would go to standard output.
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    connection.execute(MERGED)
    connection.execute(f"SET disabled_optimizers = '{HARMFUL}'")
    return connection
