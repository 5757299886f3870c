"""One logon, one event: what the host, the domain controller and the source machine record of one logon
becomes one event with several witnesses.

The host's view (4624, 4625) stands where there is one; then that of the source (4648); then what the
controller recorded: the service ticket (4769), the check of a password (4776), the ticket of the session
(4768). A later one that agrees with an earlier one on account and outcome, within the five minutes that
Kerberos lets clocks differ, is absorbed, if they agree on the place too:

    explicit credential, service ticket     the same target
    check of a password                     the same source, as the controller does not know the target
    ticket of the session                   a logon at the machine that asked for it, or from there

and on the source, unless one of them does not know it: then the other one fills it in. An event without a
witness stands alone. Events with a session and no source of their own (4663) get the source of the logon
that began the session.

Leaves out logons on two sides of midnight, and a ticket that was used hours after it was issued: two events,
of one pair.
"""

from __future__ import annotations

from collections.abc import Set

import duckdb

from ueba.ingest import steps
from ueba.ingest.events import KEPT_SQL
from ueba.ingest.steps import Step

BIT = {"host": 1, "controller": 2, "source": 4}
SKEW = "INTERVAL 5 MINUTE"
# How a view is ranked: the smaller stands. 4 is the view of network sensors and the like.
RANK = """CASE WHEN witness = 'host' THEN 1 WHEN witness = 'source' THEN 2
    WHEN action = 'service_ticket' THEN 3 WHEN action = 'credential_validation' THEN 5
    WHEN action = 'ticket' THEN 6 ELSE 4 END"""
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
NO_PAIR = """SELECT NULL::UBIGINT AS number, '' AS witness, NULL::UBIGINT AS into_number, 0 AS into_rank,
    false AS differs WHERE false"""
NO_FILL = "SELECT NULL::UBIGINT AS number, '' AS source, 0::BIGINT AS apart WHERE false"
SAME_USER = '(a."user" = b."user" OR NOT contains(a."user", \'@\') OR NOT contains(b."user", \'@\'))'


def bring_together(connection: duckdb.DuckDBPyConnection, events: str) -> str:
    """SQL (events, each once, resolved) -> SQL of events with `witnesses`, a bit set, without those that were
    absorbed. The steps are temporary tables of the connection; the next call replaces them."""
    steps.run(connection, views(events), temporary=True)
    ranks = {rank for (rank,) in connection.execute("SELECT DISTINCT rank FROM logon_view").fetchall()}
    steps.run(connection, [agreeing(ranks), *ABSORB, filling(ranks), *WITNESSED], temporary=True)
    return "FROM witnessed"


def views(events: str) -> list[Step]:
    """The events with a number, and what each witness saw. Equal events have equal numbers, and share their
    fate."""
    return [
        Step("numbered_event", f"SELECT *, hash({KEPT_SQL}) AS number FROM ({events})"),
        Step(
            "logon_view",
            f"""SELECT number, time, "user", source, target, outcome, witness, {RANK} AS rank,
    split_part("user", '@', 1) AS account
FROM numbered_event WHERE witness IS NOT NULL""",
        ),
    ]


def agreeing(ranks: Set[int]) -> Step:
    """The pairs of views of one logon: the last within the window absorbs. ranks: that there are; joins for
    others would find nothing, and take time"""
    pairs = [
        _last(absorbed, place, absorbing, other)
        for absorbed, place, views, other in AGREE
        for absorbing in views
        if ranks & {*absorbed} and ranks & {*absorbing}
    ]
    return Step("agreeing_view", "\nUNION ALL\n".join([NO_PAIR, *pairs]))


def filling(ranks: Set[int]) -> Step:
    """For logons without a source, the sources that other views of them know, with the time between."""
    fills = [
        _nearest(knowing, place, sign)
        for knowing, place in FILLS
        if 1 in ranks and ranks & {*knowing}
        for sign in (">=", "<=")
    ]
    return Step("filling_view", "\nUNION ALL\n".join([NO_FILL, *fills]))


def _bit(witness: str) -> str:
    cases = " ".join(f"WHEN '{name}' THEN {bit}" for name, bit in BIT.items())
    return f"(CASE {witness} {cases} ELSE 0 END)"


ABSORB = (
    Step(
        "absorbed_view",
        """SELECT number, witness, min_by(into_number, (into_rank, differs, into_number)) AS into_number
FROM agreeing_view GROUP BY ALL""",
    ),
    Step(
        "absorbed_witnesses",
        f"SELECT into_number, bit_or({_bit('witness')}) AS bits FROM absorbed_view GROUP BY into_number",
    ),
)
WITNESSED = (
    Step(
        "filled_source",
        "SELECT number, min_by(source, (apart, source)) AS source FROM filling_view GROUP BY number",
    ),
    Step(
        "session_source",
        """SELECT session, min_by(source, number) AS source FROM numbered_event
WHERE session IS NOT NULL AND source IS NOT NULL AND witness = 'host' GROUP BY session""",
    ),
    Step(
        "witnessed",
        f"""SELECT e.* REPLACE (coalesce(e.source, f.source, s.source) AS source),
    {_bit("e.witness")} | coalesce(a.bits, 0) AS witnesses
FROM numbered_event e ANTI JOIN absorbed_view USING (number)
LEFT JOIN filled_source f USING (number)
LEFT JOIN absorbed_witnesses a ON e.number = a.into_number
LEFT JOIN session_source s USING (session)""",
    ),
)


def _last(absorbed: tuple[int, ...], place: str, absorbing: tuple[int, ...], other: str) -> str:
    """SQL: views of some ranks, each with the last view of other ranks that agrees, in the window around
    it."""
    return f"""SELECT a.number, a.witness, b.number AS into_number, b.rank AS into_rank,
    a.source IS DISTINCT FROM b.source AS differs
FROM (SELECT *, {place} AS place, time + {SKEW} AS until FROM logon_view WHERE {_is(absorbed)}) a
{_at(absorbing, other, "a.until >= t.time")}
WHERE b.time >= a.time - {SKEW} AND {SAME_USER}
    AND (a.rank = 6 OR NOT differs OR a.source IS NULL OR b.source IS NULL)"""


def _nearest(ranks: tuple[int, ...], place: str, sign: str) -> str:
    """SQL: logons of the host without a source, each with the source of the nearest view of some ranks."""
    return f"""SELECT a.number, b.source, abs(epoch_us(a.time) - epoch_us(b.time)) AS apart
FROM (SELECT *, {place} AS place FROM logon_view WHERE rank = 1 AND source IS NULL) a
{_at(ranks, place, f"a.time {sign} t.time", "source IS NOT NULL")}
WHERE b.time BETWEEN a.time - {SKEW} AND a.time + {SKEW} AND {SAME_USER}"""


def _at(ranks: tuple[int, ...], place: str, when: str, where: str = "true") -> str:
    """SQL: join `b`, all views of some ranks at the one time `t` that is nearest to `a`."""
    chosen = f"(SELECT *, {place} AS place FROM logon_view WHERE {_is(ranks)} AND {where})"
    agree = "a.account = {0}.account AND a.outcome = {0}.outcome AND a.place = {0}.place"
    return f"""ASOF JOIN (SELECT DISTINCT account, outcome, place, time FROM {chosen}) t
    ON {agree.format("t")} AND {when}
JOIN {chosen} b ON {agree.format("b")} AND b.time = t.time"""


def _is(ranks: tuple[int, ...]) -> str:
    return f"rank IN ({', '.join(map(str, ranks))})"
