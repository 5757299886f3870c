"""The class of each entity: confirmed, possible, or not reached."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pandas as pd

from ueba.arrays import Bools
from ueba.contracts.entity import Entity
from ueba.contracts.perimeter import CONFIRMED, POSSIBLE, ReachedEntity
from ueba.investigate.perimeter.flags import Flags
from ueba.investigate.perimeter.log import Log
from ueba.investigate.perimeter.reach import NEVER, Arrivals, Spread
from ueba.investigate.perimeter.rows import reached_rows


def reached(
    log: Log,
    flags: Flags,
    spreads: tuple[Arrivals, Spread, Spread],
    exposed: pd.DataFrame,
    origins: Collection[Entity],
) -> list[ReachedEntity]:
    """Every entity that is reached and no origin, once, by the most certain class: confirmed first, then by
    hops, time and name.

    spreads: what `reach.reach` returns; exposed: what `reach.exposed` returns"""
    owned, confirmed, possible = spreads
    accounts = [Entity("user", name) for name in log.accounts]
    candidates = [
        *reached_rows(log, flags, owned, CONFIRMED, accounts),
        *reached_rows(log, flags, confirmed.on, CONFIRMED, log.places),
        *reached_rows(log, flags, possible.on, POSSIBLE, log.places),
        *_exposed_accounts(log, flags, possible.exposed, exposed, accounts),
    ]
    rows: dict[Entity, ReachedEntity] = {}
    for row in candidates:
        if row.entity not in origins:
            rows.setdefault(row.entity, row)
    return sorted(rows.values(), key=lambda row: (row.certainty, row.hops, row.at, row.entity.name))


def _exposed_accounts(
    log: Log, flags: Flags, arrivals: Arrivals, exposed: pd.DataFrame, accounts: list[Entity]
) -> list[ReachedEntity]:
    """Exposed accounts as possible, each from the place where it was exposed first."""
    first = exposed.drop_duplicates("user")
    place = {
        accounts[user]: log.places[number] for user, number in zip(first["user"], first["place"], strict=True)
    }
    rows = reached_rows(log, flags, arrivals, POSSIBLE, accounts)
    return [replace(row, start=place[row.entity]) for row in rows]


def everything(log: Log, on: Arrivals, anonymous: Bools) -> set[Entity]:
    """All accounts and places of the log; without anonymous accounts, and without the machines' own accounts
    where the machine is reached. anonymous: bool [accounts]"""
    owner, machine = log.own_machines
    left_out = anonymous | np.isin(owner, machine[on.time[:-1] < NEVER])
    places = np.unique(np.concatenate([log.source, log.target]))
    accounts = [Entity("user", log.accounts[user]) for user in np.unique(log.user) if not left_out[user]]
    return {*accounts, *(log.places[place] for place in places if place >= 0)}
