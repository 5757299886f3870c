"""The verdict log of a workspace: `feedback/verdicts.jsonl`, one JSON object a line, only ever added to.

The last verdict on an incident counts, for days after the incident's. Each line carries the digest of the
line before it: a line that was changed, added by hand, moved or removed between others is noticed, and what
is doubtful does not count. Reading takes no more than JSON.
Leaves out what verdicts change; that is `effects` and `ueba.detect.past.lessons`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ueba import files
from ueba.contracts import verdict as contract
from ueba.contracts.edge import Edge
from ueba.contracts.verdict import Verdict

EXPIRE_DAYS = 90  # as the window of the history, beyond which days are forgotten


@dataclass(frozen=True)
class Log:
    """verdicts: all of them, oldest first; damaged: a message for each line that is not a verdict."""

    verdicts: tuple[Verdict, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def latest(self) -> tuple[Verdict, ...]:
        """The last verdict on each incident, without withdrawn ones; expired ones are included."""
        return latest(self.verdicts)

    @property
    def by_incident(self) -> dict[str, Verdict]:
        """The last verdict by incident."""
        return {verdict.incident: verdict for verdict in self.latest}

    @property
    def words(self) -> dict[str, str]:
        """The last verdict by incident, in a word."""
        return {verdict.incident: verdict.verdict for verdict in self.latest}


def path(root: Path) -> Path:
    """Where a workspace keeps its verdicts."""
    return root / "feedback" / "verdicts.jsonl"


def read(root: Path) -> Log:
    """The log of a workspace. A line that is not a verdict is reported and skipped."""
    file = path(root)
    return _parsed(file, file.read_bytes()) if file.exists() else Log()


def _parsed(file: Path, content: bytes) -> Log:
    verdicts: dict[int, Verdict] = {}  # by line
    damaged: list[str] = []
    before, last, is_chained = contract.digest(b""), 0, False
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found = contract.from_json(line)
            if found.before is None and is_chained:
                raise ValueError("it was not entered with `ueba triage`")
            if found.before not in (None, before):
                verdicts.pop(last, None)  # either was changed, or one between them is missing
                raise ValueError(f"line {last} is not the one that was before it; neither counts")
            is_chained = found.before is not None
            verdicts[number] = found.verdict
        except (ValueError, RecursionError) as reason:
            problem = f"not a verdict ({reason}); the line is skipped"
            damaged.append(f"{file}:{number}: {problem}; enter it again if it is yours")
        before, last = contract.digest(line), number
    return Log(tuple(verdicts.values()), tuple(damaged))


def latest(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The last verdict on each incident, without withdrawn ones."""
    last = {verdict.incident: verdict for verdict in verdicts}
    return tuple(verdict for verdict in last.values() if verdict.verdict != "withdrawn")


def add(root: Path, verdict: Verdict) -> bool:
    """Add a verdict to the log of a workspace, unless it repeats the last one. Returns whether it was
    added."""

    def line(content: bytes) -> dict[str, Any] | None:
        last = {earlier.incident: earlier for earlier in _parsed(path(root), content).verdicts}
        before = next((line for line in reversed(content.split(b"\n")) if line.strip()), b"")
        repeats = verdict.repeats(last.get(verdict.incident))
        return None if repeats else contract.to_json(verdict, contract.digest(before))

    return files.append_json(path(root), line)


def in_force(verdicts: Iterable[Verdict], day: dt.date) -> list[Verdict]:
    """The verdicts that count when a day is scored. verdicts: the last verdict on every incident."""
    return [
        verdict
        for verdict in verdicts
        if verdict.day < day and (verdict.expires is None or day <= verdict.expires)
    ]


def state(verdict: Verdict, log: Sequence[Verdict], today: dt.date) -> str:
    """Whether a verdict of the log counts for days from today on, and if not, why."""
    last = next(other for other in reversed(log) if other.incident == verdict.incident)
    if last != verdict:
        return f"superseded: {last.verdict} since {last.entered:%Y-%m-%d %H:%M}"
    if verdict.verdict == "withdrawn":
        return "withdraws"
    if verdict.expires and today > verdict.expires:
        return "expired"
    true_on = last_true_day(latest(log)) if verdict.verdict != "true" else {}
    ended = [row for row in verdict.edges if is_ended(verdict, row.edge, true_on)]
    if ended:
        part = "" if len(ended) == len(verdict.edges) else f" for {len(ended)} of {len(verdict.edges)} edges"
        return f"ended{part}: their users are in an incident that was called true"
    return "in force"


def last_true_day(verdicts: Iterable[Verdict]) -> dict[str, dt.date]:
    """The last day on which each user was in an incident that was called true."""
    true_on: dict[str, dt.date] = {}
    for verdict in verdicts:
        if verdict.verdict == "true":
            for row in verdict.edges:
                user = row.edge.user
                true_on[user] = max(verdict.day, true_on.get(user, verdict.day))
    return true_on


def is_ended(verdict: Verdict, edge: Edge, true_on: Mapping[str, dt.date]) -> bool:
    """Whether the edge's user was in an incident called true, on the day of this verdict or later."""
    return edge.user in true_on and true_on[edge.user] >= verdict.day
