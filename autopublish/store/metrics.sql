-- Statements that count for metrics. They are asked again and again, so that each reads an index alone, or only what waits.

-- name: measure_deliveries
-- How many deliveries stand where; read from the index `deliveries_work` alone.
SELECT account, state, COUNT(*) AS n FROM deliveries GROUP BY state, account;

-- name: measure_waiting
-- Of what is not final, why it is held, how many, and since when the first of it was due.
SELECT account, state, CASE WHEN state = 'HELD' THEN reason END AS reason, COUNT(*) AS n, MIN(due) AS due
FROM deliveries WHERE state IN ('HELD', 'READY', 'SENDING', 'VERIFYING', 'NEEDS_REVIEW')
GROUP BY state, account, CASE WHEN state = 'HELD' THEN reason END;

-- name: measure_failed
-- How many attempts made no post, or none that is known, and how they ended; its condition is that of the index
-- `attempts_failed`, which is read alone.
SELECT account, outcome, COUNT(*) AS n FROM attempts WHERE outcome IN ('not sent', 'refused', 'unknown', 'absent')
GROUP BY account, outcome;

-- name: measure_lag
-- When the newest articles of a feed were published and when they were seen.
SELECT published, first_seen FROM articles WHERE feed = :feed ORDER BY published DESC LIMIT :most;

-- name: measure_alerts
-- How many causes that a person must hear of stand, by kind.
SELECT kind, COUNT(*) AS n FROM alerts WHERE ended IS NULL AND over IS NULL GROUP BY kind;
