"""Trials of the ingest: mutated records and files of one log family, read together in a batch, and what must
hold of them.

    check        holds if
    error        nothing is raised but UebaError
    count        events and dropped records of a file are as many as its records
    good         records that nothing was done to, at the beginning of a file of mutated ones, are as alone
    lost         a log with good records at its beginning is understood
    same         a file that says the same in another frame has the same events
    alone        a file has the same rows whether it is read alone or with others
    event        an event has a time from 1970 to tomorrow, and unless it is evidence a user and a target
    time         processor seconds are at most SECONDS and those of its records and bytes
    memory       resident memory grows by at most MEGABYTES

A trial is made from a seed, the family and a number alone. Leaves out how records and files are changed
(`mutations`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import io
import re
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from mutations import LOSSLESS, broken_archive, damaged, mutated, reframed, truncated

from ueba.contracts import manifest
from ueba.errors import InputError, UebaError
from ueba.ingest import batch, build, events, sources
from ueba.ingest.batch import Batch, IngestOptions
from ueba.ingest.reading import archives, find
from ueba.ingest.reading.feed import SAMPLE, Feed
from ueba.ingest.reading.stream import File, Stream

RECORDS = Path(__file__).parent / "records"
MAPPING = RECORDS / "mapped.toml"
MODIFIED = dt.datetime(2024, 6, 1)
OPTIONS = IngestOptions(memory_limit="512MB")

SECONDS, SECONDS_A_RECORD, SECONDS_A_MEGABYTE = 5.0, 0.002, 2.0  # of the processor
MEGABYTES = 900
NEWLINE = b"\n"


@dataclass(frozen=True)
class Shape:
    """Valid records of a log family in one of its forms.

    family: the log source; format: what `--log-format` names it; head: lines before the first record
    """

    name: str
    family: str
    format: str
    head: tuple[bytes, ...]
    records: tuple[bytes, ...]

    @property
    def good(self) -> tuple[bytes, ...]:
        return (*self.head, *self.records)


@dataclass(frozen=True)
class Input:
    """A file of a trial.

    good:  number of its first lines that nothing was done to
    twin:  the input of which it must have the events; empty if it need not
    """

    name: str
    format: str
    data: bytes
    good: int = 0
    twin: str = ""

    @property
    def file(self) -> File:
        return File(self.name, lambda: Stream(self.name, io.BytesIO(self.data)), len(self.data), MODIFIED)


class Problem(NamedTuple):
    """What did not hold. file: the name of the input, empty if it is of all"""

    check: str
    file: str
    text: str

    @property
    def kind(self) -> str:
        """The same for problems that have one cause, as far as their texts show."""
        first = next(iter(self.text.splitlines()), "")
        return f"{self.check} {re.sub(r'[0-9]+|[^ -~]', '#', first)[:60]}"


# --- shapes -------------------------------------------------------------------------------------------------


def shapes(templates: Path | None = None) -> list[Shape]:
    """The shapes of `tests/records`, and those of logs of templates, a file a family in a folder."""
    paths = sorted(path for path in RECORDS.iterdir() if path.suffix != ".toml")
    return [shape_of(path) for path in [*paths, *(sorted(templates.iterdir()) if templates else [])]]


def shape_of(path: Path) -> Shape:
    family = path.name.split(".")[0].split("-")[0]
    lines = path.read_bytes().splitlines()
    first = 1 if path.suffix == ".csv" else sum(line.startswith(b"#") for line in lines[:-1])
    format = str(MAPPING) if family == sources.MAPPED else family
    return Shape(path.name, family, format, tuple(lines[:first]), tuple(lines[first:]))


def real_shapes(folder: str) -> Iterator[tuple[Shape, bytes]]:
    """A shape of the first records of every file of a folder that a log source recognises, and the file
    itself if it is small."""
    for file in find.find(folder):
        with contextlib.suppress(InputError), contextlib.closing(Feed(file, OPTIONS.memory_limit)) as feed:
            plan, _ = batch.plan_of(feed, sources.AUTO, OPTIONS.log)
            records = feed.sample(plan.opening.frame)[:100]
            lines = [record.encode() for record in records if len(record) < 20_000]
            first = 1 if plan.opening.table else sum(line.startswith(b"#") for line in lines)
            data = b""
            if file.size and file.size < 300_000:
                with contextlib.closing(file.open()) as stream:
                    data = b"".join(iter(stream.read, b""))
            shape = Shape(
                file.name, plan.source.name, plan.source.name, tuple(lines[:first]), tuple(lines[first:-1])
            )
            if shape.records:
                yield shape, data


# --- trials -------------------------------------------------------------------------------------------------


class Sizes(NamedTuple):
    """Of a trial: files of mutated records, mutated records in each, and mutated files."""

    logs: int = 4
    records: int = 2500
    files: int = 50

    @property
    def mutations(self) -> int:
        return self.logs * self.records + self.files


def trial(
    seed: int, number: int, family: Sequence[Shape], sizes: Sizes, whole: Sequence[bytes] = ()
) -> list[Input]:
    """The inputs of a trial: first a file of good records for each shape in it. whole: files whose bytes are
    changed too"""
    rng = Random(f"{seed}/{family[0].family}/{number}")
    chosen = [rng.choice(family) for _ in range(sizes.logs)]
    originals = {shape.name: original(shape) for shape in chosen}
    logs = [log(rng, shape, f"log-{n}", sizes.records) for n, shape in enumerate(chosen)]
    files = [changed_file(rng, rng.choice(chosen), f"file-{n}", whole) for n in range(sizes.files)]
    return [*originals.values(), *logs, *files]


def text_of(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + NEWLINE for line in lines)


def original(shape: Shape) -> Input:
    return Input(f"original {shape.name}", shape.format, text_of(shape.good))


def log(rng: Random, shape: Shape, name: str, records: int) -> Input:
    """The good records of a shape, and mutated ones behind them. In half of the logs the first records, by
    which it is decided how a file is read, are good ones alone, which then have the events that they have
    alone; in the others mutated ones are among them."""
    changed = [mutated(rng, rng.choice(shape.good)) for _ in range(records)]
    if shape.name.endswith(".csv"):  # a quote without a partner would swallow the records behind it
        changed = [
            line.replace(b'"', b"") if line.count(b'"') % 2 and rng.random() < 0.98 else line
            for line in changed
        ]
    is_sure = rng.random() < 0.5
    more = shape.records * (SAMPLE // len(shape.records) + 1) if is_sure else ()
    twin = f"original {shape.name}" if is_sure else ""
    return Input(name, shape.format, text_of([*shape.good, *more, *changed]), len(shape.good), twin)


def changed_file(rng: Random, shape: Shape, name: str, whole: Sequence[bytes]) -> Input:
    """A file of a shape, in another frame or damaged."""
    data = text_of(shape.good)
    if rng.random() < 0.4:
        return Input(name, shape.format, rng.choice(LOSSLESS)(rng, data), 0, f"original {shape.name}")
    records = [mutated(rng, record) if rng.random() < 0.1 else record for record in shape.records]
    data = text_of([*shape.head, *records])
    changed = rng.choice([reframed, reframed, broken_archive])(rng, data)
    if whole and rng.random() < 0.2:
        changed = rng.choice([damaged, truncated])(rng, rng.choice(whole))
    return Input(name, rng.choice([sources.AUTO, shape.format]), changed)


# --- reading ------------------------------------------------------------------------------------------------

# The rows of a file as one number, whatever their order. Headers and empty lines belong to a frame.
COLUMNS = ", ".join(f'"{name}"' for name in (*events.KEPT, "dropped", "note"))
DIGEST = f"sum(hash({COLUMNS})::HUGEINT)"
# Without the year, which may be guessed from the order of the lines behind.
YEARLESS = DIGEST.replace('"time"', "strftime(\"time\", '%m-%d %H:%M:%S.%f')").replace(
    '"note"', "replace(\"note\", ' and the order of its lines', '')"
)
SAID = "dropped IS NULL OR dropped NOT IN ('header', 'empty line')"
WRONG_EVENT = f"""dropped IS NULL AND (time IS NULL OR time < TIMESTAMP '1970-01-01'
    OR time > now()::TIMESTAMP + INTERVAL 2 DAY OR action NOT IN {events.EVIDENCE}
    AND (coalesce(trim("user"), '') = '' OR coalesce(trim(target), '') = ''))"""
NONE = (0, 0)


class Rows(NamedTuple):
    """What a batch has of one of its files. every, meant, first: (rows, their hashes) of all rows, of what
    the file says, and of its first lines"""

    name: str
    records: int
    problem: str
    counted: int
    wrong: str
    every: tuple[int, int]
    meant: tuple[int, int]
    first: tuple[int, int]


def opened(inputs: Iterable[Input]) -> Iterator[tuple[Input, File]]:
    for one in inputs:
        for file in archives.unpacked(one.file, Counter()):
            yield one, file


def read(inputs: Sequence[Input]) -> list[Rows]:
    """Inputs read into one batch, as an ingest reads them; members of an archive have rows of their own."""
    with tempfile.TemporaryDirectory() as folder:
        reading = Batch.begin(OPTIONS.memory_limit, Path(folder))
        with contextlib.closing(reading.connection):
            goods = []
            for source, file in opened(inputs):
                batch.read_file(reading, file, source.format, OPTIONS, None)
                goods.append(source.good)
            reading.flush()
            kept = reading.manifest_files()
            reading.write_evidence(Path(folder) / "evidence.parquet")
            manifest.to_json(manifest.Manifest(id=batch.batch_id(kept), number=1, files=kept))
            return rows_of(reading, goods)


def rows_of(reading: Batch, goods: Sequence[int]) -> list[Rows]:
    found = {}
    if reading.has_rows():
        cases = " ".join(f"WHEN {number} THEN {good}" for number, good in enumerate(goods))
        rows = f"(SELECT *, CASE file {cases} END AS good FROM {build.rows_in(reading.folder)})"
        query = f"""SELECT file, count(*), min(line || ': ' || COLUMNS_TEXT) FILTER ({WRONG_EVENT}),
            {DIGEST}, count(*) FILTER ({SAID}), {YEARLESS} FILTER ({SAID}),
            count(*) FILTER (({SAID}) AND line <= good), {YEARLESS} FILTER (({SAID}) AND line <= good)
            FROM {rows} GROUP BY file""".replace("COLUMNS_TEXT", f"({COLUMNS})::VARCHAR")
        found = {file: values for file, *values in reading.connection.execute(query).fetchall()}
    return [
        Rows(file.name, file.lines - file.left_out, file.problem, *counted(found.get(number)))
        for number, file in enumerate(reading.files)
    ]


def counted(values: Sequence[Any] | None) -> tuple[Any, ...]:
    if values is None:
        return 0, "", NONE, NONE, NONE
    count, wrong, every, meant, meant_digest, first, first_digest = values
    return count, wrong or "", (count, every), (meant, meant_digest or 0), (first, first_digest or 0)


# --- checks -------------------------------------------------------------------------------------------------


def problems(inputs: Sequence[Input], alone: int = 2, rng: Random | None = None) -> list[Problem]:
    """What does not hold of inputs that are read together. alone: how many are also read by themselves"""
    resident, started = memory_peak(reset=True), time.process_time()
    try:
        rows = read(inputs)
    except UebaError as reason:
        return [Problem("error", "", f"the batch ends: {reason}")]
    except BaseException as reason:
        if isinstance(reason, KeyboardInterrupt | SystemExit):
            raise
        return [Problem("error", "", f"{type(reason).__name__} in {place_of(reason)}: {reason}")]
    seconds, grown = time.process_time() - started, memory_peak() - resident
    found = [*of_resources(inputs, rows, seconds, grown), *of_rows(inputs, rows)]
    chosen = (rng or Random(len(rows))).sample(inputs, min(alone, len(inputs)))
    return found + [problem for one in chosen for problem in of_alone(one, rows)]


def place_of(reason: BaseException) -> str:
    """The line of the product at which something was raised."""
    frames = [frame for frame in traceback.extract_tb(reason.__traceback__) if "/ueba/" in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no line of the product"


def of_resources(
    inputs: Sequence[Input], rows: Sequence[Rows], seconds: float, grown: float
) -> Iterator[Problem]:
    records, megabytes = sum(row.records for row in rows), sum(len(one.data) for one in inputs) / 1e6
    allowed = SECONDS + 0.1 * len(rows) + records * SECONDS_A_RECORD + megabytes * SECONDS_A_MEGABYTE
    if seconds > allowed:
        yield Problem(
            "time",
            "",
            f"more than {allowed:.1f} s for {records} records of {megabytes:.1f} MB: {seconds:.1f} s",
        )
    if grown > MEGABYTES:
        yield Problem("memory", "", f"memory grew by {grown:.0f} MB with {megabytes:.1f} MB of input")


def of_rows(inputs: Sequence[Input], rows: Sequence[Rows]) -> Iterator[Problem]:
    by_input = {one.name: [row for row in rows if row.name.split("/")[0] == one.name] for one in inputs}
    for row in rows:
        if row.counted != row.records and not row.problem:
            yield Problem("count", row.name, f"{row.records} records, {row.counted} rows")
        if row.wrong:
            yield Problem("event", row.name, row.wrong)
    for one in inputs:
        if one.good and not one.twin and by_input[one.name][-1].problem:
            yield Problem("lost", one.name, by_input[one.name][-1].problem)
        if one.twin and one.twin in by_input and by_input[one.twin]:
            twin, (*others, row) = by_input[one.twin][0], by_input[one.name] or [None]
            yield from of_twin(one, twin, row, others)


def of_twin(one: Input, twin: Rows, row: Rows | None, others: Sequence[Rows]) -> Iterator[Problem]:
    if row is None or others or row.problem:
        yield Problem("good" if one.good else "same", one.name, row.problem if row else "no file in it")
    elif one.good and row.first != twin.meant:
        yield Problem(
            "good", one.name, f"{row.first[0]} rows of its first {one.good} lines, {twin.meant[0]} alone"
        )
    elif not one.good and row.meant != twin.meant:
        yield Problem("same", one.name, f"{row.meant[0]} rows instead of {twin.meant[0]}")


def of_alone(one: Input, rows: Sequence[Rows]) -> Iterator[Problem]:
    together = [row for row in rows if row.name.split("/")[0] == one.name]
    alone = read([one])
    if alone != together:
        yield Problem("alone", one.name, f"alone {alone}, together {together}")


def memory_peak(reset: bool = False) -> float:
    """The most megabytes that were resident since the last reset; 0 where the system does not say."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024
    except (OSError, IndexError):
        return 0.0


# --- minimising ---------------------------------------------------------------------------------------------

Holds = Callable[[Any], bool]


def minimised(inputs: Sequence[Input], kind: str, seconds: float = 60) -> list[Input]:
    """As few inputs, with as few records and bytes, as still have a problem of that kind; but for those that
    others are compared with."""
    until = time.monotonic() + seconds

    def fails(tried: Sequence[Input]) -> bool:
        if time.monotonic() > until:
            return False
        return any(problem.kind == kind for problem in problems(tried, alone=len(tried)))

    kept = fewest(list(inputs), fails)
    twins = {one.twin for one in kept}
    for number, one in enumerate(kept):
        if one.name in twins:
            continue

        def with_data(data: bytes, number: int = number, one: Input = one) -> list[Input]:
            return [*kept[:number], replace(one, data=data), *kept[number + 1 :]]

        lines = one.data.splitlines(keepends=True)
        head, body = b"".join(lines[: one.good]), lines[one.good :]
        body = fewest(body, lambda parts, head=head, data=with_data: fails(data(head + b"".join(parts))))
        kept[number] = replace(one, data=head + b"".join(body))
        if not one.good and len(body) < 20:
            data = fewest(kept[number].data, lambda data: fails(with_data(data)))
            kept[number] = replace(one, data=data)
    return kept


def fewest(parts: Any, fails: Holds) -> Any:
    """The parts of a sequence without which it no longer fails: halves are left out, then quarters, and so on
    (delta debugging: Zeller and Hildebrandt 2002)."""
    size = len(parts) // 2
    while size:
        at = 0
        while at < len(parts) and len(parts) > 1:
            fewer = parts[:at] + parts[at + size :]
            if fewer and fails(fewer):
                parts = fewer
            else:
                at += size
        size //= 2
    return parts


@functools.cache
def templates(folder: Path, bench: Any) -> Path:
    """A log of every template of the benchmark, in a folder."""
    for name in bench.MADE:
        bench.write_log(name, folder / f"{name}-bench{'.csv' if name in bench.HEADERS else '.jsonl'}")
    return folder
