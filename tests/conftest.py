"""What many tests share: a small simulated organisation, read, trained and scored once in a test run.

The folders are made by the first test that asks for them, also when pytest-xdist runs several processes, and
nobody may write into them: `trained` and `scored` are for tests that only read, `workspace` is a copy of
`trained` and `scored_workspace` one of `scored` for tests that write. Imports are inside the fixtures, so
that a test that needs none of this starts quickly.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from graph_servers import bundled_server, connection, stop_servers  # noqa: F401 - fixtures
from small_workspace import DAY, HOSTILE, LAST, day_files, learn, read, score, short_training

if TYPE_CHECKING:
    from ueba.workspace import Workspace

# Before a test module imports torch: on graphs this small more threads only take more of the processors.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.umask(0o077)  # as the command line sets it: a workspace is for one user
os.environ["COLUMNS"] = "200"  # tables are as wide wherever the tests run


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the graph servers of processes that were cut off (Ctrl-C, pytest-xdist), which outlive them."""
    if "PYTEST_XDIST_WORKER" not in os.environ and session.config.getoption("numprocesses", None):
        stop_servers(session.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary folder that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def make_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Fill a folder unless another process of this test run has done so; whoever comes second waits."""
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            unfinished.mkdir()
            try:
                make(unfinished)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder


# --- the small organisation ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def logs(run_folder: Path) -> Path:
    """Twelve days of LANL lines: a file a day, `all.txt.gz` with all of them but the hostile user's."""
    return make_once(run_folder / "small-logs", write_logs)


def write_logs(folder: Path) -> None:
    from ueba import simulate
    from ueba.simulate import writers

    organisation = simulate.Organisation(users=60, days=12, attack_days=3, campaigns=1)
    epoch = dt.date(1970, 1, 1)
    writers.write_lanl(
        simulate.simulate(organisation).events, folder / "all.txt.gz", dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    )
    by_day: dict[dt.date, list[str]] = {}
    for line in gzip.open(folder / "all.txt.gz", "rt").read().splitlines():
        by_day.setdefault(epoch + DAY * (int(line.split(",")[0]) // 86400), []).append(line)
    midnight = (LAST - epoch).days * 86400
    by_day[LAST].append(f"{midnight},{HOSTILE}@X,{HOSTILE}@X,C1,C2,NTLM,Network,LogOn,Success")
    for day, lines in by_day.items():
        (folder / f"{day}.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def trained(run_folder: Path, logs: Path) -> Workspace:
    """To be read only: all twelve days are in the lake, a batch a day; the model has learned eleven."""
    from ueba.workspace import Workspace

    def make(root: Path) -> None:
        for path in day_files(logs):
            read(Workspace(root), path)
        with short_training():
            learn(Workspace(root), LAST - DAY)

    return Workspace(make_once(run_folder / "small-trained", make))


@pytest.fixture(scope="session")
def scored(run_folder: Path, trained: Workspace) -> Workspace:
    """To be read only: `trained` with its last day scored."""
    from ueba.workspace import Workspace

    def make(root: Path) -> None:
        shutil.copytree(trained.root, root, dirs_exist_ok=True)
        score(Workspace(root), LAST)

    return Workspace(make_once(run_folder / "small-scored", make))


@pytest.fixture
def quick_training() -> Iterator[None]:
    """Models learn for a moment only: for tests that do not ask how well they judge."""
    with short_training():
        yield


@pytest.fixture
def workspace(trained: Workspace, quick_training: None, tmp_path: Path) -> Workspace:
    """A copy of `trained` that a test may change."""
    from ueba.workspace import Workspace

    return Workspace(shutil.copytree(trained.root, tmp_path / "ws"))


@pytest.fixture
def scored_workspace(scored: Workspace, quick_training: None, tmp_path: Path) -> Workspace:
    """A copy of `scored` that a test may change."""
    from ueba.workspace import Workspace

    return Workspace(shutil.copytree(scored.root, tmp_path / "ws"))


@pytest.fixture(scope="module", autouse=True)
def nothing_shared_is_changed(run_folder: Path) -> Iterator[None]:
    """A module that writes into what all share fails by itself, not the modules that read it later."""
    shared = [run_folder / name for name in ("small-logs", "small-trained", "small-scored")]
    before = {folder: contents(folder) for folder in shared if folder.exists()}
    yield
    assert {folder: contents(folder) for folder in before} == before


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    """Everything in a folder with its size and the time of its last change."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}
