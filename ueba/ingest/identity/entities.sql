-- Every entity that has an alias, an address, an attribute or a right, as entities.parquet keeps it: the columns
-- of ueba.contracts.names.Identity. Reads the tables of aliases.sql, evidence and listed_attribute.

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

-- step: entity
-- An account with ten logons as a service and none at a screen is a service, whatever its name.
SELECT kind, name,
    coalesce(l.account_kind, CASE WHEN service >= 10 AND interactive IS NULL THEN 'service' END) AS account_kind,
    coalesce(l.is_admin, false) OR coalesce(privileged_on, 0) > 0 AS is_admin,
    coalesce(privileged_on, 0) AS privileged_on,
    coalesce(aliases, []) AS aliases,
    coalesce(addresses, []) AS addresses,
    coalesce(l.attributes, '{}') AS attributes
FROM entity_alias
FULL JOIN entity_address USING (kind, name)
FULL JOIN entity_rights USING (kind, name)
FULL JOIN entity_logons USING (kind, name)
FULL JOIN listed_attribute l USING (kind, name)
ORDER BY kind, name
