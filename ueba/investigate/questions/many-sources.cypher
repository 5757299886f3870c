// Title: Accounts that acted from many machines on a day
// Purpose: A person has a desktop, a laptop, perhaps a server. An account with many sources is shared, or stolen.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   least (number, default 5): the fewest machines acted from
//   :param least => 5
// Columns:
//   user: the account
//   kind: human, service, machine or anonymous
//   sources: how many machines it acted from
//   new_sources: the machines that it never acted from before, sorted
//   count: events on the day
// Example: ueba ask many-sources --param day=2026-01-21
MATCH (u)-[r:USED]->(m) WHERE r.day = $day
WITH u, count(DISTINCT m) AS sources, sum(r.count) AS count
WHERE sources >= $least
MATCH (u)-[r:USED]->(m) WHERE r.day <= $day
WITH u, sources, count, m.name AS name, min(r.day) AS first ORDER BY name
RETURN u.name AS user, u.kind AS kind, sources, collect(CASE WHEN first = $day THEN name END) AS new_sources, count
ORDER BY sources DESC, user
