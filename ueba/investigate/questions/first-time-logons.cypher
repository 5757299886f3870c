// Title: Accounts on machines that are new to them
// Purpose: Pairs of account and machine that are new on a day: the strangest first, then the machines that the fewest accounts
//   reach. Machines that more than `most` accounts reached on the day are left out: on a domain controller every account is new
//   once. For shares, applications and roles ask `new-resources`.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   most (number, default 50): the most accounts that reached the machine on the day
//   :param most => 50
// Columns:
//   user: the account
//   machine: the machine it reached
//   source: the machines it acted from, sorted; empty text for an unknown source
//   first_seen: the first event of the pair, UTC
//   count: events on the day
//   failures: failed events among these
//   accounts: how many accounts reached the machine on the day
//   surprise: nats, higher is stranger; empty unless the edge is among the strangest of a scored day
// Example: ueba ask first-time-logons --param day=2026-01-21 --param most=10
MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day = $day
WITH m, count(DISTINCT u) AS accounts WHERE accounts <= $most
MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day <= $day
WITH m, accounts, u, min(r.day) AS first WHERE first = $day
MATCH (u)-[r:LOGGED_ON]->(m)
WHERE r.day = $day
WITH u, m, accounts, r ORDER BY r.source
RETURN u.name AS user, m.name AS machine, collect(DISTINCT r.source) AS source, min(r.first_seen) AS first_seen,
  sum(r.count) AS count, sum(r.failures) AS failures, accounts, max(r.surprise) AS surprise
ORDER BY coalesce(surprise, -1.0) DESC, accounts, user, machine
