"""Daily edges as expressions: events counted.

The columns are those of `ueba.contracts.daily_edge`. `daily` adds up: the edges of several sets of events
are the sum of their edges. It is one Ibis expression, so that DuckDB runs it on one machine, and Ibis
compiles it to Spark SQL as well (dialect `databricks`; its `pyspark` has no bit_or).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ueba.contracts import daily_edge
from ueba.contracts.daily_edge import KEY, PAIR
from ueba.contracts.event import EVIDENCE, KEPT
from ueba.ingest import events as contract
from ueba.ingest import identity

__all__ = ["KEY", "PAIR", "SCHEMA", "WITNESSED", "daily", "merged", "pairs"]

SCHEMA = ibis.Schema.from_pyarrow(daily_edge.SCHEMA)
WITNESSED = ibis.schema({name: contract.SCHEMA[name] for name in KEPT} | {"witnesses": "int32"})


def daily(events: ir.Table) -> ir.Table:
    """Events of `identity.witnesses` (columns WITNESSED) -> daily edges. Evidence makes no edge."""
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
    """Daily edges, a key perhaps several times -> daily edges, each key once."""
    return edges.group_by(*KEY).aggregate(**_totals(edges)).order_by(*KEY)


def pairs(edges: ir.Table) -> ir.Table:
    """Daily edges -> one row for each day and edge, columns `daily_edge.PAIR_COLUMNS`."""
    grouped = edges.group_by(*PAIR).aggregate(
        **_totals(edges),
        logon_types=edges.logon_type.collect(distinct=True, where=edges.logon_type.notnull()),
        auth_packages=edges.auth_package.collect(distinct=True, where=edges.auth_package.notnull()),
    )
    listed = {name: grouped[name].fill_null([]).sort() for name in ("logon_types", "auth_packages")}
    return grouped.mutate(user_kind=identity.user_kind(grouped.user), **listed).order_by(*PAIR)


def _totals(edges: ir.Table) -> dict[str, ir.Value]:
    """The measures of daily edges, added up."""
    return {
        "count": edges["count"].sum().cast("int64"),
        "failures": edges.failures.sum().cast("int64"),
        "first_seen": edges.first_seen.min(),
        "last_seen": edges.last_seen.max(),
        "hours": edges.hours.bit_or().cast("int32"),
        "witnesses": edges.witnesses.bit_or().cast("int32"),
    }
