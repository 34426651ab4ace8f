"""Identity: the rules by which an item is a new article, a known one, or one that was shown before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopublish.articles import Identified, candidates, identify, leads_to, may_be_cut, next_feed_state, normalise_link
from autopublish.models import (
    Alias,
    AliasKind,
    Article,
    Document,
    Feed,
    FeedSettings,
    FirstRun,
    FirstRunRule,
    Item,
    Media,
    Novelty,
)

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def item(
    guid: str | None = None,
    link: str | None = None,
    title: str = "T",
    *,
    published: datetime | None = NOW - MINUTE,
    summary: str = "",
) -> Item:
    return Item(guid=guid, link=link, title=title, published=published, summary=summary)


def feed_named(name: str = "one", *, first_run: FirstRunRule = FirstRunRule()) -> Feed:  # noqa: B008 (frozen)
    return Feed(id=f"id-{name}", settings=FeedSettings(name=name, url="https://n.example/feed/", first_run=first_run))


def polled(feed: Feed, *, ago: timedelta = 5 * MINUTE, newest: datetime | None = None) -> Feed:
    """The feed after good polls, the last of them some time ago."""
    when = NOW - ago
    return replace(feed, first_try=when - DAY, baseline_at=when - DAY, last_good=when, newest=newest or when)


@dataclass(slots=True)
class Memory:
    """What a store keeps of the polls: each alias bound once and for good."""

    bound: dict[Alias, str] = field(default_factory=dict)
    articles: dict[str, Article] = field(default_factory=dict)
    traces: dict[str, list[str]] = field(default_factory=dict)

    def poll(self, feed: Feed, *items: Item, now: datetime = NOW, cut: int = 0) -> Identified:
        """The document is identified and kept as a store would keep it."""
        found = candidates(Document(title="S", items=items, link="https://n.example/"), feed)
        aliases = [alias for candidate in found for alias in candidate.aliases]
        known = {alias: self.articles[self.bound[alias]] for alias in aliases if alias in self.bound}
        result = identify(found, known, feed, now, cut=cut, traced=self._traced)
        for one in result.found:
            assert one.article.id not in self.articles, "two articles with one id"
            self._keep(one.article, one.aliases, one.traces)
        for other in result.seen:
            self._keep(other.article, other.added, other.traces)
        return result

    def _traced(self, trace: str) -> list[Article]:
        return [self.articles[key] for key in self.traces.get(trace, ())]

    def _keep(self, article: Article, aliases: Sequence[Alias], traces: Sequence[str]) -> None:
        self.articles[article.id] = article
        for trace in traces:
            left = self.traces.setdefault(trace, [])
            left += [article.id] * (article.id not in left)
        for alias in aliases:
            assert alias not in self.bound, "an alias was bound twice"
            self.bound[alias] = article.id


def titles(result: Identified) -> list[str]:
    return [one.article.title for one in result.found]


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F24")
@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://n.example/a/b", id="itself"),
        pytest.param("http://n.example/a/b", id="http"),
        pytest.param("https://N.EXAMPLE/a/b", id="host in capitals"),
        pytest.param("https://n.example:443/a/b", id="default port"),
        pytest.param("http://n.example:80/a/b", id="default port of http"),
        pytest.param("https://n.example./a/b", id="root of the name"),
        pytest.param("https://n.example/a/b#comments", id="fragment"),
        pytest.param("https://n.example/a/b/", id="trailing slash"),
        pytest.param("https://n.example/a/b/?utm_source=rss&utm_medium=rss&UTM_Campaign=x", id="utm"),
        pytest.param("https://n.example/a/b?fbclid=1&gclid=2&mc_cid=3", id="click identifiers"),
        pytest.param("https://n.example/a/b?source=rss----7f60cf5620c9---4", id="Medium"),
        pytest.param("  https://n.example/a/b\n", id="blanks around"),
    ],
)
def test_f24_all_ways_to_write_a_link_are_one(url: str) -> None:
    assert normalise_link(url) == "n.example/a/b"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("https://n.example/a", "https://n.example/b", id="path"),
        pytest.param("https://n.example/a", "https://n.example/A", id="case of the path"),
        pytest.param("https://n.example/?p=1", "https://n.example/?p=2", id="query"),
        pytest.param("https://n.example/a?source=print", "https://n.example/a?source=web", id="source of a page"),
        pytest.param("https://n.example/a", "https://www.n.example/a", id="host"),
        pytest.param("https://n.example/a", "https://n.example:8443/a", id="port"),
        pytest.param("https://n.example/a%2Fb", "https://n.example/a/b", id="quoted slash"),
    ],
)
def test_links_to_different_pages_stay_different(one: str, other: str) -> None:
    assert normalise_link(one) is not None
    assert normalise_link(one) != normalise_link(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("https://n.example/caf%c3%a9", "https://n.example/café", id="letters quoted or not"),
        pytest.param("https://bücher.example/a", "https://xn--bcher-kva.example/a", id="international host"),
        pytest.param(f"https://{'Ü' * 64}.example/a", f"http://{'ü' * 64}.example/a/", id="host that is too long"),
        pytest.param("https://n.example/?p=6&utm_source=rss", "https://n.example/?p=6", id="query with tracking"),
        pytest.param("https://n.example?p=6", "https://n.example/?p=6", id="query without path"),
    ],
)
def test_spellings_of_one_page_are_one(one: str, other: str) -> None:
    assert normalise_link(one) == normalise_link(other) is not None


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://n.example", id="site"),
        pytest.param("https://n.example/", id="site with slash"),
        pytest.param("https://n.example/#/article/1", id="only a fragment"),
        pytest.param("https://n.example/?utm_source=rss", id="only tracking"),
        pytest.param("javascript:alert(1)", id="script"),
        pytest.param("mailto:a@n.example", id="mail"),
        pytest.param("/a/b", id="relative"),
        pytest.param("https:///a", id="no host"),
        pytest.param("https://u:p@n.example/a", id="credentials"),
        pytest.param("https://n.example:99999/a", id="no port"),
        pytest.param("https://[::1/a", id="broken"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_names_no_page_has_no_normalised_link(url: str) -> None:
    assert normalise_link(url) is None


@settings(deadline=None)
@given(rest=st.text(max_size=40), host=st.sampled_from(["n.example", "ü.example", "[::1]", "n.example:8080", ""]))
def test_a_normalised_link_is_stable_whatever_the_link_holds(rest: str, host: str) -> None:
    for url in (f"https://{host}/{rest}", f"https://{host}{rest}"):
        normalised = normalise_link(url)
        assert normalised is None or normalise_link(f"http://{normalised}") == normalised


# --- the rules of identity -------------------------------------------------------------------------------------------

A, B, C = "https://n.example/a", "https://n.example/b", "https://n.example/c"
P1, P2 = "https://n.example/?p=1", "https://n.example/?p=2"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        pytest.param(item("1", A), item("1", A, "Edited"), True, id="guid"),
        pytest.param(item("1", A), item("1", B), True, id="guid, link moved"),
        pytest.param(item("1", A), item("1"), True, id="guid, link gone"),
        pytest.param(item("1", A), item("2", A), True, id="link, guid changed"),
        pytest.param(item("1", A), item(None, A), True, id="link, guid gone"),
        pytest.param(item("1", A), item("2", B), False, id="neither, same title and date"),
        pytest.param(item(None, A), item(None, B), False, id="links without guid, same title and date"),
        pytest.param(item(None, A), item(None, A, "Edited"), True, id="link without guid, edited"),
        pytest.param(
            item(None, A), item(None, "http://N.example/a/?utm_source=x#y"), True, id="link written otherwise"
        ),
        pytest.param(item("1", "https://n.example/"), item("2", "https://n.example/"), False, id="link of the site"),
        pytest.param(item(), item(), True, id="title and date without guid and link"),
        pytest.param(item(), item(title="Other"), False, id="other title without guid and link"),
        pytest.param(item(), item(published=NOW - HOUR), False, id="other date without guid and link"),
        pytest.param(item(published=None), item(published=None), True, id="title alone"),
        pytest.param(item("1"), item("2"), False, id="guids without link, same title and date"),
        pytest.param(item("1"), item(), False, id="title and date do not stand in for a guid"),
    ],
)
def test_an_item_is_known_again_by_guid_then_link_then_title_and_date(first: Item, second: Item, same: bool) -> None:
    memory = Memory()
    memory.poll(polled(feed_named()), first)
    result = memory.poll(polled(feed_named()), second)
    assert (len(result.found), len(result.seen)) == ((0, 1) if same else (1, 0))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        pytest.param(item("1", A), item("1", B), False, id="a guid belongs to its feed"),
        pytest.param(item(P1, A), item(P1, B), True, id="a guid that is a URL, items of one host"),
        pytest.param(item(P1, A), item(P1, "https://m.example/b"), False, id="the same, items of other hosts"),
        pytest.param(item(P1, A), item(P1, "https://m.example/a"), False, id="the same path on other hosts"),
        pytest.param(item("https://n.example/", A), item("https://n.example/", B), False, id="a guid that is the site"),
        pytest.param(item("1", A), item("2", A), True, id="a link belongs to all feeds"),
        pytest.param(item(), item(), False, id="title and date belong to their feed"),
    ],
)
def test_two_feeds_show_one_article_or_two(first: Item, second: Item, same: bool) -> None:
    memory = Memory()
    memory.poll(polled(feed_named("one")), first)
    result = memory.poll(polled(feed_named("two")), second)
    assert len(result.found) == (0 if same else 1)


def test_where_guid_and_link_name_two_articles_the_guid_wins_and_the_link_stays() -> None:
    memory = Memory()
    memory.poll(polled(feed_named()), item("1", A, "One"), item("2", B, "Two"))
    (seen,) = memory.poll(polled(feed_named()), item("1", B, "One")).seen
    assert (seen.article.title, seen.added) == ("One", ())
    (other,) = memory.poll(polled(feed_named()), item("3", B, "Three")).seen
    assert other.article.title == "Three"
    assert len(memory.articles) == 2
    assert memory.articles[other.article.id].id != seen.article.id


@pytest.mark.fault("F21")
def test_f21_items_with_nothing_to_know_them_by_are_counted_and_skipped() -> None:
    result = Memory().poll(polled(feed_named()), item(title=""), item("1", A), item(None, "mailto:x", ""))
    assert (titles(result), result.skipped) == (["T"], 2)


@pytest.mark.fault("F21")
@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(item(None, A), id="link"),
        pytest.param(item(), id="title and date"),
        pytest.param(item(published=None), id="title"),
        pytest.param(item("1"), id="guid"),
    ],
)
def test_f21_an_item_with_one_name_is_the_same_article_over_ten_polls(shown: Item) -> None:
    memory = Memory()
    found = [len(memory.poll(polled(feed_named()), shown, now=NOW + number * MINUTE).found) for number in range(10)]
    assert found == [1, *[0] * 9]


ONE = item("g", A, "One", published=NOW - 3 * HOUR)
TWO = item("g", B, "Two", published=NOW - 2 * HOUR)
THREE = item("g", C, "Three", published=NOW - HOUR)


@pytest.mark.fault("F21")
def test_f21_a_guid_that_is_the_number_of_a_row_is_not_taken_for_that_of_the_item_in_it() -> None:
    items = item("1", A, "T"), item(None, A, "U")
    found = candidates(Document(title="S", items=items), feed_named())
    assert [one.alone for one in found] == [False, False]


@pytest.mark.fault("F21")
@pytest.mark.parametrize(
    "documents",
    [
        pytest.param([(TWO, ONE)] * 3, id="both from the start"),
        pytest.param([(ONE, TWO), (TWO, ONE)], id="in either order"),
        pytest.param([(ONE,), (TWO, ONE), (TWO, ONE)], id="the second later"),
        pytest.param([(TWO, ONE), (THREE, TWO), (THREE, TWO)], id="the window moves on"),
        pytest.param([(ONE,), (THREE, TWO), (THREE, TWO)], id="the window leaves the first behind"),
        pytest.param([(TWO, ONE), (TWO,), (ONE,), (TWO, ONE)], id="one at a time afterwards"),
        pytest.param([(TWO,), (TWO, ONE)], id="the earlier comes later"),
        pytest.param([(ONE,), (TWO, replace(ONE, link=C))], id="the first moved meanwhile"),
        pytest.param([(replace(TWO, link="bad:"),), (replace(TWO, link="bad:"), ONE)], id="a link that is none"),
    ],
)
def test_f21_articles_that_share_a_guid_are_each_found_once(documents: list[tuple[Item, ...]]) -> None:
    memory = Memory()
    for document in documents:
        memory.poll(polled(feed_named()), *document)
    shown = {one.title for document in documents for one in document}
    assert sorted(article.title for article in memory.articles.values()) == sorted(shown)
    assert len({article.origin for article in memory.articles.values()}) == len(shown)


def test_of_two_items_with_one_guid_the_later_is_keyed_by_guid_and_link() -> None:
    found = Memory().poll(polled(feed_named()), TWO, ONE).found
    kinds = {one.article.title: {alias.kind for alias in one.aliases} for one in found}
    assert AliasKind.GUID in kinds["One"]
    assert kinds["Two"] == {AliasKind.GUID_LINK, AliasKind.LINK}


def test_guid_and_link_are_not_kept_together_where_the_guid_is_enough() -> None:
    (found,) = Memory().poll(polled(feed_named()), item(P1, A)).found
    assert [alias.kind for alias in found.aliases] == [AliasKind.GUID, AliasKind.GUID_URL, AliasKind.LINK]


@pytest.mark.fault("F22")
@pytest.mark.parametrize(
    ("one", "other", "articles"),
    [
        pytest.param(item("1", A), item("1", A), 1, id="all equal"),
        pytest.param(item("1", A), item("1", A, "Edited"), 1, id="one guid and link"),
        pytest.param(item("1", A), item("1", B), 1, id="one guid and title"),
        pytest.param(item("1", A), item("2", A), 1, id="one link and title"),
        pytest.param(item("1", A), item("2", A, "Other"), 2, id="only one link: it names no single article"),
        pytest.param(item(None, A), item(None, A), 1, id="one link and title without guid"),
        pytest.param(item(None, A), item(None, A, "Other"), 2, id="only one link without guid"),
        pytest.param(item(), item(), 1, id="one title and date"),
        pytest.param(item("1", A), item("1", B, "Other"), 2, id="only one guid"),
    ],
)
def test_f22_one_article_twice_in_a_document_is_found_once(one: Item, other: Item, articles: int) -> None:
    memory = Memory()
    for _ in range(3):
        memory.poll(polled(feed_named()), one, other)
    assert len(memory.articles) == articles
    # Either of them alone is known too, whatever the other contributed.
    for alone in (one, other):
        assert memory.poll(polled(feed_named()), alone).found == ()


@pytest.mark.fault("F22")
def test_f22_a_known_article_twice_in_a_document_is_seen_once() -> None:
    memory = Memory()
    memory.poll(polled(feed_named()), item("1", A))
    (seen,) = memory.poll(polled(feed_named()), item("1", A), item("2", A)).seen
    assert [alias.kind for alias in seen.added] == [AliasKind.GUID]


@pytest.mark.fault("F24")
def test_f24_guids_and_links_that_flip_are_one_article_for_good() -> None:
    memory = Memory()
    found = 0
    for number in range(20):
        link = f"http://N.example/a/?utm_campaign={number}" if number % 2 else A
        found += len(memory.poll(polled(feed_named()), item(f"g{number % 3}", link)).found)
    assert (found, len(memory.articles)) == (1, 1)
    assert len(memory.bound) == 4


@pytest.mark.fault("F26")
def test_f26_an_item_that_comes_back_after_months_is_known() -> None:
    memory = Memory()
    old = item("1", A, published=NOW - 200 * DAY)
    memory.poll(polled(feed_named(), ago=199 * DAY), old, now=NOW - 198 * DAY)
    result = memory.poll(polled(feed_named()), old)
    assert (result.found, result.seen[0].edited, result.gap) == ((), False, False)


ANY_ITEM = st.builds(
    item,
    guid=st.sampled_from([None, "1", "2", P1]),
    link=st.sampled_from([None, A, f"{A}/?utm_source=x", B, "https://n.example/"]),
    title=st.sampled_from(["", "T", "U"]),
    published=st.sampled_from([None, NOW, NOW - HOUR]),
)


@settings(max_examples=300, deadline=None)
@given(documents=st.lists(st.tuples(st.sampled_from(["one", "two"]), st.lists(ANY_ITEM, max_size=5)), max_size=5))
def test_whatever_feeds_show_a_document_shown_again_holds_nothing_new(documents: list[tuple[str, list[Item]]]) -> None:
    memory = Memory()
    for name, items in documents:
        first = memory.poll(polled(feed_named(name)), *items)
        again = memory.poll(polled(feed_named(name)), *items)
        assert again.found == ()
        assert len(first.found) + len(first.seen) <= len(items) - first.skipped
        assert not any(seen.further or seen.edited or seen.added for seen in again.seen)


# --- the origin ------------------------------------------------------------------------------------------------------


def origin_of(shown: Item, *, feed: Feed | None = None) -> str:
    (found,) = Memory().poll(feed or polled(feed_named()), shown).found
    return found.article.origin


@pytest.mark.parametrize("shown", [item("123", A), item(P1, A), item("123"), item(None, A), item()])
def test_an_origin_is_the_same_in_another_store_under_another_name(shown: Item) -> None:
    assert origin_of(shown) == origin_of(shown, feed=polled(feed_named("renamed")))
    assert "renamed" not in origin_of(shown, feed=polled(feed_named("renamed")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(item("123", A), item("123", "https://m.example/a"), id="a guid on two sites"),
        pytest.param(item("123", A), item("124", A), id="guids"),
        pytest.param(item(P1, A), item(P2, A), id="guids that are URLs"),
        pytest.param(item(None, A), item(None, B), id="links"),
        pytest.param(item(None, A), item("n.example/a", A), id="kinds"),
    ],
)
def test_origins_of_different_articles_differ(one: Item, other: Item) -> None:
    assert origin_of(one) != origin_of(other)


def test_an_origin_that_is_a_url_does_not_depend_on_the_link() -> None:
    assert origin_of(item(P1, A)) == origin_of(item(P1, "https://m.example/moved"))


def test_an_id_differs_between_feeds_and_is_32_hexadecimal_digits() -> None:
    ids = [Memory().poll(polled(feed_named(name)), item("1", A)).found[0].article.id for name in ("one", "two")]
    assert len(set(ids)) == 2
    assert all(len(one) == 32 and int(one, 16) for one in ids)


# --- what an article is ----------------------------------------------------------------------------------------------


def test_an_article_carries_all_that_the_item_says() -> None:
    shown = Item(
        guid="1", link=A, title="T", summary="S", text="X", author="W", categories=("K",), language="id",
        published=NOW - HOUR, pictures=(Media(url="https://n.example/p.jpg"),),
    )  # fmt: skip
    (found,) = Memory().poll(polled(feed_named()), shown).found
    assert found.article == Article(
        id=found.article.id, feed="id-one", origin=found.article.origin, link=A, title="T", summary="S", text="X",
        author="W", categories=("K",), language="id", published=NOW - HOUR, stated=NOW - HOUR, first_seen=NOW,
        pictures=(Media(url="https://n.example/p.jpg"),), feeds=("one",),
    )  # fmt: skip


def test_the_language_that_the_operator_states_goes_before_that_of_the_feed() -> None:
    feed = polled(feed_named())
    feed = replace(feed, settings=replace(feed.settings, language="id"))
    shown = replace(item("1", A), language="en-US")
    assert Memory().poll(feed, shown).found[0].article.language == "id"


@pytest.mark.parametrize(
    ("published", "counts_as", "novelty"),
    [
        pytest.param(NOW - HOUR, NOW - HOUR, Novelty.NEWS, id="an hour ago"),
        pytest.param(None, NOW, Novelty.NEWS, id="no date", marks=pytest.mark.fault("F28")),
        pytest.param(NOW + 5 * HOUR, NOW, Novelty.NEWS, id="5 h ahead"),
        pytest.param(NOW + 7 * DAY, NOW, Novelty.NEWS, id="7 days ahead"),
        pytest.param(NOW + 7 * DAY + MINUTE, NOW + 7 * DAY + MINUTE, Novelty.FUTURE, id="more than 7 days ahead"),
        pytest.param(NOW + 30 * DAY, NOW + 30 * DAY, Novelty.FUTURE, id="30 days ahead"),
        pytest.param(datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), Novelty.FUTURE, id="9999"),
        pytest.param(NOW - HOUR - DAY, NOW - HOUR - DAY, Novelty.NEWS, id="24 h before the last good poll"),
        pytest.param(NOW - HOUR - DAY - MINUTE, NOW - HOUR - DAY - MINUTE, Novelty.BACKDATED, id="more than that"),
        pytest.param(NOW - 3 * DAY, NOW - 3 * DAY, Novelty.BACKDATED, id="3 days ago"),
    ],
)
@pytest.mark.fault("F27")
def test_f27_f28_a_date_decides_what_a_new_article_is(
    published: datetime | None, counts_as: datetime, novelty: Novelty
) -> None:
    (found,) = Memory().poll(polled(feed_named(), ago=HOUR), item("1", A, published=published)).found
    assert (found.article.published, found.article.stated, found.novelty) == (counts_as, published, novelty)
    assert found.article.baseline is False


@pytest.mark.fault("F27")
def test_f27_what_was_published_while_nobody_looked_is_news() -> None:
    (found,) = Memory().poll(polled(feed_named(), ago=10 * DAY), item("1", A, published=NOW - 9 * DAY)).found
    assert found.novelty is Novelty.NEWS


@pytest.mark.fault("F28")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_f28_new_articles_come_oldest_first_whatever_the_order_of_the_document(order: tuple[int, ...]) -> None:
    shown = [item(str(number), f"{A}{number}", f"{number}", published=NOW - number * HOUR) for number in range(3)]
    assert titles(Memory().poll(polled(feed_named(), ago=DAY), *(shown[at] for at in order))) == ["2", "1", "0"]


@pytest.mark.fault("F28")
def test_f28_without_dates_the_lowest_in_the_document_is_the_oldest() -> None:
    shown = [item(str(number), f"{A}{number}", f"{number}", published=None) for number in range(3)]
    assert titles(Memory().poll(polled(feed_named()), *shown)) == ["2", "1", "0"]


# --- edits and further feeds -----------------------------------------------------------------------------------------


@pytest.mark.fault("F25")
@pytest.mark.parametrize(
    ("changed", "edited"),
    [
        pytest.param(item("1", A), False, id="nothing"),
        pytest.param(item("1", A, "Corrected"), True, id="title"),
        pytest.param(item("1", A, summary="More"), True, id="summary"),
        pytest.param(item("1", B), True, id="link"),
        pytest.param(item("1"), False, id="link left out"),
        pytest.param(item("1", A, published=NOW), False, id="date only"),
    ],
)
def test_f25_an_edit_changes_the_words_and_not_the_date(changed: Item, edited: bool) -> None:
    memory = Memory()
    memory.poll(polled(feed_named()), item("1", A))
    (seen,) = memory.poll(polled(feed_named()), changed, now=NOW + HOUR).seen
    assert seen.edited is edited
    assert (seen.article.title, seen.article.summary) == (changed.title, changed.summary)
    assert seen.article.link == (changed.link or A)
    assert (seen.article.published, seen.article.stated, seen.article.first_seen) == (NOW - MINUTE, NOW - MINUTE, NOW)
    assert (seen.further, seen.novelty) == (False, None)


def test_a_further_feed_is_told_once_and_does_not_edit() -> None:
    memory = Memory()
    memory.poll(polled(feed_named("one")), item("1", A, summary="Long excerpt"))
    (first,) = memory.poll(polled(feed_named("two")), item("1", A, summary="Short")).seen
    (second,) = memory.poll(polled(feed_named("two")), item("1", A, summary="Short")).seen
    assert (first.further, first.edited, first.article.feeds) == (True, False, ("one", "two"))
    assert (second.further, second.edited, second.article.summary) == (False, False, "Long excerpt")


# --- the first poll --------------------------------------------------------------------------------------------------

TEN = tuple(item(str(n), f"{A}{n}", f"{n}", published=NOW - n * DAY) for n in range(1, 11))


@pytest.mark.fault("F30")
@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        pytest.param(FirstRunRule(), [], id="none"),
        pytest.param(FirstRunRule(kind=FirstRun.NEWEST, count=3), ["3", "2", "1"], id="newest 3"),
        pytest.param(FirstRunRule(kind=FirstRun.NEWEST, count=0), [], id="newest 0"),
        pytest.param(FirstRunRule(kind=FirstRun.NEWEST, count=99), [str(n) for n in range(10, 0, -1)], id="newest 99"),
        pytest.param(FirstRunRule(kind=FirstRun.ALL), [str(n) for n in range(10, 0, -1)], id="all"),
        pytest.param(FirstRunRule(kind=FirstRun.SINCE, since=NOW - 2 * DAY), ["2", "1"], id="since a date"),
    ],
)
@pytest.mark.parametrize("document", [TEN, TEN[::-1]], ids=["newest on top", "oldest on top"])
def test_f30_a_first_poll_lets_through_what_the_operator_said(
    rule: FirstRunRule, chosen: list[str], document: tuple[Item, ...]
) -> None:
    result = Memory().poll(feed_named(first_run=rule), *document)
    assert result.first_poll is True
    assert [one.article.title for one in result.found if one.novelty is Novelty.CHOSEN] == chosen
    for one in result.found:
        assert one.novelty in (Novelty.CHOSEN, Novelty.BASELINE)
        assert one.article.baseline is (one.novelty is Novelty.BASELINE)
    assert len(result.found) == 10
    assert result.gap is False


def test_an_article_without_a_date_is_among_the_newest_and_not_since_a_date() -> None:
    shown = (*TEN, item("u", f"{A}u", "u", published=None))
    newest = Memory().poll(feed_named(first_run=FirstRunRule(kind=FirstRun.NEWEST, count=1)), *shown)
    since = Memory().poll(feed_named(first_run=FirstRunRule(kind=FirstRun.SINCE, since=NOW - DAY)), *shown)
    assert [one.article.title for one in newest.found if one.novelty is Novelty.CHOSEN] == ["u"]
    assert [one.article.title for one in since.found if one.novelty is Novelty.CHOSEN] == ["1"]


def test_a_chosen_article_dated_far_ahead_still_waits() -> None:
    shown = item("1", A, published=NOW + 30 * DAY)
    result = Memory().poll(feed_named(first_run=FirstRunRule(kind=FirstRun.ALL)), shown)
    assert result.found[0].novelty is Novelty.FUTURE


def test_an_empty_document_is_no_first_poll_and_leaves_the_feed_as_it_is() -> None:
    feed = replace(feed_named(), first_try=NOW - HOUR)
    result = Memory().poll(feed)
    assert result == Identified()
    assert next_feed_state(feed, result, NOW) == feed


@pytest.mark.parametrize(
    ("first_try", "published", "novelty"),
    [
        pytest.param(NOW - HOUR, NOW - 30 * MINUTE, Novelty.NEWS, id="since the first try"),
        pytest.param(NOW - HOUR, NOW - HOUR, Novelty.NEWS, id="at the first try"),
        pytest.param(NOW - HOUR, NOW - 61 * MINUTE, Novelty.BASELINE, id="before the first try"),
        pytest.param(NOW - HOUR, None, Novelty.BASELINE, id="without a date"),
        pytest.param(NOW - HOUR, NOW + 30 * DAY, Novelty.BASELINE, id="far ahead"),
        pytest.param(NOW, NOW, Novelty.BASELINE, id="this is the first try"),
        pytest.param(None, NOW - MINUTE, Novelty.BASELINE, id="no try before"),
    ],
)
def test_after_tries_that_failed_what_came_out_since_then_is_news(
    first_try: datetime | None, published: datetime | None, novelty: Novelty
) -> None:
    feed = replace(feed_named(), first_try=first_try)
    (found,) = Memory().poll(feed, item("1", A, published=published)).found
    assert found.novelty is novelty
    assert found.article.baseline is (novelty is Novelty.BASELINE)


@pytest.mark.parametrize(
    ("second", "published", "novelty"),
    [
        pytest.param(polled(feed_named("two")), NOW - MINUTE, Novelty.NEWS, id="past its own first poll"),
        pytest.param(feed_named("two"), NOW - MINUTE, None, id="in its own first poll"),
        pytest.param(polled(feed_named("two")), NOW - 9 * DAY, Novelty.BACKDATED, id="dated well before its last poll"),
    ],
)
def test_a_baseline_article_is_news_for_a_feed_that_newly_shows_it(
    second: Feed, published: datetime, novelty: Novelty | None
) -> None:
    memory = Memory()
    shown = item("1", A, published=published)
    memory.poll(feed_named("one"), shown)
    (seen,) = memory.poll(second, shown).seen
    assert (seen.further, seen.novelty) == (True, novelty)
    assert seen.article.baseline is (novelty is None)
    assert memory.poll(polled(second), shown).seen[0].novelty is None


def test_a_baseline_article_stays_so_for_its_own_feed_under_a_new_name() -> None:
    memory = Memory()
    feed = feed_named("one")
    memory.poll(feed, item("1", A))
    renamed = polled(replace(feed, settings=replace(feed.settings, name="renamed")))
    (seen,) = memory.poll(renamed, item("1", A)).seen
    assert (seen.further, seen.novelty, seen.article.baseline) == (False, None, True)


# --- moved sites -----------------------------------------------------------------------------------------------------

M = "https://moved.example"
OLD = NOW - DAY


def moved_to(
    document: Sequence[Item], *, feed: Feed | None = None, before: Sequence[Item] = (), cut: int = 0
) -> Identified:
    """What a document comes to for a feed that showed `before` a day ago."""
    memory = Memory()
    memory.poll(polled(feed_named(), ago=2 * DAY), *before, now=NOW - DAY)
    return memory.poll(feed or polled(feed_named(), newest=NOW - HOUR), *document, cut=cut)


@pytest.mark.fault("F23")
@pytest.mark.parametrize(
    ("before", "after", "matched"),
    [
        pytest.param(item("1", A, published=OLD), item("2", f"{M}/a", published=OLD), True, id="path"),
        pytest.param(item("1", A, published=OLD), item("2", f"{M}/a", published=OLD - HOUR), True, id="path and title"),
        pytest.param(item("1", A, published=OLD), item("2", f"{M}/a", "U", published=OLD), True, id="path and date"),
        pytest.param(
            item("1", A, published=OLD), item("2", f"{M}/a", "U", published=OLD - HOUR), False, id="path alone"
        ),
        pytest.param(
            item("1", A, "", published=OLD), item("2", f"{M}/a", "", published=OLD - HOUR), False, id="no title"
        ),
        pytest.param(item("1", P1, published=OLD), item("2", f"{M}/?p=1", published=OLD), True, id="query"),
        pytest.param(item("1", P1, published=OLD), item("2", f"{M}/?p=2", "U", published=OLD), False, id="other query"),
        pytest.param(item("1", "https://n.example/", "U"), item("2", f"{M}/", published=OLD), False, id="no path"),
        pytest.param(item("1", A, published=OLD), item("2", f"{M}/2026/a/", published=OLD), True, id="title and date"),
        pytest.param(
            item("1", A, published=OLD), item("2", f"{M}/2026/a/", "U", published=OLD), False, id="date alone"
        ),
        pytest.param(
            item("1", A, published=OLD), item("2", f"{M}/2026/a/", published=OLD - HOUR), False, id="title alone"
        ),
        pytest.param(
            item("1", A, published=None), item("2", f"{M}/2026/a/", published=None), False, id="title, no date"
        ),
        pytest.param(
            item("1", A, published=None), item("2", f"{M}/a", published=None), True, id="path and title, no date"
        ),
        pytest.param(item("1", A, published=None), item("2", f"{M}/a", "U", published=None), False, id="path, no date"),
        pytest.param(
            item("1", A, "", published=OLD), item("2", f"{M}/x", "", published=OLD), False, id="date without title"
        ),
    ],
)
def test_f23_an_unknown_item_that_is_no_news_is_looked_for_by_path_or_title_and_date(
    before: Item, after: Item, matched: bool
) -> None:
    (known,) = Memory().poll(polled(feed_named(), ago=2 * DAY), before, now=NOW - DAY).found
    result = moved_to([after, item("zero", B, "Zero")], before=[before])
    assert [one.article.id for one in result.seen] == [known.article.id] * matched
    assert set(titles(result)) == {"Zero", *[after.title] * (not matched)}
    if matched:
        (seen,) = result.seen
        assert (seen.article.link, seen.edited, seen.further) == (after.link, True, False)
        assert {AliasKind.GUID} <= {alias.kind for alias in seen.added}


@pytest.mark.fault("F23")
@pytest.mark.parametrize(
    ("feed", "published", "known", "cut", "matched"),
    [
        pytest.param(None, NOW - MINUTE, True, 0, False, id="dated after what was known"),
        pytest.param(None, NOW - HOUR, True, 0, True, id="dated as the newest that was known"),
        pytest.param(None, NOW - MINUTE, False, 0, True, id="nothing in the document is known"),
        pytest.param(None, NOW - MINUTE, False, 1, False, id="but for what was cut out"),
        pytest.param(polled(feed_named("two"), newest=NOW - HOUR), OLD, True, 0, False, id="another feed"),
    ],
)
def test_f23_news_is_not_looked_for_unless_nothing_else_is_known(
    feed: Feed | None, published: datetime, known: bool, cut: int, matched: bool
) -> None:
    before = [item("1", A, published=OLD), item("9", B, "Nine", published=OLD)]
    after = [item("2", f"{M}/a", published=published), *before[1:] * known]
    result = moved_to(after, feed=feed, before=before, cut=cut)
    assert len(result.found) == (0 if matched else 1)


@pytest.mark.fault("F23")
def test_f23_two_sites_of_one_feed_may_have_pages_of_one_path() -> None:
    """The known one is shown; then another one, of which title and date are others; then two with one path."""
    ours = item("1", f"{A}/hello", "Hello", published=OLD)
    theirs = item("2", f"{M}/a/hello", "Hello", published=OLD - HOUR)
    assert titles(moved_to([ours, theirs], before=[ours])) == ["Hello"]
    assert titles(moved_to([replace(theirs, title="Hi")], before=[ours])) == ["Hi"]
    both = [theirs, replace(theirs, guid="3", link="https://third.example/a/hello", title="Hi")]
    assert set(titles(moved_to(both, before=[ours]))) == {"Hello", "Hi"}


@pytest.mark.fault("F23")
@pytest.mark.parametrize("more", [0, 1, 2])
def test_f23_of_articles_with_one_title_and_date_as_many_are_known_as_there_were(more: int) -> None:
    before = [item(str(number), f"{A}{number}", published=OLD) for number in range(2)]
    after = [item(f"m{number}", f"{M}/2026/{number}", published=OLD) for number in range(2 + more)]
    result = moved_to(after, before=before)
    assert len({seen.article.id for seen in result.seen}) == 2
    assert len(result.found) == more


@pytest.mark.fault("F23")
def test_f23_an_article_that_the_document_shows_under_a_name_of_its_own_has_not_moved() -> None:
    memory = Memory()
    feed = polled(feed_named(), newest=NOW - HOUR)
    for link in (A, B):
        memory.poll(feed, item("1", link, published=OLD), now=NOW - DAY)
    result = memory.poll(feed, item("1", B, published=OLD), item("2", f"{M}/a", published=OLD))
    assert (len(result.seen), len(result.found)) == (1, 1)


def test_a_feed_that_newly_shows_an_article_finds_it_when_it_moves() -> None:
    memory = Memory()
    for name in ("one", "two"):
        memory.poll(polled(feed_named(name), ago=2 * DAY), item("1", A, published=OLD), now=NOW - DAY)
    moved = item("2", f"{M}/2026/a", published=OLD)
    assert memory.poll(polled(feed_named("two"), newest=NOW - HOUR), moved).found == ()


def test_an_edited_article_is_found_by_what_it_was_edited_to() -> None:
    memory = Memory()
    feed = polled(feed_named(), ago=2 * DAY, newest=NOW - HOUR)
    for title in ("T", "Corrected"):
        memory.poll(feed, item("1", A, title, published=OLD), now=NOW - DAY)
    assert memory.poll(feed, item("2", f"{M}/2026/a", "Corrected", published=OLD)).found == ()


def test_a_first_poll_looks_for_nothing_that_moved() -> None:
    result = moved_to([item("2", f"{M}/a", published=OLD)], feed=feed_named(), before=[item("1", A, published=OLD)])
    assert (result.first_poll, len(result.found)) == (True, 1)


@pytest.mark.fault("F23")
@pytest.mark.parametrize(
    ("unknown", "known", "news", "cut", "held"),
    [
        pytest.param(3, 2, 0, 0, True, id="three of five"),
        pytest.param(3, 3, 0, 0, False, id="three of six"),
        pytest.param(2, 0, 0, 0, False, id="two of two"),
        pytest.param(3, 0, 0, 2, True, id="three beside two that were cut out"),
        pytest.param(3, 0, 0, 3, False, id="three beside three that were cut out"),
        pytest.param(3, 0, 9, 0, True, id="three beside any number of news"),
        pytest.param(0, 0, 9, 0, False, id="only news"),
        pytest.param(10, 0, 0, 0, True, id="all"),
    ],
)
@pytest.mark.parametrize("date", [NOW - 2 * HOUR, None], ids=["dated", "undated"])
def test_f23_what_is_no_news_and_not_found_is_held_if_it_is_most_of_what_is_no_news(
    unknown: int, known: int, news: int, cut: int, held: bool, date: datetime | None
) -> None:
    before = [item(f"k{number}", f"{A}/k{number}", f"K{number}", published=OLD) for number in range(known)]
    after = [item(f"u{number}", f"{A}/u{number}", f"U{number}", published=date) for number in range(unknown)]
    fresh = [item(f"n{number}", f"{A}/n{number}", f"N{number}") for number in range(news)]
    result = moved_to([*fresh, *after, *before], before=before, cut=cut)
    novelties = {kind: {one.novelty for one in result.found if one.article.title[0] == kind} for kind in "UN"}
    assert novelties["U"] == ({Novelty.MOVED if held else Novelty.NEWS} if unknown else set())
    assert novelties["N"] == ({Novelty.NEWS} if news else set())
    assert not any(one.article.baseline for one in result.found)


# --- documents of which known items were cut out ---------------------------------------------------------------------


def test_items_that_were_cut_out_are_known_and_close_every_gap() -> None:
    feed = polled(feed_named(), newest=NOW - HOUR)
    assert Memory().poll(feed, item("1", A)).gap is True
    result = Memory().poll(feed, item("1", A), cut=1)
    assert (result.gap, result.unsure, len(result.found)) == (False, False, 1)


def test_a_document_of_which_all_was_cut_out_is_a_good_poll() -> None:
    feed = polled(feed_named(), newest=NOW - HOUR)
    result = Memory().poll(feed, cut=3)
    assert next_feed_state(feed, result, NOW) == replace(feed, last_good=NOW)


@pytest.mark.parametrize(
    ("shown", "unsure"),
    [
        pytest.param(item("1", A), False, id="other bytes that say the same"),
        pytest.param(item("1", A, "Edited"), True, id="edited"),
        pytest.param(item("2", A), True, id="a further name"),
        pytest.param(item("2", B, "New"), False, id="new"),
        pytest.param(item("2", f"{M}/a"), True, id="found by its traces"),
    ],
)
def test_what_was_cut_out_may_bear_on_what_is_known_with_other_words_or_names(shown: Item, unsure: bool) -> None:
    memory = Memory()
    feed = polled(feed_named(), newest=NOW)
    memory.poll(feed, item("1", A))
    assert memory.poll(feed, shown, cut=5).unsure is unsure
    assert memory.poll(feed, shown).unsure is False


def test_a_further_feed_that_shows_a_known_article_is_sure_of_it() -> None:
    memory = Memory()
    memory.poll(polled(feed_named("one")), item("1", A))
    result = memory.poll(polled(feed_named("two")), item("1", A), cut=5)
    assert (result.unsure, result.seen[0].further) == (False, True)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param([item("1", A)], [True], id="one article"),
        pytest.param([item("1", A), item("2", B, "U")], [True, True], id="two articles"),
        pytest.param([item("1", A), item("1", A)], [False, False], id="one article twice"),
        pytest.param([item("1", A), item("1", B, "U"), item("2", C, "V")], [False, False, True], id="one guid"),
        pytest.param([item("1", A), item("2", A, "U"), item("3", C, "V")], [False, False, True], id="one link"),
        pytest.param([item(title=""), item("1", A)], [False, True], id="nothing to know it by"),
        pytest.param([item("1", A, published=None), item("2", B, "U")], [False, True], id="no date"),
        pytest.param([item("1", A, published=NOW + HOUR), item("2", B, "U")], [False, True], id="dated ahead"),
    ],
)
def test_an_item_may_be_cut_out_if_it_stands_for_one_article_alone_and_closes_gaps(
    shown: list[Item], expected: list[bool]
) -> None:
    feed = polled(feed_named(), newest=NOW - MINUTE)
    result = Memory().poll(feed, *shown)
    found = candidates(Document(title="S", items=tuple(shown)), feed)
    assert list(may_be_cut(found, result, next_feed_state(feed, result, NOW - MINUTE))) == expected


def test_an_item_whose_article_was_first_dated_ahead_is_not_cut_out_before_that_time() -> None:
    memory = Memory()
    feed = polled(feed_named(), newest=NOW - MINUTE)
    memory.poll(feed, item("1", A, published=NOW + HOUR))
    shown = item("1", A, published=NOW - HOUR)
    found = candidates(Document(title="S", items=(shown,)), feed)
    result = memory.poll(feed, shown)
    assert may_be_cut(found, result, next_feed_state(feed, result, NOW)) == (False,)
    assert may_be_cut(found, result, next_feed_state(feed, result, NOW + HOUR)) == (True,)


# --- gaps and the feed's memory --------------------------------------------------------------------------------------


@pytest.mark.fault("F29")
@pytest.mark.parametrize(
    ("before", "after", "gap"),
    [
        pytest.param([3], [1, 2, 3], False, id="the oldest is known"),
        pytest.param([3], [1, 2], True, id="the oldest is unknown and news"),
        pytest.param([3], [1, 2, 9], False, id="the oldest is unknown and old"),
        pytest.param([3], [3], False, id="nothing new"),
        pytest.param([3], [2, 1], True, id="in the other order"),
        pytest.param([3], [None, 1], True, id="with one that has no date"),
        pytest.param([None], [None], False, id="without dates, known"),
        pytest.param([None], ["other"], True, id="without dates, all unknown"),
        pytest.param([3], [], False, id="empty"),
    ],
)
def test_f29_a_window_that_moved_past_what_was_known_may_have_a_gap(
    before: list[int | None], after: list[int | str | None], gap: bool
) -> None:
    def document(days: Sequence[int | str | None]) -> list[Item]:
        return [
            item(str(day), f"{A}{day}", published=NOW - day * DAY if isinstance(day, int) else None) for day in days
        ]

    memory = Memory()
    feed = feed_named()
    first = memory.poll(feed, *document(before), now=NOW - 3 * DAY)
    assert first.gap is False
    feed = next_feed_state(feed, first, NOW - 3 * DAY)
    assert memory.poll(feed, *document(after)).gap is gap


@pytest.mark.fault("F29")
def test_f29_an_article_that_another_feed_showed_is_unknown_to_this_one() -> None:
    memory = Memory()
    one, two = feed_named("one"), polled(feed_named("two"), ago=DAY)
    memory.poll(one, item("1", A))
    assert memory.poll(two, item("1", A)).gap is True


@pytest.mark.parametrize(
    ("published", "newest"),
    [
        pytest.param([NOW - HOUR, NOW - DAY], NOW - HOUR, id="the newest date"),
        pytest.param([NOW + DAY], NOW, id="never later than the poll"),
        pytest.param([None], None, id="no date"),
        pytest.param([None, NOW - DAY], NOW - DAY, id="an undated one does not count"),
    ],
)
def test_a_good_poll_is_remembered(published: list[datetime | None], newest: datetime | None) -> None:
    feed = feed_named()
    shown = [item(str(number), f"{A}{number}", published=when) for number, when in enumerate(published)]
    after = next_feed_state(feed, Memory().poll(feed, *shown), NOW)
    assert after == replace(feed, baseline_at=NOW, last_good=NOW, newest=newest)


def test_a_later_poll_keeps_the_first_and_the_newest() -> None:
    feed = polled(feed_named(), newest=NOW - HOUR)
    after = next_feed_state(feed, Memory().poll(feed, item("1", A, published=NOW - 2 * HOUR)), NOW)
    assert (after.baseline_at, after.last_good, after.newest) == (feed.baseline_at, NOW, NOW - HOUR)


@pytest.mark.parametrize(
    ("link", "wanted", "leads"),
    [
        pytest.param("http://N.example/a/?utm_source=x", "https://n.example/a", True, id="the page, written otherwise"),
        pytest.param("https://n.example/a#top", "https://n.example/a", True, id="a place where none is wanted"),
        pytest.param("https://n.example/a#two", "https://n.example/a#two", True, id="the place"),
        pytest.param("https://n.example/a#one", "https://n.example/a#two", False, id="another place"),
        pytest.param("https://n.example/a", "https://n.example/a#xtor=RSS-1", True, id="only readers are counted"),
        pytest.param("https://n.example/b", "https://n.example/a", False, id="another page"),
        pytest.param("https://n.example/", "https://n.example/", False, id="no single page"),
    ],
)
def test_a_link_of_a_post_leads_to_an_article(link: str, wanted: str, leads: bool) -> None:
    assert leads_to(link, wanted) is leads
