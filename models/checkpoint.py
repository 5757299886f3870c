"""A model on disk: weights as safetensors, shape as JSON, hashes of both checked on load. Nothing is pickled.

Several models that are averaged are saved as `model-0.safetensors`, `model-1.safetensors`, ... beside one
`models.json`. A model is read only if every array is there, has the size that the shape says, and holds
numbers: the hash finds a damaged file, the rest a file that never was a model. Leaves out who wrote it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.graph import mirrored
from models.inference import Weights

if TYPE_CHECKING:
    from models.autoencoder import GraphAutoencoder

SIZES = ("features", "dim", "hidden", "layers", "bins")  # of a shape, each one number
MOST_BYTES = 2**33  # of one file of weights
MOST_MODELS = 100
MOST_LAYERS = 100


class DamagedModel(Exception):
    """A file of the model is missing or is not what was saved."""


def weights_of(model: GraphAutoencoder) -> Weights:
    """The arrays and shape of a trained torch model."""
    arrays = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in model.state_dict().items()}
    return Weights(json.loads(json.dumps(asdict(model.shape))), arrays)


def save_models(models: Sequence[Weights], folder: Path) -> None:
    """Write the models into an existing empty folder."""
    facts = []
    for index, weights in enumerate(models):
        data = save(dict(weights.arrays))
        _write_new(folder / f"model-{index}.safetensors", data)
        facts.append({"shape": dict(weights.shape), "sha256": hashlib.sha256(data).hexdigest()})
    _write_new(folder / "models.json", json.dumps(facts, indent=1).encode())


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, for the user alone: neither over another nor through a link."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(data)


def load_models(folder: Path) -> list[Weights]:
    """Read what `save_models` wrote. Raises DamagedModel naming the file."""
    path = folder / "models.json"
    try:
        facts = json.loads(_bytes(path))
        if not isinstance(facts, list) or not 0 < len(facts) <= MOST_MODELS:
            raise ValueError(f"it is no list of 1 to {MOST_MODELS} models")
        models = []
        for index, row in enumerate(facts):
            path = folder / f"model-{index}.safetensors"
            models.append(_weights(row, _bytes(path)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as reason:
        raise DamagedModel(f"{path}: {reason}") from reason
    except SafetensorError as reason:
        raise DamagedModel(f"{path}: {reason}") from reason
    return models


def _bytes(path: Path) -> bytes:
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise ValueError("it is missing, no regular file, or too large")
    return path.read_bytes()


def _weights(facts: Mapping[str, Any], data: bytes) -> Weights:
    """One model. Raises ValueError, among others, if the file is not that of the facts."""
    if hashlib.sha256(data).hexdigest() != facts["sha256"]:
        raise ValueError("it is not the file that was saved")
    weights = Weights(facts["shape"], load(data))
    check(weights)
    return weights


# --- what a model must have ---------------------------------------------------------------------------------


def check(weights: Weights) -> None:
    """Raises ValueError unless the arrays are those of the shape, and every number is finite."""
    expected = dict(arrays_of(weights.shape))
    if expected.keys() != weights.arrays.keys():
        names = sorted(expected.keys() ^ weights.arrays.keys())
        raise ValueError(f"it lacks arrays of its shape, or has others: {', '.join(names)[:200]}")
    for name, size in expected.items():
        array = weights.arrays[name]
        if array.shape != size or array.dtype != np.float32:
            raise ValueError(
                f"{name} is {array.dtype} {list(array.shape)}, which the shape says is float32 {list(size)}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")
    if (
        not (weights.arrays["feature_scale"] > 0).all()
        or (np.diff(weights.arrays["feature_knots"]) < 0).any()
    ):
        raise ValueError("the scale or the knots of a feature are out of order")


def arrays_of(shape: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and size of every array of a model of a shape. Raises ValueError, KeyError or TypeError if it is
    no shape of `models.autoencoder`."""
    features, dim, hidden, layers, bins = (_size(shape[name]) for name in SIZES)
    types, roles = dict(shape["node_features"]), dict(shape["roles"])
    if layers > MOST_LAYERS:
        raise ValueError(f"the shape has {layers:,} layers")
    if not set(roles.values()) <= set(types):
        raise ValueError("the shape's types of nodes are not those of its roles")
    yield from {"feature_mean": (features,), "feature_scale": (features,)}.items()
    yield from {"feature_knots": (features, bins + 1), "pieces": (features, bins)}.items()
    for name, width in types.items():
        yield from _linear(f"inputs.{name}", dim, _size(width))
    ways = [(source, name, target) for source, name, target in shape["relations"]]
    for layer in range(layers):
        for way in (*ways, *map(mirrored, ways)):
            yield f"messages.{layer}.convs.<{'___'.join(way)}>.lin_l.weight", (dim, dim)
        for name in types:
            yield from _linear(f"selves.{layer}.{name}", dim, dim)
    for role in roles:
        yield from _linear(f"outputs.{role}", dim, dim)
    pairs = len(list(combinations(roles, 2)))
    yield from _linear("linear", 1, features)
    yield from _linear("hidden", hidden, pairs * dim + features)
    yield "out.weight", (1, hidden)


def _linear(name: str, out: int, into: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError(f"the shape has the size {str(value)[:40]}")
    return value
