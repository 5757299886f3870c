// Title: The entities most similar to an entity, by embedding
// Purpose: Entities whose embedding points in nearly the same direction are alike, whether or not they ever met: users by what
//   they reach, machines and resources by who reaches them. As many as you like, where `SIMILAR_TO` has five.
// Parameters:
//   entity (entity): the account, machine or resource
//   :param entity => 'mlopez@corp.example'
//   most (number, default 20): how many to list
//   :param most => 20
// Columns:
//   kind: user, machine or resource
//   name: the similar entity
//   similarity: cosine of the two embeddings, at most 1
// Example: ueba ask nearest-by-embedding --param entity=mlopez@corp.example --param most=5
CALL {
  MATCH (a:User {name: $entity}) WHERE a.embedding IS NOT NULL
  MATCH (b:User) WHERE b <> a AND b.embedding IS NOT NULL
  RETURN a, b
 UNION ALL
  CALL {
    MATCH (a:Machine {name: $entity}) RETURN a
   UNION ALL
    MATCH (a:Resource {name: $entity}) RETURN a
  }
  WITH a WHERE a.embedding IS NOT NULL
  MATCH (b:Machine|Resource) WHERE b <> a AND b.embedding IS NOT NULL
  RETURN a, b
}
WITH a, b ORDER BY vector.similarity.cosine(a.embedding, b.embedding) DESC, b.name
WITH a, collect(b)[0..toInteger($most)] AS nearest
UNWIND nearest AS b
WITH b, a.embedding AS x, b.embedding AS y
WITH b, reduce(s = 0.0, i IN range(0, size(x) - 1) | s + x[i] * y[i]) AS dot,
  sqrt(reduce(s = 0.0, v IN x | s + v * v)) AS long_x, sqrt(reduce(s = 0.0, v IN y | s + v * v)) AS long_y
RETURN CASE WHEN b:User THEN 'user' WHEN b:Machine THEN 'machine' ELSE 'resource' END AS kind, b.name AS name,
  round(1000000.0 * dot / (long_x * long_y)) / 1000000.0 AS similarity
ORDER BY similarity DESC, name, kind
