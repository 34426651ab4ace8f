"""The values that travel along the line: feeds, articles, posts, deliveries, receipts.

Frozen, without behaviour beyond a derived property. Times are aware and in UTC, durations are `timedelta`. This module
knows no file, network, clock or platform.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

#: A key window that never ends: the platform knows our key for good.
FOREVER = timedelta.max

#: So many bytes name an item of a document.
DIGEST_BYTES = 8
#: Stands for an item that is read each time: no item has this digest.
NEVER_KNOWN = bytes(DIGEST_BYTES)


# --- feeds -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """ETag and Last-Modified (RFC 9110) of one URL, byte for byte as they came."""

    etag: str | None = None
    last_modified: str | None = None


class FirstRun(StrEnum):
    """What the first poll of a feed lets through."""

    #: Every article is recorded as known, none is posted.
    NONE = "none"
    #: The newest N articles are posted.
    NEWEST = "newest"
    #: All articles of the first document are posted.
    ALL = "all"
    #: Articles published at or after a date are posted.
    SINCE = "since"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRunRule:
    """The operator's choice for the first poll of a feed."""

    kind: FirstRun = FirstRun.NONE
    #: For NEWEST.
    count: int = 0
    #: For SINCE.
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """One feed as the configuration names it; all that a poll needs, kept in the store between runs."""

    name: str
    #: An http(s) URL, or a `file:` URL when the configuration names a local file.
    url: str
    every: timedelta = timedelta(minutes=5)
    first_run: FirstRunRule = FirstRunRule()
    #: Private and loopback addresses may be asked.
    allow_private: bool = False
    #: BCP 47 tag of the articles when the feed itself names a wrong one.
    language: str | None = None
    #: Who asks, beside the program's name: a URL or mail address where the site's admin finds the operator.
    contact: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A feed as the store knows it: its settings and what earlier polls left."""

    id: str
    settings: FeedSettings
    validators: Validators = Validators()
    #: sha256 of the last body that was saved; None before the first.
    body_hash: str | None = None
    #: 8 bytes that name how the last document was read, then 8 bytes for each of its items that may be cut out of the
    #: next one; empty where none may.
    item_digests: bytes = b""
    #: The first time that we asked, whatever came.
    first_try: datetime | None = None
    #: The last time that we asked, whatever came.
    last_try: datetime | None = None
    #: The first poll with items; what it showed is `baseline`.
    baseline_at: datetime | None = None
    last_good: datetime | None = None
    #: Publication time of the newest article known at the last good poll, never later than that poll.
    newest: datetime | None = None
    #: Last GET without validators that was answered.
    last_full: datetime | None = None
    #: Not asked before this time, unless a person says so.
    not_before: datetime | None = None
    #: Failed polls in a row.
    failures: int = 0
    last_error: str | None = None
    #: The site said 410: not asked until a person resumes it.
    gone: bool = False
    #: The configuration names another URL than the last good poll asked.
    url_changed: bool = False
    #: Where the site says that the feed has moved for good, since when, and in how many polls that showed what we know.
    moved_to: str | None = None
    moved_since: datetime | None = None
    moved_polls: int = 0
    #: Where it is read after it moved; None: where the configuration says.
    learnt_url: str | None = None

    @property
    def address(self) -> str:
        """The URL to ask."""
        return self.learnt_url or self.settings.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A picture as a feed names it; not fetched yet."""

    url: str
    alt: str | None = None
    #: Media type as the feed states it, not checked.
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One entry of one document, cleaned: plain text, absolute URLs, UTC times."""

    guid: str | None
    link: str | None
    title: str
    #: Plain text of the excerpt, one paragraph.
    summary: str = ""
    #: Plain text of the body, bounded.
    text: str = ""
    author: str | None = None
    #: Categories and tags in the document's order, which WordPress does not tell apart.
    categories: tuple[str, ...] = ()
    language: str | None = None
    #: As stated by the feed, None if absent or unreadable or outside 1995..9999.
    published: datetime | None = None
    pictures: tuple[Media, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One parsed feed document."""

    title: str
    items: tuple[Item, ...]
    language: str | None = None
    #: Home page of the site.
    link: str | None = None
    #: Why some items may be missing from this document (cut short, too many), None if it was read whole.
    partial: str | None = None
    #: 8 bytes for each item that the document holds, those that were cut out included; empty where they are not known.
    item_digests: bytes = b""
    #: How many items were cut out, since they are byte for byte those of the document that was saved last.
    cut: int = 0


# --- articles --------------------------------------------------------------------------------------------------------


class AliasKind(StrEnum):
    """By what an article is recognised again, the strongest first."""

    #: Scope: the feed's id.
    GUID = "guid"
    #: A guid that is a URL; scope: the host that the items link to.
    GUID_URL = "guid-url"
    #: guid and link together, for the later of two items with one guid; scope: the feed's id.
    GUID_LINK = "guid+link"
    #: Normalised link; no scope.
    LINK = "link"
    #: Title and date, only for items without guid and link; scope: the feed's id.
    TITLE_DATE = "title+date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """One name of an article; it stays bound to that article for good."""

    kind: AliasKind
    scope: str
    #: First 32 hex digits of sha256 of the value.
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One entry of a feed, with an identity that survives edits, moves and new guids."""

    id: str
    #: Id of the feed that showed it first.
    feed: str
    #: Its first alias without the feed's name: the same in a restored store or a second copy (see `articles.origin`).
    origin: str
    link: str | None
    title: str
    summary: str = ""
    text: str = ""
    author: str | None = None
    categories: tuple[str, ...] = ()
    language: str | None = None
    #: When it counts as published: as stated, or first seen where the date is absent or a little ahead.
    published: datetime
    #: As stated by the feed.
    stated: datetime | None = None
    first_seen: datetime
    pictures: tuple[Media, ...] = ()
    #: Shown only by first polls: known, and never posted by itself.
    baseline: bool = False
    #: Names of the feeds that showed it, the first one first.
    feeds: tuple[str, ...] = ()


class Novelty(StrEnum):
    """What a new article is to its feed."""

    NEWS = "news"
    #: Of the first poll, and let through by the operator's `first_run`.
    CHOSEN = "chosen"
    #: Of the first poll: known from now on, never posted by itself.
    BASELINE = "baseline"
    #: Dated long before the feed's last good poll.
    BACKDATED = "backdated"
    #: Dated more than a week ahead.
    FUTURE = "future"
    #: No news, and unknown together with most of what the document shows: known articles under other names, perhaps.
    MOVED = "moved"


# --- posts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that was fetched, decoded and fitted; kept under its content hash."""

    path: str
    sha256: str
    #: `image/jpeg` or another type that the platform's MediaLimits allow.
    type: str
    width: int
    height: int
    size_bytes: int
    #: Empty if nothing describes it.
    alt: str = ""
    #: Where it stands on the web; once it was fitted, only if what stands there is within the limits as well.
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """What a network takes as a picture."""

    types: tuple[str, ...] = ("image/jpeg", "image/png")
    size_bytes: int = 1_000_000
    #: The longer side, in pixels.
    side: int = 2000
    #: How many in one post.
    count: int = 1
    #: In characters; 0 where the network has no alt text.
    alt_length: int = 0


class SpanKind(StrEnum):
    """What a stretch of a post's text is."""

    LINK = "link"
    HASHTAG = "hashtag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A link or a hashtag inside a post's text; `start` and `end` count characters of the string, end exclusive."""

    kind: SpanKind
    start: int
    end: int
    #: The URL, or the tag without its `#`.
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """The exact text, link, picture and card composed for one account."""

    text: str
    link: str | None
    #: Title and summary of the card, plain text.
    title: str
    summary: str = ""
    spans: tuple[Span, ...] = ()
    picture: Picture | None = None
    #: BCP 47 tags.
    languages: tuple[str, ...] = ()
    #: When the post was composed; the time that it shows.
    created_at: datetime
    #: When the article was published, whole seconds.
    published: datetime
    #: As the network counts it, and how much it takes.
    length: int = 0
    room: int = 0
    #: What had to give way to fit: `text`, `summary`, `title`, `hashtags`.
    shortened: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What `Platform.stage` made before the post: ids of uploads, a container. JSON values only."""

    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the platform answered: the post's id there, and its public URL."""

    remote_id: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who is logged in: a stable id and the name that people see."""

    id: str
    name: str
    #: Where people see the account's posts.
    url: str | None = None
    #: Until when its credentials work, where the network says it.
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a login or a renewal gave: values by the names of the settings' secret fields."""

    values: Mapping[str, str] = field(repr=False)
    #: For how long they work from now on; None: until somebody revokes them, or the network does not say.
    lifetime: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The credentials that the store keeps for an account, encrypted."""

    account: str
    platform: str
    #: Names the login that they come from, whatever was renewed since.
    login: str
    #: As `vault` sealed them.
    sealed: str = field(repr=False)
    obtained: datetime
    expires: datetime | None = None
    #: When they are to be renewed; None: never by themselves.
    renew_at: datetime | None = None
    #: Calls for new ones that were begun, and of which nobody knows what they gave.
    tries: int = 0


# --- accounts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A rule over articles; each part that is set is one condition, any of its values fulfils it."""

    categories: tuple[str, ...] = ()
    #: Whole words or phrases in title, summary or text, without regard to case.
    words: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    #: A regular expression searched in title, summary and text.
    matching: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HashtagRules:
    """How categories and tags become hashtags."""

    #: Where they come from: `categories` (WordPress puts its tags there too).
    sources: tuple[str, ...] = ("categories",)
    most: int = 3
    always: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    #: Category -> hashtag, compared without regard to case.
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateWindow:
    """At most `count` attempts in any stretch of `period`."""

    count: int
    period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most so much money for posts in any stretch of `period`."""

    #: Millionths of a dollar: sums of prices stay exact.
    microdollars: int
    period: timedelta


class OnUnknown(StrEnum):
    """What becomes of an outcome that the machine cannot know."""

    #: A person decides.
    REVIEW = "review"
    #: The same bytes go once more, marked as a resend.
    RESEND = "resend"
    #: Given up, marked as dropped.
    DROP = "drop"


class Pictures(StrEnum):
    """Where the pictures of an account's posts come from."""

    #: From the feed; where it has none that can be used, from what the article's page names.
    PAGE = "page"
    #: From the feed alone.
    FEED = "feed"
    #: Posts have none.
    NONE = "none"


class MissingAlt(StrEnum):
    """What describes a picture that nobody described."""

    #: The article's title.
    TITLE = "title"
    #: Nothing.
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One configured login on a platform."""

    name: str
    platform: str
    template: str
    hashtags: HashtagRules = HashtagRules()
    #: Names of feeds; empty means all.
    feeds: tuple[str, ...] = ()
    #: False: it takes nothing of any feed, and is there for alerts alone.
    takes_articles: bool = True
    only: Filter | None = None
    never: Filter | None = None
    delay: timedelta = timedelta(0)
    #: None switches the rule off, here and below.
    max_age: timedelta | None = timedelta(hours=24)
    burst: int | None = 10
    at_most: tuple[RateWindow, ...] = (RateWindow(count=12, period=timedelta(hours=1)),)
    #: What posts may cost, beside how many there may be.
    budgets: tuple[Budget, ...] = ()
    #: Overrides the platform's settle time.
    settle: timedelta | None = None
    on_unknown: OnUnknown = OnUnknown.REVIEW
    #: Languages of the posts; empty means the article's.
    languages: tuple[str, ...] = ()
    pictures: Pictures = Pictures.PAGE
    missing_alt: MissingAlt = MissingAlt.TITLE
    allow_private: bool = False
    #: The platform's own part, an instance of its `Settings` with secrets still unresolved.
    settings: Any = None


class ReadBack(StrEnum):
    """What a look at the account's own posts can prove."""

    #: Nothing can be read.
    NONE = "none"
    #: By the key itself: `publish` again with the same key is harmless.
    BY_KEY = "by key"
    #: Presence and absence.
    STRONG = "strong"
    #: Presence only; absence proves nothing.
    LAGGING = "lagging"
    #: Not by reading: an identical post is answered with the id of the first.
    BY_ANSWER = "by answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """How an unknown outcome is resolved on an account: its platform's data, the settle time perhaps the operator's."""

    #: How long the network remembers our key; None: it knows none; FOREVER: for good.
    key_window: timedelta | None
    read_back: ReadBack
    #: How long after an attempt's deadline a post may still appear.
    settle: timedelta


class AccountState(StrEnum):
    """Whether an account may send."""

    ACTIVE = "ACTIVE"
    #: Token dead, secret missing, or another identity than the pinned one.
    AUTH_BLOCKED = "AUTH_BLOCKED"
    #: By the operator, the circuit breaker or a budget.
    PAUSED = "PAUSED"
    #: Restored or cloned store, crash loop, mistrusted clock.
    SAFE_MODE = "SAFE_MODE"


#: Begins the reason of an account that its circuit breaker paused.
BREAKER = "paused by its circuit breaker: "
#: Begins the reason of an account that waits for money.
NO_MONEY = "its budget (at_most) is used up: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the store knows of an account: whether it may send, and when again."""

    account: str
    platform: str
    created: datetime
    state: AccountState = AccountState.ACTIVE
    #: Why it is blocked or paused, or what it waits for since.
    reason: str | None = None
    #: Last return to ACTIVE.
    active_since: datetime
    #: Back-off: nothing is sent before.
    not_before: datetime | None = None
    #: NotSent and OutcomeUnknown in a row; a Receipt resets it.
    failures: int = 0
    #: Posts refused for good in a row; a Receipt resets it.
    refusals: int = 0
    #: Identity pinned by the first `whoami`.
    identity: Identity | None = None
    #: Salted digest of the credentials that `whoami` was last asked with.
    fingerprint: str | None = None
    #: When `whoami` is tried again while AUTH_BLOCKED, and how often it was.
    probe_at: datetime | None = None
    probes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """What a person stopped until somebody says `go`: everything, or the articles of a category."""

    who: str
    since: datetime
    why: str | None = None
    #: As it was typed; None: everything.
    category: str | None = None


# --- deliveries ------------------------------------------------------------------------------------------------------


class State(StrEnum):
    """Where a delivery stands; `deliveries.py` has the moves."""

    #: Waits for a person, with a reason.
    HELD = "HELD"
    #: May go at its due time, in order, while the account is ACTIVE.
    READY = "READY"
    #: The intent is durable; the call may or may not have been made.
    SENDING = "SENDING"
    #: The outcome is unknown; evidence is being collected.
    VERIFYING = "VERIFYING"
    #: The machine cannot know.
    NEEDS_REVIEW = "NEEDS_REVIEW"
    #: Receipt known, or presence proved.
    POSTED = "POSTED"
    #: Refused for good, with the platform's words.
    REJECTED = "REJECTED"
    #: By a person, or by a rule, with the reason.
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The durable intent to publish one article on one account."""

    #: 64 hex digits, see `deliveries.uid`; people may type its first digits.
    id: str
    article: str
    account: str
    part: int = 0
    occasion: str = "new"
    state: State
    #: Why it is HELD, CANCELLED, REJECTED or in review; one line.
    reason: str | None = None
    #: Publication time of the article: the order within the account.
    published: datetime
    #: Not sent before.
    due: datetime
    created: datetime
    changed: datetime
    #: Who let it through (approve, retry, resolve, first_run), and when.
    allowed_by: str | None = None
    allowed_at: datetime | None = None
    #: Rises only when the post is composed anew; part of the key.
    generation: int = 0
    #: The attempt whose bytes go again, if any: an ambiguous one, or one whose absence was proved.
    frozen: str | None = None
    #: True while an attempt was ambiguous and no evidence has closed it.
    unclosed: bool = False
    #: Compose without the picture (it was refused).
    without_picture: bool = False
    #: So many of the article's pictures, from the first on, could not be staged.
    pictures_skipped: int = 0
    #: Stage done so far, and tries of it.
    stage: Stage | None = None
    stage_tries: int = 0
    stage_since: datetime | None = None
    #: Looks while VERIFYING: next one, answered ones, those that saw all and found nothing, failed ones in a row.
    look_at: datetime | None = None
    looks: int = 0
    absences: int = 0
    failed_looks: int = 0
    #: When it was first found that looks fail, for the day that they may.
    look_since: datetime | None = None
    #: When absence was last proved.
    absent_at: datetime | None = None
    #: The platform said that it has the post: absence no longer counts.
    adopting: bool = False
    #: Last time that an attempt was made.
    last_tried: datetime | None = None
    receipt: Receipt | None = None


class Evidence(StrEnum):
    """How an attempt ended."""

    #: Not ended: the call is being made, or the process died.
    OPEN = "open"
    POSTED = "posted"
    NOT_SENT = "not sent"
    REFUSED = "refused"
    #: Ambiguous; closed later by presence, absence or a person.
    UNKNOWN = "unknown"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One irreversible call, or the intent to make it; written before the call."""

    id: str
    delivery: str
    account: str
    #: What the platform knows the post by.
    key: str
    generation: int
    post: Post
    stage: Stage
    started: datetime
    #: The call is broken off here.
    deadline: datetime
    #: First attempt under this key: its window counts from here.
    key_since: datetime
    finished: datetime | None = None
    outcome: Evidence = Evidence.OPEN
    #: The platform's words or the chain of error classes; no secrets.
    evidence: str | None = None
    #: Counts in rate windows and budgets: it made or may have made a post.
    counted: bool = True
    #: What the network takes for it, in millionths of a dollar, as far as it is known.
    microdollars: int = 0
    #: Sent again although an earlier attempt was ambiguous.
    resend: bool = False


# --- alerts ----------------------------------------------------------------------------------------------------------


class Urgency(StrEnum):
    """How soon somebody must hear of it."""

    #: At once.
    NOW = "now"
    #: Within a quarter of an hour, unless it is over by then.
    SOON = "soon"


class AlertKind(StrEnum):
    """What an alert is about; each kind says what its subject and detail are."""

    #: Account: AUTH_BLOCKED, or PAUSED by its circuit breaker.
    ACCOUNT = "account"
    #: Account: its network is away, or told it to wait for long.
    AWAY = "away"
    #: Account; detail: why its posts are HELD, one word or two.
    HELD = "held"
    #: Account: posts in NEEDS_REVIEW.
    REVIEW = "review"
    #: Account: posts that were REJECTED.
    REJECTED = "rejected"
    #: Account; detail: when its credentials end, in ISO 8601.
    EXPIRY = "expiry"
    #: Account: no post for much longer than it ever was before.
    QUIET_ACCOUNT = "quiet account"
    #: Feed, by its id: it cannot be read, or is gone.
    FEED = "feed"
    #: Feed, by its id: no new article for much longer than it ever was before.
    QUIET_FEED = "quiet feed"
    #: The store may not know what was posted, or the program fell again and again, or the clock is wrong.
    SAFE_MODE = "safe mode"
    #: The file is wrong.
    CONFIGURATION = "configuration"
    #: The store has no good copy of the last day.
    COPY = "copy"
    #: The disk of the store is nearly full, or the store very large.
    DISK = "disk"
    #: The program itself failed; detail: where.
    PROGRAM = "program"
    #: Something to know that lasts not: told once, without an end; detail: what.
    NOTICE = "notice"


class Tell(StrEnum):
    """Through which of its channels a notice goes."""

    #: The first that takes it, in the order of the file.
    FIRST = "first"
    #: Every one.
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Something that a person must hear of, as it is found. One alert is open for each kind, subject and detail."""

    kind: AlertKind
    #: Account, id of a feed, or empty.
    subject: str = ""
    detail: str = ""
    #: What is the matter, and what to do about it.
    words: str
    urgency: Urgency = Urgency.SOON


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A cause from the moment that it was found until all that is to be told of it was told."""

    id: str
    cause: Cause
    raised: datetime
    #: When it was told last; None: not yet.
    told: datetime | None = None
    tellings: int = 0
    #: When the cause was gone.
    over: datetime | None = None
    #: The same cause was told to be over less than a day before it was found again.
    is_back: bool = False
