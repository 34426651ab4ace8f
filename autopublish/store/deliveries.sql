-- Statements about deliveries and attempts.

-- name: delivery_add
-- A new delivery; one of the same article, account, part and occasion stays as it is.
INSERT INTO deliveries (id, article, account, part, occasion, state, reason, published, due, created, changed,
    allowed_by, allowed_at)
VALUES (:id, :article, :account, :part, :occasion, :state, :reason, :published, :due, :created, :changed,
    :allowed_by, :allowed_at)
ON CONFLICT DO NOTHING;

-- name: delivery_change
-- A delivery as it stands now, if nobody else changed it meanwhile.
UPDATE deliveries SET state = :state, reason = :reason, published = :published, due = :due, changed = :changed,
    allowed_by = :allowed_by, allowed_at = :allowed_at, generation = :generation, frozen = :frozen,
    unclosed = :unclosed, without_picture = :without_picture, pictures_skipped = :pictures_skipped,
    stage = :stage, stage_tries = :stage_tries, stage_since = :stage_since, look_at = :look_at, looks = :looks, absences = :absences,
    failed_looks = :failed_looks, look_since = :look_since, absent_at = :absent_at, adopting = :adopting,
    last_tried = :last_tried, remote_id = :remote_id, url = :url
WHERE id = :id AND changed = :was_changed AND state = :was_state
RETURNING id;

-- name: delivery_by_id
-- One delivery.
SELECT * FROM deliveries WHERE id = :id;

-- name: deliveries_by_prefix
-- Deliveries whose id begins as typed (from :low, below :high).
SELECT * FROM deliveries WHERE id >= :low AND id < :high ORDER BY id LIMIT 3;

-- name: deliveries_of_article
-- The deliveries of one article.
SELECT * FROM deliveries WHERE article = :article ORDER BY account, part, occasion;

-- name: deliveries_in_state
-- Deliveries of one state, oldest article first.
SELECT * FROM deliveries WHERE state = :state ORDER BY published, id LIMIT :most;

-- name: deliveries_dead_link
-- What is held because the link of an article was dead, with the feed that showed the article first.
SELECT deliveries.*, articles.feed AS feed FROM deliveries JOIN articles ON articles.id = deliveries.article
WHERE deliveries.state = 'HELD' AND deliveries.reason = 'dead link'
ORDER BY deliveries.article, deliveries.account;

-- name: deliveries_newest
-- The deliveries that changed last.
SELECT * FROM deliveries ORDER BY changed DESC, id LIMIT :most;

-- name: deliveries_ready
-- The due deliveries of an account in their order.
SELECT * FROM deliveries WHERE state = 'READY' AND account = :account AND due <= :now
ORDER BY unclosed DESC, published, id LIMIT :most;

-- name: deliveries_unknown
-- The deliveries of an account whose outcome is to be looked up by now, the longest due first: where looks fail, each has
-- its turn.
SELECT * FROM deliveries WHERE state = 'VERIFYING' AND account = :account AND (look_at IS NULL OR look_at <= :now)
ORDER BY COALESCE(look_at, 0), published, id;

-- name: deliveries_left_sending
-- What a dead process left in the middle of a call.
SELECT * FROM deliveries WHERE state = 'SENDING' ORDER BY account, published, id;

-- name: accounts_with_work
-- For each account with something to do, when the first of it falls due.
SELECT account, state, COUNT(*) AS n, MIN(CASE WHEN state = 'VERIFYING' THEN COALESCE(look_at, 0) ELSE due END) AS at
FROM deliveries WHERE state IN ('READY', 'SENDING', 'VERIFYING') GROUP BY account, state;

-- name: deliveries_count
-- How many deliveries stand where, and why where they wait for a person.
SELECT account, state, CASE WHEN state IN ('HELD', 'REJECTED') THEN reason END AS reason, COUNT(*) AS n
FROM deliveries GROUP BY account, state, CASE WHEN state IN ('HELD', 'REJECTED') THEN reason END
ORDER BY account, state;

-- name: deliveries_unfinished
-- What is on its way to an account.
SELECT * FROM deliveries WHERE account = :account AND state IN ('READY', 'SENDING', 'VERIFYING');

-- name: deliveries_not_final
-- What may still go to an account or be there already, a person's decision included.
SELECT * FROM deliveries
WHERE account = :account AND state IN ('HELD', 'READY', 'SENDING', 'VERIFYING', 'NEEDS_REVIEW', 'REJECTED')
ORDER BY published, id;

-- name: articles_open
-- The articles with a delivery that is not final.
SELECT DISTINCT article FROM deliveries WHERE state IN ('HELD', 'READY', 'SENDING', 'VERIFYING', 'NEEDS_REVIEW');

-- name: attempt_add
-- The intent to make one call.
INSERT INTO attempts (id, delivery, account, key, generation, post, stage, started, deadline, key_since, finished,
    outcome, evidence, counted, resend, microdollars)
VALUES (:id, :delivery, :account, :key, :generation, :post, :stage, :started, :deadline, :key_since, :finished,
    :outcome, :evidence, :counted, :resend, :microdollars);

-- name: attempt_end
-- How a call ended.
UPDATE attempts SET finished = :finished, outcome = :outcome, evidence = :evidence, counted = :counted WHERE id = :id;

-- name: attempt_by_id
-- One attempt.
SELECT * FROM attempts WHERE id = :id;

-- name: attempts_of_delivery
-- The attempts of one delivery, first one first.
SELECT * FROM attempts WHERE delivery = :delivery ORDER BY started, id;

-- name: attempt_open
-- The attempt that a dead process left open.
SELECT * FROM attempts WHERE delivery = :delivery AND outcome = 'open' ORDER BY started DESC, id LIMIT 1;

-- name: attempts_counted
-- When the attempts began that count in the account's rate windows.
SELECT started FROM attempts WHERE account = :account AND started > :since AND counted = 1;

-- name: attempts_paid
-- When the attempts began that cost something and count in the account's budgets, and what each cost.
SELECT started, microdollars FROM attempts
WHERE account = :account AND started > :since AND counted = 1 AND microdollars > 0;
