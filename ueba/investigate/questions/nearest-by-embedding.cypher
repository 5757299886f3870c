// Title: What is nearest to a user or machine in the model's eyes
// Purpose: Entities whose embedding points the same way: who behaves alike, whether or not they ever met.
// Parameters:
//   entity (text): the account or machine
//   :param entity => 'mlopez@corp.example'
//   most (number, default 20): how many of its kind to name
//   :param most => 20
// Columns:
//   kind: user or machine
//   name: the other
//   similarity: cosine of the two embeddings, 1 is the same
// Example: ueba ask nearest-by-embedding --param entity=mlopez@corp.example --param most=5
CALL {
  MATCH (a:User {name: $entity}) WHERE a.embedding IS NOT NULL
  MATCH (b:User) WHERE b <> a AND b.embedding IS NOT NULL
  RETURN 'user' AS kind, a.embedding AS x, b.name AS name, b.embedding AS y
 UNION ALL
  MATCH (a:Machine {name: $entity}) WHERE a.embedding IS NOT NULL
  MATCH (b:Machine) WHERE b <> a AND b.embedding IS NOT NULL
  RETURN 'machine' AS kind, a.embedding AS x, b.name AS name, b.embedding AS y
}
WITH kind, name, x, y ORDER BY vector.similarity.cosine(x, y) DESC, name
WITH kind, collect({name: name, x: x, y: y})[0..toInteger($most)] AS nearest
UNWIND nearest AS near
WITH kind, near.name AS name, reduce(s = 0.0, i IN range(0, size(near.x) - 1) | s + near.x[i] * near.y[i]) AS dot,
  sqrt(reduce(s = 0.0, v IN near.x | s + v * v)) AS long_x, sqrt(reduce(s = 0.0, v IN near.y | s + v * v)) AS long_y
RETURN kind, name, dot / (long_x * long_y) AS similarity
ORDER BY kind, similarity DESC, name
