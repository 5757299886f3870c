"""An incident: strange edges of one day that share a user or a source, ranked.

On disk `findings/day=YYYY-MM-DD.json` holds a day's incidents, best first, and
`findings/below=YYYY-MM-DD.json` those below the line, which were not reported and rank after all others.
Leaves out the edges; those are `ueba.contracts.scored`.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from ueba.contracts import versions
from ueba.contracts.edge import Edge
from ueba.contracts.reason import Reasons

STRANGE_P = 0.02  # an edge with at most this p-value is strange


class ModelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is recorded of a trained model.

    first_day, trained_until: first and last day of the training
    seeds:           number of models that are averaged
    usual_score:     nats, by alert budget: the score from which incidents are reported on a quiet day
    features_digest: hash of the names of the model's features, in their order
    quiet_scores:    nats, the highest scores of incidents on each day that was held out
    """

    first_day: dt.date
    trained_until: dt.date
    seeds: int
    usual_score: dict[str, float]
    features_digest: str
    quiet_scores: dict[dt.date, tuple[float, ...]] = {}

    def least_score(self, budget: int) -> float:
        """The least score of a reported incident, in nats; 0 if the model was trained for another budget."""
        return self.usual_score.get(str(budget), 0.0)

    def learned_before(self, day: dt.date) -> bool:
        """Whether the model has learned nothing from a day or later, so that it may score it."""
        return self.trained_until < day


class Incident(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One incident.

    id:            YYYYMMDD-<hash of its strangest edge>: scoring the day again gives the same id
    rank:          from 1, the highest score first; hidden incidents come after the reported ones
    score:         nats, see `ueba.detect.incidents.score`
    p_value:       the smallest of its edges, (0, 1]
    p_is_bound:    whether a p-value of its edges is a bound, so that the smallest may be smaller, and
                   once_in_days longer
    once_in_days:  how often an account as active has an edge as surprising as the rarest of these, in days
    users, machines, resources: names, sorted; machines are sources and targets
    edges:         how many
    reasons:       of its strangest edge
    backoff:       whether an end of one of its edges has no history
    hidden_by:     names of the rules that hide it, None if it is reported
    below_line:    whether the budget or the least score kept it from being reported
    model:         the model that scored it
    shared_users, shared_machines: of these, those that many share, sorted: no case goes on from there
    acting_machines: of the organisation, from which accounts acted before the day; 0 if that is unknown
    """

    id: str
    day: dt.date
    rank: int
    score: float
    p_value: float
    once_in_days: float
    users: tuple[str, ...]
    machines: tuple[str, ...]
    resources: tuple[str, ...]
    edges: int
    reasons: Reasons
    backoff: bool
    model: ModelFacts
    hidden_by: str | None = None
    below_line: bool = False
    shared_users: tuple[str, ...] = ()
    shared_machines: tuple[str, ...] = ()
    acting_machines: int = 0
    p_is_bound: bool = False


class BelowLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An incident below the line, and its edges, strangest first."""

    incident: Incident
    edges: tuple[Edge, ...]


class _BelowLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema_version: int
    below: tuple[BelowLine, ...]


class _Day(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema_version: int
    incidents: tuple[Incident, ...]


def to_json(incidents: tuple[Incident, ...]) -> bytes:
    """A day's incidents as the content of their file."""
    return msgspec.json.format(msgspec.json.encode(_Day(versions.INCIDENT, incidents)), indent=1)


def from_json(content: bytes) -> tuple[Incident, ...]:
    """A day's incidents from the content of their file. Raises ValueError if the content is damaged or of
    another version."""
    day = msgspec.json.decode(content, type=_Day)
    if day.schema_version != versions.INCIDENT:
        raise ValueError(f"schema version {day.schema_version} instead of {versions.INCIDENT}")
    return day.incidents


def below_to_json(below: tuple[BelowLine, ...]) -> bytes:
    """A day's incidents below the line as the content of their file."""
    return msgspec.json.format(msgspec.json.encode(_BelowLine(versions.BELOW_LINE, below)), indent=1)


def below_from_json(content: bytes) -> tuple[BelowLine, ...]:
    """A day's incidents below the line from the content of their file. Raises ValueError if the content is
    damaged or of another version."""
    day = msgspec.json.decode(content, type=_BelowLine)
    if day.schema_version != versions.BELOW_LINE:
        raise ValueError(f"schema version {day.schema_version} instead of {versions.BELOW_LINE}")
    return day.below
