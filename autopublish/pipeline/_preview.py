"""Preview: the posts that articles would become, made as the drain makes them, with nothing written or sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from autopublish.articles import candidates, identify, normalise_link
from autopublish.errors import ComposeError, FeedError, FeedMalformed
from autopublish.feeds.fetch import fetch
from autopublish.models import Account, Article, Feed, FeedSettings, Post
from autopublish.net import Client
from autopublish.posts import admits, compose

if TYPE_CHECKING:
    from autopublish.platforms._base import Platform

Describe = Callable[[Account, Client], "Platform"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What one account would get."""

    account: str
    platform: str
    #: How `cards` draws it.
    look: str
    #: None if the account would not get it.
    post: Post | None = None
    #: The rule that keeps the article from the account.
    refusal: str | None = None
    #: What keeps a post from being made.
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """One article and what each account would get."""

    feed: str
    article: Article
    drafts: tuple[Draft, ...]


def posts_of_feed(
    settings: FeedSettings,
    accounts: Sequence[Account],
    *,
    describe: Describe,
    client: Client,
    now: datetime,
    most: int,
) -> tuple[Previewed, ...]:
    """What the newest `most` articles of a feed would become, the newest first.

    Raises:
        FeedError: the feed cannot be read.
    """
    shown = _articles(settings, client, now)[:most]
    return tuple(_previewed(settings, article, accounts, describe, client, now) for article in shown)


def posts_of_article(
    link: str,
    feeds: Iterable[FeedSettings],
    accounts: Sequence[Account],
    *,
    describe: Describe,
    client: Client,
    now: datetime,
) -> Previewed | None:
    """What one article of the feeds would become; None if no feed shows it."""
    wanted = normalise_link(link)
    for settings in feeds:
        try:
            shown = _articles(settings, client, now)
        except FeedError:
            continue  # another feed may show it
        for article in shown:
            if wanted is not None and article.link and normalise_link(article.link) == wanted:
                return _previewed(settings, article, accounts, describe, client, now)
    return None


def _articles(settings: FeedSettings, client: Client, now: datetime) -> list[Article]:
    from autopublish.feeds.parse import parse

    feed = Feed(id="preview", settings=settings)
    fetched = fetch(feed, client, now)
    if fetched.body is None:
        raise FeedMalformed("the answer has no document")
    document = parse(fetched.body, url=fetched.url, content_type=fetched.content_type)
    found = identify(candidates(document, feed), {}, feed, now).found
    return [one.article for one in reversed(found)]


def _previewed(
    settings: FeedSettings,
    article: Article,
    accounts: Sequence[Account],
    describe: Describe,
    client: Client,
    now: datetime,
) -> Previewed:
    drafts = tuple(_draft(article, account, describe(account, client), now) for account in accounts)
    return Previewed(feed=settings.name, article=article, drafts=drafts)


def _draft(article: Article, account: Account, platform: Platform, now: datetime) -> Draft:
    draft = Draft(account=account.name, platform=account.platform, look=platform.look)
    try:
        refusal = admits(article, account, article.feeds)
        post = compose(article, account, platform.limits, picture=None, now=now) if refusal is None else None
    except ComposeError as error:
        return Draft(account=draft.account, platform=draft.platform, look=draft.look, problem=str(error))
    return Draft(account=draft.account, platform=draft.platform, look=draft.look, post=post, refusal=refusal)
