"""A model on disk: what is read is what the shape says, finite, and as many as there are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from models import checkpoint, inference
from models.inference import Weights

SHAPE: dict[str, Any] = {
    "node_features": {"user": 2, "place": 3},
    "relations": [["user", "reaches", "place"]],
    "roles": {"user": "user", "target": "place"},
    "features": 2,
    "dim": 3,
    "hidden": 5,
    "layers": 1,
    "bins": 4,
}


def weights(shape: dict[str, Any] = SHAPE) -> Weights:
    arrays = {name: np.ones(size, np.float32) for name, size in checkpoint.arrays_of(shape)}
    return Weights(shape, arrays)


def test_the_sizes_are_those_of_the_torch_model() -> None:
    import torch

    from models.autoencoder import GraphAutoencoder, Shape

    model = GraphAutoencoder(Shape(**SHAPE), torch.ones(2), torch.ones(2), torch.ones(2, 5))
    found = checkpoint.weights_of(model)
    assert {name: array.shape for name, array in found.arrays.items()} == dict(checkpoint.arrays_of(SHAPE))
    checkpoint.check(found)


def rewritten(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the arrays of a saved model, and record their new hash as a careful hand would."""
    arrays = load((folder / "model-0.safetensors").read_bytes())
    change(arrays)
    data = save(arrays)
    (folder / "model-0.safetensors").write_bytes(data)
    facts = json.loads((folder / "models.json").read_text())
    facts[0]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "models.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a["linear.bias"].fill(np.nan), "linear.bias has numbers that are not finite"),
        (lambda a: a["out.weight"].fill(np.inf), "out.weight has numbers"),
        (lambda a: a.pop("pieces"), "lacks arrays of its shape, or has others: pieces"),
        (lambda a: a.update(more=np.zeros(1, np.float32)), "has others: more"),
        (lambda a: a.update(pieces=np.zeros((2, 5), np.float32)), r"pieces is float32 \[2, 5\].*\[2, 4\]"),
        (lambda a: a.update(pieces=np.zeros((2, 4), np.float64)), "pieces is float64"),
        (lambda a: a["feature_scale"].fill(0), "out of order"),
        (lambda a: a["feature_knots"].__setitem__((0, 0), 2), "out of order"),
    ],
)
def test_changed_weights_are_refused_though_their_hash_is_right(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    checkpoint.save_models([weights()], tmp_path)
    rewritten(tmp_path, lambda arrays: None)
    assert len(checkpoint.load_models(tmp_path)) == 1
    rewritten(tmp_path, change)
    with pytest.raises(checkpoint.DamagedModel, match=message) as caught:
        checkpoint.load_models(tmp_path)
    assert "model-0.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        "null",
        "[[]]",
        "[{}]",
        '[{"shape": {}, "sha256": 1}]',
        "[1]" * 2,
        "\x00",
        "1" * 5000,
    ],
)
def test_a_list_of_models_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    checkpoint.save_models([weights()], tmp_path)
    (tmp_path / "models.json").write_text(content)
    with pytest.raises(checkpoint.DamagedModel):
        checkpoint.load_models(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 2**31},
        {"layers": 10**9},
        {"layers": -1},
        {"layers": True},
        {"dim": 1.5},
        {"roles": {"user": "robot"}},
        {"roles": []},
        {"roles": {"user": "user", "target": "thing"}},
        {"relations": [["a"]]},
        {"relations": 3},
        {"node_features": None},
    ],
)
def test_an_impossible_shape_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    checkpoint.save_models([weights()], tmp_path)
    facts = json.loads((tmp_path / "models.json").read_text())
    facts[0]["shape"] |= change
    (tmp_path / "models.json").write_text(json.dumps(facts))
    with pytest.raises(checkpoint.DamagedModel):
        checkpoint.load_models(tmp_path)


def test_a_folder_in_place_of_weights_is_refused(tmp_path: Path) -> None:
    checkpoint.save_models([weights()], tmp_path)
    (tmp_path / "model-0.safetensors").unlink()
    (tmp_path / "model-0.safetensors").mkdir()
    with pytest.raises(checkpoint.DamagedModel, match="model-0.safetensors: it is missing, no regular file"):
        checkpoint.load_models(tmp_path)


def test_the_arrays_of_the_shape_are_enough_to_judge() -> None:
    found = inference.judge(weights(), np.zeros((1, 3), np.float32), np.zeros((1, 2), np.float32))
    assert np.isfinite(found).all()
