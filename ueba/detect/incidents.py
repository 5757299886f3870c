"""The strangest edges of a day, grouped into what one analyst would look at together, ranked, and cut at the
budget.

Edges that share their source machine or their user are one incident: connected components (networkx) of the
graph that joins each edge to both. Targets do not join: everybody meets at the domain controller. Where
shared machines chain half the network together, nobody could read the whole: it falls apart into what
surrounds its strangest edges. An incident scores as its strangest edge, and a little more for each edge that
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
CROWD = 40  # edges of an incident beyond which nobody would read it
SUPPORT = 1.0  # nats; weight of the edges beside the strangest


def group(edges: pd.DataFrame) -> Array:
    """Number of the incident of each edge, int64 [edges]; columns user, source (None if unknown), strangest
    edges first."""
    graph = nx.Graph()
    for row, (user, source) in enumerate(zip(edges["user"], edges["source"], strict=True)):
        graph.add_edge(row, ("user", user))
        if source is not None:
            graph.add_edge(row, ("machine", source))
    number = np.zeros(len(edges), np.int64)
    joined = (
        sorted(node for node in nodes if not isinstance(node, tuple))
        for nodes in nx.connected_components(graph)
    )
    parts = (part for rows in joined for part in (_parted(graph, rows) if len(rows) > CROWD else [rows]))
    for index, part in enumerate(parts):
        number[part] = index
    return number


def _parted(graph: nx.Graph, rows: list[int]) -> Iterator[list[int]]:
    """The rows around the first of them, that is, those that share its user or its machine; then those
    around the first that is left, and so on."""
    left = dict.fromkeys(rows)
    while left:
        first = next(iter(left))
        around = [
            row for row in sorted({other for end in graph[first] for other in graph[end]}) if row in left
        ]
        yield around
        for row in around:
            del left[row]


def score(strangeness: Array) -> float:
    """Nats: the strangest edge, plus log of how much the others add to it."""
    ordered = np.sort(strangeness)[::-1]
    return float(ordered[0] + SUPPORT * np.log1p(np.exp(ordered[1:10] - ordered[0]).sum()))


class Ranked(NamedTuple):
    """A ranked incident, without what its edges say. score: nats; hidden_by: rules, None if it is reported."""

    id: str
    rank: int
    score: float
    hidden_by: str | None


def incidents(
    day: dt.date, edges: pd.DataFrame, candidates: int, budget: int, least_score: float = 0.0
) -> tuple[pd.DataFrame, list[Ranked]]:
    """The day's candidates, strangest first, with a column `incident` (null where an edge is in none); and the
    day's incidents, best first: at most `budget`, none below `least_score`.

    edges: columns user, source, target, p_value, strangeness, and `rule` (what hides an edge) where rules are in
    force. Hidden incidents that score as the reported ones do come after them, outside the budget."""
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
    """What hides a component, by its number, of those hidden."""
    if "rule" not in edges or edges["rule"].isna().all():
        return {}
    by = edges["rule"].groupby(component).apply(rules.hidden_by).dropna()
    return {number: str(name) for number, name in by.items()}


def usual_score(edges: pd.DataFrame, candidates: int, budget: int) -> float:
    """What the last of QUIET times the budget scores on a day like this one, or the last there is; 0 if the
    day does not use the budget up."""
    reached = scores(edges, candidates, budget)
    return float(reached[: QUIET * budget][-1]) if len(reached) >= budget else 0.0


def scores(edges: pd.DataFrame, candidates: int, budget: int) -> Array:
    """What each of a day's incidents scores, best first, within the budget or not. float64 [incidents]"""
    return _ranked(edges, candidates, budget)[2].to_numpy()


def _ranked(
    edges: pd.DataFrame, candidates: int, budget: int
) -> tuple[pd.DataFrame, Array, pd.Series[float]]:
    """The strangest edges, strangest first; the number of each one's component, -1 for those that are not
    strange enough for one; and the components' scores, best first."""
    best = strangest(edges, candidates)
    strange = ((best["p_value"] <= STRANGE_P) | (best.index < budget)).to_numpy()
    component = np.full(len(best), -1)
    component[strange] = group(best[strange])
    scores = (
        best["strangeness"][strange]
        .groupby(component[strange])
        .apply(lambda values: score(values.to_numpy()))
    )
    return best, component, scores.sort_values(ascending=False, kind="stable")


def strangest(edges: pd.DataFrame, candidates: int) -> pd.DataFrame:
    """The strangest edges, strangest first: those of which incidents are made."""
    order = ["strangeness", "user", "source", "target"]
    ordered = edges.sort_values(order, ascending=[False, True, True, True], kind="stable")
    return ordered.head(candidates).reset_index(drop=True)
