// Title: Accounts on machines where the graph has never seen them
// Purpose: New pairs of account and machine on a day, strangest first, then the machines that fewest accounts reach. Machines
//   that more than `most` accounts reached on the day are passed over: on a domain controller everybody is new once. Of shares,
//   applications and roles `new-resources` tells.
// Parameters:
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
//   most (number, default 50): accounts on the machine on that day, at most
//   :param most => 50
// Columns:
//   user: the account
//   machine: the machine it reached
//   source: the machines it came from, sorted; empty text if unknown
//   first_seen: the first event of the pair, UTC
//   count: events on the day
//   failures: failed ones among them
//   accounts: how many accounts reached the machine on the day
//   surprise: nats, if the pair was among the day's strangest
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
