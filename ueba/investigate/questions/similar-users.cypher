// Title: The accounts most similar to an account, and what that rests on
// Purpose: Accounts that reach the same, the most similar first, and how much they share: whom to ask, and whom to
//   compare with. Needs `SIMILAR_TO` in the graph.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
// Columns:
//   other: the similar account
//   similarity: cosine of the two embeddings, at most 1
//   rests_on: what both reach and few others do, the rarest first, as far back as the history goes
//   shared: machines and resources that both reach
//   by_other: how many the similar account reaches
//   by_user: how many the account reaches
// Example: ueba ask similar-users --param user=mlopez@corp.example
MATCH (u:User {name: $user})
OPTIONAL MATCH (u)-[:LOGGED_ON|ACCESSED]->(t)
WITH u, collect(DISTINCT t) AS mine
MATCH (u)-[p:SIMILAR_TO]->(v:User)
OPTIONAL MATCH (v)-[:LOGGED_ON|ACCESSED]->(t)
WITH DISTINCT mine, v, p.similarity AS similarity, p.rests_on AS rests_on, t
RETURN v.name AS other, similarity, rests_on, sum(CASE WHEN t IN mine THEN 1 ELSE 0 END) AS shared, count(t) AS by_other,
  size(mine) AS by_user
ORDER BY similarity DESC, other
