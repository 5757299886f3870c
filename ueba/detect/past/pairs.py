"""The pairs of entities that a history has learned, and the integer key of a pair.

Every edge has three pairs, one in each of the RELATIONS. Leaves out learning (`history`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ueba.arrays import Bools, Floats, Ints
from ueba.detect.past.ids import UNKNOWN

RELATIONS = ("user_target", "user_source", "source_target")


def pair_keys(left: Ints, right: Ints) -> Ints:
    """The key of every pair, int64 [pairs]: left << 32 | right; UNKNOWN where an end is unknown."""
    return np.where((left < 0) | (right < 0), np.int64(UNKNOWN), (left << 32) | right)


def pair_ends(key: Ints) -> tuple[Ints, Ints]:
    """The left and right ends of pairs from their keys, int64 [pairs] each. No key may be UNKNOWN."""
    return key >> 32, key & 0xFFFFFFFF


@dataclass
class Pairs:
    """All pairs learned in one relation, sorted by key. Columns are [pairs].

    key:         int64, left << 32 | right
    count:       float32, decayed number of days on which the pair was active
    last_day:    int64, number of the last day on which the pair was active
    quarantined: int64 [quarantined pairs], sorted keys of pairs that were seen only in strange edges, on one
                 day; such a pair is learned if it comes again
    """

    key: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    count: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    last_day: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    quarantined: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def ends(self) -> tuple[Ints, Ints]:
        """The left and right ends of the pairs, int64 [pairs] each."""
        return pair_ends(self.key)

    def commonest(self, side: int, entity: int, few: int) -> Ints:
        """Rows of at most `few` pairs that have the entity on a side (0 left, 1 right), int64 [rows], the
        highest count first."""
        rows = np.flatnonzero(self.ends[side] == entity)
        return rows[np.argsort(-self.count[rows], kind="stable")][:few]

    def without(self, left: Ints, right: Ints) -> Pairs:
        """The pairs that have none of these ends, int64 ids. Quarantined pairs stay."""
        ends = self.ends
        kept = ~(np.isin(ends[0], left) | np.isin(ends[1], right))
        return Pairs(self.key[kept], self.count[kept], self.last_day[kept], self.quarantined)

    def find(self, key: Ints) -> tuple[Ints, Bools]:
        """Row of every key, int64 [keys], and whether the key is in the table, bool [keys]. The row of a key
        that is not in the table means nothing."""
        if not len(self.key):
            return np.zeros(len(key), np.int64), np.zeros(len(key), bool)
        position = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return position, self.key[position] == key
