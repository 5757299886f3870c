// Title: Accounts that act from different machines within minutes
// Purpose: No person sits at two desks: the account is shared, or stolen. Counts, in the order of a day's first events, how often
//   the next event comes from another machine within `minutes`. Attempts that all failed do not count.
// Parameters:
//   day (day, default last): the day
//   :param day => '2026-01-21'
//   minutes (number, default 5): the most minutes between the two events
//   :param minutes => 5
// Columns:
//   user: the account
//   kind: human, service, machine or anonymous
//   moves: how often this happened
//   shortest_s: seconds between the closest two events
//   at: the time of the second of these two, UTC
//   source: the machine that the first of them came from
//   next_source: the machine that the second of them came from
// Example: ueba ask quick-moves --param day=2026-01-21 --param minutes=1
MATCH (u)-[r:LOGGED_ON]->(t) WHERE r.day = $day AND r.source <> '' AND r.failures < r.count
WITH collect([u, r, t]) AS logons
CALL {
  MATCH (u)-[r:ACCESSED]->(t) WHERE r.day = $day AND r.source <> '' AND r.failures < r.count
  RETURN collect([u, r, t]) AS accesses
}
UNWIND logons + accesses AS each
WITH each[0] AS u, each[1] AS r, each[2] AS t
WITH u, r.source AS source, r.first_seen AS at, t ORDER BY at, source, t.name
WITH u, count(DISTINCT source) AS sources, collect({source: source, at: at}) AS events
WHERE sources > 1
UNWIND range(1, size(events) - 1) AS i
WITH u, events[i - 1] AS before, events[i] AS after
WHERE before.source <> after.source AND after.at <= before.at + duration({minutes: $minutes})
WITH u, before, after, duration.inSeconds(before.at, after.at).seconds AS gap ORDER BY gap, after.at, after.source, before.source
WITH u, count(*) AS moves, collect({gap: gap, at: after.at, source: before.source, next: after.source})[0] AS closest
RETURN u.name AS user, u.kind AS kind, moves, closest.gap AS shortest_s, closest.at AS at, closest.source AS source,
  closest.next AS next_source
ORDER BY moves DESC, user
