"""What became of a file: every line is an event or was dropped for a reason, with one example each."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class IngestReport:
    """The outcome of one ingest. `events + sum(dropped.values()) == lines`, always."""

    file: str
    format: str
    batch: str  # the hash of the content, decompressed
    lines: int
    events: int
    edges: int  # rows in the lake
    dropped: dict[str, int]  # reason: lines, most first
    examples: dict[str, str]  # reason: "file:line: text" of the first such line, control characters escaped
    first: dt.datetime | None  # UTC, without zone
    last: dt.datetime | None
    days: tuple[dt.date, ...]
    users: int
    sources: int
    targets: int
    seconds: float
    already_ingested: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        times = {"first": self.first and self.first.isoformat(), "last": self.last and self.last.isoformat()}
        return asdict(self) | times | {"days": [day.isoformat() for day in self.days], "schema_version": SCHEMA_VERSION}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> IngestReport:
        """What `to_dict` wrote."""
        values = {name: stored[name] for name in cls.__dataclass_fields__}
        for name in ("first", "last"):
            values[name] = values[name] and dt.datetime.fromisoformat(values[name])
        return cls(**values | {"days": tuple(map(dt.date.fromisoformat, values["days"]))})
