"""Habits -> events: each day each habit happens Poisson(rate x activity) times, and not all goes as planned.

People sit at colleagues' desks, mistype passwords, and machines get new names. Events are numbers here, so
that millions fit: `Drawn` refers to rows of the habits and to names. Leaves out log-offs, DHCP and IP
addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ueba.arrays import Bools, Ints
from ueba.simulate.calendar import Calendar
from ueba.simulate.cast import Cast
from ueba.simulate.change import count_up
from ueba.simulate.habits import TEXTS
from ueba.simulate.organisation import Organisation

DAY_S = 86_400
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Drawn:
    """[events] each. habit: row of the habits; second: since the first midnight; source, target:
    workstations of a person that stand in for the habit's own, -1 for none; failed: whether it failed,
    whatever the habit says"""

    habit: Codes
    second: Codes
    source: Codes
    target: Codes
    failed: Bools


def draw(
    organisation: Organisation, cast: Cast, habits: pa.Table, calendar: Calendar, rng: np.random.Generator
) -> Drawn:
    drawn = happen(habits, calendar, rng)
    return mistype(organisation, habits, swap_desks(organisation, cast, habits, drawn, rng), rng)


def happen(habits: pa.Table, calendar: Calendar, rng: np.random.Generator) -> Drawn:
    """Poisson draws; a regular habit happens exactly `rate` times, evenly spaced."""
    row, rate, regular, first, last, opens, stays, spread = (
        habits[name].to_numpy() for name in "calendar rate regular first last opens stays spread".split()
    )
    which, seconds = [], []
    for day in range(calendar.activity.shape[1]):
        today = np.flatnonzero((first <= day) & (day <= last))
        mean = rate[today] * calendar.activity[row[today], day]  # [habits of today]
        count = np.where(
            regular[today], np.rint(mean).astype(np.int64), rng.poisson(mean)
        )  # [habits of today]
        index = np.repeat(today, count)  # [events]
        nth = count_up(count)  # [events] 0, 1, .. within the habit
        chance = rng.random(len(index))
        phase = np.where(
            regular[index], (nth + 0.1 * chance) / np.maximum(np.repeat(count, count), 1), chance
        )
        hour = opens[index] + stays[index] * phase + spread[index] * rng.standard_normal(len(index))
        which.append(index.astype(np.int32))
        seconds.append(
            (day * DAY_S + np.minimum((hour % 24 * 3600).astype(np.int64), DAY_S - 1)).astype(np.int32)
        )
    habit = np.concatenate(which)
    nobody = np.full(len(habit), -1, np.int32)
    return Drawn(habit, np.concatenate(seconds), nobody, nobody, np.zeros(len(habit), bool))


def swap_desks(
    organisation: Organisation, cast: Cast, habits: pa.Table, drawn: Drawn, rng: np.random.Generator
) -> Drawn:
    """On some days a person works at another's workstation: mostly, one of the team's."""
    people, n, days = cast.people, organisation.users, organisation.days
    swaps = np.flatnonzero(rng.random(n * days) < organisation.desk_swaps)
    person, random = swaps // days, rng.random(len(swaps))
    order = np.argsort(people.team, kind="stable")  # people, team by team
    begin = np.searchsorted(people.team[order], people.team[person])
    size = np.bincount(people.team)[people.team[person]]
    mate = order[begin + (random * size).astype(np.int64)]
    colleague = np.full(n * days, -1, np.int32)
    colleague[swaps] = np.where(rng.random(len(swaps)) < 0.95, mate, (random * n).astype(np.int64))
    desk = habits["desk"].to_numpy()[drawn.habit]
    sits_at = np.where(desk >= 0, colleague[desk * days + drawn.second // DAY_S], -1).astype(
        np.int32
    )  # [events]
    at_own_desk = habits["source"].to_numpy() == habits["target"].to_numpy()  # [habits]
    return replace(drawn, source=sits_at, target=np.where(at_own_desk[drawn.habit], sits_at, np.int32(-1)))


def mistype(organisation: Organisation, habits: pa.Table, drawn: Drawn, rng: np.random.Generator) -> Drawn:
    """Some logons from a desk fail seconds earlier."""
    by_hand = (habits["desk"].to_numpy() >= 0) & (habits["action"].to_numpy() == "logon")  # [habits]
    wrong = np.flatnonzero(by_hand[drawn.habit] & (rng.random(len(drawn.habit)) < organisation.mistypes))
    midnight = drawn.second[wrong] // DAY_S * DAY_S
    earlier = np.maximum(drawn.second[wrong] - rng.integers(3, 40, len(wrong), np.int32), midnight)

    def both(column: npt.NDArray[np.generic], added: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.concatenate([column, added])

    return Drawn(
        habit=np.concatenate([drawn.habit, drawn.habit[wrong]]),
        second=np.concatenate([drawn.second, earlier]),
        source=np.concatenate([drawn.source, drawn.source[wrong]]),
        target=np.concatenate([drawn.target, drawn.target[wrong]]),
        failed=np.concatenate([drawn.failed, np.ones(len(wrong), bool)]),
    )


def written_out(organisation: Organisation, cast: Cast, habits: pa.Table, drawn: Drawn) -> pa.Table:
    """Events with their names, in order of time: second, TEXTS, all texts dictionaries."""
    order = np.lexsort((drawn.habit, drawn.second))
    habit, second = drawn.habit[order], drawn.second[order]
    columns = {name: habits[name].combine_chunks().dictionary_encode() for name in TEXTS}
    table = {"second": pa.array(second)} | {
        name: column.take(pa.array(habit)) for name, column in columns.items()
    }
    for name in ("source", "target"):
        table[name] = seated(table[name], cast, getattr(drawn, name)[order])
    codes = table["outcome"].indices.to_numpy()
    outcome = np.where(
        drawn.failed[order], 1, codes != list(columns["outcome"].dictionary.to_pylist()).index("success")
    )
    table["outcome"] = pa.DictionaryArray.from_arrays(
        pa.array(outcome.astype(np.int32)), pa.array(["success", "failure"])
    )
    return pa.table(table)


def seated(names: pa.DictionaryArray, cast: Cast, desk: Codes) -> pa.DictionaryArray:
    """Names of machines, with the workstation of a person where there is one (not -1)."""
    present = names.dictionary.to_pylist()
    code = {name: number for number, name in enumerate(present)}
    extra = [name for name in cast.people.workstation.tolist() if name not in code]
    code |= {name: len(present) + number for number, name in enumerate(extra)}
    of_person = np.array([code[name] for name in cast.people.workstation.tolist()], np.int32)
    codes = np.where(desk >= 0, of_person[desk], names.indices.to_numpy())
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([*present, *extra]))


def renamed(cast: Cast, names: pa.DictionaryArray, day: Ints) -> pa.DictionaryArray:
    """Names of machines and of their accounts as of each event's day."""
    present = names.dictionary.to_pylist()
    since, to = np.full(len(present), np.iinfo(np.int64).max), np.arange(len(present))
    extra: list[str] = []
    changes = {change.old: change for change in cast.renames}
    for number, name in enumerate(present):
        host, *rest = name.split("$@")
        if host in changes:
            since[number], to[number] = changes[host].day, len(present) + len(extra)
            extra.append("$@".join([changes[host].new, *rest]))
    codes = names.indices.to_numpy()
    codes = np.where(day >= since[codes], to[codes], codes).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([*present, *extra], pa.string()))
