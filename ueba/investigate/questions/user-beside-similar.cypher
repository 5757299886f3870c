// Title: What an account reaches that similar accounts do not, and the other way round
// Purpose: What only the account reaches is either its own task or none of its business. What most similar accounts reach and it
//   does not may be what it will be given next, or should have been given. Needs `SIMILAR_TO` in the graph.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
//   least (number, default 2): the fewest similar accounts that reach what the account does not
//   :param least => 2
// Columns:
//   who: user only, or similar only
//   target: the machine or resource
//   kind: machine or resource
//   similar: how many similar accounts reach it
//   of: how many similar accounts there are
//   days: days on which the account, or any similar account, reached it
//   last_day: the last of these days
// Example: ueba ask user-beside-similar --param user=mlopez@corp.example
MATCH (u:User {name: $user})-[:SIMILAR_TO]->(v:User)
WITH u, collect(DISTINCT v) AS similar
UNWIND [u] + similar AS who
MATCH (who)-[r:LOGGED_ON|ACCESSED]->(t)
WITH u, similar, t, count(DISTINCT CASE WHEN who = u THEN u.name END) AS user,
  count(DISTINCT CASE WHEN who <> u THEN who.name END) AS them,
  count(DISTINCT r.day) AS days, max(r.day) AS last_day
WHERE (user = 1 AND them = 0) OR (user = 0 AND them >= $least)
RETURN CASE WHEN user = 1 THEN 'user only' ELSE 'similar only' END AS who, t.name AS target,
  CASE WHEN t:Machine THEN 'machine' ELSE 'resource' END AS kind, them AS similar, size(similar) AS of, days, last_day
ORDER BY who DESC, similar DESC, days DESC, target
