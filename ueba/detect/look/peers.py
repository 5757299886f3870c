"""Who does as others do: how many of the entities most like one of a pair know the other.

Two users are alike as far as they reach the same places, a place counting less the more users it has, and
nothing where everybody goes; the nearest of them are the peers. `support` is the share of peers, weighted by
likeness, that a pair's other end is known to. A new edge that all the team has is a matter of time; one that
no peer has is news. It is item-based collaborative filtering (Sarwar et al. 2001,
https://doi.org/10.1145/371920.372071) on the message graph, and counts say nothing of it. Leaves out when
the pairs met, and how often.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ueba.detect.past.history import Floats, Ints, Pairs, pair_keys

PEERS = 20  # of an entity, those most like it
LARGEST_AUDIENCE = 300  # partners with more than this many say nothing about who is like whom


def support(known: tuple[Ints, Ints], sizes: tuple[int, int], asked: tuple[Ints, Ints]) -> Floats:
    """Share of the left end's peers that know the right end, in [0, 1], for each pair asked for; 0 without
    peers. float32 [asked]

    known: int64 [pairs] each, every pair ever seen; sizes: number of entities on each side; asked: int64
    [asked] each"""
    met = sparse.csr_matrix((np.ones(len(known[0]), np.float32), known), sizes)
    some, place = np.unique(asked[0], return_inverse=True)
    peer, weight = nearest(met, some)
    wanted = pair_keys(peer[place], asked[1][:, None])  # [asked, PEERS]
    _, knows = Pairs(key=np.sort(pair_keys(*known))).find(wanted.ravel())
    share: Floats = (weight[place] * knows.reshape(wanted.shape)).sum(1).astype(np.float32)
    return share


def nearest(met: sparse.csr_matrix, rows: Ints) -> tuple[Ints, Floats]:
    """The PEERS most alike of each of `rows`, and their weights, which sum to 1 or, without any, to 0.
    [rows, PEERS] each"""
    audience = np.bincount(met.indices, minlength=met.shape[1])
    telling = np.where(
        (audience > 1) & (audience <= LARGEST_AUDIENCE), 1 / np.sqrt(np.maximum(audience, 1)), 0
    )
    profile = (met @ sparse.diags(telling.astype(np.float32))).tocsr()
    length = np.sqrt(np.asarray(profile.multiply(profile).sum(1)).ravel())
    profile = (sparse.diags((1 / np.maximum(length, 1e-9)).astype(np.float32)) @ profile).tocsr()
    alike = (profile[rows] @ profile.T).tocoo()
    others = alike.col != rows[alike.row]
    row, column, cosine = alike.row[others], alike.col[others], alike.data[others]
    order = np.lexsort((column, -cosine, row))
    row, column, cosine = row[order], column[order], cosine[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    near = rank < PEERS
    peer, weight = np.zeros((len(rows), PEERS), np.int64), np.zeros((len(rows), PEERS), np.float32)
    peer[row[near], rank[near]], weight[row[near], rank[near]] = column[near], cosine[near]
    return peer, weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)
