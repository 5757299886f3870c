"""A manifest: what the lake knows of a batch. And the index: which files of daily edges count.

On disk `lake/batches/<id>.json` and `lake/index.json`. A batch is in the lake when its manifest is, edges are
when the index names them. Leaves out reading and writing them; that is `ueba.ingest.lake`.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, NamedTuple

import msgspec

from ueba.contracts.report import IngestReport

LAKE_VERSION = 3  # of all that a lake holds; part of the names of its files
READING_VERSION = (
    2  # of how logs are read: a file that was read in another way is read again when it is ingested
)


class Span(NamedTuple):
    """The events that a file has of one day: first and last time, UTC, and their number."""

    first: dt.datetime
    last: dt.datetime
    events: int


# Names that become paths: of no other form, so that none leads out of the lake.
BatchId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
DayPath = Annotated[str, msgspec.Meta(pattern=r"^edges/day=\d{4}-\d\d-\d\d/[0-9a-f]+\.parquet\Z")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{1,64}\Z")]  # it stands in SQL


class ManifestFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a batch.

    digest:    of its content, decompressed: 128 bits of the SHA-256 as hexadecimal digits
    settings:  every setting on which its events depend; JSON values
    canonical: its names have one spelling already
    has_ids:   an event has an `event_id`
    has_views: an event has a `witness`: other logs may have seen the same logon
    spans:     of each day with events
    report:    what became of its records
    """

    digest: Digest
    settings: dict[str, Any]
    canonical: bool
    has_ids: bool
    has_views: bool
    spans: dict[dt.date, Span]
    report: IngestReport


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One batch.

    id:     a hash of what its files hold and of the settings they were read with
    number: the later a batch came, the higher
    files:  in the order of their numbers in the events; None for one that brought nothing new
    """

    lake_version: int = LAKE_VERSION
    id: BatchId
    number: int
    files: tuple[ManifestFile | None, ...]


class DayFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The daily edges of one day: their file, in the lake's folder, and how many they are."""

    file: DayPath
    rows: int


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The daily edges that count."""

    lake_version: int = LAKE_VERSION
    days: dict[dt.date, DayFile]


class _Versioned(msgspec.Struct):
    lake_version: int


def to_json(content: Manifest | Index) -> bytes:
    """A manifest or an index as the content of its file."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1)


def manifest(content: bytes) -> Manifest:
    """A manifest from the content of its file. Raises ValueError if it is not one of this version."""
    _check_version(content)
    return msgspec.json.decode(content, type=Manifest)


def index(content: bytes) -> Index:
    """An index from the content of its file. Raises ValueError if it is not one of this version."""
    _check_version(content)
    found = msgspec.json.decode(content, type=Index)
    for day, file in found.days.items():
        if not file.file.startswith(f"edges/day={day}/"):
            raise ValueError(f"{file.file} is not of {day}")
    return found


def _check_version(content: bytes) -> None:
    version = msgspec.json.decode(content, type=_Versioned).lake_version
    if version != LAKE_VERSION:
        raise ValueError(f"lake version {version} instead of {LAKE_VERSION}")
