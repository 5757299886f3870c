"""The steps of the road on a workspace: each reads what the one before it kept, and keeps its own.

`nightly` calls them in order, the command line one at a time. Leaves out the graph; that is `ueba.graph`.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ueba.config import Config
from ueba.detect import archive, detector, feedback, findings, hiding, inspection, rules
from ueba.detect.detector import Detector, Progress, quiet
from ueba.detect.feedback import Verdict
from ueba.detect.history import EdgeBatch, History, date_of
from ueba.errors import UsageError, WorkspaceError
from ueba.ingest import IngestReport, ingest, ingest_all, lake
from ueba.investigate import explain
from ueba.investigate.entity import Known
from ueba.workspace import Workspace


def read(workspace: Workspace, path: str, log_format: str, config: Config, **options: Any) -> IngestReport:
    """One log file into the lake. Raises InputError where it cannot be read."""
    return ingest(path, log_format, workspace.lake, **{**_how(config), **options})


def read_all(
    workspace: Workspace, given: Sequence[str], log_format: str, config: Config, **options: Any
) -> list[IngestReport]:
    """Log files, folders and archives into the lake. A file that cannot be read has a report that says
    why."""
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
        batch
        for each in lake.days(workspace.lake)
        if start <= each <= day
        for batch in detector.batches_of(workspace.lake, each)
    ]
    return bool(json.loads(kept.read_text())["batches"] == held)


def score_file(
    workspace: Workspace, path: str, log_format: str, config: Config
) -> Iterator[findings.Finding]:
    """Every edge of a log file, a day at a time, scored by what the lake knew before that day. Nothing is
    kept."""
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
    """Score a day's edges with what the lake knew before it. Returns with it what was known, and the edges
    as it knows them."""
    history = known_before(workspace, day, config)
    said = said_in(workspace)
    earlier = findings.evidence_before(workspace.findings, day, said)
    allowed = rules.installed(workspace.root)
    batch = history.encode(table)
    finding, _ = findings.find(model, history, day, batch, table, config, earlier, said, allowed)
    return finding, history, batch


def known_before(workspace: Workspace, day: dt.date, config: Config) -> History:
    """The history as of a day, carried on from the one kept."""
    said = said_in(workspace)
    return detector.history_before(
        workspace.lake,
        day,
        config,
        workspace.history,
        suspects_in(workspace, said),
        partial(feedback.fingerprint, said),
    )


def train(workspace: Workspace, until: dt.date, config: Config, progress: Progress = quiet) -> Detector:
    """Train on the lake's days up to one, and keep the model and the history."""
    said = said_in(workspace)
    model, history = detector.train(workspace.lake, until, config, progress, suspects_in(workspace, said))
    history.judged = feedback.fingerprint(said, date_of(history.last_day))
    model.save(workspace.model)
    history.save(workspace.history)
    return model


def inspect(
    workspace: Workspace,
    first: dt.date | None,
    last: dt.date | None,
    config: Config,
    progress: Progress = quiet,
) -> inspection.Inspection:
    """Whether the model's p-values keep their word, on days it did not train on; see
    `inspection.days_to_inspect`."""
    model = Detector.load(workspace.model)
    days, how = inspection.days_to_inspect(lake.days(workspace.lake), model, first, last)
    said = said_in(workspace)
    suspects, judged = suspects_in(workspace, said), partial(feedback.fingerprint, said)
    edges = inspection.score_again(
        workspace.lake, model, days, config, workspace.history, suspects, judged, progress
    )
    return inspection.inspect(edges, how, config, model.least_score(config.incidents.budget))


def known_of(workspace: Workspace, day: dt.date | None, config: Config) -> Known:
    """What is known of every entity before a day, by default after the last one learned, or the last of the
    lake if none was. The model is there only if it learned nothing from that day or later."""
    last = last_day(workspace)
    if day is None:
        learned = workspace.history / "history.json"
        day = (
            date_of(json.loads(learned.read_text())["last_day"]) if learned.exists() else last
        ) + dt.timedelta(days=1)
    model = Detector.load(workspace.model) if is_fit_for(workspace, day) else None
    return Known(known_before(workspace, day, config), day, model, lake.read_entities(workspace.lake))


def suspects_in(workspace: Workspace, said: Sequence[Verdict]) -> detector.Suspects:
    """What was strange on a scored day, and what was called true."""
    return lambda day: feedback.suspects(said, day, findings.suspects(workspace.findings, day))


def said_in(workspace: Workspace) -> list[Verdict]:
    """The last verdict on each incident."""
    return feedback.latest(feedback.read(workspace.root).verdicts)


def judge(
    workspace: Workspace,
    incident_id: str,
    verdict: str,
    reason: str,
    who: str,
    expires: dt.date | int | None = None,
) -> tuple[Verdict, bool]:
    """Keep what somebody says of an incident; expires: a day, or days from when it first counts. Returns the
    verdict, and whether it is news."""
    incident = archive.find_incident(workspace.findings, incident_id)
    day = dt.date.fromisoformat(incident["day"])
    since = today(workspace)
    if isinstance(expires, int):
        expires = since + dt.timedelta(days=expires)
    if verdict in ("true", "withdrawn"):
        if expires is not None:
            raise UsageError(
                f"a verdict {verdict!r} does not expire; leave --expires out, a later verdict takes its place"
            )
    else:
        expires = expires or since + dt.timedelta(days=feedback.EXPIRE_DAYS)
        if expires < since:
            raise UsageError(
                f"--expires {expires}: the first day it could count for is {since}; name a later day"
            )
    if verdict == "withdrawn" and incident["id"] not in feedback.words(workspace.root):
        raise UsageError(f"{incident['id']}: nothing was said that could be withdrawn; see `ueba triage log`")
    edges = findings.load_edges(workspace.findings, day)
    said = findings.verdict(
        edges[edges["incident"] == incident["id"]], incident, verdict, reason, who, since, expires
    )
    return said, feedback.add(workspace.root, said)


def knows(workspace: Workspace, day: dt.date) -> bool:
    """Whether there is a model that has learned from a day, as the lake held it then."""
    return workspace.model.exists() and not is_fit_for(workspace, day)


def verdict_log(workspace: Workspace) -> list[dict[str, Any]]:
    """Every verdict in the order they were given, as kept, with `state` and how many edges of days scored
    since it `changed`."""
    every = feedback.read(workspace.root).verdicts
    if not every:
        return []
    tables = [findings.load_edges(workspace.findings, day) for day in archive.scored_days(workspace.findings)]
    changed = Counter(verdict for edges in tables for some in edges["said_by"] for verdict in some)
    return [
        {
            **verdict.to_dict(),
            "state": feedback.state(verdict, every, today(workspace)),
            "changed": changed[verdict.id],
        }
        for verdict in every
    ]


def try_rules(
    workspace: Workspace, some: Sequence[rules.Rule], first: dt.date | None, last: dt.date | None
) -> hiding.DryRun:
    """What rules would have hidden of the scored days."""
    today(workspace)  # there are some
    return hiding.dry_run(workspace.findings, some, feedback.verdicts(workspace.root), first, last)


def install_rules(workspace: Workspace, text: str, some: Sequence[rules.Rule], who: str) -> None:
    """Put rules in force, for the days that were scored as well, and note who did it and which incidents
    that hid."""
    with workspace.locked():
        hidden = [incident["id"] for incident in try_rules(workspace, some, None, None).hidden]
        rules.install(workspace.root, text, who, dt.datetime.now(dt.UTC), hidden)
        hiding.hide_all(workspace.findings, some)


def today(workspace: Workspace) -> dt.date:
    """The day after the last one scored: today, by the clock of the logs."""
    return archive.last_scored(workspace.findings) + dt.timedelta(days=1)


def last_day(workspace: Workspace) -> dt.date:
    """The last day that has edges."""
    days = lake.days(workspace.lake)
    if not days:
        raise WorkspaceError(f"{workspace.lake}: no edges yet; `ueba ingest` a log file first")
    return days[-1]
