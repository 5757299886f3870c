"""Which events are flagged: their edge of the day is in an incident that is reported, and that no verdict
calls harmless."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ueba import findings
from ueba.arrays import Ints
from ueba.contracts.scored import ScoredEdge
from ueba.investigate.perimeter.log import Log, place_of
from ueba.investigate.perimeter.reach import DAY
from ueba.triage import log as verdict_log
from ueba.workspace import Workspace

HARMLESS = ("benign", "expected")  # verdicts
_EPOCH = dt.date(1970, 1, 1)
_KEYS = ["day", "user", "source", "target"]


@dataclass(frozen=True)
class Flags:
    """ids: of incidents; incident: the number of each event's, int64 [events], -1 for none."""

    ids: list[str]
    incident: Ints

    def id_of(self, row: int) -> str | None:
        number = self.incident[row]
        return self.ids[number] if number >= 0 else None


def find_flags(workspace: Workspace, log: Log) -> Flags:
    """The incident of each event's edge."""
    day = log.time // DAY  # since 1970, [events]
    edges = _edges_in_incidents(
        workspace, {_EPOCH + dt.timedelta(days=int(number)) for number in np.unique(day)}
    )
    ids = list(dict.fromkeys(edge.incident for edge in edges if edge.incident is not None))
    marked = _numbered(edges, log, ids)
    near = np.flatnonzero(np.isin(log.user, marked["user"]) & np.isin(log.target, marked["target"]))
    columns = {
        "day": day[near],
        "user": log.user[near],
        "source": log.source[near],
        "target": log.target[near],
    }
    joined = pd.DataFrame(columns).merge(marked.drop_duplicates(_KEYS), how="left", on=_KEYS)
    incident = np.full(len(day), -1)
    incident[near] = joined["incident"].fillna(-1)
    return Flags(ids, incident)


def _edges_in_incidents(workspace: Workspace, days: Collection[dt.date]) -> list[ScoredEdge]:
    """The edges of those days' incidents, without hidden and harmless ones."""
    verdicts, folder = verdict_log.read(workspace.root).words, workspace.findings
    reported = [
        findings.load(folder, day).reported(verdicts) for day in findings.scored_days(folder) if day in days
    ]
    return [
        edge
        for found in reported
        for incident in found.incidents
        if verdicts.get(incident.id) not in HARMLESS
        for edge in found.edges_of(incident)
    ]


def _numbered(edges: Sequence[ScoredEdge], log: Log, ids: Sequence[str]) -> pd.DataFrame:
    """The edges whose parts the log names, as numbers: day, user, source, target, incident."""
    account = {name: number for number, name in enumerate(log.accounts)}
    place = {entity: number for number, entity in enumerate(log.places)}
    incident = {name: number for number, name in enumerate(ids)}
    rows = [
        (
            (edge.day - _EPOCH).days,
            account.get(edge.user),
            -1 if edge.source is None else place.get(place_of("machine", edge.source)),
            place.get(place_of(edge.target_kind, edge.target)),
            incident.get(edge.incident or ""),
        )
        for edge in edges
    ]
    complete = [row for row in rows if None not in row]
    return pd.DataFrame(complete, columns=[*_KEYS, "incident"], dtype=np.int64)
