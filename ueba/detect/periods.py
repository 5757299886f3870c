"""Scores of other days -> the return period of a score: how often anything so strange happens.

Days on which nothing happened are alike as far as anybody can tell before: any of D + 1 days is as likely as
another to have the strangest incident, whatever the scores are distributed like, and however they depend on
each other within a day. If N incidents of D days score at least as high as one of today, anything so strange
comes N + 1 times in D + 1 days. This is a conformal rank (Vovk et al. 2005) among days instead of edges. None
in D days says only that it is rarer than that, as a bound. Leaves out which days and which incidents may be
compared (`ueba.investigate.periods`).
"""

from __future__ import annotations

import numpy as np

from ueba.arrays import Array
from ueba.contracts.period import Period


def period(score: float, days: int, scores: Array) -> Period:
    """The return period of a score. days: how many are compared with; scores: sorted, float64 [incidents of
    these days]"""
    as_strange = len(scores) - int(np.searchsorted(scores, score, "left"))
    if not as_strange:
        return Period(float(days), True)
    return Period((days + 1) / (as_strange + 1), False)
