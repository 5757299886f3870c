// Title: The incidents of an entity
// Purpose: Earlier incidents of an account, machine or resource, the latest first.
// Parameters:
//   entity (entity): the account, machine or resource
//   :param entity => 'mlopez@corp.example'
// Columns:
//   incident: its id
//   kind: user, machine or resource: the entity that is in the incident
//   day: its day
//   rank: 1 is the strangest of its day
//   score: nats, higher is stranger
//   p_value: the smallest of its edges, in (0, 1]
//   edges: how many strange edges it holds
//   roles: the roles of the entity in it, sorted
//   verdict: the last verdict on it when it was loaded, if any
//   reasons: in sentences, the strongest first
// Example: ueba ask incidents-of --param entity=mlopez@corp.example
CALL {
  MATCH (n:User {name: $entity}) RETURN n, 'user' AS kind
 UNION ALL
  MATCH (n:Machine {name: $entity}) RETURN n, 'machine' AS kind
 UNION ALL
  MATCH (n:Resource {name: $entity}) RETURN n, 'resource' AS kind
}
MATCH (i:Incident)-[v:INVOLVES]->(n)
WITH i, kind, v.role AS role ORDER BY role
WITH i, kind, collect(DISTINCT role) AS roles
RETURN i.id AS incident, kind, i.day AS day, i.rank AS rank, i.score AS score, i.p_value AS p_value, i.edges AS edges, roles,
  i.verdict AS verdict, i.reasons AS reasons
ORDER BY day DESC, rank, incident, kind
