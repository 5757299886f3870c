// Title: A user's day, in the order of time
// Purpose: Everything that an account reached on a day, from where and how.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   first_seen: the first event, UTC
//   last_seen: the last event, UTC
//   source: the machine it acted from, empty if unknown
//   target: the machine or resource it reached
//   kind: machine or resource
//   logon_types: sorted
//   auth_packages: sorted
//   count: events on the day
//   failures: failed events among these
//   surprise: nats, higher is stranger; empty unless the edge is among the strangest of a scored day
//   incident: the id of its incident, if it is in one
// Example: ueba ask user-day --param user=mlopez@corp.example --param day=2026-01-21
MATCH (u:User {name: $user})-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day = $day
RETURN r.first_seen AS first_seen, r.last_seen AS last_seen, r.source AS source, t.name AS target,
  CASE WHEN t:Machine THEN 'machine' ELSE 'resource' END AS kind, r.logon_types AS logon_types, r.auth_packages AS auth_packages,
  r.count AS count, r.failures AS failures, r.surprise AS surprise, r.incident AS incident
ORDER BY first_seen, last_seen, target, source
