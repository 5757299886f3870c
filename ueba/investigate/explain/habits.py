"""How often an entity meets new partners, and what a user does on most days: the history in a few numbers."""

from __future__ import annotations

import numpy as np

from ueba.arrays import Floats, Ints
from ueba.contracts.edge import Edge
from ueba.contracts.explanation import Expected, Habit, Usual
from ueba.contracts.reason import Relation
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import NEVER, History
from ueba.detect.past.pairs import pair_ends
from ueba.investigate.explain.scoring import DayScoring

FEW = 3  # usual partners, hours, logon types


def habit(
    scoring: DayScoring,
    encoded: EncodedEdges,
    row: int,
    relation: Relation,
    edge: Edge,
    was_quarantined: bool,
) -> Habit:
    """A new pair of an edge, and how often its first end meets new ones."""
    history, (first, second) = scoring.history, relation.split("_")
    entity = int(encoded.pairs(relation)[0][row])
    table, group = history.sides[relation][0], history.cohorts(relation, 0)
    alike = (group == group[entity]) & (table.trials > 0)
    trials = float(table.trials[alike].sum())
    quarantined = pair_ends(history.pairs[relation].quarantined)[0]
    return Habit(
        relation=relation,
        actor=getattr(edge, first),
        partner=getattr(edge, second),
        was_quarantined=was_quarantined,
        new_today=int(scoring.seen.new[relation][0][entity]),
        new_a_day=float(history.new_per_day(relation, 0)[entity]),
        most_new=float(table.most_new[entity]),
        novelty_rate=float(history.novelty_rates(relation, 0)[entity]),
        novelty_of_cohort=float(table.novel[alike].sum()) / trials if trials else None,
        cohort=max(int(alike.sum()) - int(alike[entity]), 0),
        partners=int(table.breadth[entity]),
        partners_quarantined=int(np.count_nonzero(quarantined == entity)),
        known_days=scoring.day - int(table.first_day[entity]) if table.first_day[entity] < NEVER else 0,
    )


def expected(history: History, user: int) -> Expected:
    """What a user does on most days."""
    hours, types = history.user_hours[user], history.user_types[user]
    return Expected(
        target=_places(history, usual(history, "user_target", user)),
        source=_places(history, usual(history, "user_source", user)),
        hour=tuple(Usual(str(hour), share) for hour, share in most(hours)),
        logon_type=tuple(Usual(history.types.names[number], share) for number, share in most(types)),
    )


def _places(history: History, partners: list[tuple[int, float]]) -> tuple[Usual, ...]:
    return tuple(Usual(history.places.names[place], round(share, 4)) for place, share in partners)


def hour_shares(history: History, encoded: EncodedEdges, row: int) -> tuple[Usual, ...]:
    """How much of the user's activity falls on each hour of an edge."""
    return _shares(
        history.user_hours[encoded.user[row]], encoded.hours[row], [str(hour) for hour in range(24)]
    )


def type_shares(history: History, encoded: EncodedEdges, row: int) -> tuple[Usual, ...]:
    """How much of the user's activity is of each logon type of an edge."""
    return _shares(history.user_types[encoded.user[row]], encoded.types[row], history.types.names)


def _shares(counts: Floats, chosen: Ints, names: list[str]) -> tuple[Usual, ...]:
    total = max(float(counts.sum()), 1e-9)
    return tuple(
        Usual(names[number], round(float(counts[number]) / total, 4)) for number in np.flatnonzero(chosen)
    )


def most(counts: Floats) -> list[tuple[int, float]]:
    """The numbers of the largest counts, and their shares."""
    best = [int(number) for number in np.argsort(-counts, kind="stable")[:FEW] if counts[number] > 0]
    return [(number, round(float(counts[number] / counts.sum()), 4)) for number in best]


def usual(history: History, relation: str, entity: int, side: int = 0) -> list[tuple[int, float]]:
    """The partners that an entity is with on most days, and the share of its days."""
    pairs = history.pairs[relation]
    partners, days = pairs.ends[1 - side], max(float(history.sides[relation][side].days[entity]), 1e-6)
    return [
        (int(partners[row]), min(float(pairs.count[row]) / days, 1.0))
        for row in pairs.commonest(side, entity, FEW)
    ]
