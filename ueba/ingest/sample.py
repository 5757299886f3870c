"""The first records of a file, by which it is decided how it is read: they are all that anybody knows of a
file before it is read whole.

Leaves out who decides: `opening` (what stands around the records) and `sources` (what they are).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

DEEPEST = 100  # levels of JSON
HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a surrogate pair, perhaps with the other half


@dataclass(frozen=True)
class Sample:
    """The first records of a file.

    path:     for messages
    records:  texts, laid bare; the last may be truncated
    modified: when the file was last written, UTC without zone; now for a pipe
    columns:  the names of columns as the file writes them, if the records were rows of a table
    whole:    the lines of the whole file, once more, in blocks
    """

    path: str
    records: tuple[str, ...]
    modified: dt.datetime
    columns: tuple[str, ...] = ()
    whole: Callable[[], Iterator[bytes]] | None = None

    @property
    def first(self) -> str:
        return self.records[0] if self.records else ""

    def lines(self) -> Iterator[bytes]:
        """The lines of the file in blocks; the first records if it cannot be read again."""
        return self.whole() if self.whole else iter(["\n".join(self.records).encode()])

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The records that are JSON objects."""
        parsed = map(parse_json, self.records)
        return [record for record in parsed if isinstance(record, dict)]

    @property
    def is_json(self) -> bool:
        """Whether most records are JSON objects: whoever writes one line decides nothing about the others."""
        return 2 * len(self.objects) > sum(map(bool, self.records))


def parse_json(text: str) -> Any:
    """The value of a JSON text. None if it is not JSON, if it has half of a surrogate pair, which DuckDB
    refuses too, or if it is nested more than DEEPEST levels, as those who walk through it recurse."""
    try:
        found = json.loads(text)
        if HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    may_be_deep = text.count("{") + text.count("[") > DEEPEST
    return None if may_be_deep and is_deeper(found, DEEPEST) else found


def is_deeper(value: Any, levels: int) -> bool:
    """Whether a JSON value has objects or lists in one another, more than so many levels."""
    inner = [value]
    for _ in range(levels + 1):
        inner = [
            member
            for outer in inner
            if isinstance(outer, dict | list)
            for member in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(inner)
