// Title: Incidents that an entity is in
// Purpose: What was found before about an account, machine or resource, the latest first.
// Parameters:
//   entity (entity): the account, machine or resource
//   :param entity => 'mlopez@corp.example'
// Columns:
//   incident: its id
//   day: its day
//   rank: 1 is the day's worst
//   score: nats, higher is stranger
//   p_value: of its strangest edge
//   edges: how many strange edges it holds
//   roles: of the entity in it, sorted
//   verdict: what triage said of it last, if it did when this was loaded
//   reasons: in words, strongest first
// Example: ueba ask incidents-of --param entity=mlopez@corp.example
CALL {
  MATCH (n:User {name: $entity}) RETURN n
 UNION ALL
  MATCH (n:Machine {name: $entity}) RETURN n
 UNION ALL
  MATCH (n:Resource {name: $entity}) RETURN n
}
MATCH (i:Incident)-[v:INVOLVES]->(n)
WITH i, v.role AS role ORDER BY role
WITH i, collect(DISTINCT role) AS roles
RETURN i.id AS incident, i.day AS day, i.rank AS rank, i.score AS score, i.p_value AS p_value, i.edges AS edges, roles,
  i.verdict AS verdict, i.reasons AS reasons
ORDER BY day DESC, rank, incident
