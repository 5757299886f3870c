// Title: Paths from one entity to another that respect time
// Purpose: How an attacker can have come from an account or machine to a machine or resource: of the paths with one, two and
//   three steps, the one that arrives first. Each step, by any account, was seen at or after the arrival at its start. Attempts
//   that all failed reach nothing.
// Parameters:
//   start (entity): the account or machine at which the path begins
//   :param start => 'mlopez@corp.example'
//   target (place): the machine or resource at which the path ends
//   :param target => 'dc01.corp.example'
//   since (time): the earliest time of the first step, UTC
//   :param since => '2026-01-21T08:00:00'
//   hours (number, default 24): hours to look at from then on
//   :param hours => 24
// Columns:
//   kind: of the target: machine or resource
//   hops: how many steps
//   arrival: the earliest arrival at the target, UTC
//   path: names from start to target
//   times: the earliest arrival at each name of the path after the first, UTC
//   accounts: the account of each step
// Example: ueba ask paths-between --param start=mlopez@corp.example --param target=dc01.corp.example --param since=2026-01-21
CALL {
  UNWIND [localdatetime($since)] AS since
  CALL {
    MATCH (s:User {name: $start}) RETURN s
   UNION ALL
    MATCH (s:Machine {name: $start}) RETURN s
  }
  MATCH (s)-[r:LOGGED_ON|ACCESSED|REACHED]->(t)
  WHERE t.name = $target AND r.failures < r.count AND r.last_seen >= since AND r.first_seen <= since + duration({hours: $hours})
  RETURN t, 1 AS hops, CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END AS arrival, [s.name, t.name] AS path,
    [CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END] AS times,
    [coalesce(r.user, s.name)] AS accounts
 UNION ALL
  UNWIND [localdatetime($since)] AS since
  CALL {
    MATCH (s:User {name: $start}) RETURN s
   UNION ALL
    MATCH (s:Machine {name: $start}) RETURN s
  }
  MATCH (s)-[r:LOGGED_ON|ACCESSED|REACHED]->(a:Machine)
  WHERE a.name <> $target AND r.failures < r.count AND r.last_seen >= since AND r.first_seen <= since + duration({hours: $hours})
  WITH since, s, a, CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END AS at, coalesce(r.user, s.name) AS account
  ORDER BY at, account
  WITH since, s, a, collect({at: at, account: account})[0] AS one
  WITH since, s, a, one, one.at AS at
  MATCH (a)-[r:REACHED]->(t)
  WHERE t.name = $target AND r.failures < r.count AND r.last_seen >= at AND r.first_seen <= since + duration({hours: $hours})
  RETURN t, 2 AS hops, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END AS arrival, [s.name, a.name, t.name] AS path,
    [at, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END] AS times, [one.account, r.user] AS accounts
 UNION ALL
  UNWIND [localdatetime($since)] AS since
  CALL {
    MATCH (s:User {name: $start}) RETURN s
   UNION ALL
    MATCH (s:Machine {name: $start}) RETURN s
  }
  MATCH (s)-[r:LOGGED_ON|ACCESSED|REACHED]->(a:Machine)
  WHERE a.name <> $target AND r.failures < r.count AND r.last_seen >= since AND r.first_seen <= since + duration({hours: $hours})
  WITH since, s, a, CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END AS at, coalesce(r.user, s.name) AS account
  ORDER BY at, account
  WITH since, s, a, collect({at: at, account: account})[0] AS one
  WITH since, s, a, one, one.at AS at
  MATCH (a)-[r:REACHED]->(b:Machine)
  WHERE b <> s AND b.name <> $target AND r.failures < r.count AND r.last_seen >= at
    AND r.first_seen <= since + duration({hours: $hours})
  WITH since, s, a, one, b, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END AS at, r.user AS account
  ORDER BY at, a.name, account
  WITH since, s, b, collect({via: a.name, before: one.at, first: one.account, at: at, account: account})[0]
    AS two
  WITH since, s, b, two, two.at AS at
  MATCH (b)-[r:REACHED]->(t)
  WHERE t.name = $target AND r.failures < r.count AND r.last_seen >= at AND r.first_seen <= since + duration({hours: $hours})
  RETURN t, 3 AS hops, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END AS arrival,
    [s.name, two.via, b.name, t.name] AS path,
    [two.before, at, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END] AS times,
    [two.first, two.account, r.user] AS accounts
}
WITH t, hops, arrival, path, times, accounts ORDER BY arrival, path, accounts
WITH t, hops, collect({arrival: arrival, path: path, times: times, accounts: accounts})[0] AS best
RETURN CASE WHEN t:Machine THEN 'machine' ELSE 'resource' END AS kind, hops,
  best.arrival AS arrival, best.path AS path, best.times AS times, best.accounts AS accounts
ORDER BY hops, kind
