"""Edges an attacker would make, from a day's own traffic: what the model learns to tell from real ones.

Nothing here is a label: each family takes real credentials and machines of the day and joins them as a
stolen account would. A few edges together are one campaign, so that the counts of new pairs grow as they
would in an attack. Families follow MITRE ATT&CK lateral movement (T1021, T1550, T1078); leaving any one of
them out costs little, so they are kept coarse. Leaves out: whether a made-up edge happens to be real; such
edges are dropped.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ueba.detect.look.features import has_rare_hour, has_rare_type
from ueba.detect.past.history import HOURS, NEVER, RELATIONS, EdgeBatch, History, Ints, pair_keys

Pick = npt.NDArray[np.int64]


class _Day:
    """The day's real edges and ways to draw from them."""

    def __init__(self, history: History, batch: EdgeBatch, rng: np.random.Generator) -> None:
        self.batch, self.rng = batch, rng

        def new(end: Ints, relation: str, side: int) -> Ints:
            present = np.unique(end[end >= 0])
            strangers: Ints = present[history.sides[relation][side].first_day[present] == NEVER]
            return strangers

        self.new_users = new(batch.user, "user_target", 0)
        self.new_sources = new(batch.source, "user_source", 1)
        self.new_targets = new(batch.target, "user_target", 1)
        self.targets = np.unique(batch.target)
        self.sourced = np.flatnonzero(batch.source >= 0)  # edges whose source is known
        remote = (batch.source >= 0) & (batch.source != batch.target)
        novel = remote & ~is_known(history, "source_target", batch)
        self.manners = np.flatnonzero(novel if novel.any() else remote if remote.any() else batch.user >= 0)
        self.by_user = np.argsort(batch.user, kind="stable")

    def edges(self, size: int) -> Pick:
        return self.rng.choice(self.sourced, size)

    def of_same_user(self, rows: Pick) -> Pick:
        """For each edge a random one of the same user."""
        user = self.batch.user[rows]
        ordered = self.batch.user[self.by_user]
        first, last = np.searchsorted(ordered, user, "left"), np.searchsorted(ordered, user, "right")
        picked: Pick = self.by_user[first + (self.rng.random(len(rows)) * (last - first)).astype(np.int64)]
        return picked

    def any_target(self, size: int) -> Ints:
        return self.rng.choice(self.targets, size)

    def popular_target(self, size: int) -> Ints:
        """Targets as often as they have visitors."""
        return self.batch.target[self.rng.integers(0, len(self.batch), size)]


def is_known(history: History, relation: str, edges: EdgeBatch) -> npt.NDArray[np.bool_]:
    """Whether both ends were ever seen together. bool [edges]"""
    return history.pairs[relation].find(pair_keys(*edges.pairs(relation)))[1]


def make_negatives(
    history: History, batch: EdgeBatch, per_family: int, rng: np.random.Generator
) -> EdgeBatch:
    """About `per_family` made-up edges of each family in `FAMILIES` for one day. Empty if the day has no
    known source."""
    day = _Day(history, batch, rng)
    if not len(day.sourced):
        return batch.take(np.zeros(0, np.int64))
    made: list[EdgeBatch] = []
    next_campaign = 0
    for make in _MAKERS:
        edges = make(day, per_family)
        edges = replace(edges, campaign=edges.campaign + next_campaign)
        next_campaign = int(edges.campaign.max(initial=next_campaign)) + 1
        made.append(edges)
    everything = EdgeBatch(
        **{
            name: np.concatenate([getattr(part, name) for part in made])
            for name in EdgeBatch.__dataclass_fields__
        }
    )
    return everything.take(~_is_ordinary(everything, batch, history))


def _is_ordinary(edges: EdgeBatch, batch: EdgeBatch, history: History) -> npt.NDArray[np.bool_]:
    """Made-up edges that say nothing: every two of user, source and target know each other, at a usual hour
    and by a usual way."""
    ordinary = ~(has_rare_hour(history, edges) | has_rare_type(history, edges))
    for relation in RELATIONS:
        keys = pair_keys(*edges.pairs(relation))
        ordinary &= is_known(history, relation, edges) | np.isin(keys, pair_keys(*batch.pairs(relation)))
    return ordinary


def _campaigns(size: int, rng: np.random.Generator, fewest: int = 1, most: int = 8) -> Ints:
    """Campaign number of each edge: runs of `fewest` to `most` edges. int64 [size]"""
    lengths = rng.integers(fewest, most + 1, size)
    return np.repeat(np.arange(size), lengths)[:size]


def _assemble(day: _Day, like: Pick, user: Ints, source: Ints, target: Ints, campaign: Ints) -> EdgeBatch:
    """Edges at an hour of real ones (`like`: rows of the day), in the manner (type, volume, failures) in
    which machines that never met do meet on this day: what tells a made-up edge shall be who and where, not
    how often."""
    one_hour = np.zeros((len(like), HOURS), bool)
    hours = day.batch.hours[like]
    one_hour[np.arange(len(like)), (hours * day.rng.random(hours.shape, np.float32)).argmax(1)] = True
    manner = day.batch.take(day.rng.choice(day.manners, len(like)))
    return EdgeBatch(user, source, target, one_hour, manner.types, manner.count, manner.failures, campaign)


def _own_machine_any_target(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    return _assemble(day, like, day.batch.user[like], day.batch.source[like], day.any_target(size), campaign)


def _own_machine_popular_target(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    return _assemble(
        day, like, day.batch.user[like], day.batch.source[like], day.popular_target(size), campaign
    )


def _other_credential_usual_target(day: _Day, size: int) -> EdgeBatch:
    """One or several stolen credentials, each to where it is used today."""
    campaign = _campaigns(size, day.rng)
    victim, stolen = day.edges(size)[campaign], _stolen(day, campaign)
    usual = day.of_same_user(stolen)
    return _assemble(
        day, stolen, day.batch.user[stolen], day.batch.source[victim], day.batch.target[usual], campaign
    )


def _other_credential_any_target(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    victim, stolen = day.edges(size)[campaign], _stolen(day, campaign)
    return _assemble(
        day, stolen, day.batch.user[stolen], day.batch.source[victim], day.any_target(size), campaign
    )


def _stolen(day: _Day, campaign: Ints) -> Pick:
    """An edge of a stolen credential for each edge: in half the campaigns always the same credential."""
    size = len(campaign)
    one = day.rng.random(size) < 0.5
    return np.where(one[campaign], day.edges(size)[campaign], day.edges(size))


def _any_machine_any_target(day: _Day, size: int) -> EdgeBatch:
    """A machine on which the credential was used today, as source or as target: the next hop of a chain."""
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    source = np.where(day.rng.random(size) < 0.5, day.batch.source[like], day.batch.target[like])
    return _assemble(day, like, day.batch.user[like], source, day.any_target(size), campaign)


def _own_machine_any_hour(day: _Day, size: int) -> EdgeBatch:
    """Usual edges of one user that in one hour of the day have more events than the real ones, and some new
    ones in that hour."""
    campaign = _campaigns(size, day.rng)
    like = day.of_same_user(day.edges(size)[campaign])
    usual = (day.rng.random(size) < 0.7) & (day.batch.source[like] >= 0)
    target = np.where(usual, day.batch.target[like], day.popular_target(size))
    edges = _assemble(day, like, day.batch.user[like], day.batch.source[like], target, campaign)
    hour = (day.rng.integers(0, HOURS, size)[campaign] + day.rng.integers(0, 2, size)) % HOURS
    hours = day.batch.hours[like] & usual[:, None]
    hours[np.arange(size), hour] = True
    types = np.where(usual[:, None], day.batch.types[like], edges.types)
    count = edges.count + np.where(usual, day.batch.count[like], 0)
    failures = edges.failures + np.where(usual, day.batch.failures[like], 0)
    return replace(edges, hours=hours, types=types, count=count, failures=failures)


def _own_machine_other_type(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    edges = _assemble(
        day, like, day.batch.user[like], day.batch.source[like], day.popular_target(size), campaign
    )
    types = np.zeros_like(edges.types)
    types[np.arange(size), day.rng.integers(0, types.shape[1], size)[campaign]] = True
    return replace(edges, types=types)


def _burst(day: _Day, size: int) -> EdgeBatch:
    """One machine, one or several credentials, 8 to 150 targets in a day."""
    campaign = _campaigns(size, day.rng, 8, 150)
    like = day.edges(size)[campaign]
    several = day.rng.random(size) < 0.5
    other = day.edges(size)
    many = several[campaign]
    user = np.where(many, day.batch.user[other], day.batch.user[like])
    return _assemble(day, like, user, day.batch.source[like], day.any_target(size), campaign)


def _strangers(day: _Day, size: int) -> EdgeBatch:
    """A credential, a machine, a target that nobody knows, or several of them at once: not all who arrive
    are welcome."""
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    which = day.rng.integers(1, 8, size)[campaign]

    def end(bit: int, known: Ints, new: Ints) -> Ints:
        return np.where(which & bit > 0, day.rng.choice(new, size)[campaign], known) if len(new) else known

    user = end(1, day.batch.user[like], day.new_users)
    source = end(2, day.batch.source[like], day.new_sources)
    target = end(4, day.any_target(size), day.new_targets)
    return _assemble(day, like, user, source, target, campaign)


_MAKERS = (
    _own_machine_any_target,
    _own_machine_popular_target,
    _other_credential_usual_target,
    _other_credential_any_target,
    _any_machine_any_target,
    _own_machine_any_hour,
    _own_machine_other_type,
    _burst,
    _strangers,
)
FAMILIES = tuple(make.__name__.lstrip("_") for make in _MAKERS)
