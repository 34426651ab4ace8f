"""RSS, RSS 1.0 and Atom: a document that `wellformed` has checked -> a Document.

The only place that knows feedparser. Encoding and limits are settled before it gets the bytes, so that it neither opens
nor guesses anything.

Each item is read by itself, inside nothing but the tags that stand open around it. So it comes to the same whatever
other items the document holds, which is what allows to cut items out, and no item can spoil another: feedparser keeps
namespaces, depths and open content from one item to the next.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import unescape
from typing import Any

import feedparser

from autopublish.errors import FeedMalformed
from autopublish.feeds.cut import MOST_ITEMS, Part, digest, read_new, too_many
from autopublish.feeds.dates import parse_date
from autopublish.feeds.entries import (
    MOST_CATEGORIES,
    NAME_LENGTH,
    TITLE_LENGTH,
    Entry,
    Site,
    absolute,
    attached,
    distinct,
    html_of,
    is_unusable,
    language_tag,
    line,
    mappings,
    string,
    to_item,
    web_address,
    without_controls,
)
from autopublish.feeds.wellformed import Checked, Span, alone, check, frame, item_bytes
from autopublish.models import Document, Item

#: How a guid begins that is the address of the page too.
_ADDRESSES = ("http://", "https://", "/")
_HTML_TYPES = frozenset(("text/html", "application/xhtml+xml", "html", "xhtml"))

# feedparser's dictionaries hold what any feed says: everything read from them is checked here.
_Stated = Mapping[str, Any]


def read(data: bytes, *, url: str, known: bytes) -> Document:
    """The document without those of its items that are `known`.

    Raises:
        FeedMalformed: it is no feed, or none that can be read within bounds.
    """
    checked = check(data)
    return _read_whole(checked, url) if checked.spans is None else _read_items(checked, checked.spans, url, known)


def _read_whole(checked: Checked, url: str) -> Document:
    """A document that is broken in a way of its own, as feedparser understands it; its items cannot be told apart."""
    # Where the guids could not be read as they are written, they must not be resolved: 123 stays 123.
    result = _feedparser(checked.data, "")
    _demand_feed(result)
    count = len(result.entries)
    missing = too_many(count, count - MOST_ITEMS) if count > MOST_ITEMS else None
    site = _site(result, url)
    return Document(
        title=site.title,
        items=tuple(_item(dict(entry), None, site) for entry in result.entries[:MOST_ITEMS]),
        language=site.language,
        link=_home(result, url),
        partial=checked.partial or missing,
    )


def _read_items(checked: Checked, spans: Sequence[Span], url: str, known: bytes) -> Document:
    around = _feedparser(frame(checked), url)
    site = _site(around, url)
    unread: list[FeedMalformed] = []

    def read_one(index: int) -> Sequence[Item]:
        try:
            return _read_item(checked, spans[index], site)
        except FeedMalformed as error:
            unread.append(error)
            return ()

    # What was cut short does not say which items it lacks: it is read whole, and so is the next document.
    is_whole = checked.partial is None
    reading = read_new(
        [_part(checked, span, url) for span in spans],
        known if is_whole else b"",
        read=read_one,
    )
    if not reading.items and not reading.cut:
        if unread:
            raise unread[0]
        _demand_feed(around)
    left = reading.left + checked.count - len(spans)
    missing = [checked.partial, too_many(checked.count, left) if left else None, _unread(len(unread))]
    return Document(
        title=site.title,
        items=reading.items,
        language=site.language,
        link=_home(around, url),
        partial="; ".join(one for one in missing if one) or None,
        item_digests=reading.digests if is_whole else b"",
        cut=reading.cut,
    )


def _read_item(checked: Checked, span: Span, site: Site) -> Sequence[Item]:
    """What feedparser takes the item for: itself, nothing, or with entries inside it more than one."""
    entries = _feedparser(alone(checked, span), site.url).entries
    written = span if len(entries) == 1 else None
    return [_item(dict(entry), written, site) for entry in entries]


def _unread(count: int) -> str | None:
    return f"{count} item{'s' * (count != 1)} could not be read" if count else None


def _part(checked: Checked, span: Span, url: str) -> Part:
    guid = span.guid or ""
    return Part(
        digest=digest(item_bytes(checked, span)),
        guid=span.guid,
        link=span.link or (guid if span.guid_is_link and guid.lower().startswith(_ADDRESSES) else None),
        bases=(url, *span.bases),
    )


# --- feedparser ------------------------------------------------------------------------------------------------------


def _feedparser(data: bytes, url: str) -> Any:
    headers = {"content-type": "application/xml; charset=utf-8", "content-location": url}
    try:
        # A stream: feedparser would take bytes for the name of a file.
        return feedparser.parse(
            io.BytesIO(data), response_headers=headers, sanitize_html=False, resolve_relative_uris=False
        )
    except Exception as error:
        # Any exception of the parser means the same: this document cannot be read.
        raise FeedMalformed(f"the parser failed on it: {type(error).__name__}") from error


def _demand_feed(result: Any) -> None:
    if not result.version and not result.entries:
        raise FeedMalformed("not a feed")


def _site(result: Any, url: str) -> Site:
    feed: _Stated = dict(result.feed)
    return Site(url=url, title=_line(feed, "title", NAME_LENGTH), language=language_tag(string(feed.get("language"))))


def _home(result: Any, url: str) -> str | None:
    return web_address(result.feed.get("link"), url)


def _item(stated: _Stated, written: Span | None, site: Site) -> Item:
    """`written` is None where it is not known how the document writes the item's names."""
    guid = (written.guid if written else None) or string(stated.get("id")).strip() or None
    link = _link(stated, guid if written else None, written.link if written else None, site.url)
    base = _base(stated, link, site)
    return to_item(
        Entry(
            guid=guid,
            link=link,
            title=_line(stated, "title", TITLE_LENGTH),
            texts=distinct(_texts(stated)),
            base=base,
            author=_author(stated),
            categories=_categories(stated),
            language=language_tag(string(stated.get("language"))) or _stated_language(stated),
            published=_published(stated),
            attached=attached(_named_beside(stated), base),
        ),
        site,
    )


# --- words -----------------------------------------------------------------------------------------------------------


def _line(stated: _Stated, key: str, longest: int) -> str:
    detail = stated.get(f"{key}_detail")
    is_html = isinstance(detail, Mapping) and detail.get("type") in _HTML_TYPES
    return line(string(stated.get(key)), longest, as_html=is_html)


def _texts(stated: _Stated) -> Iterator[str]:
    """Excerpt and body; feedparser puts the excerpt first, and a body of one line may well be shorter."""
    parts = [(stated.get("summary"), stated.get("summary_detail"))]
    parts += [(part.get("value"), part) for part in mappings(stated.get("content"))]
    for value, detail in parts:
        is_plain = isinstance(detail, Mapping) and detail.get("type") == "text/plain"
        yield html_of(string(value)) if is_plain else string(value)


def _author(stated: _Stated) -> str:
    detail = stated.get("author_detail")
    named = string(detail.get("name")) if isinstance(detail, Mapping) else ""
    return unescape(named or string(stated.get("author")))


def _categories(stated: _Stated) -> tuple[str, ...]:
    tags = mappings(stated.get("tags"))[:MOST_CATEGORIES]
    return tuple(unescape(string(tag.get("label")) or string(tag.get("term"))) for tag in tags)


def _stated_language(stated: _Stated) -> str | None:
    """xml:lang of the item, which feedparser leaves on its texts."""
    details = mappings([stated.get("title_detail"), *(stated.get("content") or ())])
    return next((found for detail in details if (found := language_tag(string(detail.get("language"))))), None)


def _published(stated: _Stated) -> datetime | None:
    dates = (parse_date(string(stated.get(key))) for key in ("published", "created", "updated"))
    return next((moment for moment in dates if moment is not None), None)


# --- addresses -------------------------------------------------------------------------------------------------------


def _link(stated: _Stated, written_guid: str | None, written: str | None, url: str) -> str | None:
    """The page of the item, absolute; None only if none is stated.

    What is no web address stays as it is written, so that it is seen and refused when the post is composed: without it
    the article would be posted as if it had no page, and mended it might name another host.
    """
    link = string(stated.get("link"))
    if not written and link == string(stated.get("id")):
        written = written_guid or link
        if not written.lower().startswith(_ADDRESSES):
            # No link of its own: feedparser made one of a guid that is no address.
            return None
    # feedparser empties what it cannot read and takes slashes away: http:///x would become http://x.
    raw, resolved = without_controls(written or ""), without_controls(link)
    usable = None if raw and is_unusable(raw) else absolute(resolved, url)
    return usable or raw or resolved or None


def _base(stated: _Stated, link: str | None, site: Site) -> str:
    """What URLs in the item's texts are relative to: its xml:base, else its page; a local file's own folder."""
    if site.url.startswith("file:"):
        return site.url
    details = mappings([*(stated.get("content") or ()), stated.get("summary_detail")])
    bases = (string(detail.get("base")) for detail in details)
    return next((base for base in bases if base and base != site.url), absolute(link or "", site.url) or site.url)


def _named_beside(stated: _Stated) -> list[_Stated]:
    """What the item names as pictures or other files, the most explicit first."""
    return [
        *mappings(stated.get("media_content")),
        *({**part, "medium": "image"} for part in mappings(stated.get("media_thumbnail"))),
        *(link for link in mappings(stated.get("links")) if link.get("rel") == "enclosure"),
    ]
