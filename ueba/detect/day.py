"""A day's edges -> its findings: strange edges with reasons, grouped into ranked incidents.

`score_day` calls the steps in order: surprise and p-value by the model, carry-over, effects of verdicts and
of what the organisation knows, rules, incidents, reasons. Leaves out storage (`ueba.findings`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ueba.arrays import Array, Floats, Ints
from ueba.config import IncidentConfig
from ueba.contracts import day_scores, reason, scored
from ueba.contracts.incident import STRANGE_P, BelowLine, Incident
from ueba.contracts.reason import Effect, Known, Reasons
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
from ueba.detect.score.detector import Detector, Score, breadth_rank
from ueba.findings import Findings
from ueba.tables import records
from ueba.triage import effects, standing
from ueba.triage.rules import Rule, hiding_rule
from ueba.triage.standing import Ends, Standings

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

    history:   of all days before the day
    excess:    nats that earlier days left for carry-over
    verdicts:  the last verdict on every incident
    rules:     in the order in which they are tried
    standings: what the organisation knows of entities
    """

    history: History
    excess: Excess = ()
    verdicts: Sequence[Verdict] = ()
    rules: Sequence[Rule] = ()
    standings: Standings = field(default_factory=dict)


def score_day(model: Detector, past: Past, edges: DayEdges, config: IncidentConfig) -> tuple[Findings, Array]:
    """Score a day that is not in the history. Returns the findings with the scores of all edges, and the
    surprise of every edge of the day in nats, float64 [edges]."""
    score, described = model.score(past.history, edges.encoded, day_number(edges.day))
    ranks = breadth_rank(past.history, edges.encoded.user)
    every = _with_scores(edges, score.surprise, score.p_value, past)
    every["p_is_bound"] = model.calibration.is_bound(ranks, score.p_value)
    ends = standing.ends(every, past.standings)
    table, changes = _with_effects(every, described, past.verdicts)
    table = _candidates(table, ends, config.candidates)
    table, known = _with_standing(table, ends)
    table["rule"] = _hiding_rules(table, past.rules)
    least_score = model.facts.least_score(config.budget)
    table, ranked = incidents.incidents(edges.day, table, len(table), config.budget, least_score)
    below, ranked_below = incidents.below_line(
        edges.day, table, len(table), config.budget, max(config.kept - len(ranked), 0)
    )
    table = _with_reasons(table, described, edges.encoded, past.history, changes, known)
    found = tuple(_incident(edges.day, incident, table, model, past.history) for incident in ranked)
    return Findings(
        edges.day,
        table[list(scored.NAMES)],
        found,
        _below_line(edges.day, ranked_below, table.assign(incident=below), model, past.history),
        _scores(every, table.assign(incident=table["incident"].fillna(below))),
    ), score.surprise


# --- strangeness --------------------------------------------------------------------------------------------


def _with_scores(edges: DayEdges, surprise: Array, p_value: Array, past: Past) -> pd.DataFrame:
    """Every edge of the day with its scores and `row`, its position among the encoded edges."""
    table = edges.table.select(list(FROM_LAKE)).to_pandas().astype({"source": object})
    alone = Score(surprise, p_value).strangeness
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
    table: pd.DataFrame, described: Floats, verdicts: Sequence[Verdict]
) -> tuple[pd.DataFrame, Mapping[int, list[Effect]]]:
    """Edges with the effects of verdicts added to their strangeness, and with those only that lift in
    `lifted`, nats; and the effects by row."""
    counting = effects.Verdicts(verdicts, table["day"].iloc[0]) if len(table) else None
    if not counting:
        unchanged = {"verdicts": _lists([()] * len(table), table), "lifted": table["strangeness"]}
        return table.assign(**unchanged), {}
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
    strangeness = table["strangeness"]
    return table.assign(
        verdicts=_lists(ids, table), lifted=strangeness + lifts, strangeness=strangeness + (lowers + lifts)
    ), changes


def _candidates(table: pd.DataFrame, ends: Ends, candidates: int) -> pd.DataFrame:
    """The candidates of a day: the strangest edges, and all that are notable by what the organisation knows.

    They are the strangest with the effects that lift and without those that lower, nor those of what the
    organisation knows, so that neither benign verdicts nor lists change what is learned of the day."""
    best = incidents.strangest(table.assign(strangeness=table["lifted"]), candidates)
    notable = [row for row, known in ends.items() if standing.is_notable(known, table["day"].iloc[0])]
    return table[table["row"].isin([*best["row"], *notable])]


def _with_standing(table: pd.DataFrame, ends: Ends) -> tuple[pd.DataFrame, Mapping[int, list[Known]]]:
    """Edges, strangest first, with the effects of what the organisation knows added to their strangeness, and
    `honey` and `notable` as `incidents` has them; and the effects by row."""
    concerned = records(table[table["row"].isin(list(ends))])
    known = {edge["row"]: standing.effects(ends[edge["row"]], edge) for edge in concerned}
    facts = [known.get(row, []) for row in table["row"]]
    table = table.assign(
        strangeness=table["strangeness"] + np.array([sum(fact.nats for fact in found) for found in facts]),
        honey=_lists([reason.honey(tuple(found)) for found in facts], table),
        notable=[standing.is_notable(ends.get(row, ()), table["day"].iloc[0]) for row in table["row"]],
    )
    return incidents.strangest(table, len(table)), known


def _pattern(described: Floats, logon_types: tuple[str, ...]) -> tuple[str, ...]:
    """The pattern of an edge from its features, float32 [features]. It does not depend on names."""
    return reason.pattern(reasons.of_edge(described, Subject("", "", "", logon_types, 1)), logon_types)


def _hiding_rules(table: pd.DataFrame, rules: Sequence[Rule]) -> pd.Series[str]:
    """The name of the rule that hides each edge; None if none does, and for honey, which no rule hides."""
    names = [
        hiding_rule(rules, row) if rules and row.honey is None else None
        for row in table.itertuples(index=False)
    ]
    return pd.Series(names, table.index, dtype=object)


def _scores(every: pd.DataFrame, table: pd.DataFrame) -> pa.Table:
    """The scores of all edges of a day. every: of `_with_scores`; table: those with an incident"""
    incident = pd.Series(table["incident"].to_numpy(), table["row"].to_numpy())
    return day_scores.from_pandas(
        every.assign(
            strangeness=every["strangeness_persisted"],
            edges_a_day=1 / (every["p_value"] * every["once_in_days"]),
            incident=incident.reindex(every["row"]).to_numpy(),
        )
    )


# --- reasons ------------------------------------------------------------------------------------------------


def _with_reasons(
    table: pd.DataFrame,
    described: Floats,
    encoded: EncodedEdges,
    history: History,
    changes: Mapping[int, list[Effect]],
    known: Mapping[int, list[Known]],
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
        effects_of = changes.get(edge["row"], ()), known.get(edge["row"], ())
        found.append(reasons.complete(features, subject, added, *effects_of))
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
        p_is_bound=any(edge.p_is_bound for edge in edges),
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


def _below_line(
    day: dt.date,
    ranked: Sequence[incidents.Ranked],
    table: pd.DataFrame,
    model: Detector,
    history: History,
) -> tuple[BelowLine, ...]:
    """The incidents below the line. table: their edges have their ids"""
    return tuple(
        BelowLine(
            msgspec.structs.replace(_incident(day, incident, table, model, history), below_line=True),
            tuple(scored.identities(table[table["incident"] == incident.id])),
        )
        for incident in ranked
    )
