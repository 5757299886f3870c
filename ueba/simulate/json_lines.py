"""JSON lines from columns: a record is written once, as a dictionary with <column> where a value goes.

Leaves out escaping: values are names, numbers and times that need none; one with a quote or a backslash is
an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ueba.errors import UsageError

Columns = Mapping[str, pa.Array]  # texts, [records] each
BARE = re.compile(r'"<<(\w+)>>"')  # a number: the quotes around it go


def fill(record: dict[str, Any], columns: Columns) -> pa.Array:
    """One line for each row of the columns, [records]. "<name>" is the column's text, "<<name>>" a number."""
    pieces = re.split(r"<(\w+)>", BARE.sub(r"<\1>", json.dumps(record, separators=(",", ":"))))
    used = {name: columns[name] for name in pieces[1::2]}
    for name, values in used.items():
        if pc.any(pc.match_substring_regex(values, r'["\\\x00-\x1f]')).as_py():
            raise UsageError(
                f"{name}: a quote, backslash or control character in a name cannot be written as JSON lines"
            )
    parts = [
        columns[piece] if number % 2 else pa.scalar(piece, pa.string()) for number, piece in enumerate(pieces)
    ]
    return pc.binary_join_element_wise(*parts, "")
