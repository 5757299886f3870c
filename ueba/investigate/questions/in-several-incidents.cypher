// Title: What several incidents have in common
// Purpose: Incidents of some days that share a source, a target or an account may be one campaign.
// Parameters:
//   day (day, default last): the last day to look at
//   :param day => '2026-01-28'
//   first (day, default day - 6): the first day to look at
//   :param first => '2026-01-22'
//   role (text, default source): what is shared: source, target or user
//   :param role => 'source'
//   least (number, default 2): incidents, at least
//   :param least => 2
// Columns:
//   name: the account, machine or resource
//   incidents: in how many it is
//   days: on how many days
//   first_day: the first of them
//   last_day: the last of them
//   best_rank: the best rank of them, 1 is the day's worst
//   ids: the incidents, in order
// Example: ueba ask in-several-incidents --param day=2026-01-28 --param role=target
MATCH (i:Incident) WHERE i.day <= $day AND i.day >= $first
MATCH (i)-[v:INVOLVES]->(n) WHERE v.role = $role
WITH DISTINCT n, i ORDER BY i.day, i.id
WITH n, count(i) AS incidents, count(DISTINCT i.day) AS days, min(i.day) AS first_day, max(i.day) AS last_day,
  min(i.rank) AS best_rank, collect(i.id) AS ids
WHERE incidents >= $least
RETURN n.name AS name, incidents, days, first_day, last_day, best_rank, ids
ORDER BY incidents DESC, best_rank, name
