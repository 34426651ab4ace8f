"""Pictures that an article's page names: WordPress's featured image with its alt text, then what networks show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from autopublish.feeds.illustrate import featured, further, named
from autopublish.models import Article, Media
from autopublish.net import Client
from tests.servers.feed_site import Answer, FeedSite

URL = "https://news.example/2026/11/harbour/"
API = "https://news.example/wp-json/wp/v2/posts/123"
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
JSON_LINK = f'<link rel="alternate" title="JSON" type="application/json" href="{API}" />'


def page(*head: str) -> bytes:
    return f"<!doctype html><html><head>{''.join(head)}</head><body>…</body></html>".encode()


def meta(key: str, content: str, *, by: str = "property") -> str:
    return f'<meta {by}="{key}" content="{content}" />'


@pytest.mark.parametrize(
    ("head", "pictures"),
    [
        ((), ()),
        ((meta("og:image", "/a.jpg"),), (Media(url="https://news.example/a.jpg"),)),
        (
            (meta("og:image", "http://news.example/a.jpg"), meta("og:image:secure_url", "https://news.example/a.jpg")),
            (Media(url="https://news.example/a.jpg"), Media(url="http://news.example/a.jpg")),
        ),
        (
            (meta("og:image", "/a.jpg"), meta("og:image:alt", "Ships &amp; cranes")),
            (Media(url="https://news.example/a.jpg", alt="Ships & cranes"),),
        ),
        ((meta("twitter:image", "/t.jpg", by="name"),), (Media(url="https://news.example/t.jpg"),)),
        ((meta("OG:Image", "/a.jpg?x=1&amp;y=2"),), (Media(url="https://news.example/a.jpg?x=1&y=2"),)),
        ((meta("og:image", "/a.jpg"), meta("og:image", "/b.jpg")), (Media(url="https://news.example/a.jpg"),)),
        ((meta("og:image", "data:image/png;base64,AAAA"),), ()),
        ((meta("og:image", "javascript:alert(1)"),), ()),
        ((meta("og:image", "https://secure.gravatar.com/avatar/1"),), ()),
        (("<script>", meta("og:image", "/a.jpg"), "</script>"), ()),
        (("<!--", meta("og:image", "/a.jpg"), "-->"), ()),
    ],
    ids=[
        "nothing", "a picture", "two addresses", "with alt text", "for one network alone", "references",
        "the first of each", "no address", "a script", "a face", "inside a script", "inside a comment",
    ],
)  # fmt: skip
def test_a_page_names_its_pictures(head: tuple[str, ...], pictures: tuple[Media, ...]) -> None:
    assert named(page(*head), url=URL, content_type="text/html; charset=utf-8").pictures == pictures


@pytest.mark.parametrize(
    ("link", "api"),
    [
        (JSON_LINK, API),
        (JSON_LINK.replace("/wp-json/wp", "/?rest_route=/wp"), "https://news.example/?rest_route=/wp/v2/posts/123"),
        (JSON_LINK.replace("news.example/wp-json", "other.example/wp-json"), None),
        (JSON_LINK.replace("/posts/123", ""), None),
        (JSON_LINK.replace('rel="alternate"', 'rel="next"'), None),
        (JSON_LINK.replace("application/json", "application/rss+xml"), None),
    ],
    ids=["pretty", "plain permalinks", "another host", "the whole API", "another relation", "a feed"],
)
def test_a_page_of_wordpress_names_the_article_in_its_api(link: str, api: str | None) -> None:
    assert named(page(link), url=URL, content_type=None).api == api


def answer(**file: object) -> bytes:
    return json.dumps({"id": 123, "_embedded": {"wp:featuredmedia": [file]}}).encode()


@pytest.mark.parametrize(
    ("body", "pictures"),
    [
        (
            answer(source_url="https://n.example/a.jpg", alt_text="Ships &#038; cranes", mime_type="image/jpeg"),
            (Media(url="https://n.example/a.jpg", alt="Ships & cranes", type="image/jpeg"),),
        ),
        (answer(source_url="https://n.example/a.jpg", alt_text=""), (Media(url="https://n.example/a.jpg"),)),
        (answer(source_url="file:///etc/passwd"), ()),
        (answer(code="rest_forbidden", data={"status": 401}), ()),
        (answer(source_url=7, alt_text=["x"]), ()),
        (b'{"_embedded": {"wp:featuredmedia": "x"}}', ()),
        (b'{"_embedded": []}', ()),
        (b"[1]", ()),
        (b"[" * 100_000, ()),
        (b"<html>", ()),
    ],
    ids=["all", "no alt", "a file", "not allowed", "wrong types", "no list", "no object", "a list", "a bomb", "a page"],
)
def test_the_featured_image_comes_with_its_alt_text(body: bytes, pictures: tuple[Media, ...]) -> None:
    assert featured(body) == pictures


# --- asked -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def client() -> Iterator[Client]:
    one = Client(user_agent="autopublish-test")
    yield one
    one.close()


def article(link: str | None) -> Article:
    return Article(id="a", feed="f", origin="o", link=link, title="T", published=NOW, first_seen=NOW)


def test_the_featured_image_comes_before_what_the_page_names(site: FeedSite, client: Client) -> None:
    api = site.url("/wp-json/wp/v2/posts/123")
    both = (meta("og:image", "/og.jpg"), f'<link rel="alternate" type="application/json" href="{api}">')
    site.script("/article", Answer(body=page(*both), headers={"Content-Type": "text/html"}))
    asked = "/wp-json/wp/v2/posts/123?_embed=wp:featuredmedia&_fields=_links,_embedded"
    site.script(asked, Answer(body=answer(source_url=site.url("/featured.jpg"), alt_text="Ships")))
    found = further(article(site.url("/article")), client, allow_private=True)
    assert [(one.url.removeprefix(site.url("")), one.alt) for one in found] == [
        ("/featured.jpg", "Ships"),
        ("/og.jpg", None),
    ]


def test_the_api_may_be_named_in_a_header_alone(site: FeedSite, client: Client) -> None:
    links = (
        f'<{site.url("/wp-json/")}>; rel="https://api.w.org/", '
        f'<{site.url("/wp-json/wp/v2/posts/7")}>; rel="alternate"; title="JSON"; type="application/json"'
    )
    site.script("/article", Answer(body=page(), headers={"Content-Type": "text/html", "Link": links}))
    asked = "/wp-json/wp/v2/posts/7?_embed=wp:featuredmedia&_fields=_links,_embedded"
    site.script(asked, Answer(body=answer(source_url=site.url("/featured.jpg"))))
    found = further(article(site.url("/article")), client, allow_private=True)
    assert [one.url for one in found] == [site.url("/featured.jpg")]


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_closed_api_leaves_what_the_page_names(site: FeedSite, client: Client, status: int) -> None:
    api = site.url("/wp-json/wp/v2/posts/123")
    both = (meta("og:image", "/og.jpg"), f'<link rel="alternate" type="application/json" href="{api}">')
    site.script("/article", Answer(body=page(*both)))
    site.script("/wp-json/wp/v2/posts/123?_embed=wp:featuredmedia&_fields=_links,_embedded", Answer(status=status))
    found = further(article(site.url("/article")), client, allow_private=True)
    assert [one.url for one in found] == [site.url("/og.jpg")]


def test_a_page_that_does_not_answer_names_nothing(site: FeedSite, client: Client) -> None:
    site.script("/gone", Answer(status=410, body=page(meta("og:image", "/og.jpg"))))
    assert further(article(site.url("/gone")), client, allow_private=True) == ()


@pytest.mark.parametrize("link", [None, "ftp://news.example/a", "file:///etc/passwd"])
def test_what_is_no_web_page_is_not_asked(client: Client, link: str | None) -> None:
    assert further(article(link), client, allow_private=True) == ()


@pytest.mark.fault("H01")
def test_h01_a_page_in_the_operators_own_network_is_not_asked(site: FeedSite, client: Client) -> None:
    site.script("/article", Answer(body=page(meta("og:image", "/og.jpg"))))
    assert further(article(site.url("/article")), client, allow_private=False) == ()
    assert site.asked == []
