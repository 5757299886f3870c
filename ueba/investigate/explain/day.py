"""Explanations of a day's strangest edges, worked out when the day is scored."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ueba.arrays import Floats, Ints
from ueba.contracts.explanation import Explanation, Explanations
from ueba.contracts.scored import ScoredEdge, edges
from ueba.detect.day import quarantined_before
from ueba.detect.look import features
from ueba.detect.past.history import History
from ueba.detect.past.walk import DayEdges
from ueba.detect.reasons import HISTORY_OF, PAIRS
from ueba.detect.score.detector import Detector
from ueba.findings import Findings
from ueba.investigate.explain import habits, weigh
from ueba.investigate.explain.counterfactuals import counterfactuals
from ueba.investigate.explain.scoring import DayScoring

MOST_EDGES = 5  # of an incident, the strangest, that are explained


def explain(model: Detector, history: History, day: DayEdges, found: Findings) -> Explanations:
    """The explanations of the strangest edges of each incident. history: as of before the day."""
    in_incidents = found.edges[found.edges["incident"].notna()]
    strangest = in_incidents.groupby("incident", sort=False).head(MOST_EDGES)
    if not len(strangest):
        return {}
    scoring = DayScoring.of(model, history, day)
    encoded = day.encoded.take(_rows(day, strangest))
    described = scoring.describe(encoded)
    weights = weigh.weigh(scoring, encoded, described, weigh.ordinary_edges(scoring, day.encoded))
    changes = counterfactuals(scoring, encoded)
    quarantined = quarantined_before(history, encoded)
    explained: dict[str, list[Explanation]] = {}
    for row, edge in enumerate(edges(strangest)):
        again = {relation for relation, pairs in quarantined.items() if pairs[row]}
        user = int(encoded.user[row])
        explanation = Explanation(
            edge=edge.edge,
            new=tuple(
                habits.habit(scoring, encoded, row, relation, edge.edge, relation in again)
                for relation, _, _ in PAIRS
                if described[row, _column(f"{relation}.new")]
            ),
            expected=habits.expected(history, user),
            hours=habits.hour_shares(history, encoded, row),
            logon_types=habits.type_shares(history, encoded, row),
            counterfactuals=changes[row],
            backoff=_without_history(edge, described[row]),
            **weights[row]._asdict(),
        )
        explained.setdefault(edge.incident or "", []).append(explanation)
    return {incident: tuple(explanations) for incident, explanations in explained.items()}


def _rows(day: DayEdges, strangest: pd.DataFrame) -> Ints:
    """Where the edges stand among all of the day. int64 [edges]"""
    keys = ["user", "source", "target", "target_kind"]
    all_edges = pd.MultiIndex.from_frame(day.table.select(keys).to_pandas().fillna(""))
    rows: Ints = all_edges.get_indexer(pd.MultiIndex.from_frame(strangest[keys].fillna(""))).astype(np.int64)
    return rows


def _column(name: str) -> int:
    return features.FEATURE_NAMES.index(name)


def _without_history(edge: ScoredEdge, described: Floats) -> tuple[str, ...]:
    names = (getattr(edge, role) for role, feature in HISTORY_OF.items() if described[_column(feature)])
    return tuple(name for name in names if name is not None)
