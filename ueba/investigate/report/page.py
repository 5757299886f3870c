"""The page: its facts, and how `report.html` beside this file is filled with them.

Names from logs are shown and never obeyed: every string goes through `text.brief` and Jinja's escaping. The
same workspace gives the same bytes.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from ueba import __version__, findings, words
from ueba.config import Config
from ueba.contracts.incident import Incident
from ueba.contracts.newcomer import NewToday
from ueba.contracts.risk import KINDS, EntityRisk
from ueba.contracts.scored import edges as scored_edges_of
from ueba.detect.score.detector import Detector
from ueba.investigate import cases as casebook
from ueba.investigate import newcomers, periods
from ueba.investigate import risk as risks
from ueba.investigate.explain import kept
from ueba.investigate.report import cases, days, trust
from ueba.investigate.report.cases import CaseFacts
from ueba.investigate.report.days import DayNumbers, Recurring
from ueba.investigate.report.incidents import IncidentFacts, Mark, at, incident_facts, marks
from ueba.investigate.report.trust import HeldOutDay, IngestHealth, LevelFacts, ModelView
from ueba.text import brief, shortened
from ueba.triage import log
from ueba.triage.log import Log
from ueba.workspace import Workspace

SHOWN_NEW = 12  # newcomers that are not folded away
DAYS = 14  # scored days that a day is seen among
MOST_RISKS = 5  # users, and machines, that are shown with their risk


@dataclass(frozen=True)
class ReportFacts:
    """All that the page says.

    is_last:      whether no later day was scored
    trend:        the day, last, and the scored days before it; compared: a sentence on it
    hidden:       incidents that rules hide
    with_verdict, going_on: incidents that have a verdict, and that go on from the days before
    scale:        the highest score of the trend, where bars are full
    others:       strange edges in no incident
    risk:         the users, then the machines with the highest risk
    sparse:       how many days it comes from, if some do not count
    cases:        of several incidents, one of them of the day
    new_today:    the newcomers of the day; None if the lake holds the day no longer
    """

    day: dt.date
    is_last: bool
    version: str
    trend: list[DayNumbers]
    compared: str
    incidents: list[IncidentFacts]
    cases: list[CaseFacts]
    hidden: int
    others: list[Mark]
    risk: list[EntityRisk]
    sparse: str | None
    new_today: NewToday | None
    recurring: list[Recurring]
    levels: list[LevelFacts]
    held_out: list[HeldOutDay]
    ingest: IngestHealth
    model: ModelView

    @property
    def today(self) -> DayNumbers:
        return self.trend[-1]

    @property
    def with_verdict(self) -> int:
        return sum(bool(incident.verdict) for incident in self.incidents)

    @property
    def going_on(self) -> int:
        return sum(incident.goes_on for incident in self.incidents)

    @property
    def scale(self) -> float:
        return max(day.worst for day in self.trend) or 1


def page(workspace: Workspace, day: dt.date, config: Config) -> str:
    """The report of a scored day. Raises WorkspaceError if it was not scored."""
    findings.check_scored(workspace.findings, day)
    return render(facts(workspace, day, config))


def render(report: ReportFacts) -> str:
    """The page. A string is markup only if it is a Markup."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            brief(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
    environment.filters |= {
        "once_in": words.once_in,
        "how_often": words.how_often,
        "p_value": words.p_value,
        "sentence": words.sentence,
        "of_a_day": risks.sentence,
        "shortened": shortened,
        "at": at,
        "as_row": newcomers.as_row,
        "who_is_new": newcomers.sentence,
    }
    derived = {name: getattr(report, name) for name in ("today", "with_verdict", "going_on", "scale")}
    derived["shown_new"] = SHOWN_NEW
    return environment.get_template("report.html").render(vars(report) | derived)


def facts(workspace: Workspace, day: dt.date, config: Config) -> ReportFacts:
    """What is stored of a day and of the scored days before it."""
    chosen = [scored for scored in findings.scored_days(workspace.findings) if scored <= day][-DAYS:]
    verdicts = log.read(workspace.root)
    found = {scored: findings.load(workspace.findings, scored) for scored in chosen}
    reported = {scored: of_day.reported(verdicts.words) for scored, of_day in found.items()}
    tables = {scored: of_day.edges for scored, of_day in reported.items()}
    sizes = days.scored_edges(workspace, chosen[0], day)
    trend = [
        days.numbers(scored, of_day.edges, of_day.incidents, sizes) for scored, of_day in reported.items()
    ]
    standings = risks.standings(workspace, day, verdicts.latest)
    model = Detector.load(workspace.model) if workspace.model.exists() else None
    return ReportFacts(
        day=day,
        is_last=day == findings.last_scored(workspace.findings),
        version=__version__,
        trend=trend,
        compared=days.compared(trend),
        incidents=_incidents(workspace, reported[day], verdicts),
        cases=cases.of_day(casebook.read(workspace, verdicts.words), day, workspace.findings),
        hidden=len(found[day].incidents) - len(reported[day].incidents),
        others=_in_no_incident(tables[day]),
        risk=[
            row
            for kind in KINDS
            for row in risks.described(workspace, standings, kind, MOST_RISKS, verdicts.words)
        ],
        sparse=risks.sparse(standings),
        new_today=newcomers.new_today(workspace, day) if day in sizes else None,
        recurring=days.recurring(tables),
        levels=[
            trust.level_facts(level, trend, tables, config.incidents.candidates) for level in trust.LEVELS
        ],
        held_out=trust.held_out(model) if model else [],
        ingest=trust.ingest_health(workspace, day, config),
        model=trust.model_view(workspace, day, reported[day], model, config),
    )


def _incidents(workspace: Workspace, found: findings.Findings, verdicts: Log) -> list[IncidentFacts]:
    explained = kept.load(workspace.findings, found.day)
    often = periods.of_incidents(workspace.findings, verdicts.words, found.incidents)

    def of(incident: Incident) -> IncidentFacts:
        verdict, edges = verdicts.by_incident.get(incident.id), found.edges_of(incident)
        return incident_facts(incident, edges, verdict, often[incident.id], explained.get(incident.id, ()))

    return [of(incident) for incident in found.incidents]


def _in_no_incident(edges: pd.DataFrame) -> list[Mark]:
    """The strange edges of a day that are in no incident."""
    return marks(scored_edges_of(edges[edges["incident"].isna() & (edges["p_value"] <= days.STRANGE_P)]))
