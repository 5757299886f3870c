"""The events behind an edge, with the file and the line of each, so that a person can open the log there.

They are those that edges are counted from: each once, names resolved, views of one logon brought together (see `build`).
Leaves out evidence, which makes no edge, and the text of the record: that is in the log.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ueba.ingest import build, entities, lake
from ueba.ingest.events import KEPT, KEPT_SQL


def events(lake_root: Path, first: dt.datetime, last: dt.datetime, where: str = "TRUE", parameters: Sequence[Any] = ()) -> pa.Table:
    """The events of a span of time, UTC, both ends included, by time: `events.KEPT`, `witnesses`, `path` and `line`.

    where: SQL over these columns, with ? for each of `parameters`"""
    days = {day: parts for day, parts in build.parts_by_day(lake_root).items() if str(first.date()) <= day <= str(last.date())}
    paths = [(file["digest"], file["report"]["file"]) for held in lake.manifests(lake_root) for file in held["files"] if file]
    files = pa.table({"origin": [digest for digest, _ in paths], "path": [path for _, path in paths]})
    with lake.connect("1GB") as connection:
        if not all(build.is_plain(parts) for parts in days.values()):
            build.gather_evidence(connection, lake_root)
            entities.resolve(connection)
        connection.register("read_files", files)
        connection.execute("CREATE TABLE files AS SELECT origin, any_value(path) AS path FROM read_files GROUP BY origin")
        found = [
            connection.sql(
                f"SELECT {KEPT_SQL}, witnesses, path, line FROM ({build.events_sql(connection, day, days[day])})"
                f" LEFT JOIN files USING (origin) WHERE time BETWEEN ? AND ?"
                f" AND (action IS NULL OR action NOT IN ({build.EVIDENT})) AND ({where}) ORDER BY time, path, line",
                params=[first, last, *parameters],
            ).to_arrow_table()
            for day in sorted(days)
        ]
    return pa.concat_tables(found) if found else _NONE


_NONE = pa.table(
    {name: pa.array([], pa.string()) for name in KEPT}
    | {"time": pa.array([], pa.timestamp("us")), "witnesses": pa.array([], pa.int32()), "path": pa.array([], pa.string())}
    | {"line": pa.array([], pa.int64())}
)
