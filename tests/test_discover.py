"""Discovery: the feed of a site is found from its address, and nothing else is taken for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from autopublish.errors import FeedMalformed, FeedUnreachable
from autopublish.feeds.discover import MOST_LINKS, MOST_REQUESTS, discover, find_feed, guesses
from autopublish.net import Client
from tests.servers.feed_site import Answer, FeedSite

URL = "https://news.example/blog/"
FEED = b"<rss version='2.0'><channel><title>S</title><item><guid>1</guid></item></channel></rss>"
EMPTY = b"<rss version='2.0'><channel><title>S</title></channel></rss>"
COMMENTS = b"<rss><channel><item><link>https://news.example/a/#comment-7</link></item></channel></rss>"
JSON_FEED = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": []}).encode()
HTML = {"Content-Type": "text/html; charset=UTF-8"}


def named(page: str, *, url: str = URL) -> tuple[str, ...]:
    return discover(page.encode(), url=url, content_type="text/html; charset=UTF-8")


def link(href: str, kind: str = "application/rss+xml", rel: str = "alternate") -> str:
    return f'<link rel="{rel}" type="{kind}" title="T" href="{href}" />'


# --- what a page names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "addresses"),
    [
        pytest.param(link("/feed/"), ["https://news.example/feed/"], id="relative to the site"),
        pytest.param(link("feed.xml"), ["https://news.example/blog/feed.xml"], id="relative to the page"),
        pytest.param(link("//cdn.example/f"), ["https://cdn.example/f"], id="relative to the scheme"),
        pytest.param(
            "<base href='/x/'><base href='/y/'>" + link("f"), ["https://news.example/x/f"], id="first base of the page"
        ),
        pytest.param("<base href='javascript:x'>" + link("/f"), ["https://news.example/f"], id="unusable base"),
        pytest.param(
            link("/a", "application/atom+xml") + link("/r") + link("/j", "application/feed+json"),
            ["https://news.example/a", "https://news.example/r", "https://news.example/j"],
            id="in order",
        ),
        pytest.param(
            link("/j", "application/json") + link("/r"),
            ["https://news.example/r", "https://news.example/j"],
            id="what may be no feed last",
        ),
        pytest.param(link("/f") + link("/f#top") + link("/f"), ["https://news.example/f"], id="each once"),
        pytest.param(
            "<LINK HREF=/f TYPE='Application/RSS+XML; charset=utf-8' REL='home ALTERNATE'>",
            ["https://news.example/f"],
            id="in any case, without quotes",
        ),
        pytest.param(link("/f?a=1&amp;b=2"), ["https://news.example/f?a=1&b=2"], id="references are resolved"),
        pytest.param(link(" \n/f\t"), ["https://news.example/f"], id="blanks around"),
        pytest.param(link("/f", rel="stylesheet"), [], id="no alternate"),
        pytest.param(link("/f", "text/html"), [], id="another type"),
        pytest.param(link("/o", "application/json+oembed"), [], id="a description of the page"),
        pytest.param("<link rel=alternate type=application/rss+xml>", [], id="no address"),
        pytest.param("<link rel=alternate href=/f>", [], id="no type"),
        pytest.param(f"<!-- {link('/f')} -->", [], id="comment"),
        pytest.param(f"<script>'{link('/f')}'</script>", [], id="script"),
        pytest.param(f"<title>{link('/f')}</title>", [], id="title"),
        pytest.param(f"<linkage {link('/f')[5:]}", [], id="another tag"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_a_page_names_its_feeds(page: str, addresses: list[str]) -> None:
    assert named(page) == tuple(addresses)


@pytest.mark.fault("H01")
@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", "file:///etc/passwd", "ftp://n.example/f", "data:text/xml,x", "http:///f", "http://["],
)
def test_h01_a_page_names_only_web_addresses(href: str) -> None:
    assert named(link(href)) == ()


@pytest.mark.parametrize(
    "href",
    [
        "https://news.example/comments/feed/",
        "https://news.example/?feed=comments-rss2",
        "https://news.example/feeds/123/comments/default",
        "https://news.example/wp-json/wp/v2/posts/1",
        "https://news.example/?rest_route=/wp/v2/posts/1",
    ],
)
@pytest.mark.parametrize("kind", ["application/rss+xml", "application/json"])
def test_comments_and_the_api_of_wordpress_are_no_feeds_of_articles(href: str, kind: str) -> None:
    assert named(link(href, kind) + link("/feed/")) == ("https://news.example/feed/",)


def test_a_page_names_no_more_than_ten_feeds() -> None:
    assert len(named("".join(link(f"/{number}") for number in range(50)))) == MOST_LINKS


def test_a_page_in_another_encoding_is_read() -> None:
    page = f"<p>é</p>{link('/notícias')}".encode("cp1252")
    assert discover(page, url=URL, content_type=None) == ("https://news.example/notícias",)


@pytest.mark.fault("F16")
@pytest.mark.parametrize(
    "piece",
    [
        "<!--", "<script>", "<link ", "<link rel=", '<link a="', "<link" + " " * 5000, "<title", "<base href='/", "<",
        " ", "<link rel=alternate type=application/rss+xml href=", link("/f"), "\0", "<link a='b' " * 40,
    ],
)  # fmt: skip
def test_f16_a_hostile_page_is_read_in_time(piece: str) -> None:
    page = (piece * (10_000_000 // len(piece))).encode()
    started = time.process_time()
    discover(page, url=URL, content_type=None)
    assert time.process_time() - started < 2


# --- where feeds usually stand ---------------------------------------------------------------------------------------


def test_guesses_are_made_for_the_page_and_then_for_its_site() -> None:
    assert guesses("https://news.example/blog?x=1#y") == (
        "https://news.example/blog/feed/",
        "https://news.example/blog/?feed=rss2",
        "https://news.example/blog/rss",
        "https://news.example/blog/atom.xml",
        "https://news.example/blog/feed.xml",
        "https://news.example/blog/index.xml",
        "https://news.example/blog/rss.xml",
        "https://news.example/feed/",
        "https://news.example/?feed=rss2",
        "https://news.example/rss",
        "https://news.example/atom.xml",
        "https://news.example/feed.xml",
        "https://news.example/index.xml",
        "https://news.example/rss.xml",
    )


@pytest.mark.parametrize("url", ["https://news.example", "https://news.example/", "https://news.example/index.html"])
def test_of_a_home_page_each_guess_is_made_once(url: str) -> None:
    assert len(guesses(url)) == 7
    assert guesses(url)[0] == "https://news.example/feed/"


# --- finding ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[FeedSite]:
    with FeedSite() as site:
        yield site


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(user_agent="autopublish-test/1")
    yield client
    client.close()


def find(site: FeedSite, client: Client, path: str = "/") -> str:
    return find_feed(site.url(path), client, allow_private=True).removeprefix(site.url("/").rstrip("/"))


def page(*links: str) -> Answer:
    return Answer(body=f"<html><head>{''.join(links)}</head></html>".encode(), headers=HTML)


@pytest.mark.parametrize("body", [FEED, EMPTY, JSON_FEED], ids=["RSS", "without articles", "JSON Feed"])
def test_the_address_of_a_feed_is_the_feed(site: FeedSite, client: Client, body: bytes) -> None:
    site.script("/news", Answer(body=body, headers=HTML))
    assert find(site, client, "/news") == "/news"
    assert len(site.asked) == 1


def test_what_the_page_names_goes_before_what_is_usual(site: FeedSite, client: Client) -> None:
    site.script("/", page(link("/named")))
    site.script("/named", Answer(body=FEED))
    site.script("/feed/", Answer(body=FEED))
    assert find(site, client) == "/named"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(status=404, body=FEED), id="not found"),
        pytest.param(Answer(body=b"<html></html>", headers=HTML), id="a page"),
        pytest.param(Answer(body=FEED, cut_at=40), id="cut short"),
        pytest.param(Answer(body=FEED, cut_at=0, reset=True), id="no answer"),
        pytest.param(Answer(body=COMMENTS), id="comments"),
        pytest.param(Answer(body=b'{"id": 1}'), id="other JSON"),
    ],
)
def test_what_a_page_names_is_believed_only_if_it_is_a_feed_of_articles(
    site: FeedSite, client: Client, answer: Answer
) -> None:
    site.script("/", page(link("/first"), link("/second")))
    site.script("/first", answer)
    site.script("/second", Answer(body=FEED))
    assert find(site, client) == "/second"


def test_a_named_feed_may_be_empty_but_a_guessed_one_must_have_articles(site: FeedSite, client: Client) -> None:
    site.script("/blog/", page(link("/blog/named")))
    site.script("/blog/named", Answer(body=EMPTY))
    assert find(site, client, "/blog/") == "/blog/named"
    site.script("/", page())
    site.script("/feed/", Answer(body=EMPTY))
    site.script("/rss", Answer(body=FEED))
    assert find(site, client) == "/rss"


@pytest.mark.parametrize("status", [200, 404, 403])
def test_the_feed_of_the_site_is_found_from_one_of_its_pages(site: FeedSite, client: Client, status: int) -> None:
    site.script("/2026/11/an-article/", Answer(status=status, body=b"<html></html>", headers=HTML))
    site.script("/2026/11/an-article/feed/", Answer(body=COMMENTS))
    site.script("/feed/", Answer(body=FEED))
    assert find(site, client, "/2026/11/an-article/") == "/feed/"


@pytest.mark.parametrize(("status", "found"), [(301, "/feed/"), (302, "/feed")])
def test_only_an_address_that_moved_for_good_is_replaced(
    site: FeedSite, client: Client, status: int, found: str
) -> None:
    site.script("/feed", Answer(status=status, headers={"Location": "/feed/"}))
    site.script("/feed/", Answer(body=FEED))
    assert find(site, client, "/feed") == found


def test_links_are_relative_to_where_the_page_came_from(site: FeedSite, client: Client) -> None:
    site.script("/", Answer(status=302, headers={"Location": "/en/"}))
    site.script("/en/", page(link("feed")))
    site.script("/en/feed", Answer(body=FEED))
    assert find(site, client) == "/en/feed"


def test_what_was_tried_is_named_where_nothing_was_found(site: FeedSite, client: Client) -> None:
    site.script("/blog", page(link("/broken")))
    with pytest.raises(FeedMalformed) as caught:
        find(site, client, "/blog")
    told = str(caught.value)
    assert f"{site.url('/blog')} is a page that names 1 feed, and none stands at " in told
    assert len(site.asked) == MOST_REQUESTS == 10
    assert all(site.url(asked.target) in told for asked in site.asked)
    with pytest.raises(FeedMalformed, match="answers HTTP 404, and none"):
        find(site, client, "/nowhere")


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("path", ["/", "/busy", "/feed/"], ids=["the page", "what it names", "a guess"])
def test_a_site_that_has_trouble_is_not_asked_again(site: FeedSite, client: Client, status: int, path: str) -> None:
    site.script("/", page(link("/busy")))
    site.script(path, Answer(status=status))
    with pytest.raises(FeedUnreachable) as caught:
        find(site, client)
    assert (caught.value.status, site.asked[-1].target) == (status, path)


@pytest.mark.fault("H01")
def test_h01_a_private_address_is_asked_only_if_that_is_allowed(site: FeedSite, client: Client) -> None:
    site.script("/", page(link("/feed/")))
    with pytest.raises(FeedUnreachable):
        find_feed(site.url("/"), client, allow_private=False)
    assert site.asked == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "news.example", "https://", "mailto:a@news.example"])
def test_what_is_no_address_of_the_web_is_told(url: str, client: Client) -> None:
    with pytest.raises(FeedUnreachable):
        find_feed(url, client, allow_private=True)
