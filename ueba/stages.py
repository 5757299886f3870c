"""The stages of a night on a workspace. A stage reads the result of the one before it, and stores its own.

`nightly` calls them in order, the command line one at a time. Leaves out ingest (`ueba.ingest`) and the graph
(`ueba.graph`).
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ueba import files, findings, scores, suspects
from ueba.config import Config
from ueba.contracts.report import IngestReport
from ueba.contracts.suspect import Review
from ueba.detect.day import Past, score_day
from ueba.detect.past import walk
from ueba.detect.score import inspection, train
from ueba.detect.score.train import Trained
from ueba.errors import WorkspaceError
from ueba.findings import Findings
from ueba.ingest import IngestOptions, Options, ingest, ingest_all, lake
from ueba.ingest.identity import entities
from ueba.ingest.reading.feed import Progress as FileProgress
from ueba.investigate.entity import EntityContext
from ueba.investigate.explain import day as explaining
from ueba.investigate.explain import kept
from ueba.memory import Memory
from ueba.progress import Progress, quiet
from ueba.workspace import Workspace


def read(
    memory: Memory,
    paths: Sequence[str],
    log_format: str,
    log: Options | None = None,
    progress: Callable[[str], FileProgress] | None = None,
    notify: Callable[[str], None] = lambda message: None,
) -> list[IngestReport]:
    """Read log files, folders and archives into the lake. The report of a file that cannot be read says why.

    log: options for reading the log; by default those of the configuration"""
    config = memory.config
    options = IngestOptions(log or log_options(config), config.ingest.memory_limit, limits=config.ingest)
    return ingest_all(paths, log_format, memory.workspace.lake, options, progress, notify)


def log_options(config: Config) -> Options:
    """What the configuration says about logs."""
    return Options(epoch=files.utc(config.ingest.epoch))


def learn(memory: Memory, until: dt.date, progress: Progress = quiet) -> Trained:
    """Train on the lake's days up to one, and store the model, the history and the reviews of days that were
    never scored. Raises WorkspaceError if the lake has too few days."""
    root = memory.workspace.lake
    trained = train.train(root, until, memory.config, progress, memory.lessons)
    for day, found in trained.suspects.items():
        review = Review(day, until, tuple(walk.batches_of(root, day)), found)
        suspects.save(review, memory.workspace.findings)
    memory.replace_model(trained.detector, trained.history)
    return trained


def score(memory: Memory, day: dt.date) -> Findings:
    """Score a day of the lake with the memory before it, and store its findings and explanations. Raises
    WorkspaceError if the day has no edges or the model may not score it."""
    model, past = memory.model_for(day), memory.past(day)
    edges = walk.day_edges(memory.workspace.lake, past.history, day, memory.config.ingest.memory_limit)
    if not len(edges.table):
        raise WorkspaceError(f"no edges on {day}; `ueba ingest` its logs first")
    found, _ = score_day(model, past, edges, memory.config.incidents)
    scores.save(found.scores, memory.workspace.findings, day, memory.config.incidents.scores_days)
    findings.save(found, memory.workspace.findings)
    kept.save(explaining.explain(model, past.history, edges, found), memory.workspace.findings, day)
    return found


def score_file(memory: Memory, path: str, log_format: str) -> Iterator[Findings]:
    """Score all edges of a log file, a day at a time, with the memory before that day. Stores nothing."""
    with tempfile.TemporaryDirectory() as folder:
        aside, memory_limit = Workspace(Path(folder)), memory.config.ingest.memory_limit
        options = IngestOptions(
            log_options(memory.config), memory_limit, memory.workspace.lake, memory.config.ingest
        )
        ingest(path, log_format, aside.lake, options)
        for day in lake.days(aside.lake):
            past: Past = memory.past(day)
            edges = walk.day_edges(aside.lake, past.history, day, memory_limit)
            everything = replace(memory.config.incidents, candidates=len(edges.table))
            found, _ = score_day(memory.model, past, edges, everything)
            yield found


def inspect(
    memory: Memory, first: dt.date | None, last: dt.date | None, progress: Progress = quiet
) -> inspection.Inspection:
    """Check the model's p-values on days that it did not train on, see `inspection.days_to_inspect`. Raises
    WorkspaceError if there is no such day."""
    model, config, root = memory.model, memory.config, memory.workspace.lake
    days, how = inspection.days_to_inspect(lake.days(root), model, first, last)
    history = memory.history_before(days[0])
    walked = walk.walk(root, history, days[0], days[-1], config.ingest.memory_limit, memory.lessons)
    edges = inspection.score_again(model, days, history, walked, progress)
    return inspection.inspect(edges, how, config, model.facts.least_score(config.incidents.budget))


def entity_context(memory: Memory, day: dt.date | None = None) -> EntityContext:
    """The memory of entities before a day, by default the day after the last one of the lake. Includes the
    model only if it may score that day. Raises WorkspaceError if the lake is empty."""
    day = day or memory.last_day() + dt.timedelta(days=1)
    model = memory.model if memory.can_score(day) else None
    return EntityContext(memory.history_before(day), day, model, entities.read(memory.workspace.lake))
