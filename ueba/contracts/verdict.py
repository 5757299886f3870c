"""A verdict: an analyst's decision on an incident. One line of `feedback/verdicts.jsonl`.

    true       an attack: its edges are never learned from; what its users do is lifted for a few days
    benign     no attack: edges like it count less, and less so every month
    expected   planned: exactly its edges count less until it expires
    withdrawn  takes back the verdict before it

What a verdict changes on an edge is an `Effect`, see `ueba.contracts.reason`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any, Literal, NamedTuple

import msgspec

from ueba.contracts import versions
from ueba.contracts.edge import Edge

MOST_DAYS = 366  # that a verdict may count, and a rule may hold
Word = Literal["true", "benign", "expected", "withdrawn"]
WORDS: tuple[Word, ...] = ("true", "benign", "expected", "withdrawn")


class VerdictEdge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An edge of the incident, as it was scored.

    pattern:     see `ueba.contracts.reason.pattern`
    strangeness: nats, before the effects of verdicts
    """

    edge: Edge
    pattern: frozenset[str]
    strangeness: float


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A verdict on one incident.

    incident, day: the incident's id and day
    reason, who:   free text
    entered:       when, UTC
    since:         the first day that could be scored after the entry; the effect fades from this day on
    expires:       the last day on which the verdict counts; None if it does not expire
    """

    incident: str
    day: dt.date
    verdict: Word
    reason: str
    who: str
    entered: dt.datetime
    since: dt.date
    expires: dt.date | None = None
    edges: tuple[VerdictEdge, ...] = ()

    @property
    def id(self) -> str:
        """Ten characters, a hash of the verdict's content and time of entry."""
        content = (
            self.incident,
            self.verdict,
            self.reason,
            self.who,
            self.entered.isoformat(),
            str(self.expires),
        )
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:10]

    def repeats(self, other: Verdict | None) -> bool:
        """Whether the verdict says the same as another one on the same incident."""
        if other is None:
            return False
        names = ("verdict", "reason", "who", "expires", "edges")
        return all(getattr(self, name) == getattr(other, name) for name in names)


class _Line(Verdict, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A verdict as a line of the log, which also carries its version and id."""

    schema_version: Literal[2]
    verdict_id: str
    before: str | None = None  # the digest of the line before it; none in lines of earlier versions


class Line(NamedTuple):
    """A verdict of the log, and the digest of the line before it; None if the line is of an earlier
    version."""

    verdict: Verdict
    before: str | None


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`feedback/head.json`: the log as it was after the last entry, so that lines which are missing at its
    end, or were added there by hand, are noticed.

    bytes, lines: of the log; sha256: of these bytes
    """

    schema_version: Literal[1]
    bytes: int
    lines: int
    sha256: str


def head_of(content: bytes) -> Head:
    """The head of a log with this content."""
    return Head(1, len(content), count_lines(content), hashlib.sha256(content).hexdigest())


def head_from_json(content: bytes) -> Head:
    """A head from the content of its file. Raises ValueError if it is not one of this version."""
    return msgspec.json.decode(content, type=Head)


def count_lines(content: bytes) -> int:
    """The number of lines of a log; one that is not whole counts."""
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def digest(line: bytes) -> str:
    """What the next line of the log says of a line; of none before the first."""
    return hashlib.sha256(line).hexdigest()[:32]


def to_json(verdict: Verdict, before: str | None = None) -> dict[str, Any]:
    """A verdict as a line of the log, JSON values only. before: the digest of the line before it"""
    fields: dict[str, Any] = msgspec.to_builtins(verdict)
    fields["edges"] = [{**row, "pattern": sorted(row["pattern"])} for row in fields["edges"]]
    chained = {} if before is None else {"before": before}
    return {"schema_version": versions.VERDICT, "verdict_id": verdict.id, **fields, **chained}


def from_json(line: bytes) -> Line:
    """A verdict from a line of the log. Raises ValueError if the line is not a verdict of this version, or
    counts for longer than a verdict may."""
    row = msgspec.json.decode(line, type=_Line)
    verdict = Verdict(**{name: getattr(row, name) for name in Verdict.__struct_fields__})
    if verdict.id != row.verdict_id:
        raise ValueError(f"verdict_id {row.verdict_id} does not match its content, {verdict.id}")
    if verdict.expires is None and verdict.verdict in ("benign", "expected"):
        raise ValueError(f"a verdict {verdict.verdict!r} that does not expire")
    if verdict.expires and verdict.expires > verdict.since + dt.timedelta(days=MOST_DAYS):
        raise ValueError(f"expires {verdict.expires}, more than {MOST_DAYS} days after it begins to count")
    return Line(verdict, row.before)
