// Title: What was reached from an incident's machines after the incident began
// Purpose: Where the attack may have gone on: edges from the incident's machines, on its day and after its first event, by any
//   account, that are not in the incident themselves. Machines that more than `most` accounts acted from are left out, and so are
//   machines' own accounts and attempts that all failed.
// Parameters:
//   incident (incident): its id, or the beginning of its id
//   :param incident => '20260121-3fa9'
//   most (number, default 20): the most accounts that acted from the machine in that time
//   :param most => 20
// Columns:
//   incident: its id
//   machine: the machine of the incident
//   user: the account that acted
//   in_incident: whether the account is in the incident
//   target: the machine or resource that was reached
//   first_seen: the first event of the day, UTC
//   last_seen: the last event of the day, UTC
//   count: events on the day
// Example: ueba ask incident-onward --param incident=20260121-3fa9
MATCH (i:Incident) WHERE i.id STARTS WITH $incident
MATCH (i)-[v:INVOLVES]->(u:User) WHERE v.role = 'user'
WITH DISTINCT i, u
MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day = i.day AND r.incident = i.id
WITH i, min(r.first_seen) AS began, collect(DISTINCT u.name) AS inside,
  collect(DISTINCT [u.name, r.source, t.name, CASE WHEN t:Machine THEN 'machine' ELSE 'resource' END]) AS known
MATCH (i)-[:INVOLVES]->(m:Machine)
WITH DISTINCT i, began, inside, known, m
MATCH (m)-[h:REACHED]->(t) WHERE h.day = i.day AND h.failures < h.count AND h.last_seen >= began
  AND NOT h.user STARTS WITH split(m.name, '.')[0] + '$'
WITH i, inside, known, m, count(DISTINCT h.user) AS accounts,
  collect({user: h.user, target: t.name, kind: CASE WHEN t:Machine THEN 'machine' ELSE 'resource' END,
    first_seen: h.first_seen, last_seen: h.last_seen, count: h.count}) AS hops
WHERE accounts <= $most
UNWIND hops AS hop
WITH i, inside, known, m, hop
WHERE NOT [hop.user, m.name, hop.target, hop.kind] IN known
RETURN i.id AS incident, m.name AS machine, hop.user AS user, hop.user IN inside AS in_incident, hop.target AS target,
  hop.first_seen AS first_seen, hop.last_seen AS last_seen, hop.count AS count
ORDER BY incident, in_incident DESC, first_seen, machine, user, target
