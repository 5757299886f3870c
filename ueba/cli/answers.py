"""Answers of the graph at the terminal: how many rows, how long, and how much of a value is shown.

`graph.query_rows` and `graph.query_timeout_s` bound a query; `--limit` and `--timeout` say otherwise for one.
A table shows the beginning and the end of a long value, the other formats show it whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ueba.cli import output
from ueba.text import shortened

if TYPE_CHECKING:
    import pandas as pd

    from ueba.config import Config

LONGEST_VALUE = 2_000  # characters of a value in a table


@dataclass(frozen=True)
class Bounds:
    """rows: at most that many; timeout_s: seconds after which a query is ended"""

    rows: int
    timeout_s: float

    @property
    def asked(self) -> int:
        """Rows to ask for: one more than are shown, which tells whether there are more."""
        return self.rows + 1


def bounds(config: Config, limit: int | None, timeout: float | None) -> Bounds:
    """What the options of a call say, and the settings where they say nothing."""
    return Bounds(limit or config.graph.query_rows, timeout or config.graph.query_timeout_s)


def emit(
    found: pd.DataFrame, bounds: Bounds, output_format: str, version: int, columns: Sequence[str]
) -> None:
    """Print the rows of an answer, and say so if there are more. version: of the kind of record"""
    from ueba.tables import records

    rows = records(found.head(bounds.rows))
    if output_format == "table":
        rows = [{name: in_a_table(value) for name, value in row.items()} for row in rows]
    output.emit(rows, output_format, version, columns)
    if len(found) > bounds.rows:
        output.note(f"cut at {bounds.rows:,} rows; --limit shows more, and graph.query_rows is its default")


def in_a_table(value: Any) -> Any:
    """A value without its middle, if it is very long."""
    if isinstance(value, list):
        return [in_a_table(item) for item in value]
    if isinstance(value, str | dict):
        return shortened(value, LONGEST_VALUE) if len(str(value)) > LONGEST_VALUE else value
    return value
