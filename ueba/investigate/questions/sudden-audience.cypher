// Title: Machines and resources that many more accounts reached than before
// Purpose: A new service, a scan, or a sprayed password.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   first (day, default day - 7): the first of the days to compare with
//   :param first => '2026-01-14'
//   least (number, default 5): the fewest accounts on the day
//   :param least => 5
//   times (number, default 3): the fewest accounts, as a multiple of the most on a day before
//   :param times => 3
// Columns:
//   target: the machine or resource
//   accounts: how many accounts reached it on the day
//   most_before: the most accounts on a day before, 0 if there were none
//   sources: how many machines they acted from on the day
//   failures: failed events on the day
// Example: ueba ask sudden-audience --param day=2026-01-21 --param times=2
MATCH (u)-[r:LOGGED_ON]->(t) WHERE r.day = $day
WITH collect([u, r, t]) AS logons
CALL {
  MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day
  RETURN collect([u, r, t]) AS accesses
}
UNWIND logons + accesses AS each
WITH each[0] AS u, each[1] AS r, each[2] AS t
WITH t, count(DISTINCT u) AS accounts, count(DISTINCT CASE WHEN r.source <> '' THEN r.source END) AS sources,
  sum(r.failures) AS failures
WHERE accounts >= $least
OPTIONAL MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day >= $first AND r.day < $day
WITH t, accounts, sources, failures, r.day AS day, count(DISTINCT u) AS users
WITH t, accounts, sources, failures, max(users) AS most_before WHERE accounts >= $times * most_before
RETURN t.name AS target, accounts, most_before, sources, failures
ORDER BY accounts - most_before DESC, target
