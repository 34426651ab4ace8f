"""The cut: what is read of a document whose items are partly known is what the whole document says of the others."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopublish.articles import candidates, normalise_link
from autopublish.feeds.parse import parse
from autopublish.feeds.wellformed import check, frame
from autopublish.models import Document, Feed, FeedSettings, Item

ROOT = Path(__file__).parents[1]
GOLDEN = [path.read_bytes() for path in sorted((ROOT / "tests/data/feeds").iterdir()) if path.suffix != ".json"]
DEMO = (ROOT / "config/demo/feed.xml").read_bytes()
URL = "https://feeds.example/a/feed.xml"
FEED = Feed(id="f1", settings=FeedSettings(name="news", url=URL))
ALWAYS_READ = bytes(8)


def read(body: bytes, known: bytes = b"") -> Document:
    return parse(body, url=URL, content_type=None, known=known)


def rss(*items: str) -> bytes:
    """An RSS document with these items."""
    return f"<rss version='2.0'><channel><title>S</title>{''.join(items)}</channel></rss>".encode()


def digests_of(document: Document) -> list[bytes]:
    """One for each item of the document."""
    return [document.item_digests[at : at + 8] for at in range(0, len(document.item_digests), 8)]


def names_of(item: Item) -> set[tuple[str, str]]:
    """What `articles` compares between the items of a document."""
    link = normalise_link(item.link) if item.link else None
    return {(kind, name) for kind, name in (("guid", item.guid), ("link", link)) if name}


def identities_of(document: Document) -> list[object]:
    """What each item may be known by, in view of the others of the document."""
    return [(one.aliases, one.origins, one.shared_guid, one.owns_guid, one.alone) for one in candidates(document, FEED)]


def to_read(items: Sequence[Item], digests: Sequence[bytes], known: set[bytes]) -> list[int]:
    """The items that are not known, and those that share a name with one of them, directly or by others."""
    kept = {index for index, digest in enumerate(digests) if digest not in known or digest == ALWAYS_READ}
    while True:
        names = {name for index in kept for name in names_of(items[index])}
        more = {index for index, item in enumerate(items) if names_of(item) & names} - kept
        if not more:
            return sorted(kept)
        kept |= more


def check_cut(body: bytes, choose: Sequence[bool]) -> None:
    """Reading with a part of the items known gives what the whole document says of the rest."""
    whole = read(body)
    digests = digests_of(whole)
    assert len(digests) == len(whole.items)
    known = {digest for digest, is_known in zip(digests, choose, strict=False) if is_known}
    rest = to_read(whole.items, digests, known)
    cut = read(body, b"".join(sorted(known)) + b"notknown")
    assert cut == replace(whole, items=tuple(whole.items[index] for index in rest), cut=len(whole.items) - len(rest))
    identities = identities_of(whole)
    assert identities_of(cut) == [identities[index] for index in rest]


# --- made documents --------------------------------------------------------------------------------------------------

GUIDS = [
    "",
    "<guid>1</guid>",
    "<guid isPermaLink='false'>2</guid>",
    "<guid>https://n.example/a</guid>",
    "<guid>/a</guid>",
    "<guid><![CDATA[1]]></guid>",
    "<id>1</id>",
    "<id>3</id><guid>2</guid>",
    "<atom:id xmlns:atom='http://www.w3.org/2005/Atom'>1</atom:id>",
    "<guid isPermaLink='TRUE'>https://n.example/b</guid>",
]
LINKS = [
    "",
    "<link>https://n.example/a</link>",
    "<link>http://N.example/a/?utm_source=rss#x</link>",
    "<link>https://n.example/?p=1</link>",
    "<link>https://n.example/?p=12&amp;utm_medium=x</link>",
    "<link>https://n.example/?p=12</link>",
    "<link>/a</link>",
    "<link>../b</link>",
    "<link>https://n.example/caf%c3%a9</link>",
    "<link>https://n.example/café</link>",
    "<link>https://n.example/</link>",
    "<link>javascript:x</link>",
    "<link href='https://n.example/b'/>",
    "<link rel='self' href='https://n.example/a'/><link href='/a'/>",
    "<link xml:base='https://m.example/'>a</link>",
    "<x><link>https://n.example/a</link></x>",
]
TITLES = ["", "<title>T</title>", "<title>U</title>", "<title><![CDATA[</item><item>]]></title>"]
FIELDS = [
    "<description>&lt;p&gt;One.&lt;/p&gt;</description>",
    "<description>a<b>c</b></description>",
    "<description><summary>x</summary></description>",
    "<description>a</description><description>b</description>",
    "<content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'><img src='i.png'/></div></content>",
    "<content type='xhtml'><details><summary>s</summary>t</details></content>",
    "<content type='xhtml'><svg xmlns='http://www.w3.org/2000/svg'><title>x</title></svg></content>",
    "<author>Jo (jo@n.example)</author>",
    "<author><name>Al</name></author>",
    "<category>c</category><category>d</category>",
    "<pubDate>Tue, 24 Nov 2026 10:00:00 GMT</pubDate>",
    "<updated>2026-11-24T10:00:00Z</updated>",
    "<m:content xmlns:m='http://search.yahoo.com/mrss/' url='/m.jpg' medium='image'/>",
    "<m:content xmlns:m='urn:other'>x</m:content>",
    "<m:title>undeclared</m:title>",
    "<enclosure url='/e.jpg' type='image/jpeg'/>",
    "<image><url>/i.png</url><title>I</title><link>https://n.example/a</link></image>",
    "<textinput><title>I</title></textinput>",
    "<source url='https://o.example/'><title>O</title><id>1</id></source>",
    "<language>pt</language>",
    "<!-- <item><title>no</title></item> -->",
    "<?php echo '</item>' ?>",
    "<item><title>inner</title></item>",
    "text",
]
TAGS = ["", " xml:lang='pt'", " xml:base='https://n.example/'", " xml:base='x/'", " rdf:about='https://n.example/a'"]
BETWEEN = [
    "",
    "\n  ",
    "<!-- <item> -->",
    "<title>Again</title>",
    "<link>https://n.example/</link>",
    "<language>es</language>",
    "<image><url>/i.png</url><title>I</title></image>",
    "<item/>",
    "<f:item xmlns:f='urn:f'><guid>1</guid></f:item>",
    "<f:item xmlns:f='urn:f'><item><guid>4</guid></item></f:item>",
]
RDF = "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'"
# A channel without items and version is no feed: it always has one here.
SHELLS = [
    ("<rss version='2.0'", "<channel><title>S</title>", "item", "</channel></rss>"),
    ("<rss", "<channel xml:lang='de'>", "item", "</channel></rss>"),
    ("<channel", "<item><guid>0</guid></item>", "item", "</channel>"),
    ("<feed xmlns='http://www.w3.org/2005/Atom'", "<title>S</title>", "entry", "</feed>"),
    (f"<rdf:RDF xmlns='http://purl.org/rss/1.0/' {RDF}", "<channel><title>S</title></channel>", "item", "</rdf:RDF>"),
    ("<a:feed xmlns:a='http://www.w3.org/2005/Atom'", "", "a:entry", "</a:feed>"),
]
ON_ROOT = ["", " xml:base='https://n.example/x/'", " xml:lang='fr'", " xmlns:m='urn:m'"]


@st.composite
def items(draw: st.DrawFn) -> str:
    """What is inside one item."""
    parts = [draw(st.sampled_from(choice)) for choice in (GUIDS, LINKS, TITLES)]
    parts += draw(st.lists(st.sampled_from(FIELDS), max_size=3))
    return "".join(draw(st.permutations(parts)))


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A document of one of the formats, in which items share names, hold what misleads, or stand twice."""
    opening, channel, tag, closing = draw(st.sampled_from(SHELLS))
    pool = draw(st.lists(items(), min_size=1, max_size=5))
    shown = draw(st.lists(st.sampled_from(pool), max_size=7))
    body = [f"{opening}{draw(st.sampled_from(ON_ROOT))}>", channel]
    for item in shown:
        attributes = draw(st.sampled_from(TAGS)) if "rdf:" in opening else draw(st.sampled_from(TAGS[:-1]))
        body += [f"<{tag}{attributes}>{item}</{tag}>", draw(st.sampled_from(BETWEEN))]
    return "".join([*body, closing]).encode()


TEXTS = st.sampled_from(["", "1", "https://n.example/a", "https://n.example/a/?utm_id=1", "/a", "x"])
VALUES = TEXTS | st.none() | st.integers(0, 2) | st.lists(TEXTS, max_size=2)
OBJECTS = st.dictionaries(
    st.sampled_from(["id", "url", "external_url", "title", "content_html", "summary", "image", "tags", "_x"]), VALUES
)


@st.composite
def json_documents(draw: st.DrawFn) -> bytes:
    """A JSON Feed in which items share names, or stand twice."""
    pool = draw(st.lists(OBJECTS, min_size=1, max_size=5))
    shown = draw(st.lists(st.sampled_from(pool), max_size=7))
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": shown}).encode()


CHOICES = st.lists(st.booleans(), min_size=20, max_size=20)


@settings(max_examples=60, deadline=None)
@given(body=st.sampled_from([*GOLDEN, DEMO]), choose=CHOICES)
def test_of_a_real_document_the_rest_is_read_as_in_the_whole(body: bytes, choose: list[bool]) -> None:
    check_cut(body, choose)


@settings(max_examples=250, deadline=None)
@given(body=documents(), choose=CHOICES)
def test_of_a_made_document_the_rest_is_read_as_in_the_whole(body: bytes, choose: list[bool]) -> None:
    check_cut(body, choose)


@settings(max_examples=100, deadline=None)
@given(body=json_documents(), choose=CHOICES)
def test_of_a_json_feed_the_rest_is_read_as_in_the_whole(body: bytes, choose: list[bool]) -> None:
    check_cut(body, choose)


@pytest.mark.long
@settings(max_examples=20_000, deadline=None)
@given(body=documents() | json_documents() | st.sampled_from([*GOLDEN, DEMO]), choose=CHOICES)
def test_of_very_many_documents_the_rest_is_read_as_in_the_whole(body: bytes, choose: list[bool]) -> None:
    check_cut(body, choose)


# --- rules -----------------------------------------------------------------------------------------------------------

ONE = "<item><guid>1</guid><link>https://n.example/1</link><title>A</title></item>"
TWO = "<item><guid>2</guid><link>https://n.example/2</link><title>B</title></item>"


def known_of(*items: str) -> bytes:
    """The digests of these items, from a document that holds no others."""
    return read(rss(*items)).item_digests


def test_nothing_is_left_to_read_where_all_was_in_the_last_document() -> None:
    document = read(rss(ONE, TWO), known_of(TWO, ONE))
    assert (document.title, document.items, document.cut) == ("S", (), 2)
    assert document.item_digests == known_of(ONE, TWO)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(ONE.replace("A", "B"), id="a letter"),
        pytest.param(ONE.replace("</item>", " </item>"), id="a blank"),
        pytest.param(ONE.replace("<item>", "<item xml:lang='pt'>"), id="an attribute"),
    ],
)
def test_an_item_whose_bytes_changed_is_read(changed: str) -> None:
    document = read(rss(changed, TWO), known_of(ONE, TWO))
    assert ([item.guid for item in document.items], document.cut) == (["1"], 1)


def test_items_equal_byte_for_byte_are_known_or_new_together() -> None:
    body = rss(ONE, TWO, ONE)
    assert [item.guid for item in read(body, known_of(TWO)).items] == ["1", "1"]
    assert [item.guid for item in read(body, known_of(ONE)).items] == ["2"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_an_item_is_known_in_another_encoding_and_with_another_prolog(encoding: str) -> None:
    item = ONE.replace("A", "Café")
    prolog = f"<?xml version='1.0' encoding='{'windows-1252' if encoding == 'cp1252' else 'utf-8'}'?><!DOCTYPE rss>"
    body = (prolog + rss(item).decode()).encode(encoding)
    assert (read(body, known_of(item)).items, read(body).items) == ((), read(rss(item)).items)


def test_an_item_of_json_is_known_whatever_the_order_of_its_keys() -> None:
    start = b'{"version": "https://jsonfeed.org/version/1.1", "items": ['
    known = read(start + b'{"id": "1", "title": "A"}]}').item_digests
    document = read(start + b'{"title":"A","id":"1"}, {"id": "2"}]}', known)
    assert ([item.guid for item in document.items], document.cut) == (["2"], 1)


@pytest.mark.parametrize("place", ["<channel", "<item"])
def test_an_item_whose_link_is_relative_to_a_base_can_be_known(place: str) -> None:
    body = rss("<item><link>a</link><title>A</title></item>").replace(
        place.encode(), f"{place} xml:base='https://n.example/x/'".encode()
    )
    document = read(body)
    assert document.items[0].link == "https://n.example/x/a"
    assert read(body, document.item_digests).cut == 1


def test_what_stands_around_an_item_does_not_make_it_new() -> None:
    body = rss(ONE).replace(b"<channel>", b"<channel xml:lang='pt'>").replace(b"S<", b"Another title<")
    assert read(body, known_of(ONE)).items == ()


@pytest.mark.fault("F21")
@pytest.mark.parametrize(
    ("new", "kept"),
    [
        pytest.param("<guid>1</guid><link>https://n.example/9</link>", ["9", "1"], id="guid"),
        pytest.param("<guid>9</guid><link>http://N.example/1/?utm_source=x</link>", ["9", "1"], id="link"),
        pytest.param("<guid>https://n.example/2</guid>", ["9", "2"], id="guid that is the link"),
        pytest.param("<guid>9</guid><link>HTTPS://n.example/Ab%C3%A9</link>", ["9", "C"], id="escapes in another case"),
        pytest.param("<guid>9</guid><link>https://n.example/Abé</link>", ["9", "C"], id="without escapes"),
        pytest.param("<guid>9</guid><link>https://n.example/?Page=7</link>", ["9", "D"], id="query alone"),
        pytest.param("<guid>9</guid><link>https://n.example/12</link>", ["9"], id="the beginning of a link"),
        pytest.param("<guid>9</guid><link>https://n.example/3</link>", ["9", "1", "3"], id="by another item"),
    ],
)
def test_f21_an_item_that_shares_a_name_with_a_new_one_is_read_too(new: str, kept: list[str]) -> None:
    third = "<item><guid>1</guid><link>https://n.example/3</link><title>3</title></item>"
    escaped = "<item><guid>4</guid><link>https://n.example/Ab%c3%A9/</link><title>C</title></item>"
    query = "<item><guid>5</guid><link>https://n.example?utm_id=x&amp;Page=7&amp;</link><title>D</title></item>"
    others = [ONE, TWO, escaped, query, *([third] if kept[-1] == "3" else [])]
    document = read(rss(f"<item>{new}<title>9</title></item>", *others), known_of(*others))
    titles = {"1": "A", "2": "B"}
    assert [item.title for item in document.items] == [titles.get(name, name) for name in kept]


@pytest.mark.parametrize(
    "item",
    [
        pytest.param("<item><title>A</title></item>", id="no guid and no link"),
        pytest.param("<item><link>https://n.example/</link><title>A</title></item>", id="the site as link"),
        pytest.param("<item><x><guid>7</guid></x></item>", id="a guid where none is expected"),
        pytest.param("<item><guid>1</guid><item><guid>2</guid></item></item>", id="items in an item"),
    ],
)
def test_an_item_that_is_not_surely_told_from_others_is_read_each_time(item: str) -> None:
    document = read(rss(item, ONE))
    assert read(rss(item, ONE), document.item_digests) == replace(document, items=document.items[:-1], cut=1)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(rss(ONE, TWO.replace("B", "B</b>")), id="not well-formed"),
        pytest.param(rss(ONE, TWO)[:-20], id="cut short"),
    ],
)
def test_a_broken_document_is_read_whole_and_leaves_no_digests(body: bytes) -> None:
    document = read(body, known_of(ONE, TWO))
    assert (document.items[0].title, document.item_digests, document.cut) == ("A", b"", 0)


def test_a_document_with_a_usual_flaw_is_cut() -> None:
    body = rss(ONE, TWO.replace("B", "B &nbsp; &amp; C & D")) + b"<!-- cached -->"
    document = read(body, known_of(ONE))
    assert ([item.title for item in document.items], document.cut) == (["B & C & D"], 1)


def numbered(count: int) -> bytes:
    """A document with so many items."""
    return rss(*(f"<item><guid>{number}</guid></item>" for number in range(count)))


@pytest.mark.fault("F13")
def test_f13_of_many_items_the_first_500_new_ones_are_read_and_only_the_others_stay_unknown() -> None:
    first = read(numbered(700))
    assert (len(first.items), len(digests_of(first))) == (500, 500)
    assert first.partial is not None
    second = read(numbered(700), first.item_digests)
    assert [item.guid for item in second.items] == [str(number) for number in range(500, 700)]
    assert (second.cut, second.partial, len(digests_of(second))) == (500, None, 700)


@pytest.mark.fault("F13")
def test_f13_items_far_down_are_never_taken_for_known() -> None:
    document = read(numbered(2600), read(numbered(500)).item_digests)
    assert [item.guid for item in document.items] == [str(number) for number in range(500, 1000)]
    assert len(digests_of(document)) == 1000
    assert document.partial is not None
    assert document.partial.startswith("2600 items, of which 1600 were not read")


@pytest.mark.parametrize("count", [0, 1, 2600])
def test_what_the_document_says_for_all_is_read_without_any_item(count: int) -> None:
    assert frame(check(numbered(count).replace(b"</channel>", b"<ttl>5</ttl></channel>"))) == rss("<ttl>5</ttl>")


def test_knowing_all_but_one_item_saves_most_of_the_work() -> None:
    items = [f"<item><guid>{number}</guid><description>{'word ' * 200}</description></item>" for number in range(200)]
    known = known_of(*items[1:])
    started = time.process_time()
    assert len(read(rss(*items)).items) == 200
    whole = time.process_time() - started
    started = time.process_time()
    assert len(read(rss(*items), known).items) == 1
    assert time.process_time() - started < whole / 4
