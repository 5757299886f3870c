"""From surprise to incidents, as the product does it and the same for every row, so that the table compares scores.

Surprise becomes a p-value among users of similar breadth, first by the days held out of training, then by each scored day as well;
strange edges become incidents; of these a day has as many as the budget at most, and none that scores below what the last one within
the budget does on a held-out day. Leaves out reasons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ueba.config import IncidentConfig
from ueba.detect import incidents
from ueba.detect.calibration import Calibration
from ueba.detect.detector import Score
from ueba.detect.history import EdgeBatch
from ueba.evaluate.protocol import Array, Prepared
from ueba.evaluate.rows import Row, Run

BUDGETS = (1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50)  # incidents a day


@dataclass(frozen=True)
class Triaged:
    """strangeness, p_value: float64 [edges of all scored days, in order]
    reported: edges in incidents of each budget: budget, day, user, source, target (numbers, -1 if unknown), surprise, p_value,
    incident, rank, score
    """

    strangeness: Array
    p_value: Array
    reported: pd.DataFrame


def triage(prepared: Prepared, run: Run, row: Row, config: IncidentConfig) -> Triaged:
    """Judge a row's surprises."""
    pool = Calibration.empty()
    for day in prepared.of_use("calibrate"):
        pool = pool.extended(day.breadth, run.surprise(day), day.number)
    normal = [
        strangest(day.batch, *judge(pool, day.breadth, run.surprise(day), row), row, config) for day in prepared.of_use("calibrate")
    ]
    least = {budget: max(incidents.usual_score(edges, len(edges), budget) for edges in normal) for budget in BUDGETS}
    scores, reported = [], []
    for day in prepared.of_use("score"):
        breadth, surprise = day.breadth, run.surprise(day)
        score, strangeness = judge(pool, breadth, surprise, row)
        edges = strangest(day.batch, score, strangeness, row, config)
        scores.append((strangeness, score.p_value))
        for budget in BUDGETS:
            listed, found = incidents.incidents(day.date, edges, len(edges), budget, least[budget])
            known = pd.DataFrame(found, columns=["id", "rank", "score"]).rename(columns={"id": "incident"})
            mine = listed[listed["incident"].notna()].merge(known, on="incident")
            reported.append(mine.assign(budget=budget, day=day.date))
        pool = pool.extended(breadth, surprise, day.number)
    everything = pd.concat(reported, ignore_index=True)
    names = {"own_user": "user", "own_source": "source"}
    columns = ["budget", "day", "own_user", "own_source", "target", "surprise", "p_value", "incident", "rank", "score"]
    return Triaged(*(np.concatenate(part) for part in zip(*scores, strict=True)), everything[columns].rename(columns=names))


def judge(pool: Calibration, breadth: Array, surprise: Array, row: Row) -> tuple[Score, Array]:
    """A day's scores, and what its edges are ranked by, [edges]."""
    if row.calibrated:
        score = Score(surprise, pool.p_values(breadth, surprise))
        return score, score.strangeness
    everybody = Calibration(np.zeros_like(pool.breadth), pool.surprise, pool.day)
    return Score(surprise, everybody.p_values(np.zeros_like(breadth), surprise)), surprise


def strangest(batch: EdgeBatch, score: Score, strangeness: Array, row: Row, config: IncidentConfig) -> pd.DataFrame:
    """The day's strangest edges as incidents are made of them, by numbers. Ungrouped, each edge has a user of its own."""
    user, source, target = batch.user, batch.source, batch.target
    order = np.lexsort((target, source, user, -strangeness))[: config.candidates]
    user, source, target = user[order], source[order], target[order]
    machine = source.astype(object)
    machine[source < 0 if row.grouped else slice(None)] = None
    columns = {"user": user if row.grouped else np.arange(len(order)), "source": machine, "target": target}
    columns |= {"surprise": score.surprise[order], "p_value": score.p_value[order], "strangeness": strangeness[order]}
    return pd.DataFrame(columns | {"own_user": user, "own_source": source})
