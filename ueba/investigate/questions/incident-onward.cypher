// Title: What was reached from an incident's machines after it began
// Purpose: Where it may have gone on: hops from the incident's machines to others on its day, after its first event, by whichever
//   account, that are not in the incident themselves.
// Parameters:
//   incident (text): its id, or the beginning of it
//   :param incident => '20260121-3fa9'
// Columns:
//   incident: its id
//   machine: the incident's machine
//   user: the account that acted
//   in_incident: whether the account is in the incident
//   target: the machine or resource it reached
//   first_seen: the first event of the day, UTC
//   last_seen: the last event of the day, UTC
//   count: events on the day
// Example: ueba ask incident-onward --param incident=20260121-3fa9
MATCH (i:Incident) WHERE i.id STARTS WITH $incident
MATCH (i)-[v:INVOLVES]->(u:User) WHERE v.role = 'user'
WITH DISTINCT i, u
MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day = i.day AND r.incident = i.id
WITH i, min(r.first_seen) AS began, collect(DISTINCT u.name) AS inside, collect(DISTINCT [u.name, r.source, t.name]) AS known
MATCH (i)-[:INVOLVES]->(m:Machine)
WITH DISTINCT i, began, inside, known, m
MATCH (m)-[h:REACHED]->(t) WHERE h.day = i.day AND h.last_seen >= began AND NOT [h.user, m.name, t.name] IN known
RETURN i.id AS incident, m.name AS machine, h.user AS user, h.user IN inside AS in_incident, t.name AS target,
  h.first_seen AS first_seen, h.last_seen AS last_seen, h.count AS count
ORDER BY incident, in_incident DESC, first_seen, machine, user, target
