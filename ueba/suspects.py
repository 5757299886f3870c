"""Reviews of days that were never scored, on disk: `findings/suspects=YYYY-MM-DD.json`, see
`ueba.contracts.suspect`; and their suspects by who acted.

Leaves out the review itself (`ueba.detect.score.review`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ueba import state
from ueba.contracts import suspect as contract
from ueba.contracts.edge import Edge
from ueba.contracts.incident import STRANGE_P
from ueba.contracts.suspect import Review, Suspect

REMEDY = "remove it, and the next `ueba train` reviews the day again"


@dataclass(frozen=True)
class Actor:
    """A machine that suspects were acted from; or a user, if the log does not name their machine.

    kind:  machine or user
    nats:  how much less likely than STRANGE_P its suspects are, summed
    edges: days and suspects, by day, the smallest p-value first
    """

    kind: str
    name: str
    nats: float
    edges: tuple[tuple[dt.date, Suspect], ...]

    @property
    def stands_out(self) -> bool:
        return any(suspect.stands_out for _, suspect in self.edges)

    @property
    def days(self) -> list[dt.date]:
        return sorted({day for day, _ in self.edges})


def path(folder: Path, day: dt.date) -> Path:
    """Where the review of a day is. folder: the findings"""
    return folder / f"suspects={day}.json"


def save(review: Review, folder: Path) -> None:
    """Store a review in place of an earlier one."""
    state.write(path(folder, review.day), contract.to_json(review))


def load(folder: Path, day: dt.date) -> Review | None:
    """The review of a day; None if it was not reviewed. Raises WorkspaceError if the file is damaged."""
    file = path(folder, day)
    if not state.is_there(file):
        return None
    data = state.content(file, REMEDY)
    with state.reading(file, REMEDY):
        review = contract.from_json(data)
        if review.day != day:
            raise ValueError("it is the review of another day")
    return review


def load_all(folder: Path) -> list[Review]:
    """All reviews, by day. Raises WorkspaceError if a file is damaged, or called as if it were of a day."""
    return [
        found for day in sorted(map(_day_of, folder.glob("suspects=*.json"))) if (found := load(folder, day))
    ]


def _day_of(file: Path) -> dt.date:
    with state.reading(file, "its name is of no day, so remove it"):
        return dt.date.fromisoformat(file.stem.removeprefix("suspects="))


def actors(suspects: Mapping[dt.date, Iterable[Suspect]]) -> list[Actor]:
    """Who acted in the suspects of days, the strangest first."""
    by_actor: dict[tuple[str, str], list[tuple[dt.date, Suspect]]] = {}
    for day, of_day in suspects.items():
        for suspect in of_day:
            by_actor.setdefault(actor_of(suspect.edge), []).append((day, suspect))
    found = [
        Actor(*actor, math.fsum(max(math.log(STRANGE_P / one.p_value), 0) for _, one in edges), tuple(edges))
        for actor, edges in by_actor.items()
    ]
    return sorted(found, key=lambda actor: (-actor.nats, actor.name))


def actor_of(edge: Edge) -> tuple[str, str]:
    """Kind and name of who acted in an edge."""
    return ("user", edge.user) if edge.source is None else ("machine", edge.source)
