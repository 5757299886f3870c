"""Incidents of scored days, as kept: `findings/day=YYYY-MM-DD.json`. Reading them needs nothing but JSON, so it is quick.

Leaves out the edges; those are Parquet, see `findings`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ueba.errors import WorkspaceError


def scored_days(folder: Path) -> list[dt.date]:
    """Days that have findings, in order."""
    return sorted(dt.date.fromisoformat(path.stem.removeprefix("day=")) for path in folder.glob("day=*.json"))


def load_incidents(folder: Path, first: dt.date | None = None, last: dt.date | None = None) -> list[dict[str, Any]]:
    """Incidents of some days, both ends included, by day and rank."""
    days = [d for d in scored_days(folder) if (first is None or d >= first) and (last is None or d <= last)]
    return [incident for day in days for incident in json.loads((folder / f"day={day}.json").read_text())]


def incidents_of(
    folder: Path, day: dt.date | None = None, first: dt.date | None = None, last: dt.date | None = None
) -> list[dict[str, Any]]:
    """The incidents of a day or of several; of the last scored day if none is named. Raises WorkspaceError if it was not scored."""
    scored = scored_days(folder)
    if not scored:
        raise WorkspaceError(f"{folder.parent}: no day was scored yet; run `ueba score --day DAY` or `ueba nightly`")
    if day is None and first is None and last is None:
        day = scored[-1]
    if day is not None and day not in scored:
        raise WorkspaceError(f"{day} was not scored; days that were: {listed(folder)}")
    return load_incidents(folder, day or first, day or last)


def reported(incidents: list[dict[str, Any]], said: Mapping[str, str]) -> list[dict[str, Any]]:
    """Incidents without those that rules hide; what was called true is always there. said: verdicts by incident."""
    return [incident for incident in incidents if not incident.get("suppressed_by") or said.get(incident["id"]) == "true"]


def find_incident(folder: Path, incident_id: str) -> dict[str, Any]:
    """One incident, by its id or the beginning of it. Raises WorkspaceError if there is none or more than one."""
    found = [incident for incident in load_incidents(folder) if incident["id"].startswith(incident_id)]
    if len(found) != 1:
        said = f"{len(found)} incidents begin with" if found else "no incident is called"
        raise WorkspaceError(f"{said} {incident_id!r}; `ueba incidents` lists them; days scored: {listed(folder)}")
    return found[0]


def listed(folder: Path) -> str:
    """The days that were scored, for a message."""
    days = scored_days(folder)
    return f"{days[0]} to {days[-1]}" if days else "none yet; run `ueba score --day DAY` or `ueba nightly`"
