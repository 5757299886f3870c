"""What each edge looks like against the past: float32 [edges, features].

Every feature is computed from the history before the day and from the day's own counts of new pairs; never
from anything later. `FEATURES` is the table of names, units and meanings; the columns of `describe` are in
its order.

A pair (a, b) gets the surprise of a cache model in both directions (Teh 2006; Heard and Rubin-Delanchy 2016):

    p(b | a) = (1 - novelty_a) * c_ab / c_a  +  novelty_a * q(b)

novelty_a is how often a meets a new partner, q(b) how often somebody new comes to b. An entity with a broad
history has a large novelty mass: its new partners surprise less. That is the correction for administrators,
before any learning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ueba.detect.look import peers
from ueba.detect.past.history import (
    HOURS,
    NEVER,
    RELATIONS,
    USER_KINDS,
    EdgeBatch,
    Floats,
    History,
    Ints,
    pair_keys,
)


class Feature(NamedTuple):
    name: str
    unit: str
    meaning: str


# For each relation; {a} and {b} are its two ends.
PAIR_FEATURES = (
    Feature("new", "0/1", "this {a} and {b} were never seen together, or once, in a strange edge"),
    Feature("surprise_{b}_given_{a}", "nats", "-log p({b} | {a}) of the cache model"),
    Feature("surprise_{a}_given_{b}", "nats", "-log p({a} | {b}) of the cache model"),
    Feature("surprise_least", "nats", "the smaller of the two surprises: strange from both ends"),
    Feature("days_since", "log days", "since the pair was last seen; 0 for a new pair"),
    Feature("novelty_{a}", "log odds", "how often the {a} meets a new {b}, shrunk to its peers"),
    Feature("novelty_{b}", "log odds", "how often the {b} meets a new {a}, shrunk to its peers"),
    Feature("breadth_{a}", "log count", "distinct partners the {a} ever had"),
    Feature("breadth_{b}", "log count", "distinct partners the {b} ever had"),
    Feature("new_today_{a}", "log count", "new partners of the {a} on this day"),
    Feature("new_today_{b}", "log count", "new partners of the {b} on this day"),
    Feature("excess_{a}", "log ratio", "new partners of the {a} on this day against its expected number"),
    Feature("excess_{b}", "log ratio", "new partners of the {b} on this day against its expected number"),
    Feature(
        "record_{a}", "log ratio", "new partners of the {a} on this day against the most it had in a day"
    ),
    Feature(
        "record_{b}", "log ratio", "new partners of the {b} on this day against the most it had in a day"
    ),
    Feature("peers_{a}", "share", "of the {a}'s peers that know the {b}"),
    Feature("peers_{b}", "share", "of the {b}'s peers that know the {a}"),
    Feature("unknown_{a}", "0/1", "the {a} has no history: scored through its group"),
    Feature("unknown_{b}", "0/1", "the {b} has no history: scored through its group"),
)
EDGE_FEATURES = (
    Feature("parts_new", "count", "how many of the three pairs are new"),
    Feature(
        "hour_surprise_user",
        "nats",
        "-log p(hour | user), mean over the edge's hours, shrunk to everybody's hours",
    ),
    Feature("hour_surprise_worst", "nats", "the same for the strangest hour of the edge"),
    Feature(
        "odd_hours_user", "log count", "edges of the user on this day at an hour that is rare for the user"
    ),
    Feature("type_surprise_user", "nats", "-log p(logon type | user), of the strangest type"),
    Feature("type_surprise_target", "nats", "-log p(logon type | target), of the strangest type"),
    Feature(
        "odd_types_user",
        "log count",
        "edges of the user on this day by a logon type that is rare for the user",
    ),
    Feature("events", "log count", "events on this edge"),
    Feature("failures", "share", "of the events that failed"),
    Feature("no_source", "0/1", "the log does not tell the source"),
    Feature("own_source", "0/1", "the user was on the target itself"),
    Feature("resource", "0/1", "the target is a resource, not a machine"),
    *(Feature(f"user_{kind}", "0/1", f"the user is a {kind} account") for kind in USER_KINDS),
)


def _features() -> tuple[Feature, ...]:
    table = []
    for relation in RELATIONS:
        a, b = relation.split("_")
        for name, unit, meaning in PAIR_FEATURES:
            table.append(Feature(f"{relation}.{name.format(a=a, b=b)}", unit, meaning.format(a=a, b=b)))
    return (*table, *EDGE_FEATURES)


ODD_NATS = (
    4.0  # an hour or a logon type of which an entity has less than a fiftieth of its activity is odd for it
)

FEATURES = _features()
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)


@dataclass(frozen=True)
class Today:
    """What each entity does on one day besides the edge that is looked at.

    new: new partners, float32 [entities] for each side of each relation
    odd_hours, odd_types: edges at an hour or by a logon type rare for the user, float32 [users]
    """

    new: dict[str, tuple[Floats, Floats]]
    odd_hours: Floats
    odd_types: Floats


def today(history: History, batch: EdgeBatch) -> Today:
    """Count the day's new pairs for every entity. The batch is the whole day, real edges only."""
    new = {}
    for relation in RELATIONS:
        keys = pair_keys(*batch.pairs(relation))
        keys = np.unique(keys[keys >= 0])
        fresh = keys[~history.pairs[relation].find(keys)[1]]
        left, right = history.sizes(relation)
        new[relation] = (
            np.bincount(fresh >> 32, minlength=left).astype(np.float32),
            np.bincount(fresh & 0xFFFFFFFF, minlength=right).astype(np.float32),
        )
    odd = (
        np.bincount(batch.user[rows], minlength=len(history.users)).astype(np.float32)
        for rows in (odd_hours(history, batch), odd_types(history, batch))
    )
    return Today(new, *odd)


def odd_hours(history: History, batch: EdgeBatch) -> npt.NDArray[np.bool_]:
    """Edges with an hour that is rare for their user. bool [edges]"""
    odd: npt.NDArray[np.bool_] = (_profile_surprise(history.user_hours, batch.user) * batch.hours).max(
        1
    ) > ODD_NATS
    return odd


def odd_types(history: History, batch: EdgeBatch) -> npt.NDArray[np.bool_]:
    """Edges with a logon type that is rare for their user. bool [edges]"""
    odd: npt.NDArray[np.bool_] = (_profile_surprise(history.user_types, batch.user) * batch.types).max(
        1
    ) > ODD_NATS
    return odd


def describe(history: History, batch: EdgeBatch, day: int, seen_today: Today) -> Floats:
    """Features of a day's edges, float32 [edges, features], in the order of `FEATURES`."""
    columns: list[npt.NDArray[Any]] = []
    parts_new = np.zeros(len(batch), np.float32)
    for relation in RELATIONS:
        pair_columns = _describe_pairs(history, batch, relation, day, seen_today)
        parts_new += pair_columns[0]
        columns += pair_columns
    columns += [parts_new, *_describe_edges(history, batch, seen_today)]
    return np.stack(columns, axis=1).astype(np.float32)


def _describe_pairs(
    history: History, batch: EdgeBatch, relation: str, day: int, seen: Today
) -> list[npt.NDArray[Any]]:
    left, right = batch.pairs(relation)
    present = (left >= 0) & (right >= 0)
    a, b = np.where(present, left, 0), np.where(present, right, 0)
    pairs, (side_a, side_b) = history.pairs[relation], history.sides[relation]
    met, sizes = pairs.ends, history.sizes(relation)
    position, known = pairs.find(pair_keys(a, b))
    together = np.where(known, pairs.count[position] if len(pairs.key) else 0, 0).astype(np.float32)
    last_day = np.where(known, pairs.last_day[position] if len(pairs.key) else 0, day)
    novelty_a, novelty_b = history.novelty_rates(relation, 0), history.novelty_rates(relation, 1)
    new_a = seen.new[relation][0][a] + _new_in_campaign(batch, a, b, ~known & present)
    new_b = seen.new[relation][1][b] + _new_in_campaign(batch, b, a, ~known & present)
    forward = _cache_surprise(together, side_a.pair_days[a], novelty_a[a], _arrivals(side_b.novel)[b])
    backward = _cache_surprise(together, side_b.pair_days[b], novelty_b[b], _arrivals(side_a.novel)[a])
    columns = [
        ~known,
        forward,
        backward,
        np.minimum(forward, backward),
        np.log1p(day - last_day),
        _log_odds(novelty_a[a]),
        _log_odds(novelty_b[b]),
        np.log1p(side_a.breadth[a]),
        np.log1p(side_b.breadth[b]),
        np.log1p(new_a),
        np.log1p(new_b),
        np.log1p(new_a) - np.log1p(history.new_per_day(relation, 0)[a]),
        np.log1p(new_b) - np.log1p(history.new_per_day(relation, 1)[b]),
        np.log1p(new_a) - np.log1p(side_a.most_new[a]),
        np.log1p(new_b) - np.log1p(side_b.most_new[b]),
        peers.support(met, sizes, (a, b)),
        peers.support(met[::-1], sizes[::-1], (b, a)),
        side_a.first_day[a] == NEVER,
        side_b.first_day[b] == NEVER,
    ]
    return [np.where(present, column, 0).astype(np.float32) for column in columns]


def _cache_surprise(together: Floats, total: Floats, novelty: Floats, arrivals: Floats) -> Floats:
    """-log p(b | a) in nats, [edges]."""
    share = together / np.maximum(total, 1e-6)
    return -np.log((1 - novelty) * np.minimum(share, 1) + novelty * arrivals)


def _arrivals(novel: Floats) -> Floats:
    """q: the probability that a new partner is this one, from who received new partners lately. [entities],
    sums to 1."""
    weight = novel + 0.1
    share: Floats = weight / weight.sum()
    return share


def _log_odds(rate: Floats) -> Floats:
    return np.log(rate) - np.log1p(-rate)


def _new_in_campaign(batch: EdgeBatch, entity: Ints, partner: Ints, fresh: npt.NDArray[np.bool_]) -> Floats:
    """For made-up edges: new partners that an entity has within its own made-up campaign. 0 for real edges.
    [edges]"""
    mine = fresh & (batch.campaign >= 0)
    result = np.zeros(len(batch), np.float32)
    if not mine.any():
        return result
    group = np.stack([batch.campaign, entity], axis=1)
    meetings = np.unique(np.column_stack([group[mine], partner[mine]]), axis=0)
    owners, partners = np.unique(meetings[:, :2], axis=0, return_counts=True)
    number = (owners[:, 0] << 32) | owners[
        :, 1
    ]  # sorted, since `unique` sorts rows by their first column first
    wanted = (group[:, 0] << 32) | group[:, 1]
    position = np.minimum(np.searchsorted(number, wanted), len(number) - 1)
    hit = (number[position] == wanted) & (batch.campaign >= 0)
    result[hit] = partners[position[hit]]
    return result


def _describe_edges(history: History, batch: EdgeBatch, seen: Today) -> list[npt.NDArray[Any]]:
    hour = _profile_surprise(history.user_hours, batch.user)
    type_user = _profile_surprise(history.user_types, batch.user)
    worst_hour, worst_type = (hour * batch.hours).max(1), (type_user * batch.types).max(1)
    type_target = _profile_surprise(history.place_types, batch.target)
    kind = history.user_kind[batch.user]
    return [
        (hour * batch.hours).sum(1) / np.maximum(batch.hours.sum(1), 1),
        worst_hour,
        np.log1p(seen.odd_hours[batch.user] + _in_campaign(batch, worst_hour > ODD_NATS)),
        worst_type,
        np.log1p(seen.odd_types[batch.user] + _in_campaign(batch, worst_type > ODD_NATS)),
        (type_target * batch.types).max(1),
        np.log1p(batch.count),
        batch.failures / np.maximum(batch.count, 1),
        batch.source < 0,
        batch.source == batch.target,
        history.is_resource[batch.target],
        *(kind == index for index in range(len(USER_KINDS))),
    ]


def _in_campaign(batch: EdgeBatch, counted: npt.NDArray[np.bool_]) -> Floats:
    """For made-up edges: how many edges of the same user in the same made-up campaign are counted. 0 for
    real edges. [edges]"""
    made_up = batch.campaign >= 0
    group = np.where(made_up, (batch.campaign << 32) | batch.user, -1)
    _, number = np.unique(group, return_inverse=True)
    result: Floats = np.where(made_up, np.bincount(number, counted & made_up)[number], 0).astype(np.float32)
    return result


def _profile_surprise(profile: Floats, entity: Ints, strength: float = 3.0) -> Floats:
    """-log p(category | entity) in nats, shrunk to everybody's profile with the weight of `strength` days.
    float32 [edges, categories]"""
    everybody = profile.sum(0) + 1
    prior = everybody / everybody.sum()
    counts = profile[entity]  # [edges, categories]
    if profile.shape[1] == HOURS:  # an hour is like its neighbours
        counts = 0.5 * counts + 0.25 * (np.roll(counts, 1, 1) + np.roll(counts, -1, 1))
    nats: Floats = -np.log((counts + strength * prior) / (counts.sum(1, keepdims=True) + strength))
    return nats
