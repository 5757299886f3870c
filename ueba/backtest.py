"""A walk forward through the past: each day is scored with what was known before it, and only then learned
from.

No node list from the future, no threshold from the tested days, no label. The strangest edges of a scored
day stay out of training, as they would in service. Writes what others compute on; these columns stay:

    edges.parquet      day, user, source, target, surprise, p_value, incident (null where none): at least the 400 strangest a day
    incidents.parquet  day, incident, rank, score, users, machines
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ueba.config import Config
from ueba.detect import detector, feedback, findings, persistence
from ueba.detect.detector import Progress, quiet
from ueba.detect.feedback import Verdict
from ueba.detect.history import day_number
from ueba.errors import UsageError, WorkspaceError
from ueba.ingest import lake

LEAST_EDGES = 400
Analyst = Callable[[findings.Finding], Sequence[Verdict]]
INCIDENT_COLUMNS = ["day", "id", "rank", "score", "users", "machines"]


def nobody(finding: findings.Finding) -> Sequence[Verdict]:
    """Who looks at nothing."""
    return ()


@dataclass
class Backtest:
    """What a backtest did. seconds: by stage; trainings: the last day of each, ISO dates."""

    edges: pd.DataFrame
    incidents: pd.DataFrame
    seconds: dict[str, float]
    trainings: list[str]


def backtest(
    root: Path,
    train_until: dt.date,
    first: dt.date,
    last: dt.date,
    config: Config,
    retrain_days: int = 7,
    progress: Progress = quiet,
    analyst: Analyst = nobody,
) -> Backtest:
    """Score the lake's days from `first` to `last`, training anew every `retrain_days`. After each day the
    analyst is shown what was found, and may give verdicts on it, which count from the next day on.

    Raises UsageError for days out of order, WorkspaceError where the lake has none of them."""
    if not train_until < first <= last:
        raise UsageError("--train-until must lie before --from, and --from not after --to")
    days = [day for day in lake.days(root) if first <= day <= last]
    if not days:
        raise WorkspaceError(f"{root}: no edges from {first} to {last}; days held: {_span(lake.days(root))}")
    candidates = max(config.incidents.candidates, LEAST_EDGES)
    config = replace(config, incidents=replace(config.incidents, candidates=candidates))
    seconds = {"train": 0.0, "score": 0.0}
    told: dict[dt.date, dict[detector.Edge, float]] = {}
    result: list[findings.Finding] = []
    trainings: list[str] = []
    said: list[Verdict] = []

    def suspects(day: dt.date) -> Mapping[detector.Edge, float]:
        return feedback.suspects(said, day, told.get(day, {}))

    def train(until: dt.date) -> detector.Detector:
        began = time.perf_counter()
        trained, _ = detector.train(root, until, config, progress, suspects)
        seconds["train"] += time.perf_counter() - began
        trainings.append(until.isoformat())
        return trained

    model = train(train_until)
    trained_for = first
    history = detector.history_before(root, first, config, suspects=suspects)
    began = time.perf_counter()
    for done, (day, batch, table) in enumerate(detector.walk(root, history, first, last, suspects)):
        if (day - trained_for).days >= retrain_days:
            seconds["score"] += time.perf_counter() - began
            model, trained_for = train(day - dt.timedelta(days=1)), day
            began = time.perf_counter()
        recent = result[-persistence.DAYS :]
        evidence = [
            (past.day, findings.evidence(past.edges, feedback.cleared(said, past.day))) for past in recent
        ]
        finding, surprise = findings.find(model, history, day, batch, table, config, evidence, said)
        said += analyst(finding)
        told[day] = findings.suspicious(finding.edges)
        normal = detector.not_attacks(table, suspects(day))
        model = model.recalibrated(history, batch.take(normal), day_number(day), surprise[normal])
        result.append(finding)
        progress("score", done + 1, len(days))
    seconds["score"] += time.perf_counter() - began
    return Backtest(
        edges=pd.concat(
            [finding.edges[list(findings.EDGE_COLUMNS)] for finding in result], ignore_index=True
        ),
        incidents=pd.DataFrame(
            [incident for finding in result for incident in finding.incidents], columns=INCIDENT_COLUMNS
        ),
        seconds={stage: round(value, 2) for stage, value in seconds.items()},
        trainings=trainings,
    )


def write(result: Backtest, folder: Path) -> None:
    """`edges.parquet` and `incidents.parquet`, see the module's table."""
    folder.mkdir(parents=True, exist_ok=True)
    edge_schema = pa.schema(
        [
            ("day", pa.date32()),
            ("user", pa.string()),
            ("source", pa.string()),
            ("target", pa.string()),
            ("surprise", pa.float64()),
            ("p_value", pa.float64()),
            ("incident", pa.string()),
        ]
    )
    pq.write_table(
        pa.Table.from_pandas(result.edges, edge_schema, preserve_index=False), folder / "edges.parquet"
    )
    incidents = pa.table(
        {
            "day": pa.array([dt.date.fromisoformat(day) for day in result.incidents["day"]], pa.date32()),
            "incident": pa.array(result.incidents["id"], pa.string()),
            "rank": pa.array(result.incidents["rank"], pa.int64()),
            "score": pa.array(result.incidents["score"], pa.float64()),
            "users": pa.array(result.incidents["users"], pa.list_(pa.string())),
            "machines": pa.array(result.incidents["machines"], pa.list_(pa.string())),
        }
    )
    pq.write_table(incidents, folder / "incidents.parquet")


def _span(days: list[dt.date]) -> str:
    return f"{days[0]} to {days[-1]}" if days else "none; `ueba ingest` comes first"
