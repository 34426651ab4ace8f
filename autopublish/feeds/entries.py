"""What one entry states, in whatever format -> an Item: plain text, absolute web addresses, pictures.

Shared by the formats; knows none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

from autopublish.articles import normalise_link
from autopublish.models import Item, Media
from autopublish.text import clean, html_to_text, shorten

TITLE_LENGTH = 1000
SUMMARY_LENGTH = 1000
#: Longer than any link that may be posted, so that one that was cut is still refused.
LINK_LENGTH = 10_000
NAME_LENGTH = 200
MOST_CATEGORIES = 100
MOST_PICTURES = 10

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the document says for all of its items."""

    url: str
    title: str
    language: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one entry states; texts not yet cleaned."""

    guid: str | None
    #: Absolute, or as it is written where it is no web address.
    link: str | None
    #: One clean line.
    title: str
    #: HTML of excerpt and body in this order, each once; where there is only one, it is both.
    texts: tuple[str, ...]
    #: What addresses in the texts are relative to.
    base: str
    author: str
    categories: tuple[str, ...]
    language: str | None
    published: datetime | None
    #: Pictures that are named beside the texts.
    attached: tuple[Media, ...]


def to_item(entry: Entry, site: Site) -> Item:
    """The item that the entry comes to."""
    body = entry.texts[-1] if entry.texts else ""
    text = _plain(body, entry.link, site)
    # A parser may give the body as excerpt too where there is only one of them.
    excerpt = next((_plain(source, entry.link, site) for source in entry.texts if source != body), None)
    summary = _tidied(" ".join((excerpt or _first_paragraph(text)).split()))
    return Item(
        guid=entry.guid,
        link=entry.link,
        title=entry.title,
        summary=shorten(summary, lambda part: len(part) <= SUMMARY_LENGTH),
        text=text,
        author=clean(entry.author, longest=NAME_LENGTH) or None,
        categories=_names(entry.categories),
        language=entry.language or site.language,
        published=entry.published,
        pictures=_pictures(entry.attached, body, entry.base),
    )


# --- words -----------------------------------------------------------------------------------------------------------


def line(value: str, longest: int, *, as_html: bool) -> str:
    """A title: HTML where its format says so, otherwise text as it is; one clean line."""
    value = value[: 10 * longest]
    return clean(html_to_text(value) if as_html else value, longest=longest)


def html_of(text: str) -> str:
    """HTML that shows plain text as it is, line by line."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """Each text that is not blank, once."""
    return tuple(dict.fromkeys(text for text in texts if text.strip()))


def language_tag(value: str) -> str | None:
    """The BCP 47 tag that is written in one of the usual ways; None for anything else."""
    text = value.strip().replace("_", "-")
    return text if _LANGUAGE.fullmatch(text) else None


def _names(stated: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the document's order."""
    names: dict[str, str] = {}
    for name in (clean(one, longest=NAME_LENGTH) for one in stated):
        if name:
            names.setdefault(name.casefold(), name)
    return tuple(names.values())


def _plain(source: str, link: str | None, site: Site) -> str:
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
    start = max(source.rfind("<p"), source.rfind("<P"))
    last = source[start:] if start >= 0 else ""
    page = normalise_link(link) if link else None
    if page is None or len(last) > 4000 or not last.lower().rstrip().endswith("</p>"):
        return source
    targets = [urlsplit(target) for href in _HREF.findall(last) if (target := absolute(unescape(href), ""))]
    pages = [f"{parts.hostname or ''}{parts.path}".rstrip("/") for parts in targets]
    own = page.partition("?")[0].rstrip("/")
    to_site = any(other != own and (own + "/").startswith(other + "/") for other in pages)
    return source[:start] if own in pages and to_site else source


# --- addresses -------------------------------------------------------------------------------------------------------

#: An address with a scheme but no host, which is no relative reference: https://www.rfc-editor.org/rfc/rfc3986#section-5.2.2
_HOSTLESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:(?!//)|(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[/?#]|$))")


def without_controls(stated: str) -> str:
    """The address without what browsers drop too, and bounded: https://url.spec.whatwg.org/#concept-basic-url-parser"""
    return re.sub(r"[\x00-\x1f\x7f]", "", stated[: 2 * LINK_LENGTH]).strip()[:LINK_LENGTH]


def is_unusable(address: str) -> bool:
    """Whether no page can be meant: it cannot be taken apart, or lacks the host that its scheme needs."""
    try:
        urlsplit(address)
    except ValueError:
        return True
    return bool(_HOSTLESS.match(address))


def absolute(address: str, base: str) -> str | None:
    """The web address that is meant beside `base`; None if it is none."""
    if not address or is_unusable(address):
        return None
    try:
        absolute = urljoin(base, address)
        scheme = urlsplit(absolute).scheme
    except ValueError:
        return None
    return absolute if scheme in ("http", "https") else None


def web_address(stated: object, base: str) -> str | None:
    """The web address of a value as a document states it; None if it is none."""
    return absolute(without_controls(unescape(string(stated))), base)


def _picture_address(stated: object, base: str) -> str | None:
    """A web address; beside a local feed also a file, of which `media` checks that it lies in the feed's folder."""
    written = unescape(string(stated)).strip()
    if base.startswith("file:") and written and not written.startswith("/") and not _has_scheme(written):
        return urljoin(base, written)
    return web_address(stated, base)


def _has_scheme(address: str) -> bool:
    try:
        return bool(urlsplit(address).scheme)
    except ValueError:
        return True


# --- pictures --------------------------------------------------------------------------------------------------------

_IMAGE_NAME = re.compile(r"\.(?:jpe?g|png|webp|gif|avif|heic)$", re.IGNORECASE)
_IMG = re.compile(r"<img\b", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    # Possessive: blanks without an attribute after them would cost their number squared.
    r"""\s*+(?:/\s*+)?([A-Za-z][\w:.-]{0,50})(?:\s*+=\s*+(?:"([^"]{0,4000})"|'([^']{0,4000})'|([^\s"'<>]{1,4000})))?"""
)
#: Where lazy loading keeps the picture; src is a placeholder then.
_LAZY = ("data-src", "data-lazy-src", "data-original", "data-orig-file")
#: Emoji and faces of readers.
_NO_PICTURE_HOSTS = ("s.w.org", "gravatar.com")


def attached(parts: Iterable[Mapping[str, object]], base: str) -> tuple[Media, ...]:
    """The pictures among files, each described by `url` or `href`, `type`, `medium`, `width` and `height`."""
    return tuple(media for part in parts if (media := _attached(part, base)) is not None)


def _attached(part: Mapping[str, object], base: str) -> Media | None:
    address = _picture_address(string(part.get("url")) or string(part.get("href")), base)
    if address is None or not _is_image(part, address) or is_decoration(part, address):
        return None
    kind = string(part.get("type")).lower()
    return Media(url=address, type=kind if kind.startswith("image/") else None)


def _pictures(stated: Iterable[Media], body: str, base: str) -> tuple[Media, ...]:
    """What the item names as pictures, the most explicit first, each URL once; alt text from the body if it has it."""
    found: dict[str, Media] = {}
    inside = list(_images(body, base))
    alts = {media.url: media.alt for media in inside if media.alt}
    for media in [*stated, *inside]:
        alt = media.alt or alts.get(media.url)
        found.setdefault(media.url, Media(url=media.url, alt=alt, type=media.type))
    return tuple(found.values())[:MOST_PICTURES]


def _is_image(part: Mapping[str, object], address: str) -> bool:
    kind, medium = string(part.get("type")).lower(), string(part.get("medium")).lower()
    if kind:
        return kind.startswith("image/")
    return medium == "image" if medium else bool(_IMAGE_NAME.search(urlsplit(address).path))


def _images(body: str, base: str) -> Iterator[Media]:
    """The pictures shown in the body."""
    for number, match in enumerate(_IMG.finditer(body)):
        if number == 5 * MOST_PICTURES:
            return
        named = attributes(body, match.end())
        stated = next((named[name] for name in (*_LAZY, "src") if named.get(name)), "")
        address = _picture_address(stated, base)
        if address and not is_decoration(named, address):
            yield Media(url=address, alt=clean(unescape(named.get("alt", "")), longest=TITLE_LENGTH) or None)


#: A start tag, and what hides tags from a browser, to its end or that of the page.
_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<hidden>script|style|template|noscript|textarea|title)\b.*?(?:</(?P=hidden)\b|\Z)"
    r"|<(?P<name>[a-z]{1,20})(?=[\s/])",
    re.IGNORECASE | re.DOTALL,
)


def tags(html: str, *names: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The tags of these names that a browser sees, each with its attributes, in their order."""
    for match in _TAG.finditer(html):
        if match["name"] and (name := match["name"].lower()) in names:
            yield name, attributes(html, match.end())


def attributes(html: str, position: int) -> dict[str, str]:
    """The attributes of the tag whose name ends at `position`, the first of each name; references not yet resolved."""
    found: dict[str, str] = {}
    while len(found) < 50 and (match := _ATTRIBUTE.match(html, position)):
        found.setdefault(match[1].lower(), match[2] or match[3] or match[4] or "")
        position = match.end()
    return found


def is_decoration(attributes: Mapping[str, object], address: str) -> bool:
    """A tracker, an emoji, or the face of a reader."""
    if any(string(attributes.get(side)).strip().removesuffix("px") in ("0", "1") for side in ("width", "height")):
        return True
    host = urlsplit(address).hostname or ""
    return any(host == one or host.endswith(f".{one}") for one in _NO_PICTURE_HOSTS)


# --- values of any kind ----------------------------------------------------------------------------------------------


def string(value: object) -> str:
    """The value where it is a text, otherwise an empty one."""
    return value if isinstance(value, str) else ""


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The mappings in a list; none where it is no list."""
    return [part for part in value if isinstance(part, Mapping)] if isinstance(value, (list, tuple)) else []
