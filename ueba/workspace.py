"""Where the data of one organisation is: one folder, `--workspace`, `UEBA_WORKSPACE` or `./ueba-workspace`.

lake/        events and daily edges, see `ueba.ingest.lake`
history/     what was normal as of the last day learned
model/       the model in use, see `ueba.detect.score.detector`
findings/    day=YYYY-MM-DD.json, the incidents of each scored day, and day=YYYY-MM-DD.parquet, its strangest
             edges; below=, incidents that were not reported; scores=, all edges of the last days;
             suspects=, what the review of a day before the first training set aside
feedback/    verdicts.jsonl and rules.toml: what analysts decided, see `ueba.triage`
graph/       the bundled graph server: data, log, passwords
runs/        one JSON file a run: inputs, counts, timings

All of it is for the user alone, as it says who does what: the folder has mode 0700, and what is in it 0600.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ueba import files, state
from ueba.config import IngestConfig


@dataclass(frozen=True)
class Workspace:
    """The folders of a workspace. Nothing is made before it is written to.

    memory_limit: of DuckDB when it reads the lake, `ingest.memory_limit` of the configuration
    """

    root: Path
    memory_limit: str = IngestConfig.memory_limit

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

    @property
    def exposure(self) -> str | None:
        """What is wrong, and how to mend it, if other users of the machine can get into the workspace."""
        try:
            status = self.root.stat()
        except OSError:
            return None
        if status.st_uid not in (0, os.geteuid()):
            return f"{self.root}: belongs to another user of this machine, who can read and change all of it"
        mode = stat.S_IMODE(status.st_mode)
        if not mode & 0o077:
            return None
        problem = f"other users of this machine can get into it (mode {mode:04o})"
        return f"{self.root}: {problem}; `{self.closing}` ends that"

    @property
    def closing(self) -> str:
        """The command that keeps other users out of the workspace."""
        return f"chmod -R go= {shlex.quote(str(self.root))}"

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of the workspace. Raises WorkspaceError if another process holds it."""
        return files.locked(
            self.root / ".lock", f"{self.root}: another run is at work here; wait for it to end"
        )

    def record_run(self, name: str, facts: dict[str, Any]) -> Path:
        """Write the record of a run, `runs/<time>-<name>.json`. facts: JSON values"""
        now = dt.datetime.now(dt.UTC)
        path = self.runs / f"{now:%Y%m%dT%H%M%S%f}Z-{name}.json"
        content = {"schema_version": 1, "run": name, "finished": now.isoformat(), **facts}
        state.write(path, json.dumps(content, default=str, ensure_ascii=False).encode() + b"\n")
        return path
