"""What changes, benignly: new edges that follow the structure, and a few that follow nothing.

A person begins to use what the team uses; a project's members come to its places one after the other; a
stand-in goes where the colleague on vacation goes; a team adopts a place; who is on call reaches the
department's servers at night. No count of new targets, of hours or of popularity tells these from an attack:
that somebody near goes there already does. Movers are with `habits.team_habits`, who joins or leaves is in
the calendar. Errands follow nothing; they are few.

Mixing scripted attacks into the drawn life of an organisation is the idea of the CERT insider threat data
(Glasser and Lindauer 2013, "Bridging the Gap", https://doi.org/10.1109/SPW.2013.37).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from ueba.arrays import Bools, Ints
from ueba.simulate.calendar import ALWAYS, WEEK, Calendar
from ueba.simulate.cast import IT, TECHNICAL, Cast
from ueba.simulate.habits import belonging, from_desk, habit, heavy_tailed, hours_of, visits
from ueba.simulate.organisation import EVER, Organisation


def changing_habits(
    organisation: Organisation, cast: Cast, calendar: Calendar, usual: Bools, rng: np.random.Generator
) -> Iterable[pa.Table]:
    """usual: who uses which place anyhow, [users, places]"""
    yield from project_habits(cast, rng)
    yield from assignments(organisation, cast, usual, rng)
    yield from stand_ins(organisation, cast, calendar, usual, rng)
    yield from adoptions(organisation, cast, rng)
    yield from on_call(organisation, cast, calendar, rng)
    yield from late_work(organisation, cast, usual, rng)
    yield from cover(organisation, cast, rng)
    yield from errands(organisation, cast, rng)


def occasions(organisation: Organisation, rate: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Persons and days, [occasions] each."""
    n = int(organisation.users * organisation.days * rate)
    return rng.integers(0, organisation.users, n), rng.integers(0, organisation.days, n)


def project_habits(cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    for number, project in enumerate(cast.projects):
        own = np.flatnonzero(cast.places.project == number)
        who, where = np.repeat(project.members, len(own)), np.tile(own, len(project.members))
        first = np.repeat(project.since, len(own)) + rng.geometric(0.7, len(who)) - 1
        yield visits(cast, who, where, rate=heavy_tailed(rng, len(who), 0.8), first=first, last=project.last)


def assignments(
    organisation: Organisation, cast: Cast, usual: Bools, rng: np.random.Generator
) -> Iterable[pa.Table]:
    """A task makes a person begin to use what others of the department, role or team use: some for a day,
    some for good."""
    people = cast.people
    person, day = occasions(organisation, organisation.assignments, rng)
    lacking = belonging(cast.places, people.department, people.role, people.team) & ~usual
    lacking_who, lacking_where = np.nonzero(lacking)
    one, pair = rows_of(lacking_who, person)
    kept = rng.random(len(one)) < rng.uniform(0.3, 1.0, len(person))[one]
    one, pair = one[kept], pair[kept]
    last = np.where(rng.random(len(person)) < 0.5, day, people.moved[person])
    rate = 1 + heavy_tailed(rng, len(one), 0.5)
    yield visits(cast, person[one], lacking_where[pair], rate=rate, first=day[one], last=last[one])


def stand_ins(
    organisation: Organisation, cast: Cast, calendar: Calendar, usual: Bools, rng: np.random.Generator
) -> Iterable[pa.Table]:
    """While somebody is on vacation, one of the team goes where they go."""
    people, (away_from, away_until) = cast.people, calendar.away
    absent = np.flatnonzero(away_from < EVER)
    order = np.lexsort((np.arange(organisation.users), people.team))  # people, team by team
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    near = order[(place[absent] + rng.integers(1, 4, len(absent))) % len(order)]
    same = people.team[near] == people.team[absent]
    absent, near = absent[same], near[same]
    who, where = np.nonzero(usual)
    one, pair = rows_of(who, absent)
    first, last = away_from[absent][one] + rng.geometric(0.5, len(one)) - 1, away_until[absent][one] - 1
    yield visits(cast, near[one], where[pair], rate=heavy_tailed(rng, len(one), 0.5), first=first, last=last)


def adoptions(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """A team begins to use a place of another, in its department or outside; within days most are there."""
    people, places = cast.people, cast.places
    for _ in range(organisation.users // 25):
        team = int(rng.integers(people.team.max() + 1))
        members = np.flatnonzero(people.team == team)
        inside = (
            places.department == people.department[members[0]] if rng.random() < 0.6 else places.project < 0
        )
        place = int(rng.choice(np.flatnonzero(inside & (places.team != team))))
        who = members[rng.random(len(members)) < 0.8]
        first = int(rng.integers(-5, organisation.days)) + rng.geometric(0.35, len(who)) - 1
        where = np.full(len(who), place)
        yield visits(
            cast, who, where, rate=heavy_tailed(rng, len(who), 0.6), first=first, last=people.moved[who]
        )


def on_call(
    organisation: Organisation, cast: Cast, calendar: Calendar, rng: np.random.Generator
) -> Iterable[pa.Table]:
    """Some nights and weekends a week: a few servers of the department; of IT, an administrator by way of a
    jump host."""
    people, places = cast.people, cast.places
    admins = {admin.owner: admin for admin in reversed(cast.admins) if admin.duty != "desks"}
    for week, weekly in enumerate(calendar.on_call):
        for department, person in zip(TECHNICAL, weekly.tolist(), strict=True):
            own = np.flatnonzero(places.is_machine & ((places.department == department) | (department == IT)))
            for _ in range(rng.poisson(3.0)):
                day = week * WEEK + int(rng.integers(WEEK))
                if day >= organisation.days:
                    continue
                free = calendar.workday[day]
                begin = rng.uniform(19.0, 29.0) if free else rng.uniform(0.0, 24.0)
                near = rng.integers(len(own)) + np.arange(
                    rng.integers(1, 5)
                )  # neighbours in the list belong together
                where = own[near % len(own)]
                page: dict[str, Any] = {
                    "calendar": ALWAYS,
                    "first": day,
                    "last": day,
                    "hours": (begin, 1.0, 0.1),
                    "rate": 2.0,
                }
                if department == IT:
                    admin = admins[person]
                    yield habit(
                        admin.user,
                        people.workstation[person],
                        admin.jump,
                        logon_type="RemoteInteractive",
                        **page,
                    )
                    yield habit(admin.user, admin.jump, places.name[where], **page)
                else:
                    yield visits(cast, np.full(len(where), person), where, **page)


def late_work(
    organisation: Organisation, cast: Cast, usual: Bools, rng: np.random.Generator
) -> Iterable[pa.Table]:
    person, day = occasions(organisation, organisation.late_work, rng)
    there = (cast.people.joined[person] <= day) & (
        day < np.minimum(cast.people.left, cast.people.moved)[person]
    )
    person, day = person[there], day[there]
    who, where = np.nonzero(usual)
    one, pair = rows_of(who, person)
    hours = (rng.uniform(20.0, 28.0, len(person))[one], 1.5, 0.2)
    night: dict[str, Any] = {"calendar": ALWAYS, "hours": hours, "first": day[one], "last": day[one]}
    yield visits(cast, person[one], where[pair], rate=0.5, **night)


def cover(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """An administrator looks after a part of another's estate for some days."""
    limited = [admin for admin in cast.admins if admin.duty == "servers"]
    for admin in limited:
        for _ in range(max(1, organisation.days // 8)):
            other = limited[rng.integers(len(limited))]
            begin = int(rng.integers(organisation.days))
            servers = rng.choice(
                other.estate, min(len(other.estate), int(rng.integers(3, 10))), replace=False
            )
            when: dict[str, Any] = {"first": begin, "last": begin + int(rng.integers(1, 4))}
            hours = hours_of(cast.people, admin.owner)
            yield habit(admin.user, admin.jump, servers, rate=1.0, calendar=admin.owner, hours=hours, **when)


def errands(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Iterable[pa.Table]:
    """Several stops close to each other, in machines that nobody near uses."""
    person, day = occasions(organisation, organisation.errands, rng)
    one = np.repeat(np.arange(len(person)), np.minimum(rng.geometric(0.3, len(person)), 25))
    around = rng.random(len(person))[one] + rng.normal(0.0, 0.05, len(one))  # where in the lists, 0 to 1
    office, desk = (
        names[np.clip(around * len(names), 0, len(names) - 1).astype(np.int64)]
        for names in (cast.places.name[cast.places.is_machine], cast.people.workstation)
    )
    target = np.where(rng.random(len(one)) < 0.8, office, desk)
    yield from_desk(cast, person[one], target, rate=1.5, first=day[one], last=day[one])


def rows_of(who: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """For each of `chosen` the rows where `who` is equal: index into chosen, index into who, [matches]
    each."""
    order = np.argsort(who, kind="stable")
    begin, end = np.searchsorted(who[order], chosen), np.searchsorted(who[order], chosen, side="right")
    one = np.repeat(np.arange(len(chosen)), end - begin)
    return one, order[begin[one] + count_up(end - begin)]


def count_up(counts: Ints) -> Ints:
    """0, 1, .. counts[0] - 1, 0, 1, .. counts[1] - 1, and so on."""
    numbers: Ints = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return numbers
