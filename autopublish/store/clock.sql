-- Statements about times that a clock wrote which was wrong.

-- name: clock_latest
-- The latest times that the feeds and an account have seen.
SELECT (SELECT MAX(last_try) FROM feeds) AS polled,
    (SELECT MAX(started) FROM attempts WHERE account = :account) AS tried;

-- name: clock_notes
-- What the store keeps of the clock.
SELECT name, value FROM meta WHERE name IN ('last_tick', 'clock_latest', 'clock_accepted', 'awake_since');

-- name: clock_deliveries
-- What may go by itself and was changed at a time that has not come.
SELECT * FROM deliveries WHERE state IN ('READY', 'VERIFYING') AND changed > :limit;

-- name: clock_attempts
-- Attempts that began at a time that has not come: by now. How old their keys are nobody knows: older than any window.
UPDATE attempts SET started = :now, deadline = :now, key_since = :long_ago,
    finished = CASE WHEN finished IS NULL THEN NULL ELSE :now END
WHERE started > :limit;

-- name: clock_keys
-- Attempts whose keys were first used at a time that has not come.
UPDATE attempts SET key_since = :long_ago WHERE key_since > :limit;

-- name: clock_feeds
-- Feeds that were asked at a time that has not come.
UPDATE feeds SET
    first_try = CASE WHEN first_try > :limit THEN :now ELSE first_try END,
    last_try = CASE WHEN last_try > :limit THEN :now ELSE last_try END,
    baseline_at = CASE WHEN baseline_at > :limit THEN :now ELSE baseline_at END,
    last_good = CASE WHEN last_good > :limit THEN :now ELSE last_good END,
    newest = CASE WHEN newest > :limit THEN :now ELSE newest END,
    last_full = CASE WHEN last_full > :limit THEN NULL ELSE last_full END,
    not_before = CASE WHEN last_try > :limit THEN NULL ELSE not_before END,
    moved_since = CASE WHEN moved_since > :limit THEN :now ELSE moved_since END
WHERE last_try > :limit OR last_good > :limit;

-- name: clock_hosts
-- Hosts that told us to wait for longer than any is obeyed.
DELETE FROM hosts WHERE not_before > :far;

-- name: clock_articles
-- Articles that were first seen at a time that has not come.
UPDATE articles SET first_seen = :now, published = CASE WHEN published > :limit THEN :now ELSE published END
WHERE first_seen > :limit;

-- name: clock_accounts
-- Accounts of which something was written at a time that has not come.
UPDATE accounts SET
    created = CASE WHEN created > :limit THEN :now ELSE created END,
    active_since = CASE WHEN active_since > :limit THEN :now ELSE active_since END,
    not_before = CASE WHEN not_before > :soon THEN :soon ELSE not_before END,
    probe_at = CASE WHEN probe_at > :soon THEN :soon ELSE probe_at END
WHERE created > :limit OR active_since > :limit OR not_before > :soon OR probe_at > :soon;
