"""A night: what one run of `ueba nightly` did. Kept as JSON in `runs/<time>-nightly.json`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import msgspec

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
    """

    day: dt.date
    ingested: tuple[IngestReport, ...]
    loaded: dict[str, int]
    pruned: int
    similar: int
    incidents: tuple[Incident, ...]
    seconds: dict[str, float]

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
        }
