// Title: Machines with a sudden audience
// Purpose: Machines that far more accounts reached than on any of the days before: a new service, a scan, a sprayed password.
// Parameters:
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
//   first (day, default day - 7): the first of the days to compare with
//   :param first => '2026-01-14'
//   least (number, default 5): accounts on the day, at least
//   :param least => 5
//   times (number, default 3): so many times the most on a day before, at least
//   :param times => 3
// Columns:
//   machine: the machine
//   accounts: how many accounts reached it on the day
//   most_before: the most on a day before, 0 if nobody came
//   sources: from how many machines they came on the day
//   failures: failed events on the day
// Example: ueba ask sudden-audience --param day=2026-01-21 --param times=2
MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day >= $first AND r.day <= $day
WITH m, r.day AS day, count(DISTINCT u) AS users
WITH m, max(CASE WHEN day = $day THEN users ELSE 0 END) AS accounts, max(CASE WHEN day < $day THEN users ELSE 0 END) AS most_before
WHERE accounts >= $least AND accounts >= $times * most_before
MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day = $day
RETURN m.name AS machine, accounts, most_before,
  count(DISTINCT CASE WHEN r.source <> '' THEN r.source END) AS sources, sum(r.failures) AS failures
ORDER BY accounts - most_before DESC, machine
