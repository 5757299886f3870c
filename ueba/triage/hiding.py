"""Rules applied to scored days: what they would have hidden, and hiding it. Leaves out the rules
(`rules`).
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pandas as pd

from ueba import findings
from ueba.contracts import scored
from ueba.contracts.incident import BelowLine, Incident
from ueba.contracts.reason import honey
from ueba.findings import Findings
from ueba.triage.rules import Rule, hidden_by, hiding_rule


@dataclass(frozen=True)
class DryRun:
    """What rules would have hidden.

    days:      number of scored days
    incidents: number of their incidents
    hidden:    incidents that the rules hide, the highest score first
    words:     verdicts by incident
    marked:    number of edges in other incidents that a rule hides
    """

    days: int
    incidents: int
    hidden: tuple[Incident, ...]
    words: Mapping[str, str]
    marked: int

    @property
    def true(self) -> list[Incident]:
        """The hidden incidents whose verdict is true."""
        return [incident for incident in self.hidden if self.words.get(incident.id) == "true"]

    def sentence(self) -> str:
        """The result as a sentence for people."""
        worst = f", {len(self.true)} of them called true" if self.hidden else ""
        return (
            f"would have hidden {len(self.hidden)} of {self.incidents} incidents on {self.days} scored days"
            f"{worst}; {self.marked} edges of other incidents match"
        )


def dry_run(folder: Path, rules: Sequence[Rule], words: Mapping[str, str], days: Sequence[dt.date]) -> DryRun:
    """What rules would have hidden of scored days. folder: the findings; words: verdicts by incident."""
    hidden: list[Incident] = []
    incidents, marked = 0, 0
    for day in days:
        found = hide(findings.load(folder, day), rules)
        aside = {incident.id for incident in found.incidents if incident.hidden_by}
        others = found.edges[found.edges["incident"].notna() & ~found.edges["incident"].isin(aside)]
        marked += int(others["rule"].notna().sum())
        incidents += len(found.incidents)
        hidden += [incident for incident in found.incidents if incident.id in aside]
    worst_first = tuple(sorted(hidden, key=lambda incident: -incident.score))
    return DryRun(len(days), incidents, worst_first, words, marked)


def hide(found: Findings, rules: Sequence[Rule]) -> Findings:
    """A scored day under other rules. Reported incidents rank before hidden ones. An incident that the budget
    cut off does not come back. No rule hides the use of honey."""
    is_honey = [honey(reasons) is not None for reasons in found.edges["reasons"]]
    rows = zip(found.edges.itertuples(index=False), is_honey, strict=True)
    names = [None if honey_is_used else hiding_rule(rules, row) for row, honey_is_used in rows]
    edges = found.edges.assign(rule=pd.Series(names, found.edges.index, dtype=object))
    incidents = [
        msgspec.structs.replace(
            incident, hidden_by=hidden_by(edges.loc[edges["incident"] == incident.id, "rule"])
        )
        for incident in found.incidents
    ]
    ordered = sorted(
        incidents, key=lambda incident: (incident.hidden_by is not None, -incident.score, incident.rank)
    )
    ranked = (msgspec.structs.replace(incident, rank=rank) for rank, incident in enumerate(ordered, start=1))
    return Findings(found.day, edges, tuple(ranked))


def hide_below(below: Sequence[BelowLine], edges: pd.DataFrame) -> tuple[BelowLine, ...]:
    """Incidents below the line under the rules of a day's edges. They keep their ranks."""
    rules = dict(zip(scored.identities(edges), edges["rule"], strict=True))
    return tuple(
        msgspec.structs.replace(
            entry,
            incident=msgspec.structs.replace(
                entry.incident,
                hidden_by=hidden_by(rules.get(edge) for edge in entry.edges),
            ),
        )
        for entry in below
    )


def hide_all(folder: Path, rules: Sequence[Rule]) -> None:
    """Put all scored days under other rules. The time of a file stays, as it is when the day was scored."""
    for day in findings.scored_days(folder):
        before = findings.load(folder, day)
        after = hide(before, rules)
        below = findings.load_below(folder, day)
        after = replace(after, below=hide_below(below, after.edges) or None)
        changed = after.incidents != before.incidents or (after.below or ()) != below
        if changed or not after.edges["rule"].equals(before.edges["rule"]):
            scored_at = findings.scored_at(folder, day).timestamp()
            findings.save(after, folder)
            os.utime(folder / f"day={day}.json", (scored_at, scored_at))
