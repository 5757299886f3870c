"""Strange days in a row: what a user did on the days before counts as well.

A stolen account is used for some days and is a little strange on each; an honest one is strange once. A day
leaves evidence with its users: the nats by which a user's smallest p-value is below what one among a hundred
and fifty has by chance. It fades by a third a day, and is added to the strangeness of what the user does
that is strange today; an ordinary edge gains nothing. It is the cumulative sum of Page (1954, "Continuous
inspection schemes"), with fading in place of a reset. Leaves out machines: many share one, and each of its
users would pay for the others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

CHANCE_NATS = 5.0  # -log p of a user's strangest edge that says nothing yet
KEPT_A_DAY = 0.7  # of the evidence
MOST_NATS = 10.0  # that the past may add
LEAST_TOLD = 0.05  # nats; what is less would be told as 0.0
DAYS = 10  # after which nothing is left to speak of


def evidence(user: npt.NDArray[Any], p_value: npt.NDArray[np.float64]) -> pd.Series[float]:
    """What a day's edges say of their users: nats by user, those of whom there is nothing left out."""
    nats = pd.Series(-np.log(p_value) - CHANCE_NATS).groupby(user).max()
    found: pd.Series[float] = nats[nats > 0]
    return found


def carried(earlier: Iterable[tuple[dt.date, pd.Series[float]]], day: dt.date) -> pd.Series[float]:
    """What is left on a day of the evidence of the days before it: nats by user, at most MOST_NATS."""
    left = [
        nats * KEPT_A_DAY ** ((day - before).days - 1)
        for before, nats in earlier
        if 0 < (day - before).days <= DAYS and len(nats)
    ]
    if not left:
        return pd.Series(dtype=float)
    total: pd.Series[float] = pd.concat(left).groupby(level=0).sum().clip(upper=MOST_NATS)
    return total


def strengthened(
    strangeness: npt.NDArray[np.float64],
    p_value: npt.NDArray[np.float64],
    user: npt.NDArray[Any],
    past: pd.Series[float],
    strange_p: float,
) -> npt.NDArray[np.float64]:
    """Strangeness in nats with what the past adds where p is at most `strange_p`. float64 [edges]"""
    added = past.reindex(user, fill_value=0.0).to_numpy()
    result: npt.NDArray[np.float64] = strangeness + np.where(p_value <= strange_p, added, 0.0)
    return result
