"""Carry-over: what a user's strange days before a day add to what it does on that day.

A stolen account is used for some days and is a little strange on each; an honest user is strange once. A day
leaves each user the nats by which its smallest p-value is below what one in 150 edges has by chance. They fade by
a third a day, and are added to the user's strange edges; an ordinary edge gains nothing. This is the cumulative
sum of Page (1954, "Continuous inspection schemes"), with fading in place of a reset.
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
from ueba.contracts import scored
from ueba.contracts.edge import Edge
from ueba.contracts.incident import STRANGE_P
from ueba.contracts.verdict import Verdict
from ueba.detect.past import lessons

CHANCE_NATS = 5.0  # -log p of a user's strangest edge that chance explains
KEPT_A_DAY = 0.7  # share of the nats that is left after a day
MOST_NATS = 10.0  # that the past may add
LEAST_NATS = 0.05  # that are worth a reason: less would be printed as 0.0
DAYS = 10  # after which nothing is left

Excess = Sequence[tuple[dt.date, "pd.Series[float]"]]  # earlier days, and the nats each left by user


def excess(user: npt.NDArray[Any], p_value: npt.NDArray[np.float64]) -> pd.Series[float]:
    """What a day leaves: nats by user, without users at or below zero."""
    nats = pd.Series(-np.log(p_value) - CHANCE_NATS).groupby(user).max()
    found: pd.Series[float] = nats[nats > 0]
    return found


def excess_of(edges: pd.DataFrame, cleared: Set[Edge] = frozenset()) -> pd.Series[float]:
    """What a day's scored edges leave: less what verdicts took off, and nothing of edges that rules hide or that
    verdicts cleared."""
    is_open = np.array([edge not in cleared for edge in scored.identities(edges)], bool)
    counting = edges[edges["rule"].isna().to_numpy() & is_open]
    lowered = np.minimum(counting["strangeness"] - counting["strangeness_persisted"], 0.0)
    return excess(counting["user"].to_numpy(), (counting["p_value"] * np.exp(-lowered)).to_numpy())


def before(folder: Path, day: dt.date, verdicts: Sequence[Verdict]) -> Excess:
    """What the scored days before one left. folder: of the findings."""
    days = [earlier for earlier in findings.scored_days(folder) if 0 < (day - earlier).days <= DAYS]
    return [
        (earlier, excess_of(findings.load_edges(folder, earlier), lessons.cleared(verdicts, earlier)))
        for earlier in days
    ]


def carried(earlier: Iterable[tuple[dt.date, pd.Series[float]]], day: dt.date) -> pd.Series[float]:
    """What is left on a day of what the days before it left: nats by user, at most MOST_NATS."""
    left = [
        nats * KEPT_A_DAY ** ((day - before).days - 1)
        for before, nats in earlier
        if 0 < (day - before).days <= DAYS and len(nats)
    ]
    if not left:
        return pd.Series(dtype=float)
    total: pd.Series[float] = pd.concat(left).groupby(level=0).sum().clip(upper=MOST_NATS)
    return total


def of_users(carry_over: pd.Series[float], users: Any) -> npt.NDArray[np.float64]:
    """The carry-over of the user of each edge, 0 for a user without. float64 [edges]"""
    nats: npt.NDArray[np.float64] = np.asarray(carry_over.reindex(users, fill_value=0.0), np.float64)
    return nats


def persisted(
    strangeness: npt.NDArray[np.float64],
    p_value: npt.NDArray[np.float64],
    carry_over: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Strangeness with the carry-over, in nats, where the edge itself is strange. float64 [edges]"""
    result: npt.NDArray[np.float64] = strangeness + np.where(p_value <= STRANGE_P, carry_over, 0.0)
    return result
