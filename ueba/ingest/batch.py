"""Log files -> events in the lake, a batch at a time: read in slices, every record accounted for, written,
published.

A batch is as many files as fill a slice: a folder of thousands of small files makes few batches, a large file
one of its own. Leaves out how records are read (`read`), understood (`sources`) and kept (`lake`), and what
edges they make (`build`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ueba.config import IngestConfig
from ueba.contracts.event import EMPTY_LINE, HEADER, NOT_A_LOGON, NOT_PARSED, TIME_IN_THE_FUTURE
from ueba.contracts.manifest import LAKE_VERSION, READING_VERSION, Manifest, ManifestFile
from ueba.contracts.report import IngestReport
from ueba.errors import InputError, WorkspaceError
from ueba.ingest import build, edges, events, identity, lake, report, tally
from ueba.ingest.identity import evidence
from ueba.ingest.reading.feed import SLICE, Feed, Progress
from ueba.ingest.reading.limits import confine, given_up, is_memory
from ueba.ingest.reading.stream import File
from ueba.ingest.sample import Sample
from ueba.ingest.sources import LogSource, Options, Plan, planned
from ueba.ingest.steps import Step, execute
from ueba.ingest.tally import Reason, Tally
from ueba.text import plain

EXAMPLE = 120  # characters of a dropped record that a report shows
GROUP_FILES = 10_000  # files in a batch, at most
CHUNK_LINES = 1 << 14  # that a thread of DuckDB takes at a time
VECTOR = 2048  # of these, on which it evaluates an expression at a time
CHUNK_BYTES = 1 << 24  # of a vector, if all its lines were as long as the longest


@dataclass(frozen=True)
class IngestOptions:
    """How log files are read into a lake.

    log:          what a log does not say, and the user can
    memory_limit: of DuckDB, beyond which it writes to disk
    beside:       another lake, whose evidence and entity tables count too
    limits:       what one file may cost
    """

    log: Options = Options()
    memory_limit: str = IngestConfig.memory_limit
    beside: Path | None = None
    limits: IngestConfig = IngestConfig()


DEFAULTS = IngestOptions()
# What ends one file and not the others: no memory, no disk, what DuckDB, Arrow or Python does not take.
FAILURES = (InputError, duckdb.Error, pa.ArrowException, MemoryError, OSError, RecursionError)
MOST_REFUSED = 10  # records of a file's lines in a batch that are dropped because no query reads them


def plan_of(feed: Feed, log_format: str, options: Options) -> tuple[Plan, Sample]:
    """How to read a file, and its first records laid bare."""

    def sample(frame: str) -> Sample:
        return Sample(feed.path, feed.sample(frame), feed.modified, whole=lambda: feed.again(frame))

    return planned(feed.frames, sample, log_format, options)


def events_of(feed: Feed, log_format: str, options: IngestOptions = DEFAULTS) -> pa.Table:
    """The events of one file before names are unified, dropped records too; columns `event.COLUMNS`."""
    plan, _ = plan_of(feed, log_format, options.log)
    parse = compiled_events(plan, hour())
    tables = []
    with lake.connect(options.memory_limit) as connection:
        for lines in feed.slices(plan.opening.frame):
            with parsing(connection, in_chunks(lines)):
                tables.append(connection.sql(f"SELECT * FROM ({parse}) ORDER BY line").to_arrow_table())
    return pa.concat_tables(tables) if tables else events.SCHEMA.to_pyarrow().empty_table()


# --- a batch ------------------------------------------------------------------------------------------------


GENERATED = LogSource("events", {}, lambda lines, facts: lines, canonical=True)  # of events that no log holds
NOTHING = LogSource("", {}, lambda lines, facts: lines)  # of a file that could not be read


@dataclass
class Reading:
    """One file of a batch, after all its records were read.

    settings: every setting on which its events depend
    unread:   fields that nothing reads
    digest:   of its content; empty until it was read to its end
    left_out: of its records, empty ones that are in no table
    is_known: the same content is in the lake already, read in the same way
    problem:  why it could not be read
    """

    name: str
    source: LogSource
    settings: dict[str, Any]
    unread: tuple[str, ...]
    digest: str = ""
    lines: int = 0
    left_out: int = 0
    seconds: float = 0.0
    is_known: bool = False
    problem: str = ""


@dataclass
class Batch:
    """Files on their way into the lake. Records of small files are parsed together, as far as the same SQL
    reads them.

    connect:       opens another connection
    folder:        of Parquet files, the events
    waiting:       (number of a file, lines of it that are not parsed yet)
    waiting_bytes: of these
    parse:         SQL that parses them
    bytes:         of all lines
    """

    connect: Callable[[], duckdb.DuckDBPyConnection]
    connection: duckdb.DuckDBPyConnection
    folder: Path
    files: list[Reading] = field(default_factory=list)
    waiting: list[tuple[int, pa.Table]] = field(default_factory=list)
    waiting_bytes: int = 0
    parse: str = ""
    bytes: int = 0

    @classmethod
    def begin(cls, memory_limit: str, temporary: Path, limits: IngestConfig = DEFAULTS.limits) -> Batch:
        (temporary / "events").mkdir()
        connect = functools.partial(confined, memory_limit, temporary, limits)
        return cls(connect, connect(), temporary / "events")

    def read(self, feed: Feed, plan: Plan, sample: Sample) -> Reading:
        """Read all records of a file. sample: its first records laid bare"""
        parse, number, source = compiled(plan, hour()), len(self.files), plan.source
        if parse != self.parse:
            self.flush()
        self.parse = parse
        settings = source.settings | {"lake_version": LAKE_VERSION, "reading_version": READING_VERSION}
        reading = Reading(feed.path, source, settings, unread(sample, source))
        self.files.append(reading)
        for lines in feed.slices(plan.opening.frame):
            self.waiting.append((number, lines))
            self.bytes += (size := lines.nbytes)
            self.waiting_bytes += size
            if self.waiting_bytes > SLICE / 2:
                self.flush()
            if reading.problem:
                raise InputError(reading.problem)
        reading.digest, reading.lines, reading.left_out = feed.digest, feed.lines, feed.left_out
        return reading

    def give_up(self, name: str, problem: str) -> Reading:
        """Note the problem of the file that was being read; what was read of it does not count."""
        if not self.files or self.files[-1].name != name or self.files[-1].digest:
            self.files.append(Reading(name, NOTHING, {}, ()))
        self.files[-1].problem = problem
        return self.files[-1]

    def flush(self) -> None:
        """Parse the lines that wait, and write their events."""
        if self.waiting:
            lines, waiting = numbered(self.waiting), list(dict.fromkeys(number for number, _ in self.waiting))
            self.waiting, self.waiting_bytes = [], 0

            def parse(numbers: list[int]) -> None:
                part = pc.field(events.FILE).isin(numbers)  # all of them mostly, without a copy
                self.parsed(lines if numbers == waiting else lines.filter(part), numbers)

            self.without_failures(waiting, parse)

    def parsed(self, lines: pa.Table, numbers: list[int]) -> None:
        """Parse and write lines, which are of these files. Those of a single file are parsed fewer at a time
        if all are too many, or one of them fails; that one is dropped, unless very many are."""
        start, size, failed, is_short = 0, len(lines), 0, False
        while start < len(lines):
            try:
                self.write_lines(lines.slice(start, size), self.parse)
                start += size
                size = size if is_short else 4 * size
            except FAILURES as reason:
                is_short = is_short_of(reason)
                failed += size == 1
                is_hopeless = failed > MOST_REFUSED or isinstance(reason, OSError | duckdb.IOException)
                if len(numbers) > 1 or (size == 1 and is_hopeless):
                    raise
                self.reconnect()
                if size == 1:
                    self.write_lines(lines.slice(start, 1), refused())
                    start += 1
                size = -(-size // 4)

    def write_lines(self, lines: pa.Table, rows: str) -> None:
        """Write what a query makes of lines."""
        with parsing(self.connection, lines):
            self.write(rows)

    def without_failures(self, numbers: list[int], work: Callable[[list[int]], None]) -> None:
        """Do something with files, and where that fails with half of them, so that a file has a problem if it
        fails alone. numbers: of the files"""
        numbers = [number for number in numbers if not self.files[number].problem]
        try:
            if numbers:
                work(numbers)
        except FAILURES as reason:
            self.reconnect()
            if len(numbers) == 1:
                reading = self.files[numbers[0]]
                reading.problem = given_up(reading.name, reason)
            else:
                middle = len(numbers) // 2
                self.without_failures(numbers[:middle], work)
                self.without_failures(numbers[middle:], work)

    def reconnect(self) -> None:
        """Go on with another DuckDB after one has failed: it may be of no more use."""
        self.connection.close()
        self.connection = self.connect()

    def write(self, rows: str) -> None:
        """Write the rows of a query as more Parquet files of the batch, one for each thread."""
        name = f"{len(list(self.folder.iterdir())):06}"
        copy = (
            f"COPY ({rows}) TO '{build.quoted(self.folder)}' (FORMAT parquet, PARQUET_VERSION V2,"
            f" PER_THREAD_OUTPUT true, OVERWRITE_OR_IGNORE true, FILENAME_PATTERN '{name}-{{i}}')"
        )
        try:
            execute(self.connection, Step("batch_rows", copy))
        except BaseException:
            for path in self.folder.glob(f"{name}-*"):
                path.unlink()
            raise

    def is_full(self) -> bool:
        return self.bytes > SLICE or len(self.files) >= GROUP_FILES

    def publish(self, root: Path, temporary: Path, number: int) -> list[Manifest]:
        """Put the batch into the lake, visible at once. Returns its manifest, or nothing if it brings nothing
        new. number: of the batch, in the order in which they come"""
        self.flush()
        manifests = []
        kept = self.manifest_files()
        if any(kept):
            self.write_evidence(temporary / "evidence.parquet")
            kept = tuple(
                None if reading.problem else file for reading, file in zip(self.files, kept, strict=True)
            )
        if any(kept):
            manifests = [Manifest(id=batch_id(kept), number=number, files=kept)]
            lake.publish(root, temporary, manifests[0])
        self.connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return manifests

    def write_evidence(self, path: Path) -> None:
        """Write what the events prove about entities."""
        parts: list[Path] = []

        def write(numbers: list[int]) -> None:
            part = path.with_name(f"evidence-{len(parts)}.parquet")
            copy = f"COPY ({self.evidence(numbers)}) TO '{build.quoted(part)}' (FORMAT parquet)"
            execute(self.connection, Step("batch_evidence", copy))
            parts.append(part)

        self.without_failures(list(range(len(self.files))), write)
        if len(parts) == 1:
            os.replace(parts[0], path)
        elif parts:
            pq.write_table(pa.concat_tables([pq.read_table(part) for part in parts]), path)

    def evidence(self, numbers: list[int]) -> str:
        """SQL: what the events of these files prove about entities."""
        if not self.has_rows():
            return f"SELECT 0 AS file, * FROM ({evidence.EMPTY})"
        formats = " ".join(
            f"WHEN file IN ({in_sql(readings)}) THEN '{build.quoted(name)}'"
            for name, readings in self.by_source().items()
        )
        canonical = in_sql([number for number, reading in enumerate(self.files) if reading.source.canonical])
        return evidence.query(
            f"(SELECT *, CASE {formats} END AS format, file IN ({canonical}) AS canonical"
            f" FROM {self.rows_in(numbers)} WHERE dropped IS NULL)"
        )

    def by_source(self) -> dict[str, list[int]]:
        """The name of each log source, and the numbers of its files."""
        found: dict[str, list[int]] = {}
        for number, reading in enumerate(self.files):
            found.setdefault(reading.source.name, []).append(number)
        return found

    def rows_in(self, numbers: list[int]) -> str:
        """SQL: the rows of these files."""
        rows = build.rows_in(self.folder)
        if len(numbers) == len(self.files):
            return rows
        return f"(FROM {rows} WHERE file IN ({in_sql(numbers)}))"

    def has_rows(self) -> bool:
        return any(self.folder.iterdir())

    def manifest_files(self) -> tuple[ManifestFile | None, ...]:
        """Each file as the manifest has it; None if it is known or has a problem."""
        tallies: dict[int, Tally] = {}

        def count(numbers: list[int]) -> None:
            tallies.update(tally.count(self.connection, self.rows_in(numbers)))

        if self.has_rows():
            self.without_failures(list(range(len(self.files))), count)
        return tuple(
            None
            if reading.is_known or reading.problem
            else manifest_file(reading, tallies.get(number, Tally()))
            for number, reading in enumerate(self.files)
        )


def numbered(waiting: Sequence[tuple[int, pa.Table]]) -> pa.Table:
    """Lines of several files as one table, with the number of their file."""
    numbers = np.repeat([number for number, _ in waiting], [len(lines) for _, lines in waiting])
    lines = pa.concat_tables([lines for _, lines in waiting])
    return in_chunks(lines.append_column(events.FILE, pa.array(numbers, pa.int32())))


def in_chunks(lines: pa.Table) -> pa.Table:
    """Lines in chunks, each of which one thread of DuckDB reads.

    A chunk of few lines costs time. A chunk of many lines costs memory if one of them is long: where a line
    lacks an element of a list, DuckDB first copies the element of the vector's first line."""
    lines = lines.combine_chunks()
    lengths = pc.binary_length(lines["text"]).to_numpy()  # [lines], bytes
    parts = [lines.slice(begin, end - begin) for begin, end in chunks(lengths, 0, len(lines))]
    return pa.concat_tables(parts) if parts else lines


@contextlib.contextmanager
def parsing(connection: duckdb.DuckDBPyConnection, lines: pa.Table) -> Iterator[None]:
    """The table `lines`, for a query that takes them in the chunks that they have. A list after IN would
    become a join, which gathers small chunks."""
    connection.register("lines", lines)
    connection.execute(f"SET disabled_optimizers = '{lake.HARMFUL},in_clause'")
    yield
    connection.execute(f"SET disabled_optimizers = '{lake.HARMFUL}'")
    connection.unregister("lines")


def chunks(lengths: npt.NDArray[np.int32], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where chunks of lines from `begin` to `end` begin and end: with as many lines as may be."""
    lines = end - begin
    together = min(lines, VECTOR)
    if 0 < lines <= CHUNK_LINES and together * int(lengths[begin:end].max()) <= CHUNK_BYTES or lines == 1:
        yield begin, end
    elif lines:
        middle = begin + lines // 2
        yield from chunks(lengths, begin, middle)
        yield from chunks(lengths, middle, end)


def confined(memory_limit: str, temporary: Path, limits: IngestConfig) -> duckdb.DuckDBPyConnection:
    """A DuckDB for what log files say, that reaches the files of one ingest only."""
    connection = lake.connect(memory_limit, temporary)
    confine(connection, temporary, limits)
    return connection


def is_short_of(reason: BaseException) -> bool:
    """Whether there was too little memory or disk."""
    return is_memory(reason) or isinstance(reason, OSError | duckdb.IOException)


def in_sql(numbers: Iterable[int]) -> str:
    """Numbers of files as a list in SQL, which is never empty."""
    return ", ".join(map(str, numbers)) or "-1"


def batch_id(kept: Iterable[ManifestFile | None]) -> str:
    """A hash of the content of files and of the settings they were read with."""
    content = [[file.digest, file.settings] for file in kept if file]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def next_number(root: Path) -> int:
    return max((manifest.number for manifest in lake.manifests(root)), default=0) + 1


def manifest_file(reading: Reading, counts: Tally) -> ManifestFile | None:
    """A file as the manifest has it, every record accounted for. None if no record reads as its format; then
    the reading has a problem."""
    if reading.left_out:
        counts = with_left_out(counts, reading.left_out)
    if counts.records != reading.lines:
        raise AssertionError(f"{reading.name}: {reading.lines} records became {counts.records} rows")
    found = ingest_report(reading, counts)
    if reading.lines and not _is_understood(counts):
        reasons = "; ".join(f"{reason}: {count}" for reason, count in found.dropped.items())
        reading.problem = (
            f"{reading.name}: no record reads as {reading.source.name} ({reasons}), as\n"
            f"  {next(iter(found.examples.values()))}"
        )
        return None
    return ManifestFile(
        digest=reading.digest,
        settings=reading.settings,
        canonical=reading.source.canonical,
        has_ids=any(day.with_id for day in counts.days),
        has_views=any(day.with_witness for day in counts.days),
        spans={day.day: day.span for day in counts.days},
        report=found,
    )


def with_left_out(counts: Tally, left_out: int) -> Tally:
    """The counts of a file with the empty lines that became no rows."""
    empty = next((row for row in counts.dropped if row.reason == EMPTY_LINE), Reason(EMPTY_LINE, 0, "", 0))
    others = [row for row in counts.dropped if row.reason != EMPTY_LINE]
    dropped = [*others, empty._replace(records=empty.records + left_out)]
    return replace(counts, dropped=sorted(dropped, key=lambda row: (-row.records, row.reason)))


def _is_understood(counts: Tally) -> bool:
    """Whether a file is of its format: it has an event, a record of no interest, or nothing but a header."""
    reasons = [dropped.reason for dropped in counts.dropped]
    return (
        bool(counts.days) or any(reason.startswith(NOT_A_LOGON) for reason in reasons) or reasons == [HEADER]
    )


def ingest_report(reading: Reading, counts: Tally) -> IngestReport:
    """What became of the records of a file. Its edges are counted later, see `build.count_edges`."""
    return IngestReport(
        file=reading.name,
        format=reading.source.name,
        batch=reading.digest,
        lines=reading.lines,
        events=counts.events,
        repeated=counts.repeated,
        evidence=sum(day.evidence for day in counts.days),
        dropped={dropped.reason: dropped.records for dropped in counts.dropped},
        notes={note.reason: note.records for note in counts.notes},
        examples={
            row.reason: f"{reading.name}:{row.line}: {plain(row.example or '')}"
            for row in (*counts.dropped, *counts.notes)
            if row.line
        },
        unread_fields=reading.unread,
        first=min((day.first for day in counts.days), default=None),
        last=max((day.last for day in counts.days), default=None),
        gaps=report.gaps(counts.hours),
        days=tuple(day.day for day in counts.days),
        users=counts.users,
        sources=counts.sources,
        targets=counts.targets,
        seconds=reading.seconds,
    )


# --- parsing ------------------------------------------------------------------------------------------------


def hour() -> str:
    """The hour of now, on which it depends which times lie in the future."""
    return events.latest().isoformat()[:13]


@functools.lru_cache(maxsize=1000)
def compiled_events(plan: Plan, hour: str) -> str:
    """SQL: the table `lines` -> events."""
    return str(ibis.to_sql(plan.events(ibis.table(events.LINES, name="lines")), dialect="duckdb"))


@functools.lru_cache(maxsize=1000)
def compiled(plan: Plan, hour: str) -> str:
    """SQL: the table `lines`, with the numbers of files -> rows of a batch. It is compiled once for all files
    with the same plan: there may be thousands."""
    rows = plan.events(ibis.table(events.LINES | {events.FILE: "int32"}, name="lines"))
    rows = rows if plan.source.canonical else identity.unify(rows)
    return rows_of(f"({ibis.to_sql(rows, dialect='duckdb')})")


def rows_of(table: str) -> str:
    """SQL: events and dropped records -> rows of a batch, which have of a dropped record only what a report
    shows."""
    columns = ", ".join(f'CASE WHEN dropped IS NULL THEN "{name}" END AS "{name}"' for name in events.KEPT)
    example = f"CASE WHEN dropped IS NOT NULL OR note IS NOT NULL THEN left(text, {EXAMPLE}) END AS example"
    return f"SELECT {columns}, dropped, note, line, {example}, {events.FILE} AS file FROM {table}"


@functools.cache
def refused() -> str:
    """SQL: the table `lines` -> rows of a batch, each a record that cannot be parsed."""
    lines = ibis.table(events.LINES | {events.FILE: "int32"}, name="lines")
    nothing = {name: ibis.null(events.SCHEMA[name]) for name in events.KEPT}
    rows = lines.mutate(**nothing, dropped=ibis.literal(NOT_PARSED), note=ibis.null("string"))
    return rows_of(f"({ibis.to_sql(rows, dialect='duckdb')})")


def unread(sample: Sample, source: LogSource) -> tuple[str, ...]:
    """Fields of the first records that the source does not read: `a.b` of JSON objects, columns of tables."""
    if not source.fields:
        return ()
    fields = {path for record in sample.objects for path in leaves(record)}
    known = read_paths(source.fields)
    return tuple(
        sorted(name for name in fields if known.isdisjoint(accumulate(name.split("."), "{}.{}".format)))
    )


@functools.cache
def read_paths(fields: tuple[str, ...]) -> frozenset[str]:
    """The fields of a source as `a.b`."""
    return frozenset(name.removeprefix("/").replace("/", ".") for name in fields)


def leaves(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of values that are no objects."""
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


# --- many files ---------------------------------------------------------------------------------------------


def ingest(
    files: Iterable[File],
    log_format: str,
    root: Path,
    options: IngestOptions = DEFAULTS,
    progress: Callable[[str], Progress] | None = None,
) -> list[IngestReport]:
    """Read files into the lake at `root`, and make its edges again if they bring news. Returns the report of
    each file.

    A file that cannot be read has a report with its problem. The same content twice changes nothing.
    progress: of the file of a name"""
    with lake.writing(root) as temporary:
        read_settings = {
            digest: file.settings for digest, file in stored_files(root).items() if is_final(file)
        }
        batch = Batch.begin(options.memory_limit, temporary, options.limits)
        number = next_number(root)
        readings: list[Reading] = []
        new: list[Manifest] = []
        for file in files:
            reading = read_file(batch, file, log_format, options, progress and progress(file.name))
            reading.is_known = read_settings.get(reading.digest) == reading.settings
            read_settings[reading.digest] = reading.settings
            readings.append(reading)
            if batch.is_full():
                new += batch.publish(root, temporary, number + len(new))
                batch = Batch.begin(options.memory_limit, temporary, options.limits)
        new += batch.publish(root, temporary, number + len(new))
        make_edges(root, temporary, options, new)
        stored = stored_files(root)
        problems = {reading.digest: reading.problem for reading in readings if reading.problem}
        return [
            final_report(reading, stored.get(reading.digest), problems.get(reading.digest, ""))
            for reading in readings
        ]


def make_edges(root: Path, temporary: Path, options: IngestOptions, new: Sequence[Manifest]) -> None:
    """Make the daily edges that new batches change. Raises WorkspaceError if memory or disk does not
    suffice; the events are in the lake then."""
    try:
        build.refresh(root, temporary, options.memory_limit, options.beside)
        build.count_edges(root, temporary, options.memory_limit, new)
    except (duckdb.Error, MemoryError) as reason:
        what = plain(str(reason).split("\n")[0])
        raise WorkspaceError(
            f"{root}: the events are read, but their edges cannot be made ({what}); raise ingest.memory_limit"
            " or free some disk, and `ueba ingest` the same files again"
        ) from reason


def stored_files(root: Path) -> dict[str, ManifestFile]:
    """Digest -> the file of that content that counts."""
    return {live.file.digest: live.file for live in lake.live_files(lake.manifests(root))}


def is_final(file: ManifestFile) -> bool:
    """Whether reading a file again in the same way changes nothing. A time that was in the future may have
    passed."""
    return TIME_IN_THE_FUTURE not in file.report.dropped


def final_report(reading: Reading, stored: ManifestFile | None, problem: str) -> IngestReport:
    """problem: of a file with the same content, which is not read twice"""
    if reading.problem or stored is None:
        return IngestReport(file=reading.name, problem=reading.problem or problem)
    return msgspec.structs.replace(stored.report, file=reading.name, already_ingested=reading.is_known)


def read_file(
    batch: Batch, file: File, log_format: str, options: IngestOptions, progress: Progress | None
) -> Reading:
    """Read one file into a batch. A file that cannot be read is in it with a problem."""
    started = time.monotonic()
    try:
        with contextlib.closing(Feed(file, options.memory_limit, progress)) as feed:
            reading = batch.read(feed, *plan_of(feed, log_format, options.log))
    except FAILURES as reason:
        return batch.give_up(file.name, given_up(file.name, reason))
    reading.seconds = round(time.monotonic() - started, 3)
    return reading


# --- events that no log holds -------------------------------------------------------------------------------


def counted(
    generated: pa.Table, stage: Callable[[ir.Table], ir.Table], memory_limit: str = DEFAULTS.memory_limit
) -> pa.Table:
    """The daily edges of generated events, through an expression of edges. generated: columns of an event"""
    with lake.connect(memory_limit) as connection:
        connection.register("generated", complete(generated))
        daily = build.counted("(SELECT *, 0 AS witnesses FROM generated)")
        connection.execute(f"CREATE VIEW edges AS {daily}")
        expression = stage(ibis.table(edges.SCHEMA, name="edges"))
        return connection.sql(ibis.to_sql(expression, dialect="duckdb")).to_arrow_table()


def keep(generated: pa.Table, name: str, root: Path, memory_limit: str = DEFAULTS.memory_limit) -> None:
    """Put generated events into a lake, as a batch of their own. generated: columns of an event; name: for
    reports"""
    digest = hashlib.sha256(str(generated.to_pydict()).encode()).hexdigest()[:32]
    texts = ", ".join(f"NULL::VARCHAR AS {column}" for column in ("dropped", "note", "text"))
    others = f"{texts}, 0::BIGINT AS line, 0 AS {events.FILE}"
    with lake.writing(root) as temporary:
        batch = Batch.begin(memory_limit, temporary)
        batch.connection.register("generated", complete(generated))
        batch.write(rows_of(f"(SELECT *, {others} FROM generated)"))
        batch.files.append(Reading(name, GENERATED, {}, (), digest, len(generated)))
        batch.publish(root, temporary, next_number(root))
        build.refresh(root, temporary, memory_limit)


def complete(generated: pa.Table) -> pa.Table:
    """Events with all columns, null if they are missing."""
    present = generated.column_names
    columns = {name: generated[name] if name in present else pa.nulls(len(generated)) for name in events.KEPT}
    return pa.table(columns).cast(pa.schema([events.SCHEMA.to_pyarrow().field(name) for name in events.KEPT]))
