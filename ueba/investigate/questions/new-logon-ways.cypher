// Title: Logon types and packages that are new for a user
// Purpose: A person who always sits at a desk suddenly comes over the network; a Kerberos user suddenly shows NTLM.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
// Columns:
//   what: logon type or package
//   way: which
//   targets: where, sorted
//   first_seen: the first event of such an edge, UTC
//   count: events of these edges on the day
// Example: ueba ask new-logon-ways --param user=mlopez@corp.example --param day=2026-01-21
MATCH (u:User {name: $user})-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day <= $day
UNWIND [w IN r.logon_types | ['logon type', w]] + [w IN r.auth_packages | ['package', w]] AS pair
WITH pair[0] AS what, pair[1] AS way, t.name AS target, r ORDER BY target
WITH what, way, min(r.day) AS first, collect(DISTINCT target) AS targets, min(r.first_seen) AS first_seen, sum(r.count) AS count
WHERE first = $day
RETURN what, way, targets, first_seen, count
ORDER BY what, way
