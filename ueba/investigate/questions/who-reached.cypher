// Title: Who reached this machine or resource, from where, from when on
// Purpose: Whose credentials may lie on it, and who to ask.
// Parameters:
//   target (place): the machine or resource
//   :param target => 'fs01.corp.example'
//   since (time, default 0001-01-01): events from this time on, UTC
//   :param since => '2026-01-21T08:00:00'
// Columns:
//   user: the account
//   source: the machine it came from, empty if unknown
//   first_seen: the first event of its first day in the span, UTC
//   last_seen: the last event, UTC
//   days: days on which it came
//   count: events on those days
//   failures: failed ones among them
// Example: ueba ask who-reached --param target=fs01.corp.example --param since=2026-01-21T08:00:00
CALL {
  MATCH (t:Machine {name: $target}) RETURN t
 UNION ALL
  MATCH (t:Resource {name: $target}) RETURN t
}
MATCH (u:User)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.last_seen >= localdatetime($since)
RETURN u.name AS user, r.source AS source, min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen,
  count(DISTINCT r.day) AS days, sum(r.count) AS count, sum(r.failures) AS failures
ORDER BY first_seen, user, source
