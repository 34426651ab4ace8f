"""Articles and the RSS documents that show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape, quoteattr

SITE = "https://news.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One article as its site shows it."""

    #: Names it on the bench; the last part of its link.
    name: str
    published: datetime | None
    title: str = ""
    summary: str = ""
    categories: tuple[str, ...] = ()
    #: URL of a picture.
    picture: str | None = None
    #: URL of another one.
    second_picture: str | None = None
    site: str = SITE

    @property
    def link(self) -> str:
        """Its page."""
        return f"{self.site}/{self.name}/"


def document(news: Iterable[News], *, site: str = SITE) -> bytes:
    """An RSS document that shows the articles in this order."""
    items = "".join(_item(one) for one in news)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/">'
        f"<channel><title>News</title><link>{site}/</link><description>All of it</description>{items}</channel></rss>"
    ).encode()


def _item(news: News) -> str:
    title = news.title or f"Article {news.name}"
    parts = [
        f"<title>{escape(title)}</title><link>{news.link}</link>",
        f'<guid isPermaLink="false">{news.site}/?p={news.name}</guid>',
        f"<description>{escape(news.summary)}</description>",
        *(f"<category>{escape(category)}</category>" for category in news.categories),
    ]
    if news.published is not None:
        parts.append(f"<pubDate>{format_datetime(news.published)}</pubDate>")
    parts += [
        f"<media:content url={quoteattr(url)} type='image/png' medium='image'/>"
        for url in (news.picture, news.second_picture)
        if url is not None
    ]
    return f"<item>{''.join(parts)}</item>"
