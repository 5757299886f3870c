"""Where one record of a file ends and the next begins: blocks of bytes -> blocks of whole records, one a
line, and their numbers.

Frames for texts: lines, CSV rows with line ends inside quotes, elements of a JSON document, and events in
XML. Rows and elements are found by counting quotes and brackets, many bytes at once (the structural pass of
simdjson: Langdale and Lemire 2019, here in numpy). What is not a text (a Windows event log, a Parquet file)
is converted to JSON, a record a line.

A frame yields (text, numbers): text ends with a newline, numbers are int64 [records], or None if they count
on from the last.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ueba.errors import InputError

MAX_LINE = 1 << 20  # bytes; a longer record is not a log record
WRAPPERS = rb'"(Records|records|value|items|events|Events|results|data|logs|log|hits|resourceLogs)"\s*:\s*\[\s*(?=[{\]])'
# What an export of events as XML begins with, and one that has an event a line.
XML = rb"(?:Record \d+\s*)?(?:<\?xml[^>]*>\s*)?(?:<Events[^>]*>\s*)?<Event[\s>]"
XML_LINE = rb"<Event[\s>](?:(?!<Event[\s>])[^\n])*</Event>[ \t\r]*(?:\n|$)"
QUOTE, BACKSLASH, NEWLINE = ord('"'), ord("\\"), ord("\n")

STRUCTURE = np.zeros(256, bool)
STRUCTURE[list(b'"{}[]\n')] = True
STEP = np.zeros(256, np.int64)
STEP[list(b"{[")], STEP[list(b"}]")] = 1, -1

Bytes = npt.NDArray[np.uint8]
Framed = Iterator[tuple[bytes, npt.NDArray[np.int64] | None]]
Frame = Callable[[Iterable[bytes]], Framed]


def guessed(start: bytes) -> Frame:
    """The frame of a text that begins so: lines, unless it is a JSON document over several lines or all in
    one."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(XML, text) and not re.match(XML_LINE, text):
        return xml_events
    if text.startswith(b"["):
        return lambda blocks: json_elements(blocks, 1)
    if re.match(rb"Record \d+\s*\{", text):
        return lambda blocks: json_elements(blocks, 0)
    if not text.startswith(b"{"):
        return lines
    first = text.split(b"\n", 1)[0].rstrip()
    is_whole = first.endswith(b"}") and depth_before(first) == 0
    wrapper = re.search(WRAPPERS, first if is_whole else text)
    if wrapper and is_around_all(wrapper):
        return lambda blocks: json_elements(blocks, 2)
    if wrapper and is_search(wrapper):
        return lambda blocks: json_elements(blocks, 3)
    if is_whole and b"}{" not in first:
        return lines
    return (lambda blocks: json_elements(blocks, 0)) if depth_before(first) or b"}{" in first else lines


def is_around_all(wrapper: re.Match[bytes]) -> bool:
    """Whether a list is that of a document's records and not one of a record, as `events` is in a Google
    activity after objects."""
    before = wrapper.string[: wrapper.start()]
    return depth_before(before) == 1 and not (wrapper[1] == b"events" and b"{" in before[1:])


def is_search(wrapper: re.Match[bytes]) -> bool:
    """Whether a list is that of the hits of an answer of Elasticsearch, `{"took": 5, ..., "hits": {...,
    "hits": [...]}}`."""
    before = wrapper.string[: wrapper.start()]
    begins = re.match(rb'\{\s*"(took|hits|_scroll_id|pit_id)"', before)
    return wrapper[1] == b"hits" and begins is not None and depth_before(before) == 2


# --- lines --------------------------------------------------------------------------------------------------


def lines(blocks: Iterable[bytes]) -> Framed:
    """One line, one record."""
    for text in whole_lines(blocks):
        yield text, None


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks cut after a newline. Of a line over MAX_LINE, somewhat more is passed on: enough to see that it
    is one."""
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
    """One row, one record, numbered by its first line. Line ends inside quotes become spaces. A quote that
    is not closed within MAX_LINE bytes was none: its line stands alone."""
    line, rest = 1, b""
    for text in chain(whole_lines(blocks), [None]):
        rest += text or b""
        while rest:
            made, lines_of, is_stray = rows_at_start(rest)
            if not lines_of.size and not is_stray and text is not None:
                break  # the row goes on in the next block
            if not lines_of.size:
                made, lines_of = rest[: rest.index(b"\n") + 1], np.ones(1, np.int64)
            yield made, line + np.concatenate([[0], np.cumsum(lines_of)[:-1]])
            line += int(lines_of.sum())
            rest = rest[len(made) :]


def rows_at_start(text: bytes) -> tuple[bytes, npt.NDArray[np.int64], bool]:
    """The whole rows that a text begins with, the number of lines of each, and whether what follows them is
    no row."""
    array = np.frombuffer(text, np.uint8)
    newline = np.flatnonzero(array == NEWLINE)
    is_inside = np.cumsum(array == QUOTE)[newline] % 2 == 1
    ends = np.flatnonzero(~is_inside)  # of lines
    lines_of = np.diff(ends, prepend=-1)
    length = np.diff(newline[ends], prepend=-1)
    stray = np.flatnonzero((length > MAX_LINE) & (lines_of > 1))
    if len(stray):
        ends, lines_of = ends[: stray[0]], lines_of[: stray[0]]
    end = int(newline[ends[-1]]) + 1 if len(ends) else 0
    made = array[:end].copy()
    made[newline[is_inside & (newline < end)]] = ord(" ")
    return made.tobytes(), lines_of, bool(len(stray)) or len(text) - end > MAX_LINE


# --- JSON ---------------------------------------------------------------------------------------------------


def json_elements(blocks: Iterable[bytes], base: int) -> Framed:
    """The objects at a depth of brackets (0: one after another, 1: in an array, 2: in an array in an object,
    ...), numbered from 1. What stands between them is passed over; a document that breaks off ends with a
    record that is not JSON.

    A line end inside a string is not JSON: the string is taken to be closed there, so that one stray quote
    costs one record."""
    depth, in_string, rest = 0, False, b""  # rest: from the beginning of the object that is open, if one is
    for block in blocks:
        array = np.frombuffer(rest + block, np.uint8)
        where, step, in_string = brackets(array, len(rest), in_string)
        depths = depth + np.cumsum(step)  # after each bracket
        opened = where[(depths == base + 1) & (array[where] == ord("{"))]
        closed = where[(depths == base) & (array[where] == ord("}"))]
        depth = int(depths[-1]) if len(depths) else depth
        if rest:
            opened = np.concatenate([[0], opened])
        whole = min(len(opened), len(closed))
        if whole:
            yield objects(array, opened[:whole], closed[:whole]), None
        rest = array[opened[whole] :].tobytes() if len(opened) > whole else b""
        if len(rest) > 4 * MAX_LINE:  # too long for a record: its beginning is enough to say so
            yield one_line(rest[: MAX_LINE + 1]), None
            depth, rest = base, b""
    if rest:
        yield one_line(rest[: MAX_LINE + 1]), None


def objects(array: Bytes, opened: npt.NDArray[np.int64], closed: npt.NDArray[np.int64]) -> bytes:
    """Parts of a text, from where they are opened to where they are closed, one a line."""
    kept = np.zeros(len(array) + 1, np.int8)
    kept[opened] = 1
    kept[closed + 1] -= 1
    lengths = np.cumsum(closed - opened + 1)
    made = array[np.cumsum(kept[:-1]).astype(bool)]
    made[(made == NEWLINE) | (made == ord("\r"))] = ord(" ")
    return np.insert(made, lengths, NEWLINE).tobytes()


def one_line(text: bytes) -> bytes:
    return text.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def brackets(
    array: Bytes, start: int, in_string: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], bool]:
    """Where brackets are outside of strings from `start` on, what each does to the depth, and whether the
    text ends in a string."""
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
    kept = ~inside & (step != 0)
    ends_inside = bool(inside[-1]) if len(inside) else in_string
    return where[kept], step[kept], ends_inside


def is_escaped(array: Bytes, quotes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether an odd number of backslashes stands before each quote."""
    escaped = np.zeros(len(quotes), bool)
    after = (quotes > 0) & (array[quotes - 1] == BACKSLASH)
    if after.any():
        slash = np.flatnonzero(array == BACKSLASH)
        begins = slash[np.concatenate([[True], np.diff(slash) != 1])]  # of each run
        last = quotes[after] - 1
        escaped[after] = (last - begins[np.searchsorted(begins, last, "right") - 1]) % 2 == 0
    return escaped


def depth_before(text: bytes) -> int:
    """How many brackets are open at the end of a text that begins outside of strings."""
    return int(brackets(np.frombuffer(text, np.uint8), 0, False)[1].sum())


# --- XML ----------------------------------------------------------------------------------------------------


def xml_events(blocks: Iterable[bytes]) -> Framed:
    """The events of a Windows log saved as XML: from `<Event ...>` to `</Event>`, numbered from 1. What
    stands between is passed over. An event that does not end is a record too, up to the next one."""
    rest = b""
    for block in chain(blocks, [None]):
        rest += block or b""
        begins = [found.start() for found in re.finditer(rb"<Event[\s>]", rest)]
        tail = len(rest)
        if block is not None:  # the last one may go on, and its first letters may be those of an event
            tail = begins.pop() if begins else max(len(rest) - 6, 0)
        for begin, end in zip(begins, [*begins[1:], tail], strict=False):
            body, ending, _ = rest[begin:end].partition(b"</Event>")
            yield one_line((body + ending)[: MAX_LINE + 1]), None
        rest = rest[tail:]
        if len(rest) > 4 * MAX_LINE:
            yield one_line(rest[: MAX_LINE + 1]), None
            rest = b""


# --- what is not a text -------------------------------------------------------------------------------------


def converted(start: bytes, blocks: Iterable[bytes], path: str) -> Iterator[bytes] | None:
    """The records of a file that is no text, as blocks of JSON lines; None for a text, of which nothing is
    read here."""
    if start.startswith(b"ElfFile\0"):
        return windows_events(blocks, path)
    if start.startswith(b"PAR1"):
        return parquet_rows(blocks, path)
    return None


def windows_events(blocks: Iterable[bytes], path: str) -> Iterator[bytes]:
    """An EVTX file by the evtx package (Ben-Amram), whose JSON is that of its evtx_dump. A record that it
    cannot read is a line that says why and is not JSON."""
    from evtx import PyEvtxParser

    with on_disk(blocks) as file:
        try:
            records = PyEvtxParser(str(file)).records_json()
        except (OSError, RuntimeError) as reason:
            raise InputError(
                f"{path}: is not a whole Windows event log ({reason}); was it copied completely?"
            ) from reason
        while True:
            try:
                record = next(records)
            except StopIteration:
                return
            except (OSError, RuntimeError, ValueError) as reason:
                record = {"data": f"unreadable record: {reason}"}
            yield one_line(str((record or {}).get("data")).encode("utf-8", "backslashreplace"))


def parquet_rows(blocks: Iterable[bytes], path: str) -> Iterator[bytes]:
    """The rows of a Parquet file."""
    import duckdb

    with on_disk(blocks) as file:
        try:
            rows = duckdb.connect().sql("SELECT to_json(row) FROM read_parquet(?) AS row", params=[str(file)])
            for batch in rows.to_arrow_reader(10_000):
                yield ("\n".join(batch.column(0).to_pylist()) + "\n").encode()
        except duckdb.Error as reason:
            raise InputError(f"{path}: cannot be read as Parquet ({reason})") from reason


@contextlib.contextmanager
def on_disk(blocks: Iterable[bytes]) -> Iterator[Path]:
    """A file of its own, for readers that want one, until they are done."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        with open(path, "wb") as file:
            file.writelines(blocks)
        yield path
