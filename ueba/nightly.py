"""A night: new log files are read and loaded into the graph, the last day is scored, the model learns it.

The order matters: a day is scored by the history before it, and learned afterwards. Every stage is a function
that the command line calls as well. Running a night again changes nothing, and completes a night that was
interrupted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from ueba import findings, graph, stages
from ueba.config import Config
from ueba.contracts.night import Night
from ueba.contracts.report import IngestReport
from ueba.detect.score.review import Suspects
from ueba.errors import InputError
from ueba.ingest import lake
from ueba.investigate import cases
from ueba.memory import Memory
from ueba.progress import Clock, Progress, quiet
from ueba.workspace import Workspace


def nightly(
    workspace: Workspace,
    arrived: Sequence[str],
    log_format: str,
    config: Config,
    environment: Mapping[str, str],
    progress: Progress = quiet,
) -> Night:
    """Ingest the files that arrived, load them into the graph, score the last day, train, update the graph.
    The night is recorded in `runs/`."""
    memory, clock = Memory(workspace, config), Clock()
    reviewed: Suspects = {}
    with workspace.locked(), graph.connect(workspace, config, environment) as store:
        with clock.stage("ingest"):
            reports = stages.read(memory, arrived, log_format)
        day = last_day(memory, reports)
        oldest = day - dt.timedelta(days=config.graph.window_days)
        with clock.stage("load"):
            loaded = graph.load(store, memory, oldest, day, progress)
        if is_news(memory, day, reports):
            if not memory.can_score(day):  # the first night, or late data for a day already learned
                with clock.stage("train before"):
                    reviewed |= stages.learn(memory, day - dt.timedelta(days=1), progress).suspects
            with clock.stage("score"):
                found = stages.score(memory, day)
            with clock.stage("train"):
                reviewed |= stages.learn(memory, day, progress).suspects
            with clock.stage("write"):
                graph.write_scored_day(store, workspace, found, memory.verdict_log.words)
                graph.write_risk(store, workspace, memory.verdicts)
                graph.write_cases(store, cases.read(workspace, memory.verdict_log.words), workspace.findings)
        with clock.stage("prune"):
            pruned = graph.prune(store, oldest)
        with clock.stage("similar"):
            similar = graph.write_similar(store, stages.entity_context(memory), progress)
    incidents = findings.load_incidents(workspace.findings, day, day)
    night = Night(day, tuple(reports), loaded, pruned, similar, incidents, clock.seconds, tuple(reviewed))
    workspace.record_run("nightly", night.to_json())
    return night


def last_day(memory: Memory, reports: Sequence[IngestReport]) -> dt.date:
    """The last day of the lake. Raises InputError if the lake has none because no file could be read,
    WorkspaceError if it has none and there was no file."""
    problems = [report.problem for report in reports if report.problem]
    if problems and not lake.days(memory.workspace.lake):
        raise InputError("\n".join(problems))
    return memory.last_day()


def is_news(memory: Memory, day: dt.date, reports: Sequence[IngestReport]) -> bool:
    """Whether a day was not scored yet, or files were ingested since it was learned."""
    is_scored = day in findings.scored_days(memory.workspace.findings)
    brought = any(not report.already_ingested and not report.problem for report in reports)
    return brought or not (is_scored and memory.has_learned(day))
