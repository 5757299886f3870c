// Title: Who else was on an incident's machines and resources that day
// Purpose: Accounts outside the incident that reached its machines and resources or acted from its machines: whose credentials
//   may be lost, and whom to ask. Those with more than `most` such accounts are passed over: on a domain controller is everybody.
// Parameters:
//   incident (incident): its id, or the beginning of it
//   :param incident => '20260121-3fa9'
//   most (number, default 20): other accounts there on that day, at most
//   :param most => 20
// Columns:
//   incident: its id
//   place: the incident's machine or resource
//   others: how many other accounts were there
//   user: the other account
//   how: reached, or acted from
//   count: events on the day
//   first_seen: the first event, UTC; empty if it acted from it, of which only the day is known
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
