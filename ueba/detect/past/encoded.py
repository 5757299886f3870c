"""A day's edges as arrays of integers, the form in which they are learned and described.

Leaves out what is known of the entities (`history`). Ids are those of the tables that encoded the day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ueba.arrays import Array, Bools, Floats, Ints
from ueba.detect.past.ids import IdTable

USER_KINDS = ("human", "service", "machine", "anonymous")
HOURS = 24


@dataclass(frozen=True)
class EncodedEdges:
    """A day's edges as arrays. One row per (user, source, target).

    user, source, target: int64 [edges], ids of a history; source is UNKNOWN (-1) if the log does not name it
    hours:     bool [edges, 24], hours of the day with events, UTC
    types:     bool [edges, types], which logon types were used
    count, failures: float32 [edges], events
    campaign:  int64 [edges], -1 for real edges; the edges of one made-up attacker share a number, and those
               of one disguised newcomer (`ueba.detect.look.newcomers`)
    """

    user: Ints
    source: Ints
    target: Ints
    hours: Bools
    types: Bools
    count: Floats
    failures: Floats
    campaign: Ints

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Array) -> EncodedEdges:
        """The edges that an index (int [rows]) or a mask (bool [edges]) selects."""
        return EncodedEdges(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def pairs(self, relation: str) -> tuple[Ints, Ints]:
        """The left and right ends of every edge in a relation, int64 [edges] each."""
        left, right = relation.split("_")
        return getattr(self, left), getattr(self, right)


def encode(edges: pa.Table, users: IdTable, places: IdTable, types: IdTable) -> EncodedEdges:
    """Edges of the lake (columns: `ueba.ingest.lake.read_pairs`) as arrays. Names without an id are added to
    the tables."""
    type_lists = edges["logon_types"].combine_chunks()
    user, source, target = (
        ids.column_ids(edges[column])
        for ids, column in ((users, "user"), (places, "source"), (places, "target"))
    )
    type_ids = types.column_ids(pa.chunked_array([type_lists.flatten()]))
    has_type = np.zeros((len(edges), max(len(types), 1)), bool)  # [edges, types]
    has_type[type_lists.value_parent_indices().to_numpy(), type_ids] = True
    return EncodedEdges(
        user=user,
        source=source,
        target=target,
        hours=(edges["hours"].to_numpy()[:, None] >> np.arange(HOURS) & 1).astype(bool),
        types=has_type,
        count=edges["count"].to_numpy().astype(np.float32),
        failures=edges["failures"].to_numpy().astype(np.float32),
        campaign=np.full(len(edges), -1, np.int64),
    )
