"""The expressions: daily edges against a plain-Python oracle, identity by example and idempotent."""

from __future__ import annotations

import datetime as dt
import operator
from collections import defaultdict
from functools import reduce

import duckdb
import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_world import event, read

from ueba.contracts import daily_edge
from ueba.contracts import event as contract
from ueba.contracts.edge import Edge
from ueba.ingest import edges, events, identity, lake


def table(rows: list[dict], schema: ibis.Schema = events.SCHEMA) -> ibis.Table:
    return ibis.memtable(pa.Table.from_pylist(rows, schema=schema.to_pyarrow()))


def names(*values: str) -> st.SearchStrategy[str | None]:
    return st.sampled_from([*values, None])


KEYS = st.fixed_dictionaries(
    {
        "user": st.sampled_from(["a", "b"]),
        "actor": names("z"),
        "source": names("s"),
        "target": st.sampled_from(["t", "u"]),
        "target_kind": st.sampled_from(["machine", "resource"]),
        "action": st.sampled_from(["logon", "ticket", events.LEASE]),
        "logon_type": names("Network"),
        "auth_package": names("NTLM"),
    }
)
MEASURED = st.fixed_dictionaries(
    {
        "time": st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2, 23, 59, 59)),
        "outcome": st.sampled_from(["success", "failure", "unknown"]),
        "witnesses": st.sampled_from([0, 1, 2, 4]),
    }
)


@st.composite
def crowded(draw: st.DrawFn) -> list[dict]:
    """Events on two days of one to three kinds, so that an edge has several."""
    kinds = draw(st.lists(KEYS, min_size=1, max_size=3))
    return draw(st.lists(st.builds(operator.or_, st.sampled_from(kinds), MEASURED), min_size=1, max_size=30))


def oracle(rows: list[dict]) -> dict[tuple, tuple]:
    groups = defaultdict(list)
    for row in rows:
        if row["action"] not in events.EVIDENCE:
            groups[tuple(row["time"].date() if name == "day" else row[name] for name in edges.KEY)].append(
                row
            )
    return {
        key: (
            len(group),
            sum(row["outcome"] == "failure" for row in group),
            min(row["time"] for row in group),
            max(row["time"] for row in group),
            sum(1 << hour for hour in {row["time"].hour for row in group}),
            reduce(operator.or_, (row["witnesses"] for row in group)),
        )
        for key, group in groups.items()
    }


MEASURES = ("count", "failures", "first_seen", "last_seen", "hours", "witnesses")


def counted(found: list[dict]) -> dict[tuple, tuple]:
    return {tuple(row[name] for name in edges.KEY): tuple(row[name] for name in MEASURES) for row in found}


@given(crowded())
@settings(max_examples=25, deadline=None)
def test_daily_edges_are_what_python_counts(rows):
    assert counted(edges.daily(table(rows, edges.WITNESSED)).to_pyarrow().to_pylist()) == oracle(rows)


@given(crowded())
@settings(max_examples=10, deadline=None)
def test_daily_compiles_for_spark(rows):
    """There is no Spark here: its SQL is translated back to DuckDB's, which must count the same."""
    spark = ibis.to_sql(edges.daily(ibis.table(edges.WITNESSED, name="events")), dialect="databricks")
    [back] = sqlglot.transpile(str(spark), read="databricks", write="duckdb")
    with duckdb.connect() as connection:
        connection.register("events", pa.Table.from_pylist(rows, schema=edges.WITNESSED.to_pyarrow()))
        assert counted(connection.sql(back).to_arrow_table().to_pylist()) == oracle(rows)


def columns(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in schema]


def test_tables_of_the_lake_are_those_of_the_contracts(tmp_path):
    """Names, types and order of columns, of events and evidence that have every kind of value."""
    lines = [event("09:00:00", "alice@corp", "ws1", "srv1", logon_type="Network", auth_package="NTLM")]
    lines += [event("09:00:00", "bob", None, "share", target_kind="resource", action="share_access")]
    read(tmp_path, [*lines, "broken"])
    root, days = tmp_path / "lake", (dt.date(2026, 3, 2), dt.date(2026, 3, 2))
    (stored,) = lake.stored(root, *days)
    for table in (pq.read_table(stored), lake.read(root, *days, "1GB")):
        assert columns(table.schema) == columns(daily_edge.SCHEMA) and len(table) == 2
    pairs = lake.read_pairs(root, *days, "1GB")
    none = lake.read_pairs(root, dt.date.min, dt.date.min, "1GB")
    assert columns(pairs.schema) == columns(none.schema) == columns(daily_edge.PAIR_SCHEMA)
    assert (len(pairs), len(none)) == (2, 0)
    (folder,) = root.glob("events/*")
    kept = pa.schema([contract.SCHEMA.field(name) for name in (*contract.KEPT, "dropped", "note", "line")])
    rows = pq.read_table(folder, partitioning=None)
    assert columns(rows.schema) == [*columns(kept), ("example", pa.string()), ("file", pa.int32())]
    assert daily_edge.PAIR == ("day", *Edge._fields)


def evaluate(function, values: list[str | None]) -> list:
    column = ibis.memtable(
        pd.DataFrame({"name": pd.Series(values, dtype="string")}), schema={"name": "string"}
    )
    return column.select(result=function(column.name), name="name").to_pyarrow()["result"].to_pylist()


def test_users():
    cases = {
        "CORP\\Alice": "alice@corp",
        "alice@CORP.": "alice@corp",
        ".\\Alice": "alice",
        "\\Alice": "alice",
        "  Alice ": "alice",
        "NT AUTHORITY\\SYSTEM": "system@nt authority",
        "C1862$@DOM1": "c1862$@dom1",
        "?": None,
        "-": None,
        "": None,
        None: None,
        "'}) DETACH DELETE n //": "'}) detach delete n //",
    }
    assert dict(zip(cases, evaluate(identity.user, list(cases)), strict=True)) == cases


def test_hosts():
    cases = {
        "WS7.Corp.Example.": "ws7.corp.example",
        "\\\\WS7": "ws7",
        "::ffff:10.0.0.7": "10.0.0.7",
        "fe80::1": "fe80::1",
        "?": None,
        " - ": None,
        "..": None,
    }
    assert dict(zip(cases, evaluate(identity.host, list(cases)), strict=True)) == cases


def test_user_kinds():
    cases = {
        "U66@DOM1": "human",
        "C1862$@DOM1": "machine",
        "ANONYMOUS LOGON@C586": "anonymous",
        "LOCAL SERVICE@C2": "service",
        "NETWORK SERVICE": "service",
        "system@nt authority": "service",
        "dwm-3@window manager": "service",
        "UMFD-0": "service",
        "svc-backup@corp": "service",
        "svcsql@corp": "service",
        "backup_svc": "service",
        "systems.engineer@corp": "human",
        "silvia@svc.corp": "human",
    }
    assert dict(zip(cases, evaluate(identity.user_kind, list(cases)), strict=True)) == cases


NAME = st.text(
    st.sampled_from("aB\\@.:-?$ 1f") | st.characters(codec="utf-8", exclude_characters="\0"), max_size=8
)


@given(
    st.lists(
        st.tuples(NAME | st.none(), NAME | st.none(), NAME, NAME, st.booleans()), min_size=20, max_size=60
    )
)
@settings(max_examples=30, deadline=None)
def test_identity_is_idempotent(rows):
    missing = dict.fromkeys(events.COLUMNS)
    kinds = {True: "machine", False: "resource"}
    given_ = [
        missing
        | {"user": user, "actor": actor, "source": source, "target": target, "target_kind": kinds[machine]}
        for user, actor, source, target, machine in rows
    ]
    once = identity.unify(table(given_)).to_pyarrow()
    assert identity.unify(table(once.to_pylist())).to_pyarrow().equals(once)


def test_one_machine_one_spelling():
    row = dict.fromkeys(events.COLUMNS) | {
        "user": "A\\b",
        "actor": "B@a",
        "target": "WS7.",
        "target_kind": "machine",
    }
    (found,) = identity.unify(table([row | {"source": "127.0.0.1"}])).to_pyarrow().to_pylist()
    assert [found[name] for name in ("user", "actor", "source", "target", "dropped")] == [
        "b@a",
        None,
        "ws7",
        "ws7",
        None,
    ]
    (found,) = identity.unify(table([row | {"user": "\\.", "target": ".."}])).to_pyarrow().to_pylist()
    assert (found["user"], found["target"]) == ("\\.", "..")  # an event keeps its user and its target
