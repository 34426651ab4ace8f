-- Statements that keep the store in good order.

-- name: meta_care
-- What tells how far the store has come, and whether it was put back from a copy.
SELECT name, value FROM meta WHERE name IN
    ('generation', 'instance', 'restored', 'restored_at', 'restored_feeds', 'crashed', 'clock_latest');

-- name: meta_forget
-- What the store keeps of itself no longer.
DELETE FROM meta WHERE name = :name;

-- name: deliveries_going
-- Everything that would go by itself, or once a link answers again or a category is not stopped any more.
SELECT * FROM deliveries
WHERE state = 'READY' OR (state = 'HELD' AND (reason = 'dead link' OR reason LIKE 'stopped: %'));

-- name: deliveries_restored
-- What was held because the store may not know what was posted last.
SELECT * FROM deliveries WHERE state = 'HELD' AND reason = 'restored' ORDER BY account, published, id;

-- name: articles_to_slim
-- The next articles by id; with what they hold if they were first seen long ago and nothing is to be made of them.
SELECT id, CASE WHEN first_seen < :before AND NOT EXISTS (
    SELECT 1 FROM deliveries WHERE deliveries.article = articles.id
        AND (deliveries.state NOT IN ('POSTED', 'CANCELLED') OR deliveries.unclosed = 1)
) THEN data END AS data
FROM articles WHERE id > :after ORDER BY id LIMIT :most;

-- name: article_slim
-- An article holds less; who changed it meanwhile wins.
UPDATE articles SET data = :data WHERE id = :id AND data = :was;

-- name: attempts_to_slim
-- The next attempts by id; with their posts if they ended long ago and their deliveries are over.
SELECT id, CASE WHEN finished < :before AND NOT EXISTS (
    SELECT 1 FROM deliveries WHERE deliveries.id = attempts.delivery
        AND (deliveries.state NOT IN ('POSTED', 'CANCELLED') OR deliveries.unclosed = 1)
) THEN post END AS post
FROM attempts WHERE id > :after ORDER BY id LIMIT :most;

-- name: attempt_slim
-- The post of an attempt that is over holds less.
UPDATE attempts SET post = :post WHERE id = :id;

-- name: check_deliveries
-- Deliveries whose article is missing.
SELECT COUNT(*) AS n FROM deliveries WHERE NOT EXISTS (SELECT 1 FROM articles WHERE articles.id = deliveries.article);

-- name: check_attempts
-- Attempts whose delivery is missing.
SELECT COUNT(*) AS n FROM attempts WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.id = attempts.delivery);

-- name: check_aliases
-- Aliases whose article is missing.
SELECT COUNT(*) AS n FROM aliases WHERE NOT EXISTS (SELECT 1 FROM articles WHERE articles.id = aliases.article);

-- name: check_frozen
-- Deliveries that need the bytes of an attempt which is missing.
SELECT COUNT(*) AS n FROM deliveries
WHERE (frozen IS NOT NULL OR state = 'VERIFYING') AND NOT EXISTS (
    SELECT 1 FROM attempts WHERE attempts.id = deliveries.frozen AND attempts.delivery = deliveries.id);

-- name: check_sending
-- Deliveries in the middle of a call of which no attempt tells.
SELECT COUNT(*) AS n FROM deliveries WHERE state = 'SENDING' AND NOT EXISTS (
    SELECT 1 FROM attempts WHERE attempts.delivery = deliveries.id AND attempts.outcome = 'open');

-- name: care_counts
-- How much there is of what.
SELECT (SELECT COUNT(*) FROM feeds) AS feeds, (SELECT COUNT(*) FROM articles) AS articles,
    (SELECT COUNT(*) FROM aliases) AS aliases, (SELECT COUNT(*) FROM deliveries) AS deliveries,
    (SELECT COUNT(*) FROM attempts) AS attempts, (SELECT COUNT(*) FROM events) AS events;
