// Title: Logons from nowhere
// Purpose: Logons whose source the log does not tell or nobody could resolve: the blind spots of every question about sources.
// Parameters:
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
// Columns:
//   machine: the machine or resource that was reached
//   users: how many accounts came from nowhere
//   count: events on the day
//   failures: failed ones among them
//   first_seen: the first event, UTC
//   last_seen: the last event, UTC
//   examples: some of the accounts, by name
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
RETURN t.name AS machine, count(DISTINCT user) AS users, sum(r.count) AS count, sum(r.failures) AS failures,
  min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen, collect(DISTINCT user)[0..5] AS examples
ORDER BY count DESC, machine
