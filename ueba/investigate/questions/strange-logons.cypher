// Title: A day's scored edges, the strangest first
// Purpose: Where to begin with a day. Only the strangest edges of a day have a surprise, so the list is short.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   user: the account
//   source: the machine it acted from, empty if unknown
//   target: the machine or resource it reached
//   surprise: nats, higher is stranger
//   p_value: how often a user as broad has an edge this surprising on a normal day; in (0, 1]
//   count: events on the day
//   failures: failed events among these
//   first_seen: the first event, UTC
//   last_seen: the last event, UTC
//   incident: the id of its incident, if it is in one
// Example: ueba ask strange-logons --param day=2026-01-21
MATCH (u)-[r:LOGGED_ON]->(t) WHERE r.day = $day AND r.surprise IS NOT NULL
WITH collect([u, r, t]) AS logons
CALL {
  MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day AND r.surprise IS NOT NULL
  RETURN collect([u, r, t]) AS accesses
}
UNWIND logons + accesses AS each
WITH each[0] AS u, each[1] AS r, each[2] AS t
RETURN u.name AS user, r.source AS source, t.name AS target, r.surprise AS surprise, r.p_value AS p_value,
  r.count AS count, r.failures AS failures, r.first_seen AS first_seen, r.last_seen AS last_seen, r.incident AS incident
ORDER BY p_value, surprise DESC, user, target, source
