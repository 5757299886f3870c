"""From surprise to incidents, as the product does it and the same for every row, so that the table compares
scores.

Surprise becomes a p-value among users of similar breadth, first by the days left out of training, then by
each scored day as well; the carry-over of a user's days before is added; strange edges become incidents,
best first. A budget of N is filled: the first N of a day. At the usual budget, a column marks the incidents
that the product would report: those that score at least `incidents.usual_score` of the days left out. Leaves
out reasons.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ueba.arrays import Array
from ueba.config import IncidentConfig
from ueba.contracts.incident import STRANGE_P
from ueba.detect import incidents
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.score import carryover
from ueba.detect.score.calibration import Calibration
from ueba.detect.score.detector import Score
from ueba.evaluate.measure import USUAL
from ueba.evaluate.protocol import Prepared
from ueba.evaluate.rows import Row, Run

CURVE_BUDGETS = (1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50)  # incidents a day


@dataclass(frozen=True)
class Ranked:
    """All edges of the scored days, and those in incidents.

    listed: a row for each budget and edge in an incident: budget, day, user, source, target (numbers, -1 if
    unknown), surprise, p_value, incident, rank, score, reported (whether the product would report it)
    """

    strangeness: Array  # float64 [edges of all scored days, in order]
    p_value: Array  # float64 [edges of all scored days, in order]
    listed: pd.DataFrame


def rank(prepared: Prepared, run: Run, row: Row, config: IncidentConfig) -> Ranked:
    """Incidents of all scored days, from a row's surprises."""
    pool = Calibration.empty()
    for day in prepared.of_use("calibrate"):
        pool = pool.extended(day.breadth, run.surprise(day), day.number)
    normal = [
        strangest(day.encoded, *scored(pool, day.breadth, run.surprise(day), row), row, config)
        for day in prepared.of_use("calibrate")
    ]
    least = max(incidents.usual_score(edges, len(edges), USUAL) for edges in normal)
    scores, listed = [], []  # a day each
    excess: list[tuple[dt.date, pd.Series[float]]] = []
    for day in prepared.of_use("score"):
        breadth, surprise = day.breadth, run.surprise(day)
        score, strangeness = scored(pool, breadth, surprise, row)
        of_users = carryover.carried(excess, day.date)
        carry_over = carryover.of_users(of_users, day.encoded.user)
        strangeness = carryover.persisted(strangeness, score.p_value, carry_over)
        if row.remembers:
            excess.append((day.date, carryover.excess(day.encoded.user, score.p_value)))
        scores.append((strangeness, score.p_value))
        listed.append(incidents_of(day.date, strangest(day.encoded, score, strangeness, row, config), least))
        pool = pool.extended(breadth, surprise, day.number)
    strangeness, p_value = (np.concatenate(part) for part in zip(*scores, strict=True))
    return Ranked(strangeness, p_value, pd.concat(listed, ignore_index=True))


def incidents_of(day: dt.date, edges: pd.DataFrame, least: float) -> pd.DataFrame:
    """A day's incidents at every budget, see `Ranked.listed`."""
    deepest = listing(day, edges, max(CURVE_BUDGETS))
    # More edges take part in a larger budget's incidents only where a day has few that are strange.
    same = (edges["p_value"].head(max(CURVE_BUDGETS)) <= STRANGE_P).all()
    parts = {
        budget: deepest[deepest["rank"] <= budget] if same else listing(day, edges, budget)
        for budget in CURVE_BUDGETS
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


def scored(pool: Calibration, breadth: Array, surprise: Array, row: Row) -> tuple[Score, Array]:
    """A day's scores, and what its edges are ranked by, [edges]."""
    if row.calibrated:
        score = Score(surprise, pool.p_values(breadth, surprise))
        return score, score.strangeness
    everybody = Calibration(np.zeros_like(pool.rank), pool.surprise, pool.day)
    return Score(surprise, everybody.p_values(np.zeros_like(breadth), surprise)), surprise


def strangest(
    encoded: EncodedEdges, score: Score, strangeness: Array, row: Row, config: IncidentConfig
) -> pd.DataFrame:
    """The day's strangest edges as incidents are made of them, by numbers. Ungrouped, each edge has a user
    of its own."""
    user, source, target = encoded.user, encoded.source, encoded.target
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
