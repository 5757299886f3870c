"""A return period: how often anything so strange happens in an organisation.

It is about the organisation as a whole. How often an account has an edge like one is `once_in_days` of a
scored edge. Leaves out how it is counted (`ueba.detect.periods`).
"""

from __future__ import annotations

import msgspec


class Period(msgspec.Struct, frozen=True):
    """The return period of an incident or a case.

    days:     on average from one that is as strange to the next; below 1 if several come a day
    is_bound: none came in so many days, so that it is rarer; 0 days if there was no day to compare with
    """

    days: float
    is_bound: bool

    def comes_at_most(self, a_day: float) -> bool:
        """Whether anything as strange is known to come so often at most, times a day."""
        return self.days * a_day >= 1 - 1e-9  # 10 days times 0.1 may be a little less than 1

    @property
    def fields(self) -> dict[str, float | bool]:
        """As it is printed, JSON values only."""
        return {"period_days": round(self.days, 2), "period_is_bound": self.is_bound}


NOTHING_KNOWN = Period(0.0, True)
