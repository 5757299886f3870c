// Title: What a user reaches that its peers do not, and the other way round
// Purpose: What only the user reaches is either its own task or not its business; what most peers reach and it does not may be
//   what it is about to be given, or what it should have been.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
//   least (number, default 2): of what the user does not reach: peers that do, at least
//   :param least => 2
// Columns:
//   who: user only, or peers only
//   target: the machine or resource
//   kind: machine or resource
//   peers: how many peers reach it
//   of: how many peers there are
//   days: days on which the user, or any of the peers, did
//   last_day: the last of them
// Example: ueba ask user-beside-peers --param user=mlopez@corp.example
MATCH (u:User {name: $user})-[:PEER_OF]->(v:User)
WITH u, collect(DISTINCT v) AS peers
UNWIND [u] + peers AS who
MATCH (who)-[r:LOGGED_ON|ACCESSED]->(t)
WITH u, peers, t, count(DISTINCT CASE WHEN who = u THEN u.name END) AS user,
  count(DISTINCT CASE WHEN who <> u THEN who.name END) AS them,
  count(DISTINCT r.day) AS days, max(r.day) AS last_day
WHERE (user = 1 AND them = 0) OR (user = 0 AND them >= $least)
RETURN CASE WHEN user = 1 THEN 'user only' ELSE 'peers only' END AS who, t.name AS target,
  CASE WHEN t:Machine THEN 'machine' ELSE 'resource' END AS kind, them AS peers, size(peers) AS of, days, last_day
ORDER BY who DESC, peers DESC, days DESC, target
