"""Names from logs as text that is safe to show, in a line, in a paragraph, as JSON and in a cell.

What has no printed form is written as its escape, `\\x1b` or `\\u202e`: control characters, changes of the
writing direction, separators of lines and paragraphs, half of a surrogate pair, characters without a
meaning. Leaves out escaping for HTML and XML; the libraries that write those do it.
"""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST_NAME = 400  # characters of a name, which has no blanks, in a text for people
LONGEST_LINE = 2_000  # characters of a line for people


def plain(value: Any) -> str:
    """A value as text for a person. Control characters and changes of the writing direction, which a log may
    have in a name, are shown and have no effect."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def visible(text: str) -> str:
    """Text of several lines for a person: line breaks stay, all else is as `plain` has it."""
    return "\n".join(map(plain, text.split("\n")))


def shortened(value: Any, most: int) -> str:
    """A value as `plain` text of at most `most` characters: its beginning and its end."""
    text = plain(value)
    head = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - head]}…{text[len(text) - head :]}"


def brief(value: Any) -> str:
    """A value as `plain` text in one line that a person reads: of a long name and of a long line the
    beginning and the end."""
    text = plain(value)
    if len(text) > LONGEST_NAME:
        text = re.sub(f"[^ ]{{{LONGEST_NAME + 1},}}", lambda name: shortened(name[0], LONGEST_NAME), text)
    return shortened(text, LONGEST_LINE)


def as_json(content: Any, indent: int | None = None) -> str:
    """JSON for programs that is safe to show too: any character that has no printed form is written as
    `\\uXXXX`. What JSON does not know is written as text."""
    return _escaped(json.dumps(content, indent=indent, default=str, ensure_ascii=False))


def ascii_json(content: Any, indent: int | None = None) -> str:
    """The same in ASCII. Raises ValueError for a number and TypeError for a value that JSON does not
    know."""
    return _escaped(json.dumps(content, indent=indent, allow_nan=False))


def _escaped(written: str) -> str:
    """JSON with escapes for the characters that no terminal should get; outside of its strings there are none
    of them."""
    return re.sub(
        r"[^\x20-\x7e\n]", lambda found: found[0] if found[0].isprintable() else _escape(found[0]), written
    )


def _escape(character: str) -> str:
    """`\\u202e`, or two of them for a character beyond U+FFFF."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return re.sub("....", r"\\u\g<0>", units)


# A spreadsheet takes a cell that begins with one of these for a formula, also those of full width and other
# forms. A cell may begin after any of these separators: a spreadsheet may be set to another one than the file
# has. Before it there may be what is lost when a cell is read, pasted or saved again: blanks, quotes, what
# has no printed form.
_FORMULA = (
    "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207c\u207a\u207b\u208c\u208a\u208b\u2212"
)
_BEGIN = "^|[,;|\t\r\n]"
_QUOTES = "\"'`\u00b4\u2018\u2019\u201c\u201d\u00ab\u00bb"
_INVISIBLE = "\\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_LOST = f"(?:[{_QUOTES}{_INVISIBLE}]|[^\\S\t\r\n])*"


def in_a_cell(text: str) -> str:
    """A text as the content of a cell, no part of which a spreadsheet takes for a formula: with an apostrophe
    before each such part. An apostrophe in such a place also gets one, so that `out_of_a_cell` returns the
    text."""
    return re.sub(f"({_BEGIN})(?={_LOST}[{_FORMULA}]|')", r"\1'", text)


def out_of_a_cell(cell: str) -> str:
    """The text of a cell that `in_a_cell` made."""
    return re.sub(f"({_BEGIN})'", r"\1", cell)
