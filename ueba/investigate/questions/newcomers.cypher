// Title: Accounts and machines that the graph sees for the first time
// Purpose: New staff and new computers; or an account that an intruder made.
// Parameters:
//   day (day, default last): the day to look at
//   :param day => '2026-01-21'
// Columns:
//   what: account or machine
//   name: its name
//   partners: machines the account reached, or accounts that reached the machine, on the day
//   first_seen: its first event, UTC
// Example: ueba ask newcomers --param day=2026-01-21
CALL {
  MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day = $day
  WITH u, count(DISTINCT m) AS partners, min(r.first_seen) AS first_seen
  WHERE NOT EXISTS { MATCH (u)-[e:LOGGED_ON|ACCESSED]->() WHERE e.day < $day }
  RETURN 'account' AS what, u.name AS name, partners, first_seen
 UNION ALL
  MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day = $day
  WITH m, count(DISTINCT u) AS partners, min(r.first_seen) AS first_seen
  WHERE NOT EXISTS { MATCH (m)<-[e:LOGGED_ON|USED]-() WHERE e.day < $day }
  RETURN 'machine' AS what, m.name AS name, partners, first_seen
}
RETURN what, name, partners, first_seen
ORDER BY what, partners DESC, name
