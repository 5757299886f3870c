"""The events of a span of time as numbers: each account and each place of the log has one.

A place is its kind and its name. Leaves out what the events mean for a perimeter; that is `events`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ueba.arrays import Bools, Ints
from ueba.contracts.entity import Entity
from ueba.investigate.indicators import is_address

_EDGE = ("time", "user", "actor", "source", "target", "target_kind")
_MANNER = ("detail", "action", "logon_type", "outcome", "user_id", "source_ip", "target_ip", "code")
COLUMNS = (*_EDGE, *_MANNER, "path", "line")  # of the lake's events, see `ueba.ingest.raw`


@dataclass(frozen=True)
class Log:
    """Events and the numbers of what they name.

    table:    COLUMNS, [events] rows, ordered by time; texts are dictionary-encoded
    accounts: names
    places:   machines, resources and addresses
    user, actor, source, target: int64 [events], numbers of accounts and of places, -1 for none"""

    table: pa.Table
    accounts: list[str]
    places: list[Entity]
    user: Ints
    actor: Ints
    source: Ints
    target: Ints

    @classmethod
    def of(cls, table: pa.Table) -> Log:
        accounts, (user, actor) = _numbers(table["user"], table["actor"])
        names, (source, target) = _numbers(table["source"], table["target"])
        # A resource has the number of its name plus the number of names.
        target = target + len(names) * equals(table["target_kind"], "resource")
        every = [place_of(kind, name) for kind in ("machine", "resource") for name in names]
        exists = np.zeros(len(every), bool)
        exists[target] = exists[source[source >= 0]] = True
        number = np.append(np.cumsum(exists) - 1, -1)  # among those that exist; the last element is for -1
        places = [every[row] for row in np.flatnonzero(exists)]
        return cls(table, accounts, places, user, actor, number[source], number[target])

    def where(self, rows: Bools) -> Log:
        """Some of the events. Numbers stay the same. rows: bool [events]"""
        table = self.table.filter(pa.array(rows))
        columns = (column[rows] for column in (self.user, self.actor, self.source, self.target))
        return Log(table, self.accounts, self.places, *columns)

    @cached_property
    def time(self) -> Ints:
        """Microseconds since 1970, UTC. int64 [events]"""
        times: Ints = self.table["time"].to_numpy().astype("datetime64[us]").astype(np.int64)
        return times

    @cached_property
    def own_machines(self) -> tuple[Ints, Ints]:
        """Which machine an account belongs to: ws7$@corp to ws7.corp.example. An account and a machine that
        have one number here belong together; those that belong to nothing have -1 and -2. int64 [accounts]
        and [places]"""
        logins = [name.split("@", 1)[0].casefold() for name in self.accounts]
        owners = [
            name.split(".", 1)[0].casefold() + "$" if kind == "machine" else "" for kind, name in self.places
        ]
        number = {name: at for at, name in enumerate(dict.fromkeys(filter(None, owners)))}
        accounts, places = (
            [number.get(name, -1) for name in logins],
            [number.get(name, -2) for name in owners],
        )
        return np.array(accounts, np.int64), np.array(places, np.int64)


def place_of(kind: str, name: str) -> Entity:
    """A place, by the kind that the log gives it: machine or resource. A machine without a name but an
    address is an address."""
    return Entity("address" if kind == "machine" and is_address(name) else kind, name)


def codes_of(column: pa.ChunkedArray) -> tuple[list[Any], Ints]:
    """The distinct texts of a column, and the number of each row's text, -1 for null."""
    encoded = column.combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return encoded.dictionary.to_pylist(), codes.astype(np.int64)


def _numbers(*columns: pa.ChunkedArray) -> tuple[list[str], list[Ints]]:
    """The distinct texts of several columns, and for each column the number of each row's text, -1 for
    null."""
    encoded = [codes_of(column) for column in columns]
    texts = list(dict.fromkeys(text for distinct, _ in encoded for text in distinct))
    number = {text: at for at, text in enumerate(texts)}
    return texts, [np.array([*(number[text] for text in distinct), -1])[codes] for distinct, codes in encoded]


def equals(column: pa.ChunkedArray, *texts: str) -> Bools:
    """Which rows have one of these texts. bool [events]"""
    distinct, codes = codes_of(column)
    return np.array([*(text in texts for text in distinct), False])[codes]


def decoded(table: pa.Table, rows: Bools) -> pd.DataFrame:
    """Some of the events, texts as texts. rows: bool [events]"""
    chosen = table.filter(pa.array(rows))
    fields = [
        field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    frame: pd.DataFrame = chosen.cast(pa.schema(fields)).to_pandas()
    return frame


def grouped(events: pd.DataFrame, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Events that agree in some columns: these columns, `first` and `last` time, the number of `events`, and
    the `event`, file:line, that is first."""
    measures = {"first": ("time", "min"), "last": ("time", "max"), "events": ("time", "size")}
    record = {"path": ("path", "first"), "line": ("line", "first")}
    groups = events.groupby([*keys], dropna=False, sort=False).agg(**measures, **record).reset_index()
    return [
        {
            **{name: row[name] if isinstance(row[name], str) else None for name in keys},  # no text is NaN
            "first": row["first"].to_pydatetime(),
            "last": row["last"].to_pydatetime(),
            "events": int(row["events"]),
            "event": f"{row['path']}:{row['line']}",
        }
        for row in groups.to_dict("records")
    ]
