// Title: The shortest path from an account to each crown jewel
// Purpose: Whether the account, or any account from where it was, came to the most valuable machines and resources. For each of
//   them the path of the fewest steps, up to three, and of these the one that arrives first. Each step was seen at or after the
//   arrival at its start. Attempts that all failed reach nothing.
// Parameters:
//   user (user): the account at which the path begins
//   :param user => 'mlopez@corp.example'
//   jewel (places, default none): a valuable machine or resource, once for each; without any, the crown jewels of entity tables
//   :param jewel => ['dc01.corp.example', 'fs01.corp.example']
//   since (time): the earliest time of the first step, UTC
//   :param since => '2026-01-21T08:00:00'
//   days (number, default 2): days to look at from then on
//   :param days => 2
// Columns:
//   jewel: the machine or resource
//   hops: how many steps
//   arrival: the earliest arrival, UTC
//   path: names from the account to the jewel
//   times: the earliest arrival at each name of the path after the first, UTC
//   accounts: the account of each step
// Example: ueba ask paths-to-jewels --param user=mlopez@corp.example --param since=2026-01-21
CALL {
  UNWIND [localdatetime($since)] AS since
  MATCH (s:User {name: $user})-[r:LOGGED_ON|ACCESSED]->(t)
  WHERE (t.name IN $jewel OR (size($jewel) = 0 AND t.crown_jewel = true))
    AND r.failures < r.count AND r.last_seen >= since AND r.first_seen <= since + duration({days: $days})
  WITH t, CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END AS at
  RETURN t, 1 AS hops, at AS arrival, [$user, t.name] AS path, [at] AS times, [$user] AS accounts
 UNION ALL
  UNWIND [localdatetime($since)] AS since
  MATCH (s:User {name: $user})-[r:LOGGED_ON]->(a:Machine)
  WHERE r.failures < r.count AND r.last_seen >= since AND r.first_seen <= since + duration({days: $days})
  WITH since, a, min(CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END) AS one
  MATCH (a)-[r:REACHED]->(t)
  WHERE (t.name IN $jewel OR (size($jewel) = 0 AND t.crown_jewel = true))
    AND r.failures < r.count AND r.last_seen >= one AND r.first_seen <= since + duration({days: $days})
  WITH a, t, one, r.user AS account, CASE WHEN r.first_seen < one THEN one ELSE r.first_seen END AS two
  RETURN t, 2 AS hops, two AS arrival, [$user, a.name, t.name] AS path, [one, two] AS times, [$user, account] AS accounts
 UNION ALL
  UNWIND [localdatetime($since)] AS since
  MATCH (s:User {name: $user})-[r:LOGGED_ON]->(a:Machine)
  WHERE r.failures < r.count AND r.last_seen >= since AND r.first_seen <= since + duration({days: $days})
  WITH since, a, min(CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END) AS one
  MATCH (a)-[r:REACHED]->(b:Machine)
  WHERE r.failures < r.count AND r.last_seen >= one AND r.first_seen <= since + duration({days: $days})
  WITH since, a.name AS via, b, one, r.user AS account, CASE WHEN r.first_seen < one THEN one ELSE r.first_seen END AS two
  ORDER BY two, via, account
  WITH since, b, collect({via: via, one: one, account: account, two: two})[0] AS first
  WITH since, b, first, first.two AS two
  MATCH (b)-[r:REACHED]->(t)
  WHERE (t.name IN $jewel OR (size($jewel) = 0 AND t.crown_jewel = true))
    AND r.failures < r.count AND r.last_seen >= two AND r.first_seen <= since + duration({days: $days})
  WITH b, t, first, two, r.user AS account, CASE WHEN r.first_seen < two THEN two ELSE r.first_seen END AS three
  RETURN t, 3 AS hops, three AS arrival, [$user, first.via, b.name, t.name] AS path, [first.one, two, three] AS times,
    [$user, first.account, account] AS accounts
}
WITH t, hops, arrival, path, times, accounts ORDER BY hops, arrival, path, accounts
WITH t, collect({hops: hops, arrival: arrival, path: path, times: times, accounts: accounts})[0] AS best
RETURN t.name AS jewel, best.hops AS hops, best.arrival AS arrival, best.path AS path, best.times AS times,
  best.accounts AS accounts
ORDER BY hops, arrival, jewel, path
