-- Statements about accounts.

-- name: accounts_all
-- Every account that was ever configured, in the configuration's order.
SELECT * FROM accounts ORDER BY position, name;

-- name: account_by_name
-- One account.
SELECT * FROM accounts WHERE name = :name;

-- name: accounts_release
-- No account is configured; those of the configuration are claimed again in the same transaction.
UPDATE accounts SET configured = 0;

-- name: account_claim
-- The configuration names an account; a known one keeps what is known of it.
INSERT INTO accounts (name, platform, position, configured, created, state, active_since)
VALUES (:name, :platform, :position, 1, :now, 'ACTIVE', :now)
ON CONFLICT (name) DO UPDATE SET configured = 1, position = excluded.position;

-- name: account_change
-- What is known of an account now.
UPDATE accounts SET state = :state, reason = :reason, active_since = :active_since, not_before = :not_before,
    failures = :failures, refusals = :refusals, identity = :identity, fingerprint = :fingerprint, probe_at = :probe_at, probes = :probes
WHERE name = :name;

-- name: account_renew
-- The name stands for an account on another platform now: nothing that was known of the old one holds.
UPDATE accounts SET platform = :platform, created = :now, state = 'ACTIVE', reason = NULL, active_since = :now,
    not_before = NULL, failures = 0, refusals = 0, identity = NULL, fingerprint = NULL, probe_at = NULL, probes = 0
WHERE name = :name;

-- name: deliveries_orphaned
-- What waits for accounts that the configuration does not name any more: may be held, or can be looked up no more.
SELECT deliveries.* FROM deliveries JOIN accounts ON accounts.name = deliveries.account
WHERE accounts.configured = 0
    AND (deliveries.state = 'READY' AND deliveries.unclosed = 0 OR deliveries.state = 'VERIFYING');
