// Title: Accounts that woke after a quiet time
// Purpose: Dormant accounts are taken over because nobody misses them. Active on the day and long before, and not in between.
// Parameters:
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
//   quiet (number, default 7): days before the day without any event, at least
//   :param quiet => 7
// Columns:
//   user: the account
//   kind: human, service, machine or anonymous
//   last_before: the last day before on which it was active
//   days_before: days on which it was active before
//   targets: what it reached on the day, sorted
//   first_seen: the first event of the day, UTC
// Example: ueba ask woken-accounts --param day=2026-01-21 --param quiet=14
MATCH (u)-[r:LOGGED_ON]->() WHERE r.day = $day
WITH DISTINCT u
WHERE NOT EXISTS {
  MATCH (u)-[e:LOGGED_ON|ACCESSED]->()
  WHERE e.day < $day AND e.day >= toString(date($day) - duration({days: $quiet}))
}
MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day <= $day
WITH u, max(CASE WHEN r.day < $day THEN r.day END) AS last_before,
  count(DISTINCT CASE WHEN r.day < $day THEN r.day END) AS days_before,
  min(CASE WHEN r.day = $day THEN r.first_seen END) AS first_seen
WHERE days_before > 0
MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day = $day
WITH u, last_before, days_before, first_seen, t ORDER BY t.name
RETURN u.name AS user, u.kind AS kind, last_before, days_before, collect(DISTINCT t.name) AS targets, first_seen
ORDER BY last_before, user
