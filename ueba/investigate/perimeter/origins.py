"""Where a perimeter begins: what the names and indicators mean, and which of them the events have to do
with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from ueba.contracts.entity import Entity
from ueba.ingest import lake
from ueba.investigate.names import Names, Origin, is_address
from ueba.investigate.perimeter.contacts import find_contacts
from ueba.investigate.perimeter.log import Log, codes_of
from ueba.investigate.perimeter.reach import Ints
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
    aliases: Mapping[str, str],
    names: Sequence[str],
    indicators: Sequence[str],
) -> Origins:
    """aliases: another name of an entity -> the name that events have

    Raises WorkspaceError for a name that no event has to do with."""
    known = Names.of(_entities(log), aliases)
    asked = [(name, known.origins(name)) for name in names]
    listed = [(name, known.origins(name, is_attacker=True)) for name in indicators]
    every = list(dict.fromkeys(origin for _, found in (*asked, *listed) for origin in found))
    met, hit = find_contacts(log, every)
    seen = {*known.exact, *hit}

    def absent(origins: Sequence[Origin]) -> bool:
        return seen.isdisjoint((origin.kind, origin.name) for origin in origins)

    for name, found in asked:
        if absent(found):
            raise known.unknown(name, _last_seen(workspace, known.spellings(name)))
    entities = dict.fromkeys(Entity(origin.kind, origin.name) for origin in every)
    present = [entity for entity in entities if entity in seen]
    return Origins(every, present, [name for name, found in listed if absent(found)], met)


def _entities(log: Log) -> set[Entity]:
    """All that events name; an address also where the log has it for a resource."""
    texts = [*codes_of(log.table["source_ip"])[0], *codes_of(log.table["target_ip"])[0]]
    texts += [place.name for place in log.places]
    addresses = (Entity("address", text) for text in texts if is_address(text))
    return {*(Entity("user", name) for name in log.accounts), *log.places, *addresses}


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
