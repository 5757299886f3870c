"""A reason: one fact why an edge is strange, as a value with fields.

Sentences, headlines, OCSF patterns and back-off marks are made from reasons (`ueba.words`) and never read
back from text. On disk and in JSON a reason is an object whose `kind` names the type. An edge lists its
reasons with the strongest sort first: honey, new pairs, bursts, rare habits, failures, unknown entities,
carry-over, effects of verdicts, and effects of what the organisation knows.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

Relation = Literal["user_target", "user_source", "source_target"]
Role = Literal["user", "source", "target"]
What = Literal["user", "machine", "resource"]


class _Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of all reasons."""


class NewPair(_Fact, frozen=True, tag="new_pair"):
    """Two ends of the edge were never seen together, or only once, in a strange edge.

    actor, partner:  names of the relation's two ends
    was_quarantined: whether they met before, in a strange edge
    surprise:        nats, -log p(partner | actor) of the cache model
    novelty_rate:    share of the actor's daily pairs that are new
    peers:           share of the actor's peers that know the partner
    """

    relation: Relation
    actor: str
    partner: str
    was_quarantined: bool
    surprise: float
    novelty_rate: float
    peers: float


class Burst(_Fact, frozen=True, tag="burst"):
    """An end of the edge met far more new partners on this day than on any day before.

    role: of the actor; partner_role: of its partners; new_today, most_before: partners in a day
    """

    relation: Relation
    role: Role
    partner_role: Role
    actor: str
    new_today: int
    most_before: int


class RareHour(_Fact, frozen=True, tag="rare_hour"):
    """The user is rarely active at an hour of the edge. surprise: nats, of the rarest hour."""

    user: str
    surprise: float


class RareLogonType(_Fact, frozen=True, tag="rare_logon_type"):
    """The user rarely logs on in this way. surprise: nats, of the rarest type."""

    user: str
    logon_types: tuple[str, ...]
    surprise: float


class Failures(_Fact, frozen=True, tag="failures"):
    """Most attempts failed. share: of the attempts."""

    share: float
    attempts: int


class Unknown(_Fact, frozen=True, tag="unknown"):
    """An end of the edge has no history, so the score is a back-off to its cohort."""

    role: Role
    name: str


class CarryOver(_Fact, frozen=True, tag="carry_over"):
    """The user was strange on the days before. nats: what that adds to strangeness."""

    user: str
    nats: float


class Combination(_Fact, frozen=True, tag="combination"):
    """Every part of the edge is usual; their combination is not."""


class Effect(_Fact, frozen=True, tag="verdict"):
    """A verdict changes the strangeness of the edge.

    nats:     added if above zero, taken off if below
    verdict:  true, benign or expected; verdict_id names the line of the verdict log
    incident: the id of the incident that the verdict is on
    entity:   the user or machine of that incident that lifts this edge; None if the effect lowers
    day:      when the verdict was entered
    expires:  the last day on which the verdict counts; None if it does not expire
    """

    nats: float
    verdict: str
    verdict_id: str
    incident: str
    who: str
    day: dt.date
    reason: str
    expires: dt.date | None = None
    entity: str | None = None


class CrownJewel(_Fact, frozen=True, tag="crown_jewel"):
    """An end of the edge is a crown jewel.

    role, name: of the end; what: user, machine or resource
    nats:       added to strangeness; times: strangeness after it / strangeness before it
    """

    role: Role
    what: What
    name: str
    nats: float
    times: float


class Honey(_Fact, frozen=True, tag="honey"):
    """An end of the edge is a honey account, machine or resource: nobody has reason to use it.

    role, name: of the end; what: user, machine or resource; nats: added to strangeness
    """

    role: Role
    what: What
    name: str
    nats: float


class Leaver(_Fact, frozen=True, tag="leaver"):
    """An end of the edge is used after its last day: an account whose person left, or a retired machine.

    role, name: of the end; what: user, machine or resource; left: the last day
    nats:       added to strangeness; times: strangeness after it / strangeness before it, 0 if that was 0
    """

    role: Role
    what: What
    name: str
    left: dt.date
    nats: float
    times: float


class Maintenance(_Fact, frozen=True, tag="maintenance"):
    """All of the edge lies in a window of maintenance of one of its ends.

    role, name:   of the end; what: user, machine or resource
    since, until: the window, UTC
    nats:         below zero, taken off strangeness; times: strangeness after it / strangeness before it
    """

    role: Role
    what: What
    name: str
    since: dt.datetime
    until: dt.datetime
    nats: float
    times: float


Known = CrownJewel | Honey | Leaver | Maintenance  # effects of what the organisation knows
Reason = (
    NewPair
    | Burst
    | RareHour
    | RareLogonType
    | Failures
    | Unknown
    | CarryOver
    | Combination
    | Effect
    | CrownJewel
    | Honey
    | Leaver
    | Maintenance
)
Reasons = tuple[Reason, ...]

NEW_SOURCE = "new user_source"  # of a pattern: the user never acted from the source before

_DECODER = msgspec.json.Decoder(Reasons)


def to_json(reasons: Reasons) -> str:
    """Reasons as a JSON array."""
    return msgspec.json.encode(reasons).decode()


def from_json(text: str) -> Reasons:
    """Reasons from a JSON array. Raises ValueError if the text is not one."""
    return _DECODER.decode(text)


def is_backoff(reasons: Reasons) -> bool:
    """Whether an end of the edge has no history."""
    return any(isinstance(reason, Unknown) for reason in reasons)


def honey(reasons: Reasons) -> str | None:
    """The name of the honey account, machine or resource that was used; None if there is none."""
    return next((reason.name for reason in reasons if isinstance(reason, Honey)), None)


def changes(reasons: Reasons) -> tuple[Effect | Known, ...]:
    """The reasons that change the score: effects of verdicts and of what the organisation knows."""
    return tuple(reason for reason in reasons if isinstance(reason, Effect | Known))


def verdict_nats(reasons: Reasons) -> float:
    """What verdicts add to strangeness, below zero if they take off."""
    return sum((reason.nats for reason in reasons if isinstance(reason, Effect)), 0.0)


def pattern(reasons: Reasons, logon_types: tuple[str, ...]) -> tuple[str, ...]:
    """In which ways an edge is strange, whoever it is about, and how its user logged on."""
    return (*(code for reason in reasons if (code := _code(reason))), *logon_types)


def _code(reason: Reason) -> str | None:
    match reason:
        case NewPair(relation=relation):
            return f"new {relation}"
        case Burst(relation=relation, role=role):
            return f"many {relation} of {role}"
        case RareHour():
            return "hour"
        case RareLogonType():
            return "type"
        case Failures():
            return "failures"
        case _:
            return None
