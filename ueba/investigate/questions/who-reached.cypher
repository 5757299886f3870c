// Title: The accounts that reached a machine or resource, from a time on
// Purpose: Whose credentials may be on it, and whom to ask.
// Parameters:
//   target (place): the machine or resource
//   :param target => 'fs01.corp.example'
//   since (time, default 0001-01-01): events from this time on, UTC
//   :param since => '2026-01-21T08:00:00'
// Columns:
//   kind: machine or resource; one name may be both
//   user: the account
//   source: the machine it acted from, empty if unknown
//   first_seen: the first event of its first day in that time, UTC
//   last_seen: the last event, UTC
//   days: days on which it came
//   count: events on these days
//   failures: failed events among these
// Example: ueba ask who-reached --param target=fs01.corp.example --param since=2026-01-21T08:00:00
CALL {
  MATCH (t:Machine {name: $target}) RETURN t
 UNION ALL
  MATCH (t:Resource {name: $target}) RETURN t
}
MATCH (u:User)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.last_seen >= localdatetime($since)
RETURN CASE WHEN t:Machine THEN 'machine' ELSE 'resource' END AS kind, u.name AS user, r.source AS source,
  min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen,
  count(DISTINCT r.day) AS days, sum(r.count) AS count, sum(r.failures) AS failures
ORDER BY first_seen, user, source, kind
