"""Windows events as the text that Splunk's forwarder writes: a time, `Name=value` lines, and the event's
message in any of its languages.

    03/05/2024 10:00:00 AM
    LogName=Security
    EventCode=4624
    Message=An account was successfully logged on.
    New Logon:
            Account Name:           alice

A frame makes one line of each, with SEPARATOR between the lines of the event. Leaves out what the values mean
(`sources.windows`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

SEPARATOR = "\x1e"  # a character of its own for this, between lines
BEGIN = rb"(?m)^\d\d/\d\d/\d{4} \d\d:\d\d:\d\d(?:\.\d+)? [AP]M\r?\n(?=LogName=)"
FIRST_FIELD = "LogName="  # of every event: a text without it is none
MOST = 1 << 20  # bytes of an event


def is_text(start: bytes) -> bool:
    return re.match(BEGIN, start.lstrip()) is not None


def text_events(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, None]]:
    """The events, numbered from 1. What stands before the first is one of its own."""
    rest = b""
    for block in chain(blocks, [None]):
        rest += block or b""
        begins = [found.start() for found in re.finditer(BEGIN, rest)]
        if begins and begins[0] and rest[: begins[0]].strip():
            begins.insert(0, 0)
        end = len(rest) if block is None else begins.pop() if begins else 0
        bounds = [*begins, end] if begins else [0, end] if block is None and rest.strip() else []
        for begin, after in zip(bounds, bounds[1:], strict=False):
            yield one_line(rest[begin:after][: MOST + 1]), None
        rest = rest[end:]
        if len(rest) > 4 * MOST:
            yield one_line(rest[: MOST + 1]), None
            rest = b""


def one_line(event: bytes) -> bytes:
    lines = (line.rstrip() for line in event.split(b"\n"))
    return SEPARATOR.encode().join(line for line in lines if line) + b"\n"
