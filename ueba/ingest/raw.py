"""The events behind an edge, with the file and the line of each, so that a person can open the log there.

They are those that edges are counted from: each once, names resolved, views of one logon brought together
(see `build`). Leaves out evidence, which makes no edge, and the text of the record: that is in the log.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from ueba.ingest import build, lake
from ueba.ingest.events import KEPT
from ueba.ingest.identity import entities

COLUMNS = (*KEPT, "witnesses", "path", "line")

_EDGE = ("user", "source", "target", "target_kind")  # what tells an edge of a day


def events(
    lake_root: Path,
    first: dt.datetime,
    last: dt.datetime,
    where: str = "TRUE",
    parameters: Sequence[Any] = (),
    most: int | None = None,
    columns: Sequence[str] = COLUMNS,
) -> pa.Table:
    """The events of a span of time, UTC, both ends included, by time; of COLUMNS those that are wanted.
    Texts are held once, with their number in each row (dictionary-encoded).

    where: SQL over COLUMNS, with ? for each of `parameters`; most: of a day's edge, the first so many"""
    few = (
        ""
        if most is None
        else f"QUALIFY row_number() OVER (PARTITION BY {', '.join(_EDGE)} ORDER BY time, path, line) <= {most:d}"
    )
    days = {
        day: parts
        for day, parts in build.parts_by_day(lake_root).items()
        if str(first.date()) <= day <= str(last.date())
    }
    paths = [
        (file["digest"], file["report"]["file"])
        for held in lake.manifests(lake_root)
        for file in held["files"]
        if file
    ]
    wanted = ", ".join(f'"{name}"' for name in columns)
    files = pa.table({"origin": [digest for digest, _ in paths], "path": [path for _, path in paths]})
    with lake.connect("1GB") as connection:
        if not all(build.is_plain(parts) for parts in days.values()):
            build.gather_evidence(connection, lake_root)
            entities.resolve(connection)
        connection.register("read_files", files)
        connection.execute(
            "CREATE TABLE files AS SELECT origin, any_value(path) AS path FROM read_files GROUP BY origin"
        )
        found = [
            _encoded(
                connection,
                f"SELECT {wanted} FROM ({build.events_sql(connection, day, days[day])})"
                f" LEFT JOIN files USING (origin) WHERE time BETWEEN ? AND ?"
                f" AND (action IS NULL OR action NOT IN ({build.EVIDENT})) AND ({where}) {few} ORDER BY time, path, line",
                [first, last, *parameters],
            )
            for day in sorted(days)
        ]
    return pa.concat_tables([_NONE.select(columns), *found]).unify_dictionaries().combine_chunks()


def _encoded(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any]) -> pa.Table:
    """What SQL finds, texts once each: a day at a time, so that no more than a day's are there many times
    over."""
    table = connection.sql(sql, params=parameters).to_arrow_table()
    return pa.table({name: _once(table[name]) for name in table.column_names})


def _once(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.dictionary_encode() if pa.types.is_string(column.type) else column


def of_edges(
    lake_root: Path, edges: pd.DataFrame, most: int | None = None
) -> dict[tuple[str, str | None, str, str], list[dict[str, Any]]]:
    """The events of some edges of a day, by (user, source, target, target_kind), each by time; none of what
    the lake does not hold any more.

    edges: these columns, first_seen and last_seen; most: of each edge, the first so many"""
    keys = list(edges[list(_EDGE)].itertuples(index=False, name=None))
    found: dict[tuple[str, str | None, str, str], list[dict[str, Any]]] = {key: [] for key in keys}
    if keys and most != 0 and lake_root.exists():
        span = edges["first_seen"].min().to_pydatetime(), edges["last_seen"].max().to_pydatetime()
        mine = f"[{', '.join(_EDGE)}] IN (SELECT unnest(?::VARCHAR[][]))"
        for event in events(lake_root, *span, mine, [[list(key) for key in keys]], most).to_pylist():
            found[event["user"], event["source"], event["target"], event["target_kind"]].append(event)
    return found


_TYPES = {"time": pa.timestamp("us"), "witnesses": pa.int32(), "line": pa.int64()}
_NONE = pa.table(
    {name: pa.array([], _TYPES.get(name, pa.dictionary(pa.int32(), pa.string()))) for name in COLUMNS}
)
