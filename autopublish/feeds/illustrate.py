"""Pictures that an article's own page names, for articles whose feed shows none that can be used.

A WordPress feed has no featured image, but the page names the article in the site's REST API, which has it with its alt
text; and nearly every page names a picture for networks to show. `named` is pure; `further` asks the site.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from autopublish import net
from autopublish.errors import NetworkError
from autopublish.feeds.entries import MOST_PICTURES, TITLE_LENGTH, is_decoration, mappings, tags, web_address
from autopublish.feeds.wellformed import to_utf8
from autopublish.models import Article, Media
from autopublish.text import clean

#: What is read of a page; what matters stands in its head.
_PAGE_BYTES = 3_000_000
_HEAD_BYTES = 500_000
_API_BYTES = 1_000_000
#: Both requests together.
_DEADLINE = timedelta(seconds=10)

#: The most telling first: https://ogp.me/#structured, https://developer.x.com/en/docs/x-for-websites/cards/overview/markup
_PICTURES = ("og:image:secure_url", "og:image:url", "og:image", "twitter:image", "twitter:image:src")
_ALTS = ("og:image:alt", "twitter:image:alt")
#: How WordPress names the article in its API, in the head of the page and in a header.
#: https://developer.wordpress.org/rest-api/using-the-rest-api/discovery/
_API_PATH = re.compile(r"/wp/v2/\w+/\d+/?$")
_API_HEADER = re.compile(r"<([^<>]{1,2000})>\s*;[^,<]{0,200}?\brel=\"?alternate\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a page names: its own address in the REST API of WordPress, and pictures."""

    api: str | None
    pictures: tuple[Media, ...]


def named(page: bytes, *, url: str, content_type: str | None) -> Named:
    """What an HTML page names in its tags."""
    text = to_utf8(page[:_HEAD_BYTES], content_type).decode("utf-8", "replace")
    api: str | None = None
    found: dict[str, str] = {}
    for name, stated in tags(text, "link", "meta"):
        if name == "link":
            api = api or _api_of(stated, url)
        else:
            key = (stated.get("property") or stated.get("name") or "").strip().lower()
            found.setdefault(key, unescape(stated.get("content", "")))
    return Named(api=api, pictures=tuple(_stated(found, url))[:MOST_PICTURES])


def _api_of(stated: Mapping[str, str], url: str) -> str | None:
    is_alternate = "alternate" in stated.get("rel", "").lower().split()
    if not is_alternate or unescape(stated.get("type", "")).strip().lower() != "application/json":
        return None
    return _api_address(stated.get("href"), url)


def _api_address(stated: object, url: str) -> str | None:
    """The address of an article in the API of the same site; None if it is none."""
    address = web_address(stated, url)
    if address is None or urlsplit(address).netloc.lower() != urlsplit(url).netloc.lower():
        return None
    parts = urlsplit(address)
    route = parts.path if _API_PATH.search(parts.path) else parts.query.partition("rest_route=")[2]
    return address if _API_PATH.search(unescape(route).replace("%2F", "/")) else None


def _stated(found: Mapping[str, str], url: str) -> Iterator[Media]:
    """The pictures of a page's own words about itself, each once."""
    alt = next((clean(found[key], longest=TITLE_LENGTH) for key in _ALTS if found.get(key)), "") or None
    seen = set()
    for key in _PICTURES:
        address = web_address(found.get(key, ""), url)
        if address and address not in seen and not is_decoration({}, address):
            seen.add(address)
            yield Media(url=address, alt=alt)


def featured(body: bytes) -> tuple[Media, ...]:
    """The featured image in an answer of WordPress's REST API, with its alt text."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    embedded = answer.get("_embedded") if isinstance(answer, Mapping) else None
    files = mappings(embedded.get("wp:featuredmedia")) if isinstance(embedded, Mapping) else []
    return tuple(media for file in files[:1] if (media := _file(file)) is not None)


def _file(file: Mapping[str, Any]) -> Media | None:
    address, kind, alt = file.get("source_url"), file.get("mime_type"), file.get("alt_text")
    address = web_address(address, "") if isinstance(address, str) else None
    if address is None:
        return None
    words = clean(unescape(alt), longest=TITLE_LENGTH) if isinstance(alt, str) else ""
    is_image = isinstance(kind, str) and kind.startswith("image/")
    return Media(url=address, alt=words or None, type=kind if is_image else None)


def further(article: Article, client: net.Client, *, allow_private: bool) -> tuple[Media, ...]:
    """The pictures that the article's page names, the featured image of WordPress first; none if it does not answer."""
    if article.link is None or not article.link.lower().startswith(("http://", "https://")):
        return ()
    page = _asked(article.link, client, _PAGE_BYTES, allow_private=allow_private)
    if page is None:
        return ()
    found = named(page.body, url=page.url, content_type=page.headers.get("Content-Type"))
    api = found.api or _api_in_header(page)
    reply = _asked(_with_picture(api), client, _API_BYTES, allow_private=allow_private) if api else None
    first = featured(reply.body) if reply is not None and reply.cut_short is None else ()
    urls = {media.url for media in first}
    return (*first, *(media for media in found.pictures if media.url not in urls))


def _asked(url: str, client: net.Client, limit_bytes: int, *, allow_private: bool) -> net.Reply | None:
    with suppress(NetworkError):
        reply = client.get(
            url, headers={"Accept": "*/*"}, limit_bytes=limit_bytes, deadline=_DEADLINE / 2, allow_private=allow_private
        )
        return reply if reply.status == 200 else None
    return None


def _api_in_header(page: net.Reply) -> str | None:
    for match in _API_HEADER.finditer(page.headers.get("Link", "")[:10_000]):
        if (address := _api_address(match[1], page.url)) is not None:
            return address
    return None


def _with_picture(api: str) -> str:
    """The question for the featured image alone."""
    parts = urlsplit(api)
    asked = urlencode({"_embed": "wp:featuredmedia", "_fields": "_links,_embedded"}, safe=":,")
    return urlunsplit(parts._replace(query="&".join(part for part in (parts.query, asked) if part), fragment=""))
