"""From surprise to incidents, as the product does it and the same for every row, so that the table compares
scores.

Surprise becomes a p-value among users of similar breadth, first by the days held out of training, then by
each scored day as well; what a user's days before left is added; strange edges become incidents, best first.
A budget of N is filled: the first N of a day. Besides, at the usual budget, it is said which of them the
product would report: none that scores below `incidents.usual_score` of the held-out days. Leaves out
reasons.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ueba.config import IncidentConfig
from ueba.contracts.incident import STRANGE_P
from ueba.detect import incidents
from ueba.detect.past.history import EdgeBatch
from ueba.detect.score import carryover
from ueba.detect.score.calibration import Calibration
from ueba.detect.score.detector import Score
from ueba.evaluate.measure import USUAL
from ueba.evaluate.protocol import Array, Prepared
from ueba.evaluate.rows import Row, Run

BUDGETS = (1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50)  # incidents a day


@dataclass(frozen=True)
class Triaged:
    """strangeness, p_value: float64 [edges of all scored days, in order] listed: edges in incidents of each
    budget: budget, day, user, source, target (numbers, -1 if unknown), surprise, p_value, incident, rank,
    score; reported: whether the product would
    """

    strangeness: Array
    p_value: Array
    listed: pd.DataFrame


def triage(prepared: Prepared, run: Run, row: Row, config: IncidentConfig) -> Triaged:
    """Judge a row's surprises."""
    pool = Calibration.empty()
    for day in prepared.of_use("calibrate"):
        pool = pool.extended(day.breadth, run.surprise(day), day.number)
    normal = [
        strangest(day.batch, *judge(pool, day.breadth, run.surprise(day), row), row, config)
        for day in prepared.of_use("calibrate")
    ]
    least = max(incidents.usual_score(edges, len(edges), USUAL) for edges in normal)
    scores, listed = [], []
    excess: list[tuple[dt.date, pd.Series[float]]] = []
    for day in prepared.of_use("score"):
        breadth, surprise = day.breadth, run.surprise(day)
        score, strangeness = judge(pool, breadth, surprise, row)
        carry_over = carryover.carried(excess, day.date).reindex(day.batch.user, fill_value=0.0).to_numpy()
        strangeness = carryover.persisted(strangeness, score.p_value, carry_over)
        if row.remembers:
            excess.append((day.date, carryover.excess(day.batch.user, score.p_value)))
        scores.append((strangeness, score.p_value))
        listed.append(incidents_of(day.date, strangest(day.batch, score, strangeness, row, config), least))
        pool = pool.extended(breadth, surprise, day.number)
    strangeness, p_value = (np.concatenate(part) for part in zip(*scores, strict=True))
    return Triaged(strangeness, p_value, pd.concat(listed, ignore_index=True))


def incidents_of(day: dt.date, edges: pd.DataFrame, least: float) -> pd.DataFrame:
    """A day's incidents at every budget, see `Triaged.listed`."""
    deepest = listing(day, edges, max(BUDGETS))
    # More edges take part in a larger budget's incidents only where a day has few that are strange.
    same = (edges["p_value"].head(max(BUDGETS)) <= STRANGE_P).all()
    parts = {
        budget: deepest[deepest["rank"] <= budget] if same else listing(day, edges, budget)
        for budget in BUDGETS
    }
    _, reported = incidents.incidents(day, edges, len(edges), USUAL, least)
    everything = pd.concat(
        [part.assign(budget=budget, day=day) for budget, part in parts.items()], ignore_index=True
    )
    everything["reported"] = everything["incident"].isin([incident.id for incident in reported])
    own = {"own_user": "user", "own_source": "source"}
    return everything.drop(columns=["user", "source", "strangeness"]).rename(columns=own)


def listing(day: dt.date, edges: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Edges in the incidents of a day that fill the budget, with the incident's rank and score."""
    strangest, found = incidents.incidents(day, edges, len(edges), budget)
    ranked = pd.DataFrame(
        [(incident.id, incident.rank, incident.score) for incident in found],
        columns=["incident", "rank", "score"],
    )
    return strangest[strangest["incident"].notna()].merge(ranked, on="incident")


def judge(pool: Calibration, breadth: Array, surprise: Array, row: Row) -> tuple[Score, Array]:
    """A day's scores, and what its edges are ranked by, [edges]."""
    if row.calibrated:
        score = Score(surprise, pool.p_values(breadth, surprise))
        return score, score.strangeness
    everybody = Calibration(np.zeros_like(pool.rank), pool.surprise, pool.day)
    return Score(surprise, everybody.p_values(np.zeros_like(breadth), surprise)), surprise


def strangest(
    batch: EdgeBatch, score: Score, strangeness: Array, row: Row, config: IncidentConfig
) -> pd.DataFrame:
    """The day's strangest edges as incidents are made of them, by numbers. Ungrouped, each edge has a user
    of its own."""
    user, source, target = batch.user, batch.source, batch.target
    order = np.lexsort((target, source, user, -strangeness))[: config.candidates]
    user, source, target = user[order], source[order], target[order]
    machine = source.astype(object)
    machine[source < 0 if row.grouped else slice(None)] = None
    columns = {"user": user if row.grouped else np.arange(len(order)), "source": machine, "target": target}
    columns |= {
        "surprise": score.surprise[order],
        "p_value": score.p_value[order],
        "strangeness": strangeness[order],
    }
    return pd.DataFrame(columns | {"own_user": user, "own_source": source})
