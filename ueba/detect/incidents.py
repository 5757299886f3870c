"""The strangest edges of a day, grouped into what one analyst would look at together, ranked, and cut at the
budget.

Edges that share their source machine or their user are one incident: connected components (networkx) of the
graph that joins each edge to both. Targets do not join: everybody meets at the domain controller. Where
shared machines chain half the network together, nobody could read the whole: it falls apart into what
surrounds its strangest edges, and of a sweep over hundreds of machines the CROWD strangest edges stand for
all. An incident scores as its strangest edge, and a little more for each edge that
supports it, so that a chain outranks a stray. The budget is a limit and not a quota: it means a score, which
three times as many incidents reach on a normal working day, and a quiet day may have fewer than the budget
that reach it. Its identity is made of the day and what it is about, so that scoring again gives the same
incident. Grouping alerts by what they share is as in Hopper (Ho et al. 2021). Leaves out incidents that span
days.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import pandas as pd

from ueba.arrays import Array
from ueba.contracts.incident import STRANGE_P
from ueba.triage import rules

QUIET = 3  # times the budget: so many incidents of a normal working day reach what is reported on a quiet one
CROWD = 40  # edges of an incident at most: nobody would read more
NONE = -1  # the number of an edge in no incident
SUPPORT = 1.0  # nats; weight of the edges beside the strangest


def group(edges: pd.DataFrame) -> Array:
    """The number of every edge's incident, NONE for one in none, int64 [edges].

    edges: columns user and source (None if unknown), strangest edges first."""
    graph = nx.Graph()
    for row, (user, source) in enumerate(zip(edges["user"], edges["source"], strict=True)):
        graph.add_edge(row, ("user", user))
        if source is not None:
            graph.add_edge(row, ("machine", source))
    number = np.full(len(edges), NONE)
    joined = (
        sorted(node for node in nodes if not isinstance(node, tuple))
        for nodes in nx.connected_components(graph)
    )
    parts = (part for rows in joined for part in (_parted(graph, rows) if len(rows) > CROWD else [rows]))
    for index, part in enumerate(parts):
        number[part] = index
    return number


def _parted(graph: nx.Graph, rows: list[int]) -> Iterator[list[int]]:
    """Rows in parts of at most CROWD: the rows that share the user or the machine of the first row, then
    those of the first row that is left, and so on. The rows beyond CROWD are more of the same: they may be in
    a later part, but begin none, or one sweep would be all incidents of its day."""
    left, beginnings = dict.fromkeys(rows), dict.fromkeys(rows)
    while beginnings:
        first = next(iter(beginnings))
        near = {other for end in graph[first] for other in graph[end] if other in left}
        part = sorted([first, *sorted(near - {first})[: CROWD - 1]])
        yield part
        for row in part:
            del left[row]
        for row in near:
            beginnings.pop(row, None)


def score(strangeness: Array) -> float:
    """The score of an incident in nats, from the strangeness of its edges, float64 [edges]: that of the
    strangest edge, plus a term that grows with the nine next ones."""
    ordered = np.sort(strangeness)[::-1]
    return float(ordered[0] + SUPPORT * np.log1p(np.exp(ordered[1:10] - ordered[0]).sum()))


class Ranked(NamedTuple):
    """A ranked incident.

    score:     nats
    hidden_by: names of the rules that hide it, None if it is reported
    """

    id: str
    rank: int
    score: float
    hidden_by: str | None


def incidents(
    day: dt.date, edges: pd.DataFrame, candidates: int, budget: int, least_score: float = 0.0
) -> tuple[pd.DataFrame, list[Ranked]]:
    """The day's candidates, strangest first, with a column `incident` (null for an edge in no incident); and
    the day's incidents, highest score first.

    edges: columns user, source, target, p_value, strangeness, and `rule` (the rule that hides the edge) if
    rules are in force. At most `budget` incidents are reported, none with a score below `least_score` (nats).
    Hidden incidents that would have been reported come after them and do not count for the budget."""
    best, component, scores = _ranked(edges, candidates, budget)
    hidden = _hidden(best, component)
    reached = scores[scores >= least_score]
    shown = reached[~reached.index.isin(hidden)].head(budget)
    kept = pd.concat([shown, _aside(reached[reached.index.isin(hidden)], shown, budget)]) if hidden else shown
    found = [
        Ranked(_id(day, best[component == number].iloc[0]), rank, round(value, 4), hidden.get(number))
        for rank, (number, value) in enumerate(kept.items(), start=1)
    ]
    name = dict(zip(kept.index, (incident.id for incident in found), strict=True))
    named = pd.Series(component).map(name).astype(object)
    best["incident"] = named.where(named.notna(), None)
    return best, found


def _aside(hidden: pd.Series[float], shown: pd.Series[float], budget: int) -> pd.Series[float]:
    """The hidden incidents that are kept: those that would have been reported, were they not hidden."""
    return hidden[hidden >= shown.min()] if len(shown) == budget else hidden.head(budget)


def _id(day: dt.date, strangest_edge: pd.Series[Any]) -> str:
    about = f"{day}|{strangest_edge['user']}|{strangest_edge['source']}|{strangest_edge['target']}"
    return f"{day:%Y%m%d}-{hashlib.sha256(about.encode()).hexdigest()[:8]}"


def _hidden(edges: pd.DataFrame, component: Array) -> dict[Any, str]:
    """The names of the rules that hide a component, by number of the component; hidden components only."""
    if "rule" not in edges or edges["rule"].isna().all():
        return {}
    by = edges["rule"].groupby(component).apply(rules.hidden_by).dropna()
    return {number: str(name) for number, name in by.items()}


def usual_score(edges: pd.DataFrame, candidates: int, budget: int) -> float:
    """The score in nats of incident number QUIET * budget of a day, or of the last incident if there are
    fewer; 0 if there are fewer than the budget."""
    reached = scores(edges, candidates, budget)
    return float(reached[: QUIET * budget][-1]) if len(reached) >= budget else 0.0


def scores(edges: pd.DataFrame, candidates: int, budget: int) -> Array:
    """The scores of all incidents of a day in nats, highest first, float64 [incidents]. The budget is not
    applied."""
    return _ranked(edges, candidates, budget)[2].to_numpy()


def _ranked(
    edges: pd.DataFrame, candidates: int, budget: int
) -> tuple[pd.DataFrame, Array, pd.Series[float]]:
    """The candidates, strangest first; the number of every candidate's component, int64 [candidates], NONE
    for a candidate in no incident; and the scores of components, highest first."""
    best = strangest(edges, candidates)
    strange = ((best["p_value"] <= STRANGE_P) | (best.index < budget)).to_numpy()
    component = np.full(len(best), NONE)
    component[strange] = group(best[strange])
    grouped = component != NONE
    scores = (
        best["strangeness"][grouped]
        .groupby(component[grouped])
        .apply(lambda values: score(values.to_numpy()))
    )
    return best, component, scores.sort_values(ascending=False, kind="stable")


def strangest(edges: pd.DataFrame, candidates: int) -> pd.DataFrame:
    """The candidates of a day, strangest first: the `candidates` strangest edges."""
    order = ["strangeness", "user", "source", "target"]
    ordered = edges.sort_values(order, ascending=[False, True, True, True], kind="stable")
    return ordered.head(candidates).reset_index(drop=True)
