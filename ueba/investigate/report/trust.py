"""How far a scored day can be believed: its calibration, what was read of it, and its model."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ueba import findings, state, words
from ueba.config import Config
from ueba.contracts import night
from ueba.contracts.incident import ModelFacts
from ueba.contracts.manifest import ManifestFile
from ueba.contracts.night import NightRun
from ueba.contracts.reason import Unknown
from ueba.contracts.scored import edges as scored_edges_of
from ueba.detect.look.features import FEATURE_NAMES
from ueba.detect.past.history import date_of
from ueba.detect.score.detector import Detector
from ueba.ingest import lake, report, silence
from ueba.ingest.report import FormatTotals, ReasonTotals
from ueba.ingest.silence import Reporter
from ueba.investigate.report.days import DayNumbers
from ueba.workspace import Workspace

LEVELS = (0.01, 0.001, 0.0001)  # p-values up to which edges are counted
USUAL_DAYS = 14  # days before that say how many events are usual
RUN_REMEDY = "remove it: it is the record of one night, and nothing is made from it"
MUCH_LOST = 0.01  # more than this share of the records is said at the top


# --- calibration --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Count:
    """Edges up to a p-value: observed, and expected of normal days.

    at_least: whether there may have been more than observed"""

    observed: int
    expected: float
    at_least: bool


@dataclass(frozen=True)
class LevelFacts:
    """A p-value and its edges, on the last day and on all scored days that are in the lake."""

    level: float
    today: Count
    all: Count


@dataclass(frozen=True)
class HeldOutDay:
    """A day that calibrates the model in use, compared with the others of these days.

    shares: of its edges with p at most each of LEVELS"""

    day: dt.date
    edges: int
    shares: list[float]


def level_facts(
    level: float, trend: Sequence[DayNumbers], tables: Mapping[dt.date, pd.DataFrame], candidates: int
) -> LevelFacts:
    """Edges with p at most a level: observed and expected.

    candidates: the most edges that are kept of a day"""
    sized = [day for day in trend if day.edges]

    def count(days: Sequence[DayNumbers]) -> Count:
        return Count(
            observed=sum(int((tables[day.day]["p_value"] <= level).sum()) for day in days),
            expected=level * sum(day.edges or 0 for day in days),
            at_least=any(_is_cut(tables[day.day], candidates) for day in days),
        )

    return LevelFacts(level, count(sized[-1:] if trend[-1].edges else []), count(sized))


def _is_cut(table: pd.DataFrame, candidates: int) -> bool:
    """Whether edges with a small p-value may be missing from a day's table: only the strangest of a day are
    kept, and an edge that the model finds likely is not strange however small its p-value."""
    return len(table) >= candidates


def held_out(model: Detector) -> list[HeldOutDay]:
    """The days that the model is calibrated by, each judged by the others."""
    pool, days = model.calibration, []
    for number in np.unique(pool.day).tolist():
        others, chosen = pool.without(number), pool.day == number
        if len(others.day):
            p = others.p_values(pool.rank[chosen], pool.surprise[chosen])
            shares = [float((p <= level).mean()) for level in LEVELS]
            days.append(HeldOutDay(date_of(number), int(chosen.sum()), shares))
    return days


# --- ingest -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class IngestHealth:
    """What was read of a day. Counts of a file are of all its days.

    formats, reasons: totals of the files by log format, and why records were dropped or what was assumed
    files, lines:     files that hold events of the day, and their records
    events:           of the day; usual_events: median of the USUAL_DAYS before, None without any
    lost:             records of which an event was lost; much_lost: more than MUCH_LOST of them
    clock:            reason -> records, where a clock or time zone is in doubt
    reporters:        how many report; silent: those that stopped
    gaps:             (name, begin, end) that touch the day
    unread:           (file, problem) of the last nightly run of the day
    """

    formats: list[FormatTotals]
    reasons: list[ReasonTotals]
    files: int
    events: int
    usual_events: float | None
    lines: int
    lost: int
    much_lost: bool
    clock: list[tuple[str, int]]
    reporters: int
    silent: list[Reporter]
    gaps: list[tuple[str, str, str]]
    unread: list[tuple[str, str]]


def ingest_health(workspace: Workspace, day: dt.date, config: Config) -> IngestHealth:
    """What became of the files that hold events of a day, and who should have reported."""
    files = [live.file for live in lake.live_files(lake.manifests(workspace.lake))]
    reports = [file.report for file in files if day in file.spans]
    clock: Counter[str] = Counter()
    for ingested in reports:
        clock.update(ingested.clock)
    events, usual_events = _events(files, day)
    reporters = silence.reporters(workspace.lake, config.graph.window_days, workspace.memory_limit, until=day)
    lines = sum(ingested.lines for ingested in reports)
    lost = sum(sum(ingested.lost.values()) for ingested in reports)
    return IngestHealth(
        formats=report.by_format(reports),
        reasons=report.reasons(reports),
        files=len(reports),
        events=events,
        usual_events=usual_events,
        lines=lines,
        lost=lost,
        much_lost=lost > MUCH_LOST * lines,
        clock=clock.most_common(),
        reporters=len(reporters),
        silent=[reporter for reporter in reporters if reporter.is_silent],
        gaps=_gaps(reporters, files, day),
        unread=unread(workspace, day),
    )


def _events(files: Sequence[ManifestFile], day: dt.date) -> tuple[int, float | None]:
    """Events of a day, and the median of the days with events before it."""
    events: Counter[dt.date] = Counter()
    for file in files:
        events.update({on: span.events for on, span in file.spans.items()})
    before = [events[day - dt.timedelta(days=back)] for back in range(1, USUAL_DAYS + 1)]
    busy = [count for count in before if count]
    return events[day], float(np.median(busy)) if busy else None


def _gaps(
    reporters: Sequence[Reporter], files: Sequence[ManifestFile], day: dt.date
) -> list[tuple[str, str, str]]:
    """Gaps of reporters and files that touch a day: name, begin and end."""
    gaps = {(reporter.name, *gap) for reporter in reporters for gap in reporter.gaps}
    gaps |= {(Path(file.report.file).name, *gap) for file in files for gap in file.report.gaps}
    return [
        (name, _minute(begin), _minute(end))
        for name, begin, end in sorted(gaps)
        if begin.date() <= day <= end.date()
    ]


def unread(workspace: Workspace, day: dt.date) -> list[tuple[str, str]]:
    """Files that the last nightly run of a day could not read, and why."""
    found = nightly_run(workspace, day)
    return [(file.file, file.problem) for file in found[1].ingested if file.problem] if found else []


def nightly_run(workspace: Workspace, day: dt.date) -> tuple[str, NightRun] | None:
    """The id and the record of the last nightly run of a day. Raises WorkspaceError if a record is
    damaged."""
    return next((found for found in nightly_runs(workspace) if found[1].day == day), None)


def nightly_runs(workspace: Workspace) -> Iterator[tuple[str, NightRun]]:
    """The ids and the records of nightly runs, the last one first."""
    for path in sorted(workspace.runs.glob("*-nightly.json"), reverse=True):
        data = state.content(path, RUN_REMEDY)
        with state.reading(path, RUN_REMEDY):
            run = night.from_json(data)
        yield path.stem, run


# --- model --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelView:
    """The model behind a day.

    used:        the model that scored the day; None if that is unknown
    usual_score: nats, from which incidents are reported on a usual day
    age:         days from the end of its training to the day
    in_use:      until when the model learned that is in use now
    run, seconds: id of the day's nightly run, and the seconds of its stages
    backoffs:    sentences about the entities of incidents that have no history
    """

    used: ModelFacts | None
    usual_score: float | None
    age: int | None
    in_use: dt.date | None
    features: int
    budget: int
    candidates: int
    run: str | None
    seconds: dict[str, float] | None
    backoffs: list[str]


def model_view(
    workspace: Workspace, day: dt.date, found: findings.Findings, model: Detector | None, config: Config
) -> ModelView:
    """The model that scored a day, as its incidents record it. Without incidents, the model in use, unless it
    has learned from the day."""
    in_use = model.facts if model else None
    used = found.incidents[0].model if found.incidents else None
    if used is None and in_use and in_use.learned_before(day):
        used = in_use
    reported = scored_edges_of(found.edges[found.edges["incident"].notna()])
    unknown = (reason for edge in reported for reason in edge.reasons if isinstance(reason, Unknown))
    name, run = nightly_run(workspace, day) or (None, None)
    return ModelView(
        used=used,
        usual_score=used.least_score(config.incidents.budget) if used else None,
        age=(day - used.trained_until).days if used else None,
        in_use=in_use.trained_until if in_use else None,
        features=len(FEATURE_NAMES),
        budget=config.incidents.budget,
        candidates=config.incidents.candidates,
        run=name,
        seconds=run.seconds if run else None,
        backoffs=sorted({words.sentence(reason) for reason in unknown}),
    )


def _minute(time: dt.datetime) -> str:
    """A time without its seconds."""
    return f"{time:%Y-%m-%d %H:%M}"
