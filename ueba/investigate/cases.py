"""The cases of a workspace: of all scored days, without hidden incidents, and in words.

A case is told by its sentence, and by a paragraph of each of its incidents, in order of time: who, from
where, to what, and why it goes on from an earlier one. Leaves out how incidents become cases
(`ueba.detect.cases`), and what makes a single incident strange (`ueba.investigate.explain`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ueba import files, findings, words
from ueba.contracts import versions
from ueba.contracts.case import PREFIX, Case, Link, Pivot, SameMachine, SameUser, Step
from ueba.contracts.incident import Incident
from ueba.contracts.period import Period
from ueba.detect import cases as linking
from ueba.errors import WorkspaceError
from ueba.triage import log
from ueba.workspace import Workspace

FEW = 3  # names in a sentence
PARTS = 4  # of the sentence of a case; further incidents are counted


@dataclass(frozen=True)
class Casebook:
    """All cases.

    cases:     by the time of their earliest incident
    incidents: by id
    steps:     of each incident, by its id
    verdicts:  by incident
    """

    cases: tuple[Case, ...]
    incidents: Mapping[str, Incident]
    steps: Mapping[str, Sequence[Step]]
    verdicts: Mapping[str, str]

    def of_incident(self, incident_id: str) -> Case | None:
        """The case that an incident is in; None for a hidden one."""
        return next((case for case in self.cases if incident_id in case.incidents), None)

    def between(self, first: dt.date, last: dt.date) -> list[Case]:
        """The cases with an incident on the days from `first` to `last`, highest score first."""
        days = {name: incident.day for name, incident in self.incidents.items()}
        found = [case for case in self.cases if any(first <= days[name] <= last for name in case.incidents)]
        return sorted(found, key=lambda case: (-case.score, case.id))

    def verdicts_of(self, case: Case) -> list[str]:
        """The verdicts on the incidents of a case, in order of time."""
        return [self.verdicts[name] for name in case.incidents if name in self.verdicts]


def read(workspace: Workspace, verdicts: Mapping[str, str] | None = None) -> Casebook:
    """The cases of a workspace. verdicts: by incident, read if they are not known yet. Raises WorkspaceError
    if a file is damaged."""
    folder = workspace.findings
    verdicts = log.read(workspace.root).words if verdicts is None else verdicts
    reported = findings.reported(findings.load_incidents(folder), verdicts)
    days = sorted({incident.day for incident in reported})
    steps = {name: found for day in days for name, found in findings.load_steps(folder, day).items()}
    incidents = {incident.id: incident for incident in reported if incident.id in steps}
    return Casebook(linking.cases(list(incidents.values()), steps), incidents, steps, verdicts)


def is_case(name: str) -> bool:
    """Whether what is asked for is a case and no incident."""
    return name.strip().casefold().startswith(PREFIX)


def find(book: Casebook, name: str) -> Case:
    """The case with an id, or with an incident that the rest of the id names; both may be cut short.

    Raises WorkspaceError if there is none or more than one."""
    wanted = name.strip().casefold().removeprefix(PREFIX)
    found = [case for case in book.cases if any(_is_called(incident, wanted) for incident in case.incidents)]
    exact = [case for case in found if case.id == PREFIX + wanted]
    if len(exact or found) == 1 and wanted:
        return (exact or found)[0]
    if not found or not wanted:
        raise WorkspaceError(f"no case is called {name!r}; `ueba cases` lists them")
    few = findings.few([case.id for case in found])
    raise WorkspaceError(f"{len(found)} cases match {name!r}: {few}; `ueba cases` lists them")


def _is_called(incident: str, wanted: str) -> bool:
    return incident.startswith(wanted) or incident.partition("-")[2].startswith(wanted)


# --- in words -----------------------------------------------------------------------------------------------


def sentence(book: Casebook, case: Case, zone: dt.tzinfo = dt.UTC) -> str:
    """A case in one sentence: who, from where, to what, what next. zone: of the times in it"""
    parts = [_part(book, case, name, zone) for name in case.incidents[:PARTS]]
    more = len(case.incidents) - PARTS
    parts += [f"then {words.counted(more, 'more incident')} until {case.last_day}"] if more > 0 else []
    return "; ".join(parts) + "."


def _part(book: Casebook, case: Case, name: str, zone: dt.tzinfo) -> str:
    """An incident in a clause, by the link that says most."""
    steps = book.steps[name]
    start = files.aware(min(step.first_seen for step in steps)).astimezone(zone)
    when = f"{'On' if name == case.incidents[0] else 'on'} {start:%Y-%m-%d} at {start:%H:%M}"
    match next(iter(_by_weight(case, name)), None):
        case Pivot(machine=machine, reached_by=by):
            own = [step for step in steps if step.source == machine]
            return f"{when} {_actors(own)}, which {by} had reached, {_reached(own)}"
        case SameUser(user=user):
            own = [step for step in steps if step.user == user]
            return f"{when} {_actors(own)} {_reached(own)}"
        case SameMachine(machine=machine):
            own = [step for step in steps if step.source == machine]
            return f"{when} {_actors(own)}, the same machine, {_reached(own)}"
        case _:
            return f"{when} {_actors(steps)} {_reached(steps)}"


def _by_weight(case: Case, name: str) -> list[Link]:
    """The links of an incident to those before it, the one that says most first."""
    kinds = (Pivot, SameUser, SameMachine)
    return sorted(
        (link for link in case.links if link.incident == name), key=lambda link: kinds.index(type(link))
    )


def _actors(steps: Iterable[Step]) -> str:
    """Who acted, and from where."""
    steps = sorted(steps, key=lambda step: -step.strangeness)
    sources = [step.source for step in steps if step.source is not None]
    start = f" from {_listed(sources)}" if sources else ""
    return f"{_listed([step.user for step in steps])}{start}"


def _reached(steps: Iterable[Step]) -> str:
    """What was reached, or tried."""
    steps = sorted(steps, key=lambda step: -step.strangeness)
    verb = "reached" if any(step.is_through for step in steps) else "tried to reach"
    return f"{verb} {_listed([step.target for step in steps])}"


def _listed(names: Sequence[str]) -> str:
    once = list(dict.fromkeys(names))
    if len(once) <= FEW:
        return " and ".join(filter(None, (", ".join(once[:-1]), once[-1])))
    return f"{', '.join(once[:FEW])} and {len(once) - FEW} more"


def why(link: Link, zone: dt.tzinfo = dt.UTC) -> str:
    """Why an incident goes on from an earlier one. zone: of the times in it"""
    match link:
        case SameUser(user=user):
            return f"goes on from {link.goes_on_from}: {user} was in it too"
        case SameMachine(machine=machine):
            return f"goes on from {link.goes_on_from}: it was acted from {machine} too"
        case Pivot():
            reached, acted = (files.aware(t).astimezone(zone) for t in (link.reached_at, link.acted_at))
            return (
                f"goes on from {link.goes_on_from}: {link.reached_by} reached {link.machine} at"
                f" {reached:%Y-%m-%d %H:%M:%S}, and {link.user} acted from it at {acted:%Y-%m-%d %H:%M:%S}"
            )


def place_in_case(
    case: Case | None, incident: str, zone: dt.tzinfo = dt.UTC, period: Period | None = None
) -> list[str]:
    """The lines that say from which incidents one goes on, and which go on from it; none if it is alone.

    zone: of the times in them; period: of the case"""
    if case is None or len(case.incidents) == 1:
        return []
    links = case.links_of(incident)
    earlier = [why(link, zone) for link in links if link.incident == incident]
    later = [f"{link.incident} {why(link, zone)}" for link in links if link.goes_on_from == incident]
    often = f"; of the case: {words.happens(period)}" if period else ""
    return [f"It is one of {len(case.incidents)} incidents of {case.id}{often}.", *earlier, *later]


def chapters(book: Casebook, case: Case, zone: dt.tzinfo = dt.UTC) -> dict[str, list[str]]:
    """The lines about each incident of a case, by its id, in order of time. zone: of the times in them"""
    return {
        name: [_when_and_who(book.steps[name], zone), *(why(link, zone) for link in _by_weight(case, name))]
        for name in case.incidents
    }


def _when_and_who(steps: Sequence[Step], zone: dt.tzinfo) -> str:
    first = files.aware(min(step.first_seen for step in steps)).astimezone(zone)
    last = files.aware(max(step.last_seen for step in steps)).astimezone(zone)
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%H:%M:%S} {zone}: {_actors(steps)} {_reached(steps)}"


def to_json(book: Casebook, case: Case, period: Period) -> dict[str, Any]:
    """A case as it is printed, JSON values only. period: see `ueba.investigate.periods`"""
    links = [{**msgspec.to_builtins(link), "sentence": why(link)} for link in case.links]
    return {
        "schema_version": versions.CASE,
        **msgspec.to_builtins(case),
        **period.fields,
        "links": links,
        "verdicts": {name: book.verdicts[name] for name in case.incidents if name in book.verdicts},
        "story": sentence(book, case),
    }
