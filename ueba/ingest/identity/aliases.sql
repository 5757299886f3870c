-- Who is who: evidence and entity tables -> aliases of accounts, machines and addresses.
--
-- Reads   evidence  (kind, day, hour, name, other, first, last, count), see evidence.py
--         listed    (kind: user, host, address; name, entity), what entity tables say, see tables.py
-- Makes   user_alias, host_alias  (name, entity, why), only where name and entity differ
--         address_alias           (address, host, rank, since, until, why)
-- The other tables are steps on the way. See entities.py for the rules in words.

-- step: account_name
-- Each name of an account in its parts, with each directory identifier that it was seen with.
SELECT name, split_part(name, '@', 1) AS account, nullif(regexp_replace(name, '^[^@]*@?', ''), '') AS domain,
    other AS id, min(first) AS first
FROM evidence WHERE kind = 'user'
GROUP BY ALL

-- step: domain_id
-- The identifier of each domain whose accounts have only one: S-1-5-21-a-b-c-rid without rid.
SELECT domain, min(id) AS id
FROM (
    SELECT DISTINCT domain, regexp_extract(id, '^(s-1-5-21-\d+-\d+-\d+)-\d+$', 1) AS id
    FROM account_name WHERE domain IS NOT NULL AND id LIKE 's-1-5-21-%'
)
WHERE id != ''
GROUP BY domain HAVING count(*) = 1

-- step: known_domain
SELECT DISTINCT domain, contains(domain, '.') AS is_full, split_part(domain, '.', 1) AS label
FROM account_name WHERE domain IS NOT NULL

-- step: domain_alias
-- A NetBIOS domain and its full name.
WITH same AS (
    SELECT a.domain, min(b.domain) AS entity, 'the same domain identifier ' || any_value(a.id) AS why
    FROM domain_id a JOIN domain_id b USING (id)
    WHERE NOT contains(a.domain, '.') AND contains(b.domain, '.')
    GROUP BY a.domain
), begins AS (
    SELECT a.domain, min(b.domain) AS entity, 'the only domain whose full name begins so' AS why
    FROM known_domain a JOIN known_domain b ON a.domain = b.label
    WHERE NOT a.is_full AND b.is_full
    GROUP BY a.domain HAVING count(DISTINCT b.domain) = 1
)
FROM same UNION ALL SELECT * FROM begins ANTI JOIN same USING (domain)

-- step: placed_account
-- Each name with the full name of its domain.
SELECT n.*, n.account || coalesce('@' || coalesce(a.entity, n.domain), '') AS full_name, a.why AS why
FROM account_name n LEFT JOIN domain_alias a USING (domain)

-- step: account_by_id
-- Of several names with one identifier, the first. Well-known identifiers (S-1-5-18, S-1-5-32-544) are many
-- accounts and prove nothing.
SELECT id, min_by(full_name, (NOT contains(full_name, '@'), first, full_name)) AS entity,
    count(DISTINCT full_name) AS called
FROM placed_account
WHERE id IS NOT NULL AND id != name AND (id NOT LIKE 's-1-%' OR id LIKE 's-1-5-21-%')
GROUP BY id

-- step: common_account
-- Names that an account of every machine or product may have: without a domain they are nobody's in
-- particular.
SELECT unnest(['administrator', 'admin', 'root', 'guest', 'user', 'test', 'oracle', 'postgres', 'ubuntu',
    'ec2-user', 'anonymous']) AS account

-- step: only_account
-- Names that one account in one domain has, and no other.
SELECT account, min(full_name) AS entity
FROM placed_account
WHERE contains(full_name, '@') AND account NOT IN (SELECT account FROM common_account)
GROUP BY account HAVING count(DISTINCT full_name) = 1

-- step: user_alias
-- The reason of lowest rank counts. An entity may itself be another name of one.
WITH ranked AS (
    SELECT name, entity, 'a table of entities' AS why, 0 AS rank FROM listed WHERE kind = 'user'
    UNION ALL
    SELECT p.name, b.entity, 'the same identifier ' || p.id, 1
    FROM placed_account p JOIN account_by_id b USING (id) WHERE b.called > 1
    UNION ALL
    SELECT p.name, b.entity, 'the identifier of that name', 1
    FROM placed_account p JOIN account_by_id b ON p.name = b.id
    UNION ALL
    SELECT name, full_name, why, 2 FROM placed_account WHERE why IS NOT NULL
    UNION ALL
    SELECT p.name, s.entity, 'the only account of that name in any domain', 3
    FROM placed_account p JOIN only_account s USING (account) WHERE p.domain IS NULL
), first AS (
    SELECT name, min_by(entity, (rank, entity)) AS entity, min_by(why, (rank, entity)) AS why
    FROM ranked GROUP BY name
)
SELECT f.name, coalesce(g.entity, f.entity) AS entity, f.why
FROM first f LEFT JOIN first g ON f.entity = g.name
WHERE f.name != coalesce(g.entity, f.entity)

-- step: machine_evidence
-- An address is not a name.
FROM evidence
WHERE kind IN ('host', 'lease', 'account')
    AND NOT regexp_matches(name, '^(\d+(\.\d+)+|[0-9a-f]*:[0-9a-f:.]*)$')

-- step: machine_name
SELECT DISTINCT name, split_part(name, '.', 1) AS label, contains(name, '.') AS is_full FROM machine_evidence

-- step: full_machine
-- First parts of names with which one full name begins, and no other.
SELECT label, min(name) AS name FROM machine_name WHERE is_full GROUP BY label HAVING count(*) = 1

-- step: short_machine
-- ws7.corp.example, where there is a ws7.
SELECT f.name, m.name AS entity, 'the only machine whose full name begins with ' || m.name AS why
FROM full_machine f JOIN machine_name m ON m.name = f.label

-- step: cut_machine
-- Windows cuts a machine's NetBIOS name to 15 characters.
SELECT m.name, min(f.label) AS label
FROM machine_name m JOIN full_machine f
    ON NOT m.is_full AND length(m.name) = 15 AND starts_with(f.label, m.name) AND f.label != m.name
GROUP BY m.name HAVING count(*) = 1

-- step: host_alias
WITH ranked AS (
    SELECT name, entity, 'a table of entities' AS why, 0 AS rank FROM listed WHERE kind = 'host'
    UNION ALL
    SELECT name, entity, why, 1 FROM short_machine
    UNION ALL
    SELECT c.name, coalesce(s.entity, f.name), 'its NetBIOS name is cut to 15 characters', 2
    FROM cut_machine c JOIN full_machine f USING (label) LEFT JOIN short_machine s ON s.name = f.name
)
SELECT name, min_by(entity, (rank, entity)) AS entity, min_by(why, (rank, entity)) AS why
FROM ranked GROUP BY name

-- step: sighting
-- A machine seen with an address. rank: 1 leased, 2 its own account came from there, 3 seen with it.
SELECT e.other AS address, coalesce(a.entity, e.name) AS host, e.kind, e.first, e.last, e.first::DATE AS day,
    CASE e.kind WHEN 'lease' THEN 1 WHEN 'account' THEN 2 ELSE 3 END AS rank
FROM machine_evidence e LEFT JOIN host_alias a USING (name)
WHERE e.other IS NOT NULL AND e.other NOT IN (SELECT name FROM listed WHERE kind = 'address')

-- step: believed_sighting
-- A lease is believed more than an account, and that more than a name seen with an address, on its day and on
-- the next. An address seen with three machines on a day is a gateway's, and none of theirs.
FROM sighting h
WHERE NOT EXISTS (
    SELECT 1 FROM sighting b WHERE b.address = h.address AND b.rank < h.rank AND h.day IN (b.day, b.day + 1)
) AND (rank = 1 OR NOT EXISTS (
    SELECT 1 FROM sighting b WHERE b.address = h.address AND b.day = h.day
    GROUP BY b.address HAVING count(DISTINCT b.host) >= 3
))

-- step: ordered_sighting
-- The sightings of each address by time. before: the last time of all earlier ones; after, next: when and
-- with which machine it is seen next.
WITH spans AS (
    SELECT address, host, min(rank) AS rank, first, max(last) AS last
    FROM believed_sighting GROUP BY address, host, first
)
SELECT *,
    max(last) OVER (PARTITION BY address ORDER BY first, last, host
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
    lead(first) OVER by_time AS after,
    lead(host) OVER by_time AS next
FROM spans WINDOW by_time AS (PARTITION BY address ORDER BY first, last, host)

-- step: address_alias
-- An address is the machine's for 24 hours after it was last seen with it, for 7 days if the next seen with it
-- is the same machine, and for an hour before it was first seen with it, if no other had it then.
SELECT address, host, rank,
    CASE WHEN before + INTERVAL 24 HOUR >= first - INTERVAL 1 HOUR THEN first
         ELSE first - INTERVAL 1 HOUR END AS since,
    CASE WHEN next = host AND after <= last + INTERVAL 7 DAY THEN after
         ELSE least(last + INTERVAL 24 HOUR, coalesce(after, TIMESTAMP '9999-01-01')) END AS until,
    CASE rank WHEN 1 THEN 'leased to it' WHEN 2 THEN 'its own account came from there'
         ELSE 'seen with it' END AS why
FROM ordered_sighting
UNION ALL
SELECT name, entity, 0, TIMESTAMP '1900-01-01', TIMESTAMP '9999-01-01', 'a table of entities'
FROM listed WHERE kind = 'address'
