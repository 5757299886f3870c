"""A heterogeneous graph autoencoder that says how strange an edge is.

Encoder: mean message passing over every relation and its mirror (GraphSAGE, Hamilton et al. 2017), from node
features alone: no node has weights of its own, so that one that came after training is embedded like any
other (inductive). Decoder: conditioned on the edge's own features as well as on the embeddings of its
ends (products of each two ends), so that how broad an entity is becomes part of what is reconstructed.
Beside the hidden layer stands a sum of one piecewise-linear function of each feature (an additive model on
the encoding of Gorishniy et al. 2022, "On embeddings for numerical features in tabular deep learning"): it
bends where trees would cut, keeps the whole robust, and says exactly what each feature adds. The idea of
reconstructing links from embeddings is Kipf and Welling's (2016, "Variational graph auto-encoders"). Leaves
out: time, names, and what an edge is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, SAGEConv

from models.graph import Relation, mirrored


@dataclass(frozen=True)
class Shape:
    """What the model is built for; saved beside its weights."""

    node_features: dict[str, int]  # per node type
    relations: tuple[Relation, ...]  # one direction each; mirrors are added
    roles: dict[str, str]  # role -> node type, in the order of the columns of an edge
    features: int  # per edge
    dim: int = 32  # of an embedding
    hidden: int = 64  # of the decoder
    layers: int = 2  # of message passing
    bins: int = 16  # pieces of each feature's function

    def __post_init__(self) -> None:  # what JSON gives back
        object.__setattr__(self, "relations", tuple(tuple(relation) for relation in self.relations))

    @property
    def role_pairs(self) -> list[tuple[int, int]]:
        """Every two ends of an edge, as columns."""
        return list(combinations(range(len(self.roles)), 2))


class GraphAutoencoder(nn.Module):
    """`encode` a message graph, `decode` edges. Logits are log odds of an edge being made up: higher is
    stranger."""

    def __init__(
        self,
        shape: Shape,
        feature_mean: Tensor,
        feature_scale: Tensor,
        feature_knots: Tensor,
        dropout: float = 0.2,
        seed: int = 0,
    ) -> None:
        """feature_mean, feature_scale: [features]; feature_knots: [features, bins + 1], ascending, where
        each feature's function bends; seed: of what is dropped; first weights come from torch's own
        generator."""
        super().__init__()
        self.shape, self.dropout, dim = shape, dropout, shape.dim
        self._random = torch.Generator().manual_seed(seed)
        self.feature_mean: Tensor
        self.feature_scale: Tensor
        self.feature_knots: Tensor
        self.register_buffer("feature_mean", feature_mean)
        self.register_buffer("feature_scale", feature_scale)
        self.register_buffer("feature_knots", feature_knots)
        self.inputs = nn.ModuleDict({t: nn.Linear(n, dim) for t, n in shape.node_features.items()})
        both_ways = [way for relation in shape.relations for way in (relation, mirrored(relation))]
        self.messages = nn.ModuleList(
            HeteroConv(
                {way: SAGEConv(dim, dim, root_weight=False, bias=False) for way in both_ways}, aggr="sum"
            )
            for _ in range(shape.layers)
        )
        self.selves = nn.ModuleList(
            nn.ModuleDict({t: nn.Linear(dim, dim) for t in shape.node_features}) for _ in range(shape.layers)
        )
        self.outputs = nn.ModuleDict({role: nn.Linear(dim, dim) for role in shape.roles})
        self.linear = nn.Linear(shape.features, 1)
        self.pieces = nn.Parameter(
            torch.zeros(shape.features, shape.bins)
        )  # what each feature gains from knot to knot
        self.hidden = nn.Linear(len(shape.role_pairs) * dim + shape.features, shape.hidden)
        self.out = nn.Linear(shape.hidden, 1, bias=False)

    def encode(self, graph: HeteroData) -> dict[str, Tensor]:
        """Embeddings of every node in every role it can fill: role -> [nodes, dim]."""
        h = {t: torch.relu(self.inputs[t](graph[t].x)) for t in self.shape.node_features}
        for messages, selves in zip(self.messages, self.selves, strict=True):
            assert isinstance(selves, nn.ModuleDict)
            received = messages(h, graph.edge_index_dict)
            h = {t: torch.relu(selves[t](x) + received[t]) for t, x in h.items()}
        return {role: self.outputs[role](h[t]) for role, t in self.shape.roles.items()}

    def decode(self, z: Mapping[str, Tensor], nodes: Tensor, features: Tensor) -> Tensor:
        """Log odds that each edge is made up, [edges]. nodes: int64 [edges, roles]; features: float32
        [edges, features]"""
        ends = [
            z[role][nodes[:, i].clamp(min=0)] for i, role in enumerate(self.shape.roles)
        ]  # [edges, dim] each
        there = [(nodes[:, i] >= 0).unsqueeze(1) for i in range(len(ends))]
        products = [ends[i] * ends[j] * (there[i] & there[j]) for i, j in self.shape.role_pairs]
        standard = ((features - self.feature_mean) / self.feature_scale).clamp(-5, 5)
        hidden = self._dropped(torch.relu(self.hidden(torch.cat([*products, standard], dim=1))))
        logit: Tensor = self.linear(standard) + self.out(hidden)  # [edges, 1]
        return logit.squeeze(1) + self._additive(features)

    def _dropped(self, hidden: Tensor) -> Tensor:
        """Hidden units left out at random in training, the others raised to the same sum."""
        if not self.training:
            return hidden
        kept = torch.rand(hidden.shape, generator=self._random) >= self.dropout
        return hidden * kept / (1 - self.dropout)

    def _additive(self, features: Tensor) -> Tensor:
        """Sum of each feature's piecewise-linear function, [edges]."""
        low, high = self.feature_knots[:, :-1], self.feature_knots[:, 1:]
        slope = torch.where(high > low, 1 / (high - low), 0)  # an empty piece adds nothing
        passed = (
            (features.unsqueeze(2) - low).mul_(slope).clamp_(0, 1)
        )  # [edges, features, bins], in place: it is large
        return passed.flatten(1) @ self.pieces.flatten()

    def forward(self, graph: HeteroData, nodes: Tensor, features: Tensor) -> Tensor:
        """Surprise in nats, [edges]: -log p(the edge happened by itself)."""
        return nn.functional.softplus(self.decode(self.encode(graph), nodes, features))
