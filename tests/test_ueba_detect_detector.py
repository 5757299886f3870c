"""A detector in a folder: what is recorded of it, and the models that this version refuses."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from ueba.config import Config
from ueba.contracts.incident import ModelFacts
from ueba.detect.look import features, likeness
from ueba.detect.look.tensors import Frame
from ueba.detect.past.ids import IdTable
from ueba.detect.score.calibration import Calibration
from ueba.detect.score.detector import Detector, read_facts
from ueba.errors import WorkspaceError
from ueba.memory import Memory
from ueba.workspace import Workspace

DAY = dt.date(2024, 5, 1)
FACTS = ModelFacts(DAY, DAY, 1, {}, features.DIGEST)


def saved(folder: Path, facts: ModelFacts) -> Path:
    Detector([], Frame(IdTable(), np.zeros((0, likeness.DIM), np.float32)), Calibration.empty(), facts).save(
        folder
    )
    return folder


def test_the_facts_of_a_model_can_be_read_without_the_model(tmp_path: Path) -> None:
    assert read_facts(saved(tmp_path / "model", FACTS)) == FACTS


def test_a_model_of_other_features_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = saved(workspace.model, replace(FACTS, features_digest="other"))
    message = f"{folder}: the model was made by another version; `ueba train` makes a new one"
    with pytest.raises(WorkspaceError, match=re.escape(message)):
        Detector.load(folder)
    with pytest.raises(WorkspaceError, match=re.escape(message)):
        Memory(workspace, Config()).can_score(DAY)


def test_a_model_without_a_digest_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", FACTS)
    record = (folder / "facts.json").read_text()
    (folder / "facts.json").write_text(re.sub(r',"features_digest":"\w+"', "", record))
    assert (folder / "facts.json").read_text() != record
    with pytest.raises(WorkspaceError, match=r"damaged .*features_digest.*`ueba train` makes a new one"):
        Detector.load(folder)


def test_the_digest_depends_on_names_and_their_order() -> None:
    assert features.digest(("a", "b")) == features.digest(("a", "b"))
    assert len({features.digest(names) for names in (("a", "b"), ("b", "a"), ("ab",), ("a", "c"))}) == 4
