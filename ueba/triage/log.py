"""The verdict log of a workspace: `feedback/verdicts.jsonl`, one JSON object a line, only ever added to.

The last verdict on an incident counts, for days after the incident's. Each line carries the digest of the
line before it: a line that was changed, added by hand, moved or removed between others is noticed, and what
is doubtful does not count. Reading takes no more than JSON.
Leaves out what verdicts change; that is `effects` and `ueba.detect.past.lessons`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from ueba import files, state
from ueba.contracts import verdict as contract
from ueba.contracts.edge import Edge
from ueba.contracts.verdict import Head, Verdict
from ueba.errors import WorkspaceError

BACKUP = "put it back from a backup, or enter the verdicts again"
HEAD_REMEDY = "remove it if the verdict log is as it was left, and the next verdict makes it anew"

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


def head_path(root: Path) -> Path:
    """Where a workspace keeps what its log was like after the last entry."""
    return root / "feedback" / "head.json"


def read(root: Path) -> Log:
    """The log of a workspace. A line that is not a verdict, or that nobody entered, is reported and skipped.

    Raises WorkspaceError if the log cannot be read, or there is a key and the head has no seal of it."""
    file = path(root)
    if not state.is_there(file):
        head = _head(root)
        return Log(damaged=(f"{file}: is missing, and had {head.lines} lines; {BACKUP}",)) if head else Log()
    with state.reading(file, BACKUP), state.opened(file, state.MOST_BYTES) as opened:
        fcntl.flock(opened, fcntl.LOCK_SH)  # so that the head is of the same moment
        content = opened.read()
        return _checked(file, content, _head(root))


def _head(root: Path) -> Head | None:
    """The head of the log; None if there is none. Raises WorkspaceError if it is damaged."""
    file = head_path(root)
    if not state.is_there(file):
        if state.key() is not None and state.is_there(path(root)) and path(root).stat().st_size:
            raise WorkspaceError(
                f"{file}: is missing, so nobody with the key of {state.KEY_FILE} entered what"
                f" {path(root)} has; put it back from a backup, or `ueba seal` if you trust the log as it is"
            )
        return None
    data = state.content(file, HEAD_REMEDY)
    with state.reading(file, HEAD_REMEDY):
        return contract.head_from_json(data)


def begin(root: Path) -> None:
    """Take the log as it is for what was entered."""
    if path(root).exists():
        _write_head(root, path(root).read_bytes())


def _write_head(root: Path, content: bytes) -> None:
    state.write(head_path(root), msgspec.json.encode(contract.head_of(content)))


def _checked(file: Path, content: bytes, head: Head | None) -> Log:
    """The log, without the lines that its head does not know."""
    if head is None:
        return _parsed(file, content)
    known = content[: head.bytes]
    if contract.head_of(known).sha256 == head.sha256:
        log = _parsed(file, known)
        return replace(log, damaged=(*log.damaged, *_unknown_lines(file, content, head.lines + 1)))
    log, lines = _parsed(file, content), contract.count_lines(content)
    if log.damaged:  # where it was changed is known
        return log
    if lines < head.lines:
        return replace(log, damaged=(f"{file}:{lines}: ends here, and had {head.lines} lines; {BACKUP}",))
    before = b"\n".join(content.split(b"\n")[: head.lines - 1])
    changed = f"{file}:{head.lines}: this line, or one of an earlier version, is not as it was left; {BACKUP}"
    more = _unknown_lines(file, content, head.lines + 1)
    return replace(_parsed(file, before), damaged=(changed, *more))


def _unknown_lines(file: Path, content: bytes, first: int) -> list[str]:
    """A message for each line from a number on."""
    lines = enumerate(content.split(b"\n"), start=1)
    return [
        f"{file}:{number}: {_unknown(line)}" for number, line in lines if number >= first and line.strip()
    ]


def _unknown(line: bytes) -> str:
    try:
        contract.from_json(line)
    except (ValueError, OverflowError, RecursionError) as reason:
        return f"not a verdict ({state.in_a_line(reason)}); the line is skipped"
    return "was not entered with `ueba triage`; the line is skipped, remove it"


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
        except (ValueError, OverflowError, RecursionError) as reason:
            problem = f"not a verdict ({state.in_a_line(reason)}); the line is skipped"
            damaged.append(f"{file}:{number}: {problem}; enter it again if it is yours")
        before, last = contract.digest(line), number
    return Log(tuple(verdicts.values()), tuple(damaged))


def latest(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The last verdict on each incident, without withdrawn ones."""
    last = {verdict.incident: verdict for verdict in verdicts}
    return tuple(verdict for verdict in last.values() if verdict.verdict != "withdrawn")


def add(root: Path, verdict: Verdict) -> bool:
    """Add a verdict to the log of a workspace, unless it repeats the last one. Returns whether it was added.

    Raises WorkspaceError if somebody else has added a line, which would be believed from then on."""

    def line(content: bytes) -> dict[str, Any] | None:
        head = _head(root)
        log = _checked(path(root), content, head)
        check_added(path(root), content, head)
        last = {earlier.incident: earlier for earlier in log.verdicts}
        before = next((line for line in reversed(content.split(b"\n")) if line.strip()), b"")
        repeats = verdict.repeats(last.get(verdict.incident))
        return None if repeats else contract.to_json(verdict, contract.digest(before))

    return files.append_json(path(root), line, lambda content: _write_head(root, content))


def check_added(file: Path, content: bytes, head: Head | None) -> None:
    """Raises WorkspaceError if whole verdicts stand after the last line that was entered. Half a line, which
    a crash leaves, is none."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if head is not None and number > head.lines and line.strip():
            with contextlib.suppress(ValueError, OverflowError, RecursionError):
                contract.from_json(line)
                raise WorkspaceError(
                    f"{file}:{number}: was not entered with `ueba triage`; remove the line, then enter the"
                    " verdict"
                )


def in_force(verdicts: Iterable[Verdict], day: dt.date) -> list[Verdict]:
    """The verdicts that count when a day is scored. verdicts: the last verdict on every incident."""
    return [
        verdict
        for verdict in verdicts
        if verdict.day < day and (verdict.expires is None or day <= verdict.expires)
    ]


def standing(verdict: Verdict, log: Sequence[Verdict], today: dt.date) -> str:
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
