// Title: Who else went the way of an incident's edges
// Purpose: Accounts outside the incident that went from the same source to the same target, on any day in the graph: other
//   accounts in the same hands, or people to whom it is usual. Ways that more than `most` such accounts went are passed over.
// Parameters:
//   incident (incident): its id, or the beginning of it
//   :param incident => '20260121-3fa9'
//   most (number, default 20): other accounts on the same way, at most
//   :param most => 20
// Columns:
//   incident: its id
//   source: the machine acted from, empty if unknown
//   target: the machine or resource
//   others: how many other accounts went this way
//   user: one of them
//   first_day: the first day on which it did
//   last_day: the last
//   days: on how many
//   count: events on those days
//   failures: failed ones among them
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
