// Title: Other accounts that acted from a machine soon after a logon of an incident there
// Purpose: The same as credential-switches, for every logon of a day that is in an incident.
// Parameters:
//   day (day, default last): the day of the logons
//   :param day => '2026-01-21'
//   minutes (number, default 60): the most minutes between the logon and the other account's event
//   :param minutes => 60
// Columns:
//   incident: the incident of the logon
//   user: the account that logged on
//   machine: the machine of the logon, from which the other account acted
//   other_user: the account that acted next
//   target: the machine or resource that the other account reached
//   acted: when the other account reached it, UTC
//   minutes_later: minutes from the logon to that event
// Example: ueba ask switches-after-incidents --param day=2026-01-21 --param minutes=30
MATCH (u)-[l:LOGGED_ON]->(m) WHERE l.day = $day AND l.incident IS NOT NULL AND l.failures < l.count
UNWIND [l.first_seen, l.last_seen] AS arrived
WITH DISTINCT u, m, l.incident AS incident, arrived
MATCH (m)-[h:REACHED]->(t)
WHERE h.day >= $day AND h.failures < h.count AND h.user <> u.name
  AND NOT h.user STARTS WITH split(m.name, '.')[0] + '$'
UNWIND [h.first_seen, h.last_seen] AS acted
WITH DISTINCT u, m, incident, arrived, h.user AS other_user, t, acted
WHERE acted >= arrived AND acted <= arrived + duration({minutes: $minutes})
WITH u, m, incident, other_user, t, acted, min(duration.inSeconds(arrived, acted).seconds) / 60.0 AS minutes_later
ORDER BY minutes_later, acted
WITH u, m, incident, other_user, t, collect({acted: acted, minutes_later: minutes_later})[0] AS soonest
RETURN incident, u.name AS user, m.name AS machine, other_user, t.name AS target,
  soonest.acted AS acted, soonest.minutes_later AS minutes_later
ORDER BY incident, acted, user, machine, other_user, target
