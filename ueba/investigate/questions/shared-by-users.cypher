// Title: Machines and resources that two accounts share
// Purpose: Where one account's credentials can have come to the other.
// Parameters:
//   user (user): one account
//   :param user => 'mlopez@corp.example'
//   other (user): the other account
//   :param other => 'asmith@corp.example'
// Columns:
//   place: the machine or resource
//   kind: machine or resource
//   user_how: reached, acted from, or both
//   other_how: the same for the other account
//   same_days: days on which both were there
//   last_day: the last of these days, if any
// Example: ueba ask shared-by-users --param user=mlopez@corp.example --param other=asmith@corp.example
MATCH (u:User {name: $user})-[r:LOGGED_ON|ACCESSED|USED]->(p)
WITH p, collect(DISTINCT r.day) AS days, count(DISTINCT CASE WHEN type(r) = 'USED' THEN 'from' ELSE 'to' END) AS ways,
  max(type(r)) AS type
MATCH (o:User {name: $other})-[s:LOGGED_ON|ACCESSED|USED]->(p)
WITH p, ways, type, count(DISTINCT CASE WHEN type(s) = 'USED' THEN 'from' ELSE 'to' END) AS other_ways, max(type(s)) AS other_type,
  count(DISTINCT CASE WHEN s.day IN days THEN s.day END) AS same_days, max(CASE WHEN s.day IN days THEN s.day END) AS last_day
RETURN p.name AS place, CASE WHEN p:Machine THEN 'machine' ELSE 'resource' END AS kind,
  CASE WHEN ways = 2 THEN 'both' WHEN type = 'USED' THEN 'acted from' ELSE 'reached' END AS user_how,
  CASE WHEN other_ways = 2 THEN 'both' WHEN other_type = 'USED' THEN 'acted from' ELSE 'reached' END AS other_how,
  same_days, last_day
ORDER BY same_days DESC, place, kind
