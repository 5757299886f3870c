"""What would have been normal: the same edge with one part changed, scored by the same model against the same
history.

The changes: from a usual machine, by an account like it that knows the target (from where that account would
reach it), at a usual hour, by a usual logon type, to a usual target. Who is like whom is asked of
`ueba.detect.look.neighbours`. After Wachter et al. (2017), with changes that the user or those like it make
on other days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ueba import words
from ueba.arrays import Ints
from ueba.contracts.explanation import Counterfactual
from ueba.detect.look import neighbours
from ueba.detect.look.neighbours import Alike
from ueba.detect.past.encoded import EncodedEdges
from ueba.detect.past.history import NEVER, History
from ueba.detect.past.pairs import pair_keys
from ueba.investigate.explain.habits import FEW, most, usual
from ueba.investigate.explain.scoring import DayScoring

LIKE_IT = 20  # accounts that are asked whether they know the target


@dataclass(frozen=True)
class Choice:
    """An edge with one part changed.

    row: of the edges; change: source, user, target, hour or logon_type; to: the number of its new value;
    acts_from: the number of the machine that comes with another user, -1 for the same machine
    """

    row: int
    change: str
    to: int
    why: str
    acts_from: int = -1


def counterfactuals(scoring: DayScoring, encoded: EncodedEdges) -> list[tuple[Counterfactual, ...]]:
    """The counterfactuals of every edge, the most normal first."""
    history = scoring.history
    near = _like(scoring.alike["user"], encoded.user)
    choices = [choice for row in range(len(encoded)) for choice in _choices(scoring, encoded, row, near)]
    found: list[list[Counterfactual]] = [[] for _ in range(len(encoded))]
    if choices:
        surprise, p_value = scoring.score(_changed(encoded, choices))
        for choice, nats, p in zip(choices, surprise, p_value, strict=True):
            found[choice.row].append(_counterfactual(history, choice, float(nats), float(p)))
    return [tuple(sorted(row, key=lambda one: (-one.p_value, one.surprise))) for row in found]


def _changed(encoded: EncodedEdges, choices: Sequence[Choice]) -> EncodedEdges:
    """The edges of the choices, each with its part changed."""
    changed = encoded.take(np.array([choice.row for choice in choices]))
    columns = {name: getattr(changed, name).copy() for name in ("user", "source", "target", "hours", "types")}
    for number, choice in enumerate(choices):
        if choice.change in ("hour", "logon_type"):
            column = columns["hours" if choice.change == "hour" else "types"]
            column[number] = np.arange(column.shape[1]) == choice.to
        else:
            columns[choice.change][number] = choice.to
        if choice.acts_from >= 0:
            columns["source"][number] = choice.acts_from
    return replace(changed, **columns)


def _counterfactual(history: History, choice: Choice, surprise: float, p_value: float) -> Counterfactual:
    names = {"user": history.users.names, "logon_type": history.types.names}
    places = history.places.names
    return Counterfactual(
        change=choice.change,
        to=str(choice.to) if choice.change == "hour" else names.get(choice.change, places)[choice.to],
        acts_from=places[choice.acts_from] if choice.acts_from >= 0 else None,
        why=choice.why,
        surprise=surprise,
        p_value=p_value,
    )


def _choices(scoring: DayScoring, encoded: EncodedEdges, row: int, near: dict[int, Ints]) -> list[Choice]:
    """The parts of an edge that may be changed to usual ones, each value once."""
    history = scoring.history
    user, source, target = int(encoded.user[row]), int(encoded.source[row]), int(encoded.target[row])
    found = [
        *_usual_places(history, row, user, target),
        *_knowing(scoring, row, user, near[user], source, target),
        *_usual_ways(history, row, user),
    ]
    same = {("source", source), ("target", target), ("user", user)}
    same |= _only("hour", encoded.hours[row]) | _only("logon_type", encoded.types[row])
    once: dict[tuple[str, int], Choice] = {}
    for choice in found:
        if (choice.change, choice.to) not in same:
            once.setdefault((choice.change, choice.to), choice)
    return list(once.values())


def _only(change: str, chosen: npt.NDArray[np.bool_]) -> set[tuple[str, int]]:
    """The only hour or logon type of an edge; nothing if it has several."""
    numbers = np.flatnonzero(chosen)
    return {(change, int(numbers[0]))} if len(numbers) == 1 else set()


def _usual_places(history: History, row: int, user: int, target: int) -> list[Choice]:
    sources = usual(history, "user_source", user)
    leading = usual(history, "source_target", target, side=1)
    targets = usual(history, "user_target", user)
    return [
        *(Choice(row, "source", place, "where the user usually acts from") for place, _ in sources),
        *(Choice(row, "source", place, "where the target is usually reached from") for place, _ in leading),
        *(Choice(row, "target", place, "what the user usually reaches") for place, _ in targets),
    ]


def _knowing(scoring: DayScoring, row: int, user: int, near: Ints, source: int, target: int) -> list[Choice]:
    """Accounts like the user that know the target, and what beside the target makes them so. Of one without a
    past that must be something."""
    history = scoring.history
    knowing = near[_has_met(history, "user_target", near, target)][:FEW]
    shared = neighbours.shared(scoring.alike["user"], np.full_like(knowing, user), knowing).first
    shared[shared == target] = -1
    if history.sides["user_target"][0].first_day[user] == NEVER:
        knowing, shared = knowing[(shared >= 0).any(axis=1)], shared[(shared >= 0).any(axis=1)]
    return [
        Choice(
            row,
            "user",
            int(other),
            _alike(history, first[first >= 0]),
            _acts_from(history, int(other), source, target),
        )
        for other, first in zip(knowing, shared, strict=True)
    ]


def _alike(history: History, shared: Ints) -> str:
    """Why another account is a change to a usual one. shared: places that both reach"""
    names = words.listed([history.places.names[place] for place in shared])
    return "an account like it that knows the target" + (f": both reach {names}" if names else "")


def _usual_ways(history: History, row: int, user: int) -> list[Choice]:
    hours, types = most(history.user_hours[user])[:1], most(history.user_types[user])[:1]
    return [
        *(Choice(row, "hour", hour, "when the user is usually active") for hour, _ in hours),
        *(Choice(row, "logon_type", number, "how the user usually logs on") for number, _ in types),
    ]


def _acts_from(history: History, other: int, source: int, target: int) -> int:
    """Where another user would reach the target from: its most usual machine, rather one that is known to
    reach it; -1 if that may as well be the machine of the edge, or none is known."""
    places = np.array([place for place, _ in usual(history, "user_source", other)], np.int64)
    as_well = _has_met(history, "user_source", np.array([other]), source) & _has_met(
        history, "source_target", np.array([source]), target
    )
    if source < 0 or not len(places) or as_well[0] or source in places[:1]:
        return -1
    return int([*places[_has_met(history, "source_target", places, target)], *places][0])


def _has_met(history: History, relation: str, entities: Ints, other: int) -> npt.NDArray[np.bool_]:
    """Which entities were seen with another before. bool [entities]"""
    return history.pairs[relation].find(pair_keys(entities, np.full_like(entities, other)))[1]


def _like(alike: Alike, users: Ints) -> dict[int, Ints]:
    """The accounts most like each user, the nearest first."""
    asked = np.unique(users)
    nearest, _ = neighbours.nearest(alike, asked, LIKE_IT)
    return {int(user): near[near >= 0] for user, near in zip(asked, nearest, strict=True)}
