-- Statements about feeds and the hosts that they live on.

-- name: feeds_configured
-- The feeds that the configuration of now names, in its order.
SELECT * FROM feeds WHERE name IS NOT NULL ORDER BY position;

-- name: feed_ids
-- The feeds that the configuration of now names, in its order, without what is known of them.
SELECT id FROM feeds WHERE name IS NOT NULL ORDER BY position;

-- name: feed_first
-- The first feed that the configuration of now names.
SELECT * FROM feeds WHERE name IS NOT NULL ORDER BY position LIMIT 1;

-- name: feed_by_id
-- One feed.
SELECT * FROM feeds WHERE id = :id;

-- name: feed_by_name
-- The feed that a name claims.
SELECT * FROM feeds WHERE name = :name;

-- name: feeds_all
-- Every feed that was ever named.
SELECT * FROM feeds ORDER BY position, id;

-- name: feeds_release
-- No name claims any feed; those of the configuration are claimed again in the same transaction.
UPDATE feeds SET name = NULL;

-- name: feed_add
-- A feed that is named for the first time.
INSERT INTO feeds (id, name, position, url, settings) VALUES (:id, :name, :position, :url, :settings);

-- name: feed_claim
-- The configuration names a known feed.
UPDATE feeds SET name = :name, position = :position, url = :url, settings = :settings WHERE id = :id;

-- name: feed_forget_url
-- Another URL has other validators, and its body another hash.
UPDATE feeds SET etag = NULL, last_modified = NULL, body_hash = NULL, item_digests = '', last_full = NULL, not_before = NULL, gone = 0,
    first_try = NULL, last_try = NULL, url_changed = 1, moved_to = NULL, moved_since = NULL, moved_polls = 0, learnt_url = NULL
WHERE id = :id;

-- name: feed_polled
-- What a poll left of the feed's state.
UPDATE feeds SET etag = :etag, last_modified = :last_modified, body_hash = :body_hash, item_digests = :item_digests,
    first_try = :first_try, last_try = :last_try,
    baseline_at = :baseline_at, last_good = :last_good, newest = :newest, last_full = :last_full,
    not_before = :not_before, failures = :failures, last_error = :last_error, gone = :gone,
    url_changed = :url_changed, moved_to = :moved_to, moved_since = :moved_since, moved_polls = :moved_polls,
    learnt_url = :learnt_url
WHERE id = :id;

-- name: host_wait
-- A host told us to wait; the longer wait stands.
INSERT INTO hosts (host, not_before) VALUES (:host, :not_before)
ON CONFLICT (host) DO UPDATE SET not_before = excluded.not_before WHERE excluded.not_before > hosts.not_before;

-- name: hosts_waiting
-- The hosts that are not to be asked yet.
SELECT host, not_before FROM hosts WHERE not_before > :now;
