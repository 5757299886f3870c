"""A property graph store over Bolt: declare a schema, load tables, ask Cypher. See `graphdb.store`."""

from graphdb.errors import GraphError, QueryError, QueryTimeout, ReadOnlyError, ServerError
from graphdb.schema import Node, Property, Relationship, Schema
from graphdb.server import Connection, from_environment

__all__ = [
    "Connection",
    "GraphError",
    "Node",
    "Property",
    "QueryError",
    "QueryTimeout",
    "ReadOnlyError",
    "Relationship",
    "Schema",
    "ServerError",
    "from_environment",
]
