"""An explanation: what was worked out about a scored edge when its day was scored.

On disk `findings/explained=YYYY-MM-DD.json` holds those of a day's incidents. Leaves out sentences; those are
`ueba.investigate.explain.words`.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from ueba.contracts import versions
from ueba.contracts.edge import Edge
from ueba.contracts.reason import Relation


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all parts of an explanation."""


class Habit(_Part, frozen=True):
    """A new pair, and how often its first end meets new ones.

    actor, partner:    the two ends
    new_today:         new partners of the actor on this day
    new_a_day:         new partners expected on an active day
    most_new:          the most in a day before
    novelty_rate, novelty_of_cohort: share of daily pairs that are new, of the actor and of its cohort
    cohort:            entities of the same kind and similar breadth, without the actor
    partners:          distinct partners learned
    partners_quarantined: number of partners of quarantined pairs
    known_days:        days since the actor was first seen
    """

    relation: Relation
    actor: str
    partner: str
    was_quarantined: bool
    new_today: int
    new_a_day: float
    most_new: float
    novelty_rate: float
    novelty_of_cohort: float | None
    cohort: int
    partners: int
    partners_quarantined: int
    known_days: int


class Usual(_Part, frozen=True):
    """A partner, hour or logon type, and its share of the user's active days or activity."""

    name: str
    share: float


class Expected(_Part, frozen=True):
    """What the user does on most days: target and source by share of days, hour (UTC) and logon type by share
    of activity."""

    target: tuple[Usual, ...] = ()
    source: tuple[Usual, ...] = ()
    hour: tuple[Usual, ...] = ()
    logon_type: tuple[Usual, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.target or self.source or self.hour or self.logon_type)


class Counterfactual(_Part, frozen=True):
    """The edge with one part changed, scored by the same model.

    change:    source, user, target, hour or logon_type; to: its new value
    acts_from: the machine that comes with another user, None for the same machine
    why:       why this value
    surprise:  nats; p_value: (0, 1]
    """

    change: str
    to: str
    acts_from: str | None
    why: str
    surprise: float
    p_value: float


class FeatureWeight(_Part, frozen=True):
    """What a feature's own function adds to the log odds, beside its value on an ordinary edge of the day."""

    feature: str
    value: float
    ordinary: float
    unit: str
    meaning: str
    log_odds: float


class Explanation(_Part, frozen=True):
    """All that was worked out about one edge.

    new:             habits behind its new pairs
    expected:        what its user does on most days
    hours, logon_types: those of the edge, with their shares of the user's activity
    counterfactuals: the most normal first
    log_odds, ordinary_log_odds: of the edge, and of an ordinary edge of the day; they differ by the sum of
    `parts`
    parts:           log odds that each part of the evidence adds, by name
    backoff:         its ends without history
    """

    edge: Edge
    new: tuple[Habit, ...]
    expected: Expected
    hours: tuple[Usual, ...]
    logon_types: tuple[Usual, ...]
    counterfactuals: tuple[Counterfactual, ...]
    log_odds: float
    ordinary_log_odds: float
    parts: dict[str, float]
    features: tuple[FeatureWeight, ...]
    backoff: tuple[str, ...]


Explanations = dict[str, tuple[Explanation, ...]]  # by incident


class _Day(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema_version: int
    day: dt.date
    incidents: Explanations


def to_json(day: dt.date, explanations: Explanations) -> bytes:
    """A day's explanations as the content of their file."""
    return msgspec.json.encode(_Day(versions.EXPLANATION, day, explanations))


def from_json(content: bytes, day: dt.date) -> Explanations:
    """A day's explanations from the content of their file. Raises ValueError if it is not one of this
    version and day."""
    stored = msgspec.json.decode(content, type=_Day)
    if stored.schema_version != versions.EXPLANATION:
        raise ValueError(f"schema version {stored.schema_version} instead of {versions.EXPLANATION}")
    if stored.day != day:
        raise ValueError(f"it is of {stored.day}")
    return stored.incidents
