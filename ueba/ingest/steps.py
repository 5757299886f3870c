"""SQL in named steps: each step is a query, and running it makes the table of the step's name, from which
later steps read.

A pipeline is a list of steps, in a `.sql` file beside the module that runs it (`read`) or made in Python
where the SQL depends on the data. In a file a line `-- step: NAME` opens each step; what stands before the
first one says what the file is about. Values come as parameters: `$name` in SQL, `{"name": value}` in Python.

With the environment variable UEBA_SHOW_SQL=1 each step's name, SQL and row count are printed to standard
error; with UEBA_SHOW_SQL=NAME those of one step. Splink's pipelines of named tables gave the idea. Leaves
out: which steps are worth running again. All of them run.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ueba.text import visible

HEADING = re.compile(r"^-- step: (\w+)[ \t]*$", re.MULTILINE)
PARAMETER = re.compile(r"\$([A-Za-z_]\w*)")
SHOW = "UEBA_SHOW_SQL"

Parameters = Mapping[str, Any]  # name without $ -> any value that DuckDB binds


@dataclass(frozen=True)
class Step:
    """One query of a pipeline.

    name: of the table that it makes
    sql:  a SELECT, which may read the tables of earlier steps"""

    name: str
    sql: str


def read(path: Path) -> tuple[Step, ...]:
    """The steps of a `.sql` file, in order.

    Raises ValueError if the file has no step, or two of one name: a fault of the program."""
    _, *parts = HEADING.split(path.read_text(encoding="utf-8"))
    names, queries = parts[::2], parts[1::2]
    if not names or len({*names}) < len(names):
        raise ValueError(f"{path}: each step needs a line '-- step: NAME' with a name of its own")
    return tuple(Step(name, sql.strip()) for name, sql in zip(names, queries, strict=True))


def run(
    connection: duckdb.DuckDBPyConnection,
    steps: Iterable[Step],
    parameters: Parameters | None = None,
    temporary: bool = False,
) -> None:
    """Make the table of each step, in order.

    temporary: the tables are seen by this connection alone, not by other cursors of the database, and replace
    earlier ones of the same name"""
    create = "CREATE OR REPLACE TEMP TABLE" if temporary else "CREATE TABLE"
    for step in steps:
        execute(connection, Step(step.name, f"{create} {step.name} AS\n{step.sql}"), parameters)


def execute(
    connection: duckdb.DuckDBPyConnection, step: Step, parameters: Parameters | None = None
) -> int | None:
    """Run one statement under a name, `COPY ... TO` for example. Returns how many rows it wrote, None if it
    writes none. Parameters that the statement does not name are ignored, and so is a `$name` in a path or a
    regular expression."""
    begin = time.perf_counter()
    named = {*PARAMETER.findall(step.sql)}
    values = {name: value for name, value in (parameters or {}).items() if name in named}
    written = connection.execute(step.sql, values or None).fetchall()
    rows = int(written[0][0]) if written else None
    if os.environ.get(SHOW, "") in ("1", step.name):
        seconds = time.perf_counter() - begin
        count = "no rows" if rows is None else f"{rows:,} row{'s' * (rows != 1)}"
        sys.stderr.write(
            visible(f"-- step: {step.name}\n{step.sql.strip()};\n-- {count}, {seconds:.3f} s\n\n")
        )
    return rows
