"""Names from logs as text that is safe to show. Leaves out escaping for HTML and XML; the libraries that
write those do it."""

from __future__ import annotations

import re
from typing import Any


def plain(value: Any) -> str:
    """A value as text for a person. Control characters and changes of the writing direction, which a log may
    have in a name, are shown and have no effect."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))


def shortened(value: Any, most: int) -> str:
    """A value as `plain` text of at most `most` characters: its beginning and its end."""
    text = plain(value)
    head = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - head]}…{text[len(text) - head :]}"


# A spreadsheet takes a cell that begins with one of these for a formula, also those of full width. A cell may
# begin after any of these separators: a spreadsheet may be set to another one than the file has.
_FORMULA = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_BEGIN = "^|[,;\t\r\n]"


def in_a_cell(text: str) -> str:
    """A text as the content of a cell, no part of which a spreadsheet takes for a formula: with an apostrophe
    before each such part. An apostrophe in such a place also gets one, so that `out_of_a_cell` returns the
    text."""
    return re.sub(f"({_BEGIN})(?=[{_FORMULA}'])", r"\1'", text)


def out_of_a_cell(cell: str) -> str:
    """The text of a cell that `in_a_cell` made."""
    return re.sub(f"({_BEGIN})'", r"\1", cell)
