"""Where a site has its feed: what its page names, else where feeds usually stand.

`discover` and `guesses` are pure; `find_feed` asks the site, and believes only what can be read as a feed.
"""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlsplit

from autopublish import net
from autopublish.errors import FeedMalformed, FeedUnreachable, NetworkError
from autopublish.feeds.entries import absolute, tags, without_controls
from autopublish.feeds.fetch import ACCEPT, LIMIT_BYTES
from autopublish.feeds.parse import parse
from autopublish.feeds.wellformed import to_utf8
from autopublish.models import Document

MOST_LINKS = 10
#: The page and what is tried after it.
MOST_REQUESTS = 10
#: Links to feeds stand in the head of a page.
_PAGE_BYTES = 500_000

#: https://www.rssboard.org/rss-autodiscovery, https://www.jsonfeed.org/version/1.1/#discovery
_FEED_TYPES = ("application/rss+xml", "application/atom+xml", "application/feed+json", "application/json")
#: WordPress names its API in the same way: https://developer.wordpress.org/rest-api/using-the-rest-api/discovery/
_API = re.compile(r"/wp-json(?:/|$)|[?&]rest_route=", re.IGNORECASE)
#: https://developer.wordpress.org/advanced-administration/wordpress/feeds/
_COMMENTS = re.compile(r"/comments/(?:feed|default)\b|[?&]feed=comments-|/feeds/\d+/comments/", re.IGNORECASE)

#: Where WordPress, Ghost, Hugo, Jekyll and Drupal have theirs.
_USUAL = ("feed/", "?feed=rss2", "rss", "atom.xml", "feed.xml", "index.xml", "rss.xml")


def discover(page: bytes, *, url: str, content_type: str | None) -> tuple[str, ...]:
    """The addresses of the feeds that an HTML page names, in its order, each once, JSON that may be no feed last.

    Feeds of comments are left out.
    """
    text = to_utf8(page[:_PAGE_BYTES], content_type).decode("utf-8", "replace")
    base, found = url, dict[str, str]()
    for name, stated in tags(text, "link", "base"):
        if name == "base":
            # The first counts: https://html.spec.whatwg.org/multipage/semantics.html#the-base-element
            base = _target(stated, url) or base if base == url else base
        elif (kind := _feed_type(stated)) and (address := _target(stated, base)):
            found.setdefault(address, kind)
    ordered = sorted(found, key=lambda address: found[address] == "application/json")
    return tuple(address for address in ordered if not _COMMENTS.search(address) and not _API.search(address))[
        :MOST_LINKS
    ]


def _feed_type(stated: dict[str, str]) -> str | None:
    """The type of a feed; None for any other link."""
    kind = unescape(stated.get("type", "")).partition(";")[0].strip().lower()
    is_alternate = "alternate" in stated.get("rel", "").lower().split()
    return kind if is_alternate and kind in _FEED_TYPES else None


def _target(stated: dict[str, str], base: str) -> str | None:
    address = absolute(without_controls(unescape(stated.get("href", ""))), base)
    return address.partition("#")[0] if address else None


def guesses(url: str) -> tuple[str, ...]:
    """Where a feed of the page at `url`, or of its site, usually stands; the likeliest first, each once."""
    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc}/"
    folder, _, last = parts.path.rpartition("/")
    # What looks like a file is not a folder of its own.
    path = folder if "." in last else f"{folder}/{last}"
    here = root + path.strip("/")
    return tuple(dict.fromkeys(f"{place.rstrip('/')}/{usual}" for place in (here, root) for usual in _USUAL))


def find_feed(url: str, client: net.Client, *, allow_private: bool) -> str:
    """The address of the feed at `url`: itself if it is one, else one that its page names, else a usual place.

    At most `MOST_REQUESTS` are made. An address that has moved for good is given as what it is now.

    Raises:
        FeedUnreachable: the site does not answer, or does not let us in.
        FeedMalformed: no feed was found; names what was tried.
    """
    reply = _asked(url, client, allow_private=allow_private)
    if _document(reply) is not None:
        return reply.permanent_url or url
    named = discover(reply.body, url=reply.url, content_type=reply.headers.get("Content-Type"))
    places = [place for place in dict.fromkeys((*named, *guesses(reply.url))) if place not in (url, reply.url)]
    tried = places[: MOST_REQUESTS - 1]
    for place in tried:
        found = _feed_at(place, client, allow_private=allow_private, is_named=place in named)
        if found is not None:
            return found
    raise FeedMalformed(
        f"no feed was found: {url} {_in_words(reply, len(named))}, and none stands at {', '.join(tried)}; "
        "give the address of the feed itself"
    )


def _asked(url: str, client: net.Client, *, allow_private: bool) -> net.Reply:
    try:
        reply = client.get(url, headers={"Accept": ACCEPT}, limit_bytes=LIMIT_BYTES, allow_private=allow_private)
    except NetworkError as error:
        raise FeedUnreachable(str(error)) from error
    if reply.status == 429 or reply.status >= 500:
        # The site has trouble: it is not the time to try other addresses of it.
        raise FeedUnreachable(f"HTTP {reply.status}", status=reply.status)
    return reply


def _feed_at(place: str, client: net.Client, *, allow_private: bool, is_named: bool) -> str | None:
    """The address of the feed of articles at `place`; one that nobody named must have articles."""
    try:
        reply = _asked(place, client, allow_private=allow_private)
    except FeedUnreachable as error:
        if error.status is not None:
            raise
        return None
    document = _document(reply)
    if document is None or _is_of_comments(document) or not (is_named or document.items):
        return None
    return reply.permanent_url or place


def _document(reply: net.Reply) -> Document | None:
    if reply.status != 200 or reply.cut_short is not None:
        return None
    try:
        return parse(reply.body, url=reply.url, content_type=reply.headers.get("Content-Type"))
    except FeedMalformed:
        return None


def _is_of_comments(document: Document) -> bool:
    """Whether it is what WordPress has at `ARTICLE/feed/`."""
    return bool(document.items) and all("#comment-" in (item.link or "") for item in document.items)


def _in_words(reply: net.Reply, named: int) -> str:
    if reply.status != 200:
        return f"answers HTTP {reply.status}"
    return f"is a page that names {named or 'no'} feed{'s' * (named != 1)}"
