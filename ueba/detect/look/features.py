"""Describes each edge of a day by numbers: float32 [edges, features].

`FEATURES` is the table of features. Name, unit, meaning and formula of a feature stand in one row; a formula
reads prepared columns (`PairColumns`, `EdgeColumns`) and returns one number per edge. Rows keep their order,
because a trained model knows its inputs by position.

Every feature is computed from the history before the day and from the day's own counts of new pairs, never
from anything later. Leaves out what is strange: the model decides that.

A pair (a, b) gets the surprise of a cache model in both directions (Teh 2006; Heard and Rubin-Delanchy 2016):

    p(b | a) = (1 - novelty_a) * c_ab / c_a  +  novelty_a * q(b)

novelty_a is how often a meets a new partner, q(b) is how often a new partner of anybody is b. An entity with
a broad history has a high novelty rate, so that its new partners surprise less. This is the correction for
administrators, before any learning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ueba.arrays import Bools, Floats, Ints
from ueba.detect.look import likeness
from ueba.detect.look.likeness import Likeness
from ueba.detect.look.peers import Peers
from ueba.detect.past.encoded import HOURS, USER_KINDS, EncodedEdges
from ueba.detect.past.history import NEVER, History
from ueba.detect.past.pairs import RELATIONS, pair_ends, pair_keys

Column = npt.NDArray[Any]  # [edges], a number or a truth value per edge

RARE_NATS = 4.0  # an hour or logon type with p below exp(-4), a fiftieth of an entity's activity, is rare
PROFILE_STRENGTH = 3.0  # active days; the weight of everybody's profile beside an entity's own


# --- what formulas read -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EndColumns:
    """One end of each edge's pair, against the history before the day. All [edges].

    pair_days:    days, decayed: the sum over active days of distinct partners
    novelty:      in (0, 1), the share of the entity's daily pairs that are new
    arrivals:     in (0, 1), the share of everybody's new partners that were this entity
    breadth:      distinct partners
    new_today:    new partners on this day
    new_expected: new partners that the entity is expected to meet on an active day
    new_most:     the most new partners the entity met in a day
    peers_know:   in [0, 1], the share of the entity's peers that know the other end
    unknown:      whether the entity has no history
    """

    pair_days: Floats
    novelty: Floats
    arrivals: Floats
    breadth: Floats
    new_today: Floats
    new_expected: Floats
    new_most: Floats
    peers_know: Floats
    unknown: Bools


@dataclass(frozen=True)
class PairColumns:
    """Each edge's pair in one relation; a and b are its two ends. All [edges].

    present:    whether both ends are in the log; every feature of the pair is 0 if not
    new:        whether the ends were never seen together, or once, in a strange edge
    together:   days on which they were seen together, decayed
    days_since: days since they were last seen together; 0 for a new pair
    company:    in [-1, 1], likeness of one end to the company of the other, see `Likeness.compare`
    """

    present: Bools
    new: Bools
    together: Floats
    days_since: Ints
    company: Floats
    a: EndColumns
    b: EndColumns


@dataclass(frozen=True)
class EdgeColumns:
    """Each edge as a whole, and its pairs by relation.

    hour_surprise:        nats, float32 [edges, 24], -log p(hour | user); 0 in hours without events
    type_surprise_user:   nats, float32 [edges, types], -log p(logon type | user); 0 for types not used
    type_surprise_target: the same for the target
    rare_hours_today:     [edges], edges of the user on this day at an hour that is rare for the user
    rare_types_today:     [edges], the same by a logon type that is rare for the user
    news_alike, news_habit: [edges], cosines, see `Likeness.compare_news`
    user_kind:            [edges], index in USER_KINDS
    is_resource:          [edges], whether the target is a resource
    """

    encoded: EncodedEdges
    pairs: Mapping[str, PairColumns]
    hour_surprise: Floats
    type_surprise_user: Floats
    type_surprise_target: Floats
    rare_hours_today: Floats
    rare_types_today: Floats
    news_alike: Floats
    news_habit: Floats
    user_kind: Ints
    is_resource: Bools


# --- the table of features ----------------------------------------------------------------------------------

Columns = TypeVar("Columns", PairColumns, EdgeColumns)


class Feature(NamedTuple, Generic[Columns]):
    """One row of the table. The formula returns [edges].

    part: of the evidence, a relation, parts_new, hour, type, volume or kind. Empty in PAIR_FEATURES, which
    are computed for every relation."""

    name: str
    unit: str
    meaning: str
    formula: Callable[[Columns], Column]
    part: str = ""


def cache_surprise(together: Floats, end: EndColumns, partner: EndColumns) -> Floats:
    """-log p(partner | end) of the cache model in nats, [edges]."""
    share = together / np.maximum(end.pair_days, 1e-6)
    return -np.log((1 - end.novelty) * np.minimum(share, 1) + end.novelty * partner.arrivals)


def log_odds(rate: Floats) -> Floats:
    return np.log(rate) - np.log1p(-rate)


def log_ratio(count: Floats, reference: Floats) -> Floats:
    """Of two counts that may be 0."""
    return np.log1p(count) - np.log1p(reference)


def user_is(kind: str) -> Feature[EdgeColumns]:
    """The feature that tells one kind of user from the others."""
    number = USER_KINDS.index(kind)
    return Feature(
        f"user_{kind}", "0/1", f"the user is a {kind} account", lambda edge: edge.user_kind == number, "kind"
    )


# For each relation; {a} and {b} are its two ends.
PAIR_FEATURES: tuple[Feature[PairColumns], ...] = (
    Feature(
        "new",
        "0/1",
        "this {a} and {b} were never seen together, or once, in a strange edge",
        lambda pair: pair.new,
    ),
    Feature(
        "surprise_{b}_given_{a}",
        "nats",
        "-log p({b} | {a}) of the cache model",
        lambda pair: cache_surprise(pair.together, pair.a, pair.b),
    ),
    Feature(
        "surprise_{a}_given_{b}",
        "nats",
        "-log p({a} | {b}) of the cache model",
        lambda pair: cache_surprise(pair.together, pair.b, pair.a),
    ),
    Feature(
        "surprise_least",
        "nats",
        "the smaller of the two surprises: strange from both ends",
        lambda pair: np.minimum(
            cache_surprise(pair.together, pair.a, pair.b), cache_surprise(pair.together, pair.b, pair.a)
        ),
    ),
    Feature(
        "days_since",
        "log days",
        "since the pair was last seen; 0 for a new pair",
        lambda pair: np.log1p(pair.days_since),
    ),
    Feature(
        "novelty_{a}",
        "log odds",
        "how often the {a} meets a new {b}, shrunk to its cohort",
        lambda pair: log_odds(pair.a.novelty),
    ),
    Feature(
        "novelty_{b}",
        "log odds",
        "how often the {b} meets a new {a}, shrunk to its cohort",
        lambda pair: log_odds(pair.b.novelty),
    ),
    Feature(
        "breadth_{a}",
        "log count",
        "distinct partners the {a} ever had",
        lambda pair: np.log1p(pair.a.breadth),
    ),
    Feature(
        "breadth_{b}",
        "log count",
        "distinct partners the {b} ever had",
        lambda pair: np.log1p(pair.b.breadth),
    ),
    Feature(
        "new_today_{a}",
        "log count",
        "new partners of the {a} on this day",
        lambda pair: np.log1p(pair.a.new_today),
    ),
    Feature(
        "new_today_{b}",
        "log count",
        "new partners of the {b} on this day",
        lambda pair: np.log1p(pair.b.new_today),
    ),
    Feature(
        "excess_{a}",
        "log ratio",
        "new partners of the {a} on this day against its expected number",
        lambda pair: log_ratio(pair.a.new_today, pair.a.new_expected),
    ),
    Feature(
        "excess_{b}",
        "log ratio",
        "new partners of the {b} on this day against its expected number",
        lambda pair: log_ratio(pair.b.new_today, pair.b.new_expected),
    ),
    Feature(
        "record_{a}",
        "log ratio",
        "new partners of the {a} on this day against the most it had in a day",
        lambda pair: log_ratio(pair.a.new_today, pair.a.new_most),
    ),
    Feature(
        "record_{b}",
        "log ratio",
        "new partners of the {b} on this day against the most it had in a day",
        lambda pair: log_ratio(pair.b.new_today, pair.b.new_most),
    ),
    Feature("peers_{a}", "share", "of the {a}'s peers that know the {b}", lambda pair: pair.a.peers_know),
    Feature("peers_{b}", "share", "of the {b}'s peers that know the {a}", lambda pair: pair.b.peers_know),
    Feature(
        "company",
        "cosine",
        "likeness of the {a} to the other company of the {b}, by the targets that users reach",
        lambda pair: pair.company,
    ),
    Feature(
        "unknown_{a}",
        "0/1",
        "the {a} has no history: its cohort's rates stand in",
        lambda pair: pair.a.unknown,
    ),
    Feature(
        "unknown_{b}",
        "0/1",
        "the {b} has no history: its cohort's rates stand in",
        lambda pair: pair.b.unknown,
    ),
)
EDGE_FEATURES: tuple[Feature[EdgeColumns], ...] = (
    Feature(
        "parts_new",
        "count",
        "how many of the three pairs are new",
        lambda edge: np.sum([pair.present & pair.new for pair in edge.pairs.values()], axis=0),
        part="parts_new",
    ),
    Feature(
        "news_alike",
        "cosine",
        "likeness of a new target to the user's other new targets of the day, by who reaches them",
        lambda edge: edge.news_alike,
        part="user_target",
    ),
    Feature(
        "news_habit",
        "cosine",
        "likeness of the user's other new targets of the day to the user's habit; 0 for a known target",
        lambda edge: edge.news_habit,
        part="user_target",
    ),
    Feature(
        "hour_surprise_user",
        "nats",
        "-log p(hour | user), mean over the edge's hours, shrunk to everybody's hours",
        lambda edge: edge.hour_surprise.sum(1) / np.maximum(edge.encoded.hours.sum(1), 1),
        part="hour",
    ),
    Feature(
        "hour_surprise_worst",
        "nats",
        "the same for the strangest hour of the edge",
        lambda edge: edge.hour_surprise.max(1),
        part="hour",
    ),
    Feature(
        "rare_hours_user",
        "log count",
        "edges of the user on this day at an hour that is rare for the user",
        lambda edge: np.log1p(edge.rare_hours_today),
        part="hour",
    ),
    Feature(
        "type_surprise_user",
        "nats",
        "-log p(logon type | user), of the strangest type",
        lambda edge: edge.type_surprise_user.max(1),
        part="type",
    ),
    Feature(
        "rare_types_user",
        "log count",
        "edges of the user on this day by a logon type that is rare for the user",
        lambda edge: np.log1p(edge.rare_types_today),
        part="type",
    ),
    Feature(
        "type_surprise_target",
        "nats",
        "-log p(logon type | target), of the strangest type",
        lambda edge: edge.type_surprise_target.max(1),
        part="type",
    ),
    Feature(
        "events", "log count", "events on this edge", lambda edge: np.log1p(edge.encoded.count), part="volume"
    ),
    Feature(
        "failures",
        "share",
        "of the events that failed",
        lambda edge: edge.encoded.failures / np.maximum(edge.encoded.count, 1),
        part="volume",
    ),
    Feature(
        "no_source",
        "0/1",
        "the log does not name the source",
        lambda edge: edge.encoded.source < 0,
        part="kind",
    ),
    Feature(
        "own_source",
        "0/1",
        "the user was on the target itself",
        lambda edge: edge.encoded.source == edge.encoded.target,
        part="kind",
    ),
    Feature(
        "resource",
        "0/1",
        "the target is a resource, not a machine",
        lambda edge: edge.is_resource,
        part="kind",
    ),
    *(user_is(kind) for kind in USER_KINDS),
)


def of_relation(relation: str, feature: Feature[PairColumns]) -> Feature[EdgeColumns]:
    """A feature of pairs as a feature of edges, in one relation; 0 for edges without the pair."""
    a, b = relation.split("_")

    def formula(edge: EdgeColumns) -> Column:
        pair = edge.pairs[relation]
        return np.where(pair.present, feature.formula(pair), 0)

    name = f"{relation}.{feature.name.format(a=a, b=b)}"
    return Feature(name, feature.unit, feature.meaning.format(a=a, b=b), formula, relation)


FEATURES: tuple[Feature[EdgeColumns], ...] = (
    *(of_relation(relation, feature) for relation in RELATIONS for feature in PAIR_FEATURES),
    *EDGE_FEATURES,
)
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)


def digest(names: Sequence[str]) -> str:
    """Ten characters, a hash of the names of features in their order."""
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:10]


DIGEST = digest(FEATURE_NAMES)  # recorded with a model, see `ModelFacts`


# --- the day as a whole -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Today:
    """What each entity does on one day besides the edge that is described.

    new: new partners, float32 [entities] for each side of each relation
    rare_hours, rare_types: edges at an hour or by a logon type that is rare for the user, float32 [users]
    likeness: of users, before the day and on it
    peers: of the entities on each side of each relation, before the day
    """

    new: dict[str, tuple[Floats, Floats]]
    rare_hours: Floats
    rare_types: Floats
    likeness: Likeness
    peers: dict[str, tuple[Peers, Peers]]


def today(history: History, encoded: EncodedEdges) -> Today:
    """Count the day's new pairs for every entity, those of campaigns left out. `encoded` is the whole day."""
    users, counted = len(history.users), encoded.take(encoded.campaign < 0)
    return Today(
        {relation: _new_partners(history, counted, relation) for relation in RELATIONS},
        _counts(counted.user[has_rare_hour(history, counted)], users),
        _counts(counted.user[has_rare_type(history, counted)], users),
        likeness.of_day(history, encoded),
        peers_of(history),
    )


def peers_of(history: History) -> dict[str, tuple[Peers, Peers]]:
    """The peers of the entities on each side of each relation, see `Today`."""
    found = {}
    for relation in RELATIONS:
        known, sizes = history.pairs[relation].ends, history.sizes(relation)
        found[relation] = Peers(known, sizes), Peers(known[::-1], sizes[::-1])
    return found


def _new_partners(history: History, encoded: EncodedEdges, relation: str) -> tuple[Floats, Floats]:
    """How many new partners each entity has on the day, float32 [entities] for each side."""
    keys = pair_keys(*encoded.pairs(relation))  # [edges]
    keys = np.unique(keys[keys >= 0])  # [pairs]
    new = keys[~history.pairs[relation].find(keys)[1]]
    left, right = pair_ends(new)
    left_size, right_size = history.sizes(relation)
    return _counts(left, left_size), _counts(right, right_size)


def _counts(ids: Ints, size: int) -> Floats:
    """How often each id occurs, float32 [size]."""
    return np.bincount(ids, minlength=size).astype(np.float32)


def has_rare_hour(history: History, encoded: EncodedEdges) -> Bools:
    """Whether an edge has events at an hour that is rare for its user. bool [edges]"""
    return _is_rare(_masked_surprise(history.user_hours, encoded.user, encoded.hours))


def has_rare_type(history: History, encoded: EncodedEdges) -> Bools:
    """Whether an edge has a logon type that is rare for its user. bool [edges]"""
    return _is_rare(_masked_surprise(history.user_types, encoded.user, encoded.types))


def _is_rare(surprise: Floats) -> Bools:
    """surprise: nats, [edges, categories]"""
    rare: Bools = surprise.max(1) > RARE_NATS  # [edges]
    return rare


# --- describing edges ---------------------------------------------------------------------------------------


def describe(history: History, encoded: EncodedEdges, day: int, seen_today: Today) -> Floats:
    """Features of a day's edges, float32 [edges, features], in the order of `FEATURES`."""
    columns = _edge_columns(history, encoded, day, seen_today)
    described = np.empty((len(encoded), len(FEATURES)), np.float32)
    for number, feature in enumerate(FEATURES):
        described[:, number] = feature.formula(columns)
    return described


def _edge_columns(history: History, encoded: EncodedEdges, day: int, seen_today: Today) -> EdgeColumns:
    hour_surprise = _masked_surprise(history.user_hours, encoded.user, encoded.hours)  # [edges, 24]
    type_surprise = _masked_surprise(history.user_types, encoded.user, encoded.types)  # [edges, types]
    rare_hours = seen_today.rare_hours[encoded.user] + _rare_in_campaign(encoded, _is_rare(hour_surprise))
    rare_types = seen_today.rare_types[encoded.user] + _rare_in_campaign(encoded, _is_rare(type_surprise))
    company = seen_today.likeness.compare(encoded)
    news_alike, news_habit = seen_today.likeness.compare_news(encoded)
    return EdgeColumns(
        encoded=encoded,
        pairs={
            name: _pair_columns(history, encoded, name, day, seen_today, company[name]) for name in RELATIONS
        },
        hour_surprise=hour_surprise,
        type_surprise_user=type_surprise,
        type_surprise_target=_masked_surprise(history.place_types, encoded.target, encoded.types),
        rare_hours_today=rare_hours,
        rare_types_today=rare_types,
        news_alike=news_alike,
        news_habit=news_habit,
        user_kind=history.user_kind[encoded.user],
        is_resource=history.is_resource[encoded.target],
    )


def _pair_columns(
    history: History, encoded: EncodedEdges, relation: str, day: int, seen_today: Today, company: Floats
) -> PairColumns:
    left, right = encoded.pairs(relation)
    present = (left >= 0) & (right >= 0)
    ends = np.where(present, left, 0), np.where(present, right, 0)  # any entity stands in for an absent one
    pairs = history.pairs[relation]
    position, known = pairs.find(pair_keys(*ends))
    together = np.where(known, pairs.count[position] if len(pairs.key) else 0, 0).astype(np.float32)
    last_day = np.where(known, pairs.last_day[position] if len(pairs.key) else 0, day)
    a, b = (
        _end_columns(
            history,
            relation,
            side,
            ends,
            seen_today.new[relation][side][ends[side]]
            + _new_in_campaign(encoded, ends[side], ends[1 - side], ~known & present),
            seen_today.peers[relation][side].support(ends[side], ends[1 - side]),
        )
        for side in (0, 1)
    )
    return PairColumns(present, ~known, together, day - last_day, company, a, b)


def _end_columns(
    history: History, relation: str, side: int, ends: tuple[Ints, Ints], new_today: Floats, peers_know: Floats
) -> EndColumns:
    """The left (side 0) or right (1) ends of pairs."""
    entity, table = ends[side], history.sides[relation][side]  # [edges]
    return EndColumns(
        pair_days=table.pair_days[entity],
        novelty=history.novelty_rates(relation, side)[entity],
        arrivals=_arrivals(table.novel)[entity],
        breadth=table.breadth[entity],
        new_today=new_today,
        new_expected=history.new_per_day(relation, side)[entity],
        new_most=table.most_new[entity],
        peers_know=peers_know,
        unknown=table.first_day[entity] == NEVER,
    )


def _arrivals(novel: Floats) -> Floats:
    """q: the probability that a new partner is this entity, from who was a new partner lately. Sums to 1.
    [entities]"""
    weight = novel + 0.1
    share: Floats = weight / weight.sum()
    return share


def _new_in_campaign(encoded: EncodedEdges, entity: Ints, partner: Ints, new: Bools) -> Floats:
    """For made-up edges: new partners that the entity has within its own made-up campaign; 0 for real edges.
    [edges]"""
    counted = new & (encoded.campaign >= 0)
    result = np.zeros(len(encoded), np.float32)
    if not counted.any():
        return result
    owner = (encoded.campaign << 32) | entity  # [edges], one number per campaign and entity
    meetings = np.unique(np.column_stack([owner[counted], partner[counted]]), axis=0)  # [meetings, 2]
    owners, partners = np.unique(meetings[:, 0], return_counts=True)
    position = np.minimum(np.searchsorted(owners, owner), len(owners) - 1)
    hit = (owners[position] == owner) & (encoded.campaign >= 0)
    result[hit] = partners[position[hit]]
    return result


def _rare_in_campaign(encoded: EncodedEdges, rare: Bools) -> Floats:
    """For made-up edges: how many edges of the same user in the same made-up campaign are rare; 0 for real
    edges. [edges]"""
    made_up = encoded.campaign >= 0
    owner = np.where(made_up, (encoded.campaign << 32) | encoded.user, -1)
    _, number = np.unique(owner, return_inverse=True)  # [edges]
    result: Floats = np.where(made_up, np.bincount(number, rare & made_up)[number], 0).astype(np.float32)
    return result


def _masked_surprise(profile: Floats, entity: Ints, used: Bools) -> Floats:
    """Surprise in nats of the categories that each edge uses; 0 for the others. float32
    [edges, categories]"""
    return _profile_surprise(profile, entity) * used


def _profile_surprise(profile: Floats, entity: Ints) -> Floats:
    """-log p(category | entity) in nats, shrunk to everybody's profile. float32 [edges, categories]

    profile: float32 [entities, categories], decayed active days by hour or logon type"""
    everybody = profile.sum(0) + 1
    prior = everybody / everybody.sum()  # [categories]
    counts = profile[entity]  # [edges, categories]
    if profile.shape[1] == HOURS:  # an hour is like its neighbours
        counts = 0.5 * counts + 0.25 * (np.roll(counts, 1, 1) + np.roll(counts, -1, 1))
    total = counts.sum(1, keepdims=True)
    nats: Floats = -np.log((counts + PROFILE_STRENGTH * prior) / (total + PROFILE_STRENGTH))
    return nats
