"""Who is like whom, and what that rests on: the one likeness from which `ueba entity`, the graph's SIMILAR_TO
and counterfactuals come.

Users are alike by what they reach, targets by who reaches them, sources by who acts from them. What many do
says little: a partner weighs log(entities / those who know it). A user's direction is that of the sum of its
targets' coordinates (`ueba.detect.look.likeness`), taken twice: in COARSE coordinates, which tell departments
apart, and in all of them, which tell teams apart. A target's direction is that of the sum of its users'
directions by their weight; likewise a source's. So who came today is near to others by what it reached, and a
place by who came. In a world of fewer entities than coordinates a user's cosine is that of TF-IDF (Spärck
Jones 1972).

Needs no model. Leaves out hours, logon types, how often pairs met, and from where users act:
docs/neighbours.md shows why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ueba.arrays import Bools, Doubles, Floats, Ints
from ueba.detect.look.likeness import coordinates, sums, unit, weights
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import History
from ueba.detect.past.pairs import Pairs, pair_ends, pair_keys

# The relation and side by which an entity has a role; every edge has a user and a target.
ROLES = {"user": ("user_target", 0), "source": ("user_source", 1), "target": ("user_target", 1)}
COARSE, FINE = 24, 96  # coordinates
DIM = COARSE + FINE  # of a direction
FEW = 3  # shared partners that are named
LEAST_WEIGHT = np.log(2)  # nats, of a partner that is named: at most half know it
# Steps of a similarity of 1. Entities within a step are equally near; the one with the lower number, seen
# earlier, comes first.
STEPS = 1e6
BLOCK = 256  # entities compared with all others at once


@dataclass(frozen=True)
class Alike:
    """The entities of a role.

    direction: float32 [entities, DIM], of length 1; 0 for one that was never seen in the role
    met:       float32 [entities, partners], sparse: the weight of each partner that an entity met, nats
    """

    direction: Floats
    met: sparse.csr_matrix

    @property
    def is_placed(self) -> Bools:
        """Which entities have a direction. bool [entities]"""
        return np.asarray(self.direction.any(axis=1))

    @property
    def breadth(self) -> Ints:
        """How many partners each entity met. int64 [entities]"""
        return np.asarray(np.diff(self.met.indptr), np.int64)

    @property
    def known_by(self) -> Ints:
        """How many entities met each partner. int64 [partners]"""
        return np.bincount(self.met.indices, minlength=self.met.shape[1])


def before(history: History, today: EncodedEdges | None = None) -> Mapping[str, Alike]:
    """The entities of the history by role, see ROLES. Pairs in quarantine count: who was met once, in a
    strange edge, was met.

    today: edges of the day after, which count for users without a past"""
    sizes = history.sizes("user_target")
    reached, acted = (_ends(history, relation, today) for relation in ("user_target", "user_source"))
    weight = weights(reached[1], sizes)
    profile = sums(reached, coordinates(reached, weight, sizes, FINE), sizes[0])
    user = unit(np.hstack([unit(profile[:, :COARSE]), unit(profile)]))
    return {
        "user": Alike(user, _met(reached, weight, sizes)),
        "target": _by_users(reached, user, sizes),
        "source": _by_users(acted, user, sizes),
    }


def _ends(history: History, relation: str, today: EncodedEdges | None) -> tuple[Ints, Ints]:
    pairs = history.pairs[relation]
    key = np.union1d(pairs.key, pairs.quarantined)
    if today is not None:
        fresh = pair_keys(*today.pairs(relation))
        fresh = np.unique(fresh[fresh >= 0])
        key = np.union1d(key, fresh[~np.isin(pair_ends(fresh)[0], pair_ends(key)[0])])
    return Pairs(key=key).ends


def _by_users(pairs: tuple[Ints, Ints], user: Floats, sizes: tuple[int, int]) -> Alike:
    """Places by the users who met them. pairs: users and places; user: directions [users, DIM]"""
    weight = weights(pairs[0], sizes[::-1])
    around = sums(pairs[::-1], user * weight[:, None], sizes[1])
    return Alike(unit(around), _met(pairs[::-1], weight, sizes[::-1]))


def _met(pairs: tuple[Ints, Ints], weight: Floats, sizes: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((weight[pairs[1]], pairs), sizes)


def nearest(alike: Alike, numbers: Ints, few: int) -> tuple[Ints, Doubles]:
    """The entities nearest to each of `numbers`, the nearest first, and their similarity in (0, 1]: int64 and
    float64 [numbers, few], or fewer columns if there are fewer entities; -1 and 0 where an entity has fewer
    neighbours. Nobody is near by a cosine of 0 or less."""
    others = np.flatnonzero(alike.is_placed)
    direction, exact = alike.direction, alike.direction.astype(np.float64)
    across = direction[others].T.copy()
    best = np.full((len(numbers), min(few, len(others))), -1)
    similarity = np.zeros(best.shape)
    for at in range(0, len(numbers) if len(others) else 0, BLOCK):
        block = numbers[at : at + BLOCK]
        product = direction[block] @ across  # [block, others]
        product[block[:, None] == others] = -np.inf
        row, other = _candidates(product, best.shape[1])
        other = others[other]
        steps = np.rint((exact[block[row]] * exact[other]).sum(axis=1) * STEPS)
        order = np.lexsort((other, -steps, row))
        row, other, steps = row[order], other[order], steps[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)  # 0 for the nearest of a row
        near = (rank < best.shape[1]) & (steps > 0)
        best[at + row[near], rank[near]] = other[near]
        similarity[at + row[near], rank[near]] = steps[near] / STEPS
    return best, similarity


def _candidates(product: Floats, few: int) -> tuple[Ints, Ints]:
    """Rows and columns of all products above 0 that may be among the `few` largest of their row, by more than
    what single precision can be off."""
    rest, rows = product.copy(), np.arange(len(product))
    least = np.zeros(len(product), np.float32)
    for _ in range(few):  # much quicker than a partition of long rows
        largest = rest.argmax(axis=1)
        least = rest[rows, largest]
        rest[rows, largest] = -np.inf
    row, column = np.nonzero(product > np.maximum(least - 4 / STEPS, 0)[:, None])
    return row, column


@dataclass(frozen=True)
class Shared:
    """What pairs of entities have in common.

    count: int64 [pairs], partners that both met
    first: int64 [pairs, FEW], those among them that weigh most, the rarest first, without those that more
           than half know; -1 where there are fewer
    """

    count: Ints
    first: Ints


def shared(alike: Alike, one: Ints, other: Ints) -> Shared:
    """What each two entities share. one, other: int64 [pairs]"""
    count, first = np.zeros(len(one), np.int64), np.full((len(one), FEW), -1)
    for at in range(0, len(one), BLOCK):
        both = alike.met[one[at : at + BLOCK]].minimum(alike.met[other[at : at + BLOCK]]).tocoo()
        order = np.lexsort((both.col, -both.data, both.row))
        row, partner = both.row[order], both.col[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)  # 0 for the rarest of a pair
        named = (rank < FEW) & (both.data[order] >= LEAST_WEIGHT)
        count[at : at + BLOCK] = np.bincount(row, minlength=both.shape[0])
        first[at + row[named], rank[named]] = partner[named]
    return Shared(count, first)
