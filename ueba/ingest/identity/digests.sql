-- What the aliases mean for each day, as one text: part of the name of the day's edges, so that they are made
-- again when it changes. Reads the tables of aliases.sql and evidence.

-- step: used_name
SELECT day, 'user' AS kind, name FROM evidence WHERE kind = 'user'
UNION
SELECT day, 'host', name FROM evidence WHERE kind = 'host'
UNION
SELECT day, 'host', other FROM evidence WHERE kind = 'host' AND other IS NOT NULL

-- step: used_alias
SELECT day, name, entity FROM used_name JOIN user_alias USING (name) WHERE kind = 'user'
UNION ALL
SELECT day, name, entity FROM used_name JOIN host_alias USING (name) WHERE kind = 'host'
UNION ALL
SELECT day, name, concat_ws(' ', host, rank, since, until) FROM used_name JOIN address_alias ON name = address
WHERE kind = 'host' AND since < day + INTERVAL 1 DAY AND until > day

-- step: day_digest
SELECT day, md5(string_agg(name || '=' || entity, '|' ORDER BY name, entity)) AS digest
FROM used_alias GROUP BY day
