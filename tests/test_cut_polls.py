"""A feed that is read without the items that it showed before comes to the same as one that is read whole."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from autopublish.models import Account, Document, Feed, FeedSettings, FirstRun, FirstRunRule
from autopublish.net import Client
from autopublish.pipeline import Connection, Parts, Pipeline, _cut
from autopublish.platforms._base import Platform
from autopublish.store import Store, open_store

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FEEDS = ("one", "two")


def never(*_: object) -> Any:
    """What a poll has no use for."""
    raise AssertionError("a poll asks no platform")


@dataclass(slots=True)
class Reader:
    """A store, and the program that polls feeds into it without draining any account."""

    store: Store
    client: Client
    now: datetime = NOW

    def pipeline(self) -> Pipeline:
        """What a round of polls is made with."""
        accounts = {one.name: one for one in ACCOUNTS}
        describe: Callable[[Account], Platform] = never
        connect: Callable[[Account], Connection] = never
        parts = Parts(
            store=self.store,
            client=self.client,
            clock=lambda: self.now,
            accounts=lambda: accounts,
            describe=describe,
            connect=connect,
            pictures=never,
        )
        return Pipeline(parts)

    def poll(self) -> list[tuple[str, str, int, str | None]]:
        """All feeds are polled; gives what was told."""
        pipeline = self.pipeline()
        for feed in pipeline.begin_round():
            pipeline.poll(feed)
        pipeline.end_round()
        return [(one.feed, one.status, one.new, one.reason) for one in pipeline.journal.polled]


ACCOUNTS = (
    Account(name="all", platform="page", template="{{ title }}"),
    Account(name="second", platform="page", template="{{ title }}", feeds=("two",)),
)

#: What is not told by what a feed showed: random ids, and what only the cut needs.
_APART = {"events": {"id"}, "feeds": {"item_digests"}}


def content(store: Store) -> dict[str, list[dict[str, object]]]:
    """All rows of the store that a poll may write."""
    tables = ("feeds", "articles", "aliases", "traces", "deliveries", "events")
    with closing(sqlite3.connect(store.path)) as connection:
        connection.row_factory = sqlite3.Row
        rows = {table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in tables}
    bare = {
        table: [{key: value for key, value in row.items() if key not in _APART.get(table, ())} for row in found]
        for table, found in rows.items()
    }
    return {table: sorted(found, key=repr) for table, found in bare.items()}


# --- the life of a site ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One item as the site shows it."""

    guid: str | None
    link: str | None
    title: str
    published: datetime | None
    text: str = ""
    comments: int = 0


@dataclass(slots=True)
class Life:
    """A site on which editors do what editors do, by chance but the same for the same seed."""

    chance: random.Random
    entries: list[Entry] = field(default_factory=list)
    gone: list[Entry] = field(default_factory=list)
    host: str = "n.example"
    title: str = "News"
    count: int = 0

    def step(self, now: datetime) -> None:
        """Up to four things happen."""
        for _ in range(self.chance.randint(0, 4)):
            act = self.chance.choice(self._acts())
            act(now)
        del self.entries[12:]

    def _acts(self) -> list[Callable[[datetime], None]]:
        often = [self._write, self._write, self._edit, self._comment]
        return [*often, self._share, self._remove, self._return, self._shuffle, self._repeat, self._seldom]

    def _seldom(self, now: datetime) -> None:
        self.chance.choice([self._move, self._date_anew, self._retitle_site, self._clear])(now)

    def _write(self, now: datetime) -> None:
        self.count += 1
        name = str(self.count)
        ago = self.chance.choice([MINUTE, MINUTE, MINUTE, 2 * HOUR, 3 * DAY, -3 * HOUR, -9 * DAY, None])
        entry = Entry(
            guid=self.chance.choice([f"http://{self.host}/?p={name}", name, name, None]),
            link=self.chance.choice([f"http://{self.host}/{name}/"] * 4 + [None, f"http://{self.host}/"]),
            title=f"Story {self.chance.choice([name, name, name, 'again'])}",
            published=None if ago is None else now - ago,
        )
        self.entries.insert(self.chance.choice([0, 0, 0, len(self.entries)]), entry)

    def _one(self) -> int | None:
        return self.chance.randrange(len(self.entries)) if self.entries else None

    def _edit(self, now: datetime) -> None:
        at = self._one()
        if at is None:
            return
        self.count += 1
        change: Mapping[str, Any] = self.chance.choice(
            [
                {"title": f"Edited {self.count}"},
                {"text": f"More {self.count}"},
                {"link": f"http://{self.host}/edited-{self.count}/"},
                {"guid": f"g{self.count}"},
                {"published": now},
                {"published": None},
            ]
        )
        self.entries[at] = replace(self.entries[at], **change)

    def _comment(self, now: datetime) -> None:
        at = self._one()
        if at is not None:
            self.entries[at] = replace(self.entries[at], comments=self.entries[at].comments + 1)

    def _share(self, now: datetime) -> None:
        """Another article has the guid or the link of one."""
        at = self._one()
        if at is None:
            return
        self.count += 1
        other = replace(self.entries[at], title=f"Shares {self.count}", published=now - MINUTE)
        which = self.chance.choice([{"guid": f"s{self.count}"}, {"link": f"http://{self.host}/s{self.count}/"}, {}])
        self.entries.insert(0, replace(other, **which))  # type: ignore[arg-type] # keywords of Entry

    def _repeat(self, now: datetime) -> None:
        at = self._one()
        if at is not None:
            self.entries.append(self.entries[at])

    def _remove(self, now: datetime) -> None:
        at = self._one()
        if at is not None:
            self.gone.append(self.entries.pop(at))

    def _return(self, now: datetime) -> None:
        if self.gone:
            self.entries.insert(0, self.chance.choice(self.gone))

    def _shuffle(self, now: datetime) -> None:
        self.chance.shuffle(self.entries)

    def _move(self, now: datetime) -> None:
        self.count += 1
        old, self.host = self.host, f"moved-{self.count}.example"

        def moved(entry: Entry) -> Entry:
            guid, link = (text and text.replace(old, self.host) for text in (entry.guid, entry.link))
            return replace(entry, guid=guid, link=link)

        self.entries = [moved(entry) for entry in self.entries]

    def _date_anew(self, now: datetime) -> None:
        self.entries = [replace(entry, published=now) for entry in self.entries]

    def _retitle_site(self, now: datetime) -> None:
        self.count += 1
        self.title = f"News {self.count}"

    def _clear(self, now: datetime) -> None:
        self.gone += self.entries
        self.entries = []

    def document(self, now: datetime, *, every: int = 1) -> bytes:
        """What the feed shows; each document has bytes of its own."""
        items = "".join(_item(entry) for entry in self.entries[::every])
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:slash="http://purl.org/rss/1.0/modules/slash/">'
            f"<channel><title>{self.title}</title><link>http://{self.host}/</link>"
            f"<lastBuildDate>{format_datetime(now)}</lastBuildDate>{items}</channel></rss>"
        ).encode()
        return body[: len(body) * 2 // 3] if self.chance.random() < 0.03 else body


def _item(entry: Entry) -> str:
    parts = [f"<title>{escape(entry.title)}</title>"]
    if entry.link is not None:
        parts.append(f"<link>{escape(entry.link)}</link>")
    if entry.guid is not None:
        parts.append(f'<guid isPermaLink="false">{escape(entry.guid)}</guid>')
    if entry.published is not None:
        parts.append(f"<pubDate>{format_datetime(entry.published)}</pubDate>")
    parts.append(f"<description>{entry.text}</description><slash:comments>{entry.comments}</slash:comments>")
    return f"<item>{''.join(parts)}</item>"


@pytest.fixture
def client() -> Iterator[Client]:
    """A client that is never asked: the feeds are files."""
    with closing(Client(user_agent="autopublish-test")) as one:
        yield one


def adopted(folder: Path, **settings: Any) -> Path:
    """A store that knows two feeds, which are files."""
    path = folder / "cut.db"
    feeds = [FeedSettings(name=name, url=(folder / f"{name}.xml").as_uri(), **settings) for name in FEEDS]
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.adopt(feeds, ACCOUNTS, digest="d", now=NOW - DAY)
    return path


@pytest.fixture
def readers(folder: Path, client: Client) -> Iterator[tuple[Reader, Reader]]:
    """Two that read the same feeds into stores of their own."""
    path = adopted(folder, first_run=FirstRunRule(kind=FirstRun.NEWEST, count=2))
    twin = folder / "whole.db"
    shutil.copy(path, twin)
    with closing(open_store(f"sqlite:///{path}")) as one, closing(open_store(f"sqlite:///{twin}")) as other:
        yield Reader(one, client), Reader(other, client)


def assert_same(readers: tuple[Reader, Reader], monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    """Both poll what the feeds show, one of them whole, and come to the same."""
    cutting, whole = readers
    cutting.now = whole.now = now
    with monkeypatch.context() as patch:
        patch.setattr(_cut, "known_items", lambda _feed: b"")
        told = whole.poll()
    assert cutting.poll() == told, now
    assert content(cutting.store) == content(whole.store), now


# A life takes nearly a second: three for each day, all of them with `-m long`.
@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 12))])
def test_whatever_a_site_does_the_cut_comes_to_the_same_as_the_whole_document(
    readers: tuple[Reader, Reader], folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    life = Life(random.Random(seed))
    for number in range(40):
        now = NOW + number * 10 * MINUTE
        life.step(now)
        for every, name in enumerate(FEEDS, start=1):
            (folder / f"{name}.xml").write_bytes(life.document(now, every=every))
        assert_same(readers, monkeypatch, now)


# --- stories that chance seldom tells --------------------------------------------------------------------------------


def entry(name: str, *, ago: timedelta = HOUR, **changed: Any) -> Entry:
    made = Entry(guid=name, link=f"http://n.example/{name}/", title=f"Story {name}", published=NOW - ago)
    return replace(made, **changed)


def shows(folder: Path, *entries: Entry, name: str = "one", number: int = 0, channel: str = "") -> None:
    """The feed's file shows these."""
    build = f"<lastBuildDate>{format_datetime(NOW + number * MINUTE)}</lastBuildDate>"
    head = f'<rss version="2.0" xmlns:slash="http://purl.org/rss/1.0/modules/slash/"><channel><title>S</title>{channel}'
    (folder / f"{name}.xml").write_text(f"{head}{build}{''.join(map(_item, entries))}</channel></rss>")


REST = tuple(entry(f"r{number}", ago=HOUR + number * MINUTE) for number in range(6))
ANEW = entry("a", guid="anew")
STORIES: dict[str, list[tuple[Entry, ...]]] = {
    "an article comes back under its old names and words, below its present ones": [
        (entry("a"), *REST),
        (ANEW, *REST),
        (replace(ANEW, link="http://n.example/anew/", title="Anew"), *REST),
        (replace(ANEW, link="http://n.example/anew/", title="Anew"), *REST, entry("a")),
        (entry("a"), replace(ANEW, link="http://n.example/anew/", title="Anew"), *REST),
    ],
    "another site of the feed has a page of that path and title": [
        (entry("a"), *REST),
        (entry("a"), entry("b", ago=2 * HOUR, link="http://other.example/a/", title="Story a"), *REST),
    ],
    "three old articles are put in": [
        REST,
        (*REST, *[entry(f"old{number}", ago=9 * DAY) for number in range(3)]),
    ],
    "of two that share a link one goes": [
        (entry("a"), entry("b", link="http://n.example/a/"), *REST),
        (entry("b", link="http://n.example/a/"), *REST),
        (entry("c", link="http://n.example/a/", title="Story b"), *REST),
    ],
    "an entry that nobody can tell apart is beside them": [
        (entry("a", guid=None, link=None, title=""), *REST),
        (entry("a", guid=None, link=None, title=""), *REST, entry("b")),
        (entry("a", guid=None, link=None, title=""), *REST),
    ],
    "all go and come back": [REST, (), REST],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_in_a_story_the_cut_comes_to_the_same_as_the_whole_document(
    readers: tuple[Reader, Reader], folder: Path, monkeypatch: pytest.MonkeyPatch, story: list[tuple[Entry, ...]]
) -> None:
    for number, entries in enumerate(story):
        for name in FEEDS:
            shows(folder, *entries, name=name, number=number)
        assert_same(readers, monkeypatch, NOW + number * 5 * MINUTE)


def test_what_the_site_says_for_all_items_is_read_for_all_of_them(
    readers: tuple[Reader, Reader], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, language in enumerate(("en", "id")):
        shows(folder, *REST, number=number, channel=f"<language>{language}</language>")
        shows(folder, *REST, number=number, name="two")
        assert_same(readers, monkeypatch, NOW + number * 5 * MINUTE)
    assert {article.language for article in readers[0].store.newest_articles(9)} == {"id"}


# --- what is not read again, and when all of it is -------------------------------------------------------------------


@pytest.fixture
def reader(folder: Path, client: Client) -> Iterator[Reader]:
    """One whose store says something else of all articles than the feed, which only shows if their items are read."""
    for name in FEEDS:
        shows(folder, *REST, name=name)
    with closing(open_store(f"sqlite:///{adopted(folder)}")) as store:
        made = Reader(store, client)
        made.poll()
        with closing(sqlite3.connect(store.path)) as connection, connection:
            connection.execute("UPDATE articles SET data = replace(data, 'Story', 'Told')")
        made.now += 5 * MINUTE
        yield made


def titles(reader: Reader) -> set[str]:
    """The first words of the titles of what was there at first."""
    return {one.title.split()[0] for one in reader.store.newest_articles(99) if one.title[-2] == "r"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        pytest.param((), [("nothing new", 0)] * 2, id="nothing new"),
        pytest.param((entry("new", ago=MINUTE),), [("new", 1), ("nothing new", 0)], id="news"),
    ],
)
def test_an_item_whose_bytes_are_known_is_not_read_again(
    reader: Reader, folder: Path, more: tuple[Entry, ...], told: list[tuple[str, int]]
) -> None:
    for name in FEEDS:
        shows(folder, *more, *REST, name=name, number=1)
    assert [(status, new) for _, status, new, _ in reader.poll()] == told
    assert titles(reader) == {"Told"}
    for feed in reader.store.feeds():
        assert (feed.last_good, feed.last_try) == (reader.now, reader.now)
        assert len(feed.item_digests) == 8 * (1 + len(more) + len(REST))


def test_an_edited_item_has_the_whole_document_read(reader: Reader, folder: Path) -> None:
    shows(folder, replace(REST[0], title="Edited r0"), *REST[1:], number=1)
    reader.poll()
    assert titles(reader) == {"Edited", "Story"}


def test_another_version_of_the_program_reads_everything_anew(
    reader: Reader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cut, "__version__", "another")
    shows(folder, *REST, number=1)
    reader.poll()
    assert titles(reader) == {"Story"}


def test_what_another_poll_saved_meanwhile_is_read_whole(reader: Reader, folder: Path) -> None:
    pipeline = reader.pipeline()
    feed, _ = pipeline.begin_round()
    shows(folder, *REST[:5], number=1)
    reader.poll()
    shows(folder, entry("new", ago=MINUTE), *REST, number=2)
    assert titles(reader) == {"Told"}
    pipeline.poll(feed)
    assert titles(reader) == {"Story"}


def test_at_another_address_everything_is_read_anew(reader: Reader, folder: Path) -> None:
    feeds = [one.settings for one in reader.store.feeds()]
    shows(folder, *REST, name="moved", number=1)
    feeds[0] = replace(feeds[0], url=(folder / "moved.xml").as_uri())
    reader.store.adopt(feeds, ACCOUNTS, digest="e", now=reader.now)
    reader.poll()
    assert titles(reader) == {"Story"}


def test_a_document_that_is_cut_short_leaves_nothing_that_the_next_is_read_without(
    reader: Reader, folder: Path
) -> None:
    whole = (folder / "one.xml").read_bytes()
    (folder / "one.xml").write_bytes(whole[: whole.rindex(b"<item>") + 20])
    reader.poll()
    assert reader.store.feeds()[0].item_digests == b""


# --- what is kept ----------------------------------------------------------------------------------------------------

A, B, C, D = (bytes([letter]) * 8 for letter in b"ABCD")


def read(digests: bytes, *, cut: int = 0, **rest: Any) -> Document:
    return Document(title="S", items=(), item_digests=digests, cut=cut, **rest)


@pytest.mark.parametrize(
    ("document", "may_be_cut", "kept"),
    [
        pytest.param(read(A + B), (True, True), A + B, id="all"),
        pytest.param(read(A + B + C, cut=2), (True,), A + B + C, id="what was cut out and what was read"),
        pytest.param(read(A + B + C, cut=2), (False,), A + B, id="what was cut out"),
        pytest.param(read(C + A, cut=1), (True,), C + A, id="in any order"),
        pytest.param(read(A + B), (False, True), B, id="what stands for one article"),
        pytest.param(read(C + C), (True, False), b"", id="nothing of what is twice"),
        pytest.param(read(A + bytes(8)), (True, True), A, id="not what is read each time"),
        pytest.param(read(A + B), (False, False), b"", id="nothing"),
        pytest.param(read(A + B + C), (True,), b"", id="nothing where items cannot be told apart"),
        pytest.param(read(b""), (True,), b"", id="nothing without digests"),
        pytest.param(read(A + B, partial="too many"), (True, True), b"", id="nothing of a part"),
    ],
)
def test_what_is_remembered_of_a_document(document: Document, may_be_cut: tuple[bool, ...], kept: bytes) -> None:
    settings = FeedSettings(name="one", url="https://n.example/feed/")
    feed = Feed(id="f", settings=settings, baseline_at=NOW, item_digests=D + A + B)
    remembered = _cut.remembered(feed, document, settings.url, may_be_cut)
    assert remembered[8:] == kept
    after = replace(feed, item_digests=remembered)
    assert _cut.known_items(after) == kept
    assert _cut.is_read_alike(after, document, settings.url) is bool(kept)


@pytest.mark.parametrize(
    ("changed", "url"),
    [
        pytest.param({"title": "T"}, "https://n.example/feed/", id="title"),
        pytest.param({"language": "id"}, "https://n.example/feed/", id="language"),
        pytest.param({"link": "https://n.example/"}, "https://n.example/feed/", id="home page"),
        pytest.param({}, "https://m.example/feed/", id="where it came from"),
    ],
)
def test_a_document_that_says_something_else_of_all_items_is_not_read_alike(changed: dict[str, str], url: str) -> None:
    settings = FeedSettings(name="one", url="https://n.example/feed/")
    feed = Feed(id="f", settings=settings, baseline_at=NOW)
    feed = replace(feed, item_digests=_cut.remembered(feed, read(A), settings.url, (True,)))
    assert _cut.is_read_alike(feed, read(A), settings.url)
    assert not _cut.is_read_alike(feed, replace(read(A), **changed), url)  # type: ignore[arg-type] # of Document
    other = replace(feed, settings=replace(settings, language="id"))
    assert not _cut.is_read_alike(other, read(A), settings.url)


@pytest.mark.parametrize("change", [{"baseline_at": None}, {"url_changed": True}], ids=["first poll", "changed url"])
def test_where_nothing_may_be_cut_out_nothing_is_known(change: dict[str, Any]) -> None:
    settings = FeedSettings(name="one", url="https://n.example/feed/")
    feed = Feed(id="f", settings=settings, baseline_at=NOW, item_digests=D + A)
    assert _cut.known_items(feed) == A
    assert _cut.known_items(replace(feed, **change)) == b""
