"""A night: what one run of `ueba nightly` did. Kept as JSON in `runs/<time>-nightly.json`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import msgspec

from ueba.contracts import versions
from ueba.contracts.incident import Incident
from ueba.contracts.report import IngestReport


@dataclass(frozen=True)
class Night:
    """One night.

    day:       the last day of the lake, which is scored
    ingested:  the report of each file that arrived
    loaded:    rows that went into the graph, by label and relationship type
    pruned:    relationships and nodes that left the graph
    similar:   rows of SIMILAR_TO in the graph
    incidents: of the day, best first, hidden ones too
    seconds:   by stage; without `score` there was no news
    reviewed:  days that were never scored and that the training reviewed, see `ueba.contracts.suspect`
    """

    day: dt.date
    ingested: tuple[IngestReport, ...]
    loaded: dict[str, int]
    pruned: int
    similar: int
    incidents: tuple[Incident, ...]
    seconds: dict[str, float]
    reviewed: tuple[dt.date, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "day": self.day.isoformat(),
            "ingested": [report.to_dict() for report in self.ingested],
            "loaded": self.loaded,
            "pruned": self.pruned,
            "similar": self.similar,
            "incidents": msgspec.to_builtins(self.incidents),
            "seconds": self.seconds,
            "reviewed": [day.isoformat() for day in self.reviewed],
        }


class NightFile(msgspec.Struct, frozen=True):
    """A file that arrived. problem: why nothing of it could be read; None if it was read"""

    file: str
    problem: str | None = None


class NightRun(msgspec.Struct, frozen=True):
    """What is read of the record of an earlier night."""

    schema_version: int
    day: dt.date
    ingested: tuple[NightFile, ...]
    seconds: dict[str, float]


def from_json(content: bytes) -> NightRun:
    """An earlier night from its record. Raises ValueError if it is not one of this version."""
    run = msgspec.json.decode(content, type=NightRun)
    if run.schema_version != versions.RUN:
        raise ValueError(f"schema version {run.schema_version} instead of {versions.RUN}")
    return run
