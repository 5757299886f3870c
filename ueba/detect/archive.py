"""Incidents of scored days, as kept: `findings/day=YYYY-MM-DD.json`. Reading them needs nothing but JSON, so
it is quick.

Leaves out the edges; those are Parquet, see `findings`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ueba.errors import UsageError, WorkspaceError

CLOSE = 5  # ids that are named where one is not enough


def scored_days(folder: Path) -> list[dt.date]:
    """Days that have findings, in order."""
    return sorted(dt.date.fromisoformat(path.stem.removeprefix("day=")) for path in folder.glob("day=*.json"))


def last_scored(folder: Path) -> dt.date:
    """The last day that has findings. Raises WorkspaceError if none has."""
    scored = scored_days(folder)
    if not scored:
        raise WorkspaceError(
            f"{folder.parent}: no day was scored yet; run `ueba score --day DAY` or `ueba nightly`"
        )
    return scored[-1]


def load_incidents(
    folder: Path, first: dt.date | None = None, last: dt.date | None = None
) -> list[dict[str, Any]]:
    """Incidents of some days, both ends included, by day and rank; also those that rules hide, see
    `reported`."""
    days = [d for d in scored_days(folder) if (first is None or d >= first) and (last is None or d <= last)]
    return [incident for day in days for incident in _read(folder / f"day={day}.json")]


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as reason:
        raise WorkspaceError(
            f"{path} is damaged ({reason}); `ueba score --day` its day makes it anew"
        ) from reason
    return found


def incidents_of(
    folder: Path, day: dt.date | None = None, first: dt.date | None = None, last: dt.date | None = None
) -> list[dict[str, Any]]:
    """The incidents of a day or of several; of the last scored day if none is named. Raises WorkspaceError
    if it was not scored, UsageError if both a day and several are named."""
    if day is not None and (first or last):
        raise UsageError("give --day, or --from and --to, not both")
    latest = last_scored(folder)
    if day is None and first is None and last is None:
        day = latest
    if day is not None and day not in scored_days(folder):
        raise WorkspaceError(f"{day} was not scored; days that were: {listed(folder)}")
    return load_incidents(folder, day or first, day or last)


def headline(reasons: Iterable[str]) -> str:
    """The first reason that tells of this day, without its numbers."""
    every = list(reasons)
    first = next((reason for reason in every if "was strange on the days before" not in reason), every[0])
    return re.sub(r" \([^()]*\)$", "", first)


def reported(incidents: list[dict[str, Any]], said: Mapping[str, str]) -> list[dict[str, Any]]:
    """Incidents without those that rules hide; what was called true is always there. said: verdicts by
    incident."""
    return [
        incident
        for incident in incidents
        if not incident.get("suppressed_by") or said.get(incident["id"]) == "true"
    ]


def find_incident(folder: Path, incident_id: str) -> dict[str, Any]:
    """One incident, by its id or the beginning of it, with or without the day. Raises WorkspaceError if
    there is none or more than one."""
    wanted = incident_id.strip().casefold()
    every = load_incidents(folder)
    found = [incident for incident in every if incident["id"].startswith(wanted)]
    found = found or [incident for incident in every if incident["id"].partition("-")[2].startswith(wanted)]
    if len(found) == 1 and wanted:
        return found[0]
    some = ", ".join(incident["id"] for incident in found[:CLOSE]) + (", ..." if len(found) > CLOSE else "")
    said = (
        f"{len(found)} incidents begin with {incident_id!r}: {some}"
        if found
        else f"no incident is called {incident_id!r}"
    )
    raise WorkspaceError(f"{said}; `ueba incidents` lists them; days scored: {listed(folder)}")


def scored_at(folder: Path, day: dt.date) -> dt.datetime:
    """When a day was scored, UTC: the time of its file."""
    return dt.datetime.fromtimestamp((folder / f"day={day}.json").stat().st_mtime, dt.UTC)


def listed(folder: Path) -> str:
    """The days that were scored, for a message."""
    days = scored_days(folder)
    return f"{days[0]} to {days[-1]}" if days else "none yet; run `ueba score --day DAY` or `ueba nightly`"
