"""The training loop: tell edges that happened from edges that were made up, and rebuild the pairs that were
masked.

Each step takes one snapshot (the graph before a day, and that day's edges), hides half of its pairs and
every pair that is about to be judged, encodes what is left, and adds two losses: binary cross-entropy on the
judged edges, and reconstruction of hidden pairs against random ones (masked graph autoencoding, Li et al.
2023, "What's behind the mask"). Deterministic for a seed on one machine, however many are trained at a time.
Leaves out early stopping: the number of steps is small and fixed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from models.autoencoder import GraphAutoencoder, Shape
from models.graph import Array, Edges, Relation, Snapshot, hetero_data, without

_INITIALISING = threading.Lock()  # torch draws first weights from one generator for all threads


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how hard to train."""

    warm_up_steps: int = 200  # on the edges' features alone, before the graph
    warm_up_rate: float = 0.005
    steps: int = 100  # one snapshot and one batch each
    batch: int = 4096  # edges judged in a step
    learning_rate: float = 0.007  # peak, with cosine decay
    weight_decay: float = 1e-4
    masked: float = 0.5  # share of pairs hidden in a step
    link_weight: float = 0.5  # of the reconstruction loss beside the discrimination loss
    link_batch: int = 4096  # pairs rebuilt in a step, per relation
    dim: int = 32
    hidden: int = 64
    bins: int = 16  # pieces of each feature's own function


def train(
    days: Sequence[tuple[Snapshot, Edges]],
    roles: Mapping[str, str],
    config: TrainingConfig,
    seed: int,
    progress: Callable[[float], None] = lambda loss: None,
) -> GraphAutoencoder:
    """Train one model on (graph before a day, edges of the day)."""
    torch.set_num_threads(
        1
    )  # as fast as more on graphs of this size, the same sums every time, and no fight over cores
    rng = np.random.default_rng(seed)
    features = np.concatenate([edges.features for _, edges in days])
    mean, scale = _standardisation(features)
    knots = np.quantile(features, np.linspace(0, 1, config.bins + 1), axis=0).T.astype(np.float32)
    first = days[0][0]
    shape = Shape(
        node_features={t: x.shape[1] for t, x in first.x.items()},
        relations=tuple(first.pairs),
        roles=dict(roles),
        features=len(mean),
        dim=config.dim,
        hidden=config.hidden,
        bins=config.bins,
    )
    with _INITIALISING:
        torch.manual_seed(seed)
        model = GraphAutoencoder(
            shape, torch.as_tensor(mean), torch.as_tensor(scale), torch.as_tensor(knots), seed=seed
        )
        model.train()
    label = np.concatenate([edges.label for _, edges in days])
    _warm_up(model, torch.as_tensor(features), torch.as_tensor(label), config, rng)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps)
    sizes = np.array([len(edges) for _, edges in days], float)
    for _ in range(config.steps):
        snapshot, edges = days[rng.choice(len(days), p=sizes / sizes.sum())]
        picked = rng.choice(len(edges), min(config.batch, len(edges)), replace=False)
        loss = _loss(model, snapshot, edges, picked, config, rng)
        _descend(loss, optimiser, schedule)
        progress(float(loss.detach()))
    return model.eval()


def _descend(
    loss: Tensor, optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> None:
    """One step of the weights and of the learning rate."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    schedule.step()


def _warm_up(
    model: GraphAutoencoder, features: Tensor, label: Tensor, config: TrainingConfig, rng: np.random.Generator
) -> None:
    """Teach the decoder what features alone tell, which costs little: the graph then learns what they leave
    unsaid. features: [edges, features], label: [edges], of all days together."""
    if not config.warm_up_steps:
        return
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.warm_up_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.warm_up_rate, total_steps=config.warm_up_steps
    )
    no_nodes = {role: torch.zeros(1, config.dim) for role in model.shape.roles}
    for _ in range(config.warm_up_steps):
        picked = torch.as_tensor(rng.integers(0, len(label), config.batch))
        unknown = torch.full((len(picked), len(no_nodes)), -1)
        logit = model.decode(no_nodes, unknown, features[picked])
        _descend(nn.functional.binary_cross_entropy_with_logits(logit, label[picked]), optimiser, schedule)


def train_several(
    days: Sequence[tuple[Snapshot, Edges]],
    roles: Mapping[str, str],
    config: TrainingConfig,
    seeds: Iterable[int],
    progress: Callable[[float], None] = lambda loss: None,
) -> list[GraphAutoencoder]:
    """A model for each seed, as many at a time as there are cores. `progress` is told each step's loss, from
    any thread."""
    one = partial(train, days, roles, config, progress=progress)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(one, seeds))


def _standardisation(features: Array) -> tuple[Array, Array]:
    """Mean and scale of each feature over happened and made-up edges together, float32 [features] each.

    What never varied teaches nothing, so later it shall not count: its scale is beyond any value."""
    deviation = features.std(0, dtype=np.float64)
    scale = np.where(deviation < 1e-6, 1e9, deviation + 1e-3)
    return features.mean(0, dtype=np.float64).astype(np.float32), scale.astype(np.float32)


def split_pairs(
    snapshot: Snapshot, nodes: Array, shape: Shape, masked: float, rng: np.random.Generator
) -> tuple[dict[Relation, Array], dict[Relation, Array]]:
    """Which pairs carry messages and which are hidden, bool [pairs] per relation. Pairs that are about to be
    judged are hidden from the messages always."""
    roles = list(shape.roles)
    visible: dict[Relation, Array] = {}
    hidden: dict[Relation, Array] = {}
    for relation, pairs in snapshot.pairs.items():
        ends = relation_roles(relation, roles)
        shown: Array = np.greater_equal(rng.random(pairs.shape[1]), masked)
        hidden[relation] = np.logical_not(shown)
        visible[relation] = shown & without(pairs, nodes, ends)
    return visible, hidden


def relation_roles(relation: Relation, roles: Sequence[str]) -> tuple[int, int]:
    """The two columns of an edge that a relation joins: its name is `<role>_<role>`."""
    left, right = relation[1].split("_")
    return roles.index(left), roles.index(right)


def _loss(
    model: GraphAutoencoder,
    snapshot: Snapshot,
    edges: Edges,
    picked: Array,
    config: TrainingConfig,
    rng: np.random.Generator,
) -> Tensor:
    nodes = edges.nodes[picked]
    visible, hidden = split_pairs(snapshot, nodes, model.shape, config.masked, rng)
    z = model.encode(hetero_data(snapshot, visible))
    logit = model.decode(z, torch.as_tensor(nodes), torch.as_tensor(edges.features[picked]))
    judged = nn.functional.binary_cross_entropy_with_logits(logit, torch.as_tensor(edges.label[picked]))
    rebuilt = [
        _link_loss(z, snapshot.pairs[relation][:, mask], relation, config.link_batch, rng)
        for relation, mask in hidden.items()
        if mask.any()
    ]
    return judged + config.link_weight * sum(rebuilt, torch.zeros(())) / max(len(rebuilt), 1)


def _link_loss(
    z: Mapping[str, Tensor], pairs: Array, relation: Relation, batch: int, rng: np.random.Generator
) -> Tensor:
    """Hidden pairs against pairs of a hidden left end and another's right end; dot product of embeddings."""
    left_role, right_role = relation[1].split("_")
    picked = rng.integers(0, pairs.shape[1], min(batch, pairs.shape[1]))
    left, right = pairs[0, picked], pairs[1, picked]
    false_right = np.where(
        rng.random(len(right)) < 0.5, rng.permutation(right), rng.integers(0, len(z[right_role]), len(right))
    )
    a = z[left_role][torch.as_tensor(left)]  # [pairs, dim]
    true = (a * z[right_role][torch.as_tensor(right)]).sum(1)
    false = (a * z[right_role][torch.as_tensor(false_right)]).sum(1)
    return nn.functional.softplus(-true).mean() + nn.functional.softplus(false).mean()
