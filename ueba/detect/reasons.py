"""Why an edge is strange: features and facts of an edge -> reasons. Leaves out sentences (`ueba.words`)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ueba.arrays import Floats
from ueba.contracts.reason import (
    Burst,
    CarryOver,
    Combination,
    Effect,
    Failures,
    Honey,
    Known,
    Leaver,
    NewPair,
    RareHour,
    RareLogonType,
    Reason,
    Reasons,
    Relation,
    Role,
    Unknown,
)
from ueba.detect.look.features import FEATURE_NAMES, RARE_NATS
from ueba.detect.score import carryover

PAIRS: tuple[tuple[Relation, Role, Role], ...] = (
    ("user_target", "user", "target"),
    ("user_source", "user", "source"),
    ("source_target", "source", "target"),
)
BURSTS: tuple[tuple[Relation, Role, Role], ...] = (  # relation, who met many, of what
    ("user_target", "user", "target"),
    ("source_target", "source", "target"),
    ("user_source", "source", "user"),
)
BURST_PARTNERS = 3  # the fewest new partners of a burst
BURST_LOG_RATIO = 0.5  # by which a burst is above the most of any day before
MOSTLY_FAILED = 0.5  # share of the attempts
HISTORY_OF: dict[Role, str] = {  # the feature that says whether an end has no history
    "user": "user_target.unknown_user",
    "source": "source_target.unknown_source",
    "target": "user_target.unknown_target",
}


@dataclass(frozen=True)
class Subject:
    """The edge that reasons are about.

    source:      None if the log does not name it
    logon_types: sorted
    attempts:    number of events
    quarantined: relations in which the edge's pair is quarantined
    """

    user: str
    source: str | None
    target: str
    logon_types: tuple[str, ...]
    attempts: int
    quarantined: Collection[str] = ()

    def name(self, role: Role) -> str | None:
        return {"user": self.user, "source": self.source, "target": self.target}[role]


def by_name(described: Floats) -> dict[str, float]:
    """One edge's features by name. described: float32 [features]"""
    return dict(zip(FEATURE_NAMES, described.tolist(), strict=True))


def of_edge(described: Floats, subject: Subject) -> Reasons:
    """The reasons that follow from features, the strongest kind first. described: float32 [features]"""
    value = by_name(described)
    return (
        *_new_pairs(value, subject),
        *_bursts(value, subject),
        *_rare(value, subject),
        *_failures(value, subject),
        *_unknown(value, subject),
    )


def complete(
    reasons: Reasons,
    subject: Subject,
    carry_over: float,
    effects: Collection[Effect],
    known: Collection[Known] = (),
) -> Reasons:
    """Reasons from features, and those that do not follow from them. carry_over: nats added, 0 for none;
    known: effects of what the organisation knows"""
    found: list[Reason] = list(reasons)
    if carry_over >= carryover.LEAST_NATS:
        found.append(CarryOver(subject.user, carry_over))
    honey = [fact for fact in known if isinstance(fact, Honey)]
    if not found and not any(isinstance(fact, Honey | Leaver) for fact in known):
        found.append(Combination())
    return (*honey, *found, *effects, *(fact for fact in known if fact not in honey))


def _new_pairs(value: Mapping[str, float], subject: Subject) -> list[Reason]:
    return [
        NewPair(
            relation=relation,
            actor=subject.name(a) or "",
            partner=subject.name(b) or "",
            was_quarantined=relation in subject.quarantined,
            surprise=value[f"{relation}.surprise_{b}_given_{a}"],
            novelty_rate=float(1 / (1 + np.exp(-value[f"{relation}.novelty_{a}"]))),
            peers=value[f"{relation}.peers_{a}"],
        )
        for relation, a, b in PAIRS
        if value[f"{relation}.new"]
    ]


def _bursts(value: Mapping[str, float], subject: Subject) -> list[Reason]:
    found: list[Reason] = []
    for relation, role, partner_role in BURSTS:
        new, record = value[f"{relation}.new_today_{role}"], value[f"{relation}.record_{role}"]
        new_today, most_before = round(math.expm1(new)), round(math.expm1(new - record))
        if new_today >= BURST_PARTNERS and record > BURST_LOG_RATIO:
            actor = subject.name(role) or ""
            found.append(Burst(relation, role, partner_role, actor, new_today, most_before))
    return found


def _rare(value: Mapping[str, float], subject: Subject) -> list[Reason]:
    found: list[Reason] = []
    if value["hour_surprise_worst"] > RARE_NATS:
        found.append(RareHour(subject.user, value["hour_surprise_worst"]))
    if value["type_surprise_user"] > RARE_NATS:
        found.append(RareLogonType(subject.user, subject.logon_types, value["type_surprise_user"]))
    return found


def _failures(value: Mapping[str, float], subject: Subject) -> list[Reason]:
    return [Failures(value["failures"], subject.attempts)] if value["failures"] > MOSTLY_FAILED else []


def _unknown(value: Mapping[str, float], subject: Subject) -> list[Reason]:
    return [
        Unknown(role, name)
        for role, feature in HISTORY_OF.items()
        if value[feature] and (name := subject.name(role)) is not None
    ]
