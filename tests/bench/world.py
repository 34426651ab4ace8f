"""A site, networks, a store and a clock: everything that one test of the pipeline plays with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from autopublish.articles import alias_of_link, normalise_link
from autopublish.deliveries import unblock
from autopublish.models import (
    Account,
    AccountState,
    Article,
    Attempt,
    Delivery,
    Feed,
    FeedSettings,
    FirstRun,
    FirstRunRule,
    OnUnknown,
    Standing,
    State,
)
from autopublish.pipeline import Polled
from autopublish.pipeline._parts import Journal
from autopublish.store import Store, open_store
from tests.bench import runner
from tests.bench.adapters import ADAPTERS, Edge
from tests.bench.clock import Clock
from tests.bench.network import Network, Rules, Seen
from tests.bench.newsroom import SITE, News, document
from tests.bench.runner import Login, MakePlatform, Setup

#: By the real clock: so long a call waits that the script leaves without an answer.
SHORT_PATIENCE_SECONDS = 0.3
#: These keep a delivery from being final by itself.
OPEN = (State.READY, State.SENDING, State.VERIFYING)
ALL = FirstRunRule(kind=FirstRun.ALL)
#: What the first poll of a feed shows: known from then on, and never posted.
_OPENING = News(name="opening", published=None, title="The site opens")


class World:
    """Feeds as files, accounts on networks, and runs of the program between moves of the clock."""

    def __init__(self, folder: Path, network: Network, clock: Clock) -> None:
        self.folder = folder
        self.network = network
        self.clock = clock
        self.feeds: dict[str, FeedSettings] = {}
        self.accounts: dict[str, Account] = {}
        self.tokens: dict[str, str] = {}
        #: What each feed shows, by its file or address.
        self._shown: dict[str, tuple[News, ...]] = {}
        #: Links of the articles that an accepted poll has shown.
        self.polled_links: set[str] = set()
        #: Pages whose posts a person took away.
        self.deleted: set[str] = set()
        self.threads = 8
        #: Told before and after each call of an adapter.
        self.edge: Edge | None = None
        #: By platform, what makes the adapters of networks that are not the bench's own; they have judges of their own.
        self.others: dict[str, MakePlatform] = {}

    # --- set up ------------------------------------------------------------------------------------------------------

    def add_feed(self, name: str = "news", *, url: str | None = None, **settings: Any) -> None:
        """The configuration names a feed; without `url` it is a file beside the store."""
        made = FeedSettings(name=name, url=url or self.file(name).as_uri(), allow_private=True, **settings)
        self.feeds[name] = made

    def file(self, feed: str) -> Path:
        """The document of a feed that is a file."""
        return self.folder / f"{feed}.xml"

    def show(self, *news: News, feed: str = "news") -> None:
        """The feed's file shows exactly these articles."""
        self.file(feed).write_bytes(document(news))
        self._shown[feed] = news

    def show_more(self, *news: News, feed: str = "news") -> None:
        """The feed's file shows these articles on top of what it showed."""
        self.show(*reversed(news), *self._shown.get(feed, ()), feed=feed)

    def add_account(self, platform: str, name: str | None = None, **settings: Any) -> str:
        """The configuration names an account, which exists on its network; gives its name."""
        name = name or platform
        plain: dict[str, Any] = {"template": "{{ title }}\n{{ link }}", "at_most": ()}
        self.accounts[name] = Account(name=name, platform=platform, **{**plain, **settings})
        self.network.open(name, ADAPTERS[platform].rules if platform in ADAPTERS else Rules())
        self.tokens[name] = "good"
        return name

    def change_account(self, name: str, **settings: Any) -> None:
        """The configuration says something else of an account."""
        self.accounts[name] = replace(self.accounts[name], **settings)

    def news(self, name: str, *, ago: timedelta = timedelta(0), **rest: Any) -> News:
        """An article of now, or of a while ago."""
        return News(name=name, published=self.clock() - ago, **rest)

    def open_site(self, feed: str = "news") -> None:
        """The first poll of the feed is done, so that what comes now is news."""
        if feed not in self.feeds:
            self.add_feed(feed)
        self.show(replace(_OPENING, published=self.clock() - timedelta(days=1), name=f"opening-{feed}"), feed=feed)
        self.run()
        self.clock.move(minutes=5)

    def pause(self, account: str) -> None:
        """The operator pauses an account."""
        with self.store() as store:
            was = store.standing(account)
            store.save_standing(was, replace(was, state=AccountState.PAUSED, reason="paused"), now=self.clock())

    def resume(self, account: str) -> None:
        """The operator lets a paused account go on."""
        with self.store() as store:
            was = store.standing(account)
            store.save_standing(was, unblock(was, self.clock()), now=self.clock())

    # --- runs --------------------------------------------------------------------------------------------------------

    @property
    def store_path(self) -> Path:
        """The store's file."""
        return self.folder / "autopublish.db"

    def setup(self) -> Setup:
        """What a run works with now."""
        return Setup(
            store=self.store_path,
            clock=self.clock.path,
            feeds=tuple(self.feeds.values()),
            accounts=tuple(self.accounts.values()),
            logins={name: self._login(name) for name in self.accounts},
            threads=self.threads,
        )

    def _login(self, account: str) -> Login:
        login = Login(address=self.network.address(account), token=self.tokens[account])
        if self.network.is_silent_next(account):
            return replace(login, patience_seconds=SHORT_PATIENCE_SECONDS)
        return login

    def run(self) -> Journal:
        """One run of the program at the present time."""
        journal = runner.run(self.setup(), edge=self.edge, others=self.others)
        self._remember(journal.polled)
        return journal

    def _remember(self, polled: list[Polled]) -> None:
        for one in polled:
            if not one.failed and one.status != "waiting":
                self.polled_links |= {news.link for news in self._shown.get(one.feed, ())}

    def until_quiet(self, *, most: int = 40) -> None:
        """Run, move the clock to what is next, and so on, until nothing waits that goes by itself."""
        for _ in range(most):
            self.run()
            if not runner.move_to_work(self.setup()):
                return
        raise AssertionError(f"after {most} runs there is still work: {self.deliveries()}")

    # --- what came of it ---------------------------------------------------------------------------------------------

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store, between runs."""
        with closing(open_store(f"sqlite:///{self.store_path}")) as store:
            yield store

    def article(self, name: str, *, site: str = SITE) -> Article:
        """An article by its name on the bench."""
        with self.store() as store:
            link = normalise_link(News(name=name, published=None, site=site).link)
            found = store.article_by_alias(alias_of_link(link)) if link else None
        assert found is not None, f"no article {name}"
        return found

    def delivery(self, name: str, account: str, *, site: str = SITE) -> Delivery:
        """The one delivery of an article on an account."""
        found = self.find_delivery(name, account, site=site)
        assert found is not None, f"no delivery of {name} on {account}"
        return found

    def find_delivery(self, name: str, account: str, *, site: str = SITE) -> Delivery | None:
        """The delivery of an article on an account if there is one."""
        article = self.article(name, site=site)
        with self.store() as store:
            return next((row for row in store.deliveries_of(article.id) if row.account == account), None)

    def deliveries(self) -> tuple[Delivery, ...]:
        """All deliveries."""
        with self.store() as store:
            return store.newest_deliveries(100_000)

    def attempts(self, name: str, account: str) -> tuple[Attempt, ...]:
        """The attempts of a delivery, first one first."""
        with self.store() as store:
            made = store.attempts(self.delivery(name, account).id)
        # The clock stands still during a run: attempts of one run began at one time.
        return tuple(sorted(made, key=lambda attempt: (attempt.started, attempt.generation)))

    def standing(self, account: str) -> Standing:
        """What the store knows of an account."""
        with self.store() as store:
            return store.standing(account)

    def feed(self, name: str = "news") -> Feed:
        """What the store knows of a feed."""
        with self.store() as store:
            return next(feed for feed in store.feeds() if feed.settings.name == name)

    def posted(self, account: str) -> list[str]:
        """The names of the articles that a reader of the account sees, in the order in which they appeared."""
        return [link.rstrip("/").rpartition("/")[2] for link in self.network.links(account)]

    def delete_by_hand(self, post: Seen) -> None:
        """A person takes a post away from its network."""
        self.network.delete(post)
        self.deleted.add(_page(post.link))

    def decide(self, name: str, account: str, move: Callable[[Delivery], Delivery]) -> None:
        """A person's move on a delivery."""
        row = self.delivery(name, account)
        with self.store() as store:
            assert store.change(row, move(row), actor="editor")


def assert_invariants(world: World) -> None:
    """Nothing lost and nothing doubled, by the networks' own list against the store."""
    if not world.store_path.exists():
        return
    rows = world.deliveries()
    with world.store() as store:
        links = {row.article: store.article(row.article).link or "" for row in rows}
        resent = {row.id: sum(attempt.resend for attempt in store.attempts(row.id)) for row in rows}
    by_place = {(row.account, _page(links[row.article])): row for row in rows}
    assert len(by_place) == len(rows), "two deliveries of one article on one account"
    _assert_nothing_lost(world, rows)
    for account in world.accounts:
        _assert_none_doubled(world, account, by_place, resent)
    for (account, page), row in by_place.items():
        if row.state is State.POSTED and row.receipt is not None and page not in world.deleted:
            shown = {_page(link) for link in world.network.links(account)}
            assert page in shown, f"{page} is POSTED on {account}, and nobody sees it"


def _assert_nothing_lost(world: World, rows: tuple[Delivery, ...]) -> None:
    with world.store() as store:
        standings = store.standings()
        for link in world.polled_links:
            article = store.article_by_alias(alias_of_link(_page(link)))
            assert article is not None, f"{link} was shown by an accepted poll, and is not known"
            wanted = {name for name, one in standings.items() if one.created <= article.first_seen}
            there = {row.account for row in store.deliveries_of(article.id)}
            assert article.baseline or wanted <= there, f"{link} is lost for {wanted - there}"
    for row in rows:
        told = row.state in (State.HELD, State.NEEDS_REVIEW, State.REJECTED, State.CANCELLED)
        assert not told or row.reason, f"{row.state} without a reason"
        assert row.state is not State.SENDING, "left in the middle of a call"


def _assert_none_doubled(
    world: World, account: str, by_place: Mapping[tuple[str, str], Delivery], resent: Mapping[str, int]
) -> None:
    pages = [_page(link) for link in world.network.links(account)]
    for page in set(pages):
        row = by_place.get((account, page))
        assert row is not None, f"{page} is on {account}, and no delivery knows it"
        may_be_live = row.state in (State.POSTED, *OPEN, State.NEEDS_REVIEW) or row.unclosed
        assert may_be_live, f"{page} is on {account} while its delivery is {row.state}"
        by_policy = world.accounts[account].on_unknown is OnUnknown.RESEND
        allowed = 1 + (resent[row.id] if by_policy else 0)
        assert pages.count(page) <= allowed, f"{page} is {pages.count(page)} times on {account}"


def _page(link: str) -> str:
    return normalise_link(link) or link
