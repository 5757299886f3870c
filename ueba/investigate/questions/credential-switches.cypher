// Title: Other accounts acting from where a user had just logged on
// Purpose: A user logs on to a machine, and soon another account acts from that machine to elsewhere: stolen credentials look
//   so. A machine's own account does not count, nor do attempts that all failed. Of a day's events between the same two ends only
//   the first and the last have a time, so a switch in between may be missed.
// Parameters:
//   user (user): the account that logs on
//   :param user => 'mlopez@corp.example'
//   day (day, default last): the day of its logons
//   :param day => '2026-01-21'
//   minutes (number, default 60): how soon the other account acts, at most
//   :param minutes => 60
// Columns:
//   machine: where the user logged on and the other acted from
//   other_user: the account that acted next
//   target: what it reached
//   acted: when it did, UTC
//   minutes_later: after the user's logon
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
