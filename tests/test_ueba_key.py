"""With a key, no file that another hand wrote is read; without one, a changed model no longer knows the
answers that it knew after training."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load, save
from small_workspace import LAST

from ueba import findings, health, state
from ueba.cli import main
from ueba.errors import ConfigError, WorkspaceError
from ueba.triage import desk
from ueba.triage.desk import Decision
from ueba.workspace import Workspace


@pytest.fixture
def copied(scored: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(shutil.copytree(scored.root, tmp_path / "ws"))


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "key"
    path.write_bytes(bytes(range(32)))
    path.chmod(0o600)
    monkeypatch.setenv(state.KEY_FILE, str(path))
    return path


def call(workspace: Workspace, *words: str) -> Result:
    found = CliRunner().invoke(main, ["--workspace", str(workspace.root), *words])
    assert "Traceback" not in found.output and "fault of ueba" not in found.output, found.output
    return found


def broken(workspace: Workspace) -> dict[str, str]:
    return {
        check.name: check.detail for check in health.checks(workspace, deep=True) if check.state == "broken"
    }


# --- the key ------------------------------------------------------------------------------------------------


def test_what_was_written_without_the_key_is_refused_until_it_is_sealed(copied: Workspace, key: Path) -> None:
    score = ("score", "--day", str(LAST))
    refused = call(copied, *score)
    assert refused.exit_code == 1 and "has no seal" in refused.output and "`ueba seal`" in refused.output
    assert "seals" in broken(copied)
    assert call(copied, "seal").exit_code == 0
    assert not broken(copied) and call(copied, *score).exit_code == 0
    incident = findings.load_incidents(copied.findings)[0].id
    desk.decide(copied, incident, Decision("benign", "planned", "kim"))
    assert call(copied, "triage", "log").exit_code == 0 and not broken(copied)


def rewritten(path: Path) -> None:
    """The same table, arrays or text in other bytes: no damage, and another hand."""
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        arrays = load(data)
        path.write_bytes(save({name: arrays[name] for name in reversed(arrays)}, {"by": "another"}))
    elif path.suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(pq.read_table(path, partitioning=None), path, compression="gzip")
    else:
        path.write_bytes(data + b"\n")
    assert path.read_bytes() != data


@pytest.mark.parametrize(
    "pattern",
    [pattern for pattern in state.SEALED if not pattern.startswith(("feedback", "runs", "lake/given"))],
)
def test_a_file_that_another_hand_wrote_is_named(pattern: str, copied: Workspace, key: Path) -> None:
    assert call(copied, "seal").exit_code == 0
    for path in [path for path in sorted(copied.root.glob(pattern)) if path.is_file()][:3]:
        kept = path.read_bytes()
        rewritten(path)
        found = broken(copied)
        problem = f"{path} does not have the content that was sealed"
        assert any(problem in detail for detail in found.values()), found
        path.write_bytes(kept)
    assert not broken(copied)


def test_another_file_with_its_seal_is_refused_in_its_place(copied: Workspace, key: Path) -> None:
    """A seal is of a place, too: days are not exchanged."""
    assert call(copied, "seal").exit_code == 0
    first, second, *_ = sorted(copied.lake.glob("edges/day=*/*.parquet"))
    shutil.copy(first, second)
    shutil.copy(first.parent / state.SEALS / first.name, second.parent / state.SEALS / second.name)
    with pytest.raises(WorkspaceError, match="does not have the content that was sealed"):
        state.check_seal(second)


def test_another_key_opens_nothing(copied: Workspace, key: Path) -> None:
    assert call(copied, "seal").exit_code == 0
    key.write_bytes(bytes(range(1, 33)))
    assert "does not have the content that was sealed" in call(copied, "score", "--day", str(LAST)).output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda key: key.write_bytes(b"short"), "has 5 bytes; make a key with"),
        (lambda key: key.chmod(0o640), "others may read or change it; `chmod 600"),
        (lambda key: key.unlink(), "cannot be read"),
        (lambda key: (key.unlink(), os.mkfifo(key)), "cannot be read"),
        (lambda key: key.write_bytes(b"x" * 5000), "cannot be read"),
    ],
    ids=["short", "readable", "missing", "pipe", "long"],
)
def test_what_is_no_key(change: Callable[[Path], object], message: str, key: Path, copied: Workspace) -> None:
    change(key)
    with pytest.raises(ConfigError, match=message):
        state.key()
    found = call(copied, "incidents")
    assert found.exit_code == 2 and message in found.output.replace("\n", " ")


def test_a_key_in_the_workspace_protects_nothing(
    copied: Workspace, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(key, copied.root / "key")
    monkeypatch.setenv(state.KEY_FILE, str(copied.root / "key"))
    found = call(copied, "incidents")
    assert found.exit_code == 2 and "lies in the workspace" in found.output


def test_seal_without_a_key_says_so(copied: Workspace) -> None:
    found = call(copied, "seal")
    assert found.exit_code == 2 and f"set {state.KEY_FILE}" in found.output


def test_a_log_of_verdicts_has_a_sealed_head(copied: Workspace, key: Path) -> None:
    assert call(copied, "seal").exit_code == 0
    incident = findings.load_incidents(copied.findings)[0].id
    desk.decide(copied, incident, Decision("benign", "planned", "kim"))
    head = copied.root / "feedback" / "head.json"
    head.unlink()
    found = call(copied, "triage", "log")
    assert found.exit_code == 1 and f"{head}: is missing" in found.output and "`ueba seal`" in found.output
    assert call(copied, "seal").exit_code == 0
    assert call(copied, "triage", "log").exit_code == 0 and not broken(copied)


# --- the probe ----------------------------------------------------------------------------------------------


def with_weights(workspace: Workspace, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    """Change the weights of the first model, and its hash as a careful hand would."""
    path = workspace.model / "model-0.safetensors"
    arrays = {name: array.copy() for name, array in load(path.read_bytes()).items()}
    change(arrays)
    path.write_bytes(save(arrays))
    facts = json.loads((workspace.model / "models.json").read_text())
    facts[0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (workspace.model / "models.json").write_text(json.dumps(facts))


def bias(arrays: dict[str, np.ndarray]) -> None:
    arrays["linear.bias"] += 5


def zeros(arrays: dict[str, np.ndarray]) -> None:
    for name in arrays:
        if not name.startswith("feature"):
            arrays[name][...] = 0


@pytest.mark.parametrize("change", [bias, zeros])
def test_changed_weights_no_longer_know_their_answers(
    change: Callable[[dict[str, np.ndarray]], object], copied: Workspace
) -> None:
    with_weights(copied, lambda arrays: None)
    assert not broken(copied)
    with_weights(copied, change)
    (detail,) = broken(copied).values()
    assert "which was" in detail and "after training" in detail and "`ueba train`" in detail


def test_a_changed_calibration_no_longer_knows_its_answers(copied: Workspace) -> None:
    """With every normal edge as strange as can be, nothing is strange any more."""
    path = copied.model / "calibration.json"
    pool = json.loads(path.read_text())
    pool["surprise"] = [1000.0] * len(pool["surprise"])
    path.write_text(json.dumps(pool))
    (detail,) = broken(copied).values()
    assert "p_value" in detail and "after training" in detail


def test_scores_that_are_no_numbers_are_an_error(copied: Workspace) -> None:
    """Weights may be finite and their products not: nothing would be strange."""

    def huge(arrays: dict[str, np.ndarray]) -> None:
        for name in arrays:
            if name.endswith("weight"):
                arrays[name][...] = 3e38

    with_weights(copied, huge)
    found = call(copied, "score", "--day", str(LAST))
    assert found.exit_code == 1 and "`ueba train` makes both anew" in found.output.replace("\n", " ")
    assert broken(copied)


def test_fewer_models_than_were_trained_are_an_error(copied: Workspace) -> None:
    path = copied.model / "facts.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"seeds": facts["seeds"] + 1}))
    found = call(copied, "score", "--day", str(LAST))
    assert found.exit_code == 1 and "were trained" in found.output.replace("\n", " ")
    assert broken(copied)
