"""Which events the attacker had a part in: those in which an indicator appears, as account, place, address
or in the text of a mail rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ueba.arrays import Ints
from ueba.contracts.entity import Entity
from ueba.investigate.indicators import Origin, mails_in
from ueba.investigate.perimeter.log import Log, codes_of

# What each distinct value of a column can be called, and the number of each row's value. [values], [events]
Meanings = tuple[list[list[Entity]], Ints]


def find_contacts(log: Log, origins: Sequence[Origin]) -> tuple[Ints, set[Entity]]:
    """The number of the first of the origins by which each event is a contact, or -1, int64 [events]; and all
    origins by which any event is one."""
    number = {
        Entity(origin.kind, origin.name): at
        for at, origin in reversed([*enumerate(origins)])
        if origin.is_attacker
    }
    none, met = len(origins), np.full(len(log.user), len(origins))
    columns = _columns(log, number)
    for meanings, codes in columns:
        first = [
            min((number[one] for one in entities if one in number), default=none) for entities in meanings
        ]
        met = np.minimum(met, np.array([*first, none])[codes])
    found = {one for meanings, _ in columns for entities in meanings for one in entities if one in number}
    return np.where(met < none, met, -1), found


def _columns(log: Log, number: Mapping[Entity, int]) -> list[Meanings]:
    """The columns of the log in which an indicator can appear."""
    accounts = [[Entity("user", name), Entity("mail", name.casefold())] for name in log.accounts]
    places = [
        [place, Entity("address", place.name), Entity("mail", place.name.casefold())] for place in log.places
    ]
    columns = [(accounts, log.user), (accounts, log.actor), (places, log.source), (places, log.target)]
    columns += [_addresses(log.table[name]) for name in ("source_ip", "target_ip", "user_id")]
    if mails := [entity.name for entity in number if entity.kind == "mail"]:
        texts, codes = codes_of(log.table["detail"])
        columns.append(
            ([[Entity("mail", name) for name in named] for named in mails_in(texts, mails)], codes)
        )
    return columns


def _addresses(column: pa.ChunkedArray) -> Meanings:
    texts, codes = codes_of(column)
    return [[Entity("address", text), Entity("mail", text.casefold())] for text in texts], codes
