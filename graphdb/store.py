"""A graph in a server: load tables, ask Cypher. One code path over Bolt with the official driver, for Neo4j
and the bundled server.

Loading goes in batches of bounded size, each a transaction that the driver repeats when the server says that
the trouble is transient. Asking is read-only: Neo4j refuses writes in a read transaction, and the bundled
server refuses them to the account that is used for reading; what else a query might do, `graphdb.reading`
finds by its words and by the server's plan for it, before it runs. The bundled server's plans name no
operators; there, settings forbid what `graphdb.reading` refuses. A query that runs too long is ended in the
server too: by the transaction's timeout where the server keeps it, by a command to the bundled server, and if
that fails by starting the bundled server anew, which keeps what was committed.

Leaves out what the graph is about, and graphs that do not fit in memory: `query` and `graph` are cut at a
limit of rows, and give up at a limit of bytes.
"""

from __future__ import annotations

import hashlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import neo4j
import networkx as nx
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from neo4j.exceptions import AuthError, ClientError, DriverError, Neo4jError, ServiceUnavailable
from neo4j.graph import Node as NodeValue
from neo4j.graph import Path as PathValue
from neo4j.graph import Relationship as RelationshipValue
from neo4j.spatial import Point

from graphdb import reading, server, statements
from graphdb.errors import GraphError, QueryError, QueryTimeout, ReadOnlyError, ServerError
from graphdb.schema import Node, Relationship, Schema
from graphdb.server import Connection

Progress = Callable[[int], None]
_ALL = 2**31 - 1  # rows of a query that is to be read to its end
# Of a table in one message, where it is up to three times as large: the bundled server hangs at 16 MB.
_MESSAGE_BYTES = 4_000_000
LONGEST_TEXT = 4_000  # bytes of a text: the index of a key has room for about twice as many
MOST_BYTES = 256_000_000  # of an answer in memory
GRACE_S = 2.0  # what a server is given beyond the timeout to end a query by itself


class Store:
    """An open connection. Use as a context manager."""

    def __init__(self, connection: Connection, batch_rows: int = 10_000) -> None:
        """Raises ServerError if the server cannot be reached or logged in to."""
        self.connection, self.batch_rows = connection, batch_rows
        if connection.directory is not None:
            server.check_answers(connection.directory)
        self._driver = _driver(connection.uri, connection.username, connection.password)
        try:
            with self._driver.session(database=connection.database) as session:
                session.run("RETURN 1").consume()
        except AuthError as reason:
            self.close()
            raise ServerError(
                f"{connection.uri}: {connection.username} is not let in; check NEO4J_USERNAME"
                " and NEO4J_PASSWORD"
            ) from reason
        except (Neo4jError, DriverError, ValueError) as reason:
            self.close()
            raise ServerError(
                f"{connection.uri}: no graph server answers ({reason}); check NEO4J_URI and NEO4J_DATABASE"
            ) from reason

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._driver.close()

    # --- writing --------------------------------------------------------------------------------------------

    def ensure_schema(self, schema: Schema) -> None:
        """Constraints, then indexes on the relationship types that have any; what is there already stays.

        On an empty type Neo4j would plan the first load through the index, which is many times slower. So
        call this again after the first load."""
        for statement in statements.constraints(schema):
            self._write(statement, {})
        for kind, statement in statements.indexes(schema).items():
            if len(self._own_rows(f"MATCH ()-[r:{kind}]->() RETURN 1 AS one LIMIT 1")):
                self._write(statement, {})

    def ensure_vector_indexes(self, node: Node, dimensions: int) -> bool:
        """An index for each of a label's vectors; one of other dimensions is replaced. False if the server
        has no such indexes."""
        there = self._own_rows(
            "SHOW INDEXES YIELD name, type, options WHERE type = 'VECTOR' RETURN name, options"
        )
        known = {
            name: options["indexConfig"].get("vector.dimensions")
            for name, options in there.itertuples(index=False)
        }
        for name in (known.name for known in node.properties if known.vector):
            index = statements.vector_index_name(node, name)
            if known.get(index, dimensions) != dimensions:
                self._write(statements.drop_index(index), {})
            try:
                self._write(statements.vector_index(node, name, dimensions), {})
            except QueryError:  # only by trying can a server be asked whether it has them
                return False
        return True

    def load_nodes(self, node: Node, table: pa.Table, progress: Progress | None = None) -> int:
        """Upsert a row per node: the key, any properties, and `labels`, a list of extra labels. Returns the
        rows loaded."""
        _check_filled(node.label, table, (node.key,))
        table = _short_texts(table)
        properties = tuple(name for name in table.column_names if name != "labels")
        written, times = _times_as_text(table)
        statement = statements.upsert_nodes(node, properties, times)
        for rows in self._batches(written):
            self._write(statement, {"rows": rows}, progress, len(rows))
            for label in node.extra_labels if "labels" in table.column_names else ():
                labelled = [row for row in rows if label in (row["labels"] or ())]
                if labelled:
                    self._write(statements.add_label(node, label), {"rows": labelled})
        return len(table)

    def load_relationships(
        self,
        relationship: Relationship,
        table: pa.Table,
        progress: Progress | None = None,
        *,
        new: bool = False,
    ) -> int:
        """Upsert a row per relationship: `start`, `end` and properties. Returns the rows loaded.

        new: the caller knows that none of them is in the graph, and that each is in the table once; near
        hubs much faster."""
        _check_filled(relationship.type, table, relationship.identity)
        table = _short_texts(table)
        properties = tuple(name for name in table.column_names if name not in ("start", "end"))
        written, times = _times_as_text(table)
        make = statements.create_relationships if new else statements.upsert_relationships
        statement = make(relationship, properties, times)
        for rows in self._batches(written):
            self._write(statement, {"rows": rows}, progress, len(rows))
        return len(table)

    def update_relationships(self, relationship: Relationship, table: pa.Table) -> None:
        """Set properties of relationships that are in the graph, by rows as of `load_relationships`; other
        rows are passed over."""
        properties = tuple(name for name in table.column_names if name not in ("start", "end"))
        statement = statements.update_relationships(relationship, properties)
        for rows in self._batches(_short_texts(table)):
            self._write(statement, {"rows": rows})

    def property_of(self, node: Node, key: str, name: str) -> Any:
        """A node's property; None if it has none, or there is no such node."""
        found = self._own_rows(statements.node_property(node, name), {"key": key})
        return found["value"][0] if len(found) else None

    def keys(self, node: Node, timeout_s: float = 600) -> list[Any]:
        """The key of every node of a label."""
        found = self._own_rows(statements.keys(node), timeout_s=timeout_s, limit=_ALL)
        return (
            found["key"].tolist() if len(found) else []
        )  # of no rows the bundled server does not tell the columns

    def nodes_with_any(
        self, node: Node, properties: Sequence[str], timeout_s: float = 600
    ) -> list[dict[str, Any]]:
        """The nodes of a label that have one of the properties or more: `key` and the properties of each."""
        statement = statements.nodes_with_any(node, properties)
        found = self._own_rows(statement, timeout_s=timeout_s, limit=_ALL)
        return [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]

    def forget(self, relationship: Relationship, properties: tuple[str, ...], name: str, value: Any) -> int:
        """Relationships whose property has a value lose other properties. Returns how many had one."""
        return self.delete(statements.forget(relationship.type, name, properties), value=value)

    def delete(self, statement: str, **parameters: Any) -> int:
        """Repeat one of the `statements` that are bounded by `$limit` until nothing is left to do. Returns
        how many it did."""
        total = 0
        while True:
            deleted = self._write(statement, {**parameters, "limit": self.batch_rows})
            total += deleted
            if deleted < self.batch_rows:
                return total

    def clear(self, schema: Schema, name: str, value: Any) -> int:
        """Delete relationships whose property has a value. Nodes stay. Returns relationships gone."""
        return sum(
            self.delete(statements.delete_relationships_of(kind, name), value=value)
            for kind in schema.types_with(name)
        )

    def prune(self, schema: Schema, name: str, before: Any) -> int:
        """Delete relationships whose property lies below a value, and nodes that have the property likewise;
        then those other nodes that no relationship keeps. Returns relationships gone."""
        gone = sum(
            self.delete(statements.delete_relationships(kind, name), before=before)
            for kind in schema.types_with(name)
        )
        dated = [node for node in schema.nodes if name in {known.name for known in node.properties}]
        for node in dated:
            self.delete(statements.delete_nodes_below(node, name), before=before)
        for node in schema.nodes:
            if node not in dated:
                self.delete(statements.delete_lonely(node, schema.keeping()))
        return gone

    def _batches(self, table: pa.Table) -> Iterator[list[dict[str, Any]]]:
        bounded = _MESSAGE_BYTES * len(table) // max(table.nbytes, 1)
        for batch in table.to_batches(max_chunksize=max(1, min(self.batch_rows, bounded))):
            yield batch.to_pylist()

    def _write(
        self, statement: str, parameters: Mapping[str, Any], progress: Progress | None = None, rows: int = 0
    ) -> int:
        """Run one statement in one transaction. Returns the number it returns, or 0."""

        def work(transaction: neo4j.ManagedTransaction) -> int:
            try:
                record = transaction.run(statement, dict(parameters)).single()
            except Neo4jError as reason:
                if "OutOfMemory" in (reason.code or ""):  # the driver would repeat it, to the same end
                    raise GraphError(
                        "the graph server ran out of memory; give it more, or load smaller batches"
                    ) from reason
                raise
            return int(record[0]) if record is not None and len(record) else 0

        if self.connection.directory is not None:
            server.check_answers(self.connection.directory)
        try:
            with self._driver.session(database=self.connection.database) as session:
                result = session.execute_write(work)
        except (Neo4jError, DriverError) as reason:
            raise _translated(reason, self.connection.uri) from reason
        if progress:
            progress(rows)
        return result

    # --- reading --------------------------------------------------------------------------------------------

    def query(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float = 30,
        limit: int = 1000,
    ) -> pd.DataFrame:
        """Rows of a read-only query, at most `limit` of them, as plain values.

        Raises ReadOnlyError if it would do more than read the graph, QueryTimeout if it was ended, QueryError
        if the server does not accept it or the answer is too large. A query cut at the limit before the
        server refused it writes nothing either."""
        reading.check(cypher)
        return _frame(*self._read(cypher, parameters or {}, timeout_s, limit, check_plan=self._has_plans))

    def graph(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float = 30,
        limit: int = 1000,
    ) -> nx.MultiDiGraph:
        """The nodes, relationships and paths that a read-only query returns, as a small graph. Attributes:
        properties, and `labels` of a node, `type` of a relationship."""
        reading.check(cypher)
        _, records = self._read(cypher, parameters or {}, timeout_s, limit, check_plan=self._has_plans)
        graph = nx.MultiDiGraph()
        for record in records:
            for value in record.values():
                _add_to_graph(graph, value)
        return graph

    def settings(self, names: Sequence[str]) -> dict[str, str]:
        """Some settings of Neo4j, as far as it has them. Raises GraphError where the account may not see
        them."""
        found = self._own_rows(
            "SHOW SETTINGS YIELD name, value WHERE name IN $names RETURN name, value", {"names": [*names]}
        )
        return {name: str(value) for name, value in found.itertuples(index=False)}

    def count(self, item: Node | Relationship) -> int:
        """How many nodes of a label or relationships of a type there are."""
        statement = (
            statements.count_nodes(item) if isinstance(item, Node) else statements.count_relationships(item)
        )
        return int(self._own_rows(statement)["count"][0])

    @property
    def _has_plans(self) -> bool:
        return self.connection.directory is None

    def _own_rows(
        self,
        statement: str,
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float = 30,
        limit: int = 1000,
    ) -> pd.DataFrame:
        """Rows of a statement of this library, which is known to write nothing."""
        return _frame(*self._read(statement, parameters or {}, timeout_s, limit, check_plan=False))

    def _read(
        self, cypher: str, parameters: Mapping[str, Any], timeout_s: float, limit: int, *, check_plan: bool
    ) -> tuple[list[str], list[neo4j.Record]]:
        outcome: list[Any] = []
        worker = threading.Thread(
            target=self._read_into,
            args=(outcome, cypher, parameters, timeout_s, limit, check_plan),
            daemon=True,
        )
        began = time.monotonic()
        worker.start()
        directory = self.connection.directory
        try:
            worker.join(timeout_s + (GRACE_S if directory is None else 0))
        except BaseException:  # whoever asked does not wait any more, and nor does the server
            if directory is not None:
                server.terminate(directory, cypher, time.monotonic() - began)
            raise
        if worker.is_alive() and directory is not None:  # the bundled server does not keep the timeout
            server.terminate(directory, cypher, timeout_s)
            worker.join(GRACE_S)
            if worker.is_alive():
                self.connection = server.restart(directory, self.connection.pid)
                worker.join(GRACE_S)
            raise QueryTimeout(f"the query ran longer than {timeout_s:g} s and was ended")
        if worker.is_alive():
            raise QueryTimeout(
                f"the query ran longer than {timeout_s:g} s; the server was told to end it and"
                " has not yet answered"
            )
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        keys, records = outcome
        return keys, records

    def _read_into(
        self,
        outcome: list[Any],
        cypher: str,
        parameters: Mapping[str, Any],
        timeout_s: float,
        limit: int,
        check_plan: bool,
    ) -> None:
        """Fill `outcome` with keys and records, or with the one exception."""
        connection = self.connection
        try:
            driver = self._reader()
            with driver.session(
                database=connection.database, default_access_mode=neo4j.READ_ACCESS
            ) as session:
                with (
                    driver
                ):  # closed first: a session that closes has the server work out the rows beyond the limit
                    if check_plan:
                        _check_plan(session, cypher, parameters, timeout_s)
                    transaction = session.begin_transaction(timeout=timeout_s)
                    result = transaction.run(cypher, dict(parameters))
                    keys, records = list(result.keys()), _fetched(result, limit)
                    if len(records) < limit:
                        # Writes may be refused only here; a result that was cut is never committed.
                        transaction.commit()
            outcome += [keys, records]
        except (Neo4jError, DriverError) as reason:
            outcome[:] = [_translated(reason, connection.uri, timeout_s)]
        except Exception as reason:  # whatever it is belongs to the caller's thread
            outcome[:] = [reason]

    def _reader(self) -> neo4j.Driver:
        """A driver for the account that only reads; of another server, for the one account there is."""
        connection = self.connection
        if connection.directory is not None:
            server.check_answers(connection.directory)
        if connection.reader:
            return _driver(connection.uri, connection.reader, connection.reader_password)
        return _driver(connection.uri, connection.username, connection.password)


def _check_plan(session: neo4j.Session, cypher: str, parameters: Mapping[str, Any], timeout_s: float) -> None:
    """Raises ReadOnlyError if the server's plan for a query does more than read. Nothing of it is run."""
    with session.begin_transaction(timeout=timeout_s) as transaction:
        summary = transaction.run("EXPLAIN " + cypher, dict(parameters)).consume()
    reading.check_plan(summary.plan, summary.query_type)


def _fetched(result: neo4j.Result, limit: int) -> list[neo4j.Record]:
    """The first rows. Raises QueryError if they are too large to be kept."""
    records, size = [], 0
    for record in result:
        records.append(record)
        size += _size(record.values())
        if size > MOST_BYTES:
            raise QueryError(
                f"the answer is larger than {MOST_BYTES // 1_000_000} MB at row {len(records):,};"
                " ask for fewer columns, or for a lower --limit"
            )
        if len(records) >= limit:
            break
    return records


def _size(value: Any) -> int:
    """About how many bytes a value takes in memory, with what it holds."""
    if isinstance(value, list | tuple):
        return 56 + sum(map(_size, value))
    if isinstance(value, dict):
        return 64 + sum(_size(key) + _size(item) for key, item in value.items())
    if isinstance(value, NodeValue | RelationshipValue):
        return 500 + sum(_size(key) + _size(item) for key, item in value.items())
    if isinstance(value, PathValue):
        return 500 + sum(map(_size, (*value.nodes, *value.relationships)))
    return sys.getsizeof(value)


def _frame(keys: list[str], records: list[neo4j.Record]) -> pd.DataFrame:
    rows = [[plain(record[index]) for index in range(len(keys))] for record in records]
    return pd.DataFrame(rows, columns=pd.Index(keys), dtype=object)


def _driver(uri: str, username: str | None, password: str | None) -> neo4j.Driver:
    try:
        return neo4j.GraphDatabase.driver(
            uri,
            auth=(username or "", password or ""),
            notifications_min_severity="OFF",
            connection_timeout=10,
        )
    except (DriverError, ValueError) as reason:
        raise ServerError(f"NEO4J_URI={uri}: {reason}") from reason


def _times_as_text(table: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
    """The table with its times without zone as ISO 8601 text, and their names."""
    times = tuple(
        field.name for field in table.schema if pa.types.is_timestamp(field.type) and field.type.tz is None
    )
    for name in times:
        text = pc.strftime(table[name].cast(pa.timestamp("us")), "%Y-%m-%dT%H:%M:%S")
        table = table.set_column(table.column_names.index(name), name, text)
    return table, times


def _short_texts(table: pa.Table) -> pa.Table:
    """The table with its longest texts as `short_text` has them, so that one hostile name stops no load."""
    for index, field in enumerate(table.schema):
        if (
            pa.types.is_string(field.type)
            and (pc.max(pc.binary_length(table[index])).as_py() or 0) > LONGEST_TEXT
        ):
            texts = [text if text is None else short_text(text) for text in table[index].to_pylist()]
            table = table.set_column(index, field, pa.array(texts, pa.string()))
    return table


def short_text(text: str) -> str:
    """A text as it is stored: of one that is too long, the beginning, and a digest that tells it apart."""
    content = text.encode()
    if len(content) <= LONGEST_TEXT:
        return text
    return f"{text[: LONGEST_TEXT // 8]}…{hashlib.sha256(content).hexdigest()}"


def _check_filled(what: str, table: pa.Table, names: tuple[str, ...]) -> None:
    """Raises GraphError where a row lacks what tells it apart: one server refuses such a row, the other
    loads it as it is."""
    for name in names:
        if name not in table.column_names:
            raise GraphError(f"{what}: its rows have no column {name!r}, which tells them apart")
        if table[name].null_count:
            raise GraphError(
                f"{what}: {name} tells its rows apart and is null in {table[name].null_count} of {len(table)}"
            )


def _translated(reason: Exception, uri: str, timeout_s: float | None = None) -> GraphError:
    """The driver's error as a GraphError."""
    code = getattr(reason, "code", None) or ""
    message = str(getattr(reason, "message", None) or reason)
    if isinstance(reason, ServiceUnavailable):
        return ServerError(f"{uri}: the graph server does not answer ({message})")
    if code.endswith(("AccessMode", "Security.Forbidden")):
        return ReadOnlyError(f"this would write, and only reading is allowed here: {message}")
    if "TransactionTimedOut" in code or "Terminated" in code or "imeout" in code:
        return QueryTimeout(
            f"the query ran longer than {timeout_s:g} s and was ended" if timeout_s else message
        )
    if isinstance(reason, ClientError):
        return QueryError(message)
    return GraphError(message)


def plain(value: Any) -> Any:
    """A driver's value as plain Python: nodes, relationships, paths and points as dicts, times as ISO 8601
    text."""
    if isinstance(value, NodeValue):
        return {"labels": sorted(value.labels), **{key: plain(item) for key, item in value.items()}}
    if isinstance(value, RelationshipValue):
        return {"type": value.type, **{key: plain(item) for key, item in value.items()}}
    if isinstance(value, PathValue):
        return {
            "nodes": [plain(n) for n in value.nodes],
            "relationships": [plain(r) for r in value.relationships],
        }
    if isinstance(value, Point):
        return {"srid": value.srid, "coordinates": list(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "iso_format"):
        return re.sub(r"(\.\d*?)0+(?!\d)", lambda found: found[1].rstrip("."), value.iso_format())
    return value


def _add_to_graph(graph: nx.MultiDiGraph, value: Any) -> None:
    if isinstance(value, NodeValue):
        graph.add_node(value.element_id, **plain(value))
    elif isinstance(value, RelationshipValue):
        ends = value.start_node, value.end_node
        for node in ends:
            if node is not None and (node.labels or node.element_id not in graph):
                _add_to_graph(graph, node)
        if ends[0] is not None and ends[1] is not None:
            graph.add_edge(ends[0].element_id, ends[1].element_id, key=value.element_id, **plain(value))
    elif isinstance(value, PathValue):
        for item in [*value.nodes, *value.relationships]:
            _add_to_graph(graph, item)
    elif isinstance(value, list):
        for item in value:
            _add_to_graph(graph, item)
