// Title: Accounts that were active at night
// Purpose: Accounts whose first or last event of an edge is at night, first those that rarely have such events. Between two ends
//   only the first and the last event of a day have a time.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   begins (number, default 22): the hour at which the night begins, UTC
//   :param begins => 22
//   ends (number, default 5): the hour at which the night ends, UTC
//   :param ends => 5
// Columns:
//   user: the account
//   kind: human, service, machine or anonymous
//   targets: how many machines and resources it reached at night
//   first_seen: the earliest first or last event at night, UTC
//   nights_before: days before with such events at night
//   days_before: active days before
// Example: ueba ask night-logons --param day=2026-01-21 --param begins=20 --param ends=6
MATCH (u)-[r:LOGGED_ON]->(t) WHERE r.day = $day
WITH collect([u, r, t]) AS logons
CALL {
  MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day
  RETURN collect([u, r, t]) AS accesses
}
UNWIND logons + accesses AS each
WITH each[0] AS u, each[1] AS r, each[2] AS t
UNWIND [r.first_seen, r.last_seen] AS at
WITH u, t, at
WHERE ($begins > $ends AND (at.hour >= $begins OR at.hour < $ends)) OR ($begins <= $ends AND at.hour >= $begins AND at.hour < $ends)
WITH u, count(DISTINCT t) AS targets, min(at) AS first_seen
OPTIONAL MATCH (u)-[r:LOGGED_ON|ACCESSED]->() WHERE r.day < $day
WITH u, targets, first_seen, r.day AS before, r.first_seen.hour AS a, r.last_seen.hour AS b
WITH u, targets, first_seen, count(DISTINCT before) AS days_before, count(DISTINCT CASE WHEN
    ($begins > $ends AND (a >= $begins OR a < $ends OR b >= $begins OR b < $ends))
    OR ($begins <= $ends AND ((a >= $begins AND a < $ends) OR (b >= $begins AND b < $ends))) THEN before END) AS nights_before
RETURN u.name AS user, u.kind AS kind, targets, first_seen, nights_before, days_before
ORDER BY nights_before, days_before DESC, user
