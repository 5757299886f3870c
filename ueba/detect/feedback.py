"""What analysts said of incidents, and what it changes: `feedback/verdicts.jsonl`, one JSON object a line,
only ever added to.

    true       its edges are never learned; for some days what its users do, and what is done from where they acted, is lifted
    benign     what is like it is lowered: the same users, machines, targets, strange in no other way than it was; less by and by
    expected   exactly its edges are lowered, until it expires
    withdrawn  nothing was said

The last verdict on an incident counts, for the days after the incident's. What is added or taken off is in
nats of strangeness and bounded; p-values, and so calibration, know nothing of it. A benign verdict teaches
nothing, so that a wrong one ends with its withdrawal; a true one about the same user ends the benign ones
before it. The other half of what an active learner does (Das et al. 2016, "Incorporating expert feedback
into active anomaly discovery") is left out: no weight of the model is moved by a verdict. Reading verdicts
needs nothing but JSON, so it is quick.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ueba.errors import WorkspaceError

Edge = tuple[str, str | None, str]  # user, source, target
SCHEMA_VERSION = 1
VERDICTS = ("true", "benign", "expected", "withdrawn")
EXPIRE_DAYS = 90  # the history's window: what is older counts for nothing elsewhere either
HALF_LIFE_DAYS = (
    30.0  # twice the history's: a habit that goes on is learned by then, one that does not was no habit
)
MOST_NATS = 10.0  # that a verdict takes off: as much as earlier days may add, see `persistence`
LIFTED_NATS = 5.0  # that a true verdict adds on the first day: half of that


@dataclass(frozen=True)
class Verdict:
    """One line of the log. day: the incident's; since: the first day scored after it was given, from which
    it fades; expires: the last day on which it counts; patterns, strangeness: of each edge when it was
    scored, see `findings.pattern` (None: not known) and in nats without feedback."""

    incident: str
    day: dt.date
    verdict: str
    reason: str
    who: str
    when: dt.datetime
    since: dt.date
    expires: dt.date | None = None
    edges: tuple[Edge, ...] = ()
    patterns: tuple[frozenset[str] | None, ...] = ()
    strangeness: tuple[float, ...] = ()

    @property
    def id(self) -> str:
        """Short, of all that it says and when."""
        said = (self.incident, self.verdict, self.reason, self.who, self.when.isoformat(), str(self.expires))
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:10]

    def says_the_same_as(self, other: Verdict | None) -> bool:
        """Whether it adds nothing: submitted twice."""
        return other is not None and all(
            getattr(self, name) == getattr(other, name)
            for name in ("verdict", "reason", "who", "expires", "edges")
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "id": self.id,
            "incident": self.incident,
            "day": self.day.isoformat(),
            "verdict": self.verdict,
            "reason": self.reason,
            "expires": self.expires.isoformat() if self.expires else None,
            "who": self.who,
            "when": self.when.isoformat(),
            "since": self.since.isoformat(),
            "edges": [list(edge) for edge in self.edges],
            "patterns": [None if words is None else sorted(words) for words in self.patterns],
            "strangeness": list(self.strangeness),
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Verdict:
        """Raises KeyError, TypeError or ValueError for what is none."""
        edges = tuple(
            (str(user), None if source is None else str(source), str(target))
            for user, source, target in row["edges"]
        )
        patterns = tuple(
            None if words is None else frozenset(words) for words in row.get("patterns", [None] * len(edges))
        )
        strangeness = tuple(map(float, row.get("strangeness", [MOST_NATS] * len(edges))))
        when = dt.datetime.fromisoformat(row["when"])
        if row["verdict"] not in VERDICTS or not len(edges) == len(patterns) == len(strangeness):
            raise ValueError("no verdict")
        return cls(
            incident=str(row["incident"]),
            day=dt.date.fromisoformat(row["day"]),
            verdict=row["verdict"],
            reason=str(row["reason"]),
            who=str(row["who"]),
            when=when,
            since=dt.date.fromisoformat(row["since"]) if "since" in row else when.date(),
            expires=None if row["expires"] is None else dt.date.fromisoformat(row["expires"]),
            edges=edges,
            patterns=patterns,
            strangeness=strangeness,
        )


# --- the log ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Log:
    """verdicts: all of them, oldest first; damaged: what is to be said of lines that are none."""

    verdicts: list[Verdict] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def log_path(root: Path) -> Path:
    return root / "feedback" / "verdicts.jsonl"


def read(root: Path) -> Log:
    """The log of a workspace. A line that a crash left half written is said and skipped."""
    path = log_path(root)
    return _parsed(path, path.read_bytes()) if path.exists() else Log()


def _parsed(path: Path, content: bytes) -> Log:
    log = Log()
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            if line.strip():
                log.verdicts.append(Verdict.from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError) as reason:
            log.damaged.append(
                f"{path}:{number}: no verdict ({type(reason).__name__}: {reason}); the line is skipped"
            )
    return log


def latest(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The last verdict on each incident, those withdrawn left out."""
    last = {verdict.incident: verdict for verdict in verdicts}
    return [verdict for verdict in last.values() if verdict.verdict != "withdrawn"]


def verdicts(root: Path) -> dict[str, dict[str, Any]]:
    """The last verdict on each incident of a workspace, as in the log, those withdrawn left out; expired
    ones are in it."""
    return {verdict.incident: verdict.to_dict() for verdict in latest(read(root).verdicts)}


def words(root: Path) -> dict[str, str]:
    """The last verdict on each incident, in a word."""
    return {verdict.incident: verdict.verdict for verdict in latest(read(root).verdicts)}


def add(root: Path, verdict: Verdict) -> bool:
    """Add a verdict to the log of a workspace; whether it says anything new."""

    def line(content: bytes) -> dict[str, Any] | None:
        last = {each.incident: each for each in _parsed(log_path(root), content).verdicts}
        return None if verdict.says_the_same_as(last.get(verdict.incident)) else verdict.to_dict()

    return append(log_path(root), line)


def append(path: Path, line: Callable[[bytes], Mapping[str, Any] | None]) -> bool:
    """Add what `line` makes of a file's content as one line of JSON, one writer at a time, and see it onto
    the disk. A line that a crash left half written stays as it is, on a line of its own. Returns whether
    there was anything to add."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with open(path, "ab+", buffering=0) as file:  # O_APPEND: whatever else happens, nothing is written over
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        content = file.read()
        row = line(content)
        if row is None:
            return False
        data = b"" if not content or content.endswith(b"\n") else b"\n"
        data += json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
        if file.write(data) != len(data):
            raise WorkspaceError(f"{path}: could not be written to its end; is the disk full?")
        os.fsync(file.fileno())
    if fresh:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return True


def state(verdict: Verdict, every: Sequence[Verdict], today: dt.date) -> str:
    """Whether a verdict of the log counts for days from today on, and if not, why."""
    last = next(each for each in reversed(every) if each.incident == verdict.incident)
    if last != verdict:
        return f"superseded: {last.verdict} since {last.when:%Y-%m-%d %H:%M}"
    if verdict.verdict == "withdrawn":
        return "withdraws"
    if verdict.expires and today > verdict.expires:
        return "expired"
    true_on = _true_on(latest(every)) if verdict.verdict != "true" else {}
    ended = [edge for edge in verdict.edges if _is_ended(verdict, edge, true_on)]
    if ended:
        some = "" if len(ended) == len(verdict.edges) else f" for {len(ended)} of {len(verdict.edges)} edges"
        return f"ended{some}: their users are in what was called true"
    return "in force"


# --- what a verdict changes: strangeness --------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    """On one edge. nats: below zero if it lowers; verdict: its id."""

    nats: float
    why: str
    verdict: str


def in_force(said: Iterable[Verdict], day: dt.date) -> list[Verdict]:
    """Of the last verdicts, those that count when a day is scored."""
    return [
        verdict
        for verdict in said
        if verdict.day < day and (verdict.expires is None or day <= verdict.expires)
    ]


def similarity(
    edge: Edge, pattern: frozenset[str], judged: Edge, judged_pattern: frozenset[str] | None
) -> float:
    """How like a judged edge another is, 0 to 1: a third for each end that is the same, if it is strange in
    no way that the judged one was not. Strange in another way, it is half as like if user and target are the
    same, and else not at all. One end is enough only if it is the user: many share a machine, and everybody
    meets at the domain controller. A source that is not known is the same only in the same edge."""
    user, source, target = (one == other for one, other in zip(edge, judged, strict=True))
    source = source and (edge[1] is not None or edge == judged)
    ends = user + source + target
    if ends == 0 or (ends == 1 and not user):
        return 0.0
    if judged_pattern is not None and pattern <= judged_pattern:
        return ends / 3
    return ends / 6 if user and target else 0.0


def effects(
    said: Iterable[Verdict],
    day: dt.date,
    edges: Sequence[Edge],
    pattern: Callable[[int], frozenset[str]],
    strangeness: Sequence[float],
    strange: Sequence[bool],
) -> dict[int, list[Effect]]:
    """What verdicts do to a day's edges, by row: at most one effect that lowers and one that lifts, the
    strongest of each, so that to say a thing ten times is to say it once. said: last verdicts; pattern: of a
    row; strange: which rows may be lifted.

    A verdict explains no more nats than the edge it was about had: what is far stranger stays strange."""
    counting = in_force(said, day)
    lowering, lifting = _judged_edges(counting), _neighbours(counting, day)
    found: dict[int, list[Effect]] = {}
    for row, edge in enumerate(edges):
        user, source, target = edge
        alike = [
            *lowering.get(("user", user), ()),
            *(lowering.get(("hop", source, target), ()) if source is not None else ()),
        ]
        mine = [_lowered(alike, day, edge, pattern(row), strangeness[row])] if alike else []
        if strange[row]:
            mine.append(
                max(
                    (lifting[end] for end in (("user", user), ("machine", source)) if end in lifting),
                    key=_size,
                    default=None,
                )
            )
        some = [effect for effect in mine if effect is not None and effect.nats]
        if some:
            found[row] = some
    return found


Judged = tuple[Verdict, Edge, frozenset[str] | None, float]


def _judged_edges(counting: Sequence[Verdict]) -> dict[tuple[str | None, ...], list[Judged]]:
    """The edges that lower, by what a later one must share with them: the user, or source and target."""
    true_on = _true_on(counting)
    found: dict[tuple[str | None, ...], list[Judged]] = {}
    for verdict in counting:
        if verdict.verdict not in ("benign", "expected"):
            continue
        for edge, pattern, nats in zip(verdict.edges, verdict.patterns, verdict.strangeness, strict=True):
            user, source, target = edge
            if _is_ended(verdict, edge, true_on):
                continue
            found.setdefault(("user", user), []).append((verdict, edge, pattern, nats))
            if source is not None:
                found.setdefault(("hop", source, target), []).append((verdict, edge, pattern, nats))
    return found


def _true_on(said: Iterable[Verdict]) -> dict[str, dt.date]:
    """The last day on which a user was in what was called true."""
    true_on: dict[str, dt.date] = {}
    for verdict in said:
        if verdict.verdict == "true":
            for user, _, _ in verdict.edges:
                true_on[user] = max(verdict.day, true_on.get(user, verdict.day))
    return true_on


def _is_ended(verdict: Verdict, edge: Edge, true_on: Mapping[str, dt.date]) -> bool:
    """Whether the edge's user was in what was called true, on the day of a harmless verdict or later."""
    return edge[0] in true_on and true_on[edge[0]] >= verdict.day


def _lowered(
    alike: Sequence[Judged], day: dt.date, edge: Edge, pattern: frozenset[str], strangeness: float
) -> Effect | None:
    best, by = 0.0, None
    for verdict, judged, judged_pattern, nats in alike:
        if verdict.verdict == "expected":
            share = float(edge == judged)
        else:
            age = max((day - verdict.since).days, 0)
            share = similarity(edge, pattern, judged, judged_pattern) * 0.5 ** (age / HALF_LIFE_DAYS)
        less = min(share * min(nats, MOST_NATS), strangeness)
        if by is None or (less, verdict.id) > (best, by.id):  # by what it is, not by its place in the log
            best, by = less, verdict
    if by is None or best <= 0:
        return None
    how = f"like {by.incident}" if by.verdict == "benign" else f"as {by.incident}"
    return Effect(-best, f"lowered by {best:.1f} nats: {how} {_called(by)}, until {by.expires}", by.id)


def _neighbours(counting: Sequence[Verdict], day: dt.date) -> dict[tuple[str, str | None], Effect]:
    """What true verdicts add to what a user does, and to what is done from a machine that was acted from:
    what was only reached may be everybody's server, or have refused."""
    from ueba.detect.persistence import DAYS, KEPT_A_DAY

    found: dict[tuple[str, str | None], Effect] = {}
    for verdict in sorted(counting, key=lambda verdict: verdict.id):
        age = max((day - verdict.since).days, 0)
        if verdict.verdict != "true" or age >= DAYS:
            continue
        nats = LIFTED_NATS * KEPT_A_DAY**age
        users = {user for user, _, _ in verdict.edges}
        machines = {source for _, source, _ in verdict.edges if source is not None}
        for kind, names in (("user", users), ("machine", machines)):
            for name in names:
                why = f"lifted by {nats:.1f} nats: {name} is in {verdict.incident} {_called(verdict)}"
                if nats > _size(found.get((kind, name))):
                    found[kind, name] = Effect(nats, why, verdict.id)
    return found


def _size(effect: Effect | None) -> float:
    return effect.nats if effect else 0.0


def _called(verdict: Verdict) -> str:
    return f"called {verdict.verdict} by {verdict.who} on {verdict.when.date()} ({verdict.reason})"


# --- what a verdict changes: learning -----------------------------------------------------------------------


def suspects(said: Iterable[Verdict], day: dt.date, told: Mapping[Edge, float]) -> Mapping[Edge, float]:
    """The suspects of a day (`told`, with their p-values) with what was called true at p = 0, which is never
    learned: the edges of incidents of that day, and suspects that were called true on a day before and not
    otherwise since."""
    word = _last_words(said, day)
    never = {
        edge: 0.0 for edge, (on, verdict) in word.items() if verdict == "true" and (on == day or edge in told)
    }
    return {**told, **never} if never else told


def fingerprint(said: Iterable[Verdict], last: dt.date) -> str:
    """Stands for all that is kept out of what is learned of the days up to `last`; empty if nothing is."""
    mine = [verdict for verdict in said if verdict.day <= last]
    ever_true = {edge for verdict in mine if verdict.verdict == "true" for edge in verdict.edges}
    words = [
        (
            verdict.day.isoformat(),
            verdict.when.isoformat(),
            verdict.verdict == "true",
            *(end or "" for end in edge),
        )
        for verdict in mine
        for edge in verdict.edges
        if edge in ever_true
    ]
    return hashlib.sha256(json.dumps(sorted(words)).encode()).hexdigest() if words else ""


def _last_words(said: Iterable[Verdict], day: dt.date) -> dict[Edge, tuple[dt.date, str]]:
    """What was last said of each edge as of a day: the day of the incident, and the verdict."""
    ordered = sorted(
        (each for each in said if each.day <= day), key=lambda each: (each.day, each.when, each.id)
    )
    return {edge: (each.day, each.verdict) for each in ordered for edge in each.edges}


def cleared(said: Iterable[Verdict], day: dt.date) -> set[Edge]:
    """The edges of a day that were called harmless: they leave no evidence with their users, see
    `persistence`."""
    return {edge for edge, (on, verdict) in _last_words(said, day).items() if on == day and verdict != "true"}
