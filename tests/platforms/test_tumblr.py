"""Tumblr against a strict server on loopback."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from autopublish import net
from autopublish.errors import (
    DeliveryError,
    MediaRejected,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import Account, AccountState, Article, Identity, Post, Receipt, Span, SpanKind, Stage, State
from autopublish.platforms._http import Http
from autopublish.platforms.tumblr import Tumblr
from autopublish.posts import compose
from autopublish.text import clean
from tests.bench.world import World
from tests.desk import Desk
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_on_the_line import Line, file_picture, open_line, patient
from tests.platforms.test_telegram import kill_in_call, page, picture
from tests.servers.scripted import Fault, Made, Then
from tests.servers.tumblr import BlogPost, FakeTumblr

KEY = "0123456789abcdef0123456789abcdef"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3)
SINCE = PUBLISHED - timedelta(hours=1)
LINK = "https://news.example/2026/11/jembatan-mahakam-dibuka/?id=7&page=2"
TITLE = "Jembatan “Mahakam” & IKN 👨‍👩‍👧‍👦"
TEXT = f"{TITLE}\n\n{LINK}\n#Kaltim #IKN"
POST = Post(
    text=TEXT,
    link=LINK,
    title=TITLE,
    summary="Dibuka lagi.",
    spans=(
        Span(kind=SpanKind.LINK, start=TEXT.index(LINK), end=TEXT.index(LINK) + len(LINK), value=LINK),
        Span(kind=SpanKind.HASHTAG, start=TEXT.index("#Kaltim"), end=TEXT.index(" #IKN"), value="Kaltim"),
        Span(kind=SpanKind.HASHTAG, start=TEXT.index("#IKN"), end=len(TEXT), value="IKN"),
    ),
    created_at=CREATED,
    published=PUBLISHED,
)


@pytest.fixture
def server() -> Iterator[FakeTumblr]:
    with FakeTumblr() as one:
        one.clock = lambda: CREATED
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def tumblr(server: FakeTumblr, client: net.Client) -> Tumblr:
    return adapter(server, client)


@pytest.fixture
def pictured(tmp_path: Path) -> Post:
    return dataclasses.replace(POST, picture=picture(tmp_path))


def settings_of(server: FakeTumblr, /, **values: Any) -> Tumblr.Settings:
    given_values = {"server": server.url, "access_token": server.token, "blog": server.blog, **values}
    return Tumblr.Settings.model_validate(given_values)


def adapter(server: FakeTumblr, client: net.Client, /, **values: Any) -> Tumblr:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Tumblr(settings_of(server, **values), http)


def published(platform: Tumblr, post: Post = POST) -> Receipt:
    return platform.publish(post, platform.stage(post, Stage()), key=KEY)


def seen(server: FakeTumblr) -> BlogPost:
    (post,) = server.visible()
    return post


def refusal(status: int, title: str, code: int = 0, detail: str = "", **headers: str) -> Fault:
    """A refusal as Tumblr words it."""
    error = {"title": title, "code": code, "detail": detail}
    body = {"meta": {"status": status, "msg": title}, "response": [], "errors": [error]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, body=json.dumps(body).encode(), headers=named)


# --- the contract test's part ----------------------------------------------------------------------------------------

_ECHO = json.dumps({"meta": {"status": 418}, "errors": [{"title": f"odd {FakeTumblr.token}"}]}).encode()

#: Failure -> how the call goes wrong, and what `publish` raises.
FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "token-ended": (refusal(401, "Unauthorized", 1016, "Unable to authorize"), Unauthorized),
    "not-our-blog": (refusal(403, "Forbidden", 0, "You may not post on this blog"), Unauthorized),
    "no-blog": (refusal(404, "Not Found"), Unauthorized),
    "limited": (refusal(429, "Limit Exceeded"), RateLimited),
    "limited-html": (page(429, "Too Many Requests", Retry_After="7"), RateLimited),
    "posts-of-the-day": (refusal(403, "Forbidden", 8023, "daily post limit"), RateLimited),
    "uploads-of-the-day": (refusal(403, "Forbidden", 8004, "daily upload limit"), RateLimited),
    "bad-format": (refusal(400, "Bad Request", 8001, "Posting failed"), Rejected),
    "bad-media": (refusal(400, "Bad Request", 8005, "Media"), MediaRejected),
    "too-large": (page(413, "Request Entity Too Large"), MediaRejected),
    "unlisted-400": (refusal(400, "Bad Request", 8010), OutcomeUnknown),
    "400-of-something-else": (page(400, "Bad Request"), OutcomeUnknown),
    "403-of-something-else": (page(403, "Checking your browser"), OutcomeUnknown),
    "404-of-something-else": (page(404, "Not found"), OutcomeUnknown),
    "unlike-its-status": (Fault(status=400, body=b'{"meta":{"status":500},"errors":[{"code":8001}]}'), OutcomeUnknown),
    "errors-of-another-kind": (Fault(status=400, body=b'{"meta":{"status":400},"errors":[8001,{"code":[]}]}'),
                               OutcomeUnknown),
    "upload-error": (refusal(500, "Internal Error", 8006, "Upload error"), OutcomeUnknown),
    "posting-disabled": (refusal(503, "Service Unavailable"), OutcomeUnknown),
    "redirect": (page(307, "Moved", Location="http://127.0.0.1:9/"), OutcomeUnknown),
    "502": (page(502, "Bad Gateway"), OutcomeUnknown),
    "504": (Fault(status=504, body=b""), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": (Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "not-json": (page(201, "Welcome"), OutcomeUnknown),
    "empty": (Fault(status=201, body=b""), OutcomeUnknown),
    "without-id": (Fault(status=201, body=b'{"meta":{"status":201},"response":[]}'), OutcomeUnknown),
    "id-that-is-none": (Fault(status=201, body=b'{"response":{"id":"../x"}}'), OutcomeUnknown),
    "huge": (Fault(status=201, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": (Fault(status=418, body=_ECHO), OutcomeUnknown),
    "echoes-in-success": (Fault(status=201, body=_ECHO), OutcomeUnknown),
}  # fmt: skip


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeTumblr() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        server.clock = lambda: CREATED
        yield Bench(
            make=lambda: adapter(server, client),
            post=dataclasses.replace(POST, picture=picture(folder)),
            sent=lambda: [call.body for call in server.called("publish")],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text="\n".join(server.visible()[0].paragraphs)),
            secrets=(server.token,),
            network=Network(
                unplug=server.stop,
                silence=lambda: server.script("publish", Fault(then=Then.SILENCE)),
                fail=lambda name: server.script("publish", FAILURES[name][0]),
                answer=lambda fault: server.script("publish", fault),
            ),
        )


CONTRACT = Contract(bench=bench, failures={name: error for name, (_, error) in FAILURES.items()})


# --- settings and login ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "blog"),
    [
        pytest.param("kaltimnews", "kaltimnews", id="name"),
        pytest.param(" KaltimNews ", "kaltimnews", id="in capitals"),
        pytest.param("kaltimnews.tumblr.com", "kaltimnews", id="host"),
        pytest.param("https://kaltimnews.tumblr.com/", "kaltimnews", id="address"),
        pytest.param("https://www.tumblr.com/kaltimnews", "kaltimnews", id="new address"),
        pytest.param("https://www.tumblr.com/blog/kaltimnews", "kaltimnews", id="dashboard"),
        pytest.param("https://blog.news.example", "blog.news.example", id="host of its own"),
    ],
)
def test_a_blog_is_known_by_its_name(server: FakeTumblr, written: str, blog: str) -> None:
    assert settings_of(server, blog=written).blog == blog


@pytest.mark.parametrize("written", ["", "kaltim news", "https://www.tumblr.com/kaltimnews/123", "@kaltim", "a/../b"])
def test_what_names_no_blog_is_refused_at_once(server: FakeTumblr, written: str) -> None:
    with pytest.raises(ValidationError, match="kaltimnews"):
        settings_of(server, blog=written)


def test_whoami_names_the_blog_and_not_the_user(tumblr: Tumblr) -> None:
    assert tumblr.whoami() == Identity(id=FakeTumblr.uuid, name="kaltimnews", url="https://kaltimnews.tumblr.com/")


def test_a_blog_of_somebody_else_blocks_the_account(server: FakeTumblr, client: net.Client) -> None:
    with pytest.raises(Unauthorized, match="no blog another"):
        adapter(server, client, blog="another").whoami()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(401, "Unauthorized", 1016), Unauthorized, id="ended"),
        pytest.param(refusal(403, "Forbidden"), Unauthorized, id="no permission"),
        pytest.param(refusal(429, "Limit Exceeded"), RateLimited, id="limited"),
        pytest.param(page(403, "Checking your browser"), OutcomeUnknown, id="not Tumblr's"),
        pytest.param(page(302, "Found", Location="https://elsewhere.example/"), OutcomeUnknown, id="redirect"),
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="html"),
    ],
)
def test_only_refusals_of_tumblrs_own_block_the_account(
    tumblr: Tumblr, server: FakeTumblr, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("whoami", fault)
    with pytest.raises(error):
        tumblr.whoami()


@pytest.mark.parametrize("token", [None, "", " ", "dengan blank", "panjang—é"])
def test_what_can_be_no_token_is_told_and_not_sent(client: net.Client, server: FakeTumblr, token: str | None) -> None:
    platform = adapter(server, client, access_token=token)
    for call in (platform.whoami, lambda: published(platform)):
        with pytest.raises(Unauthorized, match="access token"):
            call()
    assert server.calls == []


def test_blanks_around_token_and_address_do_no_harm(client: net.Client, server: FakeTumblr) -> None:
    platform = adapter(server, client, access_token=f" {server.token}\n", server=f"{server.url}/")
    assert platform.whoami().name == "kaltimnews"


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_a_post_has_a_heading_a_card_tags_and_its_source(tumblr: Tumblr, server: FakeTumblr) -> None:
    receipt = published(tumblr)
    post = seen(server)
    assert (post.paragraphs, post.heading) == ([TITLE], TITLE)
    assert (post.cards, post.tags, post.source) == ([(LINK, TITLE, "Dibuka lagi.")], ("Kaltim", "IKN"), LINK)
    assert receipt == Receipt(remote_id=post.id, url=f"https://www.tumblr.com/kaltimnews/{post.id}")


def test_a_blog_with_a_host_of_its_own_has_its_posts_there(client: net.Client, server: FakeTumblr) -> None:
    server.blog = "blog.news.example"
    server.script("publish", Fault(status=201, body=b'{"meta":{"status":201},"response":{"id":798}}'))
    receipt = published(adapter(server, client, blog="blog.news.example"))
    assert receipt == Receipt(remote_id="798", url="https://blog.news.example/post/798")


@pytest.mark.parametrize("alt", ["A bridge", ""])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_stands_below_the_title_with_its_alt_text(
    tumblr: Tumblr, server: FakeTumblr, tmp_path: Path, kind: str, alt: str
) -> None:
    published(tumblr, dataclasses.replace(POST, picture=picture(tmp_path, kind=kind, alt=alt)))
    post = seen(server)
    assert [block["type"] for block in post.content] == ["text", "image", "link"]
    assert (post.pictures, post.alts, post.tags) == (((kind, 120, 63),), [alt], ("Kaltim", "IKN"))


def composed(template: str, **words: Any) -> Post:
    account = Account(name="t", platform="tumblr", template=template)
    article = Article(
        id="a",
        feed="f",
        origin="o",
        link=LINK,
        published=PUBLISHED,
        first_seen=PUBLISHED,
        **{"title": "T", "categories": ("Kaltim", "IKN"), **words},
    )
    return compose(article, account, Tumblr.limits, picture=None, now=CREATED)


@pytest.mark.parametrize(
    ("template", "paragraphs", "inline"),
    [
        pytest.param("{{ title }}\n\n{{ link }}\n{{ hashtags }}", ["T"], [], id="the usual one"),
        pytest.param(
            "{{ title }}: {{ link }} {{ hashtags }}", [f"T: {LINK} #Kaltim #IKN"], [(LINK, LINK)], id="a line"
        ),
        pytest.param("👍 Baca\n  {{ link }} sekarang", ["👍 Baca", f"{LINK} sekarang"], [(LINK, LINK)], id="emoji"),
        pytest.param(
            "{{ title }}\n{{ link }}\n{{ hashtags }} #tetap", ["T", "#Kaltim #IKN #tetap"], [], id="more tags"
        ),
        pytest.param("{{ link }}", [], [], id="link alone"),
    ],
)
def test_lines_that_say_no_more_than_card_and_tags_are_left_out(
    tumblr: Tumblr, server: FakeTumblr, template: str, paragraphs: list[str], inline: list[tuple[str, str]]
) -> None:
    published(tumblr, composed(template))
    post = seen(server)
    assert (post.paragraphs, post.inline, [card[0] for card in post.cards]) == (paragraphs, inline, [LINK])


def test_blanks_before_a_line_move_no_link(tumblr: Tumblr, server: FakeTumblr) -> None:
    text = f"Satu\n   Baca {LINK} ya  "
    start = text.index(LINK)
    spans = (Span(kind=SpanKind.LINK, start=start, end=start + len(LINK), value=LINK),)
    published(tumblr, dataclasses.replace(POST, text=text, spans=spans))
    assert (seen(server).paragraphs, seen(server).inline) == (["Satu", f"Baca {LINK} ya"], [(LINK, LINK)])


def test_a_post_without_anything_else_shows_its_hashtags(tumblr: Tumblr, server: FakeTumblr) -> None:
    spans = (Span(kind=SpanKind.HASHTAG, start=0, end=7, value="Kaltim"),)
    published(tumblr, dataclasses.replace(POST, text="#Kaltim", link=None, spans=spans))
    assert (seen(server).paragraphs, seen(server).tags) == (["#Kaltim"], ("Kaltim",))


@pytest.mark.parametrize(("heading", "shown"), [("yes", TITLE), ("no", None)])
def test_the_title_is_a_heading_as_the_settings_say(
    server: FakeTumblr, client: net.Client, heading: str, shown: str | None
) -> None:
    published(adapter(server, client, heading=heading))
    assert seen(server).heading == shown


def test_what_stage_fixed_stays_whatever_the_settings_become(
    server: FakeTumblr, client: net.Client, pictured: Post
) -> None:
    before = adapter(server, client)
    stage = Stage(data=json.loads(json.dumps(dict(before.stage(pictured, Stage()).data))))
    before.publish(pictured, stage, key=KEY)
    adapter(server, client, heading="no").publish(pictured, stage, key=KEY)
    first, second = server.called("publish")
    assert first.body == second.body


def test_only_the_title_is_a_heading(tumblr: Tumblr, server: FakeTumblr) -> None:
    published(tumblr, dataclasses.replace(POST, text="Kabar lain\n\nsatu"))
    assert (seen(server).heading, seen(server).paragraphs) == (None, ["Kabar lain", "satu"])


def test_what_can_be_no_tag_stays_text(tumblr: Tumblr, server: FakeTumblr) -> None:
    spans = (Span(kind=SpanKind.HASHTAG, start=0, end=4, value="a,b"),)
    published(tumblr, dataclasses.replace(POST, text="#a,b", spans=spans))
    assert (seen(server).tags, seen(server).paragraphs) == ((), ["#a,b"])


def test_a_text_of_very_many_lines_is_taken(tumblr: Tumblr, server: FakeTumblr, tmp_path: Path) -> None:
    text = "\n".join("x" * 2_000)
    published(tumblr, dataclasses.replace(POST, text=text, spans=(), picture=picture(tmp_path)))
    assert len("".join(seen(server).paragraphs).replace(" ", "")) == 2_000


def test_nothing_is_sent_where_the_picture_is_gone(tumblr: Tumblr, server: FakeTumblr, pictured: Post) -> None:
    assert pictured.picture is not None
    Path(pictured.picture.path).unlink()
    with pytest.raises(MediaRejected, match="No such file"):
        published(tumblr, pictured)
    assert server.calls == []


# --- counting and other people's words -------------------------------------------------------------------------------


def test_a_post_that_fills_all_the_room_is_taken(tumblr: Tumblr, server: FakeTumblr) -> None:
    post = composed("{{ text }}", text="Jembatan 👨‍👩‍👧‍👦 Mahakam 🇮🇩 dibuka @kembali " * 300)
    assert 4_096 - post.length < 60
    published(tumblr, post)
    assert seen(server).paragraphs == [post.text]


@pytest.mark.parametrize(("length", "is_taken"), [(4_096, True), (4_097, False)])
def test_the_edge_is_where_tumblr_has_it(tumblr: Tumblr, server: FakeTumblr, length: int, is_taken: bool) -> None:
    post = dataclasses.replace(POST, text="👍" * length, spans=())
    assert tumblr.limits.fits(post.text) is is_taken
    if is_taken:
        published(tumblr, post)
    else:
        with pytest.raises(Rejected, match="a paragraph"):
            published(tumblr, post)
    assert len(server.visible()) == is_taken


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeTumblr, net.Client]]:
    """One server for many examples."""
    with FakeTumblr() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        server.most_posts = 100_000
        yield server, client


#: Whatever may stand in a title.
_TITLES = st.text(
    st.one_of(st.sampled_from("@#＃<>&*_`[]()\\,ab1 👍"), st.characters(codec="utf-8")), min_size=1, max_size=80
).filter(lambda title: bool(clean(title)))


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@settings(deadline=None, max_examples=60)
@given(title=_TITLES)
def test_h05_h06_any_title_is_read_as_it_is_written_and_makes_no_tag(
    shared: tuple[FakeTumblr, net.Client], title: str
) -> None:
    server, client = shared
    post = composed("{{ title }}\n{{ link }}\n{{ hashtags }}", title=title)
    published(adapter(server, client), post)
    shown = server.visible()[0]
    assert (shown.paragraphs, shown.tags) == ([clean(title)], ("Kaltim", "IKN"))


TITLES = [
    "@gubernur: kata @walikota dan (@ibu_kota)",
    "#banjir di #Samarinda, #1 dan C#",
    "*tebal* _miring_ `kode` [x](https://a.example) <b>&amp;</b> ~coret~",
    'kutip "ini", koma, dan \\n serta %20',
]


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize("with_picture", [True, False])
@pytest.mark.parametrize("title", TITLES)
def test_h05_h06_a_title_looks_as_its_site_has_it(
    tumblr: Tumblr, server: FakeTumblr, tmp_path: Path, title: str, with_picture: bool
) -> None:
    post = composed("{{ title }}\n{{ link }}", title=title)
    published(tumblr, dataclasses.replace(post, picture=picture(tmp_path) if with_picture else None))
    shown = seen(server)
    assert (shown.paragraphs, shown.heading, shown.cards[0][1]) == ([title], title, title)
    assert (shown.tags, shown.inline) == ((), [])


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D13")
@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        pytest.param({"Perhour-Remaining": "0", "Perhour-Reset": "41"}, timedelta(seconds=41), id="hour"),
        pytest.param(
            {"Perhour-Remaining": "0", "Perhour-Reset": "41", "Perday-Remaining": "0", "Perday-Reset": "7200"},
            timedelta(hours=2),
            id="both",
        ),
        pytest.param({"Perhour-Remaining": "3", "Perhour-Reset": "41"}, timedelta(hours=1), id="another limit"),
        pytest.param({"Perhour-Remaining": "0", "Perhour-Reset": "soon"}, timedelta(hours=1), id="nonsense"),
        pytest.param({"Perday-Remaining": "0", "Perday-Reset": "99999999"}, timedelta(days=7), id="absurd"),
        pytest.param({}, timedelta(hours=1), id="not told"),
    ],
)
def test_d13_a_limit_says_how_long_it_lasts(
    tumblr: Tumblr, server: FakeTumblr, headers: dict[str, str], wait: timedelta
) -> None:
    named = {f"X-Ratelimit-{name}": value for name, value in headers.items()}
    server.script("publish", dataclasses.replace(refusal(429, "Limit Exceeded"), headers=named))
    with pytest.raises(RateLimited) as raised:
        published(tumblr)
    assert raised.value.wait == wait


@pytest.mark.fault("D13")
@pytest.mark.parametrize(
    ("ends", "wait"),
    [
        pytest.param(timedelta(hours=5), timedelta(hours=5), id="told"),
        pytest.param(timedelta(hours=-1), timedelta(hours=1), id="past"),
        pytest.param(None, timedelta(hours=1), id="not told"),
    ],
)
def test_d13_the_limit_of_posts_lasts_until_tumblrs_next_day(
    tumblr: Tumblr, server: FakeTumblr, ends: timedelta | None, wait: timedelta
) -> None:
    server.most_posts = 0
    server.day_ends = int((CREATED + ends).timestamp()) if ends is not None else None
    with pytest.raises(RateLimited) as raised:
        published(tumblr)
    assert raised.value.wait == wait


@pytest.mark.fault("D13")
@pytest.mark.parametrize("fault", [Fault(status=502), Fault(then=Then.RESET), page(200, "Welcome")])
def test_d13_where_the_next_day_is_not_told_an_hour_is_waited(tumblr: Tumblr, server: FakeTumblr, fault: Fault) -> None:
    server.most_posts = 0
    server.script("limits", fault)
    with pytest.raises(RateLimited) as raised:
        published(tumblr)
    assert raised.value.wait == timedelta(hours=1)


def test_without_a_picture_a_word_about_pictures_is_a_refusal_for_good(tumblr: Tumblr, server: FakeTumblr) -> None:
    server.script("publish", refusal(400, "Bad Request", 8005))
    with pytest.raises(Rejected):
        published(tumblr)


def test_the_reason_is_tumblrs_own_words(tumblr: Tumblr, server: FakeTumblr) -> None:
    server.script("publish", refusal(400, "Bad Request", 8001, "Posting failed"))
    with pytest.raises(Rejected) as raised:
        published(tumblr)
    assert str(raised.value) == "status 400: Bad Request Posting failed (8001)"


@pytest.mark.fault("H12")
def test_h12_a_redirect_of_a_post_is_not_followed_and_the_token_stays_here(tumblr: Tumblr, server: FakeTumblr) -> None:
    with FakeTumblr() as elsewhere:
        server.script("publish", page(307, "Moved", Location=f"{elsewhere.url}/v2/blog/kaltimnews/posts"))
        with pytest.raises(OutcomeUnknown) as raised:
            published(tumblr)
        assert elsewhere.calls == []
        assert server.token not in str(raised.value)


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_text", [False, True])
def test_a_post_is_found_by_its_link_or_without_one_by_its_text(
    tumblr: Tumblr, server: FakeTumblr, by_text: bool
) -> None:
    post = dataclasses.replace(POST, text="Tanpa alamat", link=None, spans=()) if by_text else POST
    assert tumblr.find(post, Stage(), key=None, since=SINCE) is None
    made = server.post_by_hand("Tanpa alamat" if by_text else f"Baca {LINK}&utm_source=x.")
    server.post_by_hand("Lain")
    found = tumblr.find(post, Stage(), key=None, since=SINCE)
    assert found is not None
    assert found.remote_id == made.id


@pytest.mark.parametrize("template", ["{{ title }}\n{{ link }}", "{{ title }} {{ link }}", "{{ title }}"])
def test_what_was_published_is_found_whatever_the_template(tumblr: Tumblr, server: FakeTumblr, template: str) -> None:
    post = composed(template)
    receipt = published(tumblr, post)
    assert tumblr.find(post, Stage(), key=KEY, since=SINCE) == receipt


def test_a_post_without_a_link_is_found_with_its_picture(tumblr: Tumblr, server: FakeTumblr, tmp_path: Path) -> None:
    post = dataclasses.replace(POST, text="Tanpa\n\nalamat", link=None, spans=(), picture=picture(tmp_path))
    receipt = published(tumblr, post)
    assert tumblr.find(post, Stage(), key=KEY, since=SINCE) == receipt
    other = dataclasses.replace(post, text="Tanpa\n\nalamat lain")
    assert tumblr.find(other, Stage(), key=KEY, since=SINCE) is None


def test_a_look_goes_through_all_pages_and_past_what_is_pinned(tumblr: Tumblr, server: FakeTumblr) -> None:
    server.post_by_hand("Selamat datang", is_pinned=True, at=CREATED - timedelta(days=900))
    made = server.post_by_hand(f"Baca {LINK}")
    for number in range(45):
        server.post_by_hand(f"Lain {number}")
    found = tumblr.find(POST, Stage(), key=None, since=SINCE)
    assert found is not None
    assert found.remote_id == made.id


def test_what_is_older_is_not_found(tumblr: Tumblr, server: FakeTumblr) -> None:
    server.post_by_hand(f"Baca {LINK}", at=SINCE - timedelta(seconds=1))
    assert tumblr.find(POST, Stage(), key=None, since=SINCE) is None
    assert tumblr.find(POST, Stage(), key=None, since=SINCE - timedelta(seconds=1)) is not None


def test_a_look_ends_where_posts_are_older(tumblr: Tumblr, server: FakeTumblr) -> None:
    server.post_by_hand(f"Baca {LINK}", at=SINCE - timedelta(seconds=1))
    for number in range(45):
        server.post_by_hand(f"Lain {number}", at=SINCE - timedelta(seconds=1))
    assert tumblr.find(POST, Stage(), key=None, since=SINCE) is None
    assert len(server.called("find")) == 1


def test_more_posts_than_are_looked_through_decide_nothing(tumblr: Tumblr, server: FakeTumblr) -> None:
    for number in range(401):
        server.post_by_hand(f"Lain {number}")
    with pytest.raises(Undecided):
        tumblr.find(POST, Stage(), key=None, since=SINCE)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(Fault(status=200, body=b'{"meta":{"status":200},"response":{}}'), OutcomeUnknown, id="no list"),
        pytest.param(Fault(status=200, body=b"<html>"), OutcomeUnknown, id="html"),
        pytest.param(refusal(401, "Unauthorized", 1016), Unauthorized, id="ended"),
        pytest.param(refusal(429, "Limit Exceeded"), RateLimited, id="limited"),
    ],
)
def test_a_look_that_fails_proves_nothing(
    tumblr: Tumblr, server: FakeTumblr, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("find", fault)
    with pytest.raises(error):
        tumblr.find(POST, Stage(), key=KEY, since=SINCE)


# --- taking away -----------------------------------------------------------------------------------------------------


def test_a_post_is_taken_away_and_again_without_harm(tumblr: Tumblr, server: FakeTumblr) -> None:
    receipt = published(tumblr)
    tumblr.delete(receipt)
    assert server.visible() == []
    tumblr.delete(receipt)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(page(404, "Not Found"), OutcomeUnknown, id="404 of something else"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="a page"),
        pytest.param(refusal(403, "Forbidden"), Unauthorized, id="no permission"),
        pytest.param(refusal(429, "Limit Exceeded"), RateLimited, id="limited"),
    ],
)
def test_only_what_tumblr_says_is_gone_is_gone(
    tumblr: Tumblr, server: FakeTumblr, fault: Fault, error: type[DeliveryError]
) -> None:
    receipt = published(tumblr)
    server.script("delete", fault)
    with pytest.raises(error):
        tumblr.delete(receipt)


@pytest.mark.parametrize("remote_id", ["", "x", "7/8", "https://www.tumblr.com/kaltimnews/7"])
def test_what_is_no_post_of_tumblr_is_not_asked_for(tumblr: Tumblr, server: FakeTumblr, remote_id: str) -> None:
    with pytest.raises(Rejected, match="no post of Tumblr"):
        tumblr.delete(Receipt(remote_id=remote_id))
    assert server.calls == []


# --- on the line -----------------------------------------------------------------------------------------------------


def tumblr_line(world: World, server: FakeTumblr, **values: Any) -> Line:
    server.clock = world.clock
    return open_line(
        world,
        "tumblr",
        lambda http: Tumblr(settings_of(server, **values), patient(http)),
        texts=lambda: [post.everything for post in server.visible()],
        sends=lambda: len(server.called("publish")),
        post_by_hand=server.post_by_hand,
        fail_look=lambda: server.script("find", Fault(status=502)),
    )


def test_articles_are_posted_once_with_their_pictures(unjudged_world: World, server: FakeTumblr) -> None:
    line = tumblr_line(unjudged_world, server)
    line.show("one", picture=file_picture(line.world))
    line.show("two")
    line.world.until_quiet()
    line.world.run()
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.POSTED, State.POSTED, 2)
    assert sorted(len(post.pictures) for post in server.visible()) == [0, 1]


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-then-cut": Fault(then=Then.CUT, made=Made.AT_ONCE),
    "made-without-id": Fault(status=201, body=b"{}", made=Made.AT_ONCE),
    "made-then-unlisted": dataclasses.replace(refusal(400, "Bad Request", 8010), made=Made.AT_ONCE),
    "never-made-8006": refusal(500, "Internal Error", 8006),
    "never-made-502": Fault(status=502),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-reset": Fault(then=Then.RESET_READING),
}


@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d05_d06_d09_a_lost_answer_ends_with_one_post(unjudged_world: World, server: FakeTumblr, fault: Fault) -> None:
    line = tumblr_line(unjudged_world, server)
    server.script("publish", fault)
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    receipt = line.row("one").receipt
    assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)
    assert receipt is not None
    assert receipt.remote_id == seen(server).id
    assert len({call.body for call in server.called("publish")}) == 1


@pytest.mark.fault("D23")
def test_d23_what_a_person_posted_meanwhile_is_found_and_not_sent(unjudged_world: World, server: FakeTumblr) -> None:
    line = tumblr_line(unjudged_world, server)
    line.world.change_account("tumblr", delay=timedelta(hours=2))
    line.show("one")
    line.world.run()
    server.post_by_hand("Baca https://news.example/one/?utm_source=x")
    line.world.clock.move(hours=2)
    line.world.run()
    assert (line.row("one").state, line.row("one").reason) == (State.POSTED, "was there already")
    assert line.sends() == 0


@pytest.mark.fault("D11")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d11_a_run_that_was_killed_in_its_call_is_looked_up_and_never_doubled(
    desk: Desk, server: FakeTumblr, made: Made
) -> None:
    server.clock = lambda: datetime.now(UTC)
    desk.configure(
        f"  tu:\n    platform: tumblr\n    server: {server.url}\n    access_token: env:TU_TOKEN\n"
        "    blog: kaltimnews\n    allow_private: yes\n"
    )
    desk.environment["TU_TOKEN"] = server.token
    desk("run")
    desk.show("one")
    server.script("publish", Fault(then=Then.SILENCE, made=made))
    kill_in_call(desk, server)
    desk("run")
    row = desk.row("one", "tu")
    assert (row.state, len(server.called("publish"))) == (State.VERIFYING, 1)
    for _ in range(3):
        desk.change(row, look_at=datetime.now(UTC) - timedelta(minutes=2))
        desk.end_waits()
        desk("run")
        row = desk.row("one", "tu")
        if row.state is State.POSTED:
            break
    assert (row.state, len(server.visible())) == (State.POSTED, 1)
    assert len(server.called("publish")) == (1 if made is Made.AT_ONCE else 2)


@pytest.mark.fault("D19")
@pytest.mark.parametrize("fault", [refusal(400, "Bad Request", 8005), page(413, "Request Entity Too Large")])
def test_d19_a_picture_that_is_refused_leaves_a_post_without_it(
    unjudged_world: World, server: FakeTumblr, fault: Fault
) -> None:
    line = tumblr_line(unjudged_world, server)
    server.script("publish", fault)
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    assert (line.row("one").state, seen(server).pictures) == (State.POSTED, ())


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
def test_d14_d16_a_token_that_ended_blocks_the_account_and_loses_nothing(
    unjudged_world: World, server: FakeTumblr
) -> None:
    line = tumblr_line(unjudged_world, server)
    line.show("one")
    line.world.run()
    server.is_revoked = True
    line.show("two")
    line.world.run()
    assert line.world.standing("tumblr").state is AccountState.AUTH_BLOCKED
    assert line.row("two").state is State.READY
    server.is_revoked = False
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two"), line.row("two").state) == (1, 1, State.POSTED)


@pytest.mark.fault("D17")
def test_d17_a_refused_text_stops_no_other(unjudged_world: World, server: FakeTumblr) -> None:
    line = tumblr_line(unjudged_world, server)
    server.script("publish", refusal(400, "Bad Request", 8001, "Posting failed"))
    line.show("one")
    line.world.run()
    line.show("two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("two").state) == (State.REJECTED, State.POSTED)
    assert "Posting failed" in (line.row("one").reason or "")


@pytest.mark.fault("D13")
def test_d13_the_limit_of_the_day_holds_the_account_until_it_ends(unjudged_world: World, server: FakeTumblr) -> None:
    server.most_posts = 1
    line = tumblr_line(unjudged_world, server)
    line.world.change_account("tumblr", max_age=None)
    ends = line.world.clock() + timedelta(hours=25)
    server.day_ends = int(ends.timestamp())
    line.show("one", "two")
    line.world.run()
    assert len(server.visible()) == 1
    assert line.world.standing("tumblr").not_before == ends.replace(microsecond=0)
    line.world.until_quiet()
    assert (line.sends(), line.seen("one"), line.seen("two")) == (3, 1, 1)
