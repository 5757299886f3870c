// Title: Other accounts on the same way as an incident's edges
// Purpose: Accounts outside the incident that went from the same source to the same target, on any day in the graph: other
//   accounts that the attacker has, or accounts to which the way is usual. Ways of more than `most` other accounts are left out.
// Parameters:
//   incident (incident): its id, or the beginning of its id
//   :param incident => '20260121-3fa9'
//   most (number, default 20): the most other accounts on the same way
//   :param most => 20
// Columns:
//   incident: its id
//   source: the machine acted from, empty if unknown
//   target: the machine or resource
//   others: how many other accounts went this way
//   user: one of the other accounts
//   first_day: the first day on which it did
//   last_day: the last day on which it did
//   days: on how many days it did
//   count: events on these days
//   failures: failed events among these
// Example: ueba ask incident-same-way --param incident=20260121-3fa9
MATCH (i:Incident) WHERE i.id STARTS WITH $incident
MATCH (i)-[v:INVOLVES]->(u:User) WHERE v.role = 'user'
WITH i, collect(DISTINCT u) AS inside
UNWIND inside AS u
MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day = i.day AND r.incident = i.id
WITH DISTINCT i, inside, r.source AS source, t
MATCH (t)<-[r:LOGGED_ON|ACCESSED]-(x:User) WHERE r.source = source AND NOT x IN inside
WITH i, source, t, x, min(r.day) AS first_day, max(r.day) AS last_day, count(DISTINCT r.day) AS days, sum(r.count) AS count,
  sum(r.failures) AS failures
WITH i, source, t, count(x) AS others,
  collect({user: x.name, first_day: first_day, last_day: last_day, days: days, count: count, failures: failures}) AS visits
WHERE others <= $most
UNWIND visits AS visit
RETURN i.id AS incident, source, t.name AS target, others, visit.user AS user, visit.first_day AS first_day,
  visit.last_day AS last_day, visit.days AS days, visit.count AS count, visit.failures AS failures
ORDER BY incident, others, source, target, user
