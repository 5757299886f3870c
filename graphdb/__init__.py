"""A property graph store over Bolt: declare a schema, load tables, ask Cypher. See `graphdb.store`."""
