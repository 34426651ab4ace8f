-- Statements about what a person must hear of.

-- name: alert_raise
-- A cause was found: an alert of it begins, or goes on if it has not ended.
INSERT INTO alerts (id, kind, subject, detail, urgency, words, raised)
VALUES (:id, :kind, :subject, :detail, :urgency, :words, :now)
ON CONFLICT (kind, subject, detail) WHERE ended IS NULL DO UPDATE SET words = excluded.words, over = NULL;

-- name: alert_clear
-- A cause is gone.
UPDATE alerts SET over = :now
WHERE kind = :kind AND subject = :subject AND detail = :detail AND over IS NULL AND ended IS NULL;

-- name: alerts_clear_kind
-- A cause is gone, whatever its detail was.
UPDATE alerts SET over = :now WHERE kind = :kind AND subject = :subject AND over IS NULL AND ended IS NULL;

-- name: alerts_clear_feeds
-- The feeds that are read again, and those that the configuration does not name any more, need nobody.
UPDATE alerts SET over = :now
WHERE kind IN ('feed', 'quiet feed') AND over IS NULL AND ended IS NULL
    AND EXISTS (
        SELECT 1 FROM feeds
        WHERE feeds.id = alerts.subject AND (name IS NULL OR (kind = 'feed' AND failures = 0 AND gone = 0)));

-- name: alerts_clear_deliveries
-- Nothing of an account waits for a person for this reason any more.
UPDATE alerts SET over = :now
WHERE kind = :kind AND subject = :subject AND detail = :detail AND over IS NULL AND ended IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM deliveries
        WHERE state = :state AND account = :subject
            AND (:detail = '' OR reason = :detail OR reason LIKE :pattern ESCAPE '\'));

-- name: alerts_clear_accounts
-- Accounts that the configuration does not name any more need nobody.
UPDATE alerts SET over = :now
WHERE kind IN ('account', 'away', 'expiry', 'quiet account') AND over IS NULL AND ended IS NULL
    AND NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.name = alerts.subject AND configured = 1);

-- name: alerts_clear_safe_mode
-- No account is in SAFE_MODE any more, and nothing keeps one that comes in it.
UPDATE alerts SET over = :now
WHERE kind = 'safe mode' AND over IS NULL AND ended IS NULL
    AND NOT EXISTS (SELECT 1 FROM accounts WHERE configured = 1 AND state = 'SAFE_MODE')
    AND NOT EXISTS (SELECT 1 FROM meta WHERE name IN ('restored', 'crashed'));

-- name: alerts_live
-- What was found and of which not all is told, the oldest first, and whether the end of the same was told shortly before.
SELECT *, EXISTS (
    SELECT 1 FROM alerts AS was
    WHERE was.kind = alerts.kind AND was.subject = alerts.subject AND was.detail = alerts.detail
        AND was.raised < alerts.raised AND was.ended > alerts.raised - :apart AND was.tellings > 0) AS is_back
FROM alerts WHERE ended IS NULL ORDER BY raised, id;

-- name: alerts_urgent
-- Whether something was found that must be told at once, and is not yet.
SELECT 1 AS urgent FROM alerts WHERE ended IS NULL AND urgency = 'now' AND tellings = 0 AND over IS NULL LIMIT 1;

-- name: alert_told
-- An alert was told.
UPDATE alerts SET told = :told, tellings = :tellings WHERE id = :id;

-- name: alert_end
-- All is told of an alert; one that was over when it was told has ended only if it still is.
UPDATE alerts SET ended = :ended WHERE id = :id AND (over IS NOT NULL OR :was_over = 0);

-- name: alert_back
-- The cause came back while its end was told: it begins anew.
UPDATE alerts SET told = NULL, tellings = 0 WHERE id = :id AND ended IS NULL;

-- name: notice_known
-- Whether the same was found not long ago.
SELECT 1 AS known FROM alerts
WHERE kind = 'notice' AND subject = :subject AND detail = :detail AND raised > :since LIMIT 1;

-- name: alerts_forget
-- What ended long ago.
DELETE FROM alerts WHERE ended < :before;

-- name: silence_articles
-- When the newest articles of a feed were published, the newest first.
SELECT published AS at FROM articles WHERE feed = :feed ORDER BY published DESC LIMIT 200;

-- name: silence_posts
-- When the newest posts of an account were made, the newest first.
SELECT started AS at FROM attempts WHERE account = :account AND outcome = 'posted' ORDER BY started DESC LIMIT 200;

-- name: silence_missed
-- Whether something came after a time that the account has not posted, whatever became of it.
SELECT 1 AS missed FROM deliveries
WHERE account = :account AND state IN ('HELD', 'READY', 'VERIFYING', 'NEEDS_REVIEW', 'REJECTED', 'CANCELLED')
    AND unclosed IN (0, 1) AND published > :since AND NOT (state = 'HELD' AND reason LIKE 'stopped: %') LIMIT 1;
