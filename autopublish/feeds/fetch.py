"""One polite, bounded GET of a feed: the first step of a poll.

Validators go back byte for byte as they came and only where they can be trusted; nothing here reads the document.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from autopublish import net
from autopublish.errors import FeedMalformed, FeedUnreachable, NetworkError
from autopublish.feeds.dates import parse_date
from autopublish.models import Feed, Validators

LIMIT_BYTES = 10_000_000

#: A site is asked without validators at least this often, in case its validators do not tell the truth.
FULL_EVERY = timedelta(days=1)

#: WordPress's validators have a resolution of one second and are shared by the whole site: two posts in one second have
#: the same ones, so that a poll between them would never see the second.
TRUSTED_AFTER = timedelta(seconds=5)

LONGEST_WAIT = timedelta(days=7)

ACCEPT = "application/rss+xml, application/atom+xml, application/feed+json;q=0.9, application/xml;q=0.8, */*;q=0.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What the site answered, and what to store of it once the articles are stored."""

    #: 200 or 304.
    status: int
    #: To be stored; empty where they are not to be trusted.
    validators: Validators
    #: None on 304, or when the body is the one that was saved last.
    body: bytes | None = None
    #: sha256 of the site's document as it is now.
    body_hash: str | None = None
    #: It was asked without validators.
    full: bool
    #: Where it finally came from.
    url: str
    content_type: str | None = None
    #: The server's clock minus ours, as far as its Date tells.
    server_offset: timedelta | None = None
    #: Where the feed has moved for good, if every redirect on the way said so.
    permanent_url: str | None = None


def fetch(feed: Feed, client: net.Client, now: datetime) -> Fetched:
    """What stands at the feed's URL, or that it is what we know.

    Raises:
        FeedUnreachable: no usable answer came, or only a part of one.
        FeedMalformed: a local file is too large to be a feed.
    """
    if feed.address.lower().startswith("file:"):
        return _read_file(feed)
    return _get(feed, client, now)


def _read_file(feed: Feed) -> Fetched:
    parts = urlsplit(feed.address)
    if parts.netloc not in ("", "localhost"):
        raise FeedUnreachable("a file: URL names a file of this machine")
    try:
        path = Path(url2pathname(parts.path))
        # Opening a pipe would wait for its writer.
        if not path.is_file():
            raise FeedUnreachable("no such file")
        with path.open("rb") as file:
            body = file.read(LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        raise FeedUnreachable(f"the file cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(body) > LIMIT_BYTES:
        raise FeedMalformed(f"the file is larger than {LIMIT_BYTES} bytes")
    digest = hashlib.sha256(body).hexdigest()
    return Fetched(
        status=200,
        validators=Validators(),
        body=None if digest == feed.body_hash else body,
        body_hash=digest,
        full=True,
        url=feed.address,
    )


def _get(feed: Feed, client: net.Client, now: datetime) -> Fetched:
    asked = _conditions(feed, now)
    try:
        reply = client.get(
            feed.address,
            headers={"Accept": ACCEPT, **asked},
            limit_bytes=LIMIT_BYTES,
            allow_private=feed.settings.allow_private,
        )
    except NetworkError as error:
        raise FeedUnreachable(str(error)) from error
    server = parse_date(reply.headers.get("Date"))
    _demand_answer(reply, server or now, conditional=bool(asked))
    unchanged = reply.status == 304
    digest = feed.body_hash if unchanged else hashlib.sha256(reply.body).hexdigest()
    return Fetched(
        status=reply.status,
        validators=_validators(reply, feed.validators if unchanged else Validators(), server or now),
        body=None if unchanged or digest == feed.body_hash else reply.body,
        body_hash=digest,
        full=not asked,
        url=reply.url,
        content_type=reply.headers.get("Content-Type"),
        server_offset=None if server is None else server - now,
        permanent_url=reply.permanent_url,
    )


def _conditions(feed: Feed, now: datetime) -> dict[str, str]:
    """The conditional headers; none when a full answer is due."""
    if feed.last_full is None or now - feed.last_full >= FULL_EVERY:
        return {}
    known = {"If-None-Match": feed.validators.etag, "If-Modified-Since": feed.validators.last_modified}
    return {name: value for name, value in known.items() if value is not None}


def _demand_answer(reply: net.Reply, server_now: datetime, *, conditional: bool) -> None:
    """The reply is a whole document, or says that ours is the current one.

    Raises:
        FeedUnreachable: it is anything else.
    """
    status = reply.status
    if status == 304:
        if not conditional:
            raise FeedUnreachable("HTTP 304 to a request without validators", status=status)
    elif status != 200:
        wait = _retry_after(reply.headers.get("Retry-After"), server_now) if status in (429, 503) else None
        raise FeedUnreachable(f"HTTP {status}", status=status, wait=wait)
    elif reply.cut_short is not None:
        raise FeedUnreachable(f"the answer was cut short: {reply.cut_short}", status=status)


def _retry_after(header: str | None, server_now: datetime) -> timedelta | None:
    """How long to stay away (RFC 9110 section 10.2.3); None where that cannot be read or is no time at all."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=min(int(text[:12]), LONGEST_WAIT.total_seconds()))
    else:
        until = parse_date(text)
        wait = until - server_now if until is not None else timedelta(0)
    return min(wait, LONGEST_WAIT) if wait > timedelta(0) else None


def _validators(reply: net.Reply, before: Validators, server_now: datetime) -> Validators:
    """What to send next time: each header as it came, the former one where a 304 does not repeat it."""
    last_modified = reply.headers.get("Last-Modified")
    changed = parse_date(last_modified)
    if changed is not None and server_now - changed <= TRUSTED_AFTER:
        return Validators()
    return Validators(
        etag=reply.headers.get("ETag") or before.etag,
        last_modified=last_modified or before.last_modified,
    )
