"""Carry-over: nats that a user's earlier strange days add to the user's strange edges of a day.

A stolen account is used for several days and is a little strange on every one; an honest user is strange
once. A day leaves a user the nats by which -log of the user's smallest p-value exceeds CHANCE_NATS. They fade
by 1 - KEPT_A_DAY a day; an edge that is not strange gains none. This is the cumulative sum of Page (1954,
"Continuous inspection schemes"), with fading in place of a reset.
Leaves out machines: many users share one, and each of them would pay for the others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ueba import findings
from ueba.contracts import reason, scored
from ueba.contracts.edge import Edge
from ueba.contracts.incident import STRANGE_P
from ueba.contracts.verdict import Verdict
from ueba.detect.past import lessons
from ueba.detect.score.surprise import P_WEIGHT

CHANCE_NATS = 5.0  # -log p of a user's strangest edge that chance explains
KEPT_A_DAY = 0.7  # share of the nats that is left after a day
MOST_NATS = 10.0  # that the past may add
LEAST_NATS = 0.05  # that are worth a reason: less would be printed as 0.0
DAYS = 10  # after which nothing is left

Excess = Sequence[tuple[dt.date, "pd.Series[float]"]]  # earlier days, and the nats each left by user


def excess(user: npt.NDArray[Any], p_value: npt.NDArray[np.float64]) -> pd.Series[float]:
    """The excess that a day leaves: nats by user, users with more than 0 only.

    user: [edges]; p_value: float64 [edges]"""
    nats = pd.Series(-np.log(p_value) - CHANCE_NATS).groupby(user).max()
    found: pd.Series[float] = nats[nats > 0]
    return found


def excess_of(edges: pd.DataFrame, cleared: Set[Edge] = frozenset()) -> pd.Series[float]:
    """The excess of a day's scored edges: nats by user. Nats that verdicts took off are subtracted, and those
    of what the organisation knows are not; edges that rules hide or that verdicts cleared leave none."""
    is_open = np.array([edge not in cleared for edge in scored.identities(edges)], bool)
    counting = edges[edges["rule"].isna().to_numpy() & is_open]
    lowered = np.minimum([reason.verdict_nats(reasons) for reasons in counting["reasons"]], 0.0)
    return excess(counting["user"].to_numpy(), counting["p_value"].to_numpy() * np.exp(-lowered))


def before(folder: Path, day: dt.date, verdicts: Sequence[Verdict]) -> Excess:
    """The excess of the scored days before a day. folder: the findings."""
    days = [earlier for earlier in findings.scored_days(folder) if 0 < (day - earlier).days <= DAYS]
    return [
        (earlier, excess_of(findings.load_edges(folder, earlier), lessons.cleared(verdicts, earlier)))
        for earlier in days
    ]


def carried(earlier: Iterable[tuple[dt.date, pd.Series[float]]], day: dt.date) -> pd.Series[float]:
    """The carry-over of a day: nats by user, the faded sum of the excess of earlier days, at most MOST_NATS,
    times the weight that -log p has in strangeness."""
    left = [
        nats * KEPT_A_DAY ** ((day - before).days - 1)
        for before, nats in earlier
        if 0 < (day - before).days <= DAYS and len(nats)
    ]
    if not left:
        return pd.Series(dtype=float)
    total: pd.Series[float] = pd.concat(left).groupby(level=0).sum().clip(upper=MOST_NATS)
    return total * P_WEIGHT


def of_users(carry_over: pd.Series[float], users: Any) -> npt.NDArray[np.float64]:
    """The carry-over of every edge's user in nats, float64 [edges]; 0 for a user without carry-over."""
    nats: npt.NDArray[np.float64] = np.asarray(carry_over.reindex(users, fill_value=0.0), np.float64)
    return nats


def persisted(
    strangeness: npt.NDArray[np.float64],
    p_value: npt.NDArray[np.float64],
    carry_over: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Strangeness in nats, with the carry-over added to edges that are strange themselves. float64 [edges]"""
    result: npt.NDArray[np.float64] = strangeness + np.where(p_value <= STRANGE_P, carry_over, 0.0)
    return result
