-- The rows of a batch, counted by file: what the ingest reports of its files are made from. `batch_rows` is a
-- view of its rows (`ueba.contracts.event`, and the number of the file), $evidence the actions that make no edge.

-- step: dropped_records
-- Why records are dropped, with the first of them as an example.
SELECT file, dropped AS reason, count(*) AS records, min_by(example, line) AS example, min(line) AS line
FROM batch_rows WHERE dropped IS NOT NULL GROUP BY ALL

-- step: noted_events
-- What had to be assumed, with the first such event as an example.
SELECT file, note AS reason, count(*) AS records, min_by(example, line) AS example, min(line) AS line
FROM batch_rows WHERE note IS NOT NULL AND dropped IS NULL GROUP BY ALL

-- step: days
SELECT file, time::DATE AS day, min(time) AS first, max(time) AS last, count(*) AS events,
    count(event_id) AS with_id, count(witness) AS with_witness,
    count(*) FILTER (list_contains($evidence, action)) AS evidence
FROM batch_rows WHERE dropped IS NULL GROUP BY ALL

-- step: repeated_events
-- Events whose identity came before in the file.
SELECT file, count(event_id) - count(DISTINCT (event_id, time)) FILTER (event_id IS NOT NULL) AS events
FROM batch_rows WHERE dropped IS NULL GROUP BY ALL

-- step: distinct_names
SELECT file, count(DISTINCT "user") AS users, count(DISTINCT source) AS sources, count(DISTINCT target) AS targets
FROM batch_rows WHERE dropped IS NULL GROUP BY ALL

-- step: hours
SELECT file, date_trunc('hour', time) AS hour, count(*) AS events
FROM batch_rows WHERE dropped IS NULL GROUP BY ALL
