"""Names from logs, made safe to look at. Leaves out escaping for HTML and XML; the libraries that write
those do it."""

from __future__ import annotations

import re
from typing import Any


def plain(value: Any) -> str:
    """Text for a person: what a log smuggled into a name (control characters, turned writing direction) is
    shown and not obeyed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))


def shortened(value: Any, most: int) -> str:
    """The same in at most so many characters: its beginning and its end."""
    text = plain(value)
    head = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - head]}…{text[len(text) - head :]}"


# What a spreadsheet takes for a formula at the beginning of a cell, also those of full width; and where a
# cell may begin: a spreadsheet may be set to another separator than the file has.
_FORMULA = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_BEGIN = "^|[,;\t\r\n]"


def in_a_cell(text: str) -> str:
    """A text of which no spreadsheet takes a part for a formula: there is an apostrophe before what would be
    one, and before an apostrophe in such a place, so that `out_of_a_cell` gives the text back."""
    return re.sub(f"({_BEGIN})(?=[{_FORMULA}'])", r"\1'", text)


def out_of_a_cell(cell: str) -> str:
    """What `in_a_cell` was given."""
    return re.sub(f"({_BEGIN})'", r"\1", cell)
