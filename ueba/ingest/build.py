"""The events of a day -> its daily edges: repeated events once, names resolved, views of one logon brought
together, counted.

A day's edges are a function of the set of files that were read, whatever the order in which they came and
however they overlap:

    repeated    An event with an `event_id` is there once. Others are equal if all columns are, and there are as many of them as
                in the file that has most: a line that is twice in one log is two events, the same line in a second copy is not.
    resolved    see `entities`
    witnessed   see `witnesses`

The name of the file of edges says what they were made of; a day is made again when that changes: late
events, or an alias that was learned since for a name of that day. Leaves out: an event that two kinds of log
tell, other than what `witnesses` brings together.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import ibis

from ueba.ingest import edges, events, lake
from ueba.ingest.identity import entities, evidence, tables, witnesses

COLUMNS = events.KEPT_SQL
EVIDENT = ", ".join(f"'{action}'" for action in events.EVIDENCE)


@dataclass(frozen=True)
class Part:
    """What one file has of a day.

    folder, file: where its events are: a folder of Parquet files, and its number in there
    digest:       of the file that was read
    span:         first and last time, ISO 8601
    how:          as its manifest has it
    """

    folder: Path
    file: int
    digest: str
    span: tuple[str, str]
    how: dict[str, Any]


def refresh(root: Path, temporary: Path, memory_limit: str, beside: Path | None = None) -> None:
    """Make the edges of all days anew that are not as events and entities say, and the table of entities.

    beside: another lake, whose knowledge of entities counts too"""
    days = parts_by_day(root)
    before = lake.index(root)
    with lake.connect(memory_limit, temporary) as connection:
        gather_evidence(connection, root, *([beside] if beside else []))
        entities.resolve(connection)
        digests = entities.day_digests(connection)
        names = {day: edges_file(day, parts, digests.get(day, "")) for day, parts in days.items()}
        missing = [day for day in sorted(days) if before.get(day, {}).get("file") != names[day]]
        for day in missing:
            (root / names[day]).parent.mkdir(parents=True, exist_ok=True)
        plain = [day for day in missing if is_plain(days[day])]
        count_plain_days(connection, {day: days[day] for day in plain})

        def make(day: str) -> int:
            path = temporary / f"edges-{day}.parquet"
            cursor = connection.cursor()
            if day in plain:
                day_edges = f"FROM plain_days WHERE day = DATE '{day}'"
            else:  # as a table: in one statement with what counts them, they take twice as long
                cursor.execute(f"CREATE TEMP TABLE day_events AS {events_sql(cursor, day, days[day])}")
                day_edges = counted("FROM day_events")
            copied = f"COPY ({day_edges}) TO '{quoted(path)}' (FORMAT parquet, PARQUET_VERSION V2)"
            rows = int(cursor.execute(copied).fetchall()[0][0])
            cursor.close()
            os.replace(path, root / names[day])
            return rows

        with ThreadPoolExecutor(os.cpu_count()) as workers:  # DuckDB gives one file of this size one thread
            made = dict(zip(missing, workers.map(make, missing), strict=True))
        keep_entities(connection, root, temporary)
    index = {
        day: {"file": name, "rows": made[day] if day in made else before[day]["rows"]}
        for day, name in names.items()
    }
    lake.write_json(temporary, root / "index.json", {"lake_version": lake.VERSION, "days": index})
    lake.clean(root)


def parts_by_day(root: Path) -> dict[str, list[Part]]:
    """Day -> what each file that counts has of it, in an order that does not depend on when they came."""
    held = lake.manifests(root)
    counting = lake.live(held)
    days: dict[str, list[Part]] = {}
    for manifest in held:
        folder = lake.events_folder(root, manifest["id"])
        for number in counting[manifest["id"]]:
            file = manifest["files"][number]
            for day, (first, last, _) in file["spans"].items():
                days.setdefault(day, []).append(
                    Part(folder, number, file["digest"], (first, last), file["how"])
                )
    return {day: sorted(parts, key=lambda part: part.digest) for day, parts in days.items()}


def edges_file(day: str, parts: list[Part], resolved: str) -> str:
    """The name of a day's edges in the lake's folder, by what they are made of."""
    made_of = [lake.VERSION, resolved, [(part.digest, part.how["settings"]) for part in parts]]
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    return f"edges/day={day}/{digest[:32]}.parquet"


def gather_evidence(connection: duckdb.DuckDBPyConnection, *roots: Path) -> None:
    """The tables `evidence`, `listed` and `listed_attribute`, of one lake or several."""
    columns = ", ".join(evidence.COLUMNS)
    parts = []
    for root in roots:
        held = lake.manifests(root)
        for batch, files in lake.live(held).items():
            if files:
                path, numbers = quoted(lake.evidence_file(root, batch)), ", ".join(map(str, files))
                parts.append(f"SELECT {columns} FROM read_parquet('{path}') WHERE file IN ({numbers})")
    connection.execute(f"CREATE TABLE evidence AS {' UNION ALL '.join(parts) or evidence.EMPTY}")
    tables.load(connection, roots)


def keep_entities(connection: duckdb.DuckDBPyConnection, root: Path, temporary: Path) -> None:
    written = temporary / "entities.parquet"
    entities.write(connection, written)
    os.replace(written, root / "entities.parquet")


def is_plain(parts: list[Part]) -> bool:
    """Whether a day's events are only to be counted."""
    return not may_repeat(parts) and not any(
        part.how["has_views"] or not part.how["canonical"] for part in parts
    )


def count_plain_days(connection: duckdb.DuckDBPyConnection, days: dict[str, list[Part]]) -> None:
    """The table `plain_days`: their edges, in one go."""
    files = {(part.folder, part.file) for parts in days.values() for part in parts}
    listed = ", ".join(f"DATE '{day}'" for day in days)
    sql = " UNION ALL ".join(
        f"SELECT {COLUMNS}, 0 AS witnesses FROM {rows_in(folder)}"
        f" WHERE file = {file} AND dropped IS NULL AND time::DATE IN ({listed})"
        for folder, file in sorted(files)
    )
    if sql:
        connection.execute(f"CREATE TABLE plain_days AS {counted(sql)}")


def counted(witnessed: str) -> str:
    """SQL: the daily edges of events of `witnesses.bring_together`."""
    sql: str = ibis.to_sql(edges.daily(ibis.table(edges.WITNESSED, name="witnessed")), dialect="duckdb")
    return sql.replace('"witnessed"', f"({witnessed})")


def events_sql(connection: duckdb.DuckDBPyConnection, day: str, parts: list[Part]) -> str:
    """SQL: the events of a day, each once, resolved, with `witnesses`. What the day has no need of is left
    out: it takes time."""
    sql = " UNION ALL ".join(
        f"SELECT {COLUMNS}, line, '{part.digest}' AS origin FROM {rows_in(part.folder)}"
        f" WHERE file = {part.file} AND dropped IS NULL AND time >= DATE '{day}' AND time < DATE '{day}' + 1"
        for part in parts
    )
    if may_repeat(parts) and has_repeated(connection, sql):
        sql = unique(sql)
    if not all(part.how["canonical"] for part in parts):
        has_addresses = connection.execute("SELECT count(*) FROM address_alias").fetchall()
        sql = entities.resolved(f"({sql})", with_addresses=has_addresses != [(0,)])
    if any(part.how["has_views"] for part in parts):
        return witnesses.bring_together(connection, sql)
    return f"SELECT *, 0 AS witnesses FROM ({sql})"


def may_repeat(parts: list[Part]) -> bool:
    """Whether an event may be there twice: files tell of the same time, or an identity may come twice in one
    file."""
    spans = sorted(part.span for part in parts)
    overlap = any(later[0] <= earlier[1] for earlier, later in zip(spans, spans[1:], strict=False))
    return overlap or any(part.how["has_ids"] for part in parts)


KEY = f"CASE WHEN event_id IS NULL THEN hash({COLUMNS}) ELSE hash(event_id, time) END"  # what equal events have in common


def has_repeated(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether there are equal events at all."""
    found = connection.execute(f"SELECT count(*) > count(DISTINCT {KEY}) FROM ({sql})").fetchall()
    return found == [(True,)]


def unique(sql: str) -> str:
    """SQL: events that are there once, however many files have them."""
    return f"""
    SELECT * EXCLUDE (key, copy) FROM (
        SELECT *, row_number() OVER (PARTITION BY key, origin ORDER BY line) AS copy FROM (SELECT *, {KEY} AS key FROM ({sql})))
    QUALIFY row_number() OVER (PARTITION BY key, CASE WHEN event_id IS NULL THEN copy END ORDER BY origin, line) = 1"""


def rows_in(folder: Path) -> str:
    """SQL: all rows of a batch's events."""
    return f"read_parquet('{quoted(folder)}/*.parquet', hive_partitioning = false)"


def quoted(path: Path | str) -> str:
    """As it stands in SQL between quotes."""
    return str(path).replace("'", "''")


def count_edges(root: Path, temporary: Path, manifest: lake.Manifest) -> None:
    """Put into the reports of a batch how many daily edges its files make. On days that they share, each
    counts its own."""
    index = lake.index(root)
    alone = {day: index[day]["rows"] for day, parts in parts_by_day(root).items() if len(parts) == 1}
    shared: dict[tuple[int, str], int] = {}
    days = {day for file in manifest["files"] if file for day in file["spans"]} - set(alone)
    if days:
        key = ", ".join(f'"{name}"' for name in edges.KEY[1:])
        listed = ", ".join(f"DATE '{day}'" for day in sorted(days))
        rows_of_batch = rows_in(lake.events_folder(root, manifest["id"]))
        with lake.connect("1GB", temporary) as connection:
            rows = connection.execute(
                f"SELECT file, day, count(*) FROM (SELECT DISTINCT file, time::DATE AS day, {key}"
                f" FROM {rows_of_batch} WHERE dropped IS NULL AND time::DATE IN ({listed})"
                f" AND (action IS NULL OR action NOT IN ({EVIDENT}))) GROUP BY file, day"
            ).fetchall()
        shared = {(file, str(day)): count for file, day, count in rows}
    for number, file in enumerate(manifest["files"]):
        if file:
            file["report"]["edges"] = sum(
                alone.get(day) or shared.get((number, day), 0) for day in file["spans"]
            )
    lake.write_json(temporary, lake.manifest_path(root, manifest["id"]), manifest)
