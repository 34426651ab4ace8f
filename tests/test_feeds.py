"""Feeds: what is asked, what is stored of the answer, and what a document comes to."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopublish.articles import normalise_link
from autopublish.errors import ComposeError, FeedMalformed, FeedUnreachable
from autopublish.feeds.dates import parse_date
from autopublish.feeds.entries import LINK_LENGTH
from autopublish.feeds.fetch import LIMIT_BYTES, Fetched, fetch
from autopublish.feeds.parse import parse
from autopublish.models import Document, Feed, FeedSettings, Item, Validators
from autopublish.net import Client
from autopublish.posts import safe_link
from tests.servers.feed_site import DATE, Answer, FeedSite

DATA = Path(__file__).parent / "data" / "feeds"
URL = "https://feeds.example/a/feed.xml"
#: Two seconds before the Date of the site's answers.
NOW = datetime(2026, 11, 24, 9, 59, 58, tzinfo=UTC)
HOUR = timedelta(hours=1)
NO_VALIDATORS = Validators()
BODY = b"<rss version='2.0'><channel><title>S</title></channel></rss>"


def rss(*items: str, prolog: str = '<?xml version="1.0" encoding="UTF-8"?>') -> bytes:
    """An RSS document with these items, in UTF-8."""
    inner = "".join(f"<item>{item}</item>" for item in items)
    return f"{prolog}<rss version='2.0'><channel><title>S</title>{inner}</channel></rss>".encode()


def read(body: bytes, *, content_type: str | None = None, url: str = URL) -> Document:
    return parse(body, url=url, content_type=content_type)


def only(body: bytes, *, content_type: str | None = None) -> Item:
    """The one item of the document."""
    (item,) = read(body, content_type=content_type).items
    return item


# --- fetching --------------------------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[FeedSite]:
    with FeedSite() as site:
        yield site


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(user_agent="autopublish-test/1 (+https://operator.example)")
    yield client
    client.close()


def feed_at(url: str, *, validators: Validators = NO_VALIDATORS, last_full: datetime | None = NOW - HOUR) -> Feed:
    return Feed(
        id="f1",
        settings=FeedSettings(name="news", url=url, allow_private=True),
        validators=validators,
        last_full=last_full,
    )


def after(feed: Feed, fetched: Fetched, now: datetime = NOW) -> Feed:
    """The feed once a poll has saved what was fetched."""
    return replace(
        feed,
        validators=fetched.validators,
        body_hash=fetched.body_hash,
        last_full=now if fetched.full else feed.last_full,
    )


def test_an_answer_is_returned_with_all_that_a_poll_stores(site: FeedSite, client: Client) -> None:
    site.script("/feed/", Answer(body=BODY, headers={"ETag": '"a"', "Content-Type": "text/xml"}))
    fetched = fetch(feed_at(site.url("/feed/")), client, NOW)
    assert fetched == Fetched(
        status=200,
        validators=Validators(etag='"a"'),
        body=BODY,
        body_hash=sha256(BODY).hexdigest(),
        full=True,
        url=site.url("/feed/"),
        content_type="text/xml",
        server_offset=timedelta(seconds=2),
    )


def test_a_request_says_who_asks_and_what_it_reads(site: FeedSite, client: Client) -> None:
    site.script("/feed/", Answer(body=BODY))
    fetch(feed_at(site.url("/feed/")), client, NOW)
    (asked,) = site.asked
    assert asked.headers["User-Agent"] == "autopublish-test/1 (+https://operator.example)"
    assert asked.headers["Accept"].startswith("application/rss+xml")


@pytest.mark.fault("F01")
def test_f01_not_modified_keeps_the_body_hash_and_takes_fresh_validators(site: FeedSite, client: Client) -> None:
    modified = "Tue, 24 Nov 2026 08:00:00 GMT"
    site.script("/feed/", Answer(status=304, headers={"ETag": '"b"'}), Answer(status=304))
    known = Validators(etag='"a"', last_modified=modified)
    feed = replace(feed_at(site.url("/feed/"), validators=known), body_hash="0" * 64)
    fetched = fetch(feed, client, NOW)
    assert (fetched.status, fetched.body, fetched.body_hash, fetched.full) == (304, None, "0" * 64, False)
    assert fetched.validators == Validators(etag='"b"', last_modified=modified)
    fetch(after(feed, fetched), client, NOW)
    assert [asked.headers["If-None-Match"] for asked in site.asked] == ['"a"', '"b"']


def test_not_modified_to_an_unconditional_request_is_no_answer(site: FeedSite, client: Client) -> None:
    site.script("/feed/", Answer(status=304))
    with pytest.raises(FeedUnreachable, match="without validators"):
        fetch(feed_at(site.url("/feed/")), client, NOW)


@pytest.mark.fault("F02")
def test_f02_validators_go_back_byte_for_byte_when_only_the_etag_changed(site: FeedSite, client: Client) -> None:
    modified = "Mon, 23 Nov 2026 08:00:00 GMT"
    tags = ['W/"a-gzip"', '"b;c"']
    site.script(
        "/feed/", *(Answer(body=tag.encode(), headers={"ETag": tag, "Last-Modified": modified}) for tag in tags)
    )
    feed = feed_at(site.url("/feed/"))
    for _ in range(3):
        feed = after(feed, fetch(feed, client, NOW))
    assert [asked.headers.get("If-None-Match") for asked in site.asked] == [None, *tags]
    assert [asked.headers.get("If-Modified-Since") for asked in site.asked] == [None, modified, modified]


@pytest.mark.fault("F03")
def test_f03_the_old_validators_are_sent_until_new_ones_are_saved(site: FeedSite, client: Client) -> None:
    site.script("/feed/", Answer(body=BODY, headers={"ETag": '"new"'}))
    feed = feed_at(site.url("/feed/"), validators=Validators(etag='"old"'))
    first, second = fetch(feed, client, NOW), fetch(feed, client, NOW)
    assert [asked.headers["If-None-Match"] for asked in site.asked] == ['"old"', '"old"']
    assert first.body == second.body == BODY


@pytest.mark.fault("F04")
def test_f04_no_validators_are_invented_and_a_known_body_is_not_returned(site: FeedSite, client: Client) -> None:
    site.script("/feed/", Answer(body=BODY))
    feed = feed_at(site.url("/feed/"))
    first = fetch(feed, client, NOW)
    second = fetch(after(feed, first), client, NOW)
    assert (first.body, second.body) == (BODY, None)
    assert second.body_hash == first.body_hash
    for asked in site.asked:
        assert not {"if-none-match", "if-modified-since"} & {name.lower() for name in asked.headers}


@pytest.mark.parametrize(
    ("last_full", "conditional"),
    [
        pytest.param(NOW - timedelta(hours=23), True, id="within the day"),
        pytest.param(NOW - timedelta(hours=24), False, id="a day ago"),
        pytest.param(None, False, id="never"),
    ],
)
def test_once_a_day_a_feed_is_asked_without_validators(
    site: FeedSite, client: Client, last_full: datetime | None, conditional: bool
) -> None:
    site.script("/feed/", Answer(body=BODY))
    feed = feed_at(site.url("/feed/"), validators=Validators(etag='"a"'), last_full=last_full)
    assert fetch(feed, client, NOW).full is not conditional
    assert ("If-None-Match" in site.asked[0].headers) is conditional


@pytest.mark.parametrize(
    ("last_modified", "trusted"),
    [
        pytest.param("Tue, 24 Nov 2026 09:59:54 GMT", True, id="six seconds before the answer"),
        pytest.param("Tue, 24 Nov 2026 09:59:55 GMT", False, id="five seconds before"),
        pytest.param(DATE, False, id="in the same second"),
        pytest.param("Tue, 24 Nov 2026 10:00:59 GMT", False, id="a minute ahead"),
        pytest.param("some time ago", True, id="not a date"),
    ],
)
def test_validators_of_the_moment_of_the_answer_are_not_trusted(
    site: FeedSite, client: Client, last_modified: str, trusted: bool
) -> None:
    site.script("/feed/", Answer(body=BODY, headers={"ETag": '"a"', "Last-Modified": last_modified}))
    expected = Validators(etag='"a"', last_modified=last_modified) if trusted else Validators()
    assert fetch(feed_at(site.url("/feed/")), client, NOW).validators == expected


@pytest.mark.fault("F05")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        pytest.param("120", timedelta(minutes=2), id="seconds"),
        pytest.param("Tue, 24 Nov 2026 10:10:00 GMT", timedelta(minutes=10), id="date by the server's clock"),
        pytest.param("Tuesday, 24-Nov-26 10:10:00 GMT", timedelta(minutes=10), id="old form of a date"),
        pytest.param("2592000", timedelta(days=7), id="30 days"),
        pytest.param("9" * 400, timedelta(days=7), id="endless"),
        pytest.param("Tue, 24 Nov 2026 09:00:00 GMT", None, id="date gone by"),
        pytest.param("0", None, id="no time"),
        pytest.param("-5", None, id="negative"),
        pytest.param("soon", None, id="garbage"),
        pytest.param("", None, id="absent"),
    ],
)
def test_f05_the_wait_that_a_busy_site_asks_for_is_told(
    site: FeedSite, client: Client, status: int, retry_after: str, wait: timedelta | None
) -> None:
    site.script("/feed/", Answer(status=status, headers={"Retry-After": retry_after}))
    with pytest.raises(FeedUnreachable) as caught:
        fetch(feed_at(site.url("/feed/")), client, NOW - HOUR)
    assert (caught.value.status, caught.value.wait) == (status, wait)


@pytest.mark.fault("F08")
@pytest.mark.parametrize("status", [302, 303, 307])
def test_f08_a_temporary_redirect_is_followed_and_not_learnt(site: FeedSite, client: Client, status: int) -> None:
    site.script("/feed", Answer(status=status, headers={"Location": "/feed/"}))
    site.script("/feed/", Answer(body=BODY))
    fetched = fetch(feed_at(site.url("/feed")), client, NOW)
    assert (fetched.body, fetched.url, fetched.permanent_url) == (BODY, site.url("/feed/"), None)


def test_a_permanent_redirect_tells_the_new_address(site: FeedSite, client: Client) -> None:
    site.script("/feed", Answer(status=301, headers={"Location": "/feed/"}))
    site.script("/feed/", Answer(body=BODY))
    assert fetch(feed_at(site.url("/feed")), client, NOW).permanent_url == site.url("/feed/")


@pytest.mark.fault("F08")
def test_f08_a_redirect_loop_fails_the_poll(site: FeedSite, client: Client) -> None:
    site.script("/a", Answer(status=302, headers={"Location": "/b"}))
    site.script("/b", Answer(status=302, headers={"Location": "/a"}))
    with pytest.raises(FeedUnreachable):
        fetch(feed_at(site.url("/a")), client, NOW)
    assert len(site.asked) <= 6


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(410, marks=pytest.mark.fault("F09"), id="F09 gone"),
        pytest.param(404, marks=pytest.mark.fault("F10"), id="F10 not found"),
        pytest.param(403, marks=pytest.mark.fault("F10"), id="F10 forbidden"),
        pytest.param(500, id="error of the server"),
        pytest.param(204, id="no content"),
        pytest.param(206, id="a part"),
    ],
)
def test_f09_f10_any_other_status_is_no_answer_even_with_a_feed_in_it(
    site: FeedSite, client: Client, status: int
) -> None:
    # WordPress sends a well-formed empty feed with its 404.
    site.script("/feed/", Answer(status=status, body=b"" if status == 204 else BODY))
    with pytest.raises(FeedUnreachable) as caught:
        fetch(feed_at(site.url("/feed/")), client, NOW)
    assert (caught.value.status, caught.value.wait) == (status, None)


@pytest.mark.fault("F12")
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(body=BODY, cut_at=30), id="fewer bytes than the length said"),
        pytest.param(Answer(body=BODY, cut_at=30, reset=True), id="reset in the body"),
        pytest.param(Answer(body=BODY, framing="chunked", cut_at=50), id="cut in a chunk"),
        pytest.param(Answer(body=BODY, framing="chunked", cut_at=len(BODY) + 8), id="no last chunk"),
        pytest.param(
            Answer(body=gzip.compress(BODY)[:-9], framing="close", headers={"Content-Encoding": "gzip"}),
            id="compressed and closed early",
        ),
    ],
)
def test_f12_nothing_is_taken_of_an_answer_that_is_cut_short_by_its_framing(
    site: FeedSite, client: Client, answer: Answer
) -> None:
    site.script("/feed/", answer)
    with pytest.raises(FeedUnreachable):
        fetch(feed_at(site.url("/feed/")), client, NOW)


def test_an_answer_over_the_limit_is_no_answer(site: FeedSite, client: Client) -> None:
    bomb = gzip.compress(b"x" * (LIMIT_BYTES + 1))
    site.script("/feed/", Answer(body=bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(FeedUnreachable, match="larger"):
        fetch(feed_at(site.url("/feed/")), client, NOW)


def test_a_private_address_is_asked_only_if_the_feed_allows_it(site: FeedSite, client: Client) -> None:
    feed = feed_at(site.url("/feed/"))
    with pytest.raises(FeedUnreachable):
        fetch(replace(feed, settings=replace(feed.settings, allow_private=False)), client, NOW)
    assert site.asked == []


def test_a_file_is_read_and_known_by_its_hash(tmp_path: Path, client: Client) -> None:
    path = tmp_path / "a feed.xml"
    path.write_bytes(BODY)
    feed = feed_at(path.as_uri())
    first = fetch(feed, client, NOW)
    assert (first.status, first.body, first.full, first.validators) == (200, BODY, True, Validators())
    assert fetch(after(feed, first), client, NOW).body is None


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("file:///nowhere/feed.xml", id="missing"),
        pytest.param("file:///dev/zero", id="device"),
        pytest.param("file:///tmp", id="folder"),
        pytest.param("file://other.example/feed.xml", id="of another machine"),
        pytest.param("file:///a%00b", id="no name of a file"),
    ],
)
def test_what_is_no_file_cannot_be_reached(url: str, client: Client) -> None:
    with pytest.raises(FeedUnreachable):
        fetch(feed_at(url), client, NOW)


def test_a_file_over_the_limit_is_refused(tmp_path: Path, client: Client) -> None:
    path = tmp_path / "feed.xml"
    path.write_bytes(b"x" * (LIMIT_BYTES + 1))
    with pytest.raises(FeedMalformed, match="larger"):
        fetch(feed_at(path.as_uri()), client, NOW)


# --- documents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted(path for path in DATA.iterdir() if path.suffix != ".json"), ids=lambda path: path.stem
)
def test_a_document_gives_the_articles_beside_it(path: Path) -> None:
    document = asdict(read(path.read_bytes()))
    assert len(document.pop("item_digests")) == 8 * len(document["items"])
    assert document.pop("cut") == 0
    stated = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(document, default=lambda moment: moment.isoformat())) == stated


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", "empty", marks=pytest.mark.fault("F11"), id="F11 nothing"),
        pytest.param(b" \n", "empty", marks=pytest.mark.fault("F11"), id="F11 blanks"),
        pytest.param(
            b"<!DOCTYPE html><html><head><title>Just a\nmoment...</title></head><body>challenge</body></html>",
            r"a web page \(Just a moment\.\.\.\)",
            marks=pytest.mark.fault("F10"),
            id="F10 bot wall",
        ),
        pytest.param(
            b"<?xml version='1.0'?>\n<!-- proxy -->\n<html xmlns='http://www.w3.org/1999/xhtml'><body/></html>",
            "a web page, not a feed",
            marks=pytest.mark.fault("F11"),
            id="F11 maintenance page in XML",
        ),
        pytest.param(b'{"error": "maintenance"}', "not a feed: JSON", marks=pytest.mark.fault("F11"), id="F11 JSON"),
        pytest.param(b"<opml><body/></opml>", "not a feed", id="another XML document"),
        pytest.param(b"<channel/>", "not a feed", id="looks like RSS and is not"),
    ],
)
def test_f10_f11_what_is_no_feed_is_told_as_what_it_is(body: bytes, words: str) -> None:
    with pytest.raises(FeedMalformed, match=words):
        read(body, content_type="text/html")


@pytest.mark.fault("F11")
def test_f11_a_feed_without_items_is_a_document_without_items() -> None:
    document = read(rss())
    assert (document.title, document.items, document.partial) == ("S", (), None)


WHOLE = rss("<title>One</title><guid>1</guid>", "<title>Two</title><guid>2</guid>")


@pytest.mark.fault("F12")
@pytest.mark.parametrize("end", range(WHOLE.index(b"</item>") + 7, len(WHOLE)))
def test_f12_a_document_cut_at_any_byte_gives_its_whole_items_and_says_so(end: int) -> None:
    document = read(WHOLE[:end])
    second_is_whole = end >= WHOLE.rindex(b"</item>") + 7
    assert [item.title for item in document.items] == (["One", "Two"] if second_is_whole else ["One"])
    assert document.partial is not None


@pytest.mark.fault("F12")
def test_f12_half_an_item_is_not_taken_of_a_broken_document_either() -> None:
    body = rss("<title>Q & A</b></title>", "<title>Two</title>")
    document = read(body[: body.rindex(b"wo</title>")])
    assert [item.title for item in document.items] == ["Q & A"]
    assert document.partial is not None


@pytest.mark.fault("F12")
@pytest.mark.parametrize("body", [WHOLE[: WHOLE.index(b"</item>")], b"<rss><channel><item></x><title>On"])
def test_f12_a_document_without_a_whole_item_fails_the_poll(body: bytes) -> None:
    with pytest.raises(FeedMalformed, match="ends early"):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\r\n \n" + WHOLE, id="blank lines before"),
        pytest.param(b"\xef\xbb\xbf" + WHOLE, id="byte order mark"),
        pytest.param(b"<br />\n<b>Notice</b>: Undefined index in <b>x.php</b>\n" + WHOLE, id="notice of a plug-in"),
        pytest.param(WHOLE + b"<!-- cached --><script>x</script>", id="junk after the end"),
        pytest.param(WHOLE.replace(b"One", b"O\x00n\x0be"), id="control characters"),
        pytest.param(WHOLE.replace(b"<rss ", b"<!DOCTYPE rss SYSTEM 'rss.dtd'><rss "), id="DOCTYPE"),
        pytest.param(WHOLE.replace(b"One", b"&nbsp;One"), id="entity of HTML"),
        pytest.param(WHOLE.replace(b"One", b"One</b>"), id="end tag of nothing"),
        pytest.param(WHOLE.replace(b"<guid>", b"<x:y>z</x:y><guid>"), id="undeclared prefix"),
    ],
)
def test_a_document_with_a_usual_flaw_is_read_whole(body: bytes) -> None:
    document = read(body)
    assert [(item.guid, item.title) for item in document.items] == [("1", "One"), ("2", "Two")]
    assert document.partial is None


@pytest.mark.fault("F13")
def test_f13_of_many_items_the_first_500_are_read_and_the_rest_is_told() -> None:
    started = time.process_time()
    document = read(rss(*(f"<guid>{number}</guid><title>t</title>" for number in range(20_000))))
    assert time.process_time() - started < 3
    assert [item.guid for item in document.items] == [str(number) for number in range(500)]
    assert document.partial is not None
    assert "20000" in document.partial


def test_of_many_items_of_a_broken_document_the_first_500_are_read() -> None:
    document = read(rss("<title>a</b></title>", *(f"<guid>{number}</guid>" for number in range(600))))
    assert (len(document.items), document.items[-1].guid) == (500, "498")
    assert document.partial is not None


EXPONENTIAL = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 20))


@pytest.mark.fault("F14")
@pytest.mark.parametrize(
    ("declared", "used"),
    [
        pytest.param(f'<!ENTITY e0 "boom">{EXPONENTIAL}', "&e19;", id="exponential"),
        pytest.param(f'<!ENTITY e0 "{"x" * 50_000}">', "&e0;" * 20_000, id="quadratic"),
    ],
)
def test_f14_entities_of_a_document_are_not_expanded(declared: str, used: str) -> None:
    started = time.process_time()
    item = only(rss(f"<title>Safe</title><description>{used}</description>", prolog=f"<!DOCTYPE rss [{declared}]>"))
    assert item.title == "Safe"
    assert "xx" not in item.text
    assert "boom" not in item.text
    assert time.process_time() - started < 1


@pytest.mark.fault("F15")
@pytest.mark.parametrize(
    "doctype",
    [
        pytest.param('<!DOCTYPE rss [<!ENTITY e SYSTEM "{file}">]>', id="file"),
        pytest.param('<!DOCTYPE rss [<!ENTITY e SYSTEM "{url}">]>', id="URL"),
        pytest.param('<!DOCTYPE rss [<!ENTITY % p SYSTEM "{url}"> %p;]>', id="parameter entity"),
        pytest.param('<!DOCTYPE rss SYSTEM "{url}">', id="DTD"),
    ],
)
def test_f15_nothing_outside_a_document_is_opened(doctype: str, site: FeedSite, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("SECRET", encoding="utf-8")
    prolog = doctype.format(file=secret.as_uri(), url=site.url("/evil.dtd"))
    assert "SECRET" not in only(rss("<title>A&e;</title>", prolog=prolog)).title
    assert site.asked == []


@pytest.mark.fault("F16")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(
            rss(f"<a {' '.join(f'a{n}=``' for n in range(100_000))}/>".replace("`", '"')), "attributes", id="attributes"
        ),
        pytest.param(rss("<a>" * 100_000), "deep", id="depth"),
        pytest.param(rss("<category>c</category>" * 20_000), "elements", id="elements of an item"),
        pytest.param(rss("</x>" + "<category>c</category>" * 20_000), "not well-formed", id="broken and large"),
        pytest.param(
            rss("").replace(b"<item>", b"<category>c</category>" * 20_000 + b"<item>"),
            "elements outside of items",
            id="elements outside of items",
        ),
        pytest.param(
            rss(*[""] * 500).replace(b"<channel>", b"<channel a='" + b"x" * 100_000 + b"'>"),
            "tags of more than",
            id="tags that are read again with each item",
        ),
    ],
)
def test_f16_a_document_that_costs_too_much_is_refused_at_once(body: bytes, words: str) -> None:
    started = time.process_time()
    with pytest.raises(FeedMalformed, match=f"refused.*{words}"):
        read(body)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("<!--" * 80_000, id="unclosed comments"),
        pytest.param("<div>" * 60_000, id="nested"),
        pytest.param('<img alt="' * 40_000, id="unclosed attributes"),
        pytest.param("<img" + " " * 100_000 + '"', id="blanks in a tag"),
        pytest.param("<img a" + " " * 100_000 + '"', id="blanks after an attribute"),
        pytest.param("The post " * 40_000, id="beginnings of a footer"),
        pytest.param("[...] " * 60_000, id="endings of an excerpt"),
        pytest.param(" " * 400_000, id="blanks"),
    ],
)
@pytest.mark.fault("F16")
def test_f16_hostile_html_in_an_item_is_read_in_time(source: str) -> None:
    started = time.process_time()
    assert only(rss(f"<title>Safe</title><description><![CDATA[x{source}x]]></description>")).title == "Safe"
    assert time.process_time() - started < 2


DECLARED = '<?xml version="1.0" encoding="{}"?>'


@pytest.mark.parametrize(
    ("encoding", "declared", "content_type"),
    [
        pytest.param("utf-8", "", None, id="UTF-8, not declared"),
        pytest.param("utf-8", "iso-8859-1", "text/xml; charset=iso-8859-1", id="UTF-8, declared otherwise"),
        pytest.param("utf-8-sig", "windows-1252", None, id="UTF-8 with a mark"),
        pytest.param("cp1252", "ISO-8859-1", None, id="windows-1252 as Latin-1"),
        pytest.param("cp1252", "", None, id="windows-1252, not declared"),
        pytest.param("cp1252", "", "application/xml; charset='windows-1252'", id="by the header"),
        pytest.param("utf-16", "utf-16", None, id="UTF-16 with a mark"),
        pytest.param("utf-16-be", "utf-16", None, id="UTF-16 without"),
        pytest.param("cp1252", "utf-7", None, id="an encoding that is not allowed"),
        pytest.param("cp1252", "no-such-thing", "text/xml; charset=nor-this", id="unknown encodings"),
    ],
)
@pytest.mark.fault("F17")
def test_f17_the_encoding_is_found_whatever_is_declared(encoding: str, declared: str, content_type: str | None) -> None:
    prolog = DECLARED.format(declared) if declared else '<?xml version="1.0"?>'
    body = rss("<title>Café “à” €</title>", prolog=prolog).decode().encode(encoding)
    assert only(body, content_type=content_type).title == "Café “à” €"


@pytest.mark.parametrize(
    ("encoding", "declared", "text"),
    [
        pytest.param("cp932", "Shift_JIS", "日本語のニュース", id="Shift JIS"),
        pytest.param("iso-2022-jp", "ISO-2022-JP", "日本語のニュース", id="ISO 2022"),
        pytest.param("euc-kr", "euc-kr", "새 소식", id="EUC-KR"),
        pytest.param("gb18030", "gb2312", "新闻頭條", id="GB 18030"),
        pytest.param("koi8-r", "koi8-r", "Новости", id="KOI8"),
        pytest.param("cp1251", "windows-1251", "Новости", id="windows-1251"),
    ],
)
def test_a_declared_encoding_is_taken_where_the_bytes_are_no_utf_8(encoding: str, declared: str, text: str) -> None:
    body = rss(f"<title>{text}</title>", prolog=DECLARED.format(declared)).decode().encode(encoding)
    assert only(body).title == text


@pytest.mark.fault("F17")
def test_f17_utf_7_does_not_become_markup() -> None:
    body = rss("<title>+ADw-script+AD4-</title>", prolog=DECLARED.format("utf-7"))
    assert only(body, content_type="text/xml; charset=utf-7").title == "+ADw-script+AD4-"


def test_a_few_bad_bytes_do_not_garble_what_says_that_it_is_utf_8() -> None:
    assert only(rss("<title>Café X</title>").replace(b"X", b"\xe9")).title == "Café �"


@pytest.mark.fault("F17")
@pytest.mark.parametrize("reference", ["&#xFFFFFFFF;", "&#0;", "&#x110000;", "&#;", "&#xD800;", f"&#{'9' * 5000};"])
def test_f17_bad_character_references_do_not_stop_a_poll(reference: str) -> None:
    assert only(rss(f"<title>A{reference}B</title><guid>1</guid>")).title.startswith("A")
    escaped = reference.replace("&", "&amp;")
    assert only(rss(f"<title>A{escaped}B</title><guid>1</guid>")).title.startswith("A")


@pytest.mark.fault("F17")
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_f17_a_damaged_document_is_read_or_refused_and_never_breaks_the_program(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 40))] = data.draw(
            st.sampled_from(FRAGMENTS) | st.binary(max_size=8)
        )
    try:
        document = read(bytes(body))
    except FeedMalformed:
        return
    for item in document.items:
        assert not any(character < " " for character in item.title + item.summary)


SAMPLES = [path.read_bytes() for path in sorted(DATA.glob("*.xml"))]
FRAGMENTS = [b"<item>", b"</item>", b"<![CDATA[", b"]]>", b"<!--", b"&#x1b;", b"<title>", b"\x00\x1b", b'"', b"</rss>"]


@pytest.mark.parametrize(
    ("written", "title"),
    [
        pytest.param("A & B", "A & B", id="bare ampersand"),
        pytest.param("A&B;C", "A&B;C", id="no such entity"),
        pytest.param("caf&eacute; &LT;3", "café <3", id="entities of HTML"),
        pytest.param("<![CDATA[A & B]]> & C", "A & B & C", id="CDATA beside it"),
    ],
)
def test_a_reference_that_xml_does_not_know_costs_nothing_else(written: str, title: str) -> None:
    filler = "<description>" + "word " * 50_000 + "</description>"
    item = only(rss(f"<guid>7</guid><title>{written}</title>{filler}"))
    assert (item.guid, item.title) == ("7", title)


@pytest.mark.fault("F18")
@pytest.mark.parametrize("raw", ["\0", "\x1b[31m", "\b", "\x9b", "\u202e", "&#27;", "&amp;#27;", "\ufeff", "\u2028"])
def test_f18_control_characters_do_not_reach_a_title(raw: str) -> None:
    title = only(rss(f"<title>A{raw}B</title>")).title
    assert title[0] + title[-1] == "AB"
    assert title.isprintable()


@pytest.mark.fault("H03")
@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param("&lt;b&gt;Bold&lt;/b&gt; move", "Bold move", id="escaped markup"),
        pytest.param("<![CDATA[<em>A</em> &amp; B]]>", "A & B", id="markup in CDATA"),
        pytest.param(
            "&lt;script&gt;alert(1)&lt;/script&gt;", "<script>alert(1)</script>", id="a script is shown as text"
        ),
        pytest.param("&lt;img src=x onerror=alert(1)&gt;", "<img src=x onerror=alert(1)>", id="an event handler too"),
        pytest.param("Tom &amp;amp; Jerry", "Tom & Jerry", id="escaped twice"),
        pytest.param("5 &lt; 6 &gt; 4", "5 < 6 > 4", id="comparison"),
        pytest.param("{{ 7*7 }} %s ${x}", "{{ 7*7 }} %s ${x}", id="code of templates"),
    ],
)
def test_h03_a_title_is_plain_text(source: str, text: str) -> None:
    assert only(rss(f"<title>{source}</title>")).title == text


@pytest.mark.fault("H03")
def test_h03_scripts_and_styles_of_a_body_are_dropped() -> None:
    source = "<p onclick='x'>A<script>evil()</script><style>p{}</style>B"
    assert only(rss(f"<description><![CDATA[{source}]]></description>")).text == "AB"


@pytest.mark.fault("H07")
def test_h07_a_huge_title_is_cut_and_a_flood_of_marks_is_thinned() -> None:
    assert len(only(rss(f"<title>{'word ' * 200_000}</title>")).title) <= 1000
    assert only(rss(f"<title>a{chr(0x301) * 500}b \u2066x \u200b\u200b👨‍👩‍👧</title>")).title == (
        f"a{chr(0x301) * 4}b x 👨‍👩‍👧"
    )


@pytest.mark.parametrize(
    ("item", "guid", "link"),
    [
        pytest.param(
            "<guid>https://n.example/a</guid>", "https://n.example/a", "https://n.example/a", id="guid is the link"
        ),
        pytest.param("<guid>123</guid>", "123", None, id="guid that only says so"),
        pytest.param("<guid>/a</guid>", "/a", "https://feeds.example/a", id="relative guid"),
        pytest.param(
            "<guid isPermaLink='false'>https://n.example/?p=1</guid>", "https://n.example/?p=1", None, id="opaque"
        ),
        pytest.param(
            "<guid> 7\n</guid><link> /x?a=1&amp;b=2 </link>", "7", "https://feeds.example/x?a=1&b=2", id="both"
        ),
        pytest.param(f"<id>8</id><guid>7</guid><link>{URL}</link>", "7", URL, id="guid before other ids"),
        pytest.param(f"<link>{URL}</link><guid>7</guid><id>8</id>", "7", URL, id="in either order"),
        pytest.param("<link>../b</link>", None, "https://feeds.example/b", id="relative link"),
        pytest.param("<link>java\nscript:alert(1)</link>", None, "javascript:alert(1)", id="H04 script"),
        pytest.param("<link></link><guid></guid>", None, None, id="empty"),
        pytest.param(
            "<link>123</link><guid>123</guid>", "123", "https://feeds.example/a/123", id="relative, as the guid"
        ),
    ],
)
def test_guid_and_link_are_as_the_item_means_them(item: str, guid: str | None, link: str | None) -> None:
    parsed = only(rss(f"<title>T</title>{item}"))
    assert (parsed.guid, parsed.link) == (guid, link)


_UNUSABLE = [
    "file:///etc/passwd",
    "http://[::1",
    "//[::1/x",
    "http:///x",
    "///x",
    "HTTP:127.0.0.1",
    "https:/x",
    "http:",
    "http://",
    "javascript:alert(1)",
    "mailto:a@n.example",
    "tag:n.example,2026:1",
]


@pytest.mark.fault("H04")
@pytest.mark.parametrize("address", _UNUSABLE)
@pytest.mark.parametrize("url", ["http://feeds.example/a/feed.xml", URL])
@pytest.mark.parametrize(
    "item",
    [
        pytest.param("<guid>7</guid><link>{}</link>", id="link"),
        pytest.param("<link> {}\n</link>", id="link with blanks"),
        pytest.param("<link><![CDATA[{}]]></link><guid>{}</guid>", id="as the guid"),
        pytest.param("<atom:link xmlns:atom='http://www.w3.org/2005/Atom' href='{}'/>", id="attribute"),
    ],
)
def test_h04_a_link_that_is_no_web_address_stays_as_it_is_written(item: str, url: str, address: str) -> None:
    link = read(rss(item.replace("{}", address)), url=url).items[0].link
    assert link == address
    assert normalise_link(link) is None
    with pytest.raises(ComposeError) as caught:
        safe_link(link)
    assert caught.value.hold == "link"


@pytest.mark.fault("H04")
@pytest.mark.parametrize("address", ["http:///x", "http://[::1"])
def test_h04_a_guid_that_is_the_link_stays_as_it_is_written(address: str) -> None:
    item = only(rss(f"<title>T</title><guid>{address}</guid>"))
    assert (item.guid, item.link) == (address, address)
    assert only(rss(f"<guid isPermaLink='false'>{address}</guid>")).link is None


@pytest.mark.fault("H04")
def test_h04_an_unusable_link_is_kept_without_controls_and_bounded() -> None:
    assert only(rss("<link>http:\n///\tx</link>")).link == "http:///x"
    assert len(only(rss(f"<link>javascript:{'a' * 100_000}</link>")).link or "") == LINK_LENGTH


@pytest.mark.fault("H04")
def test_h04_pictures_of_an_item_with_an_unusable_link_are_looked_for_on_the_site() -> None:
    item = only(
        rss("<link>http://[::1</link><description>&lt;img src='/p.jpg'> &lt;img src='http:///q.jpg'></description>")
    )
    assert [picture.url for picture in item.pictures] == ["https://feeds.example/p.jpg"]


@pytest.mark.fault("H04")
def test_h04_relative_links_of_a_local_file_stay_as_they_are_written() -> None:
    document = parse(
        rss("<link>a</link>", "<link>https://n.example/b</link>", "<title>T</title>"),
        url="file:///srv/feed.xml",
        content_type=None,
    )
    assert [item.link for item in document.items] == ["a", "https://n.example/b", None]


@pytest.mark.parametrize(
    ("description", "summary"),
    [
        pytest.param("Words and [&amp;hellip;]", "Words and…", id="ending of WordPress"),
        pytest.param("Words. [...]", "Words.", id="after a sentence"),
        pytest.param("A\n\n  B &lt;br&gt; C", "A B C", id="one paragraph"),
        pytest.param(f"{'word ' * 400}", None, id="long"),
        pytest.param("X. The post Some title appeared first on S.", "X.", id="footer without links"),
        pytest.param(
            "The post office appeared first on the hill.", "The post office appeared first on the hill.", id="no footer"
        ),
    ],
)
def test_a_summary_is_one_clean_paragraph(description: str, summary: str | None) -> None:
    body = rss(f"<description>{description}</description><link>https://n.example/a</link>")
    found = only(body).summary
    if summary is None:
        assert 900 < len(found) <= 1000
        assert found.endswith("word…")
    else:
        assert found == summary


def test_a_large_document_with_junk_after_its_end_is_read() -> None:
    body = rss(*(f"<guid>{number}</guid><description>{'word ' * 1000}</description>" for number in range(60)))
    assert [item.guid for item in read(body + b"<p>cached</p>").items] == [str(number) for number in range(60)]


def test_text_that_says_that_it_is_plain_keeps_what_looks_like_markup() -> None:
    entry = b"<entry><id>a</id><summary>Use &lt;b> &amp;amp; x</summary></entry>"
    assert only(b"<feed xmlns='http://www.w3.org/2005/Atom'>" + entry + b"</feed>").summary == "Use <b> &amp; x"


@pytest.mark.parametrize("excerpt", ["Short.", "An excerpt that is longer than its body."])
@pytest.mark.parametrize("first", ["description", "content"])
def test_excerpt_and_body_are_told_apart_in_either_order(first: str, excerpt: str) -> None:
    parts = [f"<description>{excerpt}</description>", "<content:encoded>&lt;p&gt;The body.&lt;/p&gt;</content:encoded>"]
    ordered = parts if first == "description" else parts[::-1]
    prolog = "<rss xmlns:content='http://purl.org/rss/1.0/modules/content/'><channel><item>"
    item = only(f"{prolog}{''.join(ordered)}</item></channel></rss>".encode())
    assert (item.summary, item.text) == (excerpt, "The body.")


@pytest.mark.parametrize(
    ("source", "urls"),
    [
        pytest.param('<img src="a.jpg">', ["https://n.example/2026/a.jpg"], id="relative to the item"),
        pytest.param("<IMG ALT=x SRC=/a.jpg>", ["https://n.example/a.jpg"], id="without quotes"),
        pytest.param("<img src='data:image/png;base64,x'>", [], id="data"),
        pytest.param('<img src="x.gif" data-lazy-src="real.jpg">', ["https://n.example/2026/real.jpg"], id="lazy"),
        pytest.param('<img src="t.gif" width="1px" height="1">', [], id="tracker"),
        pytest.param('<img src="https://s.w.org/e.png"><img src="https://1.gravatar.com/a">', [], id="emoji and faces"),
        pytest.param('<img src="ftp://n.example/a.jpg"><img src="javascript:x">', [], id="other schemes"),
        pytest.param('<img src="a.jpg"><img src="a.jpg">', ["https://n.example/2026/a.jpg"], id="twice"),
        pytest.param('<img alt="a > b" src="a.jpg">', ["https://n.example/2026/a.jpg"], id="bracket in an attribute"),
        pytest.param("<img><img src=''>", [], id="none"),
    ],
)
def test_pictures_of_a_body_are_found(source: str, urls: list[str]) -> None:
    body = rss(f"<link>https://n.example/2026/post</link><description><![CDATA[{source}]]></description>")
    assert [media.url for media in only(body).pictures] == urls


@pytest.mark.parametrize(
    ("url", "source", "expected"),
    [
        ("file:///srv/demo/feed.xml", "pictures/a.jpg", ["file:///srv/demo/pictures/a.jpg"]),
        ("file:///srv/demo/feed.xml", "https://news.example/a.jpg", ["https://news.example/a.jpg"]),
        ("file:///srv/demo/feed.xml", "file:///etc/passwd", []),
        ("file:///srv/demo/feed.xml", "/etc/passwd", []),
        ("https://news.example/feed/", "pictures/a.jpg", ["https://news.example/1/pictures/a.jpg"]),
        ("https://news.example/feed/", "file:///srv/a.jpg", []),
    ],
)
def test_pictures_lie_beside_a_local_feed_and_on_the_web_for_every_other(
    url: str, source: str, expected: list[str]
) -> None:
    document = rss(
        f"<title>T</title><link>https://news.example/1/</link><description>&lt;img src='{source}'&gt;</description>"
    )
    [item] = parse(document, url=url, content_type=None).items
    assert [picture.url for picture in item.pictures] == expected


def test_a_stated_picture_comes_before_those_of_the_body_and_takes_its_alt_text() -> None:
    body = rss(
        "<link>https://n.example/p</link>"
        "<enclosure url='https://n.example/talk.mp3' type='audio/mpeg' length='1'/>"
        "<enclosure url='https://n.example/b.jpg' type='image/jpeg' length='0'/>"
        '<description><![CDATA[<img src="a.jpg" alt="First"><img src="/b.jpg" alt="Second &amp; last">]]></description>'
    )
    stated, other = only(body).pictures
    assert (stated.url, stated.alt, stated.type) == ("https://n.example/b.jpg", "Second & last", "image/jpeg")
    assert (other.url, other.alt) == ("https://n.example/a.jpg", "First")


# --- dates -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F28")
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon, 24 Nov 2025 10:00:00 +0000", "2025-11-24T10:00:00"),
        ("24 Nov 2025 10:00 GMT", "2025-11-24T10:00:00"),
        ("Mon, 24 Nov 25 10:00:00 Z", "2025-11-24T10:00:00"),
        ("Lun, 24 Nov 2025 10:00:00 +0000", "2025-11-24T10:00:00"),
        ("Mon, 24 Nov 2025 10:00:00 EST", "2025-11-24T15:00:00"),
        ("Mon, 24 November 2025 18:00:00 WITA", "2025-11-24T10:00:00"),
        ("Mon, 24 Nov 2025 10:00:00", "2025-11-24T10:00:00"),
        ("Mon, 24 Nov 2025 24:00:00 GMT", "2025-11-25T00:00:00"),
        ("Mon, 24 Nov 2025 10:00:60 GMT", "2025-11-24T10:01:00"),
        ("Sun, 30 Mar 2025 02:30:00 Europe/Lisbon", "2025-03-30T01:30:00"),
        ("Sun, 26 Oct 2025 01:30:00 Europe/Lisbon", "2025-10-26T00:30:00"),
        ("Sun, 30 Mar 2025 02:30:00 Europe/Paris", "2025-03-30T01:30:00"),
        ("Fri, 31 Dec 9999 23:59:59 +1400", "9999-12-31T09:59:59"),
        ("2025-11-24T10:00:00Z", "2025-11-24T10:00:00"),
        ("2025-11-24t10:00:00.123456789+05:30", "2025-11-24T04:30:00"),
        ("2025-11-24 10:00:00 +08", "2025-11-24T02:00:00"),
        ("2025-11-24", "2025-11-24T00:00:00"),
    ],
)
def test_f28_a_date_is_read_as_one_moment_in_utc(text: str, moment: str) -> None:
    assert parse_date(f"  {text}\n") == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.fault("F28")
@pytest.mark.parametrize(
    "text",
    [
        "", "Mon, 99 Foo 2025 10:00", "2025-13-45T99:99:99Z", "0000-00-00 00:00:00", "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -1400", "yesterday", "24/11/2025 10:00", "1764000000", "2025-11-24T10:00:00+99:00",
        "2025-11-24T10:00:00+05:99", "Mon, 24 Nov 2025 24:01:00 GMT", "Sat, 30 Feb 2025 10:00:00 GMT",
        "Mon, 24 Nov 2025 10:00:00 IST", "Mon, 24 Nov 2025 10:00:00 Mars/Olympus", "24 Nov 2025 10:00:00 ../../etc",
        "31 Dec 1994 23:59:59 GMT", "Mon, 24 Nov 2025 10:00:00 GMT and more", "9" * 100_000,
    ],
)  # fmt: skip
def test_f28_a_date_that_is_not_sure_is_none(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.fault("F28")
def test_f28_an_item_with_an_unreadable_date_has_none() -> None:
    assert only(rss("<title>T</title><pubDate>2025-13-01T00:00:00Z</pubDate>")).published is None


def test_what_one_item_holds_does_not_spoil_the_next() -> None:
    body = rss(
        "<title>A</title><description>x<summary>y</summary></description>"
        "<x:a xmlns:x='http://search.yahoo.com/mrss/'/><svg/>",
        "<title>B</title><description>&lt;b&gt;Bold&lt;/b&gt;</description><x:title xmlns:x='urn:x'>C</x:title>",
    )
    alone = rss(
        "<title>B</title><description>&lt;b&gt;Bold&lt;/b&gt;</description><x:title xmlns:x='urn:x'>C</x:title>"
    )
    assert read(body).items[1] == only(alone)


def test_an_item_that_the_parser_fails_on_costs_no_other() -> None:
    broken = "<textinput><link>x</link></textinput>"
    document = read(rss("<title>A</title>", broken, "<title>B</title>"))
    assert [item.title for item in document.items] == ["A", "B"]
    assert document.partial == "1 item could not be read"
    with pytest.raises(FeedMalformed, match="the parser failed"):
        read(rss(broken))


@pytest.mark.parametrize("empty", ["<item/>", "<item a='/>'/>", "<item></item>", "<item></item\n>"])
def test_an_empty_item_ends_where_it_ends(empty: str) -> None:
    body = WHOLE.replace(b"<item>", f"{empty}<item>".encode(), 1)
    assert [item.title for item in read(body).items] == ["", "One", "Two"]
    cut_short = body[: body.index(b"<title>One")]
    assert [item.title for item in read(cut_short).items] == [""]


@pytest.mark.fault("H04")
def test_h04_a_footer_with_an_unusable_link_does_no_harm() -> None:
    footer = "<p>A</p><p><a href='http://[x'>T</a> <a href='mailto:a'>S</a></p>"
    item = only(rss(f"<link>https://n.example/a</link><description><![CDATA[{footer}]]></description>"))
    assert item.text == "A\n\nT S"


def test_a_footer_is_found_after_letters_that_grow_in_lower_case() -> None:
    footer = "<p>The post <a href='https://n.example/a'>T</a> is on <a href='https://n.example/'>S</a></p>"
    body = rss(f"<link>https://n.example/a</link><description><![CDATA[<p>{'İ' * 9}</p>{footer}]]></description>")
    assert only(body).text == "İ" * 9


# --- JSON Feed -------------------------------------------------------------------------------------------------------


def json_feed(*items: object, version: str = "https://jsonfeed.org/version/1.1", **fields: object) -> bytes:
    """A JSON Feed with these items."""
    return json.dumps({"version": version, "title": "S", "items": items, **fields}).encode()


@pytest.mark.parametrize(
    "version", ["https://jsonfeed.org/version/1", "https://jsonfeed.org/version/1.1", "http://jsonfeed.org/version/1/"]
)
@pytest.mark.parametrize("content_type", ["application/feed+json", "text/html", None])
def test_a_json_feed_is_known_by_its_first_byte(version: str, content_type: str | None) -> None:
    body = b"\xef\xbb\xbf\r\n " + json_feed({"id": "1", "title": "é"}, version=version)
    assert only(body, content_type=content_type).title == "é"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(json_feed(version="https://jsonfeed.org/version/2"), "version that is not known", id="version 2"),
        pytest.param(json_feed(version="https://other.example/1"), "does not say which version", id="another format"),
        pytest.param(b'{"version": 1, "items": []}', "does not say which version", id="a number as version"),
        pytest.param(json_feed()[:-1], "broken or cut short", id="cut short"),
        pytest.param(json_feed()[:-2] + b", }", "broken or cut short", id="broken"),
        pytest.param(json_feed().replace(b"[]", b'{"a": 1}'), "without a list of items", id="items are no list"),
        pytest.param(json_feed().replace(b"[]", b"[" * 100_000 + b"]" * 100_000), "nested too deep", id="nested"),
        pytest.param(
            json_feed().replace(b"[]", b'[{"a": ' + b'{"a": ' * 900 + b"1" + b"}" * 901 + b"]"), "", id="nested less"
        ),
        pytest.param(json_feed().replace(b"[]", b"[" + b"{}," * 400_000 + b"{}]"), "brackets and commas", id="bomb"),
    ],
)
@pytest.mark.fault("F16")
def test_f16_json_that_is_no_feed_or_costs_too_much_is_refused(body: bytes, words: str) -> None:
    started = time.process_time()
    if words:
        with pytest.raises(FeedMalformed, match=words):
            read(body)
    else:
        assert len(read(body).items) == 1
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("written", "guid"),
    [
        ('"a"', "a"),
        ("7", "7"),
        ("1.50", "1.50"),
        ("1e400", "1e400"),
        ("1" * 5000, "1" * 5000),
        ("null", None),
        ('" "', None),
    ],
    ids=["text", "number", "fraction", "too large", "long", "none", "blank"],
)
def test_an_id_is_taken_as_it_is_written(written: str, guid: str | None) -> None:
    assert only(json_feed({"id": "?"}).replace(b'"?"', written.encode())).guid == guid


@pytest.mark.fault("H04")
@pytest.mark.parametrize("address", _UNUSABLE)
def test_h04_a_link_of_json_that_is_no_web_address_stays_as_it_is_written(address: str) -> None:
    assert only(json_feed({"id": "1", "url": address})).link == address


@pytest.mark.parametrize(
    ("item", "field", "value"),
    [
        pytest.param({"url": "/a"}, "link", "https://feeds.example/a", id="relative link"),
        pytest.param({"url": "", "external_url": "https://o.example/"}, "link", "https://o.example/", id="elsewhere"),
        pytest.param({"url": 7, "external_url": None}, "link", "https://feeds.example/a/7", id="a number as link"),
        pytest.param({"url": ["x"]}, "link", None, id="a list as link"),
        pytest.param({"title": "<b> &amp; B"}, "title", "<b> &amp; B", id="a title is plain text"),
        pytest.param({"title": "A\x00\ud800\x1b[1mB"}, "title", "A[1mB", id="characters that no text may hold"),
        pytest.param({"content_html": "<p>A</p><script>x</script>"}, "text", "A", id="HTML"),
        pytest.param({"content_text": "<p>A\nB"}, "text", "<p>A\nB", id="text"),
        pytest.param({"content_html": "", "content_text": "A"}, "text", "A", id="text where HTML is empty"),
        pytest.param({"summary": "S", "content_text": "A"}, "summary", "S", id="summary"),
        pytest.param({"content_text": "A"}, "summary", "A", id="no summary"),
        pytest.param({"authors": [{"name": ""}, "x"], "author": {"name": "B"}}, "author", "B", id="author of 1.0"),
        pytest.param({"authors": "x"}, "author", "F", id="author of the feed"),
        pytest.param({"tags": ["A", 1, "a", None]}, "categories", ("A", "1"), id="tags"),
        pytest.param({"tags": "A"}, "categories", (), id="no list of tags"),
        pytest.param({"language": "xx_Latn"}, "language", "xx-Latn", id="language"),
        pytest.param({"language": "?"}, "language", None, id="no language"),
        pytest.param({"attachments": [{"url": "/a.mp3", "mime_type": "audio/mpeg"}]}, "pictures", (), id="no picture"),
        pytest.param({"image": "data:image/png;base64,x"}, "pictures", (), id="no address of a picture"),
    ],
)
def test_a_field_of_json_is_read_whatever_it_holds(item: dict[str, object], field: str, value: object) -> None:
    body = json_feed({"id": "1", **item}, authors=[{"name": "F"}])
    assert getattr(only(body), field) == value


def test_keys_that_occur_twice_and_values_that_are_no_items_do_no_harm() -> None:
    body = json_feed(None, "x", [], {"id": "1"}).replace(b'"title": "S"', b'"title": "X", "title": "S"')
    document = read(body)
    assert (document.title, [item.guid for item in document.items]) == ("S", ["1"])


@pytest.mark.fault("F13")
def test_f13_of_many_items_of_json_the_first_500_are_read_and_the_rest_is_told() -> None:
    document = read(json_feed(*({"id": str(number)} for number in range(3000))))
    assert [item.guid for item in document.items] == [str(number) for number in range(500)]
    assert document.partial is not None
    assert "3000 items, of which 2500 were not read" in document.partial


def test_what_reads_json_does_not_load_the_parser_of_xml() -> None:
    source = (
        "import sys, autopublish.feeds.fetch, autopublish.feeds.discover\n"
        "from autopublish.feeds.parse import parse\n"
        f"document = parse({json_feed({'id': '1'})!r}, url={URL!r}, content_type=None)\n"
        "assert document.items[0].guid == '1'\n"
        "assert 'feedparser' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", source], check=True)


def test_the_date_of_publication_goes_before_that_of_an_update() -> None:
    entry = "<id>a</id><updated>2026-11-24T09:00:00Z</updated><published>2026-11-24T08:00:00Z</published>"
    body = f"<feed xmlns='http://www.w3.org/2005/Atom'><entry>{entry}</entry></feed>".encode()
    assert only(body).published == datetime(2026, 11, 24, 8, tzinfo=UTC)
