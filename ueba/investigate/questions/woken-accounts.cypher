// Title: Accounts that are active again after a quiet time
// Purpose: Nobody misses a dormant account that is taken over. Active on the day and before `first`, and not in between.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   first (day, default day - 7): the first day of the quiet time
//   :param first => '2026-01-14'
// Columns:
//   user: the account
//   kind: human, service, machine or anonymous
//   last_before: the last active day before
//   days_before: active days before
//   targets: names of the machines and resources it reached on the day, sorted
//   first_seen: the first event of the day, UTC
// Example: ueba ask woken-accounts --param day=2026-01-21 --param first=2026-01-07
MATCH (u:User) WHERE NOT EXISTS { MATCH (u)-[e:LOGGED_ON|ACCESSED]->() WHERE e.day >= $first AND e.day < $day }
WITH u
MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day <= $day
WITH u, r, t ORDER BY t.name
WITH u, max(CASE WHEN r.day < $day THEN r.day END) AS last_before,
  count(DISTINCT CASE WHEN r.day < $day THEN r.day END) AS days_before,
  min(CASE WHEN r.day = $day THEN r.first_seen END) AS first_seen,
  collect(DISTINCT CASE WHEN r.day = $day THEN t.name END) AS targets
WHERE days_before > 0 AND size(targets) > 0
RETURN u.name AS user, u.kind AS kind, last_before, days_before, targets, first_seen
ORDER BY last_before, user
