"""Posts drawn as HTML, read back by a parser that none of our code knows."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from autopublish.cards import LOOKS, PLAIN, draw, page
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
        pytest.param(
            "mastodon",
            [LINK],
            ["https://mastodon.social/tags/Kaltim", "https://mastodon.social/tags/IKN"],
            id="mastodon",
        ),
        pytest.param(
            "facebook",
            [LINK],
            ["https://www.facebook.com/hashtag/Kaltim", "https://www.facebook.com/hashtag/IKN"],
            id="facebook",
        ),
        pytest.param("telegram", [LINK], [None, None], id="telegram-searches-inside-the-app"),
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


@pytest.mark.parametrize(
    ("look", "url", "shown"),
    [
        pytest.param("x", LINK, "news.example/2026/11/24/ba…", id="x"),
        pytest.param("mastodon", LINK, "news.example/2026/11/24/banjir…", id="mastodon-31"),
        pytest.param("mastodon", LINK[:-1], "news.example/2026/11/24/banjir", id="mastodon-30"),
        pytest.param("mastodon", "http://www.news.example/a", "news.example/a", id="without-www"),
        pytest.param("bluesky", LINK, LINK, id="bluesky-as-written"),
        pytest.param("telegram", LINK, LINK, id="telegram-as-written"),
        pytest.param("facebook", LINK, LINK, id="facebook-as-written"),
    ],
)
def test_links_are_shown_as_the_network_shows_them(look: str, url: str, shown: str) -> None:
    post = replace(POST, text=url, spans=(span(SpanKind.LINK, url, url, url),))
    assert drawn(post, look=look).one("link").text == shown
    assert hrefs(drawn(post, look=look), "link") == [url]


@pytest.mark.parametrize(
    ("look", "order"),
    [
        ("plain", ["img", "h3", "p", "host"]),
        ("bluesky", ["img", "h3", "p", "host"]),
        ("x", ["img", "h3", "p", "host"]),
        ("mastodon", ["img", "host", "h3", "p"]),
        ("facebook", ["img", "host", "h3", "p"]),
        ("telegram", ["host", "h3", "p", "img"]),
    ],
)
def test_the_card_has_its_parts_in_the_networks_order(look: str, order: list[str]) -> None:
    card = draw(POST, look=look, account="a", url=None, picture_src="1.jpg").partition('class="card')[2]
    places = {name: card.index(f'class="{name}"' if name == "host" else f"<{name} ") for name in order}
    assert sorted(places, key=lambda name: places[name]) == order


@pytest.mark.parametrize(
    ("look", "place"),
    [
        ("plain", "beside"),
        ("bluesky", "beside"),
        ("x", "beside"),
        ("mastodon", "beside"),
        ("facebook", "under"),
        ("telegram", "footer"),
    ],
)
@pytest.mark.parametrize("post", [POST, replace(POST, length=0, room=0)], ids=["with-figures", "without"])
def test_the_time_stands_once_where_the_network_has_it(look: str, place: str, post: Post) -> None:
    assert "24 Nov 2026, 07:05 UTC" in drawn(post, look=look).one(place).text
    assert len(drawn(post, look=look).all("time")) == 1


def test_facebook_has_words_beside_its_icons_which_no_screen_reader_reads_as_buttons() -> None:
    actions = drawn(look="facebook").all("action")
    assert [action.text for action in actions] == ["Like", "Comment", "Share"]
    assert {action.attributes["aria-hidden"] for action in actions} == {"true"}


@pytest.mark.parametrize(
    ("width", "height", "classes"),
    [
        pytest.param(1200, 675, ["card", "pictured"], id="wide"),
        pytest.param(600, 600, ["card", "pictured", "tall"], id="square"),
        pytest.param(400, 1600, ["card", "pictured", "tall"], id="tall"),
    ],
)
def test_the_style_knows_whether_a_picture_is_wide(width: int, height: int, classes: list[str]) -> None:
    post = replace(POST, picture=replace(PICTURE, width=width, height=height))
    assert drawn(post, look="mastodon").one("card").classes == classes


@pytest.mark.parametrize("look", LOOKS)
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
    assert {tree.one("host").text, f"{text}.", text} <= {element.text for element in tree.elements}
    assert sorted(tree.one("body").text) == sorted(f"{text}{text}.news.example")
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
    assert [element.tag for element in tree.elements if re.fullmatch(r"h\d", element.tag)] == [
        "h1",
        *["h2", "h3"] * len(LOOKS),
    ]


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


# --- colours ---


def rules(css: str) -> Iterator[tuple[str, str]]:
    """Selector and declarations of each rule, those inside of `@media` too."""
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", css):
        yield selector.strip(), body


def style_of(scheme: str) -> list[str]:
    """The style's parts that a browser obeys in one colour scheme, the later one stronger."""
    light, mark, dark = Tree(whole([])).one("style").text.partition("@media (prefers-color-scheme: dark) {")
    assert mark
    return [light, dark] if scheme == "dark" else [light]


def colours(scheme: str, look: str) -> dict[str, str]:
    """The colours by name that a post of one look has, as far as they are no gradients."""
    found: dict[str, str] = {}
    for css in style_of(scheme):
        for wanted in (":root", ".post", f".{look}"):
            for selector, body in rules(css):
                if selector == wanted:
                    found |= re.findall(r"--([a-z]+): (#[0-9a-f]{3,6}|transparent)\b", body)
    return found


def luminance(colour: str) -> float:
    # https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    # https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_counted_as_the_guidelines_do() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("look", LOOKS)
def test_each_look_can_be_read_in_light_and_dark(look: str, scheme: str) -> None:
    named = colours(scheme, look)
    pairs = {(name, ground) for name in ("text", "muted", "link", "alarm") for ground in ("paper", "wash")}
    pairs |= {(name, "ground") for name in ("ink", "soft", "accent")}
    assert {pair: ratio for pair in pairs if (ratio := contrast(named[pair[0]], named[pair[1]])) < 4.5} == {}


def test_initials_can_be_read_on_every_tint() -> None:
    tints = [body for selector, body in rules(style_of("light")[0]) if selector.startswith(".tint")]
    shades = [shade for body in tints for shade in re.findall(r"#[0-9a-f]{6}", body)]
    assert len(shades) == 2 * len(tints) > 0
    assert min(contrast("#fff", shade) for shade in shades) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_no_colour_but_those_whose_contrast_is_known(scheme: str) -> None:
    named = {f"var(--{name})" for name in ("text", "muted", "link", "alarm", "ink", "soft", "accent")}
    used = {
        (selector, colour)
        for selector, body in rules(style_of(scheme)[-1])
        for colour in re.findall(r"(?:^|[;\s])color: *([^;]+?) *(?:;|$)", body.strip())
        if colour not in named | {"inherit"}
    }
    # White on the tints, and on a black strip over the picture.
    assert {selector for selector, _ in used} <= {".post > .avatar", ".x .pictured h3"}
    assert {colour for _, colour in used} <= {"#fff"}


@pytest.mark.parametrize("look", sorted(set(LOOKS) - {PLAIN.name}))
def test_each_look_has_colours_of_its_own_in_light_and_dark(look: str) -> None:
    for scheme in ("light", "dark"):
        own = {
            name
            for selector, body in rules(style_of(scheme)[-1])
            if selector == f".{look}"
            for name in re.findall(r"--(\w+):", body)
        }
        assert {"text", "muted", "edge", "link", "wash"} <= own
