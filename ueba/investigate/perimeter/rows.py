"""What `reach` found, as rows of the perimeter: numbers back to names, each with the event in the log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ueba.arrays import Ints
from ueba.contracts.entity import Entity
from ueba.contracts.perimeter import CONFIRMED, POSSIBLE, Contact, Exposure, ReachedEntity, Touch
from ueba.investigate.perimeter.flags import Flags
from ueba.investigate.perimeter.log import Log, decoded, equals, grouped
from ueba.investigate.perimeter.reach import Arrivals, Spread

_CONTACT = ("indicator", "user", "source", "target", "target_kind", "source_ip", "outcome")
_TOUCH = ("certainty", "target", "detail", "action", "code", "user")


def reached_rows(
    log: Log, flags: Flags, arrivals: Arrivals, certainty: str, entities: Sequence[Entity]
) -> list[ReachedEntity]:
    """What an event reaches, without origins. entities: what the arrivals are numbers of"""
    found = np.flatnonzero(arrivals.event >= 0).tolist()
    events = arrivals.event[found]
    columns = log.table.select(["time", "user", "path", "line"]).take(events).to_pylist()
    return [
        ReachedEntity(
            entity=entities[number],
            certainty=certainty,
            hops=int(arrivals.hops[number]),
            at=event["time"],
            via_user=event["user"],
            start=log.places[source] if source >= 0 else Entity("user", event["user"]),
            event=f"{event['path']}:{event['line']}",
            incident=flags.id_of(row),
        )
        for number, row, event, source in zip(found, events, columns, log.source[events], strict=True)
    ]


def exposure_rows(log: Log, exposed: pd.DataFrame) -> list[Exposure]:
    """exposed: see `reach.exposed`"""
    columns = log.table.select(["time", "path", "line"]).take(exposed["event"].to_numpy()).to_pylist()
    ends = zip(exposed["place"], exposed["user"], columns, strict=True)
    return [
        Exposure(
            log.places[place].name, log.accounts[user], event["time"], f"{event['path']}:{event['line']}"
        )
        for place, user, event in ends
    ]


def contact_rows(log: Log, met: Ints, indicators: Sequence[str]) -> list[Contact]:
    """met: by which indicator each event is a contact, -1 for none, int64 [events]"""
    events = decoded(log.table, met >= 0).assign(indicator=[indicators[number] for number in met[met >= 0]])
    return [Contact(**row) for row in grouped(events, _CONTACT)]


def touch_rows(log: Log, confirmed: Spread, possible: Spread) -> list[Touch]:
    """What moving events did in each resource."""
    moved = possible.moved & equals(log.table["target_kind"], "resource")
    certainty = np.where(confirmed.moved[moved], CONFIRMED, POSSIBLE)
    events = decoded(log.table, moved).assign(certainty=certainty)
    return [Touch(**row) for row in grouped(events, _TOUCH)]
