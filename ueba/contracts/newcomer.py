"""A newcomer: an account or a machine that the lake did not know before a day, or an account that comes back
after a long silence; as `ueba newcomers` prints it.

Nothing of this is stored. Leaves out how it is found; that is `ueba.investigate.newcomers`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

NEW_ACCOUNT, NEW_MACHINE, WOKEN_ACCOUNT = WHATS = ("new account", "new machine", "woken account")


class With(NamedTuple):
    """A machine that a new account acted from, or an account on a new machine.

    is_new:   whether it is new on this day itself
    usually:  the account that acted from this machine on most days before, or the machine that this account
              acted from; None if there is none
    """

    name: str
    is_new: bool
    usually: str | None


@dataclass(frozen=True)
class Newcomer:
    """A newcomer of a day.

    what:            one of WHATS
    kind:            human, service, machine or anonymous; machine if it is a machine
    first_seen:      its first event of the day, UTC
    last_before:     of a woken account: the last day on which it was seen
    beside:          of an account, the machines it acted from; of a machine, the accounts on it. By time
    reached:         machines and resources that it reached, or that were reached from it, others than itself
    reached_usual:   the median of newcomers like it, None if there was none; `compared` is how many
    accounts:        of a machine: accounts that reached it or acted from it; accounts_usual: the median
    targets:         the names of what was reached, sorted
    known:           share of `reached` that colleagues reached before; None if there is nobody to ask
    colleagues:      who they are, in words
    incident:        id of the incident that it is in, None if in none or the day was not scored
    """

    what: str
    name: str
    kind: str
    first_seen: dt.datetime
    last_before: dt.date | None
    beside: tuple[With, ...]
    reached: int
    reached_usual: float | None
    accounts: int | None
    accounts_usual: float | None
    compared: int
    targets: tuple[str, ...]
    known: float | None
    colleagues: str
    incident: str | None

    @property
    def reached_unknown(self) -> float:
        """How much of what it reached no colleague knew; all of it, if there is nobody to ask."""
        return self.reached * (1 - (self.known or 0.0))

    def to_json(self) -> dict[str, Any]:
        """The facts as a record; times and days are texts."""
        return {
            **asdict(self),
            "first_seen": self.first_seen.isoformat(),
            "last_before": self.last_before and self.last_before.isoformat(),
            "beside": [other._asdict() for other in self.beside],
            "targets": list(self.targets),
        }


@dataclass(frozen=True)
class NewToday:
    """All newcomers of a day.

    silent_days:  an account is woken if it was not seen on so many days before
    since:        the first day of the newcomers that they are compared with; those end on the day before
    newcomers:    those that reached the most that their colleagues do not know first
    """

    day: dt.date
    silent_days: int
    since: dt.date
    newcomers: tuple[Newcomer, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there are of each of WHATS."""
        return {what: sum(one.what == what for one in self.newcomers) for what in WHATS}
