// Title: Administrators on machines and resources where they were never before
// Purpose: First use of administrator rights: accounts seen with such rights, on a day on which they are first at a machine or
//   resource.
// Parameters:
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
// Columns:
//   user: the administrator
//   target: the machine or resource it was first at
//   source: the machines it came from, sorted; empty text if unknown
//   first_seen: the first event, UTC
//   count: events on the day
//   targets_before: at how many machines and resources it was before
//   surprise: nats, if the pair was among the day's strangest
// Example: ueba ask first-administrator-logons --param day=2026-01-21
MATCH (u:Privileged)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day <= $day
WITH u, t, min(r.day) AS first
WITH u, sum(CASE WHEN first < $day THEN 1 ELSE 0 END) AS targets_before,
  collect(CASE WHEN first = $day THEN t END) AS new
UNWIND new AS t
MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day = $day
WITH u, t, targets_before, r ORDER BY r.source
RETURN u.name AS user, t.name AS target, collect(DISTINCT r.source) AS source, min(r.first_seen) AS first_seen,
  sum(r.count) AS count, targets_before, max(r.surprise) AS surprise
ORDER BY first_seen, user, target
