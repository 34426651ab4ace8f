"""JSON Feed 1.0 and 1.1: https://www.jsonfeed.org/version/1.1/"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from autopublish.errors import FeedMalformed
from autopublish.feeds.cut import MOST_SEEN, Part, digest, read_new, too_many
from autopublish.feeds.dates import parse_date
from autopublish.feeds.entries import (
    MOST_CATEGORIES,
    MOST_PICTURES,
    NAME_LENGTH,
    TITLE_LENGTH,
    Entry,
    Site,
    absolute,
    attached,
    distinct,
    html_of,
    language_tag,
    line,
    mappings,
    string,
    to_item,
    without_controls,
)
from autopublish.feeds.wellformed import allowed
from autopublish.models import Document, Item

#: Brackets and commas in a document, which bound the memory that its values take; prose has one in 80 bytes.
MOST_MARKS = 500_000

_VERSION = re.compile(r"https?://(?:www\.)?jsonfeed\.org/version/1(?:\.[0-9]{1,3})?/?")

_Object = Mapping[str, Any]


def read(text: bytes, *, url: str, known: bytes) -> Document:
    """The document without those of its items that are `known`.

    Raises:
        FeedMalformed: it is no feed, or none that can be read within bounds.
    """
    feed = _decoded(text)
    stated = mappings(feed["items"])
    objects = stated[:MOST_SEEN]
    site = Site(url=url, title=line(_text(feed.get("title")), NAME_LENGTH, as_html=False), language=_language(feed))
    reading = read_new(
        _parts(objects, url),
        known,
        read=lambda index: [_item(objects[index], feed, site)],
    )
    left = reading.left + len(stated) - len(objects)
    return Document(
        title=site.title,
        items=reading.items,
        language=site.language,
        link=absolute(_address(feed.get("home_page_url")), url),
        partial=too_many(len(stated), left) if left else None,
        item_digests=reading.digests,
        cut=reading.cut,
    )


def _decoded(text: bytes) -> _Object:
    """The feed; numbers stay as they are written, since an id may be one.

    Raises:
        FeedMalformed: it is none, or is over a limit.
    """
    if sum(text.count(mark) for mark in (b"[", b"{", b",")) > MOST_MARKS:
        raise FeedMalformed(f"refused: JSON with more than {MOST_MARKS} brackets and commas")
    try:
        # Not strict: line breaks in texts do no harm.
        feed: _Object = json.loads(text, strict=False, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError as error:
        raise FeedMalformed("refused: JSON nested too deep") from error
    except ValueError as error:
        raise FeedMalformed(f"not a feed: JSON that is broken or cut short ({error})") from error
    version = string(feed.get("version")) if isinstance(feed, dict) else ""
    if not version.startswith(("https://jsonfeed.org/", "http://jsonfeed.org/", "https://www.jsonfeed.org/")):
        raise FeedMalformed("not a feed: JSON that does not say which version of JSON Feed it is")
    if not _VERSION.fullmatch(version):
        raise FeedMalformed(f"JSON Feed of a version that is not known: {line(version, NAME_LENGTH, as_html=False)}")
    if not isinstance(feed.get("items"), list):
        raise FeedMalformed("a JSON Feed without a list of items")
    return feed


def _parts(objects: Sequence[_Object], url: str) -> list[Part]:
    """One for each item, known by what it says, whatever the order of its keys and the blanks between them.

    Raises:
        FeedMalformed: an item is nested too deep.
    """
    try:
        return [
            Part(
                digest=digest(json.dumps(one, sort_keys=True, separators=(",", ":")).encode()),
                guid=_guid(one),
                link=_written_link(one),
                bases=(url,),
            )
            for one in objects
        ]
    except RecursionError as error:
        raise FeedMalformed("refused: JSON nested too deep") from error


def _item(stated: _Object, feed: _Object, site: Site) -> Item:
    link = _link(stated, site.url)
    base = site.url if site.url.startswith("file:") else absolute(link or "", site.url) or site.url
    return to_item(
        Entry(
            guid=_guid(stated),
            link=link,
            title=line(_text(stated.get("title")), TITLE_LENGTH, as_html=False),
            texts=distinct((_html_of_lines(_text(stated.get("summary"))), _body(stated))),
            base=base,
            author=_author(stated) or _author(feed),
            categories=_tags(stated),
            language=_language(stated),
            published=parse_date(_text(stated.get("date_published"))) or parse_date(_text(stated.get("date_modified"))),
            attached=attached(_named_beside(stated), base),
        ),
        site,
    )


# --- names -----------------------------------------------------------------------------------------------------------


def _guid(stated: _Object) -> str | None:
    return _text(stated.get("id")).strip() or None


def _link(stated: _Object, url: str) -> str | None:
    """The page of the item, absolute; as it is written where it is no web address, so that it is seen and refused."""
    written = _written_link(stated)
    return absolute(written or "", url) or written


def _written_link(stated: _Object) -> str | None:
    return _address(stated.get("url")) or _address(stated.get("external_url")) or None


def _address(value: object) -> str:
    return without_controls(_text(value))


# --- words -----------------------------------------------------------------------------------------------------------


def _text(value: object) -> str:
    return allowed(string(value))


def _html_of_lines(text: str) -> str:
    return html_of(text).replace("\n", "<br>")


def _body(stated: _Object) -> str:
    return _text(stated.get("content_html")) or _html_of_lines(_text(stated.get("content_text")))


def _author(stated: _Object) -> str:
    """The first that has a name; version 1.0 knows only one: https://www.jsonfeed.org/version/1/"""
    authors = [*mappings(stated.get("authors")), *mappings([stated.get("author")])]
    return next((name for author in authors if (name := _text(author.get("name")).strip())), "")


def _tags(stated: _Object) -> tuple[str, ...]:
    tags = stated.get("tags")
    return tuple(_text(tag) for tag in tags[:MOST_CATEGORIES]) if isinstance(tags, list) else ()


def _language(stated: _Object) -> str | None:
    return language_tag(_text(stated.get("language")))


# --- pictures --------------------------------------------------------------------------------------------------------


def _named_beside(stated: _Object) -> list[_Object]:
    """What the item names as pictures or other files, the most explicit first."""
    return [
        *({"url": _text(stated.get(key)), "medium": "image"} for key in ("image", "banner_image")),
        *(
            {"url": _text(part.get("url")), "type": _text(part.get("mime_type"))}
            for part in mappings(stated.get("attachments"))[:MOST_PICTURES]
        ),
    ]
