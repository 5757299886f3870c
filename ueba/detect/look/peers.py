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

from ueba.arrays import Floats, Ints
from ueba.detect.past.pairs import Pairs, pair_keys

PEERS = 20  # per entity, the nearest
LARGEST_AUDIENCE = 300  # a partner that more entities know brings nobody near


def support(known: tuple[Ints, Ints], sizes: tuple[int, int], asked: tuple[Ints, Ints]) -> Floats:
    """Share of the left end's peers that know the right end, weighted by nearness, for each pair that is
    asked for. In [0, 1], 0 without peers. float32 [asked]

    known: left and right of every pair ever seen, int64 [pairs] each
    sizes: number of entities on the left and on the right
    asked: left and right of the pairs that are asked for, int64 [asked] each"""
    met = sparse.csr_matrix((np.ones(len(known[0]), np.float32), known), sizes)  # [left, right], 1 for a pair
    entities, position = np.unique(asked[0], return_inverse=True)  # [entities], [asked]
    peer, weight = nearest(met, entities)  # [entities, PEERS] each
    wanted = pair_keys(peer[position], asked[1][:, None])  # [asked, PEERS]
    _, found = Pairs(key=np.sort(pair_keys(*known))).find(wanted.ravel())
    share: Floats = (weight[position] * found.reshape(wanted.shape)).sum(1).astype(np.float32)
    return share


def nearest(met: sparse.csr_matrix, rows: Ints) -> tuple[Ints, Floats]:
    """The PEERS of each of `rows`, the nearest first, and their weights. The weights sum to 1, or to 0
    if a row has no peers. int64 and float32 [rows, PEERS]

    met: [entities, partners], 1 for a pair; rows: int64 [rows], entities"""
    profile = _profiles(met)
    cosines = (profile[rows] @ profile.T).tocoo()  # [rows, entities]
    others = cosines.col != rows[cosines.row]
    row, peer, cosine = cosines.row[others], cosines.col[others], cosines.data[others]
    order = np.lexsort((peer, -cosine, row))
    row, peer, cosine = row[order], peer[order], cosine[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)  # 0 for the nearest of a row
    near = rank < PEERS
    peers, weight = np.zeros((len(rows), PEERS), np.int64), np.zeros((len(rows), PEERS), np.float32)
    peers[row[near], rank[near]], weight[row[near], rank[near]] = peer[near], cosine[near]
    return peers, weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)


def _profiles(met: sparse.csr_matrix) -> sparse.csr_matrix:
    """Profiles of length 1, or 0 without a partner that counts. float32 [entities, partners]"""
    audience = np.bincount(met.indices, minlength=met.shape[1])  # [partners]
    counts = (audience > 1) & (audience <= LARGEST_AUDIENCE)
    partner_weight = np.where(counts, 1 / np.sqrt(np.maximum(audience, 1)), 0)
    profile = (met @ sparse.diags(partner_weight.astype(np.float32))).tocsr()
    length = np.sqrt(np.asarray(profile.multiply(profile).sum(1)).ravel())  # [entities]
    return (sparse.diags((1 / np.maximum(length, 1e-9)).astype(np.float32)) @ profile).tocsr()
