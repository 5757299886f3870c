// Title: The edges of an incident, in the order of time
// Purpose: What happened in one incident.
// Parameters:
//   incident (incident): its id, or the beginning of its id
//   :param incident => '20260121-3fa9'
// Columns:
//   incident: its id
//   first_seen: the first event, UTC
//   last_seen: the last event, UTC
//   user: the account
//   source: the machine it acted from, empty if unknown
//   target: the machine or resource it reached
//   count: events on the day
//   failures: failed events among these
//   surprise: nats, higher is stranger
//   p_value: in (0, 1], small is strange
// Example: ueba ask incident-edges --param incident=20260121-3fa9
MATCH (i:Incident) WHERE i.id STARTS WITH $incident
MATCH (i)-[v:INVOLVES]->(u:User) WHERE v.role = 'user'
WITH DISTINCT i, u
MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day = i.day AND r.incident = i.id
RETURN i.id AS incident, r.first_seen AS first_seen, r.last_seen AS last_seen, u.name AS user, r.source AS source, t.name AS target,
  r.count AS count, r.failures AS failures, r.surprise AS surprise, r.p_value AS p_value
ORDER BY incident, first_seen, last_seen, user, source, target
