"""Finds an entity's peers, and the share of them that know a partner.

Two users are near as far as they share partners. A partner counts less the more users know it, and nothing
if very many do. The nearest users are the peers. A new pair that all peers have is a matter of time; a
new pair that no peer has is news. Counts of new partners do not show the difference.

This is item-based collaborative filtering (Sarwar et al. 2001, https://doi.org/10.1145/371920.372071) on the
message graph. Nearness is the cosine of two profiles. A profile has 1 / sqrt(audience) for each
partner, whose audience is the number of entities that know it. Leaves out when the pairs met, and how often.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ueba.arrays import Bools, Floats, Ints
from ueba.detect.past.pairs import Pairs, pair_keys

PEERS = 20  # per entity, the nearest
LARGEST_AUDIENCE = 300  # a partner that more entities know brings nobody near


class Peers:
    """The peers of entities on the left of pairs, each found when it is first asked for and kept: a day is
    described several times against the same history."""

    def __init__(self, known: tuple[Ints, Ints], sizes: tuple[int, int]) -> None:
        """known: left and right of every pair ever seen, int64 [pairs] each; sizes: number of entities on the
        left and on the right"""
        self.pairs = Pairs(key=np.sort(pair_keys(*known)))
        self.profile = profiles(sparse.csr_matrix((np.ones(len(known[0]), np.float32), known), sizes))
        self.row = np.full(sizes[0], -1)  # [left], where its peers stand; -1 if they were not found yet
        self.peer = np.zeros((0, PEERS), np.int64)  # [found, PEERS]
        self.weight = np.zeros((0, PEERS), np.float32)  # [found, PEERS]

    def support(self, left: Ints, right: Ints) -> Floats:
        """Share of the left end's peers that know the right end, weighted by nearness, for each pair. In [0,
        1], 0 without peers. left, right: int64 [pairs] each; float32 [pairs]"""
        self._find(np.unique(left))
        row = self.row[left]  # [pairs]
        wanted = pair_keys(self.peer[row], right[:, None])  # [pairs, PEERS]
        _, found = self.pairs.find(wanted.ravel())
        share: Floats = (self.weight[row] * found.reshape(wanted.shape)).sum(1).astype(np.float32)
        return share

    def _find(self, entities: Ints) -> None:
        """Find the peers of entities, int64 [entities], each there once."""
        missing = entities[self.row[entities] < 0]
        if not len(missing):
            return
        peer, weight = nearest(self.profile, missing)
        self.row[missing] = len(self.peer) + np.arange(len(missing))
        self.peer, self.weight = np.concatenate([self.peer, peer]), np.concatenate([self.weight, weight])


def nearest(profile: sparse.csr_matrix, rows: Ints) -> tuple[Ints, Floats]:
    """The PEERS of each of `rows`, the nearest first, and their weights. The weights sum to 1, or to 0
    if a row has no peers. int64 and float32 [rows, PEERS]

    profile: of `profiles`, [entities, partners]; rows: int64 [rows], entities"""
    cosines = (profile[rows] @ profile.T).tocoo()  # [rows, entities]
    others = cosines.col != rows[cosines.row]
    row, peer, cosine = cosines.row[others], cosines.col[others], cosines.data[others]
    candidate = _near(row, cosine)
    row, peer, cosine = row[candidate], peer[candidate], cosine[candidate]
    order = np.lexsort((peer, -cosine, row))
    row, peer, cosine = row[order], peer[order], cosine[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)  # 0 for the nearest of a row
    near = rank < PEERS
    peers, weight = np.zeros((len(rows), PEERS), np.int64), np.zeros((len(rows), PEERS), np.float32)
    peers[row[near], rank[near]], weight[row[near], rank[near]] = peer[near], cosine[near]
    return peers, weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)


def _near(row: Ints, cosine: Floats) -> Bools:
    """Whether a cosine is among the PEERS highest of its row, or as high as the last of them. bool [cosines]

    Ordering numbers alone is many times as fast as ordering rows of a table, and most are far from near.
    row: int [cosines], ascending; cosine: float32 [cosines], none below 0"""
    if not len(row):
        return np.zeros(0, bool)
    # The bits of floats that are not negative are in the order of the floats.
    key = (row.astype(np.int64) << 32) | (2**32 - 1 - np.ascontiguousarray(cosine).view(np.uint32))
    first, end = (np.searchsorted(row, np.arange(row[-1] + 1), side) for side in ("left", "right"))  # [rows]
    last = np.sort(key)[np.maximum(np.minimum(first + PEERS, end) - 1, 0)]  # [rows]; any for an empty row
    near: Bools = key <= last[row]
    return near


def profiles(met: sparse.csr_matrix) -> sparse.csr_matrix:
    """Profiles of length 1, or 0 without a partner that counts. float32 [entities, partners]

    met: [entities, partners], 1 for a pair"""
    audience = np.bincount(met.indices, minlength=met.shape[1])  # [partners]
    counts = (audience > 1) & (audience <= LARGEST_AUDIENCE)
    partner_weight = np.where(counts, 1 / np.sqrt(np.maximum(audience, 1)), 0)
    profile = (met @ sparse.diags(partner_weight.astype(np.float32))).tocsr()
    length = np.sqrt(np.asarray(profile.multiply(profile).sum(1)).ravel())  # [entities]
    return (sparse.diags((1 / np.maximum(length, 1e-9)).astype(np.float32)) @ profile).tocsr()
