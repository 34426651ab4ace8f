"""Preview: the posts that articles would become, made as the drain makes them, with nothing written or sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from autopublish.articles import candidates, identify, normalise_link
from autopublish.errors import ComposeError, DeliveryError, FeedError, FeedMalformed, SecretError
from autopublish.feeds.fetch import fetch
from autopublish.models import Account, Article, Feed, FeedSettings, Post
from autopublish.net import Client
from autopublish.pipeline._parts import without_secrets

if TYPE_CHECKING:
    from autopublish.platforms._base import Platform

Describe = Callable[[Account, Client], "Platform"]
#: The platform of an account with its secrets, so that its server can be asked. Raises SecretError.
Connect = Describe


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
    #: Why the real post may be cut otherwise: the server's own limits are not known.
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """One article and what each account would get."""

    feed: str
    article: Article
    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An account with its platform, and why its server's own limits are not known."""

    account: Account
    platform: Platform
    note: str | None = None


def posts_of_feed(
    settings: FeedSettings,
    accounts: Sequence[Account],
    *,
    describe: Describe,
    client: Client,
    now: datetime,
    most: int,
    connect: Connect | None = None,
) -> tuple[Previewed, ...]:
    """What the newest `most` articles of a feed would become, the newest first.

    The servers of accounts are asked for their limits with `connect`; without it nobody is asked.

    Raises:
        FeedError: the feed cannot be read.
    """
    shown = _articles(settings, client, now)[:most]
    asked = _ask_all(accounts, describe, connect, client) if shown else []
    return tuple(_previewed(settings, article, asked, now) for article in shown)


def posts_of_article(
    link: str,
    feeds: Iterable[FeedSettings],
    accounts: Sequence[Account],
    *,
    describe: Describe,
    client: Client,
    now: datetime,
    connect: Connect | None = None,
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
                asked = _ask_all(accounts, describe, connect, client)
                return _previewed(settings, article, asked, now)
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


def _ask_all(accounts: Iterable[Account], describe: Describe, connect: Connect | None, client: Client) -> list[_Asked]:
    """The accounts that take articles, with their platforms."""
    return [_ask(account, describe, connect, client) for account in accounts if account.takes_articles]


def _ask(account: Account, describe: Describe, connect: Connect | None, client: Client) -> _Asked:
    """The account's platform with its server's limits if it has some of its own, else with those of its class."""
    from autopublish.platforms._base import Platform

    platform = describe(account, client)
    if connect is None or type(platform).learn_limits is Platform.learn_limits:
        return _Asked(account=account, platform=platform)
    try:
        connected = connect(account, client)
        connected.learn_limits()
    except (DeliveryError, SecretError) as error:
        note = f"the server's own limits are not known: {without_secrets(error)}"
        return _Asked(account=account, platform=platform, note=note)
    return _Asked(account=account, platform=connected)


def _previewed(settings: FeedSettings, article: Article, asked: Sequence[_Asked], now: datetime) -> Previewed:
    return Previewed(feed=settings.name, article=article, drafts=tuple(_draft(article, one, now) for one in asked))


def _draft(article: Article, asked: _Asked, now: datetime) -> Draft:
    # Imported here, as this module is loaded with the package: a run without news must not pay for posts.
    from autopublish.posts import admits, compose

    account, platform = asked.account, asked.platform
    draft = Draft(account=account.name, platform=account.platform, look=platform.look, note=asked.note)
    try:
        refusal = admits(article, account, article.feeds)
        post = compose(article, account, platform.limits, picture=None, now=now) if refusal is None else None
    except ComposeError as error:
        return replace(draft, problem=str(error))
    return replace(draft, post=post, refusal=refusal)
