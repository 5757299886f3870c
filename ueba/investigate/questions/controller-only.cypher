// Title: Logons that only the domain controller saw
// Purpose: The machine that was reached should have logged them and did not: its log is not collected, or was cleared, or the
//   ticket was never used there.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   machine: the machine that was reached
//   users: how many accounts only the controller saw
//   count: events that only the controller saw
//   seen_itself: logons of the day that the machine logged itself
//   first_seen: the first event that only the controller saw, UTC
//   last_seen: the last event that only the controller saw, UTC
//   examples: up to five of the accounts, by name
// Example: ueba ask controller-only --param day=2026-01-21
MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day = $day AND r.witnesses > 0
WITH u, m, r, r.witnesses = 2 AS controller ORDER BY u.name
WITH m, count(DISTINCT CASE WHEN controller THEN u END) AS users, sum(CASE WHEN controller THEN r.count ELSE 0 END) AS count,
  sum(CASE WHEN r.witnesses % 2 = 1 THEN r.count ELSE 0 END) AS seen_itself,
  min(CASE WHEN controller THEN r.first_seen END) AS first_seen, max(CASE WHEN controller THEN r.last_seen END) AS last_seen,
  collect(DISTINCT CASE WHEN controller THEN u.name END)[0..5] AS examples
WHERE users > 0
RETURN m.name AS machine, users, count, seen_itself, first_seen, last_seen, examples
ORDER BY seen_itself DESC, count DESC, machine
