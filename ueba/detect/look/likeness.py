"""How like a user is to those who reach the same target, and to those who act from the same source.

Users are compared by what they reach. A target weighs log(users / audience), so that what everybody reaches
says nothing (inverse document frequency, Spärck Jones 1972). The matrix of users and weighted targets is
factorised by a truncated singular value decomposition (latent semantic analysis, Deerwester et al. 1990),
which is also the best linear autoencoder of the pairs (Salha et al. 2020, https://arxiv.org/abs/1910.00942).
It gives every target coordinates; a user's profile is the sum of the coordinates of the user's targets. So
whoever came today has a profile as well, and a server that a team begins to use today has the team around it.

The edge that is described is left out of what it is compared with: its own target is not in the profile of
its user, and its user not in the audience of its target. Leaves out how often pairs met, and the nearest
users (`peers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ueba.arrays import Bools, Floats, Ints
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import History
from ueba.detect.past.pairs import Pairs, pair_ends, pair_keys

DIM = 32  # coordinates of a target
LEAST_VALUE = 1e-4  # a direction with a smaller singular value holds nothing but rounding


@dataclass(frozen=True)
class Space:
    """What the pairs of a history say of its entities.

    weight:   float32 [places], of each target, nats
    place:    float32 [places, DIM], the coordinates of each target
    profile:  float32 [users, DIM], sums of the coordinates of the user's targets
    habit:    float32 [users, DIM], directions of the profiles
    audience: float32 [places, DIM], sums of the habits of those who reach each place
    crew:     float32 [places, DIM], sums of the habits of those who act from each place
    """

    weight: Floats
    place: Floats
    profile: Floats
    habit: Floats
    audience: Floats
    crew: Floats


@dataclass(frozen=True)
class Likeness:
    """What a day's edges are compared with.

    space:    before the day
    profile:  float32 [users, DIM], sums of the coordinates of the targets before the day and on it
    audience: float32 [places, DIM], sums of the directions of those who reach each place, by these profiles
    news:     float32 [users, DIM], sums of the audiences' directions of the new targets, by their weight
    known, reached: user-target pairs before the day, and with those of the day
    acted:    user-source pairs before the day
    """

    space: Space
    profile: Floats
    audience: Floats
    news: Floats
    known: Pairs
    reached: Pairs
    acted: Pairs

    def compare(self, edges: EncodedEdges) -> dict[str, Floats]:
        """By relation, cosines in [-1, 1], float32 [edges]; 0 where an end has no company.

        user_target:   of the user and the others who reach the target
        user_source:   of the user and the others who act from the source
        source_target: of those who act from the source and the others who reach the target
        """
        user, target, source = edges.user, edges.target, np.maximum(edges.source, 0)
        is_reached = self.reached.find(pair_keys(user, target))[1]
        is_acted = self.acted.find(pair_keys(user, source))[1][:, None]
        profile = unit(others(self.profile[user], self.space.place[target], is_reached, edges))
        audience, crew = self._audience_without(edges, is_reached), self.space.crew[source]
        return {
            "user_target": _products(profile, audience),
            "user_source": _products(profile, unit(crew - is_acted * self.space.habit[user])),
            "source_target": _products(unit(crew), audience),
        }

    def compare_news(self, edges: EncodedEdges) -> tuple[Floats, Floats]:
        """Of edges with a new user-target pair, cosines of the user's other new targets of the day, by their
        audiences: with the audience of the target, and with the habit of the user. float32 [edges] each; 0
        for other edges"""
        keys = pair_keys(edges.user, edges.target)
        is_new, is_reached = ~self.known.find(keys)[1], self.reached.find(keys)[1]
        weight = self.space.weight[edges.target][:, None]
        worth = unit(self.audience[edges.target]) * weight  # [edges, DIM]
        direction = unit(others(self.news[edges.user], worth, is_reached, edges)) * is_new[:, None]
        audience = self._audience_without(edges, is_reached)
        return _products(direction, audience), _products(direction, self.space.habit[edges.user])

    def _audience_without(self, edges: EncodedEdges, is_reached: Bools) -> Floats:
        """The direction of each edge's audience without its user. float32 [edges, DIM]

        is_reached: whether the user is in the audience, bool [edges]"""
        own = is_reached[:, None] * unit(self.profile[edges.user])
        return unit(self.audience[edges.target] - own)


def others(total: Floats, own: Floats, is_in: Bools, edges: EncodedEdges) -> Floats:
    """What the user's other edges bring to a total, for each edge. A made-up edge has the other edges of its
    campaign beside it, as a real one has those of its day. float32 [edges, DIM]

    total, own: [edges, DIM], of the user's real edges, and of the edge itself; is_in: whether the total has
    the edge in it, bool [edges]"""
    added = ~is_in & (edges.campaign >= 0)
    owner = np.where(edges.campaign >= 0, (edges.campaign << 32) | edges.user, -1)
    _, number = np.unique(owner, return_inverse=True)  # [edges]
    targets = np.column_stack([number, edges.target])[added]
    _, once = np.unique(targets, axis=0, return_index=True)  # a target counts once, from several sources too
    campaign = np.zeros((number.max(initial=0) + 1, own.shape[1]), np.float32)
    np.add.at(campaign, number[added][once], own[added][once])
    rest: Floats = total + campaign[number] - own * (is_in | added)[:, None]
    return rest


def space_of(history: History) -> Space:
    """The space of users and places by the pairs of a history."""
    reached, acted = history.pairs["user_target"].ends, history.pairs["user_source"].ends
    users, places = len(history.users), len(history.places)
    weight = weights(reached[1], (users, places))
    place = coordinates(reached, weight, (users, places))
    profile = sums(reached, place, users)
    habit = unit(profile)
    audience, crew = (sums(ends[::-1], habit, places) for ends in (reached, acted))
    return Space(weight, place, profile, habit, audience, crew)


def rotation(place: Floats, onto: Floats) -> Floats:
    """What brings coordinates nearest to others of the same places (Schönemann 1966, the orthogonal
    Procrustes problem): a decomposition leaves open which way its axes point. float32 [DIM, DIM]

    place, onto: float32 [places, DIM]"""
    from scipy.linalg import orthogonal_procrustes

    turn: Floats = orthogonal_procrustes(place, onto)[0].astype(np.float32)
    return turn


def of_day(history: History, encoded: EncodedEdges) -> Likeness:
    """The likeness of users before a day and on it. encoded: the whole day"""
    space, known = space_of(history), history.pairs["user_target"]
    users, places = len(history.users), len(history.places)
    keys = np.unique(pair_keys(encoded.user, encoded.target))
    new = keys[~known.find(keys)[1]]
    profile: Floats = space.profile + sums(pair_ends(new), space.place, users)
    reached = Pairs(key=np.union1d(known.key, new))
    acted = history.pairs["user_source"]
    audience = sums(reached.ends[::-1], unit(profile), places)
    news = sums(pair_ends(new), unit(audience) * space.weight[:, None], users)
    return Likeness(
        space=space,
        profile=profile,
        audience=audience,
        news=news,
        known=known,
        reached=reached,
        acted=acted,
    )


def coordinates(pairs: tuple[Ints, Ints], weight: Floats, sizes: tuple[int, int], dim: int = DIM) -> Floats:
    """Coordinates of the right ends of pairs, times their weight: the profile of a left end is the sum over
    its partners. float32 [right, dim]

    pairs: left and right ends, int64 [pairs] each; weight: of each right end, nats [right]; sizes: number of
    entities on the left and on the right"""
    from sklearn.utils.extmath import randomized_svd

    left, right = pairs
    found = np.zeros((sizes[1], dim), np.float32)
    rank = min(dim, *sizes)
    if len(left) and rank:
        length = np.sqrt(np.bincount(left, weight[right] ** 2, sizes[0]))
        row = weight[right] / np.maximum(length[left], 1e-9)
        matrix = sparse.csr_matrix((row.astype(np.float32), (left, right)), sizes)
        _, value, direction = randomized_svd(matrix, rank, n_iter=4, random_state=0)
        found[:, :rank] = (direction * (value > LEAST_VALUE)[:, None]).T
    return found * weight[:, None]


def weights(right: Ints, sizes: tuple[int, int]) -> Floats:
    """log((left + 1) / audience) of each right end, nats; the most for one without an audience. float32
    [right]"""
    audience = np.bincount(right, minlength=sizes[1])
    weight: Floats = np.log((sizes[0] + 1) / np.maximum(audience, 1)).astype(np.float32)
    return weight


def sums(pairs: tuple[Ints, Ints], rows: Floats, size: int) -> Floats:
    """For each left end the sum of the rows of its right ends. float32 [size, columns]"""
    left, right = pairs
    met = sparse.csr_matrix((np.ones(len(left), np.float32), (left, right)), (size, len(rows)))
    total: Floats = (met @ rows).astype(np.float32)
    return total


def unit(rows: npt.NDArray[Any]) -> Floats:
    """Rows of length 1; zeros stay zeros. float32 [rows, columns]"""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = np.where(length > 1e-6, rows / np.maximum(length, 1e-6), 0).astype(np.float32)
    return scaled


def _products(a: Floats, b: Floats) -> Floats:
    """The product of each two rows, float32 [rows]."""
    product: Floats = (a * b).sum(axis=1)
    return product
