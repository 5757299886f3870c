"""Sentences for people: reasons, rarity, headlines. No program reads them back.

Sentences for analysts have no nats, log odds or p-values; with `numbers` a sentence ends with them in
parentheses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ueba.contracts import versions
from ueba.contracts.incident import Incident
from ueba.contracts.period import Period
from ueba.contracts.reason import (
    Burst,
    CarryOver,
    Combination,
    CrownJewel,
    Effect,
    Failures,
    Honey,
    Leaver,
    Maintenance,
    NewPair,
    RareHour,
    RareLogonType,
    Reason,
    Reasons,
    Unknown,
)
from ueba.contracts.standing import Standing

if TYPE_CHECKING:
    from ueba.contracts.scored import ScoredEdge

NOUNS = {"user": "account", "machine": "machine", "resource": "resource"}
VERBS = {"user_target": "reached", "user_source": "acted from", "source_target": "reached"}
MOST_DAYS = 1000  # a rarer edge is "less than once in" so many days: a model is calibrated by far fewer
UNKNOWN_SOURCE = "an unknown machine"


def sentence(reason: Reason, numbers: bool = False) -> str:
    """A reason in words, without a full stop."""
    detail = _numbers(reason) if numbers else ""
    return f"{_sentence(reason)} ({detail})" if detail else _sentence(reason)


def _sentence(reason: Reason) -> str:
    match reason:
        case NewPair():
            return f"{headline_of_pair(reason)}: {_rate(reason)}; {_peers(reason)}"
        case Burst():
            return (
                f"{reason.actor} met {reason.new_today:,} new {reason.partner_role}s on this day;"
                f" its most on any day before was {reason.most_before:,}"
            )
        case RareHour():
            return f"{reason.user} acted at an hour when it is rarely active"
        case RareLogonType():
            return f"{reason.user} rarely logs on this way: {', '.join(reason.logon_types) or 'unknown'}"
        case Failures():
            return f"{reason.share:.0%} of {reason.attempts:,} attempts failed"
        case Unknown():
            return (
                f"{reason.name} has no history as a {reason.role},"
                " so it is compared with similar ones (back-off)"
            )
        case CarryOver():
            return f"{reason.user} was also strange on the days before"
        case Combination():
            return "every part of it is usual, but not together"
        case Effect():
            return _effect(reason)
        case Honey():
            return f"{reason.name} is a honey {NOUNS[reason.what]}: any use of it is an incident"
        case CrownJewel():
            return f"{reason.name} is a crown jewel: counts {as_much(reason.times)}"
        case Leaver():
            verb = "left on" if reason.what == "user" else "was retired on"
            return f"{reason.name} {verb} {reason.left}: counts {as_much(reason.times)}"
        case Maintenance():
            until = f"{reason.until:%Y-%m-%d %H:%M} UTC"
            return f"{reason.name} is under maintenance until {until}: counts {as_much(reason.times)}"


def headline_of_pair(reason: NewPair) -> str:
    """A new pair in words, without numbers."""
    verb = VERBS[reason.relation]
    if reason.was_quarantined:
        return f"{reason.actor} {verb} {reason.partner} again, which was strange the first time"
    return f"{reason.actor} never {verb} {reason.partner} before"


def _rate(reason: NewPair) -> str:
    partners = {"user_target": "places", "user_source": "machines", "source_target": "places"}[
        reason.relation
    ]
    verb = {"user_target": "reaches", "user_source": "acts from", "source_target": "leads to"}[
        reason.relation
    ]
    return f"{share(reason.novelty_rate)} of the {partners} it {verb} in a day are new to it"


def _peers(reason: NewPair) -> str:
    if not reason.peers:
        return f"none of its peers know {reason.partner}"
    return f"{share(reason.peers)} of its peers know {reason.partner}"


def share(value: float) -> str:
    """A share in percent; a positive share below 1 % is not rounded to 0 %."""
    return f"{value:.0%}" if value >= 0.01 or not value else "fewer than 1%"


def _effect(reason: Effect) -> str:
    until = f", until {reason.expires}" if reason.expires else ""
    verdict = f"called {reason.verdict} by {reason.who} on {reason.day} ({reason.reason}){until}"
    if reason.nats > 0:
        return f"counts more: {reason.entity} is in incident {reason.incident}, {verdict}"
    like = "it is like" if reason.verdict == "benign" else "it is the same as"
    return f"counts less: {like} incident {reason.incident}, {verdict}"


def standing(says: Standing, what: str) -> list[str]:
    """What the organisation says of an entity, a phrase each. what: user, machine or resource"""
    found = ["crown jewel"] if says.crown_jewel else []
    found += [f"honey {NOUNS[what]}: any use of it is an incident"] if says.honey else []
    if says.last_day:
        found.append(f"{'left' if what == 'user' else 'retired'}: the last day is {says.last_day}")
    windows = (
        f"{window.since:%Y-%m-%d %H:%M} to {window.until:%Y-%m-%d %H:%M} UTC" for window in says.maintenance
    )
    return [*found, *(f"maintenance {window}" for window in windows)]


def as_much(times: float) -> str:
    """How much more or less something counts, in words."""
    if times <= 0 or times >= 10:  # of what would have counted next to nothing
        return "far more"
    rounded = round(times, 1)
    if rounded in (0.5, 2.0):
        return "half as much" if rounded < 1 else "twice as much"
    return (
        f"{rounded:.1f} times as much" if rounded != 1 else "a little more" if times > 1 else "a little less"
    )


def _numbers(reason: Reason) -> str:
    match reason:
        case NewPair() | RareHour() | RareLogonType():
            return f"surprise {reason.surprise:.1f} nats"
        case CarryOver() | Effect() | Honey() | CrownJewel() | Leaver() | Maintenance():
            return f"{reason.nats:+.1f} nats"
        case _:
            return ""


def headline(reasons: Iterable[Reason]) -> str:
    """The first reason that is about this day, without its details."""
    listed = list(reasons)
    first = next((reason for reason in listed if not isinstance(reason, CarryOver)), listed[0])
    return headline_of_pair(first) if isinstance(first, NewPair) else sentence(first)


def rarity(once_in_days: float, is_bound: bool = False, who: str = "an account this active") -> str:
    """How rare an edge is, as a sentence. is_bound: whether it may be rarer"""
    about = "" if is_bound or once_in_days >= MOST_DAYS else "about "
    return f"{about}{once_in(once_in_days, is_bound)} {who} does something this unusual"


def how_often(period: Period) -> str:
    """How often anything so strange happens in the organisation."""
    if period.is_bound:
        days = counted(int(period.days), "day")
        return f"rarer than anything in {days}" if period.days else "no day to compare with yet"
    if period.days < 0.75:
        return "several a day"
    return "about once a day" if period.days < 1.5 else f"about once in {two_digits(period.days)} days"


def happens(period: Period) -> str:
    """The same as a sentence, without a full stop."""
    if period.is_bound:
        return f"here it is {how_often(period)}" if period.days else "there is no day to compare it with yet"
    return f"anything so strange happens here {how_often(period)}"


def place(incident: Incident) -> str:
    """The place of an incident among those of its day."""
    below = ", below the line" if incident.below_line else ""
    return f"rank {incident.rank} of {incident.day}{below}"


def once_in(once_in_days: float, is_bound: bool = False) -> str:
    """How rare an edge is, in few words, for a column of a table. is_bound: whether it may be rarer"""
    if once_in_days >= MOST_DAYS:
        return f"less than once in {MOST_DAYS:,} days"
    if once_in_days < 1.5:
        return "less than once a day" if is_bound else "every day"
    return f"{'less than ' if is_bound else ''}once in {two_digits(once_in_days)} days"


def p_value(value: float, is_bound: bool = False) -> str:
    """A p-value of two digits, or its bound."""
    return f"{'< ' if is_bound else ''}{value:.2g}"


def p(value: float, is_bound: bool = False) -> str:
    """The same in a sentence."""
    return f"p {p_value(value, is_bound)}"


def p_cell(value: float, is_bound: bool) -> str | float:
    """The same for a column of a table, which has its own digits for numbers."""
    return p_value(value, is_bound) if is_bound else value


def counted(number: int, noun: str) -> str:
    """`1 day`, `2 days`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def percent(share: float) -> str:
    """A share in percent, one digit after the point below ten."""
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def two_digits(number: float) -> str:
    """A number of at least 1, rounded to two digits."""
    places = max(len(str(int(number))) - 2, 0)
    return f"{round(number, -places):,.0f}"


# --- as JSON ------------------------------------------------------------------------------------------------


def reasons_json(reasons: Reasons) -> list[dict[str, Any]]:
    """Reasons with their fields and their sentences, JSON values only."""
    return [{**msgspec.to_builtins(reason), "sentence": sentence(reason)} for reason in reasons]


def incident_json(incident: Incident) -> dict[str, Any]:
    """An incident as it is printed, JSON values only."""
    fields: dict[str, Any] = msgspec.to_builtins(incident)
    return {
        "schema_version": versions.INCIDENT,
        **fields,
        "reasons": reasons_json(incident.reasons),
        "headline": headline(incident.reasons),
    }


def edge_json(edge: ScoredEdge) -> dict[str, Any]:
    """A scored edge as it is printed, JSON values only."""
    fields: dict[str, Any] = msgspec.to_builtins(edge)
    return {"schema_version": versions.SCORED_EDGE, **fields, "reasons": reasons_json(edge.reasons)}
