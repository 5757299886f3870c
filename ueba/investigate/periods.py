"""How often anything as strange as an incident or a case happens here: return periods, counted when they are
asked for from the findings of the scored days before.

Compared with: the last MOST_DAYS scored days before the incident's own, or before the last day of the case,
whose model had the same features, as scores of other features are of another scale. Where few days were
scored yet, the days that the training held out are compared with too. An incident is compared with all
incidents of these days: reported, hidden and below the line; a case with the other cases, each as far as it
went on these days, and with the incidents in no case. A case has grown when it is compared with its own
beginning, which is therefore less strange. What was called true is left out: it says nothing of days without
attacks. So an attack that nobody called so makes what is like it look more frequent than it is, never rarer.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ueba import findings
from ueba.arrays import Array
from ueba.contracts.incident import Incident, ModelFacts
from ueba.contracts.period import Period
from ueba.detect import periods

if TYPE_CHECKING:
    from ueba.contracts.case import Case
    from ueba.investigate.cases import Casebook

MOST_DAYS = 90  # a season: what is older is of another organisation


@dataclass(frozen=True)
class Past:
    """The incidents of scored days, by day; a day without any is there too.

    unit_of: what an incident counts as a part of, by its id: itself, or its case; those without one are left
    out
    """

    incidents: Mapping[dt.date, Sequence[Incident]]
    unit_of: Mapping[str, str]

    def before(self, day: dt.date, model: ModelFacts) -> tuple[int, Array]:
        """The days before one: how many, and the scores of what came on them, sorted. model: that scored the
        day"""
        like = [other for other in self.incidents if other < day and self._is_like(other, model)]
        lent = {other: scores for other, scores in model.quiet_scores.items() if other not in like}
        last = sorted([*like, *lent])[-MOST_DAYS:]
        scores = self._scores([other for other in last if other not in lent])
        return len(last), np.sort([*scores, *(score for other in last for score in lent.get(other, ()))])

    def _is_like(self, day: dt.date, model: ModelFacts) -> bool:
        return all(one.model.features_digest == model.features_digest for one in self.incidents[day])

    def _scores(self, days: Iterable[dt.date]) -> Iterator[float]:
        """The scores of incidents or cases, of each by its incidents of these days."""
        parts: dict[str, list[float]] = defaultdict(list)
        for day in days:
            for incident in self.incidents[day]:
                if incident.id in self.unit_of:
                    parts[self.unit_of[incident.id]].append(incident.score)
        for scores in parts.values():
            yield scores[0] if len(scores) == 1 else _together(scores)


def _together(scores: Sequence[float]) -> float:
    """The score of a case of several incidents."""
    from ueba.detect import incidents as scoring  # slow to import, and only cases need it

    return round(scoring.score(np.array(scores)), 4)


def of_incidents(
    folder: Path, verdicts: Mapping[str, str], incidents: Sequence[Incident]
) -> dict[str, Period]:
    """The return periods of incidents, by id. verdicts: by incident. Raises WorkspaceError if a file is
    damaged."""
    past = _past(folder, [incident.day for incident in incidents])
    units = {one.id: one.id for found in past.values() for one in found if verdicts.get(one.id) != "true"}
    asked = [(incident.id, incident.score, incident.day, incident.model) for incident in incidents]
    return _periods(Past(past, units), asked)


def of_cases(folder: Path, book: Casebook, cases: Sequence[Case]) -> dict[str, Period]:
    """The return periods of cases, by id, as of the last day of each. Raises WorkspaceError if a file is
    damaged."""
    past = _past(folder, [case.last_day for case in cases])
    case_of = {name: case for case in book.cases for name in case.incidents}
    true = {name for name, word in book.verdicts.items() if word == "true"}
    true |= {name for case in book.cases if not true.isdisjoint(case.incidents) for name in case.incidents}
    units = {
        one.id: case_of[one.id].id if one.id in case_of else one.id
        for found in past.values()
        for one in found
        if one.id not in true
    }
    asked = [(case.id, case.score, case.last_day, book.incidents[case.incidents[-1]].model) for case in cases]
    return _periods(Past(past, units), asked)


def _past(folder: Path, asked: Sequence[dt.date]) -> dict[dt.date, list[Incident]]:
    """The incidents of the scored days that any of these days are compared with."""
    if not asked:
        return {}
    scored = findings.scored_days(folder)
    before, last = [day for day in scored if day < min(asked)], max(asked)
    days = [*before[-MOST_DAYS:], *(day for day in scored if min(asked) <= day < last)]
    found: dict[dt.date, list[Incident]] = {day: [] for day in days}
    for incident in findings.load_incidents(folder, days[0], days[-1], below=True) if days else ():
        found[incident.day].append(incident)
    return found


def _periods(past: Past, asked: Iterable[tuple[str, float, dt.date, ModelFacts]]) -> dict[str, Period]:
    """By id. asked: id, score, day and model"""
    before: dict[dt.date, tuple[int, Array]] = {}  # one model scores a day
    found = {}
    for name, score, day, model in asked:
        if day not in before:
            before[day] = past.before(day, model)
        found[name] = periods.period(score, *before[day])
    return found
