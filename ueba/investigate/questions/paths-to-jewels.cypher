// Title: The shortest observed path from an account to each crown jewel
// Purpose: Whether an account came, or others came on from where it was, to what must not be lost. Of each jewel the path of fewest
//   steps, up to three, and of those the one that arrives earliest. Each step was seen at or after the arrival at its beginning.
// Parameters:
//   user (text): the account to begin at
//   :param user => 'mlopez@corp.example'
//   jewel (names): machines or resources; give it once for each
//   :param jewel => ['dc01.corp.example', 'fs01.corp.example']
//   since (time): not before this time, UTC
//   :param since => '2026-01-21T08:00:00'
//   days (number, default 2): how long after that to look
//   :param days => 2
// Columns:
//   jewel: the machine or resource
//   hops: how many steps
//   arrival: when it could be reached, the earliest, UTC
//   path: names from the account to the jewel
//   times: the earliest arrival at each but the first of them, UTC
//   accounts: the account of each step
// Example: ueba ask paths-to-jewels --param user=mlopez@corp.example --param jewel=dc01.corp.example --param since=2026-01-21
CALL {
  UNWIND [localdatetime($since)] AS since
  MATCH (s:User {name: $user})
  MATCH (s)-[r:LOGGED_ON|ACCESSED|REACHED]->(t)
  WHERE t.name IN $jewel AND r.last_seen >= since AND r.first_seen <= since + duration({days: $days})
  RETURN t, 1 AS hops, CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END AS arrival, [s.name, t.name] AS path,
    [CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END] AS times,
    [coalesce(r.user, s.name)] AS accounts
 UNION ALL
  UNWIND [localdatetime($since)] AS since
  MATCH (s:User {name: $user})
  MATCH (s)-[r:LOGGED_ON|ACCESSED|REACHED]->(a:Machine)
  WHERE r.last_seen >= since AND r.first_seen <= since + duration({days: $days})
  WITH since, s, a, CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END AS at, coalesce(r.user, s.name) AS account
  ORDER BY at, account
  WITH since, s, a, collect({at: at, account: account})[0] AS one
  WITH since, s, a, one, one.at AS at
  MATCH (a)-[r:REACHED]->(t)
  WHERE t.name IN $jewel AND r.last_seen >= at AND r.first_seen <= since + duration({days: $days})
  RETURN t, 2 AS hops, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END AS arrival, [s.name, a.name, t.name] AS path,
    [at, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END] AS times, [one.account, r.user] AS accounts
 UNION ALL
  UNWIND [localdatetime($since)] AS since
  MATCH (s:User {name: $user})
  MATCH (s)-[r:LOGGED_ON|ACCESSED|REACHED]->(a:Machine)
  WHERE r.last_seen >= since AND r.first_seen <= since + duration({days: $days})
  WITH since, s, a, CASE WHEN r.first_seen < since THEN since ELSE r.first_seen END AS at, coalesce(r.user, s.name) AS account
  ORDER BY at, account
  WITH since, s, a, collect({at: at, account: account})[0] AS one
  WITH since, s, a, one, one.at AS at
  MATCH (a)-[r:REACHED]->(b:Machine)
  WHERE b <> s AND r.last_seen >= at AND r.first_seen <= since + duration({days: $days})
  WITH since, s, a, one, b, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END AS at, r.user AS account
  ORDER BY at, a.name, account
  WITH since, s, b, collect({via: a.name, before: one.at, first: one.account, at: at, account: account})[0]
    AS two
  WITH since, s, b, two, two.at AS at
  MATCH (b)-[r:REACHED]->(t)
  WHERE t.name IN $jewel AND r.last_seen >= at AND r.first_seen <= since + duration({days: $days})
  RETURN t, 3 AS hops, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END AS arrival,
    [s.name, two.via, b.name, t.name] AS path,
    [two.before, at, CASE WHEN r.first_seen < at THEN at ELSE r.first_seen END] AS times,
    [two.first, two.account, r.user] AS accounts
}
WITH t, hops, arrival, path, times, accounts ORDER BY hops, arrival, path, accounts
WITH t, collect({hops: hops, arrival: arrival, path: path, times: times, accounts: accounts})[0] AS best
RETURN t.name AS jewel, best.hops AS hops, best.arrival AS arrival, best.path AS path, best.times AS times,
  best.accounts AS accounts
ORDER BY hops, arrival, jewel, path
