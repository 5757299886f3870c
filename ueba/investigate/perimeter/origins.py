"""Where a perimeter begins: what the names and indicators mean, and which of them the events have to do
with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from ueba.arrays import Ints
from ueba.contracts.entity import Entity
from ueba.contracts.names import Identity
from ueba.errors import WorkspaceError
from ueba.ingest import lake
from ueba.ingest.identity.entities import names as lake_names
from ueba.investigate.indicators import Origin, is_address, origins
from ueba.investigate.names import EntityIndex
from ueba.investigate.perimeter.contacts import find_contacts
from ueba.investigate.perimeter.log import Log, codes_of
from ueba.text import plain
from ueba.workspace import Workspace


@dataclass(frozen=True)
class Origins:
    """every:   what the names and indicators mean, each once
    present: those that events have to do with
    unknown: indicators that no event has to do with
    met:     the number in `every` by which each event is a contact, int64 [events], -1 for none"""

    every: list[Origin]
    present: list[Entity]
    unknown: list[str]
    met: Ints


def find_origins(
    workspace: Workspace,
    log: Log,
    identities: Sequence[Identity],
    names: Sequence[str],
    indicators: Sequence[str],
) -> Origins:
    """Where a perimeter of names and indicators begins. identities: of the lake

    Raises WorkspaceError for a name that no event has to do with, or that may be of several entities."""
    entities, addresses = _entities(log), _addresses(log)
    index = EntityIndex(lake_names(workspace.lake, workspace.memory_limit) | {*entities}, identities)
    asked = [(name, origins(index, addresses, name)) for name in names]
    listed = [(name, origins(index, addresses, name, is_attacker=True)) for name in indicators]
    every = list(dict.fromkeys(origin for _, found in (*asked, *listed) for origin in found))
    met, hit = find_contacts(log, every)
    seen = {*entities, *(Entity("address", address) for address in addresses), *hit}

    def absent(found: Sequence[Origin]) -> bool:
        return seen.isdisjoint((origin.kind, origin.name) for origin in found)

    for name, found in asked:
        if absent(found):
            raise WorkspaceError(_absent(workspace, index, name))
    unique = dict.fromkeys(Entity(origin.kind, origin.name) for origin in every)
    present = [entity for entity in unique if entity in seen]
    return Origins(every, present, [name for name, found in listed if absent(found)], met)


def _entities(log: Log) -> set[Entity]:
    """All accounts and places in events, actors too, which edges do not have."""
    return {*(Entity("user", name) for name in log.accounts), *log.places}


def _addresses(log: Log) -> set[str]:
    """All addresses in events; one also where the log has it for a resource."""
    texts = [*codes_of(log.table["source_ip"])[0], *codes_of(log.table["target_ip"])[0]]
    return {text for text in (*texts, *(place.name for place in log.places)) if is_address(text)}


def _absent(workspace: Workspace, index: EntityIndex, text: str) -> str:
    """The message for a name that no event of the time has to do with."""
    entities = index.lookup(text)
    last = _last_seen(workspace, [entity.name for entity in entities])
    if last is None:
        return index.unknown(text)
    name, day = last
    return (
        f"nothing had to do with {plain(name)} in this time; it was last seen on {day}, begin with an earlier"
        " --since"
    )


def _last_seen(workspace: Workspace, names: Sequence[str]) -> tuple[str, dt.date] | None:
    """The one of these names that the lake saw last, and the day."""
    days = lake.days(workspace.lake)

    def latest(stored: ir.Table) -> ir.Table:
        ends = [stored.select(stored.day, name=stored[end]) for end in ("user", "source", "target")]
        every = ibis.union(*ends)
        return every.filter(every.name.isin([*names])).order_by(ibis.desc("day"), "name").limit(1)

    if not days:
        return None
    found = lake.query(workspace.lake, days[0], days[-1], latest, workspace.memory_limit).to_pylist()
    return (found[0]["name"], found[0]["day"]) if found else None
