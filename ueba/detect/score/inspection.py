"""Are p-values right? Days that the model did not train on are scored again, and strange edges are counted.

Of normal edges one in a hundred should have p <= 0.01, whatever the account (conformal validity, Vovk et al.
2005); `shares` counts how many do, among users of similar breadth and in each peer group. The edges of
a user are correlated, so they count as fewer: an interval is Wilson's (1927) for the number of
edges divided by Kish's (1965) design effect. `prices` says what a threshold would cost: edges and incidents
a day. A day's p-values come from the calibration scores of other days. Leaves out labels: attacks are
counted as the normal edges they pretend to be, which raises the smallest shares a little.

    edges, a row each      day, user, source (None if unknown), target, kind (of USER_KINDS), breadth
                           (distinct targets of the user before the day), surprise, p_value, strangeness
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ueba.arrays import Array
from ueba.config import Config
from ueba.detect import incidents
from ueba.detect.past.encoded import USER_KINDS
from ueba.detect.past.history import History, breadth_power, date_of, day_number
from ueba.detect.past.walk import DayEdges
from ueba.detect.score.detector import Detector, scored
from ueba.errors import WorkspaceError
from ueba.progress import Progress, quiet
from ueba.tables import records

LEVELS = (0.01, 0.001)  # p at or below which edges are counted; evenness is that of the first
TOLERANCE = 2.0  # a share within this factor of what it should be is even
CONFIDENCE_Z = 1.96  # 95 %
DAYS = 5  # days inspected if nobody says which
STALE_DAYS = 7  # a model older than this is said to be old
P_THRESHOLDS = tuple(10.0**-power for power in range(1, 7))
SCORE_THRESHOLDS = 10  # of an incident's score, about as many, at whole nats
SHARE_COLUMNS = (
    "group",
    "breadth",
    "users",
    "edges",
    "share_p_0.01",
    "at_least",
    "at_most",
    "share_p_0.001",
    "evenness",
)
PRICE_COLUMNS = ("measure", "threshold", "edges_a_day", "incidents_a_day", "most_incidents", "means")


@dataclass(frozen=True)
class Inspection:
    """What was counted.

    days:    the days inspected
    how:     how these days relate to the training, a sentence for people
    breadth, cohorts: shares by tenth of breadth and by cohort, columns SHARE_COLUMNS
    prices:  edges and incidents a day by threshold, columns PRICE_COLUMNS
    """

    days: list[dt.date]
    how: str
    breadth: pd.DataFrame
    cohorts: pd.DataFrame
    prices: pd.DataFrame

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of the tables, by name of the table."""
        return {
            "breadth": records(self.breadth),
            "cohorts": records(self.cohorts),
            "prices": records(self.prices),
        }


def inspect(edges: pd.DataFrame, how: str, config: Config, budget_score: float) -> Inspection:
    """Shares and prices of scored edges, in the columns of this module's table. budget_score: the least score
    of a reported incident in nats, 0 if unknown."""
    return Inspection(
        days=sorted(edges["day"].unique()),
        how=how,
        breadth=shares(edges, breadth_tenths(edges)),
        cohorts=shares(edges, cohorts(edges)),
        prices=prices(edges, config, budget_score),
    )


# --- shares -------------------------------------------------------------------------------------------------


def breadth_tenths(edges: pd.DataFrame) -> pd.Series[str]:
    """The tenth of users by breadth on a day that every edge's user belongs to [edges]; fewer than ten groups
    if many users are equally broad."""
    users = edges.drop_duplicates(["day", "user"])["breadth"]
    limits = np.unique(np.quantile(users, np.arange(1, 10) / 10))
    number = np.searchsorted(limits[limits > users.min()], edges["breadth"], "right")
    return pd.Series([f"{tenth + 1:2d} of {number.max() + 1}" for tenth in number], index=edges.index)


def cohorts(edges: pd.DataFrame) -> pd.Series[str]:
    """The kind of account and breadth within a factor of two, as in `History.cohorts`. [edges]"""
    power = breadth_power(edges["breadth"])
    return pd.Series(
        [f"{kind} {2**e - 1:4d}+" for kind, e in zip(edges["kind"], power.tolist(), strict=True)],
        index=edges.index,
    )


def shares(edges: pd.DataFrame, group: pd.Series[str]) -> pd.DataFrame:
    """The share of edges with a p-value of at most every level, for all edges and for every group, columns
    SHARE_COLUMNS. Reads the columns user, breadth and p_value of `edges`; group: [edges]"""
    alike = likeness((edges["p_value"] <= LEVELS[0]).to_numpy(), edges["user"].to_numpy())
    rows = [
        _share("all", edges, alike),
        *(_share(str(name), members, alike) for name, members in edges.groupby(group)),
    ]
    return pd.DataFrame(rows, columns=list(SHARE_COLUMNS))


def _share(name: str, edges: pd.DataFrame, alike: float) -> dict[str, Any]:
    share, tail = ((edges["p_value"] <= level).mean() for level in LEVELS)
    at_least, at_most = interval(share, len(edges) / design_effect(edges["user"].to_numpy(), alike))
    return {
        "group": name,
        "breadth": "-".join(f"{end:.0f}" for end in sorted({edges["breadth"].min(), edges["breadth"].max()})),
        "users": edges["user"].nunique(),
        "edges": len(edges),
        "share_p_0.01": share,
        "at_least": at_least,
        "at_most": at_most,
        "share_p_0.001": tail,
        "evenness": evenness(share, at_least, at_most, LEVELS[0]),
    }


def likeness(strange: Array, user: Array) -> float:
    """The correlation between the edges of a user, in [0, 1]. strange: bool [edges]; user: ids [edges].

    It is the value for which Kish's design effect, 1 + (edges of an edge's user - 1) * likeness, gives the
    observed variance between users."""
    _, user, edges = np.unique(user, return_inverse=True, return_counts=True)
    share = strange.mean()
    chance = len(strange) * share * (1 - share)
    resembling = (edges**2).sum() / len(strange) - 1
    if not chance or not resembling:
        return 0.0
    effect = (np.bincount(user, strange - share) ** 2).sum() / chance
    return float(np.clip((effect - 1) / resembling, 0, 1))


def design_effect(user: Array, alike: float) -> float:
    """The number of edges that carry as much information as one independent edge. user: ids [edges]; alike:
    see `likeness`"""
    edges = np.unique(user, return_counts=True)[1]
    return float(1 + ((edges**2).sum() / edges.sum() - 1) * alike)


def interval(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n independent edges."""
    z2 = CONFIDENCE_Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = CONFIDENCE_Z * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return (float(middle - half) if share else 0.0), (float(middle + half) if share < 1 else 1.0)


def evenness(share: float, at_least: float, at_most: float, level: float) -> str:
    """`even` within TOLERANCE of the level, `within chance` if the interval reaches that far, else `too
    many` or `too few`."""
    low, high = level / TOLERANCE, level * TOLERANCE
    if low <= share <= high:
        return "even"
    if at_least <= high and at_most >= low:
        return "within chance"
    return "too many" if share > high else "too few"


# --- prices -------------------------------------------------------------------------------------------------


def prices(edges: pd.DataFrame, config: Config, budget_score: float) -> pd.DataFrame:
    """Edges and incidents a day by threshold, and the most incidents of one day, columns PRICE_COLUMNS.

    p_value: edges with a p-value of at most the threshold; incidents are made of all of them
    score:   edges with a strangeness of at least the threshold, in nats; incidents, made of a day's
             candidates, whose score reaches it"""
    days = [day.sort_values("strangeness", ascending=False, kind="stable") for _, day in edges.groupby("day")]
    rows = []
    for threshold in P_THRESHOLDS:
        strange = [day[day["p_value"] <= threshold] for day in days]
        counts = [len(set(incidents.group(table).tolist()) - {incidents.NONE}) for table in strange]
        rows.append(_price("p_value", threshold, [len(table) for table in strange], counts, ""))
    scores = [incidents.scores(day, config.incidents.candidates, config.incidents.budget) for day in days]
    all_scores = np.concatenate(scores)
    step = max(int(np.ceil(np.ptp(all_scores) / SCORE_THRESHOLDS)), 1)
    thresholds = set(np.arange(np.ceil(all_scores.min()), all_scores.max() + 1, step).tolist())
    for threshold in sorted(thresholds | ({budget_score} if budget_score else set())):
        strange_edges = [int((day["strangeness"] >= threshold).sum()) for day in days]
        mark = f"the budget of {config.incidents.budget}" if threshold == budget_score else ""
        rows.append(
            _price(
                "score",
                threshold,
                strange_edges,
                [int((of_day >= threshold).sum()) for of_day in scores],
                mark,
            )
        )
    return pd.DataFrame(rows, columns=list(PRICE_COLUMNS))


def _price(measure: str, threshold: float, edges: list[int], found: list[int], mark: str) -> dict[str, Any]:
    per_day = float(np.mean(edges)), float(np.mean(found)), max(found)
    return dict(zip(PRICE_COLUMNS, (measure, threshold, *per_day, mark), strict=True))


# --- scoring again ------------------------------------------------------------------------------------------


def days_to_inspect(
    lake_days: list[dt.date], model: Detector, first: dt.date | None = None, last: dt.date | None = None
) -> tuple[list[dt.date], str]:
    """Days of the lake that the model did not train on, and how they relate to the training, for people.

    Without `first` and `last`: the last DAYS days after the training, or the held-out days if there are none.
    Raises WorkspaceError if there is no such day."""
    after = [day for day in lake_days if model.facts.learned_before(day)]
    held_out = [
        day
        for day in map(date_of, np.unique(model.calibration.day).tolist())
        if day in lake_days and not model.facts.learned_before(day)
    ]
    if first is None and last is None:
        chosen = after[-DAYS:] or held_out
    else:
        chosen = [day for day in held_out + after if (first or day) <= day <= (last or day)]
    if not chosen:
        raise WorkspaceError(
            f"no day there that the model did not train on: it was trained until {model.facts.trained_until}"
            f" and held out {', '.join(map(str, held_out)) or 'no day'};"
            f" the lake ends on {lake_days[-1] if lake_days else 'no day'}; `ueba ingest` a later day"
        )
    until = model.facts.trained_until
    if chosen[0] <= until:
        return chosen, f"held out of a training that went on until {until}, each calibrated by the others"
    age = (chosen[-1] - until).days
    stale = (
        f"; a model {age} days old is not what `ueba nightly` would use, see --from and --to"
        if age > STALE_DAYS
        else ""
    )
    return chosen, f"the model was trained until {until}{stale}"


def score_again(
    model: Detector,
    days: list[dt.date],
    history: History,
    walked: Iterable[DayEdges],
    progress: Progress = quiet,
) -> pd.DataFrame:
    """All edges of days of the lake, scored with the history before their day and calibrated by other days;
    columns as in the table of this module.

    walked: a walk of this history over all days from the first to the last. Raises WorkspaceError if the
    calibration has no scores of another day."""
    tables: list[pd.DataFrame] = []
    for edges in walked:
        if edges.day not in days:
            continue
        progress("score", len(tables), len(days))
        others = model.calibration.without(day_number(edges.day))
        if not len(others.surprise):
            raise WorkspaceError(
                f"{edges.day} is the only day of the model's calibration;"
                " `ueba ingest` a day after its training, and ask again"
            )
        score, _ = replace(model, calibration=others).score(history, edges.encoded, day_number(edges.day))
        kind = np.array(USER_KINDS)[history.user_kind[edges.encoded.user]]
        breadth = history.sides["user_target"][0].breadth[edges.encoded.user]
        tables.append(scored(edges.encoded, score).assign(day=edges.day, kind=kind, breadth=breadth))
    progress("score", len(days), len(days))
    return pd.concat(tables, ignore_index=True)
