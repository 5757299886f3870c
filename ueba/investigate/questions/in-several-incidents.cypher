// Title: What several incidents have in common
// Purpose: Incidents that share a source, a target or an account may be one attack.
// Parameters:
//   day (day, default last): the last day
//   :param day => '2026-01-28'
//   first (day, default day - 6): the first day
//   :param first => '2026-01-22'
//   role (text, default source): what is shared: source, target or user
//   :param role => 'source'
//   least (number, default 2): the fewest incidents
//   :param least => 2
// Columns:
//   name: the account, machine or resource
//   incidents: how many incidents it is in
//   days: the number of days of these incidents
//   first_day: the first of these days
//   last_day: the last of these days
//   best_rank: the best rank of these incidents; 1 is the strangest of a day
//   ids: the ids of the incidents, by day
// Example: ueba ask in-several-incidents --param day=2026-01-28 --param role=target
MATCH (i:Incident) WHERE i.day <= $day AND i.day >= $first
MATCH (i)-[v:INVOLVES]->(n) WHERE v.role = $role
WITH DISTINCT n, i ORDER BY i.day, i.id
WITH n, count(i) AS incidents, count(DISTINCT i.day) AS days, min(i.day) AS first_day, max(i.day) AS last_day,
  min(i.rank) AS best_rank, collect(i.id) AS ids
WHERE incidents >= $least
RETURN n.name AS name, incidents, days, first_day, last_day, best_rank, ids
ORDER BY incidents DESC, best_rank, name
