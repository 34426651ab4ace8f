"""Posts drawn as HTML, read back by a parser that none of our code knows."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from autopublish.cards import LOOKS, draw, page
from autopublish.models import Picture, Post, Span, SpanKind

LINK = "https://news.example/2026/11/24/banjir/"
TEXT = f"Banjir di Samarinda & sekitarnya\n\n{LINK}\n#Kaltim #IKN"
PICTURE = Picture(
    path="/srv/media/1.jpg", sha256="0" * 64, type="image/jpeg", width=1200, height=675, size_bytes=9, alt='A "boat"'
)
VOID = {"img", "meta", "link", "path"}


def span(kind: SpanKind, shown: str, value: str, text: str = TEXT) -> Span:
    start = text.index(shown)
    return Span(kind=kind, start=start, end=start + len(shown), value=value)


POST = Post(
    text=TEXT,
    link=LINK,
    title="Banjir di Samarinda",
    summary="Air naik 42 sentimeter.",
    spans=(
        span(SpanKind.HASHTAG, "#IKN", "IKN"),
        span(SpanKind.LINK, LINK, LINK),
        span(SpanKind.HASHTAG, "#Kaltim", "Kaltim"),
    ),
    picture=PICTURE,
    languages=("id",),
    created_at=datetime(2026, 11, 24, 7, 5, 9, 123_456, tzinfo=UTC),
    published=datetime(2026, 11, 24, 7, 0, tzinfo=UTC),
    length=86,
    room=300,
)


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""

    @property
    def classes(self) -> list[str]:
        return (self.attributes.get("class") or "").split()


@dataclass
class Tree(HTMLParser):
    """Every element with all the text inside it; a tag that closes nothing open is an error."""

    source: str
    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self.feed(self.source)
        self.close()
        assert [element.tag for element in self.open] == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def all(self, name: str) -> list[Element]:
        """The elements of one tag or class."""
        return [element for element in self.elements if element.tag == name or name in element.classes]

    def one(self, name: str) -> Element:
        (element,) = self.all(name)
        return element


def drawn(post: Post = POST, *, look: str = "bluesky", account: str = "Kaltim Kini", url: str | None = None) -> Tree:
    return Tree(draw(post, look=look, account=account, url=url, picture_src="pictures/1.jpg"))


def hrefs(tree: Tree, name: str) -> list[str | None]:
    return [element.attributes.get("href") for element in tree.all(name)]


# --- one post ---


@pytest.mark.parametrize("look", LOOKS)
def test_each_look_shows_account_card_and_time(look: str) -> None:
    tree = drawn(look=look)
    assert look in tree.one("article").classes
    assert tree.one("h2").text == "Kaltim Kini"
    assert tree.one("h3").text == "Banjir di Samarinda"
    assert "Air naik 42 sentimeter." in tree.one("body").text
    assert tree.one("host").text == "news.example"
    assert tree.one("card").attributes["href"] == LINK
    assert tree.one("time").attributes["datetime"] == "2026-11-24T07:05:09Z"
    assert tree.one("time").text == "24 Nov 2026, 07:05 UTC"


def test_a_look_that_nobody_knows_is_drawn_plain() -> None:
    assert draw(POST, look="gopher", account="a", url=None, picture_src=None) == draw(
        POST, look="plain", account="a", url=None, picture_src=None
    )


@pytest.mark.parametrize(
    ("look", "links", "tags"),
    [
        pytest.param(
            "bluesky", [LINK], ["https://bsky.app/hashtag/Kaltim", "https://bsky.app/hashtag/IKN"], id="bluesky"
        ),
        pytest.param("x", [LINK], ["https://x.com/hashtag/Kaltim", "https://x.com/hashtag/IKN"], id="x"),
        pytest.param("plain", [LINK], [None, None], id="plain-has-no-place-for-hashtags"),
    ],
)
def test_links_and_hashtags_lead_where_the_network_would(look: str, links: list[str], tags: list[str | None]) -> None:
    tree = drawn(look=look)
    assert hrefs(tree, "link") == links
    assert hrefs(tree, "tag") == tags
    assert {element.attributes["rel"] for element in tree.all("a")} == {"noopener nofollow"}


def test_a_hashtag_is_quoted_in_its_address() -> None:
    text = "#Größe/2"
    post = replace(POST, text=text, spans=(span(SpanKind.HASHTAG, text, "Größe/2", text),))
    assert hrefs(drawn(post), "tag") == ["https://bsky.app/hashtag/Gr%C3%B6%C3%9Fe%2F2"]


def test_x_shows_links_without_their_scheme_and_cut() -> None:
    assert drawn(look="x").one("link").text == "news.example/2026/11/24/ba…"
    assert drawn(look="bluesky").one("link").text == LINK


@pytest.mark.parametrize("look", ["bluesky", "plain"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<script>alert(1)</script> & <b>bold</b>", id="markup"),
        pytest.param("</p></article><img src=x onerror=alert(1)>", id="closing-tags"),
        pytest.param("\" ' ` onload=alert(1) &amp; &lt;i&gt; &#60;", id="quotes-and-entities"),
        pytest.param("{{ title }} {% raw %} ${x} *bold* _it_ [a](b) @everyone <!channel> <@U1>", id="other-markups"),
        pytest.param("👨‍👩‍👧‍👦 مسجد على ضفاف النهر 東カリマンタン\n\n  two  spaces", id="scripts-emoji-blanks"),
        pytest.param("", id="nothing"),
    ],
)
@pytest.mark.fault("H03")
@pytest.mark.fault("H06")
def test_h03_h06_what_a_feed_says_is_shown_as_text_and_the_same(look: str, text: str) -> None:
    picture = replace(PICTURE, alt=text)
    post = replace(POST, text=text, title=text, summary=f"{text}.", spans=(), picture=picture, languages=(text,))
    tree = drawn(post, look=look, account=text)
    usual = [element.tag for element in drawn(replace(POST, spans=()), look=look).elements]
    assert [element.tag for element in tree.elements] == usual
    assert tree.one("text").text == text
    assert tree.one("h2").text == tree.one("h3").text == text
    assert tree.one("body").text == f"{text}{text}.news.example"
    assert tree.one("img").attributes["alt"] == text
    assert {key for element in tree.elements for key in element.attributes if key.startswith("on")} == set()


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "//news.example/",
        "https:///path",
        "http://[broken/",
        "\x01javascript:alert(1)",
    ],
)
@pytest.mark.fault("H04")
def test_h04_a_link_that_is_not_of_the_web_leads_nowhere(link: str) -> None:
    post = replace(POST, link=link, spans=(Span(kind=SpanKind.LINK, start=0, end=6, value=link),))
    tree = drawn(post, url=link)
    assert tree.all("a") == []
    assert tree.one("link").text == "Banjir"
    assert len(tree.all("photo")) == 1


def test_characters_that_html_forbids_are_left_out() -> None:
    assert drawn(replace(POST, text="a\x00b\x08c\x1bd\ud800e\ufffff", spans=())).one("text").text == "abcdef"


@pytest.mark.parametrize(
    "places",
    [
        pytest.param([(0, 6), (3, 9)], id="overlap"),
        pytest.param([(0, 6), (5000, 5001)], id="beyond-the-text"),
        pytest.param([(0, 6), (-3, 2)], id="before-the-text"),
        pytest.param([(0, 6), (8, 8)], id="empty"),
    ],
)
def test_spans_that_cannot_be_are_left_as_text(places: list[tuple[int, int]]) -> None:
    spans = tuple(Span(kind=SpanKind.LINK, start=start, end=end, value=LINK) for start, end in places)
    tree = drawn(replace(POST, spans=spans))
    assert tree.one("link").text == "Banjir"
    assert tree.one("text").text == TEXT


def test_the_picture_has_its_size_and_alt_text() -> None:
    attributes = drawn().one("img").attributes
    assert attributes["src"] == "pictures/1.jpg"
    assert attributes["alt"] == 'A "boat"'
    assert (attributes["width"], attributes["height"]) == ("1200", "675")


def test_no_picture_is_drawn_without_an_address_for_it() -> None:
    tree = Tree(draw(POST, look="x", account="a", url=None, picture_src=None))
    assert tree.all("img") == []
    assert "pictured" not in tree.one("card").classes


def test_a_post_without_link_shows_its_picture_alone() -> None:
    tree = drawn(replace(POST, link=None))
    assert tree.all("card") == []
    assert len(tree.all("photo")) == len(tree.all("img")) == 1


def test_a_post_without_link_and_picture_has_no_card() -> None:
    tree = drawn(replace(POST, link=None, picture=None))
    assert tree.all("card") + tree.all("photo") == []


def test_the_time_leads_to_the_post() -> None:
    assert drawn(url="https://news.example/posts").one("when").attributes["href"] == "https://news.example/posts"
    assert drawn(url="#abc").one("when").attributes["href"] == "#abc"
    assert drawn(url=None).one("when").tag == "span"


def test_text_and_card_name_their_language() -> None:
    tree = drawn()
    assert tree.one("text").attributes["lang"] == tree.one("body").attributes["lang"] == "id"
    assert "lang" not in drawn(replace(POST, languages=())).one("text").attributes


@pytest.mark.parametrize(
    ("changes", "shown", "is_over"),
    [
        pytest.param({}, "86 of 300", False, id="fits"),
        pytest.param(
            {"shortened": ("title", "hashtags")}, "86 of 300 · title, hashtags shortened", False, id="shortened"
        ),
        pytest.param({"length": 300}, "300 of 300", False, id="full"),
        pytest.param({"length": 301}, "301 of 300", True, id="too-long"),
    ],
)
def test_the_post_tells_how_much_of_its_room_it_takes(changes: dict[str, object], shown: str, *, is_over: bool) -> None:
    count = drawn(replace(POST, **changes)).one("count")  # type: ignore[arg-type]  # each row fits its field
    assert count.text == shown
    assert ("over" in count.classes) is is_over


def test_a_plain_post_without_figures_has_no_foot() -> None:
    assert drawn(replace(POST, length=0, room=0), look="plain").all("footer") == []


@pytest.mark.parametrize(
    ("account", "initials"),
    [("Kaltim Kini", "KK"), ("kaltim_bluesky", "KB"), ("x", "X"), ("…", "·"), ("東京 新聞", "東新")],
)
def test_the_avatar_has_the_accounts_initials(account: str, initials: str) -> None:
    assert drawn(account=account).one("avatar").text == initials


# --- the page ---


def whole(cards: list[str]) -> str:
    feeds = {"application/rss+xml": ("RSS", "feed.xml")}
    return page(cards, title="Kini & <b>", lead="The newest", language="id", feeds=feeds)


def test_the_page_holds_the_cards_in_order_under_one_heading() -> None:
    cards = [draw(POST, look=look, account=look, url=None, picture_src=None, anchor=look) for look in LOOKS]
    tree = Tree(whole(cards).partition("\n")[2])
    assert [element.attributes["id"] for element in tree.all("article")] == list(LOOKS)
    assert tree.one("h1").text == tree.one("title").text == "Kini & <b>"
    assert tree.one("html").attributes["lang"] == "id"
    assert [element.attributes["href"] for element in tree.all("link") if element.attributes["rel"] == "alternate"] == [
        "feed.xml"
    ]
    assert [element.tag for element in tree.elements if re.fullmatch(r"h\d", element.tag)] == ["h1", *["h2", "h3"] * 3]


def test_the_page_says_so_when_it_is_empty() -> None:
    assert Tree(whole([])).one("empty").text == "No posts yet."


def test_each_icon_that_is_used_is_drawn_in_the_page() -> None:
    tree = Tree(whole([draw(POST, look=look, account="a", url=None, picture_src=None) for look in LOOKS]))
    used = {(element.attributes["href"] or "").removeprefix("#") for element in tree.all("use")}
    assert used
    assert used <= {element.attributes["id"] for element in tree.all("symbol")}


@pytest.mark.fault("H03")
def test_h03_the_page_has_a_policy_that_lets_nothing_in_but_its_own_style_and_pictures() -> None:
    tree = Tree(whole([draw(POST, look="x", account="a", url=None, picture_src="pictures/1.jpg")]))
    (policy,) = [
        element.attributes["content"] or ""
        for element in tree.all("meta")
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    digest = b64encode(sha256(tree.one("style").text.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src 'self' data:",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_the_page_asks_no_other_host_for_anything() -> None:
    tree = Tree(whole([draw(POST, look=look, account="a", url=None, picture_src="pictures/1.jpg") for look in LOOKS]))
    assert {element.tag for element in tree.elements} & {"script", "iframe", "object", "embed", "form", "base"} == set()
    assert not [element for element in tree.elements if "style" in element.attributes]
    assert not re.search(r"url\(|@import", tree.one("style").text)
    assert {element.attributes["src"] for element in tree.all("img")} == {"pictures/1.jpg"}
    assert [element.attributes["href"] for element in tree.elements if element.tag == "link"] == ["data:,", "feed.xml"]
