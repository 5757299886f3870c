"""The small simulated organisation of `conftest.py`: its settings, its days, and its command line."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ueba import stages, suspects
from ueba.cli import main
from ueba.config import Config, IncidentConfig, TrainConfig
from ueba.detect.past.history import History
from ueba.detect.score.detector import Detector
from ueba.findings import Findings
from ueba.ingest import IngestReport
from ueba.memory import Memory
from ueba.workspace import Workspace

CONFIG = Config(train=TrainConfig(steps=12, seeds=1), incidents=IncidentConfig(budget=5))
LAST = dt.date(2026, 1, 16)
DAY = dt.timedelta(days=1)
HOSTILE = "'}) DETACH DELETE n //"  # a user of the last day


def day_files(logs: Path) -> list[str]:
    """The files of the fixture `logs`, a day each, in order."""
    return [str(path) for path in sorted(logs.glob("2026-*.txt"))]


@contextlib.contextmanager
def short_training() -> Iterator[None]:
    """Models take 20 steps on the features alone instead of 200, which are most of so small a training."""
    from models.training import TrainingConfig

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.training.TrainingConfig", partial(TrainingConfig, warm_up_steps=20))
        yield


def run(workspace: Path, *arguments: str, code: int = 0, **options: object) -> Result:
    """Call `ueba --workspace` and check its exit code."""
    result = CliRunner().invoke(main, ["--workspace", str(workspace), *arguments], **options)  # type: ignore[arg-type]
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def memory(workspace: Workspace, config: Config = CONFIG) -> Memory:
    return Memory(workspace, config)


def read(workspace: Workspace, path: str | Path, log_format: str = "lanl") -> list[IngestReport]:
    return stages.read(memory(workspace), [str(path)], log_format)


def learn(workspace: Workspace, until: dt.date = LAST, config: Config = CONFIG) -> Detector:
    return stages.learn(memory(workspace, config), until).detector


def score(workspace: Workspace, day: dt.date = LAST, config: Config = CONFIG) -> Findings:
    return stages.score(memory(workspace, config), day)


def history_before(workspace: Workspace, day: dt.date = LAST) -> History:
    return memory(workspace).history_before(day)


def set_aside(workspace: Workspace, day: dt.date) -> int:
    """How many edges of a day are of who stands out in a review: they are in no calibration."""
    review = suspects.load(workspace.findings, day)
    return sum(suspect.stands_out for suspect in review.suspects) if review else 0
