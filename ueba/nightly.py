"""The story of a night: what arrived is read, put into the graph, yesterday is scored, the model learns, and
says who is like whom.

In that order: a day is scored by what was known before it, and only then becomes part of what is known. Each
step is a function of its own, which the command line calls as well; running a night again changes nothing,
and a night that was cut off is finished by running it again.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ueba import graph, ontology, stages
from ueba.config import Config
from ueba.detect import archive, feedback, findings
from ueba.detect.detector import Progress, quiet
from ueba.ingest import IngestReport
from ueba.workspace import Workspace

T = TypeVar("T")


def nightly(
    workspace: Workspace,
    arrived: Sequence[str],
    log_format: str,
    config: Config,
    environment: Mapping[str, str],
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Ingest what arrived, load it, score the last day, train, say who is like whom.

    Returns the facts of the run, which are also kept in `runs/`."""
    seconds: dict[str, float] = {}
    with workspace.locked(), graph.connect(workspace, config, environment) as store:
        reports = timed(seconds, "ingest", lambda: stages.read_all(workspace, arrived, log_format, config))
        yesterday = stages.last_day(workspace)
        recent = yesterday - dt.timedelta(days=config.graph.window_days)
        loaded = timed(seconds, "load", lambda: graph.load(store, workspace, recent, yesterday, progress))
        if is_news(workspace, yesterday, reports, config):
            if not stages.is_fit_for(
                workspace, yesterday
            ):  # the first night, or late data for a day already learned
                before = yesterday - dt.timedelta(days=1)
                timed(seconds, "train before", lambda: stages.train(workspace, before, config, progress))
            finding = timed(seconds, "score", lambda: stages.score(workspace, yesterday, config))
            timed(seconds, "train", lambda: stages.train(workspace, yesterday, config, progress))
            timed(
                seconds, "write", lambda: graph.write_findings(store, finding, feedback.words(workspace.root))
            )
        else:  # loading the day has written it
            finding = findings.load(workspace.findings, yesterday)
        pruned = timed(seconds, "prune", lambda: store.prune(ontology.SCHEMA, "day", recent.isoformat()))
        known = stages.known_of(workspace, None, config)
        peers = timed(seconds, "peers", lambda: graph.write_peers(store, known, progress))
    facts = {
        "day": yesterday.isoformat(),
        "ingested": [report.to_dict() for report in reports],
        "loaded": loaded,
        "pruned": pruned,
        "peers": peers,
        "incidents": finding.incidents,
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
    }
    workspace.record_run("nightly", facts)
    return facts


def is_news(workspace: Workspace, day: dt.date, reports: Sequence[IngestReport], config: Config) -> bool:
    """Whether a day was not scored yet, or something was read since it was learned."""
    learned = day in archive.scored_days(workspace.findings) and stages.has_learned(workspace, day, config)
    return not learned or any(not report.already_ingested and not report.problem for report in reports)


def timed(seconds: dict[str, float], stage: str, work: Callable[[], T]) -> T:
    """Run one stage and note how long it took."""
    began = time.perf_counter()
    result = work()
    seconds[stage] = time.perf_counter() - began
    return result
