// Title: Accounts on resources that are new to them
// Purpose: Pairs of account and resource (a share, application or role) that are new on a day: the strangest first, then the
//   resources that the fewest accounts reached before.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   user: the account
//   resource: the share, application or role
//   source: the machines it acted from, sorted; empty text for an unknown source
//   first_seen: the first event of the pair, UTC
//   count: events on the day
//   accounts_before: how many accounts reached it before
//   surprise: nats, higher is stranger; empty unless the edge is among the strangest of a scored day
// Example: ueba ask new-resources --param day=2026-01-21
MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day
WITH DISTINCT u, t
WHERE NOT EXISTS { MATCH (u)-[e:ACCESSED]->(t) WHERE e.day < $day }
WITH t, collect(u) AS users
OPTIONAL MATCH (x)-[e:ACCESSED]->(t) WHERE e.day < $day
WITH t, users, count(DISTINCT x) AS accounts_before
UNWIND users AS u
MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day
WITH u, t, accounts_before, r ORDER BY r.source
RETURN u.name AS user, t.name AS resource, collect(DISTINCT r.source) AS source, min(r.first_seen) AS first_seen,
  sum(r.count) AS count, accounts_before, max(r.surprise) AS surprise
ORDER BY coalesce(surprise, -1.0) DESC, accounts_before, user, resource
