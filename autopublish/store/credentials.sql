-- Statements about credentials that the store keeps, sealed.

-- name: credentials_get
-- What is kept of an account's login.
SELECT * FROM credentials WHERE account = :account;

-- name: credentials_due
-- The configured accounts that may send and whose credentials are to be renewed by now.
SELECT account FROM credentials WHERE renew_at <= :now AND EXISTS (
    SELECT 1 FROM accounts WHERE accounts.name = credentials.account AND accounts.platform = credentials.platform
        AND accounts.configured = 1 AND accounts.state = 'ACTIVE'
);

-- name: credentials_keep
-- A login gave credentials, whatever was kept before.
INSERT INTO credentials (account, platform, login, sealed, obtained, expires, renew_at, tries)
VALUES (:account, :platform, :login, :sealed, :obtained, :expires, :renew_at, :tries)
ON CONFLICT (account) DO UPDATE SET platform = excluded.platform, login = excluded.login, sealed = excluded.sealed,
    obtained = excluded.obtained, expires = excluded.expires, renew_at = excluded.renew_at, tries = excluded.tries;

-- name: credentials_change
-- What is kept is something else now; who changed it meanwhile wins.
UPDATE credentials SET sealed = :sealed, obtained = :obtained, expires = :expires, renew_at = :renew_at, tries = :tries
WHERE account = :account AND sealed = :was_sealed AND tries = :was_tries
RETURNING account;
