// Title: Users by how much they reached on a day
// Purpose: Breadth: scanners, administrators, and accounts that somebody tries everywhere.
// Parameters:
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
//   least (number, default 10): machines reached, at least
//   :param least => 10
// Columns:
//   user: the account
//   kind: human, service, machine or anonymous
//   machines: how many it reached
//   sources: from how many machines
//   count: events on the day
//   failures: failed ones among them
// Example: ueba ask broadest-users --param day=2026-01-21 --limit 20
MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day = $day
WITH u, count(DISTINCT m) AS machines, count(DISTINCT CASE WHEN r.source <> '' THEN r.source END) AS sources, sum(r.count) AS count,
  sum(r.failures) AS failures
WHERE machines >= $least
RETURN u.name AS user, u.kind AS kind, machines, sources, count, failures
ORDER BY machines DESC, user
