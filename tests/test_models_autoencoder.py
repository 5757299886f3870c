"""The autoencoder on random graphs: numpy equals torch, targets stay out of the messages, seeds decide
everything."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models import checkpoint, inference
from models.graph import Edges, Snapshot, hetero_data, is_among, mirrored, without
from models.training import TrainingConfig, split_pairs, train, train_several

ROLES = {"a": "left", "b": "right", "c": "right"}
RELATIONS = {
    ("left", "a_b", "right"): (0, 1),
    ("left", "a_c", "right"): (0, 2),
    ("right", "b_c", "right"): (1, 2),
}
NODES = {"left": 12, "right": 20}


def world(seed: int = 0, edges: int = 60) -> tuple[Snapshot, Edges]:
    rng = np.random.default_rng(seed)
    x = {t: rng.normal(size=(n, 5)).astype(np.float32) for t, n in NODES.items()}
    nodes = np.stack([rng.integers(0, NODES[t], edges) for t in ROLES.values()], axis=1)
    nodes[::7, 1] = -1
    pairs = {}
    for relation, (i, j) in RELATIONS.items():
        known = nodes[(nodes[:, i] >= 0) & (nodes[:, j] >= 0)]
        drawn = np.stack([rng.integers(0, NODES[relation[0]], 30), rng.integers(0, NODES[relation[2]], 30)])
        pairs[relation] = np.unique(np.concatenate([drawn, known[: edges // 2, [i, j]].T], axis=1), axis=1)
    features = rng.normal(size=(edges, 4)).astype(np.float32)
    return Snapshot(x, pairs), Edges(nodes, features, (rng.random(edges) < 0.5).astype(np.float32))


@pytest.fixture(scope="module")
def trained() -> tuple[Snapshot, Edges, torch.nn.Module]:
    snapshot, edges = world()
    return (
        snapshot,
        edges,
        train([(snapshot, edges)], ROLES, TrainingConfig(steps=5, batch=32), seed=1),
    )


def test_numpy_says_what_torch_says(trained) -> None:
    snapshot, edges, model = trained
    weights = checkpoint.weights_of(model)
    with torch.no_grad():
        z = model.encode(hetero_data(snapshot))
        torch_surprise = model(
            hetero_data(snapshot), torch.as_tensor(edges.nodes), torch.as_tensor(edges.features)
        ).numpy()
    embeddings = inference.encode(weights, snapshot.x, snapshot.pairs)
    for role in ROLES:
        np.testing.assert_allclose(embeddings[role], z[role].numpy(), atol=1e-5)
    surprise = inference.surprise(inference.decode(weights, embeddings, edges.nodes, edges.features))
    np.testing.assert_allclose(surprise, torch_surprise, atol=1e-5)
    assert torch_surprise.std() > 0.01


def test_judged_pairs_never_carry_messages() -> None:
    snapshot, edges = world()
    shape = train([(snapshot, edges)], ROLES, TrainingConfig(steps=1, batch=8), seed=0).shape
    visible, hidden = split_pairs(snapshot, edges.nodes, shape, 0.5, np.random.default_rng(0))
    for relation, (i, j) in RELATIONS.items():
        pairs = snapshot.pairs[relation]
        judged = is_among(pairs, edges.nodes[:, i], edges.nodes[:, j])
        assert judged.any()
        assert not (visible[relation] & judged).any()
        assert not (visible[relation] & hidden[relation]).any()


def test_without_takes_out_exactly_the_judged_pairs() -> None:
    pairs = np.array([[0, 0, 1], [0, 1, 1]])
    nodes = np.array([[0, 1], [1, 0]])
    assert without(pairs, nodes, (0, 1)).tolist() == [True, False, True]


def test_mirrors_hold_the_same_pairs() -> None:
    snapshot, _ = world()
    data = hetero_data(snapshot)
    for relation in RELATIONS:
        assert torch.equal(data[relation].edge_index.flip(0), data[mirrored(relation)].edge_index)


def test_the_seed_decides(trained) -> None:
    snapshot, edges, model = trained
    again = train([(snapshot, edges)], ROLES, TrainingConfig(steps=5, batch=32), seed=1)
    other = train([(snapshot, edges)], ROLES, TrainingConfig(steps=5, batch=32), seed=2)
    same = [torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


def test_a_feature_that_never_varied_does_not_count() -> None:
    snapshot, edges = world()
    features = edges.features.copy()
    features[:, 2] = 7
    model = train(
        [(snapshot, Edges(edges.nodes, features, edges.label))],
        ROLES,
        TrainingConfig(steps=3, batch=32),
        seed=1,
    )
    other = features.copy()
    other[:, 2] = -7
    graph, nodes = hetero_data(snapshot), torch.as_tensor(edges.nodes)
    torch.testing.assert_close(
        model(graph, nodes, torch.as_tensor(features)), model(graph, nodes, torch.as_tensor(other))
    )


def test_how_many_are_trained_at_a_time_does_not_matter(trained) -> None:
    snapshot, edges, model = trained
    steps: list[float] = []
    seeds = (3, 1, 2, 1)
    several = train_several(
        [(snapshot, edges)], ROLES, TrainingConfig(steps=5, batch=32), seeds, steps.append
    )
    assert len(steps) == len(seeds) * 5
    for other, seed in zip(several, seeds, strict=True):
        same = all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
        assert same == (seed == 1)


def test_the_order_of_edges_and_pairs_does_not_matter(trained) -> None:
    snapshot, edges, model = trained
    weights = checkpoint.weights_of(model)
    z = inference.encode(weights, snapshot.x, snapshot.pairs)
    shuffled = {relation: pairs[:, ::-1].copy() for relation, pairs in snapshot.pairs.items()}
    other = inference.encode(weights, snapshot.x, shuffled)
    for role in ROLES:
        np.testing.assert_allclose(z[role], other[role], atol=1e-5)
    forward = inference.decode(weights, z, edges.nodes, edges.features)
    backward = inference.decode(weights, z, edges.nodes[::-1], edges.features[::-1])
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-6)


def test_training_learns_to_tell_the_labels_apart() -> None:
    snapshot, edges = world(edges=400)
    features = edges.features.copy()
    features[:, 0] += 3 * edges.label
    easy = Edges(edges.nodes, features, edges.label)
    losses: list[float] = []
    model = train([(snapshot, easy)], ROLES, TrainingConfig(steps=40, batch=200), 0, losses.append)
    assert losses[-1] < losses[0]
    surprise = (
        model(hetero_data(snapshot), torch.as_tensor(easy.nodes), torch.as_tensor(features)).detach().numpy()
    )
    assert surprise[easy.label == 1].mean() > surprise[easy.label == 0].mean() + 1


def test_a_saved_model_is_the_same_model(trained, tmp_path: Path) -> None:
    weights = checkpoint.weights_of(trained[2])
    checkpoint.save_models([weights, weights], tmp_path)
    loaded = checkpoint.load_models(tmp_path)
    assert len(loaded) == 2 and loaded[0].shape == weights.shape
    for name, array in weights.arrays.items():
        np.testing.assert_array_equal(loaded[1].arrays[name], array)


def test_a_damaged_model_is_refused(trained, tmp_path: Path) -> None:
    checkpoint.save_models([checkpoint.weights_of(trained[2])], tmp_path)
    file = tmp_path / "model-0.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(checkpoint.DamagedModel, match="model-0"):
        checkpoint.load_models(tmp_path)


def test_scoring_does_not_import_torch() -> None:
    code = "import sys, models.inference, models.checkpoint, models.graph; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )
