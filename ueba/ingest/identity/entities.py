"""Who is who: the names that events use -> one entity each, with the evidence, whatever the order in which it
came.

Users
    CORP, corp.example     one domain if accounts of both have the identifier of one domain (S-1-5-21-a-b-c),
                           or if CORP is the first part of the only such domain; called by its full name
    a SID, two names       one account if the directory gave them one identifier; called as it was first
    alice                  alice@corp.example if she is the only one of that name in any domain; not
                           administrator and the like
Machines
    ws7, ws7.corp.example  one machine if no other full name begins so; called ws7. A name of 15 characters
                           may be cut (NetBIOS)
    10.0.0.7               the machine that had the address at the time

A table of people or machines (`--entities`) is believed before all that: its aliases are the entity's. The
steps are in `aliases.sql`, `digests.sql` and `entities.sql`.

Leaves out how a name is spelt (`ueba.spelling`), people with two accounts, machines that were renamed.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import msgspec
import pyarrow.compute as pc
from ibis import _

from ueba import state
from ueba.contracts import standing
from ueba.contracts.entity import Entity
from ueba.contracts.names import AddressLease, Alias, Identity
from ueba.contracts.standing import Standing
from ueba.ingest import lake, steps
from ueba.ingest.steps import Step
from ueba.spelling import lowered

HERE = Path(__file__).parent
ALIASES = steps.read(HERE / "aliases.sql")
DIGESTS = steps.read(HERE / "digests.sql")
ENTITIES = steps.read(HERE / "entities.sql")


def resolve(connection: duckdb.DuckDBPyConnection) -> None:
    """From the tables `evidence` and `listed` make `user_alias`, `host_alias` and `address_alias`."""
    steps.run(connection, ALIASES)


def day_digests(connection: duckdb.DuckDBPyConnection) -> dict[dt.date, str]:
    """Day -> digest of what the aliases mean for the names of that day."""
    steps.run(connection, DIGESTS)
    return dict(connection.execute("FROM day_digest").fetchall())


def write(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """The file `entities.parquet`, columns as `ueba.contracts.names` lists them."""
    *before, entity = ENTITIES
    steps.run(connection, before)
    quoted = str(path).replace("'", "''")
    copy = f"COPY (\n{entity.sql}\n) TO '{quoted}' (FORMAT parquet)"
    steps.execute(connection, Step(entity.name, copy))


def read(root: Path) -> tuple[Identity, ...]:
    """The entities of the lake at `root` that have more than a name; none if nothing is known."""
    table = lake.read_entities(root)
    with state.reading(root / "entities.parquet", lake.REMEDY):
        return tuple(_identity(row) for row in table.to_pylist()) if table else ()


def standings(root: Path) -> dict[Entity, Standing]:
    """What tables say of the entities of the lake at `root`, of those of which they say something.

    The names of users and machines are in lower case, also where the logs have capitals."""
    table = lake.read_entities(root)
    if table is None:
        return {}
    known = table.filter(pc.field("standing") != "{}").select(["kind", "name", "standing"])
    with state.reading(root / "entities.parquet", lake.REMEDY):
        found = {
            listed_name(row["kind"], row["name"]): standing.from_json(row["standing"])
            for row in known.to_pylist()
        }
    return {entity: says for entity, says in found.items() if says}


def listed_name(kind: str, name: str) -> Entity:
    """An entity as `standings` has it. kind: as edges or entity tables call it"""
    if kind == "resource":
        return Entity(kind, name)
    return Entity("user" if kind == "user" else "machine", lowered(name))


def _identity(row: dict[str, Any]) -> Identity:
    aliases = tuple(Alias(**alias) for alias in row["aliases"])
    addresses = tuple(AddressLease(**lease) for lease in row["addresses"])
    attributes = msgspec.json.decode(row["attributes"], type=dict[str, str])
    read = {"aliases": aliases, "addresses": addresses, "attributes": attributes}
    return Identity(**row | read | {"standing": standing.from_json(row["standing"])})


def names(root: Path, memory_limit: str) -> set[Entity]:
    """All that edges of the lake at `root` name."""

    def ends(stored: ir.Table) -> ir.Table:
        users = stored.select(kind=ibis.literal("user"), name=stored.user)
        sources = stored.select(kind=ibis.literal("machine"), name=stored.source)
        targets = stored.select(kind=stored.target_kind, name=stored.target)
        return ibis.union(users, sources, targets, distinct=True).filter(_.name.notnull())

    days = lake.days(root)
    if not days:
        return set()
    table = lake.query(root, days[0], days[-1], ends, memory_limit)
    return set(map(Entity, table["kind"].to_pylist(), table["name"].to_pylist()))


def resolved(events: str, with_addresses: bool) -> str:
    """SQL: events with each name replaced by its entity, and each address by the machine that had it at the
    time. A lease, a machine's own account and a table are believed before the name that the source gives
    itself."""
    source, target, addresses = "coalesce(s.entity, e.source)", "coalesce(t.entity, e.target)", ""
    if with_addresses:
        source = f"""CASE WHEN sa.until > e.time AND (sa.rank < 3 OR e.source = sa.address)
            THEN sa.host ELSE {source} END"""
        target = f"""CASE WHEN ta.until > e.time AND e.target = ta.address
            THEN ta.host ELSE {target} END"""
        addresses = """
    ASOF LEFT JOIN address_alias sa ON coalesce(e.source_ip, e.source) = sa.address AND e.time >= sa.since
    ASOF LEFT JOIN address_alias ta
        ON CASE WHEN e.target_kind = 'machine' THEN e.target END = ta.address AND e.time >= ta.since"""
    return f"""
    SELECT e.* REPLACE (
        coalesce(u.entity, e."user") AS "user",
        nullif(coalesce(a.entity, e.actor), coalesce(u.entity, e."user")) AS actor,
        {source} AS source,
        {target} AS target)
    FROM {events} e
    LEFT JOIN user_alias u ON e."user" = u.name
    LEFT JOIN user_alias a ON e.actor = a.name
    LEFT JOIN host_alias s ON e.source = s.name
    LEFT JOIN host_alias t ON e.target = t.name AND e.target_kind = 'machine'{addresses}"""
