"""A day's edges -> its findings: strange edges with reasons, grouped into ranked incidents.

`score_day` calls the steps in order: surprise and p-value by the model, carry-over, effects of verdicts,
rules, incidents, reasons. Leaves out storage (`ueba.findings`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ueba.arrays import Array, Floats, Ints
from ueba.config import IncidentConfig
from ueba.contracts import reason, scored
from ueba.contracts.incident import STRANGE_P, Incident
from ueba.contracts.reason import Effect, Reasons
from ueba.contracts.scored import ScoredEdge
from ueba.contracts.verdict import Verdict
from ueba.detect import cases, incidents, reasons
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import History, day_number
from ueba.detect.past.pairs import RELATIONS, pair_keys
from ueba.detect.past.walk import DayEdges
from ueba.detect.reasons import Subject
from ueba.detect.score import carryover
from ueba.detect.score.carryover import Excess
from ueba.detect.score.detector import Detector
from ueba.findings import Findings
from ueba.triage import effects
from ueba.triage.rules import Rule, hiding_rule

FROM_LAKE = (  # columns of a day's pair rows that a scored edge keeps
    "user",
    "user_kind",
    "source",
    "target",
    "target_kind",
    "count",
    "failures",
    "first_seen",
    "last_seen",
    "logon_types",
)


@dataclass(frozen=True)
class Past:
    """What is known before a day.

    history:  of all days before the day
    excess:   nats that earlier days left for carry-over
    verdicts: the last verdict on every incident
    rules:    in the order in which they are tried
    """

    history: History
    excess: Excess = ()
    verdicts: Sequence[Verdict] = ()
    rules: Sequence[Rule] = ()


def score_day(model: Detector, past: Past, edges: DayEdges, config: IncidentConfig) -> tuple[Findings, Array]:
    """Score a day that is not in the history. Returns the findings, and the surprise of every edge of the day
    in nats, float64 [edges]."""
    score, described = model.score(past.history, edges.encoded, day_number(edges.day))
    table = _with_scores(edges, score.surprise, score.p_value, past)
    table, changes = _with_effects(table, described, past.verdicts, config.candidates)
    table = incidents.strangest(table, config.candidates)
    table["rule"] = _hiding_rules(table, past.rules)
    least_score = model.facts.least_score(config.budget)
    table, ranked = incidents.incidents(edges.day, table, config.candidates, config.budget, least_score)
    table = _with_reasons(table, described, edges.encoded, past.history, changes)
    found = tuple(_incident(edges.day, incident, table, model, past.history) for incident in ranked)
    return Findings(edges.day, table[list(scored.NAMES)], found), score.surprise


# --- strangeness --------------------------------------------------------------------------------------------


def _with_scores(edges: DayEdges, surprise: Array, p_value: Array, past: Past) -> pd.DataFrame:
    """Every edge of the day with its scores and `row`, its position among the encoded edges."""
    table = edges.table.select(list(FROM_LAKE)).to_pandas().astype({"source": object})
    alone = surprise - np.log(p_value)
    carry_over = carryover.of_users(carryover.carried(past.excess, edges.day), table["user"])
    persisted = carryover.persisted(alone, p_value, carry_over)
    scored_table: pd.DataFrame = table.assign(
        day=edges.day,
        source=table["source"].where(table["source"].notna(), None),
        logon_types=[tuple(types) for types in table["logon_types"]],
        surprise=surprise,
        p_value=p_value,
        once_in_days=scored.once_in_days(p_value, _edges_a_day(past.history, edges.encoded.user)),
        carry_over=carry_over,
        strangeness_alone=alone,
        strangeness_persisted=persisted,
        strangeness=persisted,
        row=np.arange(len(table)),
    )
    return scored_table


def _edges_a_day(history: History, user: Ints) -> Array:
    """Mean number of targets that the edge's user reaches on an active day; the mean of all users for a user
    without history. float64 [edges]"""
    side = history.sides["user_target"][0]
    typical = side.pair_days.sum() / max(float(side.days.sum()), 1.0)
    seen = side.days[user] > 0
    rate: Array = np.where(seen, side.pair_days[user] / np.maximum(side.days[user], 1e-6), typical)
    return rate.astype(np.float64)


def _with_effects(
    table: pd.DataFrame, described: Floats, verdicts: Sequence[Verdict], candidates: int
) -> tuple[pd.DataFrame, Mapping[int, list[Effect]]]:
    """Edges with the effects of verdicts added to their strangeness, and the effects by row.

    Candidates are chosen by strangeness with the effects that lift and without those that lower, so that
    benign verdicts do not change what is learned of the day."""
    counting = effects.Verdicts(verdicts, table["day"].iloc[0]) if len(table) else None
    if not counting:
        return table.assign(verdicts=_lists([()] * len(table), table)), {}
    changes: dict[int, list[Effect]] = {}
    columns = zip(
        table["row"],
        scored.identities(table),
        table["logon_types"],
        table["strangeness"],
        table["p_value"],
        strict=True,
    )
    for row, edge, logon_types, strangeness, p_value in columns:

        def pattern(row: int = row, logon_types: tuple[str, ...] = logon_types) -> frozenset[str]:
            return frozenset(_pattern(described[row], logon_types))

        if found := counting.effects(edge, pattern, strangeness, p_value <= STRANGE_P):
            changes[row] = found
    lowers, lifts = (
        np.array([sum(f.nats for f in changes.get(row, ()) if (f.nats > 0) is up) for row in table["row"]])
        for up in (False, True)
    )
    ids = [tuple(effect.verdict_id for effect in changes.get(row, ())) for row in table["row"]]
    table = table.assign(verdicts=_lists(ids, table))
    if changes:
        order = np.argsort(-(table["strangeness"].to_numpy() + lifts), kind="stable")[:candidates]
        table = table.assign(strangeness=table["strangeness"] + (lowers + lifts)).iloc[order]
    return table, changes


def _pattern(described: Floats, logon_types: tuple[str, ...]) -> tuple[str, ...]:
    """The pattern of an edge from its features, float32 [features]. It does not depend on names."""
    return reason.pattern(reasons.of_edge(described, Subject("", "", "", logon_types, 1)), logon_types)


def _hiding_rules(table: pd.DataFrame, rules: Sequence[Rule]) -> pd.Series[str]:
    names = [hiding_rule(rules, row) if rules else None for row in table.itertuples(index=False)]
    return pd.Series(names, table.index, dtype=object)


# --- reasons ------------------------------------------------------------------------------------------------


def _with_reasons(
    table: pd.DataFrame,
    described: Floats,
    encoded: EncodedEdges,
    history: History,
    changes: Mapping[int, list[Effect]],
) -> pd.DataFrame:
    """Strange edges with `reasons` and `pattern`."""
    rows = table["row"].to_numpy()
    quarantined = quarantined_before(history, encoded.take(rows))
    found: list[Reasons] = []
    patterns: list[tuple[str, ...]] = []
    for number, edge in enumerate(table.to_dict("records")):
        again = {relation for relation, pairs in quarantined.items() if pairs[number]}
        subject = Subject(
            edge["user"], edge["source"], edge["target"], edge["logon_types"], edge["count"], again
        )
        added = edge["carry_over"] if edge["p_value"] <= STRANGE_P else 0.0
        features = reasons.of_edge(described[edge["row"]], subject)
        found.append(reasons.complete(features, subject, added, changes.get(edge["row"], ())))
        patterns.append(reason.pattern(features, edge["logon_types"]))
    return table.assign(
        reasons=_lists(found, table),
        pattern=_lists(patterns, table),
    )


def _lists(values: Sequence[Any], table: pd.DataFrame) -> pd.Series[Any]:
    """A column whose cells are tuples."""
    column: pd.Series[Any] = pd.Series(list(values), table.index, dtype=object)
    return column


def quarantined_before(history: History, encoded: EncodedEdges) -> dict[str, npt.NDArray[np.bool_]]:
    """Whether the pair of an edge is quarantined, by relation. bool [edges] each"""
    return {
        relation: np.isin(pair_keys(*encoded.pairs(relation)), history.pairs[relation].quarantined)
        for relation in RELATIONS
    }


def _incident(
    day: dt.date, ranked: incidents.Ranked, table: pd.DataFrame, model: Detector, history: History
) -> Incident:
    edges: list[ScoredEdge] = scored.edges(table[table["incident"] == ranked.id])
    machines = {edge.source for edge in edges} | {e.target for e in edges if e.target_kind == "machine"}
    return Incident(
        id=ranked.id,
        day=day,
        rank=ranked.rank,
        score=ranked.score,
        p_value=min(edge.p_value for edge in edges),
        once_in_days=max(edge.once_in_days for edge in edges),
        users=tuple(sorted({edge.user for edge in edges})),
        machines=tuple(sorted(name for name in machines if name is not None)),
        resources=tuple(sorted({edge.target for edge in edges if edge.target_kind != "machine"})),
        edges=len(edges),
        reasons=edges[0].reasons,
        backoff=any(reason.is_backoff(edge.reasons) for edge in edges),
        model=model.facts,
        hidden_by=ranked.hidden_by,
        shared_users=cases.shared_users(history, edges),
        shared_machines=cases.shared_machines(history, edges),
        acting_machines=int((history.sides["user_source"][1].days > 0).sum()),
    )
