"""Schema to Cypher: pure functions from a declaration to a statement. Every statement runs on Neo4j 5 and on
the bundled server.

Rows travel as the parameter `$rows`. Loading upserts: MERGE on what tells a node or relationship apart, then
SET, so that the same rows twice change nothing. Times travel as ISO 8601 text and become times in the
server: the driver takes many times as long to write them. Deleting is bounded by `$limit` and repeated by
the caller, since one large delete holds one large transaction. Leaves out running them; that is `store`.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphdb.schema import Node, Relationship, Schema, check_names


def constraints(schema: Schema) -> list[str]:
    """A uniqueness constraint on each node's key, which also is the index that loading looks nodes up by."""
    return [
        f"CREATE CONSTRAINT {node.label.lower()}_key IF NOT EXISTS FOR (n:{node.label}) REQUIRE"
        f" n.{node.key} IS UNIQUE"
        for node in schema.nodes
    ]


def indexes(schema: Schema) -> dict[str, str]:
    """By relationship type, an index on its first identifying property: a day is found without a scan."""
    found = {
        relationship.type: relationship.identity[0]
        for relationship in schema.relationships
        if relationship.identity
    }
    return {
        kind: f"CREATE INDEX {kind.lower()}_{name} IF NOT EXISTS FOR ()-[r:{kind}]-() ON (r.{name})"
        for kind, name in found.items()
    }


def vector_index(node: Node, name: str, dimensions: int) -> str:
    """An index that finds the nodes whose vectors point the same way, by the vectors as they are: Neo4j
    would round them."""
    check_names(name)
    settings = (
        f"`vector.dimensions`: {dimensions:d}, `vector.similarity_function`: 'cosine',"
        " `vector.quantization.enabled`: false"
    )
    return (
        f"CREATE VECTOR INDEX {vector_index_name(node, name)} IF NOT EXISTS FOR (n:{node.label})"
        f" ON (n.{name})"
        f" OPTIONS {{indexConfig: {{{settings}}}}}"
    )


def vector_index_name(node: Node, name: str) -> str:
    return f"{node.label.lower()}_{name}"


def drop_index(name: str) -> str:
    check_names(name)
    return f"DROP INDEX {name} IF EXISTS"


def upsert_nodes(node: Node, properties: tuple[str, ...], times: tuple[str, ...] = ()) -> str:
    """Rows have the node's key and the named properties. Properties that are not named stay as they are.
    times: those that are times without zone, as text."""
    return (
        f"UNWIND $rows AS row MERGE (n:{node.label} {{{node.key}: row.{node.key}}})"
        f"{_set('n', tuple(name for name in properties if name != node.key), times)}"
    )


def add_label(node: Node, label: str) -> str:
    """Rows have the node's key. The nodes gain a label."""
    return f"UNWIND $rows AS row MATCH (n:{node.label} {{{node.key}: row.{node.key}}}) SET n:{label}"


def upsert_relationships(
    relationship: Relationship, properties: tuple[str, ...], times: tuple[str, ...] = ()
) -> str:
    """Rows have `start`, `end` and the named properties. Rows whose ends are not in the graph are passed
    over."""
    return _relationships("MERGE", relationship, properties, times)


def update_relationships(relationship: Relationship, properties: tuple[str, ...]) -> str:
    """The same for relationships that are there: rows of which none is are passed over."""
    return _relationships("MATCH", relationship, properties, ())


def create_relationships(
    relationship: Relationship, properties: tuple[str, ...], times: tuple[str, ...] = ()
) -> str:
    """The same for relationships that are not there yet: they are made without looking, which near a hub
    takes long."""
    return _relationships("CREATE", relationship, properties, times)


def _relationships(
    verb: str, relationship: Relationship, properties: tuple[str, ...], times: tuple[str, ...]
) -> str:
    start, end = relationship.start, relationship.end
    identity = ", ".join(f"{name}: row.{name}" for name in relationship.identity)
    return (
        f"UNWIND $rows AS row MATCH (a:{start.label} {{{start.key}: row.start}}) MATCH"
        f" (b:{end.label} {{{end.key}: row.end}})"
        f" {verb} (a)-[r:{relationship.type}{f' {{{identity}}}' if identity else ''}]->(b)"
        f"{_set('r', tuple(name for name in properties if name not in relationship.identity), times)}"
    )


def node_property(node: Node, name: str) -> str:
    """The property of the node whose key is `$key`."""
    check_names(name)
    return f"MATCH (n:{node.label} {{{node.key}: $key}}) RETURN n.{name} AS value"


def keys(node: Node) -> str:
    """The key of every node of the label."""
    return f"MATCH (n:{node.label}) RETURN n.{node.key} AS key"


def forget(kind: str, name: str, properties: tuple[str, ...]) -> str:
    """Relationships whose property equals `$value` lose others that they have, at most `$limit` of them.
    Returns how many did."""
    check_names(kind, name, *properties)
    has_any = " OR ".join(f"r.{prop} IS NOT NULL" for prop in properties)
    removed = ", ".join(f"r.{prop}" for prop in properties)
    return (
        f"MATCH ()-[r:{kind}]->() WHERE r.{name} = $value AND ({has_any}) WITH r LIMIT $limit"
        f" REMOVE {removed} RETURN count(*) AS forgot"
    )


def delete_relationships(kind: str, name: str) -> str:
    """Relationships whose property is below `$before`, at most `$limit` of them. Returns how many went."""
    return (
        f"MATCH ()-[r:{kind}]->() WHERE r.{name} < $before WITH r LIMIT $limit DELETE r RETURN"
        " count(*) AS deleted"
    )


def delete_relationships_of(kind: str, name: str) -> str:
    """Relationships whose property equals `$value`, at most `$limit` of them. Returns how many went."""
    return (
        f"MATCH ()-[r:{kind}]->() WHERE r.{name} = $value WITH r LIMIT $limit DELETE r RETURN"
        " count(*) AS deleted"
    )


def delete_all_relationships(kind: str) -> str:
    """Relationships of a type, at most `$limit` of them. Returns how many went."""
    return f"MATCH ()-[r:{kind}]->() WITH r LIMIT $limit DELETE r RETURN count(*) AS deleted"


def delete_nodes_below(node: Node, name: str) -> str:
    """Nodes whose property is below `$before` with their relationships, at most `$limit` of them. Returns
    how many went."""
    return (
        f"MATCH (n:{node.label}) WHERE n.{name} < $before WITH n LIMIT $limit DETACH DELETE n RETURN"
        " count(*) AS deleted"
    )


def delete_nodes(node: Node, name: str) -> str:
    """Nodes whose property equals `$value` with their relationships, at most `$limit` of them. Returns how
    many went."""
    return (
        f"MATCH (n:{node.label}) WHERE n.{name} = $value WITH n LIMIT $limit DETACH DELETE n RETURN"
        " count(*) AS deleted"
    )


def delete_lonely(node: Node, kinds: tuple[str, ...]) -> str:
    """Nodes without a relationship of some types, with those they have, at most `$limit` nodes. Returns how
    many went."""
    kept = f"(n)-[:{'|'.join(kinds)}]-()"
    return (
        f"MATCH (n:{node.label}) WHERE NOT {kept} WITH n LIMIT $limit DETACH DELETE n RETURN"
        " count(*) AS deleted"
    )


def nodes_with_any(node: Node, properties: Sequence[str]) -> str:
    """Rows (key, properties...) of the nodes of a label that have one of the properties or more."""
    has_any = " OR ".join(f"n.{name} IS NOT NULL" for name in properties)
    values = ", ".join(f"n.{name} AS {name}" for name in properties)
    return f"MATCH (n:{node.label}) WHERE {has_any} RETURN n.{node.key} AS key, {values}"


def count_nodes(node: Node) -> str:
    return f"MATCH (n:{node.label}) RETURN count(n) AS count"


def count_relationships(relationship: Relationship) -> str:
    start, end = relationship.start.label, relationship.end.label
    return f"MATCH (:{start})-[r:{relationship.type}]->(:{end}) RETURN count(r) AS count"


def _set(variable: str, names: tuple[str, ...], times: tuple[str, ...]) -> str:
    check_names(*names)  # they are a table's columns, which no declaration has checked
    if not names:
        return ""
    values = {name: f"localdatetime(row.{name})" if name in times else f"row.{name}" for name in names}
    return " SET " + ", ".join(f"{variable}.{name} = {value}" for name, value in values.items())
