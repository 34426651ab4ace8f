-- The first tables. Times are microseconds since 1970 in UTC; truth values are 0 and 1; JSON is text; keys are ours.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- `name` is empty once no configuration claims the feed; its history stays for a new name with the same URL.
CREATE TABLE feeds (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE,
    position INTEGER NOT NULL,
    url TEXT NOT NULL,
    settings TEXT NOT NULL,
    etag TEXT,
    last_modified TEXT,
    body_hash TEXT,
    item_digests TEXT NOT NULL DEFAULT '',
    first_try BIGINT,
    last_try BIGINT,
    baseline_at BIGINT,
    last_good BIGINT,
    newest BIGINT,
    last_full BIGINT,
    not_before BIGINT,
    failures INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    gone INTEGER NOT NULL DEFAULT 0,
    url_changed INTEGER NOT NULL DEFAULT 0,
    moved_to TEXT,
    moved_since BIGINT,
    moved_polls INTEGER NOT NULL DEFAULT 0,
    learnt_url TEXT
);

-- Hosts that told us to wait; the wait covers every feed there.
CREATE TABLE hosts (
    host TEXT PRIMARY KEY,
    not_before BIGINT NOT NULL
);

CREATE TABLE articles (
    id TEXT PRIMARY KEY,
    feed TEXT NOT NULL,
    origin TEXT NOT NULL,
    link TEXT,
    published BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    baseline INTEGER NOT NULL,
    data TEXT NOT NULL
);

CREATE INDEX articles_link ON articles (link);

-- When a feed showed its newest articles: its habit.
CREATE INDEX articles_feed ON articles (feed, published);

-- For good: an alias is never deleted and never moves to another article.
CREATE TABLE aliases (
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    digest TEXT NOT NULL,
    article TEXT NOT NULL,
    PRIMARY KEY (kind, scope, digest)
);

-- By what an article is looked for once its site has moved: path or title and date within a feed, digested together with
-- the feed's id. Several articles may have one name.
CREATE TABLE traces (
    name TEXT NOT NULL,
    article TEXT NOT NULL,
    PRIMARY KEY (name, article)
);

CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
    platform TEXT NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    configured INTEGER NOT NULL,
    created BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    active_since BIGINT NOT NULL,
    not_before BIGINT,
    failures INTEGER NOT NULL DEFAULT 0,
    refusals INTEGER NOT NULL DEFAULT 0,
    identity TEXT,
    fingerprint TEXT,
    probe_at BIGINT,
    probes INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    article TEXT NOT NULL,
    account TEXT NOT NULL,
    part INTEGER NOT NULL,
    occasion TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    published BIGINT NOT NULL,
    due BIGINT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    allowed_by TEXT,
    allowed_at BIGINT,
    generation INTEGER NOT NULL DEFAULT 0,
    frozen TEXT,
    unclosed INTEGER NOT NULL DEFAULT 0,
    without_picture INTEGER NOT NULL DEFAULT 0,
    pictures_skipped INTEGER NOT NULL DEFAULT 0,
    stage TEXT,
    stage_tries INTEGER NOT NULL DEFAULT 0,
    stage_since BIGINT,
    look_at BIGINT,
    looks INTEGER NOT NULL DEFAULT 0,
    absences INTEGER NOT NULL DEFAULT 0,
    failed_looks INTEGER NOT NULL DEFAULT 0,
    look_since BIGINT,
    absent_at BIGINT,
    adopting INTEGER NOT NULL DEFAULT 0,
    last_tried BIGINT,
    remote_id TEXT,
    url TEXT,
    UNIQUE (article, account, part, occasion)
);

-- In the order of `deliveries_ready`: the first of a thousand that are due is found without a look at the others.
CREATE INDEX deliveries_work ON deliveries (state, account, unclosed DESC, published, id);

-- Each poll asks for the few that are held for a dead link, however much is held for other reasons.
CREATE INDEX deliveries_held ON deliveries (reason, article) WHERE state = 'HELD';

CREATE TABLE attempts (
    id TEXT PRIMARY KEY,
    delivery TEXT NOT NULL,
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    generation INTEGER NOT NULL,
    post TEXT NOT NULL,
    stage TEXT NOT NULL,
    started BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    key_since BIGINT NOT NULL,
    finished BIGINT,
    outcome TEXT NOT NULL,
    evidence TEXT,
    counted INTEGER NOT NULL,
    resend INTEGER NOT NULL,
    microdollars BIGINT NOT NULL
);

CREATE INDEX attempts_account ON attempts (account, started);

CREATE INDEX attempts_delivery ON attempts (delivery, started);

-- Metrics count the few that made no post; one that goes well is in it at no time.
CREATE INDEX attempts_failed ON attempts (account, outcome) WHERE outcome IN ('not sent', 'refused', 'unknown', 'absent');

-- What logins gave, by account, sealed with a key that is not in the store. `tries` counts the calls for new credentials
-- that were begun, and of which no result was written: it rises before the call.
CREATE TABLE credentials (
    account TEXT PRIMARY KEY,
    platform TEXT NOT NULL,
    login TEXT NOT NULL,
    sealed TEXT NOT NULL,
    obtained BIGINT NOT NULL,
    expires BIGINT,
    renew_at BIGINT,
    tries INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX credentials_renewals ON credentials (renew_at);

-- Append-only: who did what, and why.
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    subject TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    what TEXT NOT NULL,
    why TEXT
);

CREATE INDEX events_subject ON events (subject_id, id);

-- Which process works on which feed (verb `poll`) or account (verb `drain`). A lease counts as long as its owner lives,
-- which the lock on the owner's file tells, not a time.
CREATE TABLE leases (
    verb TEXT NOT NULL,
    subject TEXT NOT NULL,
    owner TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (verb, subject)
);

-- What a person stopped: everything (kind `everything`, no name), or the articles of a category. A row lasts until
-- somebody says `go`; `name` is what categories are compared by, `words` what was typed.
CREATE TABLE switches (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    words TEXT NOT NULL,
    who TEXT NOT NULL,
    since BIGINT NOT NULL,
    why TEXT,
    PRIMARY KEY (kind, name)
);

-- What a person must hear of. One is open (not over) for each kind, subject and detail; one that has ended is history.
CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    urgency TEXT NOT NULL,
    words TEXT NOT NULL,
    raised BIGINT NOT NULL,
    told BIGINT,
    tellings INTEGER NOT NULL DEFAULT 0,
    over BIGINT,
    ended BIGINT
);

CREATE UNIQUE INDEX alerts_open ON alerts (kind, subject, detail) WHERE ended IS NULL;
CREATE INDEX alerts_found ON alerts (kind, subject, detail, raised);
