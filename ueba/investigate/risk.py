"""The risk of users and machines: what was unusual about them over 30 days, beyond chance; older days count
less.

An edge is unusual by the nats by which -log of its p-value exceeds CHANCE_NATS, as of carry-over
(`ueba.detect.score.carryover`). A day's risk is the sum over the entity's edges without what chance brings to
so many edges: where p-values are even, an edge has on average exp(-CHANCE_NATS) nats with a variance of twice
that, and the mean and two standard deviations are taken off. So an administrator with 500 edges is not on top
by their number. A day counts MOST_NATS at most, so that a month of small things can outrank one bad day, and
half after HALF_LIFE_DAYS: a week has each day of the week once, so that weekends move nobody. After
WINDOW_DAYS, when a twentieth would be left, it counts no more. This is the cumulative sum of Page (1954) with
fading, as carry-over is; docs/risk.md measures it beside simpler sums.

    user      the edges of the account
    machine   the edges from it and to it

Verdicts: benign and expected clear exactly their edges, from the incident's day to the day they expire, until
a true verdict on the same edge; edges that rules hide are cleared too. A day with an incident called true
counts in full for its users and the machines acted from. Takes the scores of all edges and the verdicts, not
the model. Leaves out resources, and what a day would add that was not scored.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ueba import findings, scores, words
from ueba.contracts import scored
from ueba.contracts.edge import Edge
from ueba.contracts.risk import KINDS, EntityRisk, RiskDay
from ueba.contracts.verdict import Verdict
from ueba.detect.past import lessons
from ueba.detect.score.carryover import CHANCE_NATS
from ueba.triage import rules
from ueba.workspace import Workspace

if TYPE_CHECKING:
    from ueba.contracts.scored import ScoredEdge

DAY = dt.timedelta(days=1)
WINDOW_DAYS = 30
HALF_LIFE_DAYS = 7.0
WEEK = dt.timedelta(days=7)  # before, to compare with
MOST_NATS = 20.0  # that a day adds
DEVIATIONS = 2.0  # of chance that are taken off with its mean
CHANCE_MEAN = math.exp(-CHANCE_NATS)  # nats of an edge, where p-values are even
LEAST = 0.05  # a smaller risk would be printed as 0.0
FEW_DAYS = 3  # that are named as reasons


class Unusual(NamedTuple):
    """An unusual edge. nats: beyond CHANCE_NATS"""

    edge: Edge
    nats: float
    incident: str | None


@dataclass(frozen=True)
class ScoredDay:
    """What a scored day adds, by kind of entity.

    unusual: its unusual edges, without those that were cleared
    edges:   how many edges each entity has, those with an unusual one
    nats:    what the day adds to each entity, before it fades
    attacks: the incident called true of each entity that has one
    """

    day: dt.date
    unusual: Sequence[Unusual]
    edges: Mapping[str, Mapping[str, int]]
    nats: Mapping[str, Mapping[str, float]]
    attacks: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Standings:
    """What the scored days up to a day add. days: in order, those of last week's window too"""

    day: dt.date
    days: Sequence[ScoredDay]

    @property
    def counted(self) -> int:
        """The scored days that count."""
        return sum(scored_day.day > self.day - WINDOW_DAYS * DAY for scored_day in self.days)

    def risks(self, kind: str, day: dt.date) -> dict[str, float]:
        """The risk of each entity of a kind as of a day."""
        total: dict[str, float] = defaultdict(float)
        for scored_day in self.days:
            for name, nats in scored_day.nats[kind].items():
                total[name] += nats * fading(scored_day.day, day)
        return total


def fading(day: dt.date, as_of: dt.date) -> float:
    """What is left of a day's risk as of a later day."""
    age_days = (as_of - day).days
    return 0.5 ** (age_days / HALF_LIFE_DAYS) if 0 <= age_days < WINDOW_DAYS else 0.0


def standings(workspace: Workspace, day: dt.date, verdicts: Sequence[Verdict]) -> Standings:
    """What the scored days up to one add. verdicts: the last on every incident. Raises WorkspaceError if the
    day was not scored, or scores are damaged."""
    folder = workspace.findings
    findings.check_scored(folder, day)
    first = day - WEEK - WINDOW_DAYS * DAY
    has_rules = bool(rules.installed(workspace.root))
    days = [scored_day for scored_day in scores.days(folder) if first < scored_day <= day]
    return Standings(day, [_scored_day(folder, scored_day, verdicts, has_rules) for scored_day in days])


def _scored_day(folder: Path, day: dt.date, verdicts: Sequence[Verdict], has_rules: bool) -> ScoredDay:
    hidden = _hidden(folder, day) if has_rules else set()
    return day_of(day, scores.load(folder, day), cleared(verdicts, day) | hidden, verdicts)


def _hidden(folder: Path, day: dt.date) -> set[Edge]:
    """The edges of a day that rules hide."""
    table = findings.load_edges(folder, day)
    return set(scored.identities(table[table["rule"].notna()]))


def cleared(verdicts: Iterable[Verdict], day: dt.date) -> set[Edge]:
    """The edges that verdicts clear on a day."""
    return {
        edge
        for edge, verdict in lessons.last_verdicts(verdicts, day).items()
        if verdict.verdict != "true" and (verdict.expires is None or day <= verdict.expires)
    }


# --- a day --------------------------------------------------------------------------------------------------


def day_of(day: dt.date, table: pa.Table, clear: Set[Edge], verdicts: Iterable[Verdict]) -> ScoredDay:
    """What a day adds. table: columns of `ueba.contracts.day_scores`; clear: edges that add nothing"""
    unusual = [found for found in _unusual(table) if found.edge not in clear]
    edges = {kind: _edges(table, kind) for kind in KINDS}
    nats = {kind: _nats(unusual, edges[kind], kind) for kind in KINDS}
    attacks = {kind: _attacks(verdicts, day, kind) for kind in KINDS}
    for kind in KINDS:  # a confirmed attack counts in full
        nats[kind] |= dict.fromkeys(attacks[kind], MOST_NATS)
    return ScoredDay(day, unusual, edges, nats, attacks)


def _unusual(table: pa.Table) -> Iterator[Unusual]:
    nats = -np.log(table["p_value"].to_numpy()) - CHANCE_NATS
    rows = np.flatnonzero(nats > 0)
    for row, excess in zip(table.take(rows).to_pylist(), nats[rows], strict=True):
        yield Unusual(Edge(*(row[name] for name in Edge._fields)), float(excess), row["incident"])


def ends(edge: Edge, kind: str) -> set[str]:
    """The entities of a kind that an edge is about."""
    if kind == "user":
        return {edge.user}
    machines = {edge.source, edge.target if edge.target_kind == "machine" else None}
    return {name for name in machines if name is not None}


def _edges(table: pa.Table, kind: str) -> Mapping[str, int]:
    """The number of edges of each entity."""
    if kind == "user":
        return _counted(table["user"])
    to_machines = table.filter(pc.equal(table["target_kind"].cast(pa.string()), "machine"))
    source, target = (to_machines[name].cast(pa.string()) for name in ("source", "target"))
    to_others = pc.fill_null(pc.not_equal(source, target), True)
    return _counted(table["source"]) + _counted(target.filter(to_others))


def _counted(names: pa.ChunkedArray) -> Counter[str]:
    found = pc.value_counts(names.cast(pa.string())).to_pylist()
    return Counter({row["values"]: row["counts"] for row in found if row["values"] is not None})


def _nats(unusual: Iterable[Unusual], edges: Mapping[str, int], kind: str) -> dict[str, float]:
    """What a day adds to each entity of a kind."""
    total: dict[str, float] = defaultdict(float)
    for found in unusual:
        for name in ends(found.edge, kind):
            total[name] += found.nats
    added = {name: beyond_chance(nats, edges[name]) for name, nats in total.items()}
    return {name: nats for name, nats in added.items() if nats > 0}


def beyond_chance(nats: float, edges: int) -> float:
    """The nats of so many edges, without what chance brings to them, 0 to MOST_NATS."""
    mean = edges * CHANCE_MEAN
    return min(max(nats - mean - DEVIATIONS * math.sqrt(2 * mean), 0.0), MOST_NATS)


def _attacks(verdicts: Iterable[Verdict], day: dt.date, kind: str) -> dict[str, str]:
    """The incident of a day that is called true, of each user and of each machine that was acted from."""
    return {
        name: verdict.incident
        for verdict in verdicts
        if verdict.verdict == "true" and verdict.day == day
        for row in verdict.edges
        if (name := row.edge.user if kind == "user" else row.edge.source) is not None
    }


# --- the list -----------------------------------------------------------------------------------------------


class Standing(NamedTuple):
    """An entity in the list. change: since a week before, None if there is nothing to compare with"""

    name: str
    risk: float
    change: float | None


def ranked(found: Standings, kind: str) -> list[Standing]:
    """The entities of a kind with a risk, the highest first."""
    now, before = found.risks(kind, found.day), found.risks(kind, found.day - WEEK)
    compares = any(scored_day.day <= found.day - WEEK for scored_day in found.days)
    rows = [
        Standing(name, round(risk, 1), round(risk - before.get(name, 0.0), 1) + 0.0 if compares else None)
        for name, risk in sorted(now.items(), key=lambda item: (-item[1], item[0]))
    ]
    return [row for row in rows if row.risk >= LEAST]


def described(
    workspace: Workspace, found: Standings, kind: str, most: int, words_of: Mapping[str, str]
) -> list[EntityRisk]:
    """The first entities of the list with their reasons. words_of: verdicts by incident"""
    book = _Book(workspace.findings)
    return [
        EntityRisk(
            kind=kind,
            name=row.name,
            day=found.day,
            rank=rank,
            risk=row.risk,
            change=row.change,
            days=_reasons(found, kind, row.name, book, words_of),
        )
        for rank, row in enumerate(ranked(found, kind)[:most], start=1)
    ]


class _Book:
    """The kept edges of scored days by edge, each day read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.days: dict[dt.date, dict[Edge, ScoredEdge]] = {}

    def find(self, day: dt.date, edge: Edge) -> ScoredEdge | None:
        if day not in self.days:
            rows = scored.edges(findings.load_edges(self.folder, day))
            self.days[day] = {row.edge: row for row in rows}
        return self.days[day].get(edge)


def _reasons(
    found: Standings, kind: str, name: str, book: _Book, words_of: Mapping[str, str]
) -> tuple[RiskDay, ...]:
    """The days that add most to an entity's risk."""
    added = [(day.nats[kind].get(name, 0.0) * fading(day.day, found.day), day) for day in found.days]
    added = sorted((entry for entry in added if entry[0]), key=lambda entry: (-entry[0], entry[1].day))
    total = sum(nats for nats, _ in added)
    return tuple(_reason(day, kind, name, nats / total, book, words_of) for nats, day in added[:FEW_DAYS])


def _reason(
    day: ScoredDay, kind: str, name: str, share: float, book: _Book, words_of: Mapping[str, str]
) -> RiskDay:
    unusual = sorted(
        (found for found in day.unusual if name in ends(found.edge, kind)), key=lambda found: -found.nats
    )
    attack = day.attacks[kind].get(name)
    named = [attack, *(found.incident for found in unusual)]
    incidents = tuple(dict.fromkeys(incident for incident in named if incident is not None))
    return RiskDay(
        day=day.day,
        share=round(share, 3),
        unusual=len(unusual),
        edges=day.edges[kind].get(name, 0),
        incidents=incidents,
        verdict="true" if any(words_of.get(incident) == "true" for incident in incidents) else None,
        headline=_headline(day.day, unusual[0].edge, book) if unusual else "it is in a confirmed attack",
    )


def _headline(day: dt.date, edge: Edge, book: _Book) -> str:
    """The first reason of an edge, or the edge itself if it was not among the strangest of its day."""
    kept = book.find(day, edge)
    if kept is not None:
        return words.headline(kept.reasons)
    return f"{edge.user} reached {edge.target} from {edge.source or words.UNKNOWN_SOURCE}"


# --- as text and JSON ---------------------------------------------------------------------------------------


def sentence(reason: RiskDay) -> str:
    """A day that adds to a risk, in words."""
    more = f", and {words.counted(reason.unusual - 1, 'more unusual edge')}" if reason.unusual > 1 else ""
    others = f" and {len(reason.incidents) - 1} more" if len(reason.incidents) > 1 else ""
    incident = f"; incident {reason.incidents[0]}{others}" if reason.incidents else ""
    verdict = f", called {reason.verdict}" if reason.verdict else ""
    return f"{reason.day} ({reason.share:.0%}): {reason.headline}{more}{incident}{verdict}"


def to_json(risk: EntityRisk) -> dict[str, Any]:
    """A risk as it is printed, JSON values only."""
    fields: dict[str, Any] = msgspec.to_builtins(risk)
    days = zip(fields["days"], risk.days, strict=True)
    return {**fields, "days": [{**day, "sentence": sentence(reason)} for day, reason in days]}


def sparse(found: Standings) -> str | None:
    """A sentence that says how many days have scores, if some do not; None if all have."""
    if found.counted >= WINDOW_DAYS:
        return None
    return f"of the {WINDOW_DAYS} days up to {found.day}, {found.counted} were scored and count"
