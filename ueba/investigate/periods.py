"""How often anything as strange as an incident or a case happens here: return periods, counted when they are
asked for from the findings of the scored days before.

Compared with: the last MOST_DAYS scored days before the incident's own, or before the last day of the case,
whose model had the same features, as scores of other features are of another scale. Where few days were
scored yet, the days that the training held out are compared with too. An incident is compared with all
incidents of these days: reported, hidden and below the line; a case with the cases that ended on them, and
with the incidents in no case. What was called true is left out: it says nothing of days without attacks. So
an attack that nobody called so makes what is like it look more frequent than it is, never rarer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
class Days:
    """Scored days.

    scores: of what is compared with, nats, by day; a day without any is there too
    scales: the features that the scores of a day come from
    """

    scores: Mapping[dt.date, Sequence[float]]
    scales: Mapping[dt.date, set[str]]

    def before(self, day: dt.date, model: ModelFacts) -> tuple[int, Array]:
        """The days before one: how many, and their scores, sorted. model: that scored the day"""
        compared: dict[dt.date, Sequence[float]] = {
            dt.date.fromisoformat(held_out): scores for held_out, scores in model.quiet_scores.items()
        }
        compared |= {
            other: scores
            for other, scores in self.scores.items()
            if other < day and self.scales[other] <= {model.features_digest}
        }
        last = sorted(compared)[-MOST_DAYS:]
        return len(last), periods.pooled({other: compared[other] for other in last})


def of_incidents(
    folder: Path, verdicts: Mapping[str, str], incidents: Sequence[Incident]
) -> dict[str, Period]:
    """The return periods of incidents, by id. verdicts: by incident. Raises WorkspaceError if a file is
    damaged."""
    past = _past(folder, [incident.day for incident in incidents])
    scores = {
        day: [incident.score for incident in found if verdicts.get(incident.id) != "true"]
        for day, found in past.items()
    }
    asked = [(incident.id, incident.score, incident.day, incident.model) for incident in incidents]
    return _periods(Days(scores, _scales(past)), asked)


def of_cases(folder: Path, book: Casebook, cases: Sequence[Case]) -> dict[str, Period]:
    """The return periods of cases, by id, as of the last day of each. Raises WorkspaceError if a file is
    damaged."""
    past = _past(folder, [case.last_day for case in cases])
    scores = {
        day: [incident.score for incident in found if incident.id not in book.incidents]
        for day, found in past.items()
    }
    for case in book.cases:
        if case.last_day in scores and "true" not in book.verdicts_of(case):
            scores[case.last_day].append(case.score)
    asked = [(case.id, case.score, case.last_day, book.incidents[case.incidents[-1]].model) for case in cases]
    return _periods(Days(scores, _scales(past)), asked)


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


def _scales(past: Mapping[dt.date, Iterable[Incident]]) -> dict[dt.date, set[str]]:
    return {day: {incident.model.features_digest for incident in found} for day, found in past.items()}


def _periods(days: Days, asked: Iterable[tuple[str, float, dt.date, ModelFacts]]) -> dict[str, Period]:
    """By id. asked: id, score, day and model"""
    before: dict[dt.date, tuple[int, Array]] = {}  # one model scores a day
    found = {}
    for name, score, day, model in asked:
        if day not in before:
            before[day] = days.before(day, model)
        found[name] = periods.period(score, *before[day])
    return found
