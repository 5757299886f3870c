// Title: Sources from which many accounts failed to log on
// Purpose: Many accounts that fail from one machine: a sprayed password. Also lists the accounts among these that succeeded from
//   there.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   least (number, default 3): the fewest accounts that failed from the source
//   :param least => 3
// Columns:
//   source: the machine acted from, empty if unknown
//   failed_accounts: how many accounts failed from it
//   failures: failed events among these
//   targets: how many machines and resources these events were on
//   succeeded: accounts among these that also succeeded somewhere from the source, sorted
//   first_seen: the first event of edges with failures, UTC
//   last_seen: the last event of edges with failures, UTC
// Example: ueba ask sprayed-passwords --param day=2026-01-21 --param least=5
MATCH (u)-[r:LOGGED_ON]->(t) WHERE r.day = $day AND r.failures > 0
WITH collect([u, r, t]) AS logons
CALL {
  MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day AND r.failures > 0
  RETURN collect([u, r, t]) AS accesses
}
UNWIND logons + accesses AS each
WITH each[0] AS u, each[1] AS r, each[2] AS t
WITH r.source AS source, collect(DISTINCT u) AS users, sum(r.failures) AS failures, count(DISTINCT t) AS targets,
  min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen
WHERE size(users) >= $least
UNWIND users AS u
OPTIONAL MATCH (u)-[r:LOGGED_ON|ACCESSED]->() WHERE r.day = $day AND r.source = source AND r.count > r.failures
WITH DISTINCT source, users, failures, targets, first_seen, last_seen, CASE WHEN r IS NOT NULL THEN u.name END AS name ORDER BY name
RETURN source, size(users) AS failed_accounts, failures, targets, collect(name) AS succeeded, first_seen, last_seen
ORDER BY failed_accounts DESC, source
