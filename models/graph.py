"""The contract of this library: a message graph and the edges to be judged against it.

A *graph* is a PyG `HeteroData`:

    data[type].x                      float32 [nodes, node features]
    data[source, relation, target].edge_index   int64 [2, pairs], a column a pair, both directions:
                                      every (a, r, b) has its mirror (b, rev_r, a), columns in the same order

*Edges* join one node of each role (a role is a place in an edge, filled by nodes of one type):

    nodes     int64 [edges, roles], -1 where an end is unknown
    features  float32 [edges, features]
    label     float32 [edges], 1 for an edge that was made up, 0 for one that happened

The edges to be judged are never among the pairs of the message graph: `without` takes them out.
Leaves out what nodes and roles stand for; the caller knows. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

Array = npt.NDArray[Any]
Relation = tuple[str, str, str]


@dataclass(frozen=True)
class Edges:
    """Edges to be judged, see the module's table. `label` may be zeros where it is not known."""

    nodes: Array
    features: Array
    label: Array

    def __len__(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True)
class Snapshot:
    """A message graph as arrays: node features per type, pairs per relation (int64 [2, pairs], one
    direction)."""

    x: Mapping[str, Array]
    pairs: Mapping[Relation, Array]


def mirrored(relation: Relation) -> Relation:
    """The same relation read from its other end."""
    source, name, target = relation
    return target, f"rev_{name}", source


def hetero_data(snapshot: Snapshot, keep: Mapping[Relation, Array] | None = None) -> HeteroData:
    """The snapshot as PyG data, with mirrored relations; `keep` masks the pairs of each relation, bool
    [pairs]."""
    import torch
    from torch_geometric.data import HeteroData

    data = HeteroData()
    for node_type, x in snapshot.x.items():
        data[node_type].x = torch.as_tensor(x, dtype=torch.float32)
    for relation, pairs in snapshot.pairs.items():
        kept = pairs if keep is None else pairs[:, keep[relation]]
        index = torch.as_tensor(np.ascontiguousarray(kept), dtype=torch.int64)
        data[relation].edge_index = index
        data[mirrored(relation)].edge_index = index.flip(0)
    return data


def is_among(pairs: Array, left: Array, right: Array) -> Array:
    """Which of the pairs, int64 [2, pairs], join some (left, right). bool [pairs]"""
    return np.isin((pairs[0] << 32) | pairs[1], (left << 32) | right)


def without(pairs: Array, nodes: Array, ends: tuple[int, int]) -> Array:
    """Mask of the pairs that none of the edges has, bool [pairs]. `ends`: the two columns of `nodes` the
    relation joins."""
    return ~is_among(pairs, nodes[:, ends[0]], nodes[:, ends[1]])
