// Title: Chains of machines that an account went through on a day
// Purpose: From A to B, from B to C and from C to D, by one account and in the order of time, is what lateral movement looks
//   like. Attempts that all failed do not count.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   path: the machines, three or four
//   times: the earliest time of each step, UTC
// Example: ueba ask chains-of-user --param user=mlopez@corp.example --param day=2026-01-21
MATCH (u:User {name: $user})-[r:LOGGED_ON]->(m:Machine)
WHERE r.day = $day AND r.failures < r.count AND r.source <> '' AND r.source <> m.name
WITH u, r.source AS a, m.name AS b, r.first_seen AS one
MATCH (u)-[r:LOGGED_ON]->(m:Machine)
WHERE r.day = $day AND r.failures < r.count AND r.source = b AND m.name <> b AND m.name <> a AND r.last_seen >= one
WITH u, a, b, one, m.name AS c, CASE WHEN r.first_seen < one THEN one ELSE r.first_seen END AS two
OPTIONAL MATCH (u)-[r:LOGGED_ON]->(m:Machine)
WHERE r.day = $day AND r.failures < r.count AND r.source = c AND m.name <> c AND m.name <> b AND m.name <> a AND r.last_seen >= two
WITH a, b, c, m.name AS d, one, two, CASE WHEN r.first_seen < two THEN two ELSE r.first_seen END AS three
RETURN CASE WHEN d IS NULL THEN [a, b, c] ELSE [a, b, c, d] END AS path,
  CASE WHEN d IS NULL THEN [one, two] ELSE [one, two, three] END AS times
ORDER BY one, two, a, b, c, coalesce(d, '')
