"""Which events are flagged: their edge of the day is in an incident that is reported, and that no verdict
calls harmless."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ueba import findings
from ueba.contracts import scored
from ueba.investigate.perimeter.log import Log, place_of
from ueba.investigate.perimeter.reach import DAY, Ints
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
    day = log.time // DAY  # days since 1970, [events]
    edges = _edges_in_incidents(
        workspace, {_EPOCH + dt.timedelta(days=int(number)) for number in np.unique(day)}
    )
    ids = list(dict.fromkeys(edges["incident"]))
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


def _edges_in_incidents(workspace: Workspace, days: set[dt.date]) -> pd.DataFrame:
    """The scored edges of those days' incidents."""
    verdicts, folder = verdict_log.read(workspace.root).words, workspace.findings
    harmless = [incident for incident, verdict in verdicts.items() if verdict in HARMLESS]
    tables = [
        findings.load(folder, day).reported(verdicts).edges
        for day in findings.scored_days(folder)
        if day in days
    ]
    edges = scored.concatenated(tables)
    return edges[edges["incident"].notna() & ~edges["incident"].isin(harmless)]


def _numbered(edges: pd.DataFrame, log: Log, ids: list[str]) -> pd.DataFrame:
    """The edges whose parts the log names, as numbers: day, user, source, target, incident."""
    account, place, incident = (
        {name: number for number, name in enumerate(names)} for names in (log.accounts, log.places, ids)
    )
    rows = [
        (
            (edge.day - _EPOCH).days,
            account.get(edge.user),
            -1 if edge.source is None else place.get(place_of("machine", edge.source)),
            place.get(place_of(edge.target_kind, edge.target)),
            incident[edge.incident],
        )
        for edge in edges.itertuples(index=False)
    ]
    complete = [row for row in rows if None not in row]
    return pd.DataFrame(complete, columns=[*_KEYS, "incident"], dtype=np.int64)
