"""Makes up edges as an attacker would, from a day's own traffic: the model learns to tell them from real
ones.

A made-up edge is no label of an attack. Each family joins real credentials and machines of the day as the
user of a stolen account would. A few edges together are one campaign, so that the counts of new pairs grow as
they would in an attack. Families follow MITRE ATT&CK lateral movement (T1021, T1550, T1078). They are kept
coarse, because detection hardly gets worse without any one of them. A made-up edge that is like an ordinary
real one is dropped. Leaves out injected attacks for evaluation (`ueba.campaigns`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ueba.arrays import Bools, Ints
from ueba.detect.look.features import has_rare_hour, has_rare_type
from ueba.detect.past.encoded import HOURS, EncodedEdges
from ueba.detect.past.history import NEVER, History
from ueba.detect.past.pairs import RELATIONS, pair_keys

Rows = npt.NDArray[np.int64]  # [drawn], rows of the day's real edges


class Day:
    """The day's real edges, and ways to draw from them. `rng` is drawn from in a fixed order, so that a seed
    makes the same edges."""

    def __init__(self, history: History, encoded: EncodedEdges, rng: np.random.Generator) -> None:
        self.encoded, self.rng = encoded, rng
        users, places = _strangers(history, encoded)
        self.unknown_users = np.concatenate([_unknown(history, "user_target", 0, encoded.user), users])
        self.unknown_sources = np.concatenate([_unknown(history, "user_source", 1, encoded.source), places])
        self.unknown_targets = np.concatenate([_unknown(history, "user_target", 1, encoded.target), places])
        self.targets = np.unique(encoded.target)
        self.sourced = np.flatnonzero(encoded.source >= 0)  # rows whose source is in the log
        self.manners = _manners(history, encoded)
        self.by_user = np.argsort(encoded.user, kind="stable")

    def edges(self, size: int) -> Rows:
        """Rows of edges with a source."""
        return self.rng.choice(self.sourced, size)

    def of_same_user(self, rows: Rows) -> Rows:
        """For each edge a random edge of the same user."""
        user = self.encoded.user[rows]
        ordered = self.encoded.user[self.by_user]
        first, last = np.searchsorted(ordered, user, "left"), np.searchsorted(ordered, user, "right")
        drawn: Rows = self.by_user[first + (self.rng.random(len(rows)) * (last - first)).astype(np.int64)]
        return drawn

    def any_target(self, size: int) -> Ints:
        """Targets, each as often as any other."""
        return self.rng.choice(self.targets, size)

    def popular_target(self, size: int) -> Ints:
        """Targets, each as often as it has edges."""
        return self.encoded.target[self.rng.integers(0, len(self.encoded), size)]


def _unknown(history: History, relation: str, side: int, ids: Ints) -> Ints:
    """The entities of a day that have no history on a side of a relation. int64 [unknown]"""
    present = np.unique(ids[ids >= 0])
    unknown: Ints = present[history.sides[relation][side].first_day[present] == NEVER]
    return unknown


def _strangers(history: History, encoded: EncodedEdges) -> tuple[Ints, Ints]:
    """The users and the places that are in no log: without a history, and not there on the day. int64
    [users], [places]"""
    users = np.ones(len(history.users), bool)
    places = np.ones(len(history.places), bool)
    for relation, sides in history.sides.items():
        of_left = users if relation.startswith("user") else places
        of_left &= sides[0].first_day == NEVER
        places &= sides[1].first_day == NEVER
    users[encoded.user] = False
    places[encoded.target] = places[encoded.source[encoded.source >= 0]] = False
    return np.flatnonzero(users), np.flatnonzero(places)


def _manners(history: History, encoded: EncodedEdges) -> Rows:
    """Rows whose type, volume and failures made-up edges have: edges between machines that are new to each
    other; without any, edges between two machines; without any, all edges."""
    remote = (encoded.source >= 0) & (encoded.source != encoded.target)
    new = remote & ~is_known(history, "source_target", encoded)
    return np.flatnonzero(new if new.any() else remote if remote.any() else encoded.user >= 0)


def is_known(history: History, relation: str, edges: EncodedEdges) -> Bools:
    """Whether both ends were ever seen together. bool [edges]"""
    return history.pairs[relation].find(pair_keys(*edges.pairs(relation)))[1]


def make_negatives(
    history: History, encoded: EncodedEdges, per_family: int, rng: np.random.Generator
) -> EncodedEdges:
    """Made-up edges for one day, at most `per_family` of each family. Empty if the log names no source that
    day."""
    day = Day(history, encoded, rng)
    if not len(day.sourced):
        return encoded.take(np.zeros(0, np.int64))
    parts: list[EncodedEdges] = []
    next_campaign = 0
    for make in FAMILIES.values():
        edges = make(day, per_family)
        edges = replace(edges, campaign=edges.campaign + next_campaign)
        next_campaign = int(edges.campaign.max(initial=next_campaign)) + 1
        parts.append(edges)
    made_up = _joined(parts)
    return made_up.take(~_is_ordinary(made_up, encoded, history))


def _joined(parts: list[EncodedEdges]) -> EncodedEdges:
    names = EncodedEdges.__dataclass_fields__
    return EncodedEdges(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _is_ordinary(edges: EncodedEdges, encoded: EncodedEdges, history: History) -> Bools:
    """Whether every two of user, source and target were seen together, before or today, and neither hour nor
    logon type is rare for the user. bool [edges]"""
    ordinary = ~(has_rare_hour(history, edges) | has_rare_type(history, edges))
    for relation in RELATIONS:
        keys = pair_keys(*edges.pairs(relation))
        ordinary &= is_known(history, relation, edges) | np.isin(keys, pair_keys(*encoded.pairs(relation)))
    return ordinary


# --- parts of a family --------------------------------------------------------------------------------------


def _campaigns(size: int, rng: np.random.Generator, fewest: int = 1, most: int = 8) -> Ints:
    """Campaign number of each edge: runs of `fewest` to `most` edges. int64 [size]"""
    lengths = rng.integers(fewest, most + 1, size)
    return np.repeat(np.arange(size), lengths)[:size]


def _stolen(day: Day, campaign: Ints) -> Rows:
    """An edge of a stolen credential for each edge; in half the campaigns always the same one."""
    size = len(campaign)
    one = day.rng.random(size) < 0.5  # [campaigns]
    return np.where(one[campaign], day.edges(size)[campaign], day.edges(size))


def _assemble(day: Day, like: Rows, user: Ints, source: Ints, target: Ints, campaign: Ints) -> EncodedEdges:
    """Edges at one hour of real edges (`like`), in the manner (type, volume, failures) of other real edges
    (`day.manners`). So a made-up edge differs in who and where, and not in how often."""
    one_hour = np.zeros((len(like), HOURS), bool)
    hours = day.encoded.hours[like]  # [edges, 24]
    one_hour[np.arange(len(like)), (hours * day.rng.random(hours.shape, np.float32)).argmax(1)] = True
    manner = day.encoded.take(day.rng.choice(day.manners, len(like)))
    return EncodedEdges(user, source, target, one_hour, manner.types, manner.count, manner.failures, campaign)


# --- families -----------------------------------------------------------------------------------------------


def own_machine_any_target(day: Day, size: int) -> EncodedEdges:
    """A user reaches targets of the day from a machine that the user acts from."""
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    return _assemble(
        day, like, day.encoded.user[like], day.encoded.source[like], day.any_target(size), campaign
    )


def own_machine_popular_target(day: Day, size: int) -> EncodedEdges:
    """The same, with targets as often as they are reached by others."""
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    user, source = day.encoded.user[like], day.encoded.source[like]
    return _assemble(day, like, user, source, day.popular_target(size), campaign)


def other_credential_usual_target(day: Day, size: int) -> EncodedEdges:
    """Stolen credentials are used from a victim's machine, each for a target that it is used for today."""
    campaign = _campaigns(size, day.rng)
    victim, stolen = day.edges(size)[campaign], _stolen(day, campaign)
    target = day.encoded.target[day.of_same_user(stolen)]
    return _assemble(day, stolen, day.encoded.user[stolen], day.encoded.source[victim], target, campaign)


def other_credential_any_target(day: Day, size: int) -> EncodedEdges:
    """Stolen credentials are used from a victim's machine for targets of the day."""
    campaign = _campaigns(size, day.rng)
    victim, stolen = day.edges(size)[campaign], _stolen(day, campaign)
    user, source = day.encoded.user[stolen], day.encoded.source[victim]
    return _assemble(day, stolen, user, source, day.any_target(size), campaign)


def any_machine_any_target(day: Day, size: int) -> EncodedEdges:
    """The next hop of a chain: from a machine where the credential was used today, as source or as target."""
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    source = np.where(day.rng.random(size) < 0.5, day.encoded.source[like], day.encoded.target[like])
    return _assemble(day, like, day.encoded.user[like], source, day.any_target(size), campaign)


def own_machine_any_hour(day: Day, size: int) -> EncodedEdges:
    """A user works at another hour of the day. Seven in ten edges are real edges of the user with more events
    in one or two neighbouring hours; the others reach popular targets in these hours."""
    campaign = _campaigns(size, day.rng)
    like = day.of_same_user(day.edges(size)[campaign])
    usual = (day.rng.random(size) < 0.7) & (day.encoded.source[like] >= 0)
    target = np.where(usual, day.encoded.target[like], day.popular_target(size))
    edges = _assemble(day, like, day.encoded.user[like], day.encoded.source[like], target, campaign)
    hour = (day.rng.integers(0, HOURS, size)[campaign] + day.rng.integers(0, 2, size)) % HOURS
    hours = day.encoded.hours[like] & usual[:, None]
    hours[np.arange(size), hour] = True
    types = np.where(usual[:, None], day.encoded.types[like], edges.types)
    count = edges.count + np.where(usual, day.encoded.count[like], 0)
    failures = edges.failures + np.where(usual, day.encoded.failures[like], 0)
    return replace(edges, hours=hours, types=types, count=count, failures=failures)


def own_machine_other_type(day: Day, size: int) -> EncodedEdges:
    """A user logs on by one logon type for the whole campaign, which may be rare for the user."""
    campaign = _campaigns(size, day.rng)
    like = day.edges(size)[campaign]
    user, source = day.encoded.user[like], day.encoded.source[like]
    edges = _assemble(day, like, user, source, day.popular_target(size), campaign)
    types = np.zeros_like(edges.types)
    types[np.arange(size), day.rng.integers(0, types.shape[1], size)[campaign]] = True
    return replace(edges, types=types)


def burst(day: Day, size: int) -> EncodedEdges:
    """One machine reaches 8 to 150 targets in a day; in half the campaigns with one credential, else with
    many."""
    campaign = _campaigns(size, day.rng, 8, 150)
    like = day.edges(size)[campaign]
    many = (day.rng.random(size) < 0.5)[campaign]
    other = day.edges(size)
    user = np.where(many, day.encoded.user[other], day.encoded.user[like])
    return _assemble(day, like, user, day.encoded.source[like], day.any_target(size), campaign)


def strangers(day: Day, size: int) -> EncodedEdges:
    """User, source or target is unknown, or several of them: not every newcomer is honest. They are newcomers
    of the day and strangers of the history; without any, the edge is as in `own_machine_any_target`. Half of
    the edges are of campaigns with 8 to 40 targets: what a newcomer reaches on its first day is all there is
    to judge by."""
    few = _campaigns(size // 2, day.rng)
    many = few.max(initial=-1) + 1 + _campaigns(size - size // 2, day.rng, 8, 40)
    campaign = np.concatenate([few, many])
    like = day.edges(size)[campaign]
    which = day.rng.integers(1, 8, size)[campaign]  # the sum of 1 for user, 2 for source, 4 for target

    def end(bit: int, usual: Ints, unknown: Ints) -> Ints:
        if not len(unknown):
            return usual
        return np.where(which & bit > 0, day.rng.choice(unknown, size)[campaign], usual)

    user = end(1, day.encoded.user[like], day.unknown_users)
    source = end(2, day.encoded.source[like], day.unknown_sources)
    target = end(4, day.any_target(size), day.unknown_targets)
    return _assemble(day, like, user, source, target, campaign)


FAMILIES: dict[str, Callable[[Day, int], EncodedEdges]] = {
    make.__name__: make
    for make in (
        own_machine_any_target,
        own_machine_popular_target,
        other_credential_usual_target,
        other_credential_any_target,
        any_machine_any_target,
        own_machine_any_hour,
        own_machine_other_type,
        burst,
        strangers,
    )
}
