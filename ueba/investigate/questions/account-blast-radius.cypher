// Title: What an account can have touched from a time on
// Purpose: The blast radius of a stolen account: what it reached itself, and what any account reached from there, in up to three
//   steps. A step counts if it was seen at or after the arrival at its start. Between two ends only the first and the last event of
//   a day have a time: if the arrival is between them, the step is taken at once, so that the answer overstates and misses nothing.
//   Attempts that all failed reach nothing.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
//   since (time): the time from which the attacker has the account, UTC
//   :param since => '2026-01-21T08:00:00'
//   hours (number, default 24): hours to look at from then on
//   :param hours => 24
// Columns:
//   hops: the fewest steps
//   arrival: the earliest arrival in that many steps, UTC
//   place: the machine or resource
//   kind: machine or resource
//   via: the machine that the last step came from, empty if unknown
//   account: the account of the last step
// Example: ueba ask account-blast-radius --param user=mlopez@corp.example --param since=2026-01-21T08:00:00
CALL {
  UNWIND [localdatetime($since)] AS since
  MATCH (u:User {name: $user})-[r:LOGGED_ON|ACCESSED]->(p)
  WHERE r.failures < r.count AND r.last_seen >= since AND r.first_seen <= since + duration({hours: $hours})
  RETURN p, 1 AS hops, CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END AS arrival,
    r.source AS via, $user AS account
 UNION ALL
  UNWIND [localdatetime($since)] AS since
  MATCH (u:User {name: $user})-[r:LOGGED_ON]->(a:Machine)
  WHERE r.failures < r.count AND r.last_seen >= since AND r.first_seen <= since + duration({hours: $hours})
  WITH since, a, min(CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END) AS at
  MATCH (a)-[r:REACHED]->(p)
  WHERE r.failures < r.count AND r.last_seen >= at AND r.first_seen <= since + duration({hours: $hours})
  RETURN p, 2 AS hops, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END AS arrival, a.name AS via, r.user AS account
 UNION ALL
  UNWIND [localdatetime($since)] AS since
  MATCH (u:User {name: $user})-[r:LOGGED_ON]->(a:Machine)
  WHERE r.failures < r.count AND r.last_seen >= since AND r.first_seen <= since + duration({hours: $hours})
  WITH since, a, min(CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END) AS at
  MATCH (a)-[r:REACHED]->(b:Machine)
  WHERE r.failures < r.count AND r.last_seen >= at AND r.first_seen <= since + duration({hours: $hours})
  WITH since, b, min(CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END) AS at
  MATCH (b)-[r:REACHED]->(p)
  WHERE r.failures < r.count AND r.last_seen >= at AND r.first_seen <= since + duration({hours: $hours})
  RETURN p, 3 AS hops, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END AS arrival, b.name AS via, r.user AS account
}
WITH p, hops, arrival, via, account ORDER BY hops, arrival, via, account
WITH p, collect({hops: hops, arrival: arrival, via: via, account: account})[0] AS best
RETURN best.hops AS hops, best.arrival AS arrival, p.name AS place, CASE WHEN p:Machine THEN 'machine' ELSE 'resource' END AS kind,
  best.via AS via, best.account AS account
ORDER BY hops, arrival, place, kind
