"""A workspace with twelve days of a small simulated organisation, trained on all but the last."""

import datetime as dt
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ueba import simulate, stages
from ueba.cli import main
from ueba.config import Config, IncidentConfig, TrainConfig
from ueba.simulate import writers
from ueba.workspace import Workspace

CONFIG = Config(train=TrainConfig(steps=12, seeds=1), incidents=IncidentConfig(budget=5))
LAST = dt.date(2026, 1, 16)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("small"))
    events = simulate.simulate(simulate.Organisation(users=60, days=12, attack_days=3, campaigns=1)).events
    writers.write_lanl(events, workspace.root / "auth.txt.gz", dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    stages.read(workspace, str(workspace.root / "auth.txt.gz"), "lanl", CONFIG)
    stages.train(workspace, LAST - DAY, CONFIG)
    return workspace


def run(workspace: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["--workspace", str(workspace), *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result
