"""LinkedIn against a strict server on loopback."""

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
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from autopublish.models import Account, AccountState, Article, Identity, Post, Receipt, Span, SpanKind, Stage, State
from autopublish.platforms._http import Http
from autopublish.platforms.linkedin import LinkedIn, commentary, unlinked
from autopublish.posts import compose
from autopublish.text import clean, utf16_units
from tests.bench.world import World
from tests.desk import Desk
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_on_the_line import Line, file_picture, open_line, patient
from tests.platforms.test_telegram import kill_in_call, page, picture
from tests.servers.linkedin import FakeLinkedIn, Share, read
from tests.servers.scripted import Fault, Made, Then

KEY = "0123456789abcdef0123456789abcdef"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3)
LINK = "https://news.example/2026/11/jembatan_mahakam_(baru)/?id=7&page=2"
TEXT = f"Jembatan “Mahakam” & IKN (baru) 👨‍👩‍👧‍👦\n\n{LINK}\n#Kaltim #IKN_2026"
POST = Post(
    text=TEXT,
    link=LINK,
    title="Jembatan",
    summary="Dibuka (lagi).",
    spans=(
        Span(kind=SpanKind.LINK, start=TEXT.index(LINK), end=TEXT.index(LINK) + len(LINK), value=LINK),
        Span(kind=SpanKind.HASHTAG, start=TEXT.index("#Kaltim"), end=TEXT.index(" #IKN"), value="Kaltim"),
        Span(kind=SpanKind.HASHTAG, start=TEXT.index("#IKN"), end=len(TEXT), value="IKN_2026"),
    ),
    created_at=CREATED,
    published=PUBLISHED,
)
MEMBER = f"urn:li:person:{FakeLinkedIn.member}"
PAGE = f"urn:li:organization:{FakeLinkedIn.page}"


@pytest.fixture
def server() -> Iterator[FakeLinkedIn]:
    with FakeLinkedIn() as one:
        one.clock = lambda: CREATED
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def linkedin(server: FakeLinkedIn, client: net.Client) -> LinkedIn:
    return adapter(server, client)


@pytest.fixture
def pictured(tmp_path: Path) -> Post:
    return dataclasses.replace(POST, picture=picture(tmp_path))


def settings_of(server: FakeLinkedIn, /, **values: Any) -> LinkedIn.Settings:
    given_values = {"server": server.url, "login_server": server.url, "access_token": server.token, **values}
    return LinkedIn.Settings.model_validate(given_values)


def adapter(server: FakeLinkedIn, client: net.Client, /, **values: Any) -> LinkedIn:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return LinkedIn(settings_of(server, **values), http)


def published(platform: LinkedIn, post: Post = POST) -> Receipt:
    return platform.publish(post, platform.stage(post, Stage()), key=KEY)


def seen(server: FakeLinkedIn) -> Share:
    (share,) = server.visible()
    return share


def refusal(status: int, words: str, code: str = "", **headers: str) -> Fault:
    """A refusal as LinkedIn words it."""
    body = {"status": status, "message": words, **({"code": code} if code else {})}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, body=json.dumps(body).encode(), headers=named)


# --- the contract test's part ----------------------------------------------------------------------------------------

_ECHO = json.dumps({"status": 418, "message": f"odd Bearer {FakeLinkedIn.token}"}).encode()
_DUPLICATE = "Content is a duplicate of urn:li:share:7295588489876647936"
_PERSON = "Content is a duplicate of urn:li:person:12"

#: Failure -> how the call goes wrong, and what `publish` raises.
FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "token-ended": (refusal(401, "The token has expired", "EXPIRED_ACCESS_TOKEN"), Unauthorized),
    "token-revoked": (refusal(401, "The token was revoked", "REVOKED_ACCESS_TOKEN"), Unauthorized),
    "no-permission": (refusal(403, "Not enough permissions to access: posts.CREATE", "ACCESS_DENIED"), Unauthorized),
    "version-ended": (refusal(426, "Requested version 202401 is not active", "NONEXISTENT_VERSION"), Unauthorized),
    "version-missing": (refusal(400, "A version must be present", "VERSION_MISSING"), Unauthorized),
    "limited": (refusal(429, "Resource level throttle MEMBER DAY limit is reached", "TOO_MANY_REQUESTS"), RateLimited),
    "limited-by-something-else": (page(429, "Too Many Requests", Retry_After="7"), RateLimited),
    "duplicate": (refusal(422, _DUPLICATE, "DUPLICATE_POST"), AlreadyPosted),
    "duplicate-without-code": (refusal(422, _DUPLICATE), AlreadyPosted),
    "duplicate-of-nothing": (refusal(422, "Duplicate post is detected", "DUPLICATE_POST"), AlreadyPosted),
    "too-long": (refusal(400, "ERROR :: /commentary :: too long", "FIELD_LENGTH_TOO_LONG"), Rejected),
    "invalid-value": (refusal(400, "ERROR :: /visibility :: odd", "INVALID_VALUE_FOR_FIELD"), Rejected),
    "unprocessable": (refusal(422, "ERROR :: /content/article/source :: odd"), Rejected),
    "thumbnail": (refusal(400, "ERROR :: /content/article/thumbnail :: unknown"), MediaRejected),
    "image": (refusal(422, "urn:li:image:C5 does not exist"), MediaRejected),
    "image-in-work": (refusal(400, "urn:li:image:C5 is not ready: PROCESSING"), OutcomeUnknown),
    "unlisted-400": (refusal(400, "Unable to obtain activity"), OutcomeUnknown),
    "400-of-something-else": (page(400, "thumbnail"), OutcomeUnknown),
    "403-of-something-else": (page(403, "Checking your browser"), OutcomeUnknown),
    "422-of-something-else": (page(422, _DUPLICATE), OutcomeUnknown),
    "unlike-its-status": (Fault(status=422, body=b'{"status":500,"message":"x"}'), OutcomeUnknown),
    "conflict": (refusal(409, "Conflict", "CONFLICT"), OutcomeUnknown),
    "unlisted-404": (refusal(404, "No virtual resource found"), OutcomeUnknown),
    "redirect": (page(307, "Moved", Location="http://127.0.0.1:9/"), OutcomeUnknown),
    "500": (refusal(500, "Internal Server Error"), OutcomeUnknown),
    "502": (page(502, "Bad Gateway"), OutcomeUnknown),
    "504": (Fault(status=504, body=b""), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "without-id": (Fault(status=201, body=b""), OutcomeUnknown),
    "id-of-a-person": (Fault(status=201, body=b"", headers={"X-RestLi-Id": MEMBER}), OutcomeUnknown),
    "a-page-of-something-else": (page(200, "Welcome", X_RestLi_Id="urn:li:share:7"), OutcomeUnknown),
    "huge": (Fault(status=201, body=b" " * 1_500_000, headers={"X-RestLi-Id": "urn:li:share:7"}), OutcomeUnknown),
    "echoes": (Fault(status=418, body=_ECHO), OutcomeUnknown),
    "echoes-in-success": (Fault(status=201, body=_ECHO), OutcomeUnknown),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeLinkedIn() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        # So that what identical calls make can be counted.
        server.refuses_duplicates = False
        yield Bench(
            make=lambda: adapter(server, client),
            post=dataclasses.replace(POST, picture=picture(folder)),
            sent=lambda: [call.body for call in server.called("publish")],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=seen(server).text, pinged=seen(server).mentions),
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
    "written",
    [5515715, "5515715", " 5515715 ", "urn:li:organization:5515715", "https://www.linkedin.com/company/5515715/admin/"],
)
def test_a_page_is_known_by_its_number(server: FakeLinkedIn, written: object) -> None:
    assert settings_of(server, organization=written).organization == "5515715"


@pytest.mark.parametrize(
    "wrong",
    [
        {"organization": "https://www.linkedin.com/company/kaltim/"},
        {"organization": "urn:li:person:12"},
        {"organization": True},
        {"visibility": "logged in"},
        {"version": "202613"},
        {"version": "2026-08"},
    ],
    ids=str,
)
def test_settings_that_linkedin_does_not_know_are_refused(server: FakeLinkedIn, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        settings_of(server, **wrong)


def test_whoami_names_the_member(linkedin: LinkedIn, server: FakeLinkedIn) -> None:
    assert linkedin.whoami() == Identity(id=MEMBER, name="Ani Wijaya")
    assert server.called("introspect") == []


def test_whoami_names_the_page(server: FakeLinkedIn, client: net.Client) -> None:
    assert adapter(server, client, organization=server.page).whoami() == Identity(
        id=PAGE, name="page 5515715", url="https://www.linkedin.com/company/5515715/"
    )


@pytest.mark.parametrize("role", ["ANALYST", "ADMINISTRATOR"])
def test_a_page_that_the_member_may_not_post_on_blocks_the_account(
    server: FakeLinkedIn, client: net.Client, role: str
) -> None:
    server.role = role
    number = server.page if role == "ANALYST" else "7"
    with pytest.raises(Unauthorized, match="administrator"):
        adapter(server, client, organization=number).whoami()


def with_app(server: FakeLinkedIn, client: net.Client, **values: Any) -> LinkedIn:
    return adapter(server, client, client_id=server.client_id, client_secret=server.client_secret, **values)


def test_the_app_is_told_when_the_token_ends_and_what_it_may_do(server: FakeLinkedIn, client: net.Client) -> None:
    platform = with_app(server, client)
    assert platform.whoami().expires == datetime.fromtimestamp(1_800_000_000, UTC)
    assert platform.permissions() == ()
    assert with_app(server, client, organization=server.page).permissions() == ("w_organization_social (posts)",)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(status=401, body=b'{"error":"invalid_client"}'), id="refused"),
        pytest.param(Fault(then=Then.RESET), id="reset"),
        pytest.param(page(200, "Welcome"), id="html"),
        pytest.param(Fault(status=200, body=b'{"active":true,"expires_at":"soon","scope":[]}'), id="nonsense"),
    ],
)
def test_where_linkedin_does_not_tell_of_the_token_the_account_is_known_all_the_same(
    server: FakeLinkedIn, client: net.Client, fault: Fault
) -> None:
    server.script("introspect", fault, fault)
    platform = with_app(server, client)
    assert platform.whoami() == Identity(id=MEMBER, name="Ani Wijaya")
    assert platform.permissions() is None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(401, "expired", "EXPIRED_ACCESS_TOKEN"), Unauthorized, id="ended"),
        pytest.param(refusal(403, "Not enough permissions", "ACCESS_DENIED"), Unauthorized, id="no permission"),
        pytest.param(page(403, "Checking your browser"), OutcomeUnknown, id="not LinkedIn's"),
        pytest.param(page(302, "Found", Location="https://elsewhere.example/"), OutcomeUnknown, id="redirect"),
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="html"),
        pytest.param(Fault(status=200, body=b'{"name":"x"}'), OutcomeUnknown, id="no id"),
        pytest.param(refusal(429, "limit", Retry_After="7"), RateLimited, id="limited"),
    ],
)
def test_only_refusals_of_linkedins_own_block_the_account(
    linkedin: LinkedIn, server: FakeLinkedIn, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("whoami", fault)
    with pytest.raises(error):
        linkedin.whoami()


@pytest.mark.parametrize("token", [None, "", " ", "dengan blank", "panjang—é"])
def test_what_can_be_no_token_is_told_and_not_sent(client: net.Client, server: FakeLinkedIn, token: str | None) -> None:
    platform = adapter(server, client, access_token=token)
    for call in (platform.whoami, lambda: published(platform)):
        with pytest.raises(Unauthorized, match="access token"):
            call()
    assert server.calls == []


def test_blanks_around_token_and_address_do_no_harm(client: net.Client, server: FakeLinkedIn) -> None:
    platform = adapter(server, client, access_token=f" {server.token}\n", server=f"{server.url}/")
    assert platform.whoami().id == MEMBER


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_a_post_has_its_text_its_hashtags_and_a_card_of_our_own(linkedin: LinkedIn, server: FakeLinkedIn) -> None:
    receipt = published(linkedin)
    share = seen(server)
    assert (share.text, share.hashtags, share.mentions) == (TEXT, ("Kaltim", "IKN_2026"), ())
    assert (share.card, share.author) == ((LINK, "Jembatan", "Dibuka (lagi).", False), MEMBER)
    assert receipt == Receipt(remote_id=share.urn, url=f"https://www.linkedin.com/feed/update/{share.urn}/")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("alt", ["A bridge", ""])
def test_a_picture_stands_in_the_card(
    linkedin: LinkedIn, server: FakeLinkedIn, tmp_path: Path, kind: str, alt: str
) -> None:
    made = picture(tmp_path, kind=kind, alt=alt)
    published(linkedin, dataclasses.replace(POST, picture=made))
    assert seen(server).card == (LINK, "Jembatan", "Dibuka (lagi).", True)
    assert server.uploads == [Path(made.path).read_bytes()]


@pytest.mark.parametrize("alt", ["A bridge", ""])
def test_without_a_link_a_picture_is_shown_as_such_with_its_alt_text(
    linkedin: LinkedIn, server: FakeLinkedIn, tmp_path: Path, alt: str
) -> None:
    published(linkedin, dataclasses.replace(POST, link=None, picture=picture(tmp_path, alt=alt)))
    assert (seen(server).card, seen(server).alt) == (None, alt)


@pytest.mark.parametrize(
    ("title", "text", "shown"),
    [
        pytest.param("Jembatan", "Teks", "Jembatan", id="title"),
        pytest.param("", "Teks", "Teks", id="text"),
        pytest.param("", "x" * 500, "x" * 400, id="long text"),
        pytest.param("", " ", LINK, id="address"),
    ],
)
def test_a_card_always_has_a_title(linkedin: LinkedIn, server: FakeLinkedIn, title: str, text: str, shown: str) -> None:
    published(linkedin, dataclasses.replace(POST, title=title, text=text, spans=()))
    card = seen(server).card
    assert card is not None
    assert card[1] == shown


def test_a_post_goes_as_the_settings_say(server: FakeLinkedIn, client: net.Client) -> None:
    published(adapter(server, client, organization=server.page, visibility="connections", version="202609"))
    assert (seen(server).author, seen(server).visibility) == (PAGE, "CONNECTIONS")
    assert server.called("whoami") == []


def test_what_stage_knew_is_not_asked_and_not_uploaded_again(
    server: FakeLinkedIn, client: net.Client, pictured: Post
) -> None:
    stage = adapter(server, client).stage(pictured, Stage())
    kept = Stage(data=json.loads(json.dumps(dict(stage.data))))
    assert adapter(server, client).stage(pictured, kept) == stage
    adapter(server, client).publish(pictured, kept, key=KEY)
    assert [len(server.called(name)) for name in ("whoami", "begin", "upload", "publish")] == [1, 1, 1, 1]


def test_what_stage_fixed_stays_whatever_the_settings_become(
    server: FakeLinkedIn, client: net.Client, pictured: Post
) -> None:
    server.refuses_duplicates = False
    before = adapter(server, client)
    stage = Stage(data=json.loads(json.dumps(dict(before.stage(pictured, Stage()).data))))
    before.publish(pictured, stage, key=KEY)
    adapter(server, client, organization=server.page, visibility="connections").publish(pictured, stage, key=KEY)
    first, second = server.called("publish")
    assert first.body == second.body


def test_another_picture_is_uploaded_anew(
    linkedin: LinkedIn, server: FakeLinkedIn, pictured: Post, tmp_path: Path
) -> None:
    stage = linkedin.stage(pictured, Stage())
    other = dataclasses.replace(POST, picture=picture(tmp_path, size=(64, 64)))
    assert linkedin.stage(other, stage).data["image"] != stage.data["image"]


def test_nothing_is_uploaded_where_the_picture_is_gone(
    linkedin: LinkedIn, server: FakeLinkedIn, pictured: Post
) -> None:
    assert pictured.picture is not None
    Path(pictured.picture.path).unlink()
    with pytest.raises(MediaRejected, match="No such file"):
        linkedin.stage(pictured, Stage())
    assert server.called("begin") == []


@pytest.mark.fault("D19")
@pytest.mark.parametrize(
    ("call", "fault", "error"),
    [
        pytest.param(
            "begin", refusal(403, "Not enough permissions", "ACCESS_DENIED"), Unauthorized, id="no permission"
        ),
        pytest.param("begin", refusal(429, "limit", Retry_After="7"), RateLimited, id="limited"),
        pytest.param("begin", Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param("begin", Fault(status=200, body=b'{"value":{}}'), OutcomeUnknown, id="no place"),
        pytest.param("upload", Fault(status=415), MediaRejected, id="no picture"),
        pytest.param("upload", Fault(status=413), MediaRejected, id="too large"),
        pytest.param("upload", Fault(status=503), OutcomeUnknown, id="503"),
        pytest.param("upload", Fault(then=Then.SILENCE), OutcomeUnknown, id="silence"),
    ],
)
def test_d19_an_upload_that_fails_says_why_and_shows_nothing(
    linkedin: LinkedIn, server: FakeLinkedIn, pictured: Post, call: str, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script(call, fault)
    with pytest.raises(error):
        linkedin.stage(pictured, Stage())
    assert server.visible() == []


@pytest.mark.fault("H12")
def test_h12_no_picture_and_no_token_go_to_another_host(
    linkedin: LinkedIn, server: FakeLinkedIn, pictured: Post
) -> None:
    with FakeLinkedIn() as elsewhere:
        server.upload_url = elsewhere.url.replace("127.0.0.1", "localhost")
        with pytest.raises(OutcomeUnknown, match="without a place"):
            linkedin.stage(pictured, Stage())
        assert elsewhere.calls == []


@pytest.mark.parametrize(
    ("url", "is_near"),
    [
        ("https://api.linkedin.com/u", True),
        ("https://www.linkedin.com/dms-uploads/x", True),
        ("http://www.linkedin.com/u", False),
        ("https://linkedin.com.evil.example/u", False),
        ("https://evillinkedin.com/u", False),
        ("https://www.linkedin.com@evil.example/u", False),
        ("https://[::1/u", False),
        ("", False),
    ],
)
def test_uploads_go_to_linkedins_own_hosts(client: net.Client, url: str, is_near: bool) -> None:
    platform = LinkedIn(LinkedIn.Settings.model_validate({"access_token": "x"}), Http(client))
    assert platform._is_linkedins(url) is is_near


def test_an_author_that_cannot_be_asked_for_means_that_nothing_was_sent(
    linkedin: LinkedIn, server: FakeLinkedIn
) -> None:
    server.script("whoami", Fault(status=502))
    with pytest.raises(NotSent):
        linkedin.publish(POST, Stage(), key=KEY)
    assert server.called("publish") == []


# --- counting and other people's words -------------------------------------------------------------------------------


def article(**words: Any) -> Article:
    return Article(
        id="a", feed="f", origin="o", link=LINK, published=PUBLISHED, first_seen=PUBLISHED, **{"title": "T", **words}
    )


def composed(platform: LinkedIn, template: str = "{{ title }}\n\n{{ link }}", **words: Any) -> Post:
    account = Account(name="t", platform="linkedin", template=template)
    return compose(article(**words), account, platform.limits, picture=None, now=CREATED)


def test_a_post_that_fills_all_the_room_is_taken(linkedin: LinkedIn, server: FakeLinkedIn) -> None:
    words = "Jembatan (👨‍👩‍👧‍👦) Mahakam_🇮🇩 dibuka @kembali \\ " * 300
    post = composed(linkedin, "{{ text }} {{ link }}", text=words)
    assert 3_000 - post.length < 60
    published(linkedin, post)
    assert seen(server).text == post.text


@pytest.mark.parametrize(("length", "is_taken"), [(3_000, True), (3_001, False)])
def test_the_edge_is_where_linkedin_has_it(
    linkedin: LinkedIn, server: FakeLinkedIn, length: int, is_taken: bool
) -> None:
    post = dataclasses.replace(POST, text="(" * length, spans=())
    assert linkedin.limits.fits(post.text) is is_taken
    if is_taken:
        published(linkedin, post)
    else:
        with pytest.raises(Rejected, match="length exceeded"):
            published(linkedin, post)
    assert len(server.visible()) == is_taken


@settings(max_examples=200)
@given(st.text(st.one_of(st.sampled_from("👍é漢"), st.characters(codec="utf-8"))))
def test_no_text_counts_less_here_than_in_characters(text: str) -> None:
    assert utf16_units(text) >= len(text)


#: Whatever may stand in a title, signs that mean something to LinkedIn more often than elsewhere.
_TITLES = st.text(
    st.one_of(st.sampled_from("\\|{}@[]()<>#*_~＃＠ab1 "), st.characters(codec="utf-8")), min_size=1, max_size=80
).filter(lambda title: bool(clean(title)))


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@settings(max_examples=300)
@given(title=_TITLES)
def test_h05_h06_any_title_is_read_as_it_is_written_and_calls_nobody(title: str) -> None:
    account = Account(name="t", platform="linkedin", template="{{ title }}{{ title }}\n{{ link }} {{ hashtags }}")
    post = compose(article(title=title, categories=("Kaltim",)), account, LinkedIn.limits, picture=None, now=CREATED)
    assert read(commentary(post.text, post.spans)) == (post.text, ("Kaltim",), ())


TITLES = [
    "@[Acme](urn:li:organization:1234): kata @walikota",
    "#banjir di {hashtag|\\#|Samarinda} ＃IKN",
    "*tebal* _miring_ ~coret~ `kode` [x](https://a.example) <b>&amp;</b>",
    "\\ \\\\ \\( a|b {c} (d) [e]",
]


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize("title", TITLES)
def test_h05_h06_a_title_looks_as_its_site_has_it(linkedin: LinkedIn, server: FakeLinkedIn, title: str) -> None:
    published(linkedin, composed(linkedin, title=title))
    share = seen(server)
    assert share.text.replace("\u2060", "") == f"{title}\n\n{LINK}"
    assert (share.hashtags, share.mentions) == ((), ())
    assert share.card is not None
    assert share.card[1] == title


def test_the_judge_sees_what_is_not_escaped() -> None:
    assert read("a (b) c") == ("a ", (), ())
    assert read("@[Acme](urn:li:organization:1234) #x")[1:] == (("x",), ("urn:li:organization:1234",))


def test_what_was_made_harmless_stays_as_it_is() -> None:
    once = unlinked("＃a ＠b ＃")
    assert unlinked(once) == once


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D13")
@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        pytest.param(
            refusal(429, "Resource level throttle APPLICATION_AND_MEMBER DAY limit is reached"),
            timedelta(hours=16, minutes=58),
            id="of a day",
        ),
        pytest.param(refusal(429, "Too many requests"), timedelta(minutes=15), id="not told"),
        pytest.param(refusal(429, "DAY limit", Retry_After="41"), timedelta(seconds=41), id="told"),
        pytest.param(refusal(429, "DAY limit", Date="soon"), timedelta(minutes=15), id="without a clock"),
    ],
)
def test_d13_a_limit_says_how_long_it_lasts(
    linkedin: LinkedIn, server: FakeLinkedIn, fault: Fault, wait: timedelta
) -> None:
    server.script("publish", fault)
    with pytest.raises(RateLimited) as raised:
        published(linkedin)
    assert raised.value.wait == wait


@pytest.mark.parametrize(
    ("words", "receipt"),
    [
        pytest.param(
            "Content is a duplicate of urn:li:ugcPost:12",
            Receipt(remote_id="urn:li:ugcPost:12", url="https://www.linkedin.com/feed/update/urn:li:ugcPost:12/"),
            id="post",
        ),
        pytest.param(_PERSON, None, id="a person"),
        pytest.param("Duplicate post is detected", None, id="not told"),
    ],
)
def test_a_duplicate_names_the_first_post_and_nothing_else(
    linkedin: LinkedIn, server: FakeLinkedIn, words: str, receipt: Receipt | None
) -> None:
    server.script("publish", refusal(422, words, "DUPLICATE_POST"))
    with pytest.raises(AlreadyPosted) as raised:
        published(linkedin)
    assert (raised.value.receipt, raised.value.ours) == (receipt, False)


@pytest.mark.fault("H12")
def test_h12_a_version_that_ended_blocks_the_account_and_says_what_to_do(
    linkedin: LinkedIn, server: FakeLinkedIn
) -> None:
    server.versions = {"202701"}
    with pytest.raises(Unauthorized, match="set `version`"):
        published(linkedin)


@pytest.mark.fault("H12")
def test_h12_a_redirect_of_a_post_is_not_followed_and_the_token_stays_here(
    linkedin: LinkedIn, server: FakeLinkedIn
) -> None:
    with FakeLinkedIn() as elsewhere:
        server.script("publish", page(307, "Moved", Location=f"{elsewhere.url}/rest/posts"))
        with pytest.raises(OutcomeUnknown) as raised:
            published(linkedin)
        assert elsewhere.calls == []
        assert server.token not in str(raised.value)


def test_without_a_picture_a_word_about_pictures_is_a_refusal_for_good(
    linkedin: LinkedIn, server: FakeLinkedIn
) -> None:
    server.script("publish", refusal(422, "image is not ready"))
    with pytest.raises(Rejected):
        published(linkedin)


# --- taking away -----------------------------------------------------------------------------------------------------


def test_a_post_is_taken_away_and_again_without_harm(linkedin: LinkedIn, server: FakeLinkedIn) -> None:
    receipt = published(linkedin)
    linkedin.delete(receipt)
    assert server.visible() == []
    linkedin.delete(receipt)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(page(404, "Not Found"), OutcomeUnknown, id="404 of something else"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="a page"),
        pytest.param(refusal(403, "Not enough permissions", "ACCESS_DENIED"), Unauthorized, id="no permission"),
        pytest.param(refusal(429, "limit", Retry_After="7"), RateLimited, id="limited"),
    ],
)
def test_only_what_linkedin_says_is_gone_is_gone(
    linkedin: LinkedIn, server: FakeLinkedIn, fault: Fault, error: type[DeliveryError]
) -> None:
    receipt = published(linkedin)
    server.script("delete", fault)
    with pytest.raises(error):
        linkedin.delete(receipt)


def test_a_post_that_linkedin_does_not_know_any_more_is_gone(linkedin: LinkedIn, server: FakeLinkedIn) -> None:
    server.script("delete", refusal(404, "Not Found"))
    linkedin.delete(Receipt(remote_id="urn:li:share:7"))


@pytest.mark.parametrize("remote_id", ["", "7", MEMBER, "urn:li:share:7/x"])
def test_what_is_no_post_of_linkedin_is_not_asked_for(linkedin: LinkedIn, server: FakeLinkedIn, remote_id: str) -> None:
    with pytest.raises(Rejected, match="no post of LinkedIn"):
        linkedin.delete(Receipt(remote_id=remote_id))
    assert server.calls == []


# --- on the line -----------------------------------------------------------------------------------------------------


def linkedin_line(world: World, server: FakeLinkedIn, **values: Any) -> Line:
    server.clock = world.clock
    return open_line(
        world,
        "linkedin",
        lambda http: LinkedIn(settings_of(server, **values), patient(http)),
        texts=lambda: [share.text for share in server.visible()],
        sends=lambda: len(server.called("publish")),
        post_by_hand=lambda _text: None,
        fail_look=lambda: None,
    )


def test_articles_are_posted_once_with_their_pictures(unjudged_world: World, server: FakeLinkedIn) -> None:
    line = linkedin_line(unjudged_world, server)
    line.show("one", picture=file_picture(line.world))
    line.show("two")
    line.world.until_quiet()
    line.world.run()
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.POSTED, State.POSTED, 2)
    assert sorted(share.card[3] for share in server.visible() if share.card) == [False, True]


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-without-id": Fault(status=201, body=b"", made=Made.AT_ONCE),
    "made-then-409": dataclasses.replace(refusal(409, "Conflict", "CONFLICT"), made=Made.AT_ONCE),
    "made-then-unlisted": dataclasses.replace(refusal(400, "Unable to obtain activity"), made=Made.AT_ONCE),
    "never-made-502": Fault(status=502),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-reset": Fault(then=Then.RESET_READING),
}


@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D07")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d05_d06_d07_d09_a_lost_answer_ends_with_one_post_by_the_same_bytes(
    unjudged_world: World, server: FakeLinkedIn, fault: Fault
) -> None:
    line = linkedin_line(unjudged_world, server)
    server.script("publish", fault)
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    receipt = line.row("one").receipt
    assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)
    assert receipt is not None
    assert receipt.remote_id == seen(server).urn
    assert len({call.body for call in server.called("publish")}) == 1
    assert line.sends() == (1 if fault.then is Then.RESET_READING else 2)


def test_an_outcome_that_the_second_call_does_not_tell_either_waits_for_a_person(
    unjudged_world: World, server: FakeLinkedIn
) -> None:
    line = linkedin_line(unjudged_world, server)
    server.script("publish", Fault(status=502, made=Made.AT_ONCE), Fault(status=502))
    line.show("one")
    line.world.until_quiet()
    line.world.clock.move(hours=30)
    line.world.run()
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.NEEDS_REVIEW, 1, 2)


@pytest.mark.fault("D07")
@pytest.mark.fault("D23")
def test_d07_d23_a_duplicate_at_the_first_send_is_held(unjudged_world: World, server: FakeLinkedIn) -> None:
    line = linkedin_line(unjudged_world, server)
    server.script("publish", refusal(422, _DUPLICATE, "DUPLICATE_POST"))
    line.show("one")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("one").reason, line.sends()) == (State.HELD, "clash", 1)


@pytest.mark.fault("D11")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d11_a_run_that_was_killed_in_its_call_ends_with_one_post(desk: Desk, server: FakeLinkedIn, made: Made) -> None:
    desk.configure(
        f"  li:\n    platform: linkedin\n    server: {server.url}\n    access_token: env:LI_TOKEN\n"
        "    allow_private: yes\n"
    )
    desk.environment["LI_TOKEN"] = server.token
    desk("run")
    desk.show("one")
    server.script("publish", Fault(then=Then.SILENCE, made=made))
    kill_in_call(desk, server)
    desk("run")
    row = desk.row("one", "li")
    assert (row.state, len(server.called("publish"))) == (State.VERIFYING, 1)
    desk.change(row, look_at=datetime.now(UTC) - timedelta(minutes=2))
    desk.end_waits()
    desk("run")
    desk("run")
    assert (desk.row("one", "li").state, len(server.visible())) == (State.POSTED, 1)
    assert len({call.body for call in server.called("publish")}) == 1


@pytest.mark.fault("D19")
def test_d19_a_picture_in_work_is_waited_for_and_uploaded_once(unjudged_world: World, server: FakeLinkedIn) -> None:
    server.images_in_work = True
    line = linkedin_line(unjudged_world, server)
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    card = seen(server).card
    assert (line.row("one").state, card and card[3], len(server.uploads)) == (State.POSTED, True, 1)


@pytest.mark.fault("D19")
def test_d19_a_picture_that_is_refused_leaves_a_card_without_it(unjudged_world: World, server: FakeLinkedIn) -> None:
    line = linkedin_line(unjudged_world, server)
    server.script("publish", refusal(400, "ERROR :: /content/article/thumbnail :: odd"))
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    card = seen(server).card
    assert (line.row("one").state, card and card[3]) == (State.POSTED, False)


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
def test_d14_d16_a_token_that_ended_blocks_the_account_and_loses_nothing(
    unjudged_world: World, server: FakeLinkedIn
) -> None:
    line = linkedin_line(unjudged_world, server)
    line.show("one")
    line.world.run()
    server.is_revoked = True
    line.show("two")
    line.world.run()
    assert line.world.standing("linkedin").state is AccountState.AUTH_BLOCKED
    assert line.row("two").state is State.READY
    server.is_revoked = False
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two"), line.row("two").state) == (1, 1, State.POSTED)


@pytest.mark.fault("D17")
def test_d17_a_refused_text_stops_no_other(unjudged_world: World, server: FakeLinkedIn) -> None:
    line = linkedin_line(unjudged_world, server)
    server.script("publish", refusal(400, "ERROR :: /commentary :: too long", "FIELD_LENGTH_TOO_LONG"))
    line.show("one")
    line.world.run()
    line.show("two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("two").state) == (State.REJECTED, State.POSTED)
    assert "too long" in (line.row("one").reason or "")


@pytest.mark.fault("D13")
def test_d13_a_limit_holds_the_account_until_it_ends(unjudged_world: World, server: FakeLinkedIn) -> None:
    line = linkedin_line(unjudged_world, server)
    server.script("publish", refusal(429, "Too many requests", Retry_After="900"))
    line.show("one", "two")
    line.world.run()
    assert line.sends() == 1
    assert line.world.standing("linkedin").not_before == line.world.clock() + timedelta(minutes=15)
    line.world.until_quiet()
    assert (line.sends(), line.seen("one"), line.seen("two")) == (3, 1, 1)
