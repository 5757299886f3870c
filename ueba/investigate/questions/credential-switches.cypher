// Title: Other accounts that acted from a machine soon after a user's logon there
// Purpose: An account logs on to a machine, and soon another account acts from that machine: this is what stolen credentials look
//   like. A machine's own account does not count, nor do attempts that all failed. Between two ends only the first and the last
//   event of a day have a time, so a switch in between may be missed.
// Parameters:
//   user (user): the account that logs on
//   :param user => 'mlopez@corp.example'
//   day (day, default last): the day of the logons
//   :param day => '2026-01-21'
//   minutes (number, default 60): the most minutes between the logon and the other account's event
//   :param minutes => 60
// Columns:
//   machine: the machine of the logon, from which the other account acted
//   other_user: the account that acted next
//   target: the machine or resource that the other account reached
//   acted: when the other account reached it, UTC
//   minutes_later: minutes from the logon to that event
// Example: ueba ask credential-switches --param user=mlopez@corp.example --param day=2026-01-21 --param minutes=30
MATCH (u:User {name: $user})-[l:LOGGED_ON]->(m:Machine) WHERE l.day = $day AND l.failures < l.count
UNWIND [l.first_seen, l.last_seen] AS arrived
WITH DISTINCT m, arrived
MATCH (m)-[h:REACHED]->(t)
WHERE h.day >= $day AND h.failures < h.count AND h.user <> $user
  AND NOT h.user STARTS WITH split(m.name, '.')[0] + '$'
UNWIND [h.first_seen, h.last_seen] AS acted
WITH DISTINCT m, arrived, h.user AS other_user, t, acted
WHERE acted >= arrived AND acted <= arrived + duration({minutes: $minutes})
WITH m, other_user, t, acted, min(duration.inSeconds(arrived, acted).seconds) / 60.0 AS minutes_later
ORDER BY minutes_later, acted
WITH m, other_user, t, collect({acted: acted, minutes_later: minutes_later})[0] AS soonest
RETURN m.name AS machine, other_user, t.name AS target, soonest.acted AS acted, soonest.minutes_later AS minutes_later
ORDER BY acted, machine, other_user, target
