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

The first eight are the key: one row each. `pairs` is the coarser grain that detection works at.

Leaves out: actors, event ids, and single events; who needs them goes back to the log. Hours are a set and not counts: habits are
learned from the hours with events, and 24 counts cost as much to make and to store as all the rest of an edge.
`daily` is linear in events, so it is one Ibis expression: DuckDB runs it on one machine, PySpark on a cluster.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.ingest import identity

KEY = ("day", "user", "source", "target", "target_kind", "action", "logon_type", "auth_package")
PAIR = ("day", "user", "source", "target", "target_kind")
EXAMPLE = 120  # characters of a dropped line that a report shows
SCHEMA = ibis.schema(
    {"day": "date"}
    | {name: "string" for name in KEY[1:]}
    | {
        "count": "int64",
        "failures": "int64",
        "first_seen": "timestamp(6)",
        "last_seen": "timestamp(6)",
        "hours": "int32",
    }
)


def daily(events: ir.Table) -> ir.Table:
    """events -> edges, and with them a row per reason of dropping: `dropped`, count, `example`; all else null.

    example: number (12 digits) and beginning of the first line dropped for this reason, with a colon between
    """
    kept = events.dropped.isnull()
    keys = {name: ibis.ifelse(kept, events[name], None) for name in KEY[1:]}
    time = ibis.ifelse(kept, events.time, None)
    example = ibis.ifelse(kept, None, events.line.cast("string").lpad(12, "0") + ":" + events.text.left(EXAMPLE))
    rows = events.select(
        "dropped", "outcome", time=time, day=time.date(), hours=ibis.literal(1) << time.hour(), example=example, **keys
    )
    return rows.group_by(*KEY, "dropped").aggregate(
        count=rows.count(),
        failures=rows.count(where=rows.outcome == "failure"),
        first_seen=rows.time.min(),
        last_seen=rows.time.max(),
        hours=rows.hours.bit_or().cast("int32"),
        example=rows.example.min(),
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
    }
