"""Bytes of any encoding -> UTF-8: a name in a log is read right, or its characters are marked.

UTF-16 and UTF-32 are recognised by their byte order mark, or by their zero bytes. A byte that is no UTF-8 is
a letter of Windows-1252 (which has those of Latin-1) where it looks like one, that is with at most one other
such letter among ASCII letters, as in `jürgen` and `Müßig`. Anywhere else it is U+FFFD: text in Cyrillic,
Greek or Chinese encodings is not guessed. Zero bytes at the ends of a line, which a crash leaves, are
removed; others are U+FFFD. A mark is never a backslash: that would look like the end of a domain.

Leaves out which lines there are (`framing`).
"""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt

MARK = "\N{REPLACEMENT CHARACTER}"
BOMS = (  # the longer first: one begins with another
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LOOKED_AT = 4096  # bytes by which a text without a mark is recognised
MOST_FOREIGN = 0.1  # share of bytes that are not ASCII, above which a text is not of Windows-1252
LETTERS = frozenset(range(0xC0, 0x100)) - {0xD7, 0xF7} | {0x8A, 0x8C, 0x8E, 0x9A, 0x9C, 0x9E, 0x9F}
ASCII_LETTER = re.compile(rb"[A-Za-z]")
NEWLINE = ord("\n")

Guessed = npt.NDArray[np.bool_] | None  # [lines]; None if no line is


# --- the encoding of a file ---------------------------------------------------------------------------------


def utf8(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Text in UTF-16 or UTF-32 as UTF-8; all other bytes pass unchanged, without a byte order mark. A file
    whose lines end with carriage returns alone has newlines."""
    start = next(blocks, b"")
    bom, name = next(((bom, name) for bom, name in BOMS if start.startswith(bom)), (b"", wide(start)))
    if name:
        blocks = decoded(chain([start[len(bom) :]], blocks), name)
        start = next(blocks, b"")
    start = start.removeprefix(codecs.BOM_UTF8)
    if b"\r" in start and b"\n" not in start:
        yield from (block.replace(b"\r", b"\n") for block in chain([start], blocks))
        return
    yield start
    yield from blocks


def wide(start: bytes) -> str | None:
    """The encoding of a text without a mark that begins so, if every second byte is zero."""
    array = np.frombuffer(start[: LOOKED_AT // 4 * 4], np.uint8)
    if len(array) < 4 or array.all():
        return None
    zero = [float((array[place::4] == 0).mean()) for place in range(4)]
    for name, of_zero, of_other in (
        ("utf-32-le", (1, 2, 3), (0,)),
        ("utf-32-be", (0, 1, 2), (3,)),
        ("utf-16-le", (1, 3), (0, 2)),
        ("utf-16-be", (0, 2), (1, 3)),
    ):
        if all(zero[place] > 0.7 for place in of_zero) and all(zero[place] < 0.1 for place in of_other):
            return name
    return None


def decoded(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(name)("replace")
    for block in blocks:
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()


# --- the characters of lines --------------------------------------------------------------------------------


def safe(text: bytes) -> tuple[bytes, Guessed]:
    """The same lines as valid UTF-8 without NUL and CRLF, and which of them have bytes that were guessed or
    marked."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    if b"\0" in text:
        text = re.sub(rb"^\0+|(?<!\0)\0+$", b"", text, flags=re.MULTILINE)  # a run is looked at once
        text = re.sub(rb"\0+", MARK.encode(), text)
    if text.isascii():
        return text, None
    if is_utf8(text):
        return text, marked(text) if MARK.encode() in text else None
    return guessed(text)


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def guessed(text: bytes) -> tuple[bytes, Guessed]:
    """Lines that are not UTF-8."""
    foreign = np.count_nonzero(np.frombuffer(text, np.uint8) >= 0x80)
    if foreign > MOST_FOREIGN * len(text):
        found = text.decode(errors="replace").encode()
        return found, marked(found)
    local.positions = []
    found = text.decode(errors=LIKELY).encode()
    return found, marked(found) | lines_of(text, local.positions)


def marked(text: bytes) -> npt.NDArray[np.bool_]:
    """Which lines have a mark."""
    return lines_of(text, [found.start() for found in re.finditer(MARK.encode(), text)])


def lines_of(text: bytes, positions: list[int]) -> npt.NDArray[np.bool_]:
    """Which lines have one of these positions."""
    newlines = np.flatnonzero(np.frombuffer(text, np.uint8) == NEWLINE)
    found = np.zeros(len(newlines) + 1, bool)  # the last line may have no newline
    found[np.searchsorted(newlines, positions)] = True
    return found[: len(newlines)]


local = threading.local()  # positions: where the text that this thread decodes was guessed
LIKELY = "ueba-likely-letter"


def likely_letter(error: UnicodeError) -> tuple[str, int]:
    """A byte that is no UTF-8 as the letter that it likely is; a handler of `bytes.decode`."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    text, start = error.object, error.start
    local.positions.append(start)
    first, last = start, start
    while first > max(0, start - 2) and text[first - 1] >= 0x80:
        first -= 1
    while last < min(len(text) - 1, start + 2) and text[last + 1] >= 0x80:
        last += 1
    beside = text[first - 1 : first] + text[last + 1 : last + 2]
    is_letter = text[start] in LETTERS and last - first < 2 and ASCII_LETTER.search(beside)
    return (text[start : start + 1].decode("cp1252") if is_letter else MARK), start + 1


codecs.register_error(LIKELY, likely_letter)
