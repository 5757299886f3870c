"""The steps of the road on a workspace: each reads what the one before it kept, and keeps its own.

`nightly` calls them in order, the command line one at a time. Leaves out the graph; that is `ueba.graph`.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ueba.config import Config
from ueba.detect import detector, findings, inspection
from ueba.detect.detector import Detector, Progress, quiet
from ueba.detect.history import EdgeBatch, History, date_of
from ueba.errors import WorkspaceError
from ueba.ingest import IngestReport, ingest, ingest_all, lake
from ueba.investigate import explain
from ueba.investigate.entity import Known
from ueba.workspace import Workspace


def read(workspace: Workspace, path: str, log_format: str, config: Config, **options: Any) -> IngestReport:
    """One log file into the lake. Raises InputError where it cannot be read."""
    return ingest(path, log_format, workspace.lake, **{**_how(config), **options})


def read_all(workspace: Workspace, given: Sequence[str], log_format: str, config: Config, **options: Any) -> list[IngestReport]:
    """Log files, folders and archives into the lake. A file that cannot be read has a report that says why."""
    return ingest_all(given, log_format, workspace.lake, **{**_how(config), **options})


def _how(config: Config) -> dict[str, Any]:
    epoch = dt.datetime.fromisoformat(config.ingest.epoch).replace(tzinfo=None)
    return {"epoch": epoch, "memory_limit": config.ingest.memory_limit}


def score(workspace: Workspace, day: dt.date, config: Config) -> findings.Finding:
    """Score a day of the lake with what was known before it, and keep what was found."""
    model = Detector.load(workspace.model)
    if not model.learned_before(day):
        raise WorkspaceError(
            f"the model has learned from days up to {model.facts['trained_until']}, so {day} would be scored by what came"
            f" after it; `ueba train --until` an earlier day, or `ueba backtest`"
        )
    table = lake.read_pairs(workspace.lake, day, day)
    if not len(table):
        raise WorkspaceError(f"no edges on {day}; `ueba ingest` its logs first")
    finding, history, batch = score_edges(workspace, model, day, table, config)
    findings.save(finding, workspace.findings)
    explain.save(explain.facts(model, history, batch, table, finding), workspace.findings, day)
    return finding


def is_fit_for(workspace: Workspace, day: dt.date) -> bool:
    """Whether there is a model that may score a day."""
    return workspace.model.exists() and Detector.load(workspace.model).learned_before(day)


def has_learned(workspace: Workspace, day: dt.date, config: Config) -> bool:
    """Whether the model and the history kept are of the days up to one, as the lake holds them now."""
    kept = workspace.history / "history.json"
    if not kept.exists() or is_fit_for(workspace, day):
        return False
    start = detector.window_start(day + dt.timedelta(days=1), config)
    held = [
        batch for each in lake.days(workspace.lake) if start <= each <= day for batch in detector.batches_of(workspace.lake, each)
    ]
    return bool(json.loads(kept.read_text())["batches"] == held)


def score_file(workspace: Workspace, path: str, log_format: str, config: Config) -> Iterator[findings.Finding]:
    """Every edge of a log file, a day at a time, scored by what the lake knew before that day. Nothing is kept."""
    model = Detector.load(workspace.model)
    with tempfile.TemporaryDirectory() as folder:
        aside = Workspace(Path(folder))
        read(aside, path, log_format, config, known=workspace.lake)
        for day in lake.days(aside.lake):
            table = lake.read_pairs(aside.lake, day, day)
            everything = replace(config, incidents=replace(config.incidents, candidates=len(table)))
            finding, *_ = score_edges(workspace, model, day, table, everything)
            yield finding


def score_edges(
    workspace: Workspace, model: Detector, day: dt.date, table: pa.Table, config: Config
) -> tuple[findings.Finding, History, EdgeBatch]:
    """Score a day's edges with what the lake knew before it. Returns with it what was known, and the edges as it knows them."""
    history = known_before(workspace, day, config)
    earlier = findings.evidence_before(workspace.findings, day)
    batch = history.encode(table)
    finding, _ = findings.find(model, history, day, batch, table, config, earlier)
    return finding, history, batch


def known_before(workspace: Workspace, day: dt.date, config: Config) -> History:
    """The history as of a day, carried on from the one kept."""
    return detector.history_before(workspace.lake, day, config, workspace.history, suspects_in(workspace))


def train(workspace: Workspace, until: dt.date, config: Config, progress: Progress = quiet) -> Detector:
    """Train on the lake's days up to one, and keep the model and the history."""
    model, history = detector.train(workspace.lake, until, config, progress, suspects_in(workspace))
    model.save(workspace.model)
    history.save(workspace.history)
    return model


def inspect(
    workspace: Workspace, first: dt.date | None, last: dt.date | None, config: Config, progress: Progress = quiet
) -> inspection.Inspection:
    """Whether the model's p-values keep their word, on days it did not train on; see `inspection.days_to_inspect`."""
    model = Detector.load(workspace.model)
    days, how = inspection.days_to_inspect(lake.days(workspace.lake), model, first, last)
    suspects = suspects_in(workspace)
    edges = inspection.score_again(workspace.lake, model, days, config, workspace.history, suspects, progress)
    return inspection.inspect(edges, how, config, model.least_score(config.incidents.budget))


def known_of(workspace: Workspace, day: dt.date | None, config: Config) -> Known:
    """What is known of every entity before a day, by default after the last one learned, or the last of the lake if none was.
    The model is there only if it learned nothing from that day or later."""
    last = last_day(workspace)
    if day is None:
        learned = workspace.history / "history.json"
        day = (date_of(json.loads(learned.read_text())["last_day"]) if learned.exists() else last) + dt.timedelta(days=1)
    model = Detector.load(workspace.model) if is_fit_for(workspace, day) else None
    return Known(known_before(workspace, day, config), day, model, lake.read_entities(workspace.lake))


def suspects_in(workspace: Workspace) -> detector.Suspects:
    """What was strange on a scored day."""
    return lambda day: findings.suspects(workspace.findings, day)


def last_day(workspace: Workspace) -> dt.date:
    """The last day that has edges."""
    days = lake.days(workspace.lake)
    if not days:
        raise WorkspaceError(f"{workspace.lake}: no edges yet; `ueba ingest` a log file first")
    return days[-1]
