"""A row's numbers, for one seed and over several: where scores and labels meet.

The names of the numbers, with the unit or range:

    found_N        campaigns with an edge among the first N incidents of a day; the budget is filled every day
    precision_N    share of these incidents with a malicious edge
    reported_found, reported_precision, reported_a_day
                   the same at 10, of the incidents that the product would report: on a quiet day there are
                   fewer than the budget
    red_days_N     days with a red team on which one of its edges was in an incident
    benign_10      share of the incidents about what labels call harmless (an administrator's sweep, a scanner)
    false_a_day    other edges a day that are at least as strange as the stranger half of the malicious ones: 50 % recall of edges
    ap, auc        average precision and area under the ROC of edges
    broad_10       share of the edges in incidents that belong to the broadest 1 % of the day's users
    p_flat         worst factor between the share of normal edges with p <= 0.01 and 0.01, over tenths of user breadth; 1 is best
    seconds        fitting and scoring        megabytes   peak memory of doing so
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ueba.errors import InputError
from ueba.evaluate import measure
from ueba.evaluate.measure import BUDGETS, KEY, USUAL
from ueba.evaluate.protocol import Array, Prepared
from ueba.evaluate.rows import Row, Run
from ueba.evaluate.triage import BUDGETS as CURVE
from ueba.evaluate.triage import Triaged

UNKNOWN, NOT_IN_LAKE = (
    -1,
    -2,
)  # numbers of a machine that the log does not tell, and of a name that the lake does not have


@dataclass(frozen=True)
class Truth:
    """What labels say of the scored days, by numbers.

    malicious, benign: labels with KEY, kind and campaign      broad: day and user, the broadest of each day
    edge_malicious, edge_breadth: bool and float32 [edges of all scored days, in order]
    """

    malicious: pd.DataFrame
    benign: pd.DataFrame
    broad: pd.DataFrame
    edge_malicious: Array
    edge_breadth: Array
    days: int

    @property
    def facts(self) -> dict[str, Any]:
        """days, campaigns, red_days, and campaigns of each kind."""
        there = measure.campaigns_there(self.malicious)
        by_kind = {str(kind): int(number) for kind, number in there.value_counts().sort_index().items()}
        red_days = measure.red_team_days(self.malicious)
        return {
            "days": self.days,
            "campaigns": len(there),
            "red_days": red_days,
            "campaigns_by_kind": by_kind,
        }


def truth(prepared: Prepared, labels: pd.DataFrame) -> Truth:
    """Labels (with `day`, see `measure.with_days`) put beside the scored days. Raises InputError where they
    do not meet."""
    scored = prepared.of_use("score")
    labels = labels[labels["day"].isin([day.date for day in scored])]
    users, places = (
        {name: number for number, name in enumerate(names)} for names in (prepared.users, prepared.places)
    )
    numbered = labels.assign(
        user=labels["user"].map(users).fillna(NOT_IN_LAKE).astype(np.int64),
        source=labels["source"]
        .map(places)
        .fillna(NOT_IN_LAKE)
        .astype(np.int64)
        .where(labels["source"].notna(), UNKNOWN),
        target=labels["target"].map(places).fillna(NOT_IN_LAKE).astype(np.int64),
    )[[*KEY, "kind", "campaign", "malicious"]]
    malicious = numbered[numbered["malicious"] == 1]
    known = malicious[KEY].drop_duplicates().assign(known=True)
    hits, breadths, broad = [], [], []
    for day in scored:
        batch, breadth = day.batch, day.breadth
        edges = pd.DataFrame(
            {"day": day.date, "user": batch.user, "source": batch.source, "target": batch.target}
        )
        hits.append(
            edges.merge(known[known["day"] == day.date], on=KEY, how="left")["known"].notna().to_numpy()
        )
        breadths.append(breadth)
        broad.append(pd.DataFrame({"day": day.date, "user": measure.broadest(batch.user, breadth)}))
    edge_malicious = np.concatenate(hits)
    if not edge_malicious.any():
        raise InputError(
            f"none of the {len(known)} malicious edges in the labels of {scored[0].date} to {scored[-1].date} is in the lake;"
            f" are the names spelled as `ueba score --day DAY` shows them, and do times count from --epoch?"
        )
    benign = numbered[numbered["malicious"] == 0]
    return Truth(malicious, benign, pd.concat(broad), edge_malicious, np.concatenate(breadths), len(scored))


@dataclass(frozen=True)
class Result:
    """One row with one seed. curve: campaigns found by incidents a day."""

    numbers: dict[str, float]
    found_by_kind: dict[str, int]
    curve: dict[int, int]


def result(triaged: Triaged, truth: Truth, run: Run) -> Result:
    """All numbers of a run, see the module's table."""
    at = {
        budget: measure.judged(listed, truth.malicious)
        for budget, listed in triaged.listed.groupby("budget", sort=True)
    }
    usual = at[USUAL]
    reported = usual[usual["reported"]]
    numbers: dict[str, float] = {
        f"found_{budget}": len(measure.campaigns_found(at[budget])) for budget in BUDGETS
    }
    numbers |= {f"precision_{budget}": measure.precision(at[budget]) for budget in BUDGETS}
    numbers |= {
        "reported_found": len(measure.campaigns_found(reported)),
        "reported_precision": measure.precision(reported),
        "reported_a_day": reported["incident"].nunique() / truth.days,
    }
    if measure.red_team_days(truth.malicious):
        numbers |= {f"red_days_{budget}": measure.red_team_days(at[budget]) for budget in BUDGETS}
    if len(truth.benign):
        numbers["benign_10"] = measure.benign_share(usual, truth.benign)
    owned = usual.merge(truth.broad.assign(broad=True), on=["day", "user"], how="left")
    normal = ~truth.edge_malicious
    numbers |= {
        "false_a_day": measure.false_positives(truth.edge_malicious, triaged.strangeness) / truth.days,
        "ap": measure.average_precision(truth.edge_malicious, triaged.strangeness),
        "auc": measure.roc_area(truth.edge_malicious, triaged.strangeness),
        "broad_10": float(owned["broad"].notna().mean()),
        "p_flat": measure.p_flatness(triaged.p_value[normal], truth.edge_breadth[normal]),
        "seconds": run.seconds,
        "megabytes": run.megabytes,
    }
    kinds = measure.campaigns_found(usual).value_counts()
    curve = {budget: len(measure.campaigns_found(at[budget])) for budget in CURVE}
    return Result(numbers, {str(kind): int(number) for kind, number in kinds.items()}, curve)


def summary(row: Row, results: Sequence[Result]) -> dict[str, Any]:
    """A row of the table: means over seeds, and under `<name>_spread` the standard deviation where there are
    several seeds."""
    record: dict[str, Any] = {"row": row.name, "kind": row.kind, "seeds": len(results)}
    for name in results[0].numbers:
        values = [each.numbers[name] for each in results]
        record[name] = float(np.mean(values))
        if len(values) > 1:
            record[f"{name}_spread"] = float(np.std(values, ddof=1))
    for name in ("found_by_kind", "curve"):
        parts = [getattr(each, name) for each in results]
        keys = sorted({key for part in parts for key in part})
        record[name] = {key: float(np.mean([part.get(key, 0) for part in parts])) for key in keys}
    return record
