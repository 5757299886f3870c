// Title: Who is most like a user
// Purpose: Its peers as the model sees them, the likest first, and how much they share: whom to ask, and whom to compare with.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
// Columns:
//   peer: the account
//   similarity: of the two, 1 is the same
//   shared: machines and resources that both reach
//   its: how many the peer reaches
//   users: how many the user reaches
// Example: ueba ask peers-of-user --param user=mlopez@corp.example
MATCH (u:User {name: $user})
OPTIONAL MATCH (u)-[:LOGGED_ON|ACCESSED]->(t)
WITH u, collect(DISTINCT t) AS mine
MATCH (u)-[p:PEER_OF]->(v:User)
OPTIONAL MATCH (v)-[:LOGGED_ON|ACCESSED]->(t)
WITH DISTINCT mine, v, p.similarity AS similarity, t
RETURN v.name AS peer, similarity, sum(CASE WHEN t IN mine THEN 1 ELSE 0 END) AS shared, count(t) AS its, size(mine) AS users
ORDER BY similarity DESC, peer
