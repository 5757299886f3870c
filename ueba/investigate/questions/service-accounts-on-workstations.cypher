// Title: Service accounts on machines of few people
// Purpose: A service account belongs on servers. On a machine that at least one person and at most `most` people act from, a
//   person may be using its password.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   most (number, default 3): the most people who ever acted from the machine
//   :param most => 3
// Columns:
//   user: the service account
//   how: reached, or acted from
//   machine: the machine
//   people: the accounts of people that act from it, sorted
//   days_before: days before on which the service account did so
//   first_seen: the first event of the day, UTC; empty for acted from, of which the graph has only the day
// Example: ueba ask service-accounts-on-workstations --param day=2026-01-21
MATCH (u:ServiceAccount)-[r:LOGGED_ON|USED]->(m:Machine) WHERE r.day <= $day
WITH u, m, type(r) AS type, count(DISTINCT CASE WHEN r.day < $day THEN r.day END) AS days_before,
  max(r.day) AS last, min(CASE WHEN r.day = $day THEN r.first_seen END) AS first_seen
WHERE last = $day
WITH m, collect({user: u.name, type: type, days_before: days_before, first_seen: first_seen}) AS visits
MATCH (x:User)-[:USED]->(m) WHERE x.kind = 'human'
WITH DISTINCT m, visits, x.name AS person ORDER BY person
WITH m, visits, collect(person) AS people WHERE size(people) <= $most
UNWIND visits AS visit
RETURN visit.user AS user, CASE visit.type WHEN 'USED' THEN 'acted from' ELSE 'reached' END AS how, m.name AS machine, people,
  visit.days_before AS days_before, visit.first_seen AS first_seen
ORDER BY days_before, user, machine, how
