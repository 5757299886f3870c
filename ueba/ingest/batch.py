"""Log files -> events in the lake, a batch at a time: read in slices, accounted for record by record,
written, published.

A batch is as many files as fill a slice: a folder of thousands of small files makes few batches, a large
file one of its own. Leaves out how records are read (`read`), understood (`sources`) and kept (`lake`), and
what edges they make (`build`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from ueba.errors import InputError
from ueba.ingest import build, edges, events, identity, lake, read, sources
from ueba.ingest import report as reports_of
from ueba.ingest.files import File
from ueba.ingest.identity import evidence
from ueba.ingest.read import Feed, Progress
from ueba.ingest.report import IngestReport
from ueba.ingest.sources import AUTO, Options, Sample, Source

DEFAULTS = Options()
MEMORY = "1GB"  # for events that were made
EXAMPLE = 120  # characters of a dropped record that a report shows
FUTURE = "time in the future"
GROUP_FILES = 2000  # files in a batch, at most


def chosen(feed: Feed, format: str, options: Options) -> tuple[Source, Sample]:
    """How to read a file: as `--format` says, or as its first records show."""
    sample = Sample(feed.path, feed.sample, feed.modified)
    return sources.detect(sample, options) if format == AUTO else sources.find(format, options), sample


def events_of(feed: Feed, format: str, options: Options = DEFAULTS) -> pa.Table:
    """The events of one file before names are unified, dropped records with them; columns as `events` lists
    them."""
    source, sample = chosen(feed, format, options)
    found = ibis.to_sql(source.events(ibis.table(events.LINES, name="lines"), sample), dialect="duckdb")
    made = []
    with lake.connect(MEMORY) as connection:
        for lines in feed.slices(source.has_rows(sample)):
            connection.register("lines", lines)
            made.append(connection.sql(f"SELECT * FROM ({found}) ORDER BY line").to_arrow_table())
    return pa.concat_tables(made) if made else events.SCHEMA.to_pyarrow().empty_table()


# --- a batch ------------------------------------------------------------------------------------------------


MADE = Source("events", {}, lambda lines, sample: lines, canonical=True)  # of events that were made
NOTHING = Source("", {}, lambda lines, sample: lines)  # of a file that could not be read


@dataclass
class Reading:
    """One file of a batch: what is known of it when all its records were read. `known`: its content is in
    the lake already."""

    name: str
    source: Source
    settings: dict[str, Any]
    unread: tuple[str, ...]
    digest: str = ""
    lines: int = 0
    seconds: float = 0.0
    known: bool = False
    problem: str = ""


@dataclass
class Batch:
    """Files on their way into the lake. Records of small files are parsed together, as far as the same
    expression reads them."""

    connection: duckdb.DuckDBPyConnection
    folder: Path
    files: list[Reading] = field(default_factory=list)
    waiting: list[pa.Table] = field(default_factory=list)  # `lines` with `file`, for `parse`
    parse: str = ""  # SQL
    bytes: int = 0

    @classmethod
    def begin(cls, memory_limit: str, temporary: Path) -> Batch:
        (temporary / "events").mkdir()
        return cls(lake.connect(memory_limit, temporary), temporary / "events")

    def read(self, feed: Feed, source: Source, sample: Sample) -> Reading:
        """All records of a file."""
        parse, number = parsing(source, sample), len(self.files)
        if parse != self.parse:
            self.flush()
        self.parse = parse
        reading = Reading(
            feed.path, source, source.settings | {"lake_version": lake.VERSION}, unread(sample, source)
        )
        self.files.append(reading)
        for lines in feed.slices(source.has_rows(sample)):
            self.waiting.append(
                lines.append_column(events.FILE, pa.repeat(pa.scalar(number, pa.int32()), len(lines)))
            )
            self.bytes += lines.nbytes
            if sum(table.nbytes for table in self.waiting) > read.SLICE / 2:
                self.flush()
        reading.digest, reading.lines = feed.digest, feed.lines
        return reading

    def give_up(self, name: str, problem: str) -> Reading:
        """The file that was being read has a problem; what was read of it does not count."""
        if not self.files or self.files[-1].name != name or self.files[-1].digest:
            self.files.append(Reading(name, NOTHING, {}, ()))
        self.files[-1].problem = problem
        return self.files[-1]

    def flush(self) -> None:
        """Parse what waits, and write it."""
        if self.waiting:
            self.connection.register("lines", pa.concat_tables(self.waiting))
            self.write(self.parse)
            self.connection.unregister("lines")
            self.waiting = []

    def write(self, rows: str) -> None:
        """More Parquet files in the batch's folder, one for each thread."""
        name = f"{len(list(self.folder.iterdir())):06}"
        self.connection.execute(
            f"COPY ({rows}) TO '{build.quoted(self.folder)}' (FORMAT parquet, PARQUET_VERSION V2, PER_THREAD_OUTPUT true,"
            f" OVERWRITE_OR_IGNORE true, FILENAME_PATTERN '{name}-{{i}}')"
        )

    def is_full(self) -> bool:
        return self.bytes > read.SLICE or len(self.files) >= GROUP_FILES

    def publish(self, root: Path, temporary: Path) -> list[lake.Manifest]:
        """Into the lake, visible at once. Returns its manifest, or nothing if it brings nothing new."""
        self.flush()
        kept = self.accounts()
        manifests = []
        if any(kept):
            self.connection.execute(
                f"COPY ({self.evidence()}) TO '{build.quoted(temporary / 'evidence.parquet')}' (FORMAT parquet)"
            )
            content = [[entry["digest"], entry["how"]["settings"]] for entry in kept if entry]
            batch = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
            manifests = [
                {"lake_version": lake.VERSION, "id": batch, "number": next_number(root), "files": kept}
            ]
            lake.publish(root, temporary, manifests[0])
        self.connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return manifests

    def evidence(self) -> str:
        """SQL: what the events tell of entities."""
        if not any(self.folder.iterdir()):
            return f"SELECT 0 AS file, * FROM ({evidence.EMPTY})"
        formats = " ".join(
            f"WHEN {n} THEN '{build.quoted(reading.source.name)}'" for n, reading in enumerate(self.files)
        )
        canonical = (
            ", ".join(str(n) for n, reading in enumerate(self.files) if reading.source.canonical) or "-1"
        )
        named = (
            f"SELECT *, CASE file {formats} END AS format, file IN ({canonical}) AS canonical FROM {self.all}"
        )
        return evidence.query(f"({named} WHERE dropped IS NULL)")

    @property
    def all(self) -> str:
        return build.rows_in(self.folder)

    def accounts(self) -> list[dict[str, Any] | None]:
        """Each file as a manifest has it, every record accounted for; None for those that are known or have
        a problem."""
        per_file: dict[str, dict[int, list[tuple[Any, ...]]]] = {}
        if any(self.folder.iterdir()):
            per_file = {
                what: grouped(self.connection.execute(sql.format(all=self.all)).fetchall())
                for what, sql in ACCOUNTS.items()
            }
        return [
            None
            if reading.known or reading.problem
            else account(reading, {what: per_file.get(what, {}).get(number, []) for what in ACCOUNTS})
            for number, reading in enumerate(self.files)
        ]


# What reports are made of: rows that begin with the number of the file.
ACCOUNTS = {
    "dropped": "SELECT file, dropped, count(*), min_by(example, line), min(line) FROM {all} WHERE dropped IS NOT NULL"
    " GROUP BY 1, 2 ORDER BY 3 DESC, 2",
    "notes": "SELECT file, note, count(*), min_by(example, line), min(line) FROM {all} WHERE note IS NOT NULL AND dropped IS NULL"
    " GROUP BY 1, 2 ORDER BY 3 DESC, 2",
    "days": "SELECT file, time::DATE::VARCHAR, min(time), max(time), count(*), count(event_id), count(witness),"
    f" count(*) FILTER (action IN ({build.EVIDENT})) FROM {{all}} WHERE dropped IS NULL GROUP BY 1, 2 ORDER BY 2",
    "repeated": "SELECT file, count(event_id) - count(DISTINCT (event_id, time)) FILTER (event_id IS NOT NULL) FROM {all}"
    " WHERE dropped IS NULL GROUP BY 1",
    "names": 'SELECT file, count(DISTINCT "user"), count(DISTINCT source), count(DISTINCT target) FROM {all}'
    " WHERE dropped IS NULL GROUP BY 1",
    "hours": "SELECT file, date_trunc('hour', time), count(*) FROM {all} WHERE dropped IS NULL GROUP BY 1, 2",
}


def grouped(rows: list[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    """Rows by their first value, without it."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for number, *values in rows:
        found.setdefault(number, []).append(tuple(values))
    return found


def account(reading: Reading, rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, Any] | None:
    """One file as a manifest has it. It has a problem, and there is none, where nothing reads as the
    format."""
    dropped = {reason: count for reason, count, _, _ in rows["dropped"]}
    notes = {note: count for note, count, _, _ in rows["notes"]}
    examples = {
        reason: f"{reading.name}:{line}: {sources.printable(text or '')}"
        for reason, _, text, line in (*rows["dropped"], *rows["notes"])
    }
    counts = [sum(day[n] for day in rows["days"]) for n in range(3, 7)] if rows["days"] else [0] * 4
    events_, with_id, with_witness, evident = counts
    if events_ + sum(dropped.values()) != reading.lines:
        raise AssertionError(
            f"{reading.lines} records became {events_} events and {sum(dropped.values())} dropped ones"
        )
    understood = events_ or any(reason.startswith(events.NOT_A_LOGON) for reason in dropped)
    if reading.lines and not understood and set(dropped) != {events.HEADER}:
        said = "; ".join(f"{reason}: {count}" for reason, count in dropped.items())
        shown = next(iter(examples.values()))
        reading.problem = f"{reading.name}: no line reads as {reading.source.name} ({said}), as\n  {shown}\nsay what it is with --format"
        return None
    users, sources_, targets = rows["names"][0] if rows["names"] else (0, 0, 0)
    report = IngestReport(
        file=reading.name,
        format=reading.source.name,
        batch=reading.digest,
        lines=reading.lines,
        events=events_,
        edges=0,
        repeated=rows["repeated"][0][0] if with_id else 0,
        evidence=evident,
        dropped=dropped,
        notes=notes,
        examples=examples,
        unread_fields=reading.unread,
        first=min((day[1] for day in rows["days"]), default=None),
        last=max((day[2] for day in rows["days"]), default=None),
        gaps=reports_of.gaps(dict(rows["hours"])),
        days=tuple(dt.date.fromisoformat(day[0]) for day in rows["days"]),
        users=users,
        sources=sources_,
        targets=targets,
        seconds=reading.seconds,
    )
    source = reading.source
    how = {
        "settings": reading.settings,
        "canonical": source.canonical,
        "has_ids": with_id > 0,
        "has_views": with_witness > 0,
    }
    spans = {day: [str(first), str(last), count] for day, first, last, count, *_ in rows["days"]}
    return {"digest": reading.digest, "how": how, "spans": spans, "report": report.to_dict()}


def next_number(root: Path) -> int:
    return max((manifest["number"] for manifest in lake.manifests(root)), default=0) + 1


COMPILED: dict[
    str, str
] = {}  # SQL by what it depends on: a folder of small files asks for the same again and again


def parsing(source: Source, sample: Sample) -> str:
    """SQL: the table `lines` -> rows of a batch."""
    seen = [
        source.settings,
        sample.header and sample.first + sample.header if source.by_header else "",
        str(sample.modified) if source.by_time else "",
    ]
    key = json.dumps([source.name, events.latest().isoformat()[:13], *seen], sort_keys=True)
    if key not in COMPILED:
        found = source.events(ibis.table(events.LINES | {events.FILE: "int32"}, name="lines"), sample)
        found = found if source.canonical else identity.unify(found)
        COMPILED[key] = rows_of(f"({ibis.to_sql(found, dialect='duckdb')})")
    return COMPILED[key]


def rows_of(found: str) -> str:
    """SQL: events -> rows of a batch, of dropped ones only what a report shows."""
    columns = ", ".join(f'CASE WHEN dropped IS NULL THEN "{name}" END AS "{name}"' for name in events.KEPT)
    example = f"CASE WHEN dropped IS NOT NULL OR note IS NOT NULL THEN left(text, {EXAMPLE}) END AS example"
    return f"SELECT {columns}, dropped, note, line, {example}, {events.FILE} AS file FROM {found}"


# --- many files ---------------------------------------------------------------------------------------------


def ingest(
    files: Iterable[File],
    format: str,
    root: Path,
    options: Options,
    memory_limit: str,
    beside: Path | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> list[IngestReport]:
    """Read files into the lake at `root`, and make its edges anew where they bring news. Returns the report
    of each file.

    A file that cannot be read has a report that says why. The same content twice changes nothing."""
    with lake.writing(root) as temporary:
        known = stored_files(root)
        batch = Batch.begin(memory_limit, temporary)
        read_so_far: list[Reading] = []
        new: list[lake.Manifest] = []
        for file in files:
            reading = read_file(batch, file, format, options, progress and progress(file.name))
            reading.known = is_known(known, reading)
            read_so_far.append(reading)
            if not reading.known:
                known[reading.digest] = {"how": {"settings": reading.settings}, "report": {"dropped": {}}}
            if batch.is_full():
                new += batch.publish(root, temporary)
                batch = Batch.begin(memory_limit, temporary)
        new += batch.publish(root, temporary)
        build.refresh(root, temporary, memory_limit, beside)
        for manifest in new:
            build.count_edges(root, temporary, manifest)
        known = stored_files(root)
        return [final(reading, known.get(reading.digest)) for reading in read_so_far]


def stored_files(root: Path) -> dict[str, dict[str, Any]]:
    """Digest -> the file of that content that counts, as its manifest has it."""
    held = lake.manifests(root)
    counting = lake.live(held)
    return {
        manifest["files"][n]["digest"]: manifest["files"][n]
        for manifest in held
        for n in counting[manifest["id"]]
    }


def is_known(known: dict[str, dict[str, Any]], reading: Reading) -> bool:
    """Whether the content of a file was read already, in the same way. What was in the future may have
    come."""
    stored = known.get(reading.digest)
    return bool(
        stored and stored["how"]["settings"] == reading.settings and FUTURE not in stored["report"]["dropped"]
    )


def final(reading: Reading, stored: dict[str, Any] | None) -> IngestReport:
    if reading.problem or stored is None:
        return reports_of.failed(reading.name, reading.problem or "")
    return IngestReport.from_dict(
        stored["report"] | {"file": reading.name, "already_ingested": reading.known}
    )


def read_file(batch: Batch, file: File, format: str, options: Options, progress: Progress | None) -> Reading:
    """One file into a batch. A file that cannot be read is there with a problem."""
    started = time.monotonic()
    try:
        with contextlib.closing(Feed(file, progress)) as feed:
            reading = batch.read(feed, *chosen(feed, format, options))
    except InputError as problem:
        return batch.give_up(file.name, str(problem))
    reading.seconds = round(time.monotonic() - started, 3)
    return reading


def unread(sample: Sample, source: Source) -> tuple[str, ...]:
    """Fields of the first records that the source does not read: `a.b` of JSON objects, columns of CSV."""
    if not source.fields:
        return ()
    if source.has_rows(sample):
        found = {name for row in sample.rows[:1] for name in row if name}
    else:
        found = {path for each in sample.objects for path in leaves(each)}
    known = {name.removeprefix("/").replace("/", ".") for name in source.fields}
    return tuple(
        sorted(
            path for path in found if not any(path == each or path.startswith(f"{each}.") for each in known)
        )
    )


def leaves(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Paths of what is no object."""
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


# --- events that were made ----------------------------------------------------------------------------------


def counted(made: pa.Table, stage: Callable[[ir.Table], ir.Table]) -> pa.Table:
    """The edges of events that were made and not read, through an expression of edges. made: columns as
    `events` lists them."""
    with lake.connect(MEMORY) as connection:
        connection.register("made", complete(made))
        connection.execute(f"CREATE VIEW edges AS {build.counted('SELECT *, 0 AS witnesses FROM made')}")
        return connection.sql(
            ibis.to_sql(stage(ibis.table(edges.SCHEMA, name="edges")), dialect="duckdb")
        ).to_arrow_table()


def keep(made: pa.Table, name: str, root: Path) -> None:
    """Events that were made and not read, as a batch of their own. made: columns as `events` lists them;
    name: for reports"""
    digest = hashlib.sha256(str(made.to_pydict()).encode()).hexdigest()[:32]
    with lake.writing(root) as temporary:
        batch = Batch.begin(MEMORY, temporary)
        batch.connection.register("made", complete(made))
        batch.write(
            rows_of(
                f"(SELECT *, NULL AS dropped, NULL AS note, 0 AS line, NULL AS text, 0 AS {events.FILE} FROM made)"
            )
        )
        batch.files.append(Reading(name, MADE, {}, (), digest, len(made)))
        batch.publish(root, temporary)
        build.refresh(root, temporary, MEMORY)


def complete(made: pa.Table) -> pa.Table:
    """With all columns of an event, null where they are missing."""
    columns = {name: made[name] if name in made.column_names else pa.nulls(len(made)) for name in events.KEPT}
    return pa.table(columns).cast(pa.schema([events.SCHEMA.to_pyarrow().field(name) for name in events.KEPT]))
