"""Integers for names: an entity or logon type has the same id for as long as a history or a model lives.

Leaves out what a name stands for; a table holds names of one sort (users, places or logon types).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ueba.arrays import Ints

UNKNOWN = -1  # the id of an entity that a log does not name (a source of "?")


class IdTable:
    """Names and their ids, 0, 1, 2, ... in the order in which the names were added. An id never changes."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.names: list[str] = []
        self._ids: dict[str, int] = {}
        self.ids(names or [])

    def __len__(self) -> int:
        return len(self.names)

    def ids(self, names: list[str]) -> Ints:
        """The ids of names, int64 [names]. Names without an id are added."""
        for name in names:
            if name not in self._ids:
                self._ids[name] = len(self.names)
                self.names.append(name)
        return np.fromiter((self._ids[name] for name in names), np.int64, len(names))

    def find(self, names: list[str]) -> Ints:
        """The ids of names, int64 [names]; UNKNOWN for a name without an id. Adds nothing."""
        return np.fromiter((self._ids.get(name, UNKNOWN) for name in names), np.int64, len(names))

    def column_ids(self, column: pa.ChunkedArray) -> Ints:
        """The ids of a string column, int64 [rows]; UNKNOWN for null. Names without an id are added."""
        codes = column.combine_chunks().dictionary_encode()  # so that each distinct name is looked up once
        if isinstance(codes, pa.ChunkedArray):
            codes = codes.combine_chunks()
        ids = self.ids(codes.dictionary.to_pylist())
        index = pc.fill_null(codes.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        return np.where(index < 0, UNKNOWN, ids[np.maximum(index, 0)] if len(ids) else UNKNOWN)
