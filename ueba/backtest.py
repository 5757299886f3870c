"""A walk forward through past days: every day is scored with what was known before it, and then learned.

A backtest uses no entity of the future, no threshold from the tested days and no label. The strangest edges
of a scored day stay out of training, as they would in service. The tables that it writes are read by other
programs, so their columns stay:

    edges.parquet      day, user, source, target, surprise, p_value, incident (null if in none); at least the
                       LEAST_CANDIDATES strangest edges of a day
    incidents.parquet  day, incident, rank, score, users, machines
    cases.parquet      incident, case
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from ueba import files
from ueba.config import Config
from ueba.contracts import scored
from ueba.contracts.case import Case
from ueba.contracts.incident import Incident
from ueba.contracts.verdict import Verdict
from ueba.detect import cases
from ueba.detect.day import Past, score_day
from ueba.detect.past import lessons, walk
from ueba.detect.past.history import day_number
from ueba.detect.past.lessons import Exclusions, Lessons
from ueba.detect.score import carryover, train
from ueba.detect.score.detector import Detector
from ueba.errors import UsageError, WorkspaceError
from ueba.findings import Findings
from ueba.ingest import lake
from ueba.ingest.identity import entities
from ueba.progress import Clock, Progress, quiet

LEAST_CANDIDATES = 400  # edges a day that are written
EDGE_SCHEMA = pa.schema(
    [
        scored.SCHEMA.field(name)
        for name in ("day", "user", "source", "target", "surprise", "p_value", "incident")
    ]
)
INCIDENT_SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("incident", pa.string()),
        ("rank", pa.int64()),
        ("score", pa.float64()),
        ("users", pa.list_(pa.string())),
        ("machines", pa.list_(pa.string())),
    ]
)
CASE_SCHEMA = pa.schema([("incident", pa.string()), ("case", pa.string())])
Analyst = Callable[[Findings], Sequence[Verdict]]


def nobody(found: Findings) -> Sequence[Verdict]:
    """An analyst who enters no verdict."""
    return ()


@dataclass(frozen=True)
class Plan:
    """The days of a backtest: train up to `train_until`, score `first` to `last`, both included, and train
    again every `retrain_days` days."""

    train_until: dt.date
    first: dt.date
    last: dt.date
    retrain_days: int = 7

    def days(self, root: Path) -> list[dt.date]:
        """The days of the lake to score. Raises UsageError if the days of the plan are out of order,
        WorkspaceError if the lake has no day to score."""
        if not self.train_until < self.first <= self.last:
            raise UsageError("--train-until must lie before --from, and --from not after --to")
        lake_days = lake.days(root)
        days = [day for day in lake_days if self.first <= day <= self.last]
        if not days:
            span = (
                files.days_text(lake_days[0], lake_days[-1])
                if lake_days
                else "none; `ueba ingest` comes first"
            )
            raise WorkspaceError(
                f"{root}: no edges from {self.first} to {self.last}; days in the lake: {span}"
            )
        return days


@dataclass(frozen=True)
class Backtest:
    """What a backtest found.

    findings:  of every scored day, in order
    seconds:   time taken, by stage
    trainings: the last day that was learned in every training
    """

    findings: list[Findings]
    seconds: dict[str, float]
    trainings: list[dt.date]

    @property
    def incidents(self) -> list[Incident]:
        return [incident for found in self.findings for incident in found.incidents]

    @property
    def cases(self) -> tuple[Case, ...]:
        """By the time of their earliest incident."""
        steps = [scored.steps(scored.to_arrow(found.edges)) for found in self.findings]
        return cases.cases(self.incidents, {name: of for day in steps for name, of in day.items()})


def backtest(
    root: Path, plan: Plan, config: Config, progress: Progress = quiet, analyst: Analyst = nobody
) -> Backtest:
    """Score the days of a plan. After every day the analyst sees its findings and may enter verdicts, which
    count from the next day on.

    Raises UsageError or WorkspaceError as `Plan.days` does."""
    days = plan.days(root)
    config = _with_candidates(config)
    clock, trainings = Clock(), list[dt.date]()
    strange: dict[dt.date, Exclusions] = {}
    found: list[Findings] = []
    verdicts: list[Verdict] = []
    learning = Lessons(lambda day: strange.get(day, {}), verdicts, lambda day: day not in strange)
    standings = entities.standings(root)

    def learn(until: dt.date) -> Detector:
        trainings.append(until)
        with clock.stage("train"):
            trained = train.train(root, until, config, progress, learning)
        strange.update({day: lessons.of_review(found) for day, found in trained.suspects.items()})
        return trained.detector

    model, trained_for = learn(plan.train_until), plan.first
    with clock.stage("score"):
        history = walk.history_before(root, plan.first, config, learning=learning)
    days_of_lake = walk.walk(root, history, plan.first, plan.last, config.ingest.memory_limit, learning)
    for edges in days_of_lake:
        if (edges.day - trained_for).days >= plan.retrain_days:
            model, trained_for = learn(edges.day - dt.timedelta(days=1)), edges.day
        with clock.stage("score"):
            past = Past(history, _excess(found, verdicts), tuple(verdicts), standings=standings)
            today, surprise = score_day(model, past, edges, config.incidents)
            verdicts += analyst(today)
            strange[edges.day] = lessons.strange_edges(today.edges)
            normal = lessons.not_attacks(edges.table, learning.excluded(edges.day))
            encoded = edges.encoded.take(normal)
            model = model.recalibrated(history, encoded, day_number(edges.day), surprise[normal])
        found.append(replace(today, scores=None))  # of all edges, which nobody asks for here
        progress("score", len(found), len(days))
    return Backtest(found, clock.seconds, trainings)


def _with_candidates(config: Config) -> Config:
    candidates = max(config.incidents.candidates, LEAST_CANDIDATES)
    return replace(config, incidents=replace(config.incidents, candidates=candidates))


def _excess(found: Sequence[Findings], verdicts: Sequence[Verdict]) -> carryover.Excess:
    """The excess that the days scored so far leave to later days, see `carryover`."""
    return [
        (past.day, carryover.excess_of(past.edges, lessons.cleared(verdicts, past.day)))
        for past in found[-carryover.DAYS :]
    ]


def write(result: Backtest, folder: Path) -> None:
    """Write the tables into a folder; columns as in the table of this module."""
    edges = scored.concatenated([found.edges for found in result.findings])[EDGE_SCHEMA.names]
    files.write_parquet(
        folder / "edges.parquet", pa.Table.from_pandas(edges, EDGE_SCHEMA, preserve_index=False)
    )
    rows = [
        (incident.day, incident.id, incident.rank, incident.score, incident.users, incident.machines)
        for incident in result.incidents
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in INCIDENT_SCHEMA]
    files.write_parquet(folder / "incidents.parquet", pa.table(columns, INCIDENT_SCHEMA))
    pairs = [(incident, case.id) for case in result.cases for incident in case.incidents]
    in_cases = [list(column) for column in zip(*pairs, strict=True)] or [[], []]
    files.write_parquet(folder / "cases.parquet", pa.table(in_cases, CASE_SCHEMA))
