"""Sites that move: other addresses, guids, permalinks and dates for what is known, and nothing is posted again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from autopublish import deliveries
from autopublish.articles import alias_of_link, normalise_link
from autopublish.models import Article, Delivery, State
from autopublish.pipeline import Polled
from autopublish.store import open_store
from tests.bench.world import World
from tests.desk import PAGE, Desk
from tests.servers.feed_site import Answer, FeedSite

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WITA = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One item as the feed states it."""

    guid: str
    link: str
    title: str
    published: datetime | None


Shape = Callable[[Entry], Entry]


def rss(entries: Sequence[Entry]) -> bytes:
    """A document that shows the entries in this order."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>News</title>'
        f"<link>https://news.example/</link>{''.join(map(_item, entries))}</channel></rss>"
    ).encode()


def _item(entry: Entry) -> str:
    date = f"<pubDate>{format_datetime(entry.published)}</pubDate>" if entry.published else ""
    return (
        f"<item><title>{escape(entry.title)}</title><link>{escape(entry.link)}</link>"
        f'<guid isPermaLink="false">{escape(entry.guid)}</guid>{date}</item>'
    )


def written(name: str, published: datetime) -> Entry:
    """An article as the site shows it before it moves."""
    return Entry(
        guid=f"http://old.example/?p={name}",
        link=f"http://old.example/{name}/",
        title=f"Story {name}",
        published=published,
    )


def _name(entry: Entry) -> str:
    return entry.title.removeprefix("Story ")


def to_https(entry: Entry) -> Entry:
    return replace(entry, guid=entry.guid.replace("http:", "https:"), link=entry.link.replace("http:", "https:"))


def to_domain(entry: Entry) -> Entry:
    name = _name(entry)
    return replace(entry, guid=f"https://new.example/?p={name}", link=f"https://new.example/{name}/")


def to_permalinks(entry: Entry) -> Entry:
    return replace(to_domain(entry), link=f"https://new.example/2026/11/{_name(entry)}/")


def to_guids(entry: Entry) -> Entry:
    return replace(entry, guid=f"urn:plugin:{_name(entry)}")


def to_zone(entry: Entry) -> Entry:
    return replace(entry, published=entry.published and entry.published.astimezone(WITA))


def to_zone_and_permalinks(entry: Entry) -> Entry:
    return to_zone(to_permalinks(entry))


MOVES: dict[str, Shape] = {
    "http-to-https": to_https,
    "new-domain": to_domain,
    "new-domain-and-permalinks": to_permalinks,
    "new-guids-alone": to_guids,
    "dates-in-another-zone": to_zone,
    "another-zone-and-permalinks": to_zone_and_permalinks,
}


class Newsroom:
    """A site's feed, and a world with one account that reads it."""

    def __init__(self, world: World, site: FeedSite) -> None:
        self.world = world
        self.site = site
        self.entries: list[Entry] = []
        self.path = "/feed/"
        world.add_account("strong")
        world.add_feed(url=site.url(self.path))

    def write(self, *names: str, ago: timedelta = MINUTE) -> None:
        """Articles on top of the feed."""
        for place, name in enumerate(names):
            at = self.world.clock() - ago + timedelta(seconds=place)
            self.entries.insert(0, written(name, at.replace(microsecond=0)))

    def poll(self, shape: Shape = lambda entry: entry) -> Polled:
        """Five minutes later the feed is polled, in this shape."""
        self.world.clock.move(minutes=5)
        self.site.script(self.path, Answer(body=rss([shape(entry) for entry in self.entries])))
        return self.world.run().polled[0]

    def switch_url(self) -> None:
        """The operator names the feed's new address."""
        self.path = "/new/feed/"
        self.world.feeds["news"] = replace(self.world.feeds["news"], url=self.site.url(self.path))

    @property
    def posted(self) -> list[str]:
        return self.world.posted("strong")

    def article(self, link: str) -> Article:
        """The article that a link names."""
        with self.world.store() as store:
            found = store.article_by_alias(alias_of_link(normalise_link(link) or ""))
        assert found is not None, f"{link} is not known"
        return found

    def held(self) -> dict[str, str | None]:
        """The names of what waits for a person, and why."""
        rows = [row for row in self.world.deliveries() if row.state is State.HELD]
        with self.world.store() as store:
            return {store.article(row.article).title.removeprefix("Story "): row.reason for row in rows}


POSTED = [f"p{number}" for number in range(6)]


@pytest.fixture
def room(unjudged_world: World, site: FeedSite) -> Newsroom:
    """Four articles that were there at the first poll, and six that were posted since.

    Without the judge, who takes posts that link to an article's old address for those of another one.
    """
    made = Newsroom(unjudged_world, site)
    made.write("b0", "b1", "b2", "b3", ago=2 * DAY)
    made.poll()
    for name in POSTED:
        made.write(name)
        made.poll()
    assert made.posted == POSTED
    return made


@pytest.mark.fault("F23")
@pytest.mark.parametrize("news", [[], ["fresh"]], ids=["no-news", "news-meanwhile"])
@pytest.mark.parametrize("switched", [False, True], ids=["same-url", "url-switched"])
@pytest.mark.parametrize("away", [timedelta(0), 7 * DAY], ids=["at-once", "after-a-week"])
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_f23_a_site_that_moves_is_not_posted_again_and_its_news_is(
    room: Newsroom, move: Shape, away: timedelta, switched: bool, news: list[str]
) -> None:
    room.world.clock.move(seconds=away.total_seconds())
    room.write(*news)
    if switched:
        room.switch_url()
    polled = room.poll(move)
    assert (room.posted, polled.status) == ([*POSTED, *news], "new" if news else "nothing new")
    room.write("later")
    room.poll(move)
    room.poll()
    assert room.posted == [*POSTED, *news, "later"]
    assert room.held() == {}


@pytest.mark.fault("F23")
def test_f23_a_moved_article_has_its_new_link_and_is_known_by_both(room: Newsroom) -> None:
    room.poll(to_permalinks)
    old, new = (room.article(f"http://{place}/p5/") for place in ("old.example", "new.example/2026/11"))
    assert old == new
    assert old.link == "https://new.example/2026/11/p5/"
    assert [article.id for article in (old, new)] == [new.id] * 2


@pytest.mark.fault("F23")
@pytest.mark.parametrize("news", [[], ["fresh"]], ids=["no-news", "news-meanwhile"])
def test_f23_an_importer_that_dates_everything_anew_posts_nothing_where_paths_and_titles_stay(
    room: Newsroom, news: list[str]
) -> None:
    room.write(*news)
    today = room.world.clock().replace(microsecond=0)
    room.poll(lambda entry: replace(to_domain(entry), published=today))
    assert room.posted == [*POSTED, *news]


@pytest.mark.fault("F23")
def test_f23_what_is_dated_anew_under_other_addresses_and_titles_is_news_to_anyone(room: Newsroom) -> None:
    today = room.world.clock().replace(microsecond=0)
    room.poll(lambda entry: replace(to_permalinks(entry), published=today))
    assert len(room.posted) == len(POSTED) + 10, "no more than `burst` allows"


def renamed(entry: Entry) -> Entry:
    """Moved in a way that leaves nothing of it but its date."""
    return replace(to_permalinks(entry), title=f"{entry.title}, told anew")


@pytest.mark.fault("F23")
def test_f23_what_cannot_be_matched_is_held_as_one_batch_and_the_news_goes_out(room: Newsroom) -> None:
    room.write("fresh")
    polled = room.poll(lambda entry: to_permalinks(entry) if entry.title == "Story fresh" else renamed(entry))
    assert room.posted == [*POSTED, "fresh"]
    assert set(room.held().values()) == {"moved"}
    assert len(room.held()) == 10
    assert (polled.new, "10 articles" in (polled.reason or "")) == (11, True)
    room.poll(renamed)
    assert len(room.held()) == 10


@pytest.mark.fault("F23")
def test_f23_a_title_that_was_edited_in_the_move_is_matched_by_path_and_date(room: Newsroom) -> None:
    room.poll(lambda entry: replace(to_domain(entry), title=f"{entry.title}, told anew"))
    assert (room.posted, room.held()) == (POSTED, {})
    assert room.article("https://new.example/p5/").title == "Story p5, told anew"


@pytest.mark.fault("F23")
def test_f23_a_title_that_was_edited_before_the_move_is_matched_as_it_was_last_shown(room: Newsroom) -> None:
    room.entries[0] = replace(room.entries[0], title="Story p5-corrected")
    room.poll()
    room.poll(to_permalinks)
    assert (room.posted, room.held()) == (POSTED, {})
    assert room.article("http://old.example/p5/") == room.article("https://new.example/2026/11/p5-corrected/")


@pytest.mark.fault("F23")
def test_f23_when_half_of_the_items_cannot_be_matched_the_others_are_aliases(room: Newsroom) -> None:
    lost = {f"Story {name}" for name in ("b0", "b1", "b2", "b3", "p0", "p1")}
    room.poll(lambda entry: renamed(entry) if entry.title in lost else to_permalinks(entry))
    assert room.posted == POSTED
    assert set(room.held()) == {f"{title.removeprefix('Story ')}, told anew" for title in lost}


@pytest.mark.fault("O04")
@pytest.mark.fault("F23")
def test_o04_f23_a_switched_url_of_which_nothing_matches_is_a_first_poll_and_told(room: Newsroom) -> None:
    room.switch_url()
    polled = room.poll(renamed)
    assert (polled.status, room.posted, room.held()) == ("first poll", POSTED, {})
    assert "it counts as a new feed" in (polled.reason or "")


@pytest.mark.fault("F23")
def test_f23_what_was_held_as_moved_is_posted_once_a_person_approves_it(room: Newsroom) -> None:
    room.poll(renamed)

    def approve(row: Delivery) -> Delivery:
        return deliveries.approve(row, "editor", room.world.clock())

    with room.world.store() as store:
        for row in room.world.deliveries():
            if row.reason == "moved":
                assert store.change(row, approve(row), actor="editor")
    room.poll(renamed)
    assert sorted(room.posted) == sorted([*POSTED, *POSTED, "b0", "b1", "b2", "b3"])


@pytest.mark.fault("F23")
def test_f23_one_command_drops_all_that_was_held_as_moved(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.configure(PAGE)
    yesterday = datetime.now(UTC).replace(microsecond=0) - DAY
    entries = [written(f"n{number}", yesterday + number * MINUTE) for number in range(5)]
    (tmp_path / "feed.xml").write_bytes(rss(entries))
    assert desk("run").code == 0
    (tmp_path / "feed.xml").write_bytes(rss([renamed(entry) for entry in entries]))
    told = desk("run")
    assert (told.code, "the site may have moved" in told.out + told.err) == (0, True)
    listed = desk("deliveries", "list", "--json").json()
    assert [(row["state"], row["reason"]) for row in listed] == [("HELD", "moved")] * 5
    assert desk("deliveries", "cancel", "--reason", "moved").code == 0
    assert desk("deliveries", "list", "--json").json() == []
    with closing(open_store(f"sqlite:///{tmp_path / 'autopublish.db'}")) as store:
        assert [row.state for row in store.newest_deliveries(9)] == [State.CANCELLED] * 5
