// Title: The accounts most similar to an account, by embedding
// Purpose: Accounts that the model sees as similar, the most similar first, and how much they share: whom to ask, and whom to
//   compare with. Needs `SIMILAR_TO` in the graph.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
// Columns:
//   other: the similar account
//   similarity: cosine of the two embeddings, at most 1
//   shared: machines and resources that both reach
//   by_other: how many the similar account reaches
//   by_user: how many the account reaches
// Example: ueba ask similar-users --param user=mlopez@corp.example
MATCH (u:User {name: $user})
OPTIONAL MATCH (u)-[:LOGGED_ON|ACCESSED]->(t)
WITH u, collect(DISTINCT t) AS mine
MATCH (u)-[p:SIMILAR_TO]->(v:User)
OPTIONAL MATCH (v)-[:LOGGED_ON|ACCESSED]->(t)
WITH DISTINCT mine, v, p.similarity AS similarity, t
RETURN v.name AS other, similarity, sum(CASE WHEN t IN mine THEN 1 ELSE 0 END) AS shared, count(t) AS by_other,
  size(mine) AS by_user
ORDER BY similarity DESC, other
