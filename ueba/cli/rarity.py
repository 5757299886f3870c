"""What `--at-most` leaves of incidents and cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from ueba.cli import output
from ueba.cli.options import Often

if TYPE_CHECKING:
    from ueba.contracts.period import Period


class Named(Protocol):
    """An incident or a case."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Named)


def rare(found: Sequence[T], often: Mapping[str, Period], at_most: Often | None, noun: str) -> list[T]:
    """Those of which as strange ones are known to come so often at most; all if there is no rate. Says how
    many are left out that may be as rare, as too few days are known to tell. often: return periods by id"""
    from ueba.words import counted

    if at_most is None:
        return list(found)
    kept = [one for one in found if often[one.id].comes_at_most(at_most.a_day)]
    output.note(
        f"{len(kept)} of {counted(len(found), noun)} are so strange that they come at most {at_most.text}"
    )
    unknown = sum(often[one.id].is_bound for one in found) - sum(often[one.id].is_bound for one in kept)
    if unknown:
        days = counted(math.ceil(1 / at_most.a_day - 1e-9), "day")
        is_rarer = "is rarer" if unknown == 1 else "are rarer"
        output.note(
            f"{counted(unknown, noun)} left out {is_rarer} than anything before; whether as strange ones"
            f" come at most {at_most.text} is known once {days} were scored before"
        )
    return kept
