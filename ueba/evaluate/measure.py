"""What was found of what was there: campaigns in incidents, and how well edges are ordered.

Labels are those of `ueba.contracts.label`. A campaign is *found* if one of its edges is in an incident within
the budget of its day. An incident of more than 40 edges of which fewer than a fifth are malicious finds
nothing: an analyst would not see the attack in it.

A budget costs as much on a quiet day as on a busy one. So campaigns are also counted against *false incidents
a day*, those without a malicious edge, what labels call harmless among them: one threshold on the incident's
score holds on all scored days, and a day on which nothing reaches it costs nothing. Only this module and what
prints its numbers see labels.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ueba.arrays import Array
from ueba.contracts.label import LABEL_COLUMNS, RED_TEAM
from ueba.errors import InputError

KEY = ["day", "user", "source", "target"]
BUDGETS = (5, 10, 25, 50)  # incidents a day
USUAL = BUDGETS[1]
FALSE_RATES = (0.1, 0.3, 1, 3)  # false incidents a day
USUAL_FALSE = FALSE_RATES[2]
# An incident with more edges than this, and a smaller share of them malicious, finds nothing.
CROWD, LEAST_SHARE = 40, 0.2
FLATNESS_P = 0.01  # p_flatness checks how often p-values are at most this
FLATNESS_PRIOR = 50  # edges, half of one with such a p-value, that each tenth of users begins with


def read_labels(path: Path, epoch: dt.datetime = dt.datetime(1970, 1, 1)) -> pd.DataFrame:
    """Labels with their day. Times are UTC: ISO 8601, or seconds since `epoch`. Raises InputError."""
    try:
        labels = pd.read_csv(path)
    except (OSError, ValueError) as reason:
        raise InputError(f"{path}: cannot be read as CSV: {reason}") from reason
    return with_days(labels, epoch, str(path))


def with_days(
    labels: pd.DataFrame, epoch: dt.datetime = dt.datetime(1970, 1, 1), name: str = "labels"
) -> pd.DataFrame:
    """Labels with a column `day`. Raises InputError that names the labels."""
    missing = [column for column in LABEL_COLUMNS if column not in labels]
    if missing:
        raise InputError(
            f"{name}: has no column {', '.join(missing)}; labels have the columns {','.join(LABEL_COLUMNS)}"
        )
    try:
        if pd.api.types.is_numeric_dtype(labels["time"]):
            times = pd.Timestamp(epoch) + pd.to_timedelta(labels["time"], unit="s")
        else:
            times = pd.to_datetime(labels["time"], utc=True, format="ISO8601")
    except ValueError as reason:
        raise InputError(f"{name}: a time is neither a number of seconds nor ISO 8601: {reason}") from reason
    return labels.assign(day=times.dt.date)


# --- incidents ----------------------------------------------------------------------------------------------


def matched(reported: pd.DataFrame, malicious: pd.DataFrame) -> pd.DataFrame:
    """Edges in incidents (KEY, incident, ...) with `malicious` (bool), and with the campaign and kind of
    those that are: null for the others, and null for all edges of an incident that finds nothing."""
    labelled = malicious[[*KEY, "campaign", "kind"]].drop_duplicates(KEY)
    joined = reported.merge(labelled, on=KEY, how="left")
    joined["malicious"] = joined["campaign"].notna()
    size = joined.groupby("incident")["campaign"].agg(["size", "count"])
    useless = size.index[(size["size"] > CROWD) & (size["count"] < size["size"] * LEAST_SHARE)]
    joined.loc[joined["incident"].isin(useless), ["campaign", "kind"]] = None
    return joined


def campaigns_found(matched: pd.DataFrame) -> pd.Series[str]:
    """The kind of each numbered campaign that was found, by its number."""
    numbered = matched[matched["campaign"] >= 0]
    return numbered.drop_duplicates("campaign").set_index("campaign")["kind"]


def campaigns_there(malicious: pd.DataFrame) -> pd.Series[str]:
    """The kind of each numbered campaign, by its number."""
    return campaigns_found(malicious)


def found_at_false(matched: pd.DataFrame, days: int, rates: Sequence[float]) -> dict[float, int]:
    """How many numbered campaigns are found at each rate of false incidents a day, see the module.

    matched: edges in the incidents of all scored days, also with `score` in nats. What scores exactly as the
    first false incident that would be too many is left out."""
    is_false = ~matched.groupby("incident")["malicious"].any()
    score = matched.groupby("incident")["score"].first()
    false = np.sort(score[is_false].to_numpy())[::-1]
    best = matched[matched["campaign"] >= 0].groupby("campaign")["score"].max()

    def found(rate: float) -> int:
        allowed = int(rate * days + 1e-9)  # 0.3 * 10 may be a little less than 3
        return int((best > false[allowed]).sum()) if allowed < len(false) else len(best)

    return {rate: found(rate) for rate in rates}


def precision(matched: pd.DataFrame) -> float:
    """Share of incidents with a malicious edge; 0 without incidents."""
    return float(matched.groupby("incident")["campaign"].count().gt(0).mean()) if len(matched) else 0.0


def red_team_days(matched: pd.DataFrame) -> int:
    """Days on which an edge of the red team was found; of labels: days on which it was active."""
    return int(matched.loc[matched["campaign"] == RED_TEAM, "day"].nunique())


def benign_share(matched: pd.DataFrame, benign: pd.DataFrame) -> float:
    """Share of incidents with an edge that is labelled as harmless and none that is malicious; 0 without
    incidents."""
    if not len(matched):
        return 0.0
    marked = matched.merge(benign[KEY].drop_duplicates().assign(benign=True), on=KEY, how="left")
    count = marked.groupby("incident")[["benign", "campaign"]].count()
    return float(((count["benign"] > 0) & (count["campaign"] == 0)).mean())


# --- edges --------------------------------------------------------------------------------------------------


def average_precision(malicious: Array, strangeness: Array) -> float:
    """Area under precision over recall of edges, bool and float [edges]."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(malicious, strangeness))


def roc_area(malicious: Array, strangeness: Array) -> float:
    """How often a malicious edge is stranger than another one. A weak measure: 1 % of a million edges is ten
    thousand."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(malicious, strangeness))


def false_positives(malicious: Array, strangeness: Array, recall: float = 0.5) -> int:
    """Edges that are not malicious and at least as strange as the last malicious one that is needed for the
    recall."""
    found = np.sort(strangeness[malicious])[::-1]
    last = found[int(np.ceil(recall * len(found))) - 1]
    return int((strangeness[~malicious] >= last).sum())


def p_flatness(p_value: Array, breadth: Array) -> float:
    """The worst factor by which the share of normal edges with p <= 0.01 misses 0.01, over tenths of users
    by breadth; 1 is flat. Both [edges], of normal edges only. Each tenth begins with FLATNESS_PRIOR edges, so
    that a few edges do not decide."""
    limits = np.unique(np.quantile(breadth, np.arange(1, 10) / 10))
    tenth = np.searchsorted(limits, breadth, "left")
    small = np.bincount(tenth, p_value <= FLATNESS_P) + FLATNESS_PRIOR * FLATNESS_P
    share = small / (np.bincount(tenth) + FLATNESS_PRIOR)
    return float(np.maximum(share / FLATNESS_P, FLATNESS_P / share).max())


def broadest(user: Array, breadth: Array, share: float = 0.01) -> Array:
    """The users of a day's edges that are at least as broad as the broadest `share` of them. int64 [users]"""
    users, first = np.unique(user, return_index=True)
    result: Array = users[breadth[first] >= np.quantile(breadth[first], 1 - share)]
    return result
