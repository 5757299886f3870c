"""A model on disk: weights as safetensors, shape as JSON, hashes of both checked on load. Nothing is pickled.

Several models that are averaged are saved as `model-0.safetensors`, `model-1.safetensors`, ... beside one
`models.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load, save

from models.inference import Weights

if TYPE_CHECKING:
    from models.autoencoder import GraphAutoencoder


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
    models = []
    try:
        for index, facts in enumerate(json.loads((folder / "models.json").read_text())):
            path = folder / f"model-{index}.safetensors"
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != facts["sha256"]:
                raise DamagedModel(f"{path} is not the file that was saved")
            models.append(Weights(facts["shape"], load(data)))
    except (OSError, ValueError, KeyError) as reason:
        raise DamagedModel(f"{folder}: {reason}") from reason
    return models
