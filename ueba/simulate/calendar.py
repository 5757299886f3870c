"""Which days who works: weekends, public holidays, vacations, joining and leaving; rotas and nightly
schedules.

Holidays are those of the western church's year and 1 May; Easter by the method of Meeus, Jones and Butcher
("Astronomical Algorithms", 1991). Leaves out time zones: working hours are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from ueba.arrays import Bools, Doubles, Ints
from ueba.simulate.cast import IT, TECHNICAL, Cast
from ueba.simulate.organisation import EVER, Organisation

# Rows of `activity` that follow the people's, counted from its end.
ALWAYS, WORKDAYS, PATCH_NIGHTS, SCANS = -1, -2, -3, (-4, -5, -6, -7)
WEDNESDAY, SATURDAY = 2, 5
WEEK = 7


@dataclass(frozen=True)
class Calendar:
    """activity: factor on the rates of each person and schedule, [users + 7, days]; workday: [days];
    away: first day of each person's vacation and the first after it, EVER for none, [users] each;
    on_call: the person on call in each week for each department of TECHNICAL, [weeks, 3]"""

    activity: Doubles
    workday: Bools
    away: tuple[Ints, Ints]
    on_call: Ints


def make_calendar(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Calendar:
    people, n = cast.people, organisation.users
    day = np.arange(organisation.days)
    weekday = (day + organisation.start.weekday()) % WEEK
    workday = (weekday < SATURDAY) & ~np.array(
        [is_holiday(organisation.date_of(int(number))) for number in day]
    )
    away_from = np.where(rng.random(n) < organisation.vacations, rng.integers(0, organisation.days, n), EVER)
    away_until = np.where(away_from < EVER, away_from + rng.integers(5, 15, n), EVER)
    there = (day >= people.joined[:, None]) & (day < people.left[:, None])
    there &= (day < away_from[:, None]) | (day >= away_until[:, None])
    present = rng.random((n, organisation.days)) < np.where(workday, 0.95, 0.05)
    pace = rng.lognormal(0.0, 0.25, (n, 1)) * np.where(workday, 1.0, 0.4)
    schedules = [
        day % 4 == 3,
        day % 4 == 2,
        day % 4 == 1,
        day % 4 == 0,
        weekday == WEDNESDAY,
        workday,
        day >= 0,
    ]
    activity = np.vstack([there * present * pace, np.array(schedules, float)])
    return Calendar(activity, workday, (away_from, away_until), make_rota(organisation, cast, rng))


def make_rota(organisation: Organisation, cast: Cast, rng: np.random.Generator) -> Ints:
    """Week by week the next of a department's list, [weeks, departments on call]. A week begins as the
    period does. IT's are administrators of servers."""
    people, weeks = cast.people, -(-organisation.days // WEEK)
    owners = [admin.owner for admin in cast.admins if admin.duty != "desks"]
    rota = np.empty((weeks, len(TECHNICAL)), np.int64)
    for column, department in enumerate(TECHNICAL):
        own = np.flatnonzero((people.department == department) & people.steady)
        listed = rng.permutation(owners if department == IT else own)
        rota[:, column] = listed[np.arange(weeks) % len(listed)]
    return rota


def is_holiday(day: date) -> bool:
    after_easter = {-2, 1, 39, 50}  # Good Friday, Easter Monday, Ascension, Whit Monday
    fixed = {(1, 1), (1, 6), (5, 1), (8, 15), (11, 1), (12, 25), (12, 26)}
    return (day.month, day.day) in fixed or (day - easter(day.year)) in {
        timedelta(days=days) for days in after_easter
    }


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)
