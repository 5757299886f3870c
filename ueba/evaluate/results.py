"""A row's numbers, for one seed and over several: where scores and labels meet.

| number | unit | meaning |
|---|---|---|
| found_at_false_R | campaigns | found at R false incidents a day: one threshold on the score, all days |
| found_N | campaigns | campaigns with an edge among the first N incidents of a day |
| precision_N | 0 to 1 | share of these incidents with a malicious edge |
| reported_found, reported_precision | as above | at 10, of the incidents that the product would report |
| reported_a_day | incidents | of those, a day; on a quiet day there are fewer than the budget |
| red_days_N | days | days with a red team on which one of its edges was in an incident |
| benign_10 | 0 to 1 | share of the incidents about what labels call harmless (a sweep, a scanner) |
| false_a_day | edges a day | other edges at least as strange as the stranger half of the malicious ones |
| ap, auc | 0 to 1 | average precision and area under the ROC of edges |
| broad_10 | 0 to 1 | share of the edges in incidents that belong to the broadest 1 % of the day's users |
| p_flat | factor | by which the share of normal edges with p <= 0.01 misses 0.01, the worst tenth of users |
| seconds | s | fitting and scoring |
| megabytes | MB | peak memory of fitting and scoring |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ueba.arrays import Array
from ueba.campaigns import KINDS
from ueba.errors import InputError
from ueba.evaluate import measure
from ueba.evaluate.measure import BUDGETS, FALSE_RATES, KEY, USUAL
from ueba.evaluate.protocol import Day, Prepared
from ueba.evaluate.ranking import CURVE_BUDGETS, Ranked
from ueba.evaluate.rows import Row, Run

UNKNOWN = -1  # the number of a machine that the log does not name
NOT_IN_LAKE = -2  # the number of a name that the lake does not have
CURVE_RATES = (0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10)  # false incidents a day
SAME_KIND = {"night_use": "odd_hours"}  # what other labels call a kind of `ueba.campaigns`


# --- what there was to be found -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What there was to be found on the scored days."""

    days: int
    campaigns: int  # numbered ones
    red_days: int  # days on which a red team was active
    campaigns_by_kind: dict[str, int]
    resembles: dict[str, str]  # by kind: what training saw of it, see `resembles`

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def resembles(kind: str) -> str:
    """The family of negatives that is the same idea as a kind of campaign; ? for kinds that are not ours."""
    found = KINDS.get(SAME_KIND.get(kind, kind))
    return "?" if found is None else found.resembles or "never"


@dataclass(frozen=True)
class Truth:
    """What labels say of the scored days; entities are numbers."""

    malicious: pd.DataFrame  # labels: KEY, kind, campaign, malicious
    benign: pd.DataFrame  # the same columns
    broad: pd.DataFrame  # day and user: the broadest users of each day
    edge_malicious: Array  # bool [edges of all scored days, in order]
    edge_breadth: Array  # float32 [edges of all scored days, in order]
    days: int

    @property
    def facts(self) -> Facts:
        campaigns = measure.campaigns_there(self.malicious)
        by_kind = {str(kind): int(count) for kind, count in campaigns.value_counts().sort_index().items()}
        red_days = measure.red_team_days(self.malicious)
        return Facts(
            self.days, len(campaigns), red_days, by_kind, {kind: resembles(kind) for kind in by_kind}
        )


def truth(prepared: Prepared, labels: pd.DataFrame) -> Truth:
    """Labels (with `day`, see `measure.with_days`) beside the scored days. Raises InputError if no malicious
    edge is in the lake."""
    days = prepared.of_use("score")
    labels = numbered(prepared, labels[labels["day"].isin([day.date for day in days])])
    malicious = labels[labels["malicious"] == 1]
    edges = malicious[KEY].drop_duplicates().assign(labelled=True)
    edge_malicious = np.concatenate([is_labelled(day, edges) for day in days])
    if not edge_malicious.any():
        raise InputError(
            f"none of the {len(edges)} malicious edges in the labels of {days[0].date} to {days[-1].date} is"
            " in the lake; are the names spelled as `ueba score --day DAY` shows them, and do times count"
            " from --labels-epoch?"
        )
    broad = [
        pd.DataFrame({"day": day.date, "user": measure.broadest(day.encoded.user, day.breadth)})
        for day in days
    ]
    breadth = np.concatenate([day.breadth for day in days])
    benign = labels[labels["malicious"] == 0]
    return Truth(malicious, benign, pd.concat(broad), edge_malicious, breadth, len(days))


def numbered(prepared: Prepared, labels: pd.DataFrame) -> pd.DataFrame:
    """KEY, kind, campaign and malicious of labels, with the numbers of entities for their names."""
    users, places = (
        {name: number for number, name in enumerate(names)} for names in (prepared.users, prepared.places)
    )

    def numbers(column: str, of_names: dict[str, int]) -> pd.Series[int]:
        return labels[column].map(of_names).fillna(NOT_IN_LAKE).astype(np.int64)

    source = numbers("source", places).where(labels["source"].notna(), UNKNOWN)
    table = labels.assign(user=numbers("user", users), source=source, target=numbers("target", places))
    return table[[*KEY, "kind", "campaign", "malicious"]]


def is_labelled(day: Day, labelled: pd.DataFrame) -> Array:
    """Which edges of a day are among the labelled ones, bool [edges]."""
    encoded = day.encoded
    edges = pd.DataFrame(
        {"day": day.date, "user": encoded.user, "source": encoded.source, "target": encoded.target}
    )
    found = edges.merge(labelled[labelled["day"] == day.date], on=KEY, how="left")["labelled"]
    result: Array = found.notna().to_numpy()
    return result


# --- what was found -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """One row with one seed."""

    numbers: dict[str, float]  # see the module's table
    found_by_kind: dict[str, int]  # campaigns, at the usual budget
    curve: dict[int, int]  # campaigns found by incidents a day
    false_curve: dict[float, int]  # campaigns found by false incidents a day


def result(ranked: Ranked, truth: Truth, run: Run) -> Result:
    """All numbers of a run."""
    at = {
        budget: measure.matched(ranked.listed[ranked.listed["budget"] == budget], truth.malicious)
        for budget in CURVE_BUDGETS
    }
    false_curve = measure.found_at_false(at[max(CURVE_BUDGETS)], truth.days, CURVE_RATES)
    numbers = {
        **{f"found_at_false_{rate}": false_curve[rate] for rate in FALSE_RATES},
        **of_budgets(at, truth),
        **of_reported(at[USUAL], truth),
        **of_edges(ranked, truth),
        "broad_10": broad_share(at[USUAL], truth),
        "seconds": run.seconds,
        "megabytes": run.megabytes,
    }
    kinds = measure.campaigns_found(at[USUAL]).value_counts()
    curve = {budget: len(measure.campaigns_found(at[budget])) for budget in CURVE_BUDGETS}
    return Result(numbers, {str(kind): int(count) for kind, count in kinds.items()}, curve, false_curve)


def of_budgets(at: dict[int, pd.DataFrame], truth: Truth) -> dict[str, float]:
    """Numbers of incidents that fill a budget. at: matched edges by budget"""
    numbers: dict[str, float] = {f"found_{n}": len(measure.campaigns_found(at[n])) for n in BUDGETS}
    numbers |= {f"precision_{n}": measure.precision(at[n]) for n in BUDGETS}
    if measure.red_team_days(truth.malicious):
        numbers |= {f"red_days_{n}": measure.red_team_days(at[n]) for n in BUDGETS}
    if len(truth.benign):
        numbers["benign_10"] = measure.benign_share(at[USUAL], truth.benign)
    return numbers


def of_reported(usual: pd.DataFrame, truth: Truth) -> dict[str, float]:
    """Numbers of the incidents that the product would report. usual: matched edges at the usual budget"""
    reported = usual[usual["reported"]]
    return {
        "reported_found": len(measure.campaigns_found(reported)),
        "reported_precision": measure.precision(reported),
        "reported_a_day": reported["incident"].nunique() / truth.days,
    }


def of_edges(ranked: Ranked, truth: Truth) -> dict[str, float]:
    """Numbers of all edges, whatever the incidents."""
    malicious, normal = truth.edge_malicious, ~truth.edge_malicious
    return {
        "false_a_day": measure.false_positives(malicious, ranked.strangeness) / truth.days,
        "ap": measure.average_precision(malicious, ranked.strangeness),
        "auc": measure.roc_area(malicious, ranked.strangeness),
        "p_flat": measure.p_flatness(ranked.p_value[normal], truth.edge_breadth[normal]),
    }


def broad_share(usual: pd.DataFrame, truth: Truth) -> float:
    """Share of the edges in incidents that belong to the broadest users of the day."""
    owned = usual.merge(truth.broad.assign(broad=True), on=["day", "user"], how="left")
    return float(owned["broad"].notna().mean())


# --- over several seeds -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RowSummary:
    """A row of the table."""

    name: str
    kind: str  # baseline, model or ablation
    seeds: int
    mean: dict[str, float]  # over seeds, of every number in the module's table
    spread: dict[str, float]  # standard deviation over seeds; empty for one seed
    found_by_kind: dict[str, float]  # mean
    curve: dict[int, float]  # mean
    false_curve: dict[float, float]  # mean

    def to_dict(self) -> dict[str, Any]:
        """One flat record, with the spread of a number under `<name>_spread`."""
        record: dict[str, Any] = {"row": self.name, "kind": self.kind, "seeds": self.seeds}
        for name, value in self.mean.items():
            record[name] = value
            if name in self.spread:
                record[f"{name}_spread"] = self.spread[name]
        curves = {"curve": self.curve, "false_curve": self.false_curve}
        return record | {"found_by_kind": self.found_by_kind} | curves


def summary(row: Row, results: Sequence[Result]) -> RowSummary:
    """A row of the table from its results, one for each seed."""
    values = {name: [result.numbers[name] for result in results] for name in results[0].numbers}
    mean = {name: float(np.mean(of_seeds)) for name, of_seeds in values.items()}
    spread = {name: float(np.std(of_seeds, ddof=1)) for name, of_seeds in values.items() if len(results) > 1}
    kinds = sorted({kind for result in results for kind in result.found_by_kind})
    by_kind = {
        kind: float(np.mean([result.found_by_kind.get(kind, 0) for result in results])) for kind in kinds
    }
    curve = {budget: float(np.mean([result.curve[budget] for result in results])) for budget in CURVE_BUDGETS}
    false_curve = {
        rate: float(np.mean([result.false_curve[rate] for result in results])) for rate in CURVE_RATES
    }
    return RowSummary(row.name, row.kind, len(results), mean, spread, by_kind, curve, false_curve)
