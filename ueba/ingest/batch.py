"""Log files -> events in the lake, a batch at a time: read in slices, every record accounted for, written,
published.

A batch is as many files as fill a slice: a folder of thousands of small files makes few batches, a large file
one of its own. Leaves out how records are read (`read`), understood (`sources`) and kept (`lake`), and what
edges they make (`build`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import msgspec
import pyarrow as pa

from ueba.config import IngestConfig
from ueba.contracts.event import EMPTY_LINE, HEADER, NOT_A_LOGON, TIME_IN_THE_FUTURE
from ueba.contracts.manifest import LAKE_VERSION, READING_VERSION, Manifest, ManifestFile
from ueba.contracts.report import IngestReport
from ueba.errors import InputError
from ueba.ingest import build, edges, events, identity, lake, report, tally
from ueba.ingest.identity import evidence
from ueba.ingest.reading import limits
from ueba.ingest.reading.feed import SLICE, Feed, Progress
from ueba.ingest.reading.limits import Limits
from ueba.ingest.reading.stream import File
from ueba.ingest.sample import Sample
from ueba.ingest.sources import LogSource, Options, Plan, planned
from ueba.ingest.steps import Step, execute
from ueba.ingest.tally import Reason, Tally
from ueba.text import plain

EXAMPLE = 120  # characters of a dropped record that a report shows
GROUP_FILES = 2000  # files in a batch, at most
PARTS = 64  # in which lines are tried again that could not be parsed together


@dataclass(frozen=True)
class IngestOptions:
    """How log files are read into a lake.

    log:          what a log does not say, and the user can
    memory_limit: of DuckDB, beyond which it writes to disk
    limits:       what one file may use while it is read
    beside:       another lake, whose evidence and entity tables count too
    """

    log: Options = Options()
    memory_limit: str = IngestConfig.memory_limit
    limits: Limits = limits.DEFAULTS
    beside: Path | None = None


DEFAULTS = IngestOptions()


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
            connection.register("lines", lines)
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
    is_known: the same content is in the lake already, read in the same way
    problem:  why it could not be read
    """

    name: str
    source: LogSource
    settings: dict[str, Any]
    unread: tuple[str, ...]
    digest: str = ""
    lines: int = 0
    blank: int = 0
    seconds: float = 0.0
    is_known: bool = False
    problem: str = ""


@dataclass
class Batch:
    """Files on their way into the lake. Records of small files are parsed together, as far as the same SQL
    reads them.

    folder:  of Parquet files, the events
    waiting: lines that are not parsed yet, with the number of their file
    parse:   SQL that parses them
    bytes:   of all lines
    """

    connection: duckdb.DuckDBPyConnection
    folder: Path
    files: list[Reading] = field(default_factory=list)
    waiting: list[pa.Table] = field(default_factory=list)
    parse: str = ""
    waiting_bytes: int = 0
    bytes: int = 0

    @classmethod
    def begin(cls, memory_limit: str, temporary: Path) -> Batch:
        (temporary / "events").mkdir()
        return cls(lake.connect(memory_limit, temporary), temporary / "events")

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
            numbers = pa.repeat(pa.scalar(number, pa.int32()), len(lines))
            self.waiting.append(lines.append_column(events.FILE, numbers))
            self.bytes += lines.nbytes
            self.waiting_bytes += lines.nbytes
            if self.waiting_bytes > SLICE / 2:
                self.flush()
        reading.digest, reading.lines, reading.blank = feed.digest, feed.lines, feed.blank
        return reading

    def give_up(self, name: str, problem: str) -> Reading:
        """Note the problem of the file that was being read; what was read of it does not count."""
        if not self.files or self.files[-1].name != name or self.files[-1].digest:
            self.files.append(Reading(name, NOTHING, {}, ()))
        self.files[-1].problem = problem
        return self.files[-1]

    def flush(self) -> None:
        """Parse the lines that wait, and write their events. Lines that DuckDB cannot parse, for want of
        memory mostly, are tried in smaller parts; a file of which a small part fails too is given up."""
        parts, self.waiting, self.waiting_bytes = self.waiting, [], 0
        if not parts:
            return
        try:
            self.parsed(pa.concat_tables(parts))
        except (duckdb.Error, MemoryError):
            for part in parts:
                self.parsed_in_parts(part)

    def parsed(self, lines: pa.Table) -> None:
        self.connection.register("lines", lines)
        try:
            self.write(self.parse)
        finally:
            self.connection.unregister("lines")

    def parsed_in_parts(self, lines: pa.Table) -> None:
        """Parse lines of one file, a part at a time."""
        reading = self.files[lines.column(events.FILE)[0].as_py()]
        rows = max(len(lines) // PARTS, 1)
        for begin in range(0, len(lines), rows):
            if reading.problem:
                return
            try:
                self.parsed(lines.slice(begin, rows))
            except (duckdb.Error, MemoryError) as reason:
                reading.problem = f"{reading.name}: {short_of(reason)}"

    def write(self, rows: str) -> None:
        """Write the rows of a query as more Parquet files of the batch, one for each thread."""
        name = f"{len(list(self.folder.iterdir())):06}"
        copy = (
            f"COPY ({rows}) TO '{build.quoted(self.folder)}' (FORMAT parquet, PARQUET_VERSION V2,"
            f" PER_THREAD_OUTPUT true, OVERWRITE_OR_IGNORE true, FILENAME_PATTERN '{name}-{{i}}')"
        )
        execute(self.connection, Step("batch_rows", copy))

    def is_full(self) -> bool:
        return self.bytes > SLICE or len(self.files) >= GROUP_FILES

    def publish(self, root: Path, temporary: Path) -> list[Manifest]:
        """Put the batch into the lake, visible at once. Returns its manifest, or nothing if it brings nothing
        new."""
        self.flush()
        try:
            manifests = self.published(root, temporary)
        except (duckdb.Error, MemoryError) as reason:
            manifests = []
            for reading in self.files:
                reading.problem = reading.problem or f"{reading.name}: {short_of(reason)}"
        self.connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return manifests

    def published(self, root: Path, temporary: Path) -> list[Manifest]:
        kept = self.manifest_files()
        if not any(kept):
            return []
        path = temporary / "evidence.parquet"
        copy = f"COPY ({self.evidence()}) TO '{build.quoted(path)}' (FORMAT parquet)"
        execute(self.connection, Step("batch_evidence", copy))
        manifest = Manifest(id=batch_id(kept), number=next_number(root), files=kept)
        lake.publish(root, temporary, manifest)
        return [manifest]

    def evidence(self) -> str:
        """SQL: what the events prove about entities."""
        if not self.has_rows():
            return f"SELECT 0 AS file, * FROM ({evidence.EMPTY})"
        formats = " ".join(
            f"WHEN {number} THEN '{build.quoted(reading.source.name)}'"
            for number, reading in enumerate(self.files)
        )
        canonical = [str(number) for number, reading in enumerate(self.files) if reading.source.canonical]
        return evidence.query(
            f"(SELECT *, CASE file {formats} END AS format,"
            f" file IN ({', '.join(canonical) or '-1'}) AS canonical"
            f" FROM {build.rows_in(self.folder)} WHERE dropped IS NULL)"
        )

    def has_rows(self) -> bool:
        return any(self.folder.iterdir())

    def manifest_files(self) -> tuple[ManifestFile | None, ...]:
        """Each file as the manifest has it; None if it is known or has a problem."""
        tallies = tally.count(self.connection, build.rows_in(self.folder)) if self.has_rows() else {}
        return tuple(
            None
            if reading.is_known or reading.problem
            else manifest_file(reading, tallies.get(number, Tally()))
            for number, reading in enumerate(self.files)
        )


def short_of(reason: Exception) -> str:
    """Why a file could not be parsed, and what to do."""
    if isinstance(reason, duckdb.OutOfMemoryException | MemoryError):
        return "does not fit into memory; is it the log that it is said to be? else raise ingest.memory_limit"
    return f"cannot be parsed ({str(reason).splitlines()[0]})"


def batch_id(kept: Iterable[ManifestFile | None]) -> str:
    """A hash of the content of files and of the settings they were read with."""
    content = [[file.digest, file.settings] for file in kept if file]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def next_number(root: Path) -> int:
    return max((manifest.number for manifest in lake.manifests(root)), default=0) + 1


def manifest_file(reading: Reading, counts: Tally) -> ManifestFile | None:
    """A file as the manifest has it, every record accounted for. None if no record reads as its format; then
    the reading has a problem."""
    if reading.blank:
        counts = replace(counts, dropped=with_blank(counts.dropped, reading.blank))
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


def with_blank(dropped: list[Reason], blank: int) -> list[Reason]:
    """Reasons with more empty lines, which were counted before they became rows."""
    empty = next((row for row in dropped if row.reason == EMPTY_LINE), Reason(EMPTY_LINE, 0, "", 0))
    others = [row for row in dropped if row.reason != EMPTY_LINE]
    return [*others, empty._replace(records=empty.records + blank)]


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


@lru_cache(maxsize=1000)
def compiled_events(plan: Plan, hour: str) -> str:
    """SQL: the table `lines` -> events."""
    return str(ibis.to_sql(plan.events(ibis.table(events.LINES, name="lines")), dialect="duckdb"))


@lru_cache(maxsize=1000)
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


def unread(sample: Sample, source: LogSource) -> tuple[str, ...]:
    """Fields of the first records that the source does not read: `a.b` of JSON objects, columns of tables."""
    if not source.fields:
        return ()
    fields = {path for record in sample.objects for path in leaves(record)}
    paths = {name.removeprefix("/").replace("/", ".") for name in source.fields}
    return tuple(
        sorted(name for name in fields if not any(f"{name}.".startswith(f"{path}.") for path in paths))
    )


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
        batch = Batch.begin(options.memory_limit, temporary)
        readings: list[Reading] = []
        new: list[Manifest] = []
        for file in files:
            reading = read_file(batch, file, log_format, options, progress and progress(file.name))
            reading.is_known = read_settings.get(reading.digest) == reading.settings
            read_settings[reading.digest] = reading.settings
            readings.append(reading)
            if batch.is_full():
                new += batch.publish(root, temporary)
                batch = Batch.begin(options.memory_limit, temporary)
        new += batch.publish(root, temporary)
        build.refresh(root, temporary, options.memory_limit, options.beside)
        for manifest in new:
            build.count_edges(root, temporary, options.memory_limit, manifest)
        stored = stored_files(root)
        return [final_report(reading, stored.get(reading.digest)) for reading in readings]


def stored_files(root: Path) -> dict[str, ManifestFile]:
    """Digest -> the file of that content that counts."""
    return {live.file.digest: live.file for live in lake.live_files(lake.manifests(root))}


def is_final(file: ManifestFile) -> bool:
    """Whether reading a file again in the same way changes nothing. A time that was in the future may have
    passed."""
    return TIME_IN_THE_FUTURE not in file.report.dropped


def final_report(reading: Reading, stored: ManifestFile | None) -> IngestReport:
    if reading.problem or stored is None:
        return IngestReport(file=reading.name, problem=reading.problem)
    return msgspec.structs.replace(stored.report, file=reading.name, already_ingested=reading.is_known)


def read_file(
    batch: Batch, file: File, log_format: str, options: IngestOptions, progress: Progress | None
) -> Reading:
    """Read one file into a batch. A file that cannot be read is in it with a problem."""
    started = time.monotonic()
    try:
        with contextlib.closing(Feed(file, options.memory_limit, progress, options.limits)) as feed:
            reading = batch.read(feed, *plan_of(feed, log_format, options.log))
    except InputError as problem:
        return batch.give_up(file.name, str(problem))
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
    others = f"NULL AS dropped, NULL AS note, 0 AS line, NULL AS text, 0 AS {events.FILE}"
    with lake.writing(root) as temporary:
        batch = Batch.begin(memory_limit, temporary)
        batch.connection.register("generated", complete(generated))
        batch.write(rows_of(f"(SELECT *, {others} FROM generated)"))
        batch.files.append(Reading(name, GENERATED, {}, (), digest, len(generated)))
        batch.publish(root, temporary)
        build.refresh(root, temporary, memory_limit)


def complete(generated: pa.Table) -> pa.Table:
    """Events with all columns, null if they are missing."""
    present = generated.column_names
    columns = {name: generated[name] if name in present else pa.nulls(len(generated)) for name in events.KEPT}
    return pa.table(columns).cast(pa.schema([events.SCHEMA.to_pyarrow().field(name) for name in events.KEPT]))
