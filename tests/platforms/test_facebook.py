"""Facebook against a strict Graph API on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from autopublish import net
from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import Account, AccountState, Article, Identity, Picture, Post, Receipt, Stage, State
from autopublish.platforms._http import Http
from autopublish.platforms.facebook import Facebook, harmless
from autopublish.posts import compose
from autopublish.text import clean, utf16_units
from tests.bench.world import World
from tests.desk import Desk
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_on_the_line import Line, file_picture, open_line, patient
from tests.platforms.test_telegram import kill_in_call
from tests.servers.facebook import FakeFacebook, Seen
from tests.servers.scripted import Fault, Made, Then

KEY = "0123456789abcdef0123456789abcdef"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3)
SINCE = PUBLISHED - timedelta(hours=1)
LINK = "https://news.example/2026/11/jembatan-mahakam-dibuka/?id=7&page=2"
TEXT = f"Jembatan “Mahakam” & IKN 👨‍👩‍👧‍👦\n\n{LINK}\n#Kaltim #IKN"
POST = Post(text=TEXT, link=LINK, title="Jembatan", created_at=CREATED, published=PUBLISHED)


def picture(folder: Path, *, alt: str = "A bridge", kind: str = "JPEG") -> Picture:
    made = BytesIO()
    Image.new("RGB", (120, 63), "teal").save(made, kind)
    content = made.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    path = folder / digest
    path.write_bytes(content)
    return Picture(
        path=str(path),
        sha256=digest,
        type=f"image/{kind.lower()}",
        width=120,
        height=63,
        size_bytes=len(content),
        alt=alt,
    )


@pytest.fixture
def server() -> Iterator[FakeFacebook]:
    with FakeFacebook() as one:
        one.clock = lambda: CREATED
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def facebook(server: FakeFacebook, client: net.Client) -> Facebook:
    return adapter(server, client)


def adapter(server: FakeFacebook, client: net.Client, /, **values: Any) -> Facebook:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Facebook(settings_of(server, **values), http)


def settings_of(server: FakeFacebook, /, **values: Any) -> Facebook.Settings:
    return Facebook.Settings.model_validate(
        {"server": server.url, "page": server.page, "page_token": server.token, **values}
    )


def as_app(server: FakeFacebook) -> dict[str, str]:
    """The app's own credentials."""
    return {"app_id": server.app_id, "app_secret": server.app_secret}


def published(platform: Facebook, post: Post = POST) -> Receipt:
    return platform.publish(post, platform.stage(post, Stage()), key=KEY)


def seen(server: FakeFacebook) -> Seen:
    (post,) = server.visible()
    return post


def refusal(
    code: int, subcode: int = 0, *, status: int = 400, headers: dict[str, str] | None = None, **rest: Any
) -> Fault:
    error: dict[str, Any] = {"message": f"(#{code}) words", "type": "OAuthException", "code": code, **rest}
    if subcode:
        error["error_subcode"] = subcode
    return Fault(status=status, body=json.dumps({"error": error}).encode(), headers=headers or {})


def page(status: int, words: str, **headers: str) -> Fault:
    named = {"Content-Type": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Fault(status=status, body=f"<html><body><h1>{words}</h1></body></html>".encode(), headers=named)


# --- the contract test's part ----------------------------------------------------------------------------------------

_ECHO = (
    f"odd {FakeFacebook.token} {FakeFacebook.app_secret} {FakeFacebook.token[:20]}?access_token={FakeFacebook.token}"
)

#: Failure -> how the call goes wrong, and what `publish` raises; the post of the bench has a picture.
FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "token-expired": (refusal(190, 463, status=401), Unauthorized),
    "password-changed": (refusal(190, 460), Unauthorized),
    "role-lost": (refusal(190, 492), Unauthorized),
    "session-ended": (refusal(102), Unauthorized),
    "permission": (refusal(200, status=403), Unauthorized),
    "permission-10": (refusal(10, status=403), Unauthorized),
    "capability": (refusal(3), Unauthorized),
    "page-authorization": (refusal(100, 1404078), Unauthorized),
    "identity-check": (refusal(368, 4854002), Unauthorized),
    "wrong-page": (refusal(100, 33), Unauthorized),
    "app-limit": (refusal(4, is_transient=True), RateLimited),
    "user-limit": (refusal(17), RateLimited),
    "page-limit": (refusal(32), RateLimited),
    "custom-limit": (refusal(613), RateLimited),
    "business-limit": (refusal(80001), RateLimited),
    "blocked": (refusal(368, 1390008), RateLimited),
    "application-limit": (refusal(341), RateLimited),
    "429-of-something-else": (page(429, "Too Many Requests", Retry_After="7"), RateLimited),
    "same-text": (refusal(506), AlreadyPosted),
    "same-photos": (refusal(100, 1366051), AlreadyPosted),
    "content": (refusal(100, 1346003), Rejected),
    "content-1404102": (refusal(100, 1404102), Rejected),
    "link-not-scraped": (refusal(100, 1609005), Rejected),
    "link-to-facebook": (refusal(100, 1609008), Rejected),
    "picture": (refusal(100, 1366046), MediaRejected),
    "picture-broken": (refusal(324, 2061006), MediaRejected),
    "invalid": (refusal(100), MediaRejected),
    "unknown-1": (refusal(1), OutcomeUnknown),
    "unknown-2": (refusal(2, status=500), OutcomeUnknown),
    "unknown-with-a-listed-subcode": (refusal(1, 1346003), OutcomeUnknown),
    "limit-with-500": (refusal(4, status=500), OutcomeUnknown),
    "auth-with-503": (refusal(190, status=503), OutcomeUnknown),
    "transient": (refusal(100, 1346003, is_transient=True), OutcomeUnknown),
    "unlisted-code": (refusal(9999), OutcomeUnknown),
    "unlisted-status": (page(418, "teapot"), OutcomeUnknown),
    "400-of-something-else": (page(400, "Bad Request"), OutcomeUnknown),
    "403-of-something-else": (page(403, "Checking your browser"), OutcomeUnknown),
    "401-of-something-else": (page(401, "Unauthorized"), Unauthorized),
    "code-as-text": (Fault(status=400, body=b'{"error":{"code":"190"}}'), OutcomeUnknown),
    "redirect": (page(307, "Moved", Location="http://127.0.0.1:9/"), OutcomeUnknown),
    "500": (Fault(status=500, body=b""), OutcomeUnknown),
    "502": (page(502, "Bad Gateway"), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": (Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "not-json": (page(200, "Welcome"), OutcomeUnknown),
    "empty": (Fault(status=200, body=b""), OutcomeUnknown),
    "without-id": (Fault(status=200, body=b'{"success":true}'), OutcomeUnknown),
    "odd-id": (Fault(status=200, body=b'{"id":"../x"}'), OutcomeUnknown),
    "list": (Fault(status=200, body=b"[]"), OutcomeUnknown),
    "huge": (Fault(status=200, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": (refusal(190, message=_ECHO), Unauthorized),
    "echoes-in-success": (Fault(status=200, body=_ECHO.encode()), OutcomeUnknown),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeFacebook() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        yield Bench(
            make=lambda: adapter(server, client, post_as="photo", **as_app(server)),
            post=dataclasses.replace(POST, picture=picture(folder)),
            sent=lambda: [call.body for call in server.sends],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=seen(server).text, pinged=seen(server).mentions),
            secrets=(server.token, server.app_secret),
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
    "wrong",
    [
        {"page": "kaltimnews"},
        {"page": ""},
        {"page": True},
        {"app_id": "x"},
        {"version": "26"},
        {"version": "v26.0/../x"},
        {"post_as": "video"},
        {"server": "graph"},
    ],
    ids=str,
)
def test_settings_that_facebook_does_not_know_are_refused(server: FakeFacebook, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        settings_of(server, **wrong)


def test_a_pages_number_may_be_written_without_quotes(server: FakeFacebook) -> None:
    assert settings_of(server, page=104567890123456).page == "104567890123456"


def test_limits_are_known_before_anybody_has_answered_what_the_account_needs(client: net.Client) -> None:
    platform = Facebook(Facebook.Settings.model_construct(), Http(client))
    assert platform.limits is Facebook.limits


def test_whoami_names_the_page(facebook: Facebook, server: FakeFacebook) -> None:
    assert facebook.whoami() == Identity(
        id=server.page, name="Kaltim News", url=f"https://www.facebook.com/{server.page}"
    )


def test_with_the_apps_secret_whoami_tells_when_the_token_ends(server: FakeFacebook, client: net.Client) -> None:
    ends = datetime(2027, 1, 20, 7, 0, tzinfo=UTC)
    platform = adapter(server, client, **as_app(server))
    assert platform.whoami().expires is None
    server.app.expires_at = int(ends.timestamp())
    assert platform.whoami().expires == ends


def test_the_token_of_a_person_or_another_page_is_told_from_the_pages_own(
    facebook: Facebook, server: FakeFacebook
) -> None:
    server.owner = "7001"
    with pytest.raises(Unauthorized, match=r"that of Redaksi \(7001\), not of the Page 104567890123456: .*page: 7001"):
        facebook.whoami()


@pytest.mark.parametrize("token", [None, "", " \n", "two words", "tökén"])
def test_without_a_usable_token_nothing_is_asked_and_the_words_say_what_to_do(
    server: FakeFacebook, client: net.Client, token: str | None
) -> None:
    platform = adapter(server, client, page_token=token)
    for call in (
        platform.whoami,
        lambda: published(platform),
        lambda: platform.find(POST, Stage(), key=KEY, since=SINCE),
    ):
        with pytest.raises(Unauthorized, match=r"`autopublish platforms facebook`|copy it again"):
            call()
    assert server.calls == []


@pytest.mark.parametrize(
    ("changes", "lack"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"scopes": ["pages_manage_posts"]}, ["pages_read_engagement (whether a post is there)"], id="reading"
        ),
        pytest.param({"scopes": ["pages_read_engagement"]}, ["pages_manage_posts (posts)"], id="posting"),
        pytest.param({"privacy_policy": None}, ["a privacy policy"], id="an app that cannot be published"),
    ],
)
def test_a_check_says_what_token_and_app_lack(
    server: FakeFacebook, client: net.Client, changes: dict[str, Any], lack: list[str]
) -> None:
    server.app = dataclasses.replace(server.app, **changes)
    told = adapter(server, client, **as_app(server)).permissions()
    assert told is not None
    assert [one[: len(want)] for one, want in zip(told, lack, strict=True)] == lack


@pytest.mark.parametrize("given_values", [{}, {"app_id": "1"}, {"app_secret": FakeFacebook.app_secret}], ids=str)
def test_without_the_apps_credentials_a_check_asks_nothing(
    server: FakeFacebook, client: net.Client, given_values: dict[str, str]
) -> None:
    assert adapter(server, client, **given_values).permissions() is None
    assert server.calls == []


@pytest.mark.parametrize("name", ["debug", "app"])
def test_a_check_that_cannot_ask_is_no_good_news(server: FakeFacebook, client: net.Client, name: str) -> None:
    server.script(name, Fault(status=502))
    with pytest.raises(OutcomeUnknown):
        adapter(server, client, **as_app(server)).permissions()


def test_an_app_of_which_facebook_does_not_tell_is_not_complained_of(server: FakeFacebook, client: net.Client) -> None:
    server.app.privacy_policy = None
    server.script("app", refusal(100))
    assert adapter(server, client, **as_app(server)).permissions() == ()


def test_posts_of_an_app_that_is_not_published_are_seen_by_nobody_and_the_page_warns(
    facebook: Facebook, server: FakeFacebook
) -> None:
    import autopublish.platforms.facebook as module

    server.app.is_live = False
    assert published(facebook).remote_id
    assert server.visible() == []
    assert "look at the\nfirst post in a private window" in (module.__doc__ or "")


def test_an_app_may_demand_signed_requests(server: FakeFacebook, client: net.Client) -> None:
    server.app.demands_proof = True
    with pytest.raises(Rejected, match="appsecret_proof"):
        published(adapter(server, client))
    platform = adapter(server, client, app_secret=server.app_secret)
    published(platform)
    assert platform.find(POST, Stage(), key=KEY, since=SINCE)
    assert platform.whoami().id == server.page


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(190, 460, status=401), Unauthorized, id="dead"),
        pytest.param(refusal(4), RateLimited, id="limited"),
        pytest.param(refusal(2, status=500), OutcomeUnknown, id="trouble"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="html"),
        pytest.param(page(302, "Found", Location="https://elsewhere.example/"), OutcomeUnknown, id="redirect"),
        pytest.param(Fault(status=200, body=b'{"name":"x"}'), OutcomeUnknown, id="no id"),
    ],
)
def test_only_refusals_of_the_apis_own_block_the_account(
    facebook: Facebook, server: FakeFacebook, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("whoami", fault)
    with pytest.raises(error):
        facebook.whoami()


# --- what is posted --------------------------------------------------------------------------------------------------


def test_a_post_has_its_text_and_the_card_of_its_link(facebook: Facebook, server: FakeFacebook) -> None:
    receipt = published(facebook)
    post = seen(server)
    assert (post.text, post.card, post.photos) == (TEXT, LINK, ())
    assert (post.links, post.hashtags) == ((LINK,), ("Kaltim", "IKN"))
    number = receipt.remote_id.partition("_")[2]
    assert receipt == Receipt(remote_id=post.id, url=f"https://www.facebook.com/{server.page}/posts/{number}")


def test_a_setting_decides_whether_pictures_are_taken(server: FakeFacebook, client: net.Client) -> None:
    assert adapter(server, client).media is None
    assert adapter(server, client, post_as="photo").media is not None


@pytest.mark.parametrize("alt", ["A bridge “Mahakam”", ""])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_post_has_the_picture_with_its_alt_text(
    server: FakeFacebook, client: net.Client, tmp_path: Path, kind: str, alt: str
) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path, kind=kind, alt=alt))
    published(adapter(server, client, post_as="photo"), post)
    (number,) = seen(server).photos
    photo = server.photos[number]
    assert (photo.format, photo.size, photo.alt) == (kind, (120, 63), alt)
    assert (seen(server).text, seen(server).card) == (TEXT, None)


def test_a_photo_account_posts_an_article_without_a_picture_with_its_card(
    server: FakeFacebook, client: net.Client
) -> None:
    published(adapter(server, client, post_as="photo"))
    assert (seen(server).card, seen(server).photos) == (LINK, ())


def test_a_picture_is_uploaded_once_for_one_post(server: FakeFacebook, client: net.Client, tmp_path: Path) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path))
    platform = adapter(server, client, post_as="photo")
    stage = Stage(data=json.loads(json.dumps(dict(platform.stage(post, Stage()).data))))
    assert platform.stage(post, stage) == stage
    assert len(server.called("photos")) == 1
    assert post.picture is not None
    other = dataclasses.replace(post, picture=dataclasses.replace(post.picture, alt="Another"))
    platform.stage(other, stage)
    assert len(server.called("photos")) == 2


def test_what_stage_fixed_stays_whatever_the_settings_become(
    server: FakeFacebook, client: net.Client, tmp_path: Path
) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path))
    stage = adapter(server, client, post_as="photo").stage(post, Stage())
    for use in ("photo", "link"):
        adapter(server, client, post_as=use).publish(post, stage, key=KEY)
    first, second = server.sends
    assert first.body == second.body


def test_nothing_is_sent_where_the_picture_is_gone(server: FakeFacebook, client: net.Client, tmp_path: Path) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path))
    assert post.picture is not None
    Path(post.picture.path).unlink()
    with pytest.raises(MediaRejected, match="No such file"):
        published(adapter(server, client, post_as="photo"), post)
    assert server.calls == []


# --- counting and other people's words -------------------------------------------------------------------------------


def article(**words: Any) -> Article:
    return Article(
        id="a", feed="f", origin="o", link=LINK, published=PUBLISHED, first_seen=PUBLISHED, **{"title": "T", **words}
    )


def composed(platform: Facebook, template: str, **words: Any) -> Post:
    account = Account(name="f", platform="facebook", template=template)
    return compose(article(**words), account, platform.limits, picture=None, now=CREATED)


@settings(deadline=None, max_examples=10)
@given(word=st.text(st.sampled_from("aé漢👍🏽👨‍👩‍👧‍👦🇮🇩@#"), min_size=3, max_size=9))
def test_a_post_that_fills_all_the_room_is_taken_however_it_is_counted(
    shared: tuple[FakeFacebook, net.Client], word: str
) -> None:
    server, client = shared
    platform = adapter(server, client)
    words = f"a{clean(word)}z "
    post = composed(platform, "{{ text }} {{ text }} {{ link }}", text=words * (34_000 // len(words)))
    assert 63_206 - post.length < 100
    assert post.length == utf16_units(post.text)
    assert len(post.text) <= post.length <= 63_206
    published(platform, post)
    assert server.visible()[0].text == post.text


#: Whatever may stand in a title, signs that mean something to Facebook more often than elsewhere.
_TITLES = st.text(
    st.one_of(st.sampled_from("@#[]＠＃:_1Ab·.(<>&*`漢👍🏽é"), st.characters(codec="utf-8")), min_size=1, max_size=80
)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeFacebook, net.Client]]:
    """One server for many examples."""
    with FakeFacebook() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        yield server, client


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@settings(deadline=None, max_examples=80)
@given(title=_TITLES.filter(lambda title: bool(clean(title))))
def test_h05_h06_any_title_is_read_as_it_is_written_and_calls_nobody(
    shared: tuple[FakeFacebook, net.Client], title: str
) -> None:
    server, client = shared
    platform = adapter(server, client)
    post = composed(platform, "{{ title }}{{ title }} {{ link }} #Kaltim", title=title)
    published(platform, post)
    found = server.visible()[0]
    assert (found.text, found.card) == (post.text, LINK)
    outside = [name for name in found.mentions if f"@{name}" not in _addresses(post.text)]
    assert (outside, found.hashtags) == ([], ("Kaltim",))


def _addresses(text: str) -> str:
    """What follows a letter or digit: a mail address, which tells nobody."""
    import re

    return " ".join(re.findall(r"(?<=[A-Za-z0-9])[@\uff20]\w+", text)).replace("\uff20", "@")


TITLES = [
    "@gubernur: kata @walikota dan (@ibu_kota) @[104567890123456] ＠[7:x]",
    "#banjir di #Samarinda, #2026 dan nomor 5#",
    "*tebal* _miring_ `kode` [x](https://a.example) <b>&amp;</b> ||rahasia||",
    "Kurs: 15.000/USD @ 7 & “kutip” @",
]


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize("title", TITLES)
def test_h05_h06_a_title_looks_as_its_site_has_it(facebook: Facebook, server: FakeFacebook, title: str) -> None:
    published(facebook, composed(facebook, "{{ title }}\n\n{{ link }}", title=title))
    post = seen(server)
    assert post.text.partition("\n")[0].replace("\u2060", "") == title
    assert (post.mentions, post.hashtags) == ((), ())


def test_the_operators_own_words_work(facebook: Facebook, server: FakeFacebook) -> None:
    published(facebook, composed(facebook, "{{ title }} via @redaksi #Kaltim {{ link }}", title="Surat @x #y"))
    assert (seen(server).mentions, seen(server).hashtags) == (("redaksi",), ("Kaltim",))


def test_what_was_made_harmless_stays_as_it_is() -> None:
    once = harmless("@a #b @[7] x@[8]")
    assert harmless(once) == once


# --- refusals --------------------------------------------------------------------------------------------------------


def usage(*minutes: object) -> dict[str, str]:
    entries = [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": one} for one in minutes]
    return {"X-Business-Use-Case-Usage": json.dumps({"104567890123456": entries})}


@pytest.mark.fault("D13")
@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        pytest.param(refusal(80001, headers=usage(28, 5)), timedelta(minutes=28), id="the longest of its limits"),
        pytest.param(refusal(80001, headers=usage(0)), timedelta(hours=1), id="not told"),
        pytest.param(refusal(80001, headers=usage("x", None, True)), timedelta(hours=1), id="nonsense"),
        pytest.param(refusal(4, headers={"X-Business-Use-Case-Usage": "{"}), timedelta(hours=1), id="broken"),
        pytest.param(refusal(4, headers={"X-Business-Use-Case-Usage": "[[1]]"}), timedelta(hours=1), id="a list"),
        pytest.param(refusal(32, headers=usage(10**9)), timedelta(days=7), id="absurd"),
        pytest.param(page(429, "Too Many", Retry_After="41"), timedelta(seconds=41), id="a proxy's"),
        pytest.param(refusal(368, 1390008), timedelta(hours=6), id="a block"),
        pytest.param(refusal(341), timedelta(hours=3), id="the app's"),
    ],
)
def test_d13_a_limit_says_how_long_it_lasts(
    facebook: Facebook, server: FakeFacebook, fault: Fault, wait: timedelta
) -> None:
    server.script("publish", fault)
    with pytest.raises(RateLimited) as raised:
        published(facebook)
    assert raised.value.wait == wait


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(100), Rejected, id="invalid"),
        pytest.param(refusal(100, 1366046), Rejected, id="a picture's word"),
        pytest.param(refusal(100, 1609005), Rejected, id="link"),
    ],
)
def test_without_a_picture_a_refusal_is_for_good(
    facebook: Facebook, server: FakeFacebook, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("publish", fault)
    with pytest.raises(error, match="words"):
        published(facebook)


def test_the_reason_has_the_numbers_and_facebooks_own_words(facebook: Facebook, server: FakeFacebook) -> None:
    server.script("publish", refusal(100, 1346003, error_user_title="Terlarang", error_user_msg="Isi ditolak"))
    with pytest.raises(Rejected) as raised:
        published(facebook)
    assert str(raised.value) == "status 400: code 100/1346003: (#100) words Terlarang Isi ditolak"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(324, 2061006), MediaRejected, id="broken"),
        pytest.param(refusal(100, 1366046), MediaRejected, id="too large"),
        pytest.param(refusal(2, status=500), OutcomeUnknown, id="trouble"),
        pytest.param(refusal(190), Unauthorized, id="token"),
        pytest.param(refusal(4), RateLimited, id="limit"),
        pytest.param(Fault(status=200, body=b"{}"), OutcomeUnknown, id="no number"),
    ],
)
def test_a_refused_upload_has_its_error(
    server: FakeFacebook, client: net.Client, tmp_path: Path, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("photos", fault)
    post = dataclasses.replace(POST, picture=picture(tmp_path))
    with pytest.raises(error):
        adapter(server, client, post_as="photo").stage(post, Stage())
    assert server.sends == []


@pytest.mark.fault("H12")
def test_h12_a_redirect_of_a_post_is_not_followed_and_the_token_stays_here(
    facebook: Facebook, server: FakeFacebook
) -> None:
    with FakeFacebook() as elsewhere:
        server.script("publish", page(307, "Moved", Location=f"{elsewhere.url}/v26.0/{server.page}/feed"))
        with pytest.raises(OutcomeUnknown):
            published(facebook)
        assert elsewhere.calls == []


def test_the_token_stands_in_no_address(server: FakeFacebook, client: net.Client, tmp_path: Path) -> None:
    platform = adapter(server, client, post_as="photo", app_secret=server.app_secret)
    published(platform, dataclasses.replace(POST, picture=picture(tmp_path)))
    platform.find(POST, Stage(), key=KEY, since=SINCE)
    platform.whoami()
    assert len(server.calls) == 4
    assert not [call for call in server.calls if server.token in f"{call.path}{call.params}".replace("Bearer", "")]


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "card", "is_it"),
    [
        pytest.param(f"Baca {LINK}", None, True, id="in the text"),
        pytest.param(f"(Baca {LINK}).", None, True, id="in brackets"),
        pytest.param("Baca", LINK, True, id="on the card"),
        pytest.param("", LINK + "&utm_source=x", True, id="with a tracking parameter"),
        pytest.param("Baca", LINK.replace("id=7", "id=8"), False, id="another article"),
        pytest.param(TEXT.replace(LINK, ""), None, False, id="the same words without the link"),
    ],
)
def test_a_post_is_known_by_its_link(
    facebook: Facebook, server: FakeFacebook, text: str, card: str | None, is_it: bool
) -> None:
    post = server.post_by_hand(text, card=card)
    found = facebook.find(POST, Stage(), key=KEY, since=SINCE)
    assert (found and found.remote_id) == (post.id if is_it else None)


def test_a_post_without_a_link_is_known_by_its_text(facebook: Facebook, server: FakeFacebook) -> None:
    post = dataclasses.replace(POST, text="Kata @\u2060walikota  di sini", link=None)
    assert facebook.find(post, Stage(), key=KEY, since=SINCE) is None
    server.post_by_hand("Kata @\u2060walikota di sini")
    assert facebook.find(post, Stage(), key=KEY, since=SINCE)


def test_a_photo_post_whose_text_has_no_link_is_known_by_its_text(
    server: FakeFacebook, client: net.Client, tmp_path: Path
) -> None:
    platform = adapter(server, client, post_as="photo")
    post = dataclasses.replace(POST, text="Jembatan dibuka", picture=picture(tmp_path))
    receipt = published(platform, post)
    assert platform.find(post, Stage(), key=KEY, since=SINCE) == receipt
    other = dataclasses.replace(post, text="Jembatan ditutup")
    assert platform.find(other, Stage(), key=KEY, since=SINCE) is None


def test_older_posts_are_not_looked_at(facebook: Facebook, server: FakeFacebook) -> None:
    server.clock = lambda: SINCE - timedelta(seconds=1)
    server.post_by_hand(TEXT)
    assert facebook.find(POST, Stage(), key=KEY, since=SINCE) is None


def test_older_posts_that_are_listed_all_the_same_do_not_count(facebook: Facebook, server: FakeFacebook) -> None:
    entries = [
        {"id": f"1_{number}", "message": LINK, "created_time": made}
        for number, made in enumerate(
            ("2026-11-24T05:59:59+0000", "2026-11-24T07:59:59+0200", "2026-11-24T06:00:00+0000")
        )
    ]
    server.script("find", Fault(status=200, body=json.dumps({"data": entries}).encode()))
    found = facebook.find(POST, Stage(), key=KEY, since=SINCE)
    assert (found and found.remote_id) == "1_2"


def test_a_long_list_is_read_to_its_end(facebook: Facebook, server: FakeFacebook) -> None:
    wanted = server.post_by_hand(TEXT)
    for number in range(60):
        server.post_by_hand(f"Lain {number}")
    server.page_size = 20
    found = facebook.find(POST, Stage(), key=KEY, since=SINCE)
    assert (found and found.remote_id, len(server.called("find"))) == (wanted.id, 4)


def test_a_list_without_end_decides_nothing(facebook: Facebook, server: FakeFacebook) -> None:
    for number in range(45):
        server.post_by_hand(f"Lain {number}")
    server.page_size = 1
    with pytest.raises(Undecided, match="more than 1000 posts"):
        facebook.find(POST, Stage(), key=KEY, since=SINCE)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(
            b'{"data":[],"paging":{"next":"https://x"}}', Undecided, id="a next page that cannot be asked for"
        ),
        pytest.param(b'{"data":[{"message":"x"}]}', OutcomeUnknown, id="a post without its number"),
        pytest.param(b'{"data":[7]}', OutcomeUnknown, id="no post"),
        pytest.param(b'{"data":{}}', OutcomeUnknown, id="no list"),
        pytest.param(b"<html>", OutcomeUnknown, id="html"),
    ],
)
def test_a_list_that_cannot_be_read_proves_nothing(
    facebook: Facebook, server: FakeFacebook, body: bytes, error: type[DeliveryError]
) -> None:
    server.script("find", Fault(status=200, body=body))
    with pytest.raises(error):
        facebook.find(POST, Stage(), key=KEY, since=SINCE)


def test_a_post_of_which_the_list_does_not_say_when_it_was_made_counts(
    facebook: Facebook, server: FakeFacebook
) -> None:
    entry = {"id": "1_2", "message": LINK, "attachments": {"data": [7, {"target": 7}]}}
    server.script("find", Fault(status=200, body=json.dumps({"data": [entry]}).encode()))
    assert facebook.find(POST, Stage(), key=KEY, since=SINCE) == Receipt(
        remote_id="1_2", url="https://www.facebook.com/1/posts/2"
    )


# --- taking away -----------------------------------------------------------------------------------------------------


def test_a_post_is_taken_away_and_again_without_harm(facebook: Facebook, server: FakeFacebook) -> None:
    receipt = published(facebook)
    facebook.delete(receipt)
    assert server.visible() == []
    facebook.delete(receipt)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(2, status=500), OutcomeUnknown, id="trouble"),
        pytest.param(refusal(190), Unauthorized, id="token"),
        pytest.param(refusal(200), Unauthorized, id="permission"),
        pytest.param(refusal(4), RateLimited, id="limit"),
        pytest.param(refusal(100), Rejected, id="not to be taken away"),
        pytest.param(page(404, "Not Found"), OutcomeUnknown, id="a page"),
        pytest.param(Fault(status=200, body=b'{"success":false}'), OutcomeUnknown, id="no yes"),
    ],
)
def test_only_what_facebook_says_is_gone_is_gone(
    facebook: Facebook, server: FakeFacebook, fault: Fault, error: type[DeliveryError]
) -> None:
    receipt = published(facebook)
    server.script("delete", fault)
    with pytest.raises(error):
        facebook.delete(receipt)
    assert len(server.visible()) == 1


def test_a_token_that_sees_nothing_does_not_prove_that_a_post_is_gone(facebook: Facebook, server: FakeFacebook) -> None:
    receipt = published(facebook)
    server.script("delete", refusal(100, 33))
    server.owner = "7001"
    with pytest.raises(Unauthorized):
        facebook.delete(receipt)


@pytest.mark.parametrize("remote_id", ["", "x", "https://www.facebook.com/1/posts/2", "1_2/likes"])
def test_what_is_no_post_of_facebook_is_not_asked_for(facebook: Facebook, server: FakeFacebook, remote_id: str) -> None:
    with pytest.raises(Rejected, match="no post of Facebook"):
        facebook.delete(Receipt(remote_id=remote_id))
    assert server.calls == []


# --- on the line -----------------------------------------------------------------------------------------------------


def facebook_line(world: World, server: FakeFacebook, **values: Any) -> Line:
    server.clock = world.clock
    return open_line(
        world,
        "facebook",
        lambda http: Facebook(settings_of(server, **values), patient(http)),
        texts=lambda: [f"{post.text} {post.card}" for post in server.visible()],
        sends=lambda: len(server.sends),
        post_by_hand=server.post_by_hand,
        fail_look=lambda: server.script("find", Fault(status=502)),
    )


@pytest.mark.parametrize("post_as", ["link", "photo"])
def test_articles_are_posted_once(unjudged_world: World, server: FakeFacebook, post_as: str) -> None:
    line = facebook_line(unjudged_world, server, post_as=post_as)
    line.show("one", picture=file_picture(line.world))
    line.show("two")
    line.world.until_quiet()
    line.world.run()
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.POSTED, State.POSTED, 2)
    assert sorted(len(post.photos) for post in server.visible()) == [0, 1 if post_as == "photo" else 0]


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-reset": Fault(then=Then.RESET, made=Made.AT_ONCE),
    "made-then-code-2": dataclasses.replace(refusal(2, status=500), made=Made.AT_ONCE),
    "made-then-code-1": dataclasses.replace(refusal(1), made=Made.AT_ONCE),
    "made-then-cut": Fault(then=Then.CUT, made=Made.AT_ONCE),
    "made-without-id": Fault(status=200, body=b"{}", made=Made.AT_ONCE),
    "made-then-unlisted": dataclasses.replace(refusal(9999), made=Made.AT_ONCE),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-502": Fault(status=502),
    "never-made-reset": Fault(then=Then.RESET_READING),
}


@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
@pytest.mark.parametrize("refuses_doubles", [True, False])
def test_d05_d06_d09_a_lost_answer_ends_with_one_post(
    unjudged_world: World, server: FakeFacebook, fault: Fault, refuses_doubles: bool
) -> None:
    server.refuses_doubles = refuses_doubles
    line = facebook_line(unjudged_world, server)
    server.script("publish", fault)
    line.show("one")
    line.world.run()
    assert line.row("one").state is State.VERIFYING
    line.world.until_quiet()
    line.world.clock.move(hours=2)
    line.world.run()
    assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)
    came = 0 if fault.then is Then.RESET_READING else 1
    assert line.sends() == came + (1 if fault.made is Made.NEVER else 0)
    assert len({call.body for call in server.sends}) == 1


@pytest.mark.fault("D08")
def test_d08_a_proof_of_absence_that_got_old_is_renewed_before_the_bytes_go_again(
    unjudged_world: World, server: FakeFacebook
) -> None:
    line = facebook_line(unjudged_world, server)
    server.script("publish", Fault(status=502), refusal(80001, headers=usage(120)))
    line.show("one")
    line.world.run()
    while line.sends() < 2:
        line.world.clock.move_to(
            max(line.row("one").look_at or line.world.clock(), line.world.clock() + timedelta(minutes=1))
        )
        line.world.run()
    looks = len(server.called("find"))
    line.world.clock.move(hours=2, minutes=1)
    line.world.until_quiet()
    assert len(server.called("find")) >= looks + 2
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 3)


@pytest.mark.fault("D07")
def test_d07_a_copy_of_the_last_post_is_evidence_after_a_lost_answer_and_a_clash_without_one(
    unjudged_world: World, server: FakeFacebook
) -> None:
    line = facebook_line(unjudged_world, server)
    server.script("publish", refusal(506))
    line.show("one")
    line.world.run()
    assert (line.row("one").state, line.row("one").reason) == (State.HELD, "clash")
    # The lost call comes late, after its absence was proved; the repeat is refused as a copy.
    server.script("publish", Fault(status=502), dataclasses.replace(refusal(506), made=Made.AT_ONCE))
    line.show("two")
    line.world.until_quiet()
    assert (line.row("two").state, line.seen("two")) == (State.POSTED, 1)


@pytest.mark.fault("D11")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d11_a_run_that_was_killed_in_its_call_never_doubles_the_post(
    desk: Desk, server: FakeFacebook, made: Made
) -> None:
    desk.configure(
        f"  fb:\n    platform: facebook\n    server: {server.url}\n    page: {server.page}\n"
        "    page_token: env:FB_TOKEN\n    allow_private: yes\n    settle: 0s\n"
    )
    desk.environment["FB_TOKEN"] = server.token
    server.clock = lambda: datetime.now(UTC)
    desk("run")
    desk.show("one")
    server.script("publish", Fault(then=Then.SILENCE, made=made))
    kill_in_call(desk, server)
    server.calls.clear()
    desk("run")
    assert (desk.row("one", "fb").state, server.sends) == (State.VERIFYING, [])
    assert len(server.visible()) == (1 if made is Made.AT_ONCE else 0)


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
def test_d14_d16_a_dead_token_blocks_the_account_and_loses_nothing(unjudged_world: World, server: FakeFacebook) -> None:
    line = facebook_line(unjudged_world, server)
    line.show("one")
    line.world.run()
    server.is_revoked = True
    line.show("two")
    line.world.run()
    assert line.world.standing("facebook").state is AccountState.AUTH_BLOCKED
    assert line.row("two").state is State.READY
    server.is_revoked = False
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two"), line.row("two").state) == (1, 1, State.POSTED)


@pytest.mark.fault("D17")
def test_d17_a_refused_text_stops_no_other(unjudged_world: World, server: FakeFacebook) -> None:
    line = facebook_line(unjudged_world, server)
    server.script("publish", refusal(100, 1346003))
    line.show("one")
    line.world.run()
    line.show("two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("two").state) == (State.REJECTED, State.POSTED)
    assert "1346003" in (line.row("one").reason or "")


@pytest.mark.fault("D19")
@pytest.mark.parametrize(
    "fault", [refusal(324, 2061006), refusal(100, 1366046), refusal(2, status=500)], ids=["broken", "large", "trouble"]
)
def test_d19_an_upload_that_fails_leaves_a_post_with_a_card(
    unjudged_world: World, server: FakeFacebook, fault: Fault
) -> None:
    line = facebook_line(unjudged_world, server, post_as="photo")
    server.script("photos", *[fault] * 3)
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    assert (line.row("one").state, seen(server).photos, seen(server).card) == (
        State.POSTED,
        (),
        "https://news.example/one/",
    )


@pytest.mark.fault("D19")
def test_d19_a_picture_that_is_gone_by_the_time_of_its_post_is_left_out(
    unjudged_world: World, server: FakeFacebook
) -> None:
    line = facebook_line(unjudged_world, server, post_as="photo")
    server.script("publish", refusal(100))
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one"), line.sends(), seen(server).photos) == (State.POSTED, 1, 2, ())


@pytest.mark.fault("D13")
def test_d13_a_limit_holds_the_account_until_it_ends(unjudged_world: World, server: FakeFacebook) -> None:
    line = facebook_line(unjudged_world, server)
    server.script("publish", refusal(32, headers=usage(15)))
    line.show("one", "two")
    line.world.run()
    assert line.sends() == 1
    assert line.world.standing("facebook").not_before == line.world.clock() + timedelta(minutes=15)
    line.world.until_quiet()
    assert (line.sends(), line.seen("one"), line.seen("two")) == (3, 1, 1)


@pytest.mark.fault("D23")
def test_d23_what_a_person_posted_meanwhile_is_found_and_not_sent(unjudged_world: World, server: FakeFacebook) -> None:
    line = facebook_line(unjudged_world, server)
    line.world.change_account("facebook", delay=timedelta(hours=2))
    line.show("one", "two")
    line.world.run()
    server.post_by_hand("Baca", card="https://news.example/one/?utm_source=x")
    line.world.clock.move(hours=2)
    line.world.run()
    assert (line.row("one").state, line.row("one").reason) == (State.POSTED, "was there already")
    assert (line.seen("one"), line.seen("two"), line.sends()) == (1, 1, 1)


def test_a_server_that_is_away_is_told_without_the_token(facebook: Facebook, server: FakeFacebook) -> None:
    server.stop()
    with pytest.raises(NotSent) as raised:
        published(facebook)
    assert server.token not in f"{raised.value!r} {raised.value.__cause__!r}"
