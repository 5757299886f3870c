// Title: Accounts and machines that are new in the graph
// Purpose: New staff and new computers; or an account that an intruder made, or a computer that an intruder brought. A machine
//   counts whether it was reached or acted from.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
// Columns:
//   what: account or machine
//   name: its name
//   partners: of an account: the machines and resources it reached on the day; of a machine: the accounts on it
//   first_seen: its first event, UTC
// Example: ueba ask newcomers --param day=2026-01-21
CALL {
  MATCH (u:User) WHERE NOT EXISTS { MATCH (u)-[e:LOGGED_ON|ACCESSED]->() WHERE e.day < $day }
  WITH u
  MATCH (u)-[r:LOGGED_ON|ACCESSED]->(t) WHERE r.day = $day
  RETURN 'account' AS what, u.name AS name, count(DISTINCT t) AS partners, min(r.first_seen) AS first_seen
 UNION ALL
  MATCH (m:Machine) WHERE NOT EXISTS { MATCH ()-[e:LOGGED_ON]->(m) WHERE e.day < $day }
    AND NOT EXISTS { MATCH ()-[e:USED]->(m) WHERE e.day < $day }
  OPTIONAL MATCH (u)-[r:LOGGED_ON]->(m) WHERE r.day = $day
  WITH m, collect(DISTINCT u.name) AS came, min(r.first_seen) AS reached
  OPTIONAL MATCH (m)-[h:REACHED]->() WHERE h.day = $day
  WITH m, came, reached, collect(DISTINCT h.user) AS acted, min(h.first_seen) AS began
  UNWIND came + acted AS user
  RETURN 'machine' AS what, m.name AS name, count(DISTINCT user) AS partners,
    CASE WHEN began IS NULL OR reached <= began THEN reached ELSE began END AS first_seen
}
RETURN what, name, partners, first_seen
ORDER BY what, partners DESC, name
