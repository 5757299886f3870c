"""The small simulated organisation of `conftest.py`: its settings, its days, and its command line."""

import datetime as dt
from pathlib import Path

from click.testing import CliRunner, Result

from ueba.cli import main
from ueba.config import Config, IncidentConfig, TrainConfig

CONFIG = Config(train=TrainConfig(steps=12, seeds=1), incidents=IncidentConfig(budget=5))
LAST = dt.date(2026, 1, 16)
DAY = dt.timedelta(days=1)
HOSTILE = "'}) DETACH DELETE n //"  # a user of the last day


def day_files(logs: Path) -> list[str]:
    """The files of the fixture `logs`, a day each, in order."""
    return [str(path) for path in sorted(logs.glob("2026-*.txt"))]


def run(workspace: Path, *arguments: str, code: int = 0, **options: object) -> Result:
    """Call `ueba --workspace` and check its exit code."""
    result = CliRunner().invoke(main, ["--workspace", str(workspace), *arguments], **options)  # type: ignore[arg-type]
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result
