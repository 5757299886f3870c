"""Edges an attacker would make, from a day's own traffic: what the model learns to tell from real ones.

Nothing here is a label: each family takes real credentials and machines of the day and joins them as a stolen account would.
A few edges together are one campaign, so that the counts of new pairs grow as they would in an attack. Families follow
MITRE ATT&CK lateral movement (T1021, T1550, T1078); leaving any one of them out costs little, so they are kept coarse.
Leaves out: whether a made-up edge happens to be real; such edges are dropped.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ueba.detect.history import HOURS, NEVER, EdgeBatch, History, Ints, pair_keys

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

    def edges(self, size: int) -> Pick:
        return self.rng.choice(self.sourced, size)

    def any_target(self, size: int) -> Ints:
        return self.rng.choice(self.targets, size)

    def popular_target(self, size: int) -> Ints:
        """Targets as often as they have visitors."""
        return self.batch.target[self.rng.integers(0, len(self.batch), size)]


def make_negatives(history: History, batch: EdgeBatch, per_family: int, rng: np.random.Generator) -> EdgeBatch:
    """About `per_family` made-up edges of each family in `FAMILIES` for one day. Empty if the day has no known source."""
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
        **{name: np.concatenate([getattr(part, name) for part in made]) for name in EdgeBatch.__dataclass_fields__}
    )
    return everything.take(~_is_real(everything, batch, history))


def _is_real(edges: EdgeBatch, batch: EdgeBatch, history: History) -> npt.NDArray[np.bool_]:
    """Made-up edges that say nothing: the user was on that target from that source before, at a usual hour and by a usual way.
    Families that change only the hour or the type are kept."""
    known = np.ones(len(edges), bool)
    for relation in ("user_target", "user_source", "source_target"):
        keys = pair_keys(*edges.pairs(relation))
        known &= history.pairs[relation].find(keys)[1] | np.isin(keys, pair_keys(*batch.pairs(relation)))
    usual = (history.user_hours[edges.user] * edges.hours).sum(1) > 0
    usual &= (history.user_types[edges.user] * edges.types).sum(1) > 0
    real: npt.NDArray[np.bool_] = known & usual
    return real


def _campaigns(size: int, rng: np.random.Generator, fewest: int = 1, most: int = 8) -> Ints:
    """Campaign number of each edge: runs of `fewest` to `most` edges. int64 [size]"""
    lengths = rng.integers(fewest, most + 1, size)
    return np.repeat(np.arange(size), lengths)[:size]


def _assemble(day: _Day, like: Pick, user: Ints, source: Ints, target: Ints, campaign: Ints) -> EdgeBatch:
    """Edges with the hours, type and volume of real ones (`like`: rows of the day)."""
    real = day.batch.take(like)
    one_hour = np.zeros_like(real.hours)
    any_of_them = (real.hours * day.rng.random(real.hours.shape, np.float32)).argmax(1)
    one_hour[np.arange(len(like)), any_of_them] = True
    count = day.rng.geometric(0.5, len(like)).astype(np.float32)
    failures = (day.rng.random(len(like)) < 0.05).astype(np.float32)
    return EdgeBatch(user, source, target, one_hour, _network_types(day, real), count, failures, campaign)


def _network_types(day: _Day, real: EdgeBatch) -> npt.NDArray[np.bool_]:
    """Logon types as edges between two machines have them."""
    remote = np.flatnonzero((day.batch.source != day.batch.target) & (day.batch.source >= 0))
    if not len(remote):
        return real.types
    types: npt.NDArray[np.bool_] = day.batch.types[day.rng.choice(remote, len(real))]
    return types


def _own_machine_any_target(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    return _assemble(day, like, day.batch.user[like], day.batch.source[like], day.any_target(size), campaign)


def _own_machine_popular_target(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    return _assemble(day, like, day.batch.user[like], day.batch.source[like], day.popular_target(size), campaign)


def _other_credential_usual_target(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    victim, stolen = day.edges(size)[campaign], day.edges(size)
    return _assemble(day, stolen, day.batch.user[stolen], day.batch.source[victim], day.batch.target[stolen], campaign)


def _other_credential_any_target(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    victim, stolen = day.edges(size)[campaign], day.edges(size)
    return _assemble(day, stolen, day.batch.user[stolen], day.batch.source[victim], day.any_target(size), campaign)


def _any_machine_any_target(day: _Day, size: int) -> EdgeBatch:
    """A machine on which the credential was used today, as source or as target: the next hop of a chain."""
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    source = np.where(day.rng.random(size) < 0.5, day.batch.source[like], day.batch.target[like])
    return _assemble(day, like, day.batch.user[like], source, day.any_target(size), campaign)


def _own_machine_any_hour(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    usual = day.rng.random(size) < 0.5
    target = np.where(usual, day.batch.target[like], day.popular_target(size))
    edges = _assemble(day, like, day.batch.user[like], day.batch.source[like], target, campaign)
    hours = np.zeros_like(edges.hours)
    hours[np.arange(size), day.rng.integers(0, HOURS, size)] = True
    return replace(edges, hours=hours)


def _own_machine_other_type(day: _Day, size: int) -> EdgeBatch:
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    edges = _assemble(day, like, day.batch.user[like], day.batch.source[like], day.popular_target(size), campaign)
    types = np.zeros_like(edges.types)
    types[np.arange(size), day.rng.integers(0, types.shape[1], size)] = True
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
    """A credential, a machine, a target that nobody knows, or several of them at once: not all who arrive are welcome."""
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
