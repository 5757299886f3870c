// Title: Other accounts on an incident's machines and resources on that day
// Purpose: Accounts outside the incident that reached its machines and resources, or acted from its machines: their credentials
//   may be stolen, and their owners may know more. Machines and resources with more than `most` other accounts are left out: on a
//   domain controller every account is a neighbour.
// Parameters:
//   incident (incident): its id, or the beginning of its id
//   :param incident => '20260121-3fa9'
//   most (number, default 20): the most other accounts there on that day
//   :param most => 20
// Columns:
//   incident: its id
//   place: the machine or resource of the incident
//   others: how many other accounts were there
//   user: the other account
//   how: reached, or acted from
//   count: events on the day
//   first_seen: the first event, UTC; empty for acted from, of which the graph has only the day
// Example: ueba ask incident-neighbours --param incident=20260121-3fa9
MATCH (i:Incident) WHERE i.id STARTS WITH $incident
OPTIONAL MATCH (i)-[:INVOLVES]->(u:User)
WITH i, collect(DISTINCT u) AS inside
MATCH (i)-[:INVOLVES]->(p) WHERE NOT p:User
WITH DISTINCT i, inside, p
MATCH (p)<-[r:LOGGED_ON|ACCESSED|USED]-(x:User) WHERE r.day = i.day AND NOT x IN inside
WITH i, p, x, type(r) AS type, sum(r.count) AS count, min(r.first_seen) AS first_seen
WITH i, p, count(DISTINCT x) AS others, collect({user: x.name, type: type, count: count, first_seen: first_seen}) AS visits
WHERE others <= $most
UNWIND visits AS visit
RETURN i.id AS incident, p.name AS place, others, visit.user AS user,
  CASE visit.type WHEN 'USED' THEN 'acted from' ELSE 'reached' END AS how, visit.count AS count, visit.first_seen AS first_seen
ORDER BY incident, others, place, user, how
