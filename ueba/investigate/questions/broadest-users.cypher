// Title: Accounts by the number of machines and resources they reached on a day
// Purpose: Breadth finds scanners, administrators, and accounts that an attacker tries everywhere.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   least (number, default 10): the fewest machines and resources together
//   :param least => 10
// Columns:
//   user: the account
//   kind: human, service, machine or anonymous
//   machines: how many machines it reached or tried to reach
//   resources: how many resources it reached or tried to reach
//   sources: how many machines it acted from
//   count: events on the day
//   failures: failed events among these
// Example: ueba ask broadest-users --param day=2026-01-21 --limit 20
MATCH (u)-[r:LOGGED_ON]->(t) WHERE r.day = $day
WITH collect([u, r, t]) AS logons
CALL {
  MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day
  RETURN collect([u, r, t]) AS accesses
}
UNWIND logons + accesses AS each
WITH each[0] AS u, each[1] AS r, each[2] AS t
WITH u, count(DISTINCT CASE WHEN t:Machine THEN t END) AS machines, count(DISTINCT CASE WHEN t:Resource THEN t END) AS resources,
  count(DISTINCT CASE WHEN r.source <> '' THEN r.source END) AS sources, sum(r.count) AS count, sum(r.failures) AS failures
WHERE machines + resources >= $least
RETURN u.name AS user, u.kind AS kind, machines, resources, sources, count, failures
ORDER BY machines + resources DESC, user
