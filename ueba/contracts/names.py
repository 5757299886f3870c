"""Entities and their other names: what is known of who is who.

`entities.parquet` in the lake, one row an entity that has an alias, an address, an attribute or a right:

| column        | type            | meaning                                                                  |
|---------------|-----------------|--------------------------------------------------------------------------|
| kind          | text            | user, host (a machine) or resource                                       |
| name          | text            | as edges have it                                                         |
| account_kind  | text or null    | human, service, machine, anonymous; null: as the name says               |
| is_admin      | bool            | seen with administrator rights, or listed as an administrator            |
| privileged_on | int64           | machines on which the account was seen with administrator rights         |
| aliases       | list of structs | name, why                                                                |
| addresses     | list of structs | address, since, until (timestamp, UTC), why: addresses of a machine      |
| attributes    | text, JSON      | other columns of entity tables, all values are texts                     |
| standing      | text, JSON      | crown jewel, honey, last day, maintenance, see `ueba.contracts.standing` |

An entity table in the lake, `given/NAME.json`, is a list of objects with the fields of `ListedEntity`.
Leaves out names as logs write them before ingest; those are texts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pyarrow as pa

from ueba.contracts.entity import Entity
from ueba.contracts.standing import NOTHING, Standing

_ALIAS = pa.struct([("name", pa.string()), ("why", pa.string())])
_LEASE = pa.struct(
    [
        ("address", pa.string()),
        ("since", pa.timestamp("us")),
        ("until", pa.timestamp("us")),
        ("why", pa.string()),
    ]
)
COLUMNS = {  # of `entities.parquet`
    "kind": pa.string(),
    "name": pa.string(),
    "account_kind": pa.string(),
    "is_admin": pa.bool_(),
    "privileged_on": pa.int64(),
    "aliases": pa.list_(pa.field("element", _ALIAS)),
    "addresses": pa.list_(pa.field("element", _LEASE)),
    "attributes": pa.string(),
    "standing": pa.string(),
}

RowKind = Literal["user", "host", "resource"]  # on disk


class Alias(NamedTuple):
    """Another name of an entity, and the reason in words."""

    name: str
    why: str


class AddressLease(NamedTuple):
    """An address that a machine had from since to until, UTC, and the reason in words."""

    address: str
    since: dt.datetime
    until: dt.datetime
    why: str


@dataclass(frozen=True)
class Identity:
    """A row of `entities.parquet`, with attributes and standing read."""

    kind: RowKind
    name: str
    account_kind: str | None
    is_admin: bool
    privileged_on: int
    aliases: tuple[Alias, ...]
    addresses: tuple[AddressLease, ...]
    attributes: Mapping[str, str]
    standing: Standing = NOTHING

    @property
    def entity(self) -> Entity:
        return Entity("machine" if self.kind == "host" else self.kind, self.name)


@dataclass(frozen=True)
class ListedEntity:
    """A row of an entity table (`--entities`), spelt as events are.

    aliases, addresses: sorted
    account_kind: human, service, machine, anonymous, or None if the table does not say
    is_admin: None if the table does not say
    attributes: other columns -> text
    standing: what it says of crown jewels, honey, leavers and maintenance"""

    kind: RowKind
    name: str
    aliases: tuple[str, ...]
    addresses: tuple[str, ...]
    account_kind: str | None
    is_admin: bool | None
    attributes: Mapping[str, str]
    standing: Standing = NOTHING
