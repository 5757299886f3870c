"""The events behind an edge, with the file and the line of each, so that a person can open the log there.

They are those that edges are counted from: each once, names resolved, views of one logon merged (see
`build`). Leaves out evidence, which makes no edge, and the text of the record: that is in the log.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pandas as pd
import pyarrow as pa

from ueba.contracts.edge import Edge
from ueba.ingest import build, lake
from ueba.ingest.events import KEPT
from ueba.ingest.identity import entities

COLUMNS = (*KEPT, "witnesses", "path", "line")
EDGE = ", ".join(f'"{name}"' for name in Edge._fields)  # SQL


class Selection(NamedTuple):
    """Which events of a span of time.

    where: SQL over COLUMNS, with ? for each of `parameters`
    most:  of each day's edge, the first so many; None for all
    """

    where: str = "TRUE"
    parameters: Sequence[Any] = ()
    most: int | None = None


ALL = Selection()


def events(
    root: Path,
    first: dt.datetime,
    last: dt.datetime,
    memory_limit: str,
    selection: Selection = ALL,
    columns: Sequence[str] = COLUMNS,
) -> pa.Table:
    """The events of a span of time, UTC, both ends included, by time; `columns` of COLUMNS. Texts are
    dictionary-encoded."""
    sql = _query(selection, columns)
    parameters = [first, last, *selection.parameters]
    days = {
        day: parts for day, parts in build.parts_by_day(root).items() if first.date() <= day <= last.date()
    }
    build.check_parts(root, days)
    with lake.naming_damage(root), lake.connect(memory_limit) as connection:
        _make_files(connection, root)
        if not all(map(build.is_plain, days.values())):
            build.gather_evidence(connection, root)
            entities.resolve(connection)
        found = [_day(connection, day, parts, sql, parameters) for day, parts in days.items()]
    return pa.concat_tables([_NONE.select(columns), *found]).unify_dictionaries().combine_chunks()


def _query(selection: Selection, columns: Sequence[str]) -> str:
    """SQL over `{events}`, with ? for the span of time and for the parameters."""
    few = ""
    if selection.most is not None:
        few = (
            f"QUALIFY row_number() OVER (PARTITION BY {EDGE} ORDER BY time, path, line) <= {selection.most:d}"
        )
    quoted = ", ".join(f'"{name}"' for name in columns)
    return (
        f"SELECT {quoted} FROM {{events}} LEFT JOIN files USING (origin)"
        f" WHERE time BETWEEN ? AND ? AND {build.MAKES_EDGE} AND ({selection.where}) {few}"
        " ORDER BY time, path, line"
    )


def _make_files(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Make the table `files`: the digest of each file of a lake (`origin`), and its path."""
    paths = {file.digest: file.report.file for batch in lake.manifests(root) for file in batch.files if file}
    connection.register("read_files", pa.table({"origin": [*paths], "path": [*paths.values()]}))
    connection.execute("CREATE TABLE files AS FROM read_files")


def _day(
    connection: duckdb.DuckDBPyConnection,
    day: dt.date,
    parts: build.Parts,
    sql: str,
    parameters: list[Any],
) -> pa.Table:
    """What a query finds in the `{events}` of one day, so that no more than a day of texts is not
    dictionary-encoded."""
    with connection.cursor() as cursor:
        if build.is_plain(parts):
            events = f"(SELECT *, 0 AS witnesses FROM ({build.records(day, parts)}))"
        else:
            events = build.make_day_events(cursor, day, parts)
        table = cursor.sql(sql.replace("{events}", events), params=parameters).to_arrow_table()
    return pa.table({name: _encoded(table[name]) for name in table.column_names})


def _encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.dictionary_encode() if pa.types.is_string(column.type) else column


def of_edges(
    root: Path, edges: pd.DataFrame, memory_limit: str, most: int | None = None
) -> dict[Edge, list[dict[str, Any]]]:
    """The events of some edges of a day, by edge, each by time; no events if the lake no longer has them.

    edges: has the four parts of an edge, first_seen and last_seen; most: of each edge, the first so many"""
    keys = [Edge(*row) for row in edges[list(Edge._fields)].itertuples(index=False, name=None)]
    found: dict[Edge, list[dict[str, Any]]] = {key: [] for key in keys}
    if keys and most != 0 and root.exists():
        first, last = edges["first_seen"].min().to_pydatetime(), edges["last_seen"].max().to_pydatetime()
        is_one = f"[{EDGE}] IN (SELECT unnest(?::VARCHAR[][]))"
        selection = Selection(is_one, [[list(key) for key in keys]], most)
        for event in events(root, first, last, memory_limit, selection).to_pylist():
            found[Edge(*(event[name] for name in Edge._fields))].append(event)
    return found


_TYPES = {"time": pa.timestamp("us"), "witnesses": pa.int32(), "line": pa.int64()}
_NONE = pa.table(
    {name: pa.array([], _TYPES.get(name, pa.dictionary(pa.int32(), pa.string()))) for name in COLUMNS}
)
