"""The events of a day -> its daily edges, in steps: each event once, names resolved, views of one logon
merged, counted.

The edges of a day are a function of the set of files that were read, whatever the order in which they came
and however they overlap:

    day_record      the events of all files that count
    day_unique      An event with an `event_id` is there once. Others are equal if all columns are, and there
                    are as many of them as in the file that has most: a line that is twice in one log is two
                    events, the same line in a second copy of the log is not.
    day_resolved    each name replaced by its entity, see `entities`
    witnessed       views of one logon merged, see `witnesses`

A step that a day does not need is left out: it takes time. The name of a file of edges is a hash of what they
are made from, so a day is made again when that changes: late events, or an alias that was learned since for a
name of that day. Leaves out: one event in two kinds of log, except what `witnesses` merges.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import duckdb
import ibis
import msgspec

from ueba import state
from ueba.contracts.event import EVIDENCE
from ueba.contracts.manifest import LAKE_VERSION, DayFile, Manifest, ManifestFile, Span
from ueba.ingest import edges, events, lake
from ueba.ingest.identity import entities, evidence, tables, witnesses
from ueba.ingest.steps import Step, execute, run

COLUMNS = events.KEPT_SQL
MAKES_EDGE = f"(action IS NULL OR action NOT IN ({', '.join(map(repr, EVIDENCE))}))"  # SQL
IDENTITY = f"CASE WHEN event_id IS NULL THEN hash({COLUMNS}) ELSE hash(event_id, time) END"  # of equal events
UNIQUE = f"""
SELECT * EXCLUDE (identity, copy) FROM (
    SELECT *, row_number() OVER (PARTITION BY identity, origin ORDER BY line) AS copy
    FROM (SELECT *, {IDENTITY} AS identity FROM day_record)
)
QUALIFY row_number() OVER (
    PARTITION BY identity, CASE WHEN event_id IS NULL THEN copy END ORDER BY origin, line
) = 1"""


class Part(NamedTuple):
    """The events that one file has of a day.

    folder: the Parquet files of its batch
    number: of the file in its batch
    """

    folder: Path
    number: int
    file: ManifestFile
    span: Span


Parts = list[Part]  # of one day, in an order that does not depend on when the files came


def refresh(root: Path, temporary: Path, memory_limit: str, beside: Path | None = None) -> None:
    """Make the daily edges again of every day whose events or entities have changed, and the table of
    entities.

    beside: another lake, whose evidence and entity tables count too"""
    days = parts_by_day(root)
    before = lake.index(root)
    roots = [root, beside] if beside else [root]
    with lake.naming_damage(*roots), lake.connect(memory_limit, temporary) as connection:
        gather_evidence(connection, *roots)
        entities.resolve(connection)
        resolved = entities.day_digests(connection)
        names = {day: edges_file(day, parts, resolved.get(day, "")) for day, parts in days.items()}
        index = {
            day: before[day]
            for day, name in names.items()
            if day in before and before[day].file == name and (root / name).is_file()
        }
        index |= _make_days(
            connection, root, temporary, {day: days[day] for day in days if day not in index}, names
        )
        keep_entities(connection, root, temporary)
    lake.write_index(root, dict(sorted(index.items())))
    lake.clean(root)


def parts_by_day(root: Path) -> dict[dt.date, Parts]:
    """The days of a lake, in order, and the events that each file that counts has of them."""
    days: dict[dt.date, Parts] = {}
    stored = lake.manifests(root)
    folders = {batch.id: lake.events_folder(root, batch.id) for batch in stored}
    for batch, number, file in lake.live_files(stored):
        for day, span in file.spans.items():
            days.setdefault(day, []).append(Part(folders[batch], number, file, span))
    return {day: sorted(parts, key=lambda part: part.file.digest) for day, parts in sorted(days.items())}


def edges_file(day: dt.date, parts: Parts, resolved: str) -> str:
    """The name of the file of a day's edges, in the lake's folder: a hash of what they are made from.

    resolved: a hash of what the resolution of entities changes on that day"""
    content = [LAKE_VERSION, resolved, [(part.file.digest, part.file.settings) for part in parts]]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"edges/day={day}/{digest[:32]}.parquet"


# --- what is known of entities ------------------------------------------------------------------------------


def gather_evidence(connection: duckdb.DuckDBPyConnection, *roots: Path) -> None:
    """Make the tables `evidence`, `listed` and `listed_attribute` of one lake or several."""
    run(connection, [Step("evidence", _evidence_sql(roots))])
    tables.load(connection, roots)


def _evidence_sql(roots: Iterable[Path]) -> str:
    columns = ", ".join(evidence.COLUMNS)
    numbers: dict[Path, list[int]] = {}
    for root in roots:
        for batch, number, _ in lake.live_files(lake.manifests(root)):
            path = lake.evidence_file(root, batch)
            if path not in numbers:
                lake.check_evidence(root, batch)
            numbers.setdefault(path, []).append(number)
    queries = [
        f"SELECT {columns} FROM read_parquet('{quoted(lake.literal(path))}')\n"
        f"WHERE file IN ({', '.join(map(str, files))})"
        for path, files in numbers.items()
    ]
    return "\nUNION ALL ".join(queries) or evidence.EMPTY


def keep_entities(connection: duckdb.DuckDBPyConnection, root: Path, temporary: Path) -> None:
    """Write the table of entities into the lake."""
    path = temporary / "entities.parquet"
    entities.write(connection, path)
    os.replace(path, root / "entities.parquet")
    state.seal(root / "entities.parquet")


# --- the edges of a day -------------------------------------------------------------------------------------


def _make_days(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    temporary: Path,
    days: dict[dt.date, Parts],
    names: dict[dt.date, str],
) -> dict[dt.date, DayFile]:
    """Write the edges of some days, each into the file of its name."""
    check_parts(root, days)
    _count_plain_days(connection, {day: parts for day, parts in days.items() if is_plain(parts)})

    def make(day: dt.date) -> DayFile:
        path, target = temporary / f"edges-{day}.parquet", root / names[day]
        rows = _write_day(connection, day, days[day], path)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        state.seal(target)
        return DayFile(names[day], rows)

    with ThreadPoolExecutor(os.cpu_count()) as workers:  # DuckDB gives one file of this size one thread
        return dict(zip(days, workers.map(make, days), strict=True))


def check_parts(root: Path, days: dict[dt.date, Parts]) -> None:
    """Raises WorkspaceError if a file with events of these days is damaged."""
    folders = {part.folder: None for parts in days.values() for part in parts}
    for folder in folders:
        lake.check_batch(root, folder.name.removeprefix("batch="))


def _write_day(connection: duckdb.DuckDBPyConnection, day: dt.date, parts: Parts, path: Path) -> int:
    """Write the edges of a day to a file. Returns how many they are."""
    with connection.cursor() as cursor:  # it has temporary tables of its own
        if is_plain(parts):
            rows = f"FROM plain_days WHERE day = DATE '{day}'"
        else:
            rows = counted(make_day_events(cursor, day, parts))
        copy = Step("day_edges", f"COPY ({rows}) TO '{quoted(path)}' (FORMAT parquet, PARQUET_VERSION V2)")
        return execute(cursor, copy) or 0


def is_plain(parts: Parts) -> bool:
    """Whether the events of a day need no step before they are counted."""
    return not may_repeat(parts) and all(part.file.canonical and not part.file.has_views for part in parts)


def _count_plain_days(connection: duckdb.DuckDBPyConnection, days: dict[dt.date, Parts]) -> None:
    """Make the table `plain_days`, the edges of days that need no step, at once."""
    folders = by_folder(part for parts in days.values() for part in parts)
    dates = ", ".join(f"DATE '{day}'" for day in days)
    rows = "\nUNION ALL ".join(
        f"SELECT {COLUMNS}, 0 AS witnesses FROM {rows_in(folder)}"
        f" WHERE file IN ({numbers(parts)}) AND dropped IS NULL AND time::DATE IN ({dates})"
        for folder, parts in folders.items()
    )
    if rows:
        run(connection, [Step("plain_days", counted(f"({rows})"))])


def counted(witnessed: str) -> str:
    """SQL: the daily edges of events. witnessed: a table, or SQL in brackets, columns `edges.WITNESSED`"""
    sql: str = ibis.to_sql(edges.daily(ibis.table(edges.WITNESSED, name="witnessed")), dialect="duckdb")
    return sql.replace('"witnessed"', witnessed)


def make_day_events(connection: duckdb.DuckDBPyConnection, day: dt.date, parts: Parts) -> str:
    """Make temporary tables of the events of a day: each once, resolved, views of one logon merged.

    Needs the tables of `entities.resolve`. Returns SQL that reads the events as a table, columns
    `edges.WITNESSED`, `line` and `origin` (the digest of the file); valid until the next call with the same
    connection."""

    def step(name: str, sql: str) -> str:
        run(connection, [Step(name, sql)], temporary=True)
        return name

    table = step("day_record", records(day, parts))
    if may_repeat(parts) and _has_repeated(connection):
        table = step("day_unique", UNIQUE)
    if not all(part.file.canonical for part in parts):
        has_addresses = connection.execute("SELECT count(*) FROM address_alias").fetchall() != [(0,)]
        table = step("day_resolved", entities.resolved(table, has_addresses))
    if any(part.file.has_views for part in parts):
        return f"({witnesses.bring_together(connection, f'FROM {table}')})"
    return f"(SELECT *, 0 AS witnesses FROM {table})"


def records(day: dt.date, parts: Parts) -> str:
    """SQL: the events of a day as they were read."""
    return "\nUNION ALL ".join(
        f"SELECT {COLUMNS}, line, origin FROM {rows_in(folder)} JOIN ({origins(parts)}) USING (file)"
        f" WHERE file IN ({numbers(parts)}) AND dropped IS NULL"
        f" AND time >= DATE '{day}' AND time < DATE '{day}' + 1"
        for folder, parts in by_folder(parts).items()
    )


def by_folder(parts: Iterable[Part]) -> dict[Path, Parts]:
    """Parts by the folder of their batch, so that a batch of thousands of files is read once."""
    folders: dict[Path, Parts] = {}
    for part in parts:
        folders.setdefault(part.folder, []).append(part)
    return dict(sorted(folders.items()))


def numbers(parts: Parts) -> str:
    """SQL: the numbers of files of one batch."""
    return ", ".join(map(str, sorted({part.number for part in parts})))


def origins(parts: Parts) -> str:
    """SQL: the digest of each file of one batch, by its number."""
    rows = ", ".join(f"({part.number}, '{part.file.digest}')" for part in parts)
    return f"SELECT * FROM (VALUES {rows}) AS origins(file, origin)"


def may_repeat(parts: Parts) -> bool:
    """Whether an event may be there twice: the times of files overlap, or an `event_id` may come twice in
    one file."""
    spans = sorted(part.span for part in parts)
    overlap = any(later.first <= earlier.last for earlier, later in zip(spans, spans[1:], strict=False))
    return overlap or any(part.file.has_ids for part in parts)


def _has_repeated(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether `day_record` has equal events at all."""
    found = connection.execute(f"SELECT count(*) > count(DISTINCT {IDENTITY}) FROM day_record").fetchall()
    return found == [(True,)]


def rows_in(folder: Path) -> str:
    """SQL: all rows of the events of a batch."""
    return f"read_parquet('{quoted(lake.literal(folder))}/*.parquet', hive_partitioning = false)"


def quoted(path: Path | str) -> str:
    """A path as it stands in SQL between quotes."""
    return str(path).replace("'", "''")


# --- how many edges a file makes ----------------------------------------------------------------------------


def count_edges(root: Path, temporary: Path, memory_limit: str, new: Iterable[Manifest]) -> None:
    """Put into the reports of batches how many daily edges their files make. On a day with several files,
    each counts its own."""
    index = lake.index(root)
    alone = {day: index[day].rows for day, parts in parts_by_day(root).items() if len(parts) == 1}
    for batch in new:
        shared: dict[tuple[int, dt.date], int] = {}
        if days := {day for file in batch.files if file for day in file.spans} - set(alone):
            with lake.naming_damage(root), lake.connect(memory_limit, temporary) as connection:
                rows = connection.execute(_edges_by_file(lake.events_folder(root, batch.id), days)).fetchall()
            shared = {(number, day): count for number, day, count in rows}
        files = tuple(
            file and with_edges(file, number, alone, shared) for number, file in enumerate(batch.files)
        )
        lake.write_manifest(root, msgspec.structs.replace(batch, files=files))


def with_edges(
    file: ManifestFile, number: int, alone: Mapping[dt.date, int], shared: Mapping[tuple[int, dt.date], int]
) -> ManifestFile:
    """A file of a batch with the number of its daily edges. alone: of days that have one file; shared: of a
    file's number in its batch and a day that has several"""
    count = sum(alone.get(day) or shared.get((number, day), 0) for day in file.spans)
    return msgspec.structs.replace(file, report=msgspec.structs.replace(file.report, edges=count))


def _edges_by_file(folder: Path, days: Iterable[dt.date]) -> str:
    """SQL: the number of daily edges by file and day, names as they were read."""
    key = ", ".join(f'"{name}"' for name in edges.KEY[1:])
    dates = ", ".join(f"DATE '{day}'" for day in sorted(days))
    return f"""
    SELECT file, day, count(*) FROM (
        SELECT DISTINCT file, time::DATE AS day, {key} FROM {rows_in(folder)}
        WHERE dropped IS NULL AND time::DATE IN ({dates}) AND {MAKES_EDGE}
    ) GROUP BY file, day"""
