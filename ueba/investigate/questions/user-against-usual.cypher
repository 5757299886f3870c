// Title: A user's day against the days before
// Purpose: The machines and resources of an account on a day, and which of them are new, usual or missing. Missing: not on this
//   day, but on at least half of the account's active days before.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   first (day, default day - 14): the first of the days to compare with
//   :param first => '2026-01-07'
// Columns:
//   status: new, usual or missing
//   role: reaches, or acts from
//   partner: the machine or resource
//   days_before: days before with this machine or resource
//   active_days: active days of the account before
//   last_before: the last day before with this machine or resource
//   count: events on the day
// Example: ueba ask user-against-usual --param user=mlopez@corp.example --param day=2026-01-21
MATCH (u:User {name: $user})
OPTIONAL MATCH (u)-[b:LOGGED_ON|ACCESSED]->()
WHERE b.day < $day AND b.day >= $first
WITH u, count(DISTINCT b.day) AS active_days
MATCH (u)-[r:LOGGED_ON|ACCESSED|USED]->(p)
WHERE r.day <= $day AND r.day >= $first
WITH p, active_days, CASE WHEN type(r) = 'USED' THEN 'acts from' ELSE 'reaches' END AS role,
  CASE WHEN r.day < $day THEN r.day END AS before, CASE WHEN r.day = $day THEN r.count ELSE 0 END AS now
WITH p, active_days, role, count(DISTINCT before) AS days_before, max(before) AS last_before, sum(now) AS count
WHERE count > 0 OR 2 * days_before >= active_days
RETURN CASE WHEN count = 0 THEN 'missing' WHEN days_before = 0 THEN 'new' ELSE 'usual' END AS status,
  role, p.name AS partner, days_before, active_days, last_before, count
ORDER BY CASE status WHEN 'new' THEN 0 WHEN 'missing' THEN 1 ELSE 2 END, role, days_before DESC, partner
