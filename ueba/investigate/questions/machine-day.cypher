// Title: A machine's day, in time order
// Purpose: Who reached a machine on a day and what was reached from it, as one story. Of a resource `who-reached` tells.
// Parameters:
//   machine (machine): the machine
//   :param machine => 'fs01.corp.example'
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
// Columns:
//   first_seen: the first event, UTC
//   last_seen: the last event, UTC
//   direction: in, or out
//   user: the account
//   other: where it came from (in; empty if unknown) or what it reached (out)
//   count: events on the day
// Example: ueba ask machine-day --param machine=fs01.corp.example --param day=2026-01-21
CALL {
  MATCH (m:Machine {name: $machine})<-[r:LOGGED_ON]-(u) WHERE r.day = $day
  RETURN 'in' AS direction, u.name AS user, r.source AS other,
    r.first_seen AS first_seen, r.last_seen AS last_seen, r.count AS count
 UNION ALL
  MATCH (m:Machine {name: $machine})-[r:REACHED]->(t) WHERE r.day = $day
  RETURN 'out' AS direction, r.user AS user, t.name AS other,
    r.first_seen AS first_seen, r.last_seen AS last_seen, r.count AS count
}
RETURN first_seen, last_seen, direction, user, other, count
ORDER BY first_seen, last_seen, direction, user, other
