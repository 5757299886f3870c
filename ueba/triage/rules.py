"""Rules that hide what is planned or allowed: `feedback/rules.toml`. The first rule that matches an edge
decides.

    [[rule]]
    name = "patch night"            # shown with what the rule hides
    reason = "servers are patched, change 4711"
    owner = "ann"
    from = 2026-01-20T22:00:00      # a window, with `to`: dates (whole days) or times, UTC without an offset;
    to = 2026-01-21T04:00:00        # or `expires = 2026-03-31`, the last day of a rule without a window;
                                    # either way a rule holds for a year at most
    user = "svc-patch*"             # at least one condition; all must hold: user, source, target, logon_type
    kind = "service"                # (exact or with * ? []), kind (of account)
    effect = "show"                 # an exception from later rules; without it a rule hides

An incident is hidden only if every edge of it is: it is kept, not reported, and takes no place in the
budget. Learning knows nothing of rules. Capitals do not matter, and an exact name is also matched as ingest
spells it (`ueba.spelling`): CORP\\alice is alice@corp. Leaves out aliases, which change, and regular
expressions: nobody reads them twice.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import functools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ueba import files, spelling, state
from ueba.contracts import versions
from ueba.contracts.verdict import MOST_DAYS
from ueba.errors import UsageError
from ueba.text import shortened

CONDITIONS = ("user", "source", "target", "logon_type", "kind")
KINDS = ("human", "service", "machine", "anonymous")
# How ingest spells what a condition names; a target is a machine or a resource.
SPELLINGS = {
    "user": (spelling.USER,),
    "source": (spelling.HOST,),
    "target": (spelling.HOST, spelling.RESOURCE),
}
MOST_SHOWN = 100  # characters of a wrong value in a message
KEYS = ("name", "reason", "owner", "from", "to", "expires", *CONDITIONS, "effect")


class Hideable(Protocol):
    """What a rule is applied to: a scored edge, or a row of a table with these columns."""

    user: str
    user_kind: str
    source: str | None
    target: str
    logon_types: tuple[str, ...]
    first_seen: dt.datetime
    last_seen: dt.datetime


@dataclass(frozen=True)
class Rule:
    """One rule. first, last: the time in which all of an edge must lie, UTC; conditions: pattern by name,
    casefolded; hides: False for an exemption from later rules."""

    name: str
    reason: str
    owner: str
    first: dt.datetime | None
    last: dt.datetime
    conditions: Mapping[str, str]
    hides: bool = True

    @property
    def begin(self) -> dt.datetime:
        """When it begins to hold; of a rule without a window, as long before its end as a rule may hold."""
        longest = dt.timedelta(days=MOST_DAYS)
        earliest = max(self.last, dt.datetime.min + longest) - longest
        return self.first or dt.datetime.combine(earliest, dt.time.min)

    def matches(self, edge: Hideable) -> bool:
        """Whether all of an edge lies in the rule's time and every condition holds."""
        if edge.last_seen > self.last or edge.first_seen < self.begin:
            return False
        values: dict[str, list[str | None]] = {
            "user": [edge.user],
            "source": [edge.source],
            "target": [edge.target],
            "logon_type": list(edge.logon_types),
            "kind": [edge.user_kind],
        }
        return all(
            values[name] and all(_is_like(name, value, like) for value in values[name])
            for name, like in self.conditions.items()
        )


def _is_like(condition: str, value: str | None, like: str) -> bool:
    if value is None:
        return False
    folded = value.casefold()
    return folded in _forms(condition, like) or fnmatch.fnmatchcase(folded, like)


@functools.cache
def _forms(condition: str, like: str) -> frozenset[str]:
    """The pattern of a condition as it is written, and as ingest spells the name that it is."""
    return frozenset(form.casefold() for form in spelling.forms(like, *SPELLINGS.get(condition, ())))


def hiding_rule(rules: Sequence[Rule], edge: Any) -> str | None:
    """The name of the rule that hides an edge (a `Hideable`); None if no rule matches it, or the first that
    does shows it."""
    rule = next((rule for rule in rules if rule.matches(edge)), None)
    return rule.name if rule is not None and rule.hides else None


# --- files --------------------------------------------------------------------------------------------------


def path(root: Path) -> Path:
    """Where a workspace keeps its rules."""
    return root / "feedback" / "rules.toml"


def installed(root: Path) -> list[Rule]:
    """The rules in force in a workspace. Raises UsageError as `parse` does, and WorkspaceError if the file
    has no valid seal."""
    file = path(root)
    if not state.is_there(file):
        return []
    state.check_seal(file)
    return load(file)


def load(file: Path) -> list[Rule]:
    """The rules in a file. Raises UsageError that names file, rule and key."""
    return parse(read(file), str(file))


def read(file: Path) -> str:
    """The text of a rules file. Raises UsageError if the file cannot be read."""
    try:
        with state.opened(file, state.MOST_TOML_BYTES) as opened:
            return opened.read().decode("utf-8-sig")
    except (OSError, ValueError) as reason:
        raise UsageError(f"{file}: cannot be read: {state.in_a_line(reason)}") from reason


def parse(text: str, name: str) -> list[Rule]:
    """The rules in a text. name: of its file, for messages."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as reason:
        raise UsageError(f"{name}: cannot be read as TOML: {state.in_a_line(reason)}") from reason
    unknown, rows = set(content) - {"rule"}, content.get("rule", [])
    if unknown or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(
            f"{name}: unknown key {shortened(', '.join(sorted(unknown)) or 'rule', MOST_SHOWN)};"
            " every rule stands under [[rule]]"
        )
    rules = [
        _rule(row, f"{name}: rule {_shown(row.get('name', number))}")
        for number, row in enumerate(rows, start=1)
    ]
    for rule in rules:
        if [other.name for other in rules].count(rule.name) > 1:
            raise UsageError(
                f"{name}: two rules are called {rule.name!r}; a name says which one hid something"
            )
    return rules


def _rule(row: Mapping[str, Any], where: str) -> Rule:
    for key in row:
        if key not in KEYS:
            key = _shown(key)
            raise UsageError(f"{where}: unknown key {key}; there are {', '.join(KEYS)}")
    for key in ("name", "reason", "owner"):
        if key not in row:
            raise UsageError(
                f"{where}: {key} is missing; who reads the rule in a month needs name, reason and owner"
            )
    for key in ("name", "reason", "owner", *CONDITIONS, "effect"):
        if key in row and (not isinstance(row[key], str) or not row[key].strip()):
            raise UsageError(f"{where}: {key} = {_shown(row[key])} is not text")
    conditions = {key: row[key].casefold() for key in CONDITIONS if key in row}
    if not conditions:
        raise UsageError(f"{where}: would hide everything; give at least one of {', '.join(CONDITIONS)}")
    if row.get("kind", KINDS[0]) not in KINDS:
        raise UsageError(f"{where}: kind = {_shown(row['kind'])}; accounts are {', '.join(KINDS)}")
    if row.get("effect", "hide") not in ("hide", "show"):
        raise UsageError(f"{where}: effect = {_shown(row['effect'])}; a rule has the effect hide or show")
    first, last = _span(row, where)
    return Rule(
        row["name"], row["reason"], row["owner"], first, last, conditions, row.get("effect") != "show"
    )


def _shown(value: Any) -> str:
    return shortened(repr(value), MOST_SHOWN)


def _span(row: Mapping[str, Any], where: str) -> tuple[dt.datetime | None, dt.datetime]:
    window, expires = {"from", "to"} & set(row), "expires" in row
    if (len(window) == 2) == expires or len(window) == 1:
        raise UsageError(
            f"{where}: give either from and to, a window, or expires: a rule that never ends is forgotten"
        )
    last = _time(row, "expires" if expires else "to", where, dt.time.max)
    first = None if expires else _time(row, "from", where, dt.time.min)
    if first is not None and first > last:
        raise UsageError(f"{where}: from {row['from']} is after to {row['to']}")
    if first is not None and last - first > dt.timedelta(days=MOST_DAYS):
        raise UsageError(
            f"{where}: {row['from']} to {row['to']} are more than {MOST_DAYS} days; name an earlier end, and"
            " enter it again then"
        )
    return first, last


def _time(row: Mapping[str, Any], key: str, where: str, of_day: dt.time) -> dt.datetime:
    value = row[key]
    if isinstance(value, dt.datetime):
        try:
            return files.utc(value)
        except OverflowError as reason:
            raise UsageError(f"{where}: {key} = {value} is out of range") from reason
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, of_day)
    raise UsageError(
        f"{where}: {key} = {_shown(value)} is not a date; write it as 2026-01-31, or with a time,"
        " without quotes"
    )


def install(root: Path, text: str, who: str, when: dt.datetime, hidden: Sequence[str]) -> None:
    """Make a text the rules of a workspace. Who, when, the text and the incidents it hides are added to
    `feedback/rules.jsonl`. Raises UsageError if a rule without a window ends so late that it does not hold
    yet."""
    for rule in parse(text, str(path(root))):
        if rule.first is None and rule.begin.date() > when.date():
            raise UsageError(
                f"rule {rule.name!r}: expires {rule.last.date()}; a rule holds for {MOST_DAYS} days at most:"
                " name an earlier day, and enter it again then"
            )
    row = {
        "schema_version": versions.RULE_CHANGE,
        "who": who,
        "when": when.isoformat(),
        "text": text,
        "hidden": list(hidden),
    }
    files.append_json(path(root).with_suffix(".jsonl"), lambda content: row)
    state.write(path(root), text.encode())


def shown(rule: Rule, today: dt.date) -> dict[str, Any]:
    """A rule as a record. today: the day before which it is over, or on which it has not begun."""
    over, begun = rule.last.date() < today, rule.begin.date() <= today
    return {
        "name": rule.name,
        "owner": rule.owner,
        "effect": "hide" if rule.hides else "show",
        "from": rule.first.isoformat(sep=" ") if rule.first else None,
        "until": rule.last.isoformat(sep=" ", timespec="seconds"),
        "conditions": [f"{name} = {like}" for name, like in rule.conditions.items()],
        "reason": rule.reason,
        "state": "over" if over else "in force" if begun else "not yet",
    }


def hidden_by(names: Iterable[str | None]) -> str | None:
    """What an incident is hidden by, given what hides each of its edges: None if anything does not."""
    every = list(names)
    hidden = [name for name in every if isinstance(name, str)]
    return ", ".join(dict.fromkeys(hidden)) if hidden and len(hidden) == len(every) else None
