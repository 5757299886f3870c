// Title: Accounts that use an authentication package for the first time
// Purpose: NTLM from an account that never used it before: a passed hash, a relay, or an address typed instead of a name.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   package (text, default NTLM): the authentication package, as the log spells it
//   :param package => 'NTLM'
// Columns:
//   user: the account
//   kind: human, service, machine or anonymous
//   targets: names of the machines and resources it reached with the package, sorted
//   sources: the machines it acted from with the package, sorted; empty text for an unknown source
//   first_seen: the first event of an edge with the package, UTC
//   count: events of edges with the package on the day
//   days_before: active days of the account before this day
// Example: ueba ask first-use-of-package --param day=2026-01-21 --param package=NTLM
MATCH (u)-[r:LOGGED_ON]->(t) WHERE r.day = $day AND $package IN r.auth_packages
WITH collect([u, r, t]) AS logons
CALL {
  MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day AND $package IN r.auth_packages
  RETURN collect([u, r, t]) AS accesses
}
UNWIND logons + accesses AS each
WITH each[0] AS u, each[1] AS r, each[2] AS t
WITH u, t.name AS target, r ORDER BY target
WITH u, collect(DISTINCT target) AS targets, collect(DISTINCT r.source) AS some, min(r.first_seen) AS first_seen,
  sum(r.count) AS count
OPTIONAL MATCH (u)-[e:LOGGED_ON|ACCESSED]->() WHERE e.day < $day
WITH u, targets, some, first_seen, count, count(DISTINCT e.day) AS days_before,
  sum(CASE WHEN $package IN e.auth_packages THEN 1 ELSE 0 END) AS used
WHERE used = 0
UNWIND some AS source
WITH u, targets, first_seen, count, days_before, source ORDER BY source
RETURN u.name AS user, u.kind AS kind, targets, collect(source) AS sources, first_seen, count, days_before
ORDER BY days_before DESC, user
