"""Excluded edges: edges that were strange when they were scored or reviewed, and edges of confirmed attacks.

An excluded edge has a p-value, from which `History.learn` decides what of the edge is learned: the p-value of
its scoring or review, or 0 if nothing is ever learned of it, because a verdict calls it an attack or a review
says that who acted stands out. docs/measured.md measures what an attack costs that stays in the training
data.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ueba import findings, state, suspects
from ueba.contracts import scored
from ueba.contracts.edge import Edge
from ueba.contracts.incident import STRANGE_P
from ueba.contracts.suspect import Suspect
from ueba.contracts.verdict import Verdict

Exclusions = Mapping[Edge, float]  # p-value by edge


def nothing_strange(day: dt.date) -> Exclusions:
    """No edge: the strange edges of a day that was not scored."""
    return {}


def nothing_unknown(day: dt.date) -> bool:
    """No day asks for a review."""
    return False


@dataclass(frozen=True)
class Lessons:
    """What decides which edges are excluded.

    strange:    the strange edges of a day with their p-values, none for a day that was neither scored nor
                reviewed
    verdicts:   the last verdict on every incident
    is_unknown: whether a day was neither scored nor reviewed, so that a training reviews it
    """

    strange: Callable[[dt.date], Exclusions] = nothing_strange
    verdicts: Sequence[Verdict] = ()
    is_unknown: Callable[[dt.date], bool] = nothing_unknown

    def reviewed(self, found: Mapping[dt.date, Sequence[Suspect]]) -> Lessons:
        """The lessons with the suspects of days that were reviewed since."""
        return replace(
            self,
            strange=lambda day: of_review(found[day]) if day in found else self.strange(day),
            is_unknown=lambda day: day not in found and self.is_unknown(day),
        )

    def excluded(self, day: dt.date) -> Exclusions:
        """The excluded edges of a day: the strange edges with their p-values. The p-value is 0 for edges of
        the day's incidents with the verdict true, and for strange edges whose last verdict, on an incident of
        an earlier day, is true."""
        strange, last = self.strange(day), last_verdicts(self.verdicts, day)
        attacks = {
            edge: 0.0
            for edge, verdict in last.items()
            if verdict.verdict == "true" and (verdict.day == day or edge in strange)
        }
        return {**strange, **attacks} if attacks else strange

    def fingerprint(self, last: dt.date) -> str:
        """A hash of the verdicts that affect learning the days up to `last`; empty if there are none."""
        verdicts = [verdict for verdict in self.verdicts if verdict.day <= last]
        attacks = {row.edge for verdict in verdicts if verdict.verdict == "true" for row in verdict.edges}
        rows = [
            (
                verdict.day.isoformat(),
                verdict.entered.isoformat(),
                verdict.verdict == "true",
                *map(str, row.edge),
            )
            for verdict in verdicts
            for row in verdict.edges
            if row.edge in attacks
        ]
        return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest() if rows else ""


EVERYTHING = Lessons()  # no edge is excluded


def of_workspace(
    folder: Path, verdicts: Sequence[Verdict], batches_of: Callable[[dt.date], list[str]]
) -> Lessons:
    """The lessons of a workspace. folder: its findings; batches_of: the edge files of a day in the lake, with
    which a review stands or falls"""

    def is_scored(day: dt.date) -> bool:
        return state.is_there(folder / f"day={day}.parquet")

    def strange(day: dt.date) -> Exclusions:
        if is_scored(day):
            return strange_edges(findings.load_edges(folder, day))
        review = suspects.load(folder, day)
        return of_review(review.suspects) if review else {}

    def is_unknown(day: dt.date) -> bool:
        review = None if is_scored(day) else suspects.load(folder, day)
        return not is_scored(day) and (review is None or list(review.batches) != batches_of(day))

    return Lessons(strange, verdicts, is_unknown)


def of_review(found: Iterable[Suspect]) -> dict[Edge, float]:
    """The strange edges of a day that was reviewed, with their p-values; 0 for those of which nothing is
    learned."""
    return {suspect.edge: 0.0 if suspect.stands_out else suspect.p_value for suspect in found}


def strange_edges(edges: pd.DataFrame) -> dict[Edge, float]:
    """The strange edges among a day's scored edges, with their p-values. Edges outside incidents are
    included, so that learning does not depend on the alert budget."""
    strange = edges[edges["p_value"] <= STRANGE_P]
    return dict(zip(scored.identities(strange), strange["p_value"], strict=True))


def p_values(table: pa.Table, excluded: Exclusions) -> npt.NDArray[np.float64]:
    """The p-value of every edge of a day for learning, float64 [edges]; 1 for an edge that is not
    excluded."""
    if not excluded:
        return np.ones(len(table))
    columns = (table[name].to_pylist() for name in Edge._fields)
    return np.fromiter(
        (excluded.get(Edge(*row), 1.0) for row in zip(*columns, strict=True)), float, len(table)
    )


def not_attacks(table: pa.Table, excluded: Exclusions) -> npt.NDArray[np.bool_]:
    """Whether an edge of a day is not a confirmed attack, and so counts as normal. bool [edges]"""
    normal: npt.NDArray[Any] = p_values(table, excluded) > 0
    return normal


def last_verdicts(verdicts: Iterable[Verdict], day: dt.date) -> dict[Edge, Verdict]:
    """The last verdict on every edge among the incidents of days up to one."""
    ordered = sorted(
        (verdict for verdict in verdicts if verdict.day <= day),
        key=lambda verdict: (verdict.day, verdict.entered, verdict.id),
    )
    return {row.edge: verdict for verdict in ordered for row in verdict.edges}


def cleared(verdicts: Iterable[Verdict], day: dt.date) -> set[Edge]:
    """The edges of a day whose verdict is not true. They leave no carry-over."""
    last = last_verdicts(verdicts, day)
    return {edge for edge, verdict in last.items() if verdict.day == day and verdict.verdict != "true"}
