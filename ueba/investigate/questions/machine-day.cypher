// Title: A machine's day, in the order of time
// Purpose: Who reached a machine on a day, and what was reached from it. For a resource ask `who-reached`.
// Parameters:
//   machine (machine): the machine
//   :param machine => 'fs01.corp.example'
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   first_seen: the first event, UTC
//   last_seen: the last event, UTC
//   direction: in: it was reached; out: it was acted from
//   user: the account
//   other: in: the source, empty if unknown; out: the target
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
