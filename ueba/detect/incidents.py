"""The strangest edges of a day, grouped into what one analyst would look at together, ranked, and cut at the
budget.

Edges that share their source machine or their user are one incident: connected components (networkx) of the
graph that joins each edge to both. Targets do not join: everybody meets at the domain controller. Where
shared machines chain half the network together, nobody could read the whole: it falls apart into what
surrounds its strangest edges, and of a sweep over hundreds of machines the CROWD strangest edges stand for
all. An incident scores as its strangest edge, and a little more for each edge that supports it, so that a
chain outranks a stray. The budget is a limit and not a quota: it means a score, which three times as many
incidents reach on a normal working day, and a quiet day may have fewer than the budget that reach it. The
identity of an incident is made of the day and what it is about, so that scoring again gives the same one.
Grouping alerts by what they share is as in Hopper (Ho et al. 2021).

An anonymous account (ANONYMOUS LOGON) is nobody's: it does not join edges, and edges of such accounts alone
are no incident, as there is nobody to ask and any machine makes them. From the machine of another strange
edge they are part of its incident. An edge of a honey entity is in an incident of its own, with all other
uses of that entity and what shares their user or source: it is reported whatever it scores, and takes no
place of the budget. Leaves out incidents that span days.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import pandas as pd

from ueba.arrays import Array, Bools
from ueba.contracts.incident import STRANGE_P
from ueba.triage import rules

QUIET = 3  # times the budget: so many incidents of a normal working day reach what is reported on a quiet one
CROWD = 40  # edges of an incident at most: nobody would read more
NONE = -1  # the number of an edge in no incident
LENT = 10  # of a day that was held out, to compare with on the first nights; every incident keeps them
SUPPORT = 1.0  # nats; weight of the edges beside the strangest
ANONYMOUS = "anonymous"  # kind of account


def group(edges: pd.DataFrame) -> Array:
    """The number of every edge's incident, NONE for one in none, int64 [edges].

    edges: columns user and source (None if unknown), strangest edges first; `user_kind` and `honey` (the
    honey entity that is used) if they are known"""
    graph = nx.Graph()
    ends = zip(edges["user"], edges["source"], ~_anonymous(edges), _honey(edges), strict=True)
    for row, (user, source, is_somebody, honey) in enumerate(ends):
        graph.add_node(row)
        if is_somebody:
            graph.add_edge(row, ("user", user))
        if source is not None:
            graph.add_edge(row, ("machine", source))
        if honey is not None:
            graph.add_edge(row, ("honey", honey))
    number = np.full(len(edges), NONE)
    joined = (
        sorted(node for node in nodes if not isinstance(node, tuple))
        for nodes in nx.connected_components(graph)
    )
    parts = (part for rows in joined for part in (_parted(graph, rows) if len(rows) > CROWD else [rows]))
    for index, part in enumerate(parts):
        number[part] = index
    return number


def _anonymous(edges: pd.DataFrame) -> Bools:
    """Whether the account of each edge is anonymous. bool [edges]"""
    if "user_kind" not in edges:
        return np.zeros(len(edges), bool)
    found: Bools = (edges["user_kind"] == ANONYMOUS).to_numpy(bool)
    return found


def _honey(edges: pd.DataFrame) -> Sequence[str | None]:
    """The honey entity that each edge uses, None if it uses none."""
    return edges["honey"].tolist() if "honey" in edges else [None] * len(edges)


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

    edges: columns user, source, target, p_value, strangeness, and if they are known `user_kind`, `rule` (the
    rule that hides the edge), `honey` (the honey entity that it uses) and `notable` (whether it may be in an
    incident whatever its p-value). At most `budget` incidents are reported, none with a score below
    `least_score` (nats); those of honey come first and do not count. Hidden incidents that would have been
    reported come after them and do not count for the budget."""
    best, component, scores = _ranked(edges, candidates, budget)
    hidden = _hidden(best, component)
    is_honey = scores.index.isin(component[[honey is not None for honey in _honey(best)]])
    honey, reached = scores[is_honey], scores[~is_honey & (scores >= least_score)]
    shown = reached[~reached.index.isin(hidden)].head(budget)
    aside = _aside(reached[reached.index.isin(hidden)], shown, budget) if hidden else shown.head(0)
    kept = pd.concat([honey, shown, aside])
    best["incident"], found = _named(day, best, component, kept, hidden, 1)
    return best, found


def below_line(
    day: dt.date, best: pd.DataFrame, candidates: int, budget: int, most: int
) -> tuple[pd.Series[Any], list[Ranked]]:
    """The incidents that the budget or the least score kept from being reported: the id of the incident of
    every candidate (null if it is in none of them), and at most `most` incidents, highest score first. They
    rank after those of `incidents`.

    best: what `incidents` returned for the day"""
    best, component, scores = _ranked(best, candidates, budget)
    above = set(component[best["incident"].notna().to_numpy()])
    below = scores[~scores.index.isin(above)].head(most)
    return _named(day, best, component, below, _hidden(best, component), best["incident"].nunique() + 1)


def _named(
    day: dt.date,
    best: pd.DataFrame,
    component: Array,
    scores: pd.Series[float],
    hidden: dict[Any, str],
    first_rank: int,
) -> tuple[pd.Series[Any], list[Ranked]]:
    """The id of the incident of every candidate, null if it is in none of these components, and the
    incidents. scores: by number of the component, in order of rank"""
    found = [
        Ranked(_id(day, best[component == number].iloc[0]), rank, round(value, 4), hidden.get(number))
        for rank, (number, value) in enumerate(scores.items(), start=first_rank)
    ]
    name = dict(zip(scores.index, (incident.id for incident in found), strict=True))
    named = pd.Series(component, best.index).map(name).astype(object)
    return named.where(named.notna(), None), found


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


def highest_scores(edges: pd.DataFrame, candidates: int, budget: int) -> tuple[float, ...]:
    """The LENT highest scores of a day's incidents in nats, highest first."""
    return tuple(round(float(score), 4) for score in scores(edges, candidates, budget)[:LENT])


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
    is_honey = np.array([honey is not None for honey in _honey(best)], bool)
    carries = ~_anonymous(best) & ~is_honey
    strange = (best["p_value"].to_numpy() <= STRANGE_P) | (np.cumsum(carries) <= budget)
    if "notable" in best:
        strange |= best["notable"].to_numpy(bool)
    component = np.full(len(best), NONE)
    component[strange & ~is_honey] = group(best[strange & ~is_honey])
    component[~np.isin(component, component[carries])] = NONE
    of_honey = group(best[is_honey])
    component[is_honey] = np.where(of_honey == NONE, NONE, len(best) + of_honey)
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
