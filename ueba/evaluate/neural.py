"""Published graph networks as baselines, see `baselines` for the protocol: they see who met whom, and
nothing of how and when.

Users, machines and resources are nodes of one graph. User number n is node 2n, and machine or resource
number n is node 2n + 1, so that a node keeps its number while either kind grows. A node that came after
training has no embedding of its own, only its neighbours'. An edge scores the sum over its three pairs of
-log p(pair), p by the dot product of the ends. Leaves out node features, as the papers do on this kind of
data.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import VGAE, GCNConv
from torch_geometric.utils import to_undirected

from ueba.arrays import Array, Ints
from ueba.detect.look.tensors import GRAPH_RELATIONS
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.pairs import RELATIONS
from ueba.evaluate.baselines import over_pairs
from ueba.evaluate.protocol import Day, Scorer, Training

DIM = 32  # of the hidden layer
CODE = 16  # of an embedding
LINKS = 65536  # pairs rebuilt in a step


def numbers(relation: str, left: Ints, right: Ints) -> Ints:
    """Node numbers of pairs, int64 [2, pairs]."""
    return np.stack([2 * left + (not relation.startswith("user")), 2 * right + 1])


def joined(pairs: Mapping[str, tuple[Ints, Ints]]) -> Tensor:
    """All pairs of all relations as one undirected graph, int64 [2, both directions]."""
    is_known = {relation: (left >= 0) & (right >= 0) for relation, (left, right) in pairs.items()}
    parts = [
        numbers(relation, left[is_known[relation]], right[is_known[relation]])
        for relation, (left, right) in pairs.items()
    ]
    both_ways: Tensor = to_undirected(torch.as_tensor(np.unique(np.concatenate(parts, axis=1), axis=1)))
    return both_ways


def known_graph(day: Day) -> Tensor:
    """Who ever met whom before a day."""
    pairs = day.graph.pairs
    return joined({relation: (pairs[name][0], pairs[name][1]) for relation, name in GRAPH_RELATIONS.items()})


def met(encoded: EncodedEdges) -> Tensor:
    """Who met whom on a day."""
    return joined({relation: encoded.pairs(relation) for relation in RELATIONS})


def nodes(users: int, places: int) -> int:
    return 2 * max(users, places)


def contrast(graph: Tensor) -> tuple[Tensor, Tensor]:
    """Some pairs of a graph, and the same with one end replaced by any node of the graph. int64 [2, pairs]
    each"""
    true = graph[:, torch.randint(graph.shape[1], (min(LINKS, graph.shape[1]),))]
    present = torch.unique(graph[0])
    return true, torch.stack([true[0], present[torch.randint(len(present), (true.shape[1],))]])


def dot_nats(z: Array, encoded: EncodedEdges) -> Array:
    """-log sigmoid of the dot product, summed over an edge's pairs. [edges]"""

    def nats(relation: str, left: Ints, right: Ints) -> Array:
        a, b = numbers(relation, left, right)
        result: Array = np.logaddexp(0, -(z[a] * z[b]).sum(1))
        return result

    return over_pairs(encoded, nats)


class Gcn(nn.Module):
    """Two layers of graph convolution over learned embeddings of the nodes (Kipf and Welling 2017)."""

    def __init__(self, nodes: int, outputs: int) -> None:
        super().__init__()
        self.own = nn.Embedding(nodes, DIM)
        nn.init.normal_(self.own.weight, std=0.1)
        self.first = GCNConv(DIM, DIM)
        self.second = nn.ModuleList(GCNConv(DIM, CODE) for _ in range(outputs))

    def forward(self, edge_index: Tensor, nodes: int) -> tuple[Tensor, ...]:
        """[nodes, CODE] for each output; `nodes` may be more than in training."""
        own = nn.functional.pad(self.own.weight, (0, 0, 0, max(nodes - len(self.own.weight), 0)))
        hidden = torch.relu(self.first(own, edge_index))
        return tuple(layer(hidden, edge_index) for layer in self.second)


def start(seed: int) -> None:
    """The same sums and the same random numbers every time."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)


def vgae(training: Training, steps: int = 200) -> Scorer:
    """Kipf and Welling (2016), "Variational graph auto-encoders", PyG's: trained on all pairs known on the
    last day of training; a day is scored with the pairs known before it."""
    start(training.seed)
    size = nodes(training.users, training.places)
    model = VGAE(Gcn(size, outputs=2))
    graph = known_graph(training.with_examples[-1])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        z = model.encode(graph, size)
        loss = model.recon_loss(z, *contrast(graph)) + model.kl_loss() / size
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    @torch.no_grad()
    def score(day: Day) -> Array:
        entities = day.graph.x
        mean, _ = model.encoder(
            known_graph(day), max(nodes(len(entities["user"]), len(entities["place"])), size)
        )
        return dot_nats(mean.numpy(), day.encoded)

    return score


class Recurrent(nn.Module):
    """A Gcn for each day, and a GRU that carries its codes from day to day."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.gcn = Gcn(nodes, outputs=1)
        self.gru = nn.GRUCell(CODE, CODE)

    def forward(self, edge_index: Tensor, before: Tensor) -> Tensor:
        """The state of each node after a day, from the state before it: [nodes, CODE] both."""
        after: Tensor = self.gru(self.gcn(edge_index, len(before))[0], before)
        return after


def euler(training: Training, epochs: int = 12) -> Scorer:
    """King and Huang (2022), "Euler: Detecting network lateral movement via scalable temporal link
    prediction": trained to predict who meets whom on the next day; in scoring, each day is carried on from
    the one before."""
    start(training.seed)
    size = nodes(training.users, training.places)
    model = Recurrent(size)
    graphs = [met(day.encoded) for day in training.days]
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(epochs):
        state, loss = torch.zeros(size, CODE), torch.zeros(())
        for today, tomorrow in pairwise(graphs):
            state = model(today, state)
            true, false = ((state[a] * state[b]).sum(1) for a, b in contrast(tomorrow))
            loss = loss + nn.functional.softplus(-true).mean() + nn.functional.softplus(false).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    state = torch.zeros(size, CODE)

    @torch.no_grad()
    def score(day: Day) -> Array:
        nonlocal state
        encoded = day.encoded
        met_today = met(encoded)
        state = nn.functional.pad(state, (0, 0, 0, max(int(met_today.max()) + 1 - len(state), 0)))
        nats = dot_nats(state.numpy(), encoded)
        state = model(met_today, state)
        return nats

    return score
