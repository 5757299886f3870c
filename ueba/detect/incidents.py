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
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd

from ueba.detect import rules

Array = npt.NDArray[Any]
STRANGE_P = 0.02  # an edge less strange than this joins no incident, unless the day has few that are stranger
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


def incidents(
    day: dt.date, edges: pd.DataFrame, candidates: int, budget: int, least_score: float = 0.0
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The day's `candidates` strangest edges (strangest first, with a column `incident`: null where in none)
    and the day's incidents, best first: at most `budget`, none below `least_score`. Columns of edges: user,
    source, target, surprise, p_value, strangeness, and `rule`, what hides an edge, if anything may.
    Incidents that are hidden by rules, and score as those reported do, come after them, out of the
    budget."""
    best, component, scores = _ranked(edges, candidates, budget)
    hidden = _hidden(best, component)
    reached = scores[scores >= least_score]
    shown = reached[~reached.index.isin(hidden)].head(budget)
    aside = reached[reached.index.isin(hidden)]
    kept = (
        pd.concat([shown, aside[aside >= shown.min()] if len(shown) == budget else aside.head(budget)])
        if hidden
        else shown
    )
    found = [
        _incident(day, rank, value, best[component == number])
        for rank, (number, value) in enumerate(kept.items(), start=1)
    ]
    for number, incident in zip(kept.index, found, strict=True):
        incident["suppressed_by"] = hidden.get(number)
    name = dict(zip(kept.index, (incident["id"] for incident in found), strict=True))
    named = pd.Series(component).map(name).astype(object)
    best["incident"] = named.where(named.notna(), None)
    return best, found


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


def _incident(day: dt.date, rank: int, value: float, edges: pd.DataFrame) -> dict[str, Any]:
    first = edges.iloc[0]
    about = f"{day}|{first['user']}|{first['source']}|{first['target']}"
    return {
        "id": f"{day:%Y%m%d}-{hashlib.sha256(about.encode()).hexdigest()[:8]}",
        "day": day.isoformat(),
        "rank": rank,
        "score": round(value, 4),
        "p_value": float(edges["p_value"].min()),
        "users": sorted(set(edges["user"])),
        "machines": sorted({name for name in (*edges["source"], *edges["target"]) if name is not None}),
        "edges": len(edges),
    }
