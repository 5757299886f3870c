// Title: Logons without a known source
// Purpose: The log does not name their source, or the address could not be resolved: the blind spots of every question about
//   sources.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   target: the machine or resource that was reached
//   kind: machine or resource
//   users: how many accounts came without a known source
//   count: events on the day
//   failures: failed events among these
//   first_seen: the first event, UTC
//   last_seen: the last event, UTC
//   examples: up to five of the accounts, by name
// Example: ueba ask unresolved-sources --param day=2026-01-21
MATCH (u)-[r:LOGGED_ON]->(t) WHERE r.day = $day AND r.source = ''
WITH collect([u, r, t]) AS logons
CALL {
  MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day AND r.source = ''
  RETURN collect([u, r, t]) AS accesses
}
UNWIND logons + accesses AS each
WITH each[0] AS u, each[1] AS r, each[2] AS t
WITH u.name AS user, r, t ORDER BY user
WITH t, count(DISTINCT user) AS users, sum(r.count) AS count, sum(r.failures) AS failures,
  min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen, collect(DISTINCT user)[0..5] AS examples
RETURN t.name AS target, CASE WHEN t:Machine THEN 'machine' ELSE 'resource' END AS kind, users, count, failures,
  first_seen, last_seen, examples
ORDER BY count DESC, target, kind
