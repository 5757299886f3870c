// Title: Logon types and authentication packages that are new for an account
// Purpose: An account that always logs on at a desk suddenly comes over the network; an account that always uses Kerberos
//   suddenly uses NTLM.
// Parameters:
//   user (user): the account
//   :param user => 'mlopez@corp.example'
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   what: logon type or package
//   way: the logon type or package
//   targets: names of the machines and resources it reached in this way, sorted
//   first_seen: the first event of an edge with it, UTC
//   count: events of edges with it on the day
// Example: ueba ask new-logon-ways --param user=mlopez@corp.example --param day=2026-01-21
MATCH (u:User {name: $user})-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day <= $day
UNWIND [w IN r.logon_types | ['logon type', w]] + [w IN r.auth_packages | ['package', w]] AS pair
WITH pair[0] AS what, pair[1] AS way, t.name AS target, r ORDER BY target
WITH what, way, min(r.day) AS first, collect(DISTINCT target) AS targets, min(r.first_seen) AS first_seen, sum(r.count) AS count
WHERE first = $day
RETURN what, way, targets, first_seen, count
ORDER BY what, way
