"""What the site publishes: articles as a WordPress shows them, each different from all others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

_WHERE = ("Harbour district", "Old town", "North bank", "Lake county", "Hill region", "City council", "Coast guard")
_WHAT = ("opens", "plans", "closes", "repairs", "renames", "studies", "celebrates", "extends")
_WHICH = ("reading room", "tram line", "bridge", "night market", "swimming hall", "school yard", "ferry landing")
_TOPICS = ("Culture", "City life", "Traffic", "Education", "Sport")

_BODY = """
<p><strong>{where}</strong> – {title}. The decision follows a year of talks with residents, who had asked for it in
three hearings and a petition with more than four thousand names &amp; addresses.</p>

<p>“We have listened, and we have counted,” the office said. <em>Work begins in spring</em>; the plans can be seen at
the town hall on every weekday from nine to five, and on the <a href="{link}">page of this article</a>.</p>

<h3>What comes next</h3>

<ul><li>a hearing for shops and schools;</li><li>a first budget of 1.2 million;</li><li>a report each quarter.</li></ul>

<p>Those who live nearby are told by letter. Buses keep their times, deliveries are possible until ten in the morning,
and the footpath on the east side stays open for the whole of the work.</p>
"""

_ITEM = """	<item>
		<title>{title}</title>
		<link>{link}</link>
		<comments>{link}#respond</comments>
		<dc:creator><![CDATA[Newsdesk]]></dc:creator>
		<pubDate>{published}</pubDate>
		<category><![CDATA[{topic}]]></category>
		<category><![CDATA[{where}]]></category>
		<guid isPermaLink="false">{guid}</guid>
		<description><![CDATA[{title}. The decision follows a year of talks with residents.]]></description>
		<content:encoded><![CDATA[{body}]]></content:encoded>
	</item>
"""

_FEED = """<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"
	xmlns:content="http://purl.org/rss/1.0/modules/content/"
	xmlns:dc="http://purl.org/dc/elements/1.1/"
	xmlns:atom="http://www.w3.org/2005/Atom"
	xmlns:sy="http://purl.org/rss/1.0/modules/syndication/">
<channel>
	<title>Newsroom {feed}</title>
	<atom:link href="{site}/feed/{feed}/" rel="self" type="application/rss+xml" />
	<link>{site}</link>
	<description>What happens here</description>
	<language>en</language>
	<sy:updatePeriod>hourly</sy:updatePeriod>
	<generator>https://wordpress.org/?v=6.8</generator>
{items}</channel>
</rss>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One article of one feed; `number` counts the feed's articles from 1."""

    site: str
    feed: int
    number: int
    published: datetime

    @property
    def title(self) -> str:
        """Its headline."""
        place = self.feed + self.number
        which = _WHICH[self.number % len(_WHICH)]
        return f"{self.where} {_WHAT[place % len(_WHAT)]} {which} {self.feed}-{self.number}"

    @property
    def where(self) -> str:
        """Its second category."""
        return _WHERE[(self.feed + self.number) % len(_WHERE)]

    @property
    def link(self) -> str:
        """Its page."""
        return f"{self.site}/{self.published:%Y/%m/%d}/{self.title.lower().replace(' ', '-')}/"

    def item(self) -> str:
        """It, as the feed shows it."""
        values = {"title": self.title, "link": self.link, "where": self.where}
        return _ITEM.format(
            **values,
            published=format_datetime(self.published),
            topic=_TOPICS[self.number % len(_TOPICS)],
            guid=f"{self.site}/?p={self.feed * 1_000_000 + self.number}",
            body=_BODY.format(**values),
        )


def document(site: str, feed: int, news: list[News]) -> bytes:
    """The feed's document, which shows these articles in this order."""
    return _FEED.format(site=site, feed=feed, items="".join(one.item() for one in news)).encode()
