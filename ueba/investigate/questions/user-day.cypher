// Title: A user's day, in time order
// Purpose: Everything an account reached on a day, from where and how.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
// Columns:
//   first_seen: the first event, UTC
//   last_seen: the last event, UTC
//   source: the machine it acted from, empty if unknown
//   target: the machine or resource it reached
//   kind: machine or resource
//   logon_types: how
//   auth_packages: with what
//   count: events on the day
//   failures: failed ones among them
//   surprise: nats, if it was among the day's strangest
//   incident: the incident it is in, if any
// Example: ueba ask user-day --param user=mlopez@corp.example --param day=2026-01-21
MATCH (u:User {name: $user})-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day = $day
RETURN r.first_seen AS first_seen, r.last_seen AS last_seen, r.source AS source, t.name AS target,
  CASE WHEN t:Machine THEN 'machine' ELSE 'resource' END AS kind, r.logon_types AS logon_types, r.auth_packages AS auth_packages,
  r.count AS count, r.failures AS failures, r.surprise AS surprise, r.incident AS incident
ORDER BY first_seen, last_seen, target, source
