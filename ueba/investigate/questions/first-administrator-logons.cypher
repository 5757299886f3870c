// Title: Administrators on machines and resources that are new to them
// Purpose: The first use of administrator rights somewhere: accounts with such rights, on a day on which they reach a machine or
//   resource for the first time in the graph.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   user: the administrator
//   target: the machine or resource that is new to it
//   source: the machines it acted from, sorted; empty text for an unknown source
//   first_seen: the first event, UTC
//   count: events on the day
//   targets_before: how many machines and resources it reached before
//   surprise: nats, higher is stranger; empty unless the edge is among the strangest of a scored day
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
