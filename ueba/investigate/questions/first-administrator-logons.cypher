// Title: Administrators on machines where they were never before
// Purpose: First use of administrator rights: accounts seen with such rights, on a day on which they first log on to a machine.
// Parameters:
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
// Columns:
//   user: the administrator
//   machine: the machine it first logged on to
//   source: the machines it came from, sorted; empty text if unknown
//   first_seen: the first event, UTC
//   count: events on the day
//   machines_before: how many machines it had logged on to before
//   surprise: nats, if the pair was among the day's strangest
// Example: ueba ask first-administrator-logons --param day=2026-01-21
MATCH (u:Privileged)-[r:LOGGED_ON]->(m:Machine) WHERE r.day <= $day
WITH u, m, min(r.day) AS first
WITH u, sum(CASE WHEN first < $day THEN 1 ELSE 0 END) AS machines_before,
  collect(CASE WHEN first = $day THEN m END) AS new
UNWIND new AS m
MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day = $day
WITH u, m, machines_before, r ORDER BY r.source
RETURN u.name AS user, m.name AS machine, collect(DISTINCT r.source) AS source, min(r.first_seen) AS first_seen,
  sum(r.count) AS count, machines_before, max(r.surprise) AS surprise
ORDER BY first_seen, user, machine
