// Title: Machines with a sudden audience
// Purpose: Machines that far more accounts reached than on any of the days before: a new service, a scan, a sprayed password.
// Parameters:
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
//   days (number, default 7): days before it to compare with
//   :param days => 7
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
MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day <= $day AND r.day >= toString(date($day) - duration({days: $days}))
WITH m, r.day AS day, count(DISTINCT u) AS accounts, count(DISTINCT r.source) AS sources, sum(r.failures) AS failures
WITH m, max(CASE WHEN day = $day THEN accounts ELSE 0 END) AS accounts,
  max(CASE WHEN day < $day THEN accounts ELSE 0 END) AS most_before,
  max(CASE WHEN day = $day THEN sources ELSE 0 END) AS sources, max(CASE WHEN day = $day THEN failures ELSE 0 END) AS failures
WHERE accounts >= $least AND accounts >= $times * most_before
RETURN m.name AS machine, accounts, most_before, sources, failures
ORDER BY accounts - most_before DESC, machine
