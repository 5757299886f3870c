// Title: Accounts that failed at a machine or resource and then succeeded
// Purpose: A password was guessed, or mistyped. Certain: an edge had only failures, and another edge with only successes has a
//   later event. Possible: an edge had both, and the order of its events is not in the graph.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   least (number, default 3): the fewest failures of the account there
//   :param least => 3
// Columns:
//   user: the account
//   target: the machine or resource
//   failures: failed events on the day
//   began: the first event of an edge with failures, UTC
//   succeeded: the last event of an edge with a success, UTC
//   certainty: certain or possible
//   sources: the sources of the edges with a success, sorted; empty text for an unknown source
// Example: ueba ask failures-then-success --param day=2026-01-21 --param least=10
MATCH (u)-[r:LOGGED_ON]->(t) WHERE r.day = $day AND r.failures > 0
WITH collect([u, r, t]) AS logons
CALL {
  MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day AND r.failures > 0
  RETURN collect([u, r, t]) AS accesses
}
UNWIND logons + accesses AS each
WITH each[0] AS u, each[1] AS r, each[2] AS t
WITH u, t, sum(r.failures) AS failures, min(r.first_seen) AS began,
  min(CASE WHEN r.failures = r.count THEN r.first_seen END) AS only_failed
WHERE failures >= $least
MATCH (u)-[s:LOGGED_ON|ACCESSED]->(t) WHERE s.day = $day AND s.count > s.failures AND s.last_seen >= began
WITH u, t, failures, began, only_failed, s ORDER BY s.source
WITH u, t, failures, began, only_failed, max(s.last_seen) AS succeeded, collect(DISTINCT s.source) AS sources,
  max(CASE WHEN s.failures = 0 THEN s.last_seen END) AS only_succeeded
RETURN u.name AS user, t.name AS target, failures, began, succeeded,
  CASE WHEN only_succeeded > only_failed THEN 'certain' ELSE 'possible' END AS certainty, sources
ORDER BY failures DESC, user, target
