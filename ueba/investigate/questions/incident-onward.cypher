// Title: What was reached from an incident's machines after it began
// Purpose: Where it may have gone on: hops from the incident's machines to others on its day, after its first event, by
//   whichever account, that are not in the incident themselves. Machines that more than `most` accounts acted from are passed
//   over, and so are machines' own accounts and attempts that all failed.
// Parameters:
//   incident (incident): its id, or the beginning of it
//   :param incident => '20260121-3fa9'
//   most (number, default 20): accounts that acted from the machine in that time, at most
//   :param most => 20
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
MATCH (m)-[h:REACHED]->(t) WHERE h.day = i.day AND h.failures < h.count AND h.last_seen >= began
  AND NOT h.user STARTS WITH split(m.name, '.')[0] + '$'
WITH i, inside, known, m, count(DISTINCT h.user) AS accounts,
  collect({user: h.user, target: t.name, first_seen: h.first_seen, last_seen: h.last_seen, count: h.count}) AS hops
WHERE accounts <= $most
UNWIND hops AS hop
WITH i, inside, known, m, hop
WHERE NOT [hop.user, m.name, hop.target] IN known
RETURN i.id AS incident, m.name AS machine, hop.user AS user, hop.user IN inside AS in_incident, hop.target AS target,
  hop.first_seen AS first_seen, hop.last_seen AS last_seen, hop.count AS count
ORDER BY incident, in_incident DESC, first_seen, machine, user, target
