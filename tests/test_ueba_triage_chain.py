"""The verdict log is a chain: what was changed, added by hand, moved or removed is noticed, and does not
count."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from ueba.contracts import verdict as contract
from ueba.contracts.verdict import Verdict
from ueba.errors import WorkspaceError
from ueba.triage import log


def verdict(number: int, **changes: object) -> Verdict:
    facts = {
        "incident": f"20260105-{number:04}",
        "day": dt.date(2026, 1, 5),
        "verdict": "benign",
        "reason": "known",
        "who": "ana",
        "entered": dt.datetime(2026, 1, 6, 9, number, tzinfo=dt.UTC),
        "since": dt.date(2026, 1, 6),
        "expires": dt.date(2026, 3, 1),
    }
    return Verdict(**(facts | changes))


def entered(root: Path, count: int) -> list[bytes]:
    for number in range(count):
        assert log.add(root, verdict(number))
    return log.path(root).read_bytes().splitlines()


def counted(root: Path, lines: list[bytes]) -> tuple[list[str], list[str]]:
    """The last digit of the incidents that count, and the lines in doubt."""
    log.path(root).write_bytes(b"\n".join(lines) + b"\n")
    found = log.read(root)
    return [v.incident[-1] for v in found.verdicts], [text.split(":")[1] for text in found.damaged]


def forged(**changes: object) -> bytes:
    """A line by hand: well-formed, with a matching id."""
    return json.dumps(contract.to_json(verdict(7, who="ciso"), **changes)).encode()


def test_a_log_that_nobody_touched(tmp_path):
    assert counted(tmp_path, entered(tmp_path, 4)) == (["0", "1", "2", "3"], [])


def test_what_was_done_by_hand_does_not_count(tmp_path):
    lines = entered(tmp_path, 4)
    assert counted(tmp_path, [*lines, forged()]) == (["0", "1", "2", "3"], ["5"])
    assert counted(tmp_path, [*lines, forged(before="0" * 32)]) == (["0", "1", "2", "3"], ["5"])
    changed = lines[1].replace(b"known", b"other")
    assert counted(tmp_path, [lines[0], changed, *lines[2:]]) == (["0", "3"], ["2", "3"])
    assert counted(tmp_path, [lines[0], *lines[2:]]) == (["3"], ["2"])
    assert counted(tmp_path, [lines[0], lines[2], lines[1], lines[3]])[1] == ["2", "3", "4"]
    assert counted(tmp_path, lines[1:])[1] == ["1"]


def test_lines_of_earlier_versions_are_read_and_the_chain_begins_after_them(tmp_path):
    old = [json.dumps(contract.to_json(verdict(number))).encode() for number in range(2)]
    log.path(tmp_path).parent.mkdir(parents=True)
    assert counted(tmp_path, old) == (["0", "1"], [])
    assert log.add(tmp_path, verdict(2))
    lines = log.path(tmp_path).read_bytes().splitlines()
    assert counted(tmp_path, lines) == (["0", "1", "2"], [])
    assert counted(tmp_path, [lines[0], lines[2]]) == ([], ["2"])


def test_a_verdict_does_not_count_forever(tmp_path):
    line = json.dumps(contract.to_json(verdict(1, expires=dt.date(9999, 12, 31)))).encode()
    log.path(tmp_path).parent.mkdir(parents=True)
    verdicts, doubtful = counted(tmp_path, [line])
    assert (verdicts, doubtful) == ([], ["1"])
    assert "more than 366 days" in log.read(tmp_path).damaged[0]


@pytest.mark.parametrize("line", [b"[" * 100_000, b"\xff\xfe", b"{}", b"null", b"\0"])
def test_a_line_that_is_nothing_is_reported(tmp_path, line):
    lines = entered(tmp_path, 1)
    verdicts, doubtful = counted(tmp_path, [*lines, line])
    assert (verdicts, doubtful) == (["0"], ["2"])


def chained(lines: list[bytes], **changes: object) -> bytes:
    """A line by hand that knows the digest of the line before it."""
    return forged(before=contract.digest(lines[-1]), **changes)


def test_the_end_of_the_log_is_known(tmp_path):
    """A line that is missing or added at the end breaks no link of the chain; the head has its size."""
    lines = entered(tmp_path, 3)
    assert counted(tmp_path, lines[:2]) == (["0", "1"], ["2"])
    assert "ends here, and had 3 lines" in log.read(tmp_path).damaged[0]
    assert counted(tmp_path, [*lines, chained(lines)]) == (["0", "1", "2"], ["4"])
    assert counted(tmp_path, [*lines[:2], chained(lines[:2])]) == (["0", "1"], ["3"])
    assert counted(tmp_path, lines) == (["0", "1", "2"], [])


def test_a_log_that_was_removed_is_noticed(tmp_path):
    entered(tmp_path, 2)
    log.path(tmp_path).unlink()
    (message,) = log.read(tmp_path).damaged
    assert "verdicts.jsonl: is missing, and had 2 lines" in message


def test_a_line_by_hand_is_not_believed_later_either(tmp_path):
    """A verdict entered after it would stand for it."""
    lines = entered(tmp_path, 2)
    counted(tmp_path, [*lines, chained(lines)])
    with pytest.raises(WorkspaceError, match=r"verdicts.jsonl:3: was not entered.*remove the line"):
        log.add(tmp_path, verdict(3))
    log.path(tmp_path).write_bytes(b"\n".join(lines) + b"\n" + b'{"half')
    assert log.add(tmp_path, verdict(3))
    assert [found.incident[-1] for found in log.read(tmp_path).verdicts] == ["0", "1", "3"]


def test_old_lines_are_covered_by_the_first_entry_after_them(tmp_path):
    old = [json.dumps(contract.to_json(verdict(number))).encode() for number in range(3)]
    log.path(tmp_path).parent.mkdir(parents=True)
    counted(tmp_path, old)
    assert log.add(tmp_path, verdict(3))
    lines = log.path(tmp_path).read_bytes().splitlines()
    other = json.dumps(contract.to_json(verdict(0, who="ciso"))).encode()
    verdicts, doubtful = counted(tmp_path, [other, *lines[1:]])
    assert doubtful == ["4"]
    assert "3" not in verdicts


@pytest.mark.parametrize("word", ["benign", "expected"])
def test_what_lowers_edges_has_an_end(tmp_path, word):
    line = json.dumps(contract.to_json(verdict(1, verdict=word, expires=None))).encode()
    log.path(tmp_path).parent.mkdir(parents=True)
    assert counted(tmp_path, [line]) == ([], ["1"])
