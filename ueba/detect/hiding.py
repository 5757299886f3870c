"""Rules on days that were scored: what they would have hidden, and hiding it. Leaves out what a rule is;
that is `rules`."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ueba.detect import archive, findings
from ueba.detect.rules import Rule, hidden_by, that_hides


@dataclass(frozen=True)
class DryRun:
    """days: how many scored days were looked at; incidents: how many they have; hidden: those the rules
    hide, the worst first, with `verdict`; marked: edges of other incidents that a rule would hide, if all
    the others were."""

    days: int
    incidents: int
    hidden: list[dict[str, Any]]
    marked: int

    @property
    def true(self) -> list[dict[str, Any]]:
        """Of the hidden ones those that were called true."""
        return [incident for incident in self.hidden if incident["verdict"] == "true"]

    def sentence(self) -> str:
        """For a person."""
        worst = (
            f", the worst with {self.hidden[0]['score']:.1f} nats, {len(self.true)} called true"
            if self.hidden
            else ""
        )
        return (
            f"would have hidden {len(self.hidden)} of {self.incidents} incidents on {self.days} scored days{worst};"
            f" {self.marked} edges of others match"
        )


def dry_run(
    folder: Path,
    rules: Sequence[Rule],
    verdicts: Mapping[str, Mapping[str, Any]],
    first: dt.date | None = None,
    last: dt.date | None = None,
) -> DryRun:
    """What rules would have hidden of scored days, both ends included. verdicts: `feedback.verdicts`."""
    days = [
        day
        for day in archive.scored_days(folder)
        if (first is None or day >= first) and (last is None or day <= last)
    ]
    hidden, incidents, marked = [], 0, 0
    for day in days:
        finding = hide(findings.load(folder, day), rules)
        aside = {incident["id"] for incident in finding.incidents if incident["suppressed_by"]}
        others = finding.edges[finding.edges["incident"].notna() & ~finding.edges["incident"].isin(aside)]
        marked += int(others["rule"].notna().sum())
        incidents += len(finding.incidents)
        hidden += [
            {**incident, "verdict": verdicts.get(incident["id"], {}).get("verdict")}
            for incident in finding.incidents
            if incident["id"] in aside
        ]
    return DryRun(len(days), incidents, sorted(hidden, key=lambda incident: -incident["score"]), marked)


def hide(finding: findings.Finding, rules: Sequence[Rule]) -> findings.Finding:
    """A scored day under other rules. Those reported rank before those hidden; what the budget left out is
    not brought back."""
    edges = finding.edges
    by = pd.Series([that_hides(rules, edge) for edge in findings.records(edges)], edges.index, dtype=object)
    edges = edges.assign(rule=by)
    incidents = [
        {**incident, "suppressed_by": hidden_by(edges.loc[edges["incident"] == incident["id"], "rule"])}
        for incident in finding.incidents
    ]
    ordered = sorted(
        incidents, key=lambda each: (each["suppressed_by"] is not None, -each["score"], each["rank"])
    )
    ranked = [{**incident, "rank": rank} for rank, incident in enumerate(ordered, start=1)]
    return findings.Finding(finding.day, edges, ranked)


def hide_all(folder: Path, rules: Sequence[Rule]) -> None:
    """Put every scored day under other rules. The time of its file stays, by which others know when the day
    was scored."""
    for day in archive.scored_days(folder):
        before = findings.load(folder, day)
        after = hide(before, rules)
        if after.incidents != before.incidents or not after.edges["rule"].equals(before.edges["rule"]):
            scored_at = archive.scored_at(folder, day).timestamp()
            findings.save(after, folder)
            os.utime(folder / f"day={day}.json", (scored_at, scored_at))
