"""The findings of scored days on disk: incidents as JSON, scored edges as Parquet, explanations as JSON.

    findings/day=YYYY-MM-DD.json         incidents, best first, see `ueba.contracts.incident`
    findings/day=YYYY-MM-DD.parquet      scored edges, strangest first, see `ueba.contracts.scored`
    findings/explained=YYYY-MM-DD.json   explanations of edges, see `ueba.contracts.explanation`
    findings/below=YYYY-MM-DD.json       incidents below the line, see `ueba.contracts.incident.BelowLine`
    findings/scores=YYYY-MM-DD.parquet   scores of all edges, see `ueba.scores`

Incidents below the line are in a file of their own: whoever does not ask for them never meets them. Listing
incidents is quick, as they are read as JSON: pandas and pyarrow are imported where edges are read. Leaves out
how a day is scored (`ueba.detect.day`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ueba import state
from ueba.contracts import incident as incidents_on_disk
from ueba.contracts.incident import BelowLine, Incident
from ueba.errors import UsageError, WorkspaceError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ueba.contracts.case import Step
    from ueba.contracts.scored import ScoredEdge

CLOSE = 5  # ids that a message lists if several incidents match


@dataclass(frozen=True)
class Findings:
    """The findings of a day.

    edges:     columns of `ueba.contracts.scored`, strangest first
    incidents: by rank
    below:     incidents below the line, and
    scores:    of all edges, columns of `ueba.contracts.day_scores`; both only when the day is scored
    """

    day: dt.date
    edges: pd.DataFrame
    incidents: tuple[Incident, ...]
    below: tuple[BelowLine, ...] | None = None
    scores: pa.Table | None = None

    def edges_of(self, incident: Incident) -> list[ScoredEdge]:
        """The edges of an incident, strangest first."""
        from ueba.contracts import scored

        return scored.edges(self.edges[self.edges["incident"] == incident.id])

    def with_below(self, below: Sequence[BelowLine]) -> Findings:
        """The findings with incidents below the line among the others, which is what only those who ask for
        them should see."""
        from ueba.contracts import scored

        names = {edge: entry.incident.id for entry in below for edge in entry.edges}
        edges = zip(self.edges["incident"], scored.identities(self.edges), strict=True)
        incident = self.edges["incident"].copy()
        incident[:] = [name or names.get(edge) for name, edge in edges]
        return replace(
            self,
            edges=self.edges.assign(incident=incident),
            incidents=(*self.incidents, *(entry.incident for entry in below)),
        )

    def reported(self, words: Mapping[str, str]) -> Findings:
        """The findings without hidden incidents; their edges are then in no incident. words: verdicts by
        incident."""
        shown = reported(self.incidents, words)
        is_shown = self.edges["incident"].isin([incident.id for incident in shown])
        edges = self.edges.assign(incident=self.edges["incident"].where(is_shown, None))
        return replace(self, edges=edges, incidents=shown)


def reported(incidents: Iterable[Incident], words: Mapping[str, str]) -> tuple[Incident, ...]:
    """Incidents without hidden ones; an incident with the verdict true is never hidden.

    words: verdicts by incident."""
    return tuple(
        incident for incident in incidents if not incident.hidden_by or words.get(incident.id) == "true"
    )


# --- which days and incidents there are ---------------------------------------------------------------------


def scored_days(folder: Path) -> list[dt.date]:
    """The scored days, in order. Raises WorkspaceError if a file is called as if it were of a day."""
    return sorted(map(_day_of, folder.glob("day=*.json")))


def _day_of(path: Path) -> dt.date:
    with state.reading(path, "its name is of no day, so remove it"):
        return dt.date.fromisoformat(path.stem.removeprefix("day="))


def last_scored(folder: Path) -> dt.date:
    """The last scored day. Raises WorkspaceError if no day was scored."""
    days = scored_days(folder)
    if not days:
        raise WorkspaceError(
            f"{folder.parent}: no day was scored yet; run `ueba score --day DAY` or `ueba nightly`"
        )
    return days[-1]


def check_scored(folder: Path, day: dt.date) -> None:
    """Raises WorkspaceError if a day was not scored."""
    if day not in scored_days(folder):
        raise WorkspaceError(f"{day} was not scored; scored days: {days_text(folder)}")


def days_text(folder: Path) -> str:
    """The scored days, for a message."""
    days = scored_days(folder)
    return f"{days[0]} to {days[-1]}" if days else "none yet; run `ueba score --day DAY` or `ueba nightly`"


def scored_at(folder: Path, day: dt.date) -> dt.datetime:
    """When a day was scored, UTC: the time of its file."""
    return dt.datetime.fromtimestamp((folder / f"day={day}.json").stat().st_mtime, dt.UTC)


def load_incidents(
    folder: Path, first: dt.date | None = None, last: dt.date | None = None, below: bool = False
) -> tuple[Incident, ...]:
    """Incidents from one day to another, both included, by day and rank; hidden ones too, see `reported`.

    below: those below the line, too"""
    found: list[Incident] = []
    for day in scored_days(folder):
        if (first or day) <= day <= (last or day):
            found += _incidents_of_day(folder, day)
            found += [entry.incident for entry in load_below(folder, day)] if below else []
    return tuple(found)


def _incidents_of_day(folder: Path, day: dt.date) -> tuple[Incident, ...]:
    path = folder / f"day={day}.json"
    data = state.content(path, remedy(day))
    with state.reading(path, remedy(day)):
        found = incidents_on_disk.from_json(data)
        if any(incident.day != day for incident in found):
            raise ValueError("it has incidents of another day")
        return found


def load_below(folder: Path, day: dt.date) -> tuple[BelowLine, ...]:
    """The incidents of a day below the line, by rank; none if they were not kept. Raises WorkspaceError if
    the file is damaged."""
    path = folder / f"below={day}.json"
    if not state.is_there(path):
        return ()
    data = state.content(path, remedy(day))
    with state.reading(path, remedy(day)):
        found = incidents_on_disk.below_from_json(data)
        if any(entry.incident.day != day or not entry.incident.below_line for entry in found):
            raise ValueError("it has incidents of another day, or not below the line")
        return found


def remedy(day: dt.date) -> str:
    """What makes the files of a scored day anew."""
    return f"`ueba score --day {day}` makes it anew"


def choose_incidents(
    folder: Path,
    day: dt.date | None = None,
    first: dt.date | None = None,
    last: dt.date | None = None,
    below: bool = False,
) -> tuple[Incident, ...]:
    """The incidents of a day or of several; of the last scored day if none is named. Raises as `span` does.

    below: those below the line, too"""
    return load_incidents(folder, *span(folder, day, first, last), below)


def span(
    folder: Path, day: dt.date | None = None, first: dt.date | None = None, last: dt.date | None = None
) -> tuple[dt.date, dt.date]:
    """The first and last of the scored days that are asked for: a day or several, or else the last.

    Raises WorkspaceError if the day was not scored, UsageError if both a day and several are named."""
    check_span(day, first, last)
    latest = last_scored(folder)
    if first is None and last is None:
        day = day or latest
    if day is not None:
        check_scored(folder, day)
        return day, day
    return first or dt.date.min, last or dt.date.max


def check_span(day: dt.date | None, first: dt.date | None, last: dt.date | None) -> None:
    """Raises UsageError if both a day and several are named."""
    if day is not None and (first or last):
        raise UsageError("give --day, or --from and --to, not both")


def find_incident(folder: Path, incident_id: str) -> Incident:
    """One incident by its id or the beginning of it, with or without the day; one below the line if no other
    is called so.

    Raises WorkspaceError if there is none or more than one."""
    wanted = incident_id.strip().casefold()
    found = _called(load_incidents(folder), wanted)
    found = found or _called(load_incidents(folder, below=True), wanted)
    if len(found) == 1 and wanted:
        return found[0]
    problem = (
        f"{len(found)} incidents begin with {incident_id!r}: {few([one.id for one in found])}"
        if found
        else f"no incident is called {incident_id!r}"
    )
    raise WorkspaceError(f"{problem}; `ueba incidents` lists them; scored days: {days_text(folder)}")


def few(ids: Sequence[str]) -> str:
    """The first of several ids, for a message."""
    return ", ".join(ids[:CLOSE]) + (", ..." if len(ids) > CLOSE else "")


def _called(incidents: Iterable[Incident], beginning: str) -> list[Incident]:
    """The incidents whose id begins so, or else whose id without the day does."""
    listed = list(incidents)
    found = [incident for incident in listed if incident.id.startswith(beginning)]
    return found or [incident for incident in listed if incident.id.partition("-")[2].startswith(beginning)]


# --- edges --------------------------------------------------------------------------------------------------


def load(folder: Path, day: dt.date, below: bool = False) -> Findings:
    """The findings of a day. below: with the incidents below the line among the others. Raises WorkspaceError
    if it was not scored, or a file is damaged."""
    found = Findings(day, load_edges(folder, day), load_incidents(folder, day, day))
    return found.with_below(load_below(folder, day)) if below else found


def load_edges(folder: Path, day: dt.date) -> pd.DataFrame:
    """The scored edges of a day. Raises WorkspaceError if it was not scored, or the file is damaged."""
    from ueba.contracts import scored

    stored = _stored_edges(folder, day)
    with state.reading(folder / f"day={day}.parquet", remedy(day)):
        return scored.from_arrow(stored, day)


def _stored_edges(folder: Path, day: dt.date) -> pa.Table:
    path = folder / f"day={day}.parquet"
    if not state.is_there(path):
        check_scored(folder, day)
        raise WorkspaceError(f"{path} is missing; {remedy(day)}")
    return state.table(path, remedy(day))


def load_steps(folder: Path, day: dt.date) -> dict[str, list[Step]]:
    """The steps of a day's incidents, by the id of the incident: quicker than all scored edges. Raises
    WorkspaceError if the day was not scored, or the file is damaged."""
    from ueba.contracts import scored

    stored = _stored_edges(folder, day)
    with state.reading(folder / f"day={day}.parquet", remedy(day)):
        return scored.steps(stored)


def save(findings: Findings, folder: Path) -> None:
    """Store the findings of a day in place of those from an earlier scoring. Incidents below the line stay as
    they are if the findings have none of their own, None; the scores of all edges are `ueba.scores.save`."""
    from ueba.contracts import scored

    if findings.below is not None:
        below = incidents_on_disk.below_to_json(findings.below)
        state.write(folder / f"below={findings.day}.json", below)
    state.write_table(folder / f"day={findings.day}.parquet", scored.to_arrow(findings.edges))
    state.write(folder / f"day={findings.day}.json", incidents_on_disk.to_json(findings.incidents))
