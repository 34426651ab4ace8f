"""A feed's bytes -> a Document: plain text, absolute URLs, times in UTC; the second step of a poll.

The only place that knows feedparser. Encoding and limits are settled before it gets the bytes, so that it neither opens
nor guesses anything. What is not read yet: JSON Feed, and only the changed items of a document.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

import feedparser

from autopublish.articles import normalise_link
from autopublish.errors import FeedMalformed
from autopublish.feeds.dates import parse_date
from autopublish.feeds.wellformed import MOST_ITEMS, check
from autopublish.models import Document, Item, Media
from autopublish.text import clean, html_to_text, shorten

TITLE_LENGTH = 1000
SUMMARY_LENGTH = 1000
#: Longer than any link that may be posted, so that one that was cut is still refused.
LINK_LENGTH = 10_000
NAME_LENGTH = 200
MOST_CATEGORIES = 100
MOST_PICTURES = 10

_HTML_TYPES = frozenset(("text/html", "application/xhtml+xml", "html", "xhtml"))
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4}")

# feedparser's dictionaries hold what any feed says: everything read from them is checked here.
_Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """What the document says for all of its items."""

    url: str
    title: str
    language: str | None


def parse(body: bytes, *, url: str, content_type: str | None) -> Document:
    """The document that stands at `url`; without items if the feed is empty.

    Raises:
        FeedMalformed: it is no feed, or none that can be read within bounds.
    """
    checked = check(body, content_type)
    # Where the guids could not be read as they are written, they must not be resolved: 123 stays 123.
    result = _feedparser(checked.data, url if checked.guids is not None else "")
    if not result.version and not result.entries:
        raise FeedMalformed("not a feed")
    feed: _Entry = dict(result.feed)
    entries = [dict(entry) for entry in result.entries[:MOST_ITEMS]]
    guids, links = _as_written(checked.guids, len(entries)), _as_written(checked.links, len(entries))
    site = _Site(url=url, title=_line(feed, "title", NAME_LENGTH), language=_language(feed.get("language")))
    partial = checked.partial
    if partial is None and len(result.entries) > MOST_ITEMS:
        partial = f"{len(result.entries)} items, of which the first {MOST_ITEMS} were read"
    return Document(
        title=site.title,
        items=tuple(_item(*written, site) for written in zip(entries, guids, links, strict=True)),
        language=site.language,
        link=_web_address(feed.get("link"), url),
        partial=partial,
    )


def _as_written(values: Sequence[str | None] | None, count: int) -> Sequence[str | None]:
    """A value for each of the `count` items; none where the two readers do not agree what an item is."""
    return values if values is not None and len(values) == count else [None] * count


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


def _item(entry: _Entry, guid: str | None, written_link: str | None, site: _Site) -> Item:
    link = _link(entry, guid, written_link, site.url)
    sources = list(_sources(entry))
    # feedparser puts the excerpt first; a body of one line may well be shorter.
    body = sources[-1] if sources else ""
    text = _plain(body, link, site)
    # feedparser gives the body as summary too where there is only one of them.
    excerpt = next((_plain(source, link, site) for source in sources if source != body), None)
    summary = _tidied(" ".join((excerpt or _first_paragraph(text)).split()))
    return Item(
        guid=_guid(entry, guid),
        link=link,
        title=_line(entry, "title", TITLE_LENGTH),
        summary=shorten(summary, lambda part: len(part) <= SUMMARY_LENGTH),
        text=text,
        author=_author(entry),
        categories=_categories(entry),
        language=_language(entry.get("language")) or _stated_language(entry) or site.language,
        published=_published(entry),
        pictures=_pictures(entry, body, _base(entry, link, site)),
    )


# --- words -----------------------------------------------------------------------------------------------------------


def _line(entry: _Entry, key: str, longest: int) -> str:
    """A title: HTML where its type says so, otherwise text as it is; one clean line."""
    value = _string(entry.get(key))[: 10 * longest]
    detail = entry.get(f"{key}_detail")
    is_html = isinstance(detail, Mapping) and detail.get("type") in _HTML_TYPES
    return clean(html_to_text(value) if is_html else value, longest=longest)


def _sources(entry: _Entry) -> Iterator[str]:
    """The different texts of the item: excerpt and body, in the order in which feedparser found them."""
    parts = [(entry.get("summary"), entry.get("summary_detail"))]
    parts += [(part.get("value"), part) for part in entry.get("content") or () if isinstance(part, Mapping)]
    seen: set[str] = set()
    for value, detail in parts:
        source = _string(value)
        if isinstance(detail, Mapping) and detail.get("type") == "text/plain":
            source = source.replace("&", "&amp;").replace("<", "&lt;")
        if source.strip() and source not in seen:
            seen.add(source)
            yield source


def _plain(source: str, link: str | None, site: _Site) -> str:
    text = html_to_text(_without_footer(source, link))
    if site.title and text.endswith(f" appeared first on {site.title}."):
        text = _TEXT_FOOTER.sub("", text).rstrip()
    return _tidied(text)


_MORE = re.compile(r"(?P<end>[.!?…]?)\s*\[(?:…|\.\.\.)\]\s*$")


def _tidied(text: str) -> str:
    """The text with WordPress's ending ` […]` made an ellipsis, or nothing where a sentence ends before it."""
    return _MORE.sub(lambda match: match["end"] or "…", text)


def _first_paragraph(text: str) -> str:
    return next((part for part in text.split("\n\n") if part.strip()), "")


_HREF = re.compile(r"""href\s*=\s*["']([^"'<>]{1,2000})["']""", re.IGNORECASE)
#: A plug-in's last sentence, where its links are gone: https://yoast.com/features/rss-feed/
_TEXT_FOOTER = re.compile(r"(?:^|\s)The post (?:(?!\bThe post ).){1,500} appeared first on .{1,200}$")


def _without_footer(source: str, link: str | None) -> str:
    """The HTML without a last paragraph that links to the article and to its site, which a plug-in adds."""
    start = source.lower().rfind("<p")
    last = source[start:] if start >= 0 else ""
    page = normalise_link(link) if link else None
    if page is None or len(last) > 4000 or not last.lower().rstrip().endswith("</p>"):
        return source
    targets = [urlsplit(unescape(href))._replace(query="", fragment="") for href in _HREF.findall(last)]
    pages = [
        f"{parts.hostname or ''}{parts.path}".rstrip("/") for parts in targets if parts.scheme in ("http", "https")
    ]
    own = page.partition("?")[0].rstrip("/")
    to_site = any(other != own and (own + "/").startswith(other + "/") for other in pages)
    return source[:start] if own in pages and to_site else source


def _author(entry: _Entry) -> str | None:
    detail = entry.get("author_detail")
    named = _string(detail.get("name")) if isinstance(detail, Mapping) else ""
    return clean(unescape(named or _string(entry.get("author"))), longest=NAME_LENGTH) or None


def _categories(entry: _Entry) -> tuple[str, ...]:
    """Each name once, in the document's order."""
    names: dict[str, str] = {}
    for tag in _mappings(entry.get("tags"))[:MOST_CATEGORIES]:
        name = clean(unescape(_string(tag.get("label")) or _string(tag.get("term"))), longest=NAME_LENGTH)
        if name:
            names.setdefault(name.casefold(), name)
    return tuple(names.values())


def _stated_language(entry: _Entry) -> str | None:
    """xml:lang of the item, which feedparser leaves on its texts."""
    details = _mappings([entry.get("title_detail"), *(entry.get("content") or ())])
    return next((found for detail in details if (found := _language(detail.get("language")))), None)


def _language(value: object) -> str | None:
    text = _string(value).strip().replace("_", "-")
    return text if _LANGUAGE.fullmatch(text) else None


def _published(entry: _Entry) -> datetime | None:
    stated = (parse_date(_string(entry.get(key))) for key in ("published", "created", "updated"))
    return next((moment for moment in stated if moment is not None), None)


# --- addresses -------------------------------------------------------------------------------------------------------


def _guid(entry: _Entry, written: str | None) -> str | None:
    """The guid as it is written; feedparser resolves `123` to a URL that changes with the feed's."""
    return written or _string(entry.get("id")).strip() or None


def _link(entry: _Entry, written_guid: str | None, written: str | None, url: str) -> str | None:
    """The page of the item, absolute; None only if none is stated.

    What is no web address stays as it is written, so that it is seen and refused when the post is composed: without it
    the article would be posted as if it had no page, and mended it might name another host.
    """
    stated = _string(entry.get("link"))
    if not written and stated == _string(entry.get("id")):
        written = written_guid or stated
        if not written.lower().startswith(("http://", "https://", "/")):
            # No link of its own: feedparser made one of a guid that is no address.
            return None
    # feedparser empties what it cannot read and takes slashes away: http:///x would become http://x.
    raw, resolved = _cleaned(written or ""), _cleaned(stated)
    usable = None if raw and _is_unusable(raw) else _absolute(resolved, url)
    return usable or raw or resolved or None


def _base(entry: _Entry, link: str | None, site: _Site) -> str:
    """What URLs in the item's texts are relative to: its xml:base, else its page; a local file's own folder."""
    if site.url.startswith("file:"):
        return site.url
    details = _mappings([*(entry.get("content") or ()), entry.get("summary_detail")])
    bases = (_string(detail.get("base")) for detail in details)
    return next((base for base in bases if base and base != site.url), _absolute(link or "", site.url) or site.url)


#: An address with a scheme but no host, which is no relative reference: https://www.rfc-editor.org/rfc/rfc3986#section-5.2.2
_HOSTLESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:(?!//)|(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[/?#]|$))")


def _cleaned(stated: str) -> str:
    """The address without what browsers drop too, and bounded: https://url.spec.whatwg.org/#concept-basic-url-parser"""
    return re.sub(r"[\x00-\x1f\x7f]", "", stated[: 2 * LINK_LENGTH]).strip()[:LINK_LENGTH]


def _is_unusable(address: str) -> bool:
    try:
        urlsplit(address)
    except ValueError:
        return True
    return bool(_HOSTLESS.match(address))


def _absolute(address: str, base: str) -> str | None:
    """The web address with its base; None if it is none."""
    if not address or _is_unusable(address):
        return None
    try:
        absolute = urljoin(base, address)
        scheme = urlsplit(absolute).scheme
    except ValueError:
        return None
    return absolute if scheme in ("http", "https") else None


def _web_address(stated: object, base: str) -> str | None:
    return _absolute(_cleaned(unescape(_string(stated))), base)


def _picture_address(stated: object, base: str) -> str | None:
    """A web address; beside a local feed also a file, of which `media` checks that it lies in the feed's folder."""
    written = unescape(_string(stated)).strip()
    if base.startswith("file:") and written and not written.startswith("/") and not _has_scheme(written):
        return urljoin(base, written)
    return _web_address(stated, base)


def _has_scheme(address: str) -> bool:
    try:
        return bool(urlsplit(address).scheme)
    except ValueError:
        return True


# --- pictures --------------------------------------------------------------------------------------------------------

_IMAGE_NAME = re.compile(r"\.(?:jpe?g|png|webp|gif|avif|heic)$", re.IGNORECASE)
_IMG = re.compile(r"<img\b", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""\s*/?\s*([A-Za-z][\w:.-]{0,50})(?:\s*=\s*(?:"([^"]{0,4000})"|'([^']{0,4000})'|([^\s"'<>]{1,4000})))?"""
)
#: Where lazy loading keeps the picture; src is a placeholder then.
_LAZY = ("data-src", "data-lazy-src", "data-original", "data-orig-file")
#: Emoji and faces of readers.
_NO_PICTURE_HOSTS = ("s.w.org", "gravatar.com")


def _pictures(entry: _Entry, body: str, base: str) -> tuple[Media, ...]:
    """What the item names as pictures, the most explicit first, each URL once; alt text from the body if it has it."""
    found: dict[str, Media] = {}
    inside = list(_images(body, base))
    alts = {media.url: media.alt for media in inside if media.alt}
    for media in [*_attached(entry, base), *inside]:
        alt = media.alt or alts.get(media.url)
        found.setdefault(media.url, Media(url=media.url, alt=alt, type=media.type))
    return tuple(found.values())[:MOST_PICTURES]


def _attached(entry: _Entry, base: str) -> Iterator[Media]:
    enclosures = [link for link in _mappings(entry.get("links")) if link.get("rel") == "enclosure"]
    for part in [
        *_mappings(entry.get("media_content")),
        *({**part, "medium": "image"} for part in _mappings(entry.get("media_thumbnail"))),
        *enclosures,
    ]:
        stated = _string(part.get("url")) or _string(part.get("href"))
        address = _picture_address(stated, base)
        if address and _is_image(part, address) and not _is_decoration(part, address):
            kind = _string(part.get("type")).lower()
            yield Media(url=address, type=kind if kind.startswith("image/") else None)


def _is_image(part: _Entry, address: str) -> bool:
    kind, medium = _string(part.get("type")).lower(), _string(part.get("medium")).lower()
    if kind:
        return kind.startswith("image/")
    return medium == "image" if medium else bool(_IMAGE_NAME.search(urlsplit(address).path))


def _images(body: str, base: str) -> Iterator[Media]:
    """The pictures shown in the body."""
    for number, match in enumerate(_IMG.finditer(body)):
        if number == 5 * MOST_PICTURES:
            return
        attributes = _attributes(body, match.end())
        stated = next((attributes[name] for name in (*_LAZY, "src") if attributes.get(name)), "")
        address = _picture_address(stated, base)
        if address and not _is_decoration(attributes, address):
            yield Media(url=address, alt=clean(unescape(attributes.get("alt", "")), longest=TITLE_LENGTH) or None)


def _attributes(body: str, position: int) -> dict[str, str]:
    attributes: dict[str, str] = {}
    while len(attributes) < 50 and (match := _ATTRIBUTE.match(body, position)):
        attributes.setdefault(match[1].lower(), match[2] or match[3] or match[4] or "")
        position = match.end()
    return attributes


def _is_decoration(attributes: _Entry, address: str) -> bool:
    """A tracker, an emoji, or the face of a reader."""
    if any(_string(attributes.get(side)).strip().removesuffix("px") in ("0", "1") for side in ("width", "height")):
        return True
    host = urlsplit(address).hostname or ""
    return any(host == one or host.endswith(f".{one}") for one in _NO_PICTURE_HOSTS)


# --- feedparser's values ---------------------------------------------------------------------------------------------


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mappings(value: Iterable[object] | None) -> Sequence[_Entry]:
    return [part for part in value or () if isinstance(part, Mapping)]
