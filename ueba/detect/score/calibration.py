"""Surprise -> p-value: how often is a user of similar breadth at least this surprising on a normal day?

A conformal rank (Vovk et al. 2005) among scores of users of similar breadth, a tenth of them, on days the
model did not train on. Breadth is a user's place among all users of its day: the number of targets only ever
grows, and tomorrow's users of a number would be narrower ones than those it was calibrated by. Beyond the
98th percentile a generalised Pareto tail (Pickands 1975) fitted by probability-weighted moments (Hosking and
Wallis 1987), since ranks alone cannot say less than one in the number of scores. A tail that was fitted to
few scores says nothing far beyond the last of them: a p-value is at least `least_p`, and is a bound then.
Scores of attacks that nobody noticed are in the pool too; a rank minds that little. Leaves out: dependence
between the edges of a day; incidents are ranked, not tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ueba.arrays import Array, Bools

GROUPS = 10
TAIL = 0.02  # share of scores that the Pareto tail stands for
SMALLEST_GROUP = 500  # scores; a smaller group is joined with its neighbour
BEYOND = 0.1  # of the rarest that ranks can say: so far the fitted tail is believed


@dataclass(frozen=True)
class Calibration:
    """A pool of scores of normal edges.

    rank:     float32 [scores], share of users narrower than the edge's, see `detector.breadth_rank`
    surprise: float32 [scores], nats
    day:      int64 [scores]
    """

    rank: Array
    surprise: Array
    day: Array

    @classmethod
    def empty(cls) -> Calibration:
        return cls(np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def extended(self, rank: Array, surprise: Array, day: int, window_days: int = 14) -> Calibration:
        """The pool with the scores of a day, float32 [edges] each, and without days older than the window."""
        days = np.concatenate([self.day, np.full(len(surprise), day, np.int64)])
        keep = days > day - window_days
        return Calibration(
            np.concatenate([self.rank, rank])[keep].astype(np.float32),
            np.concatenate([self.surprise, surprise])[keep].astype(np.float32),
            days[keep],
        )

    def without(self, day: int) -> Calibration:
        """The pool without the scores of a day, so that the p-values of that day come from other days."""
        keep = self.day != day
        return Calibration(self.rank[keep], self.surprise[keep], self.day[keep])

    def p_values(self, rank: Array, surprise: Array) -> Array:
        """The p-value of every edge in (0, 1], float64 [edges]; small is strange. All are 1 if the pool is
        empty.

        rank: float32 [edges], see `detector.breadth_rank`; surprise: nats [edges]"""
        p = np.ones(len(surprise))
        if not len(self.surprise):
            return p
        for in_group, scores in self._groups(rank):
            p[in_group] = p_in_group(scores, surprise[in_group])
        return p

    def is_bound(self, rank: Array, p_value: Array) -> Bools:
        """Whether p-values are the least that the pool carries, so that the true ones may be smaller. bool
        [edges]

        rank: float32 [edges]; p_value: of `p_values`, [edges]"""
        bound = np.zeros(len(p_value), bool)
        if not len(self.surprise):
            return bound
        for in_group, scores in self._groups(rank):
            bound[in_group] = p_value[in_group] <= p_in_group(scores, np.array([np.inf]))
        return bound

    def _groups(self, rank: Array) -> Iterator[tuple[Bools, Array]]:
        """For each group that edges are in: which, bool [edges], and its sorted scores, float32 [scores]."""
        edges = self._group_edges()
        pool_group, group = np.searchsorted(edges, self.rank, "right"), np.searchsorted(edges, rank, "right")
        for number in np.unique(group):
            yield group == number, np.sort(self.surprise[pool_group == number])

    def _group_edges(self) -> Array:
        """Ranks at which a new group begins: tenths of the scores, fewer where scores or ranks are few."""
        groups = min(GROUPS, max(len(self.surprise) // SMALLEST_GROUP, 1))
        quantiles = np.quantile(self.rank, np.arange(1, groups) / groups)
        edges = np.unique(quantiles)
        above: Array = edges[edges > self.rank.min()]
        return above


def p_in_group(pool: Array, surprise: Array) -> Array:
    """The p-value of surprises [edges] among the sorted scores of their group [scores]. float64 [edges]"""
    n = len(pool)
    at_least = n - np.searchsorted(pool, surprise, "left")
    p = (at_least + 1) / (n + 1)
    threshold = pool[int((1 - TAIL) * n)]
    excess = pool[pool > threshold] - threshold
    far = surprise > threshold
    if len(excess) >= 10 and far.any():
        share = (len(excess) + 1) / (n + 1)
        p[far] = share * pareto_tail(excess.astype(np.float64), surprise[far].astype(np.float64) - threshold)
    return np.clip(p, least_p(n), 1)


def least_p(scores: int) -> float:
    """The least p-value that so many scores of a group carry.

    Ranks say 1 in scores + 1 at best. The Pareto tail, fitted to the fiftieth part of them, orders what lies
    beyond, and is good for a few times as rare: ten times here, as with return levels beyond the years of a
    record. Without that much, all edges beyond the last score would be alike, and a day full of them no
    stranger than one that just reached it."""
    return BEYOND / (scores + 1)


def pareto_tail(excess: Array, x: Array) -> Array:
    """P(excess > x) of the generalised Pareto distribution fitted to `excess` (sorted, positive). [edges]

    The shape is limited to [0, 0.5]: with a bounded tail every new maximum would be impossible, with a
    heavier tail nothing would be strange."""
    n = len(excess)
    mean = excess.mean()
    weighted = (excess * (1 - (np.arange(1, n + 1) - 0.35) / n)).mean()
    shape = float(np.clip(2 - mean / max(mean - 2 * weighted, 1e-9), 0, 0.5))
    scale = mean * (1 - shape)
    tail: Array = np.exp(-x / scale) if shape < 1e-6 else (1 + shape * x / scale) ** (-1 / shape)
    return tail
