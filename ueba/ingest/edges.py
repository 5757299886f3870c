"""Daily edges: events counted. What the lake keeps, and all that the rest of the engine sees of a log.

| column       | type         | meaning                                                                    |
|--------------|--------------|----------------------------------------------------------------------------|
| day          | date         | UTC                                                                        |
| user         | string       | as in `events`, as are the next six                                        |
| source       | string       | null if unknown                                                            |
| target       | string       |                                                                            |
| target_kind  | string       | machine, resource                                                          |
| action       | string       | logon, ticket, service_ticket, ...: the relation                           |
| logon_type   | string       | null if unknown                                                            |
| auth_package | string       | null if unknown                                                            |
| count        | int64        | events, of any outcome                                                     |
| failures     | int64        | of them, events whose outcome is failure                                   |
| first_seen   | timestamp(6) | UTC, microseconds                                                          |
| last_seen    | timestamp(6) | UTC, microseconds                                                          |
| hours        | int32        | a bit set: bit h (1 << h) says that there were events in hour h, UTC       |
| witnesses    | int32        | a bit set of who saw it: 1 the host, 2 the controller, 4 the source; else 0 |

The first eight are the key: one row each. `pairs` is the coarser grain that detection works at.

Leaves out: actors, event ids, and single events; who needs them finds them in the lake's events. Hours are a
set and not counts: habits are learned from the hours with events, and 24 counts cost as much to make and to
store as all the rest of an edge. `daily` is linear in events, so it is one Ibis expression: DuckDB runs it
on one machine, and Ibis compiles it to Spark's SQL as well (`databricks`; its `pyspark` has no bit_or).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest import events as contract
from ueba.ingest import identity
from ueba.ingest.events import EVIDENCE

KEY = ("day", "user", "source", "target", "target_kind", "action", "logon_type", "auth_package")
PAIR = ("day", "user", "source", "target", "target_kind")
WITNESSED = ibis.schema(
    {name: contract.SCHEMA[name] for name in contract.KEPT} | {"witnesses": "int32"}
)  # what `daily` counts
SCHEMA = ibis.schema(
    {"day": "date"}
    | {name: "string" for name in KEY[1:]}
    | {
        "count": "int64",
        "failures": "int64",
        "first_seen": "timestamp(6)",
        "last_seen": "timestamp(6)",
        "hours": "int32",
        "witnesses": "int32",
    }
)


def daily(events: ir.Table) -> ir.Table:
    """events of `witnesses.query` -> edges. Evidence makes none."""
    rows = events.filter(events.action.isnull() | events.action.notin(EVIDENCE))
    rows = rows.mutate(day=rows.time.date(), hours=ibis.literal(1) << rows.time.hour())
    return rows.group_by(*KEY).aggregate(
        count=rows.count(),
        failures=rows.count(where=rows.outcome == "failure"),
        first_seen=rows.time.min(),
        last_seen=rows.time.max(),
        hours=rows.hours.bit_or().cast("int32"),
        witnesses=rows.witnesses.bit_or().cast("int32"),
    )


def merged(edges: ir.Table) -> ir.Table:
    """edges of several batches -> edges: what both tell of one key is added up."""
    return edges.group_by(*KEY).aggregate(**totals(edges)).order_by(*KEY)


def pairs(edges: ir.Table) -> ir.Table:
    """edges -> one row per (day, user, source, target, target_kind), and what is known of it.

    logon_types, auth_packages: sorted lists of what was used, unknown left out
    user_kind: human, service, machine, anonymous
    """
    grouped = edges.group_by(*PAIR).aggregate(
        **totals(edges),
        logon_types=edges.logon_type.collect(distinct=True, where=edges.logon_type.notnull()),
        auth_packages=edges.auth_package.collect(distinct=True, where=edges.auth_package.notnull()),
    )
    listed = {name: grouped[name].fill_null([]).sort() for name in ("logon_types", "auth_packages")}
    return grouped.mutate(user_kind=identity.user_kind(grouped.user), **listed).order_by(*PAIR)


def totals(edges: ir.Table) -> dict[str, ir.Value]:
    """The measures of edges, added up."""
    return {
        "count": edges["count"].sum().cast("int64"),
        "failures": edges.failures.sum().cast("int64"),
        "first_seen": edges.first_seen.min(),
        "last_seen": edges.last_seen.max(),
        "hours": edges.hours.bit_or().cast("int32"),
        "witnesses": edges.witnesses.bit_or().cast("int32"),
    }
