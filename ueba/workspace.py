"""Where things are kept: one folder, `--workspace`, `UEBA_WORKSPACE` or `./ueba-workspace`.

lake/        daily edges, see `ueba.ingest.lake`
history/     what was normal as of the last day learned
model/       the model in use, see `ueba.detect.detector`
findings/    day=YYYY-MM-DD.json, the incidents of each scored day, and day=YYYY-MM-DD.parquet, its strangest edges
feedback/    verdicts.jsonl and rules.toml: what analysts said, see `ueba.detect.feedback` and `ueba.detect.rules`
graph/       the bundled graph server: data, log, passwords
runs/        one JSON file a run: inputs, counts, timings
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ueba.errors import WorkspaceError


@dataclass(frozen=True)
class Workspace:
    """The folders of a workspace. Nothing is made before it is written to."""

    root: Path

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def history(self) -> Path:
        return self.root / "history"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def findings(self) -> Path:
        return self.root / "findings"

    @property
    def graph(self) -> Path:
        return self.root / "graph"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time; a second one is told so at once. The lock goes with the process."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as reason:
                raise WorkspaceError(
                    f"{self.root}: another run is at work here; wait for it to end"
                ) from reason
            yield

    def record_run(self, name: str, facts: dict[str, Any]) -> Path:
        """Write what a run did, `runs/<time>-<name>.json`."""
        self.runs.mkdir(parents=True, exist_ok=True)
        now = dt.datetime.now(dt.UTC)
        path = self.runs / f"{now:%Y%m%dT%H%M%S%f}Z-{name}.json"
        write_json(path, {"schema_version": 1, "run": name, "finished": now.isoformat(), **facts})
        return path


def write_json(path: Path, content: Any) -> None:
    """Write JSON as `write_text` does."""
    write_text(path, json.dumps(content, indent=1, default=str, ensure_ascii=False))


def write_text(path: Path, content: str) -> None:
    """Write so that a reader sees the old file or the new one, never half of one. What is no file (a pipe)
    is written to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        path.write_text(content, encoding="utf-8")
        return
    whole = path.resolve()
    temporary = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(whole)
    finally:
        temporary.unlink(missing_ok=True)
