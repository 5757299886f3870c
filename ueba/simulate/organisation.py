"""What to simulate: the size of an organisation, its period, and how much changes in it.

Leaves out who and what there is (`cast`): the same values give the same organisation, event by event.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from ueba.errors import ConfigError

EVER = 10**6  # a day that never comes
LEAST_USERS = 60


@dataclass(frozen=True)
class Organisation:
    """Shares are of all people and for the whole period; rates are a person and day."""

    users: int = 260  # people; administrators' and services' accounts are extra. Servers grow with it
    days: int = 24  # length of the period
    start: date = date(2026, 1, 5)  # first day, a Monday
    seed: int = 0  # another seed, another organisation
    domain: str = "corp.example"  # what follows the @ of every account
    campaigns: int = 3  # hidden attacks of each kind
    strength: float = 1.0  # how visible they are, see `ueba.campaigns`
    attack_days: int = 8  # attacks happen in this many last days only
    joiners: float = 0.06  # share that arrives
    leavers: float = 0.05  # share that goes
    movers: float = 0.05  # share that changes department
    renames: float = 0.03  # share of workstations and servers that get another name
    vacations: float = 0.4  # share that is away for one to two weeks; a colleague stands in
    assignments: float = 0.08  # rate of beginning to use a place of the team or department
    errands: float = 0.003  # rate of trips to places that nobody near uses
    late_work: float = 0.006  # rate of nights at work
    desk_swaps: float = 0.05  # rate of days at a colleague's workstation
    mistypes: float = 0.015  # failures in front of a person's logons

    def __post_init__(self) -> None:
        if self.users < LEAST_USERS or not 0 < self.attack_days < self.days - 1:
            raise ConfigError(
                f"an organisation needs at least {LEAST_USERS} users, at least 1 attack day and at least"
                " 2 days before the attack days"
            )

    @property
    def first_attack_day(self) -> int:
        return self.days - self.attack_days

    def date_of(self, day: int) -> date:
        return self.start + timedelta(days=day)
