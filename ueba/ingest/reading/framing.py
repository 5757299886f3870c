"""Where one record of a text ends and the next begins: blocks of bytes -> blocks of whole records, one a
line, and their numbers.

There are frames for lines, CSV rows with line ends inside quotes, elements of a JSON document, and events in
XML. Rows and elements are found by counting quotes and brackets, many bytes at once (the structural pass of
simdjson: Langdale and Lemire 2019, here in numpy).

A frame yields (text, numbers): text ends with a newline; numbers are int64 [records], or None if they count
on from the last one. Leaves out files that are no text (`conversion`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain

import numpy as np
import numpy.typing as npt

from ueba.ingest.reading import wineventlog

MAX_LINE = 1 << 20  # bytes; a longer record is not a log record
WRAPPERS = (  # names under which export tools write a list of records
    rb'"(Records|records|value|items|events|Events|results|data|logs|log|hits|logEvents|resourceLogs)"'
    rb"\s*:\s*\[\s*(?=[{\]])"
)
# The beginning of an export of events as XML, and of one with an event a line.
XML = rb"(?:Record \d+\s*)?(?:<\?xml[^>]*>\s*)?(?:<Events[^>]*>\s*)?<Event[\s>]"
XML_LINE = rb"<Event[\s>](?:(?!<Event[\s>])[^\n])*</Event>[ \t\r]*(?:\n|$)"
TORN = rb"(?<=[^\n\0])\0{8,}(?=[^\n\0])"  # zero bytes in the middle of a line
QUOTE, BACKSLASH, NEWLINE = ord('"'), ord("\\"), ord("\n")

STRUCTURE = np.zeros(256, bool)
STRUCTURE[list(b'"{}[]\n')] = True
STEP = np.zeros(256, np.int64)
STEP[list(b"{[")], STEP[list(b"}]")] = 1, -1

Bytes = npt.NDArray[np.uint8]
Framed = Iterator[tuple[bytes, npt.NDArray[np.int64] | None]]
Frame = Callable[[Iterable[bytes]], Framed]


def frames(start: bytes) -> tuple[str, ...]:
    """The frames that a text that begins so may have, the likeliest first: names of FRAMES."""
    likeliest = guessed(start)
    is_json = likeliest.startswith("json") or start.lstrip().startswith(b"{")
    if likeliest == "lines" and not is_json:
        return ("rows", "lines")  # the names of columns are surer than the look of a line
    return tuple(dict.fromkeys((likeliest, *(JSON_FRAMES if is_json else ()))))


def guessed(start: bytes) -> str:
    """The frame of a text that begins so: lines, unless it is XML, or a JSON document over several lines or
    in one."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(XML, text) and not re.match(XML_LINE, text):
        return "xml"
    if wineventlog.is_text(text):
        return "wineventlog"
    if text.startswith(b"["):
        return "json1"
    if re.match(rb"Record \d+\s*\{", text):
        return "json0"
    if not text.startswith(b"{"):
        return "lines"
    first = text.split(b"\n", 1)[0].rstrip()
    is_whole = first.endswith(b"}") and depth_before(first) == 0
    wrapper = re.search(WRAPPERS, first if is_whole else text)
    if wrapper and is_around_all(wrapper):
        return "json2"
    if wrapper and is_search(wrapper):
        return "json3"
    if is_whole and b"}{" not in first:
        return "lines"
    return "json0" if depth_before(first) or b"}{" in first else "lines"


def is_around_all(wrapper: re.Match[bytes]) -> bool:
    """Whether a list holds the records of a document. It may be a list in a record instead, such as `events`
    in a Google activity, which follows objects."""
    before = wrapper.string[: wrapper.start()]
    return depth_before(before) == 1 and not (wrapper[1] == b"events" and b"{" in before[1:])


def is_search(wrapper: re.Match[bytes]) -> bool:
    """Whether a list holds the hits of an Elasticsearch response, `{"took": 5, ..., "hits": {..., "hits":
    [...]}}`."""
    before = wrapper.string[: wrapper.start()]
    begins = re.match(rb'\{\s*"(took|hits|_scroll_id|pit_id)"', before)
    return wrapper[1] == b"hits" and begins is not None and depth_before(before) == 2


# --- lines --------------------------------------------------------------------------------------------------


def lines(blocks: Iterable[bytes]) -> Framed:
    """Each line is a record. Zero bytes in the middle, which a crash leaves where a line was being written,
    end it."""
    for text in whole_lines(blocks):
        yield (re.sub(TORN, b"\n", text) if b"\0" * 8 in text else text), None


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks that end with a newline. A line over MAX_LINE is truncated to a little more than that, so that
    it is still recognised as too long."""
    rest = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(block)[:end]))
            rest = block[end:]
        else:
            rest = (rest + block)[: MAX_LINE + 1]
    if rest:
        yield rest + b"\n"


# --- CSV ----------------------------------------------------------------------------------------------------


def csv_rows(blocks: Iterable[bytes]) -> Framed:
    """Each row is a record, numbered by its first line. A line end inside quotes becomes SEPARATOR, of which
    `opening` makes a space, or a line end again where lines have a meaning. A quote that is not closed within
    MAX_LINE bytes is a plain character: its line is a record of its own."""
    line, rest = 1, b""
    for text in chain(whole_lines(blocks), [None]):
        rest += text or b""
        while rest:
            rows, lines_of, is_stray = rows_at_start(rest)
            if not lines_of.size and not is_stray and text is not None:
                break  # the row continues in the next block
            if not lines_of.size:
                rows, lines_of = rest[: rest.index(b"\n") + 1], np.ones(1, np.int64)
            yield rows, line + np.concatenate([[0], np.cumsum(lines_of)[:-1]])
            line += int(lines_of.sum())
            rest = rest[len(rows) :]


def rows_at_start(text: bytes) -> tuple[bytes, npt.NDArray[np.int64], bool]:
    """The whole rows at the beginning of a text, the number of lines of each [rows], and whether the text
    after them is no row."""
    array = np.frombuffer(text, np.uint8)
    newline = np.flatnonzero(array == NEWLINE)
    if QUOTE not in text and len(text) <= MAX_LINE and text.endswith(b"\n"):  # as most text
        return text, np.ones(len(newline), np.int64), False
    is_inside = np.cumsum(array == QUOTE)[newline] % 2 == 1
    ends = np.flatnonzero(~is_inside)  # of lines
    lines_of = np.diff(ends, prepend=-1)
    length = np.diff(newline[ends], prepend=-1)
    stray = np.flatnonzero((length > MAX_LINE) & (lines_of > 1))
    if len(stray):
        ends, lines_of = ends[: stray[0]], lines_of[: stray[0]]
    end = int(newline[ends[-1]]) + 1 if len(ends) else 0
    rows = array[:end].copy()
    rows[newline[is_inside & (newline < end)]] = ord(wineventlog.SEPARATOR)
    return rows.tobytes(), lines_of, bool(len(stray)) or len(text) - end > MAX_LINE


# --- JSON ---------------------------------------------------------------------------------------------------


def json_elements(blocks: Iterable[bytes], base: int) -> Framed:
    """The objects at a depth of brackets (0: one after another, 1: in an array, 2: in an array in an object,
    ...), numbered from 1. Text between them is skipped. A truncated document ends with a record that is not
    JSON.

    A line end inside a string is not JSON: the string is taken as closed there, so that one stray quote costs
    one record."""
    depth, in_string, rest = 0, False, b""  # rest: the open object, from its beginning
    for block in blocks:
        array = np.frombuffer(rest + block, np.uint8)
        where, step, in_string = brackets(array, len(rest), in_string)
        depths = depth + np.cumsum(step)  # after each bracket
        opened = where[(depths == base + 1) & (array[where] == ord("{"))]
        returns = where[(depths == base) & (step < 0)]  # of the depth: a `]` may stand for a `}`
        depth = int(depths[-1]) if len(depths) else depth
        if rest:
            opened = np.concatenate([[0], opened])
        nearest = np.searchsorted(returns, opened)
        whole = int((nearest < len(returns)).sum())
        if whole:
            yield object_lines(array, opened[:whole], returns[nearest[:whole]]), None
        rest = array[opened[whole] :].tobytes() if len(opened) > whole else b""
        if len(rest) > 4 * MAX_LINE:  # too long for a record: keep its beginning
            yield one_line(rest[: MAX_LINE + 1]), None
            depth, rest = base, b""
    if rest:
        yield one_line(rest[: MAX_LINE + 1]), None


def object_lines(array: Bytes, opened: npt.NDArray[np.int64], closed: npt.NDArray[np.int64]) -> bytes:
    """The parts of a text between opening and closing brackets, one a line."""
    change = np.zeros(len(array) + 1, np.int8)  # 1 where an object begins, -1 behind its end
    change[opened] = 1
    change[closed + 1] -= 1
    ends = np.cumsum(closed - opened + 1)  # of the lines
    text = array[np.cumsum(change[:-1]).astype(bool)]
    text[(text == NEWLINE) | (text == ord("\r"))] = ord(" ")
    return np.insert(text, ends, NEWLINE).tobytes()


def one_line(text: bytes) -> bytes:
    return text.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def brackets(
    array: Bytes, start: int, in_string: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], bool]:
    """The positions of brackets outside of strings from `start` on, the change of depth at each (1, -1), and
    whether the text ends inside a string."""
    where = np.flatnonzero(STRUCTURE[array[start:]]) + start
    kind = array[where]
    quote = kind == QUOTE
    quote[quote] = ~is_escaped(array, where[quote])
    count = np.cumsum(quote)
    newline = kind == NEWLINE
    before = np.maximum.accumulate(np.where(newline, count, 0)) if newline.any() else 0
    first = np.cumsum(newline) == 0
    inside = (count - before + (first & in_string)) % 2 == 1
    step = STEP[kind]
    is_bracket = ~inside & (step != 0)
    ends_inside = bool(inside[-1]) if len(inside) else in_string
    return where[is_bracket], step[is_bracket], ends_inside


def is_escaped(array: Bytes, quotes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether an odd number of backslashes precedes each quote. [quotes]"""
    escaped = np.zeros(len(quotes), bool)
    after = (quotes > 0) & (array[quotes - 1] == BACKSLASH)
    if after.any():
        slash = np.flatnonzero(array == BACKSLASH)
        begins = slash[np.concatenate([[True], np.diff(slash) != 1])]  # of each run
        last = quotes[after] - 1
        escaped[after] = (last - begins[np.searchsorted(begins, last, "right") - 1]) % 2 == 0
    return escaped


def depth_before(text: bytes) -> int:
    """The number of open brackets at the end of a text that begins outside of a string."""
    return int(brackets(np.frombuffer(text, np.uint8), 0, False)[1].sum())


# --- XML ----------------------------------------------------------------------------------------------------


def xml_events(blocks: Iterable[bytes]) -> Framed:
    """The events of a Windows log saved as XML: from `<Event ...>` to `</Event>`, numbered from 1. Text
    between them is skipped. An event without an end is a record up to the next event."""
    rest = b""
    for block in chain(blocks, [None]):
        rest += block or b""
        begins = [found.start() for found in re.finditer(rb"<Event[\s>]", rest)]
        tail = len(rest)
        if block is not None:  # the last event may continue, and `<Event` itself may be cut
            tail = begins.pop() if begins else max(len(rest) - 6, 0)
        events = []
        for begin, end in zip(begins, [*begins[1:], tail], strict=False):
            body, ending, _ = rest[begin:end].partition(b"</Event>")
            events.append(one_line((body + ending)[: MAX_LINE + 1]))
        if events:  # together: a table of a record each would take much more time and memory
            yield b"".join(events), None
        rest = rest[tail:]
        if len(rest) > 4 * MAX_LINE:
            yield one_line(rest[: MAX_LINE + 1]), None
            rest = b""


# --- the frames by name -------------------------------------------------------------------------------------

JSON_FRAMES = tuple(f"json{base}" for base in range(5))  # of elements at a depth of brackets
FRAMES: dict[str, Frame] = {
    "lines": lines,
    "rows": csv_rows,
    "xml": xml_events,
    "wineventlog": wineventlog.text_events,
    **{name: partial(json_elements, base=base) for base, name in enumerate(JSON_FRAMES)},
}
