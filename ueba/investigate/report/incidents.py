"""The incidents of a day as the report shows them."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ueba import words
from ueba.contracts.explanation import Explanation
from ueba.contracts.incident import Incident
from ueba.contracts.period import Period
from ueba.contracts.scored import ScoredEdge
from ueba.contracts.verdict import Verdict
from ueba.detect.score import carryover
from ueba.investigate.draw.incident import incident_drawing
from ueba.investigate.draw.svg import svg
from ueba.investigate.explain import kept
from ueba.investigate.explain.words import is_typable, next_steps, usually, would_be_normal

SHOWN = 20  # edges of an incident that are not folded away
FEW_USERS = 3  # an incident of more users is about the machine where they meet
DAY_S = 24 * 3600


@dataclass(frozen=True)
class Mark:
    """An edge in time: start and width in percent of the day, and what the edge is."""

    start: float
    width: float
    label: str


@dataclass(frozen=True)
class IncidentFacts:
    """An incident with its edges, and what to do next.

    period:   how often anything so strange happens
    title:    whom it is about; headline: its first reasons in words; reasons: all of its strangest edge
    first_seen, last_seen: of its edges
    goes_on:  whether a user of it was strange on the days before
    rows, others: its edges in order of time, the SHOWN strangest and the rest
    why:      what would have been usual, and normal
    commands: what to run next
    """

    id: str
    rank: int
    score: float
    p_value: float
    p_is_bound: bool
    period: Period
    edges: int
    reasons: list[str]
    backoff: bool
    first_seen: dt.datetime
    last_seen: dt.datetime
    users: list[str]
    sources: list[str]
    targets: list[str]
    title: str
    headline: str
    goes_on: bool
    verdict: Verdict | None
    picture: Markup
    rows: list[ScoredEdge]
    others: list[ScoredEdge]
    marks: list[Mark]
    why: list[str]
    commands: list[str]


def incident_facts(
    incident: Incident,
    edges: list[ScoredEdge],
    verdict: Verdict | None,
    period: Period,
    explained: tuple[Explanation, ...] = (),
) -> IncidentFacts:
    """What the page shows of an incident. edges: strangest first"""
    sources = list(dict.fromkeys(edge.source for edge in edges if edge.source is not None))
    users = list(dict.fromkeys(edge.user for edge in edges))
    return IncidentFacts(
        id=incident.id,
        rank=incident.rank,
        score=incident.score,
        p_value=incident.p_value,
        p_is_bound=incident.p_is_bound,
        period=period,
        edges=incident.edges,
        reasons=[words.sentence(reason) for reason in incident.reasons],
        backoff=incident.backoff,
        first_seen=min(edge.first_seen for edge in edges),
        last_seen=max(edge.last_seen for edge in edges),
        users=users,
        sources=sources,
        targets=list(dict.fromkeys(edge.target for edge in edges)),
        title=title(users, sources),
        headline=words.headline(reason for edge in edges for reason in edge.reasons),
        goes_on=any(edge.carry_over >= carryover.LEAST_NATS for edge in edges),
        verdict=verdict,
        picture=Markup(svg(incident_drawing(edges), f"Graph of incident {incident.id}")),
        rows=in_time(edges[:SHOWN]),
        others=in_time(edges[SHOWN:]),
        marks=marks(edges),
        why=why(edges[0], explained),
        commands=commands(incident, edges, sources),
    )


def title(users: Sequence[str], sources: Sequence[str]) -> str:
    """Whom an incident is about: its strangest user, or the machine where its many users meet."""
    if len(users) > FEW_USERS and 0 < len(sources) < len(users):
        return f"{sources[0]}, {len(users)} users"
    return users[0] if len(users) == 1 else f"{users[0]} and {len(users) - 1} more"


def in_time(edges: Sequence[ScoredEdge]) -> list[ScoredEdge]:
    """Edges, the earliest first."""
    return sorted(edges, key=lambda edge: (edge.first_seen, edge.user, edge.target))


def marks(edges: Sequence[ScoredEdge]) -> list[Mark]:
    """Edges in order of time."""
    return [
        Mark(
            start=round(100 * _seconds_of(edge.first_seen) / DAY_S, 2),
            width=round(100 * (_seconds_of(edge.last_seen) - _seconds_of(edge.first_seen)) / DAY_S, 2),
            label=_label(edge),
        )
        for edge in in_time(edges)
    ]


def _label(edge: ScoredEdge) -> str:
    source = edge.source or words.UNKNOWN_SOURCE
    return f"{at(edge.first_seen)} {edge.user}: {source} to {edge.target}"


def why(strangest: ScoredEdge, explained: tuple[Explanation, ...]) -> list[str]:
    """What the user of an incident's strangest edge usually does, and what would have made that edge normal;
    nothing if the edge has no explanation."""
    explanation = kept.by_edge(explained).get(strangest.edge)
    if explanation is None:
        return []
    usual = [usually(strangest.user, explanation.expected)] if explanation.expected else []
    normal = would_be_normal(explanation.counterfactuals)
    return [*usual, f"{strangest.user} to {strangest.target}: {normal}"]


def commands(incident: Incident, edges: Sequence[ScoredEdge], sources: Sequence[str]) -> list[str]:
    """What to run next."""
    user, after = edges[0].user, incident.day + dt.timedelta(days=1)  # the names of the day itself too
    since = min(edge.first_seen for edge in edges if edge.user == user)
    entities = [name for name in (user, *sources[:1]) if is_typable(name)]
    return [
        f"ueba explain {incident.id} --picture {incident.id}.html",
        *(f"ueba entity {shlex.quote(name)} --day {after}" for name in entities),
        *next_steps(incident, user, since),
    ]


def at(time: dt.datetime) -> str:
    """The time of a day."""
    return f"{time:%H:%M:%S}"


def _seconds_of(time: dt.datetime) -> int:
    return time.hour * 3600 + time.minute * 60 + time.second
