"""Effects of what the organisation knows on a day's edges: nats added to their strangeness, or taken off.

    honey        HONEY_NATS more, so that it outranks all else: any use is an incident, a failed one too
    crown jewel  a strange edge of one counts twice as much, at most MOST_NATS more
    leaver       after the last day any edge counts twice as much, at least LEAVER_NATS and at most MOST_NATS
                 more
    maintenance  an edge that lies in the window counts half as much, at most MOST_NATS less: what is far
                 stranger still shows

Each is worked out from the strangeness with the effects of verdicts, and each counts once, for the first of
target, user and source. As verdicts they leave p-values as they are, and with them calibration, carry-over
and all that is learned. Entity tables are believed for all days. Leaves out how tables say it
(`ueba.ingest.identity.standing`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ueba.contracts.entity import Entity
from ueba.contracts.incident import STRANGE_P
from ueba.contracts.reason import CrownJewel, Honey, Known, Leaver, Maintenance, Role, What
from ueba.contracts.standing import Standing
from ueba.ingest.identity.entities import listed_name
from ueba.triage.effects import LIFTED_NATS, MOST_NATS

if TYPE_CHECKING:
    import pandas as pd

HONEY_NATS = 100.0  # more than the strangest edge has
LEAVER_NATS = LIFTED_NATS  # as much as a true verdict

Standings = Mapping[Entity, Standing]  # see `ueba.ingest.identity.entities.standings`


class End(NamedTuple):
    """An end of an edge of which the organisation knows something."""

    role: Role
    what: What
    name: str
    standing: Standing


Ends = dict[int, list[End]]  # by the edge's row; target, user, source


def ends(edges: pd.DataFrame, standings: Standings) -> Ends:
    """The ends of a day's edges of which the organisation knows something, of those that have any.

    edges: columns row, user, source, target, target_kind"""
    found: Ends = {}
    roles: tuple[tuple[Role, pd.Series[Any]], ...] = (
        ("target", edges["target_kind"]),
        ("user", edges["user"].map(lambda _: "user")),
        ("source", edges["user"].map(lambda _: "machine")),
    )
    if not standings:
        return found
    for role, kinds in roles:
        keys = dict.fromkeys(zip(kinds, edges[role], strict=True))
        known = {
            key: standing
            for key in keys
            if key[1] is not None and (standing := standings.get(listed_name(*key))) is not None
        }
        for row, what, name in zip(edges["row"], kinds, edges[role], strict=True) if known else ():
            if (standing := known.get((what, name))) is not None:
                found.setdefault(row, []).append(End(role, what, name, standing))
    return found


def is_notable(ends: Sequence[End], day: dt.date) -> bool:
    """Whether an edge is of interest however ordinary it is: of a honey entity, or after a last day."""
    return any(end.standing.honey or _has_left(end, day) for end in ends)


def _has_left(end: End, day: dt.date) -> bool:
    last_day = end.standing.last_day
    return last_day is not None and day > last_day


def effects(ends: Sequence[End], edge: Mapping[str, Any]) -> list[Known]:
    """What the organisation knows of one edge, and what that changes.

    edge: day, first_seen, last_seen, p_value, and strangeness with the effects of verdicts"""
    makers: tuple[Callable[[Sequence[End], Mapping[str, Any]], Iterator[Known]], ...] = (
        _honey,
        _crown_jewel,
        _leaver,
        _maintenance,
    )
    return [fact for make in makers if (fact := next(make(ends, edge), None)) is not None]


def _honey(ends: Sequence[End], edge: Mapping[str, Any]) -> Iterator[Honey]:
    for role, what, name, standing in ends:
        if standing.honey:
            yield Honey(role, what, name, HONEY_NATS)


def _crown_jewel(ends: Sequence[End], edge: Mapping[str, Any]) -> Iterator[CrownJewel]:
    strangeness = edge["strangeness"]
    nats = min(strangeness, MOST_NATS)
    for role, what, name, standing in ends:
        if standing.crown_jewel and edge["p_value"] <= STRANGE_P and nats > 0:
            yield CrownJewel(role, what, name, nats, _times(strangeness, nats))


def _leaver(ends: Sequence[End], edge: Mapping[str, Any]) -> Iterator[Leaver]:
    strangeness = edge["strangeness"]
    nats = min(max(strangeness, LEAVER_NATS), MOST_NATS)
    for end in ends:
        if _has_left(end, edge["day"]) and end.standing.last_day is not None:
            times = _times(strangeness, nats)
            yield Leaver(end.role, end.what, end.name, end.standing.last_day, nats, times)


def _maintenance(ends: Sequence[End], edge: Mapping[str, Any]) -> Iterator[Maintenance]:
    strangeness = edge["strangeness"]
    nats = -min(strangeness / 2, MOST_NATS)
    for role, what, name, standing in ends:
        for window in standing.maintenance:
            if nats < 0 and window.since <= edge["first_seen"] and edge["last_seen"] <= window.until:
                times = _times(strangeness, nats)
                yield Maintenance(role, what, name, window.since, window.until, nats, times)


def _times(strangeness: float, nats: float) -> float:
    return (strangeness + nats) / strangeness if strangeness > 0 else 0.0
