"""Makes newcomers of known entities, so that a model learns what honest newcomers of each kind do.

A few users, machines and resources of a day are disguised: they get another id that has no history, and their
pairs leave the history. What they do on the day stays real. So the model sees on every day of its training
accounts that arrive with the habits of their team, workstations under another name, and servers that a team
begins to use; without it, real newcomers are too few to learn from, and everything about them is strange.
Masking known nodes for the sake of new ones is as in inductive representation learning (Hamilton et al. 2017,
https://arxiv.org/abs/1706.02216). Leaves out newcomers that attackers make (`negatives.strangers`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ueba.arrays import Bools, Ints
from ueba.detect.look.negatives import is_known
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import NEVER, History
from ueba.detect.past.pairs import RELATIONS, pair_ends, pair_keys

STRANGERS = 8  # users and places of each day's view that are in no log, for `negatives.strangers`
SHARE = 0.03  # edges of newcomers of each kind, of the day's edges with a new pair: few beside real news
LARGEST = 1 / 3  # of that share, the most edges of one newcomer: nobody else's day may be about it


def disguise(
    history: History, encoded: EncodedEdges, rng: np.random.Generator
) -> tuple[History, EncodedEdges]:
    """A history and a day's edges in which a few entities are newcomers. Neither input changes.

    Half of the disguised users whose machine nobody else acts from get a new machine as well. The edges of a
    newcomer have a campaign number: they count as news for each other, and for no other edge. Else popular
    targets would meet many more newcomers than they do."""
    budget = SHARE * is_new(history, encoded).sum()
    users = _drawn(_known(history, "user_target", 0, encoded.user), encoded.user, budget, rng)
    owned, owner = _owned_machines(history, encoded)
    machines = _drawn(owned, encoded.source[encoded.source >= 0], budget, rng)
    of_users = owned[np.isin(owner, users[: len(users) // 2])]
    targets = np.setdiff1d(_known(history, "user_target", 1, encoded.target), owned)
    targets = _drawn(targets, encoded.target, budget, rng)
    places = np.unique(np.concatenate([machines, of_users, targets]))
    known_users, known_places = len(history.users), len(history.places)
    user = _renumbered(encoded.user, users, known_users)
    source, target = (_renumbered(ids, places, known_places) for ids in (encoded.source, encoded.target))
    campaign = np.where(target >= known_places, target, -1)
    campaign = np.where(source >= known_places, source, campaign)
    campaign = np.where(user >= known_users, known_places + len(places) + user, campaign)
    disguised = replace(encoded, user=user, source=source, target=target, campaign=campaign)
    strangers = (
        rng.choice(np.unique(encoded.user), STRANGERS),
        rng.choice(np.unique(encoded.target), STRANGERS),
    )
    return history.disguised(np.sort(users), places, strangers), disguised


def is_new(history: History, encoded: EncodedEdges) -> Bools:
    """Whether an edge has a new pair. bool [edges]"""
    new = np.zeros(len(encoded), bool)
    for relation in RELATIONS:
        left, right = encoded.pairs(relation)
        new |= (left >= 0) & (right >= 0) & ~is_known(history, relation, encoded)
    return new


def _known(history: History, relation: str, side: int, ids: Ints) -> Ints:
    """The entities among ids that have a history. int64 [entities]"""
    present = np.unique(ids[ids >= 0])
    known: Ints = present[history.sides[relation][side].first_day[present] < NEVER]
    return known


def _owned_machines(history: History, encoded: EncodedEdges) -> tuple[Ints, Ints]:
    """The known machines that one user alone acts from on the day, and that user. int64 [machines] each"""
    has_source = encoded.source >= 0
    machine, user = pair_ends(np.unique(pair_keys(encoded.source[has_source], encoded.user[has_source])))
    machines, first, count = np.unique(machine, return_index=True, return_counts=True)
    known = history.sides["user_source"][1].first_day[machines] < NEVER
    owned = (count == 1) & known
    return machines[owned], user[first[owned]]


def _drawn(entities: Ints, ids: Ints, budget: float, rng: np.random.Generator) -> Ints:
    """Entities in random order, as many as have at most `budget` edges together. ids: int64 [edges]"""
    edges = np.bincount(ids, minlength=entities.max(initial=0) + 1)
    order = rng.permutation(entities[edges[entities] <= LARGEST * budget])
    drawn: Ints = order[np.cumsum(edges[order]) <= budget]
    return drawn


def _renumbered(ids: Ints, disguised: Ints, size: int) -> Ints:
    """Ids with those of disguised entities replaced by size, size + 1, ... in order of their ids."""
    ordered = np.sort(disguised)
    if not len(ordered):
        return ids
    position = np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)
    return np.where(ordered[position] == ids, size + position, ids)
