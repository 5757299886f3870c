-- Every entity that has an alias, an address, an attribute or a right, as entities.parquet keeps it: the columns
-- of ueba.contracts.names.Identity. Reads the tables of aliases.sql, evidence and listed_attribute (kind, name,
-- account_kind, is_admin, attributes, standing), what entity tables say.

-- step: entity_alias
SELECT 'user' AS kind, entity AS name, list({'name': a.name, 'why': a.why} ORDER BY a.name) AS aliases
FROM user_alias a GROUP BY entity
UNION ALL
SELECT 'host', entity, list({'name': a.name, 'why': a.why} ORDER BY a.name) FROM host_alias a GROUP BY entity

-- step: entity_address
SELECT 'host' AS kind, host AS name,
    list({'address': address, 'since': since, 'until': until, 'why': why} ORDER BY since, address) AS addresses
FROM (
    SELECT address, host, min(since) AS since, max(until) AS until, min_by(why, rank) AS why
    FROM address_alias GROUP BY address, host
)
GROUP BY host

-- step: entity_rights
SELECT 'user' AS kind, coalesce(a.entity, e.name) AS name, count(DISTINCT e.other) AS privileged_on
FROM evidence e LEFT JOIN user_alias a USING (name)
WHERE e.kind = 'privilege'
GROUP BY ALL

-- step: entity_logons
SELECT 'user' AS kind, coalesce(a.entity, e.name) AS name,
    sum(count) FILTER (e.kind = 'service') AS service,
    sum(count) FILTER (e.kind = 'interactive') AS interactive
FROM evidence e LEFT JOIN user_alias a USING (name)
WHERE e.kind IN ('service', 'interactive')
GROUP BY ALL

-- step: listed_met
-- The entity that logs know by the name of each row of an entity table, by the rules for names of events: alice
-- of the table is alice@corp.example if that is the only one. Most rows have the entity's own name.
WITH named AS (
    SELECT kind, name, split_part(name, '@', 1) AS account, split_part(name, '.', 1) AS label,
        nullif(regexp_replace(name, '^[^@]*@?', ''), '') AS domain
    FROM listed_attribute
), begins AS (
    SELECT label AS domain, min(domain) AS entity FROM known_domain WHERE is_full GROUP BY label HAVING count(*) = 1
), met AS (
    SELECT n.kind, n.name, CASE WHEN n.domain IS NULL THEN o.entity
        ELSE n.account || '@' || coalesce(d.entity, b.entity, n.domain) END AS entity
    FROM named n
    LEFT JOIN domain_alias d USING (domain)
    LEFT JOIN begins b USING (domain)
    LEFT JOIN only_account o ON n.account = o.account AND n.domain IS NULL
    WHERE n.kind = 'user'
    UNION ALL
    SELECT n.kind, n.name, CASE WHEN n.name = n.label THEN f.name WHEN coalesce(f.name = n.name, true) THEN m.name END
    FROM named n
    LEFT JOIN full_machine f ON f.label = n.label
    LEFT JOIN (FROM machine_name WHERE NOT is_full) m ON m.name = n.label
    WHERE n.kind = 'host'
), alias AS (
    SELECT 'user' AS kind, name, entity FROM user_alias UNION ALL SELECT 'host', name, entity FROM host_alias
)
SELECT m.kind, m.name, coalesce(a.entity, b.entity, m.entity) AS entity
FROM met m
LEFT JOIN alias a ON a.kind = m.kind AND a.name = m.name
LEFT JOIN alias b ON b.kind = m.kind AND b.name = m.entity
WHERE coalesce(a.entity, b.entity, m.entity) != m.name

-- step: listed_entity
-- What the tables say of each entity. The row under its own name counts most.
SELECT kind, name,
    min_by(account_kind, (rank, listed)) FILTER (account_kind IS NOT NULL) AS account_kind,
    min_by(is_admin, (rank, listed)) FILTER (is_admin IS NOT NULL) AS is_admin,
    CASE count(*) WHEN 1 THEN any_value(attributes)
        ELSE merged(list(attributes ORDER BY rank DESC, listed DESC)) END AS attributes,
    CASE count(*) WHEN 1 THEN any_value(standing)
        ELSE merged(list(standing ORDER BY rank DESC, listed DESC)) END AS standing
FROM (
    SELECT *, name AS listed, 0 AS rank FROM listed_attribute
    UNION ALL
    SELECT l.* REPLACE (m.entity AS name), l.name, 1 FROM listed_attribute l JOIN listed_met m USING (kind, name)
)
GROUP BY kind, name

-- step: entity
-- An account with ten logons as a service and none at a screen is a service, whatever its name.
SELECT kind, name,
    coalesce(l.account_kind, CASE WHEN service >= 10 AND interactive IS NULL THEN 'service' END) AS account_kind,
    coalesce(l.is_admin, false) OR coalesce(privileged_on, 0) > 0 AS is_admin,
    coalesce(privileged_on, 0) AS privileged_on,
    coalesce(aliases, []) AS aliases,
    coalesce(addresses, []) AS addresses,
    coalesce(l.attributes, '{}') AS attributes,
    coalesce(l.standing, '{}') AS standing
FROM entity_alias
FULL JOIN entity_address USING (kind, name)
FULL JOIN entity_rights USING (kind, name)
FULL JOIN entity_logons USING (kind, name)
FULL JOIN listed_entity l USING (kind, name)
ORDER BY kind, name
