"""Names from logs, made safe to look at. Leaves out escaping for HTML and XML; the libraries that write those do it."""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> str:
    """Text for a person: what a log smuggled into a name (control characters, turned writing direction) is shown and not obeyed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))


def shortened(value: Any, most: int) -> str:
    """The same in at most so many characters: its beginning and its end."""
    text = plain(value)
    head = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - head]}…{text[len(text) - head :]}"
