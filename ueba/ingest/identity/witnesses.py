"""One logon, one edge: what the host, the controller and the source tell of one logon becomes one event with
several witnesses.

The host's view (4624, 4625) stands where there is one; then that of the source (4648); then what the
controller gave: the service ticket (4769), the check of a password (4776), the ticket of the session (4768).
A later one that agrees with an earlier one on account and outcome, within the five minutes that Kerberos
lets clocks differ, is absorbed, if they agree on the place too:

    explicit credential, service ticket     the same target
    check of a password                     the same source, as the controller does not know the target
    ticket of the session                   a logon at the machine that asked for it, or from there

and on the source, unless one of them does not know it: then it is told by the other. An event without a
witness stands alone. Events with a session and no source of their own (4663) get the source of the logon
that began the session.

Leaves out what lies on two sides of midnight, and a ticket that was used hours after it was given: two
events, of one pair.
"""

from __future__ import annotations

from ueba.ingest.events import KEPT_SQL

BIT = {"host": 1, "controller": 2, "source": 4}
SKEW = "INTERVAL 5 MINUTE"
# How a view is ranked: the smaller stands. 4 is the view of network sensors and the like.
RANK = """CASE WHEN witness = 'host' THEN 1 WHEN witness = 'source' THEN 2 WHEN action = 'service_ticket' THEN 3
 WHEN action = 'credential_validation' THEN 5 WHEN action = 'ticket' THEN 6 ELSE 4 END"""
TICKETS = (3, 4)
# (ranks that are absorbed, what places them; ranks that absorb them, each tried in turn, what places those)
AGREE = (
    ((2,), "target", ((1,),), "target"),
    (TICKETS, "target", ((1,), (2,)), "target"),
    ((5,), "source", ((1,), (2,), TICKETS), "source"),
    ((5,), "''", ((1,), (2,), TICKETS), "''"),
    ((6,), "source", ((1,), (2,)), "target"),
    ((6,), "source", ((1,), (2,)), "source"),
)
FILLS = ((TICKETS, "target"), ((5,), "''"))  # views that know the source of a logon that the host does not
NEAR = "SELECT NULL::UBIGINT AS number, '' AS witness, NULL::UBIGINT AS into_number, 0 AS into_rank, false AS differs WHERE false"
FILL = "SELECT NULL::UBIGINT AS number, '' AS source, 0::BIGINT AS apart WHERE false"
SAME_USER = '(a."user" = b."user" OR NOT contains(a."user", \'@\') OR NOT contains(b."user", \'@\'))'


def query(events: str, ranks: set[int]) -> str:
    """SQL: events (each once, resolved) -> events with `witnesses`, a bit set, without those that were
    absorbed.

    The last logon within the window absorbs; what it has no source for is told by what is nearest in time.
    ranks: that there are"""
    near = [
        _last(absorbed, place, absorbing, other)
        for absorbed, place, each, other in AGREE
        for absorbing in each
        if ranks & {*absorbed} and ranks & {*absorbing}
    ]
    fills = [
        _nearest(telling, place, sign)
        for telling, place in FILLS
        if 1 in ranks and ranks & {*telling}
        for sign in (">=", "<=")
    ]
    return f"""
    WITH numbered AS MATERIALIZED (  -- equal events have equal numbers, and share their fate
        SELECT *, hash({KEPT_SQL}) AS number FROM ({events})
    ), views AS (
        SELECT number, time, "user", source, target, outcome, witness, {RANK} AS rank, split_part("user", '@', 1) AS account
        FROM numbered WHERE witness IS NOT NULL
    ), near AS ({" UNION ALL ".join([NEAR, *near])}), chosen AS (
        SELECT number, witness, min_by(into_number, (into_rank, differs, into_number)) AS into_number FROM near GROUP BY ALL
    ), fills AS ({" UNION ALL ".join([FILL, *fills])}), filled AS (
        SELECT number, min_by(source, (apart, source)) AS source FROM fills GROUP BY number
    ), told AS (
        SELECT into_number, bit_or({_bit("witness")}) AS bits FROM chosen GROUP BY into_number
    ), sessions AS (
        SELECT session, min_by(source, number) AS source FROM numbered
        WHERE session IS NOT NULL AND source IS NOT NULL AND witness = 'host' GROUP BY session
    )
    SELECT e.* REPLACE (coalesce(e.source, filled.source, sessions.source) AS source),
           {_bit("e.witness")} | coalesce(told.bits, 0) AS witnesses
    FROM numbered e ANTI JOIN chosen USING (number) LEFT JOIN filled USING (number)
        LEFT JOIN told ON e.number = told.into_number LEFT JOIN sessions USING (session)
    """


def _last(absorbed: tuple[int, ...], place: str, absorbing: tuple[int, ...], other: str) -> str:
    """What of some ranks agrees with the last of other ranks in the window around it."""
    return f"""
    SELECT a.number, a.witness, b.number AS into_number, b.rank AS into_rank, a.source IS DISTINCT FROM b.source AS differs
    FROM (SELECT *, {place} AS place, time + {SKEW} AS until FROM views WHERE {_is(absorbed)}) a
    {_at(absorbing, other, "a.until >= t.time")}
    WHERE b.time >= a.time - {SKEW} AND {SAME_USER} AND (a.rank = 6 OR NOT differs OR a.source IS NULL OR b.source IS NULL)"""


def _nearest(ranks: tuple[int, ...], place: str, sign: str) -> str:
    """The sources that views of some ranks tell for logons of the host that do not know theirs."""
    return f"""
    SELECT a.number, b.source, abs(epoch_us(a.time) - epoch_us(b.time)) AS apart
    FROM (SELECT *, {place} AS place FROM views WHERE rank = 1 AND source IS NULL) a
    {_at(ranks, place, f"a.time {sign} t.time", "source IS NOT NULL")}
    WHERE b.time BETWEEN a.time - {SKEW} AND a.time + {SKEW} AND {SAME_USER}"""


def _at(ranks: tuple[int, ...], place: str, when: str, where: str = "true") -> str:
    """Join `b`, the views of some ranks at the one time `t` that is nearest to `a`: all of them, as one of
    several would be any."""
    views = f"(SELECT *, {place} AS place FROM views WHERE {_is(ranks)} AND {where})"
    agree = "a.account = {0}.account AND a.outcome = {0}.outcome AND a.place = {0}.place"
    return f"""ASOF JOIN (SELECT DISTINCT account, outcome, place, time FROM {views}) t ON {agree.format("t")} AND {when}
    JOIN {views} b ON {agree.format("b")} AND b.time = t.time"""


def _is(ranks: tuple[int, ...]) -> str:
    return f"rank IN ({', '.join(map(str, ranks))})"


def _bit(witness: str) -> str:
    cases = " ".join(f"WHEN '{name}' THEN {bit}" for name, bit in BIT.items())
    return f"(CASE {witness} {cases} ELSE 0 END)"
