"""Who is who: the names that events use -> one entity each, with the evidence. From all that `evidence`
holds, whatever its order.

Users
    CORP, corp.example     one domain if accounts of both have the identifier of one domain (S-1-5-21-a-b-c), or if CORP is the
                           first part of the only such domain; called by its full name
    a SID, two names       one account if the directory gave them one identifier; called as it was first
    alice                  alice@corp.example if she is the only one of that name in any domain; not administrator and the like
Machines
    ws7, ws7.corp.example  one machine if no other full name begins so; called ws7. 15 characters may be a cut name (NetBIOS)
    10.0.0.7               the machine that had the address at the time, see `ADDRESSES`

A table of people or machines (`--entities`) is believed before all that: its aliases are the entity's.

Leaves out: what a name is spelt like (`identity`), people with two accounts, machines that were renamed.
"""

from __future__ import annotations

import duckdb

# Names that an account of every machine or product may have: without a domain they are nobody's in
# particular.
LOCAL_NAMES = (
    "administrator",
    "admin",
    "root",
    "guest",
    "user",
    "test",
    "oracle",
    "postgres",
    "ubuntu",
    "ec2-user",
    "anonymous",
)
LEASE = (
    "INTERVAL 24 HOUR"  # an address is taken to be the machine's for so long after it was last seen with it,
)
BETWEEN = "INTERVAL 7 DAY"  # for so long if the next that is seen with it is the same machine,
EARLIER = "INTERVAL 1 HOUR"  # and for so long before it was first seen with it, if nobody had it then
SHARED = 3  # machines that are seen with an address on one day: then it is a gateway's, and none of theirs
NUMERIC = r"regexp_matches({}, '^(\d+(\.\d+)+|[0-9a-f]*:[0-9a-f:.]*)$')"  # an address is no name
NETBIOS = 15  # characters, to which Windows cuts a machine's name


def resolve(connection: duckdb.DuckDBPyConnection) -> None:
    """From the tables `evidence` and `given` (kind: user, host, address; name, entity) make `user_alias` and
    `host_alias` (name, entity, why; where the two differ) and `address_alias` (address, host, rank: 0 given
    to 3 seen with it, since, until, why)."""
    for statement in (*DOMAINS, *USERS, *HOSTS, *ADDRESSES):
        connection.execute(statement, {"local": LOCAL_NAMES} if "$local" in statement else None)


DOMAINS = (
    """CREATE TABLE names AS
    SELECT name, split_part(name, '@', 1) AS account, nullif(regexp_replace(name, '^[^@]*@?', ''), '') AS domain,
           other AS id, min(first) AS first FROM evidence WHERE kind = 'user' GROUP BY ALL""",
    # Which spellings of a domain share an identifier: S-1-5-21-a-b-c-rid without rid.
    """CREATE TABLE domain_id AS
    SELECT domain, min(id) AS id FROM (
        SELECT DISTINCT domain, regexp_extract(id, '^(s-1-5-21-\\d+-\\d+-\\d+)-\\d+$', 1) AS id FROM names
        WHERE domain IS NOT NULL AND id LIKE 's-1-5-21-%') WHERE id != '' GROUP BY domain HAVING count(*) = 1""",
    """CREATE TABLE known_domain AS
    SELECT DISTINCT domain, contains(domain, '.') AS is_full, split_part(domain, '.', 1) AS label
    FROM names WHERE domain IS NOT NULL""",
    """CREATE TABLE domain_alias AS
    WITH same AS (
        SELECT a.domain, min(b.domain) AS entity, 'the same domain identifier ' || any_value(a.id) AS why
        FROM domain_id a JOIN domain_id b USING (id)
        WHERE NOT contains(a.domain, '.') AND contains(b.domain, '.') GROUP BY a.domain
    ), begins AS (
        SELECT a.domain, min(b.domain) AS entity, 'the only domain whose full name begins so' AS why
        FROM known_domain a JOIN known_domain b ON a.domain = b.label
        WHERE NOT a.is_full AND b.is_full GROUP BY a.domain HAVING count(DISTINCT b.domain) = 1
    )
    FROM same UNION ALL SELECT * FROM begins ANTI JOIN same USING (domain)""",
)

USERS = (
    """CREATE TABLE placed AS
    SELECT n.*, n.account || coalesce('@' || coalesce(a.entity, n.domain), '') AS full_name, a.why AS why
    FROM names n LEFT JOIN domain_alias a USING (domain)""",
    # One identifier, several names: the first one. Well-known identifiers (S-1-5-18, S-1-5-32-544) say
    # nothing.
    """CREATE TABLE by_id AS
    SELECT id, min_by(full_name, (NOT contains(full_name, '@'), first, full_name)) AS entity, count(DISTINCT full_name) AS called
    FROM placed WHERE id IS NOT NULL AND id != name AND (id NOT LIKE 's-1-%' OR id LIKE 's-1-5-21-%') GROUP BY id""",
    """CREATE TABLE single AS
    SELECT account, min(full_name) AS entity FROM placed
    WHERE contains(full_name, '@') AND account NOT IN (SELECT unnest($local))
    GROUP BY account HAVING count(DISTINCT full_name) = 1""",
    """CREATE TABLE user_alias AS
    WITH ranked AS (
        SELECT name, entity, 'a table of entities' AS why, 0 AS rank FROM given WHERE kind = 'user'
        UNION ALL SELECT p.name, b.entity, 'the same identifier ' || p.id, 1
                  FROM placed p JOIN by_id b USING (id) WHERE b.called > 1
        UNION ALL SELECT p.name, b.entity, 'the identifier of that name', 1 FROM placed p JOIN by_id b ON p.name = b.id
        UNION ALL SELECT name, full_name, why, 2 FROM placed WHERE why IS NOT NULL
        UNION ALL SELECT p.name, s.entity, 'the only account of that name in any domain', 3
                  FROM placed p JOIN single s USING (account) WHERE p.domain IS NULL
    ), first AS (
        SELECT name, min_by(entity, (rank, entity)) AS entity, min_by(why, (rank, entity)) AS why FROM ranked GROUP BY name
    )
    SELECT f.name, coalesce(g.entity, f.entity) AS entity, f.why
    FROM first f LEFT JOIN first g ON f.entity = g.name WHERE f.name != coalesce(g.entity, f.entity)""",
)

HOSTS = (
    f"""CREATE TABLE machine AS
    SELECT DISTINCT name, split_part(name, '.', 1) AS label, contains(name, '.') AS is_full
    FROM evidence WHERE kind IN ('host', 'lease', 'account') AND NOT {NUMERIC.format("name")}""",
    f"""CREATE TABLE host_alias AS
    WITH full_name AS (
        SELECT label, min(name) AS name FROM machine WHERE is_full GROUP BY label HAVING count(*) = 1
    ), short AS (
        SELECT f.name, m.name AS entity, 'the only machine whose full name begins with ' || m.name AS why
        FROM full_name f JOIN machine m ON m.name = f.label
    ), cut AS (
        SELECT m.name, min(f.label) AS label FROM machine m JOIN full_name f
        ON NOT m.is_full AND length(m.name) = {NETBIOS} AND starts_with(f.label, m.name) AND f.label != m.name
        GROUP BY m.name HAVING count(*) = 1
    ), ranked AS (
        SELECT name, entity, 'a table of entities' AS why, 0 AS rank FROM given WHERE kind = 'host'
        UNION ALL SELECT name, entity, why, 1 FROM short
        UNION ALL SELECT c.name, coalesce(s.entity, f.name), 'its NetBIOS name is cut to {NETBIOS} characters', 2
                  FROM cut c JOIN full_name f USING (label) LEFT JOIN short s ON s.name = f.name
    )
    SELECT name, min_by(entity, (rank, entity)) AS entity, min_by(why, (rank, entity)) AS why FROM ranked GROUP BY name""",
)

ADDRESSES = (
    f"""CREATE TABLE held AS
    SELECT e.other AS address, coalesce(a.entity, e.name) AS host, e.kind, e.first, e.last, e.first::DATE AS day,
        CASE e.kind WHEN 'lease' THEN 1 WHEN 'account' THEN 2 ELSE 3 END AS rank
    FROM evidence e LEFT JOIN host_alias a USING (name)
    WHERE e.kind IN ('host', 'lease', 'account') AND e.other IS NOT NULL AND NOT {NUMERIC.format("e.name")}
      AND e.other NOT IN (SELECT name FROM given WHERE kind = 'address')""",
    # A lease is believed more than an account, and that more than a name seen with an address, on its day
    # and on the next.
    f"""CREATE TABLE believed AS
    FROM held h WHERE NOT EXISTS (
        SELECT 1 FROM held b WHERE b.address = h.address AND b.rank < h.rank AND h.day IN (b.day, b.day + 1)
    ) AND (rank = 1 OR NOT EXISTS (
        SELECT 1 FROM held b WHERE b.address = h.address AND b.day = h.day
        GROUP BY b.address HAVING count(DISTINCT b.host) >= {SHARED}
    ))""",
    f"""CREATE TABLE address_alias AS
    WITH spans AS (
        SELECT address, host, min(rank) AS rank, first, max(last) AS last FROM believed GROUP BY address, host, first
    ), ordered AS (
        SELECT *, max(last) OVER (PARTITION BY address ORDER BY first, last, host ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
            AS before, lead(first) OVER held AS after, lead(host) OVER held AS next
        FROM spans WINDOW held AS (PARTITION BY address ORDER BY first, last, host)
    )
    SELECT address, host, rank,
        CASE WHEN before + {LEASE} >= first - {EARLIER} THEN first ELSE first - {EARLIER} END AS since,
        CASE WHEN next = host AND after <= last + {BETWEEN} THEN after
             ELSE least(last + {LEASE}, coalesce(after, TIMESTAMP '9999-01-01')) END AS until,
        CASE rank WHEN 1 THEN 'leased to it' WHEN 2 THEN 'its own account came from there' ELSE 'seen with it' END AS why
    FROM ordered
    UNION ALL SELECT name, entity, 0, TIMESTAMP '1900-01-01', TIMESTAMP '9999-01-01', 'a table of entities'
    FROM given WHERE kind = 'address'""",
)


def resolved(events: str, with_addresses: bool) -> str:
    """SQL: events with each name replaced by its entity, each address by the machine that had it at the
    time. A lease, a machine's own account and a table are believed before the name that the source gives
    itself."""
    source, target, addresses = "coalesce(s.entity, e.source)", "coalesce(t.entity, e.target)", ""
    if with_addresses:
        source = f"""CASE WHEN sa.until > e.time AND (sa.rank < 3 OR e.source = sa.address) THEN sa.host ELSE {source} END"""
        target = f"""CASE WHEN ta.until > e.time AND e.target = ta.address THEN ta.host ELSE {target} END"""
        addresses = """
    ASOF LEFT JOIN address_alias sa ON coalesce(e.source_ip, e.source) = sa.address AND e.time >= sa.since
    ASOF LEFT JOIN address_alias ta
        ON CASE WHEN e.target_kind = 'machine' THEN e.target END = ta.address AND e.time >= ta.since"""
    return f"""
    SELECT e.* REPLACE (
        coalesce(u.entity, e."user") AS "user",
        nullif(coalesce(a.entity, e.actor), coalesce(u.entity, e."user")) AS actor,
        {source} AS source,
        {target} AS target)
    FROM {events} e
    LEFT JOIN user_alias u ON e."user" = u.name
    LEFT JOIN user_alias a ON e.actor = a.name
    LEFT JOIN host_alias s ON e.source = s.name
    LEFT JOIN host_alias t ON e.target = t.name AND e.target_kind = 'machine'{addresses}"""


# What of all that matters to a day: its digest is part of the name of the day's edges, so that they are made
# anew when it changes.
DIGESTS = """
    WITH used AS (
        SELECT day, 'user' AS kind, name FROM evidence WHERE kind = 'user'
        UNION SELECT day, 'host', name FROM evidence WHERE kind = 'host'
        UNION SELECT day, 'host', other FROM evidence WHERE kind = 'host' AND other IS NOT NULL
    ), matter AS (
        SELECT day, name, entity FROM used JOIN user_alias USING (name) WHERE kind = 'user'
        UNION ALL SELECT day, name, entity FROM used JOIN host_alias USING (name) WHERE kind = 'host'
        UNION ALL SELECT day, name, concat_ws(' ', host, rank, since, until) FROM used JOIN address_alias ON name = address
        WHERE kind = 'host' AND since < day + INTERVAL 1 DAY AND until > day
    )
    SELECT day, md5(string_agg(name || '=' || entity, '|' ORDER BY name, entity)) FROM matter GROUP BY day"""

# Every entity that has an alias, an address, an attribute or a right: kind (user, host), name, account_kind
# (or null: as named), is_admin, aliases, addresses, attributes (JSON).
TABLE = """
    WITH alias AS (
        SELECT 'user' AS kind, entity AS name, list({'name': a.name, 'why': a.why} ORDER BY a.name) AS aliases
        FROM user_alias a GROUP BY entity
        UNION ALL
        SELECT 'host', entity, list({'name': a.name, 'why': a.why} ORDER BY a.name) FROM host_alias a GROUP BY entity
    ), address AS (
        SELECT 'host' AS kind, host AS name,
            list({'address': address, 'since': since, 'until': until, 'why': why} ORDER BY since, address) AS addresses
        FROM (SELECT address, host, min(since) AS since, max(until) AS until, min_by(why, rank) AS why
              FROM address_alias GROUP BY address, host) GROUP BY host
    ), rights AS (
        SELECT 'user' AS kind, coalesce(a.entity, e.name) AS name, count(DISTINCT e.other) AS privileged_on
        FROM evidence e LEFT JOIN user_alias a USING (name) WHERE e.kind = 'privilege' GROUP BY ALL
    ), logons AS (
        SELECT 'user' AS kind, coalesce(a.entity, e.name) AS name,
            sum(count) FILTER (e.kind = 'service') AS service, sum(count) FILTER (e.kind = 'interactive') AS interactive
        FROM evidence e LEFT JOIN user_alias a USING (name) WHERE e.kind IN ('service', 'interactive') GROUP BY ALL
    )
    SELECT kind, name,
        coalesce(g.account_kind, CASE WHEN service >= 10 AND interactive IS NULL THEN 'service' END) AS account_kind,
        coalesce(g.is_admin, false) OR coalesce(privileged_on, 0) > 0 AS is_admin, coalesce(privileged_on, 0) AS privileged_on,
        coalesce(aliases, []) AS aliases, coalesce(addresses, []) AS addresses, coalesce(g.attributes, '{}') AS attributes
    FROM alias FULL JOIN address USING (kind, name) FULL JOIN rights USING (kind, name) FULL JOIN logons USING (kind, name)
    FULL JOIN (SELECT * FROM attribute) g USING (kind, name)
    ORDER BY kind, name"""
